"""Every named trap of glTF in other forms: encodings, widths, orders and combinations, with a known shape."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import Mesh, read_mesh
from tests.render.readers.test_gltf import CORNERS, FACES, Made
from tests.render.readers.test_ply import area

CODES = {"|i1": 5120, "|u1": 5121, "<i2": 5122, "<u2": 5123, "<u4": 5125, "<f4": 5126}
INSTANCING = "EXT_mesh_gpu_instancing"


class Wide(Made):
    """A document whose accessors may be of any type, interleaved, or without bytes of their own."""

    def put(self, values: NDArray[Any], *, stride: int = 0, before: int = 0, **more: Any) -> int:
        """Add an accessor.

        Args:
            values: (n,) or (n, width).
            stride: bytes from a row to the next; 0 where they follow one another.
            before: bytes of the view that come before the first row.
            more: of the accessor.
        """
        rows = values.reshape(len(values), -1)
        size = rows.dtype.itemsize * rows.shape[1]
        table = np.zeros((len(rows), max(stride, size)), dtype="|u1")
        table[:, :size] = np.ascontiguousarray(rows).view("|u1").reshape(len(rows), size)
        content = np.concatenate([np.full(before, 255, dtype="|u1"), table.ravel()])
        kind = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[rows.shape[1]]
        view = self.view(content)
        if stride:
            self.document["bufferViews"][view]["byteStride"] = stride
        about = {
            "bufferView": view, "byteOffset": before, "componentType": CODES[values.dtype.str],
            "count": len(values), "type": kind, **more,
        }  # fmt: skip
        self.document["accessors"].append(about)
        return len(self.document["accessors"]) - 1

    def sparse(self, number: int, rows: NDArray[Any], values: NDArray[Any], *, alone: bool = False) -> None:
        """Let an accessor have other values in some rows; ``alone``: it has none but these."""
        about = self.document["accessors"][number]
        about["sparse"] = {
            "count": len(rows),
            "indices": {"bufferView": self.view(rows), "componentType": CODES[rows.dtype.str]},
            "values": {"bufferView": self.view(values)},
        }
        if alone:
            del about["bufferView"], about["byteOffset"]

    def mesh(self, positions: int, **more: Any) -> dict[str, Any]:
        """Add a mesh of one primitive with the plate's faces."""
        primitive = {"attributes": {"POSITION": positions}, "indices": self.put(FACES), **more}
        self.document["meshes"].append({"primitives": [primitive]})
        return primitive


@pytest.fixture
def made() -> Wide:
    return Wide()


def read(tmp_path: Path, content: str | bytes, name: str = "a.gltf") -> Mesh:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_mesh(path)


def extent(tmp_path: Path, content: str | bytes, name: str = "a.gltf") -> list[float]:
    sides = np.ptp(read(tmp_path, content, name).vertices, axis=0)
    return [round(float(one), 4) for one in sides]


def refused(tmp_path: Path, made: Made) -> str:
    with pytest.raises(HifaError) as caught:
        read(tmp_path, made.text())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("rows", ["|u1", "<u2", "<u4"])
@pytest.mark.parametrize("form", ["plain", "interleaved", "quantised", "normalised"])
def test_sparse_rows_replace_those_of_every_form(
    made: Wide, form: str, rows: str, alone: bool, tmp_path: Path
) -> None:
    unit, kind = (32767, "<i2") if form == "normalised" else (1, "<f4")
    unit, kind = (1, "<u2") if form == "quantised" else (unit, kind)
    stride = {"plain": 0, "interleaved": 24}.get(form, 8)
    positions = made.put(
        (CORNERS * unit).astype(kind), stride=stride, before=4, normalized=form == "normalised"
    )
    moved = np.array([[1, 0, 0], [1, 1, 1], [0, 1, 1]], dtype="<f4") * unit
    made.sparse(positions, np.array([1, 2, 3], dtype=rows), moved.astype(kind), alone=alone)
    made.mesh(positions)
    made.document["extensionsRequired"] = ["KHR_mesh_quantization"]
    assert extent(tmp_path, made.text()) == [1, 1, 1]
    assert extent(tmp_path, made.binary()) == [1, 1, 1]


