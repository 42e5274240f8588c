"""Processes that draw meshes: each its own, so that a mesh that kills its process costs only itself.

A worker is this module run as a program. It reads one JSON line a mesh on its standard input and answers
each with one JSON line on what was its standard output, and with the pixels where they are wanted. (Pools of
the standard library lose every waiting item when one process dies, and their "spawn" runs the user's script
again.)
"""

import json
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import RenderConfig
from hifa_cli.errors import HifaError, NoRoom
from hifa_cli.runtime import progress
from hifa_cli.runtime.child import module_command

if TYPE_CHECKING:
    from hifa_cli.render.job import DrawShape

PATIENCE = 300.0  # seconds for a worker to start; compiling takes ten or thirty, once
SLOW_START = 4.0  # seconds after which a start is worth a word
COMPILING = "starting the renderer takes long: on a busy machine, or because it is compiled once"
GLANCE = 0.2  # seconds between two looks at the workers' time and memory
SOON = 0.05  # seconds between two tries to end what may just be starting
LONG_WAIT = 0.25  # seconds without a drawn mesh after which all workers start
WAITS = 3  # times more often than not that one has to wait, after which they start, too
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
    """

    job: Job
    reason: str | None
    pictures: Greys | None = None
    remark: str = ""


class StartError(HifaError):
    """A renderer did not start."""


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
    crew = Crew(jobs, config, workers, worker or Worker)
    try:
        crew.workers[0].start(lambda: _say_once())
        yield from crew.outcomes()
    finally:
        crew.close()


_said: list[str] = []


def _say_once() -> None:
    """Explain a slow start; once a process, whatever number of stages draw."""
    if COMPILING not in _said:
        _said.append(COMPILING)
        progress.note(COMPILING)


class Crew:
    """Workers, a thread each that feeds it, and one that watches their time and memory."""

    def __init__(
        self, jobs: Iterable[Job], config: RenderConfig, workers: int, worker: "type[Worker]"
    ) -> None:
        limit = memory_limit(config, workers)
        self.workers = [worker(config, limit) for _ in range(workers)]
        self._waiting = deque(jobs)
        self._stop, self._hungry, self._waits = threading.Event(), threading.Event(), 0
        if not (self._waiting and self._waiting[0].pixels):
            self._hungry.set()
        self._results: queue.Queue[Outcome | BaseException | None] = queue.Queue(AHEAD * workers)
        self._threads = [
            threading.Thread(target=self._serve, args=(one,), daemon=True) for one in self.workers
        ]

    def outcomes(self) -> Iterator[Outcome]:
        """Start everything and yield outcomes until no job is left."""
        threading.Thread(target=self._watch, daemon=True).start()
        for thread in self._threads:
            thread.start()
        running, trouble = len(self.workers), None
        while running:
            result = self._next()
            if isinstance(result, Outcome):
                yield result
            elif isinstance(result, StartError):
                trouble = result
            elif result is not None:
                raise result
            else:
                running -= 1
        if trouble is not None and self._waiting:
            raise trouble

    def _next(self) -> Outcome | BaseException | None:
        """Wait for what comes next; who has to wait again and again gets all workers to work."""
        self._waits = max(self._waits + (1 if self._results.empty() else -1), 0)
        if self._waits >= WAITS:
            self._hungry.set()
        try:
            return self._results.get(timeout=None if self._hungry.is_set() else LONG_WAIT)
        except queue.Empty:
            self._hungry.set()
            return self._results.get()

    def _put(self, result: Outcome | BaseException | None) -> None:
        """Hand over a result, once there is room for it."""
        while not self._stop.is_set():
            with suppress(queue.Full):
                self._results.put(result, timeout=GLANCE)
                return

    def _serve(self, worker: "Worker") -> None:
        if worker is not self.workers[0]:
            self._hungry.wait()
        try:
            while self._waiting and not self._stop.is_set():
                if worker.process is None:
                    worker.start()  # before it takes a job, which others can do if this fails
                with suppress(IndexError):  # another was quicker
                    self._put(worker.draw(self._waiting.popleft()))
        except BaseException as error:
            self._put(error)
        finally:
            self._hungry.set()  # nothing is left to do, or nobody is left but the others
            self._put(None)

    def _watch(self) -> None:
        while not self._stop.wait(GLANCE):
            for worker in self.workers:
                worker.watch()

    def close(self) -> None:
        """End every process, whatever it is doing; none starts or writes any more afterwards."""
        self._stop.set()
        self._hungry.set()
        for worker, thread in zip(self.workers, self._threads, strict=True):
            worker.close()
            while thread.is_alive():
                thread.join(SOON)
                worker.close()  # it may have started only now


class Worker:
    """One drawing process, started when needed and again after it has died."""

    @staticmethod
    def command() -> list[str]:
        """Return what starts the process."""
        return module_command("hifa_cli.render.workers")

    def __init__(self, config: RenderConfig, limit: float) -> None:
        self.config = config
        self.limit = limit
        self.process: subprocess.Popen[bytes] | None = None
        self.began: float | None = None  # of the job in hand
        self.killed = ""  # why we ended it, if we did
        self._lock = threading.Lock()
        self._complaints: IO[bytes] | None = None

    def start(self, when_slow: Callable[[], None] = lambda: None) -> None:
        """Start the process and wait until its renderer is ready; call ``when_slow`` if that takes long.

        Raises:
            StartError: it does not get ready; the message has its last words.
        """
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        threads = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            self.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=os.environ | threads,
        )
        timers = [threading.Timer(PATIENCE, self.process.kill), threading.Timer(SLOW_START, when_slow)]
        for timer in timers:
            timer.daemon = True
            timer.start()
        answer = self._ask(asdict(self.config))
        for timer in timers:
            timer.cancel()
        if answer is None or "error" in answer:
            words = self._last_stderr_line() if answer is None else str(answer["error"])
            self._dispose()
            raise StartError(f"the {self.config.renderer} renderer does not start: {words}")

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
            return Outcome(job, answer.get("error"), pictures, answer.get("remark", ""))
        cause = self._cause_of_death()
        return Outcome(job, self.killed or cause)

    def _ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """Return the process's answer, or None if it died."""
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = b""
        return json.loads(line) if line.endswith(b"\n") else None

    def _pictures(self, answer: dict[str, Any] | None) -> Greys | None:
        """The pictures that follow an answer; None if there are none, or the process died meanwhile."""
        if answer is None or "shape" not in answer:
            return None
        assert self.process is not None
        assert self.process.stdout is not None
        shape = tuple(answer["shape"])
        content = self.process.stdout.read(math.prod(shape))
        if len(content) < math.prod(shape):
            return None
        return np.frombuffer(content, dtype=np.uint8).reshape(shape)

    def _cause_of_death(self) -> str:
        assert self.process is not None
        status = self.process.wait()
        words = self._last_stderr_line()
        self._dispose()
        if status < 0:
            name = signal.Signals(-status).name
            hint = ": out of memory?" if name == "SIGKILL" else ""
            return f"its process was ended by {name}{hint}"
        return f"its process ended with status {status}: {words}"

    def _last_stderr_line(self) -> str:
        if self._complaints is None:
            return ""
        self._complaints.seek(0)
        lines = self._complaints.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "without a word"

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

    def _dispose(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout, self._complaints):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        process.wait()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._dispose()


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
    """Be a worker: answer every line until there are no more.

    Args:
        kind: imports and returns the class that draws; what goes wrong with that is the answer.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is not an answer
    questions = open(sys.stdin.fileno(), encoding="utf-8", closefd=False)  # noqa: SIM115

    def answer(reason: str | None, what: str = "error", pictures: Greys | None = None) -> None:
        shape = {} if pictures is None else {"shape": pictures.shape}
        answers.write(json.dumps(shape if reason is None else {**shape, what: reason}).encode() + b"\n")
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
                answer(remark, "remark", pictures=np.asarray(drawn) if job["pixels"] else None)
        except NoRoom as error:
            answer(str(error), "full")


if __name__ == "__main__":
    main()
