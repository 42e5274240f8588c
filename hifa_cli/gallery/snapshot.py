"""Writing the next generation of a gallery: what is kept of the last one, then what is new."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli import __version__
from hifa_cli.adaptation.labels import PhotoClasses
from hifa_cli.config import IndexConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import (
    INDEX_FILE,
    MAIN_FILE,
    SAMPLE_FILE,
    SCHEMA,
    STORED_SCHEMA,
    Gallery,
    unit,
)
from hifa_cli.gallery.assets import put_model, put_thumbnails, sweep
from hifa_cli.gallery.columns import DAMAGED, read_table, settle, write_texts
from hifa_cli.gallery.embedding import Embedded
from hifa_cli.gallery.fields import Kind, Value, joined_columns, read_columns, write_columns
from hifa_cli.gallery.metadata import Metadata
from hifa_cli.gallery.places import portable
from hifa_cli.gallery.ranking import config_of, write_graph_of, write_taught
from hifa_cli.gallery.shipping import Cargo, clear_stores, ship
from hifa_cli.gallery.sources import Source, SourceEntry, row_digests
from hifa_cli.gallery.stores import LOCAL, address_of
from hifa_cli.gallery.stores.base import Size
from hifa_cli.runtime import progress
from hifa_cli.runtime.arrays import read_array
from hifa_cli.runtime.atomic import written_file, written_folder
from hifa_cli.search import faiss_index
from hifa_cli.search.rerank import unit as signed_unit
from hifa_cli.search.searcher import sample_queries, tune

_BLOCK = 16_384  # rows copied at once


@dataclass(frozen=True)
class Making:
    """The maker of the vectors: the model's digest, its method, and its folder if it has one."""

    model: str
    method: str
    folder: Path | None = None


@dataclass
class Plan:
    """The contents of the next generation.

    Attributes:
        old: the gallery as it is, or None.
        kept: rows of ``old`` that stay, ascending.
        fresh: sources and rows of their entries that are new.
        making: the model.
        config: how it is searched.
        photos: (p, D) unit rows to tune the search with, or None.
        ranking: what ``gallery.json`` says of it; None ranks as the paper does.
        device: where FAISS builds an index.
        offered: rows that stay but that a fresh source offers under another id, path or origin: the number
            of the source, and its entry.
        taught: what labelled photos say of classes, and the names of these; None without such photos.
        metadata: a table about shapes, to be joined; None leaves the fields as they are.
        known: of each field of earlier metadata its kind, and its values by row.
        shard: what ``gallery.json`` says of the shard that this is; None of a whole gallery.
        store: settled address of where the vectors live; None leaves them where they are.
    """

    old: Gallery | None
    kept: NDArray[np.int64]
    fresh: list[tuple[Source, list[int]]]
    making: Making
    config: IndexConfig
    photos: NDArray[np.float32] | None = None
    ranking: dict[str, Any] | None = None
    device: str = "cpu"
    offered: Mapping[int, tuple[int, SourceEntry]] = field(default_factory=dict)
    taught: tuple[PhotoClasses, tuple[str, ...]] | None = None
    metadata: Metadata | None = None
    known: Mapping[str, tuple[Kind, Mapping[int, Value]]] = field(default_factory=dict)
    shard: Mapping[str, Any] | None = None
    store: str | None = None

    def address(self, folder: Path) -> str:
        """Return where the vectors of the gallery at ``folder`` will live, or ``local``."""
        if self.store is not None or self.old is None:
            return self.store or LOCAL
        return address_of(self.old.document, self.old.folder)


@dataclass
class Columns:
    """Rows as they are written; what is small waits here for the end."""

    ids: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    origins: list[int] = field(default_factory=list)
    digests: list[NDArray[np.uint8]] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)  # of the new rows
    width: int = 0
    views: int = 0  # a shape's; 0 where they are not kept


