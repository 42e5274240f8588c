"""The one error that a user sees."""


class HifaError(Exception):
    """A mistake that the user can mend: names the thing, the place and the remedy in one line."""
