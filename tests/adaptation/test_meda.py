"""MEDA's scores solve its linear system, round by round, and beat the nearest neighbour on shifted shapes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hifa_cli.adaptation.meda import (
    Meda,
    estimated_balance,
    fit_meda,
    gaussian,
    hinge,
    mean_differences,
    memory_needed,
    pose,
    proxy_distance,
    solved,
)
from hifa_cli.adaptation.neighbours import cosine_graph, laplacian, nearest_labels, unit_rows
from hifa_cli.config import AdaptConfig
from tests.adaptation import reference
from tests.domains import Floats, Labels, accuracy, random_domains, turned_domains

CONFIG = AdaptConfig(method="meda", iterations=3)


def fitted(
    source: Floats, labels: Labels, target: Floats, config: AdaptConfig = CONFIG, dimension: int = 3
) -> Meda:
    return fit_meda(source, labels, target, config, dimension, np.random.default_rng(0))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("balance", [0.0, 0.3, 1.0])
def test_the_mean_differences_make_the_papers_matrix(seed: int, balance: float) -> None:
    source, labels, target = random_domains(seed)
    guesses = np.full(18, 2) if seed == 3 else nearest_labels(source, labels, target)
    directions, weights = mean_differences(labels, guesses, balance)
    wanted, _ = reference.mmd_matrix(labels, guesses, 1 - balance, balance)
    assert_allclose(directions * weights @ directions.T, wanted / np.linalg.norm(wanted), atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_rounds_coefficients_solve_its_linear_system(seed: int) -> None:
    source, labels, target = random_domains(seed)
    features = unit_rows(np.concatenate((source, target)))
    guesses = nearest_labels(source, labels, target)
    problem = pose(features, labels, 1.0, CONFIG, np.random.default_rng(0))
    directions, weights = mean_differences(labels, guesses, 0.4)
    beta = solved(problem, directions, CONFIG.alignment * weights)
    kernel, n = gaussian(features, features, 1.0), len(labels)
    penalty = CONFIG.alignment * directions * weights @ directions.T
    penalty += CONFIG.rho * laplacian(cosine_graph(features, CONFIG.neighbours)).toarray()
    penalty[:n, :n] += np.eye(n)
    wanted = np.zeros((len(features), 3))
    wanted[np.arange(n), labels] = 1
    residual = (penalty @ kernel + CONFIG.eta * np.eye(len(features))) @ beta - wanted
    assert np.abs(residual).max() < 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_the_scores_are_those_of_the_dense_reference(seed: int) -> None:
    source, labels, target = random_domains(seed)
    config = replace(CONFIG, neighbours=4, alignment=3.0, rho=0.5, eta=0.2)
    meda = fitted(source, labels, target, config)
    features = meda.manifold(np.concatenate((source, target)))
    scores = reference.meda_scores(features, labels, meda.balance.tolist(), 3.0, 0.5, 0.2, 4)
    assert_allclose(meda(np.concatenate((source, target))), scores, atol=1e-8)


def test_nearly_all_vectors_as_landmarks_give_nearly_the_same_scores() -> None:
    source, labels, target = random_domains(1)
    features = unit_rows(np.concatenate((source, target)))
    guesses = nearest_labels(source, labels, target)
    directions, weights = mean_differences(labels, guesses, 0.4)
    everything = np.random.default_rng(0)
    whole = pose(features, labels, 1.0, CONFIG, everything)
    fewer = pose(features, labels, 1.0, replace(CONFIG, landmarks=len(features) - 1), everything)
    assert fewer.points is not None
    assert len(fewer.points) == len(features) - 1
    scores = [one.kernel @ solved(one, directions, 10 * weights) for one in (whole, fewer)]
    assert np.abs(scores[0] - scores[1]).max() < 0.02  # one landmark of 42 is missing


def test_landmarks_make_the_penalty_smallest_among_their_functions() -> None:
    source, labels, target = random_domains(2)
    features, n = unit_rows(np.concatenate((source, target))), len(labels)
    problem = pose(features, labels, 1.0, replace(CONFIG, landmarks=12), np.random.default_rng(0))
    guesses = nearest_labels(source, labels, target)
    directions, weights = mean_differences(labels, guesses, 0.4)
    gamma = solved(problem, directions, CONFIG.alignment * weights)
    graph = laplacian(cosine_graph(features, CONFIG.neighbours)).toarray()
    matrix = CONFIG.alignment * directions * weights @ directions.T + CONFIG.rho * graph
    wanted = np.eye(3)[labels]
    small = gaussian(features[problem.points], features[problem.points], 1.0)

    def penalty(coefficients: Floats) -> float:
        scores = problem.kernel @ coefficients
        right = ((scores[:n] - wanted) ** 2).sum()
        return float(
            right + np.trace(scores.T @ matrix @ scores)
            + CONFIG.eta * np.trace(coefficients.T @ small @ coefficients)
        )  # fmt: skip

    best, draw = penalty(gamma), np.random.default_rng(0)
    for size in (1e-3, 1e-2, 0.1):
        for _ in range(10):
            assert penalty(gamma + size * draw.normal(size=gamma.shape)) > best


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=15)
def test_domains_that_are_one_have_no_distance_and_far_ones_the_largest(seed: int) -> None:
    draw = np.random.default_rng(seed)
    here = draw.normal(size=(30, 3))
    assert proxy_distance(here, here) == 0
    assert proxy_distance(here, here + 50) == 2
    assert 0 <= proxy_distance(here, draw.normal(size=(20, 3))) <= 2


def test_the_hinge_loss_by_hand_and_its_gradient_by_differences() -> None:
    inputs, sides = np.array([[2.0, 1.0], [-1.0, 1.0]]), np.array([1.0, -1.0])
    # w = (0.5, 1): outputs 2 and 0.5, slacks 0 and 1.5; (0.25 / 2 + 2.25) / 2, the offset is free
    assert hinge(np.array([0.5, 1.0]), inputs, sides)[0] == pytest.approx(1.1875)
    draw = np.random.default_rng(0)
    for _ in range(5):
        at, inputs, sides = draw.normal(size=4), draw.normal(size=(9, 4)), draw.choice([-1.0, 1.0], 9)
        differences = [
            (hinge(at + 1e-6 * one, inputs, sides)[0] - hinge(at - 1e-6 * one, inputs, sides)[0]) / 2e-6
            for one in np.eye(4)
        ]
        assert_allclose(hinge(at, inputs, sides)[1], differences, atol=1e-7)


def test_the_balance_leans_to_what_differs() -> None:
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    here = draw.normal(size=(80, 2)) * 0.3
    here[:, 0] += np.where(labels == 0, -3, 3)
    crossed = here.copy()
    crossed[:, 0] *= -1  # each class lies where the other was: the whole is alike, the classes are not
    assert estimated_balance(here, labels, crossed, labels) > 0.9
    assert estimated_balance(here, labels, here + 50, labels) == pytest.approx(0.5)
    assert estimated_balance(here, labels, here, labels) == 0.5  # nothing differs: no leaning
    nobody = np.ones(80, dtype=np.int64)
    assert 0 <= estimated_balance(here, labels, crossed, nobody) <= 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("landmarks", [0, 60])
def test_shifted_shapes_are_recognised_better_than_by_the_nearest_photo(seed: int, landmarks: int) -> None:
    source, labels, target, hidden = turned_domains(seed, far=0.2)
    meda = fitted(source, labels, target, AdaptConfig(method="meda", landmarks=landmarks), 8)
    before = accuracy(unit_rows(source), labels, unit_rows(target), hidden)
    assert np.mean(meda(target).argmax(axis=1) == hidden) > before + 0.1
    other, wanted = turned_domains(seed + 100, far=0.2)[2:]
    assert np.mean(meda(other).argmax(axis=1) == wanted) > before + 0.05


def test_the_kernels_matrices_are_what_memory_is_asked_for() -> None:
    assert memory_needed(14_342, 0) == pytest.approx(2 * 14_342**2 * 8)
    assert memory_needed(14_342, 1_000) < memory_needed(14_342, 0) / 5


def test_few_items_one_class_and_vectors_of_nothing_give_numbers() -> None:
    for photos, shapes, classes in ((2, 2, 1), (5, 2, 2), (2, 5, 1)):
        source, labels, target = random_domains(0, photos, shapes, 4, classes)
        source[0] = target[0] = 0
        for landmarks in (0, 2):
            meda = fitted(source, labels, target, replace(CONFIG, landmarks=landmarks), 1)
            assert np.isfinite(meda(source)).all()
            assert np.isfinite(meda(target)).all()
