"""Photos in, ranked shapes out. Torch is loaded only where nothing lighter can do the work."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import ADAPT_DIMENSIONS, Find, ModelConfig, RenderConfig
from hifa_cli.data import Item
from hifa_cli.data.transforms import Pixels, to_pixels
from hifa_cli.embeddings.encoder import GraphEncoder, PictureEncoder, PictureFeatures, graph_encoder
from hifa_cli.embeddings.engine import QUICK_START
from hifa_cli.embeddings.text import text_vector
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery
from hifa_cli.query.examples import rows_of_ids, steered
from hifa_cli.query.parse import STDIN, Box, Query, find_queries, read_query
from hifa_cli.query.where import rows_where
from hifa_cli.runtime import progress
from hifa_cli.runtime.progress import Reporter, reporting
from hifa_cli.search.exact import Rows
from hifa_cli.search.likelihood import FIRST
from hifa_cli.search.rerank import QueryVectors, Ranker, unit

if TYPE_CHECKING:
    import torch


PICTURES = 24  # embedded at once
MANY = 500  # queries from which loading torch for a GPU pays
READERS = 4  # threads that read pictures
BLANK = 1.5  # grey levels of 255: a photo whose colours deviate by less shows nothing


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
    likelihood: float | None = (
        None  # that it is of the query's kind, in 0 … 1; None where nothing is calibrated
    )


@dataclass(frozen=True)
class Ranking:
    """The answer to one query, best first."""

    query: str
    matches: tuple[Match, ...]
    pictures: tuple[Path, ...] = ()  # of the query; several where they show one object
    class_name: str | None = None  # of the query, where it is known
    like: tuple[str, ...] = ()  # shapes that the query was moved towards
    unlike: tuple[str, ...] = ()  # and away from
    text: str = ""  # words that it was moved towards, or that were all of it
    nothing_here: bool | None = None  # no shape seems to be of its kind; None where nothing is calibrated


@dataclass(frozen=True)
class Failed:
    """A query that could not be read or drawn, and why."""

    query: str
    error: str


@dataclass(frozen=True)
class QueryOptions:
    """Options of what is shown of a ranking.

    Attributes:
        top: how many shapes.
        threshold: only scores of at least so much.
        classes: only shapes of these classes; none means all.
        crop: the part of each photo that counts.
        fuse: whether all photos show one object.
        find: shapes of the same kind, the very part, or what serves both.
        like: ids of shapes to look for more of, beside the photos or in place of them; they are not shown.
        unlike: ids of shapes to look for less of; they are not shown.
        text: words to look for, beside the photos or in place of them.
        text_weight: of the words beside a photo, in 0 … 1.
        where: only shapes that this condition holds for (:mod:`.where`); empty means all.
    """

    top: int
    threshold: float = -1.0
    classes: tuple[str, ...] = ()
    crop: Box | None = None
    fuse: bool = False
    find: Find = "both"
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    text: str = ""
    text_weight: float = 0.5
    where: str = ""


class QueryEncoder(Protocol):
    """The encoder of queries."""

    digest: str

    @property
    def config(self) -> ModelConfig:
        """Return how pictures are prepared."""

    @property
    def classifier(self) -> NDArray[np.float32] | None:
        """Return (K, D) weights of the encoder's own classifier, or None."""

    def pictures(self, pixels: Pixels) -> PictureFeatures:
        """Encode (N, 3, S, S) uint8 pixels: vectors, and logits where there is a classifier."""


