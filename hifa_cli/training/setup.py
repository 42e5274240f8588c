"""The parts of a training run: resolved configuration, network, objective, and its batches.

Of a shape nothing but its pictures gets past here.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hifa_cli.config import Freeze, ModelConfig, TrainConfig, last_blocks
from hifa_cli.data import Collection, Item
from hifa_cli.data.loader import Batch, FeatureBatches, ImageBatches
from hifa_cli.embeddings.feature_cache import FeatureCache, extract_features, gather_features
from hifa_cli.errors import HifaError
from hifa_cli.methods.base import Objective
from hifa_cli.methods.registry import build_objective, norm_of
from hifa_cli.models.backbones import backbone_of
from hifa_cli.models.network import QUANTILE, LiteBlocks, Network, TrunkFeatures
from hifa_cli.models.weights import build_network
from hifa_cli.runtime import progress
from hifa_cli.runtime.distributed import world
from hifa_cli.runtime.seeding import torch_stream
from hifa_cli.training.health import examples, offset_of, report_beliefs
from hifa_cli.training.pseudo_labels import propagate
from hifa_cli.training.statistics import take_statistics
from hifa_cli.training.validation import accuracy_on_features, held_out

BANK = 50  # photos of a class that the gate compares with
Steps = Callable[[int], Batch]
First = Callable[[TrunkFeatures], None]
Validate = Callable[[], float]


class Seen(NamedTuple):
    """Hold what training reads of all photos and shapes, and the trunk's features of them before it.

    Attributes:
        photos: (n, 1, F) of a frozen trunk, or maps of the early blocks.
        labels: (n,) classes of the photos.
        shapes: (m, V, F), or maps.
        before: (n, 1, F) and (m, V, F); those of a frozen trunk itself.
    """

    photos: TrunkFeatures
    labels: NDArray[np.int64]
    shapes: TrunkFeatures
    before: tuple[TrunkFeatures, TrunkFeatures]


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
    readable: list[tuple[Path, ...]] = field(default_factory=list)  # of the shapes that were looked at
    health: dict[str, Any] = field(default_factory=dict)  # what is believed of the shapes
    seen: list["Seen"] = field(
        default_factory=list
    )  # what the trunk made of everything, if it was looked at once

    @property
    def network(self) -> Network:
        """Return the network that is trained."""
        return self.objective.network


def setup_run(
    photos: Collection, shapes: Collection, config: TrainConfig, *, seed: int, device: torch.device
) -> Run:
    """Resolve the configuration against the data and build network and objective.

    Args:
        photos: labelled photos.
        shapes: rendered shapes; their labels are never read.
        config: every number of the run.
        seed: of every random stream.
        device: where to train.

    Returns:
        The run, ready to step.

    Raises:
        HifaError: photos without classes, no shapes for a method that needs them, weights that are not here.
    """
    known, held = held_out(_labelled(photos), config.validation, seed)
    if config.keep == "best" and not held.items:
        raise HifaError("--keep best needs photos to validate with: give --validation, e.g. 0.1")
    views = by_content(shapes)
    config = _fitted(config, views, device)
    model = model_config(config, photos.classes)
    if config.descriptor == "fused":
        labels = np.array([item.label for item in known.items])
        model = replace(model, bank=bank_rows(labels, len(photos.classes)).size)
    _check_norm(model, config, views)
    _check_pretrain(model, config, views)
    torch.manual_seed(0)  # nothing may draw from the global stream unseeded
    network = build_network(model, config.weights, torch_stream(seed, "initialise", "head")).to(device)
    if last := last_blocks(config.freeze):
        network.split(last)
    objective = build_objective(network, config, seed)
    objective.expect(len(views))
    objective = objective.to(device)
    if objective.sees_shapes and not views:
        raise HifaError("no shapes to align with; give --shapes VIEWS, or use --method source-only")
    if model.norm == "transnorm" and not objective.sees_shapes:
        raise HifaError(
            f"--method {config.method} never sees shapes, which norm=transnorm learns from: choose one that "
            "does, e.g. transnorm"
        )
    return Run(config, model, known, held, views, objective, seed, device)


def _check_norm(model: ModelConfig, config: TrainConfig, views: Sequence[tuple[Path, ...]]) -> None:
    """Refuse statistics of shapes that nothing could be taken or learned from.

    Raises:
        HifaError: says what to do.
    """
    if model.norm == "shared":
        return
    said = f"norm={model.norm}"
    if not views:
        raise HifaError(f"{said} needs shapes, for statistics of their own: give --shapes VIEWS")
    if config.compile:
        raise HifaError(f"{said} cannot be compiled: --set compile=false")
    if model.norm == "adabn":
        return
    if config.freeze == "trunk":
        raise HifaError(f"{said} learns with the trunk, which is frozen: give --freeze blocks:1 or none")
    if config.chunk:
        raise HifaError(f"{said} takes statistics of whole batches: --set chunk=0")
    if world().size > 1:
        raise HifaError(f"{said} takes statistics of whole batches: train in one process")


def _check_pretrain(model: ModelConfig, config: TrainConfig, views: Sequence[tuple[Path, ...]]) -> None:
    """Refuse a first stage that has nothing to learn, or nothing to learn from.

    Raises:
        HifaError: says what to do.
    """
    if config.pretrain == "none":
        return
    said = f"--pretrain {config.pretrain}"
    if config.freeze == "none":
        raise HifaError(f"{said} learns a map or the last blocks: give --freeze trunk or blocks:N")
    if not views:
        raise HifaError(f"{said} needs shapes: give --shapes VIEWS")
    if model.norm != "shared":
        raise HifaError(f"{said} is not for statistics of each domain: leave out norm={model.norm}")
    if config.pretrain_photos < 2 or config.pretrain_steps < 1 or config.pretrain_batch < 0:
        raise HifaError(f"{said} needs two photos of each shape, a step and no negative pretrain_batch")


def model_config(config: TrainConfig, classes: tuple[str, ...]) -> ModelConfig:
    """Return the network that a training run builds."""
    row = backbone_of(config.backbone)
    norm = norm_of(config)
    return ModelConfig(
        backbone=config.backbone,
        embedding=config.embedding,
        classes=classes,
        dropout=config.dropout,
        embedding_relu=config.embedding_relu,
        head_init=config.head_init,
        size=config.size,
        inputs=config.inputs,
        centred=config.centred,
        pooling=config.pooling,
        descriptor=config.descriptor,
        resize=config.resize if config.augment and config.freeze == "none" else config.size,
        fit=config.fit,
        mean=row.mean,
        std=row.std,
        norm=norm,
        norm_last=last_blocks(config.freeze) if norm == "transnorm" else 0,
        mapped=config.pretrain != "none" and config.freeze == "trunk",
    )


def _labelled(photos: Collection) -> Collection:
    kept = tuple(item for item in photos.items if item.label >= 0)
    if not kept:
        raise HifaError("the photos have no classes: put them in a folder a class, e.g. photos/chair/1.jpg")
    return replace(photos, items=kept)


def by_content(shapes: Collection) -> list[tuple[Path, ...]]:
    """Return each shape's views, in the order of what the pictures hold.

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
    """Return what ``auto`` means on a device: training a whole trunk takes days on a CPU."""
    if config.freeze != "auto":
        return config.freeze
    return "trunk" if device.type == "cpu" else "none"


