"""Meshes: read from any format, and made fit to draw."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError

MESH_SUFFIXES = (".off", ".obj", ".stl", ".ply", ".glb", ".gltf", ".3mf", ".dae", ".step", ".stp")


class Mesh(NamedTuple):
    """Triangles: (n, 3) vertices in the file's units and (m, 3) faces that index them."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]


def read_mesh(path: Path) -> Mesh:
    """Read a mesh and keep what can be drawn of it.

    Args:
        path: a file in one of ``MESH_SUFFIXES`` or another format that trimesh reads.

    Returns:
        Vertices that faces use, all finite, and faces of three different, existing vertices that are
        not flat to a line; at least one face.

    Raises:
        HifaError: the file cannot be read, or holds nothing that could be drawn.
    """
    path = Path(path)
    vertices, faces = _read_with_trimesh(path)
    return sanitised(vertices, faces)


def _read_with_trimesh(path: Path) -> tuple[Any, Any]:
    import trimesh

    try:
        mesh = trimesh.load_scene(path, process=False).to_mesh()
    except Exception as error:
        raise HifaError(f"{path}: {error}") from error
    return mesh.vertices, mesh.faces


def sanitised(vertices: Any, faces: Any) -> Mesh:
    """The part of a mesh that can be drawn.

    Raises:
        HifaError: nothing can be drawn; the message says why.
    """
    vertices = np.asarray(vertices, dtype=np.float64).reshape(-1, 3)
    faces = np.asarray(faces, dtype=np.int64).reshape(-1, 3)
    if len(vertices) == 0:
        raise HifaError("is empty: it has no vertices")
    if len(faces) == 0:
        raise HifaError("has points but no faces: make a surface of it first")
    faces = faces[((faces >= 0) & (faces < len(vertices))).all(axis=1)]
    faces = faces[np.isfinite(vertices).all(axis=1)[faces].all(axis=1)]
    faces = faces[_spans_area(vertices, faces)]
    if len(faces) == 0:
        raise HifaError("has no face that spans an area between finite, existing vertices")
    used = np.zeros(len(vertices), dtype=bool)
    used[faces] = True
    if not used.all():
        vertices, faces = vertices[used], (np.cumsum(used) - 1)[faces]
    return Mesh(np.ascontiguousarray(vertices), np.ascontiguousarray(faces, dtype=np.int32))


def _spans_area(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which faces are more than a line; coordinates may be as large or small as floats go."""
    if len(faces) == 0:
        return np.zeros(0, dtype=bool)
    corners = vertices[faces]
    largest = np.abs(corners).max()
    corners = corners / (largest if largest > 0 else 1.0)
    edges = corners[:, 1:] - corners[:, :1]
    reach = np.abs(edges).max(axis=(1, 2))
    edges = edges / np.where(reach > 0, reach, 1.0)[:, None, None]
    return np.asarray((np.cross(edges[:, 0], edges[:, 1]) != 0).any(axis=1))
