"""Embedding many shapes: pictures in, vectors into a store that a killed run leaves for the next one."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.data import Item
from hifa_cli.data.reading import item_pixels
from hifa_cli.data.transforms import Pixels
from hifa_cli.embeddings.encoder import PictureEncoder
from hifa_cli.gallery import unit
from hifa_cli.gallery.store import Stored, VectorStore
from hifa_cli.runtime import progress
from hifa_cli.runtime.threads import wanted
from hifa_cli.search.rerank import Ranker

BLOCK = 64  # shapes handed on at once
_EACH = 4  # pictures a thread of the encoder, so that all have work until the last


class Embedded(NamedTuple):
    """Some shapes' vectors.

    Attributes:
        rows: (b,) their places in what was asked for.
        vectors: (b, D) float32, as they leave the network; with a ranker the mean of the views.
        views: (b, V, D) float16 of unit length, clamped or as the ranker has them; None where not known.
        is_unit: whether the vectors are a gallery's own, of unit length already: they are kept to the bit.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    views: NDArray[np.float16] | None
    is_unit: bool = False


class Drawn(NamedTuple):
    """A shape's pictures.

    Attributes:
        digest: of what they show.
        pixels: (V, 3, S, S).
        cover: PNG of the one that stands for the shape; empty where it is to be had elsewhere.
        facts: what was measured of its mesh; empty where no mesh was read.
    """

    digest: bytes
    pixels: Pixels
    cover: bytes = b""
    facts: Mapping[str, Any] = MappingProxyType({})


class Embedder:
    """Embeds shapes and keeps what is done.

    Args:
        encoder: the model.
        folder: for what is done, safe to share; ``forget`` removes it.
        ranker: what the gallery does to vectors of views; None clamps them, as the paper's benchmark does.
        workers: threads that read pictures.
    """

    def __init__(
        self, encoder: PictureEncoder, folder: Path, *, ranker: Ranker | None = None, workers: int = 2
    ) -> None:  # fmt: skip
        self.encoder, self.folder, self.workers = encoder, folder, workers
        self.ranker = ranker

    @cached_property
    def store(self) -> VectorStore:
        """Return what is done: the vectors of this model, ranked so."""
        ranked = "" if self.ranker is None else self.ranker.mark
        name = hashlib.blake2b(f"{self.encoder.digest}{ranked}".encode(), digest_size=16).hexdigest()
        return VectorStore(self.folder / f"{name}.vectors")

    def embed_items(self, items: Sequence[Item], digests: Sequence[bytes]) -> None:
        """Embed every readable item that the store has not; what cannot be read is warned of and left out.

        Args:
            items: rendered shapes.
            digests: of what their pictures hold.
        """
        absent = [row for row in range(len(items)) if digests[row] not in self.store]
        steps = self._read([items[row] for row in absent], [digests[row] for row in absent])
        for _ in self.embed(progress.track(steps, "embedding shapes", total=len(absent))):
            pass

    def embed(self, shapes: Iterator[Drawn | None]) -> Iterator[None]:
        """Embed shapes as they come and put them into the store; one step a shape.

        Args:
            shapes: None stands for a shape without pictures.
        """
        waiting: list[Drawn] = []
        for shape in shapes:
            if shape is not None:
                waiting.append(shape)
            if sum(len(one.pixels) for one in waiting) >= _EACH * wanted():
                self._keep(waiting)
                waiting = []
            yield
        if waiting:
            self._keep(waiting)

    def blocks(self, rows: Sequence[int], digests: Sequence[bytes]) -> Iterator[Embedded]:
        """Yield what the store has of some rows, in order, in blocks.

        Args:
            rows: numbers to give the shapes.
            digests: of the shapes.
        """
        known = [(row, digest) for row, digest in zip(rows, digests, strict=True) if digest in self.store]
        for start in range(0, len(known), BLOCK):
            part = known[start : start + BLOCK]
            records = [self.store.get(digest) for _, digest in part]
            yield Embedded(
                np.array([row for row, _ in part], dtype=np.int64),
                np.stack([record.vector for record in records]),
                np.concatenate(filled_up([record.views[None] for record in records])),
            )

    def forget(self) -> None:
        """Remove the store, once what it was for is written."""
        self.__dict__.pop("store", None)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, shapes: Sequence[Drawn]) -> None:
        """Embed some shapes in one go: pictures never influence each other."""
        if self.encoder.config.tells_domains:
            made = self.encoder.shapes([shape.pixels for shape in shapes])
            for shape, (views, vector) in zip(shapes, made, strict=True):
                if self.ranker is None:
                    self._put(shape, vector, unit(views).astype(np.float16))
                else:
                    ranked = self.ranker.views(views)
                    self._put(shape, ranked.mean(axis=0), ranked.astype(np.float16))
            return
        vectors = self.encoder.each_picture(np.concatenate([shape.pixels for shape in shapes]))
        ends = np.cumsum([len(shape.pixels) for shape in shapes])
        for shape, mine in zip(shapes, np.split(vectors, ends[:-1]), strict=True):
            if self.ranker is None:
                self._put(shape, mine.max(axis=0), unit(mine).astype(np.float16))
            else:
                ranked = self.ranker.views(mine)
                self._put(shape, ranked.mean(axis=0), ranked.astype(np.float16))

    def _put(self, shape: Drawn, vector: NDArray[np.float32], views: NDArray[np.float16]) -> None:
        self.store.put(shape.digest, Stored(vector, views, shape.cover, dict(shape.facts)))

    def _read(self, items: Sequence[Item], digests: Sequence[bytes]) -> Iterator[Drawn | None]:
        pixels = item_pixels(items, self.encoder.config, workers=self.workers)
        for digest, found in zip(digests, pixels, strict=True):
            yield None if found is None else Drawn(digest, found)


def filled_up(blocks: Sequence[NDArray[np.float16]]) -> list[NDArray[np.float16]]:
    """Blocks of (b, V, D) views made equal in V: a view of zeros is nobody's best."""
    most = max((block.shape[1] for block in blocks), default=0)
    return [np.pad(block, ((0, 0), (0, most - block.shape[1]), (0, 0))) for block in blocks]
