"""Looking a gallery over: what it holds, and whether all of it is right."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hifa_cli.embeddings.encoder import stored_digest
from hifa_cli.errors import HifaError
from hifa_cli.gallery import MODELS, THUMBNAILS, VIEWS, Gallery, maps_of, read_gallery
from hifa_cli.gallery.fields import listed
from hifa_cli.gallery.own import MAPS, PHOTOS, stale, unlearned
from hifa_cli.gallery.shard import shard_of
from hifa_cli.gallery.stores import address_of
from hifa_cli.gallery.stores.base import readable
from hifa_cli.runtime import progress
from hifa_cli.search.exact import exact_search

_BLOCK = 65_536  # rows looked at at once
_TOLERANCE = 1e-3  # of a stored vector's length
_SEARCHED = 50  # shapes that must find themselves
_FACTS = ("shapes", "dimension", "views", "factory", "effort", "model", "method")
_LISTED = 5  # ids named in one fault


def stats(folder: Path) -> dict[str, Any]:
    """Return what a gallery holds: counts, classes, origins, index and bytes on disk.

    Raises:
        HifaError: no gallery exists, or it is damaged.
    """
    gallery = read_gallery(folder)
    document = gallery.document
    labels = Counter(np.asarray(gallery.labels).tolist())
    numbers = Counter(np.asarray(gallery.origins).tolist())
    return {
        **{key: document[key] for key in _FACTS},
        **({} if (shard := shard_of(document)) is None else {"shard": str(shard)}),
        "classes": {name: labels[number] for number, name in enumerate(gallery.classes)},
        "without_class": labels[-1],
        "origins": [
            {"kind": origin["kind"], "path": origin["path"], "shapes": numbers[number]}
            for number, origin in enumerate(document["origins"])
        ],
        "fields": [listed(column, _LISTED) for column in gallery.fields.values()],
        "own_map": _own_map(gallery),
        "bytes": {
            "generation": sum(_size(place) for place in {gallery.place, gallery.base}),
            **{name: _size(folder / name) for name in (MODELS, THUMBNAILS, VIEWS, MAPS, PHOTOS)},
        },
        "store": address_of(document, folder),
        "generation": document["generation"],
        "hifa_version": document["hifa_version"],
    }  # fmt: skip


def _own_map(gallery: Gallery) -> dict[str, Any] | None:
    """Return a note on the map that was learned from a gallery's shapes; None without a map."""
    if gallery.own is None:
        return None
    said: dict[str, Any] = gallery.document["ranking"]["own"]
    return {**said, "unlearned": unlearned(gallery.digests, gallery.own)}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def verify(folder: Path) -> list[str]:
    """Return every fault of a gallery, a line each; none where all is right.

    Checked are every vector, every id, every thumbnail, the index against the vectors, and the weights of
    the model against their digest.

    Raises:
        HifaError: no gallery exists at all.
    """
    try:
        gallery = read_gallery(folder)
    except HifaError as error:
        if "no gallery at" in str(error):
            raise
        return [str(error)]
    if said := stale(folder, gallery.digests, gallery.own):
        progress.note(said)
    checks = (_vectors, _views, _ids, _payload, _thumbnails, _index, model_faults, _sources)
    return [
        fault for check in progress.track(checks, "verifying", total=len(checks)) for fault in check(gallery)
    ]


def _sources(gallery: Gallery) -> Iterator[str]:
    """Meshes and views that are gone; an export holds no more than the gallery."""
    gone = {number for number, origin in enumerate(gallery.document["origins"])
            if origin["kind"] != "export" and not Path(origin["path"]).exists()}  # fmt: skip
    for number in sorted(gone):
        place = gallery.document["origins"][number]["path"]
        yield (
            f"the source {place} is gone: bring it back, or say where it lies now with "
            f"'hifa index --relocate {place}=NEW --out {gallery.folder}'"
        )
    lost: dict[int, list[str]] = {}
    for row, number in enumerate(np.asarray(gallery.origins).tolist()):
        source = None if number in gone else gallery.source(row)
        if source is not None and not source.exists():
            lost.setdefault(number, []).append(gallery.ids[row])
    for number, names in lost.items():
        place = gallery.document["origins"][number]["path"]
        named = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if names[_LISTED:] else "")
        yield f"{named}: gone from {place}; 'hifa index --update --out {gallery.folder}' follows"


