"""Open CASCADE's own BREP, by OCP, its Python binding: curved faces are cut as those of STEP are."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.readers.parts import Arrays, Parts
from hifa_cli.render.readers.step import TOLERANCE

# How a file ends: a list of shapes, the number of the one that it holds, and in old ones a 0.
_END = re.compile(rb"\*\s+[-+io]\d+\s+\d+\s*(0\s*)?\Z")
_TAIL = 200  # bytes


def read(path: Path) -> Arrays:
    """Read the triangles of every face.

    Raises:
        HifaError: it is damaged, or a face of it cannot be cut into triangles.
    """
    from OCP.BRep import BRep_Builder, BRep_Tool
    from OCP.BRepMesh import BRepMesh_IncrementalMesh
    from OCP.BRepTools import BRepTools
    from OCP.TopAbs import TopAbs_ShapeEnum
    from OCP.TopExp import TopExp_Explorer
    from OCP.TopLoc import TopLoc_Location
    from OCP.TopoDS import TopoDS, TopoDS_Shape

    if not _END.search(path.read_bytes()[-_TAIL:]):  # Open CASCADE would crash, or fill the memory
        raise HifaError("cannot be read as .brep: it is cut off or damaged")
    shape = TopoDS_Shape()
    try:
        whole = BRepTools.Read_s(shape, str(path), BRep_Builder()) and not shape.IsNull()
    except Exception:  # what Open CASCADE throws has no common base but this
        whole = False
    if not whole:
        raise HifaError("cannot be read as .brep: it is cut off or damaged")
    BRepMesh_IncrementalMesh(
        shape, TOLERANCE["tol_linear"], TOLERANCE["tol_relative"], TOLERANCE["tol_angular"], False
    )
    parts = Parts()
    walk = TopExp_Explorer(shape, TopAbs_ShapeEnum.TopAbs_FACE)
    missing = 0
    while walk.More():
        place = TopLoc_Location()
        mesh = BRep_Tool.Triangulation_s(TopoDS.Face(walk.Current()), place)
        walk.Next()
        if mesh is None:
            missing += 1
            continue
        parts.add(*_arrays(mesh), _matrix(place))
    vertices, faces = parts.joined()
    if not len(faces) and not missing:
        raise HifaError("has curves or points but no faces: make a surface of it first")
    if missing:
        raise HifaError(f"has {missing} faces that cannot be cut into triangles: save it as STEP or STL")
    return vertices, faces


def _arrays(mesh: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    points = [mesh.Node(number + 1) for number in range(mesh.NbNodes())]
    corners = [mesh.Triangle(number + 1).Get() for number in range(mesh.NbTriangles())]
    vertices = np.array([(one.X(), one.Y(), one.Z()) for one in points], dtype=np.float64).reshape(-1, 3)
    return vertices, np.array(corners, dtype=np.int64).reshape(-1, 3) - 1


def _matrix(place: Any) -> NDArray[np.float64]:
    """Return the (4, 4) of a location."""
    found = np.eye(4)
    if not place.IsIdentity():
        move = place.Transformation()
        found[:3] = [[move.Value(row, column) for column in range(1, 5)] for row in range(1, 4)]
    return found
