"""How often a photo finds the very shape that it shows: Top-1, Top-10 and the mean reciprocal rank.

The truth is a shape of the same id, or pairs of a photo's and a shape's id in a file. Classes play no part.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.metrics import Ratio
from hifa_cli.search.ranking import Block, ranked

INSTANCE_METRICS = ("Top-1", "Top-10", "MRR")
BY_IDS = "ids"  # in place of a file: ids give the truth
_HEADS = {"photo", "photo_id", "image", "image_id", "query"}
_TEN = 10

Truth = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class InstanceScores:
    """Where photos found their very shapes.

    Attributes:
        ids: (Q) of the photos that have a shape in the gallery.
        ranks: (Q,) of the shape, from 1; of the first one where a photo has several.
        gallery: all shapes.
        skipped: photos without a shape in the gallery.
    """

    ids: tuple[str, ...]
    ranks: NDArray[np.int64]
    gallery: int
    skipped: int

    @property
    def ratios(self) -> dict[str, Ratio]:
        """Each metric as sums over the photos: the share within rank 1, within rank 10, and 1 / rank."""
        each = (self.ranks <= 1, self.ranks <= _TEN, 1 / self.ranks)
        ones = np.ones(len(self.ranks))
        return {
            name: Ratio(np.asarray(values, dtype=np.float64), ones)
            for name, values in zip(INSTANCE_METRICS, each, strict=True)
        }

    def values(self) -> dict[str, float]:
        """The metrics by name."""
        return {name: ratio.value() for name, ratio in self.ratios.items()}

    def document(self) -> dict[str, float | int]:
        """The part of ``hifa evaluate --json``."""
        return {
            **self.values(), "photos": len(self.ids), "gallery": self.gallery, "skipped_photos": self.skipped
        }  # fmt: skip


def read_pairs(path: Path) -> Truth:
    """Read a CSV file of a photo's id and a shape's id a line; a photo may have several lines.

    A first line of names (``photo,shape``) is left out.

    Raises:
        HifaError: it cannot be read, or a line has not two ids.
    """
    found: dict[str, set[str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HifaError(f"cannot read the pairs in {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line]
        if not any(cells) or (number == 1 and cells[0].lower() in _HEADS):
            continue
        if len(cells) != 2 or not all(cells):
            raise HifaError(f"{path}, line {number}: expected a photo's id and a shape's id, found {line}")
        found.setdefault(cells[0], set()).add(cells[1])
    if not found:
        raise HifaError(f"{path} holds no pairs: write a line 'photo id,shape id' for each photo")
    return {photo: frozenset(shapes) for photo, shapes in found.items()}


def pairs_by_ids(photos: Iterable[str], shapes: Iterable[str]) -> Truth:
    """Return the truth that ids give: a photo is of the shape with its id, or with the id of its folder."""
    known = frozenset(shapes)
    found = {}
    for photo in photos:
        parents = [photo, *(photo.rsplit("/", cut)[0] for cut in range(1, photo.count("/") + 1))]
        if mine := next((one for one in parents if one in known), None):
            found[photo] = frozenset((mine,))
    return found


def evaluate_instances(export: Export, truth: Truth | None, *, name: str = "the export") -> InstanceScores:
    """Ask for each photo at which rank its very shape stands.

    Args:
        export: photos and shapes; labels are not looked at.
        truth: the ids of each photo's shapes; None takes what the ids of both say.
        name: what messages call the export.

    Raises:
        HifaError: there are no photos or no shapes, or no photo has a shape in the gallery.
    """
    images, shapes = export.images, export.shapes
    if images is None or shapes is None or not len(images) or not len(shapes):
        raise HifaError(f"{name} needs photos and shapes to find the very shape: export both")
    truth = pairs_by_ids(images.ids, shapes.ids) if truth is None else truth
    at = {one: row for row, one in enumerate(shapes.ids)}
    wanted = [sorted(at[one] for one in truth.get(photo, ()) if one in at) for photo in images.ids]
    asked = [row for row, mine in enumerate(wanted) if mine]
    if not asked:
        raise HifaError(
            f"no photo in {name} has its very shape in the gallery: the pairs must name photos and shapes by "
            f"their ids, such as '{images.ids[0]}' and '{shapes.ids[0]}'"
        )
    ranks = _ranks(images, shapes, np.array(asked), [wanted[row] for row in asked])
    ids = tuple(images.ids[row] for row in asked)
    return InstanceScores(ids, ranks, len(shapes), len(images) - len(asked))


def _ranks(
    images: Embeddings, shapes: Embeddings, asked: NDArray[np.int64], wanted: Sequence[Sequence[int]]
) -> NDArray[np.int64]:
    """Return the rank of the first of each photo's wanted rows; ties keep the order of the gallery."""
    nobody = np.full(len(asked), -1, dtype=np.int64)
    places: list[int] = []
    blocks: Iterable[Block] = ranked(
        images.vectors[asked], shapes.vectors, nobody, np.zeros(len(shapes), dtype=np.int64)
    )
    for block in blocks:
        for row, mine in zip(block.rows(), wanted[block.queries], strict=True):
            places.append(int(np.isin(row, mine).argmax()) + 1)
    return np.array(places, dtype=np.int64)
