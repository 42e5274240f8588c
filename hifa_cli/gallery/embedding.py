"""Embedding many shapes, in shards that a killed run leaves for the next one."""

import hashlib
import io
import shutil
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.data import Item, read_picture
from hifa_cli.data.transforms import Pixels, to_pixels
from hifa_cli.embeddings.encoder import PictureEncoder
from hifa_cli.errors import HifaError
from hifa_cli.gallery import unit
from hifa_cli.gallery.columns import DAMAGED
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import written_file
from hifa_cli.search.rerank import Ranker

SHARD = 64  # shapes embedded between two files


class Embedded(NamedTuple):
    """Some shapes' vectors.

    Attributes:
        rows: (b,) their places in what was asked for.
        vectors: (b, D) float32, as they leave the network; with a ranker the mean of the views.
        views: (b, V, D) float16 of unit length, clamped or as the ranker has them; None where not known.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    views: NDArray[np.float16] | None


class Embedder:
    """Embeds shapes and keeps what is done.

    Args:
        encoder: the model.
        folder: for the shards, safe to share; ``forget`` removes it.
        ranker: what the gallery does to vectors of views; None clamps them, as the paper's benchmark does.
        workers: threads that read pictures.
    """

    def __init__(
        self, encoder: PictureEncoder, folder: Path, *, ranker: Ranker | None = None, workers: int = 2,
        ) -> None:  # fmt: skip
        self.encoder, self.folder, self.workers = encoder, folder, workers
        self.ranker = ranker

    def embedded(self, items: Sequence[Item], digests: Sequence[bytes]) -> Iterator[Embedded]:
        """The vectors of every readable item and its views, in order, a shard at a time.

        Args:
            items: rendered shapes.
            digests: of what their pictures hold.
        """
        done: deque[Embedded] = deque()
        steps = self._steps(items, digests, done)
        for _ in progress.track(steps, "embedding shapes", total=len(items)):
            while done:
                yield done.popleft()
        yield from done

    def forget(self) -> None:
        """Remove the shards, once what they were for is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _steps(
        self, items: Sequence[Item], digests: Sequence[bytes], done: deque[Embedded]
    ) -> Iterator[None]:
        """One step an item; shards that are whole are put into ``done``."""
        for start in range(0, len(items), SHARD):
            part = items[start : start + SHARD]
            ranked = "" if self.ranker is None else self.ranker.mark
            key = hashlib.blake2b(f"{self.encoder.digest}{ranked}".encode(), digest_size=16)
            for digest in digests[start : start + SHARD]:
                key.update(digest)
            path = self.folder / f"{key.hexdigest()}.npz"
            shard = _read_shard(path, len(part))
            if shard is None:
                parts: list[Embedded] = []
                for one in self._each(part):
                    parts.append(one)
                    yield
                if not parts:
                    continue
                shard = _joined(parts)
                _write_shard(path, shard)
            else:
                yield from (None for _ in shard.rows)
            done.append(shard._replace(rows=shard.rows + start))

    def _each(self, items: Sequence[Item]) -> Iterator[Embedded]:
        with ThreadPoolExecutor(max(self.workers, 1)) as readers:
            ahead: deque[Future[Pixels]] = deque()
            for row in range(len(items)):
                while len(ahead) < self.workers + 1 and row + len(ahead) < len(items):
                    ahead.append(readers.submit(self._pixels, items[row + len(ahead)]))
                try:
                    pixels = ahead.popleft().result()
                except HifaError as error:
                    progress.left_out(items[row].id, str(error))
                    continue
                if self.encoder.config.tells_domains:
                    yield self._shape(row, pixels)
                else:
                    yield embedded_views(row, self.encoder.each_picture(pixels), self.ranker)

    def _shape(self, row: int, pixels: Pixels) -> Embedded:
        """A shape by a network that treats shapes otherwise than photos; only torch's encoder knows how."""
        from hifa_cli.embeddings.extract import Encoder

        if not isinstance(self.encoder, Encoder):
            raise HifaError("this model's shapes need torch: build the gallery from its run with --model RUN")
        views, vectors = self.encoder.shape(pixels)
        return Embedded(np.array([row], dtype=np.int64), vectors[None], unit(views).astype(np.float16)[None])

    def _pixels(self, item: Item) -> Pixels:
        return np.stack([to_pixels(read_picture(path), self.encoder.config) for path in item.views])


def embedded_views(row: int, vectors: NDArray[np.float32], ranker: Ranker | None) -> Embedded:
    """Return what is kept of a shape of whose V views an encoder made (V, D) vectors.

    Args:
        row: the shape's place in what was asked for.
        vectors: (V, D), as they leave the network.
        ranker: what the gallery does to them, or None.
    """
    at = np.array([row], dtype=np.int64)
    if ranker is None:
        return Embedded(at, vectors.max(axis=0)[None], unit(vectors).astype(np.float16)[None])
    views = ranker.views(vectors)
    return Embedded(at, views.mean(axis=0)[None], views.astype(np.float16)[None])


def _joined(parts: Sequence[Embedded]) -> Embedded:
    """Blocks as one, in the order of their rows; views of unequal number are filled up with zeros."""
    rows = np.concatenate([part.rows for part in parts])
    order = np.argsort(rows)
    views = filled_up([part.views for part in parts if part.views is not None])
    return Embedded(
        rows[order], np.concatenate([part.vectors for part in parts])[order], np.concatenate(views)[order]
    )


def filled_up(blocks: Sequence[NDArray[np.float16]]) -> list[NDArray[np.float16]]:
    """Blocks of (b, V, D) views made equal in V: a view of zeros is nobody's best."""
    most = max((block.shape[1] for block in blocks), default=0)
    return [np.pad(block, ((0, 0), (0, most - block.shape[1]), (0, 0))) for block in blocks]


def _write_shard(path: Path, shard: Embedded) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    columns: dict[str, Any] = {"rows": shard.rows, "vectors": shard.vectors, "views": shard.views}
    np.savez(content, **columns)
    with written_file(path) as beside:
        beside.write_bytes(content.getbuffer())


def _read_shard(path: Path, count: int) -> Embedded | None:
    """A shard of up to ``count`` shapes, or None where there is none or it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:  # stored as they are: nothing in it can unpack to more
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                return None
        with np.load(path, allow_pickle=False) as file:
            shard = Embedded(file["rows"], file["vectors"], file["views"])
    except (*DAMAGED, KeyError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None
    return shard if _fits(shard, count) else None


def _fits(shard: Embedded, count: int) -> bool:
    """Whether the columns of a shard are of their kinds, of one length, and of rows that there are."""
    rows, vectors, views = shard
    kinds = rows.dtype == np.int64 and vectors.dtype == np.float32
    if not kinds or views is None or views.dtype != np.float16:
        return False
    if (rows.ndim, vectors.ndim, views.ndim) != (1, 2, 3) or vectors.shape[1] != views.shape[2]:
        return False
    one_length = len(rows) == len(vectors) == len(views) and len(rows) > 0
    finite = bool(np.isfinite(vectors).all() and np.isfinite(views).all())
    return (
        one_length
        and finite
        and len(set(rows.tolist())) == len(rows)
        and 0 <= rows.min() <= rows.max() < count
    )
