"""A few vertices that lie far out: a program's slip that makes a shape too small to be seen."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import Mesh, sanitised

FAR = 100.0  # times as far out as half of the vertices: strays
FEW = 3  # strays that any shape may have
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


def without_strays(mesh: Mesh) -> Rest | None:
    """Return a mesh without the faces that reach far out; None where none do, or too many for a slip.

    Ask only where nothing can be seen: half of the vertices lie within 1 % of how far the strays reach, so
    that a picture of the whole shows them as a dot at most.
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
