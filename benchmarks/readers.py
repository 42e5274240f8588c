"""Milliseconds that hifa's readers take, beside trimesh's: in one run, taking turns.

Bumpy spheres of 320, 5,120 and 81,920 triangles are written by trimesh in every format that both read
themselves. Each reader runs in a process of its own, is warmed up, and reads a file again and again for a
tenth of a second a turn; the CPU time of its thread is taken, the median of all turns given. hifa's time
includes the look at the first bytes and the removal of what cannot be drawn; trimesh loads with
``process=False``, and neither merges anything.

    python benchmarks/readers.py [--turns 9] [--against CHECKOUT] [--json out.json] [--formats off obj]

``--against`` times the readers of another checkout of hifa as well, an older one for example.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

FORMATS = ("off", "obj", "stl", "ply", "glb")
LEVELS = (2, 4, 6)  # of subdivision: 20 · 4^n triangles
SECONDS = 0.1  # of reading, a turn
Read = Callable[[Path], object]


class Row(NamedTuple):
    """A file and the milliseconds that each reader took, by its name."""

    format: str
    faces: int
    milliseconds: dict[str, float]


def bumpy(level: int) -> Any:
    """Return a sphere of 20 · 4^level triangles, whose coordinates are no round numbers."""
    import numpy as np
    import trimesh

    ball: Any = trimesh.creation.icosphere(level)
    ball.vertices *= 1 + 0.15 * np.sin(5 * ball.vertices[:, :1]) * np.sin(4 * ball.vertices[:, 1:2])
    return ball


def reader(kind: str) -> Read:
    """Return what reads a file: trimesh, or the hifa of a checkout."""
    if kind == "trimesh":
        import trimesh

        return lambda path: trimesh.load(path, process=False)
    sys.path.insert(0, kind)
    from hifa_cli.render.meshes import read_mesh

    return read_mesh


def be_a_child(kind: str) -> None:
    """Answer every path on standard input with the seconds of CPU that one reading takes."""
    read = reader(kind)
    for line in sys.stdin:
        path, count, begin = Path(line.rstrip("\n")), 0, time.thread_time()
        while count == 0 or time.thread_time() - begin < SECONDS:
            read(path)
            count += 1
        print((time.thread_time() - begin) / count, flush=True)


def child(kind: str) -> Callable[[Path], float]:
    """Start a child; returns a function from a file to seconds."""
    settings = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", kind],
        env=settings, encoding="utf-8", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip

    def time_one(path: Path) -> float:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    return time_one


def rows(formats: list[str], turns: int, against: Path | None) -> Iterator[Row]:
    """Time every file by all readers, which take turns.

    Args:
        formats: endings to time.
        turns: of each reader.
        against: another checkout of hifa, or None.

    Yields:
        A file and its times.
    """
    kinds = {"hifa": str(Path(__file__).resolve().parents[1]), "trimesh": "trimesh"}
    kinds |= {} if against is None else {"other hifa": str(against.resolve())}
    readers = {name: child(kind) for name, kind in kinds.items()}
    with tempfile.TemporaryDirectory() as folder:
        for ending in formats:
            for level in LEVELS:
                ball = bumpy(level)
                path = Path(folder) / f"{level}.{ending}"
                ball.export(path)
                for read in readers.values():
                    read(path)
                times: dict[str, list[float]] = {name: [] for name in readers}
                for _ in range(turns):
                    for name, read in readers.items():
                        times[name].append(read(path))
                medians = {name: 1000 * statistics.median(values) for name, values in times.items()}
                yield Row(ending, len(ball.faces), medians)


def line(row: Row) -> str:
    """Return a row of the table in Markdown."""
    ours, names = row.milliseconds["hifa"], list(row.milliseconds)
    cells = [row.format.upper(), f"{row.faces:,}", *(f"{row.milliseconds[name]:.3g}" for name in names)]
    cells += [f"{ours / row.milliseconds[name]:.2f}" for name in names[1:]]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print a table in Markdown, line by line as it is measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--against", type=Path, help="another checkout of hifa")
    parser.add_argument("--json", type=Path, help="write the times here")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        be_a_child(asked.child)
        return
    names = ["hifa", "trimesh"] + (["other hifa"] if asked.against else [])
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n", flush=True)
    heads = [f"{name}, ms" for name in names] + [f"hifa / {name}" for name in names[1:]]
    print(f"| format | faces | {' | '.join(heads)} |\n|{'---|' * (2 + len(heads))}", flush=True)
    found = []
    for row in rows(asked.formats, asked.turns, asked.against):
        found.append(row)
        print(line(row), flush=True)
    if asked.json:
        asked.json.write_text(
            json.dumps({"schema": 1, "rows": [row._asdict() for row in found]}, indent=1) + "\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
