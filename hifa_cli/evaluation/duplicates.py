"""Shapes that a benchmark has twice, under two classes or in two splits, taken out of an export."""

from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

import numpy as np

from hifa_cli.data.rebuild.faults import item_name
from hifa_cli.data.rebuild.names import origin_of
from hifa_cli.data.shapes import shape_candidates
from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.errors import HifaError

Place = tuple[str, str]  # class and split


def without_duplicates(export: Export, name: str = "the export") -> tuple[Export, tuple[str, ...]]:
    """Take out the shapes that stand twice, for neither of their classes is the right answer.

    Twice is what MI3DOR's names say of two items of one source, in the export and in the folder of views that
    it was made of, where that is still there; and what has the same vector to the bit under another class.

    Args:
        export: photos and shapes with labels.
        name: of the export, for messages.

    Returns:
        The export without them, and their ids.

    Raises:
        HifaError: the export has no shapes, or none would be left.
    """
    shapes = export.shapes
    if shapes is None or not len(shapes):
        raise HifaError(f"{name} has no shapes: export them too ('hifa export --shapes …')")
    classes = [export.classes[label] if label >= 0 else "" for label in shapes.labels.tolist()]
    places: dict[Hashable, set[Place]] = {}
    for identity, (kind, split) in _known(export).items():
        if origin := origin_of(item_name(identity)):
            places.setdefault((origin.source, origin.id), set()).add((kind, split))
    named = set(places)
    twice = np.zeros(len(shapes), dtype=np.bool_)
    for row, identity in enumerate(shapes.ids):
        origin = origin_of(item_name(identity))
        if origin and (origin.source, origin.id) in named:
            twice[row] = len(places[origin.source, origin.id]) > 1
    of_vector: dict[bytes, set[str]] = {}
    keys = [row.tobytes() for row in shapes.vectors]
    for key, kind in zip(keys, classes, strict=True):
        of_vector.setdefault(key, set()).add(kind)
    twice |= np.array([len(of_vector[key]) > 1 for key in keys], dtype=np.bool_)
    if twice.all():
        raise HifaError(f"every shape of {name} stands twice: nothing is left to be found")
    kept = np.flatnonzero(~twice)
    left = Embeddings(tuple(shapes.ids[row] for row in kept), shapes.labels[kept], shapes.vectors[kept])
    return replace(export, shapes=left), tuple(shapes.ids[row] for row in np.flatnonzero(twice))


def _known(export: Export) -> dict[str, Place]:
    """Return class and split of every shape by id: the folder's where it is there, else the export's."""
    assert export.shapes is not None
    folder = export.config.get("shapes")
    if isinstance(folder, str) and Path(folder).exists():
        try:
            return {
                one.id: (one.class_name or "", one.split or "") for one in shape_candidates(Path(folder), [])
            }
        except (HifaError, OSError):
            pass
    return {
        identity: (export.classes[label] if label >= 0 else "", "")
        for identity, label in zip(export.shapes.ids, export.shapes.labels.tolist(), strict=True)
    }
