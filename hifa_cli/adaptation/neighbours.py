"""Nearest neighbours for the shallow methods: labels by the nearest vector, graphs of the nearest ones."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_BLOCK = 1 << 24  # numbers of a block of distances


def unit_rows(vectors: Floats) -> Floats:
    """Return rows of length one; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    rows: Floats = vectors / np.where(lengths > 0, lengths, 1.0)
    return rows


def blocks(rows: int, columns: int) -> list[slice]:
    """Slices of ``rows`` such that a block times ``columns`` stays small."""
    each = max(_BLOCK // max(columns, 1), 1)
    return [slice(start, min(start + each, rows)) for start in range(0, rows, each)]


def squared_distances(left: Floats, right: Floats) -> Floats:
    """Return (n, D) and (m, D) to (n, m); never negative."""
    squares = np.einsum("nd,nd->n", left, left)[:, None] + np.einsum("md,md->m", right, right)
    squares -= 2 * left @ right.T
    distances: Floats = np.maximum(squares, 0.0, out=squares)
    return distances


def nearest_labels(vectors: Floats, labels: Labels, queries: Floats) -> Labels:
    """Return the label of the vector nearest to each query, by Euclidean distance; the first of equals.

    Args:
        vectors: (n, D).
        labels: (n,).
        queries: (m, D).

    Returns:
        (m,) labels.
    """
    found = np.empty(len(queries), dtype=np.int64)
    for block in blocks(len(queries), len(vectors)):
        found[block] = labels[squared_distances(queries[block], vectors).argmin(axis=1)]
    return found


def cosine_graph(vectors: Floats, neighbours: int) -> sparse.csr_array:
    """Return the graph that joins each vector to its nearest by cosine, weighted by it, made symmetric.

    Args:
        vectors: (n, D).
        neighbours: p, besides the vector itself; fewer where there are fewer.

    Returns:
        (n, n) weights: max of both directions, and one on the diagonal. A negative cosine, which would make
        no weight, counts as zero.

    References:
        Cai's ``lapgraph`` as MEDA's code calls it (KNN, cosine weights, self-connected).
    """
    n, unit = len(vectors), unit_rows(vectors)
    count = min(neighbours, n - 1)
    rows, columns, weights = [], [], []
    for block in blocks(n, n) if count else []:
        here = np.arange(block.start, block.stop)
        cosines = unit[block] @ unit.T
        cosines[here - block.start, here] = -np.inf  # itself stands on the diagonal, added below
        best = np.argpartition(cosines, n - count, axis=1)[:, n - count :]
        rows.append(np.repeat(here, count))
        columns.append(best.ravel())
        weights.append(np.clip(np.take_along_axis(cosines, best, axis=1), 0, None).ravel())
    diagonal = sparse.eye_array(n, format="csr")
    if not rows:
        return diagonal
    places = np.concatenate(rows), np.concatenate(columns)
    directed = sparse.csr_array((np.concatenate(weights), places), shape=(n, n))
    return (directed.maximum(directed.T) + diagonal).tocsr()


def laplacian(weights: sparse.csr_array) -> sparse.csr_array:
    """I − D^(−1/2) W D^(−1/2), the normalised Laplacian of a graph; degrees must be positive."""
    roots = sparse.diags_array(1 / np.sqrt(np.asarray(weights.sum(axis=1)).ravel()))
    return (sparse.eye_array(weights.shape[0]) - roots @ weights @ roots).tocsr()
