"""A gallery as a program uses it: ask it with photos, get the shapes."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from hifa_cli.api.pictures import PathLike, Photo, as_file, is_one
from hifa_cli.api.results import sheet_html
from hifa_cli.config import Find, IndexConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery as StoredGallery
from hifa_cli.query.parse import Box, Query
from hifa_cli.query.retrieve import Failed, Match, QueryEncoder, QueryOptions, Ranking, encoder_for, rank
from hifa_cli.runtime.progress import reporting_somewhere

if TYPE_CHECKING:
    from hifa_cli.viz.contact_sheet import Cell


@dataclass(frozen=True, repr=False)
class Hit:
    """A shape that a photo found.

    Attributes:
        rank: 1 is the best.
        shape_id: the shape's path below its source, without its ending.
        class_name: its class; None where it is not known.
        score: what it was ranked by, at most 1.
        view: number of the view that is most like the photo; None where the gallery keeps no views.
        azimuth: degrees that this view was drawn from, counted around the upright axis.
        elevation: degrees above the horizon that it was drawn from.
        path: the mesh (or the folder of views) where it was when it was indexed; None for an export's shapes.
        thumbnail: a picture of the shape; None if absent.
        likelihood: that the shape is of the photo's kind, in 0 … 1; None where the gallery's scores are not
            calibrated.
    """

    rank: int
    shape_id: str
    class_name: str | None
    score: float
    view: int | None
    azimuth: float | None
    elevation: float | None
    path: Path | None
    thumbnail: Path | None
    likelihood: float | None = None

    def __repr__(self) -> str:
        seen = f", azimuth={self.azimuth:g}" if self.azimuth is not None else ""
        return f"Hit('{self.shape_id}', {self.score:.3f}{seen})"


@dataclass(frozen=True, repr=False)
class Hits(Sequence[Hit]):
    """The shapes that one photo found, best first: a sequence of :class:`Hit`.

    Attributes:
        query: what was asked: the path, or ``photo 1`` for the first picture of a list.
        hits: what was found.
        error: why the photo could not be used; None where it could.
        nothing_here: whether no shape seems to be of the photo's kind; None where scores are not calibrated.
    """

    query: str
    hits: tuple[Hit, ...]
    error: str | None = None
    _photo: Any = field(default=None, compare=False)
    nothing_here: bool | None = None

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[index]

    def __len__(self) -> int:
        return len(self.hits)

    def __repr__(self) -> str:
        if self.error is not None:
            return f"Hits('{self.query}', error: {self.error})"
        best = f", best {self.hits[0]!r}" if self.hits else ""
        return f"Hits('{self.query}', {len(self)} shapes{best})"

    def _repr_html_(self) -> str:
        from hifa_cli.viz.contact_sheet import QUERIES

        return sheet_html([self._cells()], QUERIES, repr(self))

    def _cells(self) -> "list[Cell]":
        from hifa_cli.viz.contact_sheet import query_cell, shape_cell

        found = [
            shape_cell(one.thumbnail, one.shape_id, one.score, one.class_name, likelihood=one.likelihood)
            for one in self.hits
        ]
        return [query_cell(self.query, self._picture(), nothing_here=self.nothing_here), *found]

    def _picture(self) -> Any:
        """Return the photo for the sheet; None where it cannot be read any more."""
        from hifa_cli.data import is_mesh, read_picture

        if self._photo is None:
            return None
        try:
            with tempfile.TemporaryDirectory() as scratch:
                _, path = as_file(self._photo, Path(scratch), 0)
                return None if is_mesh(path) else read_picture(path)
        except (HifaError, OSError):
            return None


class HitLists(list[Hits]):
    """The answers to a list of photos, in the order of the photos; a notebook shows a contact sheet."""

    def _repr_html_(self) -> str:
        from hifa_cli.viz.contact_sheet import MOST_QUERIES, QUERIES

        said = f"{len(self)} photos" + (f" (the first {MOST_QUERIES})" if len(self) > MOST_QUERIES else "")
        return sheet_html([one._cells() for one in self[:MOST_QUERIES]], QUERIES, said)


class Gallery:
    """An open gallery; :func:`hifa_cli.open_gallery` makes one.

    Args:
        stored: the gallery on disk.
        model: folder of the model that made it, where the gallery itself holds none.
        device: where photos are encoded: auto, cpu, cuda, cuda:N or mps.
    """

    def __init__(self, stored: StoredGallery, *, model: Path | None = None, device: str = "auto") -> None:
        self.stored = stored
        self.failed: tuple[tuple[str, str], ...] = ()  # meshes that could not be drawn when it was built
        self._model, self._device = model, device

    @classmethod
    def from_pretrained(
        cls, name: PathLike, *, revision: str | None = None, device: str = "auto"
    ) -> "Gallery":
        """Return a gallery of the Hugging Face Hub, or of a folder of this machine.

        Args:
            name: ``USER/NAME``, or the folder of a gallery.
            revision: branch, tag or commit of the hub; the main branch by default.
            device: where photos are encoded: auto, cpu, cuda, cuda:N or mps.

        Returns:
            The open gallery; what was fetched is kept in the cache (``XDG_CACHE_HOME``).

        Raises:
            HifaError: there is none, or the hub cannot be reached.
        """
        from hifa_cli.pipelines.sharing.contents import GALLERY
        from hifa_cli.pipelines.sharing.pull import here_or_cached

        with reporting_somewhere():
            path = here_or_cached(name, GALLERY, revision)
        return open_gallery(path, device=device)

    @property
    def path(self) -> Path:
        """Return the gallery's folder."""
        return self.stored.folder

    @property
    def shapes(self) -> Sequence[str]:
        """Ids of all shapes, by row."""
        return self.stored.ids

    @property
    def classes(self) -> tuple[str, ...]:
        """Return names of the classes of the shapes; empty where none is known."""
        return self.stored.classes

    @property
    def fields(self) -> dict[str, str]:
        """Return what is known of the shapes and may stand in ``where``: names, and kinds with units."""
        found = (column.field for column in self.stored.fields.values())
        return {one.name: f"{one.kind}, {one.unit}" if one.unit else one.kind for one in found}

    @property
    def method(self) -> str:
        """The training method of the model that made the gallery; ``frozen`` for a pretrained encoder."""
        return self.stored.method

    def __fspath__(self) -> str:
        return str(self.path)

    def __len__(self) -> int:
        return len(self.stored)

    def __repr__(self) -> str:
        return f"Gallery('{self.path}', {len(self)} shapes, {len(self.classes)} classes, {self.method})"

    @cached_property
    def _encoder(self) -> QueryEncoder:
        return encoder_for(self.stored, self._model, self._device)

    @overload
    def query(
        self, photos: None = ..., top_k: int = ..., *, find: Find = ..., classes: Sequence[str] = ...,
        threshold: float = ..., crop: tuple[int, int, int, int] | None = ..., like: Sequence[str],
        unlike: Sequence[str] = ..., where: str = ...,
    ) -> Hits: ...  # fmt: skip
    @overload
    def query(  # type: ignore[overload-overlap]  # a text is one photo, though it is a list of texts too
        self, photos: "Photo", top_k: int = ..., *, find: Find = ..., classes: Sequence[str] = ...,
        threshold: float = ..., crop: tuple[int, int, int, int] | None = ..., like: Sequence[str] = ...,
        unlike: Sequence[str] = ..., where: str = ...,
    ) -> Hits: ...  # fmt: skip
    @overload
    def query(
        self, photos: "Iterable[Photo]", top_k: int = ..., *, find: Find = ..., classes: Sequence[str] = ...,
        threshold: float = ..., crop: tuple[int, int, int, int] | None = ..., like: Sequence[str] = ...,
        unlike: Sequence[str] = ..., where: str = ...,
    ) -> HitLists: ...  # fmt: skip
    def query(
        self,
        photos: "Photo | Iterable[Photo] | None" = None,
        top_k: int = IndexConfig.top,
        *,
        find: Find = "both",
        classes: Sequence[str] = (),
        threshold: float = -1.0,
        crop: tuple[int, int, int, int] | None = None,
        like: Sequence[str] = (),
        unlike: Sequence[str] = (),
        where: str = "",
    ) -> Hits | HitLists:
        """Find the shapes that photos show.

        Args:
            photos: a photo or a mesh by its path, a picture file's bytes, a PIL picture, an array (H, W),
                (H, W, 3) or (H, W, 4) of uint8 or of floats between 0 and 1; or a list of these. None where
                ``like`` names shapes: they are then the query.
            top_k: how many shapes.
            find: ``kind``: shapes of the same kind; ``part``: the very part; ``both``: what serves both.
            classes: only shapes of these classes; all by default.
            threshold: only shapes of at least this score.
            crop: left, top, width and height in pixels of the part of each photo that counts.
            like: ids of shapes to look for more of as well; they are not among the hits.
            unlike: ids of shapes to look for less of; likewise.
            where: only shapes that this condition holds for, such as ``faces < 5000 and licence = 'CC0'``;
                ``fields`` names what may stand in it.

        Returns:
            The hits of one photo; of a list a list in its order, in which a photo that cannot be used has
            no hits and says why in ``error`` (and in a warning).

        Raises:
            HifaError: the one photo cannot be used, no shape is of such a class, ``where`` is wrong, or the
                gallery's model is missing.

        Example:
            >>> import hifa_cli as hifa
            >>> gallery = hifa.open_gallery("gallery")  # doctest: +SKIP
            >>> gallery.query("photo.jpg", top_k=1)  # doctest: +SKIP
            Hits('photo.jpg', 1 shapes, best Hit('chair/012', 0.831, azimuth=30))
        """
        wanted = QueryOptions(
            top_k, threshold, _several(classes), Box(*crop) if crop else None, find=find,
            like=_several(like), unlike=_several(unlike), where=where,
        )  # fmt: skip
        if photos is None:
            with reporting_somewhere():
                [ranking], _ = rank(None, self.stored, [], _checked(wanted))
            return self._found(ranking, None)
        if is_one(photos):
            found = self._query([photos], wanted)[0]
            if found.error is not None:
                raise HifaError(found.error)
            return found
        if not isinstance(photos, Iterable):
            raise HifaError(f"a {type(photos).__name__} is not a photo or a list of photos")
        return HitLists(self._query(list(photos), wanted))

    def _query(self, photos: Sequence[object], wanted: QueryOptions) -> list[Hits]:
        wanted = _checked(wanted)
        failed: list[Failed] = []
        rankings: list[Ranking] = []
        with tempfile.TemporaryDirectory() as scratch, reporting_somewhere():
            asked = list(_queries(photos, Path(scratch)))
            unique = {one.name: one for one in asked if isinstance(one, Query)}
            if unique:
                try:
                    rankings, _ = rank(
                        self._encoder, self.stored, list(unique.values()), wanted, failed=failed
                    )
                except HifaError:
                    if len(failed) < len(unique):  # more than photos that cannot be read
                        raise
        by_name = {one.query: one for one in rankings}
        errors = {one.query: one.error for one in failed}
        return [self._hits(one, photo, by_name, errors) for one, photo in zip(asked, photos, strict=True)]

    def _hits(
        self, asked: Query | Hits, photo: object, rankings: dict[str, Ranking], errors: dict[str, str]
    ) -> Hits:
        if isinstance(asked, Hits):
            return asked
        if (ranking := rankings.get(asked.name)) is None:
            reason = errors.get(asked.name, "it cannot be used").replace(str(asked.path), asked.name)
            said = reason if reason.startswith(asked.name) else f"{asked.name}: {reason}"
            return Hits(asked.name, (), said, photo)
        return self._found(ranking, photo)

    def _found(self, ranking: Ranking, photo: object) -> Hits:
        return Hits(ranking.query, tuple(map(self._hit, ranking.matches)), None, photo, ranking.nothing_here)

    def _hit(self, match: Match) -> Hit:
        return Hit(
            match.rank, match.shape, match.class_name, match.score, match.view, match.azimuth,
            match.elevation, self.stored.source(match.row), self.stored.thumbnail(match.row),
            match.likelihood,
        )  # fmt: skip


