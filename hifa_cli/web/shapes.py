"""Shapes of an open gallery for those who ask a server: facts, picture, mesh, and lists of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hifa_cli.data import is_mesh
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery
from hifa_cli.query.retrieve import QueryOptions, rows_wanted


def row_of(gallery: Gallery, shape: str) -> int:
    """Return the row of a shape.

    Raises:
        HifaError: no such shape exists.
    """
    row = gallery.ids.row(shape)
    if row is None:
        raise HifaError(f"the gallery has no shape '{shape}': search again, it may have changed")
    return row


def facts_of(gallery: Gallery, row: int) -> dict[str, Any]:
    """Return a shape's id, class and fields."""
    fields = {name: column.value(row) for name, column in gallery.fields.items()}
    return {"shape": gallery.ids[row], "class": gallery.class_of(row), "fields": fields}


def mesh_of(gallery: Gallery, shape: str) -> Path:
    """Return the file of a shape's mesh.

    Raises:
        HifaError: no such shape exists, the gallery knows no mesh of it, or the mesh is gone.
    """
    source = gallery.source(row_of(gallery, shape))
    if source is None or not is_mesh(source):
        raise HifaError(f"the gallery knows no mesh of '{shape}': build it from meshes")
    if not source.is_file():
        raise HifaError(f"the mesh of '{shape}' is no longer where it was: update the gallery")
    return source


def listed_shapes(gallery: Gallery, wanted: QueryOptions, offset: int) -> dict[str, Any]:
    """Return the shapes that may be found, in the gallery's order, with their facts.

    Args:
        gallery: of the shapes.
        wanted: the classes, the condition, and how many are shown.
        offset: how many are left out.

    Returns:
        ``count`` of all, and ``shapes``.

    Raises:
        HifaError: a class or a field does not exist, or the condition is wrong.
    """
    with without_folder(gallery.folder):
        rows = rows_wanted(gallery, wanted)
    rows = np.arange(len(gallery)) if rows is None else rows
    shown = rows[offset : offset + wanted.top].tolist()
    return {"count": len(rows), "shapes": [facts_of(gallery, row) for row in shown]}


@contextmanager
def without_folder(folder: Path) -> Iterator[None]:
    """Name the gallery in errors, not where it lies: who asks need not know."""
    try:
        yield
    except HifaError as error:
        raise HifaError(str(error).replace(str(folder), folder.resolve().name)) from error