def test_indices_may_be_sparse(made: Wide, tmp_path: Path) -> None:
    primitive = made.mesh(made.put(CORNERS))
    primitive["indices"] = made.put(np.array([0, 1, 1, 0, 2, 0], dtype="<u2"))
    made.sparse(primitive["indices"], np.array([2, 5], dtype="|u1"), np.array([2, 3], dtype="<u2"))
    mesh = read(tmp_path, made.text())
    assert area(mesh.vertices, mesh.faces) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["|i1", "|u1", "<i2", "<u2"])
@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("stride", [0, 8, 20])
def test_positions_of_every_integer(
    made: Wide, kind: str, normalised: bool, stride: int, tmp_path: Path
) -> None:
    most = int(np.iinfo(kind).max)
    whole = (CORNERS * [most, most, 0]).astype(kind)
    made.mesh(made.put(whole, stride=stride, normalized=normalised))
    made.document["nodes"] = [{"mesh": 0, "scale": [2, 3, 1] if normalised else [2 / most, 3 / most, 1]}]
    assert extent(tmp_path, made.text()) == [2, 3, 0]


def test_reals_that_are_said_to_be_normalised_are_reals(made: Wide, tmp_path: Path) -> None:
    made.mesh(made.put(CORNERS * 7, normalized=True))
    assert extent(tmp_path, made.text()) == [7, 7, 0]


def test_weights_of_the_node_take_the_place_of_the_meshs(made: Wide, tmp_path: Path) -> None:
    up, wide = made.put(CORNERS[:, [2, 2, 0]] * 4), made.put(CORNERS * 2)
    made.mesh(made.put(CORNERS), targets=[{"POSITION": up}, {"NORMAL": up}, {"POSITION": wide}])
    made.document["meshes"][0]["weights"] = [9, 9, 9]
    made.document["nodes"] = [{"mesh": 0, "weights": [-0.5, 1, 0.5]}]
    assert extent(tmp_path, made.text()) == [2, 2, 2]


@pytest.mark.parametrize("alone", [False, True])
def test_targets_may_be_sparse_and_quantised(made: Wide, alone: bool, tmp_path: Path) -> None:
    target = made.put(np.zeros((4, 3), dtype="|i1"), stride=4, normalized=True)
    made.sparse(target, np.array([2], dtype="|u1"), np.array([[0, 0, 127]], dtype="|i1"), alone=alone)
    made.mesh(made.put(CORNERS), targets=[{"POSITION": target}])
    made.document["meshes"][0]["weights"] = [3]
    assert extent(tmp_path, made.text()) == [1, 1, 3]


def test_a_target_of_another_length_is_damage(made: Wide, tmp_path: Path) -> None:
    made.mesh(made.put(CORNERS), targets=[{"POSITION": made.put(CORNERS[2:3])}])
    made.document["meshes"][0]["weights"] = [1]
    assert "moves 1 vertices of a part that has 4" in refused(tmp_path, made)


def skinned(made: Wide, joints: str = "|u1", weights: str = "<f4", **more: Any) -> dict[str, Any]:
    """Return a plate whose upper half follows joint 1 and whose lower one follows joint 0."""
    most = 1 if weights == "<f4" else int(np.iinfo(weights).max)
    at = np.array([[0, 1, 0, 0]] * 4, dtype=joints)
    share = (np.array([[1, 0, 0, 0]] * 2 + [[0, 1, 0, 0]] * 2) * most).astype(weights)
    primitive = made.mesh(made.put(CORNERS), **more)
    primitive["attributes"] |= {
        "JOINTS_0": made.put(at),
        "WEIGHTS_0": made.put(share, normalized=weights != "<f4"),
    }
    made.document["nodes"] = [
        {"mesh": 0, "skin": 0, "translation": [900, 0, 0]},
        {"children": [2, 3], "scale": [0.1, 0.1, 0.1], "rotation": [0, 0, 1, 0]},
        {"scale": [10, 10, 10]}, {"scale": [10, 10, 10], "translation": [0, 0, 50]},
    ]  # fmt: skip
    made.document["skins"] = [{"joints": [2, 3], "skeleton": 1}]
    made.document["scenes"] = [{"nodes": [0, 1]}]
    return primitive


