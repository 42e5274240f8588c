"""The files of a gallery beside its generations: the model, thumbnails, views.

They are put in place, and cleared up after a change.
"""

import filecmp
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.embeddings.encoder import GRAPH_FILES, MODEL_ABOUT, MODEL_WEIGHTS
from hifa_cli.embeddings.text import TEXT_ABOUT, TEXT_WEIGHTS
from hifa_cli.gallery import MAPS_FILE, MODELS, THUMBNAILS, VIEWS, model_folder, thumbnail_path
from hifa_cli.gallery.own import MAPS
from hifa_cli.gallery.sources import Source
from hifa_cli.runtime.atomic import written_folder

# what of a run a gallery needs, in the order in which it is sent; the first two are always there
MODEL_FILES = (MODEL_ABOUT, MODEL_WEIGHTS, *GRAPH_FILES, TEXT_WEIGHTS, TEXT_ABOUT, MAPS_FILE)


def put_model(folder: Path, digest: str, model: Path | None) -> None:
    """Copy the model into the gallery, under its digest: an old gallery.json goes on finding its own.

    Args:
        folder: the gallery.
        digest: of the model.
        model: folder of the model; None leaves what is there.
    """
    target = model_folder(folder, digest)
    if model is None or not digest or model.resolve() == target.resolve():
        return
    names = (*MODEL_FILES[:2], *(name for name in MODEL_FILES[2:] if (model / name).is_file()))
    if all(
        (target / name).is_file() and filecmp.cmp(model / name, target / name, shallow=False)
        for name in names
    ):
        return  # replacing it would leave a moment without
    with written_folder(target) as path:
        for name in names:
            shutil.copyfile(model / name, path / name)


def put_thumbnails(folder: Path, fresh: Sequence[tuple[Source, Sequence[int]]]) -> None:
    """Write a picture of each new shape that has one into the gallery, named by the shape's digest."""
    for source, rows in fresh:
        for row in rows:
            if (picture := source.cover(row)) is None:
                continue
            target = thumbnail_path(folder, np.frombuffer(source.entries[row].digest, dtype=np.uint8))
            if not target.is_file():
                _put(picture, target)


def _put(picture: bytes, target: Path) -> None:
    """Write a picture to its place; a million of them cannot each wait for the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f"{target.name}.part")
    beside.write_bytes(picture)
    os.replace(beside, target)


def sweep(folder: Path, document: dict[str, Any], digests: NDArray[np.uint8]) -> None:
    """Remove what the gallery no longer names: other generations and models, thumbnails, half-written files.

    Args:
        folder: the gallery; the caller holds its lock.
        document: what ``gallery.json`` says.
        digests: (n, 16) of the shapes.
    """
    sweep_files(folder, document)
    named = {row.tobytes().hex() for row in digests} if (folder / THUMBNAILS).is_dir() else set()
    for old in (folder / THUMBNAILS).glob("*/*"):
        if old.stem not in named:
            with suppress(OSError):
                old.unlink()


def drop_thumbnails(folder: Path, gone: NDArray[np.uint8], left: Sequence[NDArray[np.uint8]]) -> None:
    """Remove the thumbnails of shapes that are gone, where no shape that is left has the same content.

    Args:
        folder: the gallery; the caller holds its lock.
        gone: (g, 16) digests of the shapes that are gone.
        left: (n, 16) digests of those that are left, in parts.
    """
    wanted = {row.tobytes() for row in gone}
    for part in left if (folder / THUMBNAILS).is_dir() else ():
        alike = np.isin(part[:, :8].copy().view(np.uint64)[:, 0], gone[:, :8].copy().view(np.uint64)[:, 0])
        wanted -= {row.tobytes() for row in part[alike]}  # the others differ in their first eight bytes
    for digest in wanted:
        thumbnail_path(folder, np.frombuffer(digest, dtype=np.uint8)).unlink(missing_ok=True)


def sweep_files(folder: Path, document: dict[str, Any]) -> None:
    """Remove what the gallery no longer names, but for thumbnails, which are as many as shapes.

    Args:
        folder: the gallery; the caller holds its lock.
        document: what ``gallery.json`` says.
    """
    sweep_generations(folder, document)
    for old in (folder / MODELS).glob("*"):
        if old.name != document["model"][:16]:
            shutil.rmtree(old, ignore_errors=True)
    own = (document.get("ranking") or {}).get("own") or {}
    for old in (folder / MAPS).glob("*.npz"):
        if old.stem != own.get("map"):
            old.unlink(missing_ok=True)
    drawn = {origin.get("views") for origin in document["origins"]}
    for old in (folder / VIEWS).glob("*"):
        if old.name not in drawn:
            shutil.rmtree(old, ignore_errors=True)


def sweep_generations(folder: Path, document: dict[str, Any] | None) -> None:
    """Remove what a killed writer left: generations that the gallery does not name, half-written files.

    Args:
        folder: the gallery; the caller holds its lock.
        document: what ``gallery.json`` says; None where there is none.
    """
    named = {} if document is None else {document["generation"], (document.get("rows") or {}).get("base")}
    halves = [old for kind in ("part", "old") for old in folder.glob(f".*.{kind}")]
    for old in (*folder.glob("generation-*"), *halves, *folder.glob(f"{MODELS}/*/.*.part")):
        if old.name not in named:
            shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)
