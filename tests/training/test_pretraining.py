"""The first stage learns from photos generated of the shapes, without labels, and goes on to the bit."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

from hifa_cli.adaptation.own_map import gradient_of_scores
from hifa_cli.config import ModelConfig, RenderConfig
from hifa_cli.data import find_images, find_shapes
from hifa_cli.embeddings.onnx_export import export_onnx
from hifa_cli.errors import HifaError
from hifa_cli.losses import own_shape
from hifa_cli.models.network import Network, load_network
from hifa_cli.pipelines.train import run_training
from hifa_cli.render.pipeline import render
from hifa_cli.runtime.progress import Reporter, reporting
from hifa_cli.search.rerank import SHIFT_SCALE, OwnMap, unit
from hifa_cli.training import pretraining, trainer
from tests.cli.test_cli import hifa
from tests.conftest import write_photos
from tests.training.test_pseudo_labels import DEFAULT
from tests.training.test_trainer import CPU, TINY, Listening, same

COUNT = 12
Weights = dict[str, torch.Tensor]


class World:
    """Photos, meshes, their views, and a folder that keeps features and generated photos."""

    def __init__(self, folder: Path) -> None:
        self.photos, self.meshes, self.views = folder / "photos", folder / "meshes", folder / "views"
        self.kept = folder / "kept"

    def train(self, out: Path, **changes: Any) -> Weights:
        """Return the weights of a run with a first stage."""
        from safetensors.torch import load_file

        given = {"pretrain": "generated", "pretrain_photos": 2, "pretrain_steps": 60, **DEFAULT, **changes}
        if given.get("freeze") == "trunk" and "pretrain_steps" not in changes:
            given |= {"pretrain_steps": 10, "pretrain_rate": 2e-3}
        shapes, meshes = given.pop("shapes_given", None), given.pop("meshes", self.meshes)
        features, stage = given.pop("features", self.kept), given.pop("stage", trainer.train)
        stage(
            find_images(self.photos), shapes or find_shapes(self.views), out, replace(TINY, **given), seed=0,
            device=CPU, force=False, features=features, meshes=meshes,
        )  # fmt: skip
        return load_file(out / "model.safetensors")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    found = World(tmp_path_factory.mktemp("world"))
    write_photos(found.photos)
    for number in range(COUNT):
        size = 0.3 + number / 6
        box = trimesh.creation.box((1, size, 2 - size / 2))
        path = found.meshes / f"kind{number % 3}" / f"{number}.off"
        path.parent.mkdir(parents=True, exist_ok=True)
        (box if number % 2 else trimesh.creation.cone(0.5, size, sections=4 + number)).export(path)
    render([found.meshes], found.views, RenderConfig(views=4, size=64, elevation=15.0), workers=1)
    return found


@pytest.fixture(scope="module")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of both kinds that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    for freeze in ("trunk", "blocks:1"):
        world.train(folder / freeze, freeze=freeze, stage=run_training)
    return {freeze: folder / freeze for freeze in ("trunk", "blocks:1")}


def weights(folder: Path) -> Weights:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_the_loss_has_the_gradient_of_a_gallerys_own_map() -> None:
    draw = np.random.default_rng(0)
    photos, views = unit(draw.normal(size=(6, 9))), unit(draw.normal(size=(6, 5, 9)))
    seen = torch.from_numpy(photos).requires_grad_()
    own_shape(seen, torch.from_numpy(views), 0.1).backward()
    assert seen.grad is not None
    assert np.allclose(seen.grad.numpy(), gradient_of_scores(photos, views, 0.1), atol=1e-6)


def test_the_network_moves_photos_as_the_map_does_and_shapes_not_at_all() -> None:
    network = Network(ModelConfig(backbone="test_resnet", embedding=8, classes=("a", "b"), mapped=True))
    draw, width = np.random.default_rng(1), len(network.photo_shift)
    matrix = draw.normal(size=(width, width)).astype(np.float32)
    shift = draw.normal(size=width).astype(np.float32)
    network.photo_map.copy_(torch.from_numpy(matrix))
    network.photo_shift.copy_(torch.from_numpy(shift / SHIFT_SCALE))
    seen = torch.from_numpy(draw.normal(size=(5, 1, width)).astype(np.float32))
    moved = network.mapped(seen).numpy()
    assert np.allclose(unit(moved), OwnMap(matrix, shift)(unit(seen.numpy())), atol=1e-5)
    assert np.allclose(np.linalg.norm(moved, axis=-1), np.linalg.norm(seen.numpy(), axis=-1), rtol=1e-5)
    assert torch.equal(network.mapped(seen, "shapes"), seen)


@pytest.mark.parametrize("freeze", ["trunk", "blocks:1"])
def test_generated_photos_find_their_shapes_better_and_the_run_says_so(
    freeze: str, whole: dict[str, Path], world: World, tmp_path: Path
) -> None:
    settings = json.loads((whole[freeze] / "run.json").read_text(encoding="utf-8"))
    said = settings["pretrained"]
    assert (said["shapes"], said["photos"], said["left_out"]) == (COUNT, 2 * COUNT, 0)
    before, after = said["held_out"]["MRR"]
    assert after > before
    assert said["learned"] == ("map" if freeze == "trunk" else freeze)
    assert "photos generated of the shapes" in settings["recipe"]["not_of_the_paper"]
    assert "generated photos" in (whole[freeze] / "report.html").read_text(encoding="utf-8")
    assert not list(whole[freeze].glob("pretraining*"))
    without = world.train(tmp_path / "without", freeze=freeze, pretrain="none")
    late = "bottleneck.weight" if freeze == "trunk" else "trunk.net.conv_head.weight"
    assert not torch.equal(weights(whole[freeze])[late], without[late])


@pytest.mark.parametrize("freeze", ["trunk", "blocks:1"])
def test_no_label_of_a_shape_and_no_name_changes_a_bit(
    freeze: str, whole: dict[str, Path], world: World, tmp_path: Path
) -> None:
    shapes = find_shapes(world.views)
    labels = np.random.default_rng(0).permutation([item.label for item in shapes.items]).tolist()
    items = tuple(item._replace(label=label) for item, label in zip(shapes.items, labels, strict=True))
    permuted = world.train(tmp_path / "p", freeze=freeze, shapes_given=replace(shapes, items=items))
    assert same(weights(whole[freeze]), permuted)
    for source in (world.views, world.meshes):  # other classes, other names, another order
        moved = tmp_path / source.name
        shutil.copytree(source, moved)
        for number, place in enumerate(sorted(moved.glob("*/*"), reverse=source == world.views)):
            place.rename(moved / f"{number}{place.suffix}")
    renamed = world.train(
        tmp_path / "r",
        freeze=freeze,
        shapes_given=find_shapes(tmp_path / "views"),
        meshes=tmp_path / "meshes",
    )
    assert same(weights(whole[freeze]), renamed)


class Killed(Exception):
    """Stands for a kill: nothing of hifa catches it."""


class KillAt(Reporter):
    """Ends the process, as it were, within a stage."""

    def __init__(self, label: str, step: int) -> None:
        self.label, self.step = label, step

    def track(self, items: Any, label: str, total: int | None = None) -> Iterator[Any]:
        for index, item in enumerate(items):
            if label.startswith(self.label) and index == self.step:
                raise Killed(label)
            yield item

    track_steps = track


@pytest.mark.parametrize(
    ("freeze", "label", "step"),
    [
        ("trunk", "generating photos", 5),
        pytest.param("trunk", "first stage", 7, marks=pytest.mark.slow),
        pytest.param("trunk", "training", 3, marks=pytest.mark.slow),
        ("blocks:1", "first stage", 55),  # five steps after the state that was kept
        pytest.param("blocks:1", "training", 1, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_killed_anywhere_ends_with_the_same_bits(
    freeze: str, label: str, step: int, whole: dict[str, Path], world: World, tmp_path: Path
) -> None:
    options = {"freeze": freeze, "checkpoint": 2}
    if label == "generating photos":
        options["features"] = tmp_path / "own"
    with pytest.raises(Killed), reporting(KillAt(label, step)):
        world.train(tmp_path / "run", **options)
    if (freeze, label) == ("blocks:1", "first stage"):
        assert pretraining._read(tmp_path / "run")[1]["step"] == 50  # not from the start
    assert same(weights(whole[freeze]), world.train(tmp_path / "run", **options))


def test_shapes_whose_mesh_is_gone_or_another_are_left_out_and_counted(world: World, tmp_path: Path) -> None:
    meshes = tmp_path / "meshes"
    shutil.copytree(world.meshes, meshes)
    (meshes / "kind0" / "0.off").unlink()
    (meshes / "kind1" / "1.off").write_text("OFF\nbroken\n", encoding="utf-8")
    with reporting(listening := Listening()):
        world.train(tmp_path / "run", meshes=meshes)
    assert any(f"2 of {COUNT} shapes are left out" in one for one in listening.said)
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["pretrained"]
    assert (record["shapes"], record["left_out"]) == (COUNT - 2, 2)
    for number in range(2, 6):
        next(meshes.rglob(f"{number}.off")).unlink()
    with pytest.raises(
        HifaError, match="6 shapes have photos generated of their meshes: the first stage needs 10"
    ):
        world.train(tmp_path / "few", meshes=meshes)


def test_what_cannot_be_is_one_line(world: World, tmp_path: Path) -> None:
    with pytest.raises(HifaError, match="give --freeze trunk or blocks:N"):
        world.train(tmp_path / "a", freeze="none", descriptor="embedding")
    with pytest.raises(HifaError, match="give --meshes FOLDER"):
        world.train(tmp_path / "b", meshes=None)
    with pytest.raises(HifaError, match="two photos of each shape"):
        world.train(tmp_path / "c", pretrain_photos=1)
    words = ("train", "--images", world.photos, "--shapes", world.views, "--out", tmp_path / "d")
    code, _, err = hifa(*words, "--pretrain", "generated")
    assert code == 2
    assert "--meshes" in err
    code, _, err = hifa(*words, "--pretrain", "generated", "--meshes", world.meshes, "--dry-run",
                          "--set", "size=64", "--set", "resize=64")  # fmt: skip
    assert code == 0, err
    assert f"learning of {COUNT} shapes: {8 * COUNT} photos to generate" in " ".join(err.split())


def test_a_graph_moves_photos_alike_and_a_run_is_indexed_and_asked(
    whole: dict[str, Path], world: World, tmp_path: Path
) -> None:
    assert load_network(whole["trunk"]).config.mapped
    assert export_onnx(whole["trunk"])  # held against the network there
    code, _, err = hifa("index", world.views, "--model", whole["trunk"], "--out", tmp_path / "g", "-q")
    assert code == 0, err
    code, out, err = hifa(
        "query", world.photos / "bars" / "0.png", "-g", tmp_path / "g", "--top", "1", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["results"][0]["matches"]


def test_a_method_without_shapes_has_a_first_stage_too(world: World, tmp_path: Path) -> None:
    config = replace(TINY, method="source-only", pretrain="generated", pretrain_photos=2, pretrain_steps=9)
    trainer.train(
        find_images(world.photos), find_shapes(world.views), tmp_path / "run", config, seed=0, device=CPU,
        force=False, meshes=world.meshes,
    )  # fmt: skip
    assert not (tmp_path / "run" / "photos").exists()
    assert load_network(tmp_path / "run").photo_map.abs().max() > 0 or "no step was better"
