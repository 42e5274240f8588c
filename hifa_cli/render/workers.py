"""Processes that draw meshes: each its own, so that a mesh that kills its process costs only itself.

A worker is this module run as a program (:mod:`hifa_cli.runtime.workers`). It reads one JSON line a mesh and
answers each with one JSON line, and with the pixels where they are wanted.
"""

import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import RenderConfig
from hifa_cli.errors import NoRoom
from hifa_cli.runtime import progress
from hifa_cli.runtime.child import module_command
from hifa_cli.runtime.workers import GLANCE, Pool, StartError, WorkerProcess, child_environment

if TYPE_CHECKING:
    from hifa_cli.render.job import DrawShape

PATIENCE = 300.0  # seconds for a worker to start; compiling takes ten or thirty, once
SLOW_START = 4.0  # seconds after which a start is worth a word
COMPILING = "starting the renderer takes long: on a busy machine, or because it is compiled once"
AHEAD = 2  # outcomes a worker that may wait for whoever takes them: pictures fill the memory
GRACE = 5.0  # seconds that a worker may go on drawing after its parent was killed
MACHINE_SHARE = 0.8  # of the machine's memory for all workers together


Greys = NDArray[np.uint8]


class Job(NamedTuple):
    """A mesh to draw.

    Attributes:
        id: of the shape.
        path: of the mesh.
        folder: where the views are written as PNG files; None writes none.
        mark: that those will bear.
        pixels: whether the outcome brings the pictures.
    """

    id: str
    path: Path
    folder: Path | None
    mark: str
    pixels: bool = False


class Outcome(NamedTuple):
    """The outcome of a job; no reason means that it was drawn.

    Attributes:
        job: the job.
        reason: why the mesh could not be drawn, or None.
        pictures: (V, S, S) greys, where they were wanted and drawn.
        remark: what was left out of the mesh, to be said; empty where it was drawn whole.
        facts: what was measured of the mesh (:mod:`.facts`), where pictures were wanted.
    """

    job: Job
    reason: str | None
    pictures: Greys | None = None
    remark: str = ""
    facts: dict[str, Any] = {}  # noqa: RUF012 - a named tuple's default; nobody changes it


def draw_all(
    jobs: Iterable[Job], config: RenderConfig, workers: int, worker: "type[Worker] | None" = None
) -> Generator[Outcome]:
    """Draw ``jobs`` on ``workers`` processes; yields outcomes as they come, in any order.

    The first worker starts alone, so that compiled code is kept on disk before the others want it. A
    worker that does not start (again) leaves the jobs to the others. The others start when outcomes are
    waited for: where taking them costs more than drawing, one process may do.

    Args:
        jobs: meshes, and what is to become of their pictures.
        config: how they are drawn.
        workers: processes at most.
        worker: the kind of process; by default one that draws views.

    Yields:
        What became of each job.

    Raises:
        StartError: no worker starts any more.
        NoRoom: the disk is full.
    """
    waiting, kind = list(jobs), worker or Worker
    limit = memory_limit(config, workers)
    pool = Pool(
        [kind(config, limit) for _ in range(workers)],
        Worker.drawn,
        prepare=Worker.ready,
        ahead=AHEAD,
        lazy=bool(waiting and waiting[0].pixels),
        watched=True,
    )
    try:
        pool.workers[0].start(lambda: _say_once())
        yield from pool.run(waiting)
    finally:
        pool.close()


_said: list[str] = []


def _say_once() -> None:
    """Explain a slow start; once a process, whatever number of stages draw."""
    if COMPILING not in _said:
        _said.append(COMPILING)
        progress.note(COMPILING)


