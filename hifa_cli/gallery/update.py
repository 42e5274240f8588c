"""Changing a gallery that is there: add, remove, update. Each change is one new generation, or none."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import IndexConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import VIEWS, Gallery, read_gallery
from hifa_cli.gallery.build import (
    BuildOptions,
    check_wanted,
    failures,
    open_source,
    origins_of,
    renamed,
    say_stale,
    summary,
    unchanged,
    writing,
)
from hifa_cli.gallery.embedding import Embedder
from hifa_cli.gallery.growth import write_change
from hifa_cli.gallery.metadata import Metadata, read_metadata
from hifa_cli.gallery.ranking import config_of
from hifa_cli.gallery.shard import WHOLE, shard_of
from hifa_cli.gallery.snapshot import Making, Plan
from hifa_cli.gallery.sources import Source, SourceEntry, render_config, rig_of_views
from hifa_cli.runtime import progress
from hifa_cli.search import faiss_index

Rows = NDArray[np.int64]


@dataclass
class Change:
    """The result of a change.

    Attributes:
        added: shapes that were not there.
        changed: shapes that are there in another form.
        removed: ids that are gone.
        renamed: shapes that have another id or path now, by the bytes of their content.
        unchanged: shapes left as they were.
        failed: meshes that could not be drawn (a shape that was there stays as it was), and ids that
            another shape has.
        gallery: what the gallery is now.
        metadata: what was joined of a table; empty where none was given.
    """

    added: int = 0
    changed: int = 0
    removed: list[str] = field(default_factory=list)
    renamed: int = 0
    unchanged: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    gallery: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


def add(
    folder: Path, sources: Sequence[Path], config: IndexConfig, work: BuildOptions, *, model: Path | None
) -> Change:
    """Add the shapes of exports, views or meshes to a gallery.

    A shape that is there already with the same content is left; one whose id is taken by other content is
    reported and left out (``update`` is for those).

    Args:
        folder: the gallery.
        sources: exports, views or meshes.
        config: how the gallery is searched.
        work: how sources are read.
        model: folder of the run, where the gallery has none.

    Returns:
        What was added, left and failed.

    Raises:
        HifaError: no gallery exists, a source is unusable or of another model, or somebody else writes.
    """
    for place in sources:
        if not place.exists():
            raise HifaError(f"nothing at {place}: give an export, a folder of views or a folder of meshes")
        check_wanted(place, work.split, config)
    read_gallery(folder)
    change = Change()
    fresh: list[tuple[Source, list[int]]] = []
    embedders: list[Embedder | None] = []
    with TemporaryDirectory() as scratch, writing(folder):
        old = read_gallery(folder)
        faiss_index.check_factory(config.factory, int(old.document["dimension"]))
        work = _as_before(old, work, sources)
        taken = dict(zip(old.ids, map(bytes, np.asarray(old.digests)), strict=True))
        for place in sources:
            own = model or old.model_folder
            known = [*origins_of(old), *(one.origin for one, _ in fresh)]
            source, making, embedder = open_source(place, folder, known, own, work, Path(scratch))
            _check_model(old, making, place)
            fresh.append((source, source.prepare(_untaken(source, taken, change))))
            change.failed += failures(source)
            embedders.append(embedder)
        change.unchanged = len(old)
        change.added = sum(len(rows) for _, rows in fresh)
        kept = np.arange(len(old))
        return _changed(folder, old, kept, fresh, config, work, change, embedders)


def _as_before(old: Gallery, work: BuildOptions, sources: Sequence[Path]) -> BuildOptions:
    """Return how new shapes are drawn and embedded: as the gallery's are."""
    for place in sources:
        rig = rig_of_views(place)
        if rig is not None and rig["elevation"] != old.elevation:
            progress.warn(
                f"{place} was drawn from {rig['elevation']:g}° above and the gallery's shapes from "
                f"{old.elevation:g}°: render it with --elevation {old.elevation:g} to compare like with like"
            )
    ranking = old.document.get("ranking")
    return replace(
        work, render=replace(work.render, elevation=old.elevation),
        ranking=None if ranking is None else config_of(ranking), shard=shard_of(old.document),
    )  # fmt: skip


