"""One optimiser step: rates, precision, gradients of all processes."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hifa_cli.config import TrainConfig
from hifa_cli.data.loader import Batch
from hifa_cli.methods.base import Objective
from hifa_cli.runtime.distributed import world


def learning_rate(config: TrainConfig, step: int) -> float:
    """Learning rate of the head: rate / (1 + decay · p)^power, after a linear warm-up.

    References:
        Ganin and Lempitsky 2015, with decay 10 and power 0.75; Xie et al. 2018 alike.
    """
    progress = step / config.steps
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    decay: float = (1 + config.rate_decay * progress) ** config.rate_power
    return warm * config.rate / decay


def build_optimiser(objective: Objective, config: TrainConfig) -> torch.optim.SGD:
    """SGD with a learning rate factor for each kind of parameter (``factor`` of the group)."""
    network = objective.network
    groups: list[dict[str, Any]] = [{"params": list(network.head_parameters()), "factor": 1.0}]
    if config.freeze == "none":
        groups.append({"params": list(network.trunk.parameters()), "factor": config.trunk_rate})
    elif network.kept >= 0:
        late = [parameter for parameter in network.trunk.parameters() if parameter.requires_grad]
        groups.append({"params": late, "factor": config.trunk_rate})
    else:
        network.trunk.requires_grad_(False)
    if critic := list(objective.critic_parameters()):
        groups.append({"params": critic, "factor": objective.critic_rate})
    return torch.optim.SGD(
        groups,
        lr=config.rate,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
        fused=True if next(network.parameters()).is_cuda else None,
    )


def precision(config: TrainConfig, device: torch.device) -> torch.dtype | None:
    """Return the reduced precision of the network's products, or None for float32.

    Norms, centroids and losses are computed in float32 whatever this says.
    """
    if config.amp == "bf16" or (
        config.amp == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    ):
        return torch.bfloat16
    return torch.float16 if config.amp == "fp16" else None


class TrainStep:
    """Takes the steps of a run.

    Args:
        objective: the method with its network, on ``device``.
        config: rates and precision.
        device: where it runs.
    """

    def __init__(self, objective: Objective, config: TrainConfig, device: torch.device) -> None:
        self.objective, self.config, self.device = objective, config, device
        self.optimiser = build_optimiser(objective, config)
        self.dtype = precision(config, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = config.tf32
            torch.backends.cudnn.allow_tf32 = config.tf32
        if config.compile:
            objective.network.trunk.compile()
        self.forward: nn.Module = objective
        if world().size > 1:
            self.forward = DistributedDataParallel(
                objective,
                device_ids=[device] if device.type == "cuda" else None,
                broadcast_buffers=False,  # centroids are of the global batch: the same everywhere
                find_unused_parameters=True,  # a critic rests where a batch holds one item
            )

    def __call__(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Take ``step`` on ``batch``; the loss terms, detached."""
        rate = learning_rate(self.config, step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            terms: dict[str, Tensor] = self.forward(batch, step, step / self.config.steps)
        self.optimiser.zero_grad(set_to_none=True)
        total = sum(terms.values(), start=torch.zeros((), device=self.device))
        self.scaler.scale(total).backward()
        if self.config.clip:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.objective.parameters(), self.config.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return {name: term.detach() for name, term in terms.items()}
