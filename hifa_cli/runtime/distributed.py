"""Several processes, one batch: each holds a part, and the equations are computed on the whole.

Equations 4 and 6, the centroids and every rival's statistics are functions of the *global* batch. So the
small things (embeddings, logits, labels) are gathered with their gradients and each process applies the
single-process formula to all of them; averaging losses of parts would be another method. Pictures and
low-level maps stay where they are.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from hifa_cli.errors import HifaError

Rows = TypeVar("Rows", bound="Any")  # an array or a tensor


class World(NamedTuple):
    """The rank of this process, and the number of processes."""

    rank: int
    size: int

    @property
    def leads(self) -> bool:
        """Return whether this process speaks and writes."""
        return self.rank == 0

    def part(self, rows: Rows) -> Rows:
        """This process's share of the global batch's rows: contiguous, all of the same length.

        Raises:
            HifaError: the rows cannot be shared evenly.
        """
        if len(rows) % self.size:
            raise HifaError(
                f"a batch of {len(rows)} cannot be shared evenly by {self.size} processes: "
                "change --photos-per-step and --shapes-per-step to multiples of it"
            )
        each = len(rows) // self.size
        return rows[self.rank * each : (self.rank + 1) * each]  # type: ignore[no-any-return]


ALONE = World(0, 1)


def world() -> World:
    """Return the process's place, or ``ALONE``."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return ALONE


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; yields the device of this process.

    NCCL carries CUDA tensors, gloo everything else.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


class _Gather(torch.autograd.Function):
    """Rows of all processes; backwards, the sum of what all processes want of ours."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        whole = gradients[0].contiguous().clone()
        dist.all_reduce(whole)
        part: Tensor = world().part(whole)
        return part


def gathered(rows: Tensor) -> Tensor:
    """Return (B, …) of this process to (W · B, …) of all, in the order of the processes; differentiable.

    The gradient is the sum over the processes. Where each computes the same loss, or its part of a mean, and
    parameters' gradients are averaged over the processes afterwards, the average is the gradient of the
    whole batch's loss.
    """
    if world().size == 1:
        return rows
    whole: Tensor = _Gather.apply(rows)
    return whole


def barrier() -> None:
    """Wait until every process is here."""
    if world().size > 1:
        dist.barrier()


def any_wants(flag: bool, device: torch.device) -> bool:
    """Return whether any process raised the flag."""
    if world().size == 1:
        return flag
    raised = torch.tensor(float(flag), device=device)
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return bool(raised)


def averaged(values: dict[str, float], device: torch.device) -> dict[str, float]:
    """Return the mean of every value over the processes."""
    if world().size == 1:
        return values
    total = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return dict(zip(values, (total / world().size).tolist(), strict=True))
