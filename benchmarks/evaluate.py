"""Time and memory of an evaluation of MI3DOR's size, against a plain loop over queries.

    python benchmarks/evaluate.py                              # 10,500 photos, 3,848 shapes, 256 numbers
    python benchmarks/evaluate.py --queries 1000 --gallery 1000000 --dimension 128 --no-reference

The vectors are drawn around a centre a class, the classes as large as MI3DOR's (or its shares of another
gallery). The reference is what one writes in an afternoon: for each query the cosines, one stable
argsort, and the benchmark's formulas on the sorted relevance; its scores must be the same to 1e-4. Both
run in one process of their own, so that the peak memory is theirs.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.data.mi3dor import MI3DOR_CLASSES, MI3DOR_TEST_SHAPES
from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.evaluation.evaluate import evaluate


def synthetic(queries: int, gallery: int, dimension: int) -> Export:
    """Photos in equal classes and shapes in MI3DOR's proportions, scattered around a centre a class."""
    generator = np.random.default_rng(0)
    shares = np.array(list(MI3DOR_TEST_SHAPES.values()), dtype=np.float64)
    held = np.searchsorted(np.cumsum(shares) / shares.sum(), (np.arange(gallery) + 0.5) / gallery)
    asked = np.arange(queries) * len(shares) // queries
    centres = generator.standard_normal((len(shares), dimension), dtype=np.float32)

    def part(name: str, labels: NDArray[np.int64]) -> Embeddings:
        vectors = centres[labels] + 2.2 * generator.standard_normal(
            (len(labels), dimension), dtype=np.float32
        )
        return Embeddings(tuple(f"{name}/{row}" for row in range(len(labels))), labels, vectors)

    return Export(part("image", asked), part("shape", held), MI3DOR_CLASSES)


def plain_loop(export: Export) -> dict[str, float]:
    """The seven metrics by one argsort a query and the formulas as they are written down."""
    images, shapes = export.images, export.shapes
    assert images is not None
    assert shapes is not None
    photos, gallery = (np.maximum(part.vectors, 0) for part in (images, shapes))
    photos /= np.linalg.norm(photos, axis=1, keepdims=True)
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    sizes = np.bincount(shapes.labels, minlength=len(export.classes))
    window_most = 2 * sizes.max()
    rows = []
    for photo, label in zip(photos, images.labels, strict=True):
        relevant = shapes.labels[np.argsort(-(gallery @ photo), kind="stable")] == label
        c = int(sizes[label])
        ranks = np.arange(1, c + 1)
        discount = 1 / np.log2(np.maximum(ranks, 2))
        window = min(4 * c, window_most)
        cost = np.where(relevant[:c], ranks, window + 1).mean()
        legacy = 1 / np.log2(np.maximum(ranks[:-1], 2))
        rows.append(
            (
                relevant[0],
                relevant[:c].mean(),
                relevant[: 2 * c - 1].sum() / c,
                relevant[:20].sum(),
                relevant[:c] @ discount / discount.sum(),
                relevant[1:c] @ legacy / legacy.sum(),
                (cost - c / 2 - 0.5) / (window - c / 2 + 0.5),
                c,
            )
        )
    nn, ft, st, twenty, dcg, legacy_dcg, nmrr, c_mean = np.mean(rows, axis=0).tolist()
    pooled = 2 * twenty / (20 + c_mean)
    return dict(
        zip(
            ("NN", "FT", "ST", "F", "DCG", "DCG_legacy", "ANMRR"),
            (nn, ft, st, pooled, dcg, legacy_dcg, nmrr),
            strict=True,
        )
    )


def measure(what: str, export: Export, *, first_ranks: bool) -> dict[str, Any]:
    """Seconds and scores of one way, and the process's peak memory in MB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start, start_cpu = time.perf_counter(), time.process_time()
    values = evaluate(export, whole_list=not first_ranks).values() if what == "hifa" else plain_loop(export)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    memory = {"data_mb": round(before), "peak_mb": round(peak)}
    return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), **memory, "scores": values}


def main() -> None:
    """Run both ways in processes of their own and print one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=10_500)
    parser.add_argument("--gallery", type=int, default=3_848)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--first-ranks", action="store_true", help="sort only the ranks that count")
    parser.add_argument("--no-reference", action="store_true", help="leave the plain loop out")
    parser.add_argument("--only", choices=["hifa", "plain"], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.only:
        export = synthetic(chosen.queries, chosen.gallery, chosen.dimension)
        print(json.dumps(measure(chosen.only, export, first_ranks=chosen.first_ranks)))
        return
    ways = ["hifa"] if chosen.no_reference else ["hifa", "plain"]
    results = {way: _in_a_process(way) for way in ways}
    document: dict[str, Any] = {
        "machine": f"{platform.machine()}, numpy {np.__version__}",
        "queries": chosen.queries,
        "gallery": chosen.gallery,
        "dimension": chosen.dimension,
        **results,
    }
    if len(ways) == 2:
        document["times_as_fast"] = round(results["plain"]["cpu_seconds"] / results["hifa"]["cpu_seconds"], 1)
        ours, theirs = results["hifa"]["scores"], results["plain"]["scores"]
        worst = max(abs(ours[name] - theirs[name]) for name in theirs)
        document["largest_difference"] = worst
        if worst > 1e-4:
            raise SystemExit(f"the scores differ by {worst}")
    print(json.dumps(document, indent=2))


def _in_a_process(way: str) -> Any:
    command = [sys.executable, str(Path(__file__)), *sys.argv[1:], "--only", way]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
