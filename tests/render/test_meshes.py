"""The troubles that real mesh libraries are made of: each is drawn, or refused with its reason."""

import os
import struct
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from hifa_cli.config import RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import Mesh, keep_drawable, read_mesh, sanitised
from hifa_cli.render.views import MeshViews, up_axis
from tests.cli.test_cli import hifa
from tests.render.shapes import (
    ball,
    box,
    chair,
    joined,
    moved,
    obj_text,
    off_text,
    soup,
    stl_bytes,
    stl_text,
    write_off,
)
from tests.render.stepfile import step_text

Write = Callable[[Path], None]
VIEWS = MeshViews(RenderConfig(views=3, size=96))


def text(content: str) -> Write:
    return raw(content.encode())


def raw(content: bytes) -> Write:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def through_trimesh(mesh: Mesh, **options: str) -> Write:
    def write(path: Path) -> None:
        part: Any = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        part.export(path, **options)

    return write


def moved_scene(path: Path) -> None:
    """A box at the origin, and the same twice as large and five higher, by its node."""
    scene: Any = trimesh.Scene()
    part = trimesh.Trimesh(box().vertices, box().faces, process=False)
    scene.add_geometry(part)
    place = np.diag([2.0, 2.0, 2.0, 1.0])
    place[2, 3] = 5
    scene.add_geometry(part, transform=place)
    scene.export(path)


QUADS = (
    "OFF\n8 6 0\n"
    + "".join(f"{x} {y} {z}\n" for x in (0, 1) for y in (0, 1) for z in (0, 1))
    + ("4 0 1 3 2\n4 4 6 7 5\n4 0 4 5 1\n4 2 3 7 6\n4 0 2 6 4\n4 1 5 7 3\n")
)
BAD_FACES = off_text(box()).replace(" 12 0", " 16 0", 1) + "3 0 0 1\n3 1 1 1\n3 0 1 99\n3 -1 2 3\n"
NAN_VERTEX = off_text(joined([box(), Mesh(np.full((3, 3), np.nan), np.array([[0, 1, 2]], dtype=np.int32))]))
INF_VERTEX = off_text(
    joined(
        [box(), Mesh(np.array([[np.inf, 0, 0], [1, 1, 1], [0, 1, 1]]), np.arange(3, dtype=np.int32)[None])]
    )
)
STRAY = off_text(Mesh(np.concatenate([box().vertices, [[1e9, -1e9, 3]]]), box().faces))
LINE_FACE = off_text(
    joined(
        [box(), Mesh(np.array([[0.0, 0, 0], [50, 0, 0], [100, 0, 0]]), np.array([[0, 1, 2]], dtype=np.int32))]
    )
)

AS_A_BOX: dict[str, tuple[str, Write]] = {
    "off": ("a.off", text(off_text(box()))),
    "off with a glued header": ("a.off", text(off_text(box(), "OFF"))),
    "off of polygons": ("a.off", text(QUADS)),
    "off in capitals": ("A.OFF", text(off_text(box()))),
    "obj without its mtl": ("a.obj", text("mtllib gone.mtl\nusemtl red\n" + obj_text(box()))),
    "stl in text": ("a.stl", text(stl_text(box()))),
    "stl in binary": ("a.stl", raw(stl_bytes(box()))),
    "stl in binary that begins with solid": ("a.stl", raw(stl_bytes(box(), b"solid facet"))),
    "stl with bytes after its end": ("a.stl", raw(stl_bytes(box()) + b"more")),
    "ply in text": ("a.ply", through_trimesh(box(), encoding="ascii")),
    "ply in binary": ("a.ply", through_trimesh(box())),
    "glb": ("a.glb", through_trimesh(box())),
    "3mf": ("a.3mf", through_trimesh(box())),
    "dae": ("a.dae", through_trimesh(box())),
    "faces that do not exist": ("a.off", text(BAD_FACES)),
    "not a number": ("a.off", text(NAN_VERTEX)),
    "infinite": ("a.off", text(INF_VERTEX)),
    "a stray vertex far away": ("a.off", text(STRAY)),
    "a face that is a line, far away": ("a.off", text(LINE_FACE)),
    "winding all wrong": ("a.off", text(off_text(Mesh(box().vertices, box().faces[:, ::-1])))),
    "winding half wrong": (
        "a.off",
        text(
            off_text(
                Mesh(box().vertices, np.where(np.arange(12)[:, None] % 2, box().faces, box().faces[:, ::-1]))
            )
        ),
    ),
    "every face twice": ("a.off", text(off_text(Mesh(box().vertices, np.repeat(box().faces, 2, axis=0))))),
    "huge": ("a.off", text(off_text(Mesh(box().vertices * 1e200, box().faces)))),
    "tiny": ("a.off", text(off_text(Mesh(box().vertices * 1e-200, box().faces)))),
    "far from the origin": ("a.off", text(off_text(Mesh(box().vertices + 1e6, box().faces)))),
    "no ascii in its name": ("ein Stuhl, 椅子 №1.off", text(off_text(box()))),
    "dots in its name": ("a.v2.final.off", text(off_text(box()))),
}


