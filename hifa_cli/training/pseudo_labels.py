"""Classes of unlabelled shapes by the labelled photos: two opinions, spread over a graph of similar shapes.

Only features of pictures and the classes of photos come in; the classes of shapes are not known here.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.adaptation.propagation import joined_opinion, spread

Floats = NDArray[np.float64]
CONFIDENCE = 3.0  # weight of what ImageNet's classes say beside the picture's own feature


class Beliefs(NamedTuple):
    """The pseudo-labels of m shapes.

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
    joint, agreement = joined_opinion(first, second)
    scores = spread(vectors, joint)
    absent = member.sum(axis=0) == 0
    scores[:, absent] = 0
    scores /= np.maximum(scores.sum(axis=1, keepdims=True), 1e-300)
    return Beliefs(scores.argmax(axis=1).astype(np.int64), scores, agreement)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