def _fitted(config: TrainConfig, views: list[tuple[Path, ...]], device: torch.device) -> TrainConfig:
    """Return the configuration with every ``auto`` resolved and batches no larger than the data."""
    freeze, descriptor = resolved_freeze(config, device), config.descriptor
    if freeze != "trunk" and descriptor == "fused":
        progress.note("descriptor=embedding: a fused one needs a trunk that stays as it is (--freeze trunk)")
        descriptor = "embedding"
    return replace(
        config,
        freeze=freeze,
        descriptor=descriptor,
        shapes=min(config.shapes, max(len(views) - len(views) % world().size, world().size)),
        views=min(config.views, min((len(v) for v in views), default=1)),
    )


def make_steps(
    run: Run, folder: Path | None, *, start: int = 0, first: First | None = None
) -> tuple[Steps, Validate | None]:
    """Return where batches come from, and how the held-out photos are classified.

    Before the first step AdaBN's statistics of shapes are taken, and the network's centres and the shapes'
    assigned labels are set by what the trunk makes of everything; a run that goes on has them from its
    checkpoint.

    Args:
        run: of :func:`setup_run`.
        folder: of features that other runs have kept, or None.
        start: the first step; 0 sets centres and labels.
        first: called before that with what the trunk, or its early blocks, made of the shapes: a first stage.

    Returns:
        A function from a step to its batch, and one that returns the held-out photos' accuracy.
    """
    config, network = run.config, run.network
    if start == 0 and run.model.norm == "adabn":
        take_statistics(network, run.views, run.device, folder)

    def looked(
        items: Sequence[Item], label: str, *, maps: bool, domain: str = "images"
    ) -> tuple[TrunkFeatures, list[int]]:
        kept = folder if config.freeze != "none" else None
        each = extract_features(
            network, items, maps=maps, device=run.device, label=label, workers=max(config.workers, 2),
            cache=FeatureCache(kept, network, run.device, domain) if kept else None,
            frozen=config.freeze != "none", domain=domain,
        )  # fmt: skip
        return gather_features(each, items)

    def classified() -> tuple[TrunkFeatures, Tensor]:
        seen, rows = looked(run.held.items, "looking at the held-out photos", maps=False)
        return seen, torch.tensor([run.held.items[row].label for row in rows])

    if config.freeze == "none":
        unset = config.centred or config.descriptor == "fused" or run.objective.assigned is not None
        if start == 0 and unset:
            believe(run, *_everything(run, looked)[:3])
        steps: Steps = ImageBatches(
            run.photos, run.views if run.objective.sees_shapes else [], network.config, config, run.seed
        )
        return steps, (lambda: accuracy_on_features(network, *classified())) if run.held.items else None
    seen, labels, shapes = _everything(run, looked)
    if start == 0 and first is not None:
        first(shapes)
    if start == 0 or network.kept < 0:  # a trunk that moved is no longer what it was before
        before = _looked_whole(network, seen), _looked_whole(network, shapes, "shapes")
        run.seen.append(Seen(seen, labels, shapes, before))
    if start == 0:
        believe(run, before[0], labels, before[1])
    steps = FeatureBatches(seen, labels, shapes, config, run.seed)
    if not run.held.items:
        return steps, None
    held = classified()
    return steps, lambda: accuracy_on_features(network, *held)


