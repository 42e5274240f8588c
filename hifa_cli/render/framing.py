"""How large a shape is drawn: its outline's box and the area that it covers."""

import math

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render import cameras
from hifa_cli.render.cameras import Frame
from hifa_cli.render.compiled import compiled


def box_frames(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], rig: NDArray[np.float64], size: int
) -> list[Frame]:
    """A frame a view: the longest side 90 % of the picture, the area at most 30 %, the box centred.

    The outline is measured before anything is drawn, so the picture is drawn once, at its final scale,
    where render_views.m of Su et al. 2015 draws large and resamples. As there, holes count as area.

    Args:
        vertices: (n, 3) within the unit sphere, all used by faces.
        faces: (m, 3).
        rig: (V, 3, 3).
        size: pixels a side.
    """
    mask = np.empty((size, size), dtype=np.uint8)
    frames = []
    for camera in rig:
        projected = cameras.project(vertices, camera)
        frame = cameras.box_frame(projected, size)
        mask.fill(0)
        fill_outline(cameras.on_pixels(projected, frame), faces, mask)
        area = outline_area(mask) / mask.size
        if area > cameras.LARGEST_AREA:
            frame = cameras.box_frame(projected, size, shrink=math.sqrt(cameras.LARGEST_AREA / area))
        frames.append(frame)
    return frames


@compiled
def fill_outline(
    projected: NDArray[np.float64], faces: NDArray[np.int32], mask: NDArray[np.uint8]
) -> None:
    """Set ``mask`` in place at every pixel centre that a face covers."""
    height, width = mask.shape
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay, bx, by = projected[a, 0], projected[a, 1], projected[b, 0], projected[b, 1]
        cx, cy = projected[c, 0], projected[c, 1]
        first_row = max(0, math.ceil(min(ay, by, cy) - 0.5))
        last_row = min(height - 1, math.floor(max(ay, by, cy) - 0.5))
        first = max(0, math.ceil(min(ax, bx, cx) - 0.5))
        last = min(width - 1, math.floor(max(ax, bx, cx) - 0.5))
        for row in range(first_row, last_row + 1):
            y = row + 0.5
            for column in range(first, last + 1):
                if mask[row, column]:
                    continue
                x = column + 0.5
                ab = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
                bc = (cx - bx) * (y - by) - (cy - by) * (x - bx)
                ca = (ax - cx) * (y - cy) - (ay - cy) * (x - cx)
                if (ab >= 0.0 and bc >= 0.0 and ca >= 0.0) or (ab <= 0.0 and bc <= 0.0 and ca <= 0.0):
                    mask[row, column] = 1


@compiled
def outline_area(mask: NDArray[np.uint8]) -> int:
    """Pixels that are set or cannot be reached from the border (holes); marks the outside with 2."""
    height, width = mask.shape
    waiting = np.empty(height * width, dtype=np.int32)
    count, outside = 0, 0
    for row in range(height):
        for column in range(width):
            border = row == 0 or column == 0 or row == height - 1 or column == width - 1
            if border and mask[row, column] == 0:
                mask[row, column] = 2
                waiting[count] = row * width + column
                count += 1
    while count > 0:
        count -= 1
        outside += 1
        row, column = waiting[count] // width, waiting[count] % width
        for step in range(4):
            r = row + (1 if step == 0 else -1 if step == 1 else 0)
            c = column + (1 if step == 2 else -1 if step == 3 else 0)
            if 0 <= r < height and 0 <= c < width and mask[r, c] == 0:
                mask[r, c] = 2
                waiting[count] = r * width + c
                count += 1
    return height * width - outside
