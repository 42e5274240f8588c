"""A gallery keeps which way its shapes stand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hifa_cli.config import IndexConfig, ModelConfig, RenderConfig
from hifa_cli.embeddings.extract import frozen_encoder
from hifa_cli.errors import HifaError
from hifa_cli.gallery import read_gallery, update
from hifa_cli.gallery.build import BuildOptions, build_gallery
from hifa_cli.gallery.sources import render_config
from hifa_cli.models.network import save_network
from hifa_cli.render.views import up_axis
from hifa_cli.synthetic.meshfiles import WRITERS
from tests.cli.test_cli import hifa
from tests.render.shapes import ball
from tests.render.test_up import write_things

CPU = torch.device("cpu")
KINDS = ("chair", "table", "sofa", "lamp", "car")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    config = ModelConfig(backbone="test_resnet", embedding=16, size=32, resize=40)
    save_network(frozen_encoder(CPU, config, "none").network, folder, method="hifa", hifa_version="0")
    return folder


def built(meshes: Path, out: Path, model: Path) -> Path:
    build_gallery(
        meshes, out, model=model, split=None, index_config=IndexConfig(), render_config=RenderConfig(),
        workers=1, device=CPU, force=False)  # fmt: skip
    return out


def test_updates_and_additions_keep_the_axis(tmp_path: Path, model: Path) -> None:
    meshes = write_things(tmp_path / "meshes", "y", KINDS)
    gallery = built(meshes, tmp_path / "g", model)
    for path in meshes.iterdir():
        if not path.name.startswith("lamp"):
            path.unlink()
    write_things(meshes, "z", KINDS[:3], each=2)  # these alone would be taken as z-up
    changed = update.update(gallery, IndexConfig(), BuildOptions(workers=1), model=None)
    assert (changed.unchanged, changed.failed) == (1, [])
    write_things(tmp_path / "more", "z", KINDS, suffix=".stl")
    update.add(gallery, [tmp_path / "more"], IndexConfig(), BuildOptions(workers=1), model=None)
    found = read_gallery(gallery)
    first, second = (render_config(origin) for origin in found.document["origins"])
    assert (first.ups, second.ups) == ((("*.obj", "y"),), (("*.stl", "z"),))
    assert built(meshes, gallery, model) == gallery  # the same again: the same axis
    assert render_config(read_gallery(gallery).document["origins"][0]).ups == first.ups


def test_a_mesh_finds_itself_however_it_lies(tmp_path: Path, model: Path) -> None:
    meshes = write_things(tmp_path / "meshes", "y", KINDS)
    WRITERS[".obj"](meshes / "ball.obj", *ball(12))
    gallery = built(meshes, tmp_path / "g", model)
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for path in (
        meshes / "chair0.obj",
        meshes / "ball.obj",
        write_things(copy, "z", ["chair"]) / "chair0.obj",
    ):
        code, out, err = hifa("query", path, "-g", gallery, "--json")
        assert code == 0, err
        best = json.loads(out)["results"][0]["matches"][0]
        assert best["shape"] == path.stem
        assert best["score"] == pytest.approx(1, abs=2e-4)


def test_a_mesh_that_does_not_show_it_stands_as_the_gallery_has_its_format(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hifa_cli.query.retrieve import _upright

    gallery = read_gallery(built(write_things(tmp_path / "meshes", "y", KINDS), tmp_path / "g", model))
    WRITERS[".obj"](tmp_path / "ball.obj", *ball(12))
    WRITERS[".stl"](tmp_path / "ball.stl", *ball(12))
    assert up_axis(tmp_path / "ball.obj", _upright(tmp_path / "ball.obj", gallery)) == "y"
    assert up_axis(tmp_path / "ball.stl", _upright(tmp_path / "ball.stl", gallery)) == "z"


@pytest.mark.parametrize("ups", [3, [["*.obj"]], [["*.obj", "w"]], "yz", [[1, 2, 3]]])
def test_a_damaged_record_of_axes_is_named(ups: Any) -> None:
    with pytest.raises(HifaError, match="is damaged"):
        render_config({"path": "/m", "render": {"ups": ups}})
    assert np.asarray(render_config({"render": {}}).ups).size == 0
