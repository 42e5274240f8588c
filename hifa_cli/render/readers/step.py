"""STEP and IGES, by cascadio (Open CASCADE): curved faces are cut into triangles."""

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

    content = path.read_bytes()
    is_step = content.lstrip().startswith(b"ISO-10303-21") or path.suffix.lower().startswith(".st")
    kind = cascadio.FileType.STEP if is_step else cascadio.FileType.IGES
    found = cascadio.to_glb_bytes(content, kind, **TOLERANCE)
    if not found:
        name = "STEP" if is_step else "IGES"
        raise HifaError(f"cannot be read as {name}: it is damaged, or holds no shape")
    return gltf.of_bytes(found)
