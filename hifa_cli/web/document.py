"""The contents of a page: queries, matches, pictures and meshes, as one JSON document."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from hifa_cli.config import PageConfig
from hifa_cli.data import is_mesh, read_picture
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery
from hifa_cli.gallery.sources import mesh_offer_digest, render_config
from hifa_cli.query.document import ranking_document
from hifa_cli.query.retrieve import Match, Ranking
from hifa_cli.runtime import progress


@dataclass
class Contents:
    """A page's document, and what it took to fit.

    Attributes:
        data: ``queries`` and ``shapes``.
        meshes: how many turn.
        faces: of all meshes together.
    """

    data: dict[str, Any]
    meshes: int = 0
    faces: int = 0


def page_contents(gallery: Gallery, rankings: Sequence[Ranking], config: PageConfig) -> Contents:
    """Return the document of a page; what would make it too large is left out and reported.

    Args:
        gallery: where the queries were searched.
        rankings: what they found.
        config: how large it may become.

    Returns:
        The document, and what was left out of it.
    """
    shown = rankings[: config.queries]
    if len(rankings) > len(shown):
        progress.warn(f"the page shows {len(shown)} of {len(rankings)} queries")
    order = sorted((match for one in shown for match in one.matches), key=lambda match: match.rank)
    views = _views(order, config.views)
    rows = list(views)  # the best ranks first, if not all get a mesh
    at = {row: number for number, row in enumerate(rows)}
    contents = Contents({"queries": [_query(gallery, one, at, config) for one in shown], "shapes": []})
    allowed = min(config.faces, config.all_faces // max(min(len(rows), config.meshes), 1))
    for number, row in enumerate(progress.track(rows, "preparing shapes", total=len(rows))):
        contents.data["shapes"].append(
            _shape(gallery, row, views[row], allowed if number < config.meshes else 0, contents, config)
        )
    return contents


def _views(order: Sequence[Match], further: int) -> dict[int, list[int | None]]:
    """The views of each row that queries matched, best ranks first; ``further`` beside each first in all."""
    views: dict[int, list[int | None]] = {}
    for match in order:
        mine = views.setdefault(match.row, [])
        if match.view not in mine and (not mine or further > 0):
            further -= bool(mine)
            mine.append(match.view)
    return views


def _query(gallery: Gallery, ranking: Ranking, at: dict[int, int], config: PageConfig) -> dict[str, Any]:
    """A ranking as ``hifa query --json`` has it, with pictures, and each match's place among the shapes."""
    document = ranking_document(gallery, ranking)
    for match, one in zip(ranking.matches, document["matches"], strict=True):
        del one["thumbnail"]  # the shape has its picture
        one["at"] = at[match.row]
    pictures = [photo_of(path, config.picture) for path in ranking.pictures if not is_mesh(path)]
    return {**document, "pictures": [one for one in pictures if one]}


def _shape(
    gallery: Gallery,
    row: int,
    views: Sequence[int | None],
    faces: int,
    contents: Contents,
    config: PageConfig,
) -> dict[str, Any]:
    shape: dict[str, Any] = {"pictures": _pictures(gallery, row, views, config.thumbnail)}
    source = gallery.source(row)
    if source is None or not is_mesh(source):
        return {**shape, "why": "the gallery does not know its mesh"}
    if not faces:
        return {**shape, "why": "left out to keep the page small"}
    from hifa_cli.web.simplify import page_mesh

    try:
        if not source.is_file():
            raise HifaError("its mesh is no longer there")
        mesh, count = page_mesh(source, render_config(gallery.origin(row)), faces)
    except HifaError as error:
        progress.warn(f"{gallery.ids[row]}: {error}")
        return {**shape, "why": "its mesh cannot be read"}
    contents.meshes += 1
    contents.faces += count
    return {**shape, "mesh": mesh}


def _pictures(gallery: Gallery, row: int, views: Sequence[int | None], side: int) -> dict[str, str]:
    """Pictures of a shape by the view that they show; the thumbnail, under no view, if absent."""
    wanted = [view for view in views if view is not None]
    paths = {view: gallery.view_picture(row, view) for view in wanted}
    shown = {str(view): photo_of(path, side) for view, path in paths.items() if path is not None}
    found = {view: one["picture"] for view, one in shown.items() if one is not None}
    drawn = drawn_of(gallery, row, [view for view in wanted if str(view) not in found])
    found |= {str(view): _data_address(picture.convert("RGB"), side) for view, picture in drawn.items()}
    if not found and (thumbnail := gallery.thumbnail(row)) is not None:
        kept = photo_of(thumbnail, side)
        found = {} if kept is None else {"": kept["picture"]}
    return found


def drawn_of(gallery: Gallery, row: int, views: Sequence[int]) -> dict[int, Image.Image]:
    """Return views that no file shows, drawn from the mesh where it is still what the shape was made of.

    Args:
        gallery: of the shape.
        row: of the shape.
        views: their numbers.

    Returns:
        Pictures by view; nothing where the mesh is gone, has changed, or cannot be read.
    """
    source = gallery.source(row)
    if not views or source is None or not is_mesh(source) or not source.is_file():
        return {}
    from hifa_cli.web.drawn import drawn_views

    config = render_config(gallery.origin(row))
    if mesh_offer_digest(source, config) != bytes(gallery.digests[row]):
        return {}
    try:
        return drawn_views(source, config, views)
    except HifaError as error:
        progress.warn(f"{gallery.ids[row]}: its view is not shown: {error}")
        return {}


def photo_of(path: Path, side: int) -> dict[str, Any] | None:
    """Return a picture as a data address, at most ``side`` pixels a side, and its whole size.

    None if it cannot be read.
    """
    try:
        picture = read_picture(path)
    except HifaError:
        return None
    width, height = picture.size
    return {"picture": _data_address(picture, side), "width": width, "height": height}


def jpeg_of(picture: Image.Image, side: int) -> bytes:
    """Return a picture of at most ``side`` pixels a side as a JPEG file."""
    picture.thumbnail((side, side))
    content = io.BytesIO()
    picture.convert("RGB").save(content, "JPEG", quality=85)
    return content.getvalue()


def _data_address(picture: Image.Image, side: int) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_of(picture, side)).decode()
