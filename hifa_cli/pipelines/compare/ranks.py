"""Where each query's relevant shapes stand in every row and seed: what others need to check a comparison."""

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hifa_cli.embeddings.io import read_export
from hifa_cli.pipelines.compare.run import Comparison
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import written_file
from hifa_cli.search.ranking import ranked

RANKS = "ranks.csv.gz"
COLUMNS = ("row", "seed", "query", "class", "relevant", "ranks")


def write_ranks(done: Comparison) -> Path:
    """Write ``ranks.csv.gz``: a line for each row, seed and query.

    ``relevant`` is C, the number of the gallery's shapes of the query's class; ``ranks`` are those of these
    shapes from 1, ascending, as far as 2C. NN is the share of queries with a rank 1, FT the mean number of
    ranks up to C, over C.

    Returns:
        The file; the same scores give the same bytes.
    """
    place = done.folder / RANKS
    with (
        written_file(place) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
    ):
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        for name, seed in progress.track(list(done.scores), "writing ranks"):
            file = Path(done.plan.jobs[name, seed].folder) / "test.h5"
            table.writerows((name, "" if seed is None else seed, *line) for line in _lines(file))
    return place


def _lines(file: Path) -> Iterator[tuple[str, str, int, str]]:
    """Yield query, class, C and ranks of an export's photos whose class has shapes."""
    export = read_export(file)
    if export.images is None or export.shapes is None:
        return
    photos, shapes = export.images, export.shapes
    sizes = np.bincount(shapes.labels[shapes.labels >= 0], minlength=max(len(export.classes), 1))
    counted = np.flatnonzero((photos.labels >= 0) & (sizes[photos.labels] > 0))
    labels = photos.labels[counted]
    best = 2 * int(sizes.max(initial=1))
    for block in ranked(photos.vectors[counted], shapes.vectors, labels, shapes.labels, best=best):
        relevant = shapes.labels[block.rows()] == labels[block.queries, None]
        for row, found in zip(range(*block.queries.indices(len(labels))), relevant, strict=True):
            count = int(sizes[labels[row]])
            ranks = np.flatnonzero(found[: 2 * count]) + 1
            name = export.classes[labels[row]]
            yield photos.ids[counted[row]], name, count, " ".join(map(str, ranks.tolist()))
