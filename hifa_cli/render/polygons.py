"""Polygons to triangles: fans where a polygon is convex, ears cut off where it is not."""

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.compiled import compiled
from hifa_cli.render.parsing import Polygons


def triangles(polygons: Polygons) -> NDArray[np.int64]:
    """(m, 3) corners of the triangles of all polygons that name existing vertices only."""
    sizes = np.diff(polygons.starts)
    if len(sizes) and (sizes == 3).all():
        return polygons.corners.reshape(-1, 3)
    faces = np.empty((int(np.maximum(sizes - 2, 0).sum()), 3), dtype=np.int64)
    count = cut(polygons.vertices, polygons.starts, polygons.corners, faces)
    return faces[:count]


@compiled
def cut(
    vertices: NDArray[np.float64],
    starts: NDArray[np.int64],
    corners: NDArray[np.int64],
    faces: NDArray[np.int64],
) -> int:
    """Write the triangles of every polygon into ``faces``; returns how many there are."""
    count = 0
    for polygon in range(len(starts) - 1):
        begin, size = starts[polygon], starts[polygon + 1] - starts[polygon]
        exist = True
        for place in range(begin, begin + size):
            exist = exist and 0 <= corners[place] < len(vertices)
        if size < 3 or not exist:
            continue
        ring = corners[begin : begin + size]
        if size > 3 and not convex(vertices, ring):
            count = cut_ears(vertices, ring.copy(), faces, count)
            continue
        for corner in range(1, size - 1):
            faces[count, 0], faces[count, 1], faces[count, 2] = ring[0], ring[corner], ring[corner + 1]
            count += 1
    return count


@compiled
def normal_of(vertices: NDArray[np.float64], ring: NDArray[np.int64]) -> tuple[float, float, float]:
    """A polygon's normal by Newell's method: right for concave and slightly bent ones too."""
    x, y, z = 0.0, 0.0, 0.0
    o = ring[0]  # coordinates are taken from here: far from the origin they would cancel
    for place in range(len(ring)):
        a, b = ring[place], ring[(place + 1) % len(ring)]
        ax, ay, az = (
            vertices[a, 0] - vertices[o, 0],
            vertices[a, 1] - vertices[o, 1],
            vertices[a, 2] - vertices[o, 2],
        )
        bx, by, bz = (
            vertices[b, 0] - vertices[o, 0],
            vertices[b, 1] - vertices[o, 1],
            vertices[b, 2] - vertices[o, 2],
        )
        x, y, z = x + (ay - by) * (az + bz), y + (az - bz) * (ax + bx), z + (ax - bx) * (ay + by)
    return x, y, z


@compiled
def turn(vertices: NDArray[np.float64], a: int, b: int, c: int, normal: tuple[float, float, float]) -> float:
    """How far the way a → b → c turns left, seen against ``normal``."""
    ux, uy, uz = (
        vertices[b, 0] - vertices[a, 0],
        vertices[b, 1] - vertices[a, 1],
        vertices[b, 2] - vertices[a, 2],
    )
    vx, vy, vz = (
        vertices[c, 0] - vertices[b, 0],
        vertices[c, 1] - vertices[b, 1],
        vertices[c, 2] - vertices[b, 2],
    )
    x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    return float(x * normal[0] + y * normal[1] + z * normal[2])


@compiled
def same(vertices: NDArray[np.float64], a: int, b: int) -> bool:
    """Whether two vertices lie in the same place: the bridge to a hole is walked along twice."""
    return a == b or (
        vertices[a, 0] == vertices[b, 0]
        and vertices[a, 1] == vertices[b, 1]
        and vertices[a, 2] == vertices[b, 2]
    )


@compiled
def convex(vertices: NDArray[np.float64], ring: NDArray[np.int64]) -> bool:
    """Whether a polygon turns left at every corner."""
    normal = normal_of(vertices, ring)
    size = len(ring)
    for place in range(size):
        if turn(vertices, ring[place], ring[(place + 1) % size], ring[(place + 2) % size], normal) < 0.0:
            return False
    return True


@compiled
def cut_ears(
    vertices: NDArray[np.float64], ring: NDArray[np.int64], faces: NDArray[np.int64], count: int
) -> int:
    """Cut corner after corner off a polygon where no other corner lies inside (Meisters 1975).

    Where none can be found (it crosses itself) any corner is cut, so that the work always ends.
    """
    normal = normal_of(vertices, ring)
    size, place, missed = len(ring), 0, 0
    while size > 3:
        before, here, after = ring[(place - 1) % size], ring[place % size], ring[(place + 1) % size]
        ear = turn(vertices, before, here, after, normal) > 0.0
        other = 0
        while ear and other < size:
            point = ring[other]
            met = same(vertices, point, before) or same(vertices, point, here) or same(vertices, point, after)
            if not met:
                ear = not (
                    turn(vertices, before, here, point, normal) >= 0.0
                    and turn(vertices, here, after, point, normal) >= 0.0
                    and turn(vertices, after, before, point, normal) >= 0.0
                )
            other += 1
        if ear or missed >= size:
            faces[count, 0], faces[count, 1], faces[count, 2] = before, here, after
            count += 1
            for later in range(place % size, size - 1):
                ring[later] = ring[later + 1]
            size -= 1
            place, missed = max(place % (size + 1) - 1, 0), 0
        else:
            place, missed = (place + 1) % size, missed + 1
    faces[count, 0], faces[count, 1], faces[count, 2] = ring[0], ring[1], ring[2]
    return count + 1
