"""What a change to a gallery costs: bytes written and time of adding and of removing one shape.

    python benchmarks/change.py --shapes 100000 1000000 --out FOLDER

The galleries are those of ``benchmarks/gallery.py``: synthetic vectors through the HDF5 schema. Each change
runs in a process of its own, once as ``hifa index --add`` and ``--remove`` make it, and once so that the
gallery is written whole, as before 0.2.0. Bytes are what the process passed to the system's writing calls
(``wchar`` of ``/proc/self/io``, Linux); the time is that of the change, without the start of Python.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np

WHOLE = 1 << 60  # bytes below which a gallery is written whole: all are


def write_one(path: Path, number: int, width: int) -> None:
    """Write an export of one shape."""
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = 1
        file.attrs["classes"] = ["thing"]
        group = file.create_group("shapes")
        group["ids"] = np.array([f"one/{number}"], dtype=object)
        group["labels"] = np.zeros(1, dtype=np.int64)
        group["vectors"] = np.abs(np.random.default_rng(number).normal(size=(1, width))).astype(np.float32)


def written() -> int:
    """Return how many bytes this process has written."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


def change(gallery: Path, source: Path | None, remove: str | None, whole_bytes: int | None) -> dict[str, Any]:
    """Make one change in this process and measure it."""
    from hifa_cli.config import IndexConfig
    from hifa_cli.gallery import update
    from hifa_cli.gallery.build import BuildOptions
    from hifa_cli.search import faiss_index

    config = IndexConfig() if whole_bytes is None else IndexConfig(whole_bytes=whole_bytes)
    faiss_index.check_factory("IVF4,Flat")  # loads FAISS
    before, began, cpu = written(), time.perf_counter(), time.process_time()
    if source is not None:
        update.add(gallery, [source], config, BuildOptions(), model=None)
    else:
        update.remove(gallery, [str(remove)], config)
    return {
        "written_bytes": written() - before,
        "wall_s": round(time.perf_counter() - began, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "peak_rss_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def child(gallery: Path, *words: str) -> dict[str, Any]:
    """Make one change in a process of its own."""
    command = [sys.executable, __file__, "--out", str(gallery), "--change", *words]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def measured(folder: Path, shapes: int, width: int, factory: str) -> dict[str, Any]:
    """Return what changes cost to a gallery of so many shapes."""
    from gallery import write

    folder.mkdir(parents=True, exist_ok=True)
    export, out = folder / "export.h5", folder / "gallery"
    if not out.exists():
        write(export, shapes, width)
        words = ["index", str(export), "--out", str(out), "--factory", factory, "--json", "--quiet"]
        subprocess.run([sys.executable, "-m", "hifa_cli", *words], check=True, capture_output=True)
        export.unlink()
    report: dict[str, Any] = {"shapes": shapes, "width": width}
    for number, (name, limit) in enumerate((("change", ""), ("whole", str(WHOLE)))):
        for step in range(2):  # the first one warms the page cache
            one = folder / f"one-{number}-{step}.h5"
            write_one(one, 10 * number + step, width)
            report[f"{name}: add 1"] = child(out, str(one), "", limit)
            report[f"{name}: remove 1"] = child(out, "", f"thing/{10 * number + step:08d}", limit)
    document = json.loads((out / "gallery.json").read_text(encoding="utf-8"))
    return {**report, "factory": document["factory"]}


def main() -> None:
    """Measure every size; print one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--factory", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--change", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.change:
        source, remove, limit = arguments.change
        found: Any = change(
            arguments.out, Path(source) if source else None, remove or None, int(limit) if limit else None
        )
    else:
        found = [
            measured(arguments.out / str(shapes), shapes, arguments.width, arguments.factory)
            for shapes in arguments.shapes
        ]
    json.dump(found, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
