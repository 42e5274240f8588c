"""STEP and IGES, by cascadio (Open CASCADE): curved faces are cut into triangles."""

import codecs
import re
from pathlib import Path
from typing import Any

from hifa_cli.errors import HifaError
from hifa_cli.render.readers import gltf
from hifa_cli.render.readers.parts import Arrays
from hifa_cli.render.readers.textual import bytes_of, utf8

# How finely curved faces are cut: a share of each edge's length, and radians.
TOLERANCE: dict[str, Any] = {"tol_linear": 0.01, "tol_relative": True, "tol_angular": 0.2}
_IGES = re.compile(rb"[^\r\n]{72}S[ 0]{6}1")  # a file's first line


def read(path: Path) -> Arrays:
    """Read the triangles of every shape.

    Raises:
        HifaError: it cannot be read.
    """
    import cascadio

    content = utf8(bytes_of(path)).tobytes().removeprefix(codecs.BOM_UTF8)
    is_step = content.lstrip().startswith(b"ISO-10303-21") or (
        path.suffix.lower().startswith(".st") and not _IGES.match(content)
    )
    kind = cascadio.FileType.STEP if is_step else cascadio.FileType.IGES
    found = cascadio.to_glb_bytes(content, kind, **TOLERANCE)
    if not found:
        name = "STEP" if is_step else "IGES"
        raise HifaError(f"cannot be read as {name}: it is damaged, or holds no shape")
    return gltf.of_bytes(found)
