"""Which settings of the default ranking are worth it, by class-wise cross-validation.

    hifa render MESHES --out VIEWS --rig eye         and the same for OTHER meshes, of other classes
    python benchmarks/settings.py PHOTOS VIEWS OTHER_PHOTOS OTHER_VIEWS --cache CACHE

PHOTOS, VIEWS and the others hold a folder per class; OTHER_PHOTOS are generated photos of the other meshes,
named ``class/mesh__number.jpg`` (as --keep of benchmarks/instances.py writes them). What the encoder makes of
pictures is kept in CACHE. A fifth of the classes is left out at a time: the setting that is best (mean of NN
and FT) on the photos of the other classes, in a gallery of their shapes alone, is scored on the photos of
those left out, in the whole gallery. The projections are fitted on OTHER_PHOTOS, whose classes are none of
these.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import RankingConfig
from hifa_cli.data import read_picture
from hifa_cli.data.transforms import to_pixels
from hifa_cli.embeddings.encoder import GraphEncoder, default_encoder
from hifa_cli.search.rerank import (
    Floats,
    Projection,
    Ranker,
    blended,
    fit_projection,
    lifted,
    neighbour_graph,
    smoothed,
    standardised,
    top_half,
    unit,
)

BATCH, FOLDS, DIVISIONS = 12, 5, 2


class Encoded(NamedTuple):
    """Pictures as the encoder has them: (n, D) features, (n, K) logits, their names."""

    features: Floats
    logits: Floats
    names: tuple[str, ...]


def encoded(paths: Sequence[Path], encoder: GraphEncoder, cache: Path, name: str) -> Encoded:
    """What the encoder makes of pictures; kept in the cache under a name."""
    file = cache / f"{name}.npz"
    if not file.exists():
        parts = []
        for start in range(0, len(paths), BATCH):
            pictures = [read_picture(path) for path in paths[start : start + BATCH]]
            parts.append(encoder.pictures(np.stack([to_pixels(one, encoder.config) for one in pictures])))
        cache.mkdir(parents=True, exist_ok=True)
        logits = np.concatenate([np.asarray(one.logits) for one in parts])
        np.savez(
            file, names=np.array([f"{path.parent.name}/{path.stem}" for path in paths]),
            features=np.concatenate([one.pooled for one in parts]), logits=logits.astype(np.float16),
        )  # fmt: skip
    with np.load(file, allow_pickle=False) as found:
        return Encoded(found["features"], found["logits"].astype(np.float32), tuple(found["names"].tolist()))


class Side(NamedTuple):
    """What the encoder makes of everything, ready to compare.

    Attributes:
        photos: of the queries.
        views: (G, V, D) of the shapes.
        projection: fitted on other classes' photos.
        classifier: (K, D).
    """

    photos: Encoded
    views: Floats
    projection: Projection
    classifier: Floats


class Scored(NamedTuple):
    """(Q, G) cosines by the kind's query and by the very part's, and the shapes' mean vectors."""

    kind: Floats
    part: Floats
    means: Floats


class Setting(NamedTuple):
    """A way to rank: its name, and what makes (Q, G) values of it for some shapes of the gallery."""

    name: str
    rank: Callable[[NDArray[np.int64]], Floats]


def cosines(side: Side, *, project: bool = True, semantic: float = 3.0, every: int = 1) -> Scored:
    """Score all photos against all shapes.

    Args:
        side: the encoder's.
        project: whether the nuisance projection is used.
        semantic: weight of the encoder's own classes.
        every: only each so-many-th view.
    """
    ranker = Ranker(RankingConfig(semantic=semantic), side.projection if project else None, side.classifier)
    views = ranker.views(side.views[:, ::every])
    queries = ranker.queries(side.photos.features, side.photos.logits)
    flat = views.reshape(-1, views.shape[2])
    shape = (-1, *views.shape[:2])
    kind, part = (top_half((one @ flat.T).reshape(shape)) for one in (queries.kind, queries.part))
    return Scored(kind, part, unit(views.mean(axis=1)))


def both(scored: Scored, rows: NDArray[np.int64], order: Callable[[Floats, Floats], Floats]) -> Floats:
    """Rank some shapes: the kind smoothed over their neighbours, then the very part by ``order``."""
    graph = neighbour_graph(scored.means[rows], 5)
    kinds = [smoothed(standardised(one), graph) for one in scored.kind[:, rows]]
    return np.stack([order(kind, part) for kind, part in zip(kinds, scored.part[:, rows], strict=True)])


