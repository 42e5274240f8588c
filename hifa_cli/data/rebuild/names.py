"""The parts of the names of MI3DOR's items: ``<class>_<6 digits>_<source>_<id in that source>``."""

import gzip
import re
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

from hifa_cli.data.mi3dor import MI3DOR_CLASSES
from hifa_cli.errors import HifaError
from hifa_cli.runtime import progress

Kind = Literal["image", "shape"]
SourceName = Literal["imagenet", "shapenet", "modelnet", "psb", "ntu"]

LISTS: dict[str, tuple[Kind, str]] = {
    "rgb_list.txt": ("image", "train"),
    "rgb_test_list.txt": ("image", "test"),
    "view_list.txt": ("shape", "train"),
    "view_test_list.txt": ("shape", "test"),
}
_SOURCES: dict[str, SourceName] = {  # as the names spell them; the first misspells ShapeNet
    "ShapNetCore55": "shapenet", "ShapeNetCore55": "shapenet", "ModelNet40": "modelnet",
    "imagenet": "imagenet", "PSB": "psb", "NTU": "ntu",
}  # fmt: skip
_ITEM = re.compile(
    rf"(?P<class>{'|'.join(MI3DOR_CLASSES)})_(?P<number>\d{{6}})_(?P<source>{'|'.join(_SOURCES)})_(?P<id>.+)"
)
_VIEW = re.compile(r"_\d{3}$")


class Origin(NamedTuple):
    """The source of an item of MI3DOR."""

    class_name: str
    source: SourceName
    id: str


class Piece(NamedTuple):
    """An item of the lists."""

    kind: Kind
    split: str
    item: str
    origin: Origin


def origin_of(item: str) -> Origin | None:
    """Return where an item is from, by its name; None where the name is not MI3DOR's."""
    match = _ITEM.fullmatch(item)
    return Origin(match["class"], _SOURCES[match["source"]], match["id"]) if match else None


def read_lists(folder: Path) -> list[Piece]:
    """Return every photo and shape that the published lists name, each once.

    Args:
        folder: holds ``rgb_list.txt``, ``rgb_test_list.txt``, ``view_list.txt`` and
            ``view_test_list.txt`` (or these packed by gzip), with a path and a label a line.

    Raises:
        HifaError: a list is missing, or most of its lines are not MI3DOR's.
    """
    pieces: dict[tuple[Kind, str, str], Piece] = {}
    for name, (kind, split) in LISTS.items():
        strange: dict[str, None] = {}
        for line in _lines(folder, name):
            item, origin = _item(line, views=kind == "shape")
            if origin is not None:
                pieces[kind, split, item] = Piece(kind, split, item, origin)
            elif item:
                strange[item] = None
        found = sum(key[:2] == (kind, split) for key in pieces)
        shown = ", ".join(list(strange)[:3])
        if not found or len(strange) > found:
            raise HifaError(
                f"{folder / name} is not a list of MI3DOR: {len(strange)} of its items have other names "
                f"({shown}); take the lists of Wyyspace1203/MA, data/mi3dor"
            )
        if strange:
            progress.warn(f"{folder / name}: {len(strange)} items have other names and are left out: {shown}")
    return list(pieces.values())


def _item(line: str, *, views: bool) -> tuple[str, Origin | None]:
    """Return the item of a line, by its folder or its file, and where it is from.

    The views of flower pots are called ``pot_flower_pot_…`` in folders without that ``pot_``.
    """
    parts = line.strip().rpartition(" ")[0].replace("\\", "/").split("/")
    stem = parts[-1].rpartition(".")[0]
    names = (*parts[-2:-1], _VIEW.sub("", stem) if views else stem)
    return next(((name, origin) for name in names if (origin := origin_of(name))), (names[-1], None))


def _lines(folder: Path, name: str) -> list[str]:
    for path in (folder / name, folder / f"{name}.gz"):
        if not path.is_file():
            continue
        try:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            return content.decode("utf-8").splitlines()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise HifaError(f"cannot read {path}: {error}; download the lists again") from error
    raise HifaError(
        f"{folder} has no {name}: give the folder of MI3DOR's lists ({', '.join(LISTS)}), as Wyyspace1203/MA "
        "has them in data/mi3dor"
    )
