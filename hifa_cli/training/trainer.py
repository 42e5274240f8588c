"""A training run, top to bottom: data, objective, steps, log, checkpoint, resume."""

import contextlib
import hashlib
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hifa_cli import __version__
from hifa_cli.config import ModelConfig, TrainConfig
from hifa_cli.data import Collection
from hifa_cli.data.reading import prefetch
from hifa_cli.errors import HifaError, Stopped
from hifa_cli.methods.base import Objective
from hifa_cli.methods.registry import norm_of
from hifa_cli.models.network import digest, save_network
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import remove_folder, sweep
from hifa_cli.runtime.distributed import any_wants, averaged, barrier, world
from hifa_cli.runtime.lock import sole_output
from hifa_cli.training.checkpoint import (
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
from hifa_cli.training.health import write_health
from hifa_cli.training.monitor import CollapseMonitor, stop_unless_finite, warn_if_stiff
from hifa_cli.training.optim import TrainStep, learning_rate
from hifa_cli.training.points import Points, points_of
from hifa_cli.training.pretraining import kept_record, pretrain, tidy_stage
from hifa_cli.training.setup import Run, Steps, Validate, make_steps, setup_run
from hifa_cli.training.statistics import take_statistics

LOG_EVERY_ON_GPU = 10  # reading a loss makes the host wait for the device
SYMBOLS = {  # the paper's names of the terms
    "classification": "L_C", "mutual_information": "λL_MI", "global": "βL_G", "local": "γL_L",
}  # fmt: skip
FREE = ("workers", "checkpoint")  # what may change when a run goes on: no bit of the weights depends on it


@dataclass(frozen=True)
class TrainReport:
    """The result of a run."""

    folder: Path
    steps: int
    seconds: float
    digest: str
    last: dict[str, Any]  # the last line of the log
    points: Points | None = None  # a sample before and after, where the trunk was frozen


def train(
    photos: Collection,
    shapes: Collection,
    out: Path,
    config: TrainConfig,
    *,
    seed: int,
    device: torch.device,
    force: bool,
    features: Path | None = None,
    tensorboard: bool = False,
    meshes: Path | None = None,
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
        features: folder that keeps what a frozen trunk makes of the pictures, for other runs to use.
        tensorboard: also write the log as TensorBoard scalars, below ``out``.
        meshes: folder of the meshes that the shapes were drawn from, for a first stage on generated photos.

    Returns:
        What the run came to.

    Raises:
        HifaError: unusable data, another run or another writer in ``out``, or a loss that is not a number.
        Stopped: the user interrupted; a checkpoint was written.
    """
    if tensorboard:
        summary_writer()  # missing, it should be known before the first picture is read
    run = setup_run(photos, shapes, config, seed=seed, device=device)
    with sole_output(out) if world().leads else contextlib.nullcontext():
        return _train(run, out, meshes, force=force, features=features, tensorboard=tensorboard)


def _train(
    run: Run, out: Path, meshes: Path | None, *, force: bool, features: Path | None, tensorboard: bool
) -> TrainReport:
    """Train what is prepared into ``out``, which is ours alone."""
    settings = _settings(run)
    if world().leads:
        sweep(out)
        if force:
            _clear(out)
    barrier()
    if (done := _finished(out, settings)) is not None:
        progress.note(f"{out} is trained already with these settings; --force trains it again")
        if world().leads:
            _tidy(out)
        return done
    barrier()
    if world().leads:
        out.mkdir(parents=True, exist_ok=True)
        write_settings(out, {**settings, "finished": None})
    train_step = TrainStep(run.objective, run.config, run.device)
    start = load_checkpoint(
        out, run.objective, train_step.optimiser, most=run.config.steps, scaler=train_step.scaler
    )
    if start:
        progress.note(f"going on after step {start} of {run.config.steps}")
    first = partial(pretrain, run, out=out, meshes=meshes, features=features)
    steps, validate = make_steps(
        run, features, start=start, first=first if run.config.pretrain != "none" else None
    )
    if run.config.pretrain != "none":
        settings["pretrained"] = kept_record(out)
    if run.health and world().leads:
        write_health(out, run.health)
    started = time.monotonic()
    last = _loop(run, train_step, steps, validate, out, start, tensorboard)
    seconds = round(time.monotonic() - started, 1)
    if run.config.keep == "best":
        Best(out).load(run.network)
    if run.model.norm == "adabn" and run.config.freeze != "trunk":
        take_statistics(run.network, run.views, run.device)  # of the trunk as it has become
    report = {"steps": run.config.steps, "seconds": seconds, "digest": digest(run.network), "last": last}
    if world().leads:
        save_network(run.network, out, method=run.config.method, hifa_version=__version__, seed=run.seed)
        write_settings(out, {**settings, "finished": report})
        _tidy(out)
    barrier()
    return TrainReport(out, run.config.steps, seconds, str(report["digest"]), last, points_of(run))


def _settings(run: Run) -> dict[str, Any]:
    photos = run.photos.items + run.held.items
    names = hashlib.sha256("\n".join(f"{item.id} {item.label}" for item in photos).encode())
    return {
        "schema": 1,
        "hifa_version": __version__,
        "torch_version": torch.__version__,
        "seed": run.seed,
        "recipe": recipe_of(run.config),
        "train": asdict(run.config),
        "model": asdict(run.model),
        "photos": {"count": len(photos), "digest": names.hexdigest()},
        "shapes": {"count": len(run.views)},
    }


def recipe_of(config: TrainConfig) -> dict[str, str]:
    """Say what of a run is the paper's and what is not."""
    ours = [
        text
        for used, text in (
            (config.pretrain != "none", "a first stage on photos generated of the shapes"),
            (config.inputs != "pooled", "input of four blocks"),
            (config.centred, "centring per domain"),
            (config.pooling != "max", f"{config.pooling} over the views"),
            (config.pseudo_labels != "argmax", f"{config.pseudo_labels} labels of the shapes"),
            (norm_of(config) != "shared", f"batch statistics of shapes ({norm_of(config)})"),
            (config.descriptor != "embedding", "class scores and the untrained feature in the descriptor"),
        )
        if used
    ]
    return {"method": config.method, "preset": config.preset, "not_of_the_paper": ", ".join(ours) or "-"}


def _tidy(out: Path) -> None:
    """Remove what only an unfinished run needs."""
    (out / CHECKPOINT).unlink(missing_ok=True)
    Best(out).clear()
    tidy_stage(out)


def _clear(out: Path) -> None:
    """Throw away the run in ``out``; nothing that is not a run."""
    if not out.exists() or read_settings(out) is None:
        return
    remove_folder(out, last=RUN_FILE)


def _finished(out: Path, settings: dict[str, Any]) -> TrainReport | None:
    """Return the report of the same run done before.

    Raises:
        HifaError: ``out`` holds a run with other settings, or something else.
    """
    if not out.exists():
        return None
    if (before := read_settings(out)) is None:
        if out.is_dir() and not any(out.iterdir()):
            return None
        raise HifaError(f"{out} exists and is not a run of hifa; choose another --out")
    finished = before.pop("finished", None)
    for part in ("seed", "train", "model", "photos", "shapes"):
        if _fixed(_completed(part, before.get(part))) != _fixed(settings[part]):
            raise HifaError(
                f"{out} holds a run with other settings ({part}); choose another --out or --force"
            )
    if finished is None:
        return None
    try:
        steps, seconds, made, last = (finished[key] for key in ("steps", "seconds", "digest", "last"))
        return TrainReport(out, int(steps), float(seconds), str(made), dict(last))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise HifaError(f"cannot read {out / RUN_FILE}: damaged; train again with --force") from error


def _completed(part: str, stored: Any) -> Any:
    """Return what was stored, with the defaults of fields that the version which stored it did not know."""
    kind = {"train": TrainConfig, "model": ModelConfig}.get(part)
    if kind is None or not isinstance(stored, dict):
        return stored
    return {**_fixed(asdict(kind())), **stored}


def _fixed(value: Any) -> Any:
    """Return what JSON makes of ``value``, without what may change when a run goes on."""
    if isinstance(value, dict):
        return {key: _fixed(item) for key, item in value.items() if key not in FREE}
    return [_fixed(item) for item in value] if isinstance(value, tuple) else value


def _loop(
    run: Run,
    train_step: TrainStep,
    steps: Steps,
    validate: Validate | None,
    out: Path,
    start: int,
    tensorboard: bool,
) -> dict[str, Any]:
    """Run the steps from ``start``; checkpoint regularly and when asked to stop."""
    config, device, leads = run.config, run.device, world().leads
    every = 1 if device.type == "cpu" else LOG_EVERY_ON_GPU
    workers = config.workers or (2 if config.freeze == "none" else 1)
    feed = steps if device.type != "cuda" else lambda step: steps(step).pinned()
    watch, best, last = CollapseMonitor(len(run.model.classes)), Best(out), {}
    run.objective.train()
    log = Log(out, start, tensorboard=tensorboard) if leads else None
    with contextlib.closing(log) if log else contextlib.nullcontext(), _stop_requests() as stop:
        batches = prefetch(feed, range(start, config.steps), workers)
        label = f"training {config.method}"
        for step, batch in enumerate(progress.track_steps(batches, label, config.steps - start), start):
            batch = batch.to(device)
            if step == 0:
                warn_if_stiff(run.objective, batch, config)
            terms = train_step(batch, step)
            ends = step + 1 == config.steps
            judged = validate and ((step + 1) % config.validate_every == 0 or ends)
            if step % every == 0 or judged or ends:
                last = _line(run.objective, terms, step, learning_rate(config, step), device)
                stop_unless_finite(last, out)
                watch(last)
                progress.status("  ".join(f"{SYMBOLS.get(name, name)} {last[name]:.3g}" for name in terms))
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
                save_checkpoint(out, run.objective, train_step.optimiser, step + 1, train_step.scaler)
            if stopping:
                raise Stopped(
                    f"stopped after step {step + 1} of {config.steps}; the same command goes on from there"
                )
    return last


def _line(
    objective: Objective, terms: dict[str, Tensor], step: int, rate: float, device: torch.device
) -> dict[str, Any]:
    """Return a line of the log; where several processes hold parts of a mean, the mean."""
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
