"""Search in a table of unit vectors: exact, or by an index that is tuned to a stated recall."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import IndexConfig
from hifa_cli.runtime import progress
from hifa_cli.search import faiss_index
from hifa_cli.search.exact import Rows, Scores, Vectors, exact_search, recall, rescored
from hifa_cli.settings import documented

DEPTHS = (4, 16, 64, 256)  # candidates whose cosines are computed, for each answer asked for
_LEAST_DEPTH = 64
_ENOUGH = 1e-3  # a gain of recall below which more effort is not the way


@dataclass(frozen=True)
class SearchParams:
    """The effort of an index, and its recall.

    Attributes:
        effort: lists visited or neighbours kept in mind; 0 where an index knows neither.
        depth: candidates whose exact cosines are computed, for each answer asked for.
        recall: share of the exact answers that were found.
        target: the recall that was asked for.
        sample: queries that it was measured with.
        queries: what they were: ``photos`` of the export, or ``blends`` of two shapes.
        at: how many nearest.
    """

    effort: int
    depth: int
    recall: float
    target: float
    sample: int
    queries: str
    at: int

    def document(self) -> dict[str, Any]:
        """Return for ``gallery.json``."""
        return asdict(self)


def effort_of(document: Any) -> SearchParams:
    """Return what ``SearchParams.document`` made, read again.

    Raises:
        ValueError: it is not such a document.
    """
    effort = SearchParams(**documented(SearchParams, document))
    if effort.effort < 0 or effort.depth < 1:
        raise ValueError("no effort at all")
    return effort


class Searcher:
    """Finds nearest neighbours; scores are exact cosines whatever finds them.

    Args:
        vectors: (n, D) unit rows, may be a memory map.
        index: of FAISS, or None for exact search.
        effort: how hard the index tries.
        device: where the index runs: ``cpu``, ``cuda`` or ``cuda:N``.
        rows_of: rows of the table for the index's own rows, −1 for those that are gone; None where they are
            the same.
        late: rows of the table that the index does not know, ascending; they are searched one by one.
    """

    def __init__(
        self,
        vectors: Vectors,
        index: faiss_index.Index = None,
        effort: SearchParams | None = None,
        *,
        device: str = "cpu",
        rows_of: Callable[[Rows], Rows] | None = None,
        late: Rows | None = None,
    ) -> None:
        self.vectors = vectors
        self._rows_of = rows_of
        self._late = late if late is not None and len(late) else None
        self.depth = effort.depth if effort else DEPTHS[0]
        if index is None and device.startswith("cuda") and faiss_index.gpus():
            index = faiss_index.build(vectors, faiss_index.EXACT, IndexConfig())
            self._rows_of = self._late = None  # it knows all, as they are
        if index is not None:
            faiss_index.set_effort(index, effort.effort if effort else 0)
            index = faiss_index.to_device(index, device)
        self.index = index

    def search(self, queries: Vectors, top: int, *, among: Rows | None = None) -> tuple[Scores, Rows]:
        """Return the ``top`` nearest of (q, D) unit queries.

        Among a part of the rows the search is exact, since an index over all of them would have to look
        for long to find enough of a small part.

        Args:
            queries: (q, D) unit.
            top: how many.
            among: (m,) only these rows, ascending; None means all.

        Returns:
            (q, k) cosines and (q, k) rows, −1 beyond the last that was found.
        """
        if self.index is None or among is not None:
            return exact_search(self.vectors, queries, top, among=among)
        depth = max(self.depth * top, _LEAST_DEPTH)
        found = faiss_index.propose(self.index, queries, depth)
        if self._rows_of is not None:
            found = self._rows_of(found)
        if self._late is not None:
            found = np.concatenate(
                [found, exact_search(self.vectors, queries, top, among=self._late)[1]], axis=1
            )
        return rescored(self.vectors, queries, found, top)

    def candidates(self, queries: Vectors, top: int, *, among: Rows | None = None) -> Rows:
        """Return (m,) rows, ascending, that hold the ``top`` nearest of each of (q, D) unit queries.

        Args:
            queries: (q, D) unit.
            top: how many of each.
            among: (m,) only these rows, ascending; None means all.

        Returns:
            (m,) rows.
        """
        found = self.search(queries, top, among=among)[1]
        return np.unique(found[found >= 0])

    def products(self, query: Vectors, rows: Rows | None = None) -> Vectors:
        """Return (n,) cosines of a (D,) unit query with all rows, or (k,) with some."""
        vectors = self.vectors if rows is None else self.vectors[rows]
        return np.asarray(np.asarray(vectors, dtype=np.float32) @ query, dtype=np.float32)


def sample_queries(vectors: Vectors, photos: Vectors | None, config: IndexConfig) -> tuple[Vectors, str]:
    """Queries to tune with: photos where there are, else blends of two shapes, which are nobody's own vector.

    Args:
        vectors: (n, D) unit rows.
        photos: (p, D) unit rows, or None.
        config: how many.

    Returns:
        (q, D) unit rows, and what they are.
    """
    generator = np.random.default_rng(0)
    if photos is not None and len(photos):
        rows = generator.permutation(len(photos))[: config.sample]
        return np.ascontiguousarray(photos[rows]), "photos"
    first, second = generator.integers(0, len(vectors), size=(2, min(config.sample, len(vectors))))
    blends = 0.7 * np.asarray(vectors[first]) + 0.3 * np.asarray(vectors[second])
    lengths = np.linalg.norm(blends, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (blends / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit, "blends"


def tune(
    index: faiss_index.Index,
    vectors: Vectors,
    sample: tuple[Vectors, str],
    config: IndexConfig,
) -> SearchParams:
    """Return the least effort that finds ``config.recall`` of the exact answers to a sample of queries.

    SearchParams grows until it gains nothing any more, then the number of candidates does; where the target
    cannot be reached at all, the best that was seen is taken and a warning says so.

    Args:
        index: to be searched.
        vectors: (n, D) that it holds.
        sample: (q, D) queries, and what they are.
        config: has the recall that is wanted.

    Returns:
        The effort, and what it finds.
    """
    queries, kind = sample
    _, wanted = exact_search(vectors, queries, config.recall_at)
    best = SearchParams(0, DEPTHS[0], -1.0, config.recall, len(queries), kind, config.recall_at)
    for depth in DEPTHS:
        last = -1.0
        for effort in faiss_index.efforts(index):
            tried = _tried(index, vectors, queries, wanted, effort, depth)
            if tried > best.recall:
                best = SearchParams(effort, depth, tried, config.recall, len(queries), kind, config.recall_at)
            if tried >= config.recall:
                return best
            if last >= 0 and tried - last < _ENOUGH and tried > 0:
                break
            last = tried
    progress.warn(
        f"the index finds {best.recall:.3f} of the {config.recall_at} nearest, not {config.recall:g}: "
        "choose another --factory"
    )
    return best


def _tried(
    index: faiss_index.Index, vectors: Vectors, queries: Vectors, wanted: Rows, effort: int, depth: int
) -> float:
    faiss_index.set_effort(index, effort)
    candidates = faiss_index.propose(index, queries, max(depth * wanted.shape[1], _LEAST_DEPTH))
    return recall(rescored(vectors, queries, candidates, wanted.shape[1])[1], wanted)
