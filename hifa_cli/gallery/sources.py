"""The sources of a gallery: an export, rendered views, or the meshes themselves.

A source says what it offers before anything is embedded, so that only what is new has to be.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import Axis, RenderConfig
from hifa_cli.data import Collection, find_shapes, is_mesh, layouts
from hifa_cli.data.tree import walk
from hifa_cli.embeddings.io import read_shapes_heading, shape_blocks
from hifa_cli.errors import HifaError
from hifa_cli.gallery import DIGEST_BYTES
from hifa_cli.gallery.embedding import Embedded, Embedder
from hifa_cli.gallery.shard import WHOLE, Shard, digest_of_ids
from hifa_cli.render.discover import Failure
from hifa_cli.render.pipeline import SETTINGS, mark_of
from hifa_cli.runtime import progress

COVER = 1  # the view that stands for a shape: 30° round from the front, where most objects show most
_BLOCK = 65_536  # vectors of an export read at once
_READERS = 8  # threads that hash views


class SourceEntry(NamedTuple):
    """A shape that a source has."""

    id: str
    class_name: str | None
    digest: bytes  # of all that its vector is made from
    path: str  # below the origin's folder; "" for an export's


class Source(Protocol):
    """Somewhere that shapes come from.

    Attributes:
        origin: what ``gallery.json`` says of it, enough to read it again.
        entries: the shapes, in order.
        failed: meshes that could not be drawn.
        views: a shape's, at most; 0 where it has vectors only.
    """

    @property
    def origin(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def entries(self) -> Sequence[SourceEntry]: ...  # noqa: D102
    @property
    def failed(self) -> Sequence[Failure]: ...  # noqa: D102
    @property
    def views(self) -> int: ...  # noqa: D102

    def prepare(self, rows: Sequence[int]) -> list[int]:
        """Make the vectors of some entries, as far as they are not there; return those that have them."""

    def embedded(self, rows: Sequence[int]) -> Iterator[Embedded]:
        """The vectors of prepared entries, in order, in blocks; ``Embedded.rows`` are rows of the entries."""

    def cover(self, row: int) -> bytes | None:
        """Return the PNG file of a picture of a shape, or None."""

    def facts(self, row: int) -> dict[str, Any]:
        """Return what was measured of a shape's mesh; nothing where no mesh was read."""


@dataclass
class ExportSource:
    """The shapes of an HDF5 export, read in blocks."""

    path: Path
    origin: dict[str, Any]
    entries: list[SourceEntry]
    covers: dict[str, Path]
    failed: list[Failure] = field(default_factory=list)
    views: int = 0

    def prepare(self, rows: Sequence[int]) -> list[int]:
        """Return the rows: an export holds its vectors."""
        return list(rows)

    def embedded(self, rows: Sequence[int]) -> Iterator[Embedded]:
        """Yield the vectors of some entries; an export holds no vectors of views."""
        wanted = np.asarray(rows, dtype=np.int64)
        for number, block in enumerate(shape_blocks(self.path, _BLOCK)):
            start = number * _BLOCK
            mine = wanted[(wanted >= start) & (wanted < start + len(block))]
            if len(mine):
                yield Embedded(mine, block[mine - start], None)

    def cover(self, row: int) -> bytes | None:
        """Return the cover among the views that the export was made of."""
        path = self.covers.get(self.entries[row].id)
        return None if path is None else _content(path)

    def facts(self, row: int) -> dict[str, Any]:
        """Return nothing: an export has no meshes."""
        return {}


