"""Files that strangers may send: named, each written by a function, for every reader of hifa.

A case says what must become of it: ``read`` (all is well), ``refused`` (one clear line), or ``either``.
"""

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import trimesh

from tests.render.shapes import box, obj_text, off_text, stl_bytes, stl_text

Write = Callable[[Path], None]
OUTSIDE = "outside.secret"  # beside the folder that the hostile files lie in; nobody may open it


class Case(NamedTuple):
    """One hostile file.

    Attributes:
        kind: the reader that it is for: mesh, picture, export, gallery, model, weights, checkpoint, config.
        name: of the file (or folder).
        wanted: ``read``, ``refused`` or ``either``.
        write: writes it.
    """

    kind: str
    name: str
    wanted: str
    write: Write


def raw(content: bytes | str) -> Write:
    """A writer of these bytes."""
    data = content.encode() if isinstance(content, str) else content
    return lambda path: _put(path, data)


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def mesh_bytes(suffix: str, **options: Any) -> bytes:
    """A well-formed box in a format."""
    if suffix == "off":
        return off_text(box()).encode()
    if suffix == "obj":
        return obj_text(box()).encode()
    if suffix == "stl":
        return stl_bytes(box())
    if suffix == "dae":
        return _DAE.encode()
    if suffix == "3mf":
        return _same_each_time()
    part: Any = trimesh.Trimesh(box().vertices, box().faces, process=False)
    made = part.export(file_type=suffix, **options)
    if suffix == "gltf":
        return gltf(made)
    return made if isinstance(made, bytes) else made.encode()


def _same_each_time() -> bytes:
    """A 3MF whose names of parts are not drawn anew each time."""
    made = io.BytesIO()
    part: Any = trimesh.Trimesh(box().vertices, box().faces, process=False)
    parts = io.BytesIO(part.export(file_type="3mf"))
    with zipfile.ZipFile(parts) as good, zipfile.ZipFile(made, "w") as file:
        for name in good.namelist():
            content = re.sub(rb'UUID="[^"]*"', b'UUID="0"', good.read(name))
            file.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def gltf(files: dict[str, bytes]) -> bytes:
    """One glTF file with its buffers inside."""
    import base64

    document = json.loads(files["model.gltf"])
    for buffer in document["buffers"]:
        data = base64.b64encode(files[buffer["uri"]]).decode()
        buffer["uri"] = f"data:application/octet-stream;base64,{data}"
    return json.dumps(document).encode()


def changed_gltf(change: Callable[[dict[str, Any]], None]) -> bytes:
    """The well-formed glTF with its document changed."""
    document = json.loads(mesh_bytes("gltf"))
    change(document)
    return json.dumps(document).encode()


_DAE = """<?xml version="1.0"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset><up_axis>Z_UP</up_axis></asset>
<library_geometries><geometry id="g"><mesh>
<source id="p"><float_array id="a" count="12">0 0 0 1 0 0 0 1 0 0 0 1</float_array>
<technique_common><accessor source="#a" count="4" stride="3"><param name="X" type="float"/>
<param name="Y" type="float"/><param name="Z" type="float"/></accessor></technique_common></source>
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
<triangles count="4"><input semantic="VERTEX" source="#v" offset="0"/>
<p>0 1 2 0 1 3 0 2 3 1 2 3</p></triangles>
</mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="s"><node><instance_geometry url="#g"/></node></visual_scene>
</library_visual_scenes><scene><instance_visual_scene url="#s"/></scene></COLLADA>"""

_LAUGHS = (
    "<!DOCTYPE x [<!ENTITY a0 'ha'>"
    + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10))
    + "]>"
)


def _entities(dae: str, doctype: str, use: str) -> str:
    return dae.replace('<?xml version="1.0"?>', f'<?xml version="1.0"?>{doctype}').replace("Z_UP", use)


def threemf(model: str | None = None, *, bomb: int = 0) -> bytes:
    """A 3MF archive, its model changed, or with a member of ``bomb`` bytes of nothing."""
    made = io.BytesIO()
    good = zipfile.ZipFile(io.BytesIO(mesh_bytes("3mf")))
    with good, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in good.namelist():
            content = good.read(name)
            if model is not None and name.lower().endswith(".model"):
                content = model.encode()
            archive.writestr(name, content)
        if bomb:
            with archive.open("3D/bomb.bin", "w", force_zip64=True) as member:
                for _ in range(bomb >> 20):
                    member.write(bytes(1 << 20))
    return made.getvalue()


