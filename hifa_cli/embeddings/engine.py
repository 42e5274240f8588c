"""Engines that run an ONNX graph on CPUs: OpenVINO where it has a wheel, else ONNX Runtime.

Nothing is ever sent anywhere. ``import openvino`` by itself reports "import" to its maker's statistics
through ``openvino.tools.ovc``; the import is made so that this part, which converts models and is not
needed, cannot load.
"""

import ctypes
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hifa_cli.models.lite import OUTPUTS
from hifa_cli.runtime.threads import wanted as wanted_threads

EngineName = Literal["openvino", "onnxruntime"]
ENGINES: tuple[EngineName, ...] = ("openvino", "onnxruntime")  # the faster one first
QUICK_START: tuple[EngineName, ...] = ("onnxruntime", "openvino")  # for a handful of pictures
_DISABLED = 2  # SS_DISABLE
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

    def run_each(self, batches: Sequence[NDArray[np.uint8]]) -> list[Outputs]:
        """Return every output for each of some batches, whose pictures the graph sees together.

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
        streams = threads or wanted_threads()
        settings = {
            "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": streams
        }  # fmt: skip
        try:
            core = openvino.Core()
            model = core.compile_model(core.read_model(content), "CPU", settings)
            self.outputs = tuple(_name(output.get_names()) for output in model.outputs)
            self._requests = [model.create_infer_request() for _ in range(streams)]
        except RuntimeError as error:
            raise EngineError(str(error)) from error
        finally:
            _signals_on_whole_stack()
        self._alone = threading.Lock()

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Run picture by picture: its maps stay in the processor's cache (a tenth quicker than twelve)."""
        return _joined(self.outputs, self._run(_singly(pixels)))

    def run_each(self, batches: Sequence[NDArray[np.uint8]]) -> list[Outputs]:
        """Run batch by batch."""
        return [dict(zip(self.outputs, part, strict=True)) for part in self._run(batches)]

    def _run(self, batches: Sequence[NDArray[np.uint8]]) -> list[list[NDArray[Any]]]:
        """Have the library's own threads work; ours only starts requests and waits, one caller at a time.

        Requests that several Python threads infer at once can wait for each other for ever.
        """
        parts: list[list[NDArray[Any]]] = []
        running: deque[Any] = deque()
        with self._alone:
            try:
                for place, batch in enumerate(batches):
                    if len(running) == len(self._requests):
                        parts.append(self._finished(running.popleft()))
                    request = self._requests[place % len(self._requests)]
                    request.start_async([np.ascontiguousarray(batch)])
                    running.append(request)
                parts += [self._finished(request) for request in running]
            except (RuntimeError, ValueError) as error:
                raise EngineError(str(error)) from error
        return parts

    def _finished(self, request: Any) -> list[NDArray[Any]]:
        request.wait()
        return [np.array(request.get_output_tensor(place).data) for place in range(len(self.outputs))]


class OnnxRuntime:
    """ONNX Runtime's CPU provider."""

    name: EngineName = "onnxruntime"

    def __init__(self, content: bytes, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # its messages are not for the user's terminal
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common base but this
            raise _wrapped(error) from error
        self.outputs = tuple(output.name for output in self._session.get_outputs())
        streams = threads or wanted_threads()
        self._pool = ThreadPoolExecutor(streams) if streams > 1 else None

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Run picture by picture, as OpenVINO does and for the same reason."""
        return _joined(self.outputs, self._run(_singly(pixels)))

    def run_each(self, batches: Sequence[NDArray[np.uint8]]) -> list[Outputs]:
        """Run batch by batch."""
        return [dict(zip(self.outputs, part, strict=True)) for part in self._run(batches)]

    def _run(self, batches: Sequence[NDArray[np.uint8]]) -> list[list[NDArray[Any]]]:
        """Run one batch at a time on one thread each: a network of several threads wastes half of them."""
        try:
            if self._pool is None or len(batches) == 1:
                return [self._one(batch) for batch in batches]
            return list(self._pool.map(self._one, batches))
        except Exception as error:  # its exceptions have no common base but this
            raise _wrapped(error) from error

    def _one(self, picture: NDArray[np.uint8]) -> list[NDArray[Any]]:
        parts: list[NDArray[Any]] = self._session.run(list(self.outputs), {"pixels": picture})
        return parts


def open_engine(
    content: bytes, *, threads: int = 0, wanted: tuple[EngineName, ...] = ENGINES
) -> Engine | None:
    """Open a graph with the first library of ``wanted`` that is installed and takes it.

    Args:
        content: the ONNX graph.
        threads: pictures at once, each on a thread of its own; 0 is one per usable core.
        wanted: libraries in order; ``HIFA_ENGINE`` in the environment names one alone, or ``torch``: none.

    Returns:
        The engine, or None where no library is installed or takes the graph.
    """
    kinds: dict[str, type[OpenVino] | type[OnnxRuntime]] = {
        "openvino": OpenVino, "onnxruntime": OnnxRuntime
    }  # fmt: skip
    for name in _asked(wanted):
        try:
            return kinds[name](content, threads)
        except (ImportError, OSError, EngineError):
            continue
    return None


def engine_mark() -> str:
    """Return the library that runs graphs here, with its version; nothing where torch has to."""
    for name in _asked(ENGINES):
        with suppress(PackageNotFoundError):
            return f"{name} {version(name)}"
    return ""


def _asked(wanted: tuple[EngineName, ...]) -> tuple[EngineName, ...]:
    only = os.environ.get("HIFA_ENGINE", "")
    named = tuple(name for name in ENGINES if name == only)
    return named if named or only == "torch" else wanted


class _SignalStack(ctypes.Structure):
    """``stack_t`` of Linux."""

    _fields_ = (("place", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def _signals_on_whole_stack() -> None:
    """Have this thread handle signals on its own stack again.

    For processors with AMX, OpenVINO gives the thread a stack of 20 kB for them. A signal's frame takes 11 kB
    of it there, and Ctrl-C ended the process by SIGSEGV where Python's handler had to be linked first.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).sigaltstack(ctypes.byref(_SignalStack(None, _DISABLED, 0)), None)


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


def _name(names: set[str]) -> str:
    """Return the graph's own name among those that OpenVINO gives an output after it has joined layers."""
    return next((name for name in OUTPUTS if name in names), min(names, default=""))


def _singly(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [pixels[place : place + 1] for place in range(len(pixels))]


def _joined(names: tuple[str, ...], parts: list[list[NDArray[Any]]]) -> Outputs:
    if not parts:
        raise EngineError("no pictures given")
    return {name: np.concatenate([part[place] for part in parts]) for place, name in enumerate(names)}


def _wrapped(error: Exception) -> Exception:
    ours = type(error).__module__.startswith("onnxruntime") or isinstance(error, ValueError | RuntimeError)
    return EngineError(str(error)) if ours else error
