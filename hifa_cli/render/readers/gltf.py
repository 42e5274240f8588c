"""glTF 2.0 and GLB: the triangles of a scene in its rest pose (Khronos glTF 2.0, sections 3.5 to 3.7)."""

import base64
import binascii
import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render import validate
from hifa_cli.render.readers import ply
from hifa_cli.render.readers.parts import Parts
from hifa_cli.render.readers.textual import utf8

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Object = dict[str, Any]

MOST_DEPTH = 1_000  # of nodes in nodes
MOST_NODES = 1_000_000  # with all copies
DRACO, INSTANCING = "KHR_draco_mesh_compression", "EXT_mesh_gpu_instancing"
# Extensions that may be required and are understood here, or that change no geometry.
MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
VISIBILITY = "KHR_node_visibility"
RESTART = "EXT_mesh_primitive_restart"
UNDERSTOOD = {DRACO, INSTANCING, VISIBILITY, RESTART, "KHR_mesh_quantization", *MESHOPT}
_HARMLESS = (
    *("KHR_materials_", "KHR_texture_", "KHR_lights_", "KHR_xmp", "KHR_animation", "KHR_audio", "KHR_node_"),
    *("EXT_texture_", "EXT_lights_", "ADOBE_materials_", "MSFT_packing_", "MSFT_texture_"),
    *(
        *("KHR_techniques_webgl", "KHR_technique_webgl"),
        "KHR_interactivity",
        "AGI_stk_metadata",
        "GODOT_single_root",
        "FB_ngon_encoding",
    ),
    *("EXT_mesh_features", "EXT_instance_features", "EXT_structural_metadata", "EXT_mesh_manifold"),
)
_TYPES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_MOST_VALUES = 1 << 30
_MESHOPT_MOST = 2_048  # bytes out of one: a control byte stands for four columns of 256 rows at most
_LIST, _STRIP, _FAN = 4, 5, 6
_STANDARD = bytes.maketrans(b"-_", b"+/")  # the letters of URLs to those of base64
_JSON, _BINARY = 0x4E4F534A, 0x004E4942  # kinds of a GLB's chunks


def read(path: Path) -> tuple[Floats, Integers]:
    """Read the triangles of the scene that is shown, or of all root nodes where no scene is named.

    Raises:
        HifaError: it is not glTF 2.0, is damaged, or needs an extension that is not understood.
    """
    validate.check_gltf(path)
    return of_bytes(path.read_bytes(), path)


def is_compressed(path: Path) -> bool:
    """Return whether a file names the compressions that native libraries unpack."""
    return validate.COMPRESSED.search(validate.gltf_json(path)) is not None


def of_bytes(content: bytes, path: Path | None = None) -> tuple[Floats, Integers]:
    """Read the triangles of a glTF or GLB in memory; the files that it names lie beside ``path``.

    Raises:
        HifaError: as ``read``; without a path it may name none.
    """
    try:
        document, binary = _opened(content)
        folder = None if path is None else validate.OwnFolder(path)
        with np.errstate(invalid="ignore", over="ignore"):  # numbers that are none are told by who uses them
            return Scene(document, binary, folder).triangles()
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, struct.error):
        raise HifaError(
            "is damaged: its glTF lacks a part that it refers to, or has one of a wrong type"
        ) from None


