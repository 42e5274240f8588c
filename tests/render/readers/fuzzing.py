"""What the readers are fuzzed with: well-formed seeds of every format, and what must hold of any bytes."""

import base64
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import read_mesh
from tests.render.readers.foreign import vrml_text
from tests.render.readers.test_gltf import CORNERS, Made
from tests.render.shapes import box, obj_text, off_text, stl_bytes, stl_text
from tests.render.writers import Ply, dae_text, model_xml, object_xml, package

_VRML = """PROTO P [ field SFFloat s 1 field MFNode c [ ] ] { Group { children [ Group { children IS c }
 Shape { geometry Sphere { radius IS s } } ] } }
DEF a Transform { rotation 0 1 0 1.5 children [ P { s 2 c Shape { geometry Cone { height 1.5e0 } } }
 LOD { level [ Switch { whichChoice 0 choice
  Shape { geometry Extrusion { spine [ 0 0 0, 0 1 0, 1 1 0 ] scale [ 1 1 ] } } } ] } ] } USE a
Shape { geometry ElevationGrid { xDimension 2 zDimension 2 height [ 0 1 2 0x1F ] } } # a comment
"""
FORMS = ("ascii", "binary_little_endian", "binary_big_endian")
MIXED = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], *box().faces.tolist()[6:]]
_VERTEX = '<input semantic="VERTEX" source="#v" offset="0"/>'
_HOLED = (
    f"<polygons>{_VERTEX}<ph><p>0 4 6 2</p><h>1 5 7</h></ph><p>0 1 3</p></polygons>"
    f"<polylist>{_VERTEX}<vcount>4 3</vcount><p>0 1 3 2 4 6 7</p></polylist>"
    f"<tristrips>{_VERTEX}<p>0 1 2 3</p></tristrips><trifans>{_VERTEX}<p>0 1 2 3</p></trifans>"
)
_SCENE = (
    '<node id="n"><rotate>0 0 1 90</rotate><scale>1 2 3</scale><instance_geometry url="#g"/></node>'
    '<node><lookat>1 2 3 0 0 0 0 0 1</lookat><instance_node url="#n"/></node>'
)


def _plys() -> list[bytes]:
    written = [
        Ply(form, extra=extra).bytes_of(box().vertices, MIXED) for form in FORMS for extra in (False, True)
    ]
    strips = [Ply(form, length="int", strips=True).bytes_of(box().vertices, MIXED) for form in FORMS]
    return [*written, *strips, Ply(newline="\r").bytes_of(box().vertices, MIXED)]


def _packages() -> list[bytes]:
    component = '<object id="2"><components><component objectid="1" p:path="/a.model"/></components></object>'
    other = '<object id="2"><components><component objectid="1"/></components></object>'
    build = '<item objectid="2" transform="1 0 0 0 1 0 0 0 1 5 0 0"/>'
    parts = {"3D/3dmodel.model": model_xml(component, build), "a.model": model_xml(object_xml(box()), "")}
    texts = [model_xml(object_xml(box())).encode(), model_xml(object_xml(box()) + other, build).encode()]
    return [package({"3D/3dmodel.model": model_xml(object_xml(box()))}), package(parts), *texts]


def _scenes(kind: str) -> list[bytes]:
    import trimesh

    scene: Any = trimesh.Scene(trimesh.Trimesh(box().vertices, box().faces, process=False))
    content: bytes | dict[str, bytes] = scene.export(file_type=kind)
    if isinstance(content, bytes):
        return [content]
    document = json.loads(content["model.gltf"])
    for buffer in document["buffers"]:  # beside the text it would not be found
        data = base64.b64encode(content[buffer["uri"]]).decode()
        buffer["uri"] = f"data:application/octet-stream;base64,{data}"
    return [json.dumps(document).encode()]


