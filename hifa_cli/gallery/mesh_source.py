"""Meshes as a gallery's source: drawn by processes, embedded as the pictures come, in bounded memory."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hifa_cli.config import RenderConfig
from hifa_cli.data import read_picture
from hifa_cli.data.shapes import shapes_of_meshes
from hifa_cli.data.transforms import grey_pixels
from hifa_cli.errors import HifaError
from hifa_cli.gallery.embedding import Drawn, Embedded, Embedder
from hifa_cli.gallery.shard import WHOLE, Shard, digest_of_ids
from hifa_cli.gallery.sources import COVER, SourceEntry, below, class_of, origin_of, root_of, short_digest
from hifa_cli.render.discover import Failure
from hifa_cli.render.pipeline import (
    draw_jobs,
    marks_of,
    meshes_of,
    picture_settings,
    with_renderer,
    write_settings,
)
from hifa_cli.render.up_taken import Taken, joined, settle_up
from hifa_cli.render.view_io import grey_png, read_mark, view_names
from hifa_cli.render.workers import Greys, Job
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import sweep
from hifa_cli.runtime.lock import sole_output


class Drawing(NamedTuple):
    """Options of drawing meshes.

    Attributes:
        config: the pictures.
        workers: processes that draw, at most.
        views: folder that keeps the pictures as PNG files; None keeps none.
        force: draw again what is there.
    """

    config: RenderConfig
    workers: int
    views: Path | None = None
    force: bool = False


@dataclass
class MeshesSource:
    """The shapes that meshes make, drawn and embedded when they are prepared.

    Attributes:
        jobs: what draws each entry.
        is_part: whether these are a shard's, which may be few or none.
    """

    origin: dict[str, Any]
    entries: list[SourceEntry]
    jobs: list[Job]
    drawing: Drawing
    taken: list[dict[str, Any]]
    embedder: Embedder
    failed: list[Failure] = field(default_factory=list)
    is_part: bool = False

    @property
    def views(self) -> int:
        """Of every shape."""
        return self.drawing.config.views

    def prepare(self, rows: Sequence[int]) -> list[int]:
        """Draw and embed some entries that are not there yet; a mesh that cannot be drawn is warned of.

        Raises:
            HifaError: none of a whole source's meshes can be drawn.
        """
        absent = [row for row in rows if self.entries[row].digest not in self.embedder.store]
        with self._views_kept():
            self._embed(absent)
        broken = {failure.path for failure in self.failed}
        if self.jobs and not self.is_part and all(job.path in broken for job in self.jobs):
            raise HifaError(
                f"none of the {len(self.failed)} meshes in {self.origin['path']} could be drawn; see the "
                "warnings"
            )
        return [row for row in rows if self.entries[row].digest in self.embedder.store]

    def embedded(self, rows: Sequence[int]) -> Iterator[Embedded]:
        """Return the vectors of some entries and of their views."""
        return self.embedder.blocks(rows, [self.entries[row].digest for row in rows])

    def cover(self, row: int) -> bytes | None:
        """Return the picture that was kept with the vectors."""
        return self.embedder.store.get(self.entries[row].digest).cover or None

    def facts(self, row: int) -> dict[str, Any]:
        """Return what was measured of a mesh while it was drawn; nothing where kept views were read."""
        return self.embedder.store.get(self.entries[row].digest).facts

    def _embed(self, rows: Sequence[int]) -> None:
        digests = {self.jobs[row].id: self.entries[row].digest for row in rows}
        ready, to_draw = [], []
        for job in (one._replace(pixels=one.id in digests) for one in self.jobs):
            if self._is_kept(job):
                ready += [job] * job.pixels
            elif job.pixels or job.folder is not None:
                to_draw.append(job)
        if total := len(ready) + len(to_draw):
            shapes = self._shapes(ready, to_draw, digests)
            steps = progress.track(shapes, "drawing and embedding", total=total)
            for _ in self.embedder.embed(steps):
                pass

    def _shapes(
        self, ready: Sequence[Job], to_draw: list[Job], digests: dict[str, bytes]
    ) -> Iterator[Drawn | None]:
        """Yield pictures that are kept, then those that are drawn now, as they come."""
        for job in ready:
            try:
                yield self._drawn(digests[job.id], _kept_pictures(job, self.views), {})
            except HifaError:  # a picture is damaged
                to_draw.append(job)
        drawing = self.drawing
        with closing(draw_jobs(to_draw, drawing.config, drawing.workers)) as outcomes:
            for job, reason, pictures, _, facts in outcomes:
                if reason is not None:
                    self.failed.append(Failure(job.path, reason))
                    progress.warn(f"{job.path}: {reason}")
                yield None if pictures is None else self._drawn(digests[job.id], pictures, facts)

    def _drawn(self, digest: bytes, pictures: Greys, facts: dict[str, Any]) -> Drawn:
        cover = grey_png(pictures[min(COVER, len(pictures) - 1)])
        return Drawn(digest, grey_pixels(pictures, self.embedder.encoder.config), cover, facts)

    def _is_kept(self, job: Job) -> bool:
        """Return whether a shape's pictures lie in its folder and are current."""
        if job.folder is None or self.drawing.force:
            return False
        return read_mark(job.folder, self.views) == job.mark

    @contextmanager
    def _views_kept(self) -> Iterator[None]:
        """Hold the folder of pictures, where there is one, as the render stage does."""
        out = self.drawing.views
        if out is None:
            yield
            return
        with sole_output(out):
            folders = {out, *(job.folder.parent for job in self.jobs if job.folder is not None)}
            try:
                for folder in folders:
                    sweep(folder)
                write_settings(out, self.drawing.config, self.taken)
                yield
            finally:
                for folder in folders:
                    sweep(folder)


