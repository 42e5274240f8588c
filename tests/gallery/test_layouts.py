"""A gallery of a data set has the set's ids and classes, and keeps them when it follows its source."""

import json
from pathlib import Path

import pytest
import torch

from hifa_cli.config import IndexConfig, ModelConfig, RenderConfig
from hifa_cli.embeddings.extract import frozen_encoder
from hifa_cli.errors import HifaError
from hifa_cli.gallery import read_gallery, update
from hifa_cli.gallery.build import BuildOptions, build_gallery
from hifa_cli.gallery.sources import render_config
from hifa_cli.models.network import save_network
from tests.data import miniatures as mini

DRAWN = RenderConfig(size=32, views=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random network, as ``hifa train`` writes one."""
    folder = tmp_path_factory.mktemp("run")
    config = ModelConfig(backbone="test_resnet", embedding=8, size=32, resize=32)
    network = frozen_encoder(torch.device("cpu"), config, "none").network
    save_network(network, folder, method="hifa", hifa_version="0")
    return folder


def test_a_gallery_follows_a_set_by_the_layout_that_it_was_made_with(tmp_path: Path, model: Path) -> None:
    root = mini.future(tmp_path / "set")
    report = build_gallery(
        root, tmp_path / "gallery", model=model, split=None, index_config=IndexConfig(), render_config=DRAWN,
        workers=1, device="cpu", force=False, keep_views=True,
    )  # fmt: skip
    assert [one["name"] for one in report["layouts"]] == ["3d-future"]
    gallery = read_gallery(tmp_path / "gallery")
    ids = [f"Corner-Side Table/{mini.UUIDS[0]}", f"Sofa/{mini.UUIDS[1]}"]
    assert list(gallery.ids) == ids
    assert [gallery.class_of(row) for row in range(2)] == ["Corner-Side Table", "Sofa"]
    assert gallery.source(0) == root / mini.UUIDS[0] / "raw_model.obj"
    assert gallery.view_picture(0, 1) is not None
    for number in range(30):  # now most meshes are not the set's: 'auto' would take another layout
        mini.mesh(root / f"extra/{number}.obj")
    change = update.update(tmp_path / "gallery", IndexConfig(), BuildOptions(workers=1), model=model)
    assert (change.added, change.unchanged, change.removed) == (0, 2, [])
    (root / mini.UUIDS[1] / "raw_model.obj").unlink()
    (root / mini.UUIDS[1] / "normalized_model.obj").unlink()
    kept = tmp_path / "gallery/views/0/Sofa" / mini.UUIDS[1]
    assert kept.is_dir()
    assert update.update(
        tmp_path / "gallery", IndexConfig(), BuildOptions(workers=1), model=model
    ).removed == [ids[1]]
    assert not kept.exists()


def test_galleries_without_a_layout_are_of_plain_folders_and_a_strange_one_is_damaged() -> None:
    assert render_config({"render": {}}).layout == "folders"
    with pytest.raises(HifaError, match="is damaged"):
        render_config({"render": {"layout": "nope"}})
    with pytest.raises(HifaError, match="is damaged"):
        render_config(json.loads('{"render": {"layout": []}}'))
