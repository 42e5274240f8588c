"""USD in all its forms, by Pixar's usd-core: the visible surfaces of a stage at its default time.

Subdivision surfaces are drawn by their cage and skeletons in their rest pose. A layer may compose others
(sublayers, references, payloads) from its own folder and below, and from its own package; no other is opened.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.parsing import Polygons
from hifa_cli.render.polygons import triangles
from hifa_cli.render.readers.parts import Arrays, Parts

_MOST_LAYERS = 10_000
_MOST_COPIES = 200_000  # of a point instancer
_SEGMENTS = 32  # around a sphere, cylinder, cone or capsule
_BEGINNINGS = ((b"PXR-USDC", ".usdc"), (b"PK\x03\x04", ".usdz"), (b"#usda", ".usda"))
_MATERIALS = ".mtlx"  # layers that have no shapes
_NOT_READ = ("NurbsPatch", "Volume", "TetMesh")
_TURNED = {"Y": np.eye(3), "Z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])}  # onto +y
_ALONG = {  # a body along +z, turned to the axis that it is said to have
    "X": np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
    "Y": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "Z": np.eye(3),
}


def read(path: Path) -> Arrays:
    """Read the triangles of what is visible; turned so that +y is up.

    Raises:
        HifaError: it is damaged, composes what it may not, or has surfaces that are not read.
    """
    with path.open("rb") as file:
        head = file.read(8)
    suffix = next((one for start, one in _BEGINNINGS if head.startswith(start)), ".usd")
    if path.suffix.lower() in (".usd", suffix) and (suffix != ".usdz" or path.suffix.lower() != ".usd"):
        return _read(path)
    with TemporaryDirectory() as scratch:  # USD goes by endings
        named = Path(scratch) / f"stage{suffix}"
        shutil.copyfile(path, named)
        return _read(named)


def _read(path: Path) -> Arrays:
    from pxr import Tf, Usd, UsdGeom

    try:
        _refuse_strange_layers(path)
        stage = Usd.Stage.Open(str(path.absolute()))
    except Tf.ErrorException:
        stage = None
    if stage is None:
        raise HifaError("cannot be read as .usd: it is damaged")
    errors = [error for error in stage.GetCompositionErrors() if _MATERIALS not in str(error)]
    if errors:
        raise HifaError(f"is damaged: {len(errors)} of the parts that it is composed of cannot be had")
    reader = _Stage(stage)
    reader.add(stage.GetPseudoRoot(), np.eye(4))
    vertices, faces = reader.parts.joined()
    if not len(faces) and reader.others:
        raise HifaError("has points or curves but no faces: make a surface of it first")
    if not len(faces) and reader.hidden:
        raise HifaError("has nothing that is visible: it is hidden in the file")
    if not len(faces):
        meshes = any(prim.GetTypeName() == "Mesh" for prim in stage.TraverseAll())
        raise HifaError(
            "shows nothing: its meshes are classes, or overrides of what is in another layer"
            if meshes
            else "is empty: its stage has no surfaces"
        )
    return vertices @ _TURNED[str(UsdGeom.GetStageUpAxis(stage))].T, faces


def _refuse_strange_layers(path: Path) -> None:
    """Refuse a layer that composes others from elsewhere, before the stage opens them.

    Raises:
        HifaError: it does, or one is missing.
    """
    from pxr import Sdf

    own = str(path.absolute())
    folder = str(path.absolute().parent.resolve())
    waiting, seen = [own], {own}
    while waiting:
        layer = Sdf.Layer.FindOrOpen(waiting.pop())
        if layer is None:
            raise HifaError("is damaged, or a layer that it is composed of is gone")
        for name in layer.GetCompositionAssetDependencies():
            if not name or name.endswith(_MATERIALS):
                continue
            place = layer.ComputeAbsolutePath(name)
            file = Path(place.partition("[")[0])
            if "://" in name or (file.is_absolute() and not file.resolve().is_relative_to(folder)):
                raise HifaError(f"composes a layer outside its folder ({name[:80]}): flatten it by usdcat")
            if not file.is_absolute() or not file.is_file():  # USD would look for it in the current folder
                raise HifaError(f"composes a layer that is gone ({name[:80]})")
            if place not in seen:
                seen.add(place)
                waiting.append(place)
        if len(seen) > _MOST_LAYERS:
            raise HifaError(f"is composed of more than {_MOST_LAYERS} layers: flatten it")


class _Stage:
    """The drawn parts of a stage, collected while it is walked."""

    def __init__(self, stage: Any) -> None:
        from pxr import Usd, UsdGeom

        self.time = Usd.TimeCode.EarliestTime()  # the default where nothing is animated
        self.places = UsdGeom.XformCache(self.time)
        self.parts = Parts()
        self.others = 0  # points and curves
        self.hidden = 0

    def add(self, top: Any, moved: NDArray[np.float64]) -> None:
        """Add what is visible below a prim; ``moved`` is a (4, 4) change of its place in the world."""
        from pxr import Usd, UsdGeom

        walk = iter(Usd.PrimRange(top, Usd.TraverseInstanceProxies(Usd.PrimDefaultPredicate)))
        for prim in walk:
            image = UsdGeom.Imageable(prim)
            if not image:
                continue
            hidden = image.GetVisibilityAttr().Get(self.time) == UsdGeom.Tokens.invisible
            self.hidden += hidden
            if hidden or image.ComputePurpose() in (UsdGeom.Tokens.guide, UsdGeom.Tokens.proxy):
                walk.PruneChildren()
                continue
            place = moved @ _matrix(self.places.GetLocalToWorldTransform(prim))
            kind = str(prim.GetTypeName())
            if kind in _NOT_READ:
                raise HifaError(f"has a {kind}, which is not read: convert it to a mesh")
            if kind == "PointInstancer":
                walk.PruneChildren()
                self._add_copies(UsdGeom.PointInstancer(prim), place)
            elif kind == "Mesh":
                self.parts.add(*_mesh(UsdGeom.Mesh(prim), self.time), place)
            elif (body := _body(prim, kind, self.time)) is not None:
                self.parts.add(*body, place)
            elif prim.IsA(UsdGeom.PointBased):
                self.others += 1

    def _add_copies(self, instancer: Any, place: NDArray[np.float64]) -> None:
        from pxr import UsdGeom

        prototypes = instancer.GetPrototypesRel().GetForwardedTargets()
        chosen = list(instancer.GetProtoIndicesAttr().Get(self.time) or ())
        if len(chosen) > _MOST_COPIES:
            raise HifaError(
                f"has {len(chosen)} copies by a point instancer: at most {_MOST_COPIES} are drawn"
            )
        moves = instancer.ComputeInstanceTransformsAtTime(
            self.time, self.time, UsdGeom.PointInstancer.ExcludeProtoXform
        )
        kept = instancer.ComputeMaskAtTime(self.time)
        for number, (which, move) in enumerate(zip(chosen, moves, strict=True)):
            if kept and not kept[number]:
                continue
            if not 0 <= which < len(prototypes):
                raise HifaError("is damaged: a point instancer names a prototype that it does not have")
            prim = instancer.GetPrim().GetStage().GetPrimAtPath(prototypes[which])
            above = _matrix(self.places.GetParentToWorldTransform(prim))
            self.add(prim, place @ _matrix(move) @ np.linalg.inv(above))


def _matrix(move: Any) -> NDArray[np.float64]:
    """Return USD's matrix of rows as one that moves columns."""
    return np.array(move, dtype=np.float64).T


