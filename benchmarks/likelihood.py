"""How far the likelihood of a hit can be trusted, on kinds that it was not fitted on; and the fit that ships.

    hifa index MESHES --out gallery          # a folder per class, the classes of PHOTOS
    hifa index OTHERS --out others           # a folder per class, other kinds
    python benchmarks/likelihood.py PHOTOS gallery others [--fit hifa_cli/search/likelihood.npz]

Galleries are drawn from MESHES and the half of the kinds of OTHERS that the background is not made of: a
random number of classes, of each a random share of its shapes. Each is asked photos whose kind it has and
photos whose kind it lacks. Every figure is of photos of classes that the regression did not see (five folds
of classes). The last gallery is all of MESHES, asked all photos. --fit writes a calibration of all photos,
with a background of all of OTHERS.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from hifa_cli.config import RankingConfig
from hifa_cli.data import read_picture
from hifa_cli.data.transforms import to_pixels
from hifa_cli.gallery import Gallery, read_gallery
from hifa_cli.gallery.ranking import GalleryRanking, ranker_of
from hifa_cli.query.parse import find_queries
from hifa_cli.query.retrieve import encoder_for
from hifa_cli.search.likelihood import EVIDENCE, FIRST
from hifa_cli.search.rerank import Floats, QueryVectors, neighbour_graph, unit
from hifa_cli.search.searcher import Searcher

BACKGROUND = 64  # centres that the shapes of other kinds are summed up by
GALLERIES, ASKED = 100, 30  # drawn; photos of each sort that each is asked
ABSENT = 0.25  # weight of a photo whose kind is lacking: four of five photos are taken to have theirs
ASSUMED = (ABSENT, 0.4, 0.6, 1.0, 0.02)  # weights that are compared: 80, 71, 62, 50 and 98 % have theirs
KEPT = 0.9  # share of the photos whose kind is there for which the threshold must not say that nothing is
FORMS = (
    ("kind",), ("kind", "shapes"), ("kind", "semantic", "shapes"), ("kind", "neighbours", "shapes"),
    ("kind", "neighbours", "shapes", "rank"), EVIDENCE,
)  # fmt: skip
SHIPPED = EVIDENCE  # of these forms


class Shapes(NamedTuple):
    """Shapes that galleries are drawn from: (n, D) vectors, (n, V, D) views, (n,) names of classes."""

    vectors: Floats
    views: NDArray[np.float16]
    classes: NDArray[Any]


class Hits(NamedTuple):
    """First hits of queries: (h, 5) evidence, and (h,) right, query, kind is there, class, whole gallery."""

    evidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    query: NDArray[np.int64]
    there: NDArray[np.bool_]
    classes: NDArray[Any]
    whole: NDArray[np.bool_]


def shapes_of(gallery: Gallery, mark: str = "") -> Shapes:
    """Return a gallery's shapes; ``mark`` tells its classes from those of another gallery."""
    names = np.array([f"{mark}{gallery.class_of(row)}" for row in range(len(gallery))])
    assert gallery.views is not None, "a gallery without views: index with --views keep"
    return Shapes(np.asarray(gallery.vectors), np.asarray(gallery.views), names)


def photos_of(folder: Path, gallery: Gallery) -> tuple[QueryVectors, NDArray[Any]]:
    """Return what photos are compared by, and their classes."""
    encoder = encoder_for(gallery, None, "cpu")
    ranker = ranker_of(gallery.document["ranking"], gallery.model, encoder.classifier)
    assert ranker is not None, "a gallery that ranks as the paper does"
    queries = [one for one in find_queries([str(folder)], Path()) if one.class_name is not None]
    found = []
    for start in range(0, len(queries), 24):
        pixels = [to_pixels(read_picture(one.path), encoder.config) for one in queries[start : start + 24]]
        features = encoder.pictures(np.stack(pixels))
        found.append(ranker.queries(features.pooled, features.logits))
    vectors = QueryVectors(
        np.concatenate([one.kind for one in found]), np.concatenate([one.part for one in found])
    )
    return vectors, np.array([one.class_name for one in queries])


def background_of(shapes: Shapes, kept: NDArray[np.bool_]) -> Floats:
    """Return the unit centres of some shapes, by k-means."""
    centres = KMeans(BACKGROUND, n_init=2, random_state=0).fit(shapes.vectors[kept]).cluster_centers_
    return unit(centres)


