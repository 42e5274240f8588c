"""Which face is seen through each pixel: a z-buffer that needs no graphics library.

Pixels: column ``x`` grows to the right, row ``y`` downwards, and the centre of the pixel in row i and
column j lies at (j + 0.5, i + 0.5). Depth enters as its inverse, 1 / w, which is affine in the picture
under perspective; larger is nearer.
"""

import math

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.compiled import compiled

BEHIND = 0.0  # the inverse depth of the ground


def visible(
    projected: NDArray[np.float64], faces: NDArray[np.int32], height: int, width: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The nearest face and its inverse depth at every pixel centre.

    Both sides of a face are seen. A face with a corner at or behind the eye (inverse depth not
    positive, or not finite) is left out whole: there is no clipping at a near plane.

    Args:
        projected: (n, 3) column, row (pixels) and inverse depth of every vertex.
        faces: (m, 3) indices into ``projected``; they must be valid, nothing checks them here.
        height: rows.
        width: columns.

    Returns:
        (height, width) face ids, −1 for the ground, and (height, width) inverse depths, 0 for the
        ground. Of faces at exactly the same depth the first one wins.
    """
    face_ids = np.full((height, width), -1, dtype=np.int32)
    inverse_depth = np.full((height, width), BEHIND, dtype=np.float32)
    fill_nearest(projected, faces, face_ids, inverse_depth)
    return face_ids, inverse_depth


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


@compiled
def fill_nearest(
    projected: NDArray[np.float64],
    faces: NDArray[np.int32],
    face_ids: NDArray[np.int32],
    inverse_depth: NDArray[np.float32],
) -> None:
    """Draw ``faces`` into ``face_ids`` and ``inverse_depth`` in place, row by row between the edges."""
    height, width = face_ids.shape
    slack = 1e-9  # pixels: a centre on an edge belongs to both faces, so no crack opens by rounding
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay, az = projected[a, 0], projected[a, 1], projected[a, 2]
        bx, by, bz = projected[b, 0], projected[b, 1], projected[b, 2]
        cx, cy, cz = projected[c, 0], projected[c, 1], projected[c, 2]
        low, high = min(ay, by, cy) - 0.5 - slack, max(ay, by, cy) - 0.5 + slack
        left, right = min(ax, bx, cx) - 0.5 - slack, max(ax, bx, cx) - 0.5 + slack
        if not (high >= 0.0 and low <= height - 1.0 and right >= 0.0 and left <= width - 1.0):
            continue  # outside, or not a number
        first_row, last_row = math.ceil(max(low, 0.0)), math.floor(min(high, height - 1.0))
        first, last = math.ceil(max(left, 0.0)), math.floor(min(right, width - 1.0))
        if first_row > last_row or first > last or not (az > 0.0 and bz > 0.0 and cz > 0.0):
            continue
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area < 0.0:  # the other winding: the same triangle with two corners swapped
            bx, by, bz, cx, cy, cz = cx, cy, cz, bx, by, bz
            area = -area
        if not area > 0.0:
            continue
        per_column = ((bz - az) * (cy - ay) - (cz - az) * (by - ay)) / area
        per_row = ((cz - az) * (bx - ax) - (bz - az) * (cx - ax)) / area
        ab, bc, ca = (bx - ax) / (by - ay), (cx - bx) / (cy - by), (ax - cx) / (ay - cy)
        for row in range(first_row, last_row + 1):
            y = row + 0.5
            begin, end = float(first), float(last)
            edge = ax + (y - ay) * ab - 0.5
            if by > ay:
                end = min(end, edge + slack)
            elif by < ay:
                begin = max(begin, edge - slack)
            edge = bx + (y - by) * bc - 0.5
            if cy > by:
                end = min(end, edge + slack)
            elif cy < by:
                begin = max(begin, edge - slack)
            edge = cx + (y - cy) * ca - 0.5
            if ay > cy:
                end = min(end, edge + slack)
            elif ay < cy:
                begin = max(begin, edge - slack)
            if not begin <= end:
                continue  # nothing of this row, or not a number
            start = az + (y - ay) * per_row + (0.5 - ax) * per_column
            for column in range(math.ceil(begin), math.floor(end) + 1):
                depth = np.float32(start + column * per_column)
                if depth > inverse_depth[row, column]:
                    inverse_depth[row, column] = depth
                    face_ids[row, column] = face


@compiled
def fill_barycentrics(
    projected: NDArray[np.float64],
    faces: NDArray[np.int32],
    face_ids: NDArray[np.int32],
    weights: NDArray[np.float32],
) -> None:
    """Fill ``weights`` in place where ``face_ids`` names a face."""
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
