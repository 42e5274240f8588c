"""Files, classes and splits, as the names in a folder say them."""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hifa_cli.data.items import Problem
from hifa_cli.errors import HifaError
from hifa_cli.runtime.kinds import refuse_url

# fmt: off
PICTURE_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".ppm",
    ".pgm", ".pbm", ".pnm", ".heic", ".heif", ".hif", ".avif",
))
# fmt: on
SPLITS = ("train", "test", "val")

# Folders of MI3DOR and MI3DOR-2 that say which domain lies under them, and not which class.
_MI3DOR_DOMAINS = {"image": "images", "view": "shapes", "model": "meshes"}
_MI3DOR2_DOMAINS = {"2d": "images", "3d": "shapes"}


class Folder(NamedTuple):
    """One folder of a tree: the names on the way to it, its files, how many folders it holds."""

    path: Path
    parts: tuple[str, ...]
    files: tuple[str, ...]
    folders: int


class Place(NamedTuple):
    """The meaning of the folders on the way to a file."""

    class_name: str | None
    split: str | None
    domain: str | None


def clean(name: str) -> str:
    """Return a name as every system spells it: composed Unicode, undecodable bytes marked as such."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return unicodedata.normalize("NFC", text)


def existing_folder(root: Path, wanted: str) -> Path:
    """Return ``root`` where it is a folder.

    Raises:
        HifaError: it does not exist, is a file but not a list, or is a URL.
    """
    refuse_url(root)
    if not root.exists():
        raise HifaError(
            f"'{root}' does not exist: give the folder of {wanted}, or a CSV, JSON or text list of them"
        )
    if not root.is_dir():
        raise HifaError(
            f"{root} is neither a folder of {wanted} nor a list of them (.csv, .tsv, .json, .txt)"
        )
    return root


def walk(root: Path, problems: list[Problem]) -> Iterator[Folder]:
    """Yield every folder under ``root`` and itself, in the order of names; hidden ones are left out.

    Links are followed, but never back into a folder that one is in. A folder that cannot be read is
    noted in ``problems``, and so are links that lead nowhere, all in one.
    """
    broken: list[str] = []
    yield from _walk(root, (), frozenset(), problems, broken)
    if broken:
        shown = ", ".join(broken[:3]) + (", …" if len(broken) > 3 else "")
        reason = f"{len(broken)} links lead nowhere" if len(broken) > 1 else "a link leads nowhere"
        problems.append(Problem(str(root), f"{reason}; left out: {shown}"))


def _walk(
    folder: Path,
    parts: tuple[str, ...],
    inside: frozenset[tuple[int, int]],
    problems: list[Problem],
    broken: list[str],
) -> Iterator[Folder]:
    try:
        status = folder.stat()
        if (identity := (status.st_dev, status.st_ino)) in inside:
            problems.append(Problem(str(folder), "links back to a folder above it; not followed"))
            return
        with os.scandir(folder) as scan:
            entries = sorted((entry for entry in scan if _wanted(entry.name)), key=lambda entry: entry.name)
            folders = [entry.name for entry in entries if entry.is_dir()]
            files = tuple(entry.name for entry in entries if entry.is_file())
            broken += [entry.path for entry in entries if entry.is_symlink() and not Path(entry).exists()]
    except OSError as error:
        problems.append(Problem(str(folder), f"cannot be read ({error.strerror}); left out"))
        return
    yield Folder(folder, parts, files, len(folders))
    for name in folders:
        yield from _walk(folder / name, (*parts, name), inside | {identity}, problems, broken)


def _wanted(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def stem(name: str) -> str:
    """Return a file's name without its ending."""
    head, dot, _ = name.rpartition(".")
    return head if dot and head else name


def suffix(name: str) -> str:
    """Return the ending of a file's name in small letters, with its dot."""
    return name[len(stem(name)) :].lower()


def is_picture(name: str) -> bool:
    """Return whether a file's ending is a picture's."""
    return suffix(name) in PICTURE_SUFFIXES


def places(paths: Sequence[tuple[str, ...]]) -> list[Place]:
    """Return the class, split and domain of items, from the folders on the way to each.

    The class is the first folder that is not a split (``train``, ``test``, ``val``, as first or second
    folder) and no domain folder of MI3DOR. A folder ``train`` among other classes, without a ``test``
    beside it, is the class of trains; so is one within ``train`` and ``test`` that hold other classes, too.
    """
    tops = {parts[0].lower() for parts in paths if parts}
    top_splits = tops & set(SPLITS)
    mixed = len(top_splits) == 1 and len(tops) > 1
    mi3dor = len(tops & set(_MI3DOR_DOMAINS)) >= 2
    outer = tops <= set(SPLITS) and any(len(parts) > 1 and parts[1].lower() not in SPLITS for parts in paths)
    return [_place(parts, mixed=mixed, mi3dor=mi3dor, outer=outer) for parts in paths]


def _place(parts: tuple[str, ...], *, mixed: bool, mi3dor: bool, outer: bool) -> Place:
    names = [clean(part) for part in parts]
    domain = split = None
    unpacked = mi3dor or (len(names) > 1 and names[1].lower() in SPLITS)
    if unpacked and names and names[0].lower() in _MI3DOR_DOMAINS:
        domain = _MI3DOR_DOMAINS[names.pop(0).lower()]
    if len(names) == 1 and mixed and names[0].lower() in SPLITS:
        return Place(names[0], None, domain)
    for position in (0, 1):
        if (
            position < len(names)
            and names[position].lower() in SPLITS
            and (outer or not _is_class(names, position))
        ):
            split = names.pop(position).lower()
            break
    if names and names[0].lower() in _MI3DOR2_DOMAINS:
        domain = _MI3DOR2_DOMAINS[names.pop(0).lower()]
        if names and names[0].lower() in ("images", "views"):
            names.pop(0)
    return Place(names[0] if names else None, split, domain)


def _is_class(names: Sequence[str], position: int) -> bool:
    """Return ``train/test/x.jpg``: the first is the class of trains, the second the split."""
    return position == 0 and len(names) > 1 and names[1].lower() in SPLITS


def checked_split(split: str | None) -> str | None:
    """Return ``split`` in small letters.

    Raises:
        HifaError: it is none of ``SPLITS``.
    """
    if split is None or split.lower() in SPLITS:
        return split.lower() if split else None
    raise HifaError(f"the split '{split}' does not exist: choose one of {', '.join(SPLITS)}")
