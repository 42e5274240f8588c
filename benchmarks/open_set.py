"""Photos of half the classes, shapes of all: does training hurt the classes that it had no photos of?

    python benchmarks/open_set.py PHOTOS VIEWS [--features FOLDER] [--splits 4] [--seeds 2] [--draws 3]

PHOTOS and VIEWS hold the splits ``train`` and ``test``. Prints FT of the test photos of known and of
unlabelled classes, ranked as ``hifa query --find kind`` does: by the untrained encoder, by a run of the
default recipe, and by the untrained gallery that ten labelled photos per class taught (``hifa adapt --method
labels``); before it the curve of the latter over 1 to 20 photos of every class.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from ablation import Arm, Bench
from numpy.typing import NDArray

from hifa_cli.adaptation.labels import fit_classes
from hifa_cli.config import RankingConfig
from hifa_cli.embeddings.encoder import frozen_model
from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.evaluation.evaluate import evaluate
from hifa_cli.gallery.ranking import Classes, GalleryRanking
from hifa_cli.models.lite import BIAS, packaged_weights
from hifa_cli.models.network import TrunkFeatures
from hifa_cli.models.tensor_file import read_tensors
from hifa_cli.search.rerank import (
    TRAINED,
    Floats,
    QueryVectors,
    Ranker,
    neighbour_graph,
    shipped_projection,
    unit,
)
from hifa_cli.search.searcher import Searcher

Rows = NDArray[np.int64]
DEFAULT = Arm("hifa-l", "centred", "mean", "propagated", "fused")
OPTIONS = RankingConfig()


class Untrained:
    """The pretrained encoder's ranking of the test shapes, and what it makes of photos."""

    def __init__(self, bench: Bench) -> None:
        model = frozen_model()
        self.bias = read_tensors(packaged_weights())[BIAS]
        self.ranker = Ranker(OPTIONS, shipped_projection(None), model.classifier)
        self.views = self.ranker.views(pooled(bench.test[1].seen))
        self.test, self.train = (self.queries(kept[0].seen) for kept in (bench.test, bench.train))
        self.ranking = gallery(self.views)

    def queries(self, seen: TrunkFeatures) -> QueryVectors:
        """What photos are looked up by."""
        features, classifier = pooled(seen)[:, 0], frozen_model().classifier
        return self.ranker.queries(features, features @ classifier.T + self.bias)

    def taught(self, rows: Rows, labels: Rows) -> GalleryRanking:
        """The ranking after some labelled photos."""
        numbers = np.unique(labels, return_inverse=True)[1].astype(np.int64)
        found = fit_classes(self.train.kind[rows], self.train.part[rows], numbers)
        return gallery(self.views, Classes(found, found.of_shapes(self.views)))


def pooled(seen: TrunkFeatures) -> Floats:
    """(n, V, 1280) pooled features."""
    return np.asarray(seen.high[..., :1280].numpy())


def gallery(views: Floats, classes: Classes | None = None, residual: int = 0) -> GalleryRanking:
    """Return what ranks shapes of (n, V, D) views."""
    means = unit(views.mean(axis=1))
    graph = neighbour_graph(means, OPTIONS.neighbours)
    kept = views.astype(np.float16)
    plain = neighbour_graph(unit(means[:, -residual:]), OPTIONS.neighbours) if residual else None
    return GalleryRanking(OPTIONS, Searcher(means), kept, graph, None, classes, residual, untrained=plain)


def first_tier(
    bench: Bench, ranking: GalleryRanking, queries: QueryVectors, chosen: NDArray[np.bool_]
) -> float:
    """FT of some of the test photos."""
    picked = QueryVectors(queries.kind[chosen], queries.part[chosen])
    photos, shapes = bench.test
    orders = ranking.rank(picked, len(shapes.items), find="kind")[1]
    ids = tuple(item.id for item, kept in zip(photos.items, chosen, strict=True) if kept)
    images = Embeddings(ids, photos.labels[chosen], queries.part[chosen])
    targets = Embeddings(tuple(item.id for item in shapes.items), shapes.labels, ranking_vectors(ranking))
    return evaluate(Export(images, targets, bench.photos.classes), orders=orders).values()["FT"]


def ranking_vectors(ranking: GalleryRanking) -> Floats:
    """The mean vectors, which an evaluation by orders does not look at."""
    return np.asarray(ranking.searcher.vectors)


@torch.inference_mode()
def trained(bench: Bench, known: Sequence[int], seed: int) -> tuple[GalleryRanking, QueryVectors]:
    """A run of the default recipe on photos of some classes: its ranking, and the test photos."""
    with torch.inference_mode(mode=False):
        network = bench.trained(DEFAULT, seed, known=known).network
    ranker = Ranker(OPTIONS, shipped_projection(None), None, network.residual, trained=TRAINED)
    photos, shapes = (kept.seen for kept in bench.test)
    views = ranker.views(network.describe(shapes, "shapes")[0].numpy())
    kind = ranker.photos(network.describe(photos, "images")[0][:, 0].numpy())
    part = ranker.views(network.untrained_part(photos)[:, 0].numpy())
    return gallery(views, residual=network.residual), QueryVectors(kind, part)


def some(labels: Rows, known: Sequence[int], each: int, draw: int) -> Rows:
    """Rows of ``each`` random photos of every known class."""
    generator = np.random.default_rng(draw)
    return np.concatenate([generator.permutation(np.flatnonzero(labels == label))[:each] for label in known])


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("views", type=Path)
    parser.add_argument("--features", type=Path, default=Path("features"))
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--draws", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(given.photos, given.views, given.features, given.size, maps=False)
    untrained = Untrained(bench)
    labels, asked, classes = bench.train[0].labels, bench.test[0].labels, len(bench.photos.classes)
    everything = np.ones(len(asked), dtype=bool)
    print("| photos per class | FT | smallest, largest |\n|---|--:|--:|")
    print(f"| 0 (untrained) | {first_tier(bench, untrained.ranking, untrained.test, everything):.3f} | |")
    for each in (1, 3, 5, 10, 20):
        found = []
        for draw in range(given.draws):
            rows = some(labels, range(classes), each, draw)
            ranking = untrained.taught(rows, labels[rows])
            found.append(first_tier(bench, ranking, untrained.test, everything))
        print(f"| {each} | {statistics.mean(found):.3f} | {min(found):.3f}, {max(found):.3f} |", flush=True)
    print("\n| known classes | seed | untrained | trained | ten photos per class |\n|---|--:|--:|--:|--:|")
    for split in range(given.splits):
        known = sorted(np.random.default_rng(split).permutation(classes)[: (classes + 1) // 2].tolist())
        inside = np.isin(asked, known)
        base = [first_tier(bench, untrained.ranking, untrained.test, part) for part in (inside, ~inside)]
        names = ", ".join(bench.photos.classes[label] for label in known)
        for seed in range(given.seeds):
            ranking, queries = trained(bench, known, seed)
            run = [first_tier(bench, ranking, queries, part) for part in (inside, ~inside)]
            rows = some(labels, known, 10, seed)
            taught = untrained.taught(rows, labels[rows])
            ten = [first_tier(bench, taught, untrained.test, part) for part in (inside, ~inside)]
            cells = [f"{one[0]:.3f} / {one[1]:.3f}" for one in (base, run, ten)]
            print(f"| {names} | {seed} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
