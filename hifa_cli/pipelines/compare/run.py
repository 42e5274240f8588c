"""The comparison stage: every row at every seed, side by side, what is done already as it is."""

import shutil
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hifa_cli.config import TrainConfig
from hifa_cli.data import Collection
from hifa_cli.data.checks import check
from hifa_cli.errors import HifaError, Stopped
from hifa_cli.pipelines.compare.jobs import Job, Shared, code_digest, data_digest, finished, found
from hifa_cli.pipelines.compare.plan import Plan, plan
from hifa_cli.pipelines.compare.rows import Arm
from hifa_cli.pipelines.compare.summary import RunScores
from hifa_cli.pipelines.compare.workers import Crew
from hifa_cli.runtime import progress
from hifa_cli.runtime.lock import sole_output

if TYPE_CHECKING:
    import torch

PATIENCE = 60.0  # seconds that a job has to write its checkpoint when the comparison is stopped
FEATURES = "features"
Scored = dict[str, Any]
Key = tuple[str, int | None]


@dataclass
class Comparison:
    """The result of a comparison.

    Attributes:
        folder: where everything stays.
        arms: rows in the order asked for.
        seeds: of every row that has random streams.
        config: the settings that all rows share.
        plan: the jobs.
        shared: where the data are and how they are scored.
        device: kind of device.
        counts: photos, shapes and classes of each split.
        benchmark: MI3DOR or MI3DOR-2 where both domains are its, else ''.
        differences: where the counts are not the benchmark's published ones.
        digests: of each split's ids, classes and sizes of files.
        scores: the document of each job that is done.
        failed: the reason of each that failed.
    """

    folder: Path
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    config: TrainConfig
    plan: Plan
    shared: Shared
    device: str
    counts: Mapping[str, Mapping[str, int]]
    benchmark: str = ""
    differences: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    scores: dict[Key, Scored] = field(default_factory=dict)
    failed: dict[Key, str] = field(default_factory=dict)

    def of(self, name: str) -> list[tuple[int | None, Scored]]:
        """Return the scores of a row, by seed."""
        return [(seed, scored) for (row, seed), scored in self.scores.items() if row == name]

    def codes(self) -> dict[str, set[str]]:
        """By row, the versions of the code that made its scores; '' where they were not kept."""
        found: dict[str, set[str]] = {}
        for (name, _), scored in self.scores.items():
            found.setdefault(name, set()).add(str(scored.get("code", "")))
        return found

    def metric(self, name: str, metric: str) -> RunScores:
        """Return a metric of a row, by seed."""
        return {seed: float(scored[metric]) for seed, scored in self.of(name)}


def compare(
    images: Path,
    shapes: Path,
    out: Path,
    arms: Sequence[Arm],
    config: TrainConfig,
    *,
    seeds: Sequence[int],
    train_split: str,
    test_split: str,
    profile: str,
    device: "torch.device",
    jobs: int,
    force: bool,
    features: Path | None = None,
    meshes: Path | None = None,
) -> Comparison:
    """Train, export and score every row at every seed; go on where an interrupted comparison stopped.

    A job that fails is noted and the others go on.

    Args:
        images: labelled photos of both splits.
        shapes: rendered shapes of both splits. The training split's labels are never read.
        out: folder of the comparison.
        arms: rows.
        config: the settings that all rows share.
        seeds: of every row that has random streams.
        train_split: split to train on.
        test_split: split to score.
        profile: definitions of the metrics.
        device: where the networks run.
        jobs: processes side by side; 0 is what fits.
        force: do again what is done.
        features: folder of the frozen trunks' features; by default one in ``out``.
        meshes: that the shapes were drawn from, for rows with a first stage on generated photos.

    Returns:
        What was done, and what failed.

    Raises:
        HifaError: unusable data, or ``out`` is something else.
        ValueError: a row asks for a setting that does not exist.
        Stopped: the user interrupted; what is done is kept.
    """
    if train_split == test_split:
        raise HifaError(f"both splits are '{test_split}': a network is not tested on what it was trained on")
    places = {"images": str(images), "shapes": str(shapes), "features": str(features or out / FEATURES)}
    shared = Shared(
        **places, train_split=train_split, test_split=test_split, profile=profile, device=str(device),
        test_data="", meshes=str(meshes or ""),
    )  # fmt: skip
    train, test = found(shared, train_split), found(shared, test_split)
    for part in (*train, *test):
        part.report()
    digests = {train_split: data_digest(*train), test_split: data_digest(*test)}
    shared = replace(shared, test_data=digests[test_split])
    planned = plan(arms, seeds, config, out, train_data=digests[train_split], device=device.type)
    counts = {train_split: _counts(train), test_split: _counts(test)}
    done = Comparison(out, tuple(arms), tuple(seeds), config, planned, shared, device.type, counts)
    done.digests = digests
    done.benchmark, done.differences = _benchmark(images, shapes)
    with sole_output(out):
        _claim(out)
        _take_finished(done, force=force)
        if missing := {key: job for key, job in planned.jobs.items() if key not in done.scores}:
            _work(done, missing, train, test, jobs, device)
    return done


