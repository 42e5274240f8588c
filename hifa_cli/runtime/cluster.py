"""Work that several machines share: parts that tasks make on any node, given out a few at a time.

A node needs the same hifa, and the files that a task reads at the same paths. What a task warns of there is
said here. :mod:`.ray_pool` has the tasks run by a Ray cluster.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hifa_cli import __version__
from hifa_cli.errors import HifaError
from hifa_cli.runtime import progress
from hifa_cli.runtime.parts import KeptParts
from hifa_cli.runtime.progress import Reporter, reporting

Work = Callable[[Any, bytes], bytes]  # of what a task is given, and what all tasks share


class Task(NamedTuple):
    """The work of one node at a time: a part.

    Attributes:
        number: of the part, from 1.
        of: how many parts there are.
        work: a function of a module, which makes the part.
        given: its first argument; the second is what all tasks share.
        version: of hifa, which the node must have.
    """

    number: int
    of: int
    work: Work
    given: Any
    version: str = __version__

    @property
    def name(self) -> str:
        """Return which part it is, as it is said: ``2/8``."""
        return f"{self.number}/{self.of}"


class Made(NamedTuple):
    """The answer to a task.

    Attributes:
        number: of the part.
        content: what the work returned; empty where it failed.
        warnings: what it warned of.
        error: why it failed, in one line; empty where it did not.
    """

    number: int
    content: bytes
    warnings: tuple[str, ...] = ()
    error: str = ""


class Pool(Protocol):
    """A place where tasks run."""

    def capacity(self) -> int:
        """Return how many tasks may wait and run at a time."""

    def submit(self, task: Task, shared: bytes) -> None:
        """Give out a task.

        Args:
            task: the part.
            shared: the same bytes for all tasks of the pool, such as a model; they are sent once.
        """

    def next(self) -> Made:
        """Wait for any of the tasks that were given out.

        Raises:
            HifaError: its nodes died too often.
        """


class _Heard(Reporter):
    """Remembers warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        """Remember ``message``."""
        self.warnings.append(message)


def perform(task: Task, shared: bytes) -> Made:
    """Do the work of a task: what a node runs.

    Args:
        task: the part.
        shared: what all tasks share.

    Returns:
        The part, or why it could not be made.
    """
    if task.version != __version__:
        error = f"a node has hifa {__version__}, not {task.version}: install the same one"
        return Made(task.number, b"", error=error)
    with reporting(_Heard()) as heard:
        try:
            return Made(task.number, task.work(task.given, shared), tuple(heard.warnings))
        except HifaError as error:
            return Made(task.number, b"", tuple(heard.warnings), str(error))


def made_by(
    pool: Pool, tasks: Sequence[Task], shared: bytes = b"", said: set[str] | None = None
) -> Iterator[Made]:
    """Yield parts as they are finished; few are given out ahead, so that none piles up.

    Each warning of the nodes is said once.

    Args:
        pool: where the tasks run.
        tasks: the parts.
        shared: what all of them are given.
        said: warnings that have been said, and those that are said now.

    Yields:
        The finished parts, in any order.

    Raises:
        HifaError: one cannot be made.
    """
    waiting, running = list(reversed(tasks)), 0
    of = {task.number: task.name for task in tasks}
    heard = set[str]() if said is None else said
    while waiting or running:
        while waiting and running < max(pool.capacity(), 1):
            pool.submit(waiting.pop(), shared)
            running += 1
        made = pool.next()
        running -= 1
        _say(made.warnings, heard)
        if made.error:
            raise HifaError(f"part {of[made.number]}: {made.error}")
        yield made


def _say(warnings: Iterable[str], said: set[str]) -> None:
    """Pass on warnings that have not been said; many parts may warn of one thing."""
    for warning in warnings:
        if warning not in said:
            progress.warn(warning)
        said.add(warning)


def keep_parts(
    pool: Pool, kept: KeptParts, tasks: Mapping[int, Task], label: str, shared: bytes = b""
) -> list[Path]:
    """Have the parts made that are not kept yet, and keep them.

    Args:
        pool: where the tasks run.
        kept: the parts that are finished.
        tasks: of all parts, by their numbers.
        label: of the progress.
        shared: what all tasks are given.

    Returns:
        The folders of all parts.

    Raises:
        HifaError: one cannot be made; those that are finished stay.
    """
    todo, said = kept.todo(), set[str]()
    if len(todo) < len(tasks):
        progress.note(f"{len(tasks) - len(todo)} of {len(tasks)} parts are finished already")
    for number in tasks.keys() - set(todo):
        _say(kept.warnings(number), said)
    made = made_by(pool, [tasks[number] for number in todo], shared, said)
    for one in progress.track(made, label, total=len(todo)):
        kept.keep(one.number, one.content, one.warnings)
    return [kept.place(number) for number in tasks]