def ask(
    shapes: Shapes, photos: tuple[QueryVectors, NDArray[Any]], background: Floats, rows: NDArray[np.int64],
    asked: NDArray[np.int64], number: int, *, whole: bool = False,
) -> Hits:  # fmt: skip
    """Return the first hits of some photos in a gallery of some shapes."""
    config = RankingConfig()
    graph = (
        neighbour_graph(shapes.vectors[rows], config.neighbours) if len(rows) >= config.smooth_from else None
    )
    ranking = GalleryRanking(config, Searcher(shapes.vectors[rows]), shapes.views[rows], graph)
    names, parts = shapes.classes[rows], []
    for photo in asked.tolist():
        kind, part = photos[0].kind[photo], photos[0].part[photo]
        found = ranking.rank(QueryVectors(kind[None], part[None]), FIRST)[1][0]
        evidence, mine = ranking.evidence(background, kind, part, found), photos[1][photo]
        count = len(found)
        parts.append(Hits(
            evidence, names[found] == mine, np.full(count, number * 10_000 + photo),
            np.full(count, bool((names == mine).any())), np.full(count, mine), np.full(count, whole),
        ))  # fmt: skip
    return Hits(*map(np.concatenate, zip(*parts, strict=True)))


def drawn(shapes: Shapes, photos: tuple[QueryVectors, NDArray[Any]], background: Floats, others: Any) -> Hits:
    """Return the hits of photos in many galleries, and in the one of all shapes of their classes."""
    rng, mine = np.random.default_rng(0), np.unique(photos[1])
    parts = []
    for number in range(GALLERIES):
        classes = rng.permutation(mine)[: rng.integers(1, len(mine))]
        more = (
            rng.permutation(others)[: rng.integers(0, len(others) + 1)] if rng.random() < 0.7 else others[:0]
        )
        rows = np.flatnonzero(np.isin(shapes.classes, [*classes, *more]))
        rows = np.sort(rng.permutation(rows)[: max(8, int(rng.uniform(0.3, 1) * len(rows)))])
        there = np.isin(photos[1], shapes.classes[rows])
        asked = [rng.permutation(np.flatnonzero(one))[:ASKED] for one in (there, ~there)]
        parts.append(ask(shapes, photos, background, rows, np.concatenate(asked), number))
    rows = np.flatnonzero(np.isin(shapes.classes, mine))
    parts.append(ask(shapes, photos, background, rows, np.arange(len(photos[1])), GALLERIES, whole=True))
    return Hits(*map(np.concatenate, zip(*parts, strict=True)))


def fitted(
    hits: Hits, columns: list[int], kept: NDArray[np.bool_], absent: float = ABSENT
) -> LogisticRegression:
    """Return the regression of some hits of drawn galleries."""
    kept = kept & ~hits.whole
    weights = np.where(hits.there[kept], 1.0, absent)
    return LogisticRegression(C=100.0).fit(hits.evidence[kept][:, columns], hits.right[kept], weights)


def unseen(hits: Hits, form: tuple[str, ...], absent: float = ABSENT) -> NDArray[np.float64]:
    """Return (h,) likelihoods, each by a regression that saw no photo of the hit's class."""
    columns, found = [EVIDENCE.index(name) for name in form], np.zeros(len(hits.right))
    classes = np.random.default_rng(0).permutation(np.unique(hits.classes))
    for fold in range(5):
        mine = np.isin(hits.classes, classes[fold::5])
        found[mine] = fitted(hits, columns, ~mine, absent).predict_proba(hits.evidence[mine][:, columns])[
            :, 1
        ]
    return found


def calibration_error(found: NDArray[Any], right: NDArray[Any], weights: NDArray[Any]) -> float:
    """Return the expected calibration error over ten bins of equal width."""
    bins = np.minimum((found * 10).astype(int), 9)
    gaps = [abs(np.sum((found - right)[bins == one] * weights[bins == one])) for one in range(10)]
    return float(sum(gaps) / weights.sum())


