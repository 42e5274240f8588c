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
from torch import Tensor, nn

from hifa_cli.embeddings.encoder import graph_encoder, write_graph_files
from hifa_cli.embeddings.engine import open_engine
from hifa_cli.models.lite import PART, PIXELS, VECTORS
from hifa_cli.models.network import Network, digest, load_network
from hifa_cli.runtime import progress

TOLERANCE = 1e-5  # of the cosine between what the two make of noise; in practice 1e-7
_OPSET = 18


class _EachPicture(nn.Module):
    """A network as it describes photos, one by one.

    A plain network goes straight through its trunk: behind a reshaping of unknown size the exporter no longer
    knows the sides of a map, which adaptive pooling needs (AlexNet, VGG).
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        config = network.config
        self.plain = config.descriptor == "embedding" and not config.centred and not config.embedding_relu

    @property
    def outputs(self) -> list[str]:
        """Names of what it makes."""
        return [VECTORS, PART] if self.network.config.descriptor == "fused" else [VECTORS]

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, ...]:
        network = self.network
        if self.plain:
            scaled = (pixels.to(network.mean.dtype) / 255 - network.mean) / network.std
            found: Tensor = network.bottleneck(network.trunk(scaled)[1])
            return found
        return self.whole(pixels)

    def whole(self, pixels: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return what the network itself makes of (N, 3, S, S) pixels."""
        looked = self.network.trunk_features(pixels.unsqueeze(1))
        vectors = self.network.describe(looked, "images")[0].squeeze(1)
        if self.network.config.descriptor != "fused":
            return vectors
        return vectors, self.network.untrained_part(looked).squeeze(1)


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
    """Write the graph of the model in ``folder`` beside it, if absent.

    Without a graph queries work as well, only slower; so what cannot be written is a note.

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
    try:
        content = _exported(network)
        reason = _difference(network, content)
    except (RuntimeError, ValueError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    if reason:
        progress.note(f"queries will load torch: this network has no graph that does the same ({reason})")
        return False
    write_graph_files(folder, digest(network), content, None)
    return True


def _exported(network: Network) -> bytes:
    """The graph, with any number of pictures. The older exporter takes seconds, the newer one minutes."""
    content: Any = io.BytesIO()  # taken, though not in the types
    side, whole = network.config.size, _EachPicture(network).eval()
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
                whole,
                (torch.zeros(2, 3, side, side, dtype=torch.uint8),),
                content,
                dynamo=False,
                opset_version=_OPSET,
                input_names=[PIXELS],
                output_names=whole.outputs,
                dynamic_axes={name: {0: "n"} for name in (PIXELS, *whole.outputs)},
            )
        finally:
            logger.setLevel(level)
            torch.backends.mha.set_fastpath_enabled(fast)
    graph: bytes = content.getvalue()
    return graph


def _difference(network: Network, content: bytes) -> str:
    """What is wrong with the graph, by three pictures of noise; "" where it does as the network does."""
    engine = open_engine(content)
    if engine is None:
        return "no engine takes it"
    side = network.config.size
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, side, side)).astype(np.uint8)
    whole = _EachPicture(network)
    with torch.inference_mode():
        made = whole.eval().whole(torch.from_numpy(pixels))
    ran, error = engine.run(pixels), 0.0
    for name, tensor in zip(whole.outputs, made if isinstance(made, tuple) else (made,), strict=True):
        wanted, found = tensor.double().numpy(), ran[name].astype(np.float64)
        lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1)
        cosines = np.einsum("nd,nd->n", wanted, found) / np.where(lengths > 0, lengths, 1)
        error = max(error, float(np.abs(cosines - 1).max()))
    return "" if np.isfinite(error) and error < TOLERANCE else f"cosines differ by {error:.1e}"
