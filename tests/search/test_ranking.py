"""The order of answers: exact, stable, the same in whatever blocks it is computed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

import hifa_cli.search.ranking
from hifa_cli.search.ranking import normalised, ranked, rows_a_block
from tests.reference_metrics import exact_order

Floats = NDArray[np.floating]
small = arrays(np.int64, st.tuples(st.integers(1, 12), st.just(4)), elements=st.integers(-2, 3))


def order(
    queries: Floats, gallery: Floats, *, best: int | None = None, rows: int | None = None
) -> NDArray[np.int64]:
    labels = (np.zeros(len(queries), np.int64), np.zeros(len(gallery), np.int64))
    return np.concatenate([one.rows() for one in ranked(queries, gallery, *labels, best=best, rows=rows)])


@given(small, small)
def test_ranks_are_those_of_exact_arithmetic_with_ties_in_gallery_order(
    queries: NDArray[np.int64], gallery: NDArray[np.int64]
) -> None:
    """Small integers tie all the time, in parallel vectors and in others: (1,0,0) and (1,2,2) at (1,1,0)."""
    found = order(queries.astype(np.float32), gallery.astype(np.float32))
    assert found.tolist() == [exact_order(query, gallery.tolist()) for query in queries.tolist()]


def test_equal_vectors_tie_however_the_product_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix product rounds differently at the rim of a block; equal vectors must not notice."""
    generator = np.random.default_rng(0)
    distinct = generator.standard_normal((40, 257)).astype(np.float32)
    copies = generator.integers(0, 40, 700)
    gallery, queries = distinct[copies], generator.standard_normal((61, 257)).astype(np.float32)
    whole = order(queries, gallery)
    for row in whole:
        where = np.argsort(row)
        for kind in range(40):
            assert np.all(np.diff(where[np.flatnonzero(copies == kind)]) == 1)
    for rows, tile in ((1, 1024), (1, 7), (2, 64), (7, 3), (61, 1), (60, 699)):
        monkeypatch.setattr(hifa_cli.search.ranking, "_TILE", tile)
        np.testing.assert_array_equal(order(queries, gallery, rows=rows), whole, err_msg=f"{rows} {tile}")


def test_no_rounding_of_a_product_gets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """With steps as fine as 2⁻⁵⁰ the roundings of the product would show; the caution grows with them."""
    monkeypatch.setattr(hifa_cli.search.ranking, "_LEVELS", 2.0**50)
    generator = np.random.default_rng(3)
    queries, gallery = normalised(generator.random((40, 257))), normalised(generator.random((90, 257)))
    whole = hifa_cli.search.ranking._levels(queries, gallery)
    one_by_one = [[hifa_cli.search.ranking._levels(q[None], g[None])[0, 0] for g in gallery] for q in queries]
    np.testing.assert_array_equal(whole, one_by_one)


@pytest.mark.parametrize("caution", [4, 1e6, 1e12])
def test_scores_computed_once_more_are_the_exact_ones(
    monkeypatch: pytest.MonkeyPatch, caution: float
) -> None:
    """Whether none, some or all scores count as near a boundary, they must come out the same."""
    generator = np.random.default_rng(1)
    unit = normalised(generator.standard_normal((50, 33)))
    plain = hifa_cli.search.ranking._levels(unit, unit)
    monkeypatch.setattr(hifa_cli.search.ranking, "_CAUTION", caution)
    monkeypatch.setattr(hifa_cli.search.ranking, "_TILE", 37)
    np.testing.assert_array_equal(hifa_cli.search.ranking._levels(unit, unit), plain)
    exact = np.rint([[math.fsum(a * b) * 2**32 for b in unit] for a in unit])
    np.testing.assert_array_equal(plain, np.minimum(exact, 2**32))


@pytest.mark.parametrize("size", [30, 3000])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.97, 1.0, 2.0])
def test_the_best_are_the_first_of_all_even_where_ties_cross_the_cut(size: int, share: float) -> None:
    generator = np.random.default_rng(size)
    gallery = generator.integers(0, 2, (size, 3)).astype(np.float32)  # eight distinct vectors at most
    queries = generator.integers(0, 3, (17, 3)).astype(np.float32)
    best = int(size * share) + 1
    np.testing.assert_array_equal(
        order(queries, gallery, best=best, rows=5), order(queries, gallery)[:, :best]
    )


