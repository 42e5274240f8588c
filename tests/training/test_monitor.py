"""What goes wrong without a NaN is seen and said."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hifa_cli.config import ModelConfig, TrainConfig
from hifa_cli.data.loader import Batch
from hifa_cli.errors import HifaError
from hifa_cli.methods.base import Hifa, SourceOnly
from hifa_cli.models.network import Network, TrunkFeatures
from hifa_cli.runtime.progress import Reporter, reporting
from hifa_cli.training.monitor import (
    PATIENCE,
    STABLE,
    CollapseMonitor,
    norm_stiffness,
    stop_unless_finite,
    warn_if_stiff,
)
from hifa_cli.training.optim import TrainStep

CONFIG = TrainConfig(
    backbone="test_resnet", freeze="trunk", dropout=0.0, embedding=4, weight_global=1.0, warmup=0,
    rate_decay=0.0, method="hifa-g",
)  # fmt: skip
CPU = torch.device("cpu")


class Listening(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)


def hifa_g(config: TrainConfig) -> Hifa:
    torch.manual_seed(0)
    model = ModelConfig(backbone="test_resnet", classes=("a", "b"), embedding=4, dropout=0.0, size=32)
    network = Network(model)
    return Hifa(network, config, 0, mutual=False, local=False)


def batch(width: int) -> Batch:
    generator = torch.Generator().manual_seed(1)

    def features(items: int, views: int) -> TrunkFeatures:
        high = torch.rand(items, views, width, generator=generator)
        return TrunkFeatures(torch.zeros(items, views, 0, 0, 0), high)

    return Batch(features(6, 1), torch.tensor([0, 1, 0, 1, 0, 1]), features(5, 3))


def test_stiffness_is_the_curvature_that_finite_differences_find() -> None:
    """Along its own gradient the mean norm m changes by ‖∂m/∂θ‖² a unit of step."""
    objective = hifa_g(CONFIG)
    objective.network.trunk.requires_grad_(False)
    seen = batch(objective.network.trunk.width)
    stiffness = norm_stiffness(objective, seen, CONFIG)
    total = 0.0
    for part in (seen.images, seen.shapes):
        parameters = list(objective.network.head_parameters())

        def mean(part: TrunkFeatures = part) -> torch.Tensor:  # type: ignore[assignment]
            norms: torch.Tensor = torch.linalg.vector_norm(objective.network(part).pooled, dim=1)
            return norms.mean()

        gradient = torch.autograd.grad(mean(), parameters, allow_unused=True)
        before, small = float(mean().detach()), 1e-3
        with torch.no_grad():
            for parameter, slope in zip(parameters, gradient, strict=True):
                if slope is not None:
                    parameter.add_(small * slope)
        total += 2 * (float(mean().detach()) - before) / small
        with torch.no_grad():
            for parameter, slope in zip(parameters, gradient, strict=True):
                if slope is not None:
                    parameter.sub_(small * slope)
    assert stiffness == pytest.approx(CONFIG.rate * CONFIG.weight_global * total, rel=0.02)


@pytest.mark.parametrize("factor", [0.3, 3.0])
def test_the_limit_tells_what_settles_from_what_does_not(factor: float) -> None:
    """Plain gradient descent on equation 4 alone settles below the limit of its curvature and not above."""
    probe = hifa_g(CONFIG)
    seen = batch(probe.network.trunk.width)
    probe.network.trunk.requires_grad_(False)
    rate = factor * 2 / (norm_stiffness(probe, seen, CONFIG) / CONFIG.rate)
    config = replace(CONFIG, rate=rate, momentum=0.0, nesterov=False, weight_decay=0.0, steps=40)
    objective = hifa_g(config)
    train_step = TrainStep(objective, config, CPU)
    norms = []
    for step in range(40):
        train_step(seen, step)
        norms.append(float(objective.watched["norm_shapes"]))
    wander = max(norms[-10:]) - min(norms[-10:])
    assert (wander < 2.0) is (factor < 1)


def test_a_stiff_start_is_warned_of_with_a_weight_that_is_safe() -> None:
    objective, reporter = hifa_g(CONFIG), Listening()
    objective.network.trunk.requires_grad_(False)
    seen = batch(objective.network.trunk.width)
    stiff = replace(CONFIG, rate=1.5 * CONFIG.rate * STABLE / norm_stiffness(objective, seen, CONFIG))
    with reporting(reporter):
        warn_if_stiff(objective, seen, stiff)
    assert "--weight-global" in reporter.said[0]
    safe = replace(stiff, weight_global=float(reporter.said[0].split("--weight-global ")[1].split()[0]))
    assert norm_stiffness(objective, seen, safe) == pytest.approx(1.0, rel=0.1)
    with reporting(reporter):
        warn_if_stiff(objective, seen, safe)
    assert len(reporter.said) == 1


def test_methods_without_a_squared_norm_are_never_stiff() -> None:
    objective = hifa_g(CONFIG)
    seen = batch(objective.network.trunk.width)
    assert norm_stiffness(objective, seen, replace(CONFIG, norm_penalty="absolute")) == 0
    assert norm_stiffness(SourceOnly(objective.network, CONFIG, 0), seen, CONFIG) == 0


def line(step: int, **values: float) -> dict[str, float]:
    return {"step": step, "predicted_classes": 5, "spread_images": 0.5, "spread_shapes": 0.5, **values}


@pytest.mark.parametrize(
    ("sign", "words"),
    [
        ({"predicted_classes": 1}, "taken for one class"),
        ({"spread_shapes": 1e-4}, "descriptors of the shapes point in one direction"),
        ({"spread_images": 0.0}, "descriptors of the images point in one direction"),
    ],
)
def test_a_collapse_that_lasts_is_said_once_and_a_passing_one_never(
    sign: dict[str, float], words: str
) -> None:
    reporter = Listening()
    watch = CollapseMonitor(5)
    with reporting(reporter):
        for step in range(PATIENCE - 1):
            watch(line(step, **sign))
        watch(line(PATIENCE))
        assert not reporter.said
        for step in range(3 * PATIENCE):
            watch(line(step, **sign))
    assert len(reporter.said) == 1
    assert words in reporter.said[0]


def test_one_class_in_all_is_no_collapse() -> None:
    reporter = Listening()
    watch = CollapseMonitor(1)
    with reporting(reporter):
        for step in range(3 * PATIENCE):
            watch(line(step, predicted_classes=1))
    assert not reporter.said


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_names_step_term_and_remedy(bad: float) -> None:
    stop_unless_finite(line(3, total=1.0), Path("run"))
    with pytest.raises(HifaError, match=r"step 3: global is .*--weight-global .* in run is kept"):
        stop_unless_finite(line(3, **{"global": bad}), Path("run"))
