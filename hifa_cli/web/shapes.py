"""Shapes of an open gallery for those who ask a server: facts, picture, mesh, and lists of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hifa_cli.data import is_mesh, read_picture
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery
from hifa_cli.gallery.sources import render_config
from hifa_cli.gallery.stores.base import StoreError
from hifa_cli.query.retrieve import QueryOptions, rows_wanted
from hifa_cli.web.document import drawn_of, jpeg_of

STORE_AWAY = "the store of the gallery's vectors does not answer: try again later"


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


def view_of(gallery: Gallery, shape: str, view: int, side: int) -> bytes:
    """Return a picture of a shape from one of its views.

    Args:
        gallery: of the shape.
        shape: its id.
        view: the number of the view.
        side: pixels of the picture at most.

    Returns:
        A JPEG file: as the gallery keeps it, else drawn from the mesh, else the shape's thumbnail.

    Raises:
        HifaError: no such shape exists, or nothing shows it.
    """
    row = row_of(gallery, shape)
    kept = gallery.view_picture(row, view)
    drawn = {} if kept else drawn_of(gallery, row, [view])
    if view in drawn:
        return jpeg_of(drawn[view], side)
    path = kept or gallery.thumbnail(row)
    if path is None:
        raise HifaError(f"the gallery has no picture of '{shape}'")
    return jpeg_of(read_picture(path), side)


def preview_of(gallery: Gallery, shape: str, faces: int) -> bytes:
    """Return a shape's mesh as the page's viewer takes it (:func:`.simplify.packed_mesh`).

    Args:
        gallery: of the shape.
        shape: its id.
        faces: how many it may have at most.

    Returns:
        The packed mesh.

    Raises:
        HifaError: no such shape exists, or its mesh is gone or cannot be read.
    """
    from hifa_cli.web.simplify import packed_mesh

    path = mesh_of(gallery, shape)
    try:
        return packed_mesh(path, render_config(gallery.origin(row_of(gallery, shape))), faces)[0]
    except HifaError as error:
        raise HifaError(f"the mesh of '{shape}' cannot be read: {error}") from error


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
    except StoreError as error:  # its words name hosts and folders
        raise StoreError(STORE_AWAY) from error
    except HifaError as error:
        raise HifaError(str(error).replace(str(folder), folder.resolve().name)) from error
