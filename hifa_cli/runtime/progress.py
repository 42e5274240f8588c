"""What a long job says while it works, apart from where it is said."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Talk:
    """Says nothing: the default of every library function.

    The command line passes a subclass that writes to the terminal; a notebook or a service may pass
    its own.
    """

    def note(self, message: str) -> None:
        """Say something worth knowing."""

    def warn(self, message: str) -> None:
        """Say that something went wrong which did not stop the work."""

    def status(self, message: str) -> None:
        """Say how the work at hand is doing, beside its progress; replaced by the next one."""

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Yield ``items``, showing how many of ``total`` are done under ``label``."""
        yield from items


SILENT = Talk()