class Block(NamedTuple):
    """Vectors that go to disk at once."""

    vectors: NDArray[np.float32]  # (b, D) unit rows
    views: NDArray[np.float16] | None  # (b, V, D)


def write_generation(folder: Path, plan: Plan) -> dict[str, Any]:
    """Write the next generation of the gallery ``folder`` and put it in force.

    Args:
        folder: the gallery; the caller holds its lock.
        plan: what it will hold.

    Returns:
        What ``gallery.json`` says.

    Raises:
        HifaError: nothing would be left, FAISS cannot build the index, or the disk is full.
    """
    number = int(plan.old.document["generation"].rsplit("-", 1)[1]) + 1 if plan.old else 1
    origins, numbers = origins_after(plan)
    columns = Columns()
    blocks = chain(kept_blocks(plan, columns, origins, numbers), fresh_blocks(plan, columns, origins))
    with written_folder(folder / f"generation-{number}") as place:
        _write_rows(place, plan, columns, blocks)
        if not columns.ids:
            raise HifaError(
                f"none of the shapes for {folder} could be made; see the warnings"
                if plan.old is None
                else f"nothing would be left in {folder}: delete the folder if that is what you want"
            )
        classes = sorted({name for name in columns.names if name is not None})
        _write_columns(place, columns, classes)
        fields = _write_fields(place, columns, plan, origins)
        searched = _write_index(place, folder, columns, plan)
        size = len(columns.ids), columns.width
        vectors, views = read_table(place / "vectors.f32", np.float32, size), None
        if columns.views:
            views = read_table(place / "views.f16", np.float16, (size[0], columns.views, size[1]))
        searched |= write_ranking(place, folder, plan, vectors, views)
        searched |= _shipped(place, folder, number, columns, plan, fields)
        settle(place.iterdir())
    put_model(folder, plan.making.model, plan.making.folder)
    put_thumbnails(folder, plan.fresh)
    shape = len(columns.ids), columns.views, columns.width
    document = document_of(folder, plan, number, shape, classes, origins, fields, searched)
    publish(folder, document)
    sweep(folder, document, np.concatenate(columns.digests))
    clear_stores(folder, None if plan.old is None else plan.old.document, document)
    return document


def _shipped(
    place: Path, folder: Path, number: int, columns: Columns, plan: Plan, said: list[dict[str, Any]]
) -> dict[str, Any]:
    """Send the vectors to the store where there is one; return what ``gallery.json`` says of it."""
    if (address := plan.address(folder)) == LOCAL:
        return {}
    fields = read_columns(place, said, len(columns.ids))
    size = Size(columns.views, columns.width)
    cargo = Cargo(place, size, columns.ids, columns.names, columns.paths, fields, said)
    there = plan.old is not None and address_of(plan.old.document, folder) == address
    entry = ship(folder, address, number, cargo, lives_there=there)
    cargo.forget()
    return {"store": entry}


def write_ranking(
    place: Path, folder: Path, plan: Plan, vectors: NDArray[np.float32], views: NDArray[np.float16] | None
) -> dict[str, Any]:
    """Write the neighbours of the shapes and what labelled photos say of them.

    Args:
        place: the generation.
        folder: the gallery.
        plan: how shapes are ranked.
        vectors: (n, D) of all shapes.
        views: (n, V, D) of all shapes, or None.

    Returns:
        What ``gallery.json`` says of it; nothing where the gallery ranks as the paper does.
    """
    if plan.ranking is None:
        return {}
    neighbours = write_graph_of(place, vectors, config_of(plan.ranking), int(plan.ranking.get("residual", 0)))
    said: dict[str, Any] = {"ranking": {**plan.ranking, "graph": neighbours}}
    if plan.old is None or plan.old.folder.resolve() != folder.resolve():
        said["ranking"].pop("own", None)  # the map lies in the other gallery
    if plan.taught is not None:
        said["taught"] = write_taught(place, plan.taught, vectors, views)
    return said