def encoder_for(
    gallery: Gallery, model: Path | None, device: "str | torch.device", *, threads: int = 1
) -> QueryEncoder:
    """Return the model that a query of ``gallery`` needs: its own, or ``model`` where that is the same one.

    On ``auto`` and ``cpu`` the gallery's graph is used where it has one, without torch.

    Args:
        gallery: to ask.
        model: folder of a run, or None.
        device: ``auto``, ``cpu``, or a device of torch.
        threads: pictures that the graph looks at side by side; 0 is one per usable core. What it makes of
            them does not depend on it.

    Returns:
        The encoder that made the gallery's vectors.

    Raises:
        HifaError: the gallery holds no model and none is given, or another model made the gallery.
    """
    if model is None and gallery.model_folder is None:
        adapted = gallery.method.partition(":")[0] in ADAPT_DIMENSIONS
        remedy = (
            "build it again with --maps, what 'hifa adapt --maps' kept" if adapted else "give --model RUN"
        )
        raise HifaError(f"the gallery {gallery.folder} holds vectors but no model: {remedy}")
    folder = model or gallery.model_folder
    wanted = gallery.maps.base if gallery.maps else gallery.model
    if folder is not None and str(device) in ("auto", "cpu"):
        light = graph_encoder(folder, threads=threads, wanted=QUICK_START)
        if light is not None and light.digest == wanted:
            return light
    from hifa_cli.embeddings.extract import load_encoder
    from hifa_cli.runtime.device import pick_device

    encoder = load_encoder(folder, pick_device(str(device)))
    if wanted and encoder.digest != wanted:
        raise HifaError(
            f"the gallery {gallery.folder} was made by another model than {folder}: "
            "build it again with this one"
        )
    return encoder


def query(encoder: QueryEncoder, gallery: Gallery, items: Sequence[Item], *, top: int) -> list[Ranking]:
    """Return the shapes of ``gallery`` nearest to each item; an unreadable item is named and left out.

    Args:
        encoder: of :func:`encoder_for`.
        gallery: to ask.
        items: photos (one view) or drawn shapes (several).
        top: shapes of each.

    Returns:
        A ranking for each item that could be read, in their order.

    Raises:
        HifaError: none of the items can be read, or the gallery is of another model.
    """
    found = list(_embedded(encoder, gallery, items, None, []))
    if not found:
        raise HifaError("none of the queries can be read; see the warnings")
    vectors = _joined([vector for _, vector in found])
    scores, rows = _search(gallery, vectors, QueryOptions(top), None, np.zeros(0, dtype=np.int64))
    return [
        Ranking(
            items[number].id, _matches(gallery, vector, one, mine, QueryOptions(top)), items[number].views[:1]
        )
        for (number, _), vector, one, mine in zip(found, vectors.part, scores, rows, strict=True)
    ]


def query_paths(encoder: QueryEncoder, gallery: Gallery, paths: Sequence[Path], *, top: int) -> list[Ranking]:
    """Return the shapes nearest to photos, folders of photos and meshes, in the order given.

    Args:
        encoder: of :func:`encoder_for`.
        gallery: to ask.
        paths: photos, folders of photos, or meshes.
        top: shapes of each.

    Returns:
        A ranking for each query that could be read.

    Raises:
        HifaError: a path is missing, or nothing can be read.
    """
    with tempfile.TemporaryDirectory() as scratch:
        queries = find_queries([str(path) for path in paths], Path(scratch))
        return rank(encoder, gallery, queries, QueryOptions(top))[0]


