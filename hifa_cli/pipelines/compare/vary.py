"""How scores depend on the data: labels a class, classes without photos, views a shape.

For each value of what is varied the rows are compared as ever, in a folder of its own, on lists that name
a part of the data. Parts are nested: the five photos of a class are among its ten. A hash of their ids says
which come first, never their order or chance.
"""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from hifa_cli.data import Collection, Item, find_images, find_shapes
from hifa_cli.embeddings.io import read_export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.evaluate import apart, evaluate
from hifa_cli.pipelines.compare.outputs import FIGURES, write_text
from hifa_cli.pipelines.compare.run import Comparison
from hifa_cli.runtime import progress
from hifa_cli.viz.tables import Row, Table, to_markdown

Varied = Literal["labels", "unlabelled", "views"]
VALUES: Mapping[Varied, tuple[int, ...]] = {
    "labels": (1, 3, 5, 10, 20),  # photos of each class
    "unlabelled": (0, 25, 50, 75),  # per cent of the classes
    "views": (1, 2, 3, 4, 6, 12),  # of each shape
}
TITLES: Mapping[Varied, str] = {
    "labels": "labelled photos of each class",
    "unlabelled": "per cent of classes without photos",
    "views": "views of each shape",
}
METRICS = ("NN", "FT", "ANMRR")
STEM = "vary"


class Point(NamedTuple):
    """The scores of a row at one value.

    Attributes:
        row: its name.
        value: of what is varied.
        part: ``all`` photos, or those of ``known`` or of ``unknown`` classes.
        scores: by metric, one of each seed.
    """

    row: str
    value: int
    part: str
    scores: dict[str, list[float]]


@dataclass(frozen=True)
class Varying:
    """Name what is varied, and the data.

    Attributes:
        what: labels, unlabelled or views.
        values: in the order asked for.
        images: photos of both splits.
        shapes: rendered shapes of both splits.
        train_split: split to train on.
        test_split: split to score.
    """

    what: Varied
    values: tuple[int, ...]
    images: Path
    shapes: Path
    train_split: str
    test_split: str


def vary(
    asked: Varying, out: Path, compare: Callable[[Path, Path, Path, Path], Comparison]
) -> tuple[list[Point], dict[str, str]]:
    """Compare at each value; what is done is not done again.

    Args:
        asked: what is varied, and the data.
        out: folder; each value gets one below it, beside the features that all share.
        compare: compares the rows, given photos, shapes, a folder, and the folder of kept features.

    Returns:
        The points, and the reason of each job that failed, by value, row and seed.

    Raises:
        HifaError: a value that the data cannot give, or unusable data.
    """
    photos = {
        split: find_images(asked.images, split=split) for split in (asked.train_split, asked.test_split)
    }
    shapes = {
        split: find_shapes(asked.shapes, split=split) for split in (asked.train_split, asked.test_split)
    }
    points: list[Point] = []
    failed: dict[str, str] = {}
    for value in asked.values:
        kept, unknown = _photos(asked, photos[asked.train_split], value)
        place = out / f"{asked.what}-{value}"
        lists = (place / "photos.csv", place / "shapes.csv")
        most = value if asked.what == "views" else 0
        _write_list(lists[0], [(asked.train_split, kept), (asked.test_split, photos[asked.test_split])])
        _write_list(lists[1], [(split, _with_views(found, most)) for split, found in shapes.items()])
        progress.note(f"{TITLES[asked.what]}: {value}")
        done = compare(lists[0], lists[1], place / "rows", out / "features")
        failed |= {f"{value}, {name}, seed {seed}": why for (name, seed), why in done.failed.items()}
        points += _points(done, value, unknown)
    return points, failed


def _photos(asked: Varying, photos: Collection, value: int) -> tuple[Collection, tuple[str, ...]]:
    """Return the photos to train on, and the classes that lose theirs."""
    if asked.what == "labels":
        kept = tuple(
            one
            for label in range(len(photos.classes))
            for one in _first([item for item in photos.items if item.label == label], value)
        )
        return replace(photos, items=kept), ()
    if asked.what == "unlabelled":
        count = round(len(photos.classes) * value / 100)
        if count > len(photos.classes) - 2:
            raise HifaError(f"--values {value}: of {len(photos.classes)} classes two must keep their photos")
        order = sorted(photos.classes, key=_order)
        gone = {photos.classes.index(name) for name in order[:count]}
        kept = tuple(one for one in photos.items if one.label not in gone)
        return replace(photos, items=kept), tuple(order[:count])
    return photos, ()


def _first(items: Sequence[Item], count: int) -> list[Item]:
    return sorted(items, key=lambda one: _order(one.id))[:count]


