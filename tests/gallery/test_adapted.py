"""A gallery of adapted shapes: a photo goes through the model and the maps, as its export did."""

import json
from pathlib import Path

import numpy as np
import pytest

import hifa_cli as api
from hifa_cli.embeddings.io import read_export
from hifa_cli.gallery import read_gallery
from tests.cli.test_cli import hifa, one_line
from tests.conftest import write_photos, write_views

METHODS = ("jgsa", "meda")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export, and what each method made of it and kept."""
    root = tmp_path_factory.mktemp("adapted")
    write_photos(root / "photos", each=6)
    write_views(root / "views", each=5, views=2)
    assert (
        hifa("export", "--images", root / "photos", "--shapes", root / "views", "-o", root / "e.h5", "-q")[0]
        == 0
    )
    for method in METHODS:
        words = ("adapt", root / "e.h5", "--fit", root / "e.h5", "--method", method, "--dimension", "3", "-q")
        code, _, err = hifa(*words, "--maps", root / f"{method}.maps", "--out", root / f"{method}.h5")
        assert code == 0, err
    return root


def made(place: Path, out: Path, method: str) -> Path:
    code, _, err = hifa(
        "index", place / f"{method}.h5", "--maps", place / f"{method}.maps", "--out", out, "-q"
    )
    assert code == 0, err
    return out


@pytest.mark.parametrize("method", METHODS)
def test_a_photo_finds_what_its_adapted_export_finds(place: Path, tmp_path: Path, method: str) -> None:
    gallery = made(place, tmp_path / "g", method)
    export = read_export(place / f"{method}.h5")
    assert export.images is not None
    for row in (0, 7, 13):
        photo = place / "photos" / f"{export.images.ids[row]}.png"
        code, out, err = hifa("query", photo, "-g", gallery, "--json", "--top", "15")
        assert code == 0, err
        found = [(one["shape"], one["score"]) for one in json.loads(out)["results"][0]["matches"]]
        scores, rows = read_gallery(gallery).search(export.images.vectors[row : row + 1], 15)
        np.testing.assert_allclose([score for _, score in found], scores[0], atol=2e-4)
        assert found[0][0] in {
            read_gallery(gallery).ids[int(one)] for one in rows[0][scores[0] > scores[0][0] - 1e-3]
        }


def test_python_makes_and_asks_such_a_gallery_too(place: Path, tmp_path: Path) -> None:
    gallery = api.build_gallery(place / "jgsa.h5", tmp_path / "g", maps=place / "jgsa.maps")
    hits = gallery.query(place / "photos/bars/0.png", top_k=4)
    assert len(hits) == 4
    assert gallery.stored.thumbnail(0) is not None  # of the views that the export below was made of


def test_a_gallery_of_adapted_shapes_is_right_and_moves(place: Path, tmp_path: Path) -> None:
    gallery = made(place, tmp_path / "g", "meda")
    assert hifa("index", "--verify", gallery)[0] == 0
    gallery.rename(tmp_path / "moved")
    assert hifa("query", place / "photos/bars/0.png", "-g", tmp_path / "moved", "-q")[0] == 0
    (maps,) = (tmp_path / "moved" / "models").glob("*/maps.safetensors")
    maps.write_bytes((place / "jgsa.maps").read_bytes())
    assert hifa("index", "--verify", tmp_path / "moved")[0] == 1


def test_without_the_maps_a_photo_is_refused_with_the_remedy(place: Path, tmp_path: Path) -> None:
    code, _, err = hifa("index", place / "jgsa.h5", "--out", tmp_path / "g")
    assert code == 0
    assert "give --maps MAPS" in err
    code, _, err = hifa("query", place / "photos/bars/0.png", "-g", tmp_path / "g")
    assert code == 1
    assert "--maps" in one_line(err)


def test_maps_of_another_export_are_refused(place: Path, tmp_path: Path) -> None:
    for source in ("jgsa.h5", "e.h5"):
        code, _, err = hifa("index", place / source, "--maps", place / "meda.maps", "--out", tmp_path / "g")
        assert code == 1
        assert "was not adapted by" in one_line(err)
        assert not (tmp_path / "g").exists()
    code, _, err = hifa("index", place / "views", "--maps", place / "meda.maps", "--out", tmp_path / "g")
    assert code == 2
    assert "--maps goes with one SOURCE" in one_line(err)


def test_a_damaged_file_of_maps_is_one_line(place: Path, tmp_path: Path) -> None:
    (tmp_path / "maps").write_bytes(b"torn")
    code, _, err = hifa("index", place / "meda.h5", "--maps", tmp_path / "maps", "--out", tmp_path / "g")
    assert code == 1
    assert "holds no maps of 'hifa adapt'" in one_line(err)
