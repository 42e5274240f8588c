"""Rank shapes by a photo without training: what is done to vectors of photos and views, and to their cosines.

All scores are signed cosines. ``f`` is a picture's pooled feature, ``unit(x) = x / ‖x‖``.

- Nuisance attribute projection N (Campbell et al., 2006): directions in which photos of a shape differ from
  its views are damped, on both sides.
- Semantic query: ``unit(unit(f) + c·max(p)·unit(Wᵀp))``; p is the encoder's own class posterior, W its
  classifier less the mean of its rows. The surer the encoder is of a class, the more its direction counts.
- Top half: a shape's score is the mean over the larger half of its views' cosines.
- Smoothing: a shape also gets what its neighbours in the gallery get. ``e = exp(2z)`` for scores z
  standardised over the gallery; ``e + A e`` for the row-normalised graph A of nearest neighbours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import RankingConfig
from hifa_cli.runtime.arrays import read_arrays

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

BLOCK = 2048  # rows multiplied at once
PROJECTION_FILES = ("nuisance.npz", "nuisance-lite2.npz", "nuisance-pair.npz")  # the default encoder's first
TRAINED = 0.5  # of a trained network's photo: as much as the untrained part, each of two vectors a half
SHIFT_SCALE = np.float32(np.sqrt(1000))  # of an own map's shift, so that one rate fits it and the matrix
PROJECTION_VERSION = 1  # raised whenever the file is fitted anew


def unit(vectors: NDArray[Any]) -> Floats:
    """Return (…, D) vectors of unit length; those without length stay zero."""
    lengths = np.linalg.norm(vectors.astype(np.float32), axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def posterior(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return (N, K) class probabilities of (N, K) logits."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Projection:
    """Nuisance attribute projection: ``N(y) = y − ((y Q) ∘ s) Qᵀ``.

    Attributes:
        basis: (D, k) orthonormal directions Q.
        damping: (k,) shares s that are taken away, in 0 … 1.
        model: digest of the encoder that it was fitted for.
    """

    basis: Floats
    damping: Floats
    model: str

    def __call__(self, vectors: NDArray[Any]) -> Floats:
        """Return N of (…, D) vectors."""
        return np.asarray(vectors - ((vectors @ self.basis) * self.damping) @ self.basis.T, dtype=np.float32)


def fit_projection(photos: Floats, means: Floats, model: str, directions: int = 32) -> Projection:
    """Fit a projection to photos of known shapes.

    Args:
        photos: (n, D) unit features of photos.
        means: (n, D) for each photo the mean of its shape's unit view features.
        model: digest of the encoder.
        directions: k.

    Returns:
        The k largest eigenpairs (w, Q) of the uncentred covariance of ``photos − means``; with t the mean
        eigenvalue, ``s = 1 − √(10t / (w + 10t))``.
    """
    errors = (photos - means).astype(np.float64)
    covariance = errors.T @ errors / len(errors)
    values, vectors = np.linalg.eigh(covariance)
    largest, basis = values[::-1][:directions], vectors[:, ::-1][:, :directions]
    floor = 10 * np.trace(covariance) / len(covariance)
    damping = 1 - np.sqrt(floor / (largest + floor))
    return Projection(basis.astype(np.float32), damping.astype(np.float32), model)


def shipped_projection(model: str | None) -> Projection | None:
    """Return the projection that this package ships for an encoder, or None where it has none for it.

    Args:
        model: the encoder's digest; None means the default encoder, whichever it is.
    """
    for name in PROJECTION_FILES:
        with (files("hifa_cli.search") / name).open("rb") as file:
            fitted_for = str(read_arrays(file, ("model",))["model"])
            if model in (None, fitted_for):
                file.seek(0)
                stored = read_arrays(file, ("basis", "damping"))
                basis, damping = (stored[part].astype(np.float32) for part in ("basis", "damping"))
                return Projection(basis, damping, fitted_for)
    return None


@dataclass(frozen=True)
class OwnMap:
    """A gallery's own map of photos: ``unit(x + D x + b / √1000)``.

    Attributes:
        matrix: (D, D), the D of the formula.
        shift: (D,), its b.
    """

    matrix: Floats
    shift: Floats

    def __call__(self, vectors: Floats) -> Floats:
        """Return (n, D) unit vectors of photos' (n, D) unit vectors."""
        return unit(vectors + vectors @ self.matrix.T + self.shift / SHIFT_SCALE)