@pytest.mark.parametrize("trouble", AS_A_BOX)
def test_a_box_in_trouble_is_drawn_as_a_box(tmp_path: Path, trouble: str) -> None:
    name, write = AS_A_BOX[trouble]
    write(path := tmp_path / name)
    views = MeshViews(RenderConfig(views=3, size=96, up="z"))
    difference = np.abs(views(path).astype(int) - views.draw(box(), "z"))
    assert (difference > 2).mean() < 2e-3
    mesh = read_mesh(path)
    assert np.isfinite(mesh.vertices).all()
    assert set(np.unique(mesh.faces)) == set(range(len(mesh.vertices)))


def test_a_dae_node_moves_its_part(tmp_path: Path) -> None:
    through_trimesh(box())(path := tmp_path / "a.dae")
    node = '<node id="node0" name="node0">'
    matrix = "<matrix>2 0 0 0 0 2 0 0 0 0 2 5 0 0 0 1</matrix>"
    path.write_text(path.read_text().replace(node, node + matrix))
    mesh = read_mesh(path)
    np.testing.assert_allclose(mesh.vertices.min(axis=0), [-1, -1, 4], atol=1e-5)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [1, 1, 6], atol=1e-5)


@pytest.mark.parametrize("suffix", [".glb", ".gltf", ".3mf"])
def test_the_parts_of_a_scene_stand_where_their_nodes_put_them(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "scene").mkdir()
    moved_scene(path := tmp_path / "scene" / f"a{suffix}")
    mesh = read_mesh(path)
    np.testing.assert_allclose(mesh.vertices.min(axis=0), [-1, -1, -0.5], atol=1e-5)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [1, 1, 6], atol=1e-5)
    assert len(mesh.faces) == 24


def test_several_bodies_are_one_shape(tmp_path: Path) -> None:
    both = joined([box(), moved(ball(8), 3, 0, 0)])
    path = write_off(tmp_path / "a.off", both)
    assert len(read_mesh(path).faces) == len(both.faces)


REFUSED: dict[str, tuple[str, Write, str]] = {
    "no bytes": ("a.off", raw(b""), "empty"),
    "no bytes in stl": ("a.stl", raw(b""), "empty"),
    "no bytes in glb": ("a.glb", raw(b""), "empty"),
    "nothing but a comment": ("a.obj", text("# nothing\n"), "no vertices"),
    "points in obj": ("a.obj", text("v 0 0 0\nv 1 0 0\nv 0 1 0\n"), "points but no faces"),
    "points in off": ("a.off", text("OFF\n2 0 0\n0 0 0\n1 1 1\n"), "points but no faces"),
    "points in ply": (
        "a.ply",
        text(
            "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
            "end_header\n0 0 0\n1 0 0\n0 1 0\n"
        ),
        "points but no faces",
    ),
    "lines only": ("a.obj", text("v 0 0 0\nv 1 0 0\nl 1 2\n"), "points but no faces"),
    "flat faces only": ("a.off", text("OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n"), "no face that spans"),
    "nothing finite": (
        "a.off",
        text("OFF\n3 1 0\nnan 0 0\ninf 0 0\n2 0 nan\n3 0 1 2\n"),
        "no face that spans",
    ),
    "text in glb": (
        "a.glb",
        text("not a mesh at all, whatever its ending says"),
        "is not glTF: it begins with",
    ),
    "text in ply": ("a.ply", text("not a mesh"), "cannot be read as .ply"),
    "text in 3mf": ("a.3mf", text("not a mesh"), "cannot be read as .3mf"),
    "text in dae": ("a.dae", text("not a mesh"), "cannot be read as .dae"),
    "text in stl": ("a.stl", text("not a mesh"), "no vertices"),
    "text in off": ("a.off", text("not a mesh"), "not an OFF"),
    "cut stl": ("a.stl", raw(stl_bytes(box())[:-70]), "10 of 12 triangles"),
    "cut off": ("a.off", text(off_text(box())[:-30]), "cut off"),
    "cut glb": ("a.glb", lambda path: _cut(path, through_trimesh(box())), "is cut off"),
    "stl that says more than it has": (
        "a.stl",
        raw(b"\0" * 80 + struct.pack("<I", 4_000_000_000)),
        "0 of 4000000000",
    ),
    "an ending nobody knows": ("a.xyzzy", text("1 2 3"), "is of an unknown format"),
}


