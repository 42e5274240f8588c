"""Signs that a run goes wrong: losses that are not numbers, and collapses that no loss shows."""

import math
from pathlib import Path
from typing import Any

import torch

from hifa_cli.config import TrainConfig
from hifa_cli.data.loader import Batch
from hifa_cli.errors import HifaError
from hifa_cli.methods.base import Hifa, Objective
from hifa_cli.runtime import progress

STABLE = 1.36  # rate · β · curvature beyond which a squared norm penalty diverged under Nesterov momentum
PATIENCE = 20  # lines of the log in a row
NARROW = 1e-3  # spread of the directions below which they are one direction


def norm_stiffness(objective: Objective, batch: Batch, config: TrainConfig) -> float:
    """Learning rate · β · curvature of equation 4 at the weights as they are.

    The penalty (m − R)² on a domain's mean norm m has the curvature 2‖∂m/∂θ‖² along its gradient; a step of
    gradient descent overshoots where the rate times the curvature is too large, and then the features
    collapse onto one direction of norm R with every loss a number.

    Args:
        objective: on its device.
        batch: any batch.
        config: rate, β and the form of the penalty.

    Returns:
        The product, summed over both domains; 0 where the penalty is absent or not squared.
    """
    if config.norm_penalty != "squared" or not isinstance(objective, Hifa) or not objective.norms:
        return 0.0
    network = objective.network
    factors = [(p, 1.0) for p in network.head_parameters()]
    factors += [(p, config.trunk_rate) for p in network.trunk.parameters()]
    factors = [(p, factor) for p, factor in factors if p.requires_grad]
    curvature = 0.0
    for domain, seen in (("images", batch.images), ("shapes", batch.shapes)):
        chunked = config.chunk and isinstance(seen, torch.Tensor)
        part = network.look_in_chunks(seen, config.chunk, domain) if chunked else seen  # type: ignore[arg-type]
        mean = torch.linalg.vector_norm(network(part, domain).pooled.float(), dim=1).mean()
        found = torch.autograd.grad(mean, [p for p, _ in factors], allow_unused=True)
        pairs = zip(found, factors, strict=True)
        curvature += sum(2 * factor * float(g.square().sum()) for g, (_, factor) in pairs if g is not None)
    return config.rate * config.weight_global * curvature


def warn_if_stiff(objective: Objective, batch: Batch, config: TrainConfig) -> None:
    """Say so where the first steps are likely to overshoot.

    Args:
        objective: before its first step.
        batch: the first.
        config: has the rate and β.
    """
    stiffness = norm_stiffness(objective, batch, config)
    if stiffness > STABLE:
        progress.warn(
            f"the norm term is stiff: rate · β · curvature is {stiffness:.3g}, and beyond {STABLE} features "
            f"tend to collapse onto one direction; --weight-global {config.weight_global / stiffness:.2g} "
            "or a lower --rate is safe"
        )


def stop_unless_finite(line: dict[str, Any], out: Path) -> None:
    """Stop at a loss that is not a number.

    Raises:
        HifaError: names the step, the term and the remedy.
    """
    for name, value in line.items():
        if not math.isfinite(value):
            raise HifaError(
                f"step {line['step']}: {name} is {value}; lower --rate or --weight-global "
                f"(the last checkpoint in {out} is kept)"
            )


class CollapseMonitor:
    """Warns once of each collapse that lasts.

    Args:
        classes: how many there are to predict.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.lasted: dict[str, int] = {}

    def __call__(self, line: dict[str, Any]) -> None:
        """See a line of the log."""
        one_class = self.classes > 1 and line.get("predicted_classes") == 1
        self._count(
            "classes", one_class, line,
            "every shape is taken for one class: the alignment has collapsed; lower --weight-global, "
            "--weight-local or --rate",
        )  # fmt: skip
        for domain in ("images", "shapes"):
            self._count(
                domain, line.get(f"spread_{domain}", 1.0) < NARROW, line,
                f"all descriptors of the {domain} point in one direction: they have collapsed; lower "
                "--weight-global or --rate",
            )  # fmt: skip

    def _count(self, sign: str, seen: bool, line: dict[str, Any], message: str) -> None:
        self.lasted[sign] = self.lasted.get(sign, 0) + 1 if seen else 0
        if self.lasted[sign] == PATIENCE:
            progress.warn(f"step {line['step']}: {message}")
