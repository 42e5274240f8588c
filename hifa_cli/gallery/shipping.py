"""Sending the rows of a generation to a store, and clearing up there."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hifa_cli.gallery.columns import read_table
from hifa_cli.gallery.fields import Column
from hifa_cli.gallery.stores import (
    address_of,
    check_owner,
    entry_of,
    is_own,
    new_name,
    open_store,
)
from hifa_cli.gallery.stores.base import Block, Shelf, Size, StoreError, readable
from hifa_cli.runtime import progress

TABLES = ("vectors.f32", "views.f16")
_AT_ONCE = 32_000_000  # bytes of a block


class Cargo(NamedTuple):
    """Rows that wait in a folder to be sent.

    Attributes:
        place: holds their ``vectors.f32`` and ``views.f16``.
        size: of a shape's numbers.
        ids: of the rows.
        classes: of each row its class, or None.
        paths: of each row.
        fields: what is known of the rows.
        said: what ``gallery.json`` says of the fields, in their order.
    """

    place: Path
    size: Size
    ids: Sequence[str]
    classes: Sequence[str | None]
    paths: Sequence[str]
    fields: Mapping[str, Column]
    said: Sequence[dict[str, Any]]

    def blocks(self, first: int) -> Iterator[Block]:
        """Yield the rows; the first one becomes row ``first``."""
        count, (views, width) = len(self.ids), self.size
        if not count:
            return
        vectors = read_table(self.place / TABLES[0], np.float32, (count, width))
        seen = read_table(self.place / TABLES[1], np.float16, (count, views, width)) if views else None
        each = max(1, _AT_ONCE // (4 * width + 2 * views * width))
        starts = range(0, count, each)
        for start in progress.track(starts, "sending vectors", total=len(starts)):
            rows = slice(start, min(start + each, count))
            yield Block(
                first + start,
                np.asarray(vectors[rows]),
                None if seen is None else np.asarray(seen[rows]),
                [self._payload(row) for row in range(rows.start, rows.stop)],
            )

    def _payload(self, row: int) -> dict[str, Any]:
        kind = self.classes[row]
        known = ((name, column.value(row)) for name, column in self.fields.items())
        return {
            "id": readable(self.ids[row]), "class": None if kind is None else readable(kind),
            "path": readable(self.paths[row]),
            "fields": {
                name: readable(one) if isinstance(one, str) else one for name, one in known if one is not None
            },
        }  # fmt: skip

    def forget(self) -> None:
        """Remove the files of rows that were sent."""
        for name in TABLES:
            (self.place / name).unlink(missing_ok=True)


def ship(folder: Path, address: str, number: int, cargo: Cargo, *, lives_there: bool) -> dict[str, Any]:
    """Write a generation's rows to a new shelf.

    Args:
        folder: the gallery.
        address: of the store.
        number: of the generation.
        cargo: all its rows.
        lives_there: whether the gallery reads that store already.

    Returns:
        The entry ``store`` of ``gallery.json``.

    Raises:
        StoreError: the store cannot be reached or holds another gallery.
    """
    store = open_store(address)
    if not lives_there:
        check_owner(store, folder)
    name = new_name(folder, number)
    store.create(name, cargo.size, cargo.blocks(0), cargo.said)
    return entry_of(address, name, folder)


def ship_behind(shelf: Shelf, stored: int, cargo: Cargo) -> None:
    """Write rows behind those of a shelf that count.

    Args:
        shelf: to write to.
        stored: how many of its rows count.
        cargo: the rows.

    Raises:
        StoreError: the store went away.
    """
    shelf.append(cargo.blocks(stored))


def clear_stores(folder: Path, before: dict[str, Any] | None, document: dict[str, Any]) -> None:
    """Remove the shelves that the gallery no longer reads, but for the last one: somebody may be reading it.

    What cannot be removed now is removed after the next change; nothing of another gallery is.

    Args:
        folder: the gallery.
        before: what ``gallery.json`` said until now; None where there was none.
        document: what it says.
    """
    was, now = (None if one is None else one.get("store") for one in (before, document))
    address = address_of(document, folder)
    places = {address_of(one, folder) for one in (before, document) if one is not None and one.get("store")}
    for place in sorted(places):
        kept = {one["shelf"] for one in (was, now) if one is not None} if place == address else set()
        try:
            store = open_store(place)
            if now is not None and place == address:
                store.show(str(now["shelf"]))
            for name in store.shelves():
                if name not in kept and is_own(folder, name):
                    store.drop(name)
            if was is not None and was != now and not is_own(folder, str(was["shelf"])):
                progress.note(
                    f"{place} still holds '{was['shelf']}', written by the gallery that this one was copied "
                    "or moved from: it may read it"
                )
        except StoreError as error:
            progress.warn(f"what the gallery no longer needs is still in its store: {error}")