def _cut(path: Path, write: Write) -> None:
    write(path)
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize("trouble", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_drawn_is_refused_with_its_place_and_reason(tmp_path: Path, trouble: str) -> None:
    name, write, reason = REFUSED[trouble]
    write(path := tmp_path / name)
    with pytest.raises(HifaError) as refusal:
        VIEWS(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ")
    assert reason in message
    assert "\n" not in message


def test_a_mesh_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HifaError, match=r"gone\.off: cannot be read: No such file"):
        read_mesh(tmp_path / "gone.off")


@pytest.mark.skipif(hasattr(os, "getuid") and os.getuid() == 0, reason="root may read everything")
def test_a_mesh_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = write_off(tmp_path / "a.off", box())
    path.chmod(0)
    with pytest.raises(HifaError, match="Permission denied"):
        read_mesh(path)


def test_step_without_its_reader_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.step").write_text("ISO-10303-21;")
    monkeypatch.setattr("hifa_cli.render.meshes.find_spec", lambda name: None)
    with pytest.raises(HifaError, match=r'pip install "hifa-cli\[step\]"'):
        read_mesh(tmp_path / "a.step")


@pytest.mark.skipif(find_spec("cascadio") is None, reason="NO STEP READER: pip install hifa-cli[step]")
def test_step_is_read_upright_where_its_reader_is_installed(tmp_path: Path) -> None:
    (tmp_path / "a.step").write_text(step_text(10, 20, 30))
    mesh = read_mesh(tmp_path / "a.step")
    sides = np.ptp(mesh.vertices, axis=0)
    np.testing.assert_allclose(sides / sides[0], [1, 2, 3], rtol=1e-6)
    assert len(mesh.faces) == 12
    assert up_axis(tmp_path / "a.step", RenderConfig()) == "z"
    (tmp_path / "b.stp").write_text("not a mesh")
    with pytest.raises(HifaError, match=r"b\.stp: cannot be read as STEP"):
        read_mesh(tmp_path / "b.stp")


def test_a_link_is_read_as_what_it_leads_to(tmp_path: Path) -> None:
    write_off(tmp_path / "real" / "a.off", box())
    (tmp_path / "b.off").symlink_to(tmp_path / "real" / "a.off")
    assert len(read_mesh(tmp_path / "b.off").faces) == 12


def test_only_vertices_that_faces_use_are_kept_and_in_order() -> None:
    vertices = np.arange(30.0).reshape(10, 3) ** 2
    mesh = sanitised(vertices, [[9, 2, 5], [5, 2, 7]])
    np.testing.assert_array_equal(mesh.vertices, vertices[[2, 5, 7, 9]])
    np.testing.assert_array_equal(mesh.faces, [[3, 0, 1], [1, 0, 2]])
    assert mesh.faces.dtype == np.int32


def test_arrays_that_were_read_are_not_changed() -> None:
    vertices, faces = soup(1).vertices.copy(), soup(1).faces.astype(np.int64)
    kept = vertices.copy(), faces.copy()
    sanitised(vertices, faces)
    VIEWS.draw(Mesh(vertices, faces.astype(np.int32)), "z")
    np.testing.assert_array_equal(vertices, kept[0])
    np.testing.assert_array_equal(faces, kept[1])


@pytest.mark.parametrize("kind", ["off", "obj", "stl", "ply", "glb"])
def test_formats_agree(tmp_path: Path, kind: str) -> None:
    write_off(tmp_path / "a.off", chair())
    through_trimesh(chair())(tmp_path / f"b.{kind}")
    views = MeshViews(RenderConfig(views=2, up="z"))
    difference = np.abs(views(tmp_path / "a.off").astype(int) - views(tmp_path / f"b.{kind}"))
    assert difference.mean() < 0.02  # some formats keep float32


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_millions_of_faces_are_drawn_in_bounded_memory(tmp_path: Path) -> None:
    import subprocess

    mesh = ball(900)
    (tmp_path / "a.stl").write_bytes(stl_bytes(mesh))
    program = (
        "import resource, sys; from pathlib import Path; from hifa_cli.config import RenderConfig;"
        "from hifa_cli.render.views import MeshViews;"
        "print(MeshViews(RenderConfig())(Path(sys.argv[1])).shape,"
        "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.stl")], capture_output=True, text=True, check=True
    )
    megabytes = int(done.stdout.split()[-1])
    assert len(mesh.faces) > 3_000_000
    assert megabytes < 2000, done.stdout


