"""Ranking the shapes of a gallery by photos: candidates by the mean view, then all that the gallery keeps."""

import zipfile
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.adaptation.labels import WEIGHT, PhotoClasses, read_classes, write_classes
from hifa_cli.config import Find, RankingConfig
from hifa_cli.gallery.columns import DAMAGED, read_numbers
from hifa_cli.search.exact import Rows, Scores
from hifa_cli.search.likelihood import (
    CALIBRATION_VERSION,
    Calibration,
    calibration_for,
    evidence_of,
)
from hifa_cli.search.rerank import (
    BLOCK,
    PROJECTION_VERSION,
    TRAINED,
    Floats,
    Graph,
    OwnMap,
    QueryVectors,
    Ranker,
    blended,
    lifted,
    neighbour_graph,
    shipped_projection,
    smoothed,
    standardised,
    top_half,
    unit,
)
from hifa_cli.search.searcher import Searcher

NEIGHBOURS_FILE, WEIGHTS_FILE = "neighbours", "neighbour_weights"
UNTRAINED = "_untrained"  # of a trained network's gallery: by the trunk's own feature
TAUGHT_FILE, SHAPE_CLASSES = "photo_classes.npz", "shape_classes"
_WHOLE = 200_000_000  # numbers of all views that are held in memory as float32
_COLD = 4  # queries that are answered from the file, before all views are taken into memory


def ranking_document(config: RankingConfig, model: str | None, residual: int = 0) -> dict[str, Any]:
    """Return what ``gallery.json`` says of the ranking; without a projection for the model, none is named.

    Args:
        config: how shapes are ranked.
        model: digest of the encoder; None where a trained network's trunk is the default encoder's.
        residual: numbers at the end of a trained network's descriptor that are the untrained trunk's.

    Returns:
        Plain values for JSON.
    """
    found = shipped_projection(model) if config.project else None
    projection = PROJECTION_VERSION if found else 0
    document = {**asdict(config), "project": found is not None, "projection": projection}
    if residual:
        return {**document, "residual": residual, "trained": TRAINED}
    calibrated = model and calibration_for(model, projection, CALIBRATION_VERSION) is not None
    return {**document, "calibration": CALIBRATION_VERSION if calibrated else 0}


def ranker_of(
    document: dict[str, Any] | None, model: str, classifier: Floats | None = None, own: OwnMap | None = None
) -> Ranker | None:
    """Return the ranker that a gallery was made with; None where it ranks as the paper does.

    Args:
        document: the ``ranking`` of ``gallery.json``.
        model: digest of the encoder.
        classifier: (K, D) of the encoder, or None.
        own: the map of photos that was learned of the gallery's shapes, or None.

    Returns:
        The ranker, or None.

    Raises:
        ValueError: the projection that the gallery was made with is not in this version.
    """
    if document is None:
        return None
    config, residual = config_of(document), int(document.get("residual", 0))
    projection = shipped_projection(None if residual else model) if config.project else None
    if config.project and (projection is None or document["projection"] != PROJECTION_VERSION):
        raise ValueError("another projection")
    trained = float(document.get("trained", 1))  # galleries before there was such a weight
    return Ranker(config, projection, classifier, residual, own, trained)


def config_of(document: dict[str, Any]) -> RankingConfig:
    """Return the options of a ``ranking`` document."""
    return RankingConfig(**{name: document[name] for name in RankingConfig.__dataclass_fields__})


def write_graph_of(
    place: Path, vectors: NDArray[np.float32], config: RankingConfig, residual: int = 0
) -> int:
    """Write the neighbours of a generation's shapes; return how many each has (0: none are used).

    Args:
        place: the generation.
        vectors: (n, D) unit vectors of the shapes.
        config: how many neighbours.
        residual: numbers at the end that are an untrained trunk's: then also the neighbours by these alone,
            for photos that training says nothing of.

    Returns:
        How many neighbours each shape has; 0 where none are used.
    """
    if not config.neighbours or not config.smooth_from <= len(vectors) <= config.smooth_most:
        return 0
    parts = {"": np.asarray(vectors), **({UNTRAINED: unit(vectors[:, -residual:])} if residual else {})}
    count = 0
    for suffix, part in parts.items():
        graph = neighbour_graph(part, config.neighbours)
        np.save(place / f"{NEIGHBOURS_FILE}{suffix}.npy", graph.rows)
        np.save(place / f"{WEIGHTS_FILE}{suffix}.npy", graph.weights)
        count = int(graph.rows.shape[1])
    return count


