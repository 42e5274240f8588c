"""Nearest neighbours with FAISS: the only room that imports it."""

import math
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import IndexConfig
from hifa_cli.errors import HifaError

Index: TypeAlias = Any  # faiss.Index; FAISS comes without types
Vectors = NDArray[np.float32]


def _faiss() -> Any:
    """FAISS, imported when it is needed, with batched exact search brought back to matrix products.

    From version 1.15 on batches of fewer than 128,000 numbers avoid BLAS, which is ten times slower for
    the sizes met here.
    """
    import faiss

    faiss.cvar.distance_compute_blas_threshold = 800
    return faiss


def factory_for(count: int, dimension: int, config: IndexConfig) -> str:
    """The FAISS factory string for a gallery: exact up to ``exact_floats`` numbers, then IVF with 8 bits."""
    if config.factory != "auto":
        return config.factory
    if count * dimension <= config.exact_floats:
        return "Flat"
    return f"IVF{int(4 * math.sqrt(count))},SQ8"


def build(vectors: Vectors, config: IndexConfig) -> Index:
    """Index descriptors for inner products.

    Args:
        vectors: (n, D) float32, normalised, so that inner products are cosines.
        config: what kind of index.

    Raises:
        HifaError: FAISS does not know the factory string or cannot train it on so few vectors.
    """
    faiss = _faiss()
    factory = factory_for(len(vectors), vectors.shape[1], config)
    try:
        index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(vectors)
        index.add(vectors)
    except RuntimeError as error:
        reason = str(error).split("Error: ")[-1].splitlines()[0]
        raise HifaError(
            f"FAISS cannot build '{factory}' over {len(vectors)} vectors ({reason}); try --factory Flat"
        ) from error
    if (ivf := faiss.try_extract_index_ivf(index)) is not None:
        ivf.nprobe = config.probes
    return index


def write(index: Index, path: Path) -> None:
    """Write an index."""
    _faiss().write_index(index, str(path))


def read(path: Path, count: int, dimension: int) -> Index:
    """Open an index, by memory map where FAISS can.

    Raises:
        HifaError: it cannot be read, or is not one of ``count`` vectors of ``dimension``.
    """
    faiss = _faiss()
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    except RuntimeError as error:
        raise HifaError(f"cannot read the index {path}: damaged; build the gallery again") from error
    if index.ntotal != count or index.d != dimension:
        raise HifaError(f"the index {path} does not fit its gallery; build the gallery again")
    return index


def search(index: Index, queries: Vectors, top: int) -> tuple[Vectors, NDArray[np.int64]]:
    """The ``top`` nearest of each query, best first; equal scores in the gallery's order.

    Args:
        index: from ``build`` or ``read``.
        queries: (q, D) float32, normalised.
        top: how many; fewer come back from a smaller gallery.

    Returns:
        (q, k) cosine similarities and (q, k) rows of the gallery; a row of −1 means none was found.
    """
    scores, rows = index.search(np.ascontiguousarray(queries), min(top, index.ntotal))
    order = np.lexsort((rows, -scores), axis=1)
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)