def _order(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _with_views(shapes: Collection, most: int) -> Collection:
    """Return shapes with at most so many views, evenly around them; 0 leaves all.

    Raises:
        HifaError: a shape has fewer.
    """
    if not most:
        return shapes
    fewest = min((len(one.views) for one in shapes.items), default=0)
    if most > fewest:
        raise HifaError(f"--values {most}: a shape has {fewest} views")
    return replace(
        shapes,
        items=tuple(one._replace(views=one.views[:: len(one.views) // most][:most]) for one in shapes.items),
    )


def _write_list(path: Path, splits: Sequence[tuple[str, Collection]]) -> None:
    """Write a list that names every view of every item, whole or not at all, and only if it changes."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("path", "class", "split", "id"))
    for split, found in splits:
        for item in found.items:
            name = found.classes[item.label] if item.label >= 0 else ""
            table.writerows((view.resolve(), name, split, item.id) for view in item.views)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text.getvalue():
        write_text(path, text.getvalue())


def _points(done: Comparison, value: int, unknown: tuple[str, ...]) -> list[Point]:
    """Return the scores of every row: of all photos, and of known and unknown classes apart."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for (name, seed), scored in done.scores.items():
        parts: dict[str, Mapping[str, Any]] = {"all": scored}
        if unknown:
            export = read_export(Path(done.plan.jobs[name, seed].folder) / "test.h5")
            both = zip(("known", "unknown"), apart(export, unknown), strict=True)
            profile = done.shared.profile
            parts |= {part: evaluate(one, profile=profile, whole_list=False).to_dict() for part, one in both}
        for part, scores in parts.items():
            row = found.setdefault((name, part), {metric: [] for metric in METRICS})
            for metric in METRICS:
                row[metric].append(float(scores[metric]))
    return [Point(name, value, part, scores) for (name, part), scores in found.items()]


def tables(asked: Varying, points: Sequence[Point]) -> list[Table]:
    """Return a table a part: rows down, values across, NN and FT as mean ± sample deviation."""
    found = []
    for part in ("all", "known", "unknown"):
        mine = [one for one in points if one.part == part]
        if not mine:
            continue
        columns = tuple(f"{metric} {value}" for metric in METRICS for value in asked.values)
        rows = []
        for name in dict.fromkeys(one.row for one in mine):
            of_row = [one for one in mine if one.row == name]
            cells = {f"{metric} {one.value}": one.scores[metric] for one in of_row for metric in METRICS}
            rows.append(
                Row(
                    name,
                    {column: float(np.mean(scores)) for column, scores in cells.items()},
                    deviations={
                        column: float(np.std(scores, ddof=1))
                        for column, scores in cells.items()
                        if len(scores) > 1
                    },
                )
            )
        title = TITLES[asked.what] + ("" if part == "all" else f", photos of {part} classes")
        note = "Mean ± sample deviation over the seeds. ANMRR: lower is better."
        found.append(Table("method", columns, tuple(rows), title=title, note=note))
    return found


def document(asked: Varying, points: Sequence[Point], failed: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON document of ``hifa compare --vary``.

    Args:
        asked: what is varied.
        points: the scores.
        failed: the reason of each job that failed.

    Returns:
        ``vary``, ``values``, ``points`` and ``failed``.
    """
    return {
        "schema": 1,
        "vary": asked.what,
        "values": list(asked.values),
        "points": [one._asdict() for one in points],
        "failed": dict(failed),
    }


def write_varied(asked: Varying, points: Sequence[Point], failed: Mapping[str, str], out: Path) -> list[Path]:
    """Write ``vary.json``, ``.csv``, ``.md`` and the figure.

    Args:
        asked: what is varied.
        points: the scores.
        failed: the reason of each job that failed.
        out: folder.

    Returns:
        The files.

    Raises:
        HifaError: the folder cannot be written to.
    """
    stem = out / STEM
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("row", asked.what, "part", "metric", "run", "score"))
    for one in points:
        for metric, scores in one.scores.items():
            table.writerows(
                (one.row, one.value, one.part, metric, run, score) for run, score in enumerate(scores)
            )
    written = {
        ".json": json.dumps(document(asked, points, failed), indent=2, ensure_ascii=False) + "\n",
        ".csv": text.getvalue(),
        ".md": to_markdown(tables(asked, points)),
    }
    for ending, content in written.items():
        write_text(stem.with_suffix(ending), content)
    return [*(stem.with_suffix(ending) for ending in written), *_write_figures(asked, points, stem)]


def _write_figures(asked: Varying, points: Sequence[Point], stem: Path) -> list[Path]:
    from hifa_cli.viz.figures import save, style, varied_figure

    if not points:
        return []
    apart = any(one.part != "all" for one in points)
    panels = [("FT", "all"), ("FT", "known"), ("FT", "unknown")] if apart else [("NN", "all"), ("FT", "all")]
    lines = {
        metric if part == "all" else f"{metric}, {part} classes": {
            name: [(one.value, one.scores[metric]) for one in points if (one.row, one.part) == (name, part)]
            for name in dict.fromkeys(one.row for one in points)
        }
        for metric, part in panels
    }
    paths = [stem.with_suffix(ending) for ending in FIGURES]
    with style():
        figure = varied_figure(lines, TITLES[asked.what])
        for path in paths:
            save(figure, path)
    return paths


def checked_values(what: Varied, text: str | None) -> tuple[int, ...]:
    """Return the values that are asked for, or the usual ones.

    Raises:
        ValueError: they are not whole numbers, or out of range.
    """
    if text is None:
        return VALUES[what]
    values = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    least, most = (0, 99) if what == "unlabelled" else (1, 1_000_000)
    if not values or min(values) < least or max(values) > most:
        raise ValueError(f"values from {least} to {most}")
    return values
