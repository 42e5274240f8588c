"""What a query of a gallery in a store costs beside the same gallery in its own folder.

    OMP_NUM_THREADS=1 python benchmarks/stores.py [--shapes 10000] [--store lance]

The shapes are those of ``benchmarks/ranking.py``. Queries take turns: one is ranked from local files, then
from the store, and shapes and scores are compared. ``cold`` is the way of a process that answers one query
(of the views only the candidates' are read), ``warm`` that of one that has read all views. Qdrant is the
embedded mode of its client, behind no network: it says nothing of a server.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ranking import made_up

from hifa_cli.config import RankingConfig
from hifa_cli.gallery import tables_of
from hifa_cli.gallery.ranking import GalleryRanking
from hifa_cli.gallery.shown import whole
from hifa_cli.gallery.stores.base import Block, Shelf, Size, Store
from hifa_cli.gallery.stores.lance import open_lance
from hifa_cli.gallery.stores.table import StoreSearcher
from hifa_cli.search.rerank import QueryVectors, neighbour_graph
from hifa_cli.search.searcher import Searcher

ROWS = 1000  # sent at once
QUERIES = 12


def store_at(kind: str, folder: Path) -> Store:
    """Return an empty store."""
    if kind == "lance":
        return open_lance(f"lance:{folder}", str(folder))
    from qdrant_client import QdrantClient

    from hifa_cli.gallery.stores.qdrant import QdrantStore

    return QdrantStore("qdrant://embedded/stores", QdrantClient(path=str(folder)), "stores")


def blocks(views: NDArray[np.float16], means: NDArray[np.float32]) -> Iterator[Block]:
    """Yield the shapes."""
    for start in range(0, len(means), ROWS):
        rows = slice(start, start + ROWS)
        said: list[dict[str, Any]] = [
            {"id": f"thing/{start + number}", "class": "thing", "path": "", "fields": {}}
            for number in range(len(means[rows]))
        ]
        yield Block(start, means[rows], np.asarray(views[rows]), said)


def ranking_in(shelf: Shelf, config: RankingConfig, graph: Any, count: int) -> GalleryRanking:
    """Return what ranks the shapes of a shelf."""
    vectors, views = tables_of(shelf, whole(count))
    return GalleryRanking(config, StoreSearcher(vectors, shelf, whole(count)), views, graph)


def compared(local: GalleryRanking, stored: GalleryRanking, queries: NDArray[np.float32]) -> dict[str, Any]:
    """Rank by each in turns; return milliseconds a query and what differs."""
    walls: dict[str, list[float]] = {"local": [], "store": []}
    others, furthest = 0, 0.0
    for query in queries[:QUERIES, None]:
        found = {}
        for name, ranking in (("local", local), ("store", stored)):
            began = time.perf_counter()
            found[name] = ranking.rank(QueryVectors(query, query), 10)
            walls[name].append(time.perf_counter() - began)
        others += int((found["local"][1] != found["store"][1]).sum())
        furthest = max(furthest, float(np.abs(found["local"][0] - found["store"][0]).max()))
    medians = {name: float(1e3 * np.median(one)) for name, one in walls.items()}
    return {
        "local_ms": round(medians["local"], 1),
        "store_ms": round(medians["store"], 1),
        "times": round(medians["store"] / medians["local"], 2),
        "other_shapes": others,
        "furthest_score": furthest,
    }


def main() -> None:
    """Fill a store, rank, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=int, default=10_000)
    parser.add_argument("--store", choices=("lance", "qdrant"), default="lance")
    given = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # the embedded mode of Qdrant says that it is one
    with tempfile.TemporaryDirectory() as scratch:
        views, means, queries = made_up(Path(scratch) / "views", given.shapes)
        config, size = RankingConfig(), Size(views.shape[1], views.shape[2])
        graph = neighbour_graph(means, config.neighbours)
        store = store_at(given.store, Path(scratch) / "store")
        began = time.perf_counter()
        shelf = store.create("hifa-0123456789abcdef-1-01234567", size, blocks(views, means), [])
        filled = time.perf_counter() - began
        report: dict[str, Any] = {"shapes": given.shapes, "store": given.store, "fill_s": round(filled, 1)}
        bytes_there = sum(path.stat().st_size for path in Path(scratch, "store").rglob("*") if path.is_file())
        report["bytes_a_shape"] = round(bytes_there / given.shapes)
        local = GalleryRanking(config, Searcher(means), views, graph)
        stored = ranking_in(shelf, config, graph, given.shapes)
        searcher: Any = stored.searcher
        for one in (local, stored):
            one._asked = -1_000  # never takes all views into memory
        searcher._times = -1_000  # nor all vectors
        report["cold"] = compared(local, stored, queries)
        searcher._times = 1_000
        for one in (local, stored):
            one._asked = 1_000
            one.rank(QueryVectors(queries[:1], queries[:1]), 10)
        report["warm"] = compared(local, stored, queries)
    json.dump(report, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
