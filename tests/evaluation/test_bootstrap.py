"""Confidence intervals and paired significance against closed forms and all exchanges."""

from dataclasses import replace

import numpy as np
import pytest

from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.bootstrap import confidence, significance
from hifa_cli.evaluation.evaluate import Scores, evaluate
from hifa_cli.evaluation.metrics import METRICS
from tests.evaluation.test_evaluate import parts, random_export


def test_intervals_hold_the_value_and_shrink_with_more_queries() -> None:
    few, many = (evaluate(random_export(queries=n)) for n in (40, 4000))
    wide, narrow = (confidence(one, resamples=400, seed=1) for one in (few, many))
    for name in METRICS:
        assert wide[name].low <= few.values()[name] <= wide[name].high
        assert wide[name].high - wide[name].low > 4 * (narrow[name].high - narrow[name].low)


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    """NN is a mean of zeros and ones: its standard error is sqrt(p (1 − p) / Q)."""
    scores = evaluate(random_export(queries=4000))
    value = scores.values()["NN"]
    error = 1.96 * np.sqrt(value * (1 - value) / 4000)
    interval = confidence(scores, resamples=4000)["NN"]
    assert interval.low == pytest.approx(value - error, abs=error * 0.1)
    assert interval.high == pytest.approx(value + error, abs=error * 0.1)


def test_intervals_are_the_same_for_the_same_seed() -> None:
    scores = evaluate(random_export())
    assert confidence(scores, resamples=50, seed=3) == confidence(scores, resamples=50, seed=3)
    assert confidence(scores, resamples=50, seed=3) != confidence(scores, resamples=50, seed=4)


def blurred(export: Export, noise: float) -> Export:
    images, _ = parts(export)
    moved = images.vectors + np.random.default_rng(8).normal(scale=noise, size=images.vectors.shape)
    return replace(export, images=replace(images, vectors=moved.astype(np.float32)))


def test_a_worse_export_is_significantly_worse_and_an_equal_one_is_not() -> None:
    export = random_export(queries=200, noise=0.4)
    better, worse = evaluate(export), evaluate(blurred(export, 1.0))
    found = significance(better, worse, resamples=500)
    assert found["FT"].value == pytest.approx(better.values()["FT"] - worse.values()["FT"])
    assert found["FT"].p == pytest.approx(1 / 501)
    assert found["FT"].interval.low > 0
    assert found["ANMRR"].value < 0
    same = significance(better, better, resamples=100)
    assert {one.p for one in same.values()} == {1.0}


def test_p_is_uniform_where_nothing_differs() -> None:
    """Two exports that differ by chance alone: p below 0.1 in about a tenth of the cases."""
    values = []
    for seed in range(60):
        export = random_export(seed=seed * 7, queries=60, gallery=40, noise=1.0)
        one, other = (blurred_by(export, seed * 2 + i) for i in (0, 1))
        values.append(significance(evaluate(one), evaluate(other), resamples=199)["FT"].p)
    share = np.mean(np.array(values) <= 0.1)
    assert share <= 0.25  # 15 of 60; 6 are expected, and more than 15 come in 1 of 2,000 draws


def blurred_by(export: Export, seed: int) -> Export:
    images, _ = parts(export)
    moved = images.vectors + np.random.default_rng(seed).normal(scale=0.5, size=images.vectors.shape)
    return replace(export, images=replace(images, vectors=moved.astype(np.float32)))


def permuted_by_hand(first: Scores, second: Scores, name: str) -> float:
    """All 2^Q exchanges of a mean: the exact p."""
    a, b = first.ratios[name].numerators, second.ratios[name].numerators
    observed = abs((a - b).mean())
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(a))).reshape(len(a), -1)
    return float((np.abs(((a - b)[:, None] * signs).mean(axis=0)) >= observed - 1e-12).mean())


def test_p_is_that_of_all_exchanges() -> None:
    export = random_export(seed=5, queries=10)
    first, second = evaluate(export), evaluate(blurred(export, 1.0))
    found = significance(first, second, resamples=20_000)
    for name in ("NN", "FT", "DCG"):
        assert found[name].p == pytest.approx(permuted_by_hand(first, second, name), abs=0.02)


def test_only_photos_of_both_are_compared() -> None:
    export = random_export()
    images, _ = parts(export)
    rows = np.arange(39, 9, -1)  # fewer, and in another order
    fewer = Embeddings(tuple(images.ids[row] for row in rows), images.labels[rows], images.vectors[rows])
    found = significance(evaluate(export), evaluate(replace(export, images=fewer)), resamples=100)
    assert {one.value for one in found.values()} == {0.0}
    strangers = replace(fewer, ids=tuple(f"other{i}" for i in range(len(rows))))
    with pytest.raises(HifaError, match="share no photo"):
        significance(evaluate(export), evaluate(replace(export, images=strangers)), resamples=100)


def test_scores_of_different_profiles_are_not_compared() -> None:
    export = random_export()
    with pytest.raises(HifaError, match="one profile"):
        significance(evaluate(export), evaluate(export, profile="psb"), resamples=100)
