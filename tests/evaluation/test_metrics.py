"""Metrics against hand-worked numbers, an independent slow reference, and what must hold of them."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hifa_cli.evaluation.metrics import (
    LOWER_IS_BETTER,
    METRICS,
    PROFILES,
    Hits,
    Ratio,
    anmrr_oscar,
    average_precision,
    curve,
    e_measure,
    ndcg_2c,
)
from tests import reference_metrics as reference
from tests.worked_case import EXPECTED, FT, GALLERY_LABELS, LEGACY, NN, RANKS, SIZES

Lists = list[list[int]]


def hits_of(lists: Lists, sizes: list[int], largest: int) -> Hits:
    return Hits.of(np.array(lists, dtype=bool), np.array(sizes), largest, len(lists[0]))


def worked() -> Hits:
    lists = [[1 if rank in ranks else 0 for rank in range(1, len(GALLERY_LABELS) + 1)] for ranks in RANKS]
    return hits_of(lists, list(SIZES), max(SIZES))


@st.composite
def answers(draw: st.DrawFn, *, least: int = 1) -> tuple[Lists, list[int], int]:
    """Galleries of some classes, and for each query of a class an arbitrary order of the gallery."""
    sizes = draw(st.lists(st.integers(least, 15), min_size=1, max_size=4))
    others = draw(st.integers(0, 12))
    asked = draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=6))
    lists = [
        draw(st.permutations([1] * sizes[label] + [0] * (sum(sizes) + others - sizes[label])))
        for label in asked
    ]
    return lists, [sizes[label] for label in asked], max(sizes)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_worked_case_holds_in_every_profile(profile: str) -> None:
    values = {name: measure(worked()).value() for name, measure in PROFILES[profile].measures().items()}
    expected = {"NN": NN, "FT": FT, "DCG_legacy": LEGACY, **EXPECTED[profile]}
    assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert tuple(values) == METRICS


def test_the_worked_case_holds_query_by_query() -> None:
    measures = PROFILES["mi3dor"].measures()
    expected = {
        "NN": [1, 0, 1],
        "FT": [0.6, 0.5, 0.5],
        "ST": [0.9, 0.75, 0.666667],
        "DCG": [0.685575, 0.516373, 0.539686],
        "DCG_legacy": [0.575580, 0.663514, 0.457920],
        "ANMRR": [0.367742, 0.5, 0.476190],
    }
    for name, numbers in expected.items():
        assert measures[name](worked()).numerators == pytest.approx(numbers, abs=1e-6), name


def test_what_the_published_table_lacks_is_right_by_hand() -> None:
    """C = 2 of N = 5, relevant at ranks 1 and 4."""
    hits = hits_of([[1, 0, 0, 1, 0]], [2], 2)
    log = np.log2
    assert e_measure(hits).value() == pytest.approx(
        2 / (1 / (2 / 5) + 1 / (2 / 2))
    )  # the cut is clipped to 5
    assert ndcg_2c(hits).value() == pytest.approx((1 + 1 / log(5)) / (1 + 1 / log(3)))
    assert anmrr_oscar(hits).value() == pytest.approx(((1 + 4) / 2 - 1.5) / (4 - 1.5))
    assert average_precision(hits).value() == pytest.approx((1 / 1 + 2 / 4) / 2)


@given(answers())
def test_the_benchmark_profile_agrees_with_the_slow_reference(case: tuple[Lists, list[int], int]) -> None:
    lists, sizes, largest = case
    hits = hits_of(lists, sizes, largest)
    values = {name: measure(hits).value() for name, measure in PROFILES["mi3dor"].measures().items()}
    assert values == pytest.approx(reference.mi3dor(lists, sizes, largest), abs=1e-12)
    precisions = [reference.average_precision(r, c) for r, c in zip(lists, sizes, strict=True)]
    assert average_precision(hits).value() == pytest.approx(float(np.mean(precisions)), abs=1e-12)


@given(answers())
def test_the_curve_and_its_area_agree_with_the_slow_reference(case: tuple[Lists, list[int], int]) -> None:
    lists, sizes, _ = case
    pooled = curve(np.sum(lists, axis=0), len(lists))
    assert pooled.area() == pytest.approx(reference.area(lists, sizes), abs=1e-12)
    assert pooled.recall[-1] == pytest.approx(1.0)
    assert np.all(np.diff(pooled.recall) >= 0)


def sorted_lists(sizes: list[int], others: int, *, best: bool) -> Lists:
    n = sum(sizes) + others
    return [[1] * c + [0] * (n - c) if best else [0] * (n - c) + [1] * c for c in sizes]


@given(st.lists(st.integers(2, 15), min_size=1, max_size=4), st.integers(0, 20))
@pytest.mark.parametrize("profile", PROFILES)
def test_a_perfect_ranking_is_perfect(profile: str, sizes: list[int], others: int) -> None:
    hits = hits_of(sorted_lists(sizes, others, best=True), sizes, max(sizes))
    for name, measure in PROFILES[profile].measures().items():
        if name == "F":  # at a fixed cut it is perfect only where C is that cut
            continue
        value = measure(hits).value()
        expected = 0.0 if name in LOWER_IS_BETTER else 1.0
        assert value == pytest.approx(expected, abs=1e-12), name


@pytest.mark.parametrize("profile", ["mi3dor", "mi3dor-legacy", "mpeg7", "mpeg7-2001"])
def test_the_worst_ranking_is_worst(profile: str) -> None:
    """Nothing relevant within any window: 60 others stand before 5 relevant."""
    hits = hits_of(sorted_lists([5], 60, best=False), [5], 5)
    for name, measure in PROFILES[profile].measures().items():
        assert measure(hits).value() == pytest.approx(1.0 if name == "ANMRR" else 0.0, abs=1e-12), name


@settings(max_examples=40)
@given(answers(least=2), st.data())
@pytest.mark.parametrize("profile", PROFILES)
def test_moving_a_relevant_shape_up_never_hurts(
    profile: str, case: tuple[Lists, list[int], int], data: st.DataObject
) -> None:
    """Exchange a relevant answer with an irrelevant one before it; DCG_legacy ignores rank 1."""
    lists, sizes, largest = case
    row = data.draw(st.integers(0, len(lists) - 1))
    ranked = lists[row]
    pairs = [(i, j) for j, hit in enumerate(ranked) if hit for i in range(j) if not ranked[i]]
    if not pairs:
        return
    i, j = data.draw(st.sampled_from(pairs))
    better = [list(one) for one in lists]
    better[row][i], better[row][j] = 1, 0
    for name, measure in PROFILES[profile].measures().items():
        if measure is PROFILES["mi3dor-legacy"].dcg and i == 0:
            continue
        before, after = (measure(hits_of(one, sizes, largest)).value() for one in (lists, better))
        worse = after > before + 1e-12 if name in LOWER_IS_BETTER else after < before - 1e-12
        assert not worse, (name, before, after)


@given(st.integers(1, 5), st.integers(0, 30), st.randoms(use_true_random=False))
def test_f_is_ft_where_every_class_has_twenty(classes: int, others: int, random: object) -> None:
    generator = np.random.default_rng(getattr(random, "getrandbits")(32))  # noqa: B009
    n = 20 * classes + others
    table = generator.permuted(np.tile(np.arange(n) < 20, (7, 1)), axis=1)
    hits = Hits.of(table, np.full(7, 20), 20, n)
    measures = PROFILES["mi3dor"].measures()
    assert measures["F"](hits).value() == pytest.approx(measures["FT"](hits).value(), abs=1e-12)


@settings(max_examples=30)
@given(answers())
@pytest.mark.parametrize("profile", PROFILES)
def test_every_metric_lies_in_its_range(profile: str, case: tuple[Lists, list[int], int]) -> None:
    hits = hits_of(*case)
    for name, measure in PROFILES[profile].measures().items():
        value = measure(hits).value()
        most = 1.0 if name != "ANMRR" or profile != "oscar" else 2.0  # OSCAR's may exceed one
        assert -1e-12 <= value <= most + 1e-12, (name, value)


def test_a_ratio_over_nothing_is_zero() -> None:
    empty: NDArray[np.float64] = np.zeros(0)
    assert Ratio(empty, empty).value() == 0.0


def test_every_profile_says_what_it_is() -> None:
    notes = [profile.note for profile in PROFILES.values()]
    assert len(set(notes)) == len(notes)
    assert all(word in note for note in notes for word in ("ANMRR",))


def test_first_tier_is_the_r_precision_of_scikit_learn_style_counting() -> None:
    """R-precision by its textbook definition: precision at rank C."""
    generator = np.random.default_rng(3)
    table = generator.random((50, 40)) < 0.3
    table[:, 0] |= ~table.any(axis=1)
    sizes = table.sum(axis=1)
    expected = np.mean([row[:c].mean() for row, c in zip(table, sizes, strict=True)])
    measured = PROFILES["mi3dor"].measures()["FT"](Hits.of(table, sizes, int(sizes.max()), 40))
    assert measured.value() == pytest.approx(float(expected), abs=1e-12)


def test_the_documented_worked_case_is_what_is_computed() -> None:
    """docs/metrics.md shows the case in every profile; its numbers must be the code's."""
    text = (Path(__file__).parents[2] / "docs/metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` ((?:\| \d\.\d{6} ){7})\|$", text, re.MULTILINE)
    assert [name for name, _ in rows] == list(PROFILES)
    for name, cells in rows:
        values = [measure(worked()).value() for measure in PROFILES[name].measures().values()]
        assert [float(cell) for cell in cells.split("|")[1:]] == pytest.approx(values, abs=5e-7), name


def test_one_row_adds_a_metric_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric is a row of the table: scores, documents, tables and completion follow it."""
    from hifa_cli.embeddings.io import Embeddings, Export
    from hifa_cli.evaluation import evaluate as stage
    from hifa_cli.evaluation import metrics

    def third(hits: metrics.Hits) -> metrics.Ratio:
        found = hits.within(3)
        return metrics.Ratio(found / 3, np.ones_like(found))

    table = (*metrics.TABLE, metrics.Metric("P3", third, shown=True))
    monkeypatch.setattr(metrics, "TABLE", table)
    monkeypatch.setattr(stage, "TABLE", table)
    eye = np.eye(4, dtype=np.float32)
    labels = np.array([0, 0, 1, 1])
    part = Embeddings(("a", "b", "c", "d"), labels, eye)
    scores = stage.evaluate(Export(part, part, ("x", "y")))
    assert scores.values()["P3"] == pytest.approx((2 + 2 + 1 + 1) / 12)  # ties stand in the order of rows
    assert "P3" in scores.to_dict()
    assert "P3" in scores.per_class()["x"]