@pytest.mark.parametrize("joints", ["|u1", "<u2"])
@pytest.mark.parametrize("weights", ["|u1", "<u2", "<f4"])
def test_joints_and_weights_of_every_type(made: Wide, joints: str, weights: str, tmp_path: Path) -> None:
    skinned(made, joints, weights)
    assert extent(tmp_path, made.text()) == [1, 1, 5]


def test_a_skin_moves_what_a_target_has_moved(made: Wide, tmp_path: Path) -> None:
    skinned(made, targets=[{"POSITION": made.put(CORNERS * 2)}])
    made.document["nodes"][0]["weights"] = [1]
    assert extent(tmp_path, made.text()) == [3, 3, 5]


def test_two_sets_of_joints_and_shares_that_are_not_whole(made: Wide, tmp_path: Path) -> None:
    primitive = skinned(made)
    share = np.array([[0.25, 0, 0, 0]] * 4, dtype="<f4")
    primitive["attributes"] |= {
        "JOINTS_0": made.put(np.array([[0] * 4] * 4, dtype="|u1")), "WEIGHTS_0": made.put(share),
        "JOINTS_1": made.put(np.array([[0] * 4] * 2 + [[1, 0, 0, 0]] * 2, dtype="|u1")),
        "WEIGHTS_1": made.put(share),
    }  # fmt: skip
    assert extent(tmp_path, made.text()) == [1, 1, 2.5]


def test_a_part_without_joints_beside_a_skinned_one_stays_at_its_node(made: Wide, tmp_path: Path) -> None:
    skinned(made)
    plain = {"attributes": {"POSITION": made.put(CORNERS)}, "indices": made.put(FACES)}
    made.document["meshes"][0]["primitives"].append(plain)
    mesh = read(tmp_path, made.text())
    assert float(mesh.vertices[:, 0].max()) == 901
    assert area(mesh.vertices, mesh.faces) > 1.5


@pytest.mark.parametrize("lacking", ["weights", "matrices"])
def test_a_skin_that_is_too_short_is_damage(made: Wide, lacking: str, tmp_path: Path) -> None:
    primitive = skinned(made)
    if lacking == "weights":
        primitive["attributes"]["WEIGHTS_0"] = made.put(np.ones((3, 4), dtype="<f4"))
    else:
        matrix = np.eye(4, dtype="<f4").reshape(1, 16)
        made.document["skins"][0]["inverseBindMatrices"] = made.put(matrix)
    said = "3 of 4 vertices have weights" if lacking == "weights" else "2 joints has 1 bind matrices"
    assert said in refused(tmp_path, made)


def instanced(made: Wide, **attributes: Any) -> None:
    made.mesh(made.put(CORNERS))
    columns = {
        name: made.put(values, normalized=values.dtype != "<f4") for name, values in attributes.items()
    }
    made.document["nodes"] = [
        {"children": [1], "scale": [2, 2, 2]},
        {"mesh": 0, "children": [2], "extensions": {INSTANCING: {"attributes": columns}}},
        {"mesh": 0, "translation": [0, 0, 1]},
    ]
    made.document["extensionsRequired"] = [INSTANCING]


@pytest.mark.parametrize("kind", ["|i1", "<i2", "<f4"])
def test_turns_of_instances_may_be_quantised(made: Wide, kind: str, tmp_path: Path) -> None:
    unit = 1 if kind == "<f4" else np.iinfo(kind).max
    turns = np.array([[0, 0, 0, 1], [0, np.sqrt(0.5), 0, np.sqrt(0.5)]]) * unit
    instanced(made, ROTATION=np.round(turns, 4 if unit == 1 else 0).astype(kind))
    assert extent(tmp_path, made.text()) == pytest.approx([2, 2, 4], abs=0.001)


def test_instances_that_nothing_moves_lie_in_one_place(made: Wide, tmp_path: Path) -> None:
    instanced(made, _ID=np.array([0, 1], dtype="<f4"))
    assert len(read(tmp_path, made.text()).faces) == 6
    assert extent(tmp_path, made.text()) == [2, 2, 2]


