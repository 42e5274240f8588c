"""Normals for smooth shading that keep edges: round things are round, boxes stay boxes."""

import math

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.compiled import compiled

WELD = 2.0**-20  # of the unit sphere's diameter: corners closer than this are one point
COMPARED = 128  # faces compared at one point; of a fan with more, every k-th


def corner_normals(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], crease: float
) -> NDArray[np.float32]:
    """Return a unit normal for every corner of every face, smoothed where faces meet at a flat angle.

    The normal is the sum of the area-weighted normals of the faces at the corner's point whose planes
    lie within ``crease`` of the face's own. Neighbours are turned to the face's side first and points are
    welded by position, so neither winding nor shared vertices are needed.

    Args:
        vertices: (n, 3) within the unit sphere.
        faces: (m, 3).
        crease: degrees.

    Returns:
        (m, 3, 3).
    """
    points = np.empty(len(vertices), dtype=np.int32)
    count = weld(np.floor((vertices + 1.0) / (2 * WELD) + 0.5).astype(np.int64), points)
    starts = np.zeros(count + 1, dtype=np.int64)
    around = np.empty(faces.size, dtype=np.int32)
    gather_faces(points, faces, starts, around)
    areas = np.empty((len(faces), 3), dtype=np.float32)
    normals = np.empty((len(faces), 3, 3), dtype=np.float32)
    sum_normals(vertices, faces, points, starts, around, math.cos(math.radians(crease)), areas, normals)
    return normals


@compiled
def weld(cells: NDArray[np.int64], points: NDArray[np.int32]) -> int:
    """Number the distinct rows of ``cells`` in order of appearance into ``points``; returns how many."""
    size = 16
    while size < 2 * len(cells):
        size *= 2
    table = np.full(size, -1, dtype=np.int32)
    count = 0
    for vertex in range(len(cells)):
        x, y, z = cells[vertex, 0], cells[vertex, 1], cells[vertex, 2]
        slot = ((x * 73856093) ^ (y * 19349663) ^ (z * 83492791)) * 2654435761
        slot = (slot ^ (slot >> 29)) & (size - 1)
        while True:
            other = table[slot]
            if other < 0:
                table[slot] = vertex
                points[vertex] = count
                count += 1
                break
            if cells[other, 0] == x and cells[other, 1] == y and cells[other, 2] == z:
                points[vertex] = points[other]
                break
            slot = (slot + 1) & (size - 1)
    return count


@compiled
def gather_faces(
    points: NDArray[np.int32],
    faces: NDArray[np.int32],
    starts: NDArray[np.int64],
    around: NDArray[np.int32],
) -> None:
    """List the faces around every point: those of point p are ``around[starts[p] : starts[p + 1]]``.

    Args:
        points: (n,) the point that each vertex is; vertices in one place are one point.
        faces: (m, 3).
        starts: (p + 1,) where each point's faces begin in ``around``.
        around: (3m,) filled in place.
    """
    for face in range(faces.shape[0]):
        for corner in range(3):
            starts[points[faces[face, corner]] + 1] += 1
    for point in range(len(starts) - 1):
        starts[point + 1] += starts[point]
    for face in range(faces.shape[0] - 1, -1, -1):
        for corner in range(3):
            point = points[faces[face, corner]] + 1
            starts[point] -= 1
            around[starts[point]] = face
    # every start has moved to the place of its predecessor's: starts[p + 1] is now where p begins
    for point in range(len(starts) - 1):
        starts[point] = starts[point + 1]
    starts[len(starts) - 1] = len(around)


@compiled
def sum_normals(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    points: NDArray[np.int32],
    starts: NDArray[np.int64],
    around: NDArray[np.int32],
    least: float,
    areas: NDArray[np.float32],
    normals: NDArray[np.float32],
) -> None:
    """Fill ``areas`` (m, 3) with area vectors and ``normals`` (m, 3, 3) with corner normals.

    Args:
        vertices: (n, 3).
        faces: (m, 3).
        points: (n,) the point that each vertex is.
        starts: (p + 1,) of :func:`gather_faces`.
        around: (3m,) of :func:`gather_faces`.
        least: cosine of the crease: faces that meet more sharply do not share a normal.
        areas: (m, 3) set in place.
        normals: (m, 3, 3) set in place.
    """
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ux, uy, uz = (
            vertices[b, 0] - vertices[a, 0],
            vertices[b, 1] - vertices[a, 1],
            vertices[b, 2] - vertices[a, 2],
        )
        vx, vy, vz = (
            vertices[c, 0] - vertices[a, 0],
            vertices[c, 1] - vertices[a, 1],
            vertices[c, 2] - vertices[a, 2],
        )
        areas[face, 0], areas[face, 1], areas[face, 2] = (
            uy * vz - uz * vy,
            uz * vx - ux * vz,
            ux * vy - uy * vx,
        )
    for face in range(faces.shape[0]):
        fx, fy, fz = float(areas[face, 0]), float(areas[face, 1]), float(areas[face, 2])
        own = math.sqrt(fx * fx + fy * fy + fz * fz)
        if own == 0.0:
            own, fz = 1.0, 1.0
        for corner in range(3):
            point = points[faces[face, corner]]
            begin, end = starts[point], starts[point + 1]
            stride = (end - begin + COMPARED - 1) // COMPARED
            x, y, z = fx, fy, fz
            for place in range(begin, end, stride):
                other = around[place]
                if other == face:
                    continue
                ox, oy, oz = float(areas[other, 0]), float(areas[other, 1]), float(areas[other, 2])
                inner = fx * ox + fy * oy + fz * oz
                if abs(inner) >= least * own * math.sqrt(ox * ox + oy * oy + oz * oz):
                    side = 1.0 if inner >= 0.0 else -1.0
                    x, y, z = x + side * ox, y + side * oy, z + side * oz
            scale = 1.0 / math.sqrt(x * x + y * y + z * z)
            normals[face, corner, 0] = x * scale
            normals[face, corner, 1] = y * scale
            normals[face, corner, 2] = z * scale
