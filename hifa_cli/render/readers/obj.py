"""Wavefront OBJ: text, of polygons."""

import re
from pathlib import Path

from hifa_cli.errors import HifaError
from hifa_cli.render.parsing import Bytes, Polygons, parse_obj
from hifa_cli.render.readers.parts import Arrays
from hifa_cli.render.readers.textual import is_text, of_text

LOOKED_AT = 1 << 16  # bytes in which it shows that an OBJ has lost its ends of lines
_SEVERAL = re.compile(rb"^[^#\r\n]*[^#\s][ \t]+[vf][ \t]+[-+.\d]", re.MULTILINE)


def read(path: Path) -> Arrays:
    """Read vertices and triangles; polygons are cut.

    Raises:
        HifaError: it has several items in a line, decimal commas, curved surfaces, or is not text.
    """
    return of_text(_parsed, path)


def _parsed(text: Bytes) -> Polygons:
    polygons = parse_obj(text)
    if not len(polygons.vertices) and not is_text(text):
        raise HifaError("is not an OBJ: it is not text")
    if not len(polygons.vertices) and len(polygons.starts) == 1:
        raise HifaError("is not an OBJ: it has no vertices ('v') and no faces ('f')")
    few = len(polygons.starts) == 1 or len(polygons.vertices) < 3
    if few and _SEVERAL.search(text[:LOOKED_AT].tobytes()):
        raise HifaError("has several vertices or faces in one line: each needs its own")
    return polygons