def read_graph(place: Path, shapes: int, neighbours: int, suffix: str = "") -> Graph | None:
    """Read what :func:`write_graph_of` wrote; None where a gallery has no graph.

    Args:
        place: the generation.
        shapes: how many it has.
        neighbours: of each; 0 means without a graph.
        suffix: of the file's name.

    Returns:
        Rows and weights of the neighbours, or None.

    Raises:
        ValueError: it is damaged.
    """
    if not neighbours:
        return None
    rows = read_numbers(place, f"{NEIGHBOURS_FILE}{suffix}", np.int32, (shapes, neighbours))
    weights = read_numbers(place, f"{WEIGHTS_FILE}{suffix}", np.float32, (shapes, neighbours))
    if shapes and not (rows.min() >= 0 and rows.max() < shapes):
        raise ValueError("neighbours that are not there")
    return Graph(np.asarray(rows), np.asarray(weights))


class Lift(NamedTuple):
    """Settings of the very part beside its kind: see :func:`~hifa_cli.search.rerank.lifted`."""

    floor: float
    weight: float


def lift_of(document: dict[str, Any]) -> Lift | None:
    """Return how a gallery's learned map counts, or None without one."""
    own = document.get("own")
    return None if own is None else Lift(float(own["floor"]), float(own["weight"]))


class Classes(NamedTuple):
    """The class knowledge of labelled photos.

    Attributes:
        photos: of any photo.
        shapes: (n, C) of the gallery's shapes, square roots of probabilities.
    """

    photos: PhotoClasses
    shapes: Floats


def write_taught(
    place: Path, taught: tuple[PhotoClasses, tuple[str, ...]], vectors: NDArray[np.float32],
    views: NDArray[np.float16] | None,
) -> list[str]:  # fmt: skip
    """Write what labelled photos say of a generation's shapes.

    Args:
        place: the generation, whose vectors are written.
        taught: what was fitted, and the names of the classes.
        vectors: (n, D) of the shapes.
        views: (n, V, D) of the shapes' views; None where they are not kept.

    Returns:
        The names, as ``gallery.json`` has them.
    """
    found, names = taught
    seen: NDArray[Any] = np.asarray(vectors)[:, None] if views is None else views
    write_classes(place / TAUGHT_FILE, found)
    np.save(place / f"{SHAPE_CLASSES}.npy", found.of_shapes(seen))
    return list(names)


