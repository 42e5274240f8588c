"""glTF is drawn as its specification says, or refused with the true reason."""

import base64
import json
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import read_mesh

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype="<f4")
FACES = np.array([0, 1, 2, 0, 2, 3], dtype="<u2")
TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
CODES = {"<f4": 5126, "<u2": 5123, "<i2": 5122, "|u1": 5121, "<u4": 5125}


class Made:
    """A glTF document that grows; arrays go into one buffer."""

    def __init__(self) -> None:
        self.bytes = b""
        self.document: dict[str, Any] = {
            "asset": {"version": "2.0"}, "accessors": [], "bufferViews": [], "meshes": [],
            "nodes": [{"mesh": 0}], "scenes": [{"nodes": [0]}], "scene": 0,
        }  # fmt: skip

    def view(self, values: NDArray[Any]) -> int:
        self.bytes += b"\0" * (-len(self.bytes) % 4)
        about = {"buffer": 0, "byteOffset": len(self.bytes), "byteLength": values.nbytes}
        self.bytes += np.ascontiguousarray(values).tobytes()
        self.document["bufferViews"].append(about)
        return len(self.document["bufferViews"]) - 1

    def accessor(self, values: NDArray[Any], **more: Any) -> int:
        width = 1 if values.ndim == 1 else values.shape[1]
        about = {
            "bufferView": self.view(values), "componentType": CODES[values.dtype.str], "count": len(values),
            "type": TYPES[width], **more,
        }  # fmt: skip
        self.document["accessors"].append(about)
        return len(self.document["accessors"]) - 1

    def plate(self, **more: Any) -> dict[str, Any]:
        primitive = {
            "attributes": {"POSITION": self.accessor(CORNERS)},
            "indices": self.accessor(FACES),
            **more,
        }
        self.document["meshes"].append({"primitives": [primitive]})
        return primitive

    def text(self) -> str:
        data = base64.b64encode(self.bytes).decode()
        uri = f"data:application/octet-stream;base64,{data}"
        buffers = [{"byteLength": len(self.bytes), "uri": uri}]
        return json.dumps({**self.document, "buffers": buffers})

    def binary(self) -> bytes:
        text = json.dumps({**self.document, "buffers": [{"byteLength": len(self.bytes)}]}).encode()
        text += b" " * (-len(text) % 4)
        body = self.bytes + b"\0" * (-len(self.bytes) % 4)
        chunks = (
            struct.pack("<II", len(text), 0x4E4F534A)
            + text
            + struct.pack("<II", len(body), 0x004E4942)
            + body
        )
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


@pytest.fixture
def made() -> Made:
    return Made()


def extent(tmp_path: Path, content: str | bytes, name: str = "a.gltf") -> list[float]:
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    mesh = read_mesh(path)
    return [round(float(one), 5) for one in np.ptp(mesh.vertices, axis=0)]


