"""Meshes: read from any format, and made fit to draw."""

import math
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.data.formats import MeshFormat
from hifa_cli.errors import HifaError
from hifa_cli.render.archives import head_of, unpacked
from hifa_cli.render.compiled import compiled, helper
from hifa_cli.render.contents import format_of
from hifa_cli.render.readers.parts import Arrays

FARTHEST = 1e200  # beyond, products of what the cameras see overflow


class _Triangles(NamedTuple):
    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]


class Mesh(_Triangles):
    """Triangles: (n, 3) vertices in the file's units and (m, 3) faces that index them.

    ``remark`` says which triangles of the file are not among them, other than those that span no area.
    """

    remark: str = ""


def read_mesh(path: Path) -> Mesh:
    """Read a mesh and keep what can be drawn of it.

    Args:
        path: a file in one of the formats of ``hifa_cli.data.formats``.

    Returns:
        Vertices that faces use, all finite, and faces of three different, existing vertices that are
        not flat to a line; at least one face.

    Raises:
        HifaError: the file cannot be read, or holds nothing that could be drawn.
    """
    path = path if isinstance(path, Path) else Path(path)
    try:
        if not (head := head_of(path)):
            raise HifaError("is empty: the file has no bytes")
        with unpacked(path, head) as file:
            return sanitised(*_reader(format_of(file, head if file is path else None))(file))
    except HifaError as error:
        raise HifaError(f"{path}: {error}") from error
    except OSError as error:
        raise HifaError(f"{path}: cannot be read: {error.strerror or error}") from error


def _reader(found: MeshFormat) -> Callable[[Path], Arrays]:
    """Return what reads a format.

    Raises:
        HifaError: nothing does, or an extra that is not installed.
    """
    if found.reader is None:
        raise HifaError(f"is {found.name} ({found.suffix}), which is not read: save it as GLB, OBJ or STL")
    if found.module and find_spec(found.module) is None:
        raise HifaError(f'is {found.name}, which needs a reader: pip install "hifa-cli[{found.extra}]"')
    return _imported(found.reader)


@cache
def _imported(name: str) -> Callable[[Path], Arrays]:
    read: Callable[[Path], Arrays] = import_module(f"hifa_cli.render.readers.{name}").read
    return read


def sanitised(vertices: Any, faces: Any, remark: str = "") -> Mesh:
    """Return the part of a mesh that can be drawn.

    Args:
        vertices: (n, 3).
        faces: (m, 3), with any numbers.
        remark: of its reader, about what it left out.

    Returns:
        What can be drawn, with the reader's remark and what was left out here.

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
    many, used, bad = keep_drawable(vertices, faces, kept, places)
    if 2 * many < len(faces) and 2 * bad > len(faces) > bad:
        raise HifaError(
            f"is damaged: {bad} of {len(faces)} triangles have corners that are missing or not numbers"
        )
    if many == 0:
        raise HifaError("has no face that spans an area between finite, existing vertices")
    kept = kept[:many]
    if used < len(vertices):
        vertices = without_unused(vertices, places, used, kept)
    if not max(-vertices.min(), vertices.max()) < FARTHEST:
        raise HifaError(f"has coordinates beyond {FARTHEST:g}: scale it")
    mesh = Mesh(vertices, kept)
    lost = f"drawn without {bad} of its {len(faces)} triangles, whose corners are missing or not numbers"
    mesh.remark = "; ".join(filter(None, (remark, lost if bad else "")))
    return mesh


@compiled
def without_unused(
    vertices: NDArray[np.float64], places: NDArray[np.int32], used: int, faces: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return the vertices that faces use, in order, and renumber the faces' corners in place.

    Args:
        vertices: (n, 3).
        places: (n,) −1 where no face uses a vertex; the others become their new numbers.
        used: how many others there are.
        faces: (m, 3), renumbered in place.

    Returns:
        (used, 3) vertices.
    """
    left, many = np.empty((used, 3)), 0
    for vertex in range(vertices.shape[0]):
        if places[vertex] >= 0:
            for axis in range(3):
                left[many, axis] = vertices[vertex, axis]
            places[vertex] = many
            many += 1
    for face in range(faces.shape[0]):
        for corner in range(3):
            faces[face, corner] = places[faces[face, corner]]
    return left


@helper
def finite(vertices: NDArray[np.float64], a: int, b: int, c: int) -> bool:
    """Return whether all coordinates of three vertices are finite.

    Args:
        vertices: (n, 3).
        a: the first vertex.
        b: the second.
        c: the third.

    Returns:
        Whether they are.
    """
    total = 0.0
    for axis in range(3):
        total += 0.0 * vertices[a, axis] + 0.0 * vertices[b, axis] + 0.0 * vertices[c, axis]
    all_finite: bool = total == 0.0
    return all_finite


@compiled
def keep_drawable(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    kept: NDArray[np.int32],
    places: NDArray[np.int32],
) -> tuple[int, int, int]:
    """Copy the faces that can be drawn into ``kept`` and mark their vertices with 0 in ``places``.

    They have three existing, finite vertices and are more than a line, however large or small they are.

    Args:
        vertices: (n, 3).
        faces: (m, 3), with any numbers.
        kept: (m, 3) filled from the front.
        places: (n,) set to 0 where a kept face uses the vertex.

    Returns:
        How many faces are kept, how many vertices they use, and how many faces have a corner that does not
        exist or is not finite.
    """
    many, used, bad = 0, 0, 0
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        if min(a, b, c) < 0 or max(a, b, c) >= len(vertices):
            bad += 1
            continue
        reach = 0.0
        for axis in range(3):
            reach = max(reach, abs(vertices[b, axis] - vertices[a, axis]))
            reach = max(reach, abs(vertices[c, axis] - vertices[a, axis]))
        if not 0.0 < reach < math.inf:
            bad += not finite(vertices, a, b, c)
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
            bad += not finite(vertices, a, b, c)
            continue  # a line, or not a number
        for corner in range(3):
            vertex = faces[face, corner]
            kept[many, corner] = vertex
            used += places[vertex] < 0
            places[vertex] = 0
        many += 1
    return many, used, bad
