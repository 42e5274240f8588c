"""A training run, top to bottom: data, objective, steps, log, checkpoint, resume."""

import contextlib
import hashlib
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hifa_cli import __version__
from hifa_cli.atomic import sweep
from hifa_cli.batches import Batch, CachedSteps, PixelSteps, ahead
from hifa_cli.checkpoints import (
    CHECKPOINT,
    RUN_FILE,
    Best,
    Log,
    load_checkpoint,
    read_settings,
    save_checkpoint,
    summary_writer,
    write_settings,
)
from hifa_cli.config import IMAGENET_MEAN, IMAGENET_STD, Freeze, ModelConfig, TrainConfig
from hifa_cli.data import Collection, Item
from hifa_cli.distributed import any_wants, averaged, barrier, world
from hifa_cli.errors import HifaError, Stopped
from hifa_cli.features import FeatureCache, gather_features, look
from hifa_cli.health import Watch, stop_unless_finite, warn_if_stiff
from hifa_cli.lock import sole_output
from hifa_cli.methods import build_objective
from hifa_cli.model import Network, TrunkFeatures, digest, save_network
from hifa_cli.objectives import Objective
from hifa_cli.optimise import Stepper, learning_rate
from hifa_cli.streams import torch_stream
from hifa_cli.talk import SILENT, Talk
from hifa_cli.validation import accuracy_on_features, held_out
from hifa_cli.weights import build_network

Steps = Callable[[int], Batch]
LOG_EVERY_ON_GPU = 10  # reading a loss makes the host wait for the device
SYMBOLS = {  # the paper's names of the terms
    "classification": "L_C", "mutual_information": "λL_MI", "global": "βL_G", "local": "γL_L",
}  # fmt: skip
FREE = ("workers", "checkpoint")  # what may change when a run goes on: no bit of the weights depends on it


@dataclass(frozen=True)
class TrainReport:
    """What a run came to."""

    folder: Path
    steps: int
    seconds: float
    digest: str
    last: dict[str, Any]  # the last line of the log


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
    tensorboard: bool = False,
) -> TrainReport:
    """Train on labelled photos and unlabelled shapes; go on where an interrupted run stopped.

    Under torchrun every process calls this with the same arguments; the first one speaks and writes.

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
        tensorboard: also write the log as TensorBoard scalars, below ``out``.

    Raises:
        HifaError: unusable data, another run or another writer in ``out``, or a loss that is no number.
        Stopped: the user interrupted; a checkpoint was written.
    """
    if tensorboard:
        summary_writer()  # missing, it should be known before the first picture is read
    run = prepare(photos, shapes, config, seed=seed, device=device)
    with sole_output(out) if world().leads else contextlib.nullcontext():
        return _train(run, out, force=force, talk=talk, features=features, tensorboard=tensorboard)


def _train(
    run: Run, out: Path, *, force: bool, talk: Talk, features: Path | None, tensorboard: bool
) -> TrainReport:
    """Train what is prepared into ``out``, which is ours alone."""
    settings = _settings(run)
    if world().leads:
        sweep(out)
        if force:
            _clear(out)
    barrier()
    if (done := _finished(out, settings)) is not None:
        talk.note(f"{out} is trained already with these settings; --force trains it again")
        if world().leads:
            _tidy(out)
        return done
    barrier()
    if world().leads:
        out.mkdir(parents=True, exist_ok=True)
        write_settings(out, {**settings, "finished": None})
    stepper = Stepper(run.objective, run.config, run.device)
    start = load_checkpoint(out, run.objective, stepper.optimiser)
    if start:
        talk.note(f"going on after step {start} of {run.config.steps}")
    steps, validate = _feeds(run, features, talk)
    started = time.monotonic()
    last = _loop(run, stepper, steps, validate, out, start, talk, tensorboard)
    seconds = round(time.monotonic() - started, 1)
    if run.config.keep == "best":
        Best(out).load(run.network)
    report = {"steps": run.config.steps, "seconds": seconds, "digest": digest(run.network), "last": last}
    if world().leads:
        save_network(run.network, out, method=run.config.method, hifa_version=__version__, seed=run.seed)
        write_settings(out, {**settings, "finished": report})
        _tidy(out)
    barrier()
    return TrainReport(out, run.config.steps, seconds, str(report["digest"]), last)


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


def _settings(run: Run) -> dict[str, Any]:
    photos = run.photos.items + run.held.items
    names = hashlib.sha256("\n".join(f"{item.id} {item.label}" for item in photos).encode())
    return {
        "schema": 1,
        "hifa_version": __version__,
        "torch_version": torch.__version__,
        "seed": run.seed,
        "train": asdict(run.config),
        "model": asdict(run.model),
        "photos": {"count": len(photos), "digest": names.hexdigest()},
        "shapes": {"count": len(run.views)},
    }