@pytest.mark.parametrize("about", [{}, {"attributes": {}}])
def test_instances_of_no_attributes_are_one(made: Wide, about: dict[str, Any], tmp_path: Path) -> None:
    instanced(made)
    made.document["nodes"][1]["extensions"][INSTANCING] = about
    assert len(read(tmp_path, made.text()).faces) == 4


def test_scales_of_instances_and_no_more(made: Wide, tmp_path: Path) -> None:
    instanced(made, SCALE=np.array([[1, 1, 1], [3, 1, 1], [0, 0, 0]], dtype="<f4"))
    assert extent(tmp_path, made.text()) == [6, 2, 2]


def test_attributes_of_instances_that_differ_in_number_are_damage(made: Wide, tmp_path: Path) -> None:
    instanced(made, SCALE=np.ones((2, 3), dtype="<f4"), TRANSLATION=np.ones((3, 3), dtype="<f4"))
    assert "places 2 or 3 copies" in refused(tmp_path, made)


TWO = np.concatenate([CORNERS, CORNERS + np.array([5, 0, 0], dtype="<f4")])
STRIPS: dict[str, tuple[int, list[int]]] = {
    "a strip": (5, [0, 1, 3, 2]),
    "a strip of corners said twice": (5, [0, 1, 3, 2, 2, 4, 4, 5, 7, 6]),
    "strips that a restart parts": (5, [0, 1, 3, 2, -1, 4, 5, 7, 6]),
    "restarts at both ends and twice": (5, [-1, 0, 1, 3, 2, -1, -1, 4, 5, 7, 6, -1]),
    "strips too short": (5, [0, 1, -1, 5, -1, 0, 1, 3, 2, -1, 4, 5, 7, 6]),
    "a fan": (6, [0, 1, 2, 3]),
    "fans that a restart parts": (6, [0, 1, 2, 3, -1, 4, 5, 6, 7]),
    "fans too short": (6, [0, 1, -1, 3, -1, 0, 1, 2, 3, -1, 4, 5, 6, 7]),
}


@pytest.mark.parametrize("kind", ["|u1", "<u2", "<u4"])
@pytest.mark.parametrize("form", STRIPS)
def test_strips_and_fans_of_every_width_of_index(made: Wide, form: str, kind: str, tmp_path: Path) -> None:
    mode, corners = STRIPS[form]
    listed = np.array(corners, dtype=np.int64)
    primitive = made.mesh(made.put(TWO), mode=mode)
    primitive["indices"] = made.put(np.where(listed < 0, np.iinfo(kind).max, listed).astype(kind))
    made.document["extensionsRequired"] = ["EXT_mesh_primitive_restart"]
    mesh = read(tmp_path, made.text())
    assert area(mesh.vertices, mesh.faces) == pytest.approx(2 if max(corners) > 3 else 1)
    assert mesh.remark == ""
    sides = np.diff(mesh.vertices[mesh.faces], axis=1)
    assert (np.cross(sides[:, 0], sides[:, 1])[:, 2] > 0).all()


def test_the_last_vertex_of_256_is_no_restart(made: Wide, tmp_path: Path) -> None:
    points = np.zeros((256, 3), dtype="<f4")
    points[[0, 1, 255]] = [[0, 0, 0], [1, 0, 0], [0, 2, 0]]
    primitive = made.mesh(made.put(points), mode=5)
    primitive["indices"] = made.put(np.array([0, 1, 255], dtype="|u1"))
    assert extent(tmp_path, made.text()) == [1, 2, 0]


@pytest.mark.parametrize("mode", [4, 5, 6])
def test_primitives_without_indices(made: Wide, mode: int, tmp_path: Path) -> None:
    order = {4: [0, 1, 2, 0, 2, 3], 5: [0, 1, 3, 2], 6: [0, 1, 2, 3]}[mode]
    del made.mesh(made.put(CORNERS[order]), mode=mode)["indices"]
    mesh = read(tmp_path, made.text())
    assert area(mesh.vertices, mesh.faces) == pytest.approx(1)


