"""Twelve Phong views of any mesh: reading, cameras, shading, renderers, workers and the render stage.

Heavy libraries (numba, trimesh, OpenGL) stay in this room.
"""