def _tidy(out: Path) -> None:
    """Remove what only an unfinished run needs."""
    (out / CHECKPOINT).unlink(missing_ok=True)
    Best(out).clear()


def _clear(out: Path) -> None:
    """Throw away the run in ``out``; nothing that is no run."""
    if not out.exists() or read_settings(out) is None:
        return
    for path in out.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != RUN_FILE:  # goes last: killed before, this is still a run that may be cleared
            path.unlink()
    shutil.rmtree(out)


def _finished(out: Path, settings: dict[str, Any]) -> TrainReport | None:
    """The report of the same run done before.

    Raises:
        HifaError: ``out`` holds a run with other settings, or something else.
    """
    if not out.exists():
        return None
    if (before := read_settings(out)) is None:
        if out.is_dir() and not any(out.iterdir()):
            return None
        raise HifaError(f"{out} exists and is no run of hifa; choose another --out")
    finished = before.pop("finished", None)
    for part in ("seed", "train", "model", "photos", "shapes"):
        if _fixed(before.get(part)) != _fixed(settings[part]):
            raise HifaError(
                f"{out} holds a run with other settings ({part}); choose another --out or --force"
            )
    if finished is None:
        return None
    return TrainReport(out, finished["steps"], finished["seconds"], finished["digest"], finished["last"])


def _fixed(value: Any) -> Any:
    """What JSON makes of ``value``, without what may change when a run goes on."""
    if isinstance(value, dict):
        return {key: _fixed(item) for key, item in value.items() if key not in FREE}
    return [_fixed(item) for item in value] if isinstance(value, tuple) else value


Validate = Callable[[], float]


def _feeds(run: Run, folder: Path | None, talk: Talk) -> tuple[Steps, Validate | None]:
    """Where batches come from, and how the held-out photos are classified."""
    config, network = run.config, run.network
    cache = FeatureCache(folder, network, run.device) if folder and config.freeze != "none" else None

    def looked(
        items: Sequence[Item], label: str, *, maps: bool, talk: Talk
    ) -> tuple[TrunkFeatures, list[int]]:
        workers = max(config.workers, 2)
        blocks = look(
            network, items, maps=maps, device=run.device, label=label, workers=workers, talk=talk, cache=cache
        )
        return gather_features(blocks, items)

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


def _loop(
    run: Run,
    stepper: Stepper,
    steps: Steps,
    validate: Validate | None,
    out: Path,
    start: int,
    talk: Talk,
    tensorboard: bool,
) -> dict[str, Any]:
    """Run the steps from ``start``; checkpoint regularly and when asked to stop."""
    config, device, leads = run.config, run.device, world().leads
    every = 1 if device.type == "cpu" else LOG_EVERY_ON_GPU
    workers = config.workers or (2 if config.freeze == "none" else 1)
    feed = steps if device.type != "cuda" else lambda step: steps(step).pinned()
    watch, best, last = Watch(len(run.model.classes), talk), Best(out), {}
    run.objective.train()
    log = Log(out, start, tensorboard=tensorboard) if leads else None
    with contextlib.closing(log) if log else contextlib.nullcontext(), _stop_requests() as stop:
        batches = ahead(feed, range(start, config.steps), workers)
        label = f"training {config.method}"
        for step, batch in enumerate(talk.track(batches, label, config.steps - start), start):
            batch = batch.to(device)
            if step == 0:
                warn_if_stiff(run.objective, batch, config, talk)
            terms = stepper(batch, step)
            ends = step + 1 == config.steps
            judged = validate and ((step + 1) % config.validate_every == 0 or ends)
            if step % every == 0 or judged or ends:
                last = _line(run.objective, terms, step, learning_rate(config, step), device)
                stop_unless_finite(last, out)
                watch(last)
                talk.status("  ".join(f"{SYMBOLS.get(name, name)} {last[name]:.3g}" for name in terms))
                if validate and judged:
                    last["accuracy_held_out"] = validate()
                    if config.keep == "best" and leads:
                        best.offer(run.network, last["accuracy_held_out"], step)
                if log:
                    log.write(last)
            stopping = any_wants(stop.wanted, device)
            if leads and (stopping or ((step + 1) % config.checkpoint == 0 and not ends)):
                if log:
                    log.flush()  # a checkpoint never knows more than the log
                save_checkpoint(out, run.objective, stepper.optimiser, step + 1)
            if stopping:
                raise Stopped(
                    f"stopped after step {step + 1} of {config.steps}; the same command goes on from there"
                )
    return last


def _line(
    objective: Objective, terms: dict[str, Tensor], step: int, rate: float, device: torch.device
) -> dict[str, Any]:
    """A line of the log; where several processes hold parts of a mean, the mean."""
    values = averaged({name: float(term) for name, term in terms.items()}, device)
    watched = {name: float(value) for name, value in objective.watched.items()}
    return {"step": step, "rate": rate, "total": sum(values.values()), **values, **watched}


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
