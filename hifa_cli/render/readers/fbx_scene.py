"""A program that reads one FBX by ufbx and leaves its meshes as arrays; fbx.py starts it.

ufbx 0.0.5 frees what Python still sees: its lists turn into others, and a process that drops them can crash.
So nothing is ever dropped here: the program keeps every object that it is given and ends without cleaning up.
"""

import gc
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import RenderConfig

REFUSED = 3  # exit status: the reason stands on standard error
_NOT_READ = {"NURBS_SURFACE", "NURBS_TRIM_SURFACE", "PROCEDURAL_GEOMETRY"}  # kinds of surfaces
_MOST_DEPTH = 1_000  # of nodes
_GLANCE = 0.5  # seconds between two looks at whether the parent is still there
_kept: list[Any] = []


def _keep(value: Any) -> Any:
    """Return a value, and hold it for as long as the process lives."""
    _kept.append(value)
    return value


def bodies(path: Path) -> dict[str, NDArray[Any]]:
    """Return the visible meshes of a file, or all where none is visible.

    Returns:
        A mesh's vertices (n, 3), corners, spans (first corner and number of corners of each polygon) and
        (4, 4) place, by its number and name.

    Raises:
        ValueError: the reason why it cannot be read.
    """
    import ufbx

    options: dict[str, Any] = {
        "file_format": ufbx.FileFormat.FBX,
        "load_external_files": False,
        "ignore_embedded": True,
        "evaluate_skinning": True,
        "index_error_handling": ufbx.IndexErrorHandling.NO_INDEX,
        "target_axes": ufbx.axes_right_handed_y_up,
        "node_depth_limit": _MOST_DEPTH,
    }
    try:
        scene = _keep(ufbx.load_memory(path.read_bytes(), **options))
    except ufbx.UfbxError:
        raise ValueError("cannot be read as .fbx: it is damaged, or of a version that is not read") from None
    nodes = _keep([_keep(node) for node in _keep(scene.nodes)])
    shown = [node for node in nodes if _is_shown(node)]
    if strange := sorted({node.attrib_type.name for node in shown} & _NOT_READ):
        kinds = ", ".join(name.lower().replace("_", " ") for name in strange)
        raise ValueError(f"has a {kinds}, which is not read: convert it to a mesh")
    return _arrays(shown) or _arrays(nodes)


def _is_shown(node: Any) -> bool:
    """Return whether a node and all above it are visible."""
    while node is not None:
        if not node.visible:
            return False
        node = _keep(node.parent)
    return True


def _arrays(nodes: list[Any]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for number, node in enumerate(nodes):
        mesh = _keep(node.mesh)
        if mesh is None or not mesh.num_vertices or not mesh.num_faces:
            continue
        skinned = _keep(mesh.skinned_position)
        place = np.eye(4)
        if mesh.skinned_is_local:
            place[:3] = np.array(_keep(node.geometry_to_world), dtype=np.float64).T
        found |= {
            f"{number}-vertices": _array(_keep(skinned.values), np.float64, 3),
            f"{number}-corners": np.array(list(_keep(skinned.indices)), dtype=np.int64),
            f"{number}-spans": _array(_keep(mesh.faces), np.uint32, 2).astype(np.int64),
            f"{number}-place": place,
        }
    return found


def _array(values: Any, kind: type, width: int) -> NDArray[Any]:
    """Return a copy of a list of the scene as (n, width)."""
    if not len(values):
        return np.empty((0, width), dtype=kind)
    return np.frombuffer(values, dtype=kind).reshape(-1, width).copy()


def _outlive_nobody(parent: int) -> None:
    """End this process with its parent, which can no longer end what takes too long."""
    began = time.monotonic()
    while os.getppid() == parent and time.monotonic() - began < RenderConfig.timeout:
        time.sleep(_GLANCE)
    os._exit(1)


def main(path: Path, out: Path) -> int:
    """Read ``path`` and leave its arrays in ``out``; an exit status."""
    gc.disable()
    threading.Thread(target=_outlive_nobody, args=(os.getppid(),), daemon=True).start()
    try:
        np.savez(out, **bodies(path))  # type: ignore[arg-type]
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    status = main(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stderr.flush()
    os._exit(status)
