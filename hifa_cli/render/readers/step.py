"""STEP, by cascadio (Open CASCADE): curved faces are cut into triangles."""

from pathlib import Path
from typing import Any

from hifa_cli.errors import HifaError
from hifa_cli.render.readers import gltf
from hifa_cli.render.readers.parts import Arrays

# How finely curved faces are cut: a share of each edge's length, and radians.
TOLERANCE: dict[str, Any] = {"tol_linear": 0.01, "tol_relative": True, "tol_angular": 0.2}


def read(path: Path) -> Arrays:
    """Read the triangles of every shape.

    Raises:
        HifaError: it cannot be read.
    """
    import cascadio

    content = cascadio.to_glb_bytes(path.read_bytes(), cascadio.FileType.STEP, **TOLERANCE)
    if not content:
        raise HifaError("cannot be read as .step: it is damaged, or holds no shape")
    return gltf.of_bytes(content)
