"""More meshes and pictures that strangers may send: lying sizes, endless parts, formats in other clothes."""

import io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any
from zlib import compress

import numpy as np
from PIL import Image

from tests.render.shapes import box, obj_text
from tools.faults import made
from tools.faults.corpus import OUTSIDE, Case, changed_gltf, mesh_bytes, raw, threemf
from tools.faults.shaped import png_chunk

Add = Callable[[str, str, bytes | str], None]


def _adder(kind: str, cases: list[Case]) -> Add:
    return lambda name, wanted, content: cases.append(Case(kind, name, wanted, raw(content)))


def more_meshes() -> list[Case]:
    """Meshes of parts without end, of parts that hold themselves, and of parts that are elsewhere."""
    cases: list[Case] = []
    add = _adder("mesh", cases)
    add("groups.obj", "read", "g x\n" * 1_000_000 + obj_text(box()))
    add("materials.obj", "read", "usemtl x\n" * 300_000 + obj_text(box()))
    _plys(add)
    _glbs(add)
    _threemfs(add)
    _daes(add)
    return cases


def _plys(add: Add) -> None:
    def head(*lines: str, form: str = "ascii") -> str:
        return "\n".join(["ply", f"format {form} 1.0", *lines, "end_header", ""])

    xyz = ("property float x", "property float y", "property float z")
    face = ("element face 1", "property list uchar int vertex_indices")
    triangle = "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    add(
        "empty-element.ply",
        "either",
        head("element vertex 3", *xyz, "element x 999999999999", *face) + triangle,
    )
    add("list-vertex.ply", "either", head("element vertex 3", *xyz, "property list int int more", *face)
        + "0 0 0 999999999 1\n1 0 0 0\n0 1 0 0\n3 0 1 2\n")  # fmt: skip
    many = [line for number in range(3_000) for line in (f"element e{number} 0", "property int x")]
    add("elements.ply", "either", head("element vertex 3", *xyz, *many, *face) + triangle)
    add("properties.ply", "either", head("element vertex 3", *xyz,
        *("property int x" for _ in range(5_000)), *face)
        + triangle)  # fmt: skip
    add("comments.ply", "either", head(*("comment x" for _ in range(200_000)), "element vertex 3", *xyz,
        *face)
        + triangle)  # fmt: skip
    numbers = np.array([0, 0, 0, 1, 0, 0, 0, 1, 0], dtype="<f4").tobytes()
    for count in (0x7FFFFFFF, -1, 0):
        body = numbers + struct.pack("<i3i", count, 0, 1, 2)
        lines = ("element vertex 3", *xyz, "element face 1", "property list int int vertex_indices")
        add(f"binary-list-{count}.ply", "refused",
            head(*lines, form="binary_little_endian").encode() + body)  # fmt: skip
    lines = ("element vertex 3", *xyz, "element face 1", "property list double int vertex_indices")
    add("binary-list-double.ply", "either", head(*lines, form="binary_little_endian").encode() + numbers
        + struct.pack("<d3i", 1e18, 0, 1, 2))  # fmt: skip


