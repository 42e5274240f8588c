"""Views drawn by a cluster: a task draws the meshes of a part and sends the pictures back.

Everything else is the stage's own (:mod:`.pipeline`), here as on one machine: which meshes there are, which
axis is up, what is current already, and where the pictures go. So the folder is the one that a single machine
writes, and the same command goes on where a killed one stopped.
"""

import json
import math
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hifa_cli.config import RenderConfig
from hifa_cli.errors import HifaError, NoRoom
from hifa_cli.render.pipeline import RenderReport, draw_jobs, mark_of, render, with_renderer
from hifa_cli.render.up_rules import UpRules
from hifa_cli.render.view_io import other_files, view_names
from hifa_cli.render.workers import Job, Outcome, memory_limit
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import written_folder
from hifa_cli.runtime.cluster import Pool, Task, made_by
from hifa_cli.runtime.parts import divided, files_in, packed, parts_for
from hifa_cli.runtime.progress import Reporter, reporting
from hifa_cli.runtime.ray_pool import ray_pool
from hifa_cli.runtime.threads import allowed

_ANSWERS = "answers.json"  # of a part: for each job why it failed, and what was left out of the mesh
_SAME = "nodes need the same meshes at the same paths"


class DrawWork(NamedTuple):
    """The work of a task.

    Attributes:
        meshes: absolute paths, and the marks that their views bear.
        config: how they are drawn.
        workers: processes that draw.
    """

    meshes: tuple[tuple[str, str], ...]
    config: RenderConfig
    workers: int


def render_on(
    pool: Pool, meshes: Sequence[Path], out: Path, config: RenderConfig, *, workers: int = 1,
    parts: int | None = None, force: bool = False,
) -> RenderReport:  # fmt: skip
    """Draw the views that this machine alone would draw, by the tasks of a pool.

    Args:
        pool: where they run.
        meshes: files, or folders of them.
        out: folder of the views.
        config: how they are drawn.
        workers: processes of a task.
        parts: how many; by default one for 256 shapes.
        force: draw again what is there.

    Returns:
        As :func:`~hifa_cli.render.pipeline.render`.

    Raises:
        HifaError: as there, and where a part cannot be made.
    """
    draw = partial(drawn_on, pool, parts=parts)
    return render(meshes, out, config, workers=workers, force=force, draw=draw)


def render_on_ray(
    meshes: Sequence[Path], out: Path, config: RenderConfig, *, workers: int = 1, parts: int | None = None,
    force: bool = False,
) -> RenderReport:  # fmt: skip
    """Draw views by a Ray cluster.

    Args:
        meshes: files, or folders of them.
        out: folder of the views.
        config: how they are drawn.
        workers: processes of a task, which asks for as many CPUs.
        parts: how many; by default one for 256 shapes.
        force: draw again what is there.

    Returns:
        As :func:`~hifa_cli.render.pipeline.render`.

    Raises:
        HifaError: as :func:`render_on`, and where there is no Ray, or no cluster that answers.
    """
    with ray_pool(cpus=workers) as pool:
        return render_on(pool, meshes, out, config, workers=workers, parts=parts, force=force)


def drawn_on(
    pool: Pool, jobs: Sequence[Job], config: RenderConfig, workers: int, *, parts: int | None = None
) -> Generator[Outcome]:
    """Draw jobs by the tasks of a pool, and write their views here.

    Args:
        pool: where the tasks run.
        jobs: meshes, with folders for their views.
        config: how they are drawn.
        workers: processes of a task.
        parts: how many tasks; by default one for 256 meshes.

    Yields:
        What became of each job, in any order.

    Raises:
        HifaError: a part cannot be made.
        NoRoom: the disk is full.
    """
    count = parts_for([job.id for job in jobs], parts)
    shared_out = divided(jobs, count, lambda job: job.id)
    tasks = [
        Task(number, count, draw_part, DrawWork(
            tuple((str(job.path.absolute()), job.mark) for job in part), config, workers
        ))
        for number, part in shared_out.items()
    ]  # fmt: skip
    for made in made_by(pool, tasks):
        files = files_in(made.content)
        answers = json.loads(files[_ANSWERS])
        for place, (job, (reason, remark)) in enumerate(zip(shared_out[made.number], answers, strict=True)):
            if remark:
                progress.warn(f"{job.path}: {remark}")
            if reason is None:
                views = {name: files[f"{place}/{name}"] for name in view_names(config.views)}
                reason = _written(job, views)
            yield Outcome(job, reason)


def _written(job: Job, views: dict[str, bytes]) -> str | None:
    """Write the views of a job; return why not, if so.

    Raises:
        NoRoom: the disk is full.
    """
    assert job.folder is not None
    if (reason := other_files(job.folder)) is not None:
        return reason
    try:
        with written_folder(job.folder) as temporary:
            for name, content in views.items():
                (temporary / name).write_bytes(content)
    except NoRoom:
        raise
    except HifaError as error:
        return str(error)
    return None


def draw_part(work: DrawWork, shared: bytes) -> bytes:
    """Draw the meshes of a part: what a node does.

    Args:
        work: the part.
        shared: not used.

    Returns:
        The views in folders named by the places of the meshes, and what became of each, as an archive.

    Raises:
        HifaError: no renderer starts, or the disk is full.
    """
    del shared
    rules = UpRules(work.config.ups)
    answers: list[tuple[str | None, str]] = [
        (_stranger(Path(path), mark, work.config, rules), "") for path, mark in work.meshes
    ]
    with TemporaryDirectory() as scratch:
        jobs = [
            Job(str(place), Path(path), Path(scratch, str(place)), mark)
            for place, ((path, mark), (reason, _)) in enumerate(zip(work.meshes, answers, strict=True))
            if reason is None
        ]
        config = for_a_node(with_renderer(work.config), work.workers)
        with reporting(Reporter()), closing(draw_jobs(jobs, config, work.workers)) as outcomes:
            for one in outcomes:  # what was left out is said by whoever knows the mesh by its given path
                answers[int(one.job.id)] = one.reason, one.remark
        Path(scratch, _ANSWERS).write_text(json.dumps(answers), encoding="utf-8")
        return packed(Path(scratch))


def _stranger(path: Path, mark: str, config: RenderConfig, rules: UpRules) -> str | None:
    """Return why a node's mesh is not the one that is to be drawn; None where it is."""
    try:
        return None if mark_of(path, config, rules) == mark else f"is another file on its node: {_SAME}"
    except OSError as error:
        return f"cannot be read on its node ({error.strerror}): {_SAME}"


def for_a_node(config: RenderConfig, workers: int) -> RenderConfig:
    """Return the configuration for a node, where others draw, too: a process has the memory of one core.

    Args:
        config: as it was asked for.
        workers: processes of a task.
    """
    if config.memory > 0:
        return config
    share = memory_limit(config, max(allowed(), workers))
    return config if math.isinf(share) else replace(config, memory=share / 1e9)