class Worker(WorkerProcess):
    """One drawing process."""

    @staticmethod
    def command() -> list[str]:
        """Return what starts the process."""
        return module_command("hifa_cli.render.workers")

    def __init__(self, config: RenderConfig, limit: float) -> None:
        super().__init__()
        self.config = config
        self.limit = limit
        self.began: float | None = None  # of the job in hand
        self.killed = ""  # why we ended it, if we did
        self._lock = threading.Lock()

    def start(self, when_slow: Callable[[], None] = lambda: None) -> None:
        """Start the process and wait until its renderer is ready; call ``when_slow`` if that takes long.

        Raises:
            StartError: it does not get ready; the message has its last words.
        """
        names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        self.launch(child_environment(1, names=names))
        process = self.process
        assert process is not None
        timers = [threading.Timer(PATIENCE, process.kill), threading.Timer(SLOW_START, when_slow)]
        for timer in timers:
            timer.daemon = True
            timer.start()
        answer = self._ask(asdict(self.config))
        for timer in timers:
            timer.cancel()
        if answer is None or "error" in answer:
            words = self.last_words() if answer is None else str(answer["error"])
            self.close()
            raise StartError(f"the {self.config.renderer} renderer does not start: {words}")

    def ready(self) -> None:
        """Start the process unless it runs.

        Raises:
            StartError: it does not get ready.
        """
        if self.process is None:
            self.start()

    def drawn(self, job: Job) -> tuple[Outcome]:
        """Draw one mesh, as a pool has it."""
        return (self.draw(job),)

    def draw(self, job: Job) -> Outcome:
        """Draw one mesh with the started process, which may die of it.

        Raises:
            NoRoom: the disk is full; the other meshes would fail as well.
        """
        with self._lock:
            self.killed, self.began = "", time.monotonic()
        folder = None if job.folder is None else str(job.folder)
        answer = self._ask({"path": str(job.path), "folder": folder, "mark": job.mark, "pixels": job.pixels})
        pictures = self._pictures(answer)
        with self._lock:
            self.began = None
        if answer is not None and (pictures is not None or "shape" not in answer):
            if "full" in answer:
                raise NoRoom(str(answer["full"]))
            facts = answer.get("facts", {})
            return Outcome(job, answer.get("error"), pictures, answer.get("remark", ""), facts)
        cause = self.cause_of_death()
        return Outcome(job, self.killed or cause)

    def _ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """Return the process's answer, or None if it died."""
        self.send(question)
        return self.receive()

    def _pictures(self, answer: dict[str, Any] | None) -> Greys | None:
        """The pictures that follow an answer; None if there are none, or the process died meanwhile."""
        if answer is None or "shape" not in answer:
            return None
        shape = tuple(answer["shape"])
        content = self.receive_bytes(math.prod(shape))
        return None if content is None else np.frombuffer(content, dtype=np.uint8).reshape(shape)

    def watch(self) -> None:
        """End the process if its mesh takes too long or too much memory."""
        with self._lock:
            process, began = self.process, self.began
            if process is None or began is None:
                return
            if time.monotonic() - began > self.config.timeout:
                self.killed = f"took longer than {self.config.timeout:g} s: raise --timeout"
            elif (used := resident_memory(process.pid)) > self.limit:
                amounts = f"{used / 1e9:.1f} GB of memory where {self.limit / 1e9:.1f} are allowed"
                self.killed = f"took {amounts}: raise --memory or take fewer --workers"
            if self.killed:
                process.kill()


def memory_limit(config: RenderConfig, workers: int) -> float:
    """Bytes that one worker may take: as configured, else its share of the machine's (or container's)."""
    if config.memory > 0:
        return config.memory * 1e9
    return MACHINE_SHARE * machine_memory() / workers


def machine_memory() -> float:
    """Return bytes of memory that this process may hope for; infinite where the system does not say."""
    amounts = [float("inf")]
    with suppress(ValueError, OSError, AttributeError):
        amounts.append(float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    with suppress(ValueError, OSError):
        amounts.append(float(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(amounts)


def resident_memory(pid: int) -> float:
    """Return bytes of memory that a process holds; 0 where the system has no /proc."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def _exit_with_parent(parent: int) -> None:
    """End this process soon after its parent, which can no longer end what takes too long."""
    while os.getppid() == parent:
        time.sleep(GLANCE)
    time.sleep(GRACE)
    os._exit(1)


def draws_views() -> "type[DrawShape]":
    """Return what draws views; imported only by a worker, for it loads the renderer."""
    from hifa_cli.render.job import DrawShape

    return DrawShape


def main(kind: "Callable[[], type[DrawShape]]" = draws_views) -> None:
    """Answer every line as a worker, until the last.

    Args:
        kind: imports and returns the class that draws; what goes wrong with that is the answer.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is not an answer
    questions = open(sys.stdin.fileno(), encoding="utf-8", closefd=False)  # noqa: SIM115

    def answer(
        reason: str | None, what: str = "error", pictures: Greys | None = None, **more: object
    ) -> None:
        said = {**more, **({} if pictures is None else {"shape": pictures.shape})}
        answers.write(json.dumps(said if reason is None else {**said, what: reason}).encode() + b"\n")
        if pictures is not None:
            answers.write(pictures.tobytes())
        answers.flush()

    try:
        draw = kind()(RenderConfig(**json.loads(questions.readline())))
    except Exception as error:
        answer(f"{type(error).__name__}: {error}")
        return
    answer(None)
    for line in questions:
        job = json.loads(line)
        folder = None if job["folder"] is None else Path(job["folder"])
        try:
            drawn = draw(Path(job["path"]), folder, job["mark"])
            if isinstance(drawn, str):
                answer(drawn)
            else:
                remark = draw.remark or None
                if job["pixels"]:
                    answer(remark, "remark", np.asarray(drawn), facts=draw.facts())
                else:
                    answer(remark, "remark")
        except NoRoom as error:
            answer(str(error), "full")


if __name__ == "__main__":
    main()
