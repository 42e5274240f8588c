"""A gallery: shapes that a photo can be held against, with all that this needs, in one folder.

    gallery.json    schema, counts, which generation and which model are in force
    generation-N/   a column a file: ids, paths, labels, digests, origins, vectors, views; an index
    models/         the model that made the vectors (absent where only vectors are known)
    thumbnails/     a picture a shape, named by the digest of what the shape was made of
    views/          the twelve views, where meshes were indexed with --keep-views

A generation is written whole before ``gallery.json`` names it, so a reader never sees half of one, and
what it has opened stays readable when the next generation takes over.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from hifa_cli.adaptation.labels import PhotoClasses
from hifa_cli.config import RIGS, Find
from hifa_cli.errors import HifaError
from hifa_cli.gallery.columns import Texts, damaged, read_numbers, read_table, read_texts
from hifa_cli.gallery.fields import Column, read_columns
from hifa_cli.gallery.manifest import check_heading, is_plain
from hifa_cli.gallery.own import Own, read_map
from hifa_cli.gallery.places import located
from hifa_cli.gallery.ranking import (
    UNTRAINED,
    Classes,
    GalleryRanking,
    config_of,
    lift_of,
    ranker_of,
    read_graph,
    read_photo_classes,
    read_shape_classes,
)
from hifa_cli.gallery.shown import Shown, whole
from hifa_cli.gallery.stores import open_shelf
from hifa_cli.gallery.stores.base import Shelf, StoreError
from hifa_cli.gallery.stores.table import StoredTable, StoreSearcher
from hifa_cli.runtime.kinds import refuse_other
from hifa_cli.search import faiss_index
from hifa_cli.search.exact import Rows, Scores
from hifa_cli.search.likelihood import calibration_for
from hifa_cli.search.ranking import normalised
from hifa_cli.search.rerank import Ranker
from hifa_cli.search.searcher import Searcher, effort_of

if TYPE_CHECKING:
    from hifa_cli.adaptation.adapters import Maps

SCHEMA = 2
GROWN_SCHEMA = 3  # of a gallery whose columns were appended to
STORED_SCHEMA = 4  # of a gallery whose vectors live in a store
MAIN_FILE, MODELS, THUMBNAILS, VIEWS = "gallery.json", "models", "thumbnails", "views"
MAPS_FILE = "maps.safetensors"  # of hifa adapt, in the model's folder
INDEX_FILE, SAMPLE_FILE = "index.faiss", "sample.npy"
DIGEST_BYTES = 16
_ATTEMPTS = 20  # at opening while others replace one generation after the other


@dataclass(frozen=True)
class Gallery:
    """An open gallery: n shapes, their columns mapped into memory.

    Attributes:
        folder: where it is.
        document: what ``gallery.json`` says.
        ids: (n) of the shapes.
        labels: (n,) int32 index into the classes, −1 where the class is not known.
        digests: (n, 16) bytes: of the mesh or the views or the vector that the shape was made of.
        origins: (n,) int32 index into ``document["origins"]``.
        paths: (n) of the mesh or the folder of views, relative to its origin; "" for an export's.
        vectors: (n, D) float32, clamped at zero and of unit length.
        views: (n, V, D) float16, each view's vector likewise; None where they are not kept.
        shown: which of the stored rows these are.
        device: where an index is searched.
        shelf: of the store that holds vectors and views; None where they are files of the gallery.
    """

    folder: Path
    document: dict[str, Any]
    ids: Texts
    labels: NDArray[np.int32]
    digests: NDArray[np.uint8]
    origins: NDArray[np.int32]
    paths: Texts
    vectors: NDArray[np.float32]
    views: NDArray[np.float16] | None
    shown: Shown = whole(0)  # noqa: RUF009 - never changed
    device: str = "cpu"
    shelf: Shelf | None = None

    def __len__(self) -> int:
        """Return how many shapes."""
        return len(self.ids)

    @property
    def place(self) -> Path:
        """Return the folder of the generation that was opened."""
        return self.folder / str(self.document["generation"])

    @property
    def base(self) -> Path:
        """Return the folder of the generation that holds the columns: the last one that was written whole."""
        rows = self.document.get("rows")
        return self.place if rows is None else self.folder / str(rows["base"])

    @property
    def indexed(self) -> int:
        """Return how many of the stored rows an index knows."""
        rows = self.document.get("rows")
        return len(self) if rows is None else int(rows["indexed"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Return names by label."""
        return tuple(self.document["classes"])

    @property
    def model(self) -> str:
        """Digest of the model that made the vectors."""
        return str(self.document["model"])

    @property
    def method(self) -> str:
        """Return the training method of that model."""
        return str(self.document["method"])

    @property
    def model_folder(self) -> Path | None:
        """Return the model's folder, or None where only vectors are known."""
        folder = model_folder(self.folder, self.model)
        return folder if self.model and folder.is_dir() else None

    def class_of(self, row: int) -> str | None:
        """Return the class of a shape, or None where it is not known."""
        label = int(self.labels[row])
        return self.classes[label] if label >= 0 else None

    def origin(self, row: int) -> dict[str, Any]:
        """Return what a shape came from: ``kind`` (meshes, views, export), ``path`` and how it was read."""
        found: dict[str, Any] = self.document["origins"][int(self.origins[row])]
        return found

    def source(self, row: int) -> Path | None:
        """Return the mesh (or folder of views) that a shape was made of, where it was when it was indexed."""
        path = self.paths[row]
        return Path(self.origin(row)["root"]) / path if path else None

    def thumbnail(self, row: int) -> Path | None:
        """Return a picture of a shape, or None if absent."""
        path = thumbnail_path(self.folder, self.digests[row])
        return path if path.is_file() else None

    def view_picture(self, row: int, view: int) -> Path | None:
        """Return the picture of one of a shape's views, where the gallery or its source still has it."""
        origin, path = self.origin(row), self.paths[row]
        if origin["kind"] == "meshes" and "views" not in origin:
            return None
        if origin["kind"] == "meshes":
            views = self.folder / VIEWS / str(origin["views"])
            folder = views / self.ids[row]
            if not folder.is_dir():  # before 0.2.0, and of names that are not composed Unicode
                folder = views / Path(path).with_suffix("")
        else:
            folder = Path(origin["root"]) / path
        picture = folder / f"{view:02d}.png"
        return picture if path and picture.is_file() else None

    @cached_property
    def searcher(self) -> Searcher:
        """Return what searches the vectors."""
        if self.shelf is not None:
            return StoreSearcher(self.vectors, self.shelf, self.shown)
        found = None
        if (self.base / INDEX_FILE).exists() or self.document["factory"] != faiss_index.EXACT:
            found = faiss_index.read(self.base / INDEX_FILE, self.indexed, self.vectors.shape[1])
        effort = effort_of(self.document["effort"]) if self.document["effort"] else None
        if self.document.get("rows") is None:
            return Searcher(self.vectors, found, effort, device=self.device)
        late = self.shown.where_shown(np.arange(self.indexed, self.shown.stored))
        return Searcher(
            self.vectors, found, effort, device=self.device, rows_of=self.shown.where_shown,
            late=np.sort(late[late >= 0]),
        )  # fmt: skip

    def search(
        self, vectors: NDArray[np.floating[Any]], top: int, *, among: Rows | None = None
    ) -> tuple[Scores, Rows]:
        """Return the ``top`` nearest shapes of (q, D) raw query vectors: (q, k) cosines and rows, best first.

        Args:
            vectors: as they leave the network.
            top: how many; a row of −1 means that no more was found.
            among: (m,) only these rows, ascending.

        Returns:
            (q, k) cosines and (q, k) rows.

        Raises:
            HifaError: the vectors are of another length than the gallery's.
        """
        self.check_width(vectors)
        scores, rows = self.searcher.search(unit(vectors), top, among=among)
        return scores, rows

    @cached_property
    def ranking(self) -> GalleryRanking | None:
        """Return what ranks the shapes by photos; None where the gallery ranks as the paper does."""
        document = self.document.get("ranking")
        if document is None:
            return None
        graph = read_graph(self.place, len(self), int(document["graph"]))
        calibration = calibration_for(
            self.model, int(document["projection"]), int(document.get("calibration", 0))
        )
        if self.taught is None:
            classes = None
        else:  # what makes likelihoods was not fitted on such an order
            classes, calibration = Classes(self.taught[0], self._shape_classes()), None
        residual = int(document.get("residual", 0))
        plain = read_graph(self.place, len(self), int(document["graph"]), UNTRAINED) if residual else None
        return GalleryRanking(
            config_of(document),
            self.searcher,
            self.views,
            graph,
            calibration,
            classes,
            residual,
            lift_of(document),
            plain,
        )

    def _shape_classes(self) -> NDArray[np.float32]:
        return read_shape_classes(self.place, len(self), len(self.document["taught"]))

    @cached_property
    def taught(self) -> tuple[PhotoClasses, tuple[str, ...]] | None:
        """Return what labelled photos say of classes, and the names of these; None without such photos."""
        names = self.document.get("taught")
        if names is None:
            return None
        return read_photo_classes(self.place, len(names), self.vectors.shape[1]), tuple(names)

    @cached_property
    def own(self) -> Own | None:
        """Return the map of photos that was learned of this gallery's shapes, where there is one."""
        said = (self.document.get("ranking") or {}).get("own")
        return None if said is None else read_map(self.folder, said["map"], self.vectors.shape[1])

    def ranker(self, classifier: NDArray[np.float32] | None) -> Ranker | None:
        """Return what this gallery does to vectors of photos; None where it ranks as the paper does.

        It is made once for a classifier, which is looked up by identity.

        Args:
            classifier: (K, D) of the encoder, or None.

        Returns:
            The ranker, or None.

        Raises:
            ValueError: the projection that the gallery was made with is not in this version.
        """
        kept = self.__dict__.get("_ranker")
        if kept is None or kept[0] is not classifier:
            own = None if self.own is None else self.own.map
            kept = (classifier, ranker_of(self.document.get("ranking"), self.model, classifier, own))
            self.__dict__["_ranker"] = kept
        found: Ranker | None = kept[1]
        return found

    @cached_property
    def maps(self) -> "Maps | None":
        """Return the maps of ``hifa adapt`` that the shapes went through; None where they did not."""
        return None if self.model_folder is None else maps_of(self.model_folder)

    @cached_property
    def fields(self) -> dict[str, Column]:
        """Return what is known of the shapes by field; nothing where an earlier version made the gallery."""
        shown = None if self.document.get("rows") is None else self.shown
        return read_columns(self.base, self.document.get("fields"), len(self), shown)

    @property
    def finds(self) -> tuple[Find, ...]:
        """Return what a query can look for, the default first.

        Empty where the gallery knows one order only.
        """
        return () if self.document.get("ranking") is None else get_args(Find)

    def check_width(self, vectors: NDArray[np.floating[Any]]) -> None:
        """Refuse vectors that are not as long as the gallery's.

        Raises:
            HifaError: they are not.
        """
        if vectors.shape[1] != self.vectors.shape[1]:
            raise HifaError(
                f"the gallery {self.folder} holds {self.vectors.shape[1]} numbers a shape and the query has "
                f"{vectors.shape[1]}: they are of different models; build the gallery with this one"
            )

    def best_views(self, vector: NDArray[np.floating[Any]], rows: Rows) -> NDArray[np.int64] | None:
        """Return for each of (k,) shapes the view whose own vector is nearest to one raw (D,) query vector.

        Returns:
            (k,) numbers of views, −1 where a shape has none; or None where the gallery keeps none.
        """
        if self.views is None:
            return None
        query = unit(vector[None])[0] if self.ranking is None else vector
        scores = np.asarray(self.views[rows], dtype=np.float32) @ query  # (k, V)
        if self.ranking is not None:
            scores = np.where(scores == 0, -np.inf, scores)  # a view that is not there
        known = scores.max(axis=1) > (0 if self.ranking is None else -np.inf)
        best: NDArray[np.int64] = np.where(known, scores.argmax(axis=1), -1)
        return best

    @property
    def elevation(self) -> float:
        """Degrees that the gallery's shapes were drawn from, the first source's where several differ."""
        rigs = [origin["rig"] for origin in self.document["origins"] if origin.get("rig")]
        return float(rigs[0]["elevation"]) if rigs else RIGS["paper"]

    def direction(self, row: int, view: int) -> tuple[float, float] | None:
        """Azimuth and elevation in degrees that a view was drawn from, where that is known."""
        rig = self.origin(row).get("rig")
        if not rig or view >= len(rig["azimuths"]):
            return None
        return float(rig["azimuths"][view]), float(rig["elevation"])


