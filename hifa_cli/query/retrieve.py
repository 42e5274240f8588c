"""Photos in, ranked shapes out. Torch is loaded only where nothing lighter can do the work."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import ModelConfig, RenderConfig
from hifa_cli.data import Item
from hifa_cli.data.transforms import Pixels, to_pixels
from hifa_cli.embeddings.encoder import graph_encoder
from hifa_cli.embeddings.engine import QUICK_START
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery
from hifa_cli.query.parse import Box, Query, find_queries, read_query
from hifa_cli.runtime.progress import SILENT, Talk

if TYPE_CHECKING:
    import torch

PICTURES = 24  # embedded at once
MANY = 500  # queries from which loading torch for a GPU pays
READERS = 4  # threads that read pictures


@dataclass(frozen=True)
class Match:
    """A shape that was found."""

    rank: int
    shape: str
    class_name: str | None
    score: float  # cosine of the clamped, normalised vectors
    row: int  # place in the gallery
    view: int | None = None  # which of the shape's views is nearest, from 0
    azimuth: float | None = None  # degrees that this view was drawn from, where that is known
    elevation: float | None = None


@dataclass(frozen=True)
class Ranking:
    """What one query found, best first."""

    query: str
    matches: tuple[Match, ...]
    pictures: tuple[Path, ...] = ()  # of the query; several where they show one object
    class_name: str | None = None  # of the query, where it is known


@dataclass(frozen=True)
class Wanted:
    """What of a ranking is shown.

    Attributes:
        top: how many shapes.
        threshold: only scores of at least so much.
        classes: only shapes of these classes; none means all.
        crop: the part of each photo that counts.
        fuse: whether all photos show one object.
    """

    top: int
    threshold: float = -1.0
    classes: tuple[str, ...] = ()
    crop: Box | None = None
    fuse: bool = False


class QueryEncoder(Protocol):
    """What embeds queries."""

    digest: str

    @property
    def config(self) -> ModelConfig:
        """How pictures are prepared."""

    def each_picture(self, pixels: Pixels) -> NDArray[np.float32]:
        """Embed (N, 3, S, S) uint8 pixels, each by itself: (N, D) float32, as they leave the network."""


def encoder_for(gallery: Gallery, model: Path | None, device: "str | torch.device") -> QueryEncoder:
    """The model that a query of ``gallery`` needs: its own, or ``model`` where that is the same one.

    On ``auto`` and ``cpu`` the gallery's graph is used where it has one, without torch.

    Raises:
        HifaError: the gallery holds no model and none is given, or another model made the gallery.
    """
    if model is None and gallery.model_folder is None:
        raise HifaError(f"the gallery {gallery.folder} holds vectors but no model: give --model RUN")
    folder = model or gallery.model_folder
    if folder is not None and str(device) in ("auto", "cpu"):
        light = graph_encoder(folder, threads=1, wanted=QUICK_START)
        if light is not None and light.digest == gallery.model:
            return light
    from hifa_cli.embeddings.extract import load_encoder
    from hifa_cli.runtime.device import pick_device

    encoder = load_encoder(folder, pick_device(str(device)))
    if gallery.model and encoder.digest != gallery.model:
        raise HifaError(
            f"the gallery {gallery.folder} was made by another model than {folder}: "
            "build it again with this one"
        )
    return encoder


def query(
    encoder: QueryEncoder, gallery: Gallery, items: Sequence[Item], *, top: int, talk: Talk = SILENT
) -> list[Ranking]:
    """The shapes of ``gallery`` nearest to each item; an unreadable item is named and left out.

    Raises:
        HifaError: none of the items can be read, or the gallery is of another model.
    """
    found = list(_embedded(encoder, items, None, talk))
    if not found:
        raise HifaError("none of the queries can be read; see the warnings")
    scores, rows = gallery.search(np.stack([vector for _, vector in found]), top)
    return [
        Ranking(items[number].id, _matches(gallery, vector, one, mine), items[number].views[:1])
        for (number, vector), one, mine in zip(found, scores, rows, strict=True)
    ]


def query_paths(
    encoder: QueryEncoder, gallery: Gallery, paths: Sequence[Path], *, top: int, talk: Talk
) -> list[Ranking]:
    """The shapes nearest to photos, folders of photos and meshes, in the order given.

    Raises:
        HifaError: a path is missing, or nothing can be read.
    """
    with tempfile.TemporaryDirectory() as scratch:
        queries = find_queries([str(path) for path in paths], Path(scratch), talk)
        return rank(encoder, gallery, queries, Wanted(top), talk=talk)[0]


def rank(
    encoder: QueryEncoder, gallery: Gallery, queries: Sequence[Query], wanted: Wanted, *, talk: Talk
) -> tuple[list[Ranking], NDArray[np.float32]]:
    """The shapes nearest to each query, in the order given; what cannot be read is named and left out.

    Args:
        encoder: of ``encoder_for``.
        gallery: where to look.
        queries: photos and meshes.
        wanted: what is shown.
        talk: warnings and progress.

    Returns:
        A ranking for each query that could be read (one in all if they are fused), and the (q, D) vectors
        they were found with.

    Raises:
        HifaError: nothing can be read, there is no such class, or the gallery is of another model.
    """
    among = rows_of_classes(gallery, wanted.classes)
    with tempfile.TemporaryDirectory() as scratch:
        items = list(_items(queries, Path(scratch), gallery, talk))
        found = list(_embedded(encoder, [item for _, item in items], wanted.crop, talk))
    if not found:
        raise HifaError("none of the queries can be read; see the warnings")
    asked = [items[number][0] for number, _ in found]
    vectors = np.stack([vector for _, vector in found])
    if wanted.fuse:
        asked, vectors = [_fused_query(asked)], fused(vectors)[None]
    scores, rows = gallery.search(vectors, wanted.top, among=among)
    pictures = [tuple(one.path for one in asked_for) for asked_for in _pictures(asked, items, found, wanted)]
    return [
        Ranking(one.name, _matches(gallery, vector, mine, at, wanted.threshold), shown, one.class_name)
        for one, vector, mine, at, shown in zip(asked, vectors, scores, rows, pictures, strict=True)
    ], vectors


def fused(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """One vector of several photos of one object: (n, D) to (D,), the mean of the unit vectors.

    The score of a shape is then, but for a factor, the mean of its scores with the single photos.
    """
    from hifa_cli.gallery import unit

    mean: NDArray[np.float32] = unit(vectors).mean(axis=0)
    return mean


def rows_of_classes(gallery: Gallery, classes: Sequence[str]) -> NDArray[np.int64] | None:
    """The rows of some classes, ascending; None for all.

    Raises:
        HifaError: no shape is of such a class.
    """
    if not classes:
        return None
    missing = [name for name in classes if name not in gallery.classes]
    if missing:
        known = ", ".join(gallery.classes[:20]) or "none"
        raise HifaError(f"the gallery {gallery.folder} has no class '{missing[0]}': it has {known}")
    labels = [gallery.classes.index(name) for name in classes]
    return np.flatnonzero(np.isin(np.asarray(gallery.labels), labels)).astype(np.int64)


def _pictures(
    asked: Sequence[Query],
    items: Sequence[tuple[Query, Item]],
    found: Sequence[tuple[int, Any]],
    wanted: Wanted,
) -> Iterable[Sequence[Query]]:
    return [[items[number][0] for number, _ in found]] if wanted.fuse else [[one] for one in asked]


def _fused_query(queries: Sequence[Query]) -> Query:
    classes = {one.class_name for one in queries}
    name = " + ".join(one.name for one in queries)
    return Query(name, queries[0].path, classes.pop() if len(classes) == 1 else None)


def _matches(
    gallery: Gallery, vector: NDArray[np.float32], scores: Any, rows: Any, threshold: float = -1.0
) -> tuple[Match, ...]:
    kept = [(float(score), int(row)) for score, row in zip(scores, rows, strict=True) if row >= 0]
    kept = [(score, row) for score, row in kept if score >= threshold]
    views = gallery.best_views(vector, np.array([row for _, row in kept], dtype=np.int64)) if kept else None
    matches = []
    for place, (score, row) in enumerate(kept):
        view = int(views[place]) if views is not None and views[place] >= 0 else None
        azimuth, elevation = (gallery.direction(row, view) if view is not None else None) or (None, None)
        matches.append(
            Match(place + 1, gallery.ids[row], gallery.class_of(row), score, row, view, azimuth, elevation)
        )
    return tuple(matches)


def _items(
    queries: Sequence[Query], scratch: Path, gallery: Gallery, talk: Talk
) -> Iterator[tuple[Query, Item]]:
    """A photo is a shape seen once; a mesh is drawn first."""
    for number, one in enumerate(queries):
        if not one.is_mesh:
            yield one, Item(one.name, -1, (one.path,))
            continue
        from hifa_cli.data import find_shapes
        from hifa_cli.render.pipeline import render

        views = scratch / str(number)
        config = _upright(one.path, gallery)
        report = render([one.path], views, config, workers=1, force=False, talk=SILENT)
        if report.failed:
            talk.warn(f"{one.name}: cannot be drawn: {report.failed[0].reason}")
            continue
        for shape in find_shapes(views).items:
            yield one, Item(one.name, -1, shape.views)


def _upright(path: Path, gallery: Gallery) -> RenderConfig:
    """How to draw a mesh that is asked for: one of the gallery's own stands as it stands there.

    Another goes by what its shape shows, and where that is open, by what the gallery took for its format.
    """
    from hifa_cli.gallery.sources import render_config
    from hifa_cli.render.up_look import axis_scores, decide
    from hifa_cli.render.up_taken import SEEN_SUFFIXES
    from hifa_cli.render.views import up_axis

    drawn = [one for one in gallery.document["origins"] if one.get("kind") == "meshes"]
    for origin in drawn:
        if path.resolve().is_relative_to(origin["root"]):
            config = render_config(origin)
            return RenderConfig(up=config.up, ups=config.ups)
    if path.suffix.lower() in SEEN_SUFFIXES:
        scores = axis_scores(path)
        if scores is None or decide(scores[None]) is None:
            theirs = {up_axis(Path(f"a{path.suffix}"), render_config(origin)) for origin in drawn}
            if len(theirs) == 1:
                return RenderConfig(up=theirs.pop())
    return RenderConfig()


def _embedded(
    encoder: QueryEncoder, items: Sequence[Item], crop: Box | None, talk: Talk
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The vector of every readable item with its number: the maximum over its pictures."""
    with ThreadPoolExecutor(READERS) as readers:
        for start in _tracked(range(0, len(items), PICTURES), len(items), talk):
            part = items[start : start + PICTURES]
            reading = [readers.submit(_pixels, item, encoder.config, crop) for item in part]
            seen: dict[int, Pixels] = {}
            for place, task in enumerate(reading):
                try:
                    seen[start + place] = task.result()
                except HifaError as error:
                    talk.warn(str(error))
            if not seen:
                continue
            vectors = encoder.each_picture(np.concatenate(list(seen.values())))
            ends = np.cumsum([len(pixels) for pixels in seen.values()])
            for number, views in zip(seen, np.split(vectors, ends[:-1]), strict=True):
                yield number, views.max(axis=0)


def _tracked(starts: range, count: int, talk: Talk) -> Iterable[int]:
    return talk.track(starts, f"embedding {count} queries", total=len(starts)) if len(starts) > 1 else starts


def _pixels(item: Item, config: ModelConfig, crop: Box | None) -> Pixels:
    """(V, 3, S, S) pixels of an item; a photo is cropped, a shape's views never are."""
    part = crop if len(item.views) == 1 else None
    return np.stack([to_pixels(read_query(Query(item.id, path), part), config) for path in item.views])