def rank(
    encoder: QueryEncoder | None,
    gallery: Gallery,
    queries: Sequence[Query],
    wanted: QueryOptions,
    *,
    failed: list[Failed] | None = None,
) -> tuple[list[Ranking], QueryVectors]:
    """Return the shapes nearest to each query, in the order given; what cannot be read is named and left out.

    Args:
        encoder: of ``encoder_for``; None where shapes alone are the query.
        gallery: where to look.
        queries: photos and meshes; none where ``wanted.like`` names shapes, which are then one query.
        wanted: what is shown.
        failed: takes the queries that could not be read.

    Returns:
        A ranking for each query that could be read (one in all if they are fused), and what they were
        found with: (q, D) unit vectors, or raw ones where the gallery ranks as the paper does.

    Raises:
        HifaError: nothing can be read, a class or shape does not exist, or the gallery is of another model.
    """
    among = rows_wanted(gallery, wanted)
    like, unlike = rows_of_ids(gallery, wanted.like), rows_of_ids(gallery, wanted.unlike)
    words = _words(gallery, wanted.text) if wanted.text else None
    asked, shown, vectors = [_without_photo(wanted)], list[tuple[Path, ...]]([()]), words
    if encoder is not None and queries:
        asked, shown, vectors = _asked(encoder, gallery, queries, wanted, failed)
        if words is not None:
            vectors = _with_words(vectors, words, wanted.text_weight)
    elif words is None and not len(like):
        raise HifaError(
            "nothing to look for: give a photo, a text, or a shape of the gallery to look for more of"
        )
    if vectors is None or len(like) or len(unlike):
        vectors = steered(gallery, vectors, like, unlike)
    scores, rows = _search(gallery, vectors, wanted, among, np.concatenate([like, unlike]))
    rankings = []
    for number, (one, pictures) in enumerate(zip(asked, shown, strict=True)):
        likely, nothing = _likelihoods(gallery, vectors, number, rows[number])
        matches = _matches(gallery, vectors.part[number], scores[number], rows[number], wanted, likely)
        rankings.append(
            Ranking(
                one.name, matches, pictures, one.class_name, wanted.like, wanted.unlike, wanted.text, nothing
            )
        )
    return rankings, vectors


def _without_photo(wanted: QueryOptions) -> Query:
    """Return a query of words and shapes alone, by its name."""
    named = [f"text {wanted.text}"] if wanted.text else []
    named += [f"like {' + '.join(wanted.like)}"] if wanted.like else []
    return Query(", ".join(named), Path())


def _words(gallery: Gallery, text: str) -> QueryVectors:
    """Return (1, D) of a text.

    Raises:
        HifaError: the gallery's encoder knows no words, or the gallery ranks as the paper does.
    """
    vector = text_vector(gallery.model_folder, text)
    if gallery.ranking is None:
        raise HifaError(
            f"the gallery {gallery.folder} compares clamped vectors, which words do not survive: build it "
            "again without --ranking paper"
        )
    return QueryVectors(unit(vector), unit(vector))


def _with_words(photos: QueryVectors, words: QueryVectors, weight: float) -> QueryVectors:
    """Photos' vectors moved towards a text's: (1 − weight) of the one and weight of the other."""
    return photos.each(lambda one: unit((1 - weight) * one + weight * words.kind))


def _likelihoods(
    gallery: Gallery, vectors: QueryVectors, number: int, rows: Rows
) -> tuple[NDArray[np.float64] | None, bool | None]:
    """(k,) likelihoods of one query's rows (of a row of −1: 0) and whether none of them is of its kind."""
    ranking = gallery.ranking
    if ranking is None or ranking.calibration is None:
        return None, None
    if not len(rows):
        return None, True
    calibration, kept = ranking.calibration, rows >= 0
    evidence = ranking.evidence(
        calibration.background, vectors.kind[number], vectors.plain[number], rows[kept]
    )
    likely = np.zeros(len(rows))
    likely[kept] = calibration.likelihoods(evidence)
    return likely, calibration.is_nothing(likely[kept])


def _asked(
    encoder: QueryEncoder, gallery: Gallery, queries: Sequence[Query], wanted: QueryOptions,
    failed: list[Failed] | None,
) -> tuple[list[Query], list[tuple[Path, ...]], QueryVectors]:  # fmt: skip
    """Return the queries that can be read, their pictures and their vectors; fused where that is wanted."""
    failed = [] if failed is None else failed
    meshes = any(one.is_mesh for one in queries)
    with tempfile.TemporaryDirectory() if meshes else nullcontext("") as scratch:
        items = list(_items(queries, gallery, Path(scratch), failed))
        found = list(_embedded(encoder, gallery, [item for _, item in items], wanted.crop, failed))
    if not found:
        why = _said(failed[0]) if len(queries) == 1 and failed else ""
        raise HifaError(why or "none of the queries can be read; see the warnings")
    asked = [items[number][0] for number, _ in found]
    shown: list[tuple[Path, ...]] = [(one.path,) for one in asked]
    vectors = _joined([vector for _, vector in found])
    if wanted.fuse:
        return [_fused_query(asked)], [tuple(one.path for one in asked)], _fused_vectors(gallery, vectors)
    return asked, shown, vectors


