"""A gallery's network without torch: its graph, run by ONNX Runtime. Loading torch is what a query costs."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import ModelConfig
from hifa_cli.data.transforms import Pixels
from hifa_cli.errors import HifaError
from hifa_cli.settings import stored_model

GRAPH_FILE, GRAPH_ABOUT = "graph.onnx", "graph.json"
MODEL_ABOUT = "model.json"
INPUT, OUTPUT = "pixels", "vectors"
_DAMAGED = f"the model's {GRAPH_FILE} is damaged: delete it, or build the gallery again"


class LightEncoder:
    """Embeds pictures as the network does whose graph this is.

    Args:
        session: of ONNX Runtime.
        digest: of the network's weights.
        config: how pictures are prepared.
    """

    def __init__(self, session: Any, digest: str, config: ModelConfig) -> None:
        self._session, self.digest, self.config = session, digest, config

    def each_picture(self, pixels: Pixels) -> NDArray[np.float32]:
        """Embed (N, 3, S, S) uint8 pixels, each by itself: (N, D) float32, as they leave the network.

        Raises:
            HifaError: the graph breaks, or makes no vectors of pictures.
        """
        try:
            vectors: NDArray[np.float32] = np.asarray(self._session.run([OUTPUT], {INPUT: pixels})[0])
        except Exception as error:  # its exceptions have no common base but this
            if not _is_runtimes(error):
                raise
            raise HifaError(_DAMAGED) from error
        if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(pixels):
            raise HifaError(_DAMAGED)
        if not np.isfinite(vectors).all():
            raise HifaError(_DAMAGED)
        return vectors


def light_encoder(folder: Path) -> LightEncoder | None:
    """The encoder of a model's folder; None where there is no graph, no runtime, or they do not fit.

    A graph counts only with the digest of the weights beside it and its own, so that it can never answer
    for another model.
    """
    try:
        about = json.loads((folder / GRAPH_ABOUT).read_text(encoding="utf-8"))
        model = json.loads((folder / MODEL_ABOUT).read_text(encoding="utf-8"))
        content = (folder / GRAPH_FILE).read_bytes()
        if about["model"] != model["digest"] or about["sha256"] != hashlib.sha256(content).hexdigest():
            return None
        config = stored_model(model["model"])
        session = open_session(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return None if session is None else LightEncoder(session, str(model["digest"]), config)


def open_session(content: bytes) -> Any:
    """ONNX Runtime on a graph, on the CPU; None where it is not installed or refuses the graph."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it has to say belongs to nobody's terminal
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base but this
        if not _is_runtimes(error):
            raise
        return None


def _is_runtimes(error: Exception) -> bool:
    return type(error).__module__.startswith("onnxruntime") or isinstance(error, ValueError | RuntimeError)
