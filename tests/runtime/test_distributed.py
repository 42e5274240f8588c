"""Two processes compute what one computes: the equations are of the global batch."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from hifa_cli.config import ModelConfig, TrainConfig
from hifa_cli.data.loader import Batch
from hifa_cli.errors import HifaError
from hifa_cli.methods.registry import METHODS, build_objective
from hifa_cli.models.network import Network, TrunkFeatures
from hifa_cli.runtime.distributed import ALONE, World, gathered, world

ROOT = Path(__file__).resolve().parents[2]
BATCH, SHAPES, VIEWS, CLASSES = 6, 4, 3, 3
STEP, PROGRESS = 3, 0.4
USES_LABELS = ("hifa-l", "hifa-gl", "hifa", "mstn", "dlea")
NAMES = (*sorted(METHODS), *(f"{method}+" for method in USES_LABELS))


def whole_batch() -> Batch:
    generator = torch.Generator().manual_seed(5)

    def features(items: int, views: int) -> TrunkFeatures:
        low = torch.randn(items, views, 7, 5, 5, generator=generator, dtype=torch.float64)
        return TrunkFeatures(low, torch.randn(items, views, 16, generator=generator, dtype=torch.float64))

    labels = torch.tensor([0, 1, 2, 0, 0, 1])
    return Batch(features(BATCH, 1), labels, features(SHAPES, VIEWS), torch.tensor([3, 0, 4, 1]))


def part_of(batch: Batch) -> Batch:
    mine = world().part

    def features(part: Any) -> TrunkFeatures:
        return TrunkFeatures(mine(part.low), mine(part.high))

    assert batch.shape_rows is not None
    return Batch(features(batch.images), mine(batch.labels), features(batch.shapes), mine(batch.shape_rows))


class Trunk(torch.nn.Module):
    """Stands in for a trunk: the batch already holds what it would make of the pictures."""

    width = 16
    blocks: tuple[int, ...] = ()

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(len(pixels), 7, 5, 5), torch.zeros(len(pixels), 16)


def gradients(name: str) -> dict[str, torch.Tensor]:
    """Gradients, terms and centroids after two steps' losses on this process's part of the batch.

    Args:
        name: of a method, with ``+`` behind it for the default's labels, centring and mean over views.
    """
    torch.manual_seed(0)
    method, ours, _ = name.partition("+")
    labels = "propagated" if ours else "argmax"
    config = TrainConfig(method=method, dropout=0.0, mutual_views=0, pseudo_labels=labels)  # type: ignore[arg-type]
    model = ModelConfig(backbone="test_resnet", classes=("a", "b", "c"), embedding=8, dropout=0.0, size=32)
    if ours:
        model = replace(model, centred=True, pooling="mean")
    network = Network(model)
    network.trunk = Trunk()  # type: ignore[assignment]
    network.bottleneck = torch.nn.Linear(16, 8)
    torch.nn.init.normal_(network.bottleneck.weight, generator=torch.Generator().manual_seed(1))
    if ours:
        network.centres = torch.arange(32.0).reshape(2, 16) / 32
    objective = build_objective(network, config, seed=0)
    objective.expect(5)
    if objective.assigned is not None:
        objective.assigned.copy_(torch.tensor([0, 1, 2, 0, 1]))
    objective = objective.double().train()
    forward: torch.nn.Module = objective
    if world().size > 1:
        forward = DistributedDataParallel(objective, broadcast_buffers=False, find_unused_parameters=True)
    for step in (STEP, STEP + 1):  # the second step starts from centroids that the first one moved
        terms = forward(part_of(whole_batch()), step, PROGRESS)
        torch.stack(list(terms.values())).sum().backward()
    found = {f"gradient {n}": p.grad for n, p in objective.named_parameters() if p.grad is not None}
    buffers = {f"buffer {n}": b for n, b in objective.named_buffers() if b.is_floating_point()}
    for name, term in terms.items():
        total = term.detach().clone()
        if world().size > 1:
            dist.all_reduce(total)
        found[f"term {name}"] = total / world().size
    return {name: tensor.contiguous().clone() for name, tensor in {**found, **buffers}.items()}


def main(folder: str) -> None:
    """What each of the two processes runs."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    for name in NAMES:
        found = gradients(name)
        if world().leads:
            save_file(found, Path(folder) / f"{name}.safetensors")
    dist.barrier()
    os._exit(0)  # all is written; gloo's threads can end a process that takes the group apart (SIGABRT)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gradients of every method, computed by two processes."""
    folder = tmp_path_factory.mktemp("two")
    launched(["-m", "tests.runtime.test_distributed", str(folder)])
    return folder


def launched(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_find_the_gradients_of_one(name: str, two: Path) -> None:
    alone, together = gradients(name), load_file(two / f"{name}.safetensors")
    assert alone.keys() == together.keys()
    assert any(name.startswith("gradient") for name in alone)
    for what, tensor in alone.items():
        assert tensor.dtype == torch.float64
        torch.testing.assert_close(together[what], tensor, rtol=1e-12, atol=1e-12, msg=what)


def test_torchrun_trains_what_one_process_trains(photos: Path, views: Path, tmp_path: Path) -> None:
    options = [
        "-m", "hifa_cli", "train", "--images", str(photos), "--shapes", str(views), "--backbone",
        "test_resnet", "--weights", "none", "--steps", "3", "--photos-per-step", "4", "--shapes-per-step",
        "4", "--device", "cpu", "--set", "size=48", "--set", "resize=56", "--set", "dropout=0",
        "--freeze", "none",
    ]  # fmt: skip
    done = launched([*options, "--out", str(tmp_path / "two"), "--json"])
    assert done.stdout.count('"model"') == 1  # one process speaks
    subprocess.run([sys.executable, *options, "--out", str(tmp_path / "one"), "-q"], cwd=ROOT, check=True)
    one, both = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(both[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.slow
def test_torchrun_trains_the_default_recipe_as_one_process_does(
    photos: Path, views: Path, tmp_path: Path
) -> None:
    options = [
        "-m", "hifa_cli", "train", "--images", str(photos), "--shapes", str(views), "--steps", "4",
        "--photos-per-step", "4", "--shapes-per-step", "4", "--device", "cpu", "--set", "size=64", "--set",
        "resize=64", "--set", "dropout=0", "--feature-cache", str(tmp_path / "features"),
    ]  # fmt: skip
    subprocess.run([sys.executable, *options, "--out", str(tmp_path / "one"), "-q"], cwd=ROOT, check=True)
    launched([*options, "--out", str(tmp_path / "two")])
    one, both = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == both.keys()
    for name in ("centres", "bank", "threshold"):  # set before the first step: the same to the bit
        assert torch.equal(one[name], both[name]), name
    for name, tensor in one.items():
        torch.testing.assert_close(both[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_a_part_is_contiguous_and_an_uneven_batch_is_refused() -> None:
    assert World(1, 3).part([0, 1, 2, 3, 4, 5]) == [2, 3]
    with pytest.raises(HifaError, match="cannot be shared evenly by 3 processes"):
        World(0, 3).part([0, 1, 2, 3])


def test_one_process_gathers_nothing() -> None:
    rows = torch.ones(2, 2)
    assert world() == ALONE
    assert gathered(rows) is rows


if __name__ == "__main__":
    main(sys.argv[1])
