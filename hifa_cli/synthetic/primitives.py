"""The geometry that demo shapes are put together from: everything is a loft of rings or a sheet.

Lengths are metres, Z is up and +X is the front of a thing. A part is closed and wound outward unless
its maker says otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Point = Sequence[float] | Floats


@dataclass(frozen=True)
class Part:
    """A piece of one material.

    Attributes:
        vertices: (n, 3).
        faces: (m, 3) int32.
        role: what the piece is to the thing ("leg", "glass"): decides what it may be made of.
    """

    vertices: Floats
    faces: NDArray[np.int32]
    role: str

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> "Part":
        """Return the part, shifted.

        Args:
            x: along X.
            y: along Y.
            z: along Z.

        Returns:
            A new part.
        """
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def scaled(self, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> "Part":
        """Return the part, stretched about the origin; an odd number of negative factors keeps it outward.

        Args:
            x: factor along X.
            y: factor along Y.
            z: factor along Z.

        Returns:
            A new part.
        """
        faces = self.faces[:, ::-1] if x * y * z < 0 else self.faces
        return replace(self, vertices=self.vertices * np.array([x, y, z]), faces=faces)

    def turned(self, axis: str, degrees: float) -> "Part":
        """Return the part, turned about an axis through the origin, anticlockwise seen from the axis' tip."""
        return replace(self, vertices=apply(rotation(axis, degrees), self.vertices))


def rotation(axis: str, degrees: float) -> Floats:
    """Return the (3, 3) rotation about ``axis`` ("x", "y" or "z")."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first = "xyz".index(axis)
    second, third = (first + 1) % 3, (first + 2) % 3
    matrix = np.eye(3)
    matrix[[second, third], [second, third]] = cos
    matrix[third, second], matrix[second, third] = sin, -sin
    return matrix


def apply(matrix: Floats, points: Floats) -> Floats:
    """Return ``points @ matrix.T`` without BLAS, whose threads may round differently: (n, 3) -> (n, 3)."""
    return points[:, :1] * matrix[:, 0] + points[:, 1:2] * matrix[:, 1] + points[:, 2:] * matrix[:, 2]


def dot(first: Floats, second: Floats) -> Floats:
    """(n, 3) by (n, 3) or (3,): scalar products as (n, 1); quicker than a sum over so short an axis."""
    a, b = np.broadcast_arrays(first, second)
    return np.asarray(a[:, :1] * b[:, :1] + a[:, 1:2] * b[:, 1:2] + a[:, 2:] * b[:, 2:])


def cross(first: Floats, second: Floats) -> Floats:
    """Return (n, 3) by (n, 3): vector products; quicker than NumPy's general one."""
    (a, b, c), (d, e, f) = first.T, second.T
    return np.stack([b * f - c * e, c * d - a * f, a * e - b * d], axis=1)


def loft(rings: ArrayLike, role: str, *, capped: bool = True, looped: bool = False) -> Part:
    """Return the skin over a row of rings, each with as many points, wound outward.

    Args:
        rings: (k, s, 3); a ring may shrink to a point.
        role: see `Part`.
        capped: whether the first and last ring are filled (as fans: they must be star-shaped).
        looped: whether the last ring is joined to the first.

    Returns:
        One part.
    """
    points = np.asarray(rings, dtype=np.float64)
    count, sides = points.shape[:2]
    rows = np.arange(count if looped else count - 1)[:, None]
    columns = np.arange(sides)[None, :]
    here, beside = rows * sides + columns, rows * sides + (columns + 1) % sides
    above, across = (here + sides) % (count * sides), (beside + sides) % (count * sides)
    faces = [np.stack([here, beside, across], axis=-1), np.stack([here, across, above], axis=-1)]
    vertices = points.reshape(-1, 3)
    if capped and not looped:
        edge = np.arange(sides)
        for ring, centre, order in ((0, len(vertices), -1), (count - 1, len(vertices) + 1, 1)):
            near, far = ring * sides + edge, ring * sides + (edge + 1) % sides
            faces.append(np.stack([np.full(sides, centre), near, far], axis=-1)[:, ::order][None])
        vertices = np.concatenate([vertices, points[[0, -1]].mean(axis=1)])
    return _outward(vertices, np.concatenate([face.reshape(-1, 3) for face in faces]), role)


def _outward(vertices: Floats, faces: NDArray[np.int64], role: str) -> Part:
    """Drop the faces without area, that rings shrunk to a point leave, and wind the rest outward."""
    middle = vertices - vertices.mean(axis=0)
    first, second, third = middle[faces[:, 0]], middle[faces[:, 1]], middle[faces[:, 2]]
    doubled = cross(second - first, third - first)
    solid = dot(doubled, doubled)[:, 0] > 1e-18
    volume = dot(first, doubled).sum()
    kept = faces[solid] if volume >= 0 else faces[solid][:, ::-1]
    return Part(vertices, kept.astype(np.int32), role)


