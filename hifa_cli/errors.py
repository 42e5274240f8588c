"""The errors that a user sees."""


class HifaError(Exception):
    """A mistake that the user can mend: names the thing, the place and the remedy in one line."""

    exit_code = 1


class Stopped(HifaError):
    """The user stopped the work; what was done is kept and the message says how to go on."""

    exit_code = 130
