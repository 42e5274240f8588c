"""Requests that wait for the same work at the same time, done in one go."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key")  # hashable
Asked = TypeVar("Asked")
Found = TypeVar("Found")


class _Ticket(Generic[Asked, Found]):
    """A request that waits."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.found: Found | Exception | None = None


class Batches(Generic[Key, Asked, Found]):
    """Does the work of several threads together: who gets the lock works for all that wait alike.

    Args:
        work: takes a key and what was asked with it, and returns of each an answer or an error.
        lock: held while it works.
        most: requests at once.
    """

    def __init__(
        self,
        work: Callable[[Key, Sequence[Asked]], Sequence[Found | Exception]],
        lock: threading.Lock,
        most: int,
    ) -> None:
        self._work, self._lock, self._most = work, lock, most
        self._guard = threading.Lock()
        self._waiting: dict[Key, list[_Ticket[Asked, Found]]] = {}

    def ask(self, key: Key, asked: Asked) -> Found:
        """Return the answer to a request, made with those of others that have the same key.

        Raises:
            Exception: what the work returned for this request, or raised.
        """
        mine: _Ticket[Asked, Found] = _Ticket(asked)
        with self._guard:
            self._waiting.setdefault(key, []).append(mine)
        while mine.found is None:
            with self._lock:
                if mine.found is None:
                    self._serve(key)
        if isinstance(mine.found, Exception):
            raise mine.found
        return mine.found

    def _serve(self, key: Key) -> None:
        """Work for the first that wait with a key."""
        with self._guard:
            waiting = self._waiting.pop(key)
            batch, left = waiting[: self._most], waiting[self._most :]
            if left:
                self._waiting[key] = left
        try:
            found = self._work(key, [one.asked for one in batch])
        except Exception as error:
            found = [error] * len(batch)
        for ticket, answer in zip(batch, found, strict=True):
            ticket.found = answer
