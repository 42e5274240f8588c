"""Which of the rows that columns hold a gallery shows: columns are only ever appended to."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Shown:
    """The rows of a gallery, 0 … count − 1, among the rows that its columns hold.

    A row that is gone leaves a hole where it is stored. The last rows are shown in the place of the holes, so
    that nearly all rows are shown under the number of the row where they are stored.

    Attributes:
        stored: rows that the columns hold.
        gone: (d,) stored rows that are not shown, ascending.
    """

    stored: int
    gone: Rows

    @property
    def count(self) -> int:
        """Return how many rows are shown."""
        return self.stored - len(self.gone)

    @cached_property
    def holes(self) -> Rows:
        """Return (m,) rows that are shown but not stored under their number, ascending."""
        return self.gone[self.gone < self.count]

    @cached_property
    def fillers(self) -> Rows:
        """Return (m,) stored rows that are shown in the place of the holes, ascending."""
        behind = np.arange(self.count, self.stored)
        return behind[~np.isin(behind, self.gone, assume_unique=True)]

    def of(self, table: NDArray[Any]) -> NDArray[Any]:
        """Return the rows that are shown of a (stored, …) table; into its holes their fillers are written."""
        if len(self.holes):
            table[self.holes] = table[self.fillers]
        return table[: self.count]

    def where_stored(self, rows: Rows) -> Rows:
        """Return the stored rows of shown ones."""
        return _exchanged(np.asarray(rows), self.holes, self.fillers)

    def where_shown(self, stored: Rows) -> Rows:
        """Return the shown rows of stored ones, of any shape; −1 of those that are gone, and of −1."""
        stored = np.asarray(stored)
        there = np.where(np.isin(stored, self.gone), -1, stored)
        return _exchanged(there, self.fillers, self.holes)


def whole(count: int) -> Shown:
    """Return that all of ``count`` rows are shown."""
    return Shown(count, np.zeros(0, dtype=np.int64))


def _exchanged(rows: Rows, these: Rows, those: Rows) -> Rows:
    """Return rows with ``those`` in place of ``these``, which ascend."""
    if not len(these):
        return rows
    at = np.minimum(np.searchsorted(these, rows), len(these) - 1)
    return np.where(these[at] == rows, those[at], rows)
