"""3DS and X3D, by assimp: the triangles of a scene's nodes."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.readers.parts import Arrays, Parts
from hifa_cli.render.readers.textual import bytes_of, utf8

# Surfaces and parts of X3D that assimp passes over without a word.
_PASSED_OVER = re.compile(
    rb"<(ProtoInstance|ProtoDeclare|ExternProtoDeclare|Inline|Nurbs\w+|IndexedQuadSet|QuadSet|LOD|Collision|"
    rb"Billboard|Anchor|HAnim\w+|CAD\w+|Geo\w+|CoordinateDouble|ParticleSystem|VolumeData|SegmentedVolumeData|"
    rb"EspduTransform|LayerSet|LayoutLayer|Text)\b"
)
_SWITCH = re.compile(rb"<Switch\b")
_HIDDEN = re.compile(rb"\bvisible\s*=\s*[\"']false", re.IGNORECASE)
_UNKNOWN = re.compile(r'Unknown node "(\w+)"')  # as assimp says it
_NUMBERS = re.compile(rb"=\s*(\"[-+\d.eE,\s]*\"|'[-+\d.eE,\s]*')")  # a comma in them is white space


def read(path: Path) -> Arrays:
    """Read the triangles of everything in the scene; +y is up, as assimp turns it.

    Raises:
        HifaError: it is damaged, or has parts that assimp would leave out.
    """
    import assimp_py

    content = utf8(bytes_of(path)).tobytes()
    kind = ".x3d" if b"<X3D" in content[:4096] or path.suffix.lower() == ".x3d" else ".3ds"
    if kind == ".x3d":
        _refuse_parts(content)
        content = _NUMBERS.sub(lambda found: found[0].replace(b",", b" "), content)
    flags = assimp_py.Process_Triangulate | assimp_py.Process_SortByPType
    with TemporaryDirectory() as scratch:  # alone, under a plain name: assimp would open files beside it
        alone = Path(scratch) / f"mesh{kind}"
        alone.write_bytes(content)
        try:
            scene = assimp_py.import_file(os.fspath(alone), flags)
        except (RuntimeError, ValueError) as error:
            if unknown := _UNKNOWN.search(str(error)):
                raise _not_read(unknown[1]) from None
            raise HifaError(f"cannot be read as {kind}: it is damaged, or holds no faces alone") from None
    parts = Parts()
    for mesh, place in _placed(scene):
        vertices = np.array(mesh.vertices, dtype=np.float64).reshape(-1, 3)
        parts.add(vertices, np.array(mesh.indices, dtype=np.int64).reshape(-1, 3), place)
    return parts.joined()


def _refuse_parts(content: bytes) -> None:
    """Refuse an X3D of which assimp would show a part.

    Raises:
        HifaError: it has such parts; the message names one.
    """
    if found := _PASSED_OVER.search(content):
        raise _not_read(found[1].decode())
    if _SWITCH.search(content):
        raise _not_read("Switch")
    if _HIDDEN.search(content):
        raise HifaError("has X3D nodes that are hidden, which would be drawn: leave them out")


def _not_read(node: str) -> HifaError:
    return HifaError(f"has the X3D node {node}, which is not read: convert it to GLB")


def _placed(scene: Any) -> Iterator[tuple[Any, NDArray[np.float64]]]:
    """Yield the scene's meshes of triangles, each with its (4, 4) place."""
    waiting = [(scene.root_node, np.eye(4))]
    while waiting:
        node, above = waiting.pop()
        place = above @ np.array(node.transformation, dtype=np.float64)
        for number in node.mesh_indices:
            mesh = scene.meshes[number]
            if mesh.num_indices == 3 * mesh.num_faces:  # no points, no lines
                yield mesh, place
        waiting += [(child, place) for child in node.children]
