"""The face that is seen through each pixel: a z-buffer that needs no graphics library.

Pixels: column ``x`` grows to the right, row ``y`` downwards, and the centre of the pixel in row i and
column j lies at (j + 0.5, i + 0.5). Depth enters as its inverse, 1 / w, which is affine in the picture
under perspective; larger is nearer.
"""

import math

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.compiled import compiled

GROUND = 0  # the key of a pixel that sees no face
LAST_FACE = 0x7FFFFFFF  # the lower half of a key is this less the face
LOW_HALF = 0xFFFFFFFF


def visible(
    projected: NDArray[np.float64], faces: NDArray[np.int32], height: int, width: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the nearest face and its inverse depth at every pixel centre.

    Both sides of a face are seen. A face with a corner at or behind the eye (inverse depth not
    positive, or not finite) is left out whole: nothing is clipped at a near plane.

    Args:
        projected: (n, 3) column, row (pixels) and inverse depth of every vertex.
        faces: (m, 3) indices into ``projected``; they must be valid, nothing checks them here.
        height: rows.
        width: columns.

    Returns:
        (height, width) face ids, −1 for the ground, and (height, width) inverse depths, 0 for the
        ground. Of faces at exactly the same depth the first one wins.
    """
    keys = cleared(new_keys(height, width), height, width)
    fill_nearest(projected, faces, 0.0, 0.0, keys)
    face_ids = np.where(keys == GROUND, -1, LAST_FACE - (keys & LOW_HALF)).astype(np.int32)
    return face_ids, (keys >> 32).astype(np.int32).view(np.float32)


def barycentrics(
    projected: NDArray[np.float64], faces: NDArray[np.int32], face_ids: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Perspective-correct barycentric coordinates of every pixel centre in the face that it sees.

    Args:
        projected: (n, 3) as for :func:`visible`.
        faces: (m, 3) as for :func:`visible`.
        face_ids: (height, width) from :func:`visible`.

    Returns:
        (height, width, 3) weights of the face's three corners, summing to 1; zeros at the ground.
    """
    weights = np.zeros((*face_ids.shape, 3), dtype=np.float32)
    fill_barycentrics(projected, faces, face_ids, weights)
    return weights


SLACK = 1e-9  # pixels: a centre on an edge belongs to both faces, so no crack opens by rounding


@compiled
def edge(ax: float, ay: float, bx: float, by: float) -> tuple[float, float]:
    """Return the edge from a down to b: its column (less half a pixel) at row 0, and columns a row.

    Args:
        ax: column of a.
        ay: row of a.
        bx: column of b.
        by: row of b, not above a.

    Returns:
        Column at row 0, and slope.
    """
    slope = (bx - ax) / (by - ay) if by - ay > SLACK else 0.0
    return ax - 0.5 - ay * slope, slope


@compiled
def fill_nearest(
    projected: NDArray[np.float64],
    faces: NDArray[np.int32],
    left_end: float,
    top_end: float,
    keys: NDArray[np.int64],
) -> None:
    """Draw ``faces`` into ``keys``, in place, row by row between their edges.

    A key has the bits of the inverse depth (a positive float32, so they sort as it does) in its upper
    half and 0x7FFFFFFF less the face in its lower one: the largest key is the nearest, first face, and
    one comparison, one load and one store serve both. Two columns go at a time without a branch,
    since most rows of most faces are that short and a branch on them is a coin toss.

    Args:
        projected: (n, 3) columns, rows and inverse depths.
        faces: (m, 3).
        left_end: the column where ``keys`` begin.
        top_end: the row where they begin.
        keys: (height, width), ``GROUND`` where nothing is drawn yet, in memory with room for one more
            element behind the last row, see :func:`new_keys`.
    """
    height, width = keys.shape
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay, az = projected[a, 0] - left_end, projected[a, 1] - top_end, projected[a, 2]
        bx, by, bz = projected[b, 0] - left_end, projected[b, 1] - top_end, projected[b, 2]
        cx, cy, cz = projected[c, 0] - left_end, projected[c, 1] - top_end, projected[c, 2]
        left, right = max(min(ax, bx, cx) - 0.5 - SLACK, 0.0), min(max(ax, bx, cx) - 0.5 + SLACK, width - 1.0)
        if not (math.ceil(min(ay, by, cy) - 0.5) <= max(ay, by, cy) - 0.5 and math.ceil(left) <= right):
            continue  # between pixel centres, outside, or not a number
        if by < ay:
            ax, ay, az, bx, by, bz = bx, by, bz, ax, ay, az
        if cy < ay:
            ax, ay, az, cx, cy, cz = cx, cy, cz, ax, ay, az
        if cy < by:
            bx, by, bz, cx, cy, cz = cx, cy, cz, bx, by, bz
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if not (az > 0.0 and bz > 0.0 and cz > 0.0 and 0.0 < abs(area) < math.inf):
            continue
        per_column = ((bz - az) * (cy - ay) - (cz - az) * (by - ay)) / area
        per_row = ((cz - az) * (bx - ax) - (bz - az) * (cx - ax)) / area
        corner = az + (0.5 - ax) * per_column - ay * per_row
        long, upper, lower = edge(ax, ay, cx, cy), edge(ax, ay, bx, by), edge(bx, by, cx, cy)
        low = np.int64(0x7FFFFFFF - face)
        for row in range(math.ceil(max(ay - 0.5, 0.0)), math.floor(min(cy - 0.5, height - 1.0)) + 1):
            y = row + 0.5
            one = long[0] + y * long[1]
            other = upper[0] + y * upper[1] if y < by else lower[0] + y * lower[1]
            column = math.ceil(min(max(min(one, other) - SLACK, left), right + 1.0))
            last = math.floor(min(max(one, other) + SLACK, right))
            start = corner + y * per_row
            while column <= last:
                key = np.int64(np.float32(start + column * per_column).view(np.int32)) << 32 | low
                held = keys[row, column]
                keys[row, column] = max(key, held)
                key = np.int64(np.float32(start + (column + 1) * per_column).view(np.int32)) << 32 | low
                beside = keys[row, column + 1]
                keys[row, column + 1] = key if key > beside and column < last else beside
                column += 2


def new_keys(height: int, width: int) -> NDArray[np.int64]:
    """Room for (height, width) keys and the one more that :func:`fill_nearest` asks for."""
    return np.empty(height * width + 1, dtype=np.int64)


def cleared(room: NDArray[np.int64], height: int, width: int) -> NDArray[np.int64]:
    """Return (height, width) keys of nothing but ground, in ``room`` from :func:`new_keys`.

    Args:
        room: of :func:`new_keys`.
        height: rows.
        width: columns.

    Returns:
        A view of ``room``.
    """
    keys = room[: height * width].reshape(height, width)
    keys.fill(GROUND)
    return keys


@compiled
def fill_outline(
    projected: NDArray[np.float64],
    faces: NDArray[np.int32],
    scale: float,
    left_end: float,
    top_end: float,
    size: int,
    outline: NDArray[np.uint64],
) -> None:
    """Set a bit of ``outline`` at every pixel centre that a face covers.

    Args:
        projected: (n, 3) columns, rows and inverse depths on the picture plane, all finite.
        faces: (m, 3).
        scale: pixels to a unit of the plane.
        left_end: the pixels' column of the plane's column 0.
        top_end: the pixels' row of the plane's row 0.
        size: rows and columns.
        outline: (size, words) bits, column 0 lowest in the first word, with room for ``size``; set in place.
    """
    every = np.uint64(0xFFFFFFFFFFFFFFFF)
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay = left_end + scale * projected[a, 0], top_end + scale * projected[a, 1]
        bx, by = left_end + scale * projected[b, 0], top_end + scale * projected[b, 1]
        cx, cy = left_end + scale * projected[c, 0], top_end + scale * projected[c, 1]
        left, right = max(min(ax, bx, cx) - 0.5, 0.0), min(max(ax, bx, cx) - 0.5, size - 1.0)
        if not (math.ceil(min(ay, by, cy) - 0.5) <= max(ay, by, cy) - 0.5 and math.ceil(left) <= right):
            continue
        if by < ay:
            ax, ay, bx, by = bx, by, ax, ay
        if cy < ay:
            ax, ay, cx, cy = cx, cy, ax, ay
        if cy < by:
            bx, by, cx, cy = cx, cy, bx, by
        long, upper, lower = edge(ax, ay, cx, cy), edge(ax, ay, bx, by), edge(bx, by, cx, cy)
        for row in range(math.ceil(max(ay - 0.5, 0.0)), math.floor(min(cy - 0.5, size - 1.0)) + 1):
            y = row + 0.5
            one = long[0] + y * long[1]
            other = upper[0] + y * upper[1] if y < by else lower[0] + y * lower[1]
            first = math.ceil(min(max(min(one, other), left), right + 1.0))
            last = max(math.floor(min(max(one, other), right)), 0)
            head, tail = every << np.uint64(first & 63), every >> np.uint64(63 - (last & 63))
            if first >> 6 == last >> 6:
                outline[row, first >> 6] |= head & tail  # nothing where first > last
            elif first < last:
                outline[row, first >> 6] |= head
                for word in range((first >> 6) + 1, last >> 6):
                    outline[row, word] = every
                outline[row, last >> 6] |= tail


@compiled
def fill_barycentrics(
    projected: NDArray[np.float64],
    faces: NDArray[np.int32],
    face_ids: NDArray[np.int32],
    weights: NDArray[np.float32],
) -> None:
    """Fill ``weights`` in place where ``face_ids`` names a face.

    Args:
        projected: (n, 3) columns, rows and inverse depths.
        faces: (m, 3).
        face_ids: (H, W), −1 for the ground.
        weights: (H, W, 3) set in place where a face is seen.
    """
    height, width = face_ids.shape
    for row in range(height):
        for column in range(width):
            face = face_ids[row, column]
            if face < 0:
                continue
            x, y = column + 0.5, row + 0.5
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            ax, ay = projected[a, 0] - x, projected[a, 1] - y
            bx, by = projected[b, 0] - x, projected[b, 1] - y
            cx, cy = projected[c, 0] - x, projected[c, 1] - y
            wa = (bx * cy - cx * by) * projected[a, 2]
            wb = (cx * ay - ax * cy) * projected[b, 2]
            wc = (ax * by - bx * ay) * projected[c, 2]
            whole = wa + wb + wc
            weights[row, column, 0] = wa / whole
            weights[row, column, 1] = wb / whole
            weights[row, column, 2] = wc / whole
