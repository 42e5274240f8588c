"""Facts of a mesh, measured while it is in hand to be drawn."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.compiled import compiled
from hifa_cli.render.meshes import Mesh
from hifa_cli.render.normals import weld

Facts = dict[str, float | bool | None]


def facts_of(mesh: Mesh) -> Facts:
    """Measure a mesh.

    Corners at the same place count as one, so that formats without shared corners (STL) measure alike.

    Args:
        mesh: (n, 3) vertices in the file's units and (m, 3) triangles.

    Returns:
        ``extent_x``, ``extent_y``, ``extent_z`` and ``area`` in the file's units; ``volume``, None unless the
        surface is watertight and wound alike all over; ``faces``; ``bodies`` (parts that share no corner);
        ``watertight`` (every edge belongs to two triangles). What overflows is None.
    """
    points = np.empty(len(mesh.vertices), dtype=np.int32)
    count = weld((mesh.vertices + 0.0).view(np.int64), points)  # +0.0: −0 and 0 are one place
    welded = points[mesh.faces].astype(np.int64)
    watertight, alike = _closed(welded, count)
    with np.errstate(over="ignore", invalid="ignore"):
        corners = (mesh.vertices - mesh.vertices.mean(axis=0))[mesh.faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = float(np.sqrt((across * across).sum(axis=1)).sum()) / 2
        volume = abs(float((corners[:, 0] * across).sum())) / 6
        extents = np.ptp(mesh.vertices, axis=0).tolist()
    return {
        **{f"extent_{axis}": _finite(extent) for axis, extent in zip("xyz", extents, strict=True)},
        "area": _finite(area),
        "volume": _finite(volume) if watertight and alike else None,
        "faces": len(mesh.faces),
        "bodies": int(count_bodies(welded, np.arange(count))),
        "watertight": watertight,
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _closed(faces: NDArray[np.int64], points: int) -> tuple[bool, bool]:
    """Return whether every edge belongs to two triangles, and whether these go along it in both ways."""
    start, end = faces.ravel(), faces[:, [1, 2, 0]].ravel()
    edges = (np.minimum(start, end) * points + np.maximum(start, end)) * 2 + (start < end)
    edges.sort()
    undirected: NDArray[Any] = edges >> 1
    if len(edges) % 2 or (undirected[::2] != undirected[1::2]).any():
        return False, False
    if (undirected[2::2] == undirected[1:-1:2]).any():
        return False, False
    return True, bool((edges[::2] != edges[1::2]).all())


@compiled
def count_bodies(faces: NDArray[np.int64], parents: NDArray[np.int64]) -> int:
    """Count the parts of a surface that share no point.

    Args:
        faces: (m, 3) points of each triangle.
        parents: (n,) the points' own numbers; overwritten.
    """
    bodies = len(parents)
    for face in range(faces.shape[0]):
        root = faces[face, 0]
        while parents[root] != root:
            parents[root] = parents[parents[root]]
            root = parents[root]
        for corner in range(1, 3):
            other = faces[face, corner]
            while parents[other] != other:
                parents[other] = parents[parents[other]]
                other = parents[other]
            if other != root:
                parents[max(root, other)] = min(root, other)
                root = min(root, other)
                bodies -= 1
    return bodies