def _claim(out: Path) -> None:
    """A comparison's folder is empty, new, or a comparison's."""
    if out.exists() and not out.is_dir():
        raise HifaError(f"{out} is not a folder; choose another --out")
    if out.is_dir() and any(out.iterdir()) and not (out / "arms").is_dir():
        raise HifaError(f"{out} exists and is not a comparison of hifa; choose another --out")
    (out / "arms").mkdir(parents=True, exist_ok=True)


def _counts(split: tuple[Collection, Collection]) -> dict[str, int]:
    photos, shapes = split
    return {"photos": len(photos.items), "shapes": len(shapes.items), "classes": len(photos.classes)}


def _benchmark(images: Path, shapes: Path) -> tuple[str, tuple[str, ...]]:
    """Whose data these are by their classes, and where the counts are not the published ones."""
    photos = check(images, domain="images", read=False)
    views = check(shapes, domain="shapes", read=False)
    if not photos.benchmark or photos.benchmark != views.benchmark:
        return "", ()
    return photos.benchmark, (*photos.differences, *views.differences)


def _take_finished(done: Comparison, *, force: bool) -> None:
    for key, job in done.plan.jobs.items():
        if force:
            shutil.rmtree(job.folder, ignore_errors=True)
        elif (scored := finished(job, done.shared)) is not None:
            done.scores[key] = scored
    if others := [name for name, code in done.codes().items() if code - {code_digest()}]:
        progress.warn(
            f"{', '.join(others)}: done by another version of the code, and marked in the tables; "
            "--force does all rows again"
        )
    if done.scores:
        progress.note(f"{len(done.scores)} of {len(done.plan.jobs)} jobs are done already")


def _work(
    done: Comparison,
    missing: Mapping[Key, Job],
    train: tuple[Collection, Collection],
    test: tuple[Collection, Collection],
    jobs: int,
    device: "torch.device",
) -> None:
    """Look once, then do the missing jobs: those that others are built on first."""
    from hifa_cli.pipelines.compare.feature_warmup import cores, look_once, room

    with _stop_requests():
        needed = look_once(list(missing.values()), done.shared, train, test, device)
        workers = min(jobs or room(needed, device, done.config), len(missing))
        crew = Crew(asdict(done.shared), workers=workers, threads=max(1, cores() // workers))
        progress.note(f"{len(missing)} jobs, {workers} side by side, in {done.folder}")
        try:
            steps = sum(job.units for job in missing.values())
            for _ in progress.track(_done_in_waves(crew, done, missing), "comparing (steps)", steps):
                pass
        except KeyboardInterrupt:
            progress.note("stopping: the jobs at hand write their checkpoints")
            crew.stop(PATIENCE)
            raise Stopped(
                f"stopped after {len(done.scores)} of {len(done.plan.jobs)} jobs; "
                "the same command goes on from there"
            ) from None
        finally:
            crew.close()


def _done_in_waves(crew: Crew, done: Comparison, missing: Mapping[Key, Job]) -> Iterator[None]:
    """Trained and frozen rows, then those adapted from them; yields as often as the bar is to move."""
    for adapted in (False, True):
        wave = {key: job for key, job in missing.items() if (job.kind == "adapted") is adapted}
        yield from _watched(crew, done, wave)


def _watched(crew: Crew, done: Comparison, wave: Mapping[Key, Job]) -> Iterator[None]:
    keys, warned = list(wave), set[str]()
    left = [job.units for job in wave.values()]
    for number, what, value in crew.run(enumerate(map(asdict, wave.values()))):
        key = keys[number]
        moved = min(int(value), left[number]) if what == "tick" else 0
        if what == "warn" and value not in warned:
            warned.add(value)
            progress.warn(f"{_called(key)}: {value}")
        elif what == "done":
            done.scores[key], moved = value, left[number]
            progress.note(f"{_called(key)}: FT {value['FT']:.3f}, ANMRR {value['ANMRR']:.3f}")
        elif what in ("failed", "stopped"):
            done.failed[key], moved = str(value), left[number]
            progress.warn(f"{_called(key)} failed: {value}")
        left[number] -= moved
        for _ in range(moved):
            yield


def _called(key: Key) -> str:
    return key[0] if key[1] is None else f"{key[0]}, seed {key[1]}"


@contextmanager
def _stop_requests() -> Iterator[None]:
    """SIGTERM stops a comparison as Ctrl-C does."""

    def ask(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are somebody else's
        return
    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
