"""Answer photos from an open gallery: bytes in, a document out. This module knows no HTTP."""

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hifa_cli.config import PageConfig, ServeConfig
from hifa_cli.data import is_mesh
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery, read_gallery, read_main
from hifa_cli.gallery.fields import listed
from hifa_cli.query.parse import Box, Query, read_query
from hifa_cli.query.retrieve import QueryEncoder, QueryOptions, Ranking, encoder_for, rank
from hifa_cli.runtime.progress import Reporter, current, reporting
from hifa_cli.web.document import page_contents

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


class _Warnings(Reporter):
    """Keeps the warnings, which say why a photo could not be used."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def warn(self, message: str) -> None:
        """Keep ``message``."""
        self.messages.append(message)


class _OnlyWarnings(Reporter):
    """Passes on warnings; a server that runs all day shows no progress of each query."""

    def __init__(self) -> None:
        self.warn = current().warn  # type: ignore[method-assign]


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
        self.lock = threading.Lock()  # one query at a time: the network takes all cores as it is
        self._open()

    def about(self) -> dict[str, Any]:
        """Return what a page must know of the gallery and of the limits."""
        limits = {name: getattr(self.config, name) for name in ("most", "upload", "photos")}
        return {**self.facts, **limits}

    def query(self, photos: Sequence[Photo], wanted: QueryOptions) -> dict[str, Any]:
        """Return the page's document for some photos.

        Args:
            photos: each is a query, or all of them one where they are fused; none where ``wanted.like`` names
                shapes.
            wanted: what is shown; ``top`` is cut to the limit, each photo has its own ``crop``.

        Returns:
            ``queries``, ``shapes``, ``warnings`` (photos that could not be used) and ``gallery``.

        Raises:
            HifaError: no photo can be used, a crop or a class is wrong, or the gallery is gone.
        """
        if not photos and not wanted.like:
            raise HifaError("no photo came with the query: send one, or name a shape as 'like'")
        if len(photos) > self.config.photos:
            raise HifaError(f"{len(photos)} photos in one query: send at most {self.config.photos}")
        wanted = replace(wanted, top=min(wanted.top, self.config.most), crop=None)
        try:
            return self._query(photos, wanted)
        except HifaError as error:  # who asks need not know where the gallery lies
            raise HifaError(str(error).replace(str(self.folder), self.folder.resolve().name)) from error

    def _query(self, photos: Sequence[Photo], wanted: QueryOptions) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            with self.lock:
                self._refresh()
                gallery = self.gallery
                rankings, warnings = self._rank(folder, photos, wanted)
            with reporting(_OnlyWarnings()):
                contents = page_contents(gallery, rankings, PageConfig())
        return {**contents.data, "warnings": warnings, "gallery": self.about()}

    def mesh(self, shape: str) -> Path:
        """Return the file of a shape's mesh.

        Raises:
            HifaError: no such shape exists, the gallery knows no mesh of it, or the mesh is gone.
        """
        gallery = self.gallery
        row = next((row for row, name in enumerate(gallery.ids) if name == shape), None)
        if row is None:
            raise HifaError(f"the gallery has no shape '{shape}': search again, it may have changed")
        source = gallery.source(row)
        if source is None or not is_mesh(source):
            raise HifaError(f"the gallery knows no mesh of '{shape}': build it from meshes")
        if not source.is_file():
            raise HifaError(f"the mesh of '{shape}' is no longer where it was: update the gallery")
        return source

    def _rank(
        self, folder: Path, photos: Sequence[Photo], wanted: QueryOptions
    ) -> tuple[list[Ranking], list[str]]:
        kept, failed = _queries(folder, photos)
        warnings = _Warnings()
        if photos and not kept:
            raise HifaError(failed[0])
        try:
            with reporting(warnings):
                rankings, _ = rank(self.encoder, self.gallery, [one for one, _ in kept], wanted)
        except HifaError as error:
            said = warnings.messages[0] if warnings.messages else str(error)
            raise HifaError(_without_paths(said, kept)) from error
        whole = {one.path: path for one, path in kept}  # a page shows the photo and draws the crop on it
        rankings = [
            replace(one, pictures=tuple(whole.get(path, path) for path in one.pictures)) for one in rankings
        ]
        return rankings, [*failed, *(_without_paths(one, kept) for one in warnings.messages)]

    def _refresh(self) -> None:
        if read_main(self.folder) != self.gallery.document:
            self._open()

    def _open(self) -> None:
        self.gallery: Gallery = read_gallery(self.folder, device=self.device)
        self.encoder: QueryEncoder = encoder_for(self.gallery, self.model, self.device)
        self.facts = _facts(self.gallery)


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
        "fields": [listed(column, MOST_VALUES) for column in gallery.fields.values()],
    }
