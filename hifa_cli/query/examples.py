"""More like these shapes, less like those: shapes of the gallery as a part of the query.

Rocchio's rule (Relevance feedback in information retrieval, 1971): the mean vector of the shapes that are
liked is added to the query, and a part of the mean of those that are not is taken off. The shapes named are
left out of the result, as they are known already.
"""

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery
from hifa_cli.search.rerank import QueryVectors, unit

LIKE, UNLIKE = 0.75, 0.15  # Rocchio's usual weights, beside a photo's unit vector (benchmarks/examples.py)
NEAREST = 3  # ids that a message names
_COMPARED = 100_000  # ids that a wrong one is compared with

Floats = NDArray[np.float32]


def rows_of_ids(gallery: Gallery, ids: Sequence[str]) -> NDArray[np.int64]:
    """Return the rows of shapes in the order of ``ids``.

    Raises:
        HifaError: the gallery has no shape of such an id; the nearest ids are named.
    """
    return np.array([row_of_id(gallery, name) for name in ids], dtype=np.int64)


def row_of_id(gallery: Gallery, name: str) -> int:
    """Return the row of a shape.

    Raises:
        HifaError: the gallery has no such shape; the nearest ids are named.
    """
    row = gallery.ids.row(name)
    if row is None:
        raise HifaError(f"the gallery {gallery.folder} has no shape '{name}'{_nearest(gallery, name)}")
    return row


def _nearest(gallery: Gallery, name: str) -> str:
    """Say which ids look like ``name``: those that contain it, else those of similar letters."""
    known = [one for _, one in zip(range(_COMPARED), gallery.ids, strict=False)]
    asked = name.lower()
    near = [one for one in known if asked and asked in one.lower()][:NEAREST]
    near = near or get_close_matches(name, known, n=NEAREST, cutoff=0.5)
    return f": did you mean {', '.join(near)}?" if near else ": 'hifa index --stats' counts its shapes"


def steered(
    gallery: Gallery, vectors: QueryVectors | None, like: NDArray[np.int64], unlike: NDArray[np.int64]
) -> QueryVectors:
    """Return query vectors moved towards some shapes and away from others.

    Args:
        gallery: of the shapes.
        vectors: of q photos, or None where shapes alone are the query (q is then 1).
        like: (m,) rows of shapes to be near to.
        unlike: (k,) rows of shapes to be far from.

    Returns:
        (q, D) unit vectors, to be compared as those of photos are.
    """
    shift = _mean(gallery, like, LIKE) - _mean(gallery, unlike, UNLIKE)
    if vectors is None:
        moved = unit(shift[None])
        return QueryVectors(moved, moved)
    return vectors.each(lambda part: unit(_comparable(gallery, part) + shift))


def _mean(gallery: Gallery, rows: NDArray[np.int64], weight: float) -> Floats:
    """Return (D,) ``weight`` times the unit mean vector of shapes; zeros for none."""
    if not len(rows):
        return np.zeros(gallery.vectors.shape[1], dtype=np.float32)
    return weight * unit(np.asarray(gallery.vectors[rows], dtype=np.float32).mean(axis=0))


def _comparable(gallery: Gallery, vectors: Floats) -> Floats:
    """Return (q, D) unit vectors, clamped where the gallery ranks as the paper does."""
    from hifa_cli.gallery import unit as clamped

    return vectors if gallery.ranking is not None else clamped(vectors)