def _vectors(gallery: Gallery) -> Iterator[str]:
    for start in range(0, len(gallery), _BLOCK):
        block = np.asarray(gallery.vectors[start : start + _BLOCK], dtype=np.float64)
        lengths = np.sqrt(np.einsum("nd,nd->n", block, block))
        finite = np.isfinite(lengths)
        yield from _fault(gallery, start, ~finite, "has numbers that are not finite")
        unit = (np.abs(lengths - 1) < _TOLERANCE) | (lengths == 0)
        yield from _fault(gallery, start, finite & ~unit, "has a vector that is not of unit length")
        if gallery.ranking is None:
            negative = finite & (block < 0).any(axis=1)
            yield from _fault(gallery, start, negative, "has a vector with negative numbers")


def _views(gallery: Gallery) -> Iterator[str]:
    if gallery.views is None:
        return
    for start in range(0, len(gallery), _BLOCK // 16):
        block = gallery.views[start : start + _BLOCK // 16]
        wrong = ~np.isfinite(block).all(axis=(1, 2))
        yield from _fault(gallery, start, wrong, "has a view whose numbers are not finite")


def _fault(gallery: Gallery, start: int, wrong: Any, what: str) -> Iterator[str]:
    rows = np.flatnonzero(wrong)
    if len(rows):
        named = ", ".join(gallery.ids[start + int(row)] for row in rows[:_LISTED])
        more = f" and {len(rows) - _LISTED} more" if len(rows) > _LISTED else ""
        yield f"{named}{more}: {what}"


def _ids(gallery: Gallery) -> Iterator[str]:
    for name, count in Counter(gallery.ids).items():
        if count > 1:
            yield f"the id '{name}' is there {count} times"
        if not name:
            yield "a shape has an empty id"


def _payload(gallery: Gallery) -> Iterator[str]:
    """A store must know each row by the gallery's own id."""
    for start in range(0, len(gallery) if gallery.shelf is not None else 0, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(gallery)))
        stored = gallery.shown.where_stored(rows)
        order = np.argsort(stored)
        found = [] if gallery.shelf is None else gallery.shelf.payload(stored[order])
        names = [readable(gallery.ids[row]) for row in rows[order].tolist()]
        wrong = [name for name, one in zip(names, found, strict=True) if one["id"] != name]
        if wrong:
            yield f"{', '.join(wrong[:_LISTED])}: the store has another id in its row"


def _thumbnails(gallery: Gallery) -> Iterator[str]:
    """Shapes that were made of views have a thumbnail; an export's need not."""
    kinds = [origin["kind"] for origin in gallery.document["origins"]]
    for row, origin in enumerate(np.asarray(gallery.origins).tolist()):
        path = gallery.thumbnail(row)
        if path is None and kinds[origin] != "export":
            yield f"{gallery.ids[row]}: has no thumbnail"
        elif path is not None and path.stat().st_size == 0:
            yield f"{gallery.ids[row]}: its thumbnail is empty"


def _index(gallery: Gallery) -> Iterator[str]:
    """Stored vectors must find themselves, with the cosines that exact search gives."""
    rows = np.unique(np.linspace(0, len(gallery) - 1, min(_SEARCHED, len(gallery))).astype(np.int64))
    queries = np.asarray(gallery.vectors[rows])
    known = np.isfinite(queries).all(axis=1) & (queries != 0).any(axis=1)
    if not known.any():
        return
    rows, queries = rows[known], queries[known]
    wanted, _ = exact_search(gallery.vectors, queries, 1)
    scores, _ = gallery.searcher.search(queries, 1)
    missed = scores[:, 0] < wanted[:, 0] - 1e-5
    if missed.any():
        named = ", ".join(gallery.ids[int(row)] for row in rows[missed][:_LISTED])
        yield f"the index misses {int(missed.sum())} of {len(rows)} shapes by their own vectors: {named}"


def model_faults(gallery: Gallery) -> Iterator[str]:
    """Yield what is wrong with a gallery's model: gone, damaged, or not the one that made the vectors."""
    if not gallery.model:
        return
    if gallery.model_folder is None:
        if any(origin["kind"] != "export" for origin in gallery.document["origins"]):
            yield "the model that made the vectors is gone: photo queries need --model RUN"
        return
    try:
        found = stored_digest(gallery.model_folder)
        if (maps := maps_of(gallery.model_folder)) is not None:
            found = maps.digest() if maps.base == found else ""
    except HifaError as error:
        yield str(error)
        return
    if found != gallery.model:
        yield f"the model in {gallery.model_folder} is not the one that made the vectors"
