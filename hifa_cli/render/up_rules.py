"""The up axis as the user says it: for all files, for a pattern of files, or file by file."""

import csv
import glob
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import get_args

from hifa_cli.config import Axis, Up
from hifa_cli.errors import HifaError, reason_of

Rules = tuple[tuple[str, Axis], ...]


class UpRules:
    """Patterns of files and the axis that is up in them; the last that fits a file wins.

    A pattern fits the end of a path, whole names of folders at a time: ``*.obj``, ``vendor/*``,
    ``chair/1.obj``. ``*`` crosses ``/``; capitals make no difference.
    """

    def __init__(self, rules: Sequence[tuple[str, Axis]]) -> None:
        self._plain: dict[str, tuple[int, Axis]] = {}  # a list of 10,000 files costs one look each
        self._patterns: list[tuple[int, str, Axis]] = []
        for number, (pattern, axis) in enumerate(rules):
            wanted = pattern.lower()
            if glob.has_magic(wanted):
                self._patterns.append((number, wanted, axis))
            else:
                self._plain[wanted] = number, axis

    def find(self, path: Path) -> tuple[int, Axis] | None:
        """Return the number of the rule that holds for ``path``, and its axis; None where none does."""
        if not self._plain and not self._patterns:
            return None
        whole = Path(path).absolute().as_posix().lower()
        ends = [whole, *(whole[place + 1 :] for place, letter in enumerate(whole) if letter == "/")]
        found = [self._plain[end] for end in ends if end in self._plain] if self._plain else []
        for number, pattern, axis in self._patterns:
            if fnmatchcase(whole, pattern) or fnmatchcase(whole, f"*/{pattern}"):
                found.append((number, axis))
        return max(found, default=None)


def parse_up(texts: Sequence[str], listed: Path | None = None) -> tuple[Up, Rules]:
    """Read the values of ``--up`` and the file of ``--up-list``.

    Args:
        texts: an axis, ``auto``, or ``PATTERN=AXIS``; of several axes the last holds.
        listed: a CSV file, a path and its axis a line. It is about single files, so it outranks patterns.

    Returns:
        The axis of what no rule fits, and the rules.

    Raises:
        ValueError: a text is none of these.
        HifaError: the list cannot be read.
    """
    up: Up = "auto"
    rules: list[tuple[str, Axis]] = []
    for text in texts:
        pattern, equals, axis = text.rpartition("=")
        if not equals and text in get_args(Up):
            up = text  # type: ignore[assignment]
        elif pattern and axis in get_args(Axis):
            rules.append((_slashes(pattern), axis))  # type: ignore[arg-type]
        else:
            raise ValueError(f"'{text}' is not auto, x, y, z or PATTERN=AXIS such as '*.obj=y'")
    return up, (*rules, *(_read_list(listed) if listed is not None else ()))


def _read_list(path: Path) -> Rules:
    rules: list[tuple[str, Axis]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                cells = [cell.strip() for cell in row]
                if not any(cells) or (number == 1 and cells == ["path", "axis"]):
                    continue
                if len(cells) != 2 or not cells[0] or cells[1].lower() not in get_args(Axis):
                    raise HifaError(f"{path}:{number}: write a path and x, y or z, as in 'chair/1.obj,y'")
                rules.append((glob.escape(_slashes(cells[0])), cells[1].lower()))  # type: ignore[arg-type]
    except OSError as error:
        raise HifaError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise HifaError(f"{path} is not a CSV file: {reason_of(error)}") from error
    return tuple(rules)


def _slashes(pattern: str) -> str:
    return pattern.replace("\\", "/").removeprefix("./")
