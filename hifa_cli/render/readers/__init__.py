"""Readers of mesh formats: a file in, vertices and triangles out."""
