"""Telling a gallery where a source that was moved lies now."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hifa_cli.errors import HifaError
from hifa_cli.gallery import MAIN_FILE, Gallery, read_gallery
from hifa_cli.gallery.build import writing
from hifa_cli.gallery.places import moved, portable
from hifa_cli.gallery.sources import render_config
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import written_file

_LOOKED_AT = 20  # meshes whose bytes are compared


def relocate(folder: Path, moves: Sequence[str]) -> dict[str, Any]:
    """Name the new places of sources that were moved; nothing is rendered or embedded.

    Args:
        folder: the gallery.
        moves: ``OLD=NEW`` each; OLD is a source or a folder above sources.

    Returns:
        ``relocated``: for each source its ``old`` and ``new`` path; ``failed`` is empty.

    Raises:
        HifaError: no source lies at OLD, nothing is at NEW, or the shapes there are not the gallery's.
    """
    with writing(folder):
        gallery = read_gallery(folder)
        origins = list(gallery.document["origins"])
        done = []
        for move in moves:
            old, equals, new = move.partition("=")
            if not old or not equals or not new:
                raise HifaError(f"--relocate takes OLD=NEW, two paths, not '{move}'")
            numbers = [n for n, one in enumerate(origins) if _below(one["path"], old) is not None]
            if not numbers:
                known = ", ".join(one["path"] for one in origins)
                raise HifaError(f"no source of {folder} lies at {old}: it has {known}")
            for number in numbers:
                place = str((Path(new) / (_below(origins[number]["path"], old) or "")).resolve())
                done.append({"old": origins[number]["path"], "new": place})
                origins[number] = _checked(gallery, number, moved(origins[number], place))
        document = {**gallery.document, "origins": [portable(one, folder) for one in origins]}
        with written_file(folder / MAIN_FILE) as path:
            path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for one in done:
        progress.note(f"{one['old']} is now {one['new']}")
    return {"relocated": done, "failed": []}


def _below(path: str, folder: str) -> str | None:
    """Return the path below ``folder``, '' for the folder itself, None where it lies elsewhere."""
    for base in (str(Path(folder).absolute()), os.path.realpath(folder)):
        if path == base:
            return ""
        if path.startswith(base.rstrip(os.sep) + os.sep):
            return path[len(base.rstrip(os.sep)) + 1 :]
    return None


def _checked(gallery: Gallery, number: int, origin: dict[str, Any]) -> dict[str, Any]:
    """Return the origin, if the place holds some of the shapes, byte for byte where they are meshes.

    Raises:
        HifaError: it does not.
    """
    if not Path(origin["path"]).exists():
        raise HifaError(f"nothing at {origin['path']}: give the place where the source lies now")
    if origin["kind"] == "export":
        return origin
    rows = np.flatnonzero(np.asarray(gallery.origins) == number)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(_LOOKED_AT, len(rows))).astype(np.int64))]
    found = [row for row in rows.tolist() if (Path(origin["root"]) / gallery.paths[row]).exists()]
    if origin["kind"] == "meshes":
        found = [row for row in found if _same(gallery, row, origin)]
    if len(rows) and not found:
        raise HifaError(
            f"{origin['path']} does not hold the gallery's shapes (looked for {len(rows)}, such as "
            f"{gallery.ids[int(rows[0])]}): give the place where they lie now, or build the gallery again"
        )
    return origin


def _same(gallery: Gallery, row: int, origin: dict[str, Any]) -> bool:
    """Return whether a mesh has the bytes that its shape was made of."""
    from hifa_cli.gallery.sources import mesh_offer_digest

    path = Path(origin["root"]) / gallery.paths[row]
    return mesh_offer_digest(path, render_config(origin)) == bytes(np.asarray(gallery.digests[row]))
