"""Small files of formats that libraries read, written by hand: a box of 1 × 2 × 3."""

import struct

QUADS = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
CORNERS = tuple((float(n >> 2 & 1), 2.0 * (n >> 1 & 1), 3.0 * (n & 1)) for n in range(8))


def fbx_text(*, up: int = 1, model: str = "", visible: bool = True, more: str = "") -> str:
    """FBX 7.4 in text; ``up`` is the axis by number, ``model`` properties of its node."""
    points = ",".join(f"{value}" for corner in CORNERS for value in corner)
    corners = ",".join(str(value) for a, b, c, d in QUADS for value in (a, b, c, -1 - d))
    axes = {1: (1, 1, 2, 1, 0, 1), 2: (2, 1, 1, -1, 0, 1)}[up]
    names = ("UpAxis", "UpAxisSign", "FrontAxis", "FrontAxisSign", "CoordAxis", "CoordAxisSign")
    settings = "".join(
        f'P: "{name}", "int", "Integer", "",{value}\n' for name, value in zip(names, axes, strict=True)
    )
    shown = "" if visible else 'P: "Visibility", "Visibility", "", "A",0\n'
    return (
        "; FBX 7.4.0 project file\nFBXHeaderExtension: {\nFBXHeaderVersion: 1003\nFBXVersion: 7400\n}\n"
        f"GlobalSettings: {{\nVersion: 1000\nProperties70: {{\n{settings}}}\n}}\n"
        f'Objects: {{\nGeometry: 10, "Geometry::", "Mesh" {{\nVertices: *24 {{\na: {points}\n}}\n'
        f"PolygonVertexIndex: *24 {{\na: {corners}\n}}\n}}\n"
        f'Model: 20, "Model::box", "Mesh" {{\nVersion: 232\nProperties70: {{\n{shown}{model}}}\n}}\n'
        f"{more}}}\n"
        'Connections: {\nC: "OO",10,20\nC: "OO",20,0\n}\n'
    )


def x3d_text(inside: str = "") -> str:
    """X3D as XML; ``inside`` comes before the box."""
    points = " ".join(f"{value:g}" for corner in CORNERS for value in corner)
    corners = " ".join(" ".join(map(str, quad)) + " -1" for quad in QUADS)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<X3D profile="Interchange" version="3.0"><Scene>'
        f'{inside}<Transform translation="5 0 0" scale="2 1 1"><Shape><IndexedFaceSet coordIndex="{corners}">'
        f'<Coordinate point="{points}"/></IndexedFaceSet></Shape></Transform></Scene></X3D>\n'
    )


def vrml_text(inside: str = "", *, corners: str = "", more: str = "") -> str:
    """VRML 97; ``inside`` comes before the box, ``more`` are further fields of its faces."""
    points = ", ".join(f"{x:g} {y:g} {z:g}" for x, y, z in CORNERS)
    corners = corners or " ".join(" ".join(map(str, quad)) + " -1" for quad in QUADS)
    return (
        f"#VRML V2.0 utf8\n{inside}\nTransform {{ translation 5 0 0 scale 2 1 1 children [ Shape {{\n"
        f"geometry DEF faces IndexedFaceSet {{ coord Coordinate {{ point [ {points} ] }}\n"
        f"coordIndex [ {corners} ] {more} }} }} ] }}\n"
    )


def threeds_bytes() -> bytes:
    """3DS of one object."""

    def chunk(kind: int, content: bytes) -> bytes:
        return struct.pack("<HI", kind, 6 + len(content)) + content

    triangles = [three for a, b, c, d in QUADS for three in ((a, b, c), (a, c, d))]
    points = struct.pack("<H", 8) + b"".join(struct.pack("<3f", *corner) for corner in CORNERS)
    faces = struct.pack("<H", 12) + b"".join(struct.pack("<4H", *three, 0) for three in triangles)
    mesh = chunk(0x4100, chunk(0x4110, points) + chunk(0x4120, faces))
    body = chunk(0x3D3D, chunk(0x3D3E, struct.pack("<I", 3)) + chunk(0x4000, b"box\0" + mesh))
    return chunk(0x4D4D, chunk(0x0002, struct.pack("<I", 3)) + body)


def usda_text(*, up: str = "Z", mesh: str = "", more: str = "", head: str = "") -> str:
    """USD as text; ``mesh`` are further properties of the box, ``more`` other prims."""
    points = ", ".join(str(corner) for corner in CORNERS)
    corners = ", ".join(str(corner) for quad in QUADS for corner in quad)
    return (
        f'#usda 1.0\n(\nupAxis = "{up}"\n{head})\ndef Xform "top"\n{{\ndef Mesh "box"\n{{\n'
        f"int[] faceVertexCounts = [4, 4, 4, 4, 4, 4]\nint[] faceVertexIndices = [{corners}]\n"
        f"point3f[] points = [{points}]\n{mesh}\n}}\n}}\n{more}\n"
    )
