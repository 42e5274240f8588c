"""The order in which a gallery answers each query: exact, stable, in bounded memory.

Vectors are clamped at zero and normalised, scores are cosines, and equal scores keep the order of the
gallery (the benchmark's own pre-processing: view-pooled, ``max(x, 0)``, unit length, ascending
Euclidean distance, which is the same order, by a stable sort).

A matrix product's last bits depend on how many rows are multiplied at once, so equal vectors may get
scores that differ by a rounding, and ties would be broken by chance. Scores are therefore rounded to
multiples of 2⁻³², and the few that lie too near to a boundary are computed once more, one by one. What
comes out does not depend on block sizes, threads or machines.
"""

import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]

_LEVELS = 2.0**32  # a score step of 2.3e-10, far below what float32 vectors can tell apart
_INDEX_BITS = 30  # a gallery holds up to 2^30 shapes
_KEY_BYTES = 16 << 20  # for one block of queries …
_LEAST_ROWS = 64  # … but never fewer queries, so that the gallery is not read too often
_CAUTION = 4  # times the largest error of a product counts as near a boundary
_TILE = 1024  # gallery rows multiplied at a time


class Block(NamedTuple):
    """The answers to some queries: which queries, and a key an answer, best first.

    A key is (2³² − level) · 2³¹ + gallery row · 2 + relevant.
    """

    queries: slice
    keys: Keys  # (B, N), or (B, K) where only the best are wanted

    def rows(self) -> NDArray[np.int64]:
        """Return (B, K) gallery rows, best first."""
        rows: NDArray[np.int64] = ((self.keys >> np.uint64(1)) & np.uint64((1 << _INDEX_BITS) - 1)).astype(
            np.int64
        )
        return rows

    def relevant(self) -> NDArray[np.bool_]:
        """Return (B, K) whether an answer is of the query's class; reads the lowest byte of each key only."""
        lowest = self.keys.view(np.uint8)[:, 0 if sys.byteorder == "little" else 7 :: 8]
        return (lowest & 1).astype(np.bool_)

    def scores(self) -> Floats:
        """Return (B, K) cosines, best first, to 2⁻³²."""
        levels = np.uint64(1 << 32) - (self.keys >> np.uint64(_INDEX_BITS + 1))
        scores: Floats = levels.astype(np.float64) / _LEVELS
        return scores


def ordered(rows: NDArray[np.int64], labels: NDArray[np.int64], gallery_labels: NDArray[np.int64]) -> Block:
    """Return a block of answers that something else has put in order.

    Args:
        rows: (B, K) gallery rows, best first.
        labels: (B,) classes of the queries.
        gallery_labels: (N,) classes of the shapes, −1 where unknown.

    Returns:
        The block, its keys as those of :func:`ranked`.
    """
    levels = np.uint64(1 << 32) - np.arange(rows.shape[1], dtype=np.uint64)  # only their order counts
    relevant = (gallery_labels[rows] == labels[:, None]) & (labels[:, None] >= 0)
    keys = ((np.uint64(1 << 32) - levels) << np.uint64(_INDEX_BITS + 1)) | (
        rows.astype(np.uint64) << np.uint64(1)
    )
    return Block(slice(0, len(rows)), keys | relevant.astype(np.uint64))


def normalised(vectors: NDArray[np.floating]) -> Floats:
    """Return rows clamped at zero and of unit length; rows without a positive value become zero.

    Each row is first divided by a power of two near its largest value, so that no scale overflows and
    scaling by powers of two changes no bit.

    Args:
        vectors: (n, D) of any scale.

    Returns:
        (n, D) float64.
    """
    rows: Floats = vectors.astype(np.float64)
    np.maximum(rows, 0.0, out=rows)
    _, exponents = np.frexp(rows.max(axis=1, initial=0.0, keepdims=True))
    rows *= np.ldexp(1.0, np.clip(-exponents, -1000, 1000))
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    rows /= np.where(lengths > 0, lengths, 1.0)[:, None]
    return rows


def rows_a_block(gallery: int) -> int:
    """Queries ranked at a time: 16 MB of keys, or 512 bytes a shape if that is more."""
    return max(_KEY_BYTES // (8 * max(gallery, 1)), _LEAST_ROWS)


def ranked(
    queries: NDArray[np.floating],
    gallery: NDArray[np.floating],
    query_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
    *,
    best: int | None = None,
    rows: int | None = None,
) -> Iterator[Block]:
    """Rank the gallery for each query, block by block.

    Args:
        queries: (Q, D).
        gallery: (N, D).
        query_labels: (Q,) classes of the queries.
        gallery_labels: (N,) classes of the shapes.
        best: only so many of the first ranks, where that is all that is needed.
        rows: queries a block; by default `rows_a_block`.

    Yields:
        Blocks in the order of the queries. A block's keys are overwritten by the next block.

    Raises:
        ValueError: a gallery of more than 2³⁰ shapes.
    """
    n = len(gallery)
    if n >= 1 << _INDEX_BITS:
        raise ValueError(f"a gallery of {n} shapes is too large to rank at once")
    rows = rows or rows_a_block(n)
    buffer: Keys = np.empty((min(rows, len(queries)), n), dtype=np.uint64)
    for start in range(0, len(queries), rows):
        block = slice(start, min(start + rows, len(queries)))
        keys = buffer[: block.stop - block.start]
        _fill(keys, normalised(queries[block]), gallery, query_labels[block], gallery_labels)
        if best is not None and best < n:
            keys.partition(best, axis=1)
            keys = keys[:, :best]
        keys.sort(axis=1)  # keys differ by their gallery row, so any sort is stable
        yield Block(block, keys)


def _fill(
    keys: Keys,
    queries: Floats,
    gallery: NDArray[np.floating],
    query_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
) -> None:
    for start in range(0, len(gallery), _TILE):
        tile = slice(start, min(start + _TILE, len(gallery)))
        levels = _levels(queries, normalised(gallery[tile]))  # (B, T)
        numbers = np.arange(tile.start, tile.stop, dtype=np.uint64) << np.uint64(1)
        # Adding 2^52 puts an integer into a float's lowest bits, and the shift drops what is above them:
        # much faster than a cast to uint64.
        np.subtract(2.0**52 + _LEVELS, levels, out=levels)
        np.left_shift(levels.view(np.uint64), np.uint64(_INDEX_BITS + 1), out=keys[:, tile])
        keys[:, tile] |= numbers
        keys[:, tile] |= query_labels[:, None] == gallery_labels[None, tile]


def _levels(queries: Floats, gallery: Floats) -> Floats:
    """Cosines in steps of 2⁻³², the same whatever the shapes of the product: (B, D), (T, D) -> (B, T)."""
    scaled = queries @ gallery.T
    scaled *= _LEVELS
    levels: Floats = np.rint(scaled)
    # The product of unit vectors without negative entries errs by at most (D + 2) · 2⁻⁵³.
    margin = _CAUTION * (queries.shape[1] + 2) * 2.0**-53 * _LEVELS
    np.abs(np.subtract(scaled, levels, out=scaled), out=scaled)
    near = np.flatnonzero(scaled.ravel() > 0.5 - margin)
    for part in range(0, len(near), _TILE):
        flat = near[part : part + _TILE]
        row, column = np.divmod(flat, len(gallery))
        exact = np.einsum("pd,pd->p", queries[row], gallery[column])
        levels.ravel()[flat] = np.rint(exact * _LEVELS)
    return np.clip(levels, 0.0, _LEVELS, out=levels)
