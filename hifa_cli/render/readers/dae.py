"""COLLADA: the triangles of its geometry where its scene puts them; nothing else of it is looked at.

Materials, effects, images, cameras, lights, normals and animations may be missing or damaged: grey views
need none. What would leave a part of the shape out is refused.
"""

import codecs
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render import validate
from hifa_cli.render.parsing import Polygons, numbers_of
from hifa_cli.render.polygons import triangles
from hifa_cli.render.readers import ply
from hifa_cli.render.readers.holes import one_ring
from hifa_cli.render.readers.parts import Parts
from hifa_cli.render.readers.textual import refuse_commas
from hifa_cli.render.readers.xmltree import SAFE, child, children, name_of, narrow, parsed

MOST_NODES = 200_000  # with all copies
MOST_DEPTH = 2_000
MOST_CONTROLLERS = 100  # of which one is the source of the next
_NAMED = ("geometry", "controller", "node", "visual_scene", "source", "float_array", "int_array", "vertices")
_TRANSFORMS = {"matrix": 16, "translate": 3, "rotate": 4, "scale": 3, "lookat": 9, "skew": 7}
_CURVES = ("lines", "linestrips")
_SURFACES = ("triangles", "polylist", "polygons", "tristrips", "trifans")

Body = tuple[NDArray[np.float64], NDArray[np.int64]]


def read(path: Path) -> Body:
    """Read the triangles of the scene, or of all geometry in a file without a scene.

    Raises:
        HifaError: it is not COLLADA, or a part of it cannot be drawn; the message names the part.
    """
    validate.check_xml(path)
    root = parsed(path.read_bytes(), ".dae")
    if name_of(root) != "COLLADA":
        raise HifaError(f"cannot be read as .dae: it is XML of another kind ('{name_of(root)[:40]}')")
    if children(root, "library"):
        raise HifaError(f"is COLLADA {root.get('version', '1.3')[:8]}: only 1.4 and 1.5 are read; convert it")
    with np.errstate(invalid="ignore", over="ignore"):  # numbers that are none are told by who uses them
        return _shown(Document(root))


def _shown(document: "Document") -> Body:
    """Return vertices and triangles of what a document's scene shows."""
    parts = Parts()
    skeletons: dict[tuple[Any, bytes], set[str]] = {}
    for instance, place in document.instances():
        geometry, bind = document.source_of(instance)
        if bind is not None and (place == np.eye(4)).all():
            place = bind  # programs write where a skin lies here, or at its node: never both
        if bind is not None:
            said = skeletons.setdefault((geometry, place.tobytes()), set())
            said.add(" ".join((one.text or "").strip() for one in children(instance, "skeleton")))
            if len(said) > 1:  # its pose would tell them apart
                raise HifaError(
                    "has one skin on several skeletons, whose poses are not read: write a mesh each"
                )
        for vertices, faces in document.bodies(geometry):
            parts.add(vertices, faces, place)
    vertices, faces = parts.joined()
    if not len(faces):
        _refuse_empty(document)
    return vertices, faces


def _refuse_empty(document: "Document") -> None:
    """Say why a document shows no faces, where more can be said than that it is empty.

    Raises:
        HifaError: it has curves, or geometry that its scene does not show.
    """
    kinds = {name_of(one) for one in document.root.iter()}
    if kinds.intersection(_SURFACES):
        raise HifaError("shows no faces: its scene has none of its geometry, or their lists are empty")
    if kinds.intersection((*_CURVES, "spline")):
        raise HifaError("has lines but no faces: make a surface of it first")


def up_axis(path: Path) -> Literal["x", "y", "z"]:
    """Return the axis that a file says is up; y where it says none, as COLLADA has it."""
    axes: dict[str, Literal["x", "y", "z"]] = {"X_UP": "x", "Y_UP": "y", "Z_UP": "z"}
    try:
        for asset in _assets(path):
            above = asset.getparent()
            if above is not None and above.getparent() is None:
                said = child(asset, "up_axis")
                return axes.get((said.text or "").strip().upper(), "y") if said is not None else "y"
    except (HifaError, OSError):
        pass
    return "y"


