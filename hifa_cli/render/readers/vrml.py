"""VRML 97: the triangles of a scene as it stands when it is opened (ISO/IEC 14772-1, clauses 4 and 6).

Lights, sounds, cameras, sensors, scripts and materials change no grey view and are passed over. A node that
is not known is refused by name: it might be a part of the shape.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.parsing import Polygons
from hifa_cli.render.polygons import triangles
from hifa_cli.render.readers import vrml_bodies as bodies
from hifa_cli.render.readers.parts import Arrays, Parts
from hifa_cli.render.readers.textual import bytes_of, utf8
from hifa_cli.render.readers.vrml_parser import Link, Node, Parser

MOST_NODES = 200_000  # with all copies
MOST_DEPTH = 200  # of prototypes in prototypes
_BEGIN = b"#VRML V2.0"
_GROUPS = ("Group", "Transform", "Anchor", "Billboard", "Collision")
_LINES = ("IndexedLineSet", "PointSet")
_GEOMETRY = ("Box", "Cone", "Cylinder", "ElevationGrid", "Extrusion", "IndexedFaceSet", "Sphere", "Text")
_UNSEEN = frozenset((
    "Appearance", "Color", "Coordinate", "FontStyle", "ImageTexture", "Material", "MovieTexture", "Normal",
    "PixelTexture", "TextureCoordinate", "TextureTransform",
    "AudioClip", "Background", "ColorInterpolator", "CoordinateInterpolator", "CylinderSensor",
    "DirectionalLight", "Fog", "NavigationInfo", "NormalInterpolator", "OrientationInterpolator",
    "PlaneSensor", "PointLight", "PositionInterpolator", "ProximitySensor", "ScalarInterpolator", "Script",
    "Sound", "SphereSensor", "SpotLight", "TimeSensor", "TouchSensor", "Viewpoint", "VisibilitySensor",
    "WorldInfo",
))  # fmt: skip

Floats = NDArray[np.float64]


def read(path: Path) -> Arrays:
    """Read the triangles of everything in the scene; +y is up.

    Raises:
        HifaError: it is damaged, or has nodes that are not read; the message names one.
    """
    text = utf8(bytes_of(path)).tobytes().removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith(_BEGIN):
        if not text.startswith(b"#VRML"):
            raise HifaError(f"is not VRML 97: it does not begin with '{_BEGIN.decode()}'")
        kind = text[:20].splitlines()[0].decode("latin-1").strip("# ")
        raise HifaError(f"is {kind}: only VRML 97 ('{_BEGIN.decode()}') is read; convert it to GLB")
    scene = Scene()
    with np.errstate(invalid="ignore", over="ignore"):  # numbers that are none are told by who uses them
        scene.add(Parser(text).scene())
    vertices, faces = scene.parts.joined()
    if not len(faces) and scene.lines:
        raise HifaError("has points or lines but no faces: make a surface of it first")
    if not len(faces) and scene.remarks:
        raise HifaError("has texts but no faces: texts are not drawn")
    if not len(faces):
        raise HifaError("is empty: its scene shows no faces")
    return (vertices, faces, "; ".join(scene.remarks))


class Fields:
    """A node's fields, and those of the prototype that it stands in."""

    def __init__(self, node: Node, above: "Fields | None" = None) -> None:
        self.node, self.above = node, above
        self.depth: int = 0 if above is None else above.depth + 1
        if self.depth > MOST_DEPTH:
            raise HifaError(f"has prototypes nested deeper than {MOST_DEPTH}: flatten the scene")

    def get(self, name: str) -> Any:
        """Return a field's value; None where it is not given."""
        return self._found(name)[0]

    def _found(self, name: str) -> "tuple[Any, Fields | None]":
        """Return a field's value, and the prototype's node in which it is written."""
        found = self.node.fields.get(name)
        if isinstance(found, Link):
            found, scope = (None, None) if self.above is None else self.above._found(found.name)
            if found is not None:
                return found, scope
        if found is None and self.node.prototype is not None:
            return self.node.prototype.defaults.get(name), None
        return found, self.above

    def numbers(self, name: str, default: tuple[float, ...]) -> Floats:
        """Return as many numbers as the default has.

        Raises:
            HifaError: there are more or fewer, or they are not finite.
        """
        found = self.get(name)
        if found is None:
            return np.array(default, dtype=np.float64)
        if not isinstance(found, np.ndarray) or len(found) != len(default) or not np.isfinite(found).all():
            raise HifaError(f"has a damaged {self.node.kind}: its {name} is not {len(default)} numbers")
        return found

    def number(self, name: str, default: float) -> float:
        """Return one number."""
        return float(self.numbers(name, (default,))[0])

    def true(self, name: str, default: bool) -> bool:
        """Return a truth."""
        found = self.get(name)
        return found if isinstance(found, bool) else default

    def table(self, name: str, width: int, default: tuple[float, ...] = ()) -> Floats:
        """Return a list's numbers in rows.

        Args:
            name: of the field.
            width: numbers in a row.
            default: those of a field that is not given.

        Returns:
            (n, width) numbers.

        Raises:
            HifaError: they do not fill whole rows.
        """
        found = self.get(name)
        if found is None or (isinstance(found, list) and not found):
            found = np.array(default, dtype=np.float64)
        if not isinstance(found, np.ndarray) or len(found) % width:
            many = len(found) if isinstance(found, np.ndarray) else 0
            raise HifaError(
                f"is damaged: a {self.node.kind} has a {name} of {many} numbers, not of {width} each"
            )
        return found.reshape(-1, width)

    def nodes(self, name: str) -> "list[Fields]":
        """Return the fields of nodes, each with the prototype's node in which it is written."""
        found, scope = self._found(name)
        return (
            [Fields(one, scope) for one in found if isinstance(one, Node)] if isinstance(found, list) else []
        )


