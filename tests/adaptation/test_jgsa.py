"""JGSA's maps solve the paper's eigenproblem and undo a known shift."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hifa_cli.adaptation.jgsa import _RIDGE, fit_jgsa, jgsa_matrices, largest
from hifa_cli.adaptation.neighbours import nearest_labels, unit_rows
from hifa_cli.config import AdaptConfig
from tests.adaptation import reference
from tests.domains import Floats, accuracy, random_domains, turned_domains

PLAIN = AdaptConfig(prepare="none")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weights", [(1.0, 0.1, 1.0), (0.3, 2.0, 0.7)])
def test_the_matrices_are_those_of_the_paper(seed: int, weights: tuple[float, float, float]) -> None:
    source, labels, target = random_domains(seed)
    guesses = nearest_labels(source, labels, target)
    if seed == 3:
        guesses[:] = 1  # two classes have no shape
    config = AdaptConfig(alpha=weights[0], beta=weights[1], mu=weights[2])
    greatest, least = jgsa_matrices(source, labels, target, guesses, config)
    wanted = reference.jgsa_matrices(source, labels, target, guesses, *weights)
    assert_allclose(greatest, wanted[0], rtol=1e-10, atol=1e-12)
    assert_allclose(least, wanted[1] + _RIDGE * np.eye(12), rtol=1e-10, atol=1e-12)


@given(st.integers(0, 10_000), st.integers(2, 7), st.integers(1, 4))
@settings(deadline=None, max_examples=25)
def test_both_matrices_are_symmetric_and_the_least_is_positive(seed: int, size: int, classes: int) -> None:
    source, labels, target = random_domains(seed, 9, 7, size, classes)
    guesses = nearest_labels(source, labels, target)
    greatest, least = jgsa_matrices(source, labels, target, guesses, PLAIN)
    assert_allclose(greatest, greatest.T, atol=1e-10)
    assert_allclose(least, least.T, atol=1e-10)
    assert np.linalg.eigvalsh(least).min() > 0
    assert np.linalg.eigvalsh(greatest).min() > -1e-9


def fixed_point(config: AdaptConfig, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """S_max, S_min and [A; B] of a fit whose guesses no longer change."""
    source, labels, target = random_domains(seed, 60, 50)
    maps = fit_jgsa(source, labels, target, replace(config, iterations=100), 4)
    xs, xt = maps.prepared(source, 0), maps.prepared(target, 1)
    guesses = nearest_labels(xs @ maps.source, labels, xt @ maps.target)
    greatest, least = jgsa_matrices(xs, labels, xt, guesses, config)
    return greatest, least, np.concatenate((maps.source, maps.target))


@pytest.mark.parametrize("prepare", ["none", "unit", "zscore"])
def test_the_maps_solve_the_generalised_eigenproblem(prepare: str) -> None:
    greatest, least, vectors = fixed_point(AdaptConfig(prepare=prepare))  # type: ignore[arg-type]
    values = np.diag(vectors.T @ greatest @ vectors)
    residual = greatest @ vectors - least @ vectors * values
    assert np.abs(residual).max() < 1e-8 * np.abs(greatest).max()
    assert_allclose(vectors.T @ least @ vectors, np.eye(4), atol=1e-9)  # the constraint
    assert (np.diff(values) <= 1e-12).all()
    # and no other direction is better than the last: the largest of an independent solver
    everything = np.sort(np.linalg.eigvals(np.linalg.solve(least, greatest)).real)[::-1]
    assert_allclose(values, everything[:4], rtol=1e-7)


def test_the_sign_of_a_solution_is_fixed() -> None:
    greatest, least = jgsa_matrices(*random_domains(1), np.zeros(18, dtype=np.int64), PLAIN)
    _, vectors = largest(greatest, least, 5)
    top = np.abs(vectors).argmax(axis=0)
    assert (vectors[top, np.arange(5)] > 0).all()


def test_fewer_vectors_than_numbers_give_the_solution_of_the_whole_space() -> None:
    source, labels, target = random_domains(2, 8, 6, dimension=30)
    config = replace(PLAIN, iterations=1)
    maps = fit_jgsa(source, labels, target, config, 3)
    guesses = nearest_labels(source, labels, target)
    values, vectors = largest(*jgsa_matrices(source, labels, target, guesses, config), 3)
    assert_allclose(maps.values, values, rtol=1e-9)
    assert_allclose(np.abs(np.concatenate((maps.source, maps.target))), np.abs(vectors), atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_a_known_shift_is_undone(seed: int) -> None:
    source, labels, target, hidden = turned_domains(seed)
    maps = fit_jgsa(source, labels, target, PLAIN, 10)
    assert accuracy(source, labels, target, hidden) < 0.45
    assert accuracy(maps(source, 0), labels, maps(target, 1), hidden) > 0.9
    later, _, other, wanted = turned_domains(seed)[0:4]  # applied to photos and shapes drawn anew
    other, wanted = turned_domains(seed + 100)[2:]
    assert accuracy(source, labels, other, wanted) < 0.45
    assert accuracy(maps(later, 0), labels, maps(other, 1), wanted) > 0.85


def test_vectors_are_prepared_as_they_were_for_fitting() -> None:
    source, labels, target = random_domains(0)
    unit = fit_jgsa(source, labels, target, AdaptConfig(prepare="unit"), 2)
    assert_allclose(unit.prepared(source, 1), unit_rows(source))
    zscore = fit_jgsa(source, labels, target, AdaptConfig(prepare="zscore"), 2)
    for domain, part in enumerate((source, target)):
        rows = zscore.prepared(part, domain)
        assert_allclose(rows.mean(axis=0), 0, atol=1e-12)
        assert_allclose(rows.std(axis=0), 1)


def test_one_class_one_item_and_constant_columns_give_numbers() -> None:
    for photos, shapes, classes in ((1, 1, 1), (5, 1, 2), (1, 5, 1)):
        source, labels, target = random_domains(0, photos, shapes, 4, classes)
        source[:, 0] = target[:, 0] = 0
        for prepare in ("unit", "zscore", "none"):
            maps = fit_jgsa(source, labels, target, AdaptConfig(prepare=prepare), 3)
            assert np.isfinite(maps(source, 0)).all()
            assert np.isfinite(maps(target, 1)).all()
