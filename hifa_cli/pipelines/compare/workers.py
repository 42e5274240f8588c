"""Processes that do a comparison's jobs side by side, each its own: one that dies costs only its job.

A worker is :mod:`.worker` run as a program. It reads JSON lines on its standard input (first
what all jobs share, then a job a line) and writes JSON lines on what was its standard output. It ends when
its standard input ends, in the middle of a job too: a killed comparison leaves nobody behind.
"""

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import IO, Any, Literal, NamedTuple

from hifa_cli.errors import reason_of
from hifa_cli.runtime.child import module_command

GLANCE = 1.0  # seconds between two looks for a signal
_LAST = ("done", "failed", "stopped")
What = Literal["tick", "note", "warn", "done", "failed", "stopped"]
Document = dict[str, Any]


class Event(NamedTuple):
    """Something that a job says: progress, a message, or how it ended."""

    job: int
    what: What
    value: Any


class Crew:
    """Workers that take jobs in their order.

    Args:
        shared: what every worker is told first.
        workers: how many.
        threads: that each may use for its sums.
    """

    def __init__(self, shared: Document, *, workers: int, threads: int) -> None:
        self._workers = [Worker(shared, threads) for _ in range(workers)]
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._waiting: deque[tuple[int, Document]] = deque()
        self._stop = threading.Event()

    def run(self, jobs: Iterable[tuple[int, Document]]) -> Iterator[Event]:
        """Do the numbered jobs; yields what they say as it comes. A failed job does not stop the others."""
        self._waiting.extend(jobs)
        crew = self._workers[: len(self._waiting)]
        for worker in crew:
            threading.Thread(target=self._serve, args=(worker,), daemon=True).start()
        running = len(crew)
        while running:
            with suppress(queue.Empty):
                event = self._events.get(timeout=GLANCE)  # without a limit Windows would not see Ctrl-C
                if event is None:
                    running -= 1
                else:
                    yield event

    def _serve(self, worker: "Worker") -> None:
        try:
            while not self._stop.is_set():
                number, job = self._waiting.popleft()
                for what, value in worker.do(job):
                    self._events.put(Event(number, what, value))
        except IndexError:
            pass  # nothing is left
        finally:
            self._events.put(None)

    def stop(self, patience: float) -> None:
        """Let the workers save what they are at, for at most ``patience`` seconds, and end them."""
        self._stop.set()
        for worker in self._workers:
            worker.ask_to_stop()
        for worker in self._workers:
            worker.wait(patience)
        self.close()

    def close(self) -> None:
        """End every process, whatever it is doing."""
        self._stop.set()
        for worker in self._workers:
            worker.close()


class Worker:
    """One process, started when there is a job and again after it has died."""

    @staticmethod
    def command() -> list[str]:
        """Return what starts the process."""
        return module_command("hifa_cli.pipelines.compare.worker")

    def __init__(self, shared: Document, threads: int) -> None:
        self.shared, self.threads = shared, threads
        self.process: subprocess.Popen[str] | None = None
        self._complaints: IO[bytes] | None = None

    def do(self, job: Document) -> Iterator[tuple[What, Any]]:
        """Give the process a job; yields what it says until the job has ended."""
        try:
            if self.process is None:
                self._start()
            self._send(job)
            while line := self._receive():
                yield line["what"], line["value"]
                if line["what"] in _LAST:
                    return
        except OSError as error:
            yield "failed", f"its process does not start: {reason_of(error)}"
            return
        yield "failed", self._cause_of_death()

    def _start(self) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        threads = {name: str(self.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        settings = threads | os.environ
        self.process = subprocess.Popen(
            self.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=settings,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C comes to the parent alone, which passes it on once
        )
        self._send(self.shared)

    def _send(self, document: Document) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has died: the next line is not there to be read
            self.process.stdin.write(json.dumps(document) + "\n")
            self.process.stdin.flush()

    def _receive(self) -> Document | None:
        """Return what the process says next, or None if it died."""
        assert self.process is not None
        assert self.process.stdout is not None
        try:
            line = self.process.stdout.readline()
        except (OSError, ValueError):  # ended and closed by another thread
            return None
        return json.loads(line) if line.endswith("\n") else None

    def _cause_of_death(self) -> str:
        if (process := self.process) is None:
            return "its process was ended"
        status = process.wait()
        words = self._last_stderr_line()
        self.close()
        if status < 0:
            name = signal.Signals(-status).name
            return f"its process was ended by {name}" + (": out of memory?" if name == "SIGKILL" else "")
        return f"its process ended with status {status}: {words}"

    def _last_stderr_line(self) -> str:
        if self._complaints is None or self._complaints.closed:
            return ""
        self._complaints.seek(0)
        lines = self._complaints.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "without a word"

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
