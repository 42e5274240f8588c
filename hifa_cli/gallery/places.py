"""The places of a gallery's sources: written relative to the gallery too, so that both can move together."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Origin = dict[str, Any]


def portable(origin: Origin, folder: Path) -> Origin:
    """Return an origin as ``gallery.json`` keeps it: with its path relative to the gallery too."""
    try:
        return {**origin, "relative": Path(os.path.relpath(origin["path"], folder.resolve())).as_posix()}
    except ValueError:  # another drive of Windows
        return {key: value for key, value in origin.items() if key != "relative"}


def located(origin: Any, folder: Path) -> Any:
    """Return an origin with the place where it lies now.

    That is below the folder that it shares with the gallery, where something is there, else as written.
    """
    if not isinstance(origin, dict) or not isinstance(origin.get("relative"), str):
        return origin
    if "\0" in origin["relative"] or not isinstance(origin.get("path"), str):
        return origin
    place = os.path.normpath(folder.resolve() / origin["relative"])
    return moved(origin, place) if Path(place).exists() else origin


def moved(origin: Origin, place: str) -> Origin:
    """Return an origin whose source lies at ``place``."""
    whole = origin.get("root") == origin["path"]  # of a single file, paths are relative to its folder
    return {**origin, "path": place, "root": place if whole else str(Path(place).parent)}


def taken_over(origins: Sequence[Origin], place: Path) -> list[Origin]:
    """Return the origins, the one that is gone now at ``place``, so that its views are used again.

    Only where ``place`` is not among them and exactly one folder of meshes is gone: what is drawn anew is
    decided shape by shape from digests.
    """
    here = str(place.resolve())
    gone = [one for one in origins if one["kind"] == "meshes" and not Path(one["path"]).exists()]
    if len(gone) != 1 or any(one["path"] == here for one in origins):
        return list(origins)
    return [moved(one, here) if one is gone[0] else one for one in origins]
