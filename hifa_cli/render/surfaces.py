"""Compare surfaces of meshes: samples, invariants under rotation, alignment, and distances.

All lengths are in units of a mesh's RMS radius, the root of the mean squared distance of its surface to the
surface's centroid, so that they do not change with the mesh's size.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from hifa_cli.errors import HifaError
from hifa_cli.render.compiled import compiled
from hifa_cli.render.meshes import Mesh

Points = NDArray[np.float64]
SAMPLES = 1024  # points of a surface that its invariants are taken from
DENSE = 4000  # points of a surface that give a first guess at the triangle nearest to a point
PROBES = 400  # points whose distances are measured, each way
EXACT = 1e-3  # greatest distance of surfaces that are said to be the same: beyond the rounding of text files
_PAIRS_AT = np.linspace(0.02, 0.98, 17)
_RADII_AT = np.linspace(0.02, 0.98, 9)
_ALIKE = 0.12  # relative difference of two principal moments below which their axes may be exchanged
_ITERATIONS = 12
_STARTS = 6


class Surface(NamedTuple):
    """A mesh's surface in its own standard frame.

    Attributes:
        triangles: (n, 3, 3) corners; the centroid lies at the origin and the RMS radius is 1.
        areas: (n,) areas of the triangles.
        centre: (3,) centroid in the file's units.
        radius: RMS radius in the file's units.
        moments: (3,) principal second moments, greatest first; their sum is 1.
        axes: (3, 3) principal axes as columns, right-handed.
        invariants: (29,) the moments, quantiles of distances between points and of distances to the centroid.
    """

    triangles: Points
    areas: NDArray[np.float64]
    centre: Points
    radius: float
    moments: NDArray[np.float64]
    axes: Points
    invariants: NDArray[np.float64]


class Alignment(NamedTuple):
    """Say how one surface lies on another.

    Attributes:
        rotation: (3, 3) orthogonal; its determinant is −1 where the surface was mirrored.
        mean: mean distance between the surfaces, the greater of the two directions, in RMS radii.
        farthest: greatest distance of a point that was measured, in RMS radii.
    """

    rotation: Points
    mean: float
    farthest: float

    @property
    def mirrored(self) -> bool:
        """Return whether one surface is the mirror image of the other."""
        return bool(np.linalg.det(self.rotation) < 0)

    @property
    def angle(self) -> float:
        """Return the angle of the rotation in degrees; of a mirrored one, of its proper part."""
        proper = self.rotation * (-1 if self.mirrored else 1)
        return math.degrees(math.acos(min(1.0, max(-1.0, (float(np.trace(proper)) - 1) / 2))))


def surface_of(mesh: Mesh, *, seed: int = 0) -> Surface:
    """Return a mesh's surface in its standard frame.

    Args:
        mesh: triangles in any units.
        seed: of the points that the invariants are taken from.

    Raises:
        HifaError: the surface has no area.
    """
    corners = np.asarray(mesh.vertices, dtype=np.float64)[mesh.faces]
    rough = max(float(np.abs(corners - corners.mean(axis=(0, 1))).max()), 1e-300)
    centre = corners.mean(axis=(0, 1))
    corners = (corners - centre) / rough  # large or tiny units would lose digits in products
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    total = float(areas.sum())
    if not total > 0:
        raise HifaError("has no area to compare")
    centroid = (areas[:, None] * corners.mean(axis=1)).sum(axis=0) / total
    corners -= centroid
    sums = corners.sum(axis=1)
    outer = np.einsum("nki,nkj->nij", corners, corners) + np.einsum("ni,nj->nij", sums, sums)
    moments, axes = np.linalg.eigh(np.einsum("n,nij->ij", areas, outer) / (12 * total))
    radius = math.sqrt(float(moments.sum()))
    moments, axes = moments[::-1] / radius**2, axes[:, ::-1].copy()
    if np.linalg.det(axes) < 0:
        axes[:, 2] *= -1
    corners /= radius
    areas /= radius**2
    invariants = np.concatenate([moments, _quantiles(sample(corners, areas, SAMPLES, seed)[0])])
    return Surface(corners, areas, centre + centroid * rough, radius * rough, moments, axes, invariants)


def sample(
    triangles: Points, areas: NDArray[np.float64], count: int, seed: int
) -> tuple[Points, NDArray[np.int64]]:
    """Return (count, 3) points spread evenly over a surface, and the triangle of each.

    Args:
        triangles: (n, 3, 3) corners.
        areas: (n,) their areas.
        count: how many points.
        seed: of the places within the triangles.

    Returns:
        Points and triangles.
    """
    generator = np.random.default_rng(seed)
    steps = (np.arange(count) + generator.random(count)) / count  # one point in each equal share of the area
    cumulated = np.cumsum(areas)
    which = np.minimum(np.searchsorted(cumulated, steps * cumulated[-1]), len(areas) - 1)
    first, second = np.sqrt(generator.random(count)), generator.random(count)
    weights = np.stack([1 - first, first * (1 - second), first * second], axis=1)
    return np.einsum("nk,nki->ni", weights, triangles[which]), which


def _quantiles(points: Points) -> NDArray[np.float64]:
    half = np.random.default_rng(1).permutation(len(points))
    one, other = points[half[: len(half) // 2]], points[half[len(half) // 2 :]]
    apart = np.linalg.norm(one[:, None] - other[None], axis=2)
    return np.concatenate(
        [np.quantile(apart, _PAIRS_AT), np.quantile(np.linalg.norm(points, axis=1), _RADII_AT)]
    )


class _Target:
    """Find the points of a surface that are nearest to given points."""

    def __init__(self, surface: Surface, seed: int) -> None:
        self.surface = surface
        points, self.which = sample(surface.triangles, surface.areas, DENSE, seed)
        self.tree = cKDTree(points)
        self.low = surface.triangles.min(axis=1)
        self.high = surface.triangles.max(axis=1)

    def rough(self, points: Points) -> float:
        """Return the mean distance of points to the nearest sample of the surface."""
        return float(self.tree.query(points)[0].mean())

    def nearest(self, points: Points) -> tuple[Points, NDArray[np.int64]]:
        """Return the nearest of the surface's points, and their triangles."""
        guesses = self.which[self.tree.query(points)[1]]
        return nearest_on(np.ascontiguousarray(points), self.surface.triangles, self.low, self.high, guesses)


