"""A gallery is taught by labelled photos: it keeps its shapes, ranks by class, and goes on being changed."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hifa_cli.cli import app
from hifa_cli.gallery import read_gallery
from tests.conftest import write_photos, write_views


def hifa(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, views, an untrained gallery and the same one taught."""
    folder = tmp_path_factory.mktemp("taught")
    write_photos(folder / "photos")
    write_views(folder / "views", views=3)
    assert hifa("index", folder / "views", "--out", folder / "plain").exit_code == 0
    words = ("adapt", folder / "plain", "--method", "labels", "--fit", folder / "photos")
    done = hifa(*words, "--out", folder / "taught", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["shapes"], said["photos"], said["classes"]) == (9, 12, 3)
    assert sum(said["shapes_by_class"].values()) == 9
    return folder


def shown(gallery: Path, photo: Path, *words: object) -> list[tuple[str, float]]:
    done = hifa("query", photo, "-g", gallery, "--json", "--top", 9, *words)
    assert done.exit_code == 0, done.output
    return [(one["shape"], one["score"]) for one in json.loads(done.stdout)["results"][0]["matches"]]


def test_shapes_of_the_photos_class_come_first_and_the_part_is_as_before(place: Path) -> None:
    photo = place / "photos" / "rings" / "1.png"
    taught, plain = place / "taught", place / "plain"
    wanted = np.load(read_gallery(taught).place / "shape_classes.npy")[:, 2]
    order = [name for name, _ in shown(taught, photo, "--find", "kind")]
    ids = list(read_gallery(taught).ids)
    best = sorted(range(9), key=lambda row: -wanted[row])[:3]
    assert {ids[row] for row in best} & set(order[:3])
    assert dict(shown(taught, photo, "--find", "part")) == pytest.approx(
        dict(shown(plain, photo, "--find", "part"))
    )


def test_the_source_is_left_as_it_was(place: Path) -> None:
    assert read_gallery(place / "plain").taught is None
    assert read_gallery(place / "taught").taught is not None
    assert hifa("index", "--verify", "--out", place / "taught").exit_code == 0


def test_what_is_removed_later_leaves_the_rest_taught(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "taught", tmp_path / "gallery")
    assert hifa("index", "--remove", "bars/shape0", "--out", tmp_path / "gallery").exit_code == 0
    left = read_gallery(tmp_path / "gallery")
    assert left.taught is not None
    assert np.load(left.place / "shape_classes.npy").shape == (8, 3)
    assert len(shown(tmp_path / "gallery", place / "photos" / "bars" / "0.png")) == 8


def test_a_gallery_can_be_taught_in_place_and_again(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "plain", tmp_path / "gallery")
    for _ in range(2):
        words = ("adapt", tmp_path / "gallery", "--method", "labels", "--fit", place / "photos")
        assert hifa(*words, "--out", tmp_path / "gallery", "-q").exit_code == 0
    names = read_gallery(tmp_path / "gallery").taught
    assert names is not None
    assert names[1] == ("bars", "blobs", "rings")


def test_damaged_classes_are_one_line(place: Path, tmp_path: Path) -> None:
    for name, content in (("photo_classes.npz", b"PK nothing"), ("shape_classes.npy", b"nothing")):
        folder = tmp_path / name
        shutil.copytree(place / "taught", folder)
        (read_gallery(folder).place / name).write_bytes(content)
        done = hifa("query", place / "photos" / "bars" / "0.png", "-g", folder)
        assert done.exit_code == 1
        assert "damaged" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "labels"), "needs --fit PHOTOS"),
        (("--method", "meda", "--fit", "photos"), "takes a gallery"),
        (("--method", "labels", "--fit", "photos", "--maps", "m"), "neither --maps"),
    ],
)
def test_wrong_words_are_usage(words: tuple[str, ...], message: str, place: Path, tmp_path: Path) -> None:
    done = hifa("adapt", place / "plain", *words, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_photos_of_one_class_and_a_gallery_that_ranks_otherwise_are_refused(
    place: Path, tmp_path: Path
) -> None:
    shutil.copytree(place / "photos" / "bars", tmp_path / "photos" / "bars")
    words = ("adapt", place / "plain", "--method", "labels", "--out", tmp_path / "out", "--fit")
    done = hifa(*words, tmp_path / "photos")
    assert done.exit_code == 1
    assert "two or more classes" in " ".join(done.output.split())
    hifa("index", place / "views", "--ranking", "paper", "--out", tmp_path / "paper")
    done = hifa("adapt", tmp_path / "paper", *words[2:], place / "photos")
    assert done.exit_code == 1
    assert "does not rank by the pretrained encoder" in " ".join(done.output.split())
