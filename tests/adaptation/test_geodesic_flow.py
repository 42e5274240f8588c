"""The geodesic flow kernel is the integral along the path between two subspaces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hifa_cli.adaptation.geodesic_flow import geodesic_map, principal_axes
from tests.adaptation import reference
from tests.domains import Floats


def subspace(seed: int, dimension: int, count: int) -> Floats:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dimension, count)))[0]


@pytest.mark.parametrize("seed", range(4))
def test_the_kernel_is_the_integral_along_the_path(seed: int) -> None:
    source, target = subspace(seed, 8, 3), subspace(seed + 50, 8, 3)
    if seed == 3:
        target[:, 0] = source[:, 0]  # the subspaces share a direction
        target = np.linalg.qr(target)[0]
    found = geodesic_map(source, target)
    assert found.shape == (8, 6)
    assert_allclose(found @ found.T, reference.flow_kernel(source, target), atol=1e-6)


def test_a_turn_in_the_plane_by_hand() -> None:
    # from the first axis to the second: ∫ (cos, sin)(cos, sin)ᵀ over a quarter turn
    found = geodesic_map(np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]]))
    assert_allclose(found @ found.T, [[0.5, 1 / np.pi], [1 / np.pi, 0.5]], atol=1e-12)


@given(st.integers(0, 10_000), st.integers(2, 9), st.data())
@settings(deadline=None, max_examples=30)
def test_the_kernel_has_trace_d_and_does_not_mind_the_basis_or_the_direction(
    seed: int, dimension: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, dimension // 2))
    source, target = subspace(seed, dimension, count), subspace(seed + 1, dimension, count)
    root = geodesic_map(source, target)
    kernel = root @ root.T
    assert np.trace(kernel) == pytest.approx(count)
    assert np.linalg.eigvalsh(kernel).min() > -1e-9
    assert np.linalg.eigvalsh(kernel).max() < 1 + 1e-9
    turned = geodesic_map(source @ subspace(seed + 2, count, count), target)
    assert_allclose(turned @ turned.T, kernel, atol=1e-8)
    back = geodesic_map(target, source)
    assert_allclose(back @ back.T, kernel, atol=1e-8)


def test_between_equal_subspaces_it_is_the_projection() -> None:
    basis = subspace(0, 7, 3)
    found = geodesic_map(basis, basis)
    assert_allclose(found @ found.T, basis @ basis.T, atol=1e-12)


@pytest.mark.parametrize("count", [5, 60])
def test_the_axes_are_those_of_the_largest_variance(count: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(count, 8)) * np.arange(8, 0, -1) ** 2 + 5
    axes = principal_axes(vectors, 3)
    assert_allclose(axes.T @ axes, np.eye(3), atol=1e-10)
    variances = (vectors @ axes).var(axis=0)
    assert (np.diff(variances) < 0).all()
    whole = np.sort(np.linalg.eigvalsh(np.cov(vectors.T, bias=True)))[::-1]
    assert_allclose(variances, whole[:3], rtol=1e-8)
