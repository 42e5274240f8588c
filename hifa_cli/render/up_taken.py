"""The axis that is taken to be up in a folder's files of a format: looked at once, said, and kept."""

import glob
import json
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from hifa_cli.config import Axis, RenderConfig
from hifa_cli.data.formats import is_looked_at
from hifa_cli.render import up_look
from hifa_cli.render.discover import MeshFile
from hifa_cli.render.up_rules import UpRules
from hifa_cli.render.views import up_axis
from hifa_cli.runtime import progress

ALERT = 0.95  # of the chance of another axis in a folder below, before anybody is bothered
FEW = 4  # files looked at in a folder below, that can speak for it

Key = tuple[str, str]


@dataclass(frozen=True)
class Taken:
    """The up axis that was taken for one folder and format.

    Attributes:
        folder: that was given, resolved.
        format: the files' ending.
        axis: that is taken to be up.
        seen: whether the shapes show it; else it is the format's own.
        looks: files that look so, of those looked at.
        looked: files that were looked at.
        files: all that it holds for.
    """

    folder: str
    format: str
    axis: Axis
    seen: bool
    looks: int
    looked: int
    files: int


def settle_up(
    found: Sequence[MeshFile],
    places: Sequence[Path],
    config: RenderConfig,
    known: Sequence[Taken],
) -> tuple[RenderConfig, list[Taken]]:
    """Take an axis for the files of which nobody has said it, and say so.

    Args:
        found: all meshes.
        places: the files and folders that they were found in.
        config: ``up`` and ``ups`` are what was asked for.
        known: what an earlier run took. What it saw holds; what it left to the format is looked at again.

    Returns:
        The configuration, rules for what was seen put before its own, and what was taken.
    """
    rules = UpRules(config.ups)
    hits = [rules.find(mesh.path) for mesh in found]
    _warn_of_idle(config, {hit[0] for hit in hits if hit})
    if config.up != "auto":
        return config, []
    free = [mesh for mesh, hit in zip(found, hits, strict=True) if hit is None]
    _note_formats([mesh.path for mesh in free if not is_looked_at(mesh.path)], config)
    groups: dict[Key, list[Path]] = defaultdict(list)
    for mesh in free:
        if is_looked_at(mesh.path):
            key = str(_folder(mesh.path, places).resolve()), mesh.path.suffix.lower()
            groups[key].append(mesh.path)
    kept = {(one.folder, one.format): one for one in known if one.seen}
    taken = [_kept(kept[key], paths) if key in kept else _look(key, paths, config)
             for key, paths in groups.items()]  # fmt: skip
    alone = len({folder for folder, _ in groups}) == 1  # then the rules hold wherever the folder moves
    seen = tuple((_pattern(one, alone=alone), one.axis) for one in taken if one.seen)
    return replace(config, ups=(*seen, *config.ups)), taken


def _folder(path: Path, places: Sequence[Path]) -> Path:
    """Return the folder given that a mesh lies in; files that are given themselves belong to their own."""
    return next((Path(one) for one in places if path.is_relative_to(one) and path != Path(one)), path.parent)


def _pattern(one: Taken, *, alone: bool) -> str:
    return f"*{one.format}" if alone else f"{glob.escape(Path(one.folder).as_posix())}/*{one.format}"


def _warn_of_idle(config: RenderConfig, used: set[int]) -> None:
    idle = [pattern for number, (pattern, _) in enumerate(config.ups) if number not in used]
    if idle:
        more = f" and {len(idle) - 1} more" if len(idle) > 1 else ""
        progress.warn(f"--up: no mesh goes by '{idle[0]}'{more}")


def _note_formats(paths: Sequence[Path], config: RenderConfig) -> None:
    kinds = Counter((up_axis(path, config), path.suffix.lower()) for path in paths)
    if kinds:
        said = ", ".join(f"+{axis} in {count} {suffix}" for (axis, suffix), count in sorted(kinds.items()))
        progress.note(f"up, as the format has it: {said} (else say --up)")


