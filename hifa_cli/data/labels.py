"""Classes from a ``label.txt`` beside the pictures, as some copies of MI3DOR have them."""

from collections.abc import Callable
from pathlib import Path

from hifa_cli.data.lists import read_list

_NAMES = ("label.txt", "labels.txt")
_HOLDERS = ("images", "views")  # folders beside such a list that are not a class
_DEPTH = 2  # MI3DOR-2's lie two folders down: train/2D/label.txt

Lookup = Callable[[tuple[str, ...]], str | None]


def label_lookup(root: Path) -> Lookup:
    """A function from the parts of a picture's (or shape's) path under ``root`` to its class, if listed.

    The nearest list above the picture counts; its paths are compared by their ends, for they begin
    where somebody else's disk began.
    """
    lists = {path.parent.relative_to(root).parts: _classes(path) for path in _label_files(root)}
    if not lists:
        return lambda parts: None

    def lookup(parts: tuple[str, ...]) -> str | None:
        for depth in range(len(parts) - 1, -1, -1):
            if (known := lists.get(parts[:depth])) is not None:
                inner = parts[depth:]
                return next((known[inner[i:]] for i in range(len(inner)) if inner[i:] in known), None)
        return None

    return lookup


def class_of(listed: str | None, told: str | None) -> str | None:
    """Return the class of an item that a list and its own name or folder speak of.

    The list counts; but a bare number says less than a name, unless the name is of a folder that only
    holds the pictures.
    """
    if listed is None or (told is not None and told.lower() not in _HOLDERS and listed.isdigit()):
        return told
    return listed


def _label_files(root: Path) -> list[Path]:
    patterns = ["/".join(["*"] * depth + [name]) for depth in range(_DEPTH + 1) for name in _NAMES]
    return sorted(path for pattern in patterns for path in root.glob(pattern) if path.is_file())


def _classes(path: Path) -> dict[tuple[str, ...], str]:
    """Every ending of every listed path that is not ambiguous, and the ending of the folder it is in."""
    known: dict[tuple[str, ...], str] = {}
    twice = set()
    for row in read_list(path):
        if row.class_name is None:
            continue
        parts = tuple(part for part in row.paths[0].replace("\\", "/").split("/") if part not in ("", "."))
        for start in range(len(parts)):
            if known.setdefault(parts[start:], row.class_name) != row.class_name:
                twice.add(parts[start:])
        for start in range(max(len(parts) - 1, 0)):  # a shape is called by the folder of its views
            if known.setdefault(parts[start:-1], row.class_name) != row.class_name:
                twice.add(parts[start:-1])
    return {ending: name for ending, name in known.items() if ending not in twice}
