"""Neighbours are the nearest, and a Laplacian is one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hifa_cli.adaptation import neighbours
from tests.adaptation import reference
from tests.domains import random_domains


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 9))
@settings(deadline=None, max_examples=30)
def test_labels_are_those_of_the_nearest(seed: int, count: int, queries: int) -> None:
    draw = np.random.default_rng(seed)
    vectors, asked = draw.normal(size=(count, 3)), draw.normal(size=(queries, 3))
    labels = draw.integers(0, 5, count)
    found = neighbours.nearest_labels(vectors, labels, asked)
    assert found.tolist() == reference.nearest(vectors, labels, asked).tolist()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    source, labels, target = random_domains(0)
    whole = neighbours.nearest_labels(source, labels, target), neighbours.cosine_graph(source, 4).toarray()
    monkeypatch.setattr(neighbours, "_BLOCK", 50)
    assert (neighbours.nearest_labels(source, labels, target) == whole[0]).all()
    assert_allclose(neighbours.cosine_graph(source, 4).toarray(), whole[1], rtol=0, atol=1e-15)


def test_the_first_of_equals_is_the_nearest() -> None:
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert neighbours.nearest_labels(vectors, np.array([7, 8, 9]), np.array([[1.0, 0.1]])).tolist() == [7]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [1, 3, 10, 40])
def test_the_laplacian_is_that_of_the_graph_of_neighbours(seed: int, count: int) -> None:
    vectors, _, _ = random_domains(seed)
    found = neighbours.laplacian(neighbours.cosine_graph(vectors, count)).toarray()
    assert_allclose(found, reference.graph_laplacian(vectors, count), atol=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(0, 6))
@settings(deadline=None, max_examples=40)
def test_a_laplacian_is_symmetric_semidefinite_and_blind_to_the_roots_of_the_degrees(
    seed: int, count: int, near: int
) -> None:
    vectors = np.random.default_rng(seed).normal(size=(count, 3))
    vectors[:: max(count // 2, 1)] = 0  # vectors of nothing have no neighbours
    weights = neighbours.cosine_graph(vectors, near)
    graph = neighbours.laplacian(weights).toarray()
    assert_allclose(graph, graph.T, atol=1e-12)
    values = np.linalg.eigvalsh(graph)
    assert values.min() > -1e-9
    assert values.max() < 2 + 1e-9
    degrees = weights.toarray().sum(axis=1)
    assert_allclose(graph @ np.sqrt(degrees), 0, atol=1e-9)