def _everything(
    run: Run, looked: Callable[..., tuple[TrunkFeatures, list[int]]]
) -> tuple[TrunkFeatures, NDArray[np.int64], TrunkFeatures]:
    """Return what the trunk makes of all photos, their classes, and what it makes of all shapes."""
    maps = run.objective.reads_maps and run.config.freeze != "none"
    seen, rows = looked(run.photos.items, "looking at the photos", maps=maps)
    labels = np.array([run.photos.items[row].label for row in rows], dtype=np.int64)
    shapes = TrunkFeatures(*(part[:0] for part in seen))
    if run.views and (run.objective.sees_shapes or run.config.centred or run.config.pretrain != "none"):
        items = [Item(str(views[0].parent), -1, views) for views in run.views]
        shapes, kept = looked(items, "looking at the shapes", maps=maps, domain="shapes")
        run.readable[:] = [run.views[row] for row in kept]
    return seen, labels, shapes


@torch.inference_mode()
def _looked_whole(
    network: Network, seen: TrunkFeatures, domain: str = "images", chunk: int = 16
) -> TrunkFeatures:
    """Return the trunk's features, without maps, of what its early blocks made, or what is whole as it is."""
    if network.kept < 0 or not len(seen.low):
        return seen
    parts = (TrunkFeatures(*(each[at : at + chunk].to(network.mean.device) for each in seen))
             for at in range(0, len(seen.low), chunk))  # fmt: skip
    high = torch.cat([network.looked(part, domain).high.cpu() for part in parts])
    return TrunkFeatures(high.new_empty(*high.shape[:2], 0, 0, 0), high)


def believe(run: Run, photos: TrunkFeatures, labels: NDArray[np.int64], shapes: TrunkFeatures) -> None:
    """Set the centres of both domains and the labels of the shapes; say what is believed of them.

    Args:
        run: whose network and objective are set.
        photos: (n, 1, F) of the labelled photos.
        labels: (n,) their classes.
        shapes: (m, V, F); nothing else of the shapes is known.

    Raises:
        HifaError: a centred input has no shapes to be centred by.
    """
    network, objective = run.network, run.objective
    moved = _mapped(network, photos.high)
    if run.config.centred:
        if not len(shapes.high):
            raise HifaError("a centred input needs shapes: give --shapes VIEWS, or --set centred=false")
        means = [part.double().mean(dim=(0, 1)).float() for part in (moved, shapes.high)]
        network.centres.copy_(torch.stack(means))
    if run.config.descriptor == "fused":
        run.health["told_apart"] = round(_set_gate(network, photos, labels), 4)
    if objective.assigned is None:
        return
    classes, blocks = len(run.model.classes), network.trunk.blocks or (network.trunk.width,)
    beliefs = propagate(
        moved[:, 0].numpy(), labels, shapes.high.numpy(), blocks, classes, _confidence(network, photos)
    )
    found = torch.from_numpy(beliefs.labels)
    if run.config.pseudo_labels == "permuted":
        found = found[torch.randperm(len(found), generator=torch_stream(run.seed, "permuted labels"))]
    objective.assigned[: len(found)] = found.to(objective.assigned.device)
    run.health.update(report_beliefs(beliefs, labels, run.model.classes))
    run.health["examples"] = examples(beliefs, run.readable, run.model.classes)
    run.health["offset"] = offset_of(moved[:, 0, : blocks[0]], shapes.high[..., : blocks[0]].mean(dim=1))