class QueryVectors(NamedTuple):
    """The vectors that q queries are compared by.

    Attributes:
        kind: (q, D) unit, with the semantic term.
        part: (q, D) unit, without; by the gallery's own map where it has one.
        unmapped: (q, D) unit, ``part`` without that map; None without a map.
    """

    kind: Floats
    part: Floats
    unmapped: Floats | None = None

    @property
    def plain(self) -> Floats:
        """Return (q, D) vectors without semantic term and own map."""
        return self.part if self.unmapped is None else self.unmapped

    def each(self, change: Callable[[Floats], Floats]) -> "QueryVectors":
        """Return all vectors changed alike."""
        return QueryVectors(*(None if one is None else change(one) for one in self))  # type: ignore[arg-type]


class Ranker:
    """Turns features into vectors to compare, as one gallery has it.

    Args:
        config: what is done.
        projection: N, or None.
        classifier: (K, D) of the encoder, or None where it has none.
        residual: how many numbers at the end of a trained network's descriptor are the untrained trunk's,
            which N is for; 0 means all.
        own: the gallery's own map of photos, or None. It serves to find the very part; the kind's vectors
            stay as they are.
        trained: what the rest of such a descriptor counts in a photo.
    """

    def __init__(
        self, config: RankingConfig, projection: Projection | None, classifier: Floats | None = None,
        residual: int = 0,
        own: OwnMap | None = None,
        trained: float = 1.0,
    ) -> None:  # fmt: skip
        self.config, self.projection = config, projection
        self.residual, self.own, self.trained = residual, own, trained
        self._semantics = None if classifier is None else classifier - classifier.mean(axis=0)

    @property
    def mark(self) -> str:
        """Return what the vectors of views depend on besides the encoder."""
        trained = f", residual {self.residual}" if self.residual else ""
        return f"ranked, projection {PROJECTION_VERSION if self.projection is not None else 0}{trained}"

    def views(self, features: NDArray[Any]) -> Floats:
        """Return (…, D) unit vectors of views or photos from (…, D) pooled features."""
        if self.projection is None:
            return unit(features)
        if not self.residual:
            return unit(self.projection(unit(features)))
        trained, plain = features[..., : -self.residual], features[..., -self.residual :]
        return unit(np.concatenate((trained, unit(self.projection(unit(plain)))), axis=-1))

    def photos(self, features: NDArray[Any]) -> Floats:
        """Return (…, D) unit vectors of photos, in which what was trained counts ``trained``."""
        vectors = self.views(features)
        if not self.residual or self.trained == 1:
            return vectors
        vectors[..., : -self.residual] *= self.trained
        return unit(vectors)

    def part(self, vectors: Floats) -> Floats:
        """Return (…, D) unit vectors without what was trained: of shapes that the very part is asked by."""
        if not self.residual:
            return vectors
        only = np.array(vectors)
        only[..., : -self.residual] = 0
        return unit(only)

    def queries(self, features: Floats, logits: Floats | None, *, photos: bool = True) -> QueryVectors:
        """Return what pictures are compared by.

        Args:
            features: (N, D) pooled features.
            logits: (N, K) of the encoder's classifier, or None.
            photos: whether the pictures are photos; the own map does not concern the views of a mesh.

        Returns:
            Unit vectors for the kind, for the very part, and without the own map.
        """
        plain = self.views(features)
        part = plain if self.own is None or not photos else self.own(plain)
        if logits is None or self._semantics is None or not self.config.semantic:
            return QueryVectors(plain, part, plain)
        likely = posterior(logits)
        meaning = self.views(likely.astype(np.float32) @ self._semantics)
        weight = (self.config.semantic * likely.max(axis=1, keepdims=True)).astype(np.float32)
        return QueryVectors(unit(plain + weight * meaning), part, plain)


