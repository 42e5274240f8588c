"""A mesh small enough to be sent inside a page."""

import base64
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import RenderConfig
from hifa_cli.render.cameras import upright
from hifa_cli.render.isolated import read_safely
from hifa_cli.render.views import up_axis

_FINEST = 1 << 10  # cells along the longest side: finer than a screen shows
_STEP = 32_767  # of a 16-bit number
_MOST_CORNERS = 65_535  # a 16-bit number tells apart


def page_mesh(path: Path, config: RenderConfig, faces: int) -> tuple[str, int]:
    """Return a mesh as a page that is a file holds it.

    Args:
        path: the mesh.
        config: which way is up.
        faces: how many it may have at most.

    Returns:
        Base64 of :func:`packed_mesh`, and how many faces are left.

    Raises:
        HifaError: it cannot be read.
    """
    content, left = packed_mesh(path, config, faces)
    return base64.b64encode(content).decode(), left


def packed_mesh(path: Path, config: RenderConfig, faces: int) -> tuple[bytes, int]:
    """Return a mesh as the page's viewer takes it.

    Args:
        path: the mesh.
        config: which way is up.
        faces: how many it may have at most.

    Returns:
        Numbers of corners and faces (uint32 each), corners (int16 × 3, of 32767, upright along +z and within
        the unit sphere), faces (uint16 × 3), all little-endian; and how many faces are left.

    Raises:
        HifaError: it cannot be read.
    """
    mesh = read_safely(path)
    corners = upright(np.asarray(mesh.vertices, dtype=np.float64), up_axis(path, config))
    low, high = corners.min(axis=0), corners.max(axis=0)
    corners = corners - (low + high) / 2
    corners /= max(float(np.sqrt((corners**2).sum(axis=1).max())), 1e-300)
    corners, triangles = shrunk(corners, np.asarray(mesh.faces, dtype=np.int64), faces)
    places = np.round(corners * _STEP).astype("<i2")
    head = struct.pack("<2I", len(places), len(triangles))
    return head + places.tobytes() + triangles.astype("<u2").tobytes(), len(triangles)


def shrunk(
    corners: NDArray[np.float64], faces: NDArray[np.int64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Merge corners that share a cell of the finest grid that leaves at most ``most`` faces.

    Clustering (Rossignac and Borrel 1993) takes any soup of triangles and never fails; it is meant for a
    look, not for measuring.

    Args:
        corners: (n, 3) within the unit sphere.
        faces: (f, 3).
        most: faces.

    Returns:
        (n', 3) means of the cells' corners and (f', 3) faces.
    """
    if len(faces) <= most and len(corners) <= _MOST_CORNERS:
        return corners, faces
    low, high = 1, _FINEST
    best = _clustered(corners, faces, low)
    while low < high:
        middle = (low + high + 1) // 2
        tried = _clustered(corners, faces, middle)
        if len(tried[1]) <= most and len(tried[0]) <= _MOST_CORNERS:
            low, best = middle, tried
        else:
            high = middle - 1
    return best


def _clustered(
    corners: NDArray[np.float64], faces: NDArray[np.int64], cells: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the mesh on a grid of ``cells`` cells a side."""
    cell = np.clip(((corners + 1) / 2 * cells).astype(np.int64), 0, cells - 1)
    _, number = np.unique((cell[:, 0] * cells + cell[:, 1]) * cells + cell[:, 2], return_inverse=True)
    counts = np.bincount(number)
    means = np.stack([np.bincount(number, weights=corners[:, axis]) / counts for axis in range(3)], axis=1)
    merged = number[faces]
    a, b, c = merged.T
    merged = merged[(a != b) & (b != c) & (c != a)]
    _, first = np.unique(np.sort(merged, axis=1), axis=0, return_index=True)
    merged = merged[np.sort(first)]
    used, renumbered = np.unique(merged, return_inverse=True)
    return means[used], renumbered.reshape(merged.shape)