def maps_of(folder: Path) -> "Maps | None":
    """Return the maps of ``hifa adapt`` in a model's folder; None where the model's own vectors are compared.

    Raises:
        HifaError: they are damaged.
    """
    if not (folder / MAPS_FILE).is_file():
        return None
    from hifa_cli.adaptation.adapters import load_maps  # needs scipy and h5py, which others do without

    return load_maps(folder / MAPS_FILE)


def model_folder(folder: Path, digest: str) -> Path:
    """Return where a gallery keeps the model with this digest.

    Raises:
        HifaError: it is not a digest, and could lead anywhere.
    """
    if not is_plain(digest):
        raise HifaError(f"{digest[:80]!r} is not a digest of a model: export or train again")
    return folder / MODELS / digest[:16]


def thumbnail_path(folder: Path, digest: NDArray[np.uint8]) -> Path:
    """Return where the thumbnail of a shape with this digest lies."""
    name = bytes(digest).hex()
    return folder / THUMBNAILS / name[:2] / f"{name}.png"


def read_gallery(folder: Path, *, device: str = "cpu") -> Gallery:
    """Open a gallery; another process may replace it at any time, before, during or after.

    Args:
        folder: the gallery.
        device: where an index is searched: ``cpu``, or ``cuda`` where FAISS can.

    Raises:
        HifaError: it does not exist, or its files are damaged or of another schema.
    """
    for _ in range(_ATTEMPTS):
        document = read_main(folder)
        try:
            gallery = _opened(folder, document, device)
            gallery.searcher  # noqa: B018 - opens the index while it is there
            gallery.ranking  # noqa: B018 - and the graph
            gallery.own  # noqa: B018 - and the map
            gallery.fields  # noqa: B018 - and the fields
            return gallery
        except FileNotFoundError as error:
            if read_main(folder) == document:
                raise HifaError(
                    f"the gallery {folder} is damaged: {error.filename or error} is gone; build it again"
                ) from error
        except StoreError:
            if read_main(folder) == document:  # else a writer has removed the shelf
                raise
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise damaged(folder / MAIN_FILE) from error
    raise HifaError(f"the gallery {folder} changes too often to be opened: try again")


