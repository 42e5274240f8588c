"""What a gallery costs at a size, stage by stage, and what 10⁸ and 10⁹ shapes would cost by these figures.

    python benchmarks/sizes.py --shapes 1000000 --out FOLDER > sizes.json
    python benchmarks/sizes.py --plan sizes.json

The shapes are those of ``benchmarks/gallery.py``: synthetic vectors through the HDF5 schema, indexed in a
process of its own. Times are CPU seconds on the threads that the environment allows; recall and speed stand
beside exact search in the same run. Memory is what the process holds for itself (RssAnon of Linux, sampled)
and all of it, with the pages of files that it has mapped (VmHWM).

The plan is arithmetic: linear for what is done a shape, and for learning the lists too (40 vectors for each
of 4√N lists against 4√N centres are 640 N products a round); N√N for putting shapes into lists. A query reads
as many lists as the tuned search does, of √N/4 codes each; whether that finds as much is not known. To draw
and embed a mesh costs what ``benchmarks/results.json`` says (``benchmarks/index.py``). Prices are arguments.
"""

import argparse
import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from gallery import search, write

from hifa_cli.config import IndexConfig, RenderConfig
from hifa_cli.runtime.progress import Reporter, reporting

T = TypeVar("T")
EMBEDDED = Path(__file__).with_name("results.json")
SIZES = (10**8, 10**9)
WIDTH, VIEWS = 1280, 12  # of the default encoder
RABITQ = 660  # bytes of a code of so many numbers, as FAISS says (code_size of IVF…,RaBitQ4)
THUMBNAIL, COLUMNS = 5_400, 170  # bytes a shape: the mean of 38 real meshes; ids, paths, fields, digests


class Stages(Reporter):
    """Remembers the CPU time at which each stage began."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}

    def note(self, message: str) -> None:
        """Remember when something was said first."""
        self.began.setdefault(message.split()[0], time.process_time())

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Remember when a stage began and ended."""
        self.began.setdefault(label, time.process_time())
        yield from items
        self.began.setdefault(f"{label} ended", time.process_time())


def status(name: str) -> int:
    """Return a figure of this process's memory in KiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def build(export: Path, out: Path) -> dict[str, Any]:
    """Index an export in this process; return CPU seconds by stage and memory."""
    from hifa_cli.gallery.build import build_gallery

    held, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            held[0] = max(held[0], status("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    began, wall = time.process_time(), time.perf_counter()
    with reporting(Stages()) as stages:
        report = build_gallery(
            export, out, model=None, split=None, index_config=IndexConfig(), render_config=RenderConfig(),
            workers=1, device="cpu", force=True,
        )  # fmt: skip
    total = time.process_time() - began
    over.set()
    watcher.join()
    at = stages.began
    return {
        "factory": report["factory"],
        "cpu_s": round(total, 1),
        "learning_cpu_s": round(at["indexing"] - at["learning"], 1) if "learning" in at else 0.0,
        "adding_cpu_s": round(at["indexing ended"] - at["indexing"], 1) if "indexing" in at else 0.0,
        "wall_s": round(time.perf_counter() - wall, 1),
        "held_gib": round(held[0] / 2**20, 2),
        "peak_gib": round(status("VmHWM") / 2**20, 2),
    }


def measured(shapes: int, width: int, out: Path) -> dict[str, Any]:
    """Make, index and search so many shapes."""
    out.mkdir(parents=True, exist_ok=True)
    export, gallery = out / "export.h5", out / "gallery"
    write(export, shapes, width)
    words = [sys.executable, __file__, "--child", str(export), "--out", str(gallery)]
    made = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    found = search(export, gallery)
    sizes = {path.name: path.stat().st_size for path in gallery.glob("generation-*/*")}
    one = found["exact_cpu_ms_a_query_batched"] / 1e3
    return {
        "shapes": shapes,
        "width": width,
        "effort": json.loads((gallery / "gallery.json").read_text(encoding="utf-8"))["effort"],
        "build": made,
        "build_as_exact_queries": round(made["cpu_s"] / one),
        "bytes_a_shape": {name: round(size / shapes, 1) for name, size in sizes.items() if size > shapes},
        **found,
    }


def planned(known: dict[str, Any], core_hour: float, gigabyte_month: float) -> list[dict[str, Any]]:
    """Return what larger galleries cost by measured figures.

    Args:
        known: of :func:`measured`.
        core_hour: price of one.
        gigabyte_month: price of one on disk.

    Returns:
        A plan for each size.
    """
    embed = json.loads(EMBEDDED.read_text(encoding="utf-8"))["index"]["report"]["new_1_cpu_s_a_mesh"]
    shapes, made = known["shapes"], known["build"]
    wider = WIDTH / known["width"]
    effort = (known["effort"] or {"effort": 0})["effort"]
    rest = made["cpu_s"] - made["learning_cpu_s"] - made["adding_cpu_s"]
    plans = []
    for size in SIZES:
        times = size / shapes
        code = RABITQ if size * WIDTH > IndexConfig.compact_bytes else WIDTH
        stored = {"vectors": 4 * WIDTH, "index": code + 8, "thumbnails": THUMBNAIL, "columns": COLUMNS}
        hours = {
            "draw and embed": embed * size,
            "learn lists": made["learning_cpu_s"] * times * wider,
            "fill lists": made["adding_cpu_s"] * times**1.5 * wider,
            "copy and tune": rest * times * wider,
        }
        core_hours = {name: seconds / 3600 for name, seconds in hours.items()}
        gigabytes = {name: each * size / 1e9 for name, each in stored.items()}
        views = 2 * VIEWS * WIDTH * size / 1e9
        plans.append({
            "shapes": size,
            "lists": int(4 * math.sqrt(size)),
            "megabytes_read_a_query": round(effort * math.sqrt(size) / 4 * (code + 8) / 1e6, 1),
            "gigabytes": {name: round(value) for name, value in gigabytes.items()},
            "gigabytes_of_views": round(views),
            "core_hours": {name: round(value) for name, value in core_hours.items()},
            "money_once": round(core_hour * sum(core_hours.values())),
            "money_a_month": round(gigabyte_month * sum(gigabytes.values())),
            "money_a_month_with_views": round(gigabyte_month * (views + sum(gigabytes.values()))),
        })  # fmt: skip
    return plans


def main() -> None:
    """Measure, or plan by what was measured; print one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plan", type=Path, help="what an earlier run has printed")
    parser.add_argument("--core-hour", type=float, default=0.04, help="price")
    parser.add_argument("--gigabyte-month", type=float, default=0.08, help="price")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plan is not None:
        known = json.loads(given.plan.read_text(encoding="utf-8"))
        report: Any = planned(known, given.core_hour, given.gigabyte_month)
    elif given.out is None:
        parser.error("give --out FOLDER, or --plan FILE")
    elif given.child is not None:
        report = build(given.child, given.out)
    else:
        report = measured(given.shapes, given.width, given.out)
    json.dump(report, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
