"""Ranks of the very mesh that a photo shows, where a data set says which that is: Top-k, reciprocal rank."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hifa_cli.data.layouts import pairs_of
from hifa_cli.data.layouts.base import read_table
from hifa_cli.embeddings.io import Export
from hifa_cli.errors import HifaError
from hifa_cli.search.ranking import ranked

TOPS = (1, 5, 10)
BY_IDS = "ids"  # in place of a file: the ids give the truth


@dataclass(frozen=True)
class InstanceScores:
    """The ranks of the right meshes.

    Attributes:
        ids: the photos that were counted.
        ranks: (Q,) the rank of each photo's mesh, from 1.
        gallery: how many shapes there are.
        skipped: photos without a mesh in the list, or whose mesh is not in the gallery.
    """

    ids: tuple[str, ...]
    ranks: NDArray[np.int64]
    gallery: int
    skipped: int

    def values(self) -> dict[str, float]:
        """Return Top-1, Top-5, Top-10 and the mean reciprocal rank."""
        tops = {f"Top-{top}": float((self.ranks <= top).mean()) for top in TOPS}
        return {**tops, "MRR": float((1 / self.ranks).mean())}

    def document(self) -> dict[str, float | int]:
        """Return them as JSON outputs have them."""
        counts = {"queries": len(self.ids), "gallery": self.gallery, "skipped_queries": self.skipped}
        return {**self.values(), **counts}


def read_pairs(path: Path) -> dict[str, str]:
    """Return the id of the mesh that each photo shows.

    Args:
        path: the folder of a set that says so (Pix3D, ABO), or a CSV with columns ``photo`` and ``shape``.

    Raises:
        HifaError: it says nothing of the kind.
    """
    if path.is_dir():
        return pairs_of(path)
    if not path.is_file():
        raise HifaError(
            f"'{path}' does not exist: give a data set's folder, or a CSV with columns photo and shape"
        )
    pairs = {row["photo"]: row["shape"] for row in read_table(path) if row.get("photo") and row.get("shape")}
    if not pairs:
        raise HifaError(f"{path} has no columns photo and shape with ids in them: write them so")
    return pairs


def pairs_by_ids(photos: Iterable[str], shapes: Iterable[str]) -> dict[str, str]:
    """Return what ids say: a photo shows the shape that has its id, or the id of a folder above it.

    Args:
        photos: ids of photos.
        shapes: ids of shapes.
    """
    known = frozenset(shapes)
    found = {}
    for photo in photos:
        above = [photo, *(photo.rsplit("/", cut)[0] for cut in range(1, photo.count("/") + 1))]
        if mine := next((one for one in above if one in known), None):
            found[photo] = mine
    return found


def instance_scores(export: Export, pairs: Mapping[str, str], name: str = "the export") -> InstanceScores:
    """Rank all shapes for each photo by cosine, as every metric does, and find its own mesh among them.

    Args:
        export: photos and shapes.
        pairs: the id of the mesh that a photo shows.
        name: of the export, for messages.

    Returns:
        Ranks of the very meshes, and the figures made of them.

    Raises:
        HifaError: the export has no photos or no shapes, or no photo has its mesh in the gallery.
    """
    images, shapes = export.images, export.shapes
    if images is None or shapes is None or not len(images) or not len(shapes):
        raise HifaError(f"{name} has not both photos and shapes: export them with --images and --shapes")
    rows = {identity: row for row, identity in enumerate(shapes.ids)}
    wanted = np.array([rows.get(pairs.get(identity, ""), -1) for identity in images.ids], dtype=np.int64)
    counted = np.flatnonzero(wanted >= 0)
    if not len(counted):
        photo = next((one for one in images.ids if one in pairs), images.ids[0])
        raise HifaError(
            f"no photo of {name} has its mesh in the gallery: '{photo}' shows "
            f"'{pairs.get(photo, 'nothing that is listed')}', and a shape is called '{shapes.ids[0]}'"
        )
    labels, own = wanted[counted], np.arange(len(shapes), dtype=np.int64)
    ranks = np.concatenate(
        [
            1 + block.relevant().argmax(axis=1)
            for block in ranked(images.vectors[counted], shapes.vectors, labels, own)
        ]
    )
    ids = tuple(images.ids[row] for row in counted)
    return InstanceScores(ids, ranks.astype(np.int64), len(shapes), len(images) - len(counted))
