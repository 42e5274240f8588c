"""OFF: polygons in text or binary, with the prefixes of Geomview (its manual, "OFF: Object File Format")."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.compiled import compiled
from hifa_cli.render.parsing import (
    POWERS,
    Bytes,
    Polygons,
    ended,
    integer,
    next_line,
    off_body,
    off_counts,
    to_content,
)
from hifa_cli.render.readers.parts import Arrays
from hifa_cli.render.readers.textual import of_text

_TAG = re.compile(rb"((?:ST|C|N)*)(4?)(n?)OFF(\s+BINARY[ \t]*(?:\r\n|\r|\n))?", re.IGNORECASE)
_LONGEST = 64  # bytes of a tag
_COLOUR = 4  # numbers of a vertex's colour in binary; in text three or four


class Kind(NamedTuple):
    """Hold what a file's tag says.

    Attributes:
        tag: as it is written.
        width: coordinates of a vertex, the divisor among them.
        divided: the last coordinate divides the others.
        more: numbers behind a vertex's coordinates, without its colour.
        coloured: vertices have colours.
        binary: the numbers are binary, of the high byte first.
    """

    tag: str = "OFF"
    width: int = 3
    divided: bool = False
    more: int = 0
    coloured: bool = False
    binary: bool = False


def read(path: Path) -> Arrays:
    """Read vertices and triangles; polygons are cut.

    Raises:
        HifaError: it is not an OFF, is cut off, or has decimal commas.
    """
    return of_text(parse_off, path)


def parse_off(content: Bytes) -> Polygons:
    """OFF, its counts glued to the tag or not; colours, normals and places in textures are passed over.

    Raises:
        HifaError: it is not an OFF, or ends early.
    """
    text = ended(content)
    place = to_content(text, 0)
    kind = Kind()
    if tag := _TAG.match(text[place : place + _LONGEST].tobytes()):
        place += len(tag[0])
        kind, place = _kind_of(tag, text, place)
    if kind.binary:
        return _binary(content, place, kind)
    counts = np.zeros(2, dtype=np.int64)
    place = off_counts(text, place, counts)
    points, faces = int(counts[0]), int(counts[1])
    if place < 0 or points < 0 or faces < 0:
        raise HifaError("is not an OFF file: no counts of vertices and faces at its beginning")
    if 2 * kind.width * points > len(text) or 2 * faces > len(text):
        raise HifaError(f"is cut off: it announces {points} vertices and {faces} faces")
    return _text(text, place, kind, (points, faces))


def _kind_of(tag: re.Match[bytes], text: Bytes, place: int) -> tuple[Kind, int]:
    """Return what a tag says, and where its counts begin."""
    letters, binary = tag[1], tag[4] is not None
    name = tag[0].split()[0].decode()
    many = bool(tag[3]) or (letters.endswith(b"n") and b"OFF" in tag[0])  # "n" is no "N" beside capitals
    letters = (letters[:-1] if many and not tag[3] else letters).upper()
    space = 3
    if many:
        place = to_content(text, place)
        space, place = integer(text, place) if place < len(text) and not binary else (0, place)
        if not 1 <= space <= 3:
            said = f"{space} dimensions" if not binary else f"the kind '{name} BINARY'"
            raise HifaError(f"is OFF of {said}: only those of space are read in text")
    more = 3 * letters.count(b"N") + 2 * letters.count(b"ST")
    return Kind(name, space + bool(tag[2]), bool(tag[2]), more, b"C" in letters, binary), place


def _text(text: Bytes, place: int, kind: Kind, counts: tuple[int, int]) -> Polygons:
    """Read the items: a line an item, as nearly always; else white space is all alike.

    Args:
        text: the file.
        place: behind the counts.
        kind: of the file.
        counts: of vertices and faces.

    Raises:
        HifaError: it ends early, goes on, or its vertices cannot be told apart.
    """
    points, faces = counts
    vertices, starts = np.empty((points, kind.width)), np.zeros(faces + 1, dtype=np.int64)
    corners = np.empty(len(text) // 2 + 1, dtype=np.int64)
    for by_line in (True, False):
        if not by_line and kind.coloured and _share_lines(text, place, kind):
            raise HifaError(f"is {kind.tag} whose vertices share lines: give each one its own")
        read, end = off_body(text, place, by_line, kind.more, POWERS, vertices, starts, corners)
        if read == points + faces:
            end = to_content(text, end)
            if text[end : end + 1].tobytes().isdigit():
                raise _too_much(points, faces)
            return Polygons(_in_space(vertices, kind), starts, corners[: starts[-1]])
        if not by_line and kind.coloured:
            break
    there = f"{read} of {points} vertices" if read < points else f"{read - points} of {faces} faces"
    raise HifaError(f"is cut off or damaged: only {there} can be read")


def _too_much(points: int, faces: int) -> HifaError:
    return HifaError(f"has more than the {points} vertices and {faces} faces that it announces")


def _share_lines(text: Bytes, place: int, kind: Kind) -> bool:
    """Return whether the first vertex's line has more numbers than one vertex."""
    place = to_content(text, place)
    line = text[place : next_line(text, place)].tobytes().partition(b"#")[0]
    return len(line.split()) > kind.width + kind.more + _COLOUR


