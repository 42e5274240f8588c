"""What users may bring: the default recipe ends in a sound network, or in one clear line."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hifa_cli.data import find_images, find_shapes
from hifa_cli.embeddings.extract import export, load_encoder
from hifa_cli.errors import HifaError
from hifa_cli.runtime.progress import reporting
from tests.conftest import write_photos, write_views
from tests.training.test_pseudo_labels import OURS
from tests.training.test_trainer import Listening, run

Spoil = Callable[[Path, Path], None]


def one_photo_per_class(photos: Path, views: Path) -> None:
    for folder in photos.iterdir():
        for photo in sorted(folder.iterdir())[1:]:
            photo.unlink()


def one_class(photos: Path, views: Path) -> None:
    for name in ("blobs", "rings"):
        shutil.rmtree(photos / name)


def more_classes_than_shapes(photos: Path, views: Path) -> None:
    for folder in (views / "bars", views / "blobs"):
        shutil.rmtree(folder)
    shutil.rmtree(views / "rings" / "shape1")


def equal_shapes(photos: Path, views: Path) -> None:
    first = views / "bars" / "shape0"
    for shape in sorted(views.glob("*/*")):
        if shape != first:
            shutil.rmtree(shape)
            shutil.copytree(first, shape)


def shapes_of_none_of_the_classes(photos: Path, views: Path) -> None:
    one_class(photos, views)
    shutil.copytree(photos / "bars", photos / "more")
    shutil.rmtree(views / "bars")


def photos_in_two_classes(photos: Path, views: Path) -> None:
    shutil.copytree(photos / "bars", photos / "stripes")


def very_unbalanced(photos: Path, views: Path) -> None:
    for number in range(60):
        shutil.copy(photos / "bars" / f"{number % 4}.png", photos / "bars" / f"again{number}.png")
    for photo in sorted((photos / "rings").iterdir())[1:]:
        photo.unlink()


@pytest.mark.parametrize(
    "spoil",
    [one_class, one_photo_per_class, more_classes_than_shapes, equal_shapes, shapes_of_none_of_the_classes,
     photos_in_two_classes, very_unbalanced],
)  # fmt: skip
def test_the_default_recipe_ends_in_a_sound_network(spoil: Spoil, tmp_path: Path) -> None:
    photos, views = write_photos(tmp_path / "photos"), write_views(tmp_path / "views", views=3)
    spoil(photos, views)
    heard = Listening()
    with reporting(heard):
        weights = run(photos, views, tmp_path / "run", method="hifa-l", **OURS)
    assert all(torch.isfinite(value).all() for value in weights.values())
    encoder = load_encoder(tmp_path / "run", torch.device("cpu"))
    made = export(encoder, find_images(photos), find_shapes(views), about={})
    for part in (made.images, made.shapes):
        assert part is not None
        assert np.isfinite(part.vectors).all()
        assert (np.linalg.norm(part.vectors, axis=1) > 0).all()
    assert all("\n" not in line for line in heard.said)


def test_an_empty_folder_of_a_class_is_no_class_for_any_shape(tmp_path: Path) -> None:
    photos, views = write_photos(tmp_path / "photos"), write_views(tmp_path / "views", views=3)
    (photos / "empty").mkdir()
    run(photos, views, tmp_path / "run", method="hifa-l", **OURS)


def test_photos_that_cannot_be_read_leave_no_class_behind_that_counts(tmp_path: Path) -> None:
    photos, views = write_photos(tmp_path / "photos"), write_views(tmp_path / "views", views=3)
    for photo in (photos / "rings").iterdir():
        photo.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    weights = run(photos, views, tmp_path / "run", method="hifa-l", **OURS)
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_no_shapes_at_all_are_one_line(tmp_path: Path) -> None:
    photos, views = write_photos(tmp_path / "photos"), write_views(tmp_path / "views", views=3)
    for folder in views.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    with pytest.raises(HifaError, match=r"shapes|views"):
        run(photos, views, tmp_path / "run", method="hifa-l", **OURS)
