"""Five formats hold the same thing, as other readers see it."""

from pathlib import Path

import numpy as np
import pytest

from hifa_cli.render.meshes import read_mesh
from hifa_cli.synthetic.meshfiles import WRITERS, write_glb, write_messy
from hifa_cli.synthetic.primitives import box
from hifa_cli.synthetic.shapes import KINDS, joined, make_thing


@pytest.mark.parametrize("suffix", WRITERS)
def test_what_is_written_is_read_back(suffix: str, tmp_path: Path) -> None:
    vertices, faces, _ = joined(make_thing("chair", np.random.default_rng(3)))
    path = tmp_path / f"chair{suffix}"
    WRITERS[suffix](path, vertices, faces)
    mesh = read_mesh(path)
    corners = mesh.vertices[mesh.faces]
    if suffix == ".glb":  # +Y up: (x, y, z) was written as (x, z, -y)
        corners = np.stack([corners[..., 0], -corners[..., 2], corners[..., 1]], axis=-1)
    assert len(corners) == len(faces)
    np.testing.assert_allclose(corners, vertices[faces], atol=6e-6)  # six digits in text


def test_gltf_stands_upright_on_y(tmp_path: Path) -> None:
    tall = box((1, 2, 5), (0, 0, 2.5), "x")
    write_glb(tmp_path / "tall.glb", tall.vertices, tall.faces)
    extent = np.ptp(read_mesh(tmp_path / "tall.glb").vertices, axis=0)
    np.testing.assert_allclose(extent, [1, 5, 2], atol=1e-6)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for suffix in WRITERS:
        for name in ("a", "b"):
            rng = np.random.default_rng(1)
            write_messy(make_thing("mug", rng), tmp_path / f"{name}{suffix}", suffix, rng)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_some_libraries_are_messy_and_all_are_readable(tmp_path: Path) -> None:
    doubled = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        thing = make_thing("table", rng)
        path = tmp_path / f"{seed}.off"
        write_messy(thing, path, ".off", rng)
        written = int(path.read_text().split()[2])
        doubled += written > sum(len(part.faces) for part in thing)
        assert len(read_mesh(path).faces) > 400
    assert 1 <= doubled <= 14  # three in ten: 20 draws stray further once in 10,000 worlds


def test_every_kind_can_be_written(tmp_path: Path) -> None:
    for kind in KINDS:
        rng = np.random.default_rng(0)
        write_messy(make_thing(kind, rng), tmp_path / f"{kind}.stl", ".stl", rng)
        assert len(read_mesh(tmp_path / f"{kind}.stl").faces) >= 400
