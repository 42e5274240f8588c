"""Large inputs, written without holding them twice: meshes, pictures, exports, and folders of many files."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hifa_cli.embeddings.io import Embeddings, Export, write_export
from hifa_cli.synthetic.meshfiles import WRITERS

WIDTH = 128  # of the vectors


def surface(faces: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A wavy square of at least so many triangles: vertices (n, 3) and faces (m, 3), four bytes a number."""
    side = int(np.ceil(np.sqrt(faces / 2)))
    y, x = np.mgrid[0 : side + 1, 0 : side + 1].astype(np.float32)
    vertices = np.stack([x, y, np.sin(x / 50) * 40 + np.cos(y / 70) * 30], axis=-1).reshape(-1, 3)
    corner = (np.arange(side, dtype=np.int32)[:, None] * (side + 1) + np.arange(side, dtype=np.int32)).ravel()
    halves = [(0, 1, side + 2), (0, side + 2, side + 1)]
    made = np.stack([np.stack([corner + step for step in half], axis=1) for half in halves], axis=1)
    return vertices.astype(np.float32), made.reshape(-1, 3)[:faces].astype(np.int32)


def write_mesh(path: Path, faces: int) -> None:
    """A mesh of so many triangles, in the format of the file's ending."""
    WRITERS[path.suffix](path, *surface(faces))  # type: ignore[arg-type]  # four bytes a number do


def write_picture(path: Path, width: int, height: int) -> None:
    """A picture in three colours that packs well, whatever its size."""
    line = np.linspace(0, 255, width, dtype=np.uint8)
    pixels = np.broadcast_to(np.stack([line, line[::-1], line], axis=-1), (height, width, 3))
    options: dict[str, Any] = {"compress_level": 1} if path.suffix == ".png" else {}
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, **options)


def write_vectors(path: Path, shapes: int, *, photos: int = 0, classes: int = 10, prefix: str = "s") -> None:
    """An export of random vectors in clusters, a cluster a class."""
    chance = np.random.default_rng(shapes)
    centres = chance.standard_normal((classes, WIDTH), dtype=np.float32)

    def some(name: str, count: int) -> Embeddings:
        labels = np.arange(count) % classes
        vectors = chance.standard_normal((count, WIDTH), dtype=np.float32)
        vectors += centres[labels]
        return Embeddings(tuple(f"{name}/{number}" for number in range(count)), labels, vectors)

    names = tuple(f"class {number}" for number in range(classes))
    images = some("photo", photos) if photos else None
    write_export(path, Export(images, some(prefix, shapes), names, method="made up"))


def write_collection(folder: Path, classes: int, each: int, *, views: int = 1, side: int = 16) -> None:
    """Photos and shapes of so many classes, a folder each; every picture is another name of one file."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(classes)
    picture = folder / "picture.png"
    Image.fromarray(chance.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(picture)
    for number in range(classes):
        photos, shapes = folder / "photos" / f"class {number}", folder / "views" / f"class {number}"
        photos.mkdir(parents=True)
        for one in range(each):
            os.link(picture, photos / f"{one}.png")
            (shapes / f"{one}").mkdir(parents=True)
            for view in range(views):
                os.link(picture, shapes / f"{one}" / f"{view:02}.png")


def write_many(folder: Path, files: int, each: int) -> None:
    """So many photos, ``each`` a class; every picture is another name of one of a few files.

    File systems allow some tens of thousands of names a file.
    """
    folder.mkdir(parents=True)
    chance = np.random.default_rng(files)
    for number in range(files):
        if number % 10_000 == 0:
            picture = folder.parent / f"picture-{number}.png"
            Image.fromarray(chance.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(picture)
        kind = folder / f"class {number // each}"
        if number % each == 0:
            kind.mkdir()
        os.link(picture, kind / f"{number}.png")
