"""A gallery made by a Ray cluster: a task makes a shard, this process keeps what is finished and merges.

Each task draws and embeds the shapes of one shard (:mod:`.shard`) on whatever node it runs, in a folder of
its own, and sends the shard back; nodes need the meshes at the same paths and the same hifa. A finished shard
is kept beside the gallery, under a name made of all that it depends on, so that the same command goes on
where a killed one stopped. Ray gives the task of a node that died to another node.
"""

import hashlib
import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

from hifa_cli import __version__
from hifa_cli.config import IndexConfig, RankingConfig, RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import MAIN_FILE, MODELS
from hifa_cli.gallery.build import build_gallery, check_sources, refuse_strange
from hifa_cli.gallery.merge import merge_shards
from hifa_cli.gallery.metadata import read_metadata
from hifa_cli.gallery.rehouse import rehouse
from hifa_cli.gallery.shard import Shard, number_of, parse_shard
from hifa_cli.gallery.sources import holds_meshes
from hifa_cli.gallery.stores import usable_store
from hifa_cli.gallery.update import annotate
from hifa_cli.render.pipeline import meshes_of
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import written_folder
from hifa_cli.runtime.lock import LOCK_FILE, sole_output

EACH = 256  # shapes of a shard, about
_MOST = 4096  # shards by default
_RETRIES = 5  # of a task whose node died
_AHEAD = 2  # tasks that are given out for each CPU of the cluster
_SHOWN = 200  # characters of a message of Ray's
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FAILED = "failed.json"  # of a shard: meshes that could not be drawn


