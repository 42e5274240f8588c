"""Values that the shell completes: names from our own tables, and what a gallery holds.

Choices of a ``Literal`` are completed by Typer itself. Nothing here imports torch, and nothing here fails: a
shell that completes must not print errors.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

MOST = 200  # candidates that a shell is given


def devices(incomplete: str) -> list[str]:
    """Return the devices by name."""
    return _fitting(("auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps"), incomplete)


def axes(incomplete: str) -> list[str]:
    """Return the axes, also behind a pattern: ``*.obj=y``."""
    pattern, equals, _ = incomplete.rpartition("=")
    return _fitting((f"{pattern}{equals}{axis}" for axis in ("auto", "x", "y", "z")), incomplete)


def methods(incomplete: str) -> list[tuple[str, str]]:
    """Return the training methods, with a line about each."""
    from hifa_cli.methods.registry import METHODS

    return [(name, one.about) for name, one in METHODS.items() if name.startswith(incomplete)]


def rows(incomplete: str) -> list[str]:
    """Return the rows of a comparison, behind the commas that are there."""
    from hifa_cli.methods.registry import METHODS

    before, comma, _ = incomplete.rpartition(",")
    return _fitting((f"{before}{comma}{name}" for name in (*METHODS, "frozen", "jgsa", "meda")), incomplete)


def backbones(incomplete: str) -> list[str]:
    """Return the backbones that have a short name; every other timm name works as well."""
    from hifa_cli.models.backbones import named

    return _fitting(named(), incomplete)


def weights(incomplete: str) -> list[str]:
    """Return the words for weights; files are completed by the shell."""
    return _fitting(("imagenet", "none"), incomplete)


def splits(incomplete: str) -> list[str]:
    """Return the usual names of splits."""
    return _fitting(("train", "test", "validation"), incomplete)


def metrics(incomplete: str) -> list[str]:
    """Return the metrics, behind the commas that are there."""
    from hifa_cli.evaluation.metrics import METRICS, WHOLE_LIST

    before, comma, _ = incomplete.rpartition(",")
    names = ("all",) if not comma else ()
    known = (*names, *METRICS, *WHOLE_LIST)
    return _fitting((f"{before}{comma}{name}" for name in known), incomplete)


def figures(incomplete: str) -> list[str]:
    """Return the file's name with each ending that a figure can have."""
    stem = incomplete.rpartition(".")[0] or incomplete or "figure"
    return _fitting((f"{stem}.{ending}" for ending in ("png", "pdf", "svg")), incomplete)


def layouts(incomplete: str) -> list[str]:
    """Return the names of the layouts of data sets."""
    from hifa_cli.data.layouts import NAMES

    return _fitting(NAMES, incomplete)


def classes(context: typer.Context, incomplete: str) -> list[str]:
    """Return the classes of the gallery that the line names, as far as it is typed."""
    try:
        text = (_gallery(context) / "gallery.json").read_text(encoding="utf-8")
        return _fitting(map(str, json.loads(text)["classes"]), incomplete)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []


def shapes(context: typer.Context, incomplete: str) -> list[str]:
    """Return ids of shapes of the gallery that the line names."""
    from hifa_cli.errors import HifaError
    from hifa_cli.gallery import read_gallery

    try:
        return _fitting(iter(read_gallery(_gallery(context)).ids), incomplete)
    except (HifaError, OSError, ValueError, LookupError, TypeError):
        return []


def verbs(context: typer.Context, incomplete: str) -> list[str]:
    """Return the verbs, for ``hifa help``."""
    group: Any = context.find_root().command
    return _fitting(group.commands, incomplete)


def _gallery(context: typer.Context) -> Path:
    """Return the gallery on the line: ``-g``, ``--out``, or the one argument.

    Raises:
        LookupError: none is there yet.
    """
    given = context.params.get("gallery") or context.params.get("out") or context.params.get("sources")
    if isinstance(given, list | tuple):
        given = given[0] if given else None
    if given is None:
        raise LookupError("no gallery on the line")
    return Path(given)


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    found = []
    for name in names:
        if name.startswith(incomplete):
            found.append(name)
            if len(found) == MOST:
                break
    return found
