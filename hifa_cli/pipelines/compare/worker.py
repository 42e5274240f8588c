"""A worker of a comparison: does the jobs that come in as JSON lines, one after another."""

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from hifa_cli.errors import HifaError, Stopped
from hifa_cli.pipelines.compare.jobs import Job, Runner, Shared
from hifa_cli.runtime.progress import Reporter, reporting

T = TypeVar("T")
Say = Callable[[str, Any], None]
OFTEN = 0.5  # seconds between two words about progress
FAULT_FILE = "error.txt"


class LineReporter(Reporter):
    """Passes warnings and the steps of training on to the parent."""

    def __init__(self, say: Say) -> None:
        self.say = say

    def warn(self, message: str) -> None:
        """Pass ``message`` on."""
        self.say("warn", message)

    def track_steps(self, items: Iterable[T], label: str, total: int) -> Iterator[T]:
        """Yield the steps of training; tell the parent now and then how many have passed.

        Args:
            items: the steps.
            label: what is trained.
            total: how many there are.

        Yields:
            The items, unchanged.
        """
        count, said = 0, time.monotonic()
        for item in items:
            yield item
            count += 1
            if time.monotonic() - said > OFTEN:
                self.say("tick", count)
                count, said = 0, time.monotonic()


def main() -> None:
    """Do every job that comes; end at once when the parent has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is not an answer
    lines = _lines()

    def say(what: str, value: Any) -> None:
        answers.write(json.dumps({"what": what, "value": value}) + "\n")
        answers.flush()

    run = Runner(Shared(**json.loads(lines.get())))
    while True:
        job = Job(**json.loads(lines.get()))
        try:
            with reporting(LineReporter(say)):
                say("done", run(job))
        except Stopped as stopped:
            say("stopped", str(stopped))
            return
        except HifaError as error:
            say("failed", str(error))
        except Exception as error:  # ours or a library's: the other rows go on
            say("failed", _told(error, Path(job.folder)))


def _end(number: int, frame: object) -> None:
    """Asked to stop beside training, which asks for itself: what is half-written is cleared up on the way."""
    raise SystemExit(128 + number)


def _lines() -> "queue.Queue[str]":
    """Return the lines of standard input, read by a thread that ends the process when the input ends."""
    waiting: queue.Queue[str] = queue.Queue()

    def read() -> None:
        with open(sys.stdin.fileno(), encoding="utf-8", closefd=False) as source:
            for line in source:
                waiting.put(line)
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return waiting


def _told(error: Exception, folder: Path) -> str:
    """Return one line on an unforeseen error; its whole story goes into a file of the job's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAULT_FILE).write_text(traceback.format_exc(), encoding="utf-8")
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''} (see {folder / FAULT_FILE})"


if __name__ == "__main__":
    main()
