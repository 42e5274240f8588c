"""Galleries of a trained run rank as untrained ones do, by what was trained and by the trunk's feature."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

from hifa_cli.cli import app
from hifa_cli.config import IndexConfig, RankingConfig, RenderConfig
from hifa_cli.data import find_images
from hifa_cli.embeddings.encoder import GraphEncoder
from hifa_cli.gallery import Gallery, read_gallery
from hifa_cli.gallery.build import build_gallery
from hifa_cli.gallery.ranking import ranker_of, ranking_document
from hifa_cli.query.parse import Query
from hifa_cli.query.retrieve import QueryOptions, encoder_for, rank
from hifa_cli.search.rerank import Ranker, shipped_projection
from tests.conftest import write_photos, write_views
from tests.training.test_pseudo_labels import DEFAULT
from tests.training.test_trainer import run

TRAINED = 8 + 3  # embedding and class scores before the trunk's 1280


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, views, a run of the default recipe on small pictures, and its gallery."""
    folder = tmp_path_factory.mktemp("trained")
    photos, views = write_photos(folder / "photos"), write_views(folder / "views", views=4)
    run(photos, views, folder / "run", features=folder / "features", **DEFAULT)
    build(folder, "gallery")
    return folder


def build(folder: Path, name: str, **changes: Any) -> Gallery:
    given: dict[str, Any] = {
        "model": folder / "run", "split": None, "index_config": IndexConfig(), "workers": 1, "device": "cpu",
        "render_config": RenderConfig(), "force": False, "ranking": RankingConfig(),
    }  # fmt: skip
    build_gallery(folder / "views", folder / name, **{**given, **changes})
    return read_gallery(folder / name)


def ask(gallery: Gallery, photos: Path, **wanted: Any) -> Any:
    encoder = encoder_for(gallery, None, "cpu")
    queries = [Query(item.id, item.views[0], None) for item in find_images(photos).items]
    return rank(encoder, gallery, queries, QueryOptions(9, **wanted))


def test_a_photo_is_asked_about_without_torch(place: Path) -> None:
    gallery = read_gallery(place / "gallery")
    assert isinstance(encoder_for(gallery, None, "cpu"), GraphEncoder)
    assert gallery.finds == ("both", "kind", "part")
    _, vectors = ask(gallery, place / "photos")
    assert vectors.part.shape == vectors.kind.shape == (12, TRAINED + 1280)


