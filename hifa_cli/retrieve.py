"""Photos in, ranked shapes out."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hifa_cli.config import RenderConfig
from hifa_cli.data import MESH_SUFFIXES, Item, find_images, find_shapes
from hifa_cli.errors import HifaError
from hifa_cli.export import Encoder, embed, load_encoder
from hifa_cli.gallery import Gallery
from hifa_cli.render.stage import render
from hifa_cli.talk import SILENT, Talk


@dataclass(frozen=True)
class Match:
    """A shape that was found."""

    rank: int
    shape: str
    class_name: str | None
    score: float  # cosine of the clamped, normalised vectors
    row: int  # place in the gallery


@dataclass(frozen=True)
class Ranking:
    """What one query found, best first."""

    query: str
    matches: tuple[Match, ...]


def encoder_for(gallery: Gallery, model: Path | None, device: torch.device) -> Encoder:
    """The model that a query of ``gallery`` needs: its own, or ``model`` where that is the same one.

    Raises:
        HifaError: the gallery holds no model and none is given, or another model made the gallery.
    """
    if model is None and gallery.model_folder is None:
        raise HifaError(f"the gallery {gallery.folder} holds vectors but no model: give --model RUN")
    encoder = load_encoder(model or gallery.model_folder, device)
    if gallery.model and encoder.digest != gallery.model:
        other = model or gallery.model_folder
        raise HifaError(
            f"the gallery {gallery.folder} was made by another model than {other}: "
            "build it again with this one"
        )
    return encoder


def query(
    encoder: Encoder, gallery: Gallery, items: Sequence[Item], *, top: int, talk: Talk = SILENT
) -> list[Ranking]:
    """The shapes of ``gallery`` nearest to each item; an unreadable item is named and left out.

    Raises:
        HifaError: none of the items can be read, or the gallery is of another model.
    """
    found = embed(encoder, items, label="embedding queries", talk=talk)
    scores, rows = gallery.search(found.vectors, top)
    return [
        Ranking(name, _matches(gallery, scores[place], rows[place])) for place, name in enumerate(found.ids)
    ]


def _matches(gallery: Gallery, scores: NDArray[np.float32], rows: NDArray[np.int64]) -> tuple[Match, ...]:
    pairs = [(float(score), int(row)) for score, row in zip(scores, rows, strict=True) if row >= 0]
    return tuple(
        Match(rank, gallery.shapes.ids[row], gallery.class_of(row), score, row)
        for rank, (score, row) in enumerate(pairs, 1)
    )


def query_paths(
    encoder: Encoder, gallery: Gallery, paths: Sequence[Path], *, top: int, talk: Talk
) -> list[Ranking]:
    """The shapes nearest to photos, folders of photos and meshes, in the order given.

    Raises:
        HifaError: a path is missing, or nothing can be read.
    """
    rankings: dict[str, Ranking] = {}
    photos = [item for path in paths if not _is_mesh(path) for item in _photos(path)]
    meshes = [path for path in paths if _is_mesh(path)]
    if photos:
        rankings |= {
            ranking.query: ranking for ranking in query(encoder, gallery, photos, top=top, talk=talk)
        }
    if meshes:
        rankings |= {
            ranking.query: ranking for ranking in _query_meshes(encoder, gallery, meshes, top=top, talk=talk)
        }
    wanted = [item.id for item in photos] + [str(path) for path in meshes]
    return [rankings[name] for name in dict.fromkeys(wanted) if name in rankings]


def _is_mesh(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in MESH_SUFFIXES


def _photos(path: Path) -> list[Item]:
    if path.is_dir():
        return [Item(str(item.views[0]), -1, item.views) for item in find_images(path).items]
    if not path.exists():
        raise HifaError(f"no photo at {path}: check the path")
    return [Item(str(path), -1, (path,))]


def _query_meshes(
    encoder: Encoder, gallery: Gallery, paths: Sequence[Path], *, top: int, talk: Talk
) -> list[Ranking]:
    """A mesh is a shape like any other: render it, embed its views, search.

    Raises:
        HifaError: a mesh cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        items = []
        for number, path in enumerate(paths):
            views = Path(folder) / str(number)
            report = render([path], views, RenderConfig(), workers=1, force=False, talk=SILENT)
            if report.failed:
                raise HifaError(f"cannot draw {path}: {report.failed[0].reason}; give another query")
            items += [Item(str(path), -1, shape.views) for shape in find_shapes(views).items]
        return query(encoder, gallery, items, top=top, talk=talk)