@pytest.mark.parametrize("other", ["camera", "light", "audio", "children", "extras"])
def test_a_node_may_have_more_than_its_mesh(made: Wide, other: str, tmp_path: Path) -> None:
    made.mesh(made.put(CORNERS))
    ways: dict[str, dict[str, Any]] = {
        "camera": {"camera": 0},
        "light": {"extensions": {"KHR_lights_punctual": {"light": 7}}},
        "audio": {"extensions": {"KHR_audio_emitter": {"emitter": 1}}},
        "children": {"children": [1], "camera": 3},
        "extras": {"extras": {"mesh": 5}, "name": "\u00fc"},
    }
    made.document["nodes"] = [{"mesh": 0, **ways[other]}, {"mesh": 0, "camera": 1, "translation": [0, 0, 3]}]
    assert extent(tmp_path, made.text()) == [1, 1, 3 if other == "children" else 0]


@pytest.mark.parametrize("attributes", [{}, {"TEXCOORD_0": 0}, None])
@pytest.mark.parametrize("first", [False, True])
def test_primitives_without_positions_anywhere(
    made: Wide, attributes: dict[str, int] | None, first: bool, tmp_path: Path
) -> None:
    good = made.mesh(made.put(CORNERS))
    bad = {"indices": 0} if attributes is None else {"attributes": attributes, "indices": 0}
    made.document["meshes"] = [{"primitives": [bad, good] if first else [good, bad]}, {"primitives": [bad]}]
    made.document["nodes"] = [{"mesh": 0}, {"mesh": 1}]
    made.document["scenes"] = [{"nodes": [0, 1]}]
    assert extent(tmp_path, made.text()) == [1, 1, 0]


def drop(*names: str) -> Callable[[dict[str, Any]], None]:
    def dropped(document: dict[str, Any]) -> None:
        for name in names:
            document.pop(name)

    return dropped


SCENES: dict[str, Callable[[dict[str, Any]], None]] = {
    "no scenes": drop("scenes", "scene"),
    "no scenes, but the number of one": drop("scenes"),
    "an empty list of scenes": lambda document: document.update(scenes=[]),
    "no number": drop("scene"),
    "the second scene": lambda document: document.update(scenes=[{}, {"nodes": [0]}], scene=1),
    "no nodes": drop("nodes", "scenes", "scene"),
    "no nodes, but an empty scene": lambda document: document.update(nodes=[], scenes=[{}]),
}


@pytest.mark.parametrize("form", SCENES)
def test_files_with_fewer_scenes_and_nodes(made: Wide, form: str, tmp_path: Path) -> None:
    made.mesh(made.put(CORNERS))
    SCENES[form](made.document)
    assert extent(tmp_path, made.text()) == [1, 1, 0]


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("name", ["a.gltf", "a.glb", "a.obj", "a.stl", "a.dae"])
def test_json_in_every_encoding_and_under_every_name(
    made: Wide, coding: str, name: str, tmp_path: Path
) -> None:
    made.mesh(made.put(CORNERS))
    made.document["asset"]["generator"] = "\u0416 \u00fc"
    text = json.dumps(json.loads(made.text()), ensure_ascii=False)
    assert extent(tmp_path, text.encode(coding), name) == [1, 1, 0]


def test_a_binary_file_whose_json_has_a_mark(made: Wide, tmp_path: Path) -> None:
    made.mesh(made.put(CORNERS))
    content = made.binary()
    size = struct.unpack_from("<I", content, 12)[0] + 4
    text = b"\xef\xbb\xbf" + content[20 : 20 + size - 4] + b" "
    whole = (
        struct.pack("<4sIIII", b"glTF", 2, len(content) + 4, size, 0x4E4F534A) + text + content[16 + size :]
    )
    assert extent(tmp_path, whole, "a.glb") == [1, 1, 0]


NAMES = ("sub/a b.bin", "sub/a%20b.bin", "sub\\a b.bin", "./sub/a b.bin")


@pytest.mark.parametrize("name", NAMES)
def test_buffers_beside_are_found_as_programs_name_them(made: Wide, name: str, tmp_path: Path) -> None:
    made.mesh(made.put(CORNERS))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a b.bin").write_bytes(made.bytes)
    document = {**made.document, "buffers": [{"byteLength": len(made.bytes), "uri": name}]}
    assert extent(tmp_path, json.dumps(document)) == [1, 1, 0]


