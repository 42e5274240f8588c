"""Answer photos from an open gallery: bytes in, a document out. This module knows no HTTP.

Threads that answer requests read and rank side by side; only what the network does is done for one batch
after the other, with all photos that wait by then.
"""

import tempfile
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import ModelConfig, ServeConfig
from hifa_cli.data.transforms import Pixels
from hifa_cli.embeddings.encoder import PictureFeatures
from hifa_cli.embeddings.text import knows_words
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery, read_gallery, read_main
from hifa_cli.gallery.fields import listed
from hifa_cli.gallery.stores.base import StoreError
from hifa_cli.query.document import rankings_document
from hifa_cli.query.parse import Box, Query, read_query
from hifa_cli.query.retrieve import Failed, QueryEncoder, QueryOptions, encoder_for, rank
from hifa_cli.runtime.progress import Reporter, reporting
from hifa_cli.web.batches import Batches
from hifa_cli.web.document import photo_of
from hifa_cli.web.shapes import without_folder

BATCH = 24  # requests whose photos are encoded together
MOST_VALUES = 20  # of a field that a page lists, each with its count


@dataclass(frozen=True)
class Photo:
    """A photo as it was sent.

    Attributes:
        name: what the sender calls it.
        content: the file's bytes.
        crop: the part of it that counts, in pixels of the upright photo.
    """

    name: str
    content: bytes
    crop: Box | None = None


class _Silence(Reporter):
    """Drops warnings: the answer says why a photo could not be used."""

    def warn(self, message: str) -> None:
        """Drop ``message``."""


class App:
    """An open gallery and its encoder; both are opened again when the gallery has changed.

    Args:
        folder: the gallery.
        model: a run, where the gallery holds no model.
        device: where the network runs.
        config: limits.
    """

    def __init__(self, folder: Path, model: Path | None, device: str, config: ServeConfig) -> None:
        self.folder, self.model, self.device, self.config = folder, model, device, config
        self.lock = threading.Lock()  # one batch at a time: the network takes all cores as it is
        self._batches: Batches[QueryEncoder, Pixels, PictureFeatures] = Batches(_encoded, self.lock, BATCH)
        self._opening = threading.Lock()
        self._openings = 0  # begun so far
        self._encoded_by: str | None = None  # digest of the model that is open
        self._open()

    def about(self) -> dict[str, Any]:
        """Return what a page must know of the gallery and of the limits."""
        limits = {name: getattr(self.config, name) for name in ("most", "upload", "photos")}
        return {**self.facts, **limits}

    def search(self, photos: Sequence[Photo], wanted: QueryOptions, *, pictures: int = 0) -> dict[str, Any]:
        """Return what ``hifa query --json`` prints for some photos.

        Photos that other threads ask for meanwhile are encoded together with these.

        Args:
            photos: each is a query, or all of them one where they are fused; none where shapes or words are.
            wanted: what is ranked; each photo has its own ``crop``.
            pictures: pixels of each photo's longer side, as it was read, in the answer; 0 for none.

        Returns:
            The document; with ``pictures`` each result has its photos too.

        Raises:
            HifaError: no photo can be used, an option is wrong, or the gallery is gone.
        """
        if not photos and not (wanted.like or wanted.text):
            raise HifaError("no photo came with the query: send one, or 'text', or a shape as 'like'")
        if len(photos) > self.config.photos:
            raise HifaError(f"{len(photos)} photos in one query: send at most {self.config.photos}")
        with tempfile.TemporaryDirectory() as scratch:
            kept, broken = _queries(Path(scratch), photos)
            if photos and not kept:
                raise HifaError(broken[0])
            names = {uuid.uuid4().hex: query.name for query, _ in kept}
            asked = [query._replace(name=name) for name, (query, _) in zip(names, kept, strict=True)]
            with without_folder(self.folder), reporting(_Silence()):
                try:
                    gallery, encoder = self._opened()
                    failed: list[Failed] = []
                    rankings, _ = rank(
                        _Together(encoder, self._batches), gallery, asked, wanted, failed=failed
                    )
                    found = rankings_document(gallery, rankings, None, failed)
                except StoreError:
                    raise
                except HifaError as error:
                    raise HifaError(_without_paths(_renamed(str(error), names), kept)) from error
            if pictures:
                whole = {name: path for name, (_, path) in zip(names, kept, strict=True)}
                found = _with_pictures(found, whole, pictures)
        return _renamed_document(found, names, broken)

    def current(self) -> Gallery:
        """Return the gallery as it is now; it is opened again where it has changed."""
        return self._opened()[0]

    def _opened(self) -> tuple[Gallery, QueryEncoder]:
        """Return the gallery as it was when this was called, or newer, and the encoder that belongs to it."""
        before = self._openings
        if read_main(self.folder) != self.gallery.document:
            with self._opening:
                # One that was begun meanwhile is new enough: where galleries change faster than they open,
                # each of many threads would open one more.
                if self._openings == before and read_main(self.folder) != self.gallery.document:
                    self._open()
        return self._state

    def _open(self) -> None:
        self._openings += 1
        gallery = read_gallery(self.folder, device=self.device)
        if self._encoded_by is None or gallery.model != self._encoded_by:  # an engine is slow to open
            self.encoder: QueryEncoder = encoder_for(gallery, self.model, self.device, threads=0)
        self.gallery: Gallery = gallery
        self._state = (gallery, self.encoder)  # of one moment: what a query reads at once
        self._encoded_by = gallery.model or None
        self.facts = _facts(self.gallery)