def _full() -> Made:
    """glTF with a skin, targets, sparse rows, a strip with a restart, a fan and instances."""
    made = Made()
    primitive = made.plate(targets=[{"POSITION": made.accessor(CORNERS)}])
    weights = made.accessor(np.full((4, 4), 255, dtype="|u1"), normalized=True)
    primitive["attributes"] |= {"JOINTS_0": made.accessor(np.eye(4, dtype="|u1")), "WEIGHTS_0": weights}
    rows, values = made.view(np.array([2], dtype="<u2")), made.view(np.array([[1, 1, 7]], dtype="<f4"))
    made.document["accessors"][primitive["attributes"]["POSITION"]]["sparse"] = {
        "count": 1, "indices": {"bufferView": rows, "componentType": 5123}, "values": {"bufferView": values},
    }  # fmt: skip
    made.plate(mode=5)["indices"] = made.accessor(np.array([0, 1, 3, 2, 65535, 0, 1, 2], dtype="<u2"))
    del made.plate(mode=6)["indices"]
    moves = {"TRANSLATION": made.accessor(CORNERS), "ROTATION": made.accessor(np.eye(4, dtype="<f4"))}
    instances = {"EXT_mesh_gpu_instancing": {"attributes": moves}}
    matrices = made.accessor(np.tile(np.eye(4, dtype="<f4").reshape(1, 16), (2, 1)))
    made.document |= {
        "meshes": [{**made.document["meshes"][0], "weights": [0.5]}, *made.document["meshes"][1:]],
        "nodes": [
            {"mesh": 0, "skin": 0, "weights": [1]}, {"children": [2], "rotation": [0, 0, 1, 0]},
            {"mesh": 1, "scale": [1, 2, 3]}, {"mesh": 2, "translation": [1, 2, 3], "extensions": instances},
        ],
        "skins": [{"joints": [1, 2], "inverseBindMatrices": matrices}],
        "scenes": [{"nodes": [0, 1, 3]}],
    }  # fmt: skip
    return made


def _binary_off() -> bytes:
    counts, faces = np.array([8, 12, 0], dtype=">i4"), np.zeros((12, 5), dtype=">i4")
    faces[:, 0], faces[:, 1:4] = 3, box().faces
    return b"OFF BINARY\n" + counts.tobytes() + box().vertices.astype(">f4").tobytes() + faces.tobytes()


SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "ply": _plys,
    "stl": lambda: [stl_bytes(box()), stl_text(box()).encode()],
    "obj": lambda: [
        obj_text(box()).encode(),
        b"v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf -4//1 -3 \\\n-2/1 -1\n",
    ],
    "off": lambda: [
        off_text(box()).encode(),
        b"OFF 4 1 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3 255 0 0\n",
        b"STCN4OFF 3 1 0\n0 0 0 1  0 0 1  1 0 0 1  0 1\n1 0 0 1  0 0 1  1 0 0 1  0 1\n"
        b"0 2 0 1  0 0 1  1 0 0 1  0 1\n3 0 1 2\n",
        _binary_off(),
    ],
    "dae": lambda: [
        dae_text(box()).encode(),
        dae_text(box(), faces=_HOLED, scene=_SCENE).encode(),
    ],
    "3mf": _packages,
    "wrl": lambda: [vrml_text(_VRML).encode(), vrml_text().encode()],
}
if find_spec("hifa_cli.render.readers.gltf") is not None:
    SEEDS |= {
        "glb": lambda: [*_scenes("glb"), _full().binary()],
        "gltf": lambda: [*_scenes("gltf"), _full().text().encode()],
    }


def check(path: Path, content: bytes) -> str:
    """Read ``content`` from ``path``; it must be a sound mesh, or be refused in one line.

    Returns:
        ``read`` or ``refused``.
    """
    if path.suffix == ".3mf" and not content.startswith(b"PK"):  # a model, behind the archive's checksums
        content = package({"3D/3dmodel.model": content})
    path.write_bytes(content)
    try:
        mesh = read_mesh(path)
    except HifaError as error:
        reason = str(error)
    else:
        reason = ""
    if reason:
        assert "\n" not in reason
        assert reason.startswith(f"{path}: ")
        return "refused"
    assert len(mesh.faces) > 0
    assert np.isfinite(mesh.vertices).all()
    assert mesh.faces.min() >= 0
    assert mesh.faces.max() < len(mesh.vertices)
    return "read"


def mutated(content: bytes, generator: np.random.Generator) -> bytes:
    """``content`` with a few bytes changed, cut out, doubled or swapped for words that parsers trip over."""
    words = (
        b"nan",
        b"-1",
        b"1e999",
        b"99999999999999999999",
        b"\xff" * 4,
        b"\0" * 4,
        b"\n",
        b"0",
        b"-",
        b" ",
    )
    for _ in range(int(generator.integers(1, 5))):
        at = int(generator.integers(0, max(len(content), 1)))
        span = int(generator.integers(0, 12))
        way = int(generator.integers(0, 4))
        if way == 0:
            put = generator.integers(0, 256, max(span, 1), dtype=np.uint8).tobytes()
        elif way == 1:
            put = words[int(generator.integers(len(words)))]
        else:
            put = content[at : at + span] * (way - 2) * 2
        content = content[:at] + put + content[at + span :]
    return content
