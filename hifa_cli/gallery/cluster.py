"""A gallery made by a cluster: a task makes a shard, this process keeps what is finished and merges.

Each task draws and embeds the shapes of one shard (:mod:`.shard`) on whatever node it runs, in a folder of
its own, and sends the shard back; nodes need the meshes at the same paths and the same hifa. A finished shard
is kept beside the gallery, under a name made of all that it depends on, so that the same command goes on
where a killed one stopped.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hifa_cli import __version__
from hifa_cli.config import IndexConfig, RankingConfig, RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import MAIN_FILE, MODELS
from hifa_cli.gallery.assets import MODEL_FILES
from hifa_cli.gallery.build import build_gallery, check_sources, refuse_strange
from hifa_cli.gallery.merge import merge_shards
from hifa_cli.gallery.metadata import read_metadata
from hifa_cli.gallery.rehouse import rehouse
from hifa_cli.gallery.shard import Shard
from hifa_cli.gallery.sources import holds_meshes
from hifa_cli.gallery.stores import usable_store
from hifa_cli.gallery.update import annotate
from hifa_cli.render.discover import MeshFile
from hifa_cli.render.pipeline import meshes_of
from hifa_cli.runtime.cluster import Pool, Task, keep_parts
from hifa_cli.runtime.lock import sole_output
from hifa_cli.runtime.parts import KeptParts, digest_of, divided, packed, parts_for, state_of, unpack
from hifa_cli.runtime.ray_pool import ray_pool

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


class ShardWork(NamedTuple):
    """The work of a task.

    Attributes:
        shard: which one.
        sources: folders of meshes, absolute.
        options: of all shards; the model's place is where the task unpacks it.
        with_model: whether the model is sent back with the shard; it is the same in all.
    """

    shard: Shard
    sources: tuple[str, ...]
    options: ClusterOptions
    with_model: bool


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
    count = parts_for([mesh.id for mesh in files], shards)
    model = b"" if options.model is None else packed(options.model, only=MODEL_FILES)
    place = out.with_name(f".{out.name}.shards")
    with sole_output(place):
        kept = KeptParts(place, _names(files, count, places, options, model))
        tasks = {
            number: Task(number, count, make_shard, ShardWork(
                Shard(number, count), tuple(map(str, places)), options, with_model=number == 1
            ))
            for number in range(1, count + 1)
        }  # fmt: skip
        finished = keep_parts(pool, kept, tasks, "making shards", model)
        report = merge_shards(finished, out, force=force, device=options.device)
        failed = [one for place in finished for one in _failed(place)]
        kept.remove()
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


def _names(
    files: Sequence[MeshFile],
    count: int,
    places: Sequence[Path],
    options: ClusterOptions,
    model: bytes,
) -> dict[int, str]:
    """Return for each shard the name of its folder, made of all that it depends on.

    Meshes count by size and time of change, as for ``make``; what is settled by all of them (layout, classes,
    which way is up) by the ids of all.
    """
    ids = sorted(mesh.id for mesh in files)
    common = digest_of(
        __version__, list(map(str, places)), _plain(options), hashlib.sha256(model).hexdigest(), ids
    )
    parts = divided(sorted(files), count, lambda mesh: mesh.id)
    return {
        number: f"{number}-{digest_of(common, count, [[mesh.id, *state_of(mesh.path)] for mesh in part])}"
        for number, part in parts.items()
    }


def _plain(options: ClusterOptions) -> dict[str, Any]:
    """Return the options that a shard's content depends on."""
    return {name: value for name, value in asdict(options).items() if name not in ("workers", "model")}


def _failed(place: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((place / _FAILED).read_text(encoding="utf-8"))
    return found


def make_shard(work: ShardWork, model: bytes) -> bytes:
    """Make a shard in a folder of its own: what a node does.

    Args:
        work: the shard.
        model: its folder as an archive; empty for the pretrained encoder.

    Returns:
        The shard's folder as an archive.

    Raises:
        HifaError: the shard cannot be made.
    """
    options = work.options
    with TemporaryDirectory() as scratch:
        place, run = Path(scratch, "shard"), Path(scratch, "model")
        if model:
            run.mkdir()
            unpack(model, run)
        try:
            report = build_gallery(
                [Path(one) for one in work.sources], place, model=run if model else None, split=options.split,
                index_config=options.index, render_config=options.render,
                workers=options.workers, device=options.device, force=False, ranking=options.ranking,
                keep_views=options.keep_views, shard=work.shard,
            )  # fmt: skip
        except HifaError as error:
            raise HifaError(str(error).replace(str(place), f"shard {work.shard}")) from error
        (place / _FAILED).write_text(json.dumps(report["failed"]), encoding="utf-8")
        return packed(place, without=() if work.with_model else (MODELS,))


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
    with ray_pool(cpus=options.workers, device=options.device) as pool:
        report = build_on(pool, sources, out, options, shards=shards, force=force)
    if metadata is not None:
        change = annotate(out, metadata, options.index)
        report |= {**change.gallery, "metadata": change.metadata}
    if store is not None:
        report |= rehouse(out, store, device=options.device)
    return report
