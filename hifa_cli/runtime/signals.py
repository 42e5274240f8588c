"""Ctrl-C and SIGTERM end a verb in the same way: in a line, and nothing half-written stays."""

import _thread
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from types import FrameType
from typing import Any

SOON = 0.02  # seconds after which a signal that came at a bad moment is sent again
STARTS = (ExtensionFileLoader.create_module.__code__, ExtensionFileLoader.exec_module.__code__)


@contextmanager
def heeded() -> Iterator[list[int]]:
    """Turn SIGTERM into an exit, as Ctrl-C is, and see that neither is lost, or does harm.

    What comes while a library clears up (a destructor, a callback from C) is raised there, printed as a
    traceback, and forgotten; what comes while a compiled module starts can make it abort the process. Such a
    signal is sent again a little later instead. Afterwards both end the process at once, without a word: the
    verb is over, and nothing is left to clear up.

    Yields:
        The exit statuses that signals asked for, as they come.
    """
    asked: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        asked.append(128 + number)
        if _compiled_module_starts(frame):
            _send(number)
        elif number == signal.SIGTERM:
            raise SystemExit(128 + number)
        else:
            raise KeyboardInterrupt

    def lost(what: Any) -> None:
        if issubclass(what.exc_type, KeyboardInterrupt):
            _send(signal.SIGINT)
        elif issubclass(what.exc_type, SystemExit) and asked:
            _send(signal.SIGTERM)
        else:
            sys.__unraisablehook__(what)

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background jobs ignore it
        numbers.append(signal.SIGINT)
    for number in numbers:
        signal.signal(number, end)
    sys.unraisablehook = lost
    try:
        yield asked
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _compiled_module_starts(frame: FrameType | None) -> bool:
    """Return whether one is on its way in, whose C++ may know no exceptions of ours."""
    while frame:
        if frame.f_code in STARTS:
            return True
        frame = frame.f_back
    return False


def _send(number: int) -> None:
    main = threading.main_thread().ident

    def send() -> None:
        time.sleep(SOON)
        if hasattr(signal, "pthread_kill") and main:  # wakes it from a wait, too
            signal.pthread_kill(main, number)
        else:
            _thread.interrupt_main(signal.Signals(number))

    _thread.start_new_thread(send, ())  # takes no lock that what was interrupted may hold