def _components(levels: int) -> str:
    """Objects of which each is ten of the one before: laughs without entities."""
    body = ["<object id='1'><mesh><vertices><vertex x='0' y='0' z='0'/><vertex x='1' y='0' z='0'/>"
            "<vertex x='0' y='1' z='0'/></vertices><triangles><triangle v1='0' v2='1' v3='2'/></triangles>"
            "</mesh></object>"]  # fmt: skip
    for level in range(2, levels + 2):
        inner = f"<component objectid='{level - 1}'/>" * 10
        body.append(f"<object id='{level}'><components>{inner}</components></object>")
    return (
        "<model xmlns='http://schemas.microsoft.com/3dmanufacturing/core/2015/02'><resources>"
        f"{''.join(body)}</resources><build><item objectid='{levels + 1}'/></build></model>"
    )


def _chain(document: dict[str, Any], count: int) -> None:
    last = next(k for k, node in enumerate(document["nodes"]) if "mesh" in node)
    first = len(document["nodes"])
    document["nodes"] += [{"children": [first + k + 1]} for k in range(count)]
    document["nodes"][-1]["children"] = [last]
    for node in document["nodes"][:first]:
        node.pop("children", None)
    document["scenes"] = [{"nodes": [first]}]
    document["scene"] = 0


def _cycle(document: dict[str, Any]) -> None:
    for node in document["nodes"]:
        node["children"] = list(range(len(document["nodes"])))


def _doubling(document: dict[str, Any]) -> None:
    """Every node is twice the next one: 2^26 of the mesh."""
    last = next(k for k, node in enumerate(document["nodes"]) if "mesh" in node)
    first = len(document["nodes"])
    document["nodes"] += [{"children": [first + k + 1] * 2} for k in range(26)]
    document["nodes"][-1]["children"] = [last, last]
    document["scenes"], document["scene"] = [{"nodes": [first]}], 0


