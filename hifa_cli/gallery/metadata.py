"""A user's table about shapes (CSV, JSON, JSON lines), joined to a gallery's shapes by id or by path."""

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hifa_cli.data.formats import ARCHIVE_SUFFIXES, MESH_SUFFIXES
from hifa_cli.errors import HifaError
from hifa_cli.gallery.fields import MEASURED, OWN, Kind, Value
from hifa_cli.runtime import progress

KEYS = ("id", "path", "shape")  # what may name the shape, the first that a table has
NAMED = 3  # rows and shapes that a report names
_NUMBER = re.compile(r"[+-]?(?!0\d)(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")  # 007 is a name, not a number
_FLAGS = {"true": True, "false": False}


@dataclass
class Metadata:
    """A table about shapes.

    Attributes:
        path: where it was read.
        rows: of each row what names its shape, and its values by field.
        kinds: of the fields.
        report: what :meth:`joined` found: counts, and the first that were not joined.
    """

    path: Path
    rows: list[tuple[str, dict[str, Value]]]
    kinds: dict[str, Kind]
    report: dict[str, Any] = field(default_factory=dict)

    def joined(
        self, ids: Sequence[str], paths: Sequence[str], roots: Sequence[Path]
    ) -> dict[str, tuple[Kind, Mapping[int, Value]]]:
        """Join the rows to shapes, and say what could not be joined.

        Args:
            ids: of the shapes.
            paths: of their meshes below ``roots``; empty where there is none.
            roots: of each shape.

        Returns:
            Of each field its kind, and values by the shape's number.
        """
        places = _places(ids, paths, roots)
        found: dict[int, dict[str, Value]] = {}
        lost, twice = [], []
        for key, values in self.rows:
            row = self._row(key, places)
            if row is None:
                lost.append(key)
                continue
            if row in found:
                twice.append(key)
            found[row] = values
        without = [name for row, name in enumerate(ids) if row not in found]
        self.report = {
            "file": str(self.path), "joined": len(found), "rows_without_shape": len(lost),
            "first_rows_without_shape": lost[:NAMED], "shapes_without_row": len(without),
            "first_shapes_without_row": without[:NAMED], "repeated": len(twice),
        }  # fmt: skip
        self._say(lost, without, twice)
        return {
            name: (kind, {row: values.get(name) for row, values in found.items()})
            for name, kind in self.kinds.items()
        }

    def _row(self, key: str, places: Mapping[str, int]) -> int | None:
        """Return the number of the shape that a row names by id or by path; None if no shape is meant."""
        plain = key.replace("\\", "/").removeprefix("./")
        for one in (key, plain, _stem(plain), str((self.path.parent / plain).resolve())):
            if (row := places.get(one)) is not None:
                return row
        return None

    def _say(self, lost: Sequence[str], without: Sequence[str], twice: Sequence[str]) -> None:
        for count, names, what in (
            (len(lost), lost, "rows name no shape of the gallery"),
            (len(without), without, "shapes have no row"),
            (len(twice), twice, "rows name a shape again, and the last one counts"),
        ):
            if count:
                more = ", …" if count > NAMED else ""
                progress.warn(f"{self.path}: {count} {what}: {', '.join(names[:NAMED])}{more}")


def _places(ids: Sequence[str], paths: Sequence[str], roots: Sequence[Path]) -> dict[str, int]:
    """Return the shapes by all that may name them; an id goes before a path, a path before its stem."""
    places: dict[str, int] = {}
    for row, path in enumerate(paths):
        if path:
            places.setdefault(_stem(path), row)
    for row, (path, root) in enumerate(zip(paths, roots, strict=True)):
        if path:
            places |= {path: row, str((root / path).resolve()): row}
    return places | {name: row for row, name in enumerate(ids)}


def _stem(path: str) -> str:
    """Return a path without a mesh's ending, which may be double (``.obj.gz``)."""
    for endings in (ARCHIVE_SUFFIXES, MESH_SUFFIXES):
        head, dot, ending = path.rpartition(".")
        if f"{dot}{ending}".lower() in endings:
            path = head
    return path


