"""The frozen trunk of a network in training as a graph: a sixth of the time that torch takes."""

import numpy as np
import torch
from torch import Tensor, nn

from hifa_cli.embeddings.engine import Engine, EngineError, engine_mark, open_engine
from hifa_cli.embeddings.onnx_export import BROKEN, TOLERANCE, exported, largest_difference, straight
from hifa_cli.models.lite import HIGH, LOW
from hifa_cli.models.network import Network, TrunkFeatures

SMALLEST = 96  # pixels a side: of smaller ones a start costs more than it saves
KEPT = 2  # trunks of a process

_open: dict[str, "TrunkEngine | None"] = {}


class TrunkEngine:
    """A trunk's graph on an engine.

    Args:
        engine: with the outputs ``low`` and ``high``.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def look(self, items: list[Tensor]) -> list[TrunkFeatures]:
        """Look at some items of (1, V, 1 or 3, H, W) uint8 pixels: (1, V, …) each, as the network does.

        Pictures never influence each other: what else is looked at changes no bit.
        """
        flat = [item[0].expand(-1, 3, -1, -1).contiguous().numpy() for item in items]
        found = self.engine.run(np.concatenate(flat))
        ends = np.cumsum([len(one) for one in flat])[:-1]
        parts = [np.split(found[name], ends) for name in (LOW, HIGH)]
        return [
            TrunkFeatures(torch.from_numpy(low.copy())[None], torch.from_numpy(high.copy())[None])
            for low, high in zip(*parts, strict=True)
        ]


def runs_by(network: Network, device: torch.device) -> str:
    """Return the engine that a trunk is run by, with its version; nothing where torch does it."""
    return engine_mark() if device.type == "cpu" and network.config.size >= SMALLEST else ""


def trunk_engine(
    network: Network, device: torch.device, digest: str, domain: str = "images"
) -> TrunkEngine | None:
    """Open a network's trunk as a graph; None where torch has to run it.

    Args:
        network: with the trunk.
        device: where it is.
        digest: of the trunk for this domain: asked for again, the same graph answers.
        domain: ``images`` or ``shapes``.

    Returns:
        The engine, or None.
    """
    if not runs_by(network, device):
        return None
    if digest not in _open:
        while len(_open) >= KEPT:
            del _open[next(iter(_open))]
        _open[digest] = _opened(network, domain)
    return _open[digest]


class _Look(nn.Module):
    def __init__(self, network: Network, domain: str) -> None:
        super().__init__()
        self.network, self.domain = network, domain

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        low, high = straight(self.network, pixels, self.domain)
        return low, high


def _opened(network: Network, domain: str) -> TrunkEngine | None:
    """Export, open and compare with the network; None where the graph does not do as the network does."""
    looking, side = _Look(network, domain).eval(), network.config.size
    try:
        engine = open_engine(exported(looking, side, (LOW, HIGH)))
        if engine is None:
            return None
        pixels = np.random.default_rng(0).integers(0, 256, (2, 3, side, side)).astype(np.uint8)
        with torch.inference_mode():
            wanted = network.trunk_features(torch.from_numpy(pixels).unsqueeze(1), domain)
        found = engine.run(pixels)
        differences = [
            largest_difference(part.flatten(1).numpy(), found[name].reshape(len(pixels), -1))
            for part, name in zip(wanted, (LOW, HIGH), strict=True)
        ]
    except (EngineError, ImportError, KeyError, *BROKEN):
        return None
    return TrunkEngine(engine) if max(differences) < TOLERANCE else None
