"""The render stage: meshes in, a folder of views a shape out; what is there and current is left."""

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args

from hifa_cli import __version__
from hifa_cli.config import Axis, RenderConfig
from hifa_cli.data.formats import READ_SUFFIXES
from hifa_cli.data.layouts import AUTO, Chosen
from hifa_cli.data.tree import places
from hifa_cli.errors import HifaError
from hifa_cli.render import cameras
from hifa_cli.render.backend import choose
from hifa_cli.render.discover import Failure, Found, MeshFile, find_meshes, mesh_digest
from hifa_cli.render.shading import PRESETS
from hifa_cli.render.up_rules import UpRules
from hifa_cli.render.up_taken import Taken, joined, read_taken, settle_up
from hifa_cli.render.view_io import read_mark
from hifa_cli.render.views import up_axis
from hifa_cli.render.workers import Job, Outcome, draw_all
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import sweep, written_file
from hifa_cli.runtime.kinds import refuse_other
from hifa_cli.runtime.lock import sole_output

PICTURE_VERSION = 2  # raised whenever the same mesh and settings give another picture
SETTINGS = "views.json"
READERS = 8  # threads that hash meshes
CONTEXTS = 8  # OpenGL workers at most: each holds memory of the GPU

Draw = Callable[[Sequence[Job], RenderConfig, int], Generator[Outcome]]  # as :func:`draw_jobs`


@dataclass
class RenderReport:
    """The result of a run of the stage."""

    rendered: int = 0
    skipped: int = 0
    failed: list[Failure] = field(default_factory=list)
    renderer: str = ""
    seconds: float = 0.0  # of drawing, the start of the workers included
    shapes: list[tuple[str, Path]] = field(default_factory=list)  # ids and folders of views, by id
    ups: tuple[tuple[str, Axis], ...] = ()  # rules of which axis is up, what shapes showed first
    taken: list[Taken] = field(default_factory=list)  # how those came about
    layouts: list[Chosen] = field(default_factory=list)  # of every folder


def render(
    meshes: Sequence[Path],
    out: Path,
    config: RenderConfig,
    *,
    workers: int,
    force: bool = False,
    split: str | None = None,
    draw: Draw | None = None,
) -> RenderReport:
    """Draw the views of every mesh among and below ``meshes`` into ``out``, a folder a shape.

    A shape whose views are there, whole and drawn from the same bytes with the same settings, is skipped
    unless ``force``. A mesh that cannot be drawn is listed with its reason and costs nothing else. With
    ``split`` only the meshes of that split are drawn.

    Args:
        meshes: files, or folders of them.
        out: folder of the views.
        config: how they are drawn.
        workers: processes; None means all cores that are free.
        force: draw again what is there.
        split: ``train``, ``test`` or ``val``; None draws all.
        draw: draws jobs and writes their views; by default processes of this machine.

    Returns:
        How many were drawn, were there, and failed with what reason.

    Raises:
        HifaError: the source has no meshes, ``out`` cannot be written to or is being written by another
            process, or no renderer starts.
    """
    found, failed, chosen = meshes_of(meshes, split, config.layout)
    config = with_renderer(config)
    with sole_output(out):
        folders = {out, *((out / mesh.id).parent for mesh in found)}
        for folder in folders:
            sweep(folder)
        try:
            known = read_taken(out / SETTINGS)
            config, taken = settle_up(found, meshes, config, [] if force else known)
            _warn_of_mixture(found, out, config)
            write_settings(out, config, joined(known, taken))
            report = _draw(found, failed, out, config, workers, draw or draw_jobs, force=force)
            report.taken, report.layouts = taken, chosen
            return report
        finally:  # of workers that were ended, and of one whose parent was killed and that ended only now
            for folder in folders:
                sweep(folder)


