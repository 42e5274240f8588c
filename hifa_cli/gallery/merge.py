"""Merging the shards of a gallery: the result is the gallery that one machine makes of the same sources."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hifa_cli.config import IndexConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import MAIN_FILE, VIEWS, Gallery, read_gallery
from hifa_cli.gallery.build import old_gallery, refuse_strange, say_stale, summary, writing
from hifa_cli.gallery.embedding import Embedded
from hifa_cli.gallery.fields import Kind, Value
from hifa_cli.gallery.shard import WHOLE, Shard, shard_of
from hifa_cli.gallery.snapshot import Making, Plan, write_generation
from hifa_cli.gallery.sources import SourceEntry
from hifa_cli.gallery.update import drop_views
from hifa_cli.render.discover import Failure
from hifa_cli.runtime import progress

_BLOCK = 16_384  # shapes copied at once
_PLACES = ("path", "root", "relative", "up_taken", "layout", "render", WHOLE)  # compared otherwise, or not
_SHOWN = 60  # characters of a setting in a message


class _Place(NamedTuple):
    """Where a shape lies: the shard's place in the list, and the row in it."""

    shard: int
    row: int


@dataclass
class ShardsSource:
    """The shapes of one origin, read from all shards in the order of one machine: by id."""

    origin: dict[str, Any]
    entries: list[SourceEntry]
    places: list[_Place]
    shards: Sequence[Gallery]
    out: Path
    failed: list[Failure] = field(default_factory=list)

    @property
    def views(self) -> int:
        """Return how many views of a shape the shards keep; 0 where one of them keeps none."""
        return min(0 if one.views is None else _most_views(self.shards) for one in self.shards)

    def prepare(self, rows: Sequence[int]) -> list[int]:
        """Copy the pictures of views that the shards keep; return the rows, which have their vectors."""
        if name := self.origin.get("views"):
            for shard in self.shards:
                kept = shard.folder / VIEWS / str(name)
                if kept.is_dir():
                    shutil.copytree(kept, self.out / VIEWS / str(name), dirs_exist_ok=True)
        return list(rows)

    def embedded(self, rows: Sequence[int]) -> Iterator[Embedded]:
        """Yield the vectors of some entries, to the bit as the shards have them."""
        for start in range(0, len(rows), _BLOCK):
            part = list(rows[start : start + _BLOCK])
            yield self._block(part)

    def _block(self, rows: Sequence[int]) -> Embedded:
        vectors = np.empty((len(rows), self.shards[0].vectors.shape[1]), dtype=np.float32)
        views = np.zeros((len(rows), self.views, vectors.shape[1]), dtype=np.float16)
        places = np.array([self.places[row] for row in rows], dtype=np.int64).reshape(-1, 2)
        for number, shard in enumerate(self.shards):
            at = np.flatnonzero(places[:, 0] == number)
            vectors[at] = shard.vectors[places[at, 1]]
            if shard.views is not None and self.views:
                views[at, : shard.views.shape[1]] = shard.views[places[at, 1]]
        return Embedded(np.array(rows, dtype=np.int64), vectors, views if self.views else None, is_unit=True)

    def cover(self, row: int) -> bytes | None:
        """Return a shape's thumbnail."""
        place = self.places[row]
        path = self.shards[place.shard].thumbnail(place.row)
        return None if path is None else path.read_bytes()

    def facts(self, row: int) -> dict[str, Any]:
        """Return what was measured of a shape's mesh."""
        place = self.places[row]
        fields = self.shards[place.shard].fields
        return {
            name: column.value(place.row)
            for name, column in fields.items()
            if column.field.origin == "measured"
        }


