"""Meshes: read from any format, and made fit to draw."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render import parsing, validate
from hifa_cli.render.compiled import compiled
from hifa_cli.render.contents import ending_of
from hifa_cli.render.polygons import triangles
from hifa_cli.render.readers import dae, gltf, ply, stl, threemf
from hifa_cli.render.readers.textual import refuse_commas, utf8

MESH_SUFFIXES = (".off", ".obj", ".stl", ".ply", ".glb", ".gltf", ".3mf", ".dae", ".step", ".stp")

FARTHEST = 1e200  # beyond, products of what the cameras see overflow

LOOKED_AT = 1 << 16  # bytes in which it shows that an OBJ has lost its ends of lines
_SEVERAL = re.compile(rb"^[^#\r\n]*[^#\s][ \t]+[vf][ \t]+[-+.\d]", re.MULTILINE)

Arrays = tuple[Any, Any]  # vertices and faces as a reader gives them


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
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise HifaError("is empty: the file has no bytes")
        ending = ending_of(path)
        validate.check(path, ending)
        if (reader := _READERS.get(ending)) is not None:
            return sanitised(*reader(path))
        return sanitised(*_read_other(path, ending))
    except HifaError as error:
        raise HifaError(f"{path}: {error}") from error
    except OSError as error:
        raise HifaError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_off(path: Path) -> Arrays:
    return _of_text(parsing.parse_off, path)


def _read_obj(path: Path) -> Arrays:
    return _of_text(_parse_obj, path)


def _parse_obj(text: parsing.Bytes) -> parsing.Polygons:
    polygons = parsing.parse_obj(text)
    few = len(polygons.starts) == 1 or len(polygons.vertices) < 3
    if few and _SEVERAL.search(text[:LOOKED_AT].tobytes()):
        raise HifaError("has several vertices or faces in one line: each needs its own")
    return polygons


def _of_text(parse: Callable[[parsing.Bytes], parsing.Polygons], path: Path) -> Arrays:
    text = utf8(np.fromfile(path, dtype=np.uint8))
    polygons = parse(text)
    refuse_commas(polygons.vertices, text)
    return polygons.vertices, triangles(polygons)


# How finely STEP's curved faces are cut: a share of each edge's length, and radians.
STEP_TOLERANCE: dict[str, Any] = {"tol_linear": 0.01, "tol_relative": True, "tol_angular": 0.2}


def _read_other(path: Path, ending: str) -> Arrays:
    """Every other format, by trimesh; a scene's parts are moved to their places and put together."""
    import trimesh

    own: Any = validate.OwnFolder(path)
    options: dict[str, Any] = {}
    if ending in (".step", ".stp"):
        _want_step_reader()
        options = STEP_TOLERANCE
    try:
        scene = trimesh.load_scene(path, file_type=ending[1:] or None, process=False, resolver=own, **options)
        meshes = [part for part in scene.dump() if isinstance(part, trimesh.Trimesh)]
    except (MemoryError, HifaError):
        raise
    except FileNotFoundError as error:  # a file that it names, or STEP's reader wrote none
        raise HifaError(
            f"cannot be read as {ending}: it is damaged, or a file that it needs is gone"
        ) from error
    except Exception as error:
        raise HifaError(
            f"cannot be read as {ending or 'a mesh'}: it is damaged, or of a kind that is not read"
        ) from error
    if not meshes:
        points = sum(len(getattr(part, "vertices", ())) for part in scene.geometry.values())
        return np.empty((points, 3)), np.empty((0, 3))
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    vertices = np.concatenate([np.asarray(mesh.vertices, dtype=np.float64) for mesh in meshes])
    faces = [np.asarray(mesh.faces) + offset for mesh, offset in zip(meshes, offsets[:-1], strict=True)]
    return vertices, np.concatenate(faces)


_READERS: dict[str, Callable[[Path], Arrays]] = {
    ".off": _read_off,
    ".obj": _read_obj,
    ".stl": stl.read,
    ".ply": ply.read,
    ".dae": dae.read,
    ".3mf": threemf.read,
    ".glb": gltf.read,
    ".gltf": gltf.read,
}


