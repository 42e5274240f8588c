"""Writing a network as an ONNX graph beside its weights, checked against the network itself."""

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hifa_cli.embeddings.encoder import graph_encoder, write_graph_files
from hifa_cli.embeddings.engine import open_engine
from hifa_cli.models.lite import PIXELS, VECTORS
from hifa_cli.models.network import Network, digest, load_network
from hifa_cli.runtime import progress

TOLERANCE = 1e-5  # of the cosine between what the two make of noise; in practice 1e-7
_OPSET = 18


class _EachPicture(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network.describe(pixels.unsqueeze(1), "images")[0].squeeze(1)


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
    side = network.config.size
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            torch.onnx.export(
                _EachPicture(network).eval(),
                (torch.zeros(2, 3, side, side, dtype=torch.uint8),),
                content,
                dynamo=False,
                opset_version=_OPSET,
                input_names=[PIXELS],
                output_names=[VECTORS],
                dynamic_axes={PIXELS: {0: "n"}, VECTORS: {0: "n"}},
            )
        finally:
            logger.setLevel(level)
    graph: bytes = content.getvalue()
    return graph


def _difference(network: Network, content: bytes) -> str:
    """What is wrong with the graph, by three pictures of noise; "" where it does as the network does."""
    engine = open_engine(content)
    if engine is None:
        return "no engine takes it"
    side = network.config.size
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, side, side)).astype(np.uint8)
    with torch.inference_mode():
        wanted = _EachPicture(network)(torch.from_numpy(pixels)).double().numpy()
    found = engine.run(pixels)[VECTORS].astype(np.float64)
    lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1)
    error = np.abs(np.einsum("nd,nd->n", wanted, found) / np.where(lengths > 0, lengths, 1) - 1).max()
    return "" if np.isfinite(error) and error < TOLERANCE else f"cosines differ by {error:.1e}"
