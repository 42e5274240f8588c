"""A gallery's columns on disk: opened by memory map, so that opening costs the same at any size."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hifa_cli.errors import HifaError
from hifa_cli.gallery.shown import Shown, whole
from hifa_cli.runtime.arrays import read_array, read_header

DAMAGED = (OSError, ValueError, EOFError, TokenError, SyntaxError)  # by numpy, which parses headers as Python
_ESCAPES = "surrogateescape"  # paths need not be UTF-8


class Texts(Sequence[str]):
    """A column of strings, decoded one at a time.

    Args:
        content: all strings, one behind the other, in UTF-8.
        ends: (n,) int64, where each ends.
        starts: (n,) int64, where each starts; None where each starts as the one before ends.
    """

    def __init__(
        self,
        content: bytes | NDArray[np.uint8],
        ends: NDArray[np.int64],
        starts: NDArray[np.int64] | None = None,
    ) -> None:
        self._content, self._ends, self._starts = content, ends, starts
        self._places: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        """Return how many strings."""
        return len(self._ends)

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> Sequence[str]: ...

    def __getitem__(self, row: int | slice) -> str | Sequence[str]:
        """Return one string, or some."""
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row %= len(self)
        return bytes(self._content[self._start(row) : int(self._ends[row])]).decode("utf-8", _ESCAPES)

    def _start(self, row: int) -> int:
        if self._starts is not None:
            return int(self._starts[row])
        return int(self._ends[row - 1]) if row else 0

    def __iter__(self) -> Iterator[str]:
        """Yield all of them, from one read."""
        content, ends = bytes(self._content), self._ends.tolist()
        starts = [0, *ends[:-1]] if self._starts is None else self._starts.tolist()
        for start, end in zip(starts, ends, strict=True):
            yield content[start:end].decode("utf-8", _ESCAPES)

    def row(self, text: str) -> int | None:
        """Return the first row of a string, or None.

        The first look-up reads the whole column; 16 bytes a row are kept for the next ones.
        """
        if self._places is None:
            hashes = np.fromiter(map(hash, self), dtype=np.int64, count=len(self))
            order = np.argsort(hashes, kind="stable")
            self._places = hashes[order], order
        hashes, order = self._places
        start, end = (int(np.searchsorted(hashes, hash(text), side)) for side in ("left", "right"))
        return next((row for row in order[start:end].tolist() if self[row] == text), None)


def write_texts(folder: Path, name: str, texts: Iterable[str]) -> None:
    """Write a column of strings as ``name.txt`` and ``name.npy``.

    Args:
        folder: of the generation.
        name: of the column.
        texts: in the order of the rows.
    """
    ends, total = [], 0
    with (folder / f"{name}.txt").open("wb") as file:
        for text in texts:
            total += file.write(text.encode("utf-8", _ESCAPES))
            ends.append(total)
    np.save(folder / f"{name}.npy", np.array(ends, dtype=np.int64))


def append_texts(folder: Path, name: str, stored: int, texts: Sequence[str]) -> None:
    """Write strings behind the stored ones of a column.

    Args:
        folder: of the generation.
        name: of the column.
        stored: how many strings count.
        texts: in the order of the rows.
    """
    last = int(_stored_numbers(folder / f"{name}.npy", np.dtype(np.int64), (stored,))[-1]) if stored else 0
    parts = [text.encode("utf-8", _ESCAPES) for text in texts]
    _write_at(folder / f"{name}.txt", last, b"".join(parts))
    append_numbers(folder / f"{name}.npy", stored, last + np.cumsum([len(part) for part in parts]))


def append_numbers(path: Path, stored: int, rows: NDArray[Any]) -> None:
    """Write rows behind the stored ones of a file of ``numpy.save``, whose heading goes on counting its own.

    Args:
        path: of the column.
        stored: how many rows count.
        rows: (b, …) as the column's, of its own kind or one that fits it.
    """
    offset, shape, kind = _heading(path)
    each = kind.itemsize * int(np.prod(shape[1:], dtype=np.int64))
    _write_at(path, offset + stored * each, np.ascontiguousarray(rows, dtype=kind).tobytes())


def append_table(path: Path, stored: int, rows: NDArray[Any]) -> None:
    """Write rows behind the stored ones of raw numbers.

    Args:
        path: of the table.
        stored: how many rows count.
        rows: (b, …) of the table's own kind.
    """
    if len(rows):
        _write_at(path, stored * (rows.nbytes // len(rows)), rows.tobytes())


def _write_at(path: Path, place: int, content: bytes) -> None:
    """Write over what a killed writer may have left; what is before the place stays as it is."""
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


def settle(paths: Iterable[Path]) -> None:
    """Have the disk hold every byte of some files."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def read_texts(folder: Path, name: str, count: int, shown: Shown | None = None) -> Texts:
    """Open a column of strings.

    Args:
        folder: of the generation.
        name: of the column.
        count: of rows.
        shown: which of the stored rows those are; None of a column that nothing was appended to.

    Returns:
        The strings, read when they are asked for.

    Raises:
        HifaError: it is damaged, or not one of ``count`` strings.
    """
    stored = None if shown is None else whole(shown.stored)
    ends = read_numbers(folder, name, np.int64, (count if shown is None else shown.stored,), stored)
    size = (folder / f"{name}.txt").stat().st_size
    if len(ends) and (int(ends[-1]) > size or ends[0] < 0 or (np.diff(ends) < 0).any()):
        raise damaged(folder / f"{name}.txt")
    content = np.memmap(folder / f"{name}.txt", dtype=np.uint8, mode="r") if size else b""
    if shown is None or not len(shown.holes):
        return Texts(content, ends[:count])
    starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]])
    return Texts(content, shown.of(np.array(ends)), shown.of(starts))


