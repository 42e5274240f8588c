"""Text of meshes: encodings other than UTF-8, and numbers with decimal commas."""

import codecs
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.compiled import compiled
from hifa_cli.render.parsing import Bytes, Polygons
from hifa_cli.render.polygons import triangles
from hifa_cli.render.readers.parts import Arrays

_COMMA = re.compile(rb"[\s\"'>][-+]?\d*,\d+([eE][-+]?\d+)?(?=[\s\"'<]|$)")
_NO_NUMBER = re.compile(rb"nan|inf|#ind|#qnan", re.IGNORECASE)  # as programs write them
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # bytes that no text has, and every binary head
_LOOKED_AT = 64  # bytes that tell UTF-16 and UTF-32 without their marks
# encodings, their bytes a letter, and which of them holds ASCII
_WIDE = (("utf-16-le", 2, 0), ("utf-16-be", 2, 1), ("utf-32-le", 4, 0), ("utf-32-be", 4, 3))


def of_text(parse: Callable[[Bytes], Polygons], path: Path) -> Arrays:
    """Read vertices and triangles of a text whose polygons ``parse`` finds.

    Raises:
        HifaError: as ``parse``, or it is damaged UTF-16 or UTF-32, or has decimal commas.
    """
    text = utf8(bytes_of(path))
    polygons = parse(text)
    faces = triangles(polygons)
    if not all_finite(polygons.vertices):
        refuse_commas(polygons.vertices, text)
        _refuse_damaged(polygons.vertices, faces, text)
    return polygons.vertices, faces


@compiled
def all_finite(vertices: NDArray[np.float64]) -> bool:
    """Return whether all coordinates of (n, 3) vertices are numbers."""
    total = 0.0
    for vertex in range(vertices.shape[0]):
        for axis in range(vertices.shape[1]):
            total += 0.0 * vertices[vertex, axis]
    finite: bool = total == 0.0
    return finite


def bytes_of(path: Path) -> Bytes:
    """Return all bytes of a file, in an array that has room for one more behind them (parsing.ended)."""
    with path.open("rb", buffering=0) as file:
        content = np.empty(os.fstat(file.fileno()).st_size + 1, dtype=np.uint8)
        view, size = memoryview(content.data), 0
        while size < len(content) - 1 and (read := file.readinto(view[size:-1])):  # 2 GiB at a time
            size += read
    return content[:size]


def _refuse_damaged(vertices: NDArray[np.float64], faces: NDArray[np.int64], text: Bytes) -> None:
    """Refuse a text whose faces have corners that are not numbers, where no program wrote that they are none.

    Raises:
        HifaError: so it is; a picture would lack these faces.
    """
    bad = np.asarray(~np.isfinite(vertices).all(axis=1))
    if _NO_NUMBER.search(text.tobytes()):
        return
    if many := int(bad[faces[((faces >= 0) & (faces < len(vertices))).all(axis=1)]].any(axis=1).sum()):
        raise HifaError(f"is damaged: {many} of {len(faces)} triangles have corners that are not numbers")


def utf8(content: Bytes) -> Bytes:
    """Return a text's bytes as UTF-8, where they are UTF-16 or UTF-32; else as they are.

    Raises:
        HifaError: it begins as UTF-16 or UTF-32 and is damaged.
    """
    name = encoding_of(content[:_LOOKED_AT].tobytes())
    if name is None:
        return content
    try:
        text = content.tobytes().decode(name)
    except UnicodeDecodeError:
        raise HifaError(f"begins as {name.upper()} text and is damaged: save it as UTF-8") from None
    return np.frombuffer(text.lstrip("\ufeff").encode(), dtype=np.uint8)


def is_text(content: Bytes) -> bool:
    """Return whether a file begins as a text."""
    head = content[:1024].tobytes()
    return encoding_of(head[:_LOOKED_AT]) is not None or not _CONTROL.search(head)


def encoding_of(head: bytes) -> str | None:
    """Return the wide encoding of a text that begins with ``head``; None for every other."""
    marks = {
        codecs.BOM_UTF32_LE: "utf-32",
        codecs.BOM_UTF32_BE: "utf-32",
        codecs.BOM_UTF16_LE: "utf-16",
        codecs.BOM_UTF16_BE: "utf-16",
    }
    if name := next((name for mark, name in marks.items() if head.startswith(mark)), None):
        return name
    if b"\0" not in head:
        return None
    for name, width, first in _WIDE:
        zeros = (head[place::width] for place in range(width) if place != first)
        if len(head) < 8 or any(one.strip(b"\0") for one in zeros):
            continue
        if all(9 <= letter < 127 for letter in head[first::width]):
            return name
    return None


def refuse_commas(vertices: NDArray[np.float64], text: Bytes) -> None:
    """Refuse a text whose numbers have decimal commas: read on, its parts would be missing.

    Args:
        vertices: (n, 3) as they were read; only where some are not numbers the text is looked through.
        text: the bytes that they were read from.

    Raises:
        HifaError: it has such numbers.
    """
    if np.isfinite(vertices).all():
        return
    if found := _COMMA.search(b" " + text.tobytes()):
        word = found[0][1:].decode()
        raise HifaError(f"has numbers with commas ({word}): write them with decimal points")
