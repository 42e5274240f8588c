"""What a training run consists of: resolved configuration, network, objective, and its batches.

Of a shape nothing but its pictures gets past here.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hifa_cli.config import Freeze, ModelConfig, TrainConfig
from hifa_cli.data import Collection, Item
from hifa_cli.data.loader import Batch, CachedSteps, PixelSteps
from hifa_cli.embeddings.feature_cache import FeatureCache, gather_features, look
from hifa_cli.errors import HifaError
from hifa_cli.methods.base import Objective
from hifa_cli.methods.registry import build_objective
from hifa_cli.models.backbones import backbone_of
from hifa_cli.models.network import Network, TrunkFeatures
from hifa_cli.models.weights import build_network
from hifa_cli.runtime.distributed import world
from hifa_cli.runtime.progress import SILENT, Talk
from hifa_cli.runtime.seeding import torch_stream
from hifa_cli.training.validation import accuracy_on_features, held_out

Steps = Callable[[int], Batch]
Validate = Callable[[], float]


@dataclass(frozen=True)
class Run:
    """All that a run consists of, ready to step."""

    config: TrainConfig  # with every ``auto`` resolved
    model: ModelConfig
    photos: Collection  # to train on
    held: Collection  # to validate with
    views: list[tuple[Path, ...]]  # of each shape: nothing else of a shape is known here
    objective: Objective
    seed: int
    device: torch.device

    @property
    def network(self) -> Network:
        """The network that is trained."""
        return self.objective.network


def prepare(
    photos: Collection, shapes: Collection, config: TrainConfig, *, seed: int, device: torch.device
) -> Run:
    """Resolve the configuration against the data and build network and objective.

    Raises:
        HifaError: photos without classes, no shapes for a method that needs them, weights that are not here.
    """
    known, held = held_out(_labelled(photos), config.validation, seed)
    if config.keep == "best" and not held.items:
        raise HifaError("--keep best needs photos to validate with: give --validation, e.g. 0.1")
    views = _by_content(shapes)
    config = _fitted(config, views, device)
    model = model_config(config, photos.classes)
    torch.manual_seed(0)  # nothing may draw from the global stream unseeded
    network = build_network(model, config.weights, torch_stream(seed, "initialise", "head")).to(device)
    objective = build_objective(network, config, seed).to(device)
    if objective.sees_shapes and not views:
        raise HifaError("no shapes to align with; give --shapes VIEWS, or use --method source-only")
    return Run(config, model, known, held, views, objective, seed, device)


def model_config(config: TrainConfig, classes: tuple[str, ...]) -> ModelConfig:
    """The network that a training run builds."""
    row = backbone_of(config.backbone)
    return ModelConfig(
        backbone=config.backbone,
        embedding=config.embedding,
        classes=classes,
        dropout=config.dropout,
        embedding_relu=config.embedding_relu,
        head_init=config.head_init,
        size=config.size,
        resize=config.resize if config.augment and config.freeze == "none" else config.size,
        fit=config.fit,
        mean=row.mean,
        std=row.std,
    )


def _labelled(photos: Collection) -> Collection:
    kept = tuple(item for item in photos.items if item.label >= 0)
    if not kept:
        raise HifaError("the photos have no classes: put them in a folder a class, e.g. photos/chair/1.jpg")
    return replace(photos, items=kept)


def _by_content(shapes: Collection) -> list[tuple[Path, ...]]:
    """Each shape's views, in the order of what the pictures hold.

    Names would order the shapes by class where folders are classes; so not even the order of the target
    domain can carry a label into training.
    """

    def key(item: Item) -> bytes:
        total = hashlib.sha256()
        try:
            for path in item.views:
                total.update(path.read_bytes())
        except OSError:
            return b""  # whoever looks at it names it and leaves it out
        return total.digest()

    return [item.views for item in sorted(shapes.items, key=key)]


def resolved_freeze(config: TrainConfig, device: torch.device) -> Freeze:
    """What ``auto`` means on a device: training a whole trunk takes days on a CPU."""
    if config.freeze != "auto":
        return config.freeze
    return "trunk" if device.type == "cpu" else "none"


def _fitted(config: TrainConfig, views: list[tuple[Path, ...]], device: torch.device) -> TrainConfig:
    """The configuration with every ``auto`` resolved and batches no larger than the data."""
    return replace(
        config,
        freeze=resolved_freeze(config, device),
        shapes=min(config.shapes, max(len(views) - len(views) % world().size, world().size)),
        views=min(config.views, min((len(v) for v in views), default=1)),
    )


def feeds(run: Run, folder: Path | None, talk: Talk) -> tuple[Steps, Validate | None]:
    """Where batches come from, and how the held-out photos are classified."""
    config, network = run.config, run.network
    cache = FeatureCache(folder, network, run.device) if folder and config.freeze != "none" else None

    def looked(
        items: Sequence[Item], label: str, *, maps: bool, talk: Talk
    ) -> tuple[TrunkFeatures, list[int]]:
        workers = max(config.workers, 2)
        each = look(
            network, items, maps=maps, device=run.device, label=label, workers=workers, talk=talk, cache=cache
        )
        return gather_features(each, items)

    def classified(talk: Talk = SILENT) -> tuple[TrunkFeatures, Tensor]:
        seen, rows = looked(run.held.items, "looking at the held-out photos", maps=False, talk=talk)
        return seen, torch.tensor([run.held.items[row].label for row in rows])

    if config.freeze == "none":
        steps: Steps = PixelSteps(
            run.photos, run.views if run.objective.sees_shapes else [], network.config, config, run.seed, talk
        )
        return steps, (lambda: accuracy_on_features(network, *classified())) if run.held.items else None
    maps = run.objective.reads_maps
    seen, rows = looked(run.photos.items, "looking at the photos", maps=maps, talk=talk)
    labels = np.array([run.photos.items[row].label for row in rows], dtype=np.int64)
    shapes = TrunkFeatures(*(part[:0] for part in seen))
    if run.objective.sees_shapes:
        items = [Item(str(views[0].parent), -1, views) for views in run.views]
        shapes, _ = looked(items, "looking at the shapes", maps=maps, talk=talk)
    steps = CachedSteps(seen, labels, shapes, config, run.seed)
    if not run.held.items:
        return steps, None
    held = classified(talk)
    return steps, lambda: accuracy_on_features(network, *held)
