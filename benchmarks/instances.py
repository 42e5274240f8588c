"""How often a generated photo finds its very mesh, through a gallery of 'hifa index'.

    hifa index MESHES --out gallery [--learn]
    python benchmarks/instances.py MESHES gallery [--maker other] [--photos 1] [--keep FOLDER]

MESHES are upright along +z. ``--maker demo`` generates photos as the nuisance projection and --learn are
fitted on, from other seeds: their style is known, and flatters. ``--maker other`` makes them by a maker that
shares nothing with it (benchmarks/other_photos.py; needs OpenGL), over made-up pictures or, with
``--backdrops``, over blurred photos of a folder: the test. ``--keep`` keeps the photos and uses those that
are there, so that galleries are asked the same. Prints recall@1, recall@10 and the mean reciprocal rank for
each --find.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from other_photos import OtherPhotos
from PIL import Image

from hifa_cli.config import Find
from hifa_cli.gallery import read_gallery
from hifa_cli.query.parse import Query
from hifa_cli.query.retrieve import QueryOptions, encoder_for, rank
from hifa_cli.render.discover import find_meshes
from hifa_cli.render.meshes import read_mesh
from hifa_cli.synthetic.mesh_photos import make_mesh_photo

FINDS: tuple[Find, ...] = ("both", "kind", "part")
SEEDS = {"demo": 4242, "other": 777}
Maker = Callable[[Any, Any, np.random.Generator], Image.Image]


def demo(vertices: Any, faces: Any, generator: np.random.Generator) -> Image.Image:
    """Return a photo as those that the projection and the own map are fitted on."""
    return Image.fromarray(make_mesh_photo(vertices, faces, generator).picture)


def photos_of(meshes: Path, folder: Path, given: argparse.Namespace) -> list[tuple[Path, str]]:
    """Write photos of every mesh that are not there yet; their paths and the meshes' ids."""
    make: Maker | None = None
    made = []
    for number, mesh in enumerate(find_meshes([meshes])[0][: given.most]):
        body = None
        for one in range(given.photos):
            path = folder / f"{mesh.id}__{one}.jpg"
            made.append((path, mesh.id))
            if path.exists():
                continue
            make = make or (demo if given.maker == "demo" else OtherPhotos(given.backdrops).make)
            body = body or read_mesh(mesh.path)
            generator = np.random.default_rng([number, one, SEEDS[given.maker]])
            path.parent.mkdir(parents=True, exist_ok=True)
            make(body.vertices, body.faces, generator).save(path, quality=92)
    return made


def main() -> None:
    """Generate, ask and print."""
    parser = argparse.ArgumentParser(description="how often a generated photo finds its very mesh")
    parser.add_argument("meshes", type=Path)
    parser.add_argument("gallery", type=Path)
    parser.add_argument("--maker", choices=tuple(SEEDS), default="demo")
    parser.add_argument("--backdrops", type=Path, help="of --maker other: a folder of photos")
    parser.add_argument("--photos", type=int, default=1, help="a mesh")
    parser.add_argument("--most", type=int, default=10_000, help="meshes")
    parser.add_argument("--keep", type=Path, help="keep the photos in a folder, and use those in it")
    given = parser.parse_args()
    gallery = read_gallery(given.gallery)
    encoder = encoder_for(gallery, None, "cpu")
    with tempfile.TemporaryDirectory() as scratch:
        made = photos_of(given.meshes, given.keep or Path(scratch), given)
        queries = [Query(str(path), path) for path, _ in made]
        for find in FINDS if gallery.ranking is not None else FINDS[:1]:
            rankings, _ = rank(encoder, gallery, queries, QueryOptions(len(gallery), find=find))
            places = np.array([
                [match.shape for match in ranking.matches].index(wanted) + 1
                for ranking, (_, wanted) in zip(rankings, made, strict=True)
            ])  # fmt: skip
            print(
                f"--find {find}: recall@1 {np.mean(places <= 1):.3f}  recall@10 {np.mean(places <= 10):.3f}  "
                f"MRR {np.mean(1 / places):.3f}  ({len(made)} photos, {len(gallery)} shapes)",
                flush=True,
            )


if __name__ == "__main__":
    main()