def usual(kind: Floats, part: Floats) -> Floats:
    """The default: the 50 best by kind ordered anew."""
    return blended(kind, part, RankingConfig.depth, RankingConfig.blend)


def raised(kind: Floats, part: Floats, floor: float, weight: float) -> Floats:
    """What a learned map does: the kind, and what stands out as the very part lifted."""
    return lifted(kind, standardised(part), floor, weight)


def quality(values: Floats, asked: NDArray[Any], shapes: NDArray[Any]) -> NDArray[np.float64]:
    """(Q, 2): each photo's NN and FT.

    Args:
        values: (Q, G).
        asked: (Q,) classes of the photos.
        shapes: (G,) classes of the shapes.
    """
    right = shapes[np.argsort(-values, axis=1, kind="stable")] == asked[:, None]
    sizes = (shapes[None] == asked[:, None]).sum(axis=1)
    return np.array([(row[0], row[:size].mean()) for row, size in zip(right, sizes, strict=True)])


def settings_of(sides: dict[str, Side]) -> list[Setting]:
    """All settings that are compared; each ranks as the default does but for what its name says."""
    first = sides["default"]
    made = {name: cosines(side) for name, side in sides.items()}
    made["six views"] = cosines(first, every=2)
    made["without projection"] = cosines(first, project=False)
    for weight in (2.0, 4.0):
        made[f"semantic weight {weight:g}"] = cosines(first, semantic=weight)
    found = [Setting(name, partial(both, one, order=usual)) for name, one in made.items()]
    for floor, weight in ((1.5, 0.5), (2.0, 0.5), (2.0, 1.0)):
        name = f"part lifted above {floor:g}, weight {weight:g}"
        order = partial(raised, floor=floor, weight=weight)
        found.append(Setting(name, partial(both, made["default"], order=order)))
    return found


def cross_validated(
    settings: Sequence[Setting], asked: NDArray[Any], shapes: NDArray[Any]
) -> tuple[NDArray[np.float64], dict[str, int], list[NDArray[np.float64]]]:
    """Choose on four fifths of the classes and score on the rest.

    Args:
        settings: the first is the default.
        asked: (Q,) classes of the photos.
        shapes: (G,) classes of the shapes.

    Returns:
        (S, Q, 2) NN and FT of each setting in the whole gallery; how often each was chosen; and for each
        division (Q, 2) of what was chosen without the photo's class.
    """
    every = np.arange(len(shapes))
    whole = np.stack([quality(one.rank(every), asked, shapes) for one in settings])
    names = np.unique(shapes)
    chosen: dict[str, int] = {}
    results = []
    for division in range(DIVISIONS):
        order = np.random.default_rng(division).permutation(len(names))
        result = np.zeros((len(asked), 2))
        for fold in range(FOLDS):
            out = names[order[fold::FOLDS]]
            rows = np.flatnonzero(~np.isin(shapes, out))
            mine = ~np.isin(asked, out)
            worth = [quality(one.rank(rows)[mine], asked[mine], shapes[rows]).mean() for one in settings]
            best = int(np.argmax(worth))
            chosen[settings[best].name] = chosen.get(settings[best].name, 0) + 1
            result[~mine] = whole[best][~mine]
        results.append(result)
    return whole, chosen, results


def report(settings: Sequence[Setting], asked: NDArray[Any], found: Any) -> None:
    """Print the table."""
    whole, chosen, results = found
    classes = np.unique(asked)
    print("| setting | NN | FT | FT by class: mean gain | better in | chosen |\n|---|--:|--:|--:|--:|--:|")
    for row, setting in enumerate(settings):
        gain = np.array([(whole[row, asked == one, 1] - whole[0, asked == one, 1]).mean() for one in classes])
        nn, ft = whole[row].mean(axis=0)
        print(f"| {setting.name} | {nn:.4f} | {ft:.4f} | {gain.mean():+.4f} | {(gain > 0.0005).sum()} of "
              f"{len(classes)} | {chosen.get(setting.name, 0)} |")  # fmt: skip
    picked = np.stack([one.mean(axis=0) for one in results])
    default = whole[0].mean(axis=0)
    print(f"default, photos of classes left out: NN {default[0]:.4f} FT {default[1]:.4f}")
    print(
        f"chosen without those classes: NN {picked[:, 0].mean():.4f} FT {picked[:, 1].mean():.4f} "
        f"({len(settings)} settings, {FOLDS} folds, {DIVISIONS} divisions)"
    )


