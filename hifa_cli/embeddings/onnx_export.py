"""Writing a network as an ONNX graph beside its weights, checked against the network itself."""

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hifa_cli.embeddings.encoder import graph_encoder, write_graph_files
from hifa_cli.embeddings.engine import EngineError, open_engine
from hifa_cli.models.lite import ITEM, PART, PIXELS, VECTORS, VIEWS
from hifa_cli.models.network import Network, TrunkFeatures, digest, load_network
from hifa_cli.models.norms import seen_as
from hifa_cli.runtime import progress

TOLERANCE = 1e-5  # of the cosine between what the two make of noise; in practice 1e-7
BROKEN = (RuntimeError, ValueError, TypeError, torch.onnx.errors.OnnxExporterError)  # what exporting raises
_OPSET = 18


def straight(network: Network, pixels: Tensor, domain: str = "images") -> TrunkFeatures:
    """Run the trunk without any reshaping.

    Args:
        network: with the trunk.
        pixels: (N, 3, S, S) uint8.
        domain: ``images`` or ``shapes``, whose statistics count where they differ.

    Returns:
        (N, c, h, w) maps and (N, F).
    """
    scaled = (pixels.to(network.mean.dtype) / 255 - network.mean) / network.std
    with seen_as(domain):
        return TrunkFeatures(*network.trunk(scaled))


class _EachPicture(nn.Module):
    """A network as it describes photos, one by one.

    A plain network goes straight through its trunk: behind a reshaping of unknown size the exporter no longer
    knows the sides of a map, which adaptive pooling needs (AlexNet, VGG).
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        config = network.config
        self.plain = config.descriptor == "embedding" and not (
            config.centred or config.embedding_relu or config.mapped
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return names of what it makes."""
        return (VECTORS, PART) if self.network.config.descriptor == "fused" else (VECTORS,)

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, ...]:
        network = self.network
        if self.plain:
            found: Tensor = network.bottleneck(straight(network, pixels).high)
            return found
        return self.whole(pixels)

    def whole(self, pixels: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return what the network itself makes of (N, 3, S, S) pixels."""
        looked = self.network.trunk_features(pixels.unsqueeze(1))
        vectors = self.network.describe(looked, "images")[0].squeeze(1)
        if self.network.config.descriptor != "fused":
            return vectors
        return vectors, self.network.untrained_part(looked).squeeze(1)


class _WholeShape(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        low, high = straight(self.network, pixels, "shapes")
        views, item = self.network.describe(TrunkFeatures(low.unsqueeze(0), high.unsqueeze(0)), "shapes")
        return views.squeeze(0), item

    def whole(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network itself makes of the views of a shape."""
        views, item = self.network.describe(pixels.unsqueeze(0), "shapes")
        return views.squeeze(0), item


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own log of what it cannot do off standard output, which is the command's result."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def export_onnx(folder: Path) -> bool:
    """Write the graph of the model in ``folder`` beside it, unless it has one.

    A network that treats shapes otherwise than photos gets a graph of each. Without a graph queries work as
    well, only slower; so what cannot be written is a note.

    Returns:
        Whether there is a graph now.
    """
    if graph_encoder(folder) is not None:
        return True
    try:
        import onnx  # noqa: F401 - the exporter's
    except ImportError as error:
        progress.note(f"queries will load torch: no {error.name} here ('pip install onnx')")
        return False
    network = load_network(folder)
    side, shapes = network.config.size, None
    try:
        photos = _EachPicture(network).eval()
        content = exported(photos, side, photos.outputs)
        reason = _difference(photos, content, side, photos.outputs)
        if network.config.tells_domains and not reason:
            whole = _WholeShape(network).eval()
            shapes = exported(whole, side, (VIEWS, ITEM))
            reason = _difference(whole, shapes, side, (VIEWS, ITEM))
    except (EngineError, *BROKEN) as error:
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    if reason:
        progress.note(f"queries will load torch: this network has no graph that does the same ({reason})")
        return False
    write_graph_files(folder, digest(network), content, None, shapes)
    return True


def exported(module: nn.Module, side: int, outputs: tuple[str, ...]) -> bytes:
    """Export a module as a graph of any number of pictures.

    Args:
        module: takes (N, 3, S, S) uint8 pixels, in evaluation mode.
        side: S.
        outputs: names of what it makes.

    Returns:
        The ONNX graph. The older exporter takes seconds, the newer one minutes.
    """
    content: Any = io.BytesIO()  # taken, though not in the types
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    silence = contextlib.redirect_stdout(io.StringIO())
    with warnings.catch_warnings(), silence, _quiet(), torch.inference_mode():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # attention as one operator, which ONNX does not know
        try:
            torch.onnx.export(
                module, (torch.zeros(2, 3, side, side, dtype=torch.uint8),), content, dynamo=False,
                opset_version=_OPSET, input_names=[PIXELS], output_names=list(outputs),
                dynamic_axes={name: {0: "n"} for name in (PIXELS, *outputs) if name != ITEM},
            )  # fmt: skip
        finally:
            logger.setLevel(level)
            torch.backends.mha.set_fastpath_enabled(fast)
    graph: bytes = content.getvalue()
    return graph


def _difference(
    module: "_EachPicture | _WholeShape", content: bytes, side: int, outputs: tuple[str, ...]
) -> str:
    """Return what is wrong with a graph, by three pictures of noise; "" where it does as the network does."""
    engine = open_engine(content)
    if engine is None:
        return "no engine takes it"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, side, side)).astype(np.uint8)
    with torch.inference_mode():
        made = module.eval().whole(torch.from_numpy(pixels))
    wanted = dict(zip(outputs, (made,) if isinstance(made, Tensor) else made, strict=True))
    (found,) = engine.run_each([pixels])
    error = max(largest_difference(part.numpy(), found[name]) for name, part in wanted.items())
    return "" if error < TOLERANCE else f"cosines differ by {error:.1e}"


def largest_difference(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    """Return how far the cosines of pairs of rows are from 1, at most; infinite where they are not finite."""
    wanted, found = wanted.astype(np.float64), found.astype(np.float64)
    if wanted.shape != found.shape:
        return float("inf")
    lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1)
    cosines = np.einsum("nd,nd->n", wanted, found) / np.where(lengths > 0, lengths, 1)
    error = float(np.abs(np.where(lengths > 0, cosines, 1) - 1).max())
    return error if np.isfinite(error) else float("inf")
