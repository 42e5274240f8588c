"""Folders as the data sets have them when they are unpacked: right names, tiny pictures."""

import zlib
from collections.abc import Iterable
from pathlib import Path

from PIL import Image


def picture(path: Path, size: tuple[int, int] = (2, 2)) -> Path:
    """A tiny picture, grey in another shade for each path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = zlib.crc32(str(path).encode()) % (1 << 24)
    Image.new("RGB", size, f"#{shade:06x}").save(path)
    return path


def views(folder: Path, name: str = "{:02d}.png", numbers: Iterable[int] = range(12)) -> None:
    """The views of one shape."""
    for number in numbers:
        picture(folder / name.format(number))


def mi3dor(root: Path, *, class_folders: bool = True) -> Path:
    """MI3DOR: image, model and view, each with train and test; two classes, one with an underscore."""
    for split in ("train", "test"):
        for name, shapes in (("airplane", 2), ("flower_pot", 1)):
            for number in range(3):
                picture(root / "image" / split / name / f"{name}_{number}.jpg")
            for number in range(1, shapes + 1):
                instance = f"{name}_{split}_{number:04d}"
                (root / "model" / split / name).mkdir(parents=True, exist_ok=True)
                (root / "model" / split / name / f"{instance}.obj").write_text("v 0 0 0\n")
                between = (name,) if class_folders else ()
                views(
                    root.joinpath("view", split, *between, instance), instance + "_{:03d}.png", range(1, 13)
                )
    return root


def mi3dor2(root: Path) -> Path:
    """MI3DOR-2 as a re-user has it: train/2D, train/3D, test/2D, test/3D."""
    for split, first in (("train", 1), ("test", 627)):
        for name in ("airplane", "xbox"):
            picture(root / split / "2D" / name / f"n0{first}.jpg")
            for number in (first, first + 1):
                instance = f"{name}_{number:04d}"
                views(root / split / "3D" / name, instance + "_{:03d}.jpg", range(1, 13))
    return root


def hifa_views(root: Path, *ids: str) -> Path:
    """What ``hifa render`` writes."""
    for one in ids:
        views(root / one)
    (root / "views.json").write_text("{}")
    return root
