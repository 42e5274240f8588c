"""Trials of whether meshes can be read and drawn, as the render stage does it: apart, with limits."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hifa_cli.config import RenderConfig
from hifa_cli.render.workers import Job, draw_all
from hifa_cli.runtime import progress

_SMALLEST = RenderConfig(views=1, size=16, renderer="builtin")


def unreadable_meshes(paths: Sequence[Path], workers: int) -> Iterator[tuple[Path, str]]:
    """Yield the meshes that no verb can draw whole, each with the reason.

    Args:
        paths: mesh files.
        workers: processes that read them.
    """
    if not paths:
        return
    with TemporaryDirectory() as scratch:
        jobs = [Job(str(n), path, Path(scratch) / str(n), "") for n, path in enumerate(paths)]
        with closing(draw_all(jobs, _SMALLEST, min(max(workers, 1), len(jobs)))) as outcomes:
            for outcome in progress.track(outcomes, "read meshes", total=len(jobs)):
                if said := outcome.reason or outcome.remark:
                    yield outcome.job.path, said