def best_of(hits: Hits, found: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return each query's largest likelihood, and whether its kind is there; of drawn galleries."""
    kept = ~hits.whole
    queries, places = np.unique(hits.query[kept], return_inverse=True)
    best, there = np.zeros(len(queries)), np.zeros(len(queries), dtype=bool)
    np.maximum.at(best, places, found[kept])
    there[places] = hits.there[kept]
    return best, there


def row_of(hits: Hits, found: NDArray[np.float64]) -> str:
    """Return a line of calibration errors and AUROCs."""
    first, cells = hits.evidence[:, EVIDENCE.index("rank")] == 0, []
    for part in (np.ones(len(first), dtype=bool), first):
        some, whole = part & ~hits.whole, part & hits.whole
        for absent in (1.0, 0.25, 0.0):
            weights = np.where(hits.there[some], 1.0, absent)
            cells.append(calibration_error(found[some], hits.right[some], weights))
        cells.append(calibration_error(found[whole], hits.right[whole], np.ones(whole.sum())))
    best, there = best_of(hits, found)
    kept, digits = ~hits.whole, [f"{one:.3f}" for one in cells]
    return (
        f"{' '.join(digits[:4])} | {' '.join(digits[4:])} | hit "
        f"{roc_auc_score(hits.right[kept], found[kept]):.3f} kind there {roc_auc_score(there, best):.3f}"
    )


def show(hits: Hits) -> None:
    """Print what each form and each assumed share reach, and the reliability of the one that ships."""
    print(
        "ECE of the first 10 | of the first; kind there in 50 %, 80 %, 100 % and in the whole gallery; AUROC"
    )
    for form in FORMS:
        print(f"{row_of(hits, unseen(hits, form))}  {', '.join(form)}")
    print(f"{', '.join(SHIPPED)}, by the share of photos that are taken to have their kind in the gallery")
    for absent in ASSUMED:
        print(f"{row_of(hits, unseen(hits, SHIPPED, absent))}  {1 / (1 + absent):.0%}")
    found = unseen(hits, SHIPPED)
    print(
        "likelihood   hits  mean  right   (drawn galleries)   hits  mean  right   (all shapes of all kinds)"
    )
    for low in range(10):
        lines = []
        for part in (~hits.whole, hits.whole):
            mine = part & (np.minimum((found * 10).astype(int), 9) == low)
            means = (found[mine].mean(), hits.right[mine].mean()) if mine.any() else (np.nan, np.nan)
            lines.append(f"{mine.sum():7d} {means[0]:.3f} {means[1]:.3f}")
        print(f"{low / 10:.1f}–{low / 10 + 0.1:.1f}  " + "                    ".join(lines))
    best, there = best_of(hits, found)
    for share in (0.9, 0.95, 0.98):
        limit = np.quantile(best[there], 1 - share)
        print(f"below {limit:.3f}: {share:.0%} of the kinds that are there pass, "
              f"{np.mean(best[~there] < limit):.0%} of those that are not are seen")  # fmt: skip


def write(hits: Hits, background: Floats, gallery: Gallery, out: Path) -> None:
    """Write the calibration of all hits; its threshold keeps ``KEPT`` of the photos whose kind is there."""
    columns = [EVIDENCE.index(name) for name in SHIPPED]
    model = fitted(hits, columns, np.ones(len(hits.right), dtype=bool))
    weights = np.zeros(len(EVIDENCE))
    weights[columns] = model.coef_[0]
    best, there = best_of(hits, unseen(hits, SHIPPED))
    limit = float(np.quantile(best[there], 1 - KEPT))
    np.savez(
        out, background=background.astype(np.float16), weights=weights, offset=float(model.intercept_[0]),
        threshold=limit, model=np.array(gallery.model), projection=gallery.document["ranking"]["projection"],
    )  # fmt: skip
    print(f"{out}: weights {np.round(weights, 3).tolist()}, threshold {limit:.3f}")


def main() -> None:
    """Ask, fit, measure and print."""
    parser = argparse.ArgumentParser(description="how far the likelihood of a hit can be trusted")
    parser.add_argument("photos", type=Path)
    parser.add_argument("gallery", type=Path)
    parser.add_argument("others", type=Path)
    parser.add_argument("--fit", type=Path, help="write the calibration here")
    given = parser.parse_args()
    gallery = read_gallery(given.gallery)
    mine, others = shapes_of(gallery), shapes_of(read_gallery(given.others), "other ")
    photos = photos_of(given.photos, gallery)
    kinds = np.random.default_rng(1).permutation(np.unique(others.classes))
    behind, beside = kinds[::2], kinds[1::2]
    shapes = Shapes(
        np.concatenate([mine.vectors, others.vectors]), np.concatenate([mine.views, others.views]),
        np.concatenate([mine.classes, others.classes]),
    )  # fmt: skip
    known = np.isin(others.classes, behind)
    hits = drawn(shapes, photos, background_of(others, known), beside)
    queries = len(np.unique(hits.query))
    print(f"{len(photos[1])} photos, {GALLERIES} galleries, {len(hits.right)} hits of {queries} queries")
    show(hits)
    if given.fit:
        background = background_of(others, np.ones(len(others.classes), dtype=bool))
        write(drawn(shapes, photos, background, beside), background, gallery, given.fit)


if __name__ == "__main__":
    main()