def _kept_pictures(job: Job, views: int) -> Greys:
    assert job.folder is not None
    return np.stack([np.asarray(read_picture(job.folder / name).convert("L")) for name in view_names(views)])


def meshes_source(
    place: Path, drawing: Drawing, *, split: str | None, known: Sequence[Taken], embedder: Embedder,
    shard: Shard | None = None,
) -> MeshesSource:  # fmt: skip
    """Find the meshes at ``place`` and what of each its vectors will be made from.

    Args:
        place: a mesh or a folder of them.
        drawing: how they are drawn.
        split: only the meshes of that split.
        known: which way was taken to be up when the gallery was made.
        embedder: makes the vectors.
        shard: only the meshes of that shard; how they are drawn is settled by all.

    Returns:
        The source; nothing is drawn yet.

    Raises:
        HifaError: the source has no meshes.
    """
    found, failed, chosen = meshes_of([place], split, drawing.config.layout)
    for failure in failed:
        progress.warn(f"{failure.path}: {failure.reason}")
    config = with_renderer(drawing.config)
    if chosen:  # so that what is added to the tree later does not change the ids
        config = replace(config, layout=chosen[0].layout.name)
    before = [] if drawing.force else list(known)
    config, taken = settle_up(found, [place], config, before)
    shapes = shapes_of_meshes(found, split)
    mine = {item.views[0]: item for item in shapes.items if shard is None or item.id in shard}
    marks = {
        mesh.path: (mesh.id, mark)
        for mesh, mark in marks_of([mesh for mesh in found if mesh.path in mine], config, failed)
    }
    root, entries, jobs = root_of(place), [], []
    for path, item in mine.items():
        if path not in marks:
            continue
        name, mark = marks[path]
        folder = None if drawing.views is None else drawing.views / name
        entries.append(
            SourceEntry(item.id, class_of(shapes, item.label), short_digest(mark.encode()), below(path, root))
        )
        jobs.append(Job(name, path, folder, mark))
    if not entries and shard is None:
        raise HifaError(f"none of the {len(failed)} meshes in {place} could be drawn; see the warnings")
    told = joined(before, taken)
    origin = {
        **origin_of("meshes", place), "split": split, "render": asdict(config), "rig": _rig(config),
        "up_taken": told, "layout": [one.document() for one in chosen],
        **({} if drawing.views is None else {"views": drawing.views.name}),
        **({} if shard is None else {WHOLE: digest_of_ids(item.id for item in shapes.items)}),
    }  # fmt: skip
    drawing = drawing._replace(config=config)
    return MeshesSource(origin, entries, jobs, drawing, told, embedder, failed, shard is not None)


def _rig(config: RenderConfig) -> dict[str, Any]:
    seen = picture_settings(config)
    return {"azimuths": seen["azimuths"], "elevation": float(seen["elevation"])}
