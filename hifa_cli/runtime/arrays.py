"""Read NumPy files in one place, because CPython cannot read two headers in two threads at once.

NumPy parses a file's header with ``ast.literal_eval``. CPython counts the depth of its syntax tree once per
interpreter (python/cpython issue 95185; seen with 3.11), so that two threads that parse at the same time can
raise ``SystemError: AST constructor recursion depth mismatch``. A server and a program with threads open
galleries side by side; a lock keeps their reads apart, while headers are parsed and arrays are read.
"""

import threading
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_ONE = threading.Lock()


def read_array(file: Path | IO[bytes], *, mapped: bool = False) -> NDArray[Any]:
    """Read what ``numpy.save`` wrote; objects are never unpickled.

    Args:
        file: its path, or the file opened for reading.
        mapped: map the numbers into memory, to be read only, in place of reading them.

    Returns:
        The array, of whatever shape and kind the file says.

    Raises:
        ValueError: it is not such a file, holds several arrays, or holds objects.
        EOFError: it is empty.
        OSError: it cannot be read.
    """
    with _ONE:
        found = np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            found.close()
            raise ValueError("several arrays where one is wanted")
        return found


def read_arrays(file: Path | IO[bytes], names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read what ``numpy.savez`` wrote; objects are never unpickled.

    Args:
        file: its path, or the file opened for reading.
        names: of the arrays that are wanted; None reads all.

    Returns:
        The arrays by name.

    Raises:
        KeyError: it lacks one that is wanted.
        ValueError: it is not such a file, or holds objects.
        EOFError: it is empty.
        OSError: it cannot be read.
    """
    with _ONE:
        found = np.load(file, allow_pickle=False)
        if isinstance(found, np.ndarray):
            raise ValueError("one array where several are wanted")
        with found:
            return {name: found[name] for name in (found.files if names is None else names)}


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of what ``numpy.save`` wrote and stop where its numbers begin.

    Args:
        file: opened for reading, at its start.

    Returns:
        The shape, whether columns come first, and the kind of the numbers.

    Raises:
        ValueError: it is not such a file.
    """
    first = np.lib.format.read_magic(file) == (1, 0)
    with _ONE:
        if first:
            return np.lib.format.read_array_header_1_0(file)
        return np.lib.format.read_array_header_2_0(file)
