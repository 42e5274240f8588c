"""A gallery of an encoder that knows words is asked with words; random weights: shapes and plumbing alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hifa_cli.embeddings.encoder import graph_encoder
from hifa_cli.embeddings.text import TEXT_WEIGHTS, text_vector
from hifa_cli.errors import HifaError
from hifa_cli.gallery import read_gallery
from hifa_cli.models.backbones import backbone_of
from tests.cli.test_cli import hifa, one_line
from tests.conftest import write_photos, write_views

pytest.importorskip("open_clip", reason="NO open_clip: words are not looked for")
NAME = "openclip/ViT-S-32"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, and a gallery of rendered shapes by an untrained CLIP."""
    root = tmp_path_factory.mktemp("words")
    write_photos(root / "photos", each=1)
    write_views(root / "views", each=2)
    words = ("--backbone", NAME, "--weights", "none", "--size", "64", "--quiet")
    code, _, err = hifa("index", root / "views", "--out", root / "gallery", *words)
    assert code == 0, err
    folder = read_gallery(root / "gallery").model_folder
    assert folder is not None
    assert graph_encoder(folder) is not None  # photos need no torch
    return root


def asked(world: Path, *words: object) -> dict[str, Any]:
    code, out, err = hifa("query", *words, "-g", world / "gallery", "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)["results"][0]
    return found


def scores(found: dict[str, Any]) -> dict[str, float]:
    return {one["shape"]: one["score"] for one in found["matches"]}


def test_words_alone_rank_the_shapes_by_their_cosine(world: Path) -> None:
    found = asked(world, "--text", "a red office chair", "--find", "part")
    assert (found["query"], found["text"]) == ("text a red office chair", "a red office chair")
    gallery = read_gallery(world / "gallery")
    vector = text_vector(gallery.model_folder, "a red office chair")[0]
    assert vector.shape == (gallery.vectors.shape[1],)
    assert gallery.views is not None
    cosines = np.sort(gallery.views.astype(np.float64) @ (vector / np.linalg.norm(vector)), axis=1)
    wanted = dict(zip(gallery.ids, cosines[:, cosines.shape[1] // 2 :].mean(axis=1), strict=True))
    assert scores(found) == pytest.approx(wanted, abs=2e-3)


def test_other_words_are_another_query(world: Path) -> None:
    assert scores(asked(world, "--text", "a dog")) != scores(asked(world, "--text", "a cup"))


def test_a_weight_leads_from_the_photo_to_the_words(world: Path) -> None:
    photo, words = world / "photos" / "bars" / "0.png", ("--text", "stripes", "--find", "part")
    alone, only = scores(asked(world, photo, "--find", "part")), scores(asked(world, *words))
    assert scores(asked(world, photo, *words, "--text-weight", 0)) == pytest.approx(alone, abs=1e-5)
    assert scores(asked(world, photo, *words, "--text-weight", 1)) == pytest.approx(only, abs=1e-5)
    half = scores(asked(world, photo, *words))
    assert half != pytest.approx(alone, abs=1e-4)
    assert half != pytest.approx(only, abs=1e-4)


def test_words_and_shapes_are_one_query(world: Path) -> None:
    found = asked(world, "--text", "stripes", "--like", "bars/shape0")
    assert found["query"] == "text stripes, like bars/shape0"
    assert "bars/shape0" not in scores(found)


def test_an_encoder_without_words_says_so(world: Path, tmp_path: Path) -> None:
    assert hifa("index", world / "views", "--out", tmp_path / "g", "--quiet")[0] == 0
    code, _, err = hifa("query", "--text", "a chair", "-g", tmp_path / "g")
    assert code == 1
    assert "the gallery's encoder knows no words" in one_line(err)
    assert "--backbone openclip/" in err


def test_a_damaged_text_tower_is_refused(world: Path, tmp_path: Path) -> None:
    folder = read_gallery(world / "gallery").model_folder
    assert folder is not None
    (tmp_path / "text.json").write_bytes((folder / "text.json").read_bytes())
    (tmp_path / TEXT_WEIGHTS).write_bytes(b"x")
    with pytest.raises(HifaError, match="damaged: build the gallery again"):
        text_vector(tmp_path, "a chair")
    with pytest.raises(HifaError, match="knows no words"):
        text_vector(None, "a chair")


def test_names_of_open_clip_are_checked() -> None:
    row = backbone_of("openclip/ViT-B-32@laion2b_s34b_b79k")
    assert (row.package, row.size, row.fixed) == ("open_clip", 224, True)
    assert row.mean[0] == pytest.approx(0.48145466)
    with pytest.raises(HifaError, match="no backbone 'openclip/ViT-B-32@nope'"):
        backbone_of("openclip/ViT-B-32@nope")
    with pytest.raises(HifaError, match="no backbone 'openclip/nope'"):
        backbone_of("openclip/nope")