def top_half(cosines: Floats) -> Floats:
    """Return (…) means over the larger half of (…, V) cosines; NaN stands for a view that is not there."""
    views = cosines.shape[-1]
    ordered = np.sort(cosines, axis=-1)  # NaN last
    there = views - np.isnan(ordered).sum(axis=-1, keepdims=True)
    places = np.arange(views)
    counted = (places >= there // 2) & (places < there)
    kept = np.where(counted, ordered, 0).sum(axis=-1)
    return np.asarray(kept / np.maximum(counted.sum(axis=-1), 1), dtype=np.float32)


class Graph(NamedTuple):
    """Each shape's neighbours in a gallery: (n, k) rows and (n, k) weights, each row's sum 1 or 0."""

    rows: NDArray[np.int32]
    weights: Floats


def neighbour_graph(means: Floats, neighbours: int) -> Graph:
    """Return each shape's nearest neighbours by its cosine, once the gallery's mean is taken off.

    Args:
        means: (n, D) unit vectors of the shapes.
        neighbours: k; fewer where there are fewer shapes.
    """
    centred = unit(means - np.asarray(means, dtype=np.float32).mean(axis=0))
    count = min(neighbours, len(means) - 1)
    rows = np.zeros((len(means), count), dtype=np.int32)
    weights = np.zeros((len(means), count), dtype=np.float32)
    for start in range(0, len(means), BLOCK):
        cosines = centred[start : start + BLOCK] @ centred.T
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -np.inf
        best = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        best.sort(axis=1)
        found = np.maximum(np.take_along_axis(cosines, best, axis=1), 0)
        total = found.sum(axis=1, keepdims=True)
        rows[start : start + BLOCK], weights[start : start + BLOCK] = (
            best,
            found / np.where(total > 0, total, 1),
        )
    return Graph(rows, weights)


def smoothed(standardised: Floats, graph: Graph | None) -> Floats:
    """Return ``e + A e`` with ``e = exp(2z)`` of (n,) standardised scores z; ``e`` alone without a graph."""
    powers = np.exp(2 * standardised)
    if graph is None:
        return powers
    return np.asarray(powers + (graph.weights * powers[graph.rows]).sum(axis=1), dtype=np.float32)


def standardised(scores: Floats, mean: float | None = None, deviation: float | None = None) -> Floats:
    """Return (n,) scores less their mean, over their deviation (of 1 where they are all alike).

    Args:
        scores: (n,).
        mean: of the scores; by default their own.
        deviation: of the scores; by default their own.

    Returns:
        (n,).
    """
    middle = scores.mean() if mean is None else mean
    width = scores.std() if deviation is None else deviation
    return np.asarray((scores - middle) / (width if width > 0 else 1), dtype=np.float32)


def lifted(kind: Floats, part: Floats, floor: float, weight: float) -> Floats:
    """Return (n,) scores by kind, with those lifted that stand out as the very part.

    Only what stands out by more than ``floor`` deviations counts: the order of a kind's other shapes stays.

    Args:
        kind: (n,) positive smoothed scores.
        part: (n,) standardised cosines of the very part.
        floor: deviations above the mean.
        weight: of what is above the floor.

    Returns:
        ``z(log kind) + weight·max(part − floor, 0)``.
    """
    return np.asarray(standardised(np.log(kind)) + weight * np.maximum(part - floor, 0), dtype=np.float32)


def blended(kind: Floats, part: Floats, depth: int, weight: float) -> Floats:
    """Return (n,) scores that order the best by kind anew: ``z(log kind) + weight·z(part)`` among the first.

    Args:
        kind: (n,) positive smoothed scores.
        part: (n,) cosines of the very part.
        depth: how many of the best by kind are ordered anew; the others stay behind them.
        weight: of the very part.

    Returns:
        (n,) scores.
    """
    logs = np.log(kind)
    order = np.argsort(-logs, kind="stable")
    first = order[:depth]
    mixed = standardised(logs[first]) + weight * standardised(part[first])
    result = np.empty_like(logs)
    result[order[depth:]] = logs[order[depth:]] - logs.max() + mixed.min() - 1
    result[first] = mixed
    return result
