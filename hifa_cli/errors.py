"""The errors that a user sees."""

import errno

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