def lathe(profile: ArrayLike, role: str, *, sides: int = 24) -> Part:
    """Return a surface of revolution about Z.

    Args:
        profile: (k, 2) radius and height, from bottom to top (and down again on the inside, if hollow).
        role: see `Part`.
        sides: how many.

    Returns:
        One part, wound outward.
    """
    radius, height = np.asarray(profile, dtype=np.float64).T
    angle = np.arange(sides) * (2 * np.pi / sides)
    rings = np.stack(
        np.broadcast_arrays(
            radius[:, None] * np.cos(angle), radius[:, None] * np.sin(angle), height[:, None]
        ),
        axis=-1,
    )
    return loft(rings, role)


def tube(
    path: ArrayLike, radius: ArrayLike, role: str, *, sides: int = 10, looped: bool = False, flat: float = 1.0
) -> Part:
    """Return a round bar along a path, its section carried without twist.

    Args:
        path: (k, 3).
        radius: one for all, or (k,).
        role: see `Part`.
        sides: of the section.
        looped: whether the path closes.
        flat: how much wider the section is across than in its first normal's direction.

    Returns:
        One part, wound outward.
    """
    points = np.asarray(path, dtype=np.float64)
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(points))
    if looped:
        tangents = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    else:
        tangents = np.gradient(points, axis=0)
    tangents = tangents / np.linalg.norm(tangents, axis=1, keepdims=True)
    normals = _carried(tangents)
    across = np.cross(tangents, normals) * flat
    angle = np.arange(sides) * (2 * np.pi / sides) + np.pi / sides
    spokes = np.cos(angle)[None, :, None] * normals[:, None] + np.sin(angle)[None, :, None] * across[:, None]
    return loft(points[:, None] + radii[:, None, None] * spokes, role, looped=looped)


def _carried(tangents: Floats) -> Floats:
    """Unit normals along a path, each the last one made square to the new tangent."""
    normal = np.eye(3)[int(np.argmin(np.abs(tangents[0])))]
    normals = []
    for tangent in tangents:
        normal = normal - tangent * float((normal * tangent).sum())
        normal = normal / np.sqrt(float((normal * normal).sum()))
        normals.append(normal)
    return np.array(normals)


def rod(start: Point, end: Point, radius: ArrayLike, role: str, *, sides: int = 10) -> Part:
    """Return a straight round bar; ``radius`` is one number or the two at its ends.

    Args:
        start: (3,) of its axis.
        end: (3,) of its axis.
        radius: one number, or the two at its ends.
        role: see `Part`.
        sides: of the section.

    Returns:
        One part, wound outward.
    """
    return tube(np.array([start, end], dtype=np.float64), radius, role, sides=sides)


def box(size: Point, at: Point, role: str, *, bevel: float = 0.0, steps: int = 1) -> Part:
    """Return a block centred on ``at``, its edges rounded by ``bevel`` (a cushion if that is large).

    Args:
        size: of the three sides.
        at: the centre.
        role: see `Part`.
        bevel: radius of the edges, at most half the shortest side.
        steps: into how many pieces a flat and half a rounding is cut.

    Returns:
        One part, wound outward.
    """
    half = np.asarray(size, dtype=np.float64) / 2
    if bevel <= 0:
        corners, sides = _unit_block(steps)
        return Part(corners * half + np.asarray(at), sides, role)
    radius = min(bevel, 0.999 * float(half.min()))
    vertices, faces = _cube([_cuts(side, radius, steps) for side in half])
    inner = np.clip(vertices, radius - half, half - radius)
    out = vertices - inner
    vertices = inner + radius * out / np.sqrt(dot(out, out))
    return _outward(vertices + np.asarray(at, dtype=np.float64), faces, role)


@cache
def _unit_block(steps: int) -> tuple[Floats, NDArray[np.int32]]:
    vertices, faces = _cube([np.linspace(-1, 1, steps + 1)] * 3)
    part = _outward(vertices, faces, "")
    return part.vertices, part.faces


def _cuts(half: float, radius: float, steps: int) -> Floats:
    corner = np.tan(np.linspace(np.pi / 4, 0, steps + 1)) * radius  # even angles round the edge
    low = radius - half - corner
    flat = np.linspace(radius - half, half - radius, steps + 1)
    return np.concatenate([low, flat[1:-1], -low[::-1]])