def _in_space(vertices: NDArray[np.float64], kind: Kind) -> NDArray[np.float64]:
    """Return (n, 3) places of vertices of any width."""
    if kind.divided:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            vertices = vertices[:, :-1] / vertices[:, -1:]
    if vertices.shape[1] == 3:
        return vertices
    return np.pad(vertices, ((0, 0), (0, 3 - vertices.shape[1])))


def _binary(content: Bytes, place: int, kind: Kind) -> Polygons:
    """Read the binary form: 32-bit numbers throughout.

    Raises:
        HifaError: it ends early, or goes on.
    """
    words = content[place : place + (len(content) - place) // 4 * 4].copy().view(">i4")
    if len(words) < 3:
        raise HifaError("is cut off: its counts are missing")
    points, faces = int(words[0]), int(words[1])
    if points < 0 or faces < 0:
        raise HifaError("is not an OFF file: no counts of vertices and faces at its beginning")
    row = kind.width + kind.more + _COLOUR * kind.coloured
    if points * row + 2 * faces > len(words) - 3:
        raise HifaError(f"is cut off: it announces {points} vertices and {faces} faces")
    table = words[3 : 3 + points * row].view(">f4").reshape(points, row)
    vertices = table[:, : kind.width].astype(np.float64)
    rest = words[3 + points * row :].astype(np.int64)
    starts, corners = np.zeros(faces + 1, dtype=np.int64), np.empty(len(rest), dtype=np.int64)
    read, end = binary_faces(rest, starts, corners)
    if read < faces:
        raise HifaError(f"is cut off or damaged: only {read} of {faces} faces can be read")
    ring = rest[end + 1 : end + 1 + int(rest[end])] if end < len(rest) and rest[end] > 2 else rest[:0]
    if len(ring) > 2 and (ring >= 0).all() and (ring < points).all():
        raise _too_much(points, faces)
    return Polygons(_in_space(vertices, kind), starts, corners[: starts[-1]])


@compiled
def binary_faces(
    words: NDArray[np.int64], starts: NDArray[np.int64], corners: NDArray[np.int64]
) -> tuple[int, int]:
    """Read faces: a count, so many corners, and a count of numbers of a colour that are passed over.

    Args:
        words: all 32-bit numbers behind the vertices.
        starts: where each face's corners begin, filled in place.
        corners: filled in place.

    Returns:
        How many faces could be read, and where it ended.
    """
    place, used = 0, 0
    for face in range(len(starts) - 1):
        if place >= len(words):
            return face, place
        size = words[place]
        if not 0 <= size < len(words) - place - 1:
            return face, place
        for corner in range(size):
            corners[used] = words[place + 1 + corner]
            used += 1
        place += 1 + size
        colour = words[place]
        if not 0 <= colour < len(words) - place:
            return face, place
        place += 1 + colour
        starts[face + 1] = used
    return len(starts) - 1, place