def merge_shards(
    places: Sequence[Path], out: Path, *, force: bool = False, device: str = "cpu"
) -> dict[str, Any]:
    """Make the gallery that one machine would have made of the sources of all shards.

    Args:
        places: the shards, in any order: each once, and none missing.
        out: the gallery.
        force: replace a gallery that is there.
        device: where FAISS builds an index.

    Returns:
        As :func:`~hifa_cli.gallery.build.build_gallery`, with the number of ``shards``.

    Raises:
        HifaError: a shard is missing, there twice or made otherwise than the others, or ``out`` is taken.
    """
    shards = _all_shards([read_gallery(place) for place in places])
    _refuse_differences(shards)
    refuse_strange(out)
    if any(one.folder.resolve() == out.resolve() for one in shards):
        raise HifaError(f"{out} is one of the shards: choose another --out")
    said = shards[0].document["shard"]
    config = IndexConfig(factory=said["factory"], recall=said["recall"], views=said["views"])
    ranking = shards[0].document.get("ranking")
    with writing(out):
        if (out / MAIN_FILE).exists() and not force:
            raise HifaError(f"{out} is a gallery already: choose another --out or give --force")
        old = old_gallery(out, force=force)
        if ranking is not None:
            ranking = {**ranking, "own": _own(old, shards)}
            ranking = {name: value for name, value in ranking.items() if name != "own" or value is not None}
        sources = _sources(shards, out)
        making = Making(shards[0].model, shards[0].method, shards[0].model_folder)
        plan = Plan(
            old, np.zeros(0, dtype=np.int64),
            [(one, one.prepare(range(len(one.entries)))) for one in sources],
            making, config, ranking=ranking, device=device, known=_metadata(sources),
        )  # fmt: skip
        document = write_generation(out, plan)
        if old is not None:
            drop_views(out, old, np.arange(len(old)), set(read_gallery(out).ids))
    say_stale(out)
    layouts = [one for source in sources for one in source.origin.get("layout", ())]
    return {**summary(document), "failed": [], "layouts": layouts, "shards": len(shards)}


def _all_shards(found: Sequence[Gallery]) -> list[Gallery]:
    """Return the shards in their order.

    Raises:
        HifaError: one is a whole gallery, is there twice, or is missing.
    """
    numbered: dict[int, Gallery] = {}
    parts = 0
    for one in found:
        shard = shard_of(one.document)
        if shard is None:
            raise HifaError(f"{one.folder} is a whole gallery, not a shard: make shards with --shard i/n")
        parts = parts or shard.of
        if shard.of != parts:
            other = next(iter(numbered.values()))
            raise HifaError(f"{other.folder} is one of {parts} shards and {one.folder} one of {shard.of}")
        if shard.number in numbered:
            other = numbered[shard.number]
            raise HifaError(f"{other.folder} and {one.folder} are both the shard {shard}: give each once")
        numbered[shard.number] = one
    if missing := [str(Shard(number, parts)) for number in range(1, parts + 1) if number not in numbered]:
        named = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if missing[5:] else "")
        raise HifaError(f"missing among {parts} shards: {named}; make them with --shard, then merge again")
    return [numbered[number] for number in sorted(numbered)]


def _refuse_differences(shards: Sequence[Gallery]) -> None:
    """Refuse shards that are not of one make.

    Raises:
        HifaError: two differ in a setting, or in what their sources held.
    """
    first, settings = shards[0], _settings(shards[0])
    for other in shards[1:]:
        for name, value in _settings(other).items():
            if settings.get(name) != value:
                raise HifaError(
                    f"{first.folder} and {other.folder} differ in {name} ({_short(settings.get(name))} and "
                    f"{_short(value)}): make all shards alike"
                )
        for mine, theirs in zip(first.document["origins"], other.document["origins"], strict=True):
            if mine.get(WHOLE) != theirs.get(WHOLE):
                raise HifaError(
                    f"{mine['path']} held other shapes when {other.folder} was made than when {first.folder} "
                    "was: bring all shards up to date with 'hifa index --update --out SHARD'"
                )
    for one in shards:
        if one.document.get("taught") is not None:
            raise HifaError(f"{one.folder} was taught by labelled photos: merge first, then teach")
        _refuse_strangers(one)