def _opened(folder: Path, document: dict[str, Any], device: str) -> Gallery:
    check_heading(document)
    place, count, width = folder / document["generation"], int(document["shapes"]), document["dimension"]
    shown, rows = None, document.get("rows")
    if rows is not None:
        shown = _shown(place, count, int(rows["stored"]))
        place = folder / rows["base"]
    shelf, views = None, None
    if document.get("store") is not None:
        shelf = open_shelf(document, folder, count if shown is None else shown.stored)
        vectors, views = tables_of(shelf, whole(count) if shown is None else shown)
    else:
        vectors = read_table(place / "vectors.f32", np.float32, (count, int(width)), shown)
        if document["views"]:
            views = read_table(
                place / "views.f16", np.float16, (count, int(document["views"]), int(width)), shown
            )
    labels = read_numbers(place, "labels", np.int32, (count,), shown)
    origins = read_numbers(place, "origins", np.int32, (count,), shown)
    stored_classes = document["classes"] if rows is None else rows["classes"]
    if count and not (labels.min() >= -1 and labels.max() < len(stored_classes)):
        raise damaged(place / "labels.npy")
    if stored_classes != document["classes"]:
        numbers = {name: number for number, name in enumerate(document["classes"])}
        labels = np.array([numbers.get(name, -1) for name in stored_classes] + [-1], dtype=np.int32)[labels]
    if count and not (origins.min() >= 0 and origins.max() < len(document["origins"])):
        raise damaged(place / "origins.npy")
    return Gallery(
        folder,
        document,
        ids=read_texts(place, "ids", count, shown),
        labels=labels,
        digests=read_numbers(place, "digests", np.uint8, (count, DIGEST_BYTES), shown),
        origins=origins,
        paths=read_texts(place, "paths", count, shown),
        vectors=vectors,
        views=views,
        shown=whole(count) if shown is None else shown,
        device=device,
        shelf=shelf,
    )


