"""Write to the terminal: messages and progress to stderr, results to stdout."""

import json
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from hifa_cli.runtime.progress import Reporter, reporting

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, Task

T = TypeVar("T")
HEARTBEAT = 30.0  # seconds between two lines about a stage where nobody watches
_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # of terminals; not tab and newline


class TerminalReporter(Reporter):
    """Notes, warnings and progress bars on stderr; bars only where somebody watches."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        self.progress: Progress | None = None
        self._stages: list[Progress] = []  # the one at work last

    @cached_property
    def console(self) -> "Console":
        """Return stderr as rich writes to it; rich is imported when there is something to say."""
        return _messages()

    def note(self, message: str) -> None:
        """Print ``message`` on stderr."""
        self.console.print(plain(message), markup=False)

    def warn(self, message: str) -> None:
        """Print ``message`` on stderr as a warning."""
        self.console.print("[yellow]warning:[/]", end=" ")
        self.console.print(plain(message), markup=False)

    def status(self, message: str) -> None:
        """Show ``message`` behind the bar that is running."""
        if self.progress is not None and self.progress.tasks:
            self.progress.update(self.progress.tasks[0].id, status=message)

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Show a bar while ``items`` pass; where nobody watches, a line every ``HEARTBEAT`` seconds.

        Args:
            items: what is worked through.
            label: what is done, in a word or two.
            total: how many there are; None if ``items`` knows.

        Yields:
            The items, unchanged.
        """
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[status]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        outer, self.progress = self.progress, progress
        with progress, self._heartbeat(progress):
            task = progress.add_task(label, total=total, rate="", status="")
            for item in items:
                yield item
                progress.advance(task)
                if speed := progress.tasks[0].speed:
                    progress.update(task, rate=f"{speed:.1f}/s")
        self.progress = outer
        if not self.console.is_terminal:
            done = int(progress.tasks[0].completed)
            self.note(f"{label}: {done} in {progress.tasks[0].finished_time or 0:.0f} s" if done else label)

    @contextmanager
    def _heartbeat(self, progress: "Progress") -> Iterator[None]:
        """Say how far the stage at work is, at regular intervals, where no bar shows it."""
        if self.console.is_terminal:
            yield
            return
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT):
                if self._stages and self._stages[-1] is progress and progress.tasks:
                    self.note(heartbeat(progress.tasks[0]))

        self._stages.append(progress)
        threading.Thread(target=beat, daemon=True).start()
        try:
            yield
        finally:
            over.set()
            self._stages.remove(progress)


def heartbeat(task: "Task") -> str:
    """Return a line that says how far a stage is, how fast it goes and how long it will take."""
    done, total, elapsed = int(task.completed), task.total, task.elapsed or 0.0
    said = f"{task.description}: {done}" + (f"/{int(total)}" if total else "")
    if not done:
        return f"{said}, {_duration(elapsed)} so far"
    rate = done / max(elapsed, 1e-9)
    speed = f"{rate:.1f}/s" if rate >= 0.1 else f"{60 * rate:.1f}/min"
    left = f", {_duration((total - done) / rate)} left" if total else ""
    return f"{said}, {speed}{left}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


class QuietReporter(Reporter):
    """Only warnings, on stderr."""

    def warn(self, message: str) -> None:
        """Print ``message`` on stderr as a warning."""
        _messages().print(f"warning: {plain(message)}", markup=False)


def _messages() -> "Console":
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


class _Command:
    """Hold what ends with the command that runs."""

    exits = ExitStack()


@contextmanager
def command() -> Iterator[None]:
    """Run a command; when it ends, its reporter ends."""
    with ExitStack() as _Command.exits:
        yield


def start_reporting(*, quiet: bool, verbose: bool) -> None:
    """Report on stderr, as ``-q`` and ``-v`` ask for, until the command ends."""
    reporter = QuietReporter() if quiet else TerminalReporter(verbose=verbose)
    _Command.exits.enter_context(reporting(reporter))


def print_json(document: Any) -> None:
    """Write one JSON document to stdout."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    sys.stdout.write(encodable(text) + "\n")


def encodable(text: str) -> str:
    """A text with what is not text (names of files need not be) written as JSON writes it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def plain(text: str) -> str:
    """A line that does nothing to a terminal: names come from strangers and may hold its commands."""
    return _COMMANDS.sub("\N{REPLACEMENT CHARACTER}", encodable(text))


def print_result(*renderables: Any) -> None:
    """Write results for people to stdout, as wide as they need where stdout is not a terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    for renderable in renderables:
        console.print(renderable)
