"""A column of vectors that lies in a store, and the search in it: to readers both look like local ones."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hifa_cli.gallery.shown import Shown
from hifa_cli.gallery.stores.base import Asked, Kind, Rows, Shelf
from hifa_cli.search.exact import SPARE, Scores, Vectors, rescored
from hifa_cli.search.searcher import Searcher

_AT_ONCE = 64_000_000  # bytes read at once
_HELD = 200_000_000  # numbers of all vectors that a process which asks often holds in memory
_COLD = 4  # times that the store is asked, before all vectors are read
_DOUBT = 1e-5  # what two ways of summing one inner product may differ by


class StoredTable:
    """The vectors of shapes, or of their views; rows are read when they are asked for.

    It has as much of an array's interface as readers of galleries use: ``len``, ``shape``, ``nbytes``, a row,
    a slice or an array of rows, and ``np.asarray``, which reads all.

    Args:
        shelf: that holds them.
        kind: which of them.
        shown: which of the stored rows are the gallery's.
    """

    def __init__(self, shelf: Shelf, kind: Kind, shown: Shown) -> None:
        self._shelf, self._kind, self._shown = shelf, kind, shown
        views, width = shelf.size
        self.shape = (shown.count, width) if kind == "vectors" else (shown.count, views, width)
        self.dtype = np.dtype(np.float32 if kind == "vectors" else np.float16)
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        """Return how many rows."""
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return a row, or the rows of a slice or of an array."""
        if isinstance(key, (int, np.integer)):
            row: NDArray[Any] = self._read(np.array([range(len(self))[int(key)]]))[0]
            return row
        if isinstance(key, slice):
            return self._read(np.arange(*key.indices(len(self))))
        rows = np.asarray(key)
        if rows.dtype == np.bool_:
            rows = np.flatnonzero(rows)
        rows = rows.astype(np.int64)
        return self._read(np.where(rows < 0, rows + len(self), rows))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all rows."""
        found = self._read(np.arange(len(self)))
        return found if dtype is None else found.astype(dtype, copy=False)

    def _read(self, rows: Rows) -> NDArray[Any]:
        found = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        at_once = max(1, _AT_ONCE // max(self.nbytes // max(len(self), 1), 1))
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            found[start : start + len(part)] = self._shelf.fetch(self._kind, self._shown.where_stored(part))
        return found


class StoreSearcher(Searcher):
    """Finds nearest neighbours by the store's exact search; scores are exact cosines, as the local gallery's.

    A process that asks more than a few times reads all vectors once, where they are few enough, and searches
    from then on as the local gallery does.

    Args:
        vectors: (n, D) unit rows, in the store.
        shelf: that holds them.
        shown: which of the stored rows are the gallery's.
    """

    def __init__(self, vectors: Vectors, shelf: Shelf, shown: Shown) -> None:
        super().__init__(vectors)
        self._shelf, self._shown = shelf, shown
        self._times = 0

    @cached_property
    def _held(self) -> Searcher:
        return Searcher(np.asarray(self.vectors))

    def _local(self) -> Searcher | None:
        """Return a search in memory, once that pays."""
        self._times += 1
        return self._held if self._times > _COLD and self.vectors.size <= _HELD else None

    def _asked(self, among: Rows | None) -> Asked:
        within = None if among is None else self._shown.where_stored(np.asarray(among))
        return Asked(self._shown.stored, within, self._shown.gone)

    def search(self, queries: Vectors, top: int, *, among: Rows | None = None) -> tuple[Scores, Rows]:
        """Return the ``top`` nearest of (q, D) unit queries, as the local gallery's exact search.

        Args:
            queries: (q, D) unit.
            top: how many.
            among: (m,) only these rows, ascending; None means all.

        Returns:
            (q, k) cosines and (q, k) rows, −1 beyond the last that was found.
        """
        if (local := self._local()) is not None:
            return local.search(queries, top, among=among)
        wanted = min(top + SPARE, len(self.vectors) if among is None else len(among))
        if not wanted or not len(queries):
            return np.zeros((len(queries), 0)), np.zeros((len(queries), 0), dtype=np.int64)
        found = self._shelf.search(queries, wanted, self._asked(among)).rows
        return rescored(self.vectors, queries, self._shown.where_shown(found), top)

    def candidates(self, queries: Vectors, top: int, *, among: Rows | None = None) -> Rows:
        """Return rows among which the ``top`` nearest are, reading only vectors about which there is doubt.

        Args:
            queries: (q, D) unit.
            top: how many.
            among: (m,) only these rows, ascending; None means all.

        Returns:
            (m,) different rows, ascending: of each query exactly the ``top`` nearest.
        """
        if (local := self._local()) is not None:
            return local.candidates(queries, top, among=among)
        wanted = min(top + SPARE, len(self.vectors) if among is None else len(among))
        if not wanted:
            return np.zeros(0, dtype=np.int64)
        found = self._shelf.search(queries, wanted, self._asked(among))
        kept = []
        for query, scores, stored in zip(queries, found.scores, found.rows, strict=True):
            rows = self._shown.where_shown(stored)
            if wanted <= top or not np.isfinite(scores[top - 1]):
                kept.append(rows[rows >= 0])
                continue
            last = scores[top - 1]
            sure = rows[(scores > last + _DOUBT) & (rows >= 0)]
            doubtful = rows[(np.abs(scores - last) <= _DOUBT) & (rows >= 0)]
            _, chosen = rescored(self.vectors, query[None], doubtful[None], top - len(sure))
            kept += [sure, chosen[0]]
        return np.unique(np.concatenate(kept))

    def products(self, query: Vectors, rows: Rows | None = None) -> Vectors:
        """Return (n,) cosines of a (D,) query with all shapes, or (k,) with those of ``rows``, by the store.

        Raises:
            StoreError: the store went away, or lacks a row.
        """
        if (local := self._local()) is not None:
            return local.products(query, rows)
        wanted = np.arange(len(self.vectors)) if rows is None else np.asarray(rows)
        different = np.unique(wanted)
        asked = self._asked(None if rows is None else different)
        found = self._shelf.search(query[None], max(len(different), 1), asked)
        shown = self._shown.where_shown(found.rows[0])
        scores = np.full(len(self.vectors), np.nan, dtype=np.float32)
        scores[shown[shown >= 0]] = found.scores[0][shown >= 0]
        missing = np.flatnonzero(np.isnan(scores[different]))
        if len(missing):
            scores[different[missing]] = np.asarray(self.vectors[different[missing]]) @ query
        return scores[wanted]