def _accessor(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for accessor in document["accessors"]:
            accessor[key] = value

    return change


def _buffer(uri: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["buffers"] = [{"uri": uri, "byteLength": 1000}]

    return change


def _texture(document: dict[str, Any]) -> None:
    document["images"] = [{"uri": f"../{OUTSIDE}"}]
    document["textures"] = [{"source": 0}]
    document["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
    for mesh in document["meshes"]:
        for primitive in mesh["primitives"]:
            primitive["material"] = 0


def _ply(body: str, vertices: str = "3", faces: str = "1") -> str:
    return (
        f"ply\nformat ascii 1.0\nelement vertex {vertices}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face {faces}\nproperty list uchar int vertex_indices\nend_header\n{body}"
    )


_TRIANGLE = "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


def meshes() -> list[Case]:
    """Meshes of each format: cut, absurd, degenerate, cyclic, naming other files, bombs."""
    made: list[Case] = []

    def add(name: str, wanted: str, content: bytes | str | Callable[[], bytes]) -> None:
        write = (lambda path: _put(path, content())) if callable(content) else raw(content)
        made.append(Case("mesh", name, wanted, write))

    for suffix in ("off", "obj", "stl", "ply", "glb", "gltf", "3mf", "dae"):
        good = mesh_bytes(suffix)
        add(f"good.{suffix}", "read", good)
        for share in (0.0, 0.02, 0.3, 0.6, 0.9, 0.99):
            wanted = "either" if suffix == "obj" or share > 0.9 else "refused"
            add(f"cut-{share}.{suffix}", wanted, good[: int(share * len(good))])
        add(f"zeros.{suffix}", "refused", bytes(len(good)))
        add(f"noise.{suffix}", "refused", np.random.default_rng(0).bytes(4096))
        add(f"wrong-ending-{suffix}.{'ply' if suffix != 'ply' else 'off'}", "read", good)
    for value in ("nan", "inf", "-inf", "1e309", "1.#IND"):
        name = value.strip("-#").replace("#", "")
        add(f"{name}{value.count('-')}.off", "refused", f"OFF\n3 1 0\n{value} 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
        add(f"{name}{value.count('-')}.obj", "refused", f"v {value} 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
        add(f"{name}{value.count('-')}.ply", "refused", _ply(_TRIANGLE.replace("1 0 0", f"{value} 0 0")))
    for scale in ("1e30", "1e150", "1e308", "1e-30", "1e-300", "1e-320"):
        add(f"scale-{scale}.obj", "either", f"v 0 0 0\nv {scale} 0 0\nv 0 {scale} 0\nf 1 2 3\n")
        add(f"scale-{scale}.off", "either", f"OFF\n3 1 0\n0 0 0\n{scale} 0 0\n0 {scale} 0\n3 0 1 2\n")
    add("far-away.obj", "either", "v 1e30 0 0\nv 1e30 1 0\nv 1e30 0 1\nf 1 2 3\n")
    for index in ("3", "-1", "99999999999", "9223372036854775807", "99999999999999999999999", "x"):
        add(f"index-{index}.off", "refused", f"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 {index}\n")
        add(f"index-{index}.obj", "either", f"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 {index}9\n")
        add(f"index-{index}.ply", "refused", _ply(_TRIANGLE.replace("3 0 1 2", f"3 0 1 {index}")))
    for count in ("-1", "0", "4", "999999999", "99999999999999999999", "1e9", "x"):
        add(f"vertices-{count}.off", "refused", f"OFF\n{count} 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
        add(f"vertices-{count}.ply", "refused", _ply(_TRIANGLE, vertices=count))
        add(f"faces-{count}.ply", "refused", _ply(_TRIANGLE, faces=count))
        add(f"faces-{count}.off", "refused", f"OFF\n3 {count} 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    for many in (0xFFFFFFFF, 0x7FFFFFFF, 13):
        add(f"count-{many}.stl", "refused", stl_bytes(box())[:80] + struct.pack("<I", many) + bytes(500))
    for size in ("0", "1", "2", "-3", "999999999", "9999999999999999999"):
        add(f"corners-{size}.off", "refused", f"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n{size} 0 1 2\n")
        add(f"corners-{size}.ply", "either", _ply(_TRIANGLE.replace("3 0 1 2", f"{size} 0 1 2")))
    for element in ("face", "vertex"):
        good = mesh_bytes("ply")
        for many in (0xFFFFFFFF, 10**15, 10**30):
            old = b"element vertex 8" if element == "vertex" else b"element face 12"
            new = f"element {element} {many}".encode()
            add(f"binary-{element}-{many}.ply", "refused", good.replace(old, new))
    add("no-faces.off", "refused", "OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n")
    add("points.obj", "refused", "v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    add("points.ply", "refused", _ply("0 0 0\n1 0 0\n0 1 0\n", faces="0"))
    add("lines.obj", "refused", "v 0 0 0\nv 1 0 0\nl 1 2\n")
    add("degenerate.off", "refused", "OFF\n3 2 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n3 0 0 0\n")
    add("duplicates.obj", "read", "v 0 0 0\nv 1 0 0\nv 0 1 0\n" + "f 1 2 3\n" * 1000)
    add("polygon-of-5000.obj", "either", _big_polygon(5_000))
    add("one-long-line.obj", "refused", "v " + "1 " * 500_000)
    add("backslashes.obj", "refused", "f " + "\\\n" * 100_000)
    add("mtl.obj", "read", f"mtllib ../{OUTSIDE}\nmtllib /etc/passwd\nusemtl a\n" + obj_text(box()))
    add(
        "texture.ply",
        "read",
        _ply(_TRIANGLE).replace("element v", f"comment TextureFile ../{OUTSIDE}\nelement v"),
    )
    add("text.stl", "read", stl_text(box()))
    add("text-cut.stl", "refused", stl_text(box())[:-130])
    _gltf_cases(add)
    add("laughs.dae", "refused", _entities(_DAE, _LAUGHS, "&a9;"))
    outer = f'<!DOCTYPE x [<!ENTITY e SYSTEM "../{OUTSIDE}">]>'
    add("entity-file.dae", "refused", _entities(_DAE, outer, "&e;"))
    add("entity-passwd.dae", "refused", _entities(_DAE, '<!DOCTYPE x SYSTEM "file:///etc/passwd">', "Z_UP"))
    add("laughs-utf16.dae", "refused", _entities(_DAE, _LAUGHS, "&a9;").replace(
        'version="1.0"?', 'version="1.0" encoding="utf-16"?').encode("utf-16"))  # fmt: skip
    add("deep.dae", "either", _DAE.replace("<node>", "<node>" * 5000).replace("</node>", "</node>" * 5000))
    add(
        "self.dae",
        "either",
        _DAE.replace("<instance_geometry", '<instance_node url="#s"/><instance_geometry'),
    )
    add("image.dae", "read", _DAE.replace("<library_geo", "<library_images><image id='i'><init_from>../"
        f"{OUTSIDE}</init_from></image></library_images><library_geo"))  # fmt: skip
    add("float-count.dae", "either", _DAE.replace('count="12"', 'count="999999999999"'))
    add("laughs.3mf", "refused", threemf(_LAUGHS + "<model>&a9;</model>"))
    add("components.3mf", "either", threemf(_components(4)))
    add("components-bomb.3mf", "either", threemf(_components(9)))
    add("zip-bomb.3mf", "refused", lambda: threemf(bomb=600 << 20))
    add("no-model.3mf", "refused", threemf("<model/>"))
    add("empty-zip.3mf", "refused", b"PK\x05\x06" + bytes(18))
    add(
        "step.step", "refused", "ISO-10303-21;\nHEADER;\nENDSEC;\nDATA;\n#1=CARTESIAN_POINT('',(0.,0.,0.));\n"
    )
    return made


def _big_polygon(corners: int) -> str:
    angles = 2 * np.pi * np.arange(corners) / corners
    lines = [f"v {x:.6f} {y:.6f} 0" for x, y in zip(np.cos(angles), np.sin(angles), strict=True)]
    return "\n".join([*lines, "f " + " ".join(map(str, range(1, corners + 1)))])


def _gltf_cases(add: Callable[[str, str, bytes | str], None]) -> None:
    for name, uri in {
        "up": f"../{OUTSIDE}", "absolute": "/etc/passwd", "scheme": "file:///etc/passwd",
        "http": "http://127.0.0.1:9/x.bin", "escaped": f"%2e%2e/{OUTSIDE}", "device": "/dev/zero",
        "gone": "gone.bin", "self": "buffer-self.gltf", "folder": ".", "nul": "a\0b",
    }.items():  # fmt: skip
        add(f"buffer-{name}.gltf", "refused", changed_gltf(_buffer(uri)))
    add("texture.gltf", "read", changed_gltf(_texture))
    add("cycle.gltf", "refused", changed_gltf(_cycle))
    add("doubling.gltf", "either", changed_gltf(_doubling))
    for depth in (50, 5_000, 200_000):
        add(
            f"deep-{depth}.gltf",
            "read" if depth < 100 else "refused",
            changed_gltf(partial(_chain, count=depth)),
        )
    wrong: list[tuple[str, Any]] = [
        ("count", 10**9),
        ("count", 10**18),
        ("count", -5),
        ("byteOffset", 10**12),
    ]
    wrong += [("byteOffset", -8), ("componentType", 1), ("type", "MAT9"), ("bufferView", 99)]
    for key, value in wrong:
        add(f"accessor-{key}-{value}.gltf", "refused", changed_gltf(_accessor(key, value)))
    sparse = {
        "count": 10**9,
        "indices": {"bufferView": 0, "componentType": 5125},
        "values": {"bufferView": 0},
    }
    add("accessor-sparse.gltf", "either", changed_gltf(_accessor("sparse", sparse)))
    good = bytearray(mesh_bytes("glb"))
    for place, name in ((8, "length"), (12, "chunk"), (16, "kind")):
        content = bytearray(good)
        content[place : place + 4] = b"\xff\xff\xff\x7f"
        add(f"header-{name}.glb", "either" if name == "length" else "refused", bytes(content))
    add("brackets.gltf", "refused", "[" * 100_000)
    add("numbers.gltf", "refused", '{"asset": ' + "9" * 10_000 + "}")


def pictures() -> list[Case]:
    """Pictures: cut, bombs, absurd dimensions, wrong endings."""
    from PIL import Image

    made = []

    def add(name: str, wanted: str, content: bytes) -> None:
        made.append(Case("picture", name, wanted, raw(content)))

    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 48, 3), dtype=np.uint8))
    for suffix in ("png", "jpg", "webp", "bmp", "tiff", "gif", "ppm"):
        file = io.BytesIO()
        picture.save(file, {"jpg": "JPEG"}.get(suffix, suffix.upper()))
        good = file.getvalue()
        add(f"good.{suffix}", "read", good)
        add(f"wrong-ending-{suffix}.{'jpg' if suffix != 'jpg' else 'png'}", "read", good)
        for share in (0.0, 0.1, 0.5, 0.9):
            add(f"cut-{share}.{suffix}", "refused", good[: int(share * len(good))])
    for side in (0, 1 << 14, 1 << 20, 0x7FFFFFFF):
        add(f"png-{side}.png", "refused", _png(side))
        add(
            f"bmp-{side}.bmp",
            "refused",
            b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, side, side, 1, 24, *[0] * 6),
        )
        add(
            f"gif-{side}.gif",
            "refused",
            b"GIF89a" + struct.pack("<HH", side & 0xFFFF, side & 0xFFFF) + bytes(8),
        )
        add(f"ppm-{side}.ppm", "refused", f"P6 {side} {side} 255\n".encode() + bytes(64))
    add("text-bomb.png", "either", _png(8, _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26)))))
    add("icc-bomb.png", "either", _png(8, _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 26)))))
    add("loop.tiff", "refused", b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8))
    add(
        "page.eps",
        "refused",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch pwned) (w) file\n",
    )
    add("drawing.svg", "refused", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    add("noise.jpg", "refused", np.random.default_rng(2).bytes(4096))
    return made


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(side: int, more: bytes = b"") -> bytes:
    rows = zlib.compress(bytes(9 * 8) if side == 8 else bytes(1 << 20))
    head = _chunk(b"IHDR", struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + more + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def write_good_export(path: Path) -> None:
    """A small, valid embeddings file, by plain h5py."""
    generator = np.random.default_rng(3)
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = 1
        file.attrs["classes"] = ["a", "b"]
        for name in ("images", "shapes"):
            group = file.create_group(name)
            group["ids"] = [f"a/{k}" for k in range(6)]
            group["labels"] = np.arange(6) % 2
            group["vectors"] = generator.normal(size=(6, 4)).astype(np.float32)


def _h5(change: Callable[[Any, Path], None]) -> Write:
    def write(path: Path) -> None:
        write_good_export(path)
        with h5py.File(path, "a") as file:
            change(file, path)

    return write


def _column(name: str, **options: Any) -> Write:
    def change(file: Any, path: Path) -> None:
        del file[f"shapes/{name}"]
        file["shapes"].create_dataset(name, **options)

    return _h5(change)


def _unknown_filter(file: Any, path: Path) -> None:
    del file["shapes/vectors"]
    space, kind = h5py.h5s.create_simple((6, 4)), h5py.h5t.IEEE_F32LE
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((6, 4))
    plan.set_filter(32_099, h5py.h5z.FLAG_OPTIONAL, (1, 2))
    made = h5py.h5d.create(file["shapes"].id, b"vectors", kind, space, plan)
    made.write_direct_chunk((0, 0), bytes(96))


def exports() -> list[Case]:
    """Embeddings: wrong types, lengths, links, outer storage, bombs, filters."""
    made = [Case("export", "good.h5", "read", write_good_export)]

    def add(name: str, write: Write, wanted: str = "refused") -> None:
        made.append(Case("export", name, wanted, write))

    def link(target: Any) -> Write:
        def change(file: Any, path: Path) -> None:
            del file["shapes/vectors"]
            file["shapes/vectors"] = target

        return _h5(change)

    add("soft-link.h5", link(h5py.SoftLink("/images/vectors")))
    add("external-link.h5", link(h5py.ExternalLink("good.h5", "/images/vectors")))
    add("external-secret.h5", link(h5py.ExternalLink(f"../{OUTSIDE}", "/")))
    add(
        "external-storage.h5",
        _column("vectors", shape=(6, 4), dtype="f4", external=[(f"../{OUTSIDE}", 0, 96)]),
    )
    layout = h5py.VirtualLayout((6, 4), "f4")
    layout[:] = h5py.VirtualSource("good.h5", "images/vectors", (6, 4))
    add(
        "virtual.h5",
        _h5(
            lambda f, p: (
                f.__delitem__("shapes/vectors"),
                f["shapes"].create_virtual_dataset("vectors", layout),
            )[0]
        ),
    )
    add("unknown-filter.h5", _h5(_unknown_filter), "refused")
    add("claims.h5", _column("vectors", shape=(1 << 40, 1 << 20), dtype="f4", chunks=(1, 1 << 20)))
    add(
        "bomb.h5",
        _column(
            "vectors", shape=(200_000, 1000), dtype="f4", chunks=(1000, 1000), compression="gzip", fillvalue=0
        ),
    )
    add("ids-int.h5", _column("ids", data=np.arange(6)))
    add("ids-short.h5", _column("ids", data=["a", "b"]))
    add("ids-null.h5", _column("ids", data=[b"a\0b"] * 6, dtype="S3"), "either")
    add("ids-not-utf8.h5", _column("ids", data=[b"\xff\xfe"] * 6, dtype="S2"))
    add("ids-path.h5", _column("ids", data=["../../etc/passwd"] * 6), "either")
    add("labels-float.h5", _column("labels", data=np.zeros(6)))
    add("labels-far.h5", _column("labels", data=np.full(6, 10**12)))
    add("labels-low.h5", _column("labels", data=np.full(6, -7)))
    add("vectors-nan.h5", _column("vectors", data=np.full((6, 4), np.nan, dtype="f4")))
    add("vectors-flat.h5", _column("vectors", data=np.zeros(24, dtype="f4")))
    add("vectors-wide0.h5", _column("vectors", data=np.zeros((6, 0), dtype="f4")))
    add("vectors-complex.h5", _column("vectors", data=np.zeros((6, 4), dtype="c8")))
    add("vectors-compound.h5", _column("vectors", data=np.zeros((6, 4), dtype=[("a", "f4")])))
    add("vectors-object.h5", _column("vectors", shape=(6, 4), dtype=h5py.ref_dtype))
    add("schema-2.h5", _h5(lambda f, p: f.attrs.modify("schema", 2)))
    add("schema-text.h5", _h5(lambda f, p: f.attrs.__setitem__("schema", "x" * 100_000)), "refused")
    add("config-deep.h5", _h5(lambda f, p: f.attrs.__setitem__("config", "[" * 60_000)))
    add("cyclic.h5", _h5(lambda f, p: f["shapes"].__setitem__("again", f["/"])), "either")
    for share in (0.0, 0.1, 0.5, 0.9):
        add(f"cut-{share}.h5", _cut(write_good_export, share))
    return made


def _cut(write: Write, share: float) -> Write:
    def cut(path: Path) -> None:
        write(path)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    return cut


def configs() -> list[Case]:
    """TOML: not TOML, not UTF-8, unknown keys, wrong types, depth."""
    texts: dict[str, tuple[str, bytes]] = {
        "good": ("read", b"[evaluate]\n"),
        "not-toml": ("refused", b"evaluate = [\n"),
        "not-utf8": ("refused", b"[evaluate]\n\xff\xfe = 1\n"),
        "nul": ("refused", b"[evaluate]\n\0"),
        "unknown-key": ("refused", b"[evaluate]\nos = 'x'\n"),
        "unknown-verb": ("refused", b"[rm]\nrf = '/'\n"),
        "no-table": ("refused", b"evaluate = 3\n"),
        "wrong-type": ("refused", b"[evaluate]\nseed = 'many'\n"),
        "a-list": ("either", b"[evaluate]\njson = [1, 2]\n"),
        "deep": ("refused", b"[evaluate]\nx = " + b"[" * 50_000),
        "long-number": ("refused", b"[evaluate]\nseed = " + b"9" * 10_000 + b"\n"),
        "yaml-tag": ("refused", b"evaluate: !!python/object/apply:os.system ['touch pwned']\n"),
    }
    return [Case("config", f"{name}.toml", wanted, raw(text)) for name, (wanted, text) in texts.items()]


def corpus() -> list[Case]:
    """Every case that needs no torch and no gallery."""
    return [*meshes(), *pictures(), *exports(), *configs()]
