"""A rehearsal measures and leaves nothing behind."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hifa_cli.cli import app
from hifa_cli.data import find_images, find_shapes
from hifa_cli.training.estimate import estimate_cost
from hifa_cli.training.setup import setup_run
from tests.training.test_trainer import CPU, TINY


@pytest.mark.parametrize("freeze", ["trunk", "none"])
@pytest.mark.parametrize("method", ["source-only", "hifa"])
def test_parameters_and_pictures_are_counted(
    freeze: str, method: str, photos: Path, views: Path, tmp_path: Path
) -> None:
    config = replace(TINY, freeze=freeze, method=method)  # type: ignore[arg-type]
    run = setup_run(find_images(photos), find_shapes(views), config, seed=0, device=CPU)
    estimate = estimate_cost(run)
    head = sum(p.numel() for p in run.network.head_parameters())
    assert estimate.parameters["head"] == head
    assert (estimate.parameters["critic"] > 0) is (method == "hifa")
    trained = head + estimate.parameters["critic"]
    if freeze == "none":
        trained += estimate.parameters["trunk"]
    assert estimate.parameters["trained"] == trained
    assert estimate.pictures_a_step == 6 + (4 * 3 if method == "hifa" else 0)
    assert estimate.seconds_a_step > 0
    assert estimate.seconds_looking == 0 or freeze == "trunk"
    assert estimate.seconds_in_all >= estimate.seconds_looking
    assert estimate.memory_gb > 0.1


def test_the_verb_writes_nothing(photos: Path, views: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = [
        "train", "--images", photos, "--shapes", views, "--out", out, "--backbone", "test_resnet",
        "--weights", "none", "--set", "size=48", "--set", "resize=56", "--photos-per-step", 4,
        "--shapes-per-step", 2, "--dry-run",
    ]  # fmt: skip
    done = CliRunner().invoke(app, [str(argument) for argument in [*arguments, "--json"]])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["seconds_a_step"] > 0
    shown = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert "seconds a step" in shown.stdout
    assert not out.exists()


@pytest.mark.gpu
def test_memory_is_the_gpus_where_there_is_one(photos: Path, views: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("NO CUDA DEVICE: the GPU's memory was not measured")
    run = setup_run(find_images(photos), find_shapes(views), TINY, seed=0, device=torch.device("cuda"))
    assert estimate_cost(run).memory_of == "GPU"