def tables_of(shelf: Shelf, shown: Shown) -> tuple[NDArray[np.float32], NDArray[np.float16] | None]:
    """Return vectors and views in a store, which their readers take for arrays.

    Args:
        shelf: that holds them.
        shown: which of its rows are the gallery's.
    """
    vectors: Any = StoredTable(shelf, "vectors", shown)
    views: Any = StoredTable(shelf, "views", shown) if shelf.size.views else None
    return vectors, views


def _shown(place: Path, count: int, stored: int) -> Shown:
    """Return which of the stored rows are shown.

    Raises:
        HifaError: the file that says so is damaged.
    """
    gone = np.asarray(read_numbers(place, "gone", np.int64, (stored - count,)))
    if len(gone) and not (gone[0] >= 0 and gone[-1] < stored and (np.diff(gone) > 0).all()):
        raise damaged(place / "gone.npy")
    return Shown(stored, gone)


def read_main(folder: Path) -> dict[str, Any]:
    """Return what ``gallery.json`` says.

    Raises:
        HifaError: it does not exist, or it is damaged or of another schema.
    """
    path = folder / MAIN_FILE
    if folder.is_file():
        raise HifaError(f"{folder} is a file, not a gallery: write the photos first, then -g and the gallery")
    refuse_other(folder, "a gallery", wanted="a gallery")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise HifaError(f"no gallery at {folder}: make one with 'hifa index … --out {folder}'") from error
    except (OSError, ValueError, RecursionError) as error:
        raise HifaError(f"cannot read {path}: damaged; build the gallery again") from error
    schema = SCHEMA
    if isinstance(document, dict):
        schema = STORED_SCHEMA if "store" in document else GROWN_SCHEMA if "rows" in document else SCHEMA
    if not isinstance(document, dict) or document.get("schema") != schema:
        raise HifaError(f"{path} is of another schema; build the gallery again with this version of hifa")
    name = str(document.get("generation"))
    if not name.startswith("generation-") or not name.rsplit("-", 1)[1].isdigit():
        raise damaged(path)
    if isinstance(document.get("origins"), list):
        document["origins"] = [located(origin, folder) for origin in document["origins"]]
    return document


def unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Clamped and normalised as the benchmark does, in the precision that is stored."""
    return np.ascontiguousarray(normalised(vectors), dtype=np.float32)
