"""Report progress, notes and warnings of long work to whoever listens.

Library functions call ``note``, ``warn``, ``status`` and ``track`` of this module. Nobody hears them until
a reporter is set: the command line sets one that writes to the terminal, a notebook or a service may set its
own with ``reporting``.
"""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R", bound="Reporter")


class Reporter:
    """Report nothing: the base class of every reporter, and the default."""

    def note(self, message: str) -> None:
        """Report something worth knowing."""

    def warn(self, message: str) -> None:
        """Report something that went wrong and did not stop the work."""

    def status(self, message: str) -> None:
        """Report how the current work is doing, beside its progress; the next status replaces it."""

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Yield ``items``; show how many of ``total`` are done under ``label``.

        Args:
            items: what is worked through.
            label: what is done, in a word or two.
            total: how many there are; None if ``items`` knows.

        Yields:
            The items, unchanged.
        """
        yield from items

    def track_steps(self, items: Iterable[T], label: str, total: int) -> Iterator[T]:
        """Yield the steps of training, the only work whose length a comparison knows beforehand.

        Args:
            items: the steps.
            label: what is trained.
            total: how many there are.

        Yields:
            The items, unchanged.
        """
        return self.track(items, label, total)

    def left_out(self, item: str, reason: str) -> None:
        """Report that ``item`` cannot be used and that the work goes on without it."""
        self.warn(f"left out {item}: {reason}")


class LoggingReporter(Reporter):
    """Pass warnings and notes to the logger ``hifa_cli``; Python shows warnings where nothing is set up."""

    def note(self, message: str) -> None:
        """Log ``message`` as information."""
        logging.getLogger("hifa_cli").info(message)

    def warn(self, message: str) -> None:
        """Log ``message`` as a warning."""
        logging.getLogger("hifa_cli").warning(message)


class _Default:
    """Hold the reporter of every thread that has none of its own."""

    reporter = Reporter()


_OWN: ContextVar[Reporter | None] = ContextVar("reporter", default=None)


def current() -> Reporter:
    """Return the reporter that hears this thread now."""
    return _OWN.get() or _Default.reporter


@contextmanager
def reporting(reporter: R) -> Iterator[R]:
    """Send all reports to ``reporter`` for the duration of a block.

    In the main thread it also hears the threads that the block starts; in another thread, such as one that
    answers a web request, it hears that thread alone.
    """
    token, before = _OWN.set(reporter), _Default.reporter
    everywhere = threading.current_thread() is threading.main_thread()
    if everywhere:
        _Default.reporter = reporter
    try:
        yield reporter
    finally:
        _OWN.reset(token)
        if everywhere:
            _Default.reporter = before


@contextmanager
def reporting_somewhere() -> Iterator[None]:
    """Log the reports of a block where nobody has set a reporter: nothing that went wrong stays unsaid."""
    if type(current()) is not Reporter:
        yield
        return
    with reporting(LoggingReporter()):
        yield


def note(message: str) -> None:
    """Report something worth knowing."""
    current().note(message)


def warn(message: str) -> None:
    """Report something that went wrong and did not stop the work."""
    current().warn(message)


def status(message: str) -> None:
    """Report how the current work is doing, beside its progress; the next status replaces it."""
    current().status(message)


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items``; show how many of ``total`` are done under ``label``.

    Args:
        items: what is worked through.
        label: what is done, in a word or two.
        total: how many there are; None if ``items`` knows.

    Yields:
        The items, unchanged.
    """
    return current().track(items, label, total)


def track_steps(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Yield the steps of training; show how many of ``total`` are done under ``label``.

    Args:
        items: the steps.
        label: what is trained.
        total: how many there are.

    Yields:
        The items, unchanged.
    """
    return current().track_steps(items, label, total)


def left_out(item: str, reason: str) -> None:
    """Report that ``item`` cannot be used and that the work goes on without it."""
    current().left_out(item, reason)
