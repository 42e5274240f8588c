"""Division of work into parts by the ids of its items, and the parts that are finished, kept on disk."""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hifa_cli.runtime.atomic import written_folder
from hifa_cli.runtime.lock import LOCK_FILE

T = TypeVar("T")

EACH = 256  # items of a part, about
_MOST = 4096  # parts by default
_WARNINGS = "warnings.json"  # of a finished part


def number_of(name: str, of: int) -> int:
    """Return the number, from 1, of the part, of so many, that the item with an id belongs to."""
    digest = hashlib.blake2b(name.encode("utf-8", "backslashreplace"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % of + 1


def parts_for(ids: Sequence[str], wanted: int | None) -> int:
    """Return how many parts are made of items: as many as are wanted, or fewer, so that none is empty."""
    count = min(wanted or max(1, min(_MOST, len(ids) // EACH)), max(len(ids), 1))
    while count > 1 and len({number_of(name, count) for name in ids}) < count:
        count -= 1
    return count


def divided(items: Iterable[T], count: int, name: Callable[[T], str]) -> dict[int, list[T]]:
    """Divide items into parts; each stays in the order of the items.

    Args:
        items: of all parts.
        count: of the parts.
        name: the id of an item.

    Returns:
        The items of each part, by its number from 1.
    """
    parts: dict[int, list[T]] = {number: [] for number in range(1, count + 1)}
    for item in items:
        parts[number_of(name(item), count)].append(item)
    return parts


def digest_of(*parts: Any) -> str:
    """Return a digest of what can be written as JSON, or as text."""
    text = json.dumps(parts, default=str, ensure_ascii=True, sort_keys=True)
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def state_of(path: Path) -> tuple[str, int, int]:
    """Return what a file is known by, as for ``make``: its path, size and time of change."""
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


class KeptParts:
    """A folder of finished parts, each a folder under a name made of all that it depends on.

    Args:
        folder: made when the first part is finished.
        names: of the parts that are wanted, by their numbers; parts of other names are removed.
    """

    def __init__(self, folder: Path, names: Mapping[int, str]) -> None:
        self.folder, self._names = folder, names
        wanted = set(names.values())
        for place in folder.glob("*") if folder.is_dir() else ():
            if place.name not in wanted:
                shutil.rmtree(place, ignore_errors=True)

    def place(self, number: int) -> Path:
        """Return the folder of a part, finished or not."""
        return self.folder / self._names[number]

    def todo(self) -> list[int]:
        """Return the numbers of the parts that are not finished: a part appears whole."""
        return [number for number in self._names if not self.place(number).is_dir()]

    def keep(self, number: int, content: bytes, warnings: Sequence[str]) -> None:
        """Write a finished part.

        Args:
            number: of the part.
            content: its folder, as :func:`packed` has it.
            warnings: what its work warned of.
        """
        with written_folder(self.place(number)) as place:
            unpack(content, place)
            (place / _WARNINGS).write_text(json.dumps(warnings), encoding="utf-8")

    def warnings(self, number: int) -> list[str]:
        """Return what the work of a finished part warned of."""
        found: list[str] = json.loads((self.place(number) / _WARNINGS).read_text(encoding="utf-8"))
        return found

    def remove(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)


def packed(folder: Path, *, only: Collection[str] = (), without: Collection[str] = ()) -> bytes:
    """Return the files of a folder as an archive, the same bytes for the same files.

    Args:
        folder: what is packed.
        only: names directly in it that are wanted, if there; by default all.
        without: names directly in it that are left out.

    Returns:
        A ZIP file.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            first = inside.parts[0]
            if path.is_file() and (not only or first in only) and first not in (*without, LOCK_FILE):
                archive.writestr(zipfile.ZipInfo(inside.as_posix()), path.read_bytes())  # without its time
    return content.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Write what :func:`packed` has made into a folder; no name leads out of it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)


def files_in(content: bytes) -> dict[str, bytes]:
    """Return the files of what :func:`packed` has made, by their names."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
