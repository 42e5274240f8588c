"""Classes of unlabelled shapes by the labelled photos: two opinions, spread over a graph of similar shapes.

Only features of pictures and the classes of photos come in; the classes of shapes are not known here.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NEIGHBOURS, WIDTH, SPREAD, ROUNDS = (
    20,
    0.1,
    0.9,
    200,
)  # of the graph; its kernel's width; the neighbours' share;
# rounds until what is left is below 1e-9
BLOCK = 1024  # rows of a table of cosines
CONFIDENCE = 3.0  # weight of what ImageNet's classes say beside the picture's own feature


class Beliefs(NamedTuple):
    """What is believed of m shapes.

    Attributes:
        labels: (m,) classes after propagation.
        scores: (m, C) after propagation; each row sums to one.
        agreement: share of the shapes of which both opinions name one class.
    """

    labels: NDArray[np.int64]
    scores: Floats
    agreement: float


def propagate(
    photos: NDArray[np.float32],
    labels: NDArray[np.int64],
    shapes: NDArray[np.float32],
    blocks: tuple[int, ...],
    classes: int,
    confidence: NDArray[np.float32] | None = None,
) -> Beliefs:
    """Label shapes by photos.

    Args:
        photos: (n, F) trunk features.
        labels: (n,) classes of the photos.
        shapes: (m, V, F) trunk features of the views.
        blocks: widths of the parts of F; the first is the pooled feature.
        classes: C.
        confidence: (n,) how sure ImageNet's classifier is of each photo; given, the last part is what its
            classes mean.

    Returns:
        Labels, scores and how far two opinions agree. The first opinion compares a shape with class means of
        uncentred features, the second with class means of features that are centred per domain.

    References:
        Zhou et al., NIPS 2004, "Learning with local and global consistency", for the graph.
    """
    parts = np.cumsum(blocks)[:-1]
    raw_photos, raw_shapes = (np.split(x.astype(np.float64), parts, axis=-1) for x in (photos, shapes))
    plain = _unit(raw_photos[0])
    if confidence is not None:
        plain = _unit(plain + CONFIDENCE * confidence[:, None].astype(np.float64) * _unit(raw_photos[-1]))
    member = np.eye(classes)[labels]
    counts = np.maximum(member.sum(axis=0), 1)[:, None]
    first = _unit(_unit(raw_shapes[0]).mean(axis=1)) @ _unit(member.T @ plain / counts).T
    centred_photos = _unit(np.concatenate([_unit(x - x.mean(axis=0)) for x in raw_photos[:3]], axis=-1))
    centred = [_unit(x - x.mean(axis=(0, 1))) for x in raw_shapes[:3]]
    vectors = _unit(np.concatenate(centred, axis=-1).mean(axis=1))
    means = member.T @ centred_photos / counts
    second = vectors @ _unit(means - means[counts[:, 0] > 0].mean(axis=0)).T
    p, q = (_softmax(_standard(score)) for score in (first, second))
    joint = np.sqrt(p * q)
    scores = _spread(vectors, joint / joint.sum(axis=1, keepdims=True))
    absent = member.sum(axis=0) == 0
    scores[:, absent] = 0
    scores /= np.maximum(scores.sum(axis=1, keepdims=True), 1e-300)
    agreement = float((p.argmax(axis=1) == q.argmax(axis=1)).mean())
    return Beliefs(scores.argmax(axis=1).astype(np.int64), scores, agreement)


def _spread(vectors: Floats, scores: Floats) -> Floats:
    """Iterate P* ← P + .9 W P* on the graph of nearest neighbours; it ends at (I − .9 W)⁻¹ P."""
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
    spread = scores
    for _ in range(ROUNDS):
        spread = scores + SPREAD * (graph @ spread)
    return np.asarray(spread)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))


def _standard(scores: Floats) -> Floats:
    deviation = scores.std(axis=0)
    return np.asarray((scores - scores.mean(axis=0)) / np.where(deviation > 1e-12, deviation, 1))


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