def _want_step_reader() -> None:
    from importlib.util import find_spec

    if find_spec("cascadio") is None:
        raise HifaError('STEP needs a reader: pip install "hifa-cli[step]"')


def sanitised(vertices: Any, faces: Any) -> Mesh:
    """The part of a mesh that can be drawn.

    Raises:
        HifaError: nothing can be drawn; the message says why.
    """
    vertices = np.ascontiguousarray(vertices, dtype=np.float64).reshape(-1, 3)
    faces = np.ascontiguousarray(faces, dtype=np.int64).reshape(-1, 3)
    if len(vertices) == 0:
        raise HifaError("is empty: it has no vertices")
    if len(faces) == 0:
        raise HifaError("has points but no faces: make a surface of it first")
    kept = np.empty(faces.shape, dtype=np.int32)
    places = np.full(len(vertices), -1, dtype=np.int32)
    many, used = keep_drawable(vertices, faces, kept, places)
    if 2 * many < len(faces) and 2 * (bad := _bad(vertices, faces)) > len(faces) > bad:
        raise HifaError(
            f"is damaged: {bad} of {len(faces)} triangles have corners that are missing or not numbers"
        )
    if many == 0:
        raise HifaError("has no face that spans an area between finite, existing vertices")
    kept = kept[:many]
    if used < len(vertices):
        vertices, kept = vertices[places >= 0], renumbered(places)[kept]
    if not max(-vertices.min(), vertices.max()) < FARTHEST:
        raise HifaError(f"has coordinates beyond {FARTHEST:g}: scale it")
    return Mesh(np.ascontiguousarray(vertices), np.ascontiguousarray(kept))


def _bad(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> int:
    """How many faces have a corner that does not exist or is not finite."""
    exist = ((faces >= 0) & (faces < len(vertices))).all(axis=1)
    finite = np.isfinite(vertices[faces[exist]]).all(axis=(1, 2))
    return len(faces) - int(np.count_nonzero(finite))


def renumbered(places: NDArray[np.int32]) -> NDArray[np.int32]:
    """New numbers, in order, of the places that are not −1."""
    return (np.cumsum(places >= 0) - 1).astype(np.int32)


@compiled
def keep_drawable(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    kept: NDArray[np.int32],
    places: NDArray[np.int32],
) -> tuple[int, int]:
    """Copy the faces that can be drawn into ``kept`` and mark their vertices with 0 in ``places``.

    They have three existing, finite vertices and are more than a line, however large or small they are.

    Returns:
        How many faces are kept, and how many vertices they use.
    """
    many, used = 0, 0
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        if min(a, b, c) < 0 or max(a, b, c) >= len(vertices):
            continue
        reach = 0.0
        for axis in range(3):
            reach = max(reach, abs(vertices[b, axis] - vertices[a, axis]))
            reach = max(reach, abs(vertices[c, axis] - vertices[a, axis]))
        if not 0.0 < reach < math.inf:
            continue
        scale = 1.0 / reach
        ux, uy, uz = (
            (vertices[b, 0] - vertices[a, 0]) * scale,
            (vertices[b, 1] - vertices[a, 1]) * scale,
            (vertices[b, 2] - vertices[a, 2]) * scale,
        )
        vx, vy, vz = (
            (vertices[c, 0] - vertices[a, 0]) * scale,
            (vertices[c, 1] - vertices[a, 1]) * scale,
            (vertices[c, 2] - vertices[a, 2]) * scale,
        )
        area = abs(uy * vz - uz * vy) + abs(uz * vx - ux * vz) + abs(ux * vy - uy * vx)
        if not area > 0.0:
            continue  # a line, or not a number
        for corner in range(3):
            vertex = faces[face, corner]
            kept[many, corner] = vertex
            used += places[vertex] < 0
            places[vertex] = 0
        many += 1
    return many, used