def _mesh(mesh: Any, time: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    vertices = np.array(mesh.GetPointsAttr().Get(time) or (), dtype=np.float64).reshape(-1, 3)
    sizes = np.array(mesh.GetFaceVertexCountsAttr().Get(time) or (), dtype=np.int64)
    corners = np.array(mesh.GetFaceVertexIndicesAttr().Get(time) or (), dtype=np.int64)
    if (sizes < 0).any() or sizes.sum() != len(corners):
        raise HifaError("is damaged: a mesh's polygons and their corners do not add up")
    holes = np.array(mesh.GetHoleIndicesAttr().Get(time) or (), dtype=np.int64)
    kept = sizes >= 3
    kept[holes[(holes >= 0) & (holes < len(sizes))]] = False
    return vertices, triangles(
        Polygons(vertices, np.concatenate([[0], np.cumsum(sizes[kept])]), corners[np.repeat(kept, sizes)])
    )


def _profile(below: float, above: float, height: float, *, round_ends: bool) -> NDArray[np.float64]:
    """Return the (n, 2) outline, from below, of a body that is turned about +z.

    Args:
        below: its radius there.
        above: its radius there.
        height: between the two.
        round_ends: whether half spheres close it, not flat ends.
    """
    angles = np.linspace(0, np.pi / 2, _SEGMENTS // 4 + 1) if round_ends else np.array([0.0])
    arc = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    low = (arc * (below, -below) - (0, height / 2))[::-1]
    high = arc * (above, above) + (0, height / 2)
    ends = [] if round_ends else [[0, -height / 2]], [] if round_ends else [[0, height / 2]]
    found: NDArray[np.float64] = np.concatenate(
        [np.reshape(ends[0], (-1, 2)), low, high, np.reshape(ends[1], (-1, 2))]
    )
    return found


def _body(prim: Any, kind: str, time: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
    """Return the triangles of a shape that is given by its measures; None where it is of another kind."""
    import trimesh.creation

    def number(name: str) -> float:
        return float(prim.GetAttribute(name).Get(time))

    if kind == "Cube":
        made: Any = trimesh.creation.box([number("size")] * 3)
    elif kind == "Sphere":
        made = trimesh.creation.uv_sphere(number("radius"), count=[_SEGMENTS, _SEGMENTS])
    elif kind == "Cylinder":
        made = trimesh.creation.cylinder(number("radius"), number("height"), sections=_SEGMENTS)
    elif kind == "Cone":
        made = trimesh.creation.cone(number("radius"), number("height"), sections=_SEGMENTS)
        made.apply_translation((0, 0, -number("height") / 2))
    elif kind == "Capsule":
        made = trimesh.creation.capsule(number("height"), number("radius"), count=[_SEGMENTS, _SEGMENTS])
        made.apply_translation(-made.bounds.mean(axis=0))
    elif kind in ("Cylinder_1", "Capsule_1"):
        below, above = number("radiusBottom"), number("radiusTop")
        made = trimesh.creation.revolve(
            _profile(below, above, number("height"), round_ends=kind == "Capsule_1"), sections=_SEGMENTS
        )
    elif kind == "Plane":
        w, h = number("width") / 2, number("length") / 2
        made = trimesh.Trimesh([[-w, -h, 0], [w, -h, 0], [w, h, 0], [-w, h, 0]], [[0, 1, 2], [0, 2, 3]])
    elif prim.IsA("Gprim") and not prim.IsA("PointBased"):
        raise HifaError(f"has a {kind}, which is not read: convert it to a mesh")
    else:
        return None
    axis = prim.GetAttribute("axis")
    turned = _ALONG[str(axis.Get(time))] if axis else np.eye(3)
    return np.asarray(made.vertices) @ turned.T, np.asarray(made.faces, dtype=np.int64)
