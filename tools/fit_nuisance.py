#!/usr/bin/env python3
"""Fit a nuisance projection that the package ships: hifa_cli/search/nuisance.npz, -lite2.npz, -pair.npz.

    tools/fit_nuisance.py                     # on shapes that the demo's world makes: minutes on two cores
    tools/fit_nuisance.py --meshes FOLDER     # on a folder of upright (+z) meshes of your own
    tools/fit_nuisance.py --backbone efficientnet_lite2       # or efficientnet_lite0+lite2

Photos of each mesh are generated, embedded by the encoder and held against the mean of its views.
"""

import argparse
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hifa_cli.config import RIGS, RenderConfig
from hifa_cli.data.transforms import to_pixels
from hifa_cli.embeddings.encoder import default_encoder
from hifa_cli.models.lite import PAIR
from hifa_cli.render.discover import find_meshes
from hifa_cli.render.meshes import Mesh, read_mesh
from hifa_cli.render.views import MeshViews
from hifa_cli.search.rerank import PROJECTION_FILES, fit_projection, unit
from hifa_cli.synthetic.mesh_photos import make_mesh_photo
from hifa_cli.synthetic.shapes import KINDS, joined, make_thing

FOLDER = Path(__file__).parents[1] / "hifa_cli" / "search"
OUT = dict(zip(("efficientnet_lite0", "efficientnet_lite2", PAIR), PROJECTION_FILES, strict=True))


def meshes(folder: Path | None, each: int) -> Iterator[Any]:
    """Yield a folder's meshes by path, or the demo's shapes, ``each`` of every kind, by kind and number."""
    if folder is not None:
        yield from ((mesh.path, None, 0) for mesh in find_meshes([folder])[0])
        return
    yield from ((None, kind, number) for kind in KINDS for number in range(each))


def pictures(task: Any) -> tuple[list[np.ndarray[Any, Any]], list[np.ndarray[Any, Any]]]:
    """Return the views and the photos of one mesh, as pictures."""
    (path, kind, number), photos, place = task
    if path is not None:
        mesh = read_mesh(path)
    else:
        vertices, faces, _ = joined(make_thing(kind, np.random.default_rng([place, number])))
        mesh = Mesh(vertices, faces)
    config = RenderConfig(elevation=RIGS["eye"])
    views = MeshViews(config).draw(mesh, "z")
    made = [
        make_mesh_photo(mesh.vertices, mesh.faces, np.random.default_rng([place, one, 77])).picture
        for one in range(photos)
    ]
    return [np.repeat(view[..., None], 3, axis=2) for view in views], made


def main() -> None:
    """Fit and write the projection."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--meshes", type=Path, help="upright meshes; default: the demo's shapes")
    parser.add_argument("--each", type=int, default=40, help="of the demo's shapes, a kind")
    parser.add_argument("--photos", type=int, default=3, help="a mesh")
    parser.add_argument("--directions", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--backbone", choices=tuple(OUT), default="efficientnet_lite0")
    parser.add_argument("--out", type=Path, help="default: the file of the package")
    given = parser.parse_args()
    out = given.out or FOLDER / OUT[given.backbone]
    encoder = default_encoder(threads=1, backbone=given.backbone)
    assert encoder is not None, "no engine: pip install onnxruntime"
    tasks = [(one, given.photos, place) for place, one in enumerate(meshes(given.meshes, given.each))]
    photos, means = [], []
    with get_context("spawn").Pool(given.workers) as pool:
        for done, (views, made) in enumerate(pool.imap(pictures, tasks, chunksize=4), 1):
            pixels = [to_pixels(Image.fromarray(picture), encoder.config) for picture in (*views, *made)]
            features = unit(encoder.each_picture(np.stack(pixels)))
            photos.append(features[len(views) :])
            means.append(np.repeat(features[: len(views)].mean(axis=0, keepdims=True), len(made), axis=0))
            if done % 50 == 0:
                print(f"{done} of {len(tasks)} meshes", flush=True)
    fitted = fit_projection(np.concatenate(photos), np.concatenate(means), encoder.digest, given.directions)
    np.savez(out, basis=fitted.basis.astype(np.float16), damping=fitted.damping, model=np.array(fitted.model))
    print(f"{out}: {len(tasks)} meshes, {sum(map(len, photos))} photos, model {fitted.model[:12]}")


if __name__ == "__main__":
    main()