def sides_of(given: argparse.Namespace, encoder: GraphEncoder) -> tuple[dict[str, Side], tuple[str, ...]]:
    """Encode what is not in the cache yet and fit the projections; return the shapes' names, too."""
    names, lists = lists_of(given)
    seen = {name: encoded(paths, encoder, given.cache, f"lite0-{name}") for name, paths in lists.items()}
    assert encoder.classifier is not None
    number = np.array([int(one.rsplit("__", 1)[1]) for one in seen["made"].names])
    side = partial(side_of, seen, names, encoder.classifier)
    sides = {"default": side()}
    for directions in (16, 64):
        sides[f"projection of {directions} directions"] = side(directions=directions)
    for count in (1, 2):
        sides[f"projection of {count} photos a mesh"] = side(rows=np.flatnonzero(number < count))
    return sides, names[0]


def side_of(
    seen: Mapping[str, Encoded],
    names: tuple[tuple[str, ...], tuple[str, ...]],
    classifier: Floats,
    *,
    directions: int = 32,
    rows: NDArray[np.int64] | None = None,
) -> Side:
    """Fit an encoder's projection on the generated photos of other meshes.

    Args:
        seen: what the encoder makes of the lists of :func:`lists_of`.
        names: of the shapes, and of the other meshes.
        classifier: (K, D).
        directions: of the projection.
        rows: of the generated photos that it is fitted on; by default all.
    """
    shapes, others = names
    made, theirs, drawn = seen["made"], seen["others"], seen["views"]
    means = unit(theirs.features).reshape(len(others), -1, theirs.features.shape[1]).mean(axis=1)
    place = {name: row for row, name in enumerate(others)}
    mesh = np.array([place[one.rsplit("__", 1)[0]] for one in made.names])
    rows = np.arange(len(mesh)) if rows is None else rows
    fitted = fit_projection(unit(made.features[rows]), means[mesh[rows]], "any", directions)
    features = drawn.features.reshape(len(shapes), -1, drawn.features.shape[1])
    return Side(seen["photos"], features, fitted, classifier)


def lists_of(
    given: argparse.Namespace,
) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], dict[str, list[Path]]]:
    """Return the names of the shapes and of the other meshes, and the pictures by what they are for."""
    shapes, views = views_of(given.views)
    others, other_views = views_of(given.other_views)
    return (shapes, others), {
        "photos": sorted(given.photos.glob("*/*.jpg")),
        "views": [one for each in views for one in each],
        "made": sorted(given.other_photos.glob("*/*.jpg")),
        "others": [one for each in other_views for one in each[::3]],
    }


def arguments(description: str) -> argparse.Namespace:
    """Return the four folders and the cache that the command line names."""
    parser = argparse.ArgumentParser(description=description)
    for name in ("photos", "views", "other_photos", "other_views"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    return parser.parse_args()


def judged(settings: Sequence[Setting], photos: Sequence[str], shapes: Sequence[str]) -> None:
    """Cross-validate settings and print the table; names begin with the class."""
    asked, classes = (np.array([one.split("/")[0] for one in names]) for names in (photos, shapes))
    report(settings, asked, cross_validated(settings, asked, classes))


def views_of(folder: Path) -> tuple[tuple[str, ...], list[list[Path]]]:
    """The ids of rendered shapes, and their views."""
    found = sorted(one for one in folder.glob("*/*") if (one / "00.png").exists())
    names = tuple(f"{one.parent.name}/{one.name}" for one in found)
    return names, [sorted(one.glob("[0-9]*.png")) for one in found]


def main() -> None:
    """Encode, compare and print the table."""
    given, encoder = arguments("which settings of the default ranking are worth it"), default_encoder()
    assert encoder is not None, "no engine: pip install onnxruntime"
    sides, names = sides_of(given, encoder)
    judged(settings_of(sides), sides["default"].photos.names, names)


if __name__ == "__main__":
    main()
