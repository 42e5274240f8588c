"""A synthetic gallery through the HDF5 schema: build time, memory, recall, and speed beside exact search.

    python benchmarks/gallery.py --shapes 1000000 --out /tmp/million

Clusters of shapes on a low-dimensional sheet each, and photos of the same clusters behind a shift of domain,
clamped at zero as the network's vectors are used. Every figure of one run is of the same machine and load:
compare ratios, not seconds.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

CLUSTERS, LATENT, BLOCK = 400, 24, 50_000
QUERIES = 1_000


def draw(
    count: int, width: int, seed: int, shift: NDArray[np.float32] | float = 0.0
) -> Iterator[NDArray[np.float32]]:
    """Blocks of (b, D) vectors of the mixture."""
    fixed = np.random.default_rng(12345)
    centres = fixed.normal(size=(CLUSTERS, width)).astype(np.float32)
    sheets = fixed.normal(size=(CLUSTERS, LATENT, width)).astype(np.float32) / np.sqrt(LATENT)
    generator = np.random.default_rng(seed)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        kinds = generator.integers(0, CLUSTERS, size)
        latent = generator.normal(size=(size, LATENT)).astype(np.float32)
        block = centres[kinds] + 0.3 * generator.standard_normal((size, width), dtype=np.float32) + shift
        for kind in np.unique(kinds):
            mine = kinds == kind
            block[mine] += 0.8 * latent[mine] @ sheets[kind]
        yield block.astype(np.float32)


def write(path: Path, shapes: int, width: int) -> None:
    """An export of so many shapes and 2,000 photos; half of them tune the search, half measure it."""
    shift = 0.5 * np.random.default_rng(7).normal(size=width).astype(np.float32)
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = 1
        file.attrs["classes"] = ["thing"]
        for name, count, seed, moved in (("shapes", shapes, 1, 0.0), ("images", 2 * QUERIES, 2, shift)):
            group = file.create_group(name)
            group["ids"] = np.array([f"thing/{number:08d}" for number in range(count)], dtype=object)
            group["labels"] = np.zeros(count, dtype=np.int64)
            vectors = group.create_dataset("vectors", (count, width), dtype=np.float32)
            place = 0
            for block in draw(count, width, seed, moved):
                vectors[place : place + len(block)] = block
                place += len(block)


def main() -> None:
    """Make, index, search; print one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--factory", default="auto")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    export, gallery = arguments.out / "export.h5", arguments.out / "gallery"
    if not export.exists():
        write(export, arguments.shapes, arguments.width)
    words = ["index", export, "--out", gallery, "--factory", arguments.factory, "--force", "--json"]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "hifa_cli", *map(str, words)], check=True, capture_output=True
    )
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = {
        "shapes": arguments.shapes,
        "width": arguments.width,
        "index": {key: value for key, value in json.loads(done.stdout).items() if key != "out"},
        "build_wall_s": round(seconds, 1),
        "build_cpu_s": round(peak.ru_utime + peak.ru_stime, 1),
        "build_peak_rss_gib": round(peak.ru_maxrss / 2**20, 2),
        **search(export, gallery),
    }
    one = report["exact_cpu_ms_a_query_batched"]
    report["build_as_exact_queries"] = round(report["build_cpu_s"] / (one / 1e3))
    json.dump(report, sys.stdout, indent=2)


def search(export: Path, gallery: Path) -> dict[str, float]:
    """Recall on photos that the search was not tuned with, and CPU time a query beside exact search's."""
    from hifa_cli.gallery import read_gallery, unit
    from hifa_cli.search.exact import exact_search, recall

    began = time.perf_counter()
    opened = read_gallery(gallery)
    opening = time.perf_counter() - began
    with h5py.File(export) as file:
        photos: NDArray[np.float32] = unit(file["images/vectors"][1::2][:QUERIES])
    exact_search(opened.vectors, photos[:1], 10)  # from the disk into memory
    found, batched = _timed(lambda: opened.searcher.search(photos, 10)[1])
    wanted, exact_batched = _timed(lambda: exact_search(opened.vectors, photos, 10)[1])
    few = photos[:50]
    _, single = _timed(lambda: [opened.searcher.search(one[None], 10) for one in few])
    _, exact_single = _timed(lambda: [exact_search(opened.vectors, one[None], 10) for one in few[:10]])
    return {
        "open_s": round(opening, 3),
        "recall_at_10": round(recall(found, wanted), 4),
        "cpu_ms_a_query_batched": round(1e3 * batched / len(photos), 3),
        "exact_cpu_ms_a_query_batched": round(1e3 * exact_batched / len(photos), 3),
        "qps_ratio_batched": round(exact_batched / batched, 1),
        "cpu_ms_a_query_single": round(1e3 * single / 50, 3),
        "exact_cpu_ms_a_query_single": round(1e3 * exact_single / 10, 3),
        "qps_ratio_single": round(exact_single / 10 / (single / 50), 1),
        "search_peak_rss_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


if __name__ == "__main__":
    main()
