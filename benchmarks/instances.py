"""How often a generated photo finds its very mesh, through a gallery of 'hifa index'.

    hifa index MESHES --out gallery
    python benchmarks/instances.py MESHES gallery [--photos 2] [--most 459]

MESHES are upright along +z. The photos are generated as those that the nuisance projection was fitted on
(tools/fit_nuisance.py), from other seeds: it knows their style, and none of these meshes unless it
was fitted on them. Prints recall@1, recall@10 and the mean reciprocal rank for each --find.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from hifa_cli.config import Find
from hifa_cli.gallery import read_gallery
from hifa_cli.query.parse import Query
from hifa_cli.query.retrieve import QueryOptions, encoder_for, rank
from hifa_cli.render.discover import find_meshes
from hifa_cli.render.meshes import read_mesh
from hifa_cli.synthetic.mesh_photos import make_mesh_photo

FINDS: tuple[Find, ...] = ("both", "kind", "part")
SEED = 4242


def photos_of(meshes: Path, folder: Path, each: int, most: int) -> list[tuple[Path, str]]:
    """Write ``each`` photos of every mesh; their paths and the meshes' ids."""
    made = []
    for number, mesh in enumerate(find_meshes([meshes])[0][:most]):
        body = read_mesh(mesh.path)
        for one in range(each):
            path = folder / f"{number}-{one}.jpg"
            generator = np.random.default_rng([number, one, SEED])
            picture = make_mesh_photo(body.vertices, body.faces, generator).picture
            Image.fromarray(picture).save(path, quality=92)
            made.append((path, mesh.id))
    return made


def main() -> None:
    """Generate, ask and print."""
    parser = argparse.ArgumentParser(description="how often a generated photo finds its very mesh")
    parser.add_argument("meshes", type=Path)
    parser.add_argument("gallery", type=Path)
    parser.add_argument("--photos", type=int, default=2, help="a mesh")
    parser.add_argument("--most", type=int, default=10_000, help="meshes")
    given = parser.parse_args()
    gallery = read_gallery(given.gallery)
    encoder = encoder_for(gallery, None, "cpu")
    with tempfile.TemporaryDirectory() as scratch:
        made = photos_of(given.meshes, Path(scratch), given.photos, given.most)
        queries = [Query(str(path), path) for path, _ in made]
        for find in FINDS if gallery.ranking is not None else FINDS[:1]:
            rankings, _ = rank(encoder, gallery, queries, QueryOptions(len(gallery), find=find))
            places = np.array([
                [match.shape for match in ranking.matches].index(wanted) + 1
                for ranking, (_, wanted) in zip(rankings, made, strict=True)
            ])  # fmt: skip
            print(
                f"--find {find}: recall@1 {np.mean(places <= 1):.3f}  recall@10 {np.mean(places <= 10):.3f}  "
                f"MRR {np.mean(1 / places):.3f}  ({len(made)} photos, {len(gallery)} shapes)"
            )


if __name__ == "__main__":
    main()
