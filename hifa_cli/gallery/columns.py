"""A gallery's columns on disk: opened by memory map, so that opening costs the same at any size."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hifa_cli.errors import HifaError

DAMAGED = (OSError, ValueError, EOFError, TokenError, SyntaxError)  # by numpy, which parses headers as Python
_ESCAPES = "surrogateescape"  # paths need not be UTF-8


class Texts(Sequence[str]):
    """A column of strings, decoded one at a time.

    Args:
        content: all strings, one behind the other, in UTF-8.
        ends: (n,) int64, where each ends.
    """

    def __init__(self, content: bytes | NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self._content, self._ends = content, ends
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
        start = int(self._ends[row - 1]) if row else 0
        return bytes(self._content[start : int(self._ends[row])]).decode("utf-8", _ESCAPES)

    def __iter__(self) -> Iterator[str]:
        """Yield all of them, from one read."""
        content, start = bytes(self._content), 0
        for end in self._ends.tolist():
            yield content[start:end].decode("utf-8", _ESCAPES)
            start = end

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


def read_texts(folder: Path, name: str, count: int) -> Texts:
    """Open a column of strings.

    Args:
        folder: of the generation.
        name: of the column.
        count: of rows.

    Returns:
        The strings, read when they are asked for.

    Raises:
        HifaError: it is damaged, or not one of ``count`` strings.
    """
    ends = read_numbers(folder, name, np.int64, (count,))
    size = (folder / f"{name}.txt").stat().st_size
    if count and (int(ends[-1]) != size or ends[0] < 0 or (np.diff(ends) < 0).any()):
        raise damaged(folder / f"{name}.txt")
    return Texts(np.memmap(folder / f"{name}.txt", dtype=np.uint8, mode="r") if size else b"", ends)


def read_numbers(folder: Path, name: str, kind: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Open a column of numbers, written by ``numpy.save``.

    Args:
        folder: of the generation.
        name: of the column.
        kind: of the numbers.
        shape: that they must have.

    Returns:
        The numbers, mapped into memory.

    Raises:
        HifaError: it is damaged, or not of that kind and shape.
    """
    path = folder / f"{name}.npy"
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise
    except DAMAGED as error:
        raise damaged(path) from error
    if not isinstance(found, np.ndarray) or found.dtype != np.dtype(kind) or found.shape != shape:
        raise damaged(path)
    return found


def read_table(path: Path, kind: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Open raw little-endian numbers of a known shape by memory map.

    Args:
        path: of the file.
        kind: of the numbers.
        shape: that they must have.

    Returns:
        The numbers, mapped into memory.

    Raises:
        HifaError: the file is of another size.
    """
    kind = np.dtype(kind).newbyteorder("<")
    if path.stat().st_size != int(np.prod(shape, dtype=object)) * kind.itemsize:
        raise damaged(path)
    table: NDArray[Any] = np.memmap(path, dtype=kind, mode="r", shape=shape)
    return table


def damaged(path: Path) -> HifaError:
    """Return what is said of a file that is not what the gallery says."""
    return HifaError(f"{path} is damaged; build the gallery again")
