"""Changing a gallery by what changes: new rows are appended to its columns, rows that go are no longer shown.

    generation-B/    the columns of the last generation that was written whole, and what was appended to them
    generation-N/    what a change writes anew: which stored rows are gone, the graph of neighbours

Nothing that is appended counts before ``gallery.json`` says how many rows are stored: a writer that was
killed leaves bytes behind the columns that nobody reads and that the next writer overwrites. No stored row is
ever written again, so that readers of earlier generations go on. The gallery is written whole where it is
small, or where too much is gone, new to the index, or of another kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.gallery import GROWN_SCHEMA, STORED_SCHEMA, Gallery, tables_of
from hifa_cli.gallery.assets import drop_thumbnails, put_model, put_thumbnails, sweep_files
from hifa_cli.gallery.columns import (
    append_numbers,
    append_table,
    append_texts,
    read_table,
    settle,
)
from hifa_cli.gallery.fields import Column, joined_columns
from hifa_cli.gallery.shipping import Cargo, clear_stores, ship_behind
from hifa_cli.gallery.shown import Rows, Shown
from hifa_cli.gallery.snapshot import (
    Columns,
    Plan,
    document_of,
    filled,
    fresh_blocks,
    kept_blocks,
    known_before,
    most_views,
    origins_after,
    publish,
    views_kept,
    write_generation,
    write_ranking,
)
from hifa_cli.gallery.sources import SourceEntry
from hifa_cli.gallery.stores import address_of, is_own
from hifa_cli.gallery.stores.base import Shelf, Size
from hifa_cli.runtime.atomic import written_folder
from hifa_cli.search import faiss_index

_GONE = 16  # stored rows for one that is gone, at least: every opening fills the holes in memory
_NEW = 32  # indexed rows for one that the index does not know, at least: those are searched one by one


class _Change(NamedTuple):
    """A change that can be appended.

    Attributes:
        origins: that the gallery has then; the first ones are those that it has.
        anew: (a,) rows that stay but under another id, path, class or origin: they are stored anew.
        stays: rows that stay as they are stored.
        gone: (d,) stored rows that are not shown any more, ascending.
    """

    origins: list[dict[str, Any]]
    anew: Rows
    stays: Rows
    gone: Rows


class _Unfit(Exception):
    """Say that new rows do not fit the columns: the gallery has to be written whole."""


def write_change(folder: Path, plan: Plan) -> dict[str, Any]:
    """Write the next generation of a gallery, at the price of what changes where that is possible.

    Args:
        folder: the gallery; the caller holds its lock.
        plan: what it will hold.

    Returns:
        What ``gallery.json`` says.

    Raises:
        HifaError: nothing would be left, FAISS cannot build the index, or the disk is full.
    """
    if plan.old is not None and (change := _change_of(folder, plan.old, plan)) is not None:
        try:
            return _grown(folder, plan.old, plan, change)
        except _Unfit:
            pass
    return write_generation(folder, plan)


def _change_of(folder: Path, old: Gallery, plan: Plan) -> _Change | None:
    """Return the change, or None where the gallery has to be written whole."""
    document = old.document
    size = old.vectors.nbytes + (0 if old.views is None else old.views.nbytes)
    alike = old.model == plan.making.model and (document.get("ranking") is None) == (plan.ranking is None)
    if old.folder.resolve() != folder.resolve() or not alike or plan.metadata is not None:
        return None
    if size < plan.config.whole_bytes:
        return None
    if plan.address(folder) != address_of(document, old.folder):
        return None
    if old.shelf is not None and not is_own(folder, old.shelf.name):
        return None  # the gallery was copied: the one that it was copied from reads that shelf, too
    origins, _ = origins_after(plan)
    before = [origin["path"] for origin in document["origins"]]
    if [origin["path"] for origin in origins[: len(before)]] != before:
        return None
    numbers = {origin["path"]: number for number, origin in enumerate(origins)}
    moved = [
        row
        for row, (source, entry) in plan.offered.items()
        if _differs(old, row, entry, numbers[plan.fresh[source][0].origin["path"]])
    ]
    anew = np.array(sorted(moved), dtype=np.int64)
    stays = np.setdiff1d(plan.kept, anew)
    left = np.setdiff1d(np.arange(len(old)), stays)
    gone = np.union1d(old.shown.gone, old.shown.where_stored(left)).astype(np.int64)
    stored = old.shown.stored + len(anew) + sum(len(rows) for _, rows in plan.fresh)
    count = stored - len(gone)
    if not count or len(gone) * _GONE > stored or not _index_holds(old, plan, count, stored):
        return None
    most = most_views(plan)
    if views_kept(plan, most, count * most * old.vectors.shape[1]) != document["views"]:
        return None
    return _Change(origins, anew, stays, gone)


def _differs(old: Gallery, row: int, entry: SourceEntry, origin: int) -> bool:
    there = (old.ids[row], old.class_of(row), old.paths[row], int(old.origins[row]))
    return there != (entry.id, entry.class_name, entry.path, origin)


def _index_holds(old: Gallery, plan: Plan, count: int, stored: int) -> bool:
    """Return whether the index is still the one to have, with what it does not know beside it."""
    document, config = old.document, plan.config
    wanted = faiss_index.factory_for(count, old.vectors.shape[1], config)
    if "store" in document:
        return bool(document["wanted"] == config.factory)
    if document["wanted"] != config.factory or (wanted == faiss_index.EXACT) != (document["effort"] is None):
        return False
    if document["effort"] is None:
        return True
    codes = document["factory"].partition(",")[2] == wanted.partition(",")[2]
    learned = count <= config.retrain * int(document["learned_from"])
    late = stored - old.indexed
    aim = document["effort"]["target"] == config.recall
    return bool(codes and learned and aim and late * _NEW <= old.indexed)


def _grown(folder: Path, old: Gallery, plan: Plan, change: _Change) -> dict[str, Any]:
    """Append what is new, write what has to be anew, and put it in force."""
    number = int(old.document["generation"].rsplit("-", 1)[1]) + 1
    columns = Columns()
    same = {one: one for one in range(len(old.document["origins"]))}
    blocks = chain(
        kept_blocks(replace(plan, kept=change.anew), columns, change.origins, same),
        fresh_blocks(plan, columns, change.origins),
    )
    with written_folder(folder / f"generation-{number}") as place:
        appended = _Appended(old.base, old.shown.stored, place if old.shelf is not None else None)
        for block in blocks:
            if block.vectors.shape[1] != old.vectors.shape[1]:
                raise _Unfit  # and refused
            views = None if old.views is None else filled(block, old.views.shape[1])
            appended.vectors(block.vectors, views)
        stored_classes = appended.columns(columns, _stored_classes(old))
        fields = appended.fields(_fields_of(old, plan, change, columns), old)
        shown = Shown(old.shown.stored + len(columns.ids), change.gone)
        np.save(place / "gone.npy", shown.gone)
        same_as_before = ("factory", "wanted", "learned_from", "effort", "store")
        searched = {name: old.document[name] for name in same_as_before if name in old.document}
        if old.shelf is not None:
            _ship(old.shelf, old, place, columns, _fields_of(old, plan, change, columns))
        searched |= write_ranking(place, folder, plan, *_tables(old, shown))
        appended.settle()
        settle(place.iterdir())
    put_model(folder, plan.making.model, plan.making.folder)
    put_thumbnails(folder, plan.fresh)
    names = [old.classes[label] for label in np.unique(old.labels[change.stays]).tolist() if label >= 0]
    classes = sorted({*names, *(name for name in columns.names if name is not None)})
    shape = shown.count, int(old.document["views"]), old.vectors.shape[1]
    document = {
        **document_of(folder, plan, number, shape, classes, change.origins, fields, searched),
        "schema": GROWN_SCHEMA if old.shelf is None else STORED_SCHEMA,
        "rows": {
            "base": old.base.name, "stored": shown.stored, "indexed": old.indexed, "classes": stored_classes,
        },
    }  # fmt: skip
    publish(folder, document)
    sweep_files(folder, document)
    clear_stores(folder, old.document, document)
    dropped = np.setdiff1d(np.arange(len(old)), change.stays)
    if len(dropped):
        left = [np.asarray(old.digests[change.stays]), *columns.digests]
        drop_thumbnails(folder, np.asarray(old.digests[dropped]), left)
    return document


def _ship(shelf: Shelf, old: Gallery, place: Path, columns: Columns, fields: dict[str, Column]) -> None:
    """Send the rows that wait at ``place`` to a store."""
    size = Size(int(old.document["views"]), old.vectors.shape[1])
    said = old.document.get("fields") or []
    cargo = Cargo(place, size, columns.ids, columns.names, columns.paths, fields, said)
    ship_behind(shelf, old.shown.stored, cargo)
    cargo.forget()


def _stored_classes(old: Gallery) -> list[str]:
    rows = old.document.get("rows")
    return list(old.document["classes"] if rows is None else rows["classes"])


def _tables(old: Gallery, shown: Shown) -> tuple[NDArray[np.float32], NDArray[np.float16] | None]:
    """Return vectors and views as they are shown after the change."""
    width, views = old.vectors.shape[1], int(old.document["views"])
    if old.shelf is not None:
        return tables_of(old.shelf, shown)
    vectors = read_table(old.base / "vectors.f32", np.float32, (shown.count, width), shown)
    if not views:
        return vectors, None
    return vectors, read_table(old.base / "views.f16", np.float16, (shown.count, views, width), shown)


def _fields_of(old: Gallery, plan: Plan, change: _Change, columns: Columns) -> dict[str, Column]:
    """Return what is known of the rows that are appended, by field.

    Raises:
        _Unfit: a field is new, or of another kind than before.
    """
    before = known_before(plan, columns, len(change.anew))
    found = {
        column.field.name: column
        for column in joined_columns(old.fields, change.anew, columns.facts, before, {})
    }
    if any(name not in old.fields or old.fields[name].field != one.field for name, one in found.items()):
        raise _Unfit
    return found


class _Appended:
    """Writes rows behind the stored ones.

    Args:
        base: the generation that holds the columns.
        stored: how many rows count.
        waiting: folder where vectors wait to be sent to a store; None where they are columns as others.
    """

    def __init__(self, base: Path, stored: int, waiting: Path | None = None) -> None:
        self.base, self.stored, self._waiting, self._done = base, stored, waiting, 0
        self._touched: set[Path] = set()

    def vectors(self, vectors: NDArray[np.float32], views: NDArray[np.float16] | None) -> None:
        """Append (b, D) vectors and (b, V, D) views."""
        at = self.stored + self._done
        for name, kind, rows in (("vectors.f32", "<f4", vectors), ("views.f16", "<f2", views)):
            if rows is not None and self._waiting is not None:
                with (self._waiting / name).open("ab") as file:
                    file.write(np.ascontiguousarray(rows, dtype=kind).data)
            elif rows is not None:
                append_table(self._path(name), at, np.ascontiguousarray(rows, dtype=kind))
        self._done += len(vectors)

    def columns(self, columns: Columns, classes: Sequence[str]) -> list[str]:
        """Append ids, paths, labels, origins and digests; return the classes that stored labels count in."""
        if not columns.ids:
            return list(classes)
        names = list(dict.fromkeys([*classes, *(name for name in columns.names if name is not None)]))
        label = {name: number for number, name in enumerate(names)}
        labels = [-1 if name is None else label[name] for name in columns.names]
        for name, texts in (("ids", columns.ids), ("paths", columns.paths)):
            self._texts(name, self.stored, texts)
        self._numbers("labels", np.array(labels))
        self._numbers("origins", np.array(columns.origins))
        self._numbers("digests", np.concatenate(columns.digests))
        return names

    def fields(self, found: Mapping[str, Column], old: Gallery) -> list[dict[str, Any]]:
        """Append to each field what is known of the new rows; return what ``gallery.json`` says of fields."""
        said = []
        for number, entry in enumerate(old.document.get("fields") or ()):
            column, new = old.fields[entry["name"]], found.get(entry["name"])
            name = f"field-{number}"
            if column.field.kind != "text":
                numbers = np.full(self._done, np.nan) if new is None else np.asarray(new.numbers)
            else:
                numbers = np.full(self._done, -1)
                words = list(column.words)
                if new is not None:
                    places = {word: place for place, word in enumerate(words)}
                    more = [word for word in new.words if word not in places]
                    places |= {word: len(words) + place for place, word in enumerate(more)}
                    self._texts(f"{name}-words", len(words), more)
                    words += more
                    codes = np.array([places[word] for word in new.words] + [-1])
                    numbers = codes[np.asarray(new.numbers)]
                entry = {**entry, "words": len(words)}
            if self._done:
                self._numbers(name, numbers)
            said.append(entry)
        return said

    def settle(self) -> None:
        """Have the disk hold every byte before they count."""
        settle(self._touched)

    def _path(self, name: str) -> Path:
        path = self.base / name
        self._touched.add(path)
        return path

    def _numbers(self, name: str, rows: NDArray[Any]) -> None:
        append_numbers(self._path(f"{name}.npy"), self.stored, rows)

    def _texts(self, name: str, stored: int, texts: Sequence[str]) -> None:
        if texts:
            append_texts(self.base, name, stored, texts)
            self._touched |= {self.base / f"{name}.txt", self.base / f"{name}.npy"}
