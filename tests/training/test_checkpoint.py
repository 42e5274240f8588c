"""A checkpoint keeps the state of fp16's gradient scaler."""

from pathlib import Path
from typing import Any

import pytest
import torch

from hifa_cli.config import ModelConfig, TrainConfig
from hifa_cli.errors import HifaError
from hifa_cli.methods.registry import build_objective
from hifa_cli.models.network import Network
from hifa_cli.training.checkpoint import load_checkpoint, save_checkpoint
from hifa_cli.training.optim import build_optimiser


def made() -> tuple[Any, Any, torch.amp.GradScaler]:
    config = TrainConfig(method="source-only", freeze="trunk")
    network = Network(ModelConfig(backbone="test_resnet", classes=("a", "b"), embedding=4, size=32))
    objective = build_objective(network, config, 0)
    return objective, build_optimiser(objective, config), torch.amp.GradScaler("cpu", enabled=True)


def test_the_scale_of_the_gradients_goes_on_where_it_was(tmp_path: Path) -> None:
    objective, optimiser, scaler = made()
    state = {**scaler.state_dict(), "scale": 512.0, "_growth_tracker": 77}
    scaler.load_state_dict(state)
    save_checkpoint(tmp_path, objective, optimiser, 3, scaler)
    again, theirs, fresh = made()
    assert fresh.state_dict()["scale"] != 512.0
    assert load_checkpoint(tmp_path, again, theirs, scaler=fresh) == 3
    assert fresh.state_dict() == state


def test_a_checkpoint_without_a_scale_and_a_run_without_a_scaler_go_on(tmp_path: Path) -> None:
    objective, optimiser, scaler = made()
    save_checkpoint(tmp_path, objective, optimiser, 2)
    assert load_checkpoint(tmp_path, objective, optimiser, scaler=scaler) == 2
    save_checkpoint(tmp_path, objective, optimiser, 2, scaler)
    assert load_checkpoint(tmp_path, objective, optimiser) == 2


@pytest.mark.parametrize("scale", ["NaN", "0", '"x"', "Infinity", "-4"])
def test_a_damaged_scale_is_one_line(scale: str, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    objective, optimiser, scaler = made()
    save_checkpoint(tmp_path, objective, optimiser, 2, scaler)
    path = tmp_path / "checkpoint.safetensors"
    with safe_open(path, "pt") as file:
        about = file.metadata()
    before = scaler.state_dict()["scale"]
    about["scaler"] = about["scaler"].replace(f'"scale": {before}', f'"scale": {scale}')
    save_file(load_file(path), path, metadata=about)
    with pytest.raises(HifaError, match="is damaged"):
        load_checkpoint(tmp_path, objective, optimiser, scaler=scaler)