def update(folder: Path, config: IndexConfig, work: BuildOptions, *, model: Path | None) -> Change:
    """Bring a gallery to what its sources hold now: new, changed and vanished shapes.

    What has not changed, by the digest of its content, is neither drawn nor embedded again. A mesh that
    has vanished is removed; one that cannot be drawn any more keeps what it had.

    Args:
        folder: the gallery.
        config: how the gallery is searched.
        work: how sources are read.
        model: folder of the run, where the gallery has none.

    Returns:
        What was added, changed, removed and failed.

    Raises:
        HifaError: no gallery exists, a source as a whole is gone or empty, or somebody else writes.
    """
    change = Change()
    fresh: list[tuple[Source, list[int]]] = []
    offered: list[tuple[Source, list[int]]] = []
    keep: list[Rows] = []
    embedders: list[Embedder | None] = []
    read_gallery(folder)
    with TemporaryDirectory() as scratch, writing(folder):
        old = read_gallery(folder)
        faiss_index.check_factory(config.factory, int(old.document["dimension"]))
        _all_there(old)
        for number, origin in enumerate(old.document["origins"]):
            mine = np.flatnonzero(np.asarray(old.origins) == number)
            ranking = old.document.get("ranking")
            again = replace(
                work, render=render_config(origin), split=origin.get("split"),
                ranking=None if ranking is None else config_of(ranking), shard=shard_of(old.document),
            )  # fmt: skip
            own = model or old.model_folder
            place = Path(origin["path"])
            known = origins_of(old)
            source, making, embedder = open_source(place, folder, known, own, again, Path(scratch))
            _check_model(old, making, place)
            same, new = unchanged(old, source)
            offered.append((source, _of_nobody_else(old, source, new, mine, change)))
            keep.append(np.intersect1d(same, mine))
            embedders.append(embedder)
        moved = renamed(old, set(np.concatenate(keep).tolist()), offered)
        keep.append(np.array(list(moved), dtype=np.int64))
        for number, (source, rows) in enumerate(offered):
            fresh.append((source, source.prepare(rows)))
            mine = np.flatnonzero(np.asarray(old.origins) == number)
            keep.append(_undrawable(old, np.setdiff1d(mine, list(moved)), source, set(fresh[-1][1])))
            change.failed += failures(source)
        kept = np.unique(np.concatenate(keep)).astype(np.int64)
        _count(change, old, kept, fresh, moved)
        return _changed(folder, old, kept, fresh, config, work, change, embedders, moved)


def remove(folder: Path, patterns: Sequence[str], config: IndexConfig) -> Change:
    """Remove shapes by id, or by a pattern of ids with ``*``, ``?`` and ``[…]`` (``*`` crosses ``/``).

    Args:
        folder: the gallery.
        patterns: ids, or patterns of ids.
        config: how the gallery is searched.

    Returns:
        What was removed.

    Raises:
        HifaError: no gallery exists, nothing fits, nothing would be left, or somebody else writes.
    """
    read_gallery(folder)
    with writing(folder):
        old = read_gallery(folder)
        gone: set[int] = set()
        ids = list(old.ids)
        for pattern in patterns:
            rows = [row for row, name in enumerate(ids) if name == pattern or fnmatchcase(name, pattern)]
            if not rows:
                progress.warn(f"no shape fits '{pattern}'")
            gone.update(rows)
        if not gone:
            raise HifaError(
                f"no shape of {folder} fits {', '.join(patterns)}: 'hifa index --stats' counts them"
            )
        kept = np.array([row for row in range(len(ids)) if row not in gone], dtype=np.int64)
        change = Change(removed=[ids[row] for row in sorted(gone)], unchanged=len(kept))
        return _changed(folder, old, kept, [], config, BuildOptions(), change, [])


def annotate(folder: Path, table: Path, config: IndexConfig) -> Change:
    """Join a table to a gallery's shapes; the fields that it does not have, and other shapes, keep theirs.

    Args:
        folder: the gallery.
        table: of metadata, joined by id or path.
        config: how the gallery is searched.

    Returns:
        What was joined, and what was not.

    Raises:
        HifaError: no gallery exists, the table cannot be read, or somebody else writes.
    """
    metadata = read_metadata(table)
    read_gallery(folder)
    with writing(folder):
        old = read_gallery(folder)
        change = Change(unchanged=len(old))
        kept = np.arange(len(old))
        found = _changed(folder, old, kept, [], config, BuildOptions(), change, [], metadata=metadata)
        found.metadata = metadata.report
        return found


def _changed(
    folder: Path, old: Gallery, kept: Rows, fresh: list[tuple[Source, list[int]]], config: IndexConfig,
    work: BuildOptions, change: Change, embedders: Sequence[Embedder | None],
    moved: Mapping[int, tuple[int, SourceEntry]] | None = None, *, metadata: Metadata | None = None,
) -> Change:  # fmt: skip
    """Write the next generation, unless it would be the same one."""
    document = old.document
    if metadata is not None or len(kept) < len(old) or moved or _has_news(old, fresh):
        if config.factory == "auto":
            config = replace(config, factory=str(old.document["wanted"]))
        making = Making(old.model, old.method, old.model_folder)
        ranking = old.document.get("ranking")
        plan = Plan(old, kept, fresh, making, config, ranking=ranking, device=str(work.device),
                    offered=moved or {}, taught=old.taught, metadata=metadata,
                    shard=document.get("shard"))  # fmt: skip
        document = write_change(folder, plan)
        gone = np.union1d(np.setdiff1d(np.arange(len(old)), kept), list(moved or ())).astype(np.int64)
        if len(gone):
            drop_views(folder, old, gone, set(read_gallery(folder).ids))
        say_stale(folder)
    for embedder in embedders:
        if embedder is not None:
            embedder.forget()
    change.gallery = summary(document)
    return change