def _cube(cuts: Sequence[Floats]) -> tuple[Floats, NDArray[np.int64]]:
    """Six grids of points on the faces of a block, and their triangles."""
    vertices: list[Floats] = []
    faces: list[NDArray[np.int64]] = []
    start = 0
    for axis in range(3):
        first, second = cuts[(axis + 1) % 3], cuts[(axis + 2) % 3]
        for end, order in ((0, -1), (-1, 1)):
            grid = np.zeros((len(first), len(second), 3))
            grid[..., axis] = cuts[axis][end]
            grid[..., (axis + 1) % 3], grid[..., (axis + 2) % 3] = first[:, None], second[None, :]
            faces.append(start + _grid_faces(len(first), len(second))[:, ::order])
            vertices.append(grid.reshape(-1, 3))
            start += len(vertices[-1])
    return np.concatenate(vertices), np.concatenate(faces)


def _grid_faces(rows: int, columns: int) -> NDArray[np.int64]:
    index = np.arange(rows * columns).reshape(rows, columns)
    here, right, below, across = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    lower, upper = np.stack([here, below, across], axis=-1), np.stack([here, across, right], axis=-1)
    return np.concatenate([lower.reshape(-1, 3), upper.reshape(-1, 3)])


def sheet(grid: ArrayLike, role: str) -> Part:
    """Return an open surface through an (r, c, 3) grid of points: cloth, which has no inside."""
    points = np.asarray(grid, dtype=np.float64)
    faces = _grid_faces(points.shape[0], points.shape[1])
    return Part(points.reshape(-1, 3), faces.astype(np.int32), role)


def ball(radii: Point, at: Point, role: str, *, sides: int = 16) -> Part:
    """Return an ellipsoid centred on ``at``.

    Args:
        radii: three, along X, Y and Z.
        at: the centre.
        role: see `Part`.
        sides: of its equator.

    Returns:
        One part, wound outward.
    """
    vertices, faces = _unit_ball(sides)
    return Part(vertices * np.asarray(radii) + np.asarray(at), faces, role)


@cache
def _unit_ball(sides: int) -> tuple[Floats, NDArray[np.int32]]:
    angle = np.linspace(-np.pi / 2, np.pi / 2, sides // 2 + 1)
    unit = lathe(np.stack([np.cos(angle).clip(0), np.sin(angle)], axis=1), "", sides=sides)
    return unit.vertices, unit.faces


def prism(outline: ArrayLike, thickness: float, role: str, *, bevel: float = 0.0) -> Part:
    """Return a plate in the XY plane about z = 0 with the given outline, star-shaped about its mean.

    Args:
        outline: (s, 2).
        thickness: along Z.
        role: see `Part`.
        bevel: how far the rim is rounded.

    Returns:
        One part, wound outward.
    """
    flat = np.asarray(outline, dtype=np.float64)
    centre = flat.mean(axis=0)
    reach = float(np.abs(flat - centre).max())
    half = thickness / 2
    steps = [(1.0, -half), (1.0, half)]
    if bevel > 0:
        soft = min(bevel, 0.49 * thickness)
        mild = 1 - 0.3 * soft / reach
        steps = [(1 - soft / reach, -half), (mild, 0.3 * soft - half), (1.0, soft - half)]
        steps += [(scale, -height) for scale, height in reversed(steps)]
    rings = [np.column_stack([centre + scale * (flat - centre), np.full(len(flat), z)]) for scale, z in steps]
    return loft(rings, role)


def oval(width: float, depth: float, *, power: float = 2.0, sides: int = 24) -> Floats:
    """Return a superellipse: ``power`` 2 is an ellipse, 8 nearly a rectangle.

    Args:
        width: in all, along X.
        depth: in all, along Y.
        power: of the superellipse.
        sides: how many points.

    Returns:
        (sides, 2), counterclockwise.
    """
    angle = (np.arange(sides) + 0.5) * (2 * np.pi / sides)
    cos, sin = np.cos(angle), np.sin(angle)
    x = np.sign(cos) * np.abs(cos) ** (2 / power) * width / 2
    y = np.sign(sin) * np.abs(sin) ** (2 / power) * depth / 2
    return np.stack([x, y], axis=1)


def curve(points: ArrayLike, count: int, *, looped: bool = False) -> Floats:
    """Return a smooth (count, d) Catmull-Rom curve through ``points`` (k, d).

    Args:
        points: (k, d) to pass through.
        count: of points wanted.
        looped: whether it closes.

    Returns:
        (count, d).
    """
    knots = np.asarray(points, dtype=np.float64)
    if looped:
        knots = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    spans = len(knots) - 3
    where = np.linspace(0, spans, count, endpoint=not looped)
    span = np.minimum(where.astype(np.int64), spans - 1)
    t = (where - span)[:, None]
    a, b, c, d = (knots[span + step] for step in range(4))
    return np.asarray(
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    )
