"""Polygons to triangles: fans where a polygon is convex, ears cut off where it is not."""

import math

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.compiled import compiled, helper
from hifa_cli.render.parsing import Polygons

FEW = 32  # corners that are looked through as they are
A_CELL = 2  # corners to a cell, on average
ROUNDING = 1e-9  # of the extent: how far from a triangle a corner is still looked at
LOOKS, LOOKS_A_CORNER = 4_000_000, 100  # beyond so many tries it crosses itself beyond repair: cut on unseen


def triangles(polygons: Polygons) -> NDArray[np.int64]:
    """(m, 3) corners of the triangles of all polygons; −1 for one that names a vertex that does not exist."""
    if len(polygons.starts) > 1 and all_three(polygons.starts):
        return polygons.corners.reshape(-1, 3)
    sizes = np.diff(polygons.starts)
    faces = np.empty((int(np.maximum(sizes - 2, 0).sum()), 3), dtype=np.int64)
    count = cut(polygons.vertices, polygons.starts, polygons.corners, faces)
    return faces[:count]


@compiled
def all_three(starts: NDArray[np.int64]) -> bool:
    """Return whether all polygons are triangles."""
    others = 0
    for polygon in range(len(starts) - 1):
        others += starts[polygon + 1] - starts[polygon] != 3
    return others == 0


@compiled
def cut(
    vertices: NDArray[np.float64],
    starts: NDArray[np.int64],
    corners: NDArray[np.int64],
    faces: NDArray[np.int64],
) -> int:
    """Write the triangles of every polygon into ``faces``.

    Args:
        vertices: (n, 3).
        starts: (k + 1,) where each polygon's corners begin.
        corners: of all polygons.
        faces: (t, 3) filled from the front.

    Returns:
        How many triangles there are.
    """
    count = 0
    for polygon in range(len(starts) - 1):
        begin, size = starts[polygon], starts[polygon + 1] - starts[polygon]
        exist = True
        for place in range(begin, begin + size):
            exist = exist and 0 <= corners[place] < len(vertices)
        if size < 3:
            continue
        if not exist:
            faces[count, 0] = faces[count, 1] = faces[count, 2] = -1
            count += 1
            continue
        ring = corners[begin : begin + size]
        if size > 3 and not convex(vertices, ring):
            count = cut_ears(vertices, ring.copy(), faces, count)
            continue
        for corner in range(1, size - 1):
            faces[count, 0], faces[count, 1], faces[count, 2] = ring[0], ring[corner], ring[corner + 1]
            count += 1
    return count