def test_triangles_that_cannot_be_drawn_are_counted_aloud(tmp_path: Path) -> None:
    """One vertex of a cube is not a number, and one face names a vertex that is not there."""
    corners = [f"{x} {y} {z}" for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    sides = [
        "0 1 3",
        "0 3 2",
        "4 6 7",
        "4 7 5",
        "0 4 5",
        "0 5 1",
        "2 3 7",
        "2 7 6",
        "0 2 6",
        "0 6 4",
        "1 5 7",
    ]
    for name, points, last in (
        ("whole", corners, "1 7 3"),
        ("nan", [*corners[:6], "nan nan nan", corners[7]], "1 7 3"),
        ("beyond", corners, "1 9 3"),
        ("flat", corners, "1 1 3"),
    ):
        head = (
            "ply\nformat ascii 1.0\nelement vertex 8\nproperty float x\nproperty float y\nproperty float z\n"
        )
        head += "element face 12\nproperty list uchar int vertex_indices\nend_header\n"
        faces = [f"3 {one}" for one in (*sides, last)]
        (tmp_path / f"{name}.ply").write_text(head + "\n".join([*points, *faces]) + "\n", encoding="utf-8")
    said = {path.stem: read_mesh(path).remark for path in tmp_path.glob("*.ply")}
    assert said["whole"] == said["flat"] == ""
    assert said["nan"].startswith("drawn without 4 of its 12 triangles")
    assert said["beyond"].startswith("drawn without 1 of its 12 triangles")
    for verb in ("render", "index"):
        code, _, err = hifa(verb, tmp_path, "--out", tmp_path.parent / f"out-{verb}", "--workers", "1")
        assert code == 0, err
        assert err.count("nan.ply: drawn without 4 of its 12 triangles") == 1
        assert "whole.ply: drawn without" not in err
    assert "beyond.ply: drawn without 1" in hifa("data", "check", tmp_path)[1]


def test_faces_with_corners_that_are_missing_or_not_numbers_are_counted_whatever_else_they_are() -> None:
    generator = np.random.default_rng(4)
    vertices = generator.normal(size=(300, 3))
    vertices[generator.integers(0, 300, 40), generator.integers(0, 3, 40)] = generator.choice(
        [np.nan, np.inf, -np.inf], 40
    )
    vertices[7] = np.nan
    faces = generator.integers(-3, 303, (4000, 3))
    faces[:50] = 7  # to a point, and not a number
    exist = np.asarray(((faces >= 0) & (faces < 300)).all(axis=1))
    finite = np.isfinite(vertices[np.where(exist[:, None], faces, 0)]).all(axis=(1, 2))
    kept, places = np.empty(faces.shape, dtype=np.int32), np.full(300, -1, dtype=np.int32)
    many, used, bad = keep_drawable(vertices, faces, kept, places)
    assert bad == (~(exist & finite)).sum()
    assert 0 < many < len(faces) - bad
    assert np.isfinite(vertices[kept[:many]]).all()
    assert used == (places >= 0).sum()


def test_vertices_that_no_face_uses_are_left_out_and_no_corner_moves() -> None:
    generator = np.random.default_rng(5)
    vertices = generator.normal(size=(400, 3))
    faces = generator.permutation(400)[:90].reshape(-1, 3)
    faces = np.concatenate([faces, faces[:5]])  # used by two faces
    mesh = sanitised(vertices, faces)
    np.testing.assert_array_equal(mesh.vertices, vertices[np.unique(faces)])
    np.testing.assert_array_equal(mesh.vertices[mesh.faces], vertices[faces])