def refused(tmp_path: Path, content: str) -> str:
    with pytest.raises(HifaError) as caught:
        extent(tmp_path, content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.gltf", "a.glb"])
def test_text_and_binary_are_told_by_their_first_bytes(made: Made, name: str, tmp_path: Path) -> None:
    made.plate()
    assert extent(tmp_path, made.text(), name) == [1, 1, 0]
    assert extent(tmp_path, made.binary(), name) == [1, 1, 0]
    assert extent(tmp_path, "\ufeff" + made.text(), name) == [1, 1, 0]


def test_a_node_moves_turns_and_scales_what_is_below_it(made: Made, tmp_path: Path) -> None:
    made.plate()
    half = np.sqrt(0.5)
    made.document["nodes"] = [
        {"children": [1], "rotation": [half, 0, 0, half]}, {"mesh": 0, "scale": [2, 3, 1], "camera": 0},
    ]  # fmt: skip
    assert extent(tmp_path, made.text()) == [2, 0, 3]
    made.document["nodes"] = [{"mesh": 0, "matrix": [2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0, 5, 5, 5, 1]}]
    assert extent(tmp_path, made.text()) == [2, 3, 0]


def test_without_scenes_all_roots_are_drawn(made: Made, tmp_path: Path) -> None:
    made.plate()
    made.document["nodes"] = [{"mesh": 0}, {"mesh": 0, "translation": [9, 0, 0]}]
    del made.document["scenes"], made.document["scene"]
    assert extent(tmp_path, made.text()) == [10, 1, 0]


@pytest.mark.parametrize("required", [False, True])
def test_what_a_node_hides_is_not_drawn_nor_what_is_below_it(
    made: Made, required: bool, tmp_path: Path
) -> None:
    made.plate()
    hidden = {"KHR_node_visibility": {"visible": False}}
    shown = {"KHR_node_visibility": {"visible": True}}
    made.document["nodes"] = [
        {"mesh": 0}, {"mesh": 0, "translation": [9, 0, 0], "extensions": hidden, "children": [2]},
        {"mesh": 0, "translation": [9, 0, 0], "extensions": shown},
    ]  # fmt: skip
    made.document["scenes"] = [{"nodes": [0, 1]}]
    made.document["extensionsRequired"] = ["KHR_node_visibility"] if required else []
    assert extent(tmp_path, made.text()) == [1, 1, 0]


def test_where_all_is_hidden_all_is_drawn(made: Made, tmp_path: Path) -> None:
    made.plate()
    made.document["nodes"] = [{"mesh": 0, "extensions": {"KHR_node_visibility": {"visible": False}}}]
    assert extent(tmp_path, made.text()) == [1, 1, 0]


def test_sparse_accessors_move_what_they_name(made: Made, tmp_path: Path) -> None:
    primitive = made.plate()
    rows, values = made.view(np.array([2], dtype="<u2")), made.view(np.array([[1, 1, 7]], dtype="<f4"))
    made.document["accessors"][primitive["attributes"]["POSITION"]]["sparse"] = {
        "count": 1, "indices": {"bufferView": rows, "componentType": 5123}, "values": {"bufferView": values},
    }  # fmt: skip
    assert extent(tmp_path, made.text()) == [1, 1, 7]


@pytest.mark.parametrize("holder", ["meshes", "nodes"])
def test_default_weights_of_morph_targets_apply(made: Made, holder: str, tmp_path: Path) -> None:
    target = made.accessor(np.array([[0, 0, 0]] * 3 + [[0, 0, 4]], dtype="<f4"))
    made.plate(targets=[{"POSITION": target}])
    made.document[holder][0]["weights"] = [0.5]
    assert extent(tmp_path, made.text()) == [1, 1, 2]


def test_a_skinned_mesh_follows_its_joints_and_not_its_own_node(made: Made, tmp_path: Path) -> None:
    primitive = made.plate()
    primitive["attributes"]["JOINTS_0"] = made.accessor(np.zeros((4, 4), dtype="|u1"))
    primitive["attributes"]["WEIGHTS_0"] = made.accessor(np.tile(np.array([1, 0, 0, 0], dtype="<f4"), (4, 1)))
    made.document["nodes"] = [{"mesh": 0, "skin": 0, "scale": [50, 50, 50]}, {"scale": [3, 1, 1]}]
    made.document["skins"] = [{"joints": [1]}]
    made.document["scenes"] = [{"nodes": [0, 1]}]
    assert extent(tmp_path, made.text()) == [3, 1, 0]
    inverse = np.diag([2.0, 2.0, 1.0, 1.0]).astype("<f4").reshape(1, 16)
    made.document["skins"][0]["inverseBindMatrices"] = made.accessor(inverse)
    assert extent(tmp_path, made.text()) == [6, 2, 0]


def test_instances_are_all_drawn(made: Made, tmp_path: Path) -> None:
    made.plate()
    moves = made.accessor(np.array([[0, 0, 0], [0, 0, 5], [8, 0, 0]], dtype="<f4"))
    made.document["extensionsRequired"] = ["EXT_mesh_gpu_instancing"]
    made.document["nodes"][0]["extensions"] = {
        "EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": moves, "_ID": moves}}
    }
    assert extent(tmp_path, made.text()) == [9, 1, 5]


