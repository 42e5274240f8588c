"""The parts of a layout: how a data set is recognised, and where it says class, id and split."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hifa_cli.data.items import Candidate
from hifa_cli.data.tree import clean
from hifa_cli.errors import HifaError

EXAMPLES = 3  # that a remark names
ABOVE = 3  # folders above the given one in which a set's lists are looked for
_LARGEST = 1 << 31  # bytes of an unpacked list; Objaverse's largest has 200 MB


class Named(NamedTuple):
    """A mesh and the id that its layout gives it: ``[split/][class/]name``."""

    id: str
    path: Path


class Laid(NamedTuple):
    """The meshes of a tree under one layout.

    Attributes:
        shapes: the meshes that are drawn, by id.
        spare: further files of the same shapes, such as earlier steps of a construction.
        strangers: meshes that do not follow the layout.
        remarks: what the layout has to say, such as a list that is not there.
    """

    shapes: Sequence[Named]
    spare: Sequence[Path] = ()
    strangers: Sequence[Path] = ()
    remarks: Sequence[str] = ()


class Tree:
    """A folder, its meshes, and the lists of a data set that lie in it or above it."""

    def __init__(self, root: Path, meshes: Sequence[Path] = ()) -> None:
        self.root = root
        self.meshes = meshes

    @cached_property
    def whole(self) -> dict[Path, str]:
        """Return the absolute path of every mesh, so that a tree is known from every level of it."""
        base = self.root.absolute()
        return {path: (base / path.relative_to(self.root)).as_posix() for path in self.meshes}

    def nearby(self, *names: str) -> Path | None:
        """Return the first of some files in the root or in a folder above it; a name may have ``/``."""
        base = self.root.absolute()
        for folder in (base, *list(base.parents)[:ABOVE]):
            for name in names:
                if (path := folder / name).is_file():
                    return path
        return None


class Layout(NamedTuple):
    """One row of the table of layouts.

    Attributes:
        name: as ``--layout`` takes it.
        title: as people call the set.
        recognised: what a tree must have, in words.
        says: where class, id and split come from, in words.
        evidence: who else reads the set so; "from memory" where nobody was found.
        fits: whether a tree is this set's.
        meshes: places the meshes; None where the set has none.
        photos: finds the photos where folders do not tell it all.
        views: finds the rendered shapes likewise.
        pairs: photo ids and the id of the mesh that each shows.
    """

    name: str
    title: str
    recognised: str
    says: str
    evidence: str
    fits: Callable[[Tree], bool]
    meshes: Callable[[Tree], Laid] | None = None
    photos: Callable[[Tree], list[Candidate]] | None = None
    views: Callable[[Tree], list[Candidate]] | None = None
    pairs: Callable[[Tree], dict[str, str]] | None = None


Part = Literal["id", "class", "split"]


def named(name: str, class_name: str | None = None, split: str | None = None) -> str:
    """Return the id ``[split/][class/]name``; a ``/`` within a name becomes ``-``.

    Args:
        name: of the item.
        class_name: its class, or None.
        split: its split, or None.

    Returns:
        The id.
    """
    return "/".join(_plain(part) for part in (split, class_name, name) if part)


def _plain(text: str) -> str:
    kept = "".join("-" if letter in "/\\" else letter for letter in clean(text) if letter.isprintable())
    return kept.strip().lstrip(".") or "_"


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file, packed by gzip or not; headers and values without blanks around them.

    Raises:
        HifaError: it cannot be read, or is not a table.
    """
    try:
        rows = csv.DictReader(io.StringIO(_text(path), newline=""), skipinitialspace=True)
        return [
            {str(key).strip(): value.strip() for key, value in row.items() if isinstance(value, str)}
            for row in rows
        ]
    except csv.Error as error:
        raise HifaError(f"{path} is not a CSV table: {error}; download it again") from error


def read_document(path: Path) -> Any:
    """Return what a JSON file holds, packed by gzip or not.

    Raises:
        HifaError: it cannot be read, or is not JSON.
    """
    return _parsed(_text(path), path)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file with one JSON object a line, packed by gzip or not.

    Raises:
        HifaError: it cannot be read, or a line is not JSON.
    """
    found = [_parsed(line, path) for line in _text(path).splitlines() if line.strip()]
    return [one for one in found if isinstance(one, dict)]


def _parsed(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HifaError(f"{path} is not JSON: {error}; download it again") from error


def _text(path: Path) -> str:
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as file:
                content = file.read(_LARGEST + 1)
        else:
            content = path.read_bytes()
        if len(content) > _LARGEST:
            raise HifaError(f"{path} unpacks to more than {_LARGEST >> 30} GB, which no list of a set does")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise HifaError(f"{path} is not UTF-8 text; download it again") from error
    except (OSError, EOFError, zlib.error) as error:
        raise HifaError(f"cannot read {path}: {error}; download it again") from error


def strings(rows: Iterable[Mapping[str, Any]], key: str, value: str) -> dict[str, str]:
    """Return ``row[key]`` → ``row[value]`` of the rows in which both are text that is not empty.

    Args:
        rows: of a list of a data set.
        key: name of the field to look up by.
        value: name of the field that is wanted.

    Returns:
        The texts by key.
    """
    return {
        row[key]: row[value]
        for row in rows
        if isinstance(row.get(key), str) and isinstance(row.get(value), str) and row[key] and row[value]
    }


def objects(document: Any) -> list[dict[str, Any]]:
    """Return the objects of a JSON list; nothing of another document."""
    return [one for one in document if isinstance(one, dict)] if isinstance(document, list) else []
