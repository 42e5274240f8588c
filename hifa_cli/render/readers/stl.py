"""STL: binary, whatever its count of triangles says, and text."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.parsing import Bytes, parse_stl_text
from hifa_cli.render.polygons import triangles
from hifa_cli.render.readers.textual import bytes_of, is_text, refuse_commas, utf8

HEAD = 84  # bytes: 80 of anything, then the number of triangles
FACE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])
UNKNOWN = (0, 0xFFFFFFFF)  # counts of programs that do not go back to write one
_LARGEST = 1e15  # coordinate that programs write
_FARTHER = 1e3  # times as far out as the triangles before: what follows them are none


def read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read the corners of every triangle, three a triangle.

    A binary file is one whose size fits its count of triangles, or that has bytes that no text has: many
    begin with "solid", too.

    Raises:
        HifaError: it is cut off, or its count and its size disagree.
    """
    content = bytes_of(path)
    count = announced(content)
    if len(content) != HEAD + FACE.itemsize * count and _is_swapped(content):
        faces: Any = np.frombuffer(content, dtype=FACE.newbyteorder(">"), offset=HEAD)["corners"]
        return faces.reshape(-1, 3).astype(np.float64), np.arange(3 * len(faces)).reshape(-1, 3)
    if count >= 0 and (len(content) == HEAD + FACE.itemsize * count or not is_text(content)):
        vertices = _corners(content, count)
        return vertices, np.arange(len(vertices)).reshape(-1, 3)
    text = utf8(content)
    polygons = parse_stl_text(text)
    if not len(polygons.vertices):
        raise HifaError("is not an STL: it has no vertices, neither in text nor in binary")
    refuse_commas(polygons.vertices, text)
    return polygons.vertices, triangles(polygons)


def announced(content: Bytes) -> int:
    """Return the count of triangles in a binary file's head; −1 where it is too short to have one."""
    return int(content[80:HEAD].view("<u4")[0]) if len(content) >= HEAD else -1


def _is_swapped(content: Bytes) -> bool:
    """Return whether a file's size fits its count of triangles with the high byte first."""
    count = int(content[80:HEAD].view(">u4")[0]) if len(content) >= HEAD else 0
    return count > 0 and len(content) == HEAD + FACE.itemsize * count


def _corners(content: Bytes, count: int) -> NDArray[np.float64]:
    """Return (3·m, 3) corners of a binary file: as many as it announces, or holds where the count is wrong.

    Raises:
        HifaError: it holds fewer, or its size fits no count.
    """
    if len(content) != HEAD + FACE.itemsize * count and len(solids := _solids(content)) > 1:
        return np.concatenate([_of_solid(content, *solid) for solid in solids])
    there, rest = divmod(len(content) - HEAD, FACE.itemsize)
    faces: Any = np.frombuffer(content, dtype=FACE, count=there, offset=HEAD)["corners"]
    if rest and (strange := _strange(faces)) > there / 2:
        raise HifaError(
            f"is not an STL: it is not text, and {strange} of its {there} records are not triangles"
        )
    if count > there and count not in UNKNOWN:
        if not there:
            raise HifaError(f"is not an STL, or is cut off: 0 of {count} triangles are there")
        raise HifaError(f"is cut off: {there} of {count} triangles are there")
    if count != there and _alike(faces, count):
        if rest:
            raise HifaError(
                f"announces {count} triangles, and its {len(content)} bytes fit no whole number of them"
            )
        count = there
    corners: NDArray[np.float64] = faces[: min(count, there)].reshape(-1, 3).astype(np.float64)
    return corners


def _solids(content: Bytes) -> list[tuple[int, int]]:
    """Return where the triangles of each of several files begin, written one after the other, and how many.

    Empty where the counts do not lead to the end.
    """
    solids, place = [], 0
    while place + HEAD <= len(content):
        count = int(content[place + 80 : place + HEAD].copy().view("<u4")[0])
        if not count:
            return []
        solids.append((place + HEAD, count))
        place += HEAD + FACE.itemsize * count
    return solids if place == len(content) else []


def _of_solid(content: Bytes, place: int, count: int) -> NDArray[np.float64]:
    faces: Any = np.frombuffer(content, dtype=FACE, count=count, offset=place)["corners"]
    corners: NDArray[np.float64] = faces.reshape(-1, 3).astype(np.float64)
    return corners


def _strange(faces: Any) -> int:
    """Return how many triangles have corners that no program writes: of bytes of anything nearly all."""
    with np.errstate(invalid="ignore"):
        usual = (np.abs(faces) < _LARGEST).all(axis=(1, 2))
    return int(np.count_nonzero(~usual))


def _alike(faces: Any, count: int) -> bool:
    """Return whether the bytes after the announced triangles look like more of them, not like other data."""
    if count in UNKNOWN:
        return True
    with np.errstate(invalid="ignore", over="ignore"):
        more, known = np.abs(faces[count:]), np.abs(faces[:count])
        return bool(np.isfinite(more).all() and more.max() > 0 and more.max() <= _FARTHER * known.max())
