"""Processes that do a comparison's jobs side by side, each its own: one that dies costs only its job.

A worker is :mod:`.worker` run as a program. It reads JSON lines on its standard input (first
what all jobs share, then a job a line) and writes JSON lines on what was its standard output. It ends when
its standard input ends, in the middle of a job too: a killed comparison leaves nobody behind.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from hifa_cli.errors import reason_of
from hifa_cli.runtime.child import module_command
from hifa_cli.runtime.workers import Document, Pool, WorkerProcess, child_environment

_LAST = ("done", "failed", "stopped")
What = Literal["tick", "note", "warn", "done", "failed", "stopped"]


class Event(NamedTuple):
    """Something that a job says: progress, a message, or how it ended."""

    job: int
    what: What
    value: Any


class Worker(WorkerProcess):
    """One process that does jobs of a comparison."""

    @staticmethod
    def command() -> list[str]:
        """Return what starts the process."""
        return module_command("hifa_cli.pipelines.compare.worker")

    def __init__(self, shared: Document, threads: int) -> None:
        super().__init__()
        self.shared, self.threads = shared, threads

    def do(self, job: tuple[int, Document]) -> Iterator[Event]:
        """Give the process a numbered job; yields what it says until the job has ended."""
        number, document = job
        try:
            if self.process is None:
                names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
                self.launch(child_environment(self.threads, names=names, keep=True), own_session=True)
                self.send(self.shared)
        except OSError as error:
            yield Event(number, "failed", f"its process does not start: {reason_of(error)}")
            return
        self.send(document)
        while line := self.receive():
            yield Event(number, line["what"], line["value"])
            if line["what"] in _LAST:
                return
        yield Event(number, "failed", self.cause_of_death())


class Crew(Pool[Worker, tuple[int, Document], Event]):
    """Workers that take jobs in their order; a failed job does not stop the others.

    Args:
        shared: what every worker is told first.
        workers: how many.
        threads: that each may use for its sums.
    """

    def __init__(self, shared: Document, *, workers: int, threads: int) -> None:
        super().__init__([Worker(shared, threads) for _ in range(workers)], Worker.do)
