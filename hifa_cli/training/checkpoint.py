"""A run on disk: its configuration, its log, and checkpoints from which it goes on to the bit."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hifa_cli.errors import HifaError
from hifa_cli.methods.base import Objective
from hifa_cli.models.network import write_tensors
from hifa_cli.runtime.atomic import written_file

RUN_FILE, LOG_FILE, CHECKPOINT, BEST = "run.json", "log.jsonl", "checkpoint.safetensors", "best.safetensors"
WEIGHT, MOMENTUM = "weight/", "momentum/"
Settings = dict[str, Any]


def write_settings(folder: Path, settings: Settings) -> None:
    """Write the resolved configuration of a run."""
    with written_file(folder / RUN_FILE) as path:
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def read_settings(folder: Path) -> Settings | None:
    """Return the resolved configuration of the run in ``folder``, or None if no run exists.

    Raises:
        HifaError: the file is damaged.
    """
    try:
        settings = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise HifaError(f"cannot read {folder / RUN_FILE}: damaged; train again with --force") from error
    if not isinstance(settings, dict):
        raise HifaError(f"cannot read {folder / RUN_FILE}: damaged; train again with --force")
    return settings


def save_checkpoint(
    folder: Path, objective: Objective, optimiser: torch.optim.SGD, step: int,
    scaler: torch.amp.GradScaler | None = None,
) -> None:  # fmt: skip
    """Write all that a run needs to go on as one file, whole or not at all.

    Args:
        folder: of the run.
        objective: weights, centroids, assigned labels.
        optimiser: momenta.
        step: how many steps are done.
        scaler: of fp16's gradients: its scale and how long it has held.
    """
    tensors = {f"{WEIGHT}{name}": tensor for name, tensor in objective.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        if state.get("momentum_buffer") is not None:
            tensors[f"{MOMENTUM}{index}"] = state["momentum_buffer"]
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written_file(folder / CHECKPOINT) as path:
        scaling = json.dumps(scaler.state_dict() if scaler is not None else {})
        write_tensors(tensors, path, {"schema": "1", "step": str(step), "scaler": scaling})


def load_checkpoint(
    folder: Path, objective: Objective, optimiser: torch.optim.SGD, *, most: float = math.inf,
    scaler: torch.amp.GradScaler | None = None,
) -> int:  # fmt: skip
    """Take up the checkpoint in ``folder``, of at most ``most`` steps.

    Args:
        folder: of the run.
        objective: whose state is filled in.
        optimiser: likewise.
        most: steps that the run may have done.
        scaler: of fp16's gradients, or None.

    Returns:
        The number of finished steps; 0 without a checkpoint.

    Raises:
        HifaError: the checkpoint is damaged or of another network.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
            step, scaling = int(about["step"]), json.loads(about.get("scaler", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if not 0 <= step <= most:
            raise ValueError(f"step {step}")
        objective.load_state_dict(_under(WEIGHT, tensors))
        momenta = {int(index): tensor for index, tensor in _under(MOMENTUM, tensors).items()}
        shapes = [one.shape for group in optimiser.param_groups for one in group["params"]]
        if any(tensor.shape != shapes[index] for index, tensor in momenta.items()):
            raise ValueError("momenta of another network")
        state = optimiser.state_dict()
        state["state"] = {index: {"momentum_buffer": tensor} for index, tensor in momenta.items()}
        optimiser.load_state_dict(state)
        if scaler is not None and scaler.is_enabled() and scaling:  # a checkpoint of 0.1.0 has none
            scaler.load_state_dict(_checked_scaling(scaling))
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
        raise HifaError(f"the checkpoint {path} is damaged; train again with --force") from error
    return step


def _checked_scaling(state: Any) -> dict[str, Any]:
    """Return the state of a gradient scaler.

    Raises:
        ValueError: it is none, or its numbers are not positive.
    """
    names = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}
    numbers = isinstance(state, dict) and all(type(value) in (int, float) for value in state.values())
    if not numbers or set(state) != names or not 0 < state["scale"] < math.inf:
        raise ValueError("no state of a scaler")
    return dict(state)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


class Best:
    """The weights that classified the held-out photos best so far, beside the checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / BEST

    def offer(self, network: nn.Module, score: float, step: int) -> None:
        """Keep the weights if their score is above what is kept.

        Args:
            network: whose weights are offered.
            score: of it; more is better.
            step: at which it was reached.
        """
        if self.path.exists() and score <= self._kept():
            return
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        with written_file(self.path) as path:
            write_tensors(tensors, path, {"score": repr(score), "step": str(step)})

    def load(self, network: nn.Module) -> None:
        """Take up the weights that are kept.

        Raises:
            HifaError: they are not there or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            network.load_state_dict(load_file(self.path))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise HifaError(f"the best weights {self.path} are damaged; train again with --force") from error

    def clear(self) -> None:
        """Remove the file: the run is finished."""
        self.path.unlink(missing_ok=True)

    def _kept(self) -> float:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, "pt") as file:
                return float(file.metadata()["score"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return float("-inf")


class Log:
    """One JSON document a line, a line a step; on resuming, lines after the checkpoint are dropped.

    Args:
        folder: of the run.
        step: how many steps are done.
        tensorboard: whether to write scalars for TensorBoard as well.

    Raises:
        HifaError: TensorBoard is wanted and not installed.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool = False) -> None:
        self.path = folder / LOG_FILE
        kept = [line for line in self._lines() if line["step"] < step] if step else []
        with written_file(self.path) as path:
            path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        writer = summary_writer() if tensorboard else None
        self.scalars = writer(str(folder / "tensorboard"), purge_step=step) if writer else None
        self.file = self.path.open("a", encoding="utf-8")

    def _lines(self) -> list[dict[str, Any]]:
        lines = []
        if self.path.exists():
            for text in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    line = json.loads(text)
                except (ValueError, RecursionError):  # the line that a kill cut short
                    continue
                if isinstance(line, dict) and isinstance(line.get("step"), int):
                    lines.append(line)
        return lines

    def write(self, line: dict[str, Any]) -> None:
        """Append one line."""
        self.file.write(json.dumps(line) + "\n")
        if self.scalars is not None:
            for name, value in line.items():
                self.scalars.add_scalar(name, value, line["step"])

    def flush(self) -> None:
        """Have the lines on disk."""
        self.file.flush()

    def close(self) -> None:
        """Flush and close."""
        self.file.close()
        if self.scalars:
            self.scalars.close()


def summary_writer() -> Any:
    """TensorBoard's writer of scalars, imported when it is wanted.

    Raises:
        HifaError: it is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise HifaError("--tensorboard needs TensorBoard: pip install 'hifa-cli[tensorboard]'") from error
    return SummaryWriter
