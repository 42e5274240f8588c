"""Child processes that work side by side: one that dies, hangs or takes too much costs only its own job.

A worker is a program of ours. It reads JSON lines on its standard input and writes JSON lines, and bytes that
they announce, on what was its standard output. (Pools of the standard library lose every waiting item when
one process dies, and their "spawn" runs the user's script again.)
"""

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, Generic, TypeVar

from hifa_cli.errors import HifaError

GLANCE = 0.2  # seconds between two looks: for a signal, at the workers' time and memory
SOON = 0.05  # seconds between two tries to end what may just be starting
LONG_WAIT = 0.25  # seconds without a result after which all workers of a lazy pool start
WAITS = 3  # times more often than not that one has to wait, after which they start, too

Document = dict[str, Any]


class StartError(HifaError):
    """A worker did not start."""


class WorkerProcess:
    """One process, started when it is needed and again after it has died."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] | None = None

    @staticmethod
    def command() -> list[str]:
        """Return what starts the process."""
        raise NotImplementedError

    def launch(self, environment: Mapping[str, str], *, own_session: bool = False) -> None:
        """Start the process.

        Args:
            environment: of the process, whole.
            own_session: keep Ctrl-C from it, which its parent then passes on once.

        Raises:
            OSError: it cannot be started.
        """
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        self.process = subprocess.Popen(
            self.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=dict(environment),
            start_new_session=own_session,
        )

    def send(self, document: Document) -> None:
        """Tell the process something; one that has died is noticed by the next :meth:`receive`."""
        if (process := self.process) is None or process.stdin is None:
            return
        with suppress(OSError, ValueError):  # it has died, or was ended by another thread
            process.stdin.write(json.dumps(document).encode() + b"\n")
            process.stdin.flush()

    def receive(self) -> Document | None:
        """Return what the process says next, or None if it died."""
        if (process := self.process) is None or process.stdout is None:
            return None
        try:
            line = process.stdout.readline()
        except (OSError, ValueError):  # ended and closed by another thread
            return None
        return json.loads(line) if line.endswith(b"\n") else None

    def receive_bytes(self, count: int) -> bytes | None:
        """Return so many bytes that the process announced, or None if it died."""
        if (process := self.process) is None or process.stdout is None:
            return None
        try:
            content = process.stdout.read(count)
        except (OSError, ValueError):
            return None
        return content if len(content) == count else None

    def cause_of_death(self) -> str:
        """Return how the process ended, and make room for the next one."""
        if (process := self.process) is None:
            return "its process was ended"
        status = process.wait()
        words = self.last_words()
        self.close()
        if status < 0:
            name = signal.Signals(-status).name
            return f"its process was ended by {name}" + (": out of memory?" if name == "SIGKILL" else "")
        return f"its process ended with status {status}: {words}"

    def last_words(self) -> str:
        """Return the last line that the process wrote to stderr."""
        if self._complaints is None or self._complaints.closed:
            return ""
        self._complaints.seek(0)
        lines = self._complaints.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "without a word"

    def watch(self) -> None:
        """Look at what the process does; called every ``GLANCE`` seconds where a pool watches."""

    def ask_to_stop(self) -> None:
        """Ask the process to save what it is at and end."""
        if (process := self.process) is not None:
            process.terminate()

    def wait(self, patience: float) -> None:
        """Wait until the process has ended, for at most ``patience`` seconds."""
        if (process := self.process) is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, self._complaints):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


Job = TypeVar("Job")
Result = TypeVar("Result")
Worker = TypeVar("Worker", bound=WorkerProcess)


class Pool(Generic[Worker, Job, Result]):
    """Workers, a thread each that feeds it, and where it is wanted one that watches them.

    Args:
        workers: the processes, none of them started by the pool itself.
        do: gives a worker a job and yields what comes of it.
        prepare: makes a worker ready before it takes a job, which others can do if this fails.
        ahead: results that wait for whoever takes them, for each worker; 0 is any number.
        lazy: start the first worker alone, and the others once results are waited for.
        watched: call ``watch`` of every worker again and again.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        do: Callable[[Worker, Job], Iterable[Result]],
        *,
        prepare: Callable[[Worker], None] = lambda worker: None,
        ahead: int = 0,
        lazy: bool = False,
        watched: bool = False,
    ) -> None:
        self.workers, self._do, self._prepare = list(workers), do, prepare
        self._watched = watched
        self._waiting: deque[Job] = deque()
        self._stop, self._hungry, self._waits = threading.Event(), threading.Event(), 0
        if not lazy:
            self._hungry.set()
        self._results: queue.Queue[tuple[Result] | BaseException | None] = queue.Queue(ahead * len(workers))
        self._threads: list[threading.Thread] = []

    def run(self, jobs: Iterable[Job]) -> Iterator[Result]:
        """Do the jobs and yield what comes of them, in any order.

        Raises:
            StartError: no worker starts any more.
        """
        self._waiting.extend(jobs)
        crew = self.workers[: len(self._waiting)]
        self._threads = [threading.Thread(target=self._serve, args=(one,), daemon=True) for one in crew]
        if self._watched:
            threading.Thread(target=self._watch, daemon=True).start()
        for thread in self._threads:
            thread.start()
        running, trouble = len(crew), None
        while running:
            result = self._next()
            if isinstance(result, tuple):
                yield result[0]
            elif isinstance(result, StartError):
                trouble = result
            elif result is not None:
                raise result
            else:
                running -= 1
        if trouble is not None and self._waiting:
            raise trouble

    def _next(self) -> tuple[Result] | BaseException | None:
        """Wait for what comes next; who has to wait again and again gets all workers to work."""
        self._waits = max(self._waits + (1 if self._results.empty() else -1), 0)
        if self._waits >= WAITS:
            self._hungry.set()
        while True:  # with a limit, or Windows would not see Ctrl-C
            try:
                return self._results.get(timeout=GLANCE if self._hungry.is_set() else LONG_WAIT)
            except queue.Empty:
                self._hungry.set()

    def _put(self, result: tuple[Result] | BaseException | None) -> None:
        """Hand over a result, once there is room for it."""
        while not self._stop.is_set():
            with suppress(queue.Full):
                self._results.put(result, timeout=GLANCE)
                return

    def _serve(self, worker: Worker) -> None:
        if worker is not self.workers[0]:
            self._hungry.wait()
        try:
            while self._waiting and not self._stop.is_set():
                self._prepare(worker)
                try:
                    job = self._waiting.popleft()
                except IndexError:  # another was quicker
                    break
                for result in self._do(worker, job):
                    self._put((result,))
        except BaseException as error:
            self._put(error)
        finally:
            self._hungry.set()  # nothing is left to do, or nobody is left but the others
            self._put(None)

    def _watch(self) -> None:
        while not self._stop.wait(GLANCE):
            for worker in self.workers:
                worker.watch()

    def stop(self, patience: float) -> None:
        """Let the workers save what they are at, for at most ``patience`` seconds, and end them."""
        self._stop.set()
        for worker in self.workers:
            worker.ask_to_stop()
        for worker in self.workers:
            worker.wait(patience)
        self.close()

    def close(self) -> None:
        """End every process, whatever it is doing; none starts or writes any more afterwards."""
        self._stop.set()
        self._hungry.set()
        for worker in self.workers:
            worker.close()
        for worker, thread in zip(self.workers, self._threads, strict=False):
            while thread.is_alive():
                thread.join(SOON)
                worker.close()  # it may have started only now


def child_environment(threads: int, *, names: Sequence[str], keep: bool = False) -> dict[str, str]:
    """Return this process's environment with numbers of threads.

    Args:
        threads: that a child may use for its sums.
        names: variables that say so.
        keep: leave those that the user has set.

    Returns:
        The whole environment of a child.
    """
    wanted = dict.fromkeys(names, str(threads))
    return {**wanted, **os.environ} if keep else {**os.environ, **wanted}
