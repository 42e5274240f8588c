"""Lists in place of folders: CSV, TSV, JSON, and the ``path label`` lines of the re-users of MI3DOR."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from hifa_cli.data.items import Problem
from hifa_cli.data.mi3dor import class_names
from hifa_cli.errors import HifaError, reason_of

LIST_SUFFIXES = frozenset((".csv", ".tsv", ".json", ".txt", ".lst"))

_PATHS = ("path", "file", "filename", "image", "photo", "view", "views", "paths")
_CLASSES = ("class", "class_name", "category", "label", "synset")
_IDS = ("id", "shape", "model", "instance", "name")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")  # a class by number
_LONGEST = 4_096  # characters of a path; no system takes more
_CONTROL = frozenset(map(chr, (*range(32), 127)))
_SPLITS = ("split", "set", "subset", "partition")


class Row(NamedTuple):
    """A line of a list: where the pictures are, and what the list says of them."""

    paths: tuple[str, ...]
    class_name: str | None
    id: str | None
    split: str | None


def is_list(path: Path) -> bool:
    """Return whether ``path`` is a file that names pictures."""
    return path.suffix.lower() in LIST_SUFFIXES and path.is_file()


def read_list(path: Path) -> list[Row]:
    """Return the lines of a list.

    CSV and TSV have a header with a column ``path`` and, if they like, ``class``, ``id`` and
    ``split``; JSON is a list of such objects or maps a path to a class; a text file has ``path`` or
    ``path label`` lines. Where every class is a number, numbers are names in MI3DOR's or MI3DOR-2's
    alphabetical order if there are 21 or 40 of them.

    Raises:
        HifaError: it is not text, no such list, or names nothing.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise HifaError(f"{path} is not UTF-8 text: save the list as UTF-8") from error
    except OSError as error:
        raise HifaError(f"cannot read {path}: {error.strerror}") from error
    readers = {".csv": _from_csv, ".tsv": _from_csv, ".json": _from_json}
    rows = readers.get(path.suffix.lower(), _from_lines)(text, path)
    if not rows:
        raise HifaError(
            f"{path} names no picture: write one path a line, or a CSV with the columns path and class"
        )
    return _named(rows)


def _from_lines(text: str, path: Path) -> list[Row]:
    rows = []
    for line in filter(None, map(str.strip, text.splitlines())):
        head, _, tail = line.rpartition(" ") if " " in line else line.rpartition("\t")
        labelled = bool(head) and _WHOLE.fullmatch(tail.strip()) is not None
        row = Row((head.strip() if labelled else line,), tail.strip() if labelled else None, None, None)
        rows.append(_checked(row, path))
    return rows


def _from_csv(text: str, path: Path) -> list[Row]:
    head = text.partition("\n")[0]
    delimiter = max("\t;,", key=head.count)
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(line)]
    except csv.Error as error:
        raise HifaError(f"{path} is not CSV: {reason_of(error)}") from error
    if not lines:
        return []
    header = [name.strip().lower() for name in lines[0]]
    if not set(header) & set(_PATHS):
        header, lines = ["path", "class"], [[], *lines]
    return [_row(dict(zip(header, line, strict=False)), path) for line in lines[1:]]


def _from_json(text: str, path: Path) -> list[Row]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HifaError(f"{path} is not JSON: {reason_of(error)}") from error
    if isinstance(document, dict) and isinstance(document.get("items"), list):
        document = document["items"]
    if isinstance(document, dict):
        document = [{"path": name, "class": value} for name, value in document.items()]
    if not isinstance(document, list):
        raise HifaError(f'{path} is not a list of pictures: write [{{"path": …, "class": …}}, …]')
    return [_row(one if isinstance(one, dict) else {"path": one}, path) for one in document]


def _row(fields: Mapping[str, Any], path: Path) -> Row:
    values = {str(key).lower(): value for key, value in fields.items()}
    found = next((values[key] for key in _PATHS if values.get(key)), None)
    paths: list[Any] = found if isinstance(found, list) else [found]
    if not paths or not all(isinstance(one, str) and one and "\0" not in one for one in paths):
        raise HifaError(f"{path} has an entry without a path: {str(dict(fields))[:80]}")
    return _checked(
        Row(tuple(paths), _text(values, _CLASSES), _text(values, _IDS), _text(values, _SPLITS)), path
    )


def _checked(row: Row, path: Path) -> Row:
    """Return the row, if systems could have such paths and people such names.

    Raises:
        HifaError: they could not.
    """
    for text in filter(None, (*row.paths, row.class_name, row.id, row.split)):
        try:
            text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise HifaError(f"{path} has a name that is not text: {text[:80]!r}") from error
        if len(text) > _LONGEST or not _CONTROL.isdisjoint(text):
            raise HifaError(f"{path} has a path or a name that no system has: {text[:80]!r}")
    return row


def _text(values: Mapping[str, Any], names: Iterable[str]) -> str | None:
    for name in names:
        value = values.get(name)
        if isinstance(value, int) and abs(value) >= 10**18:
            continue
        if isinstance(value, str | int) and str(value).strip():
            return str(value).strip()
    return None


def _named(rows: list[Row]) -> list[Row]:
    """Numbers in place of class names become names."""
    labels = {row.class_name for row in rows if row.class_name is not None}
    if not labels or not all(_WHOLE.fullmatch(label) for label in labels):
        return rows
    names = class_names({int(label) for label in labels})
    return [
        row._replace(class_name=None if row.class_name is None else names.get(int(row.class_name)))
        for row in rows
    ]


class Finder:
    """Finds the pictures of a list: beside it, or where its paths end alike.

    Lists travel: their paths often begin with a folder of the machine they were written on. The
    longest ending of such a path that exists beside the list is taken.
    """

    def __init__(self, folder: Path, problems: list[Problem]) -> None:
        self.folder = folder
        self.problems = problems
        self._dropped = 0  # how many leading folders the last path lost: the next one will lose as many

    def find(self, name: str) -> tuple[Path, str] | None:
        """Return the picture (or folder) and its name in the list.

        None, and a problem noted, if it is absent.
        """
        written = PurePosixPath(name.replace("\\", "/"))
        parts = [part for part in written.parts if part not in ("/", ".")]
        if written.is_absolute() and _exists(Path(written)):
            return Path(written), self._identity(Path(written), parts)
        for dropped in dict.fromkeys((self._dropped, *range(len(parts)))):
            if parts[dropped:] and _exists(path := self.folder.joinpath(*parts[dropped:])):
                self._dropped = dropped
                return path, self._identity(path, parts)
        self.problems.append(Problem(name, f"listed but not there (looked beside {self.folder}); left out"))
        return None

    def _identity(self, path: Path, parts: list[str]) -> str:
        """Return the name relative to the list's folder, or as written where it lies elsewhere."""
        try:
            return path.relative_to(self.folder).as_posix()
        except ValueError:
            return "/".join(part for part in parts if part != ".." and not part.endswith(":"))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for any file
        return False