def read_photo_classes(place: Path, classes: int, width: int) -> PhotoClasses:
    """Read what labelled photos say.

    Args:
        place: the generation.
        classes: C.
        width: D.

    Returns:
        The class knowledge.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return read_classes(place / TAUGHT_FILE, classes, width)
    except FileNotFoundError:
        raise
    except (*DAMAGED, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"damaged {TAUGHT_FILE}") from error


def read_shape_classes(place: Path, shapes: int, classes: int) -> Floats:
    """Read (n, C) what labelled photos say of the shapes.

    Args:
        place: the generation.
        shapes: n.
        classes: C.

    Returns:
        (n, C).

    Raises:
        ValueError: it is damaged.
    """
    return np.asarray(read_numbers(place, SHAPE_CLASSES, np.float32, (shapes, classes)))


class GalleryRanking:
    """Ranks one gallery's shapes.

    Args:
        config: how.
        searcher: over the mean vectors of the shapes.
        views: (n, V, D) unit vectors, zeros where a shape has fewer; None where they are not kept.
        graph: neighbours, or None.
        calibration: what makes likelihoods of scores, or None.
        classes: what labelled photos say, or None.
        residual: how many numbers at the end of a trained network's vectors are the untrained trunk's.
        lift: how far the very part counts where a map was learned; None orders the best by kind anew.
        untrained: neighbours by these alone, for photos that training says nothing of.
    """

    def __init__(
        self,
        config: RankingConfig,
        searcher: Searcher,
        views: NDArray[np.float16] | None,
        graph: Graph | None,
        calibration: Calibration | None = None,
        classes: Classes | None = None,
        residual: int = 0,
        lift: "Lift | None" = None,
        untrained: Graph | None = None,
    ) -> None:
        self.config, self.searcher, self._views, self.graph = config, searcher, views, graph
        self._untrained = untrained
        self._asked = 0  # how many queries so far
        self.calibration, self.classes, self.residual = calibration, classes, residual
        self._lift = lift

    @cached_property
    def _whole(self) -> Floats | None:
        """Return all views in memory, where they are few enough."""
        if self._views is None or self._views.size > _WHOLE:
            return None
        return np.asarray(self._views, dtype=np.float32)

    def rank(
        self, queries: QueryVectors, top: int, *, find: Find = "both", among: Rows | None = None
    ) -> tuple[Scores, Rows]:
        """Return the best shapes of each query: (q, k) cosines and (q, k) rows, best first.

        The order is not that of the cosines: neighbours count, and the very part beside its kind.

        Args:
            queries: of q pictures.
            top: k; fewer where there are fewer shapes.
            find: shapes of the same kind, the very part, or what serves both.
            among: (m,) only these rows, ascending.

        Returns:
            (q, k) cosines and (q, k) rows.
        """
        found = [
            self._one(kind, part, top, find, among, plain)
            for kind, part, plain in zip(queries.kind, queries.part, queries.plain, strict=True)
        ]
        most = min(top, len(self.searcher.vectors) if among is None else len(among))
        scores, rows = np.full((len(found), most), -np.inf), np.full((len(found), most), -1, dtype=np.int64)
        for number, (mine, at) in enumerate(found):
            scores[number, : len(mine)], rows[number, : len(at)] = mine, at
        return scores, rows

    def _one(
        self, kind: Floats, part: Floats, top: int, find: Find, among: Rows | None, plain: Floats
    ) -> tuple[Floats, Rows]:
        classes = None if find == "part" else self._alike(plain)
        rows = self._candidates(kind, part, top, among, classes)
        if find == "part":
            if among is not None:  # the candidates of a small gallery are all of its shapes
                rows = rows[np.isin(rows, among)]
            of_part = self._pooled(part[None], rows)[0]
            order = np.argsort(-of_part, kind="stable")
            return of_part[order][:top], rows[order][:top]
        of_part, of_kind = self._pooled(np.stack([part, kind]), rows)
        values = self._smoothed(kind, of_kind if classes is None else of_kind + classes[rows], rows, classes)
        if among is not None:
            kept = np.flatnonzero(np.isin(rows, among))
            rows, values, of_kind, of_part = rows[kept], values[kept], of_kind[kept], of_part[kept]
        if find == "both" and len(rows):
            values = self._both(values, of_part, part, rows)
        order = np.argsort(-values, kind="stable")[:top]
        return of_kind[order], rows[order]

    def _both(self, of_kind: Floats, of_part: Floats, query: Floats, rows: Rows) -> Floats:
        """Return (k,) values by the kind and the very part; a learned map is sure enough to lift the part."""
        if self._lift is None:
            return blended(of_kind, of_part, self.config.depth, self.config.blend)
        whole = len(rows) == len(self.searcher.vectors)
        spread = () if whole else self._spread(query, of_part, rows, None)
        return lifted(of_kind, standardised(of_part, *spread), self._lift.floor, self._lift.weight)

    def _alike(self, part: Floats) -> Floats | None:
        """(n,) how far a photo and each shape are of the same labelled class; None where nobody can say."""
        if self.classes is None:
            return None
        mine = self.classes.photos.of_photos(part[None])[0]
        return np.asarray(WEIGHT * (self.classes.shapes @ mine), dtype=np.float32) if mine.any() else None

    def evidence(self, background: Floats, kind: Floats, part: Floats, rows: Rows) -> NDArray[np.float64]:
        """Return (k, 5) evidence of how likely shapes that a query found are of its kind, best first.

        Args:
            background: (m, D) unit vectors of shapes of many kinds.
            kind: (D,) unit query with the semantic term.
            part: (D,) unit query without.
            rows: (k,) of the shapes.

        Returns:
            (k, 5), in the order of the likelihood's ``EVIDENCE``.
        """
        count = len(self.searcher.vectors)
        near = rows[:, None] if self.graph is None else self.graph.rows[rows].astype(np.int64)
        weights = np.ones(near.shape) if self.graph is None else self.graph.weights[rows]
        wanted, places = np.unique(np.concatenate([rows, near.ravel()]), return_inverse=True)
        blocks = [wanted[start : start + BLOCK] for start in range(0, len(wanted), BLOCK)]
        by_kind = np.concatenate([self._pooled(kind[None], block)[0] for block in blocks] or [np.zeros(0)])
        own, theirs = places[: len(rows)], places[len(rows) :].reshape(near.shape)
        neighbours = (weights * by_kind[theirs]).sum(axis=1)
        return evidence_of(background, kind, part, by_kind[own], neighbours, count)

    def _candidates(
        self, kind: Floats, part: Floats, top: int, among: Rows | None, classes: Floats | None
    ) -> Rows:
        """All rows of a small gallery; of a larger one the nearest by the mean of the views and by class."""
        count, most = len(self.searcher.vectors), max(self.config.candidates, 4 * top)
        if count <= 2 * most:
            return np.arange(count)
        rows = self.searcher.candidates(np.stack([kind, part]), most, among=among)
        return rows if classes is None else np.union1d(rows, np.argpartition(-classes, most)[:most])

    def _pooled(self, queries: Floats, rows: Rows) -> Floats:
        """(q, k) means over the better half of the views' cosines, or the mean view's where none are kept."""
        if self._views is None:
            vectors = np.asarray(self.searcher.vectors[rows]).T
            return np.asarray((queries * self._scales(queries)) @ vectors, dtype=np.float32)
        self._asked += 1  # to load all views for one photo costs ten times its own share
        whole = self._whole if self._asked > _COLD else None
        views = self._views if whole is None else whole
        cosines = self._products(views, queries * self._scales(queries), rows)  # (k, V, q)
        cosines = cosines.transpose(2, 0, 1)
        return top_half(np.where(cosines == 0, np.nan, cosines))  # only a view that is not there gives 0

    @staticmethod
    def _products(views: NDArray[Any], queries: Floats, rows: Rows) -> Floats:
        """Return (k, V, q) products of some shapes' views with all queries, most of what a query costs.

        Shape by shape: to gather the views first would carry 120 MB three times through the memory.
        """
        if not isinstance(views, np.ndarray):  # in a store: all at once
            views, rows = views[rows], np.arange(len(rows))
        asked = np.ascontiguousarray(queries.T, dtype=np.float32)
        products = np.empty((len(rows), views.shape[1], len(queries)), dtype=np.float32)
        for place, row in enumerate(rows.tolist()):
            np.matmul(np.asarray(views[row], dtype=np.float32), asked, out=products[place])
        return products

    def _scales(self, queries: Floats) -> Floats:
        """(q, 1) what makes cosines of products: a trained network's views are a third the untrained part.

        Photos, in which that part is more, could not reach 1 otherwise.
        """
        if not self.residual:
            return np.ones((len(queries), 1), dtype=np.float32)
        parts = np.split(queries, [queries.shape[1] - self.residual], axis=1)
        trained, plain = (np.linalg.norm(part, axis=1, keepdims=True) for part in parts)
        scales = np.where(trained < plain, 3**0.5 / (2**0.5 * trained + np.maximum(plain, 1e-6)), 1)
        return np.asarray(scales, dtype=np.float32)

    def _is_trained(self, queries: Floats) -> NDArray[np.bool_]:
        """Return (q,) whether anything that was trained speaks of a query."""
        return np.asarray(np.abs(queries[:, : -self.residual]).sum(axis=1) > 0)

    def _graph_for(self, query: Floats) -> Graph | None:
        if self.residual and not self._is_trained(query[None])[0]:
            return self._untrained
        return self.graph

    def _smoothed(self, query: Floats, scores: Floats, rows: Rows, classes: Floats | None = None) -> Floats:
        """Return (k,) smoothed scores of candidates; what is not a candidate counts by its mean view."""
        count = len(self.searcher.vectors)
        if len(rows) == count:
            return smoothed(standardised(scores), self._graph_for(query))
        graph = self._graph_for(query)
        if graph is None:
            return smoothed(standardised(scores, *self._spread(query, scores, rows, classes)), None)
        every = self.searcher.products(query)
        every += 0 if classes is None else classes
        means = every[rows]
        slope, offset = _line(means, scores)
        every = np.asarray(slope * every + offset, dtype=np.float32)
        every[rows] = scores
        return smoothed(standardised(every), graph)[rows]

    def _spread(
        self, query: Floats, scores: Floats, rows: Rows, classes: Floats | None
    ) -> tuple[float, float]:
        """Return mean and deviation of the scores over a large gallery, from a sample of its shapes."""

        def by_mean(some: Rows) -> Floats:
            found = self.searcher.products(query, some)
            return np.asarray(found if classes is None else found + classes[some], dtype=np.float32)

        sample = np.linspace(0, len(self.searcher.vectors) - 1, self.config.candidates).astype(np.int64)
        slope, offset = _line(by_mean(rows), scores)
        every = slope * by_mean(sample) + offset
        return float(every.mean()), float(every.std())


def _line(means: Floats, scores: Floats) -> tuple[float, float]:
    """Return slope and offset that lead from mean views' cosines to shapes' scores, by least squares.

    A single shape, or shapes that are all alike, have no slope of their own: theirs is 1.
    """
    centred = means.astype(np.float64) - means.mean(dtype=np.float64)
    spread = float(centred @ centred)
    slope = float(centred @ scores) / spread if spread > 0 else 1.0
    return slope, float(scores.mean() - slope * means.mean())
