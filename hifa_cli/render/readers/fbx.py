"""FBX, by ufbx: the visible meshes of a scene as it stands when the file is opened.

Skins and blend shapes are applied; where a mesh is subdivided, its cage is drawn.
"""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.parsing import Polygons
from hifa_cli.render.polygons import triangles
from hifa_cli.render.readers.fbx_scene import REFUSED
from hifa_cli.render.readers.parts import Arrays, Parts
from hifa_cli.runtime.arrays import read_arrays
from hifa_cli.runtime.child import module_command

_NOWHERE = np.iinfo(np.uint32).max  # the index of a corner that names no vertex


def read(path: Path) -> Arrays:
    """Read the triangles of the visible meshes, or of all where none is visible; +y is up.

    Raises:
        HifaError: it is damaged, or has surfaces that are not meshes.
    """
    with TemporaryDirectory() as scratch:
        out = Path(scratch) / "bodies.npz"
        command = module_command("hifa_cli.render.readers.fbx_scene", str(path.absolute()), str(out))
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode == REFUSED:
            raise HifaError(done.stderr.decode("utf-8", "replace").strip().splitlines()[-1])
        if done.returncode or not out.is_file():
            raise HifaError(f"cannot be read as .fbx: ufbx broke down (status {done.returncode})")
        arrays = read_arrays(out)
    parts = Parts()
    for number in sorted({int(name.partition("-")[0]) for name in arrays}):
        vertices, corners, spans, place = (
            arrays[f"{number}-{name}"] for name in ("vertices", "corners", "spans", "place")
        )
        corners[corners == _NOWHERE] = -1
        parts.add(vertices, triangles(_in_order(vertices, corners, spans)), place)
    return parts.joined()


def _in_order(
    vertices: NDArray[np.float64], corners: NDArray[np.int64], spans: NDArray[np.int64]
) -> Polygons:
    """Return polygons, one after another, of (n, 2) first corners and numbers of corners."""
    spans = spans[spans[:, 1] >= 3]
    starts = np.concatenate([[0], np.cumsum(spans[:, 1])])
    places = np.repeat(spans[:, 0] - starts[:-1], spans[:, 1]) + np.arange(starts[-1])
    return Polygons(vertices, starts, corners[places])
