"""A folder of meshes and photos, and a gallery of the pretrained encoder, made once through the API."""

from pathlib import Path
from typing import NamedTuple

import pytest
import trimesh

import hifa_cli as hifa


class World(NamedTuple):
    """Folders of the world, and its open gallery."""

    root: Path
    meshes: Path
    photo: Path
    gallery: hifa.Gallery


def write_meshes(folder: Path) -> Path:
    """Write three shapes of two kinds, a folder per kind."""
    made = {
        "box/long": trimesh.creation.box((1, 0.3, 0.2)),
        "box/cube": trimesh.creation.box((1, 1, 1)),
        "round/ball": trimesh.creation.icosphere(subdivisions=2),
    }
    for name, mesh in made.items():
        path = folder / f"{name}.off"
        path.parent.mkdir(parents=True, exist_ok=True)
        mesh.export(path)
    return folder


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Three meshes, a gallery of them, and a picture of one as a photo."""
    root = tmp_path_factory.mktemp("api")
    meshes = write_meshes(root / "meshes")
    gallery = hifa.build_gallery(str(meshes), str(root / "gallery"), workers=1, device="cpu", keep_views=True)
    picture = gallery.stored.view_picture(list(gallery.shapes).index("round/ball"), 2)
    assert picture is not None
    photo = root / "photo.png"
    photo.write_bytes(picture.read_bytes())
    return World(root, meshes, photo, gallery)
