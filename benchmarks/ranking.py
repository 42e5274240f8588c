"""What ranking costs in a large gallery: milliseconds a query, without reading and encoding the photo.

    OMP_NUM_THREADS=1 python benchmarks/ranking.py [--shapes 10000]

Vectors are made up: 200 clusters, twelve views a shape, 1,280 numbers a view.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import RankingConfig
from hifa_cli.gallery.ranking import GalleryRanking
from hifa_cli.search.rerank import QueryVectors, neighbour_graph, unit
from hifa_cli.search.searcher import Searcher

VIEWS, WIDTH, CLUSTERS, QUERIES, BLOCK = 12, 1280, 200, 30, 500


def made_up(path: Path, shapes: int) -> tuple[NDArray[np.float16], NDArray[np.float32], NDArray[np.float32]]:
    """Make views, their means and queries; the views lie in a file, as a gallery's do."""
    rng = np.random.default_rng(0)
    views = np.memmap(path, dtype=np.float16, mode="w+", shape=(shapes, VIEWS, WIDTH))
    means = np.empty((shapes, WIDTH), dtype=np.float32)
    centres = rng.normal(size=(CLUSTERS, WIDTH)).astype(np.float32)
    for start in range(0, shapes, BLOCK):
        rows = slice(start, min(start + BLOCK, shapes))
        mine = centres[rng.integers(0, CLUSTERS, rows.stop - start)][:, None]
        block = unit(mine + rng.normal(size=(rows.stop - start, VIEWS, WIDTH)))
        views[rows], means[rows] = block, unit(block.mean(axis=1))
    queries = centres[rng.integers(0, CLUSTERS, QUERIES)] + rng.normal(size=(QUERIES, WIDTH))
    return views, means, unit(queries)


def main() -> None:
    """Rank one query after the other and print the medians."""
    parser = argparse.ArgumentParser(description="what ranking costs in a large gallery")
    parser.add_argument("--shapes", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        views, means, queries = made_up(Path(scratch) / "views", given.shapes)
        start = time.perf_counter()
        graph = neighbour_graph(means, RankingConfig().neighbours)
        print(f"{given.shapes} shapes: neighbours in {time.perf_counter() - start:.1f} s, once")
        ranking = GalleryRanking(RankingConfig(), Searcher(means), views, graph)
        ranking.rank(QueryVectors(queries, queries), 10)  # warm
        for find in ("both", "kind", "part"):
            wall, cpu = [], []
            for query in queries[:, None]:
                before = time.perf_counter(), time.process_time()
                ranking.rank(QueryVectors(query, query), 10, find=find)
                wall.append(time.perf_counter() - before[0])
                cpu.append(time.process_time() - before[1])
            print(
                f"--find {find}: {1e3 * np.median(wall):.1f} ms a query, {1e3 * np.median(cpu):.1f} ms of CPU"
            )


if __name__ == "__main__":
    main()