def document_of(
    folder: Path, plan: Plan, number: int, shape: tuple[int, int, int], classes: list[str],
    origins: list[dict[str, Any]], fields: list[dict[str, Any]], searched: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Return what ``gallery.json`` says of a generation.

    Args:
        folder: the gallery.
        plan: what it holds.
        number: of the generation.
        shape: (N, V, D) of the views' vectors.
        classes: names by label.
        origins: where shapes came from.
        fields: what is known of them.
        searched: the index, and the ranking.

    Returns:
        Plain values for JSON.
    """
    count, views, width = shape
    return {
        "schema": STORED_SCHEMA if "store" in searched else SCHEMA,
        "generation": f"generation-{number}",
        "shapes": count,
        "dimension": width,
        "views": views,
        "classes": classes,
        "origins": [portable(origin, folder) for origin in origins],
        **({"fields": fields} if fields else {}),
        **({"shard": dict(plan.shard)} if plan.shard is not None else {}),
        **searched,
        "model": plan.making.model,
        "method": plan.making.method,
        "hifa_version": __version__,
    }


def publish(folder: Path, document: dict[str, Any]) -> None:
    """Put a generation in force, by one rename."""
    with written_file(folder / MAIN_FILE) as path:
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def origins_after(plan: Plan) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """Return the origins still in use, and for each old one's number its new one."""
    stay = [row for row in plan.kept.tolist() if row not in plan.offered]
    used = sorted({int(one) for one in plan.old.origins[stay]}) if plan.old and stay else []
    if plan.old and stay and plan.shard is not None:  # another shard may have shapes of it
        used = list(range(len(plan.old.document["origins"])))
    fresh = {source.origin["path"]: source.origin for source, _ in plan.fresh}
    origins: list[dict[str, Any]] = []
    numbers: dict[int, int] = {}
    for old in used:
        known = plan.old.document["origins"][old] if plan.old else {}
        numbers[old] = len(origins)
        origins.append(fresh.pop(known["path"], known))
    return [*origins, *fresh.values()], numbers


def _write_rows(place: Path, plan: Plan, columns: Columns, blocks: Iterator[Block]) -> None:
    """Write vectors as they come, so that the memory holds one block of them."""
    count = len(plan.kept) + sum(len(rows) for _, rows in plan.fresh)
    most = most_views(plan)
    with (place / "vectors.f32").open("wb") as vectors, (place / "views.f16").open("wb") as views:
        for block in blocks:
            if not columns.width:
                columns.width = block.vectors.shape[1]
                columns.views = views_kept(plan, most, count * most * columns.width)
            if block.vectors.shape[1] != columns.width:
                raise HifaError(
                    f"a shape has {block.vectors.shape[1]} numbers and the gallery {columns.width}: "
                    "they are of different models"
                )
            vectors.write(np.ascontiguousarray(block.vectors, dtype="<f4").data)
            if columns.views:
                views.write(filled(block, columns.views).data)
    if not columns.views:
        (place / "views.f16").unlink()


def most_views(plan: Plan) -> int:
    """Return the most views that a shape has, among those that stay and those that are new."""
    kept = plan.old.views.shape[1] if plan.old and plan.old.views is not None and len(plan.kept) else 0
    return max([kept, *(source.views for source, _ in plan.fresh)])


def views_kept(plan: Plan, most: int, numbers: int) -> int:
    """Return how many views of a shape are kept.

    Args:
        plan: says whether they are kept, dropped, or kept up to a size.
        most: views that a shape has.
        numbers: of all views of all shapes.

    Returns:
        ``most``; 0 where none are kept.
    """
    if plan.config.views == "drop":
        return 0
    if plan.config.views == "auto" and numbers > plan.config.view_numbers:
        progress.note("so many shapes: the views' own vectors are left out (--views keep keeps them)")
        return 0
    return most


def filled(block: Block, views: int) -> NDArray[np.float16]:
    """Return (b, V, D) views; zeros, which are nobody's best, where there are fewer or none."""
    count, width = block.vectors.shape
    filled = np.zeros((count, views, width), dtype="<f2")
    if block.views is not None:
        filled[:, : block.views.shape[1]] = block.views[:, :views]
    return filled


def kept_blocks(
    plan: Plan, columns: Columns, origins: list[dict[str, Any]], numbers: dict[int, int]
) -> Iterator[Block]:
    """Yield the rows that stay, a block at a time; their small columns go to ``columns``.

    Args:
        plan: which rows stay.
        columns: takes ids, classes, paths, origins and digests.
        origins: of the next generation.
        numbers: for the number of each old origin its new one.

    Yields:
        Blocks of vectors, in the order of the rows.
    """
    old = plan.old
    if old is None:
        return
    places = {origin["path"]: number for number, origin in enumerate(origins)}
    for start in range(0, len(plan.kept), _BLOCK):
        rows = plan.kept[start : start + _BLOCK]
        for row in rows.tolist():
            if row in plan.offered:
                source, entry = plan.offered[row]
                name, kind, path = entry.id, entry.class_name, entry.path
                origin = places[plan.fresh[source][0].origin["path"]]
            else:
                name, kind, path = old.ids[row], old.class_of(row), old.paths[row]
                origin = numbers[int(old.origins[row])]
            columns.ids.append(name)
            columns.names.append(kind)
            columns.paths.append(path)
            columns.origins.append(origin)
        columns.digests.append(np.asarray(old.digests[rows]))
        yield Block(np.asarray(old.vectors[rows]), None if old.views is None else np.asarray(old.views[rows]))


def fresh_blocks(plan: Plan, columns: Columns, origins: list[dict[str, Any]]) -> Iterator[Block]:
    """Yield the rows that are new, embedded now; their small columns go to ``columns``.

    Args:
        plan: the sources, and which of their entries are new.
        columns: takes ids, classes, paths, origins, digests and facts.
        origins: of the next generation.

    Yields:
        Blocks of vectors, in the order of the rows.
    """
    places = {origin["path"]: number for number, origin in enumerate(origins)}
    for source, rows in plan.fresh:
        for block in source.embedded(rows) if rows else ():
            entries = [source.entries[row] for row in block.rows.tolist()]
            columns.ids += [entry.id for entry in entries]
            columns.names += [entry.class_name for entry in entries]
            columns.paths += [entry.path for entry in entries]
            columns.origins += [places[source.origin["path"]]] * len(entries)
            columns.digests.append(row_digests(entries))
            columns.facts += [source.facts(row) for row in block.rows.tolist()]
            yield Block(_unit(block, plan), block.views)


def _unit(block: Embedded, plan: Plan) -> NDArray[np.float32]:
    """Return (b, D) vectors as the gallery keeps them."""
    if block.is_unit:
        return block.vectors
    return signed_unit(block.vectors) if plan.ranking is not None else unit(block.vectors)


def _write_columns(place: Path, columns: Columns, classes: list[str]) -> None:
    write_texts(place, "ids", columns.ids)
    write_texts(place, "paths", columns.paths)
    label = {name: number for number, name in enumerate(classes)}
    labels = [-1 if name is None else label[name] for name in columns.names]
    np.save(place / "labels.npy", np.array(labels, dtype=np.int32))
    np.save(place / "origins.npy", np.array(columns.origins, dtype=np.int32))
    np.save(place / "digests.npy", np.concatenate(columns.digests))


def _write_fields(
    place: Path, columns: Columns, plan: Plan, origins: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Write what is known of the shapes; return what ``gallery.json`` says of it."""
    before = known_before(plan, columns, len(plan.kept))
    table = dict(plan.known)
    if plan.metadata is not None:
        roots = [Path(origin["root"]) for origin in origins]
        table |= plan.metadata.joined(columns.ids, columns.paths, [roots[one] for one in columns.origins])
    old = {} if plan.old is None else plan.old.fields
    return write_columns(place, joined_columns(old, plan.kept, columns.facts, before, table))


def known_before(plan: Plan, columns: Columns, kept: int) -> list[tuple[int, bool]]:
    """Return of each new row the old row of the same id (−1 without one), and whether its mesh is the same.

    Args:
        plan: what the gallery will hold.
        columns: rows that stay, then those that are new.
        kept: how many of them stay.

    Returns:
        A pair for each new row.
    """
    before = [(-1, False)] * len(columns.facts)
    if plan.old is not None and plan.old.fields:
        wanted = set(columns.ids[kept:])
        rows = {name: row for row, name in enumerate(plan.old.ids) if name in wanted}
        digests = np.concatenate(columns.digests)[kept:] if wanted else ()
        for number, name in enumerate(columns.ids[kept:]):
            if (row := rows.get(name)) is not None:
                before[number] = row, bool((plan.old.digests[row] == digests[number]).all())
    return before


def _write_index(place: Path, folder: Path, columns: Columns, plan: Plan) -> dict[str, Any]:
    """Build and tune the index where there is to be one; what ``gallery.json`` says of it."""
    count, config = len(columns.ids), plan.config
    vectors = read_table(place / "vectors.f32", np.float32, (count, columns.width))
    if plan.address(folder) != LOCAL:  # the store searches
        return {"factory": faiss_index.EXACT, "wanted": config.factory, "learned_from": count, "effort": None}
    factory, trained, learned_from = _learned(count, columns.width, plan)
    said: dict[str, Any] = {"factory": factory, "wanted": config.factory, "learned_from": learned_from}
    if factory == faiss_index.EXACT:
        return {**said, "effort": None}
    built = faiss_index.build(vectors, factory, config, trained=trained, device=plan.device)
    faiss_index.write(built, place / INDEX_FILE)
    sample = _sample(vectors, plan)
    if sample[1] == "photos":
        np.save(place / SAMPLE_FILE, sample[0])
    effort = tune(built, vectors, sample, config)
    progress.note(f"{factory}: recall@{effort.at} {effort.recall:.3f} on {effort.sample} {sample[1]}")
    return {**said, "effort": effort.document()}


def _learned(count: int, width: int, plan: Plan) -> tuple[str, Any, int]:
    """The factory string, an index whose lists may be used again, and how many shapes those are from."""
    factory = faiss_index.factory_for(count, width, plan.config)
    old = plan.old.document if plan.old else None
    if old is None or faiss_index.EXACT in (factory, old["factory"]) or old["wanted"] != plan.config.factory:
        return factory, None, count
    times = count / max(int(old["learned_from"]), 1)
    alike = old["factory"].partition(",")[2] == factory.partition(",")[2] and old["dimension"] == width
    if plan.old is None or not alike or not 1 / plan.config.retrain <= times <= plan.config.retrain:
        return factory, None, count
    path = plan.old.base / INDEX_FILE
    trained = faiss_index.read(path, plan.old.indexed, width, mapped=False)
    return str(old["factory"]), trained, int(old["learned_from"])


def _sample(vectors: NDArray[np.float32], plan: Plan) -> tuple[NDArray[np.float32], str]:
    """Queries to tune with: the export's photos, those of the last generation, or blends of shapes."""
    photos = plan.photos
    if photos is None and plan.old is not None and (plan.old.base / SAMPLE_FILE).is_file():
        with suppress(*DAMAGED):
            found = read_array(plan.old.base / SAMPLE_FILE, mapped=True)
            photos = found if found.dtype == np.float32 and np.isfinite(found).all() else None
    fits = photos is not None and photos.ndim == 2 and photos.shape[1] == vectors.shape[1]
    return sample_queries(vectors, photos if fits else None, plan.config)
