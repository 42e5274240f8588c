"""Where the network runs."""

import torch

from hifa_cli.errors import HifaError


def pick_device(name: str) -> torch.device:
    """The device that ``name`` asks for: auto, cpu, cuda, cuda:N or mps.

    Raises:
        HifaError: there is no such device here.
    """
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