def meshes_of(places: Sequence[Path], split: str | None = None, layout: str = AUTO) -> Found:
    """Find the meshes among and below ``places``, with ``split`` those of that split, and report the layout.

    Args:
        places: meshes and folders of them.
        split: ``train``, ``test`` or ``val``.
        layout: of the folders; ``auto`` recognises it.

    Returns:
        The meshes with their ids, and the layouts that were taken.

    Raises:
        HifaError: none exist.
    """
    for place in places:
        refuse_other(place, wanted="a mesh or a folder of meshes")
    found, failed, chosen = find_meshes(places, layout)
    for one in chosen:
        one.report()
    if not found and not failed:
        where = ", ".join(str(place) for place in places)
        raise HifaError(f"no meshes in {where}: give files or folders of {', '.join(READ_SUFFIXES)}")
    if not found:
        raise HifaError(f"nothing to draw: {failed[0].path} {failed[0].reason}")
    return Found(found if split is None else _of_split(found, split, places), failed, chosen)


def _of_split(found: list[MeshFile], split: str, given: Sequence[Path]) -> list[MeshFile]:
    """Return the meshes below a folder of that split.

    Raises:
        HifaError: none exist.
    """
    splits = [place.split for place in places([tuple(mesh.id.split("/")[:-1]) for mesh in found])]
    kept = [mesh for mesh, own in zip(found, splits, strict=True) if own == split]
    if not kept:
        there = sorted({own for own in splits if own})
        has = f"there are meshes of {', '.join(there)}" if there else "no folder of them is a split"
        where = ", ".join(map(str, given))
        raise HifaError(f"{where} has no meshes of the split '{split}': {has}; leave --split out")
    return kept


def _draw(
    found: list[MeshFile],
    failed: list[Failure],
    out: Path,
    config: RenderConfig,
    workers: int,
    draw: Draw,
    *,
    force: bool,
) -> RenderReport:
    """Draw what is not there yet."""
    report = RenderReport(failed=failed, renderer=config.renderer, ups=config.ups)
    for failure in failed:
        progress.warn(f"{failure.path}: {failure.reason}")
    jobs = _jobs(found, out, config, report, force=force)
    began = time.monotonic()
    with closing(draw(jobs, config, workers)) as outcomes:  # its workers end before we sweep
        for outcome in progress.track(outcomes, "rendering", total=len(jobs)) if jobs else ():
            if outcome.reason is None:
                report.rendered += 1
                report.shapes.append((outcome.job.id, out / outcome.job.id))
            else:
                report.failed.append(Failure(outcome.job.path, outcome.reason))
                progress.warn(f"{outcome.job.path}: {outcome.reason}")
    report.seconds = time.monotonic() - began
    report.shapes.sort()
    return report


def draw_jobs(jobs: Sequence[Job], config: RenderConfig, workers: int) -> Generator[Outcome]:
    """Draw ``jobs`` on at most ``workers`` processes, fewer where OpenGL's memory asks for it.

    Args:
        jobs: meshes, and what is to become of their pictures.
        config: how they are drawn.
        workers: processes at most.

    Yields:
        Outcomes as they come, in any order.
    """
    crew = min(workers, len(jobs), CONTEXTS if config.renderer == "opengl" else workers)
    if not jobs:
        return
    with closing(draw_all(jobs, config, crew)) as outcomes:
        for outcome in outcomes:
            if outcome.remark:
                progress.warn(f"{outcome.job.path}: {outcome.remark}")
            yield outcome


def with_renderer(config: RenderConfig) -> RenderConfig:
    """Return the configuration with the renderer that works on this machine."""
    choice = choose(config.renderer)
    if choice.fell_back:
        progress.warn(f"drawing with the {choice.renderer} renderer: {choice.reason}")
    elif config.renderer == "auto" and choice.renderer == "opengl":
        progress.note(f"drawing with OpenGL on {choice.reason}")
    return replace(config, renderer=choice.renderer)


def _warn_of_mixture(meshes: Sequence[MeshFile], out: Path, config: RenderConfig) -> None:
    """Say when ``out`` holds shapes that other settings drew and this run will not touch."""
    try:
        old = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
        now = json.loads(json.dumps(picture_settings(config)))
        if all(old.get(key) == value for key, value in now.items()):
            return
    except (OSError, ValueError, AttributeError, RecursionError):
        return
    ours = {mesh.id for mesh in meshes}
    others = {first.parent.relative_to(out).as_posix() for first in out.rglob("00.png")} - ours
    if others:
        progress.warn(f"{out} keeps {len(others)} shapes drawn with other settings: draw them again, too")


