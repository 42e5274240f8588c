"""A few labelled photos say of which class photos and shapes are, and nothing of what they do not know."""

from pathlib import Path

import numpy as np
import pytest

from hifa_cli.adaptation.labels import fit_classes, read_classes, write_classes
from hifa_cli.errors import HifaError

WIDTH, CLASSES = 24, 5
Floats = np.ndarray


def unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float32)


def world(each: int, seed: int = 0, classes: int = CLASSES) -> tuple[Floats, Floats, Floats]:
    """Unit vectors of photos, their labels, and views of shapes (m, V, D) of the classes in turn."""
    draw = np.random.default_rng(seed)
    means = 2 * np.random.default_rng(7).normal(size=(classes, WIDTH))
    labels = np.repeat(np.arange(classes), each)
    photos = unit(means[labels] + draw.normal(size=(len(labels), WIDTH)) + 1)
    kinds = np.tile(np.arange(classes), 12)
    offset = 2 * np.random.default_rng(8).normal(size=WIDTH)
    views = unit(means[kinds][:, None] + 0.7 * draw.normal(size=(len(kinds), 6, WIDTH)) + offset)
    return photos, labels, views


@pytest.mark.parametrize("each", [1, 3, 20])
def test_photos_and_shapes_get_their_classes(each: int) -> None:
    photos, labels, views = world(each)
    found = fit_classes(photos, photos, labels)
    asked, wanted, _ = world(20, seed=1)
    said = found.of_photos(asked)
    inside = said.any(axis=1)
    assert inside.mean() > 0.6
    assert (said.argmax(axis=1) == wanted)[inside].mean() > 0.9
    shapes = found.of_shapes(views)
    assert (shapes.argmax(axis=1) == np.tile(np.arange(CLASSES), 12)).mean() > 0.9
    np.testing.assert_allclose((shapes**2).sum(axis=1), 1, rtol=1e-5)


def test_a_photo_unlike_all_labelled_ones_says_nothing() -> None:
    photos, labels, _ = world(20)
    found = fit_classes(photos, photos, labels)
    strange = unit(np.random.default_rng(3).normal(size=(50, WIDTH)) * 3)
    assert (found.of_photos(strange).any(axis=1)).mean() < 0.3
    assert found.of_photos(photos).any(axis=1).mean() > 0.9


def test_views_that_are_not_there_count_for_nothing() -> None:
    photos, labels, views = world(5)
    found = fit_classes(photos, photos, labels)
    padded = np.concatenate((views, np.zeros_like(views[:, :3])), axis=1)
    np.testing.assert_allclose(found.of_shapes(padded), found.of_shapes(views), atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_and_equal_shapes_get_finite_classes(count: int) -> None:
    photos, labels, views = world(3)
    found = fit_classes(photos, photos, labels)
    for some in (views[:count], np.repeat(views[:1], count, axis=0)):
        shapes = found.of_shapes(some)
        assert shapes.shape == (count, CLASSES)
        assert np.isfinite(shapes).all()


def test_very_unbalanced_classes_are_told_apart() -> None:
    photos, labels, _ = world(60)
    kept = np.flatnonzero(
        (labels > 0) | (np.arange(len(labels)) < 3)
    )  # 3 of the first class, 60 of the others
    found = fit_classes(photos[kept], photos[kept], labels[kept])
    asked, wanted, _ = world(20, seed=1)
    said = found.of_photos(asked)
    first = (wanted == 0) & said.any(axis=1)
    assert (said.argmax(axis=1) == 0)[first].mean() > 0.8


def test_the_same_photos_in_two_classes_leave_both_likely() -> None:
    photos, labels, _ = world(10)
    twice = np.concatenate((photos, photos[labels == 0]))
    marked = np.concatenate((labels, np.full(10, CLASSES)))
    said = fit_classes(twice, twice, marked).of_photos(photos[labels == 0])
    seen = said[said.any(axis=1)]
    np.testing.assert_allclose(seen[:, 0] ** 2, seen[:, CLASSES] ** 2, atol=0.05)


def test_two_classes_have_one_regression_for_both() -> None:
    photos, labels, _ = world(10, classes=2)
    said = fit_classes(photos, photos, labels).of_photos(photos)
    inside = said.any(axis=1)
    np.testing.assert_allclose((said[inside] ** 2).sum(axis=1), 1, rtol=1e-5)
    assert (said.argmax(axis=1) == labels)[inside].all()


def test_one_class_is_refused() -> None:
    photos, labels, _ = world(5)
    with pytest.raises(HifaError, match="of one class"):
        fit_classes(photos[:5], photos[:5], labels[:5])


def test_what_was_fitted_is_read_back_and_nothing_else_is(tmp_path: Path) -> None:
    photos, labels, _ = world(4)
    found, path = fit_classes(photos, photos, labels), tmp_path / "classes.npz"
    write_classes(path, found)
    again = read_classes(path, CLASSES, WIDTH)
    np.testing.assert_array_equal(again.of_photos(photos), found.of_photos(photos))
    for classes, width in ((CLASSES + 1, WIDTH), (CLASSES, WIDTH + 1)):
        with pytest.raises(ValueError, match="no "):
            read_classes(path, classes, width)
    np.savez_compressed(path, weights=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="packed"):
        read_classes(path, 2, 2)
