"""A gallery: shapes that a photo can be held against, with all that this needs, in one folder.

    gallery.json    schema, counts, which generation is in force
    <generation>/   shapes.h5 (ids, classes, vectors), index.faiss
    model/          the model that made the vectors (absent where only vectors are known)
    thumbnails/     a picture a shape, where there are views
    views/          the twelve views, where the gallery was built straight from meshes

A generation is written whole before ``gallery.json`` names it, so a reader never sees half of one.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli import __version__, index
from hifa_cli.atomic import written_file, written_folder
from hifa_cli.config import IndexConfig
from hifa_cli.errors import HifaError
from hifa_cli.ranking import normalised
from hifa_cli.store import Embeddings, Export, read_export, write_export

SCHEMA = 1
MAIN_FILE, MODEL, THUMBNAILS, VIEWS = "gallery.json", "model", "thumbnails", "views"


@dataclass(frozen=True)
class Gallery:
    """An open gallery."""

    folder: Path
    shapes: Embeddings
    classes: tuple[str, ...]
    model: str  # digest of the model that made the vectors
    method: str
    index: index.Index

    @property
    def model_folder(self) -> Path | None:
        """The model's folder, or None where only vectors are known."""
        folder = self.folder / MODEL
        return folder if folder.is_dir() else None

    def class_of(self, row: int) -> str | None:
        """The class of a shape, or None where it is not known."""
        label = int(self.shapes.labels[row])
        return self.classes[label] if label >= 0 else None

    def thumbnail(self, row: int) -> Path | None:
        """A picture of a shape, or None where there is none."""
        path = self.folder / THUMBNAILS / f"{self.shapes.ids[row]}.png"
        return path if path.is_file() else None

    def search(self, vectors: NDArray[np.float32], top: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The ``top`` nearest shapes of (q, D) raw query vectors: (q, k) cosines and rows.

        Raises:
            HifaError: the vectors are of another length than the gallery's.
        """
        if vectors.shape[1] != self.shapes.vectors.shape[1]:
            mine, theirs = self.shapes.vectors.shape[1], vectors.shape[1]
            raise HifaError(
                f"the gallery {self.folder} holds {mine} numbers a shape and the query has {theirs}: "
                "they are of different models; build the gallery with this one"
            )
        return index.search(self.index, _unit(vectors), top)


def write_gallery(
    folder: Path, export: Export, config: IndexConfig, *, model: Path | None, thumbnails: dict[str, Path]
) -> dict[str, Any]:
    """Write a gallery of the shapes of ``export``, or replace what ``folder`` holds.

    Args:
        folder: the gallery.
        export: embeddings with shapes.
        config: what kind of index.
        model: folder of the model that made the vectors, copied into the gallery.
        thumbnails: a picture for each id that has one.

    Returns:
        What ``gallery.json`` says.

    Raises:
        HifaError: there are no shapes, or the folder cannot be written.
    """
    if export.shapes is None or not export.shapes.ids:
        raise HifaError("there are no shapes to index: export some with --shapes VIEWS")
    folder.mkdir(parents=True, exist_ok=True)
    if model is not None and model.resolve() != (folder / MODEL).resolve():
        with written_folder(folder / MODEL) as path:
            for name in ("model.safetensors", "model.json"):
                shutil.copyfile(model / name, path / name)
    for name, picture in thumbnails.items():
        _put(picture, folder / THUMBNAILS / f"{name}.png")
    built = index.build(_unit(export.shapes.vectors), config)
    before = _read_main(folder) if (folder / MAIN_FILE).exists() else None
    generation = f"generation-{int(before['generation'].rsplit('-', 1)[1]) + 1 if before else 1}"
    with written_folder(folder / generation) as path:
        write_export(path / "shapes.h5", _shapes_only(export))
        index.write(built, path / "index.faiss")
    document = {
        "schema": SCHEMA,
        "generation": generation,
        "shapes": len(export.shapes.ids),
        "dimension": export.shapes.vectors.shape[1],
        "classes": len(export.classes),
        "factory": index.factory_for(len(export.shapes.ids), export.shapes.vectors.shape[1], config),
        "model": export.model,
        "method": export.method,
        "hifa_version": __version__,
        "made_from": export.config,
    }
    with written_file(folder / MAIN_FILE) as path:
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    for old in folder.glob("generation-*"):
        if old.name != generation:
            shutil.rmtree(old, ignore_errors=True)
    return document


def read_gallery(folder: Path) -> Gallery:
    """Open a gallery.

    Raises:
        HifaError: there is none, or its files are damaged or of another schema.
    """
    document = _read_main(folder)
    place = folder / str(document["generation"])
    export = read_export(place / "shapes.h5")
    if export.shapes is None:
        raise HifaError(f"the gallery {folder} is damaged: it holds no shapes; build it again")
    found = index.read(place / "index.faiss", *export.shapes.vectors.shape)
    return Gallery(folder, export.shapes, export.classes, export.model, export.method, found)


def _read_main(folder: Path) -> dict[str, Any]:
    path = folder / MAIN_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise HifaError(f"no gallery at {folder}: make one with 'hifa index … --out {folder}'") from error
    except (OSError, ValueError) as error:
        raise HifaError(f"cannot read {path}: damaged; build the gallery again") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise HifaError(f"{path} is of another schema; build the gallery again with this version of hifa")
    name = str(document.get("generation"))
    if not name.startswith("generation-") or not name.rsplit("-", 1)[1].isdigit():
        raise HifaError(f"{path} is damaged; build the gallery again")
    return document


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clamped and normalised as the benchmark does, in the precision that FAISS works in."""
    return np.ascontiguousarray(normalised(vectors), dtype=np.float32)


def _shapes_only(export: Export) -> Export:
    return Export(
        None, export.shapes, export.classes, export.hifa_version, export.method, export.model, export.config
    )


def _put(source: Path, target: Path) -> None:
    """Link or copy a picture to its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_file(target) as path:
        path.unlink()
        try:
            os.link(source, path)
        except OSError:
            shutil.copyfile(source, path)