@helper
def normal_of(vertices: NDArray[np.float64], ring: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return a polygon's normal by Newell's method: right for concave and slightly bent ones too."""
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


@helper
def turn(vertices: NDArray[np.float64], a: int, b: int, c: int, normal: tuple[float, float, float]) -> float:
    """Return how far the way a → b → c turns left, seen against ``normal``.

    Args:
        vertices: (n, 3).
        a: the first vertex.
        b: the second.
        c: the third.
        normal: that it is seen against.

    Returns:
        Twice the area of the triangle, positive to the left.
    """
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


@helper
def same(vertices: NDArray[np.float64], a: int, b: int) -> bool:
    """Return whether two vertices lie in the same place: the bridge to a hole is walked along twice.

    Args:
        vertices: (n, 3).
        a: one vertex.
        b: the other.

    Returns:
        True if all three coordinates are equal.
    """
    return a == b or (
        vertices[a, 0] == vertices[b, 0]
        and vertices[a, 1] == vertices[b, 1]
        and vertices[a, 2] == vertices[b, 2]
    )


@helper
def convex(vertices: NDArray[np.float64], ring: NDArray[np.int64]) -> bool:
    """Return whether a polygon turns left at every corner."""
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

    Where none can be found (it crosses itself) any corner is cut, so that the work always ends. Corners lie
    in cells, so that an ear looks at those near it: 100,000 corners take seconds rather than hours.

    Args:
        vertices: (n, 3).
        ring: corners of the polygon.
        faces: (t, 3) filled from ``count`` on.
        count: triangles that are there already.

    Returns:
        How many there are then.
    """
    normal = normal_of(vertices, ring)
    size, place, missed, looks = len(ring), 0, 0, 0
    most = LOOKS + LOOKS_A_CORNER * size
    plane, rows, columns = laid_out(vertices, ring, normal)
    cells, links = filled(plane, rows, columns)
    before, after = np.arange(-1, size - 1), np.arange(1, size + 1)
    before[0], after[size - 1] = size - 1, 0
    first, left = 0, size
    while left > 3:
        a, b = before[place], after[place]
        looks += 1
        ear = turn(vertices, ring[a], ring[place], ring[b], normal) > 0.0
        if ear and looks <= most:
            corners = (a, place, b)
            ear = not holds_one(vertices, ring, normal, corners, plane, rows, columns, cells, links)
        if ear or missed >= left or looks > most:
            faces[count, 0], faces[count, 1], faces[count, 2] = ring[a], ring[place], ring[b]
            count += 1
            after[a], before[b] = b, a
            take_out(place, cells, links)
            left, missed = left - 1, 0
            if place == first:
                first = place = b
            else:
                place = a
        else:
            place, missed = b, missed + 1
    second = after[first]
    faces[count, 0], faces[count, 1], faces[count, 2] = ring[first], ring[second], ring[after[second]]
    return count + 1


@compiled
def laid_out(
    vertices: NDArray[np.float64], ring: NDArray[np.int64], normal: tuple[float, float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return a polygon seen along its normal: (n, 2) places, and where rows and columns of cells begin.

    Args:
        vertices: (n, 3).
        ring: n corners of the polygon.
        normal: to see it along.

    Returns:
        (n, 2) places, and the beginnings of rows and columns.
    """
    length = math.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
    plane = np.zeros((len(ring), 2))
    if len(ring) <= FEW or not 0.0 < length < math.inf:
        return plane, np.zeros(1), np.zeros(1)
    x, y, z = normal[0] / length, normal[1] / length, normal[2] / length
    ux, uy, uz = (0.0, z, -y) if abs(x) < 0.6 else (-z, 0.0, x)
    scale = 1.0 / math.sqrt(ux * ux + uy * uy + uz * uz)
    ux, uy, uz = ux * scale, uy * scale, uz * scale
    vx, vy, vz = y * uz - z * uy, z * ux - x * uz, x * uy - y * ux
    o = ring[0]
    for corner in range(len(ring)):
        dx = vertices[ring[corner], 0] - vertices[o, 0]
        dy = vertices[ring[corner], 1] - vertices[o, 1]
        dz = vertices[ring[corner], 2] - vertices[o, 2]
        plane[corner, 0] = dx * ux + dy * uy + dz * uz
        plane[corner, 1] = dx * vx + dy * vy + dz * vz
    cells = int(math.sqrt(len(ring) / A_CELL)) + 1
    return plane, divided(plane, 1, cells), divided(plane, 0, cells)


@compiled
def divided(plane: NDArray[np.float64], axis: int, cells: int) -> NDArray[np.float64]:
    """Return where rows (or columns) of cells begin; a single one without finite numbers.

    Args:
        plane: (n, 2) places.
        axis: 0 for columns, 1 for rows.
        cells: how many are wanted.

    Returns:
        Ascending places.
    """
    low, high = math.inf, -math.inf
    for corner in range(len(plane)):
        low, high = min(low, plane[corner, axis]), max(high, plane[corner, axis])
    if not 0.0 < high - low < math.inf:  # all in a line, or coordinates that are not numbers
        return np.zeros(1)
    begins = np.empty(cells)
    for cell in range(cells):
        begins[cell] = low + (high - low) * cell / cells
    return begins


@helper
def cell_of(begins: NDArray[np.float64], place: float) -> int:
    """Return the last row (or column) that begins at ``place`` or before; 0 if none does."""
    low, high = 0, len(begins)
    while high - low > 1:
        middle = (low + high) // 2
        if begins[middle] <= place:
            low = middle
        else:
            high = middle
    return low


@compiled
def filled(
    plane: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what lies in the cells.

    Args:
        plane: (n, 2) places.
        rows: where rows of cells begin.
        columns: where columns begin.

    Returns:
        The first corner in each cell, and (n, 3): the one before it in its cell, the one after, its cell.
    """
    cells = np.full(len(rows) * len(columns), -1, dtype=np.int64)
    links = np.empty((len(plane), 3), dtype=np.int64)
    for corner in range(len(plane)):
        cell = cell_of(rows, plane[corner, 1]) * len(columns) + cell_of(columns, plane[corner, 0])
        links[corner, 0], links[corner, 1], links[corner, 2] = -1, cells[cell], cell
        if cells[cell] >= 0:
            links[cells[cell], 0] = corner
        cells[cell] = corner
    return cells, links


@helper
def take_out(corner: int, cells: NDArray[np.int64], links: NDArray[np.int64]) -> None:
    """Take a corner that has been cut off out of its cell.

    Args:
        corner: its number.
        cells: the first corner in each cell, changed in place.
        links: (n, 3) of :func:`filled`, changed in place.
    """
    before, after, cell = links[corner, 0], links[corner, 1], links[corner, 2]
    if before >= 0:
        links[before, 1] = after
    else:
        cells[cell] = after
    if after >= 0:
        links[after, 0] = before


@compiled
def holds_one(
    vertices: NDArray[np.float64],
    ring: NDArray[np.int64],
    normal: tuple[float, float, float],
    corners: tuple[int, int, int],
    plane: NDArray[np.float64],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    cells: NDArray[np.int64],
    links: NDArray[np.int64],
) -> bool:
    """Return whether another corner lies in a triangle or on its edge; looks only at its cells.

    Args:
        vertices: (n, 3).
        ring: corners of the polygon.
        normal: that it is seen against.
        corners: three, the triangle.
        plane: (n, 2) places.
        rows: where rows of cells begin.
        columns: where columns begin.
        cells: the first corner in each cell.
        links: (n, 3) of :func:`filled`.

    Returns:
        True if one does.
    """
    a, b, c = ring[corners[0]], ring[corners[1]], ring[corners[2]]
    bottom, top = math.inf, -math.inf
    for corner in corners:
        bottom, top = min(bottom, plane[corner, 1]), max(top, plane[corner, 1])
    margin = ROUNDING * (abs(bottom) + abs(top) + abs(plane[corners[0], 0]))
    for row in range(cell_of(rows, bottom - margin), cell_of(rows, top + margin) + 1):
        low = rows[row] - margin if row > 0 else -math.inf
        high = rows[row + 1] + margin if row + 1 < len(rows) else math.inf
        left, right = spanned(plane, corners, low, high)
        if left > right:
            continue
        for column in range(cell_of(columns, left - margin), cell_of(columns, right + margin) + 1):
            other = cells[row * len(columns) + column]
            while other >= 0:
                point = ring[other]
                if (
                    turn(vertices, a, b, point, normal) >= 0.0
                    and turn(vertices, b, c, point, normal) >= 0.0
                    and turn(vertices, c, a, point, normal) >= 0.0
                    and not (same(vertices, point, a) or same(vertices, point, b) or same(vertices, point, c))
                ):
                    return True
                other = links[other, 1]
    return False


@compiled
def spanned(
    plane: NDArray[np.float64], corners: tuple[int, int, int], low: float, high: float
) -> tuple[float, float]:
    """Return the leftmost and rightmost places of a triangle between two heights.

    Args:
        plane: (n, 2) places.
        corners: three, the triangle.
        low: the lower height.
        high: the upper height.

    Returns:
        The two places.
    """
    left, right = math.inf, -math.inf
    for edge in range(3):
        p, q = corners[edge], corners[(edge + 1) % 3]
        x, y, dx, dy = plane[p, 0], plane[p, 1], plane[q, 0] - plane[p, 0], plane[q, 1] - plane[p, 1]
        if max(y, y + dy) < low or min(y, y + dy) > high:
            continue
        begin, end = 0.0, 1.0
        if dy != 0.0:
            begin = min(max(min((low - y) / dy, (high - y) / dy), 0.0), 1.0)
            end = max(min(max((low - y) / dy, (high - y) / dy), 1.0), 0.0)
        left, right = min(left, x + begin * dx, x + end * dx), max(right, x + begin * dx, x + end * dx)
    return left, right