def test_the_graph_and_the_network_make_the_same_of_a_photo(place: Path) -> None:
    from hifa_cli.embeddings.extract import load_encoder

    torch = pytest.importorskip("torch")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64)).astype(np.uint8)
    light = encoder_for(read_gallery(place / "gallery"), None, "cpu").pictures(pixels)
    whole = load_encoder(place / "run", torch.device("cpu")).pictures(pixels)
    for mine, theirs in ((light.pooled, whole.pooled), (light.part, whole.part)):
        assert mine is not None
        assert theirs is not None
        cosines = (mine * theirs).sum(axis=1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(theirs, axis=1)
        np.testing.assert_allclose(cosines, 1, atol=1e-5)


def test_the_very_part_is_looked_for_without_what_was_trained(place: Path) -> None:
    gallery = read_gallery(place / "gallery")
    _, vectors = ask(gallery, place / "photos")
    assert (vectors.part[:, :TRAINED] == 0).all()
    assert (np.abs(vectors.kind[:, :TRAINED]).sum(axis=1) > 0).any()
    np.testing.assert_allclose(np.linalg.norm(vectors.part, axis=1), 1, rtol=1e-5)


def test_what_was_trained_counts_as_much_as_the_rest_of_a_photo(place: Path) -> None:
    """Two unit vectors of training, half each, beside one of the trunk; a perfect match still scores 1."""
    gallery = read_gallery(place / "gallery")
    assert gallery.document["ranking"]["trained"] == 0.5
    _, vectors = ask(gallery, place / "photos")
    inside = np.abs(vectors.kind[:, :TRAINED]).sum(axis=1) > 0
    trained, rest = (
        np.linalg.norm(part, axis=1) for part in np.split(vectors.kind[inside], [TRAINED], axis=1)
    )
    np.testing.assert_allclose(trained, rest / 2**0.5, rtol=1e-5)
    ranking = gallery.ranking
    assert ranking is not None
    query, view = vectors.kind[inside][:1], np.array(vectors.kind[inside][:1])
    view[:, :TRAINED] *= 2
    view /= np.linalg.norm(view)
    np.testing.assert_allclose((query * ranking._scales(query) * view).sum(), 1, rtol=1e-5)


def test_a_gallery_from_before_the_weight_ranks_as_it_did(place: Path) -> None:
    before = {**read_gallery(place / "gallery").document["ranking"]}
    del before["trained"]
    ranker = ranker_of(before, "")
    assert ranker is not None
    features = np.random.default_rng(0).normal(size=(3, TRAINED + 1280)).astype(np.float32)
    assert np.array_equal(ranker.photos(features), ranker.views(features))


def test_a_photo_outside_the_gate_is_compared_as_the_untrained_encoder_does(place: Path) -> None:
    """With the gate closed only the trunk's feature is left, of photos and, scaled, of views."""
    import torch

    from hifa_cli.embeddings.extract import Encoder, frozen_encoder, load_encoder, untrained

    encoder = load_encoder(place / "run", torch.device("cpu"))
    encoder.network.threshold.fill_(2.0)
    assert encoder.has_default_trunk()
    small = replace(untrained("efficientnet_lite0"), size=64, resize=64)
    frozen: Encoder = frozen_encoder(torch.device("cpu"), small)
    ranker = ranker_of(ranking_document(RankingConfig(), None, 1280), "")
    plain = Ranker(RankingConfig(), shipped_projection(None), frozen.classifier)
    assert ranker is not None
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64)).astype(np.uint8)
    mine, theirs = encoder.pictures(pixels), frozen.pictures(pixels)
    wanted = plain.queries(theirs.pooled, theirs.logits)
    assert mine.part is not None
    for found, known in ((mine.pooled, wanted.kind), (mine.part, wanted.part)):
        vectors = ranker.views(found)
        assert (vectors[:, :TRAINED] == 0).all()
        np.testing.assert_allclose((vectors[:, TRAINED:] * known).sum(axis=1), 1, atol=2e-3)
    views = ranker.views(encoder.shapes([pixels])[0][0])[:, TRAINED:]
    np.testing.assert_allclose(views * 3**0.5, plain.views(frozen.each_picture(pixels)), atol=1e-3)


def test_a_mesh_is_asked_about_as_the_shapes_are(place: Path, tmp_path: Path) -> None:
    meshes = tmp_path / "meshes"
    meshes.mkdir()
    for number, size in enumerate(((1, 1, 1), (5, 1, 1), (1, 1, 6), (4, 4, 1))):
        trimesh.creation.box(size).export(meshes / f"box{number}.stl")
    build_gallery(
        meshes, tmp_path / "gallery", model=place / "run", split=None, index_config=IndexConfig(), workers=1,
        device="cpu", render_config=RenderConfig(), force=False, ranking=RankingConfig(),
    )  # fmt: skip
    gallery = read_gallery(tmp_path / "gallery")
    for find in ("kind", "part"):
        for number in range(4):
            asked = [Query(f"box{number}", meshes / f"box{number}.stl", None)]
            found = rank(encoder_for(gallery, None, "cpu"), gallery, asked, QueryOptions(4, find=find))[0][0]
            assert found.matches[0].shape == f"box{number}"
            assert found.matches[0].score > 0.9  # a cosine, whichever part of the vectors counts


def test_a_command_finds_kinds_and_parts_in_it(place: Path) -> None:
    photo = str(next((place / "photos").rglob("*.png")))
    orders = []
    for find in ("kind", "part", "both"):
        words = ["query", photo, "-g", str(place / "gallery"), "--find", find, "--json", "--top", "9"]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        orders.append([match["shape"] for match in json.loads(done.stdout)["results"][0]["matches"]])
    assert len({len(order) for order in orders}) == 1


def test_the_gallery_of_a_run_can_still_rank_as_the_paper_does(place: Path) -> None:
    gallery = build(place, "paper", ranking=None)
    assert gallery.ranking is None
    assert (np.asarray(gallery.vectors) >= 0).all()