class Scene:
    """The drawn parts of a scene, collected while it is walked."""

    def __init__(self) -> None:
        self.parts = Parts()
        self.lines = 0
        self.remarks: list[str] = []
        self._seen = 0

    def add(self, nodes: list[Node]) -> None:
        """Add what nodes show.

        Raises:
            HifaError: one of them is not read, or they are too many.
        """
        stack = [(Fields(node), np.eye(4)) for node in reversed(nodes)]
        while stack:
            fields, place = stack.pop()
            kind = fields.node.kind
            self._seen += 1
            if self._seen > MOST_NODES:
                raise HifaError(f"has more than {MOST_NODES:,} nodes with all copies: flatten the scene")
            if fields.node.prototype is not None:
                stack.append((_unwrapped(fields), place))
            elif kind == "Shape":
                self._shape(fields, place)
            else:
                place = place @ _transform(fields) if kind == "Transform" else place
                stack += [(one, place) for one in reversed(self._below(fields))]

    def _below(self, fields: Fields) -> list[Fields]:
        """Return the nodes that one shows."""
        kind = fields.node.kind
        if kind in _GROUPS:
            return fields.nodes("children")
        if kind == "Switch":
            chosen, choices = fields.number("whichChoice", -1), fields.nodes("choice")
            return choices[int(chosen) : int(chosen) + 1] if 0 <= chosen < len(choices) else []
        if kind == "LOD":
            return fields.nodes("level")[:1]  # the nearest, which is the finest
        if kind == "Inline":
            names = fields.get("url")
            name = (
                next((one[:80] for one in names if isinstance(one, str)), "")
                if isinstance(names, list)
                else ""
            )
            raise HifaError(f"has a part in another file by Inline ({name}), which is not opened: put it in")
        if kind in _GEOMETRY:
            raise HifaError(f"is damaged: it has the VRML node {kind} outside of a Shape")
        if kind not in _UNSEEN:
            raise HifaError(f"has the VRML node {kind[:60]}, which is not read: convert it to GLB")
        return []

    def _shape(self, fields: Fields, place: Floats) -> None:
        for inside in map(_unwrapped, fields.nodes("geometry")):
            kind = inside.node.kind
            if kind in _LINES:
                self.lines += 1
            elif kind == "Text":
                said = "drawn without its texts, which do not belong to a shape"
                self.remarks += [said] if said not in self.remarks else []
            else:
                polygons = _body(inside)
                faces = triangles(polygons)
                self.parts.add(
                    polygons.vertices, faces if inside.true("ccw", True) else faces[:, ::-1], place
                )