def _glbs(add: Add) -> None:
    good = mesh_bytes("glb")
    length = int.from_bytes(good[12:16], "little")
    document, rest = good[20 : 20 + length], good[20 + length :]

    def framed(*chunks: tuple[int, bytes, bytes]) -> bytes:
        body = b"".join(struct.pack("<I", size & 0xFFFFFFFF) + kind + data for size, kind, data in chunks)
        return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body

    whole = (length, b"JSON", document)
    add("no-binary.glb", "refused", framed(whole))
    add("json-longer.glb", "refused", framed((length + 4000, b"JSON", document)) + rest)
    add("json-shorter.glb", "refused", framed((length - 40, b"JSON", document)) + rest)
    add("binary-longer.glb", "either", framed(whole, (10**9, b"BIN\0", rest[8:])))
    add("binary-none.glb", "refused", framed(whole, (0, b"BIN\0", b"")))
    add(
        "chunks.glb",
        "either",
        framed(whole, *((4, b"xxxx", b"xxxx"),) * 20_000, (len(rest) - 8, b"BIN\0", rest[8:])),
    )
    add("binary-first.glb", "either", framed((len(rest) - 8, b"BIN\0", rest[8:]), whole))

    def nodes(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
        def each(whole: dict[str, Any]) -> None:
            for node in whole["nodes"]:
                change(node)

        return each

    def set_to(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
        return lambda node: node.update({key: value})

    for name, key, value in (
        ("matrix-short", "matrix", [1.0]), ("matrix-text", "matrix", ["x"] * 16), ("matrix-nan", "matrix",
        [1e400] * 16),
        ("scale-huge", "scale", [1e308] * 3), ("scale-zero", "scale", [0, 0, 0]), ("scale-text", "scale",
        "xyz"),
        ("rotation-zero", "rotation", [0, 0, 0, 0]), ("mesh-far", "mesh", 10**9), ("mesh-text", "mesh", "x"),
        ("skin-far", "skin", 10**9), ("camera-far", "camera", 10**9),
    ):  # fmt: skip
        add(f"{name}.gltf", "either", changed_gltf(nodes(set_to(key, value))))
    instances = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": 0}}}
    add("instancing.gltf", "either", changed_gltf(nodes(lambda node: node.update(extensions=instances))))
    add("extension.gltf", "either", changed_gltf(lambda whole: whole.update(
        extensionsRequired=["KHR_draco_mesh_compression"],
            extensionsUsed=["KHR_draco_mesh_compression"])))  # fmt: skip
    add("many-nodes.gltf", "either", changed_gltf(lambda whole: whole["nodes"].extend([{}] * 50_000)))

    def many(whole: dict[str, Any]) -> None:
        whole["meshes"][0]["primitives"] *= 5_000

    add("many-parts.gltf", "either", changed_gltf(many))


def _threemfs(add: Add) -> None:
    space = "xmlns='http://schemas.microsoft.com/3dmanufacturing/core/2015/02'"
    mesh = (
        "<mesh><vertices><vertex x='0' y='0' z='0'/><vertex x='1' y='0' z='0'/><vertex x='0' y='1' z='0'/>"
        "</vertices><triangles><triangle v1='0' v2='1' v3='2'/></triangles></mesh>"
    )

    def model(objects: str, item: str = "1", more: str = "") -> bytes:
        build = f"<build><item objectid='{item}' {more}/></build>"
        return threemf(f"<model {space}><resources>{objects}</resources>{build}</model>")

    own = "<object id='1'><components><component objectid='1'/></components></object>"
    add("component-itself.3mf", "refused", model(own))
    pair = "".join(f"<object id='{a}'><components><component objectid='{b}'/></components></object>"
                   for a, b in ((1, 2), (2, 1)))  # fmt: skip
    add("component-circle.3mf", "refused", model(pair))
    add("component-gone.3mf", "refused", model(own.replace("objectid='1'", "objectid='9'")))
    add("item-gone.3mf", "refused", model(f"<object id='1'>{mesh}</object>", item="7"))
    for name, transform in (
        ("short", "1 0 0"),
        ("text", "x " * 12),
        ("huge", "1e308 " * 12),
        ("nan", "nan " * 12),
    ):
        content = model(f"<object id='1'>{mesh}</object>", more=f"transform='{transform}'")
        add(f"transform-{name}.3mf", "either", content)
    whole = f"<object id='1'>{mesh}</object>"
    add("vertex-text.3mf", "refused", model(whole.replace("x='1'", "x='one'")))
    add("vertex-far.3mf", "refused", model(whole.replace("v3='2'", "v3='99999999999'")))
    add("deep.3mf", "either", model("<object id='1'>" * 3_000 + mesh + "</object>" * 3_000))
    rels = (
        "<Relationships xmlns='http://schemas.openxmlformats.org/package/2006/relationships'>"
        "<Relationship Target='{}' Id='r' TargetMode='External' "
        "Type='http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel'/></Relationships>"
    )
    for name, target in (
        ("up", f"../../{OUTSIDE}"),
        ("file", "file:///etc/passwd"),
        ("http", "http://127.0.0.1:9/x"),
    ):
        add(f"related-{name}.3mf", "either", _with_member("_rels/.rels", rels.format(target)))
    add("members.3mf", "either", _with_member(*(f"x/{number}" for number in range(5_000))))
    add("slip.3mf", "either", _with_member("../../slipped", "x"))
    locked = bytearray(threemf())
    place = locked.find(b"PK\1\2")
    locked[place + 8] |= 1
    add("locked.3mf", "refused", bytes(locked))


def _with_member(*names: str) -> bytes:
    """The well-formed archive with one more member and its content, or many empty ones."""
    content = io.BytesIO(threemf())
    with zipfile.ZipFile(content, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are two of a name is the point
        for name in names[:1] if len(names) == 2 else names:
            archive.writestr(zipfile.ZipInfo(name), names[1] if len(names) == 2 else b"")
    return content.getvalue()


def _daes(add: Add) -> None:
    good = made.mesh("dae").decode()
    inside = good.replace('<instance_geometry url="#g"/>', '<instance_node url="#n26"/>')

    def library(*nodes: str) -> str:
        return inside.replace(
            "<library_visual", f"<library_nodes>{''.join(nodes)}</library_nodes><library_visual"
        )

    first = '<node id="n0"><instance_geometry url="#g"/></node>'
    double = [f'<node id="n{k}"><instance_node url="#n{k - 1}"/><instance_node url="#n{k - 1}"/></node>'
              for k in range(1, 27)]  # fmt: skip
    add("doubling.dae", "refused", library(first, *double))
    add("node-itself.dae", "refused", library('<node id="n26"><instance_node url="#n26"/></node>'))
    add("node-circle.dae", "refused", library('<node id="n26"><instance_node url="#n1"/></node>',
        '<node id="n1"><instance_node url="#n26"/></node>'))  # fmt: skip
    for name, old, new in (
        ("stride-0", 'stride="3"', 'stride="0"'), ("stride-low", 'stride="3"', 'stride="-3"'),
        ("stride-huge", 'stride="3"', 'stride="999999999"'), ("offset-huge", 'offset="0"',
        'offset="99999999"'),
        ("offset-low", 'offset="0"', 'offset="-1"'), ("index-far", "<p>0 1 2", "<p>0 1 99999999999"),
        ("index-low", "<p>0 1 2", "<p>0 1 -7"), ("index-text", "<p>0 1 2", "<p>0 1 x"),
        ("count-low", 'count="4" stride', 'count="-4" stride'), ("count-text", 'count="12"', 'count="x"'),
        ("matrix", "<instance_geometry", "<matrix>1 2</matrix><instance_geometry"),
        ("matrix-nan", "<instance_geometry", f"<matrix>{'nan ' * 16}</matrix><instance_geometry"),
        ("scale-huge", "<instance_geometry", "<scale>1e308 1e308 1e308</scale><instance_geometry"),
        ("rotate-text", "<instance_geometry", "<rotate>x y z w</rotate><instance_geometry"),
        ("source-gone", 'source="#v"', 'source="#x"'), ("geometry-gone", 'url="#g"', 'url="#x"'),
        ("geometry-elsewhere", 'url="#g"', f'url="../{OUTSIDE}#g"'), ("geometry-http", 'url="#g"', 'url="http://x/#g"'),
    ):  # fmt: skip
        add(f"{name}.dae", "either", good.replace(old, new))
    polygons = good.replace('<triangles count="4">', '<polylist count="4">').replace(
        "</triangles>", "</polylist>"
    )
    add("polygon-huge.dae", "refused", polygons.replace("<p>", "<vcount>999999999 3 3 3</vcount><p>"))
    add("polygon-low.dae", "either", polygons.replace("<p>", "<vcount>-3 3 3 3</vcount><p>"))
    add("polygon-none.dae", "either", polygons)


def more_pictures() -> list[Case]:
    """Pictures of lying sizes, of scans and frames without end, and of formats that hifa does not name."""
    cases: list[Case] = []
    add = _adder("picture", cases)
    _jpegs(add)
    _frames(add)
    _tiffs(add)
    _strangers(add)
    for kind in (b"zTXt", b"iTXt"):
        text = (
            b"a\0\0" + compress(bytes(1 << 20))
            if kind == b"zTXt"
            else b"a\0\1\0\0\0" + compress(bytes(1 << 20))
        )
        add(f"many-{kind.decode()}.png", "either", _png_with(png_chunk(kind, text) * 300))
    add("exif-junk.png", "read", _png_with(png_chunk(b"eXIf", b"II*\0" + b"\xff" * 200)))
    add(
        "exif-loop.png",
        "either",
        _png_with(png_chunk(b"eXIf", b"II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\0\0")),
    )
    add("icc-junk.png", "read", _png_with(png_chunk(b"iCCP", b"x\0\0" + compress(b"junk" * 100))))
    add("chunks.png", "either", _png_with(png_chunk(b"teSt", b"x") * 100_000))
    add("palette-none.png", "either", _png_with(b"", colour=3))
    if find_spec("pillow_heif"):
        _heics(add)
    return cases


def _png_with(more: bytes, side: int = 8, colour: int = 0) -> bytes:
    head = struct.pack(">2I5B", side, side, 8, colour, 0, 0, 0)
    rows = png_chunk(b"IDAT", compress(bytes((side + 1) * side)))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + more + rows + png_chunk(b"IEND", b"")


def _jpegs(add: Add) -> None:
    good = made.picture("JPEG")
    place = good.find(b"\xff\xc0") + 5
    for side, wanted in ((0, "refused"), (5_000, "either"), (20_000, "refused"), (65_535, "refused")):
        changed = bytearray(good)
        struct.pack_into(">2H", changed, place, side, side)
        add(f"lies-{side}.jpg", wanted, bytes(changed))
    add("sampling.jpg", "either", good[: place + 6] + b"\xff" + good[place + 7 :])
    add("icc-junk.jpg", "read", good[:2] + b"\xff\xe2" + struct.pack(">H",
        1002) + b"ICC_PROFILE\0\1\1" + bytes(986)
        + good[2:])  # fmt: skip
    add(
        "exif-junk.jpg",
        "read",
        good[:2] + b"\xff\xe1" + struct.pack(">H", 208) + b"Exif\0\0" + b"\xff" * 200 + good[2:],
    )
    add("segments.jpg", "either", good[:2] + b"\xff\xe3\0\x02" * 100_000 + good[2:])
    file = io.BytesIO()
    Image.new("L", (6_000, 6_000)).save(file, "JPEG", progressive=True, quality=50)
    content = file.getvalue()
    last = content.rfind(b"\xff\xda")
    scan = content[content.rfind(b"\xff\xc4", 0, last) : -2]
    add("scans.jpg", "refused", content[:-2] + scan * 3_000 + b"\xff\xd9")


def _frames(add: Add) -> None:
    pictures = [Image.new("P", (64, 64), number % 255) for number in range(500)]
    for form in ("GIF", "WEBP", "PNG", "TIFF"):
        file = io.BytesIO()
        pictures[0].convert("RGB").save(file, form, save_all=True, append_images=pictures[1:])
        add(f"frames.{form.lower()}", "read", file.getvalue())
    gif = bytearray(made.picture("GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    add("canvas.gif", "refused", bytes(gif))
    file = io.BytesIO()
    pictures[0].convert("RGBA").save(file, "WEBP", save_all=True, append_images=pictures[1:3])
    canvas = bytearray(file.getvalue())
    place = canvas.find(b"VP8X") + 12
    canvas[place : place + 6] = b"\xff\x3f\0\xff\x3f\0"
    add("canvas.webp", "refused", bytes(canvas))


def _tiffs(add: Add) -> None:
    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        return struct.pack("<HHII", tag, kind, count, value)

    def tiff(*entries: bytes, after: int = 0) -> bytes:
        return (
            b"II*\0\x08\0\0\0"
            + struct.pack("<H", len(entries))
            + b"".join(entries)
            + struct.pack("<I", after)
        )

    def plain(side: int, **changed: bytes) -> tuple[bytes, ...]:
        entries = {"width": entry(256, 4, 1, side), "height": entry(257, 4, 1, side), "bits": entry(258, 3,
            1, 8),
                   "packing": entry(259, 3, 1, 1), "colour": entry(262, 3, 1, 1), "place": entry(273, 4, 1,
                   200),
                   "samples": entry(277, 3, 1, 1), "rows": entry(278, 4, 1, side),
                   "bytes": entry(279, 4, 1, side * side)}  # fmt: skip
        return tuple({**entries, **changed}.values())

    body = bytes(2_000)
    add("plain.tiff", "read", tiff(*plain(8)).ljust(200, b"\0") + body)
    add("after-itself.tiff", "read", tiff(*plain(8), after=8).ljust(200, b"\0") + body)
    cases = {
        "side": plain(60_000), "side-allowed": plain(9_000), "place-far": plain(8, place=entry(273, 4, 1,
        2**31)),
        "places-many": plain(8, place=entry(273, 4, 2**28, 8)), "bits-many": plain(8, bits=entry(258, 3,
        2**28, 8)),
        "samples-many": plain(8, samples=entry(277, 3, 1, 65_535)), "packing-odd": plain(8,
        packing=entry(259, 3, 1, 7)),
        "packing-jpeg": plain(8, packing=entry(259, 3, 1, 6)), "rows-none": plain(8, rows=entry(278, 4, 1,
        0)),
        "tiles": (*plain(8), entry(322, 4, 1, 2**30), entry(323, 4, 1, 2**30), entry(324, 4, 1, 8),
        entry(325, 4, 1, 9)),
        "packed": plain(9_000, packing=entry(259, 3, 1, 8)), "text-long": (*plain(8), entry(270, 2, 2**31,
        8)),
    }  # fmt: skip
    for name, entries in cases.items():
        add(
            f"{name}.tiff",
            "either" if "side-a" not in name else "refused",
            tiff(*entries).ljust(200, b"\0") + body,
        )


def _strangers(add: Add) -> None:
    """Formats whose decoders are not trusted, under the endings of those that are."""
    picture = made.picture("PNG")
    for form in (
        "PCX",
        "TGA",
        "SGI",
        "ICO",
        "DDS",
        "EPS",
        "ICNS",
        "JPEG2000",
        "PDF",
        "QOI",
        "SPIDER",
        "MSP",
    ):
        file = io.BytesIO()
        try:
            opened = Image.open(io.BytesIO(picture))
            opened.convert({"MSP": "1", "SPIDER": "F"}.get(form, "RGB")).resize((32, 32)).save(file, form)
        except (KeyError, OSError, ValueError):  # this Pillow cannot write it
            continue
        for ending in ("png", "jpg", form.lower()):
            add(f"is-{form.lower()}.{ending}", "refused", file.getvalue())
    add("is-psd.png", "refused", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 8, 8, 8, 3) + bytes(400))
    add("is-fits.png", "refused", b"SIMPLE  =                    T".ljust(2_880))
    add("is-xbm.png", "refused", b"#define x_width 8\n#define x_height 1\nstatic char x_bits[] = {0xff};")
    add("is-svg.png", "refused", b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>")
    add("is-heic.png", "refused", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500))
    add("is-json.png", "refused", json.dumps({"x": 1}))


def _heics(add: Add) -> None:
    good = made.picture("HEIF")
    add("good.heic", "read", good)
    for share in (0.0, 0.1, 0.5, 0.9):
        add(f"cut-{share}.heic", "refused", good[: int(share * len(good))])
    place = good.find(b"ispe") + 8
    for side in (0, 1, 16_384, 0x7FFFFFFF, 0xFFFFFFFF):
        changed = bytearray(good)
        struct.pack_into(">2I", changed, place, side, side)
        add(f"ispe-{side}.heic", "either" if side == 1 else "refused", bytes(changed))
    for kind in (b"mp42", b"jpeg", b"\0\0\0\0", b"avif"):
        add(f"ftyp-{kind.hex()}.heic", "either", good[:8] + kind + good[12:])
    for name, box_ in (("meta", b"meta"), ("iloc", b"iloc"), ("hvcC", b"hvcC"), ("mdat", b"mdat")):
        at = good.find(box_) - 4
        for size in (0, 1, 7, 0x7FFFFFFF):
            add(f"box-{name}-{size}.heic", "either", good[:at] + struct.pack(">I", size) + good[at + 4 :])
    add("zeros.heic", "refused", bytes(len(good)))
    add("is-png.heic", "read", made.picture("PNG"))