def align(one: Surface, other: Surface, *, give_up: float = math.inf, seed: int = 0) -> Alignment | None:
    """Lay one surface on another by rotation, and by a mirror where no rotation does as well.

    Starts are the identity and what carries principal axes to principal axes, in every order that the moments
    leave open; the best are refined by point-to-plane ICP (Chen and Medioni 1992).

    Args:
        one: the surface that is turned.
        other: where it is laid.
        give_up: a mean distance, in RMS radii, from which on the surfaces need not be compared closely.
        seed: of the points.

    Returns:
        The best alignment, or None where every start is farther away than ``give_up``.
    """
    target, back = _Target(other, seed), _Target(one, seed + 1)
    probes = sample(one.triangles, one.areas, PROBES, seed + 2)[0]
    returns = sample(other.triangles, other.areas, PROBES, seed + 3)[0]
    found: list[Alignment] = []
    for handed in (1, -1):
        starts = _starts(one, other, handed)
        few = probes[:: len(probes) // 100]
        rough = [target.rough(few @ start.T) for start in starts]
        order = np.argsort(rough, kind="stable")[:_STARTS]
        if rough[order[0]] > give_up + _grain(other):
            continue
        tried: list[Alignment] = []
        for row in _identity_first(order, handed):
            tried.append(_refined(starts[row], probes, returns, target, back))
            if tried[-1].farthest < EXACT:
                break
        found.append(min(tried, key=lambda each: each.mean))
        if found[-1].farthest < EXACT:
            break  # no other start can do better; a mirror is looked for where no rotation is exact
    if not found:
        return None
    if (
        len(found) == 2 and found[1].mean < found[0].mean
    ):  # before it is called a mirror image, try all rotations
        turned = (_refined(start, probes, returns, target, back) for start in _starts(one, other, 1))
        found[0] = next((each for each in turned if each.farthest < EXACT), found[0])
    if len(found) == 2 and found[0].mean <= max(1.5 * found[1].mean, 1e-4):
        return found[0]
    return min(found, key=lambda each: each.mean)


def _identity_first(order: NDArray[np.int64], handed: int) -> list[int]:
    """Return rows of starts, the unturned one among them, so that nothing is called turned in vain."""
    return list(dict.fromkeys(([0] if handed == 1 else []) + order.tolist()))


def _grain(surface: Surface) -> float:
    """Return about how far a point of a surface lies from the nearest of its samples, in RMS radii."""
    return math.sqrt(float(surface.areas.sum()) / DENSE)


def _starts(one: Surface, other: Surface, handed: int) -> list[Points]:
    """Return rotations (mirrored ones for −1) that carry the axes of one surface to those of another."""
    first, second, third = other.moments
    loose = first - second < _ALIKE * first, second - third < _ALIKE * first
    orders = [
        order
        for order in itertools.permutations(range(3))
        if order == (0, 1, 2)
        or all(loose)
        or order == ((1, 0, 2) if loose[0] else (0, 2, 1) if loose[1] else ())
    ]
    turns = [np.eye(3)]
    if all(loose):
        turns += list(_spread(24))
    elif any(loose):
        axis = 2 if loose[0] else 0
        turns += [_about(axis, step * math.pi / 12) for step in range(1, 12)]
    starts = [np.eye(3)] if handed == 1 else [np.diag([1.0, 1.0, -1.0])]
    for order in orders:
        for signs in itertools.product((1.0, -1.0), repeat=3):
            carry = np.zeros((3, 3))
            carry[list(order), range(3)] = signs
            if np.sign(np.linalg.det(carry)) == handed:
                starts += [other.axes @ turn @ carry @ one.axes.T for turn in turns]
    return starts


def _about(axis: int, angle: float) -> Points:
    turn = np.eye(3)
    rows = [each for each in range(3) if each != axis]
    turn[np.ix_(rows, rows)] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return turn


def _spread(count: int) -> Points:
    """Return (count, 3, 3) rotations spread at random, always the same."""
    quaternions = np.random.default_rng(7).normal(size=(count, 4))
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    turns: Points = np.moveaxis(np.array(rows), 2, 0)
    return turns


def _refined(start: Points, probes: Points, returns: Points, target: _Target, back: _Target) -> Alignment:
    """Return where point-to-plane ICP goes from a start, measured both ways."""
    rotation, shift = start, np.zeros(3)
    before = math.inf
    for _ in range(_ITERATIONS):
        moved = probes @ rotation.T + shift
        nearest, rows = target.nearest(moved)
        mean = float(np.linalg.norm(nearest - moved, axis=1).mean())
        if mean > 0.999 * before or mean < 1e-9:
            break
        before = mean
        corners = target.surface.triangles[rows]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
        system = np.concatenate([np.cross(moved, normals), normals], axis=1)
        step = np.linalg.lstsq(system, ((nearest - moved) * normals).sum(axis=1), rcond=1e-6)[0]
        turn = _small_turn(step[:3])
        candidate, moved_by = turn @ rotation, turn @ shift + step[3:]
        if not np.all(np.isfinite(candidate)):
            break
        rotation, shift = candidate, moved_by
    there = _distances(probes @ rotation.T + shift, target)
    again = _distances((returns - shift) @ rotation, back)
    return Alignment(
        rotation, max(float(there.mean()), float(again.mean())), max(float(there.max()), float(again.max()))
    )


def _distances(points: Points, target: _Target) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.linalg.norm(target.nearest(points)[0] - points, axis=1)
    return found


def _small_turn(vector: NDArray[np.float64]) -> Points:
    """Return the rotation about a vector by its length (Rodrigues' formula)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-15:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn: Points = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return turn


@compiled
def nearest_on(
    points: Points, triangles: Points, low: Points, high: Points, guesses: NDArray[np.int64]
) -> tuple[Points, NDArray[np.int64]]:
    """Return the nearest point of a set of triangles to each point, and its triangle; exact.

    Args:
        points: (n, 3).
        triangles: (m, 3, 3) corners.
        low: (m, 3) least corners of the triangles' boxes.
        high: (m, 3) greatest corners of the boxes.
        guesses: (n,) a triangle near each point; a good guess spares most of the work.

    Returns:
        (n, 3) points, and (n,) triangles.
    """
    found, rows = np.empty_like(points), guesses.copy()
    for n in range(len(points)):
        x, y, z = points[n]
        best = np.inf
        for m in range(-1, len(triangles)):
            at = guesses[n] if m < 0 else m
            if m >= 0:
                dx = max(low[at, 0] - x, 0.0, x - high[at, 0])
                dy = max(low[at, 1] - y, 0.0, y - high[at, 1])
                dz = max(low[at, 2] - z, 0.0, z - high[at, 2])
                if dx * dx + dy * dy + dz * dz >= best:
                    continue
            px, py, pz = _on_triangle(x, y, z, triangles[at])
            apart = (px - x) ** 2 + (py - y) ** 2 + (pz - z) ** 2
            if apart < best:
                best = apart
                rows[n] = at
                found[n, 0], found[n, 1], found[n, 2] = px, py, pz
    return found, rows


@compiled
def _on_triangle(x: float, y: float, z: float, corners: Points) -> tuple[float, float, float]:
    """Return the point of a triangle nearest to a point (Ericson, Real-Time Collision Detection, 5.1.5)."""
    ax, ay, az = corners[0]
    bx, by, bz = corners[1]
    cx, cy, cz = corners[2]
    ux, uy, uz = bx - ax, by - ay, bz - az
    vx, vy, vz = cx - ax, cy - ay, cz - az
    d1 = ux * (x - ax) + uy * (y - ay) + uz * (z - az)
    d2 = vx * (x - ax) + vy * (y - ay) + vz * (z - az)
    if d1 <= 0.0 and d2 <= 0.0:
        return ax, ay, az
    d3 = ux * (x - bx) + uy * (y - by) + uz * (z - bz)
    d4 = vx * (x - bx) + vy * (y - by) + vz * (z - bz)
    if d3 >= 0.0 and d4 <= d3:
        return bx, by, bz
    vc = d1 * d4 - d3 * d2
    if vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0 and d1 - d3 > 0.0:
        s = d1 / (d1 - d3)
        return ax + s * ux, ay + s * uy, az + s * uz
    d5 = ux * (x - cx) + uy * (y - cy) + uz * (z - cz)
    d6 = vx * (x - cx) + vy * (y - cy) + vz * (z - cz)
    if d6 >= 0.0 and d5 <= d6:
        return cx, cy, cz
    vb = d5 * d2 - d1 * d6
    if vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0 and d2 - d6 > 0.0:
        s = d2 / (d2 - d6)
        return ax + s * vx, ay + s * vy, az + s * vz
    va = d3 * d6 - d5 * d4
    if va <= 0.0 and d4 - d3 >= 0.0 and d5 - d6 >= 0.0 and (d4 - d3) + (d5 - d6) > 0.0:
        s = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        return bx + s * (cx - bx), by + s * (cy - by), bz + s * (cz - bz)
    total = va + vb + vc
    if total <= 0.0:  # flat to a line within rounding: a corner is near enough
        return ax, ay, az
    s, r = vb / total, vc / total
    return ax + ux * s + vx * r, ay + uy * s + vy * r, az + uz * s + vz * r