def read_numbers(
    folder: Path, name: str, kind: DTypeLike, shape: tuple[int, ...], shown: Shown | None = None
) -> NDArray[Any]:
    """Open a column of numbers, written by ``numpy.save``.

    Args:
        folder: of the generation.
        name: of the column.
        kind: of the numbers.
        shape: that they must have.
        shown: which of the stored rows those are; None of a column that nothing was appended to.

    Returns:
        The numbers, mapped into memory.

    Raises:
        HifaError: it is damaged, or not of that kind and shape.
    """
    path = folder / f"{name}.npy"
    try:
        if shown is not None:
            return shown.of(
                _stored_numbers(
                    path, np.dtype(kind), (shown.stored, *shape[1:]), private=len(shown.holes) > 0
                )
            )
        found = read_array(path, mapped=True)
    except FileNotFoundError:
        raise
    except DAMAGED as error:
        raise damaged(path) from error
    if found.dtype != np.dtype(kind) or found.shape != shape:
        raise damaged(path)
    return found


def _heading(path: Path) -> tuple[int, tuple[int, ...], np.dtype[Any]]:
    """Return where the numbers of a file of ``numpy.save`` begin, how many it counts, and their kind.

    Raises:
        ValueError: it is not such a file.
    """
    with path.open("rb") as file:
        shape, columns_first, kind = read_header(file)
        if columns_first or kind.hasobject:
            raise ValueError("of another order")
        return file.tell(), shape, kind


def _stored_numbers(
    path: Path, kind: np.dtype[Any], shape: tuple[int, ...], *, private: bool = False
) -> NDArray[Any]:
    """Open numbers behind which rows may have been appended.

    Args:
        path: of what ``numpy.save`` wrote.
        kind: of the numbers.
        shape: with the appended rows.
        private: writing to them changes this process's copy.

    Returns:
        The numbers, mapped into memory.

    Raises:
        ValueError: they are of another kind or shape, or fewer.
    """
    offset, found, known = _heading(path)
    if known != kind or found[1:] != shape[1:] or not found or found[0] > shape[0]:
        raise ValueError("of another kind or shape")
    return np.memmap(path, kind, "c" if private else "r", offset, shape)


def read_table(
    path: Path, kind: DTypeLike, shape: tuple[int, ...], shown: Shown | None = None
) -> NDArray[Any]:
    """Open raw little-endian numbers of a known shape by memory map.

    Args:
        path: of the file.
        kind: of the numbers.
        shape: that they must have.
        shown: which of the stored rows those are; None of a table that nothing was appended to.

    Returns:
        The numbers, mapped into memory.

    Raises:
        HifaError: the file is too short.
    """
    kind = np.dtype(kind).newbyteorder("<")
    stored = shape if shown is None else (shown.stored, *shape[1:])
    if path.stat().st_size < int(np.prod(stored, dtype=object)) * kind.itemsize:  # more was appended since
        raise damaged(path)
    if shown is None:
        return np.memmap(path, dtype=kind, mode="r", shape=shape)
    return shown.of(np.memmap(path, dtype=kind, mode="c" if len(shown.holes) else "r", shape=stored))


def damaged(path: Path) -> HifaError:
    """Return what is said of a file that is not what the gallery says."""
    return HifaError(f"{path} is damaged; build the gallery again")