def test_a_skinned_mesh_with_instances_is_refused_by_name(made: Made, tmp_path: Path) -> None:
    """A skin ignores its node, which places instances: the specifications leave the order open."""
    primitive = made.plate()
    primitive["attributes"]["JOINTS_0"] = made.accessor(np.zeros((4, 4), dtype="|u1"))
    primitive["attributes"]["WEIGHTS_0"] = made.accessor(np.tile(np.array([1, 0, 0, 0], dtype="<f4"), (4, 1)))
    moves = made.accessor(np.array([[0, 0, 0], [0, 0, 5], [8, 0, 0]], dtype="<f4"))
    instances = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": moves}}}
    made.document["nodes"] = [{"mesh": 0, "skin": 0, "extensions": instances}, {}]
    made.document["skins"] = [{"joints": [1]}]
    made.document["scenes"] = [{"nodes": [0, 1]}]
    assert "EXT_mesh_gpu_instancing of a skinned mesh" in refused(tmp_path, made.text())


def test_normalised_integers_stand_for_reals(made: Made, tmp_path: Path) -> None:
    made.plate()
    whole = np.array([[0, 0, 0], [32767, 0, 0], [32767, -32767, 0], [0, -32768, 0]], dtype="<i2")
    primitive = made.document["meshes"][0]["primitives"][0]
    primitive["attributes"]["POSITION"] = made.accessor(whole, normalized=True)
    made.document["extensionsRequired"] = ["KHR_mesh_quantization"]
    assert extent(tmp_path, made.text()) == [1, 1, 0]


@pytest.mark.parametrize("mode", [5, 6])
def test_strips_and_fans_are_triangles(made: Made, mode: int, tmp_path: Path) -> None:
    order = [0, 1, 3, 2] if mode == 5 else [0, 1, 2, 3]
    primitive = made.plate(mode=mode)
    primitive["indices"] = made.accessor(np.array(order, dtype="<u2"))
    path = tmp_path / "a.gltf"
    path.write_text(made.text(), encoding="utf-8")
    mesh = read_mesh(path)
    sides = np.diff(mesh.vertices[mesh.faces], axis=1)
    assert np.cross(sides[:, 0], sides[:, 1])[:, 2].tolist() == [1, 1]  # both faces look the same way


def test_a_primitive_without_positions_and_lines_cost_only_themselves(made: Made, tmp_path: Path) -> None:
    made.plate()
    lines = {"attributes": {"POSITION": made.accessor(CORNERS * 9)}, "mode": 1}
    made.document["meshes"][0]["primitives"] += [{"attributes": {}}, lines]
    assert extent(tmp_path, made.text()) == [1, 1, 0]


def test_points_and_lines_alone_are_called_so(made: Made, tmp_path: Path) -> None:
    made.plate(mode=1)
    assert "points or lines but no faces" in refused(tmp_path, made.text())


@pytest.mark.parametrize("padded", [False, True])
def test_a_binary_chunk_is_found_behind_one_whose_length_is_odd(
    made: Made, padded: bool, tmp_path: Path
) -> None:
    made.plate()
    text = json.dumps({**made.document, "buffers": [{"byteLength": len(made.bytes)}]}).encode()
    text += b" " * ((2 - len(text)) % 4)  # two more than a multiple of four
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + b"  " * padded
    chunks += struct.pack("<II", len(made.bytes), 0x004E4942) + made.bytes
    assert extent(tmp_path, struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks) == [1, 1, 0]


def test_a_joint_outside_the_scene_stands_where_its_parents_put_it(made: Made, tmp_path: Path) -> None:
    primitive = made.plate()
    joints = np.tile(np.array([0, 1, 0, 0], dtype="|u1"), (4, 1))
    weights = np.array([[1, 0, 0, 0]] * 2 + [[0, 1, 0, 0]] * 2, dtype="<f4")
    primitive["attributes"] |= {"JOINTS_0": made.accessor(joints), "WEIGHTS_0": made.accessor(weights)}
    made.document["nodes"] = [
        {"mesh": 0, "skin": 0}, {}, {"children": [3], "translation": [0, 0, 4]}, {"scale": [2, 2, 2]},
    ]  # fmt: skip
    made.document["skins"] = [{"joints": [1, 3]}]
    assert extent(tmp_path, made.text()) == [2, 2, 4]


