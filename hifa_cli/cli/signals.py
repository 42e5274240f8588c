"""Ctrl-C and SIGTERM end a verb in the same way: in a line, and nothing half-written stays."""

import _thread
import signal
import sys
import threading
from typing import Any

SOON = 0.02  # seconds after which a signal that was lost is sent again


def heed() -> list[int]:
    """Turn SIGTERM into an exit, as Ctrl-C is, and see that neither is lost.

    A signal that comes while a library clears up (a destructor, a callback from C) is raised there, printed
    as a traceback, and forgotten. It is sent again instead.

    Returns:
        The exit status that SIGTERM asks for, once it has come.
    """
    asked: list[int] = []

    def end(number: int, frame: object) -> None:
        asked.append(128 + number)
        raise SystemExit(128 + number)

    def lost(what: Any) -> None:
        if issubclass(what.exc_type, KeyboardInterrupt):
            _send(signal.SIGINT)
        elif issubclass(what.exc_type, SystemExit) and asked:
            _send(signal.SIGTERM)
        else:
            sys.__unraisablehook__(what)

    signal.signal(signal.SIGTERM, end)
    sys.unraisablehook = lost
    return asked


def leave() -> None:
    """Let both end the process at once, without a word: a verb is over, and nothing is left to clear up."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else somebody else's
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _send(number: int) -> None:
    if hasattr(signal, "pthread_kill"):  # wakes it from a wait, too
        timer = threading.Timer(SOON, signal.pthread_kill, (threading.main_thread().ident, number))
    else:
        timer = threading.Timer(SOON, _thread.interrupt_main, (number,))
    timer.daemon = True
    timer.start()
