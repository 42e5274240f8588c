"""Worn copies of photos."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hifa_cli.synthetic.wear import Picture, worn


def noisy(width: int, height: int, seed: int) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 10**6))
def test_a_copy_is_a_picture_no_larger_than_the_photo(width: int, height: int, seed: int) -> None:
    copy = worn(noisy(width, height, 0), noisy(40, 30, 1), np.random.default_rng(seed))
    assert copy.dtype == np.uint8
    assert copy.ndim == 3
    assert 1 <= copy.shape[0] <= height
    assert 1 <= copy.shape[1] <= width


def test_one_seed_makes_one_copy_and_another_seed_another() -> None:
    photo, other = noisy(96, 80, 0), noisy(96, 80, 1)
    first, again, else_ = (worn(photo, other, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert first.shape != else_.shape or (first != else_).any()


def test_the_subject_stays_in_sight() -> None:
    """A white square of a fifth of the side in the middle keeps most of its area in nearly all copies."""
    photo = np.zeros((200, 200, 3), dtype=np.uint8)
    photo[80:120, 80:120] = 255
    black = np.zeros_like(photo)
    kept = []
    for seed in range(60):
        copy = worn(photo, black, np.random.default_rng(seed)).astype(float) / 255
        scale = (200 / copy.shape[0]) ** 2
        kept.append((copy.mean(axis=2) > 0.4).sum() * scale / 1600)
    assert np.mean(np.array(kept) > 0.4) > 0.8
    assert np.median(kept) == pytest.approx(1, abs=0.3)
