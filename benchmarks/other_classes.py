"""Photos and shapes of classes that nothing of training was chosen on, for ablation.py and open_set.py.

    python benchmarks/other_classes.py MESHES WORLD [--photos 6] [--fewest 10] [--most 30]
    hifa render WORLD/shapes --elevation 15 --out WORLD/views
    python benchmarks/open_set.py WORLD/photos WORLD/views

MESHES holds a folder of upright meshes for each class. A hash of the name deals the meshes of each class
into four parts: photos to train (30 %) and to test (20 %), shapes to train (30 %) and to test (20 %), so that
no photo shows a mesh that is a shape. Photos are made by ``other_photos.py``, which nothing in hifa is fitted
on; it needs OpenGL. Photos that are there already are kept.
"""

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from other_photos import OtherPhotos

from hifa_cli.render.meshes import read_mesh

PARTS = (("photos", "train", 0.3), ("photos", "test", 0.2), ("shapes", "train", 0.3), ("shapes", "test", 0.2))


class Dealt(NamedTuple):
    """A mesh and what it is used for."""

    domain: str
    split: str
    mesh: Path


def deal(meshes: Path, fewest: int, most: int) -> Iterator[Dealt]:
    """Yield the meshes of every class that has enough of them.

    Args:
        meshes: a folder for each class.
        fewest: meshes of a class; smaller classes are left out.
        most: meshes of a class; the rest are left out.
    """
    for folder in sorted(path for path in meshes.iterdir() if path.is_dir()):
        files = sorted(folder.iterdir(), key=lambda path: hashlib.sha256(path.name.encode()).digest())[:most]
        if len(files) < fewest:
            continue
        ends = np.cumsum([share for *_, share in PARTS]) * len(files)
        for place, mesh in enumerate(files):
            domain, split, _ = PARTS[int(np.searchsorted(ends, place + 0.5))]
            yield Dealt(domain, split, mesh)


def write_photos(make: OtherPhotos, mesh: Path, folder: Path, count: int) -> None:
    """Write the photos of a mesh that are not there yet."""
    paths = [folder / f"{mesh.stem}__{number}.jpg" for number in range(count)]
    if all(path.exists() for path in paths):
        return
    folder.mkdir(parents=True, exist_ok=True)
    body = read_mesh(mesh)
    seed = int.from_bytes(hashlib.sha256(mesh.name.encode()).digest()[:4], "little")
    for number, path in enumerate(paths):
        generator = np.random.default_rng([seed, number])
        make.make(body.vertices, body.faces, generator).save(path, quality=92)


def main() -> None:
    """Write WORLD/photos and link WORLD/shapes, and say how many there are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("meshes", type=Path)
    parser.add_argument("world", type=Path)
    parser.add_argument("--photos", type=int, default=6, help="of each mesh")
    parser.add_argument("--fewest", type=int, default=10, help="meshes of a class")
    parser.add_argument("--most", type=int, default=30, help="meshes of a class")
    given = parser.parse_args()
    maker = OtherPhotos()
    counts: dict[str, int] = {}
    for domain, split, mesh in deal(given.meshes, given.fewest, given.most):
        folder = given.world / domain / split / mesh.parent.name
        if domain == "photos":
            write_photos(maker, mesh, folder, given.photos)
        elif not (link := folder / mesh.name).is_symlink():
            folder.mkdir(parents=True, exist_ok=True)
            link.symlink_to(mesh.resolve())
        counts[f"{domain} {split}"] = counts.get(f"{domain} {split}", 0) + 1
    print({f"{name} (meshes)": count for name, count in counts.items()})


if __name__ == "__main__":
    main()