def read_metadata(path: Path) -> Metadata:
    """Read a table about shapes.

    Args:
        path: CSV with a heading; JSON (a list of objects, or an object of objects by id); or JSON lines.

    Raises:
        HifaError: it cannot be read, or no column names the shapes.
    """
    path = Path(path)
    readers = {".csv": _csv, ".json": _json, ".jsonl": _jsonl, ".ndjson": _jsonl}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise HifaError(f"{path}: metadata is read from .csv, .json or .jsonl, not '{path.suffix}'")
    try:
        text = path.read_text(encoding="utf-8-sig")
        records = list(reader(text))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8: save it as UTF-8"
        raise HifaError(f"{path}: cannot be read: {reason}") from error
    except (ValueError, csv.Error, RecursionError) as error:
        raise HifaError(f"{path}: is not {path.suffix[1:].upper()}: {error}") from error
    return _metadata(path, records)


def _csv(text: str) -> Iterator[dict[str, Any]]:
    lines = csv.DictReader(text.splitlines(keepends=True), restkey="", strict=True)
    for record in lines:
        if record.get(""):
            raise ValueError(f"line {lines.line_num} has more cells than the heading")
        yield {name: _parsed_cell(cell) for name, cell in record.items() if name}


def _parsed_cell(cell: str | None) -> str | None:
    return None if cell is None or not cell.strip() else cell.strip()


def _json(text: str) -> Iterator[dict[str, Any]]:
    document = json.loads(text)
    if isinstance(document, dict):
        document = [
            {"id": name, **values} if isinstance(values, dict) else values
            for name, values in document.items()
        ]
    if not isinstance(document, list):
        raise ValueError("give a list of objects, or an object of objects by id")
    yield from (_record(one, f"entry {number}") for number, one in enumerate(document, 1))


def _jsonl(text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _record(json.loads(line), f"line {number}")


def _record(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not an object")
    return value


def _metadata(path: Path, records: Sequence[dict[str, Any]]) -> Metadata:
    """Return a table of values of one kind a field.

    Raises:
        HifaError: no column names the shapes.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    key = next((name for wanted in KEYS for name in names if name.lower() == wanted), None)
    if key is None:
        raise HifaError(
            f"{path}: no column names the shapes: call one 'id' or 'path' "
            f"(it has {', '.join(names) or 'none'})"
        )
    fields = {name: _field_name(name) for name in names if name != key}
    kinds: dict[str, Kind] = {}
    columns: dict[str, list[Value]] = {}
    for name, known in fields.items():
        kinds[known], columns[known] = _typed(
            [record.get(name) for record in records], csv=path.suffix.lower() == ".csv"
        )
    rows = [
        (str(record[key]), {known: columns[known][number] for known in fields.values()})
        for number, record in enumerate(records)
        if record.get(key) is not None
    ]
    return Metadata(path, rows, kinds)


def _field_name(name: str) -> str:
    """Return the name of a column as a field; those that hifa has itself stay hifa's."""
    return f"metadata.{name}" if name in MEASURED or name in OWN else name


def _typed(cells: Sequence[Any], *, csv: bool) -> tuple[Kind, list[Value]]:
    """Return the kind of a column and its values: numbers or flags if all are such, else text."""
    known = [one for one in cells if one is not None]
    if csv and known and all(_NUMBER.fullmatch(one) for one in known):
        return "number", [None if one is None else _finite(float(one)) for one in cells]
    if csv and known and all(one.lower() in _FLAGS for one in known):
        return "flag", [None if one is None else _FLAGS[one.lower()] for one in cells]
    if known and all(isinstance(one, bool) for one in known):
        return "flag", list(cells)
    if known and all(isinstance(one, int | float) and not isinstance(one, bool) for one in known):
        return "number", [None if one is None else _finite(one) for one in cells]
    return "text", [None if one is None else _text(one) for one in cells]


def _finite(number: float) -> float | None:
    try:
        return float(number) if math.isfinite(number) else None
    except OverflowError:
        return None


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode("utf-8")