def _has_news(old: Gallery, fresh: Sequence[tuple[Source, list[int]]]) -> bool:
    """Return whether sources have new shapes, or a shard's sources others than it knew: a merge asks."""
    known = {one["path"]: one.get(WHOLE) for one in old.document["origins"]}
    return any(rows or source.origin.get(WHOLE) != known.get(source.origin["path"]) for source, rows in fresh)


def drop_views(folder: Path, old: Gallery, gone: Rows, left: set[str]) -> None:
    """Remove the views of shapes that are gone; a changed shape's have been drawn over.

    Args:
        folder: the gallery.
        old: it before the change.
        gone: rows of ``old``.
        left: ids that the gallery has now.
    """
    for row in gone.tolist():
        origin = old.origin(row)
        if origin.get("views") and old.ids[row] not in left and old.paths[row]:
            views = folder / VIEWS / str(origin["views"])
            place = views / old.ids[row]
            if not place.is_dir():  # before 0.2.0, and of names that are not composed Unicode
                place = views / Path(old.paths[row]).with_suffix("")
            if views.resolve() in place.resolve().parents:
                shutil.rmtree(place, ignore_errors=True)


def _check_model(old: Gallery, making: Making, place: Path) -> None:
    if making.model != old.model:
        raise HifaError(
            f"{place} and the gallery {old.folder} are of different models: "
            "build the gallery again with one of them"
        )


def _all_there(old: Gallery) -> None:
    """An unmounted disk must not empty a gallery."""
    for origin in old.document["origins"]:
        if not Path(origin["path"]).exists():
            raise HifaError(
                f"the source {origin['path']} of {old.folder} is gone: bring it back, say where it lies now "
                f"('hifa index --relocate {origin['path']}=NEW --out {old.folder}'), or take its shapes out "
                "with --remove"
            )


def _untaken(source: Source, taken: dict[str, bytes], change: Change) -> list[int]:
    """Offers whose id is free; those of other content than the id's owner are reported."""
    rows = []
    for row, entry in enumerate(source.entries):
        if entry.id not in taken:
            taken[entry.id] = entry.digest
            rows.append(row)
        elif taken[entry.id] != entry.digest:
            _refused(entry.id, source, change)
    return rows


def _of_nobody_else(
    old: Gallery, source: Source, rows: Sequence[int], mine: Rows, change: Change
) -> list[int]:
    """Offers whose id no other origin has."""
    mine_too = set(mine.tolist())
    others = {name for row, name in enumerate(old.ids) if row not in mine_too}
    free = []
    for row in rows:
        if source.entries[row].id in others:
            _refused(source.entries[row].id, source, change)
        else:
            free.append(row)
    return free


def _refused(name: str, source: Source, change: Change) -> None:
    reason = f"the id '{name}' is another shape's: rename it, or bring that one up to date with --update"
    progress.warn(f"{source.origin['path']}: {reason}")
    change.failed.append({"path": f"{source.origin['path']}/{name}", "reason": reason})


def _undrawable(old: Gallery, mine: Rows, source: Source, new: set[int]) -> Rows:
    """Return rows whose mesh is still there but cannot be drawn any more: they keep what they had."""
    root = Path(source.origin["root"])
    broken = {str(failure.path.absolute()) for failure in source.failed if failure.path.exists()}
    offered = {source.entries[row].id for row in new}
    rows = [
        row
        for row in mine.tolist()
        if old.ids[row] not in offered and str((root / old.paths[row]).absolute()) in broken
    ]
    return np.array(rows, dtype=np.int64)


def _count(
    change: Change, old: Gallery, kept: Rows, fresh: list[tuple[Source, list[int]]],
    moved: Mapping[int, tuple[int, SourceEntry]],
) -> None:  # fmt: skip
    before = set(old.ids)
    new = [source.entries[row].id for source, rows in fresh for row in rows]
    change.changed = sum(name in before for name in new)
    change.added = len(new) - change.changed
    change.renamed = len(moved)
    change.unchanged = len(kept) - len(moved)
    change.removed = sorted(before - {old.ids[row] for row in kept.tolist()} - set(new))


def unaltered(folder: Path) -> dict[str, Any]:
    """Return the report of no change at all.

    Raises:
        HifaError: the gallery does not exist.
    """
    gallery = read_gallery(folder)
    return joined([Change(unchanged=len(gallery), gallery=summary(gallery.document))])


def joined(changes: Sequence[Change]) -> dict[str, Any]:
    """Several changes in a row as one report; the gallery is what the last one left."""
    last = changes[-1]
    return {
        "added": sum(change.added for change in changes),
        "changed": sum(change.changed for change in changes),
        "removed": sum(len(change.removed) for change in changes),
        "renamed": sum(change.renamed for change in changes),
        "unchanged": last.unchanged,
        "failed": [failure for change in changes for failure in change.failed],
        **({"metadata": last.metadata} if last.metadata else {}),
        **last.gallery,
    }
