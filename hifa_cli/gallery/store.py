"""Vectors of shapes on their way into a gallery: a file that grows, and that a killed run leaves to the next.

A record holds one shape: a head of fixed size, the vector (float32), the vectors of its views (float16), the
picture that stands for it, what was measured of its mesh, and a checksum of all this. What was cut off by a
kill is cut away at the next opening; so is all behind the first damaged record.
"""

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import FULL, MAKE_ROOM, HifaError, NoRoom
from hifa_cli.gallery import DIGEST_BYTES

_HEAD = struct.Struct(f"<4s{DIGEST_BYTES}sIIII")  # magic, digest, views, width, bytes of picture and facts
_MAGIC = b"hfv2"
_CHECK = 8  # bytes of checksum
_LARGEST = 1 << 28  # bytes of a record; 12 views of 100,000 numbers are 3 million


class Stored(NamedTuple):
    """One shape's record.

    Attributes:
        vector: (D,) float32.
        views: (V, D) float16.
        cover: PNG file of the picture that stands for the shape; empty if absent.
        facts: what was measured of the mesh: numbers, flags and None by name.
    """

    vector: NDArray[np.float32]
    views: NDArray[np.float16]
    cover: bytes
    facts: dict[str, Any] = {}  # noqa: RUF012 - a named tuple's default; nobody changes it


class VectorStore:
    """Records of shapes by the digest of what they were made from.

    The caller holds the gallery's lock: there is one writer.

    Args:
        path: of the file, there or not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[bytes, tuple[int, int]] = {}  # where a record starts, and its size
        self._end = 0  # of the whole records
        if path.is_file():
            with path.open("rb") as file:
                for digest, start, size in _records(file):
                    self._places[digest] = (start, size)
                    self._end = start + size + _CHECK

    def __contains__(self, digest: bytes) -> bool:
        """Return whether there is a record of a shape."""
        return digest in self._places

    def __len__(self) -> int:
        """Return how many records."""
        return len(self._places)

    def put(self, digest: bytes, record: Stored) -> None:
        """Append a record; whoever kills this process a moment later does not lose it.

        Raises:
            NoRoom: the disk is full.
            HifaError: the file cannot be written.
        """
        count, width = record.views.shape
        facts = json.dumps(record.facts).encode()
        content = b"".join((
            _HEAD.pack(_MAGIC, digest, count, width, len(record.cover), len(facts)),
            np.ascontiguousarray(record.vector, "<f4").tobytes(),
            np.ascontiguousarray(record.views, "<f2").tobytes(),
            record.cover,
            facts,
        ))  # fmt: skip
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("r+b" if self.path.exists() else "wb") as file:
                file.truncate(self._end)
                file.seek(self._end)
                file.write(content + _checksum(content))
        except OSError as error:
            why = f"cannot write {self.path}: {error.strerror}"
            if error.errno in FULL:
                raise NoRoom(f"{why}; {MAKE_ROOM}") from error
            raise HifaError(f"{why}; choose another --out") from error
        self._places[digest] = (self._end, len(content))
        self._end += len(content) + _CHECK

    def get(self, digest: bytes) -> Stored:
        """Read a record.

        Raises:
            KeyError: it does not exist.
        """
        place, size = self._places[digest]
        with self.path.open("rb") as file:
            file.seek(place)
            return _parsed(file.read(size))


def _records(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield the digest, the place and the size of every whole record up to the first that is damaged."""
    place, whole = 0, file.seek(0, 2)
    while place + _HEAD.size <= whole:
        file.seek(place)
        head = file.read(_HEAD.size)
        magic, digest, count, width, cover, facts = _HEAD.unpack(head)
        size = _HEAD.size + width * (4 + 2 * count) + cover + facts
        if magic != _MAGIC or not count or not width or size > min(_LARGEST, whole - place - _CHECK):
            return
        content = head + file.read(size - len(head))
        if file.read(_CHECK) != _checksum(content) or not _is_finite(_parsed(content)):
            return
        yield digest, place, size
        place += size + _CHECK


def _parsed(content: bytes) -> Stored:
    _, _, count, width, cover, _ = _HEAD.unpack_from(content)
    behind = _HEAD.size + 4 * width
    vector = np.frombuffer(content, "<f4", width, _HEAD.size).astype(np.float32)
    views = np.frombuffer(content, "<f2", count * width, behind).astype(np.float16)
    behind += 2 * count * width
    facts: dict[str, Any] = json.loads(content[behind + cover :])
    return Stored(vector, views.reshape(count, width), content[behind : behind + cover], facts)


def _is_finite(record: Stored) -> bool:
    return bool(np.isfinite(record.vector).all() and np.isfinite(record.views).all())


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_CHECK).digest()
