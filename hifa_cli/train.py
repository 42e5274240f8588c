"""The loop, top to bottom: data, objective, optimiser, log, checkpoint, resume."""

import contextlib
import hashlib
import math
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hifa_cli import __version__
from hifa_cli.batches import Batch, CachedSteps, PixelSteps, ahead
from hifa_cli.checkpoints import (
    CHECKPOINT,
    Log,
    load_checkpoint,
    read_settings,
    save_checkpoint,
    write_settings,
)
from hifa_cli.config import IMAGENET_MEAN, IMAGENET_STD, ModelConfig, TrainConfig
from hifa_cli.data import Collection, Item
from hifa_cli.errors import HifaError, Stopped
from hifa_cli.features import FeatureCache, gather_features, look
from hifa_cli.model import Network, TrunkFeatures, digest, save_network
from hifa_cli.objectives import Objective, build_objective
from hifa_cli.streams import torch_stream
from hifa_cli.talk import Talk
from hifa_cli.weights import build_network

Steps = Callable[[int], Batch]
LOG_EVERY_ON_GPU = 10  # reading a loss makes the host wait for the device


@dataclass(frozen=True)
class TrainReport:
    """What a run came to."""

    folder: Path
    steps: int
    seconds: float
    digest: str
    last: dict[str, Any]  # the last line of the log


def train(
    photos: Collection,
    shapes: Collection,
    out: Path,
    config: TrainConfig,
    *,
    seed: int,
    device: torch.device,
    force: bool,
    talk: Talk,
    features: Path | None = None,
) -> TrainReport:
    """Train on labelled photos and unlabelled shapes; go on where an interrupted run stopped.

    Args:
        photos: labelled photos.
        shapes: rendered shapes; their labels, where they have any, are never read.
        out: folder of the run.
        config: every number of the method and the run.
        seed: of every random stream.
        device: where to train.
        force: throw away what is in ``out``.
        talk: notes and progress.
        features: folder that keeps what a frozen trunk makes of the pictures, for other runs to use.

    Raises:
        HifaError: unusable data, another run in ``out``, or a loss that is no number.
        Stopped: the user interrupted; a checkpoint was written.
    """
    photos, views = _labelled(photos), _by_content(shapes)
    config = _fitted(config, photos, views, device)
    model = model_config(config, photos.classes)
    settings = _settings(config, model, photos, views, seed)
    if (done := _finished(out, settings, force=force)) is not None:
        talk.note(f"{out} is trained already with these settings; --force trains it again")
        return done
    torch.manual_seed(0)  # nothing may draw from the global stream unseeded
    network = build_network(model, config.weights, torch_stream(seed, "initialise", "head")).to(device)
    objective = build_objective(network, config, seed).to(device)
    optimiser = build_optimiser(objective, config)
    out.mkdir(parents=True, exist_ok=True)
    write_settings(out, {**settings, "finished": None})
    step = load_checkpoint(out, objective, optimiser)
    if step:
        talk.note(f"going on after step {step} of {config.steps}")
    steps = _steps(network, photos, views, config, seed, device, talk, features)
    started = time.monotonic()
    last = _loop(objective, optimiser, steps, config, out, step, device, talk)
    seconds = round(time.monotonic() - started, 1)
    save_network(network, out, method=config.method, hifa_version=__version__, seed=seed)
    report = {"steps": config.steps, "seconds": seconds, "digest": digest(network), "last": last}
    write_settings(out, {**settings, "finished": report})
    (out / CHECKPOINT).unlink(missing_ok=True)
    return TrainReport(out, config.steps, seconds, str(report["digest"]), last)


def model_config(config: TrainConfig, classes: tuple[str, ...]) -> ModelConfig:
    """The network that a training run builds."""
    is_lite = config.backbone == "efficientnet_lite0"
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
        mean=ModelConfig.mean if is_lite else IMAGENET_MEAN,
        std=ModelConfig.std if is_lite else IMAGENET_STD,
    )