def _said(failed: Failed) -> str:
    """Return why a query failed, with its name."""
    return failed.error if failed.query in failed.error else f"{failed.query}: {failed.error}"


def _joined(vectors: Sequence[QueryVectors]) -> QueryVectors:
    return QueryVectors(
        np.concatenate([one.kind for one in vectors]), np.concatenate([one.part for one in vectors]),
        np.concatenate([one.plain for one in vectors]),
    )  # fmt: skip


def _search(
    gallery: Gallery, vectors: QueryVectors, wanted: QueryOptions, among: Rows | None, known: Rows
) -> tuple[NDArray[np.float64], Rows]:
    """(q, k) scores and rows, as the gallery ranks; a row of −1 is none, which rows that are known become."""
    gallery.check_width(vectors.part)
    if among is not None and not len(among):
        return np.zeros((len(vectors.part), 0)), np.zeros((len(vectors.part), 0), dtype=np.int64)
    top = max(wanted.top, FIRST) + len(known)  # the first ranks say whether anything is of the query's kind
    if gallery.ranking is None:
        scores, rows = gallery.search(vectors.part, top, among=among)
    else:
        scores, rows = gallery.ranking.rank(vectors, top, find=wanted.find, among=among)
    return scores, np.where(np.isin(rows, known), -1, rows)


def _fused_vectors(gallery: Gallery, vectors: QueryVectors) -> QueryVectors:
    """Several photos of one object as one query."""
    if gallery.ranking is None:
        return vectors.each(lambda part: fused(part)[None])
    return vectors.each(lambda part: unit(part.mean(axis=0, keepdims=True)))


