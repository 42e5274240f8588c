"""The render stage: meshes in, a folder of views a shape out; what is there and current is left."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hifa_cli import __version__
from hifa_cli.atomic import written_file
from hifa_cli.config import RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.render import cameras
from hifa_cli.render.library import Failure, MeshFile, find_meshes, mesh_digest
from hifa_cli.render.pictures import read_mark
from hifa_cli.render.shading import PRESETS
from hifa_cli.render.views import up_axis
from hifa_cli.render.workers import Job, draw_all
from hifa_cli.talk import SILENT, Talk

PICTURE_VERSION = 1  # raised whenever the same mesh and settings give another picture
SETTINGS = "views.json"


@dataclass
class RenderReport:
    """What a run of the stage did."""

    rendered: int = 0
    skipped: int = 0
    failed: list[Failure] = field(default_factory=list)
    renderer: str = ""
    shapes: tuple[str, ...] = ()  # ids with views now, in the order of their meshes


def render(
    meshes: Sequence[Path],
    out: Path,
    config: RenderConfig,
    *,
    workers: int,
    force: bool = False,
    talk: Talk = SILENT,
) -> RenderReport:
    """Draw the views of every mesh among and below ``meshes`` into ``out``, a folder a shape.

    A shape whose views are there, whole and drawn from the same bytes with the same settings, is skipped
    unless ``force``. A mesh that cannot be drawn is listed with its reason and costs nothing else.

    Raises:
        HifaError: there are no meshes, ``out`` cannot be written to, or no renderer starts.
    """
    found, failed = find_meshes(meshes)
    if not found and not failed:
        places = ", ".join(str(place) for place in meshes)
        raise HifaError(f"no meshes in {places}: give files or folders of OFF, OBJ, STL, PLY, GLB, 3MF, …")
    report = RenderReport(failed=failed, renderer="builtin")
    write_settings(out, config, report.renderer)
    current, jobs = split_current(found, out, config, force=force)
    report.skipped = len(current)
    for outcome in talk.track(draw_all(jobs, config, workers), "rendering", total=len(jobs)):
        if outcome.reason is None:
            report.rendered += 1
        else:
            report.failed.append(Failure(outcome.job.path, outcome.reason))
            talk.warn(f"{outcome.job.path}: {outcome.reason}")
    lost = {failure.path for failure in report.failed}
    report.shapes = tuple(mesh.id for mesh in found if mesh.path not in lost)
    return report


def split_current(
    meshes: Iterable[MeshFile], out: Path, config: RenderConfig, *, force: bool
) -> tuple[list[MeshFile], list[Job]]:
    """The meshes whose views are there and current, and jobs for the others."""
    current, jobs = [], []
    with ThreadPoolExecutor(8) as readers:  # hashing and waiting for disks both let others run
        marks = readers.map(lambda mesh: mark_of(mesh.path, config), meshes := list(meshes))
        for mesh, mark in zip(meshes, marks, strict=True):
            folder = out / mesh.id
            if not force and read_mark(folder, config.views) == mark:
                current.append(mesh)
            else:
                jobs.append(Job(mesh.id, mesh.path, folder, mark))
    return current, jobs


def mark_of(path: Path, config: RenderConfig) -> str:
    """What a shape's views show: a digest of the settings and one of the mesh's bytes.

    The renderer is not among the settings: renderers draw the same picture.
    """
    seen = {**picture_settings(config), "up": up_axis(path, config)}
    settings = hashlib.blake2b(json.dumps(seen, sort_keys=True).encode(), digest_size=8).hexdigest()
    return f"{settings} {mesh_digest(path)}"


def picture_settings(config: RenderConfig) -> dict[str, Any]:
    """Everything but the mesh that a picture depends on."""
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


def write_settings(out: Path, config: RenderConfig, renderer: str) -> None:
    """Write ``views.json`` at the root of the views."""
    document = {
        "schema": 1,
        **picture_settings(config),
        "renderer": renderer,
        "versions": {"hifa": __version__, **_versions("numpy", "numba", "trimesh")},
    }
    with written_file(out / SETTINGS) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _versions(*names: str) -> dict[str, str]:
    def one(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "unknown"

    return {name: one(name) for name in names}


def shapes_in(out: Path, report: RenderReport) -> Iterator[tuple[str, Path]]:
    """Ids and view folders of the run's shapes."""
    for name in report.shapes:
        yield name, out / name
