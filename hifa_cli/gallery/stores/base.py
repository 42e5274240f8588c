"""The contract of a store: the one place that says what a database must give to stand behind a gallery.

A store holds shelves, and a shelf holds the vectors of one generation that was written whole, row by row: row
r is the r-th row of the gallery's columns. A row is written once; others are appended behind the last. The
gallery's folder keeps all that is small (ids, classes, paths, fields, the graph of neighbours), and its
``gallery.json`` says which shelf is in force and how many of its rows count. Ids, classes, paths and fields
are carried over to the shelf as well, as payload for other programs.

The local gallery is the reference: what :class:`Shelf` returns must be what the gallery's own files hold, to
the bit, and :meth:`Shelf.nearest` must find what exact search in them finds.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError

Rows = NDArray[np.int64]
Kind = Literal["vectors", "views"]
AT_ONCE = 10_000  # row numbers that one condition of a search names


class StoreError(HifaError):
    """A store that cannot be reached, or does not hold what the gallery says."""


class Size(NamedTuple):
    """The size of a shape's numbers: V views (0 where they are not kept) of D numbers each."""

    views: int
    width: int


class Block(NamedTuple):
    """Rows on their way to a shelf, one behind the other.

    Attributes:
        first: the row of the first one.
        vectors: (b, D) float32.
        views: (b, V, D) float16, or None where they are not kept.
        payload: of each row ``id``, ``class``, ``path`` and ``fields``.
    """

    first: int
    vectors: NDArray[np.float32]
    views: NDArray[np.float16] | None
    payload: Sequence[dict[str, Any]]


class Found(NamedTuple):
    """The answer of a shelf to queries.

    Attributes:
        scores: (q, k) inner products in the store's own precision, −inf where there is no row.
        rows: (q, k) rows, −1 where there are no more.
    """

    scores: NDArray[np.float32]
    rows: Rows


class Asked(NamedTuple):
    """The rows that a search is to find its answers among.

    Attributes:
        stored: rows that count: those behind them are a writer's that has not finished.
        within: (m,) only these rows; None means all.
        without: (d,) not these rows.
    """

    stored: int
    within: Rows | None = None
    without: Rows | None = None


class Shelf(ABC):
    """The vectors of one generation in a store.

    Attributes:
        name: of the shelf.
        size: of a shape's numbers.
    """

    name: str
    size: Size

    @abstractmethod
    def count(self) -> int:
        """Return how many rows there are."""

    @abstractmethod
    def append(self, blocks: Iterator[Block]) -> None:
        """Write rows, in the place of what a killed writer left behind the rows that count.

        Args:
            blocks: one behind the other; the first starts where the rows that count end.

        Raises:
            StoreError: the store went away. Rows that were written do not count before the gallery says so.
        """

    @abstractmethod
    def some(self, kind: Kind, rows: Rows) -> NDArray[Any]:
        """Return the numbers of some different rows, ascending: (k, D) float32 or (k, V, D) float16.

        Raises:
            StoreError: the store went away, or a row is not there.
        """

    @abstractmethod
    def payload(self, rows: Rows) -> list[dict[str, Any]]:
        """Return ``id``, ``class``, ``path`` and ``fields`` of some different rows, ascending.

        Raises:
            StoreError: the store went away, or a row is not there.
        """

    @abstractmethod
    def nearest(self, queries: NDArray[np.float32], top: int, asked: Asked) -> Found:
        """Return the rows of largest inner product with (q, D) queries, by exact search.

        Args:
            queries: (q, D).
            top: how many at most.
            asked: among which rows; at most ``AT_ONCE`` are named in ``within``.

        Returns:
            Scores and rows, best first.

        Raises:
            StoreError: the store went away.
        """

    def fetch(self, kind: Kind, rows: Rows) -> NDArray[Any]:
        """Return the numbers of rows in any order, repeated ones too: (k, D) float32 or (k, V, D) float16."""
        wanted, places = np.unique(np.asarray(rows, dtype=np.int64), return_inverse=True)
        return self.some(kind, wanted)[places.reshape(-1)]

    def search(self, queries: NDArray[np.float32], top: int, asked: Asked) -> Found:
        """Return what :meth:`nearest` does, among any number of rows.

        Args:
            queries: (q, D).
            top: how many at most.
            asked: among which rows.

        Returns:
            Scores and rows, best first.
        """
        if asked.within is None or len(asked.within) <= AT_ONCE:
            parts = [self.nearest(queries, top, asked)]
        else:
            parts = [
                self.nearest(queries, top, asked._replace(within=asked.within[start : start + AT_ONCE]))
                for start in range(0, len(asked.within), AT_ONCE)
            ]
        scores = np.concatenate([one.scores for one in parts], axis=1)
        rows = np.concatenate([one.rows for one in parts], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        return Found(np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1))


class Store(ABC):
    """A database that holds shelves of galleries.

    Attributes:
        address: as the user gave it.
    """

    address: str

    @abstractmethod
    def shelves(self) -> list[str]:
        """Return the names of all shelves.

        Raises:
            StoreError: the store cannot be reached, or the place is taken by something else.
        """

    @abstractmethod
    def create(
        self, name: str, size: Size, blocks: Iterator[Block], fields: Sequence[dict[str, Any]]
    ) -> Shelf:
        """Write a new shelf.

        Args:
            name: that no shelf has.
            size: of a shape's numbers.
            blocks: its rows from 0.
            fields: what ``gallery.json`` says of the fields.

        Returns:
            The shelf.

        Raises:
            StoreError: the store went away.
        """

    @abstractmethod
    def open(self, name: str) -> Shelf:
        """Return a shelf that is there.

        Raises:
            StoreError: the store cannot be reached.
        """

    @abstractmethod
    def drop(self, name: str) -> None:
        """Remove a shelf.

        Raises:
            StoreError: the store cannot be reached.
        """

    def show(self, name: str) -> None:  # noqa: B027 - most stores have nothing to do
        """Say which shelf is in force, where the store can name it for other programs."""


@contextmanager
def reached(address: str, errors: tuple[type[BaseException], ...]) -> Iterator[None]:
    """Say in one line what a store's library raises.

    Args:
        address: of the store.
        errors: that the library raises.

    Raises:
        StoreError: the library raised one of them.
    """
    try:
        yield
    except HifaError:
        raise
    except errors as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = lines[0][:200] if lines else type(error).__name__
        raise StoreError(
            f"the store {address} does not answer: {why}; see that it runs and is the right one, "
            "then give the same command again"
        ) from error


def readable(text: str) -> str:
    """Return a text as stores hold it: bytes of a file's name that are not UTF-8 become U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
