"""Views remember where their cameras stood, and shapes that were drawn from elsewhere are told."""

from pathlib import Path

import pytest
import torch

from hifa_cli.config import ModelConfig
from hifa_cli.embeddings.extract import frozen_encoder
from hifa_cli.gallery import read_gallery
from hifa_cli.models.network import save_network
from tests.cli.test_cli import hifa
from tests.gallery.test_update import write_mesh


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, views of boxes from 15° and of rods from 30°, and a gallery of the boxes."""
    root = tmp_path_factory.mktemp("rigs")
    config = ModelConfig(backbone="test_resnet", embedding=8, size=32, resize=32)
    network = frozen_encoder(torch.device("cpu"), config, "none").network
    save_network(network, root / "run", method="x", hifa_version="0")
    for kind, rig in (("box", "eye"), ("rod", "paper")):
        for number in (1, 2):
            write_mesh(root / kind / kind / f"{number}.off", number, kind=kind)
        out = root / f"{kind}-views"
        assert hifa("render", root / kind, "--out", out, "--rig", rig, "--workers", 1)[0] == 0
    words = ("--model", root / "run", "--device", "cpu")
    code, _, err = hifa("index", root / "box-views", "--out", root / "gallery", *words)
    assert code == 0, err
    return root


def test_adding_views_of_another_rig_is_told_with_the_remedy(world: Path) -> None:
    assert read_gallery(world / "gallery").elevation == 15
    code, _, err = hifa("index", "--add", world / "rod-views", "--out", world / "gallery")
    assert code == 0
    said = " ".join(err.split())
    assert "rod-views was drawn from 30° above and the gallery's shapes from 15°" in said
    assert "render it with --elevation 15" in said


def test_adding_meshes_draws_them_as_the_gallery_was(world: Path, tmp_path: Path) -> None:
    write_mesh(tmp_path / "more" / "rod" / "9.off", 3.0, kind="rod")
    code, _, err = hifa("index", "--add", tmp_path / "more", "--out", world / "gallery", "--workers", 1)
    assert code == 0
    assert "was drawn from" not in err
    found = read_gallery(world / "gallery")
    assert found.document["origins"][-1]["rig"]["elevation"] == 15