def fused(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one vector of several photos of one object: (n, D) to (D,), the mean of the unit vectors.

    The score of a shape is then, but for a factor, the mean of its scores with the single photos.
    """
    from hifa_cli.gallery import unit as clamped

    mean: NDArray[np.float32] = clamped(vectors).mean(axis=0)
    return mean


def rows_wanted(gallery: Gallery, wanted: QueryOptions) -> Rows | None:
    """Return the rows that may be found, ascending; None for all.

    Raises:
        HifaError: a class or a field does not exist, or the condition is wrong.
    """
    rows = rows_of_classes(gallery, wanted.classes)
    if not wanted.where.strip():
        return rows
    fitting = rows_where(gallery, wanted.where)
    return fitting if rows is None else np.intersect1d(rows, fitting)


def rows_of_classes(gallery: Gallery, classes: Sequence[str]) -> Rows | None:
    """Return the rows of some classes, ascending; None for all.

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


def _fused_query(queries: Sequence[Query]) -> Query:
    classes = {one.class_name for one in queries}
    name = " + ".join(one.name for one in queries)
    return Query(name, queries[0].path, classes.pop() if len(classes) == 1 else None)


def _matches(
    gallery: Gallery, vector: NDArray[np.float32], scores: Any, rows: Rows, wanted: QueryOptions,
    likelihoods: NDArray[np.float64] | None = None,
) -> tuple[Match, ...]:  # fmt: skip
    kept = [place for place in np.flatnonzero(rows >= 0)[: wanted.top] if scores[place] >= wanted.threshold]
    views = gallery.best_views(vector, rows[kept]) if kept else None
    matches = []
    for place, at in enumerate(kept):
        score, row = float(scores[at]), int(rows[at])
        likely = None if likelihoods is None else float(likelihoods[at])
        view = int(views[place]) if views is not None and views[place] >= 0 else None
        azimuth, elevation = (gallery.direction(row, view) if view is not None else None) or (None, None)
        matches.append(
            Match(
                place + 1,
                gallery.ids[row],
                gallery.class_of(row),
                score,
                row,
                view,
                azimuth,
                elevation,
                likely,
            )
        )
    return tuple(matches)


def _items(
    queries: Sequence[Query], gallery: Gallery, scratch: Path, failed: list[Failed]
) -> Iterator[tuple[Query, Item]]:
    """Yield a photo is a shape seen once; a mesh is drawn first, from where the gallery's were."""
    for number, one in enumerate(queries):
        if not one.is_mesh:
            yield one, Item(one.name, -1, (one.path,))
            continue
        from hifa_cli.data import find_shapes
        from hifa_cli.render.pipeline import render

        views = scratch / str(number)
        config = replace(_upright(one.path, gallery), elevation=gallery.elevation)
        with reporting(Reporter()):  # one shape: nothing to show
            report = render([one.path], views, config, workers=1, force=False)
        if report.failed:
            if len(queries) > 1:
                progress.warn(f"{one.name}: cannot be drawn: {report.failed[0].reason}")
            failed.append(Failed(one.name, f"cannot be drawn: {report.failed[0].reason}"))
            continue
        for shape in find_shapes(views).items:
            yield one, Item(one.name, -1, shape.views)


def _upright(path: Path, gallery: Gallery) -> RenderConfig:
    """Return how to draw a mesh that is asked for: one of the gallery's own stands as it stands there.

    Another goes by what its shape shows, and where that is open, by what the gallery took for its format.
    """
    from hifa_cli.data.formats import is_looked_at
    from hifa_cli.gallery.sources import render_config
    from hifa_cli.render.up_look import axis_scores, decide
    from hifa_cli.render.views import up_axis

    drawn = [one for one in gallery.document["origins"] if one.get("kind") == "meshes"]
    for origin in drawn:
        if path.resolve().is_relative_to(origin["root"]):
            config = render_config(origin)
            return RenderConfig(up=config.up, ups=config.ups)
    if is_looked_at(path):
        scores = axis_scores(path)
        if scores is None or decide(scores[None]) is None:
            theirs = {up_axis(Path(f"a{path.suffix}"), render_config(origin)) for origin in drawn}
            if len(theirs) == 1:
                return RenderConfig(up=theirs.pop())
    return RenderConfig()


def _embedded(
    encoder: QueryEncoder, gallery: Gallery, items: Sequence[Item], crop: Box | None, failed: list[Failed],
) -> Iterator[tuple[int, QueryVectors]]:  # fmt: skip
    """Yield what every readable item is compared by, with its number: (1, D) over its pictures."""
    ranker = _ranker(encoder, gallery)
    meshes = encoder.config.tells_domains and any(len(item.views) > 1 for item in items)
    shapes = _shape_encoder(encoder, gallery) if meshes else None
    for start in _tracked(range(0, len(items), PICTURES), len(items)):
        part = items[start : start + PICTURES]
        seen: dict[int, Pixels] = {}
        for place, read in enumerate(_read(part, encoder.config, crop)):
            if not isinstance(read, HifaError):
                seen[start + place] = read
                continue
            item = part[place]
            given = "standard input" if item.id == STDIN else item.id  # its file is ours
            reason = str(read).replace(str(item.views[0]), given)
            if len(items) > 1:  # else it is the error that ends the command
                progress.warn(reason)
            failed.append(Failed(item.id, reason.removeprefix(f"{item.id}: ")))
        for number in [one for one in seen if shapes is not None and len(seen[one]) > 1]:
            yield number, _mapped(gallery, _of_shape(ranker, shapes, seen.pop(number)), "shapes")
        if not seen:
            continue
        found = encoder.pictures(np.concatenate(list(seen.values())))
        start_of = 0
        for number, pixels in seen.items():
            mine = slice(start_of, start_of := start_of + len(pixels))
            photo = len(items[number].views) == 1
            vectors = _of_pictures(ranker, found, mine, photo=photo)
            yield number, _mapped(gallery, vectors, "images" if photo else "shapes")


def _read(items: Sequence[Item], config: ModelConfig, crop: Box | None) -> list[Pixels | HifaError]:
    """Return what items show, or why it cannot be read; several are read side by side."""

    def one(item: Item) -> Pixels | HifaError:
        try:
            return _pixels(item, config, crop)
        except HifaError as error:
            return error

    if len(items) == 1:  # a thread would cost more than it saves
        return [one(items[0])]
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(one, items))


