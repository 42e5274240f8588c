"""Kinds of queries: photos, folders, patterns, lists, standard input, meshes."""

import glob
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image

from hifa_cli.data import find_images, is_mesh, read_picture
from hifa_cli.data.lists import LIST_SUFFIXES
from hifa_cli.data.tree import is_picture, walk
from hifa_cli.errors import HifaError
from hifa_cli.runtime import progress
from hifa_cli.runtime.kinds import kind_of, refuse_other

STDIN = "-"
MOST_STDIN = 500_000_000  # bytes of a photo from standard input


class Box(NamedTuple):
    """A part of a photo in pixels, of the photo as it stands upright."""

    left: int
    top: int
    width: int
    height: int


class Query(NamedTuple):
    """One thing to look for.

    Attributes:
        name: as it was given.
        path: the picture or the mesh.
        class_name: what it shows, where a folder or a list says so.
    """

    name: str
    path: Path
    class_name: str | None = None

    @property
    def is_mesh(self) -> bool:
        """Return whether it is a shape and not a photo."""
        return is_mesh(self.path)


def find_queries(
    words: Sequence[str],
    scratch: Path,
    *,
    stdin: BinaryIO | None = None,
    absent: list[tuple[str, str]] | None = None,
) -> list[Query]:
    """Return what the command line asks for, in the order given, each once.

    Args:
        words: photos, meshes, folders of photos, patterns (``'shots/*.jpg'``), lists of photos
            (``@list.txt``; CSV, TSV and JSON too), or ``-`` for one photo from standard input.
        scratch: folder for what comes from standard input; it must outlive the queries.
        stdin: standard input, by default this process's.
        absent: takes the words at which nothing can be looked for, each with its reason; without it
            the first of them ends the search.

    Returns:
        Queries with the names that the user gave them.

    Raises:
        HifaError: something is not there, or holds nothing; with ``absent`` only where nothing else is.
    """
    found: dict[str, Query] = {}
    for word in words:
        try:
            for query in _of(word, scratch, stdin):
                found.setdefault(query.name, query)
        except HifaError as error:
            if absent is None:
                raise
            absent.append((word, str(error)))
    if absent and not found:
        raise HifaError(absent[0][1])
    for _, reason in absent or ():
        progress.warn(reason)
    return list(found.values())


def _of(word: str, scratch: Path, stdin: BinaryIO | None) -> list[Query]:
    if word == STDIN:
        return [Query(STDIN, _from_stdin(scratch, stdin or sys.stdin.buffer))]
    if word.startswith("@"):
        return _collected(_list(Path(word[1:])))
    if "://" in word:
        raise HifaError(
            f"{word} is a URL, and hifa reads files: 'curl -s URL | hifa query - -g GALLERY' works"
        )
    path = Path(word)
    if path.is_dir():
        return _meshes(path) or _collected(path)
    if path.exists():
        refuse_other(path, wanted="a photo")
        return [Query(word, path)]
    if glob.has_magic(word):
        matches = sorted(glob.glob(word, recursive=True))  # noqa: PTH207 - patterns may be absolute
        if not matches:
            raise HifaError(f"nothing fits the pattern {word}: check the path")
        return [query for match in matches for query in _of(match, scratch, stdin)]
    raise HifaError(f"no photo at {word}: check the path")


def _list(path: Path) -> Path:
    if not path.is_file():
        raise HifaError(f"no list at {path}: check the path")
    if path.suffix.lower() not in LIST_SUFFIXES:
        raise HifaError(f"{path} is not a list: end it in {', '.join(sorted(LIST_SUFFIXES))}")
    return path


def _meshes(place: Path) -> list[Query]:
    """The meshes of a folder that holds no photos; a folder that hifa wrote is refused by its reader."""
    if kind_of(place) is not None:
        return []
    names = [folder.path / name for folder in walk(place, []) for name in folder.files]
    if any(is_picture(path.name) for path in names):
        return []
    return [Query(str(path), path) for path in names if is_mesh(path)]


def _collected(place: Path) -> list[Query]:
    """Return the photos of a folder or a list, with their classes where it tells them."""
    photos = find_images(place)
    photos.report()
    return [
        Query(str(item.views[0]), item.views[0], photos.classes[item.label] if item.label >= 0 else None)
        for item in photos.items
    ]


def _from_stdin(scratch: Path, stdin: BinaryIO) -> Path:
    content = stdin.read(MOST_STDIN + 1)
    if not content:
        raise HifaError("standard input is empty: pipe a photo into 'hifa query -'")
    if len(content) > MOST_STDIN:
        raise HifaError(f"standard input has more than {MOST_STDIN // 1_000_000} MB: give one photo")
    path = scratch / "stdin"
    path.write_bytes(content)
    return path


def parse_box(text: str) -> Box:
    """Return ``x,y,w,h`` in pixels.

    Raises:
        ValueError: it is none.
    """
    numbers = [int(part) for part in text.split(",")]
    if len(numbers) != 4 or min(numbers) < 0 or not numbers[2] or not numbers[3]:
        raise ValueError(f"'{text}' is not an x,y,w,h in pixels, such as 120,40,300,300")
    return Box(*numbers)


def read_query(query: Query, crop: Box | None) -> Image.Image:
    """Return a query's photo, upright, or the part of it that is wanted.

    Raises:
        HifaError: it cannot be read, or lies outside the part.
    """
    picture = read_picture(query.path)
    if crop is None:
        return picture
    right, bottom = min(crop.left + crop.width, picture.width), min(crop.top + crop.height, picture.height)
    if crop.left >= right or crop.top >= bottom:
        raise HifaError(
            f"--crop {','.join(map(str, crop))} lies outside {query.name}, "
            f"which has {picture.width} x {picture.height} pixels"
        )
    return picture.crop((crop.left, crop.top, right, bottom))
