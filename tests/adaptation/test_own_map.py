"""A gallery's own map: its gradient against differences, and what it learns of spoilt photos."""

from dataclasses import replace

import numpy as np
import pytest

from hifa_cli.adaptation.own_map import Examples, gradient_of_scores, learn_map
from hifa_cli.config import LearnConfig
from hifa_cli.search.rerank import OwnMap, top_half, unit

WIDTH, SHAPES, VIEWS = 16, 40, 5
QUICK = LearnConfig(steps=60, batch=20, rate=5e-3, check=10, decay=0.01)


def examples(seed: int = 0, spoilt: float = 1.5, photos: int = 5) -> Examples:
    """Photos are a shape's mean plus one direction that all photos share, and noise."""
    rng = np.random.default_rng(seed)
    shapes = rng.normal(size=(SHAPES, WIDTH))
    views = unit(shapes[:, None] + 0.4 * rng.normal(size=(SHAPES, VIEWS, WIDTH)))
    nuisance = rng.normal(size=WIDTH)
    strength = spoilt * rng.normal(size=(SHAPES, photos, 1))
    made = shapes[:, None] + strength * nuisance + 0.5 * rng.normal(size=(SHAPES, photos, WIDTH))
    return Examples(unit(made), views)


def loss(queries: np.ndarray, views: np.ndarray, temperature: float) -> float:
    """The batch's cross-entropy, by the ranking's own pooling."""
    cosines = np.einsum("qd,gvd->qgv", queries, views)
    scores = top_half(np.where(cosines == 0, np.nan, cosines)).astype(float) / temperature
    picked = scores[np.arange(len(queries)), np.arange(len(queries))]
    return float((np.log(np.exp(scores).sum(axis=1)) - picked).mean())


def test_the_gradient_is_that_of_the_ranking_that_is_used() -> None:
    rng = np.random.default_rng(1)
    views = unit(rng.normal(size=(6, VIEWS, WIDTH)))
    views[2, 3:] = 0  # a shape with fewer views
    queries = unit(rng.normal(size=(6, WIDTH)))
    found = gradient_of_scores(queries, views, 0.5)
    for row, column in ((0, 0), (2, 5), (5, 15)):
        there = []
        for sign in (1, -1):
            moved = queries.astype(float).copy()
            moved[row, column] += sign * 1e-3
            there.append(loss(moved, views.astype(float), 0.5))
        assert found[row, column] == pytest.approx((there[0] - there[1]) / 2e-3, abs=2e-3)


def test_more_photos_that_were_held_out_find_their_shape() -> None:
    learned = learn_map(examples(), QUICK)
    assert learned.steps > 0
    assert learned.after.first >= learned.before.first + 0.1


def test_mapped_photos_are_of_unit_length() -> None:
    learned = learn_map(examples(), QUICK)
    photos = examples(5).photos.reshape(-1, WIDTH)
    mapped = OwnMap(learned.matrix, learned.shift)(photos)
    assert np.linalg.norm(mapped, axis=1) == pytest.approx(np.ones(len(photos)), abs=1e-5)


def test_the_same_seed_gives_the_same_map() -> None:
    first, second = learn_map(examples(), QUICK, seed=3), learn_map(examples(), QUICK, seed=3)
    np.testing.assert_array_equal(first.matrix, second.matrix)


def test_without_a_gain_on_held_out_photos_there_is_no_map() -> None:
    learned = learn_map(examples(), replace(QUICK, rate=5.0, steps=10))
    assert learned.steps == 0
    assert not learned.matrix.any()
    assert learned.after == learned.before


def test_shapes_without_photos_are_no_truth_for_any() -> None:
    given = examples()
    given.photos[3] = 0
    given.photos[7, 1:] = 0
    learned = learn_map(given, QUICK)
    assert np.isfinite(learned.matrix).all()
    assert learned.after.mrr >= learned.before.mrr
