"""The size of a drawn shape: its outline's box and the area that it covers."""

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render import cameras, raster
from hifa_cli.render.cameras import Box, Frame
from hifa_cli.render.compiled import compiled, helper


def box_frames(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], rig: NDArray[np.float64], size: int
) -> list[Frame]:
    """Return a frame a view: the longest side 90 % of the picture, the area at most 30 %, the box centred.

    The outline is measured before anything is drawn, so the picture is drawn once, at its final scale,
    where render_views.m of Su et al. 2015 draws large and resamples. As there, holes count as area.

    Args:
        vertices: (n, 3) within the unit sphere, all used by faces.
        faces: (m, 3).
        rig: (V, 3, 3).
        size: pixels a side.

    Returns:
        V frames.
    """
    most = cameras.LARGEST_AREA * size * size
    outline = np.zeros((size, size // 64 + 1), dtype=np.uint64)
    projected = np.empty_like(vertices)
    away = raster.facing_away(vertices, faces)
    frames = []
    for camera in rig:
        box = cameras.project_and_measure(vertices, camera, PLANE, projected)
        frame = centred(box, size)
        if frame.scale**2 * (box[2] - box[0]) * (box[3] - box[1]) > most:  # else no outline is too large
            outline.fill(0)
            raster.fill_outline(projected, faces, frame.scale, frame.left, frame.top, size, away, outline)
            if (area := outline_area(outline, size)) > most:
                frame = centred(box, size, shrink=math.sqrt(most / area))
        frames.append(frame)
    return frames


PLANE = Frame(scale=1.0, left=0.0, top=0.0)  # the picture plane itself, rows downwards


def centred(box: Box, size: int, shrink: float = 1.0) -> Frame:
    """Return the frame that centres a box, its longest side ``shrink·LONGEST_SIDE`` of the picture.

    Args:
        box: left, top, right, bottom on the plane, rows downwards.
        size: pixels a side.
        shrink: at most 1, to keep the area below ``LARGEST_AREA``.

    Returns:
        Scale and offsets of the picture plane.
    """
    left, top, right, bottom = box
    longest = max(right - left, bottom - top, sys.float_info.min)
    scale = shrink * cameras.LONGEST_SIDE * size / longest
    return Frame(scale, left=size / 2 - scale * (left + right) / 2, top=size / 2 - scale * (top + bottom) / 2)


@compiled
def outline_area(outline: NDArray[np.uint64], size: int) -> int:
    """Return pixels of a picture that are set, or shut in by set ones: those not reached from its border.

    Args:
        outline: (size, words) bits from :func:`raster.fill_outline`, none set in the outermost pixels.
        size: rows and columns.
    """
    rows, words = outline.shape
    outside = np.zeros_like(outline)
    for word in range(words):
        outside[0, word] = ~outline[0, word]
    down = changed = True
    while changed:  # down and up in turn until one way reaches nothing more
        changed = False
        for step in range(1, rows):
            row, before = (step, step - 1) if down else (rows - 1 - step, rows - step)
            changed = spread(outline, outside, before, row) or changed
        down = not down
    reached = 0
    for row in range(rows):
        for word in range(words):
            reached += ones(outside[row, word])
    area: int = size * size - (reached - rows * (64 * words - size))
    return area


@helper
def ones(bits: Any) -> Any:
    """Return how many bits of a 64-bit word are set: sums of neighbouring pairs, nibbles, bytes."""
    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@helper
def spread(outline: NDArray[np.uint64], outside: NDArray[np.uint64], before: int, row: int) -> bool:
    """Reach every free bit of a row that a reached bit of the row before touches or leads to.

    Towards higher columns the carries of an addition run through the free bits. Towards lower ones few words
    have a way to go, mostly none, and those go it in steps of 1, 2, 4, … bits.

    Args:
        outline: (rows, words) bits that are set, all others are free.
        outside: (rows, words) reached bits; those of ``row`` grow in place.
        before: the neighbouring row.
        row: the row.

    Returns:
        Whether any bit is new.
    """
    words, one, new, carry = outline.shape[1], np.uint64(1), np.uint64(0), np.uint64(0)
    for word in range(words):
        free, old = ~outline[row, word], outside[row, word]
        begun = old | (outside[before, word] | carry) & free
        bits = begun | ((free + begun) ^ free) & free
        carry = bits >> np.uint64(63)
        new |= bits ^ old
        outside[row, word] = bits
    carry = np.uint64(0)
    for place in range(words):
        word = words - 1 - place
        bits, way = outside[row, word], ~outline[row, word]
        begun = bits | (carry << np.uint64(63)) & way
        if (begun ^ bits) | ((begun >> one) & way & ~begun):
            new |= one
            for log in range(6):
                shift = np.uint64(1 << log)
                begun |= way & (begun >> shift)
                way &= way >> shift
            outside[row, word] = begun
        carry = begun & one
    changed: bool = new != np.uint64(0)
    return changed
