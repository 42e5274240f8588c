"""Whether meshes can be read and drawn, tried as the render stage does it: apart, with limits."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hifa_cli.config import RenderConfig
from hifa_cli.render.workers import Job, draw_all
from hifa_cli.runtime.progress import SILENT, Talk

_SMALLEST = RenderConfig(views=1, size=16, renderer="builtin")


def unreadable_meshes(paths: Sequence[Path], workers: int, talk: Talk = SILENT) -> Iterator[tuple[Path, str]]:
    """Yield the meshes that no verb can draw, each with the reason.

    Args:
        paths: mesh files.
        workers: processes that read them.
        talk: shows progress.
    """
    if not paths:
        return
    with TemporaryDirectory() as scratch:
        jobs = [Job(str(n), path, Path(scratch) / str(n), "") for n, path in enumerate(paths)]
        with closing(draw_all(jobs, _SMALLEST, min(max(workers, 1), len(jobs)), talk)) as outcomes:
            for outcome in talk.track(outcomes, "read meshes", total=len(jobs)):
                if outcome.reason is not None:
                    yield outcome.job.path, outcome.reason
