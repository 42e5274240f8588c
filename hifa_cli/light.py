"""A gallery's network without torch: its graph, run by ONNX Runtime. Loading torch is what a query costs."""

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import ModelConfig
from hifa_cli.data.fitting import Pixels

GRAPH_FILE, GRAPH_ABOUT = "graph.onnx", "graph.json"
MODEL_ABOUT = "model.json"
INPUT, OUTPUT = "pixels", "vectors"


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
        """Embed (N, 3, S, S) uint8 pixels, each by itself: (N, D) float32, as they leave the network."""
        vectors: NDArray[np.float32] = self._session.run([OUTPUT], {INPUT: pixels})[0]
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
        known = {field.name for field in fields(ModelConfig)}
        if about["model"] != model["digest"] or about["sha256"] != hashlib.sha256(content).hexdigest():
            return None
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in model["model"].items()
        }
        if not set(values) <= known:
            return None
        session = open_session(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return None if session is None else LightEncoder(session, str(model["digest"]), ModelConfig(**values))


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
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        return None
