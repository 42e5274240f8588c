"""JGSA: two linear maps, one a domain, to a subspace where the domains agree (Zhang et al., CVPR 2017).

Photos are the source X_s, shapes the target X_t. The columns of [A; B] are the k largest solutions v of
S_max v = φ S_min v with

    S_max = [β S_b, 0; 0, μ S_t]
    S_min = [T_s + αI + β S_w, T_st − αI; T_ts − αI, T_t + (α + μ) I]

S_b and S_w scatter the photos' classes, S_t scatters the shapes, and the T are the squared differences of
the domains' means and of their classes' means, shapes by the label of the nearest photo.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from hifa_cli.adaptation.neighbours import Floats, Labels, nearest_labels, unit_rows
from hifa_cli.config import AdaptConfig

_RIDGE = 1e-9  # added to S_min's diagonal, as in the authors' code


@dataclass(frozen=True)
class Jgsa:
    """Fitted maps.

    Attributes:
        source: (D, k) A, for photos.
        target: (D, k) B, for shapes.
        values: (k,) φ, descending.
        means: (2, D) subtracted first, of photos and of shapes.
        scales: (2, D) divided by then.
        unit: (1,) whether vectors are first made unit length.
    """

    source: Floats
    target: Floats
    values: Floats
    means: Floats
    scales: Floats
    unit: NDArray[np.bool_]

    def prepared(self, vectors: NDArray[np.floating], domain: int) -> Floats:
        """Return (n, D) as the maps want them: ``domain`` 0 is photos, 1 shapes."""
        rows = vectors.astype(np.float64)
        rows = unit_rows(rows) if self.unit[0] else rows
        prepared: Floats = (rows - self.means[domain]) / self.scales[domain]
        return prepared

    def __call__(self, vectors: NDArray[np.floating], domain: int) -> Floats:
        """Return (n, D) to (n, k)."""
        mapped: Floats = self.prepared(vectors, domain) @ (self.target if domain else self.source)
        return mapped


def fit_jgsa(source: Floats, labels: Labels, target: Floats, config: AdaptConfig, dimension: int) -> Jgsa:
    """Fit the maps.

    Args:
        source: (n_s, D) photos.
        labels: (n_s,) their classes, none negative.
        target: (n_t, D) shapes.
        config: α, β, μ, T and what is done to vectors first.
        dimension: k ≤ 2 D.

    The authors' code z-scores hand-made features of each domain. That alone moves deep embeddings' domains
    onto each other, so unit length is the default here.

    Returns:
        The two maps.
    """
    raw = _preparation(source, target, config)
    xs, xt = raw.prepared(source, 0), raw.prepared(target, 1)
    basis = _span(xs, xt)
    xs, xt = xs @ basis, xt @ basis
    guesses = nearest_labels(xs, labels, xt)
    for _ in range(config.iterations):
        values, vectors = largest(*jgsa_matrices(xs, labels, xt, guesses, config), dimension)
        a, b = vectors[: basis.shape[1]], vectors[basis.shape[1] :]
        before, guesses = guesses, nearest_labels(xs @ a, labels, xt @ b)
        if np.array_equal(before, guesses):
            break  # every further round would solve the same problem
    return replace(raw, source=basis @ a, target=basis @ b, values=values)


def _preparation(source: Floats, target: Floats, config: AdaptConfig) -> Jgsa:
    """Maps that so far only prepare vectors."""
    empty, domains = np.empty((source.shape[1], 0)), (source, target)
    means, scales = np.zeros((2, source.shape[1])), np.ones((2, source.shape[1]))
    if config.prepare == "zscore":
        means = np.stack([part.mean(axis=0) for part in domains])
        scales = np.stack([part.std(axis=0) for part in domains])
        scales[scales == 0] = 1.0
    unit = np.array([config.prepare == "unit"])
    return Jgsa(empty, empty, np.empty(0), means, scales, unit)


def _span(source: Floats, target: Floats) -> Floats:
    """Return (D, r) orthonormal basis of all vectors where they are fewer than D, else the identity.

    What is orthogonal to all vectors adds nothing to S_max, so the largest solutions lie in the span.
    """
    dimension = source.shape[1]
    if len(source) + len(target) >= dimension:
        return np.eye(dimension)
    basis: Floats = linalg.orth(np.concatenate((source, target)).T)
    return basis if basis.shape[1] else np.eye(dimension)


def jgsa_matrices(
    source: Floats, labels: Labels, target: Floats, guesses: Labels, config: AdaptConfig
) -> tuple[Floats, Floats]:
    """S_max and S_min + ridge, both (2 D, 2 D).

    As in the authors' code the mean differences are divided by the Frobenius norm of their marginal part,
    C (1 / n_s + 1 / n_t). There a class without a shape adds its photos' mean alone; here it adds nothing.

    Args:
        source: (n_s, D) photos.
        labels: (n_s,) their classes.
        target: (n_t, D) shapes.
        guesses: (n_t,) classes that the shapes are taken for.
        config: α, β, μ and the ridge.

    Returns:
        S_max and S_min + ridge, both (2 D, 2 D).
    """
    classes, dimension = np.unique(labels), source.shape[1]
    differences = [np.sqrt(len(classes)) * np.concatenate((source.mean(axis=0), -target.mean(axis=0)))]
    within, between = np.zeros((2, dimension, dimension))
    for label in classes:
        mine, theirs = source[labels == label], target[guesses == label]
        centre = mine.mean(axis=0)
        offset = centre - source.mean(axis=0)
        within += (mine - centre).T @ (mine - centre)
        between += len(mine) * np.outer(offset, offset)
        if len(theirs):
            differences.append(np.concatenate((centre, -theirs.mean(axis=0))))
    norm = len(classes) * (1 / len(source) + 1 / len(target))
    stacked = np.stack(differences)
    same = np.eye(dimension)
    least = stacked.T @ stacked / norm
    least += config.alpha * np.block([[same, -same], [-same, same]])
    least[:dimension, :dimension] += config.beta * within
    least[dimension:, dimension:] += config.mu * same
    centred = target - target.mean(axis=0)
    greatest = linalg.block_diag(config.beta * between, config.mu * centred.T @ centred)
    return greatest, least + _RIDGE * np.eye(2 * dimension)


def largest(greatest: Floats, least: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the ``count`` largest solutions of ``greatest`` v = φ ``least`` v, descending.

    Args:
        greatest: (2 D, 2 D) symmetric.
        least: (2 D, 2 D) positive definite.
        count: k.

    Returns:
        (k,) values and (2 D, k) vectors with vᵀ ``least`` v = 1, the largest entry of each positive.
    """
    size = len(greatest)
    values, vectors = linalg.eigh(greatest, least, subset_by_index=[max(size - count, 0), size - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    top = np.abs(vectors).argmax(axis=0)
    return values, vectors * np.sign(vectors[top, np.arange(vectors.shape[1])])
