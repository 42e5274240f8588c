"""Summaries of several seeds: means, deviations, paired differences, relative gains."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from hifa_cli.evaluation.metrics import LOWER_IS_BETTER
from hifa_cli.pipelines.compare.rows import Arm

ABLATION = ("source-only", "hifa-g", "hifa-gl", "hifa(weight_mutual=0)", "hifa")  # table 3 and its placebo
RunScores = Mapping[int | None, float]  # a metric by seed; the key None is a row that no seed changes


class Spread(NamedTuple):
    """Mean and sample deviation (over n − 1) of n seeds; no deviation of fewer than two."""

    mean: float
    deviation: float | None
    seeds: int


class Paired(NamedTuple):
    """Differences seed by seed: their mean, its standard error, and how often the first was better."""

    mean: float
    error: float | None
    wins: int
    seeds: int


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation of at least one value."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


def paired(first: RunScores, second: RunScores, metric: str) -> Paired | None:
    """Return the first minus the second, over the seeds that both have.

    A row that no seed changes meets every seed of the other. A tie is not a win.

    Args:
        first: a row's metric by seed.
        second: the other row's.
        metric: its name, which says whether less is better.

    Returns:
        None where they have no seed in common.
    """
    seeds = _common(first, second)
    differences = [
        first.get(seed, first.get(None, 0.0)) - second.get(seed, second.get(None, 0.0)) for seed in seeds
    ]
    if not differences:
        return None
    sign = -1 if metric in LOWER_IS_BETTER else 1
    error = stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else None
    return Paired(fmean(differences), error, sum(sign * one > 0 for one in differences), len(differences))


def _common(first: RunScores, second: RunScores) -> list[int | None]:
    if None in first:
        return list(second)
    return list(first) if None in second else [seed for seed in first if seed in second]


def gain(value: float, rival: float, metric: str) -> float | None:
    """Return the relative gain over a rival, or the relative decline of what is better when lower.

    (value − rival) / rival, with the sign turned for ANMRR, so that better is positive.

    Args:
        value: of the row.
        rival: of the other row.
        metric: its name.

    Returns:
        The gain, positive where the row is better; None over a rival of 0.

    References:
        Zhou et al. 2020, section 5.1: NN 0.778 over 0.764 is "1.83%", ANMRR 0.362 under 0.421 "14.01%".
    """
    if rival == 0:
        return None
    change = (value - rival) / rival
    return -change if metric in LOWER_IS_BETTER else change


def reference_pairs(arms: Sequence[Arm], reference: str | None = None) -> list[tuple[str, str]]:
    """Return which rows are compared: (row, against which).

    With a reference, every other row against it. Without, each step of the ablation against the step
    before, HIFA also against HIFA-GL over the placebo between them, and every row against source-only (or
    the first row, where that is missing).
    """
    names = [arm.name for arm in arms]
    if reference is not None:
        return [(name, reference) for name in names if name != reference]
    steps = [name for name in ABLATION if name in names]
    pairs = list(zip(steps[1:], steps, strict=False))
    if {"hifa", "hifa-gl"} <= set(names):
        pairs.append(("hifa", "hifa-gl"))
    base = ABLATION[0] if ABLATION[0] in names else names[0]
    pairs += [(name, base) for name in names if name != base]
    return list(dict.fromkeys(pairs))