def _assets(path: Path) -> Iterator[Any]:
    """Yield the <asset> elements, by what is ASCII in any encoding."""
    from lxml import etree

    careful = {**SAFE, "huge_tree": False}  # nobody has looked for entities yet
    with path.open("rb") as opened:
        head = opened.read(64)
        wide = b"\0" in head
        file: IO[bytes] = BytesIO(narrow(head + opened.read())) if wide else opened
        if not wide:
            file.seek(3 if head.startswith(codecs.BOM_UTF8) else 0)
        try:
            found = etree.iterparse(
                file, events=("end",), tag="{*}asset", recover=True, encoding="iso-8859-1", **careful
            )
            yield from (asset for _, asset in found)
        except etree.XMLSyntaxError:
            return


class Document:
    """A COLLADA document: what its ids name, and its geometry as it is asked for."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._named: dict[tuple[str, str], Any] = {}
        for element in root.iter():
            if (kind := name_of(element)) in _NAMED and (identity := element.get("id")) is not None:
                self._named.setdefault((kind, identity), element)
        self._bodies: dict[Any, list[Body]] = {}
        self._points: dict[Any, NDArray[np.float64]] = {}

    def _find(self, url: str | None, *kinds: str) -> Any:
        """Return what a reference names.

        Raises:
            HifaError: it is in another file, or nowhere.
        """
        file, _, name = (url or "").strip().rpartition("#")
        if file:
            raise HifaError(f"names a part in another file ({file[:80]}), which is not opened: put it in")
        for one in (name, unquote(name)):
            for kind in kinds:
                if (found := self._named.get((kind, one))) is not None:
                    return found
        raise HifaError(f"names a {kinds[0]} that it does not have ('{name[:80]}')")

    def instances(self) -> Iterator[tuple[Any, NDArray[np.float64]]]:
        """Yield what the scene shows, with the (4, 4) matrix that puts it in its place.

        Raises:
            HifaError: nodes go round in a circle, are too many or too deep, or one is nowhere.
        """
        scenes = [
            self._find(one.get("url"), "visual_scene")
            for scene in children(self.root, "scene")
            for one in children(scene, "instance_visual_scene")
        ]
        scenes = scenes or [one for kind, one in self._of_kind("visual_scene")][:1]
        if not scenes:
            yield from ((one, np.eye(4)) for _, one in self._of_kind("geometry"))
            return
        waiting = [(scene, np.eye(4), 1) for scene in scenes]
        seen = 0
        while waiting:
            node, place, depth = waiting.pop()
            seen += 1
            if seen > MOST_NODES or depth > MOST_DEPTH:
                raise HifaError(
                    f"has nodes in a circle, or more than {MOST_NODES:,} copies of them: flatten the scene"
                )
            place = place @ _transform(node)
            for one in node:
                kind = name_of(one)
                if kind == "node":
                    waiting.append((one, place, depth + 1))
                elif kind == "instance_node":
                    waiting.append((self._find(one.get("url"), "node"), place, depth + 1))
                elif kind in ("instance_geometry", "instance_controller"):
                    yield one, place

    def _of_kind(self, kind: str) -> list[tuple[str, Any]]:
        return [(name, one) for (named, name), one in self._named.items() if named == kind]

    def source_of(self, instance: Any) -> tuple[Any, NDArray[np.float64] | None]:
        """Return the geometry that an instance shows, under its controllers, and where a skin lies."""
        if name_of(instance) == "geometry":
            return instance, None
        kinds = ("geometry", "controller")
        if name_of(instance) == "instance_controller":
            kinds = ("controller", "geometry")
        found, bind = self._find(instance.get("url"), *kinds), None
        for _ in range(MOST_CONTROLLERS):
            if name_of(found) == "geometry":
                return found, bind
            skin = next(iter(children(found, "skin", "morph")), None)
            if skin is None:
                raise HifaError(f"has a controller without a skin or morph ('{found.get('id')}')")
            if (matrix := child(skin, "bind_shape_matrix")) is not None:
                bind = _numbers(matrix, 16).reshape(4, 4)
            found = self._find(skin.get("source"), "geometry", "controller")
        raise HifaError("has controllers in a circle")

    def bodies(self, geometry: Any) -> list[Body]:
        """Vertices and triangles of each primitive of a geometry.

        Raises:
            HifaError: it is of a kind that has no triangles, or lacks its positions.
        """
        if geometry not in self._bodies:
            self._bodies[geometry] = [
                body
                for mesh in children(geometry, "mesh", "convex_mesh")
                for body in (self._body(one) for one in _surfaces(mesh))
                if body is not None
            ]
            hulls = [one for one in children(geometry, "convex_mesh") if one.get("convex_hull_of")]
            if others := [*hulls, *children(geometry, "brep")]:
                raise HifaError(f"has geometry of a kind that is not drawn ('{name_of(others[0])}'): mesh it")
        return self._bodies[geometry]

    def _body(self, primitive: Any) -> Body | None:
        inputs = children(primitive, "input")
        lists = children(primitive, "p", "ph")
        if not lists:
            return None
        corner = next((one for one in inputs if one.get("semantic") in ("VERTEX", "POSITION")), None)
        if corner is None:
            raise HifaError("has faces without vertices: no input of a primitive is VERTEX")
        offsets = [_whole(one.get("offset")) for one in inputs]
        points = self._positions(corner)
        return points, _faces(primitive, points, max(offsets) + 1, _whole(corner.get("offset")))

    def _positions(self, given: Any) -> NDArray[np.float64]:
        source = self._find(given.get("source"), "vertices", "source")
        if name_of(source) == "vertices":
            found = next((one for one in source if one.get("semantic") == "POSITION"), None)
            if found is None:
                raise HifaError(f"has vertices without positions ('{source.get('id')}')")
            source = self._find(found.get("source"), "source")
        if source not in self._points:
            self._points[source] = self._read_source(source)
        return self._points[source]

    def _read_source(self, source: Any) -> NDArray[np.float64]:
        """Return (n, 3) points of a source, by its accessor where it has one."""
        accessor = next((one for one in source.iter() if name_of(one) == "accessor"), None)
        array = next(iter(children(source, "float_array", "int_array")), None)
        if array is None and accessor is not None:
            array = self._find(accessor.get("source"), "float_array", "int_array")
        if array is None:
            raise HifaError(f"has positions without numbers ('{source.get('id')}')")
        text = np.frombuffer((array.text or "").encode(), dtype=np.uint8)
        values, _ = numbers_of(text) if len(text) else (np.empty(0), None)
        refuse_commas(values, text)
        if len(values) and not np.isfinite(values).any():
            raise HifaError(f"has positions that are not numbers ('{source.get('id')}')")
        stride, begin, axes = 3, 0, [0, 1, 2]
        if accessor is not None:
            names = [(one.get("name") or "").upper() for one in children(accessor, "param")]
            stride = _whole(accessor.get("stride")) or len(names) or 3
            begin = _whole(accessor.get("offset"))
            axes = _axes(names, stride)
        if max(axes) >= stride:
            raise HifaError(f"has positions of fewer than two numbers ('{source.get('id')}')")
        values = values[begin:]
        found = values[: len(values) // stride * stride].reshape(-1, stride)[:, axes]
        points = np.zeros((len(found), 3))
        points[:, : len(axes)] = found
        return points


def _axes(names: list[str], stride: int) -> list[int]:
    """Return which numbers of a position are x, y and z; those in a plane have no z."""
    wanted = "XYZ" if "Z" in names or stride > 2 else "XY"
    if all(axis in names for axis in wanted):
        return [names.index(axis) for axis in wanted]
    return list(range(len(wanted)))


def _surfaces(mesh: Any) -> list[Any]:
    return children(mesh, *_SURFACES)


def _whole(text: str | None, missing: int = 0) -> int:
    """Return a small whole number of an attribute."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else missing


