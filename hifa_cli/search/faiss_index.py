"""Nearest neighbours with FAISS: the only room that imports it.

An index proposes candidates; their scores are the exact cosines of the stored vectors (``exact.py``), so
a score is the same whatever the index.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import IndexConfig
from hifa_cli.errors import HifaError
from hifa_cli.runtime import progress

Index: TypeAlias = Any  # faiss.Index; FAISS comes without types
Vectors = NDArray[np.float32]

EXACT = "Flat"  # needs no index: the stored vectors are multiplied
_BLOCK = 65_536  # vectors added at once
_LEAST_TRAINING = 50_000  # vectors: codes need some, however few lists there are
_SLACK = 1 << 20  # bytes on top of a file's size that a part of it may claim
_EFFORTS = [16 << power for power in range(8)]  # neighbours that a graph keeps in mind


def _faiss() -> Any:
    """FAISS, imported when it is needed, with batched exact search brought back to matrix products.

    From version 1.15 on batches of fewer than 128,000 numbers avoid BLAS, which is ten times slower for
    the sizes met here.
    """
    import faiss

    faiss.cvar.distance_compute_blas_threshold = 800
    return faiss


def factory_for(count: int, dimension: int, config: IndexConfig) -> str:
    """Return the FAISS factory string for a gallery.

    Exact up to ``exact_floats`` numbers, then inverted lists with 8 bits a number, and with 4 where even
    those would fill the memory.

    Args:
        count: of shapes.
        dimension: of their vectors.
        config: has the limits, or the factory that is asked for.

    Returns:
        A string for FAISS's index factory; ``Flat`` is exact.
    """
    if config.factory != "auto":
        return config.factory
    if count * dimension <= config.exact_floats:
        return EXACT
    codes = "SQ8" if count * dimension <= config.compact_bytes else "RaBitQ4"
    return f"IVF{int(4 * math.sqrt(count))},{codes}"


_TRIED_WIDTHS = (1_280, 5_040, 1_408)  # between them divisible by what codes divide by


def check_factory(factory: str, width: int | None = None) -> None:
    """Refuse a factory string that FAISS does not know, before any work is done for it.

    Args:
        factory: of the user.
        width: numbers of a vector; None where it is not known yet.

    Raises:
        HifaError: FAISS does not know it, or it does not fit vectors of this width.
    """
    if factory in ("auto", EXACT):
        return
    if any(_accepted(factory, one) for one in ((width,) if width else _TRIED_WIDTHS)):
        return
    if width is not None:
        check_factory(factory)
        raise HifaError(
            f"--factory '{factory}' does not fit vectors of {width} numbers: choose parts that divide "
            f"{width} (PQ{math.gcd(width, 64)}), or give auto"
        )
    raise HifaError(
        f"FAISS does not know the --factory '{factory}': give auto, Flat, HNSW32, 'IVF1024,SQ8' or "
        "another string of its index factory"
    )


def _accepted(factory: str, width: int) -> bool:
    faiss = _faiss()
    try:
        faiss.index_factory(width, factory, faiss.METRIC_INNER_PRODUCT)
    except (RuntimeError, AssertionError):
        return False
    return True


def build(
    vectors: Vectors, factory: str, config: IndexConfig, *, trained: Index = None, device: str = "cpu",
    ) -> Index:  # fmt: skip
    """Index descriptors for inner products.

    Args:
        vectors: (n, D) float32 unit rows, may be a memory map: they are read in blocks.
        factory: a FAISS factory string.
        config: how many vectors the index learns from.
        trained: an index of the same factory whose lists and codes may be used again.
        device: ``cuda`` or ``cuda:N`` to build on, where FAISS can; ``cuda`` means all of them.

    Returns:
        The index.

    Raises:
        HifaError: FAISS does not know the factory string or cannot train it on so few vectors.
    """
    faiss = _faiss()
    try:
        index = trained
        if index is None:
            index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        else:
            index.reset()
        sample = None if index.is_trained else _training_rows(vectors, index, config)
        placed = to_device(index, device)
        if sample is not None:
            progress.note(f"learning {factory} from {len(sample)} vectors")
            placed.train(sample)
        for block in progress.track(_blocks(vectors), "indexing", total=-(-len(vectors) // _BLOCK)):
            placed.add(block)
        return placed if placed is index else faiss.index_gpu_to_cpu(placed)
    except (RuntimeError, AssertionError) as error:
        reason = (str(error) or "it says no more").split("Error: ")[-1].splitlines()[0]
        raise HifaError(
            f"FAISS cannot build '{factory}' over {len(vectors)} vectors ({reason}); try --factory Flat"
        ) from error


def _training_rows(vectors: Vectors, index: Index, config: IndexConfig) -> Vectors:
    """Return a sample, since lists are learned as well from a part and the whole need not fit into memory."""
    lists = getattr(_faiss().try_extract_index_ivf(index), "nlist", 0)
    wanted = max(config.train_each * lists, _LEAST_TRAINING)
    if wanted >= len(vectors):
        return np.ascontiguousarray(vectors)
    rows = np.random.default_rng(0).choice(len(vectors), wanted, replace=False)
    return np.ascontiguousarray(vectors[np.sort(rows)])


def _blocks(vectors: Vectors) -> Iterator[Vectors]:
    for start in range(0, len(vectors), _BLOCK):
        yield np.ascontiguousarray(vectors[start : start + _BLOCK])


def write(index: Index, path: Path) -> None:
    """Write an index."""
    _faiss().write_index(index, str(path))


def read(path: Path, count: int, dimension: int, *, mapped: bool = True) -> Index:
    """Open an index, by memory map where FAISS can.

    Args:
        path: of the file.
        count: of vectors that it must hold.
        dimension: of them.
        mapped: map it into memory rather than read it.

    Returns:
        The index.

    Raises:
        HifaError: it cannot be read, or is not one of ``count`` vectors of ``dimension``.
    """
    faiss = _faiss()
    if not path.is_file():
        raise FileNotFoundError(path)
    with suppress(AttributeError):  # older ones know no limit; no part of a file is longer than the file
        faiss.set_deserialization_vector_byte_limit(path.stat().st_size + _SLACK)
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP if mapped else 0)
    except (RuntimeError, MemoryError) as error:
        raise HifaError(f"cannot read the index {path}: damaged; build the gallery again") from error
    if index.ntotal != count or index.d != dimension:
        raise HifaError(f"the index {path} does not fit its gallery; build the gallery again")
    if (graph := _graph(index)) is not None:  # as much memory is taken as it says
        graph.efSearch = max(1, min(graph.efSearch, count))
    return index


def set_effort(index: Index, effort: int) -> None:
    """Return how many lists are visited, or how many neighbours a graph keeps in mind; 0 changes nothing."""
    if not effort:
        return
    if (ivf := _faiss().try_extract_index_ivf(index)) is not None:
        ivf.nprobe = min(effort, ivf.nlist)
    elif (graph := _graph(index)) is not None:
        graph.efSearch = effort


def efforts(index: Index) -> list[int]:
    """Return the efforts worth trying, least first; 0 alone where nothing can be chosen."""
    if (ivf := _faiss().try_extract_index_ivf(index)) is not None:
        powers = [1 << power for power in range(ivf.nlist.bit_length())]
        return [*(one for one in powers if one < ivf.nlist), ivf.nlist]
    return [0] if _graph(index) is None else list(_EFFORTS)


def _graph(index: Index) -> Any:
    inner = index
    while hasattr(inner, "index"):  # behind a transformation
        inner = _faiss().downcast_index(inner.index)
    return getattr(inner, "hnsw", None)


def propose(index: Index, queries: Vectors, depth: int) -> NDArray[np.int64]:
    """Return (q, depth) rows that may be nearest, −1 beyond the last.

    Args:
        index: to ask.
        queries: (q, D) unit.
        depth: rows for each.

    Returns:
        (q, depth) rows.

    Raises:
        HifaError: the index breaks, or names rows that it does not have.
    """
    try:
        rows: NDArray[np.int64] = index.search(np.ascontiguousarray(queries), min(depth, index.ntotal))[1]
    except (RuntimeError, MemoryError, AssertionError) as error:
        raise HifaError("the gallery's index is damaged; build the gallery again") from error
    if rows.size and not (rows.min() >= -1 and rows.max() < index.ntotal):
        raise HifaError("the gallery's index is damaged: it names rows that are not there; build it again")
    return rows


def to_device(index: Index, device: str) -> Index:
    """The index on the GPU that ``device`` names (``cuda``: all of them); itself where FAISS cannot."""
    if not device.startswith("cuda"):
        return index
    faiss = _faiss()
    if faiss.get_num_gpus() == 0:
        progress.note("this FAISS sees no GPU: searching on the CPU ('hifa doctor' says more)")
        return index
    try:
        if ":" in device:
            return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), int(device.split(":")[1]), index)
        options = faiss.GpuMultipleClonerOptions()
        options.shard = True
        return faiss.index_cpu_to_all_gpus(index, co=options)
    except RuntimeError as error:
        reason = str(error).split("Error: ")[-1].splitlines()[0]
        progress.warn(f"FAISS cannot hold this index on a GPU ({reason}): searching on the CPU")
        return index


def gpus() -> int:
    """Return how many GPUs FAISS can use: none where it is not installed, or built without CUDA."""
    try:
        return int(getattr(_faiss(), "get_num_gpus", int)())
    except ModuleNotFoundError:
        return 0
