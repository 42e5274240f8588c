"""Which meshes there are, what they are called, and when their bytes have changed."""

import base64
import json
import os
from pathlib import Path

import pytest

from hifa_cli.render.discover import find_meshes, mesh_digest
from tests.render.shapes import box, write_off


def ids(*places: Path) -> list[str]:
    return [mesh.id for mesh in find_meshes(places)[0]]


def reasons(*places: Path) -> dict[str, str]:
    return {failure.path.name: failure.reason for failure in find_meshes(places)[1]}


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def test_an_id_is_the_path_below_the_folder_without_its_ending(tmp_path: Path) -> None:
    make(tmp_path, "chair/b.off", "chair/a.v2.obj", "Töpfe/große Vase.STL", "c.glb")
    assert ids(tmp_path) == ["Töpfe/große Vase", "c", "chair/a.v2", "chair/b"]


def test_a_file_given_itself_has_its_stem_as_id_whatever_its_ending(tmp_path: Path) -> None:
    make(tmp_path, "deep/down/chair.off", "odd.ctm")
    assert ids(tmp_path / "deep/down/chair.off", tmp_path / "odd.ctm") == ["chair", "odd"]


def test_what_is_no_mesh_or_hidden_is_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.off", "a.mtl", "a.png", "readme.txt", "._a.off", ".git/b.off", "noending")
    assert (ids(tmp_path), reasons(tmp_path)) == (["a"], {})


def test_two_meshes_of_one_id_are_told_and_the_first_is_kept(tmp_path: Path) -> None:
    make(tmp_path, "one/chair.off", "one/chair.stl", "two/chair.ply")
    meshes, failures, _ = find_meshes([tmp_path / "one", tmp_path / "two"])
    assert [mesh.path.name for mesh in meshes] == ["chair.off"]
    assert [failure.path.name for failure in failures] == ["chair.stl", "chair.ply"]
    assert all("same id 'chair'" in failure.reason for failure in failures)


def test_a_mesh_that_shares_its_name_with_a_folder_of_meshes_is_told(tmp_path: Path) -> None:
    make(tmp_path, "chair.off", "chair/old/1.off", "table.off")
    assert ids(tmp_path) == ["chair/old/1", "table"]
    assert "folder of other shapes" in reasons(tmp_path)["chair.off"]


def test_a_file_given_twice_is_one(tmp_path: Path) -> None:
    make(tmp_path, "a.off")
    assert ids(tmp_path, tmp_path) == ["a"]
    assert reasons(tmp_path, tmp_path) == {}


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    make(tmp_path, "set/chair/1.off", "elsewhere/2.off")
    (tmp_path / "set/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/chair/round").symlink_to(tmp_path / "set")
    (tmp_path / "set/3.off").symlink_to(tmp_path / "elsewhere/2.off")
    assert ids(tmp_path / "set") == ["3", "chair/1", "linked/2"]


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    make(tmp_path, "a.off")
    (tmp_path / "lost.off").symlink_to(tmp_path / "gone.off")
    found = reasons(tmp_path, tmp_path / "nowhere", tmp_path / "no.off")
    assert found == dict.fromkeys(("lost.off", "nowhere", "no.off"), "does not exist")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.off")
    assert reasons(tmp_path) == {"a.off": "is not an ordinary file"}


def test_the_digest_is_of_the_bytes_alone(tmp_path: Path) -> None:
    a, b = write_off(tmp_path / "a.off", box()), write_off(tmp_path / "b.off", box())
    assert mesh_digest(a) == mesh_digest(b)
    b.write_text(b.read_text() + "# more\n")
    assert mesh_digest(a) != mesh_digest(b)


def test_the_digest_of_a_gltf_covers_the_buffers_it_names(tmp_path: Path) -> None:
    inside = "data:application/octet-stream;base64," + base64.b64encode(b"123").decode()
    document = {"buffers": [{"uri": "a%20b.bin"}, {"uri": inside}, {"byteLength": 3}]}
    (tmp_path / "a b.bin").write_bytes(b"one")
    (tmp_path / "a.gltf").write_text(json.dumps({"buffers": document["buffers"][:2]}))
    before = mesh_digest(tmp_path / "a.gltf")
    (tmp_path / "a b.bin").write_bytes(b"two")
    assert mesh_digest(tmp_path / "a.gltf") != before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"buffers": 3}', '{"buffers": [{"uri": 3}]}', "\x00"])
def test_the_digest_of_a_broken_gltf_is_that_of_its_bytes(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.gltf").write_text(content)
    assert len(mesh_digest(tmp_path / "a.gltf")) == 32