def _opened(content: bytes) -> tuple[Object, bytes | None]:
    """Return the JSON document and the binary chunk, of either form, whatever the file is called."""
    binary = None
    if content[:4] == b"glTF":
        version, length = struct.unpack_from("<II", content, 4)
        if version != 2:
            raise HifaError(f"is glTF {version}: only glTF 2 is read; convert it")
        if length > len(content):
            raise HifaError(f"is cut off: {len(content)} of {length} bytes are there")
        text, place = b"", 12
        while place + 8 <= length:
            size, kind = struct.unpack_from("<II", content, place)
            chunk = content[place + 8 : place + 8 + size]
            if kind == _JSON and not text:
                text = chunk
            elif kind == _BINARY and binary is None:
                binary = chunk
            place = _after(content, place + 8 + size)
    else:
        text = content
    try:
        document = json.loads(
            utf8(np.frombuffer(text, dtype=np.uint8)).tobytes().decode("utf-8-sig").rstrip("\0 ")
        )
    except (ValueError, RecursionError):
        if not text.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(b"{") and content[:4] != b"glTF":
            raise HifaError("is not glTF: it begins with neither 'glTF' nor '{'") from None
        raise HifaError("is damaged: its glTF has no readable JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("asset"), dict):
        raise HifaError("is not glTF 2: it has no 'asset'")
    version_text = str(document["asset"].get("version", ""))
    if not version_text.startswith("2"):
        raise HifaError(f"is glTF {version_text[:8]}: only glTF 2 is read; convert it")
    return document, binary


def _after(content: bytes, place: int) -> int:
    """Return where a GLB's next chunk begins; some programs do not count the padding before it."""
    padded = place + -place % 4
    kinds = (_BINARY.to_bytes(4, "little"), _JSON.to_bytes(4, "little"))
    return padded if content[padded + 4 : padded + 8] in kinds else place


class Scene:
    """A glTF document and its buffers.

    Args:
        document: the JSON.
        binary: the binary chunk of a GLB, or None.
        folder: gives the files that buffers name; None where they may name none.
    """

    def __init__(self, document: Object, binary: bytes | None, folder: validate.OwnFolder | None) -> None:
        self.document, self.binary, self.folder = document, binary, folder
        self._buffers: dict[int, bytes] = {}
        self._accessors: dict[int, NDArray[Any]] = {}
        self._draco: dict[int, Any] = {}
        self._above: dict[int, int] | None = None
        self._points = 0
        self._unfolded: dict[int, memoryview] = {}
        for name in self._list("extensionsRequired"):
            if name not in UNDERSTOOD and not str(name).startswith(_HARMLESS):
                raise HifaError(
                    f"needs the glTF extension {str(name)[:60]}, which is not read: save it without it"
                )

    def _list(self, name: str) -> list[Any]:
        found = self.document.get(name, [])
        if not isinstance(found, list):
            raise ValueError(name)
        return found

    def triangles(self) -> tuple[Floats, Integers]:
        """Return (n, 3) vertices and (m, 3) faces of everything in the scene."""
        places = dict(self._placed())
        parts = Parts()
        if not self._list("nodes"):  # a library of meshes
            for number in range(len(self._list("meshes"))):
                for vertices, faces, _ in self._bodies({"mesh": number}):
                    parts.add(vertices, faces, np.eye(4))
        for number in self._shown(places):
            node, place = self._list("nodes")[number], places[number]
            if "skin" in node:
                if INSTANCING in node.get("extensions", {}):
                    raise HifaError(
                        f"has {INSTANCING} of a skinned mesh, which glTF leaves open: write a node a copy"
                    )
                self._add_skinned(parts, node, places, place)
                continue
            bodies = list(self._bodies(node))
            for instance in self._instances(node):
                for vertices, faces, _ in bodies:
                    parts.add(vertices, faces, place @ instance)
        vertices, faces = parts.joined()
        if not len(faces) and self._points:
            raise HifaError("has points or lines but no faces: make a surface of it first")
        return vertices, faces

    def _shown(self, places: dict[int, Floats]) -> list[int]:
        """Return the nodes with a mesh that are visible, or all of them where none is."""
        nodes, hidden = self._list("nodes"), set[int]()
        for number in places:  # parents come first
            about = nodes[number].get("extensions", {}).get(VISIBILITY, {})
            if number in hidden or about.get("visible", True) is False:
                hidden.update([number, *nodes[number].get("children", [])])
        meshes = [number for number in places if "mesh" in nodes[number]]
        return [number for number in meshes if number not in hidden] or meshes

    def _roots(self) -> list[int]:
        scenes, nodes = self._list("scenes"), self._list("nodes")
        if scenes:
            return list(_at(scenes, self.document.get("scene", 0)).get("nodes", []))
        below = {child for node in nodes for child in node.get("children", [])}
        return [number for number in range(len(nodes)) if number not in below]

    def _placed(self) -> Iterator[tuple[int, Floats]]:
        """Yield every node of the scene with its (4, 4) place in the world."""
        nodes = self._list("nodes")
        waiting = [(root, np.eye(4), 0) for root in reversed(self._roots())]
        seen: set[int] = set()
        while waiting:
            number, above, depth = waiting.pop()
            node = _at(nodes, number)
            if number in seen or depth > MOST_DEPTH:
                raise HifaError("has nodes in circles, or one node in two places: it is not a tree")
            seen.add(number)
            place = above @ _transform(node)
            yield number, place
            waiting += [(child, place, depth + 1) for child in reversed(node.get("children", []))]

    def _instances(self, node: Object) -> list[Floats]:
        """(4, 4) places of the copies that EXT_mesh_gpu_instancing makes of a node's mesh; one without it."""
        extension = node.get("extensions", {}).get(INSTANCING)
        if extension is None:
            return [np.eye(4)]
        columns = {name: self.accessor(number) for name, number in extension.get("attributes", {}).items()}
        known = {
            name: values for name, values in columns.items() if name in ("TRANSLATION", "ROTATION", "SCALE")
        }
        counts = {len(values) for values in columns.values()} or {1}  # nothing says that there are copies
        if len(counts) > 1:
            raise HifaError(
                f"is damaged: {INSTANCING} places {min(counts)} or {max(counts)} copies of a mesh"
            )
        count = counts.pop()
        if not count or count > MOST_NODES:
            raise HifaError(f"has a mesh with {count} copies in {INSTANCING}: leave it out, or write fewer")
        keys = {"TRANSLATION": "translation", "ROTATION": "rotation", "SCALE": "scale"}
        return [
            _transform({keys[name]: values[row].tolist() for name, values in known.items()})
            for row in range(count)
        ]

    def _bodies(self, node: Object) -> Iterator[tuple[Floats, Integers, Object]]:
        """Yield the primitives of a node's mesh that have faces, each with what it was made from."""
        mesh = _at(self._list("meshes"), node["mesh"])
        weights = node.get("weights", mesh.get("weights", []))
        for primitive in mesh["primitives"]:
            attributes = primitive.get("attributes", {})
            if "POSITION" not in attributes or primitive.get("mode", _LIST) not in (_LIST, _STRIP, _FAN):
                self._points += "POSITION" in attributes
                continue
            compressed = primitive.get("extensions", {}).get(DRACO)
            plain = "bufferView" in _at(self._list("accessors"), attributes["POSITION"])
            if compressed is not None and not (plain and DRACO not in self._list("extensionsRequired")):
                vertices, faces = self._unpacked(compressed)
            else:
                vertices, faces = self._plain(primitive)
            for weight, target in zip(weights, primitive.get("targets", []), strict=False):
                if weight and "POSITION" in target:
                    vertices = vertices + float(weight) * self._as_many(target["POSITION"], vertices)
            yield vertices, faces, primitive

    def _plain(self, primitive: Object) -> tuple[Floats, Integers]:
        vertices = self._vectors(primitive["attributes"]["POSITION"])
        if "indices" not in primitive:
            return vertices, _faces(np.arange(len(vertices)), primitive.get("mode", _LIST))
        listed = self.accessor(primitive["indices"]).ravel()
        corners = listed.astype(np.int64)
        if listed.dtype.kind == "u" and len(vertices) <= np.iinfo(listed.dtype).max:
            corners[listed == np.iinfo(listed.dtype).max] = -1  # begins another strip or fan
        return vertices, _faces(corners, primitive.get("mode", _LIST))

    def _as_many(self, number: int, vertices: Floats) -> Floats:
        """Return (n, 3) displacements of as many vertices.

        Raises:
            HifaError: there are more or fewer.
        """
        found = self._vectors(number)
        if found.shape != vertices.shape:
            raise HifaError(f"is damaged: it moves {len(found)} vertices of a part that has {len(vertices)}")
        return found

    def _vectors(self, number: int) -> Floats:
        found = self.accessor(number)
        if found.ndim != 2 or found.shape[1] != 3:
            raise ValueError("positions of another type")
        return found.astype(np.float64)

    def _unpacked(self, compressed: Object) -> tuple[Floats, Integers]:
        """Return a primitive that Draco has compressed.

        Raises:
            HifaError: DracoPy is not installed, or the data is damaged.
        """
        try:
            import DracoPy
        except ImportError:
            raise HifaError('is compressed by Draco: pip install "hifa-cli[draco]"') from None
        mesh = self._decoded(int(compressed["bufferView"]), DracoPy)
        points = np.asarray(mesh.points, dtype=np.float64).reshape(-1, 3)
        return points, np.asarray(mesh.faces, dtype=np.int64).reshape(-1, 3)

    def _decoded(self, view: int, decoder: Any) -> Any:
        """Return a mesh that DracoPy has unpacked.

        Raises:
            HifaError: the data is damaged.
        """
        if view not in self._draco:
            try:
                mesh = decoder.decode(bytes(self._view(view)))
                if len(mesh.points) and not len(mesh.faces):
                    raise ValueError("points alone")
            except Exception:  # its exceptions have no common base but this
                raise HifaError("is damaged: a part that Draco compressed cannot be unpacked") from None
            self._draco[view] = mesh
        return self._draco[view]

    def _attribute(self, primitive: Object, name: str) -> NDArray[Any]:
        """Return (n, width) numbers of a vertex attribute, out of Draco's data where they are only there."""
        number = primitive["attributes"][name]
        compressed = primitive.get("extensions", {}).get(DRACO, {})
        about = _at(self._list("accessors"), number)
        packed = self._draco.get(compressed.get("bufferView"))
        if packed is None or name not in compressed.get("attributes", {}):
            return self.accessor(number)
        found = packed.get_attribute_by_unique_id(compressed["attributes"][name])
        values = np.asarray(found["data"]).reshape(len(packed.points), -1)
        return _real(values) if about.get("normalized") and values.dtype.kind in "iu" else values

    def _add_skinned(self, parts: Parts, node: Object, places: dict[int, Floats], place: Floats) -> None:
        """Add a skinned mesh in its rest pose; the place of its own node does not count (3.7.3.3)."""
        skin = _at(self._list("skins"), node["skin"])
        joints = np.stack([self._joint(joint, places) for joint in skin["joints"]])
        if "inverseBindMatrices" in skin:
            inverse = self.accessor(skin["inverseBindMatrices"]).astype(np.float64).reshape(-1, 4, 4)
            if len(inverse) < len(joints):
                raise HifaError(
                    f"is damaged: a skin of {len(joints)} joints has {len(inverse)} bind matrices"
                )
            joints = joints @ inverse[: len(joints)].swapaxes(1, 2)
        for vertices, faces, primitive in self._bodies(node):
            if any(name.startswith("JOINTS_") for name in primitive["attributes"]):
                parts.add(self._posed(vertices, primitive, joints), faces, np.eye(4))
            else:  # a part that no joint moves
                parts.add(vertices, faces, place)

    def _joint(self, number: int, places: dict[int, Floats]) -> Floats:
        """Return (4, 4) place of a joint, also of one that is not in the scene."""
        nodes = self._list("nodes")
        place = np.eye(4)
        for _ in range(MOST_DEPTH):
            if number in places:
                return places[number] @ place
            place = _transform(_at(nodes, number)) @ place
            above = self._parents().get(number)
            if above is None:
                return place
            number = above
        raise HifaError("has joints in circles: it is not a tree")

    def _parents(self) -> dict[int, int]:
        """Return every node's parent, but for roots."""
        if self._above is None:
            nodes = self._list("nodes")
            self._above = {
                child: number for number, node in enumerate(nodes) for child in node.get("children", [])
            }
        return self._above

    def _posed(self, vertices: Floats, primitive: Object, joints: Floats) -> Floats:
        """Return (n, 3) vertices moved by their joints."""
        sets = [number for number in range(8) if f"JOINTS_{number}" in primitive["attributes"]]
        moved, total = np.zeros_like(vertices), np.zeros((len(vertices), 1))
        whole = np.column_stack([vertices, np.ones(len(vertices))])
        for number in sets:
            at = self._attribute(primitive, f"JOINTS_{number}").astype(np.int64)
            weights = self._attribute(primitive, f"WEIGHTS_{number}").astype(np.float64)
            if not len(at) == len(weights) == len(vertices):
                raise HifaError(f"is damaged: {len(weights)} of {len(vertices)} vertices have weights")
            for column in range(at.shape[1]):
                share = weights[:, column : column + 1]
                if (used := np.flatnonzero(share[:, 0])).size:
                    turned = np.einsum("nij,nj->ni", joints[at[used, column]][:, :3], whole[used])
                    moved[used] += share[used] * turned
                    total[used] += share[used]
        posed: Floats = np.where(total > 0, moved / np.where(total > 0, total, 1), vertices)
        return posed

    def accessor(self, number: int) -> NDArray[Any]:
        """Return (count, width) numbers: normalised integers as reals, sparse ones filled in."""
        if number not in self._accessors:
            self._accessors[number] = self._read_accessor(_at(self._list("accessors"), number))
        return self._accessors[number]

    def _read_accessor(self, about: Object) -> NDArray[Any]:
        width, count = _TYPES[about["type"]], int(about["count"])
        kind = np.dtype(_COMPONENTS[about["componentType"]])
        if count < 0 or count * width > _MOST_VALUES:
            raise ValueError("a count that no file has")
        if "bufferView" in about:
            values = self._strided(about["bufferView"], int(about.get("byteOffset", 0)), kind, count, width)
        else:
            if "sparse" not in about and count * width > 1 << 24:
                raise ValueError("zeros without measure")
            values = np.zeros((count, width), dtype=kind)
        if "sparse" in about:
            values = self._filled_in(values, about["sparse"], kind, width)
        return _real(values) if about.get("normalized") and kind.kind in "iu" else values

    def _filled_in(
        self, values: NDArray[Any], sparse: Object, kind: np.dtype[Any], width: int
    ) -> NDArray[Any]:
        count, at, what = int(sparse["count"]), sparse["indices"], sparse["values"]
        index = np.dtype(_COMPONENTS[at["componentType"]])
        rows = self._strided(at["bufferView"], int(at.get("byteOffset", 0)), index, count, 1).ravel()
        values = values.copy()
        values[rows.astype(np.int64)] = self._strided(
            what["bufferView"], int(what.get("byteOffset", 0)), kind, count, width
        )
        return values

    def _strided(self, view: int, offset: int, kind: np.dtype[Any], count: int, width: int) -> NDArray[Any]:
        """Return (count, width) numbers of a buffer view."""
        about = _at(self._list("bufferViews"), view)
        content = self._view(view)
        size = kind.itemsize * width
        stride = int(about.get("byteStride", 0)) or size
        needed = offset + stride * (count - 1) + size if count else 0
        if offset < 0 or stride < kind.itemsize or needed > len(content):
            raise HifaError("is cut off: its buffers are shorter than its meshes say")
        shape, strides = (count, width), (stride, kind.itemsize)
        found: NDArray[Any] = (
            np.ndarray(shape, kind, content, offset, strides) if count else np.zeros(shape, kind)
        )
        return found

    def _view(self, number: int) -> memoryview:
        about = _at(self._list("bufferViews"), number)
        for name in MESHOPT:
            if name in about.get("extensions", {}):
                return self._meshopt(number, about, name)
        return self._plain_view(about)

    def _meshopt(self, number: int, about: Object, name: str) -> memoryview:
        """Return a buffer view that meshoptimizer has compressed.

        Raises:
            HifaError: its decoder is not installed and no uncompressed copy is there, or it is damaged.
        """
        if number in self._unfolded:
            return self._unfolded[number]
        packed = about["extensions"][name]
        count, size = int(packed["count"]), int(packed["byteStride"])
        data = bytes(self._plain_view(packed))
        if not 0 <= count * size <= _MESHOPT_MOST * len(data):
            raise HifaError(f"is damaged: a part in {name} announces more than it can hold")
        try:
            import meshopt
        except ImportError:
            if name not in self._list("extensionsRequired"):
                return self._plain_view(about)
            raise HifaError(
                f'is compressed by {name}: pip install "hifa-cli[meshopt]", or decompress it'
            ) from None
        try:
            found = meshopt.decode_gltf_buffer(
                data, count, size, packed["mode"], packed.get("filter", "NONE")
            )
        except Exception:  # whatever a decoder says of bytes that are none
            raise HifaError(
                f"is damaged: a part in {name} cannot be unpacked; save it again, e.g. by gltf-transform"
            ) from None
        self._unfolded[number] = memoryview(np.ascontiguousarray(found).tobytes())
        return self._unfolded[number]

    def _plain_view(self, about: Object) -> memoryview:
        start, length = int(about.get("byteOffset", 0)), int(about["byteLength"])
        content = self._buffer(int(about["buffer"]))
        if start < 0 or length < 0 or start + length > len(content):
            raise HifaError("is cut off: its buffers are shorter than its meshes say")
        return memoryview(content)[start : start + length]

    def _buffer(self, number: int) -> bytes:
        if number not in self._buffers:
            uri = _at(self._list("buffers"), number).get("uri")
            if uri is None:
                if self.binary is None or number != 0:
                    raise HifaError("is damaged: a buffer has no bytes")
                self._buffers[number] = self.binary
            elif str(uri).lower().startswith("data:"):
                self._buffers[number] = _data(str(uri))
            elif self.folder is None:
                raise HifaError("names a file, and has no folder")
            else:
                self._buffers[number] = self.folder.get(str(uri))
        return self._buffers[number]


def _at(values: list[Any], number: Any) -> Any:
    """Return an entry by its number, which must not be negative."""
    if not isinstance(number, int) or number < 0:
        raise IndexError(number)
    return values[number]


def _data(uri: str) -> bytes:
    """Return the bytes of a data URI; base64 also in the letters of URLs, and without its end."""
    head, _, body = uri.partition(",")
    plain = unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return plain
    letters = plain.translate(_STANDARD, b" \t\r\n=")
    try:
        return base64.b64decode(letters + b"=" * (-len(letters) % 4), validate=True)
    except binascii.Error:
        raise HifaError("is damaged: a buffer in its text is not base64") from None


def _real(values: NDArray[Any]) -> Floats:
    """Normalised integers as reals (3.6.2.2)."""
    most = float(np.iinfo(values.dtype).max)
    found: Floats = np.maximum(values.astype(np.float64) / most, -1.0)
    return found


def _faces(corners: Integers, mode: int) -> Integers:
    """Return (m, 3) triangles of a list, a strip or a fan of corners."""
    if mode == _LIST:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    ends = np.flatnonzero(corners < 0)
    if mode == _STRIP:
        return ply.apart(np.array([0, len(corners)]), corners)
    fans = [one[one >= 0] for one in np.split(corners, ends)]
    rows = [
        np.column_stack([np.full(len(one) - 2, one[0]), one[1:-1], one[2:]]) for one in fans if len(one) > 2
    ]
    return np.concatenate([np.empty((0, 3), dtype=np.int64), *rows])


def _transform(node: Object) -> Floats:
    """Return (4, 4) of a node: its matrix, else translation · rotation · scale."""
    if "matrix" in node:
        found = np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    else:
        x, y, z, w = (float(value) for value in node.get("rotation", (0, 0, 0, 1)))
        length = math.sqrt(x * x + y * y + z * z + w * w) or 1.0
        x, y, z, w = x / length, y / length, z / length, w / length
        turned = np.array([
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ])  # fmt: skip
        found = np.eye(4)
        found[:3, :3] = turned * np.array(node.get("scale", (1, 1, 1)), dtype=np.float64).reshape(3)
        found[:3, 3] = np.array(node.get("translation", (0, 0, 0)), dtype=np.float64).reshape(3)
    if not np.isfinite(found).all():
        raise HifaError("has a node whose place is not a number")
    return found
