"""What a photo costs from file to ranking, warm and cold, in a gallery of many shapes.

    OMP_NUM_THREADS=1 python benchmarks/query.py [--shapes 10000] [--photo PHOTO]

The gallery is made up: 200 clusters, twelve views a shape, 1,280 numbers a view, the default encoder's graph
and the default ranking (pooling over the better half of the views, smoothing over the neighbour graph). Warm
is what ``hifa serve`` does with every photo after the first; cold is ``hifa query``, a process a photo. The
rival is the same command with torch in place of the light engine, taking turns with it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from hifa_cli.config import IndexConfig, RankingConfig, RenderConfig
from hifa_cli.embeddings.encoder import save_frozen
from hifa_cli.embeddings.io import Embeddings, Export, write_export
from hifa_cli.gallery import read_gallery
from hifa_cli.gallery.build import build_gallery
from hifa_cli.gallery.ranking import ranking_document, write_graph_of
from hifa_cli.query.parse import find_queries
from hifa_cli.query.retrieve import QueryOptions, encoder_for, rank
from hifa_cli.search.rerank import unit

VIEWS, WIDTH, CLUSTERS, BLOCK = 12, 1280, 200, 500
WARM_UP, WARM, COLD = 5, 30, 5


def made_up(folder: Path, shapes: int) -> Path:
    """Make a gallery of ``shapes`` shapes that ranks by default."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLUSTERS, WIDTH)).astype(np.float32)
    (folder / "model").mkdir()
    model = save_frozen(folder / "model")
    views = np.memmap(folder / "views.f16", dtype="<f2", mode="w+", shape=(shapes, VIEWS, WIDTH))
    means = np.empty((shapes, WIDTH), dtype=np.float32)
    for start in range(0, shapes, BLOCK):
        rows = slice(start, min(start + BLOCK, shapes))
        mine = centres[rng.integers(0, CLUSTERS, rows.stop - start)][:, None]
        block = unit(mine + rng.normal(size=(rows.stop - start, VIEWS, WIDTH)))
        views[rows], means[rows] = block, unit(block.mean(axis=1))
    names = tuple(f"s{number}" for number in range(shapes))
    part = Embeddings(names, np.zeros(shapes, dtype=np.int64), means)
    write_export(folder / "e.h5", Export(None, part, ("thing",), "0", "frozen", model, {}))
    out = folder / "gallery"
    build_gallery(
        folder / "e.h5", out, model=folder / "model", split=None, index_config=IndexConfig(factory="Flat"),
        render_config=RenderConfig(), workers=1, device="cpu", force=False,
    )  # fmt: skip
    main, place = out / "gallery.json", out / "generation-1"
    (folder / "views.f16").rename(place / "views.f16")
    means.astype("<f4").tofile(place / "vectors.f32")
    config = RankingConfig()
    neighbours = write_graph_of(place, means, config)
    document = json.loads(main.read_text())
    document |= {"views": VIEWS, "ranking": {**ranking_document(config, model), "graph": neighbours}}
    main.write_text(json.dumps(document))
    return out


def each(times: int, work: Callable[[], object]) -> tuple[float, float]:
    """Median wall and CPU milliseconds of some work."""
    wall, cpu = [], []
    for _ in range(times):
        before = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - before[0])
        cpu.append(time.process_time() - before[1])
    return round(1e3 * float(np.median(wall)), 1), round(1e3 * float(np.median(cpu)), 1)


def cold(words: list[str], **environment: str) -> float:
    """CPU seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "hifa_cli", *words]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure; print one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", type=int, default=10_000)
    parser.add_argument("--photo", type=Path)
    given = parser.parse_args()
    report: dict[str, object] = {"shapes": given.shapes}
    with TemporaryDirectory() as scratch:
        photo = given.photo or Path(scratch) / "photo.jpg"
        if given.photo is None:
            noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3)).astype(np.uint8)
            Image.fromarray(noise).resize((1280, 960), Image.Resampling.BICUBIC).save(photo)
        out = made_up(Path(scratch), given.shapes)
        gallery = read_gallery(out)
        encoder = encoder_for(gallery, None, "cpu")
        queries = find_queries([str(photo)], Path(scratch))
        for find in ("both", "kind", "part"):
            work = partial(rank, encoder, gallery, queries, QueryOptions(10, find=find))
            for _ in range(WARM_UP):
                work()
            wall, cpu = each(WARM, work)
            report[f"warm_{find}_ms"], report[f"warm_{find}_cpu_ms"] = wall, cpu
        words = ["query", str(photo), "-g", str(out), "--json", "--quiet"]
        cold(words)
        cold(words, HIFA_ENGINE="torch")
        pairs = [(cold(words), cold(words, HIFA_ENGINE="torch")) for _ in range(COLD)]
        mine, theirs = np.median(pairs, axis=0).tolist()
        report["cold_cpu_s"], report["torch_cold_cpu_s"] = round(mine, 3), round(theirs, 3)
        report["times_as_fast"] = round(theirs / mine, 2)
    json.dump(report, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
