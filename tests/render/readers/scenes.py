"""Random scenes, written in every format that hifa reads itself, with the freedoms of each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.meshes import Mesh
from tests.render.readers.test_gltf import Made
from tests.render.shapes import ball, box, joined, off_text, stl_bytes, stl_text
from tests.render.writers import Ply, dae_text, model_xml, object_xml, package

Random = np.random.Generator
Floats = NDArray[np.float64]


class Node(NamedTuple):
    """A place: where it lies in its parent, and what lies in it."""

    translation: Floats
    quaternion: Floats
    scale: Floats
    bodies: list[int]
    children: list["Node"]

    def matrix(self) -> Floats:
        """Return (4, 4)."""
        x, y, z, w = self.quaternion
        turned = np.array([
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ])  # fmt: skip
        found = np.eye(4)
        found[:3, :3] = turned * self.scale
        found[:3, 3] = self.translation
        return found


def node(random: Random, depth: int = 0) -> Node:
    """Return a random tree of places, at most four deep, with a body in every leaf."""
    quaternion = random.normal(size=4)
    scale = random.uniform(0.5, 2, 3) if depth < 2 else np.repeat(random.uniform(0.5, 2), 3)
    children = [] if depth == 3 else [node(random, depth + 1) for _ in range(int(random.integers(0, 3)))]
    bodies = [int(random.integers(2))] if not children or random.random() < 0.5 else []
    return Node(random.normal(size=3) * 3, quaternion / np.linalg.norm(quaternion), scale, bodies, children)


def bodies(random: Random) -> list[Mesh]:
    """Return two convex bodies without two alike sides."""
    return [box(*random.uniform(0.5, 3, 3)), ball(int(random.integers(3, 8)))]


def gltf(random: Random) -> tuple[str, bytes]:
    """glTF or GLB: nested nodes, strips, sparse and quantised accessors, indices of every width."""
    made = Made()
    made.document |= {"nodes": [], "scenes": [{"nodes": []}]}
    for body in bodies(random):
        points = body.vertices.astype("<f4")
        more: dict[str, Any] = {}
        corners = body.faces.ravel().astype(
            random.choice(["|u1", "<u2", "<u4"]) if len(points) < 255 else "<u2"
        )
        if random.random() < 0.3:  # a strip of triangles, joined by corners said twice
            rows = [(a, a, b, c, c) for a, b, c in body.faces.tolist()]
            more["mode"], corners = 5, np.array([one for row in rows for one in row], dtype="<u2")
        primitive = {
            "attributes": {"POSITION": made.accessor(points)},
            "indices": made.accessor(corners),
            **more,
        }
        if random.random() < 0.4:
            moved = made.view(points[:1] * np.float32(1.5))
            made.document["accessors"][primitive["attributes"]["POSITION"]]["sparse"] = {
                "count": 1, "values": {"bufferView": moved},
                "indices": {"bufferView": made.view(np.zeros(1, "<u2")), "componentType": 5123},
            }  # fmt: skip
        made.document["meshes"].append({"primitives": [primitive]})
    made.document["scenes"][0]["nodes"] = [_gltf_node(made, node(random), random)]
    return (".glb", made.binary()) if random.random() < 0.5 else (".gltf", made.text().encode())


def _gltf_node(made: Made, one: Node, random: Random) -> int:
    about: dict[str, Any] = {"mesh": one.bodies[0]} if one.bodies else {}
    if random.random() < 0.5:
        about["matrix"] = one.matrix().T.ravel().tolist()
    else:
        about |= {
            "translation": one.translation.tolist(), "rotation": one.quaternion.tolist(),
            "scale": one.scale.tolist(),
        }  # fmt: skip
    if children := [_gltf_node(made, child, random) for child in one.children]:
        about["children"] = children
    made.document["nodes"].append(about)
    return len(made.document["nodes"]) - 1


def dae(random: Random) -> tuple[str, bytes]:
    """COLLADA: nested nodes with matrices, polylists or triangles."""
    body = bodies(random)[int(random.integers(2))]
    vertex = '<input semantic="VERTEX" source="#v" offset="0"/>'
    corners = " ".join(map(str, body.faces.ravel()))
    sizes = "3 " * len(body.faces)
    lists = f'<polylist count="{len(body.faces)}">{vertex}<vcount>{sizes}</vcount><p>{corners}</p></polylist>'
    faces = lists if random.random() < 0.5 else ""
    return ".dae", dae_text(body, faces=faces, scene=_dae_node(node(random))).encode()


def _dae_node(one: Node) -> str:
    numbers = " ".join(repr(float(value)) for value in one.matrix().ravel())
    shown = '<instance_geometry url="#g"/>' * len(one.bodies)
    return f"<node><matrix>{numbers}</matrix>{shown}{''.join(map(_dae_node, one.children))}</node>"


def threemf(random: Random) -> tuple[str, bytes]:
    """3MF: components in components, with transforms."""
    objects = [object_xml(body, number + 1) for number, body in enumerate(bodies(random))]
    top = _component(node(random), objects)
    return ".3mf", package({"3D/3dmodel.model": model_xml("".join(objects), f'<item objectid="{top}"/>')})


def _component(one: Node, objects: list[str]) -> int:
    inner = [(_component(child, objects), child.matrix()) for child in one.children]
    inner += [(body + 1, np.eye(4)) for body in one.bodies]
    lines = "".join(
        f'<component objectid="{number}" transform="{" ".join(f"{v:.9g}" for v in place[:3].T.ravel())}"/>'
        for number, place in inner
    )
    objects.append(f'<object id="{len(objects) + 1}" type="model"><components>{lines}</components></object>')
    return len(objects)


def _scattered(random: Random) -> Mesh:
    """Return both bodies beside each other."""
    first, second = bodies(random)
    return joined([first, Mesh(second.vertices + random.uniform(3, 5, 3), second.faces)])


def ply(random: Random) -> tuple[str, bytes]:
    """PLY: every form, types of coordinates and lists, line ends, polygons."""
    body = box(*random.uniform(0.5, 3, 3))
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    mesh = _scattered(random)
    polygons = quads if random.random() < 0.5 else mesh.faces.tolist()
    written = Ply(
        str(random.choice(["ascii", "binary_little_endian", "binary_big_endian"])),
        axes=str(random.choice(["float", "double"])),
        length=str(random.choice(["uchar", "int"])),
        corner=str(random.choice(["int", "uint", "short"])),
        name=str(random.choice(["vertex_indices", "vertex_index"])),
    )
    return ".ply", written.bytes_of(body.vertices if polygons is quads else mesh.vertices, polygons)


def obj(random: Random) -> tuple[str, bytes]:
    """OBJ: indices forwards and backwards, groups, texture places, line ends."""
    mesh = _scattered(random)
    backwards, end = random.random() < 0.5, str(random.choice(["\n", "\r\n"]))
    lines = [
        "# a comment",
        "o one",
        *(f"v {x!r} {y!r} {z!r}" for x, y, z in mesh.vertices.tolist()),
        "vt 0 0",
    ]
    for number, face in enumerate(mesh.faces.tolist()):
        lines += [f"g part{number}"] if number % 7 == 0 else []
        named = [one - len(mesh.vertices) if backwards else one + 1 for one in face]
        lines.append("f " + " ".join(f"{one}/{-1 if backwards else 1}" for one in named))
    return ".obj", end.join([*lines, ""]).encode()


def off(random: Random) -> tuple[str, bytes]:
    """OFF."""
    return ".off", off_text(_scattered(random)).encode()


def stl(random: Random) -> tuple[str, bytes]:
    """STL, text or binary."""
    mesh = _scattered(random)
    return ".stl", stl_bytes(mesh) if random.random() < 0.5 else stl_text(mesh).encode()


WRITERS: dict[str, Callable[[Random], tuple[str, bytes]]] = {
    "gltf": gltf, "dae": dae, "3mf": threemf, "ply": ply, "obj": obj, "off": off, "stl": stl,
}  # fmt: skip