def _numbers(element: Any, count: int) -> NDArray[np.float64]:
    """Return the numbers of a transform.

    Raises:
        HifaError: it has not as many as it must.
    """
    text = np.frombuffer(((element.text or "") + " ").encode(), dtype=np.uint8)
    values, _ = numbers_of(text)
    refuse_commas(values, text)
    if len(values) != count or not np.isfinite(values).all():
        raise HifaError(f"has a damaged <{name_of(element)}>: {count} numbers are wanted")
    return values


def _transform(node: Any) -> NDArray[np.float64]:
    """Return (4, 4) of a node's transforms, the last one applied first."""
    place = np.eye(4)
    for one in node:
        kind = name_of(one)
        if kind in _TRANSFORMS:
            if kind == "skew":
                raise HifaError("has a node with <skew>, which is not drawn: bake it into the mesh")
            place = place @ _matrix(kind, _numbers(one, _TRANSFORMS[kind]))
    return place


def _matrix(kind: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    if kind == "matrix":
        return values.reshape(4, 4)
    matrix = np.eye(4)
    if kind == "translate":
        matrix[:3, 3] = values
    elif kind == "scale":
        matrix[:3, :3] = np.diag(values)
    elif kind == "rotate":
        matrix[:3, :3] = _rotation(values[:3], float(np.radians(values[3])))
    else:
        matrix[:3] = _looking(*values.reshape(3, 3))
    return matrix


def _rotation(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    length = float(np.linalg.norm(axis))
    if not length:
        return np.eye(3)
    x, y, z = axis / length
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: NDArray[np.float64] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return rotation


def _looking(
    eye: NDArray[np.float64], interest: NDArray[np.float64], up: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (3, 4): what is at the origin and looks along −z comes to the eye and looks at the interest."""
    back = eye - interest
    right = np.cross(up, back)
    if not (np.linalg.norm(right) > 0):
        raise HifaError("has a damaged <lookat>: its directions are parallel")
    back, right = back / np.linalg.norm(back), right / np.linalg.norm(right)
    return np.stack([right, np.cross(back, right), back, eye], axis=1)


def _faces(primitive: Any, points: NDArray[np.float64], stride: int, offset: int) -> NDArray[np.int64]:
    """Return (m, 3) triangles of one primitive."""
    kind = name_of(primitive)
    rings = [_corners(one, stride, offset) for one in children(primitive, "p")]
    starts = np.cumsum([0, *(len(ring) for ring in rings)])
    corners = np.concatenate([*rings, np.empty(0, dtype=np.int64)])
    if kind == "triangles":
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if kind == "tristrips":
        return ply.apart(starts, corners)
    if kind == "trifans":
        fans = [
            np.stack([ring[1:-1] * 0 + ring[0], ring[1:-1], ring[2:]], 1) for ring in rings if len(ring) > 2
        ]
        return np.concatenate([*fans, np.empty((0, 3), dtype=np.int64)])
    if kind == "polylist":
        starts = _starts(primitive, len(corners))
        return triangles(Polygons(points, starts, corners))
    holed = [_holed(one, points, stride, offset) for one in children(primitive, "ph")]
    rings += [ring for ring in holed if ring is not None]
    starts = np.cumsum([0, *(len(ring) for ring in rings)])
    return triangles(Polygons(points, starts, np.concatenate([*rings, np.empty(0, dtype=np.int64)])))


def _starts(primitive: Any, corners: int) -> NDArray[np.int64]:
    """Return where each polygon of a list begins.

    Raises:
        HifaError: the lengths of the polygons do not add up to the corners that are listed.
    """
    given = child(primitive, "vcount")
    text = (given.text or "") if given is not None else ""
    values, _ = numbers_of(np.frombuffer((text + " ").encode(), dtype=np.uint8))
    if not (values >= 0).all() or values.sum() != corners:
        raise HifaError(f"has polygons of {values.sum():.0f} corners and lists {corners}: it is damaged")
    return np.cumsum(np.append(0, values)).astype(np.int64)


def _corners(element: Any, stride: int, offset: int) -> NDArray[np.int64]:
    """Return the vertices that a <p> names; −1 for what is not a number."""
    text = "".join(element.itertext())
    values, _ = numbers_of(np.frombuffer((text + " ").encode(), dtype=np.uint8))
    named = values[: len(values) // stride * stride].reshape(-1, stride)[:, offset]
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(named) < 1 << 53, named, -1).astype(np.int64)


def _holed(element: Any, points: NDArray[np.float64], stride: int, offset: int) -> Any:
    """Return a polygon with holes as one ring; None where it names vertices that do not exist."""
    rings = [_corners(one, stride, offset) for one in (*children(element, "p"), *children(element, "h"))]
    if not rings or any((ring < 0).any() or (ring >= len(points)).any() for ring in rings):
        return None
    if len(rings[0]) < 3 or not np.isfinite(points[np.concatenate(rings)]).all():
        return None
    return one_ring(points, rings[0], rings[1:])