def _jobs(
    meshes: Sequence[MeshFile],
    out: Path,
    config: RenderConfig,
    report: RenderReport,
    *,
    force: bool,
) -> list[Job]:
    """Return what is to be drawn; counts in ``report`` what is there and current, and what cannot be read."""
    jobs = []
    for mesh, mark in marks_of(meshes, config, report.failed):
        folder = out / mesh.id
        if not force and read_mark(folder, config.views) == mark:
            report.skipped += 1
            report.shapes.append((mesh.id, folder))
        else:
            jobs.append(Job(mesh.id, mesh.path, folder, mark))
    return jobs


def marks_of(
    meshes: Sequence[MeshFile], config: RenderConfig, failed: list[Failure]
) -> Iterator[tuple[MeshFile, str]]:
    """Yield every mesh that can be opened, with the mark of its views; the others go to ``failed``.

    Args:
        meshes: to look at.
        config: how they are drawn.
        failed: takes those that cannot be opened.

    Yields:
        Mesh and mark.
    """
    rules = UpRules(config.ups)

    def mark(mesh: MeshFile) -> str | OSError:
        try:
            return mark_of(mesh.path, config, rules)
        except OSError as error:
            return error

    with ThreadPoolExecutor(READERS) as readers:  # hashing and waiting for disks let others run
        for mesh, found in zip(meshes, readers.map(mark, meshes), strict=True):
            if isinstance(found, OSError):
                failed.append(Failure(mesh.path, f"cannot be read: {found.strerror}"))
                progress.warn(f"{mesh.path}: cannot be read: {found.strerror}")
            else:
                yield mesh, found


def mark_of(path: Path, config: RenderConfig, rules: UpRules | None = None) -> str:
    """Return what a shape's views show: a digest of the settings and one of the mesh's bytes.

    The renderer is not among the settings: renderers draw the same picture.

    Args:
        path: of the mesh.
        config: how it is drawn.
        rules: of the up axis; by default those of ``config``.

    Returns:
        A text that differs where the pictures may.
    """
    return f"{_settings_digest(picture_settings(config), up_axis(path, config, rules))} {mesh_digest(path)}"


def _settings_digest(settings: dict[str, Any], up: Axis) -> str:
    seen = json.dumps({**settings, "up": up}, sort_keys=True)
    return hashlib.blake2b(seen.encode(), digest_size=8).hexdigest()


def drawn_from(mark: str, document: dict[str, Any]) -> tuple[str, Axis] | None:
    """Return the digest of the mesh that views were drawn from, and its axis that was up.

    Args:
        mark: of the views.
        document: ``views.json`` beside them.

    Returns:
        As :func:`~hifa_cli.render.discover.mesh_digest` has it; None where the views were drawn otherwise.
    """
    settings, _, digest = mark.partition(" ")
    known = {name: document.get(name) for name in picture_settings(RenderConfig())}
    return next(((digest, up) for up in get_args(Axis) if _settings_digest(known, up) == settings), None)


def picture_settings(config: RenderConfig) -> dict[str, Any]:
    """Return everything but the mesh that a picture depends on."""
    return {
        "picture_version": PICTURE_VERSION,
        "views": config.views,
        "azimuths": [360.0 * view / config.views for view in range(config.views)],
        "elevation": config.elevation,
        "field_of_view": cameras.FIELD_OF_VIEW,
        "size": config.size,
        "up": config.up,
        "framing": config.framing,
        "ground": config.ground,
        "shading": {"preset": config.shading, **asdict(PRESETS[config.shading])},
    }


def write_settings(out: Path, config: RenderConfig, taken: Sequence[dict[str, Any]] = ()) -> None:
    """Write ``views.json`` at the root of the views; ``taken`` is which axis was taken to be up, and why.

    Args:
        out: folder of the views.
        config: how they were drawn.
        taken: for each folder and format which axis was taken to be up, and why.
    """
    versions = {"hifa": __version__}
    for name in ("numpy", "numba", "trimesh", *(("pyrender",) if config.renderer == "opengl" else ())):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    document = {
        "schema": 1,
        **picture_settings(config),
        "ups": [list(rule) for rule in config.ups],
        "up_taken": list(taken),
        "renderer": config.renderer,
        "versions": versions,
    }
    with written_file(out / SETTINGS) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
