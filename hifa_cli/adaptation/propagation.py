"""Class scores of shapes, spread over a graph of similar shapes: two opinions joined, then propagated."""

import numpy as np
from numpy.typing import NDArray

Floats64 = NDArray[np.float64]
# of the graph: neighbours; its kernel's width; the neighbours' share; rounds until what is left is below 1e-9
NEIGHBOURS, WIDTH, SPREAD, ROUNDS = 20, 0.1, 0.9, 200
BLOCK = 1024  # rows of a table of cosines


def joined_opinion(first: Floats64, second: Floats64) -> tuple[Floats64, float]:
    """Join two opinions of m shapes.

    Args:
        first: (m, C) scores.
        second: (m, C) scores, on a scale of their own.

    Returns:
        (m, C) probabilities: each class column standardised over the shapes, soft-maxed over classes, and the
        normalised square root of the product; and the share of shapes of which both name one class.
    """
    p, q = (_softmax(_standard(score)) for score in (first, second))
    joint = np.sqrt(p * q)
    agreement = float((p.argmax(axis=1) == q.argmax(axis=1)).mean()) if len(p) else 0.0
    return joint / joint.sum(axis=1, keepdims=True), agreement


def spread(vectors: Floats64, scores: Floats64) -> Floats64:
    """Iterate P* ← P + .9 W P* on the graph of nearest neighbours; it ends at (I − .9 W)⁻¹ P.

    Args:
        vectors: (m, D) unit vectors of the shapes.
        scores: (m, C) P.

    References:
        Zhou et al., NIPS 2004, "Learning with local and global consistency".
    """
    from scipy.sparse import csr_array, diags_array

    count = len(vectors)
    each = min(NEIGHBOURS, count - 1)
    if each < 1:
        return scores
    nearest, weights = np.empty((count, each), dtype=np.int64), np.empty((count, each))
    for start in range(0, count, BLOCK):
        cosines = vectors[start : start + BLOCK] @ vectors.T
        here = np.arange(len(cosines))
        cosines[here, start + here] = -np.inf
        found = np.argpartition(-cosines, each - 1, axis=1)[:, :each]
        nearest[start : start + BLOCK] = found
        weights[start : start + BLOCK] = np.exp((cosines[here[:, None], found] - 1) / WIDTH)
    graph = csr_array(
        (weights.ravel(), nearest.ravel(), np.arange(0, count * each + 1, each)), (count, count)
    )
    graph = graph + graph.T
    root = diags_array(1 / np.sqrt(np.maximum(np.asarray(graph.sum(axis=1)), 1e-300)))
    graph = root @ graph @ root
    spread_scores = scores
    for _ in range(ROUNDS):
        spread_scores = scores + SPREAD * (graph @ spread_scores)
    return np.asarray(spread_scores)


def _standard(scores: Floats64) -> Floats64:
    deviation = scores.std(axis=0)
    return np.asarray((scores - scores.mean(axis=0)) / np.where(deviation > 1e-12, deviation, 1))


def _softmax(scores: Floats64) -> Floats64:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