@dataclass(frozen=True)
class ClusterOptions:
    """Settings of all shards.

    Attributes:
        split: use only this split of the meshes.
        index: how the merged gallery is searched.
        render: how meshes are drawn.
        ranking: how shapes are ranked; None ranks as the paper does.
        keep_views: keep the pictures of meshes, too.
        workers: processes that draw, for each task; a task asks for as many CPUs.
        device: where the network runs; a task on ``cuda`` asks for one GPU.
        model: folder of a run; None is the pretrained encoder.
    """

    split: str | None = None
    index: IndexConfig = field(default_factory=IndexConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    ranking: RankingConfig | None = None
    keep_views: bool = False
    workers: int = 1
    device: str = "cpu"
    model: Path | None = None


class Task(NamedTuple):
    """The work of one node: a shard.

    Attributes:
        shard: ``i/n``.
        sources: folders of meshes, absolute.
        options: of all shards; the model's place is where the task unpacks it.
        version: of hifa, which the node must have.
        with_model: whether the model is sent back with the shard; it is the same in all.
    """

    shard: str
    sources: tuple[str, ...]
    options: ClusterOptions
    version: str
    with_model: bool


class Made(NamedTuple):
    """The answer to a task.

    Attributes:
        shard: ``i/n``.
        content: of the shard's folder, as an archive; empty where it failed.
        error: why it failed, in one line; empty where it did not.
    """

    shard: str
    content: bytes
    error: str = ""


class Pool(Protocol):
    """A place where tasks run."""

    def capacity(self) -> int:
        """Return how many tasks may wait and run at a time."""

    def submit(self, task: Task, model: bytes) -> None:
        """Give out a task.

        Args:
            task: the shard.
            model: its folder as an archive; empty for the pretrained encoder.
        """

    def next(self) -> Made:
        """Wait for any of the tasks that were given out.

        Raises:
            HifaError: its nodes died too often.
        """


def build_on(
    pool: Pool, sources: Sequence[Path], out: Path, options: ClusterOptions, *, shards: int | None = None,
    force: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Make the gallery that this machine alone would make, by the tasks of a pool.

    Args:
        pool: where they run.
        sources: folders of meshes, or meshes.
        out: the gallery, which must not be there yet.
        options: of all shards.
        shards: how many; by default one for 256 shapes. Fewer are made where one would be empty.
        force: replace a gallery that is there.

    Returns:
        As :func:`~hifa_cli.gallery.merge.merge_shards`, with the meshes that could not be drawn.

    Raises:
        HifaError: a source is not of meshes, ``out`` is taken, or a shard cannot be made.
    """
    places = [one.absolute() for one in sources]
    _check(places, out, options, force=force)
    files = [mesh for place in places for mesh in meshes_of([place], options.split, options.render.layout)[0]]
    count = shards_for([mesh.id for mesh in files], shards)
    model = b"" if options.model is None else packed(options.model)
    names = _names([(mesh.id, mesh.path) for mesh in files], count, places, options, model)
    kept = out.with_name(f".{out.name}.shards")
    with sole_output(kept):
        todo = _todo(kept, names)
        if len(todo) < count:
            progress.note(f"{count - len(todo)} of {count} shards are finished already")
        tasks = [
            Task(str(Shard(number, count)), tuple(map(str, places)), options, __version__, number == 1)
            for number in todo
        ]
        for made in progress.track(_made(pool, tasks, model), "making shards", total=len(tasks)):
            _keep(kept / names[parse_shard(made.shard).number], made)
        finished = [kept / names[number] for number in range(1, count + 1)]
        report = merge_shards(finished, out, force=force, device=options.device)
        failed = [one for place in finished for one in _failed(place)]
        shutil.rmtree(kept, ignore_errors=True)
    for one in failed:
        progress.left_out(one["path"], one["reason"])
    return {**report, "failed": failed}


def _check(places: Sequence[Path], out: Path, options: ClusterOptions, *, force: bool) -> None:
    check_sources(places, options.split, options.index, options.render.layout)
    refuse_strange(out)
    for place in places:
        if not holds_meshes(place):
            raise HifaError(f"{place} holds no meshes: --engine ray draws and embeds meshes")
    if (out / MAIN_FILE).exists() and not force:
        raise HifaError(
            f"{out} is a gallery already: 'hifa index --update --out {out}' follows its sources; --force "
            "makes it anew"
        )


def shards_for(ids: Sequence[str], wanted: int | None) -> int:
    """Return how many shards are made of shapes: as many as are wanted, or fewer, so that none is empty."""
    count = min(wanted or max(1, min(_MOST, len(ids) // EACH)), max(len(ids), 1))
    while count > 1 and len({number_of(name, count) for name in ids}) < count:
        count -= 1
    return count


def _names(
    files: Sequence[tuple[str, Path]],
    count: int,
    places: Sequence[Path],
    options: ClusterOptions,
    model: bytes,
) -> dict[int, str]:
    """Return for each shard the name of its folder, made of all that it depends on.

    Meshes count by size and time of change, as for ``make``; what is settled by all of them (layout, classes,
    which way is up) by the ids of all.
    """
    ids = sorted(name for name, _ in files)
    common = _digest(
        __version__, list(map(str, places)), _plain(options), hashlib.sha256(model).hexdigest(), ids
    )
    parts: dict[int, list[Any]] = {number: [] for number in range(1, count + 1)}
    for name, path in sorted(files):
        status = path.stat()
        parts[number_of(name, count)].append([name, str(path), status.st_size, status.st_mtime_ns])
    return {number: f"{number}-{_digest(common, count, part)}" for number, part in parts.items()}


def _plain(options: ClusterOptions) -> dict[str, Any]:
    """Return the options that a shard's content depends on."""
    return {name: value for name, value in asdict(options).items() if name not in ("workers", "model")}


def _digest(*parts: Any) -> str:
    text = json.dumps(parts, default=str, ensure_ascii=True, sort_keys=True)
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _todo(kept: Path, names: Mapping[int, str]) -> list[int]:
    """Return the shards that are not finished; those of another state of things are removed."""
    wanted = set(names.values())
    for place in kept.glob("*") if kept.is_dir() else ():
        if place.name not in wanted:
            shutil.rmtree(place, ignore_errors=True)
    return [number for number, name in names.items() if not (kept / name / MAIN_FILE).is_file()]


def _made(pool: Pool, tasks: Sequence[Task], model: bytes) -> Iterator[Made]:
    """Yield shards as they are finished; few are given out ahead, so that none piles up.

    Raises:
        HifaError: one cannot be made.
    """
    waiting = list(reversed(tasks))
    running = 0
    while waiting or running:
        while waiting and running < max(pool.capacity(), 1):
            pool.submit(waiting.pop(), model)
            running += 1
        made = pool.next()
        running -= 1
        if made.error:
            raise HifaError(f"shard {made.shard}: {made.error}")
        yield made


def _keep(target: Path, made: Made) -> None:
    with written_folder(target) as place:
        unpack(made.content, place)


def _failed(place: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((place / _FAILED).read_text(encoding="utf-8"))
    return found


def make_shard(task: Task, model: bytes) -> Made:
    """Make a shard in a folder of its own: what a node does.

    Args:
        task: the shard.
        model: its folder as an archive; empty for the pretrained encoder.

    Returns:
        The shard, or why it could not be made.
    """
    if task.version != __version__:
        return Made(
            task.shard, b"", f"a node has hifa {__version__}, not {task.version}: install the same one"
        )
    options = task.options
    with TemporaryDirectory() as scratch:
        place, run = Path(scratch, "shard"), Path(scratch, "model")
        if model:
            run.mkdir()
            unpack(model, run)
        try:
            report = build_gallery(
                [Path(one) for one in task.sources], place, model=run if model else None, split=options.split,
                index_config=options.index, render_config=options.render, workers=options.workers,
                device=options.device, force=False, ranking=options.ranking, keep_views=options.keep_views,
                shard=parse_shard(task.shard),
            )  # fmt: skip
        except HifaError as error:
            return Made(task.shard, b"", str(error).replace(str(place), f"shard {task.shard}"))
        (place / _FAILED).write_text(json.dumps(report["failed"]), encoding="utf-8")
        return Made(task.shard, packed(place, without=() if task.with_model else (MODELS,)))


def packed(folder: Path, without: Sequence[str] = ()) -> bytes:
    """Return the files of a folder as an archive, without some of the names directly in it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and inside.parts[0] not in (*without, LOCK_FILE):
                archive.write(path, inside.as_posix())
    return content.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Write what :func:`packed` has made into a folder; no name leads out of it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)


def build_on_ray(
    sources: Sequence[Path], out: Path, options: ClusterOptions, *, shards: int | None = None,
    force: bool = False, metadata: Path | None = None, store: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Make a gallery of meshes by a Ray cluster.

    Args:
        sources: folders of meshes, or meshes.
        out: the gallery.
        options: of all shards.
        shards: how many; by default one for 256 shapes.
        force: replace a gallery that is there.
        metadata: a table about the shapes, joined to them.
        store: where the vectors live; by default in the gallery's own folder.

    Returns:
        As :func:`build_on`.

    Raises:
        HifaError: as :func:`build_on`, and where there is no Ray, or no cluster that answers.
    """
    if metadata is not None:
        read_metadata(metadata)  # what is wrong with it is said before any work
    if store is not None:
        usable_store(store, out)
    with ray_pool(options) as pool:
        report = build_on(pool, sources, out, options, shards=shards, force=force)
    if metadata is not None:
        change = annotate(out, metadata, options.index)
        report |= {**change.gallery, "metadata": change.metadata}
    if store is not None:
        report |= rehouse(out, store, device=options.device)
    return report


class RayPool:
    """The tasks of a Ray cluster.

    Args:
        ray: the library, connected.
        options: of all shards.
    """

    def __init__(self, ray: Any, options: ClusterOptions) -> None:
        self._ray, self._cpus = ray, options.workers
        self._pending: list[Any] = []
        self._model: Any = None
        gpus = 1 if options.device.startswith("cuda") else 0
        self._task = ray.remote(make_shard).options(
            num_cpus=options.workers, num_gpus=gpus, max_retries=_RETRIES
        )

    def capacity(self) -> int:
        """Return how many tasks may wait and run at a time: the cluster may grow."""
        return _AHEAD * max(1, int(self._ray.cluster_resources().get("CPU", 1)) // self._cpus)

    def submit(self, task: Task, model: bytes) -> None:
        """Give out a task; the model is stored in the cluster once."""
        if self._model is None:
            self._model = self._ray.put(model)
        self._pending.append(self._task.remote(task, self._model))

    def next(self) -> Made:
        """Wait for any of the tasks that were given out."""
        (done,), self._pending = self._ray.wait(self._pending, num_returns=1)
        try:
            made: Made = self._ray.get(done)
        except (self._ray.exceptions.WorkerCrashedError, self._ray.exceptions.RaySystemError) as error:
            raise _lost(error) from error
        except self._ray.exceptions.RayTaskError:
            raise  # a fault of ours
        except self._ray.exceptions.RayError as error:
            raise _lost(error) from error
        return made


def _lost(error: Exception) -> HifaError:
    why = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return HifaError(
        f"a task was lost with its node {_RETRIES + 1} times ({why[:120]}); give the same command again"
    )


@contextmanager
def ray_pool(options: ClusterOptions) -> Iterator[RayPool]:
    """Connect to a Ray cluster: that of ``RAY_ADDRESS``, one that runs here, or one of this machine alone.

    Raises:
        HifaError: Ray is not installed, or the cluster of ``RAY_ADDRESS`` does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent
    try:
        import ray
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "ray":
            raise
        raise HifaError("--engine ray needs Ray: pip install 'hifa-cli[ray]'") from error
    with redirect_stdout(_RayWords()):  # the result's own place
        ours = not ray.is_initialized()
        if ours:
            _connect(ray)
        try:
            yield RayPool(ray, options)
        finally:
            if ours:
                ray.shutdown()


class _RayWords(io.TextIOBase):
    """Takes what Ray prints of its nodes; the first line of a message says what happened."""

    def writable(self) -> bool:
        """Return that it takes text."""
        return True

    def write(self, text: str) -> int:
        """Pass on a message's first line."""
        line = _COLOURS.sub("", text).strip().partition("\n")[0].strip()
        if line and not line.startswith("[state-dump]"):
            progress.note(line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…")
        return len(text)


def _connect(ray: Any) -> None:
    here = Path.cwd()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    os.chdir(Path(__file__).parent)  # Ray has its workers import from the current folder
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError as error:
        if address := os.environ.get("RAY_ADDRESS"):
            raise HifaError(
                f"no Ray cluster answers at RAY_ADDRESS={address}: start it, or unset it"
            ) from error
        ray.init(address="local", include_dashboard=False, object_store_memory=256_000_000, **quiet)
    finally:
        os.chdir(here)
