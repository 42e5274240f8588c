"""What runs an ONNX graph on CPUs: OpenVINO where it has a wheel, else ONNX Runtime.

Nothing is ever sent anywhere. ``import openvino`` by itself reports "import" to its maker's statistics
through ``openvino.tools.ovc``; the import is made so that this part, which converts models and is not
needed, cannot load.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

EngineName = Literal["openvino", "onnxruntime"]
ENGINES: tuple[EngineName, ...] = ("openvino", "onnxruntime")  # the faster one first
QUICK_START: tuple[EngineName, ...] = ("onnxruntime", "openvino")  # for a handful of pictures
_TALKATIVE = "openvino.tools.ovc"  # sends a "general_import" event when it is imported

Outputs = dict[str, NDArray[Any]]


class Engine(Protocol):
    """A graph that is ready to run.

    Attributes:
        name: of the library.
        outputs: names of what the graph makes.
    """

    name: EngineName
    outputs: tuple[str, ...]

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Return every output for (N, 3, S, S) pixels; pictures never influence each other.

        Raises:
            EngineError: the graph breaks on these pixels.
        """


class EngineError(Exception):
    """A library refuses a graph, or a graph breaks."""


class OpenVino:
    """OpenVINO's CPU plugin, in float32 even where the processor has bfloat16."""

    name: EngineName = "openvino"

    def __init__(self, content: bytes, threads: int) -> None:
        with _without_statistics():
            import openvino
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            core = openvino.Core()
            model = core.compile_model(core.read_model(content), "CPU", settings)
            self.outputs = tuple(output.get_any_name() for output in model.outputs)
            self._request = model.create_infer_request()
        except RuntimeError as error:
            raise EngineError(str(error)) from error

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Run picture by picture: its maps stay in the processor's cache (a tenth quicker than twelve)."""
        parts = []
        try:
            for one in range(len(pixels)):
                found = self._request.infer([np.ascontiguousarray(pixels[one : one + 1])])
                parts.append([np.array(found[place]) for place in range(len(self.outputs))])
        except (RuntimeError, ValueError) as error:
            raise EngineError(str(error)) from error
        return _joined(self.outputs, parts)


class OnnxRuntime:
    """ONNX Runtime's CPU provider."""

    name: EngineName = "onnxruntime"

    def __init__(self, content: bytes, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # its messages are not for the user's terminal
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting costs no CPU
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common base but this
            raise _wrapped(error) from error
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Run picture by picture, as OpenVINO does and for the same reason."""
        try:
            parts = [
                self._session.run(list(self.outputs), {"pixels": pixels[one : one + 1]})
                for one in range(len(pixels))
            ]
        except Exception as error:  # its exceptions have no common base but this
            raise _wrapped(error) from error
        return _joined(self.outputs, parts)


def open_engine(
    content: bytes, *, threads: int = 0, wanted: tuple[EngineName, ...] = ENGINES
) -> Engine | None:
    """Open a graph with the first library of ``wanted`` that is installed and takes it.

    Args:
        content: the ONNX graph.
        threads: of one engine; 0 leaves it to the library.
        wanted: libraries in order; ``HIFA_ENGINE`` in the environment names one alone.

    Returns:
        The engine, or None where no library is installed or takes the graph.
    """
    kinds: dict[str, type[OpenVino] | type[OnnxRuntime]] = {
        "openvino": OpenVino, "onnxruntime": OnnxRuntime
    }  # fmt: skip
    only = os.environ.get("HIFA_ENGINE", "")
    for name in wanted if only not in kinds else (only,):
        try:
            return kinds[name](content, threads)
        except (ImportError, OSError, EngineError):
            continue
    return None


def usable_cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _without_statistics() -> Iterator[None]:
    """Let ``import openvino`` find its model converter missing, which it takes in its stride."""
    if _TALKATIVE in sys.modules:  # the user's own program loaded it
        yield
        return
    sys.modules[_TALKATIVE] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_TALKATIVE]


def _joined(names: tuple[str, ...], parts: list[list[NDArray[Any]]]) -> Outputs:
    if not parts:
        raise EngineError("there are no pictures")
    return {name: np.concatenate([part[place] for part in parts]) for place, name in enumerate(names)}


def _wrapped(error: Exception) -> Exception:
    ours = type(error).__module__.startswith("onnxruntime") or isinstance(error, ValueError | RuntimeError)
    return EngineError(str(error)) if ours else error