def _kept(old: Taken, paths: Sequence[Path]) -> Taken:
    progress.note(f"{_many(paths, old.format)} in {_short(old.folder)} taken as {old.axis}-up, as before")
    return replace(old, files=len(paths))


def _look(key: Key, paths: Sequence[Path], config: RenderConfig) -> Taken:
    folder, suffix = key
    scored = [(path, scores) for path in up_look.sample(paths)
              if (scores := up_look.axis_scores(path)) is not None]  # fmt: skip
    table = np.array([scores for _, scores in scored]).reshape(-1, 3)
    axis = up_look.decide(table)
    votes = Counter(up_look.AXES[int(best)] for best in (table + up_look.PRIOR).argmax(axis=1))
    chosen = axis or up_axis(paths[0], config)
    one = Taken(folder, suffix, chosen, axis is not None, votes[chosen], len(table), len(paths))
    progress.note(_told(one, paths))
    _warn_of_others(one, scored)
    return one


def _told(one: Taken, paths: Sequence[Path]) -> str:
    other = "z" if one.axis == "y" else "y"
    head = f"{_many(paths, one.format)} in {_short(one.folder)} taken as {one.axis}-up"
    remedy = f"say --up {other} if they lie on their side"
    of = f"{one.looks} of {one.looked}" + (" looked at" if one.looked < one.files else "")
    if one.seen:
        return f"{head}: {of} look upright so; {remedy}"
    if not one.looked:
        return f"{head}, as {one.format} files usually are: none could be looked at; {remedy}"
    return f"{head}, as {one.format} files usually are: their shapes do not show it ({of} look so); {remedy}"


def _warn_of_others(one: Taken, scored: Sequence[tuple[Path, up_look.Numbers]]) -> None:
    """Warn of folders below whose files look otherwise: they may come from another program."""
    below: dict[str, list[up_look.Numbers]] = defaultdict(list)
    for path, scores in scored:
        parts = Path(os.path.relpath(path.absolute(), one.folder)).parts
        if len(parts) > 1 and parts[0] != os.pardir:
            below[parts[0]].append(scores)
    for name, scores_of in below.items():
        chances = up_look.folder_chances(np.array(scores_of))
        best = up_look.AXES[int(chances.argmax())]
        if len(below) > 1 and len(scores_of) >= FEW and best != one.axis and chances.max() >= ALERT:
            progress.warn(
                f"{name}/ in {_short(one.folder)} looks {best}-up, the rest is taken as {one.axis}-up: "
                f"say --up '{name}/*={best}' if so"
            )


def _many(paths: Sequence[Path], suffix: str) -> str:
    return f"{len(paths)} {suffix} file{'s' * (len(paths) > 1)}"


def _short(folder: str) -> str:
    return f"{Path(folder).name}/"


def read_taken(settings: Path) -> list[Taken]:
    """Return what ``views.json`` says was taken; what is damaged is looked at again."""
    try:
        return valid_taken(json.loads(settings.read_text(encoding="utf-8"))["up_taken"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []


def valid_taken(rows: Any) -> list[Taken]:
    """Return what a document says was taken, without what is damaged."""
    return [one for row in rows if (one := _valid(row)) is not None] if isinstance(rows, list) else []


def _valid(row: Any) -> Taken | None:
    kinds: dict[str, type] = {"folder": str, "format": str, "axis": str, "seen": bool,
                              "looks": int, "looked": int, "files": int}  # fmt: skip
    if not isinstance(row, dict) or row.keys() != kinds.keys() or row["axis"] not in get_args(Axis):
        return None
    return Taken(**row) if all(type(row[name]) is kind for name, kind in kinds.items()) else None


def joined(old: Sequence[Taken], new: Sequence[Taken]) -> list[dict[str, Any]]:
    """Old and new, for ``views.json``; the new ones hold where both speak of the same."""
    rows = {(one.folder, one.format): asdict(one) for one in (*old, *new)}
    return [rows[key] for key in sorted(rows)]