def test_a_buffer_whose_name_has_a_percent_sign(made: Wide, tmp_path: Path) -> None:
    made.mesh(made.put(CORNERS))
    (tmp_path / "100%25.bin").write_bytes(made.bytes)
    document = {**made.document, "buffers": [{"byteLength": len(made.bytes), "uri": "100%25.bin"}]}
    assert extent(tmp_path, json.dumps(document)) == [1, 1, 0]


@pytest.mark.parametrize("name", ["gone.bin", "../a.bin", "..\\a.bin", "%2e%2e/a.bin", "C:\\a.bin"])
def test_a_buffer_that_is_not_there_is_named(made: Wide, name: str, tmp_path: Path) -> None:
    made.mesh(made.put(CORNERS))
    (tmp_path / "in").mkdir()
    (tmp_path / "a.bin").write_bytes(made.bytes)
    document = {**made.document, "buffers": [{"byteLength": len(made.bytes), "uri": name}]}
    with pytest.raises(HifaError) as caught:
        read(tmp_path, json.dumps(document), "in/a.gltf")
    said = (
        f"needs a file that is not there ({name})" if name == "gone.bin" else f"outside its folder ({name})"
    )
    assert said in str(caught.value)


@pytest.mark.parametrize("way", ["urls", "no end", "lines", "capitals", "plain"])
def test_data_in_the_text_as_programs_write_it(made: Wide, way: str, tmp_path: Path) -> None:
    made.mesh(made.put(CORNERS * np.float32(1.2345678)))
    made.view(np.frombuffer(b"\xff\xfe\xfd\x01", dtype="|u1"))
    document = json.loads(made.text())
    head, _, body = document["buffers"][0]["uri"].partition(",")
    bodies = {
        "urls": body.replace("+", "-").replace("/", "_"), "no end": body.rstrip("="),
        "lines": "\n".join(body[at : at + 20] for at in range(0, len(body), 20)),
        "capitals": body, "plain": "".join(f"%{one:02x}" for one in made.bytes),
    }  # fmt: skip
    head = {"capitals": "DATA:;BASE64", "plain": "data:"}.get(way, head)
    document["buffers"][0]["uri"] = f"{head},{bodies[way]}"
    assert extent(tmp_path, json.dumps(document)) == [1.2346, 1.2346, 0]


@pytest.mark.parametrize("form", ["alone", "skinned", "with targets", "beside a plain one"])
def test_draco_in_every_company(made: Wide, form: str, tmp_path: Path) -> None:
    draco = pytest.importorskip("DracoPy", reason='NO DRACO: pip install "hifa-cli[draco]"')
    primitive = skinned(made) if form == "skinned" else made.mesh(made.put(CORNERS))
    generic = {
        3: np.array([[0, 1, 0, 0]] * 4, dtype=np.uint8),
        7: np.array([[1, 0, 0, 0]] * 2 + [[0, 1, 0, 0]] * 2, dtype=np.float32),
    }
    packed = draco.encode(
        CORNERS, FACES.reshape(-1, 3).astype(np.uint32), generic_attributes=generic, preserve_order=True
    )
    view = made.view(np.frombuffer(packed, dtype="|u1"))
    ids = {"POSITION": 0, "JOINTS_0": 3, "WEIGHTS_0": 7}
    attributes = {name: number for name, number in ids.items() if name in primitive["attributes"]}
    primitive["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": view, "attributes": attributes}}
    for number in (*primitive["attributes"].values(), primitive["indices"]):
        about = made.document["accessors"][number]
        del about["bufferView"], about["byteOffset"]
    made.document["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    wanted = [1, 1, 5] if form == "skinned" else [1, 1, 0]
    if form == "with targets":
        primitive["targets"] = [{"POSITION": made.put(CORNERS * 2)}]
        made.document["meshes"][0]["weights"] = [1]
        wanted = [3, 3, 0]
    if form == "beside a plain one":
        plain = {"attributes": {"POSITION": made.put(CORNERS * 4)}, "indices": made.put(FACES)}
        made.document["meshes"][0]["primitives"].append(plain)
        wanted = [4, 4, 0]
    assert extent(tmp_path, made.text()) == pytest.approx(wanted, abs=0.001)