@dataclass
class ViewsSource:
    """Rendered shapes, embedded when they are asked for."""

    origin: dict[str, Any]
    entries: list[SourceEntry]
    shapes: Collection
    embedder: Embedder
    failed: list[Failure] = field(default_factory=list)

    @property
    def views(self) -> int:
        """Of the shape that has most."""
        return max((len(item.views) for item in self.shapes.items), default=0)

    def prepare(self, rows: Sequence[int]) -> list[int]:
        """Embed some entries; what cannot be read is warned of and left out."""
        digests = [self.entries[row].digest for row in rows]
        self.embedder.embed_items([self.shapes.items[row] for row in rows], digests)
        return [row for row in rows if self.entries[row].digest in self.embedder.store]

    def embedded(self, rows: Sequence[int]) -> Iterator[Embedded]:
        """Return the vectors of some entries and of their views."""
        return self.embedder.blocks(rows, [self.entries[row].digest for row in rows])

    def cover(self, row: int) -> bytes | None:
        """Return one of the shape's views."""
        return _content(cover_of(self.shapes.items[row].views))

    def facts(self, row: int) -> dict[str, Any]:
        """Return nothing: views have no meshes."""
        return {}


def cover_of(views: Sequence[Path]) -> Path:
    """Return the view that stands for a shape."""
    return views[min(COVER, len(views) - 1)]


def _content(path: Path) -> bytes | None:
    with suppress(OSError):
        return path.read_bytes()
    return None


def export_source(path: Path) -> ExportSource:
    """Return the shapes of an export, with thumbnails where the views that it was made of are still there.

    Raises:
        HifaError: it is not an export, or has no shapes.
    """
    header = read_shapes_heading(path)
    if not len(header):
        raise HifaError(f"{path} has no shapes to index: export some with --shapes VIEWS")
    digests = [short_digest(row.tobytes()) for block in shape_blocks(path, _BLOCK) for row in block]
    names = [header.classes[label] if label >= 0 else None for label in header.labels.tolist()]
    _refuse_repeated(path, header.ids)
    entries = [
        SourceEntry(name, kind, digest, "")
        for name, kind, digest in zip(header.ids, names, digests, strict=True)
    ]
    views = _views_of(header.config)
    wanted = set(header.ids)
    covers = {item.id: cover_of(item.views) for item in views.items if item.id in wanted}
    return ExportSource(path, origin_of("export", path), entries, covers)


def _refuse_repeated(path: Path, ids: Sequence[str]) -> None:
    """Refuse an export in which an id does not name one shape.

    Raises:
        HifaError: an id is empty or there twice.
    """
    repeated = [name for name, count in Counter(ids).items() if count > 1 or not name]
    if repeated:
        named = ", ".join(f"'{name}'" for name in repeated[:5]) + (", …" if len(repeated) > 5 else "")
        raise HifaError(
            f"{path}: /shapes/ids must be distinct and not empty, these are not: {named}; "
            "write the file again with an id for each shape"
        )


def _views_of(config: dict[str, Any]) -> Collection:
    """Return the views that an export was made of, where they are still there: they give the thumbnails."""
    below = config.get("base")  # of an adapted export
    named = (below if isinstance(below, dict) else config).get("shapes")
    if isinstance(named, str) and Path(named).is_dir():
        try:
            return find_shapes(Path(named))
        except HifaError:
            pass
    progress.note("the views of this export cannot be found: the gallery has no thumbnails")
    return Collection((), ())


def views_source(
    folder: Path, *, split: str | None, embedder: Embedder, shard: Shard | None = None
) -> ViewsSource:
    """Return the shapes whose rendered views lie under a folder.

    Args:
        folder: of views, or a list of them.
        split: only the views of that split.
        embedder: makes the vectors.
        shard: only the shapes of that shard.

    Returns:
        The source; nothing is embedded yet.

    Raises:
        HifaError: none exist.
    """
    shapes = find_shapes(folder, split=split)
    shapes.report()
    whole = {} if shard is None else {WHOLE: digest_of_ids(item.id for item in shapes.items)}
    if shard is not None:
        shapes = replace(shapes, items=tuple(item for item in shapes.items if item.id in shard))

    def digest(views: tuple[Path, ...]) -> bytes:
        try:
            return short_digest(b"".join(short_digest(path.read_bytes()) for path in views))
        except OSError:
            return short_digest(repr(views).encode())  # embedding says what is wrong with it

    with ThreadPoolExecutor(_READERS) as readers:
        digests = list(readers.map(digest, [item.views for item in shapes.items]))
    root = root_of(folder)
    entries = [
        SourceEntry(item.id, class_of(shapes, item.label), digest, below(item.views[0].parent, root))
        for item, digest in zip(shapes.items, digests, strict=True)
    ]
    origin = {**origin_of("views", folder), "split": split, "rig": rig_of_views(folder), **whole}
    return ViewsSource(origin, entries, shapes, embedder)


