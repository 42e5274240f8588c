"""The errors that a user sees."""

import csv
import errno
import json
import os

FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))  # no more may be written
MAKE_ROOM = "make room, then give the same command again"


class HifaError(Exception):
    """A mistake that the user can mend: names the thing, the place and the remedy in one line."""

    exit_code = 1


class NoRoom(HifaError):
    """No more can be written: what is written next would fail as well."""


class Stopped(HifaError):
    """The user stopped the work; what was done is kept and the message says how to go on."""

    exit_code = 130


def reason_of(error: BaseException) -> str:
    """Return why a file could not be read or written, in words for a user and never in Python's own.

    Args:
        error: what the system, or a parser of the standard library, raised.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.strerror or os.strerror(error.errno)
    if isinstance(error, UnicodeError):
        return "it is not text in UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno} is not JSON"
    if type(error).__name__ == "TOMLDecodeError":  # of tomllib or tomli: its words name line and column
        return str(error)
    if isinstance(error, csv.Error):
        return "a line is not CSV"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "it does not fit into memory" if isinstance(error, MemoryError) else "it is damaged"