def _settings(gallery: Gallery) -> dict[str, Any]:
    """Return what shards must agree on, by the name that a message gives it."""
    document = gallery.document
    ranking = document.get("ranking") or {}
    found = {
        "the version of hifa": document["hifa_version"],
        "the encoder": document["model"],
        "the method": document["method"],
        "the length of vectors": document["dimension"],
        "--ranking": {name: value for name, value in ranking.items() if name not in ("graph", "own")},
        **{f"--{name}": document["shard"][name] for name in ("factory", "recall", "views")},
        "the number of sources": len(document["origins"]),
    }
    for number, origin in enumerate(document["origins"], 1):
        of = f"of source {number}"
        drawn = dict(origin.get("render", {}))
        drawn["up"] = [drawn.get("up"), [rule[1] for rule in drawn.pop("ups", ())]]
        found |= {f"'{name}' {of}": value for name, value in origin.items() if name not in _PLACES}
        found |= {f"'{name}' {of}": value for name, value in drawn.items() if name != "renderer"}
        found[f"the layout {of}"] = [one.get("name") for one in origin.get("layout", ())]
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _refuse_strangers(gallery: Gallery) -> None:
    """Refuse a shard with a shape that belongs to another, so that no shape is taken twice.

    Raises:
        HifaError: it has one.
    """
    shard = shard_of(gallery.document)
    for name in gallery.ids:
        if shard is not None and name not in shard:
            raise HifaError(f"{gallery.folder} holds '{name}', which is not of shard {shard}: make it again")


def _own(old: Gallery | None, shards: Sequence[Gallery]) -> dict[str, Any] | None:
    """Return what is said of the map that the gallery learned before, if it still fits; shards' own go."""
    if learned := [one for one in shards if one.own is not None]:
        progress.note(f"the map that {learned[0].folder} has learned is left out: it is of its shapes only")
    if old is None or old.own is None or old.model != shards[0].model:
        return None
    found: dict[str, Any] = old.document["ranking"]["own"]
    return found


def _sources(shards: Sequence[Gallery], out: Path) -> list[ShardsSource]:
    """Return the origins that have shapes, each with its shapes of all shards by id."""
    sources = []
    numbers = [np.asarray(one.origins) for one in shards]
    for number in range(len(shards[0].document["origins"])):
        found = [
            (shard.ids[row], _Place(place, row))
            for place, shard in enumerate(shards)
            for row in np.flatnonzero(numbers[place] == number).tolist()
        ]
        found.sort()
        if found:
            places = [place for _, place in found]
            entries = [_entry(shards[place.shard], place.row, name) for name, place in found]
            sources.append(ShardsSource(_origin(shards, number), entries, places, shards, out))
    return sources


def _entry(shard: Gallery, row: int, name: str) -> SourceEntry:
    return SourceEntry(name, shard.class_of(row), np.asarray(shard.digests[row]).tobytes(), shard.paths[row])


def _origin(shards: Sequence[Gallery], number: int) -> dict[str, Any]:
    """Return an origin as one machine has it: with the place of the first shard whose source is here."""
    found = [one.document["origins"][number] for one in shards]
    here = next((one for one in found if Path(one["path"]).exists()), found[0])
    return {name: value for name, value in here.items() if name not in ("relative", WHOLE)}


def _metadata(sources: Sequence[ShardsSource]) -> dict[str, tuple[Kind, Mapping[int, Value]]]:
    """Return the fields of metadata that shards have: of each its kind, and its values by row."""
    kinds: dict[str, Kind] = {}
    found: dict[str, dict[int, Value]] = {}
    for shard in sources[0].shards:
        for name, column in shard.fields.items():
            if column.field.origin == "metadata":
                kinds[name] = column.field.kind if kinds.get(name) in (None, column.field.kind) else "text"
    places = [place for source in sources for place in source.places]
    for name in kinds:
        columns = {
            number: one.fields[name] for number, one in enumerate(sources[0].shards) if name in one.fields
        }
        found[name] = {
            row: columns[place.shard].value(place.row)
            for row, place in enumerate(places)
            if place.shard in columns
        }
    return {name: (kinds[name], found[name]) for name in kinds}


def _most_views(shards: Sequence[Gallery]) -> int:
    return max(0 if one.views is None else one.views.shape[1] for one in shards)
