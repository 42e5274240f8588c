"""Polygons with holes: bridges make one ring of all their rings, that ears can be cut off."""

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.int64]
MOST_TRIES = 2_000  # corners that a bridge from one hole may try


def one_ring(vertices: NDArray[np.float64], outer: Ring, holes: list[Ring]) -> Ring:
    """Return one ring that walks round the polygon and, over bridges there and back, round its holes.

    Args:
        vertices: (n, 3).
        outer: corners of the outline, all existing.
        holes: corners of each hole, all existing.

    Returns:
        Corners of the one ring.
    """
    plane = _flat(vertices, outer)
    ring = outer
    turned = [hole if _area(plane[hole]) < 0 else hole[::-1] for hole in holes if len(hole) >= 3]
    waiting = sorted(turned, key=lambda hole: -float(plane[hole, 0].max()))
    while waiting:
        hole = waiting.pop(0)
        hole = np.roll(hole, -int(plane[hole, 0].argmax()))
        at = _bridge(plane, ring, hole, waiting)
        ring = np.concatenate([ring[: at + 1], hole, hole[:1], ring[at:]])
    return ring


def _flat(vertices: NDArray[np.float64], outer: Ring) -> NDArray[np.float64]:
    """Return (n, 2) places of all vertices seen against the outline's normal: it turns left."""
    points = vertices[outer] - vertices[outer[0]]
    normal = np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0)
    length = np.linalg.norm(normal)
    normal = normal / length if length > 0 else np.array([0.0, 0.0, 1.0])
    u = np.cross(np.eye(3)[np.abs(normal).argmin()], normal)
    u = u / np.linalg.norm(u)
    plane: NDArray[np.float64] = (vertices - vertices[outer[0]]) @ np.stack([u, np.cross(normal, u)], axis=1)
    return plane


def _area(points: NDArray[np.float64]) -> float:
    after = np.roll(points, -1, axis=0)
    return float((points[:, 0] * after[:, 1] - points[:, 1] * after[:, 0]).sum())


def _bridge(plane: NDArray[np.float64], ring: Ring, hole: Ring, others: list[Ring]) -> int:
    """Return the nearest corner of the ring that the hole's first corner sees; the nearest if none."""
    begin = plane[hole[0]]
    nearest = np.linalg.norm(plane[ring] - begin, axis=1).argsort(kind="stable")
    rings = [ring, hole, *others]
    starts = plane[np.concatenate(rings)]
    ends = plane[np.concatenate([np.roll(one, -1) for one in rings])]
    for at in nearest[:MOST_TRIES]:
        if _opens(plane, ring, int(at), begin) and not _crossed(begin, plane[ring[at]], starts, ends):
            return int(at)
    return int(nearest[0])


def _opens(plane: NDArray[np.float64], ring: Ring, at: int, point: NDArray[np.float64]) -> bool:
    """Return whether a corner of the ring opens towards a point: one place can be several corners."""
    before, corner, after = (plane[ring[(at + step) % len(ring)]] for step in (-1, 0, 1))
    if _turn(before, corner, after) >= 0:
        return bool(_turn(before, corner, point) >= 0 and _turn(corner, after, point) >= 0)
    return bool(_turn(before, corner, point) >= 0 or _turn(corner, after, point) >= 0)


def _turn(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
    u, v = b - a, c - b
    turn: NDArray[np.float64] = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    return turn


def _crossed(
    begin: NDArray[np.float64],
    end: NDArray[np.float64],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
) -> bool:
    """Return whether an edge that ends in neither of a bridge's ends crosses or touches the bridge."""
    apart = ~np.any([(one == two).all(axis=1) for one in (starts, ends) for two in (begin, end)], axis=0)
    starts, ends = starts[apart], ends[apart]
    left, right = _turn(begin, end, starts), _turn(begin, end, ends)
    first, second = _turn(starts, ends, begin), _turn(starts, ends, end)
    return bool(((left * right <= 0) & (first * second <= 0) & ((left != 0) | (right != 0))).any())
