"""One mesh in an archive is read as itself; nothing else is unpacked, and nothing leaves the folder."""

import gzip
import io
import json
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from hifa_cli.config import RenderConfig
from hifa_cli.data import find_images
from hifa_cli.data.formats import is_mesh
from hifa_cli.errors import HifaError
from hifa_cli.render import archives
from hifa_cli.render.discover import find_meshes
from hifa_cli.render.isolated import read_safely
from hifa_cli.render.meshes import read_mesh
from hifa_cli.render.pipeline import render
from hifa_cli.render.views import up_axis
from tests.render.shapes import box, obj_text, off_text, stl_bytes
from tests.render.writers import dae_text


def zipped(path: Path, members: Mapping[str, bytes | str], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def gltf_parts() -> dict[str, bytes]:
    scene: Any = trimesh.Scene(trimesh.Trimesh(box().vertices, box().faces, process=False))
    parts: dict[str, bytes] = scene.export(file_type="gltf")
    return parts


PACKED: dict[str, Callable[[Path], object]] = {
    "a.obj.gz": lambda path: path.write_bytes(gzip.compress(obj_text(box()).encode())),
    "a.stl.gz": lambda path: path.write_bytes(gzip.compress(stl_bytes(box()))),
    "a.gz": lambda path: path.write_bytes(gzip.compress(off_text(box()).encode())),
    "a.off": lambda path: path.write_bytes(gzip.compress(off_text(box()).encode())),
    "a.zip": lambda path: zipped(path, {"in/chair.obj": obj_text(box()), "in/chair.mtl": "newmtl a"}),
    "a.off.zip": lambda path: zipped(path, {"a.off": off_text(box())}),
    "a.ply": lambda path: zipped(
        path, {"x.stl": stl_bytes(box()), "x.png": b"\x89PNG", "__MACOSX/._x.stl": "x"}
    ),
    "gltf.zip": lambda path: zipped(
        path, {f"deep/{name}": content for name, content in gltf_parts().items()}
    ),
}


@pytest.mark.parametrize("name", PACKED)
def test_one_mesh_in_an_archive_is_read(tmp_path: Path, name: str) -> None:
    PACKED[name](tmp_path / name)
    for read in (read_mesh, read_safely):
        assert len(read(tmp_path / name).faces) == 12


def test_what_is_up_in_an_archive_is_what_is_up_in_its_mesh(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", gltf_parts())
    zipped(tmp_path / "b.zip", {"b.dae": dae_text(box()).replace("Y_UP", "X_UP")})
    zipped(tmp_path / "c.zip", {"c.off": off_text(box())})
    axes = [up_axis(tmp_path / f"{name}.zip", RenderConfig()) for name in "abc"]
    expected = "x" if "Y_UP" in dae_text(box()) else up_axis_of_dae(tmp_path)
    assert axes == ["y", expected, "z"]


def up_axis_of_dae(folder: Path) -> str:
    (folder / "b.dae").write_text(dae_text(box()))
    return up_axis(folder / "b.dae", RenderConfig())


def refused(path: Path) -> str:
    with pytest.raises(HifaError) as caught:
        read_mesh(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def test_an_archive_without_one_mesh_says_so(tmp_path: Path) -> None:
    assert refused(zipped(tmp_path / "a.zip", {"a.txt": "x"})) == "is a zip archive without a mesh in it"
    two = zipped(tmp_path / "b.zip", {"a.obj": obj_text(box()), "b.obj": obj_text(box())})
    assert refused(two) == "is a zip archive of 2 meshes: unpack it first"
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.obj", obj_text(box()))
    (tmp_path / "c.obj.gz").write_bytes(gzip.compress(inner.getvalue()))
    assert refused(tmp_path / "c.obj.gz") == "is an archive in an archive: unpack it first"
    for name in ("inner.zip", "a.obj.gz", "models.7z", "a.tar.xz", "a.RAR", "a\nb.zip"):
        nested = zipped(tmp_path / "d.zip", {name: "x", "readme.txt": "x"})
        assert (
            refused(nested)
            == f"is an archive with another in it ({name.replace(chr(10), '?')}): unpack it first"
        )


@pytest.mark.parametrize(
    "name", ["../../slipped.bin", "/tmp/slipped.bin", "C:\\slipped.bin", "a/../../b.bin"]
)
def test_nothing_leaves_the_folder_that_it_is_unpacked_into(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "a.zip", {"a.obj": obj_text(box()), name: "x"})
    assert "leads out of its folder" in refused(path)
    assert not list(tmp_path.parent.rglob("*slipped*"))


def test_links_in_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.gltf", json.dumps({"asset": {"version": "2.0"}}))
        link = zipfile.ZipInfo("a.bin")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "leads out of its folder" in refused(path)


def test_bombs_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE_EXPANSION", 1 << 20)
    text = (off_text(box()) + "#" * (64 << 20)).encode()
    (tmp_path / "a.off.gz").write_bytes(gzip.compress(text))
    assert "a bomb" in refused(tmp_path / "a.off.gz")
    assert "a bomb" in refused(zipped(tmp_path / "a.zip", {"a.off": text}))
    assert "a bomb" in refused(zipped(tmp_path / "b.zip", {"a.off": off_text(box()), "b.bin": text}))


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    whole = zipped(tmp_path / "a.zip", {"a.obj": obj_text(box()), "b.bin": bytes(500)}).read_bytes()
    packed = gzip.compress(obj_text(box()).encode())
    for number in range(60):
        for content, name in ((whole, "x.zip"), (packed, "x.obj.gz")):
            broken = bytearray(content)
            for place in generator.integers(0, len(broken), 3):
                broken[place] = int(generator.integers(256))
            (tmp_path / name).write_bytes(bytes(broken[: int(generator.integers(20, len(broken) + 1))]))
            reason = ""
            try:
                read_mesh(tmp_path / name)
            except HifaError as error:
                reason = str(error)
            assert "\n" not in reason, number


@pytest.mark.parametrize("suffix", ["zip", "ply", "3mf", "usdz"])
def test_names_that_are_not_utf8_are_damage(tmp_path: Path, suffix: str) -> None:
    whole = zipped(tmp_path / "a.zip", {"ä.obj": obj_text(box())}).read_bytes()
    (tmp_path / f"b.{suffix}").write_bytes(whole.replace("ä".encode(), b"\xeb\x20"))
    assert refused(tmp_path / f"b.{suffix}")


def test_folders_hold_packed_meshes_under_their_own_names(tmp_path: Path) -> None:
    for name in ("a.obj.gz", "a.zip"):
        PACKED[name](tmp_path / name)
    zipped(tmp_path / "photos.zip", {"1.jpg": "x", "2.jpg": "x"})
    (tmp_path / "notes.gz").write_bytes(gzip.compress(b"x"))
    meshes, failures, _ = find_meshes([tmp_path])
    assert [(one.id, one.path.name) for one in meshes] == [("a", "a.obj.gz")]
    assert failures == []
    assert not is_mesh(tmp_path / "photos.zip")
    with pytest.raises(HifaError, match="holds meshes, not photos"):
        find_images(tmp_path)
    report = render([tmp_path / "a.zip"], tmp_path / "out", RenderConfig(views=1, size=32), workers=1)
    assert report.rendered == 1


def test_the_same_shape_in_a_format_of_hifas_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(obj_text(box()))
    (tmp_path / "a.fbx").write_text("; FBX 7.4.0")
    PACKED["a.zip"](tmp_path / "a.zip")
    (tmp_path / "b.fbx").write_text("; FBX 7.4.0")
    meshes, failures, _ = find_meshes([tmp_path])
    assert sorted(one.path.name for one in meshes) == ["a.obj", "b.fbx"]
    assert failures == []