class _Together:
    """An encoder whose pictures go to the network together with those of other threads.

    Args:
        encoder: which is open.
        batches: of all threads.
    """

    def __init__(
        self, encoder: QueryEncoder, batches: Batches[QueryEncoder, Pixels, PictureFeatures]
    ) -> None:
        self._encoder, self._batches = encoder, batches
        self.digest = encoder.digest

    @property
    def config(self) -> ModelConfig:
        """Return how pictures are prepared."""
        return self._encoder.config

    @property
    def classifier(self) -> NDArray[np.float32] | None:
        """Return (K, D) weights of the encoder's own classifier, or None."""
        return self._encoder.classifier

    def pictures(self, pixels: Pixels) -> PictureFeatures:
        """Encode (N, 3, S, S) uint8 pixels: vectors, and logits where there is a classifier."""
        return self._batches.ask(self._encoder, pixels)


def _encoded(encoder: QueryEncoder, asked: Sequence[Pixels]) -> list[PictureFeatures]:
    """Encode the pictures of several requests in one go; the caller holds the lock."""
    found = encoder.pictures(asked[0] if len(asked) == 1 else np.concatenate(asked))
    ends = np.cumsum([len(one) for one in asked])
    return [
        PictureFeatures(*(None if part is None else part[end - len(one) : end] for part in found))  # type: ignore[arg-type]
        for one, end in zip(asked, ends, strict=True)
    ]


def _queries(folder: Path, photos: Sequence[Photo]) -> tuple[list[tuple[Query, Path]], list[str]]:
    """Write the photos: queries with their whole photo, and why others cannot be used."""
    kept, failed = [], []
    for number, photo in enumerate(photos):
        path = folder / f"photo-{number}"
        path.write_bytes(photo.content)
        query = Query(photo.name, path)
        try:
            if photo.crop is not None:
                query = Query(photo.name, folder / f"part-{number}.png")
                read_query(Query(photo.name, path), photo.crop).save(query.path, compress_level=1)
        except HifaError as error:
            failed.append(str(error).replace(str(path), photo.name).replace("--crop", "the crop"))
            continue
        kept.append((query, path))
    return kept, failed


def _renamed(message: str, names: Mapping[str, str]) -> str:
    """Return a message with the names that photos were sent with in place of ours."""
    for name, sent in names.items():
        message = message.replace(name, sent)
    return message


def _renamed_document(
    found: dict[str, Any], names: Mapping[str, str], broken: Sequence[str]
) -> dict[str, Any]:
    """Return a document with the names that photos were sent with, and with those that could not be cut."""
    results = [{**one, "query": _renamed(one["query"], names)} for one in found["results"]]
    results = [{**one, "error": _renamed(one["error"], names)} if "error" in one else one for one in results]
    results += [{"query": one.partition(":")[0], "matches": [], "error": one} for one in broken]
    counts = {"queries": len(results), "failed": found["failed"] + len(broken)}
    return {**found, **counts, "results": results}


def _with_pictures(found: dict[str, Any], whole: Mapping[str, Path], side: int) -> dict[str, Any]:
    """Return a document whose results have their whole photos: who draws a crop needs what was read."""
    results = []
    for one in found["results"]:
        photos = [photo_of(path, side) for name, path in whole.items() if name in one["query"]]
        results.append({**one, "pictures": [photo for photo in photos if photo]})
    return {**found, "results": results}


def _without_paths(message: str, kept: Sequence[tuple[Query, Path]]) -> str:
    """Return a message that names photos as their sender does, not by this machine's scratch files."""
    for query, path in kept:
        message = message.replace(str(query.path), query.name).replace(str(path), query.name)
    return message


def _facts(gallery: Gallery) -> dict[str, Any]:
    """Return the gallery's name, size, classes and fields with counts, and what ``find`` it supports."""
    counts = np.bincount(np.asarray(gallery.labels) + 1, minlength=len(gallery.classes) + 1)[1:]
    classes = [[name, int(count)] for name, count in zip(gallery.classes, counts, strict=True) if count]
    return {
        "name": gallery.folder.resolve().name,
        "shapes": len(gallery),
        "classes": classes,
        "find": list(gallery.finds),
        "text": knows_words(gallery.model_folder),
        "fields": [listed(column, MOST_VALUES) for column in gallery.fields.values()],
    }
