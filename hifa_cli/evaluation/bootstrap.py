"""Confidence intervals and paired significance of scores, by drawing queries again."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.evaluation.evaluate import Scores

_CHUNK = 1 << 22  # resampled values held at a time


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class Difference(NamedTuple):
    """The difference of two exports in a metric: first minus second, its 95 % interval, and p."""

    value: float
    interval: Interval
    p: float


def confidence(scores: Scores, *, resamples: int, seed: int = 0, level: float = 0.95) -> dict[str, Interval]:
    """Return the percentile bootstrap over queries: how much a metric depends on which photos were asked.

    Args:
        scores: of one export.
        resamples: how many times as many queries are drawn with replacement.
        seed: of the draws.
        level: of the interval.

    Returns:
        An interval by metric.
    """
    sums = _sums(scores)
    draws = np.concatenate(
        [counts @ sums for counts in _draws(len(scores.ids), resamples, np.random.default_rng(seed))]
    )  # (R, 2M)
    values = draws[:, 0::2] / draws[:, 1::2]
    edges = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {key: Interval(*map(float, edge)) for key, edge in zip(scores.ratios, edges.T, strict=True)}


def _sums(scores: Scores) -> NDArray[np.float64]:
    """Return (Q, 2M): numerator and denominator of each metric in turn."""
    columns = [
        column for ratio in scores.ratios.values() for column in (ratio.numerators, ratio.denominators)
    ]
    return np.stack(columns, axis=1)


def _draws(queries: int, resamples: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Yield how often each query is drawn, (r, Q) at a time."""
    step = max(_CHUNK // queries, 1)
    for start in range(0, resamples, step):
        shape = (min(step, resamples - start), queries)
        drawn = generator.integers(queries, size=shape) + np.arange(shape[0])[:, None] * queries
        yield np.bincount(drawn.ravel(), minlength=shape[0] * queries).reshape(shape).astype(np.float64)


def significance(first: Scores, second: Scores, *, resamples: int, seed: int = 0) -> dict[str, Difference]:
    """Return whether two exports differ on the photos that both were asked.

    The interval is a paired bootstrap over queries; p is two-sided, of the permutation test that
    exchanges the two exports' answers to a query at random (the exchange leaves the distribution
    unchanged if neither is better). One of ``resamples + 1`` is the least p there is.

    Args:
        first: scores of one export.
        second: scores of the other, by the same profile.
        resamples: of the bootstrap and of the permutation test.
        seed: of the draws.

    Returns:
        A difference by metric.

    Raises:
        HifaError: they share no query, or were scored by different profiles.
    """
    if first.profile.name != second.profile.name:
        raise HifaError("only scores of one profile can be compared")
    mine, theirs = _paired(first, second)
    names = [name for name in first.ratios if name in second.ratios]
    a = _sums(first)[mine][:, : 2 * len(names)]
    b = _sums(second)[theirs][:, : 2 * len(names)]
    generator = np.random.default_rng(seed)
    observed = _gap(a.sum(axis=0), b.sum(axis=0))
    edges = np.quantile(
        np.concatenate([_gap(counts @ a, counts @ b) for counts in _draws(len(a), resamples, generator)]),
        [0.025, 0.975],
        axis=0,
    )
    p = _permuted(a, b, observed, resamples, generator)
    return {
        name: Difference(float(observed[i]), Interval(float(edges[0, i]), float(edges[1, i])), float(p[i]))
        for i, name in enumerate(names)
    }


def _gap(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    gap: NDArray[np.float64] = a[..., 0::2] / a[..., 1::2] - b[..., 0::2] / b[..., 1::2]
    return gap


def _permuted(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    observed: NDArray[np.float64],
    resamples: int,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Return (M,) p: the share of exchanges that part the two at least as far."""
    as_far = np.ones(len(observed))
    step = max(_CHUNK // len(a), 1)
    for start in range(0, resamples, step):
        exchanged = generator.integers(2, size=(min(step, resamples - start), len(a))).astype(np.float64)
        moved = exchanged @ (b - a)
        gaps = _gap(a.sum(axis=0) + moved, b.sum(axis=0) - moved)
        as_far += (np.abs(gaps) >= np.abs(observed) - 1e-12).sum(axis=0)
    return as_far / (resamples + 1)


def _paired(first: Scores, second: Scores) -> tuple[list[int], list[int]]:
    """Return rows of the queries that both have, with the same class."""
    if first.ids == second.ids:
        rows = list(range(len(first.ids)))
        return rows, rows
    where = {
        (one, second.classes[label]): row
        for row, (one, label) in enumerate(zip(second.ids, second.labels.tolist(), strict=True))
    }
    pairs = [
        (row, where[key])
        for row, (one, label) in enumerate(zip(first.ids, first.labels.tolist(), strict=True))
        if (key := (one, first.classes[label])) in where
    ]
    if not pairs:
        raise HifaError(
            "the two exports share no photo of the same id and class: compare exports of the same photos"
        )
    return [row for row, _ in pairs], [row for _, row in pairs]