def _unwrapped(fields: Fields) -> Fields:
    """Return the node that a prototype stands for; a prototype can only use those before it."""
    while (prototype := fields.node.prototype) is not None:
        if not prototype.nodes:
            raise HifaError(f"is damaged: the prototype {fields.node.kind[:60]} has no node")
        fields = Fields(prototype.nodes[0], fields)
    return fields


def _transform(fields: Fields) -> Floats:
    """Return (4, 4) of a Transform: T · C · R · SR · S · −SR · −C (6.52)."""
    turn = bodies.rotation(fields.numbers("rotation", (0, 0, 1, 0)))
    skew = bodies.rotation(fields.numbers("scaleOrientation", (0, 0, 1, 0)))
    centre = fields.numbers("center", (0, 0, 0))
    place = np.eye(4)
    place[:3, :3] = turn @ skew @ np.diag(fields.numbers("scale", (1, 1, 1))) @ skew.T
    place[:3, 3] = fields.numbers("translation", (0, 0, 0)) + centre - place[:3, :3] @ centre
    return place


def _body(fields: Fields) -> Polygons:
    """Return the polygons of a geometry node.

    Raises:
        HifaError: it is of a kind that is not read, or damaged.
    """
    kind = fields.node.kind
    if kind == "IndexedFaceSet":
        return _face_set(fields)
    if kind == "Box":
        return bodies.box(fields.numbers("size", (2, 2, 2)))
    if kind == "Sphere":
        return bodies.sphere(fields.number("radius", 1))
    if kind in ("Cone", "Cylinder"):
        return _turned(fields)
    if kind == "ElevationGrid":
        counts = int(fields.number("xDimension", 0)), int(fields.number("zDimension", 0))
        spacing = fields.number("xSpacing", 1), fields.number("zSpacing", 1)
        return bodies.heights(counts, spacing, fields.table("height", 1).ravel())
    if kind == "Extrusion":
        swept = bodies.Swept(
            fields.table("crossSection", 2, (1, 1, 1, -1, -1, -1, -1, 1, 1, 1)),
            fields.table("spine", 3, (0, 0, 0, 0, 1, 0)), fields.table("scale", 2, (1, 1)),
            fields.table("orientation", 4, (0, 0, 1, 0)), fields.true("beginCap", True),
            fields.true("endCap", True),
        )  # fmt: skip
        return bodies.extrusion(swept)
    raise HifaError(f"has the VRML node {kind[:60]}, which is not read: convert it to GLB")


def _turned(fields: Fields) -> Polygons:
    cone = fields.node.kind == "Cone"
    below = fields.number("bottomRadius" if cone else "radius", 1)
    return bodies.turned(
        (below, 0 if cone else below), fields.number("height", 2), side=fields.true("side", True),
        bottom=fields.true("bottom", True), top=not cone and fields.true("top", True),
    )  # fmt: skip


def _face_set(fields: Fields) -> Polygons:
    """Return the polygons of an IndexedFaceSet (6.23): corners are parted by −1."""
    points = np.empty((0, 3))
    for found in map(_unwrapped, fields.nodes("coord")):
        if found.node.kind != "Coordinate":
            raise HifaError(f"has the VRML node {found.node.kind[:60]}, which is not read: convert it to GLB")
        points = found.table("point", 3)
    listed = fields.table("coordIndex", 1).ravel()
    with np.errstate(invalid="ignore"):
        corners = np.where(np.abs(listed) < 1 << 53, listed, 1 << 53).astype(np.int64)
    if len(corners) and corners[-1] >= 0:
        corners = np.append(corners, -1)
    ends = np.flatnonzero(corners < 0)
    starts = np.concatenate([[0], ends + 1 - np.arange(1, len(ends) + 1)])
    return Polygons(points, starts.astype(np.int64), corners[corners >= 0])