def test_material_extensions_may_be_required(made: Made, tmp_path: Path) -> None:
    made.plate()
    made.document["extensionsRequired"] = ["KHR_technique_webgl", "KHR_materials_pbrSpecularGlossiness"]
    assert extent(tmp_path, made.text()) == [1, 1, 0]


@pytest.mark.parametrize("name", ["KHR_gaussian_splatting", "ACME_new_geometry"])
def test_a_required_extension_that_is_not_understood_is_named(made: Made, name: str, tmp_path: Path) -> None:
    made.plate()
    made.document["extensionsRequired"] = ["KHR_materials_unlit", name]
    assert name in refused(tmp_path, made.text())


def test_draco_without_its_reader_is_named(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "DracoPy", None)
    made.plate(extensions={"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}})
    made.document["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    assert "hifa-cli[draco]" in refused(tmp_path, made.text())


def squeezed(made: Made, required: bool) -> None:
    meshopt = pytest.importorskip("meshopt", reason='NO MESHOPT: pip install "hifa-cli[meshopt]"')
    primitive = made.plate()
    corners = np.column_stack([CORNERS * 5, np.zeros(4, dtype="<f4")]).astype("<f4")
    for values, accessor, mode in (
        (corners, primitive["attributes"]["POSITION"], "ATTRIBUTES"),
        (FACES, primitive["indices"], "TRIANGLES"),
    ):
        packed = np.frombuffer(meshopt.encode_gltf_buffer(values, mode), dtype="|u1")
        about = made.document["bufferViews"][made.view(packed)]
        stride = values.nbytes // len(values)
        view = made.document["accessors"][accessor]["bufferView"]
        made.document["bufferViews"][view] |= {
            **({"byteStride": stride} if mode == "ATTRIBUTES" else {}),
            "extensions": {
                "EXT_meshopt_compression": {**about, "count": len(values), "byteStride": stride, "mode": mode}
            },
        }
    made.document["extensionsRequired"] = ["EXT_meshopt_compression"] if required else []


@pytest.mark.parametrize("required", [False, True])
def test_meshopt_is_unpacked(made: Made, tmp_path: Path, required: bool) -> None:
    squeezed(made, required)
    assert extent(tmp_path, made.text()) == [5, 5, 0]


def test_meshopt_without_its_reader_is_named_or_its_plain_copy_taken(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeezed(made, required=True)
    monkeypatch.setitem(__import__("sys").modules, "meshopt", None)
    assert "hifa-cli[meshopt]" in refused(tmp_path, made.text())
    del made.document["extensionsRequired"]
    for view in made.document["bufferViews"]:
        view.pop("byteStride", None)
    assert extent(tmp_path, made.text()) == [1, 1, 0]


@pytest.mark.parametrize("harm", ["count", "bytes"])
def test_damaged_meshopt_is_named(made: Made, tmp_path: Path, harm: str) -> None:
    squeezed(made, required=True)
    packed = made.document["bufferViews"][0]["extensions"]["EXT_meshopt_compression"]
    packed |= {"count": 1 << 40} if harm == "count" else {"byteLength": 5}
    assert "EXT_meshopt_compression" in refused(tmp_path, made.text())


def test_a_part_that_is_cut_off_is_no_picture(made: Made, tmp_path: Path) -> None:
    made.plate()
    made.document["accessors"][0]["count"] = 4000
    assert "cut off" in refused(tmp_path, made.text())


def test_nodes_in_circles_are_refused(made: Made, tmp_path: Path) -> None:
    made.plate()
    made.document["nodes"] = [{"children": [1]}, {"children": [0], "mesh": 0}]
    assert "circle" in refused(tmp_path, made.text())


@pytest.mark.parametrize("seed", range(40))
def test_mutations_end_in_a_mesh_or_in_a_line(seed: int, made: Made, tmp_path: Path) -> None:
    made.plate()
    content = bytearray(made.binary())
    rng = np.random.default_rng(seed)
    for _ in range(4):
        content[int(rng.integers(len(content)))] = int(rng.integers(256))
    path = tmp_path / "a.glb"
    path.write_bytes(bytes(content[: len(content) - int(rng.integers(0, 20))]))
    with suppress(HifaError):
        read_mesh(path)