def _mapped(gallery: Gallery, vectors: QueryVectors, domain: str) -> QueryVectors:
    """Return vectors as the gallery's shapes were adapted, if they were."""
    maps = gallery.maps
    return vectors if maps is None else vectors.each(lambda one: maps(one, domain))


def _ranker(encoder: QueryEncoder, gallery: Gallery) -> Ranker | None:
    """Return what the gallery does to vectors of photos.

    Raises:
        HifaError: this version cannot do it.
    """
    try:
        return gallery.ranker(encoder.classifier)
    except ValueError as error:
        raise HifaError(
            f"the gallery {gallery.folder} was ranked by another version of hifa: build it again"
        ) from error


def _of_pictures(ranker: Ranker | None, found: PictureFeatures, mine: slice, *, photo: bool) -> QueryVectors:
    """(1, D): the maximum over the pictures where the gallery ranks as the paper does, else their mean."""
    pooled = found.pooled[mine]
    if ranker is None:
        most = pooled.max(axis=0, keepdims=True)
        return QueryVectors(most, most)
    if found.part is not None:
        vectors = QueryVectors(ranker.photos(pooled), ranker.views(found.part[mine]))
    else:
        vectors = ranker.queries(pooled, None if found.logits is None else found.logits[mine], photos=photo)
    return vectors.each(lambda part: unit(part.mean(axis=0, keepdims=True)))


def _shape_encoder(encoder: QueryEncoder, gallery: Gallery) -> PictureEncoder:
    """Return what makes vectors of a mesh's views where the model treats shapes otherwise than photos.

    That is its graph of shapes; torch where a gallery of an earlier version has none.

    Raises:
        HifaError: the gallery holds no model.
    """
    if isinstance(encoder, GraphEncoder) and encoder.knows_shapes:
        return encoder
    from hifa_cli.embeddings.extract import Encoder, load_encoder
    from hifa_cli.runtime.device import pick_device

    if isinstance(encoder, Encoder):
        return encoder
    if gallery.model_folder is None:
        raise HifaError(
            f"the gallery {gallery.folder} holds no model to embed a mesh by: build it from its run "
            "('hifa index SOURCE --model RUN'), or ask by a photo"
        )
    return load_encoder(gallery.model_folder, pick_device("cpu"))


def _of_shape(ranker: Ranker | None, encoder: PictureEncoder | None, pixels: Pixels) -> QueryVectors:
    """Return (1, D) of a mesh's views, as the gallery's own shapes have it."""
    if encoder is None:
        raise RuntimeError("no encoder is there to embed a mesh")
    ((views, vector),) = encoder.shapes([pixels])
    if ranker is None:
        return QueryVectors(vector[None], vector[None])
    whole = unit(ranker.views(views).mean(axis=0, keepdims=True))
    return QueryVectors(whole, ranker.part(whole))


def _tracked(starts: range, count: int) -> Iterable[int]:
    return (
        progress.track(starts, f"embedding {count} queries", total=len(starts)) if len(starts) > 1 else starts
    )


def _pixels(item: Item, config: ModelConfig, crop: Box | None) -> Pixels:
    """Return (V, 3, S, S) pixels of an item; a photo is cropped, a shape's views never are.

    Raises:
        HifaError: a picture cannot be read, or the photo, or its part, is blank.
    """
    if len(item.views) > 1:
        pictures = [read_query(Query(item.id, path), None) for path in item.views]
        return np.stack([to_pixels(one, config) for one in pictures])
    picture = read_query(Query(item.id, item.views[0]), crop)
    pixels = to_pixels(picture, config)
    if float(pixels.std(axis=(1, 2)).max()) < BLANK:
        part = "" if crop is None else f" within --crop {','.join(map(str, crop))}"
        raise HifaError(
            f"{item.views[0]}: blank: its {picture.width} x {picture.height} pixels{part} are of one colour, "
            "or nearly so: it shows nothing to look for; give another photo"
        )
    return pixels[None]