def learning_rate(config: TrainConfig, step: int) -> float:
    """Learning rate of the head: rate / (1 + decay · p)^power, after a linear warm-up.

    References:
        Ganin and Lempitsky 2015, with decay 10 and power 0.75; Xie et al. 2018 alike.
    """
    progress = step / config.steps
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    decay: float = (1 + config.rate_decay * progress) ** config.rate_power
    return warm * config.rate / decay


def build_optimiser(objective: Objective, config: TrainConfig) -> torch.optim.SGD:
    """SGD with a learning rate factor for each kind of parameter (``factor`` of the group)."""
    network = objective.network
    groups: list[dict[str, Any]] = [{"params": list(network.head_parameters()), "factor": 1.0}]
    if config.freeze == "none":
        groups.append({"params": list(network.trunk.parameters()), "factor": config.trunk_rate})
    else:
        network.trunk.requires_grad_(False)
    if critic := list(objective.critic_parameters()):
        groups.append({"params": critic, "factor": config.critic_rate})
    return torch.optim.SGD(
        groups,
        lr=config.rate,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
        fused=True if next(network.parameters()).is_cuda else None,
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
        for path in item.views:
            total.update(path.read_bytes())
        return total.digest()

    return [item.views for item in sorted(shapes.items, key=key)]


def _fitted(
    config: TrainConfig, photos: Collection, views: list[tuple[Path, ...]], device: torch.device
) -> TrainConfig:
    """The configuration with every ``auto`` resolved and batches no larger than the data."""
    if not views and config.method != "source-only":
        raise HifaError("no shapes to align with; give --shapes VIEWS, or use --method source-only")
    freeze = config.freeze
    if freeze == "auto":
        freeze = "trunk" if device.type == "cpu" else "none"
    available = min((len(v) for v in views), default=1)
    return replace(
        config,
        freeze=freeze,
        shapes=min(config.shapes, max(len(views), 1)),
        views=min(config.views, available),
    )


def _settings(
    config: TrainConfig, model: ModelConfig, photos: Collection, views: list[tuple[Path, ...]], seed: int
) -> dict[str, Any]:
    names = hashlib.sha256("\n".join(f"{item.id} {item.label}" for item in photos.items).encode())
    return {
        "schema": 1,
        "hifa_version": __version__,
        "torch_version": torch.__version__,
        "seed": seed,
        "train": asdict(config),
        "model": asdict(model),
        "photos": {"count": len(photos.items), "digest": names.hexdigest()},
        "shapes": {"count": len(views)},
    }


def _finished(out: Path, settings: dict[str, Any], *, force: bool) -> TrainReport | None:
    """The report of the same run done before; clears ``out`` under ``force``.

    Raises:
        HifaError: ``out`` holds a run with other settings, or something else.
    """
    if force and out.exists() and read_settings(out) is not None:
        shutil.rmtree(out)
    if not out.exists():
        return None
    if (before := read_settings(out)) is None:
        if out.is_dir() and not any(out.iterdir()):
            return None
        raise HifaError(f"{out} exists and is no run of hifa; choose another --out")
    finished = before.pop("finished", None)
    for part in ("seed", "train", "model", "photos", "shapes"):
        ours = _plain(settings[part])
        if before.get(part) != ours:
            raise HifaError(
                f"{out} holds a run with other settings ({part}); choose another --out or --force"
            )
    if finished is None:
        return None
    return TrainReport(out, finished["steps"], finished["seconds"], finished["digest"], finished["last"])


def _plain(value: Any) -> Any:
    """What JSON makes of ``value``."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _steps(
    network: Network,
    photos: Collection,
    views: list[tuple[Path, ...]],
    config: TrainConfig,
    seed: int,
    device: torch.device,
    talk: Talk,
    features: Path | None,
) -> Steps:
    if config.freeze == "none":
        return PixelSteps(photos, views, network.config, config, seed, talk)
    cache = FeatureCache(features, network, device) if features is not None else None

    def looked(items: Sequence[Item], label: str) -> tuple[TrunkFeatures, list[int]]:
        maps, workers = config.method == "hifa", max(config.workers, 2)
        blocks = look(
            network, items, maps=maps, device=device, label=label, workers=workers, talk=talk, cache=cache
        )
        return gather_features(blocks, items)

    seen, rows = looked(photos.items, "looking at the photos")
    labels = np.array([photos.items[row].label for row in rows], dtype=np.int64)
    if config.method == "source-only":
        empty = TrunkFeatures(*(part[:0] for part in seen))
        return CachedSteps(seen, labels, empty, config, seed)
    items = [Item(str(views[0].parent), -1, views) for views in views]
    shapes, _ = looked(items, "looking at the shapes")
    return CachedSteps(seen, labels, shapes, config, seed)


def _loop(
    objective: Objective,
    optimiser: torch.optim.SGD,
    steps: Steps,
    config: TrainConfig,
    out: Path,
    start: int,
    device: torch.device,
    talk: Talk,
) -> dict[str, Any]:
    """Run the steps from ``start``; checkpoint regularly and when asked to stop."""
    log, last = Log(out, start), {}
    objective.train()
    every = 1 if device.type == "cpu" else LOG_EVERY_ON_GPU
    workers = config.workers or (2 if config.freeze == "none" else 1)
    scaler = torch.amp.GradScaler(device.type, enabled=_precision(config, device) == torch.float16)
    with contextlib.closing(log), _stop_requests() as stop:
        batches = ahead(steps, range(start, config.steps), workers)
        for step, batch in enumerate(
            talk.track(batches, f"training {config.method}", config.steps - start), start
        ):
            rate = learning_rate(config, step)
            terms = _step(objective, optimiser, scaler, batch.to(device), step, rate, config, device)
            if step % every == 0 or step == config.steps - 1:
                last = _line(objective, terms, step, rate)
                _check(last, out)
                log.write(last)
            if stop.wanted or ((step + 1) % config.checkpoint == 0 and step + 1 < config.steps):
                save_checkpoint(out, objective, optimiser, step + 1)
            if stop.wanted:
                raise Stopped(
                    f"stopped after step {step + 1} of {config.steps}; the same command goes on from there"
                )
    return last


def _step(
    objective: Objective,
    optimiser: torch.optim.SGD,
    scaler: torch.amp.GradScaler,
    batch: Batch,
    step: int,
    rate: float,
    config: TrainConfig,
    device: torch.device,
) -> dict[str, Tensor]:
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
    precision = _precision(config, device)
    with torch.autocast(device.type, dtype=precision, enabled=precision is not None):
        terms = objective(batch, step, step / config.steps)
    optimiser.zero_grad(set_to_none=True)
    scaler.scale(sum(terms.values(), start=torch.zeros((), device=device))).backward()
    if config.clip:
        scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(objective.parameters(), config.clip)
    scaler.step(optimiser)
    scaler.update()
    return {name: term.detach() for name, term in terms.items()}


def _precision(config: TrainConfig, device: torch.device) -> torch.dtype | None:
    """The reduced precision of the network's products, or None for float32."""
    if config.amp == "bf16" or (
        config.amp == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    ):
        return torch.bfloat16
    return torch.float16 if config.amp == "fp16" else None


def _line(objective: Objective, terms: dict[str, Tensor], step: int, rate: float) -> dict[str, Any]:
    values = {name: float(term) for name, term in terms.items()}
    watched = {name: float(value) for name, value in objective.watched.items()}
    return {"step": step, "rate": rate, "total": sum(values.values()), **values, **watched}


def _check(line: dict[str, Any], out: Path) -> None:
    for name, value in line.items():
        if not math.isfinite(value):
            raise HifaError(
                f"step {line['step']}: {name} is {value}; lower --rate or --weight-global "
                f"(the last checkpoint in {out} is kept)"
            )


class _Stop:
    wanted = False


@contextlib.contextmanager
def _stop_requests() -> Iterator[_Stop]:
    """Let Ctrl-C and SIGTERM finish the step at hand; a second one stops at once."""
    stop, before = _Stop(), {}

    def ask(number: int, frame: object) -> None:
        if stop.wanted:
            raise KeyboardInterrupt
        stop.wanted = True

    with contextlib.suppress(ValueError):  # not in the main thread: signals are somebody else's
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
