"""Exact search: matrix products over a table that may be larger than the memory.

Products of blocks choose candidates; their cosines are then computed one by one, so that a score does not
depend on the index, on the block or on who else asks.
"""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Scores = NDArray[np.float64]

TILE = 16_384  # rows of the table multiplied at once: 16 MB at 256 numbers a row
QUERIES = 256  # multiplied at once
SPARE = 32  # candidates beyond those asked for: products and cosines differ in the seventh digit


def exact_search(
    vectors: Vectors, queries: Vectors, top: int, *, among: Rows | None = None
) -> tuple[Scores, Rows]:
    """Return the ``top`` rows of largest inner product, best first; equal ones in the order of the table.

    Args:
        vectors: (n, D) unit rows, may be a memory map.
        queries: (q, D) unit rows.
        top: how many; fewer come back from a smaller table.
        among: (m,) only these rows, ascending.

    Returns:
        (q, k) cosines and (q, k) rows.
    """
    count = len(vectors) if among is None else len(among)
    wanted = min(top + SPARE, count)
    found = [
        _candidates(vectors, queries[start : start + QUERIES], wanted, among)
        for start in range(0, len(queries), QUERIES)
    ]
    if not found or not wanted:
        empty = (len(queries), 0)
        return np.zeros(empty), np.zeros(empty, dtype=np.int64)
    return rescored(vectors, queries, np.concatenate(found), top)


def _candidates(vectors: Vectors, queries: Vectors, wanted: int, among: Rows | None) -> Rows:
    """Return (q, wanted) rows of the largest products, in no order."""
    count = len(vectors) if among is None else len(among)
    best = np.full((len(queries), 0), -np.inf, dtype=np.float32)
    rows = np.zeros((len(queries), 0), dtype=np.int64)
    for start in range(0, count, TILE):
        stop = min(start + TILE, count)
        tile = vectors[start:stop] if among is None else vectors[among[start:stop]]
        scores = queries @ np.asarray(tile).T
        numbers = np.arange(start, stop)
        if scores.shape[1] > wanted:
            kept = np.argpartition(-scores, wanted - 1, axis=1)[:, :wanted]
            scores, numbers = np.take_along_axis(scores, kept, 1), numbers[kept]
        else:
            numbers = np.broadcast_to(numbers, scores.shape)
        best, rows = np.concatenate((best, scores), axis=1), np.concatenate((rows, numbers), axis=1)
        if best.shape[1] > wanted:
            kept = np.argpartition(-best, wanted - 1, axis=1)[:, :wanted]
            best, rows = np.take_along_axis(best, kept, 1), np.take_along_axis(rows, kept, 1)
    return rows if among is None else among[rows]


def rescored(vectors: Vectors, queries: Vectors, candidates: Rows, top: int) -> tuple[Scores, Rows]:
    """Rank candidates by their exact cosines.

    Args:
        vectors: (n, D) unit rows.
        queries: (q, D) unit rows.
        candidates: (q, m) rows, −1 if absent.
        top: how many of them to keep.

    Returns:
        (q, k) cosines, best first, equal ones by row; and (q, k) rows, −1 behind the last.
    """
    top = min(top, candidates.shape[1])
    scores = np.full((len(queries), top), -np.inf)
    rows = np.full((len(queries), top), -1, dtype=np.int64)
    for number, (query, mine) in enumerate(zip(queries, candidates, strict=True)):
        mine = np.unique(mine[mine >= 0])  # sorted: the table is read in its order
        exact = np.einsum("md,d->m", np.asarray(vectors[mine], dtype=np.float64), query.astype(np.float64))
        order = np.lexsort((mine, -exact))[:top]
        scores[number, : len(order)], rows[number, : len(order)] = exact[order], mine[order]
    return np.clip(scores, -1.0, 1.0, out=scores, where=rows >= 0), rows


def recall(found: Rows, wanted: Rows) -> float:
    """Return the share of the exact answers (q, k) among those found (q, k')."""
    hits = sum(len(np.intersect1d(one, other)) for one, other in zip(found, wanted, strict=True))
    return hits / max(wanted.size, 1)
