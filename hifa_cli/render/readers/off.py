"""OFF: text, of polygons."""

from pathlib import Path

from hifa_cli.render.parsing import parse_off
from hifa_cli.render.readers.parts import Arrays
from hifa_cli.render.readers.textual import of_text


def read(path: Path) -> Arrays:
    """Read vertices and triangles; polygons are cut.

    Raises:
        HifaError: it is not an OFF, is cut off, or has decimal commas.
    """
    return of_text(parse_off, path)