@settings(max_examples=50)
@given(st.sampled_from([1e-30, 1e-12, 1.0, 3e8, 1e30, 3.4e38]), st.sampled_from([1e-38, 1e-20, 1.0, 1e30]))
def test_no_scale_changes_the_order(of_queries: float, of_gallery: float) -> None:
    generator = np.random.default_rng(2)
    queries = generator.uniform(-1, 1, (5, 16)).astype(np.float32)
    gallery = generator.uniform(-1, 1, (60, 16)).astype(np.float32)
    scaled = order(queries * np.float32(of_queries), gallery * np.float32(of_gallery))
    np.testing.assert_array_equal(scaled, order(queries, gallery))


def test_every_row_has_its_own_scale() -> None:
    generator = np.random.default_rng(4)
    gallery = generator.uniform(-1, 1, (60, 16))
    scales = 2.0 ** generator.integers(-90, 90, (60, 1))
    queries = generator.uniform(-1, 1, (5, 16))
    np.testing.assert_array_equal(
        order(queries, (gallery * scales).astype(np.float32)), order(queries, gallery.astype(np.float32))
    )


def test_negative_values_do_not_count() -> None:
    gallery = np.array([[1, 1, 0], [1, -9, 0], [1, 0, -9]], dtype=np.float32)
    assert order(np.array([[1, -5, 0]], dtype=np.float32), gallery).tolist() == [[1, 2, 0]]


def test_rows_without_a_positive_value_stay_zero_and_come_last_in_gallery_order() -> None:
    assert normalised(np.array([[-1.0, -2.0], [0.0, 0.0]])).tolist() == [[0, 0], [0, 0]]
    gallery = np.array([[0, 0], [-1, 0], [1, 5], [0, 0]], dtype=np.float32)
    assert order(np.array([[1, 0]], dtype=np.float32), gallery).tolist() == [[2, 0, 1, 3]]


@given(arrays(np.float32, (6, 5), elements=st.floats(-(2.0**127), 2.0**127, width=32)))
def test_normalised_rows_have_length_one_or_none(vectors: Floats) -> None:
    lengths = np.linalg.norm(normalised(vectors), axis=1)
    positive = (vectors > 0).any(axis=1)
    np.testing.assert_allclose(lengths, positive.astype(float), atol=1e-12)


def test_scores_are_cosines() -> None:
    generator = np.random.default_rng(5)
    queries, gallery = generator.random((3, 8)), generator.random((9, 8))
    labels = (np.zeros(3, np.int64), np.zeros(9, np.int64))
    (block,) = ranked(queries, gallery, *labels)
    cosines = queries @ gallery.T / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(gallery, axis=1)
    np.testing.assert_allclose(block.scores(), -np.sort(-cosines, axis=1), atol=2.0**-32)


def test_relevant_answers_are_those_of_the_same_label() -> None:
    generator = np.random.default_rng(6)
    asked, held = generator.integers(-1, 3, 20), generator.integers(-1, 3, 50)
    queries, gallery = generator.random((20, 4)), generator.random((50, 4))
    for block in ranked(queries, gallery, asked, held, rows=7):
        np.testing.assert_array_equal(block.relevant(), held[block.rows()] == asked[block.queries, None])


def test_memory_is_bounded_by_the_gallery_and_not_by_the_queries() -> None:
    assert rows_a_block(1_000_000) * 1_000_000 * 8 == 512_000_000
    assert rows_a_block(3_848) * 3_848 * 8 <= 16 << 20


def test_a_gallery_beyond_the_keys_is_refused() -> None:
    class Huge(np.ndarray):
        def __len__(self) -> int:
            return 1 << 30

    with pytest.raises(ValueError, match="too large"):
        next(
            ranked(np.ones((1, 1)), np.ones((1, 1)).view(Huge), np.zeros(1, np.int64), np.zeros(1, np.int64))
        )
