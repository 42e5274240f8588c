"""Photos generated of the meshes that training shapes were drawn from.

    PLACE/photos/MARK/DIGEST/00.jpg …    the photos of one shape

A mesh is known by its bytes: the mark of a shape's views has their digest. No name is compared, so no class
that a folder is named after can come in.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hifa_cli.config import Axis, LearnConfig, RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery.sources import short_digest
from hifa_cli.render.discover import MeshFile, mesh_digest
from hifa_cli.render.pipeline import READERS, SETTINGS, drawn_from, meshes_of
from hifa_cli.render.view_io import read_mark
from hifa_cli.render.workers import Job, draw_all
from hifa_cli.runtime import progress, threads
from hifa_cli.synthetic.photo_worker import STYLE, PhotoWorker, photo_mark

FOLDER = "photos"
Views = tuple[Path, ...]


class Pupil(NamedTuple):
    """A shape that photos can be generated of.

    Attributes:
        row: of the shape.
        digest: of its views' mark, hexadecimal: it names the photos and seeds them.
        mesh: that its views were drawn from.
        up: axis of the mesh that was up.
    """

    row: int
    digest: str
    mesh: Path
    up: Axis


def find_pupils(shapes: Sequence[Views], meshes: Path) -> list[Pupil]:
    """Find the mesh of each shape; those without are left out and counted in a warning.

    Args:
        shapes: views of each.
        meshes: folder that holds the meshes, under any names.

    Returns:
        The shapes whose mesh is there, in their order.

    Raises:
        HifaError: ``meshes`` holds no mesh.
    """
    found, _, _ = meshes_of([meshes])
    by_digest = dict(_digests(found))
    pupils = []
    for row, views in enumerate(shapes):
        folder = views[0].parent
        mark = read_mark(folder, 1) or ""
        drawn = drawn_from(mark, _settings_above(folder))
        if drawn is not None and drawn[0] in by_digest:
            pupils.append(Pupil(row, short_digest(mark.encode()).hex(), by_digest[drawn[0]], drawn[1]))
    if lost := len(shapes) - len(pupils):
        progress.warn(
            f"{lost} of {len(shapes)} shapes are left out of the first stage: no mesh in {meshes} is one "
            "that 'hifa render' drew their views from"
        )
    return pupils


def _digests(found: Sequence[MeshFile]) -> Iterator[tuple[str, Path]]:
    def look(mesh: MeshFile) -> str | None:
        try:
            return mesh_digest(mesh.path)
        except (OSError, HifaError):  # its shape is counted among those without a mesh
            return None

    with ThreadPoolExecutor(READERS) as readers:
        for mesh, digest in zip(found, readers.map(look, found), strict=True):
            if digest is not None:
                yield digest, mesh.path


def _settings_above(folder: Path) -> dict[str, Any]:
    """Return ``views.json`` of the nearest folder above that has one."""
    for above in folder.parents:
        if (found := _settings_in(above)) is not None:
            return found
    return {}


@cache
def _settings_in(folder: Path) -> dict[str, Any] | None:
    try:
        document = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def photograph(pupils: Sequence[Pupil], place: Path, config: LearnConfig) -> dict[str, Views]:
    """Generate the photos that are not there yet; what cannot be generated is named in a warning.

    Args:
        pupils: shapes.
        place: folder that keeps photos; several runs may share it.
        config: photos of each, and how large.

    Returns:
        The photos of each shape that has them, by its digest.
    """
    mark = hashlib.blake2b(f"{config.photos} {config.longest} {STYLE}".encode(), digest_size=8).hexdigest()
    folder = place / FOLDER / mark
    wanted = {one.digest: one for one in pupils}
    missing = {name: one for name, one in wanted.items() if not _whole(folder / name, config)}
    for name in missing:
        shutil.rmtree(folder / name, ignore_errors=True)
    if missing:
        _make(missing, folder, config)
    return {name: _photos(folder / name, config) for name in wanted if _whole(folder / name, config)}


def _make(pupils: Mapping[str, Pupil], folder: Path, config: LearnConfig) -> None:
    workers = min(threads.allowed(), len(pupils))
    jobs: dict[Axis, list[Job]] = {}
    for name, one in pupils.items():
        mark = photo_mark(bytes.fromhex(name), config.photos, config.longest)
        jobs.setdefault(one.up, []).append(Job(name, one.mesh, folder / name, mark))

    def outcomes() -> Iterator[Any]:
        for up, each in jobs.items():
            with closing(draw_all(each, RenderConfig(up=up), min(workers, len(each)), PhotoWorker)) as drawn:
                yield from drawn

    for outcome in progress.track(outcomes(), "generating photos", total=len(pupils)):
        if outcome.reason is not None and not _whole(folder / outcome.job.id, config):  # nor by another run
            progress.warn(f"no photos of {outcome.job.path}: {outcome.reason}")


def _photos(folder: Path, config: LearnConfig) -> Views:
    return tuple(folder / f"{number:02d}.jpg" for number in range(config.photos))


def _whole(folder: Path, config: LearnConfig) -> bool:
    return all(path.is_file() for path in _photos(folder, config))


def forget_photos(place: Path) -> None:
    """Remove the photos that a run keeps."""
    shutil.rmtree(place / FOLDER, ignore_errors=True)
