"""``hifa index`` beside the way of 0.1.0 (PNG files of views, then torch on one thread), in one run.

    python benchmarks/index.py [--meshes MESHES] [--most 60]

Both make a vector of every view of the same meshes on this machine, pinned to as many cores as workers. CPU
seconds count every process; what a start costs is measured on one mesh and taken off, so that the figures
hold for any number of meshes. Without ``--meshes``: the demo's own, of ten kinds in five formats.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hifa_cli.config import WorldConfig
from hifa_cli.render.discover import find_meshes
from hifa_cli.synthetic.world import make_world

VIEWS = 12
_OLD = """
import sys
from pathlib import Path
import numpy as np
import torch
from hifa_cli.config import RenderConfig
from hifa_cli.data import find_shapes
from hifa_cli.embeddings.extract import embed, frozen_encoder
from hifa_cli.render.pipeline import render
torch.set_num_threads(int(sys.argv[3]))
render([Path(sys.argv[1])], Path(sys.argv[2]), RenderConfig(), workers=int(sys.argv[3]))
embed(frozen_encoder(torch.device("cpu")), find_shapes(Path(sys.argv[2])).items, label="")
"""


def cpu_seconds(command: list[str], **environment: str) -> float:
    """CPU seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=os.environ | environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def new(meshes: Path, out: Path, workers: int) -> float:
    """``hifa index`` of today."""
    words = ["index", str(meshes), "--out", str(out), "--workers", str(workers), "--quiet"]
    return cpu_seconds([*_pinned(workers), sys.executable, "-m", "hifa_cli", *words])


def old(meshes: Path, out: Path, workers: int) -> float:
    """Views as PNG files, then torch."""
    words = [sys.executable, "-c", _OLD, str(meshes), str(out), str(workers)]
    return cpu_seconds([*_pinned(workers), *words], HIFA_ENGINE="torch")


def _pinned(workers: int) -> list[str]:
    """So many cores, or all where there are fewer."""
    return ["taskset", "-c", ",".join(map(str, sorted(os.sched_getaffinity(0))[:workers]))]


def made(folder: Path, most: int) -> Path:
    """Make meshes as the demo does."""
    kinds = len(WorldConfig.classes)
    counts = WorldConfig(shapes_train=-(-most // kinds), shapes_test=0, photos_train=0, photos_test=0)
    make_world(folder, counts, seed=0, workers=1)
    return folder / "shapes"


def main() -> None:
    """Measure; print one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--meshes", type=Path)
    parser.add_argument("--most", type=int, default=60)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    with TemporaryDirectory() as scratch:
        found = find_meshes([arguments.meshes or made(Path(scratch) / "world", arguments.most)])[0]
        chosen = found[:: max(len(found) // arguments.most, 1)][: arguments.most]
        report: dict[str, object] = {"meshes": len(chosen), "views": VIEWS}
        many, one = Path(scratch) / "many", Path(scratch) / "one"
        for number, mesh in enumerate(chosen):
            for folder in (many, one) if number == 0 else (many,):
                folder.mkdir(exist_ok=True)
                shutil.copy(mesh.path, folder / f"{number}{mesh.path.suffix}")
        new(one, Path(scratch) / "warm", 1)  # compiles once
        for workers in arguments.workers:
            each = {}
            for name, way in (("new", new), ("old", old)):
                start = way(one, Path(scratch) / f"{name}-one-{workers}", workers)
                whole = way(many, Path(scratch) / f"{name}-many-{workers}", workers)
                each[name] = (whole - start) / (len(chosen) - 1)
                report[f"{name}_{workers}_cpu_s_start"] = round(start, 2)
                report[f"{name}_{workers}_cpu_s_a_mesh"] = round(each[name], 4)
                report[f"{name}_{workers}_pictures_a_core_second"] = round(VIEWS / each[name], 1)
            report[f"times_as_many_{workers}"] = round(each["old"] / each["new"], 2)
    json.dump(report, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