@torch.inference_mode()
def _mapped(network: Network, high: Tensor) -> Tensor:
    """Return (n, 1, F) of photos as the map of a first stage moves them; as they are without one."""
    return network.mapped(high.to(network.mean.device)).cpu()


def bank_rows(labels: NDArray[np.int64], classes: int, places: int = 0) -> NDArray[np.int64]:
    """Return (C, places) rows of photos of each class, evenly over them.

    Args:
        labels: (n,) classes of the photos.
        classes: C.
        places: of each class; 0 is what the largest class fills, ``BANK`` at most.

    Returns:
        Rows; those of a small class several times, and −1 for a class without photos.
    """
    counts = np.bincount(labels, minlength=classes)
    places = places or int(min(BANK, counts.max(initial=1)))
    chosen = np.full((classes, places), -1, dtype=np.int64)
    for label in np.flatnonzero(counts):
        rows = np.flatnonzero(labels == label)
        chosen[label] = rows[np.linspace(0, len(rows) - 1, places).astype(np.int64)]
    return chosen


def _set_gate(network: Network, photos: TrunkFeatures, labels: NDArray[np.int64]) -> float:
    """Fill the gate's bank; its threshold leaves a twentieth of the bank's own photos out.

    Returns:
        How well photos of a class that is left out would be told from known ones, 0 to 1.
    """
    classes = len(network.config.classes)
    rows = torch.from_numpy(bank_rows(labels, classes, len(network.bank) // classes)).flatten()
    high = photos.high[rows.clamp(min=0), 0].to(network.bank.device)
    width = network.bank.shape[1]
    moved = network.mapped(high)[:, :width] - (network.centres[0, :width] if network.config.centred else 0)
    there = (rows >= 0).float().to(moved.device).unsqueeze(1)
    network.bank.copy_(torch.nn.functional.normalize(moved, dim=1) * there)
    own = torch.arange(classes).repeat_interleave(len(rows) // classes)
    cosines = network.likeness(high).cpu().masked_fill(rows[:, None] == rows, -1)  # no photo is near itself
    nearest = network.nearness(cosines).gather(1, own[:, None])[:, 0]
    several = np.bincount(labels, minlength=classes)[own.numpy()] > 1
    known = nearest[torch.from_numpy(several)]
    network.threshold.fill_(float(known.quantile(QUANTILE)) if len(known) else -1.0)
    return told_apart(known, _nearness_elsewhere(network, cosines, rows, own))


def _nearness_elsewhere(network: Network, cosines: Tensor, rows: Tensor, own: Tensor) -> Tensor:
    """Return how near labelled photos are to the nearest other class: as if theirs had no photos."""
    near = network.nearness(cosines).scatter(1, own[:, None], -1.0)
    there = rows.view(len(network.config.classes), -1)[:, 0] >= 0
    return near[:, there].amax(dim=1)[rows >= 0] if int(there.sum()) > 1 else near[:0, 0]


def told_apart(known: Tensor, unknown: Tensor) -> float:
    """Return how well one threshold tells two kinds of scores apart: 0 not at all, 1 without an error.

    It is the largest difference of the shares above a threshold (Youden's J; Kolmogorov-Smirnov distance).

    Args:
        known: (n,) nearness of photos to their own class; likewise 1 where none is given.
        unknown: (m,) to the nearest class if their own had no photos.

    Returns:
        0 to 1; 1 where one of the two is empty, so that nothing speaks against.

    References:
        Youden 1950, "Index for rating diagnostic tests".
    """
    if not len(known) or not len(unknown):
        return 1.0
    known, unknown = known.double().sort().values, unknown.double().sort().values
    at = torch.cat((known, unknown))
    first, second = (1 - torch.searchsorted(one, at, right=True) / len(one) for one in (known, unknown))
    return max(float((first - second).max()), 0.0)


@torch.inference_mode()
def _confidence(network: Network, photos: TrunkFeatures) -> NDArray[np.float32] | None:
    """(n,) largest probability among ImageNet's classes; None where the trunk has no such classifier."""
    if not isinstance(network.trunk, LiteBlocks):
        return None
    high = photos.high[:, 0].to(network.mean.device)
    likeliest: NDArray[np.float32] = network.trunk.confidence(high)[:, 0].cpu().numpy()
    return likeliest