def mesh_offer_digest(path: Path, config: RenderConfig) -> bytes:
    """Return the digest of the shape that a mesh makes, or nothing where it cannot be read."""
    try:
        return short_digest(mark_of(path, config).encode())
    except (OSError, HifaError):
        return b""


def render_config(origin: dict[str, Any]) -> RenderConfig:
    """Return how an origin's meshes were drawn.

    Raises:
        HifaError: the gallery says what no version of hifa wrote.
    """
    known = {one.name for one in fields(RenderConfig)}
    settings = origin.get("render", {})
    if not isinstance(settings, dict) or not set(settings) <= known:
        raise HifaError(f"the gallery's record of {origin.get('path')} is damaged; build the gallery again")
    try:
        ups = tuple((str(pattern), axis) for pattern, axis in settings.get("ups", ()))
    except (TypeError, ValueError):
        ups = (("", "damaged"),)
    if not {axis for _, axis in ups} <= set(get_args(Axis)):
        raise HifaError(f"the gallery's record of {origin.get('path')} is damaged; build the gallery again")
    if (layout := settings.get("layout", "folders")) not in layouts.NAMES:  # before 0.2.0 all were folders
        raise HifaError(f"the gallery's record of {origin.get('path')} is damaged; build the gallery again")
    return RenderConfig(**{**settings, "ups": ups, "layout": layout})


def holds_meshes(source: Path) -> bool:
    """Return whether ``source`` is a mesh, or a folder with meshes and without rendered views at its root."""
    if source.is_file():
        return is_mesh(source)
    if (source / SETTINGS).is_file():
        return False
    return any(is_mesh(folder.path / name) for folder in walk(source, []) for name in folder.files)


def origin_of(kind: str, place: Path) -> dict[str, Any]:
    """Return where shapes of a kind come from, for ``gallery.json``."""
    return {"kind": kind, "path": str(place.resolve()), "root": str(root_of(place))}


def root_of(place: Path) -> Path:
    """Return the folder that paths are relative to."""
    return place.resolve() if place.is_dir() else place.resolve().parent


def class_of(shapes: Collection, label: int) -> str | None:
    """Return the name of a label, None where the class is not known."""
    return shapes.classes[label] if label >= 0 else None


def below(path: Path, root: Path) -> str:
    """The path below ``root``, or whole where it lies elsewhere (behind a link, or named by a list)."""
    try:
        return path.absolute().relative_to(root).as_posix()
    except ValueError:
        try:
            return path.resolve().relative_to(root).as_posix()
        except ValueError:
            return str(path.resolve())


def rig_of_views(views: Path) -> dict[str, Any] | None:
    """Return where hifa's cameras stood, as the root of its views says; None for views of another make."""
    try:
        document = json.loads((views / SETTINGS).read_text(encoding="utf-8"))
        return {
            "azimuths": [float(one) for one in document["azimuths"]],
            "elevation": float(document["elevation"]),
        }
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return None


def short_digest(content: bytes) -> bytes:
    """Return the digest of some content, as long as a gallery keeps it."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def row_digests(entries: Sequence[SourceEntry]) -> NDArray[np.uint8]:
    """Return (n, 16) bytes."""
    joined = b"".join(entry.digest for entry in entries)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(entries), DIGEST_BYTES)
