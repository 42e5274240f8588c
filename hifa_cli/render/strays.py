"""A few vertices that lie far out: a program's slip that makes a shape too small to be seen."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.compiled import compiled
from hifa_cli.render.meshes import Mesh, sanitised

FAR = 100.0  # times as far out as half of the vertices: strays
FEW = 3  # strays that any shape may have
HIDING = 1_000.0  # times as far out as half of the vertices: these span a pixel at most
MENTIONED = 0.05  # of a shape's vertices that are worth a word where they hide the others
_LOOKED_AT = 64  # vertices in which it shows that most lie in one place
SHARE = 0.01  # of a shape's vertices that may be strays


class Rest(NamedTuple):
    """A mesh without its strays, and what was left out, to be said."""

    mesh: Mesh
    remark: str


def far_out(vertices: NDArray[np.float64]) -> tuple[NDArray[np.bool_], float]:
    """Return which of (n, 3) vertices lie ``FAR`` times as far out as half of them, and how far the last.

    Distances are from the median of each coordinate, which strays do not move.
    """
    with np.errstate(over="ignore"):
        distances = np.linalg.norm(vertices - np.median(vertices, axis=0), axis=1)
    usual = float(np.median(distances))
    if usual <= 0:
        return np.zeros(len(vertices), dtype=bool), 1.0
    return distances > FAR * usual, float(distances.max()) / usual


def said_of_strays(vertices: NDArray[np.float64]) -> str:
    """Say of a shape that is drawn whole how few vertices make all others too small to be seen; '' mostly."""
    some = vertices[:: max(1, len(vertices) // _LOOKED_AT)]
    spread = _median(np.abs(some - _median(some)).max(axis=1))
    if 0.1 * HIDING * spread > longest_side(vertices):  # nearly every shape
        return ""
    strays, times = far_out(vertices)
    many = int(strays.sum())
    if times < HIDING or not 0 < many <= max(FEW, MENTIONED * len(strays)):
        return ""
    return (
        f"{many} of its {len(strays)} vertices lie up to {times:.0e} times as far out as the others, "
        "which are too small to be seen"
    )


def _median(values: NDArray[np.float64]) -> Any:
    """Return the median along the first axis, in a tenth of the time that numpy takes over few values."""
    ordered, half = np.sort(values, axis=0), len(values) // 2
    return 0.5 * ordered[half] + 0.5 * ordered[-1 - half]


@compiled
def longest_side(vertices: NDArray[np.float64]) -> float:
    """Return the longest side of the box of (n, 3) vertices."""
    longest = 0.0
    for axis in range(3):
        low = high = vertices[0, axis]
        for vertex in range(vertices.shape[0]):
            low, high = min(low, vertices[vertex, axis]), max(high, vertices[vertex, axis])
        longest = max(longest, high - low)
    return longest


def without_strays(mesh: Mesh) -> Rest | None:
    """Return a mesh without the faces that reach far out; None where none do, or too many for a slip.

    Ask only where next to nothing can be seen: half of the vertices lie within 1 % of how far the strays
    reach, so that a picture of the whole shows them as a dot at most.
    """
    strays, times = far_out(mesh.vertices)
    many = int(strays.sum())
    if not 0 < many <= max(FEW, SHARE * len(strays)):
        return None
    faces = mesh.faces[~strays[mesh.faces].any(axis=1)]
    try:
        rest = sanitised(mesh.vertices, faces)
    except HifaError:
        return None
    return Rest(
        rest,
        f"drawn without {many} of its {len(strays)} vertices, which lie up to {times:.0e} times as far out "
        f"as the others, and without the {len(mesh.faces) - len(faces)} faces that use them",
    )