def _checked(wanted: QueryOptions) -> QueryOptions:
    if wanted.top < 1:
        raise HifaError(f"top_k is {wanted.top}: ask for at least one shape")
    return wanted


def _several(names: Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _queries(photos: Sequence[object], scratch: Path) -> Iterator[Query | Hits]:
    """Yield a query for every photo, or what became of one that is not a photo."""
    from hifa_cli.runtime import progress

    for number, photo in enumerate(photos):
        try:
            yield Query(*as_file(photo, scratch, number))
        except HifaError as error:
            if len(photos) > 1:
                progress.warn(str(error))
            name = str(photo) if isinstance(photo, str | Path) else f"photo {number + 1}"
            yield Hits(name, (), str(error), photo)


def open_gallery(path: PathLike, *, model: PathLike | None = None, device: str = "auto") -> Gallery:
    """Open a gallery of ``hifa index`` or :func:`build_gallery`.

    Args:
        path: the gallery's folder.
        model: folder of the model that made it, where the gallery holds none.
        device: where photos are encoded: auto, cpu, cuda, cuda:N or mps.

    Returns:
        The gallery. Its pretrained encoder answers without torch on ``auto`` and ``cpu``.

    Raises:
        HifaError: no gallery exists, or its files are damaged.
    """
    from hifa_cli.gallery import read_gallery

    searched = device
    if device not in ("auto", "cpu"):  # torch first: FAISS before it crashed with two CUDA versions
        from hifa_cli.runtime.device import pick_device

        searched = str(pick_device(device))
    with reporting_somewhere():
        stored = read_gallery(Path(path), device="cpu" if searched == "auto" else searched)
    return Gallery(stored, model=None if model is None else Path(model), device=device)
