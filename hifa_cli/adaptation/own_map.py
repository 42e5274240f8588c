"""Learn a gallery's own map: photos generated of its shapes are drawn towards the views of their shapes.

A photo's unit vector x becomes ``unit(x + D x + b / √1000)``. The views stay as they are, so nothing is
embedded again. The loss is the cross-entropy of the right shape among those of a batch (InfoNCE: van den
Oord et al., 2018), where a shape's score is the mean over the larger half of its views' cosines. The truth is
which shape a photo was generated of: no label of a class is looked at.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import LearnConfig
from hifa_cli.search.rerank import SHIFT_SCALE, Floats, OwnMap

_DECAYS = (0.9, 0.999)  # Adam's (Kingma and Ba, 2015)
_BLOCK = 256  # photos compared at once
Generator = np.random.Generator


class Examples(NamedTuple):
    """Photos of known shapes, and the shapes' views.

    Attributes:
        photos: (m, P, D) unit vectors; zeros stand for a photo that could not be made.
        views: (m, V, D) unit vectors; zeros stand for a view that is not there.
    """

    photos: Floats
    views: Floats


class Found(NamedTuple):
    """Return how often photos find their very shape: in first place, among ten, and the mean of 1 / rank."""

    first: float
    ten: float
    mrr: float


class Learned(NamedTuple):
    """A map, and what it is worth on photos that it was not learned from.

    Attributes:
        matrix: (D, D), D of the map.
        shift: (D,), b of the map.
        steps: after how many it was the best.
        before: what the held-out photos find without the map.
        after: the same with it.
    """

    matrix: Floats
    shift: Floats
    steps: int
    before: Found
    after: Found


class _Adam:
    """The optimiser's running means of one array."""

    def __init__(self, values: Floats, rate: float) -> None:
        self.values, self.rate = values, rate
        self._mean, self._square, self._step = np.zeros_like(values), np.zeros_like(values), 0

    def step(self, gradient: Floats) -> None:
        """Take a step down the gradient, in place."""
        first, second = _DECAYS
        self._step += 1
        self._mean += (1 - first) * (gradient - self._mean)
        self._square += (1 - second) * (gradient**2 - self._square)
        height = self._mean / (1 - first**self._step)
        width = np.sqrt(self._square / (1 - second**self._step)) + 1e-8
        self.values -= self.rate * height / width


def learn_map(
    examples: Examples, config: LearnConfig, seed: int = 0, track: Callable[[range], Iterator[int]] = iter
) -> Learned:
    """Learn the map of some shapes; one photo of each is held out to stop by.

    Args:
        examples: at least two shapes with at least two photos each.
        config: steps, batch, rate, temperature.
        seed: of the batches.
        track: yields the steps, showing how far they are.

    Returns:
        The map of the step by which held-out photos stood best (by the mean of 1 / rank); the identity where
        that was never better than without.
    """
    width = examples.photos.shape[2]
    rng = np.random.default_rng(seed)
    shown = examples.photos[:, 1:]
    sample = np.sort(rng.permutation(len(shown))[: config.checked])
    held, among = examples.photos[sample, 0], examples.views[sample]
    known = np.flatnonzero((shown != 0).any(axis=(1, 2)))
    matrix = _Adam(np.zeros((width, width), dtype=np.float32), config.rate)
    shift = _Adam(np.zeros(width, dtype=np.float32), config.rate)
    before = find_own(OwnMap(matrix.values, shift.values)(held), among)
    best = Learned(matrix.values.copy(), shift.values.copy(), 0, before, before)
    for step in track(range(config.steps)):
        rows = np.sort(rng.permutation(known)[: config.batch])
        photos = np.stack([_drawn(shown[row], rng) for row in rows])
        _descend(photos, examples.views[rows], matrix, shift, config)
        if (step + 1) % config.check == 0 or step + 1 == config.steps:
            found = find_own(OwnMap(matrix.values, shift.values)(held), among)
            if found.mrr > best.after.mrr:
                best = Learned(matrix.values.copy(), shift.values.copy(), step + 1, before, found)
    return best


def _drawn(photos: Floats, rng: Generator) -> Floats:
    """Return one of a shape's photos that there are."""
    there = np.flatnonzero((photos != 0).any(axis=1))
    return np.asarray(photos[rng.choice(there)])


def _descend(photos: Floats, views: Floats, matrix: _Adam, shift: _Adam, config: LearnConfig) -> None:
    """Take one step on a batch: photo i is of shape i."""
    added = photos @ matrix.values.T + shift.values / SHIFT_SCALE
    moved = photos + added
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    queries = moved / length
    pull = gradient_of_scores(queries, views, config.temperature)
    slope = (pull - (pull * queries).sum(axis=1, keepdims=True) * queries) / length
    slope += (2 * config.decay / len(photos)) * added
    matrix.step(slope.T @ photos)
    shift.step(slope.sum(axis=0) / SHIFT_SCALE)


def gradient_of_scores(queries: Floats, views: Floats, temperature: float) -> Floats:
    """Return the (b, D) gradient of the batch's mean cross-entropy by its queries; query i is of shape i.

    Args:
        queries: (b, D) unit.
        views: (b, V, D) unit; zeros stand for a view that is not there.
        temperature: that scores are divided by.

    Returns:
        (b, D).
    """
    count, width = queries.shape
    cosines = (queries @ views.reshape(-1, width).T).reshape(count, len(views), -1)
    share = _shares(cosines, (views != 0).any(axis=2))
    scores = (cosines * share).sum(axis=2) / temperature
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    error = powers / powers.sum(axis=1, keepdims=True) - np.eye(count, dtype=np.float32)
    weights = (error / (temperature * count))[..., None] * share
    return np.asarray(weights.reshape(count, -1) @ views.reshape(-1, width), dtype=np.float32)


def _shares(cosines: Floats, there: NDArray[np.bool_]) -> Floats:
    """Return each view's share in its shape's score: equal over the larger half of those there."""
    views = there.sum(axis=1)
    known = np.where(there, cosines, -np.inf)
    place = (cosines.shape[2] - (views - views // 2)).clip(0, cosines.shape[2] - 1)
    ordered = np.sort(known, axis=2)  # -inf first
    least = ordered[:, np.arange(len(place)), place][..., None]
    counted = (known >= least) & there
    return np.asarray(counted / np.maximum(counted.sum(axis=2, keepdims=True), 1), dtype=np.float32)


def find_own(photos: Floats, views: Floats) -> Found:
    """Return how one photo of each shape finds its shape among all.

    Args:
        photos: (m, D) unit; zeros stand for a photo that is not there.
        views: (m, V, D) unit; zeros stand for a view that is not there.

    Returns:
        Shares and mean of 1 / rank over the photos that are there.
    """
    there = (views != 0).any(axis=2)
    asked = np.flatnonzero((photos != 0).any(axis=1))
    places = []
    for start in range(0, len(asked), _BLOCK):
        rows = asked[start : start + _BLOCK]
        cosines = (photos[rows] @ views.reshape(-1, views.shape[2]).T).reshape(len(rows), len(views), -1)
        scores = (cosines * _shares(cosines, there)).sum(axis=2)
        places.append((scores > scores[np.arange(len(rows)), rows][:, None]).sum(axis=1))
    ranks = np.concatenate(places)
    return Found(float(np.mean(ranks < 1)), float(np.mean(ranks < 10)), float(np.mean(1 / (ranks + 1))))
