"""The device of the network."""

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hifa_cli.errors import HifaError

if TYPE_CHECKING:
    import torch

_ACCELERATORS = ("nvidia[0-9]*", "kfd", "dxg")  # in /dev: NVIDIA's driver, AMD's, Windows' own Linux


def settled_device(name: str) -> str:
    """Return the device that ``name`` asks for; torch is loaded only where more than the CPU may be meant.

    Args:
        name: auto, cpu, cuda, cuda:N or mps.

    Raises:
        HifaError: the device does not exist here.
    """
    if name == "cpu" or (name == "auto" and not _accelerated()):
        return "cpu"
    return str(pick_device(name))


def _accelerated() -> bool:
    """Return whether this machine shows any sign of a device that torch could use beside the CPU."""
    if sys.platform == "linux":
        return any(next(Path("/dev").glob(pattern), None) for pattern in _ACCELERATORS)
    return sys.platform != "darwin" or platform.machine() == "arm64"


def pick_device(name: str) -> "torch.device":
    """Return the device that ``name`` asks for: auto, cpu, cuda, cuda:N or mps.

    Raises:
        HifaError: the device does not exist here.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise HifaError(f"no device '{name}': use auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise HifaError(
            f"no device '{name}': torch sees {torch.cuda.device_count()} CUDA devices here; use --device cpu"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise HifaError("no device 'mps' here; use --device cpu")
    if device.type not in ("cpu", "cuda", "mps"):
        raise HifaError(f"no device '{name}': use auto, cpu, cuda, cuda:N or mps")
    return device
