"""Parts of pages that need nothing else: escaped text, and pictures inside."""

import base64
import html
import io
from pathlib import Path

from hifa_cli.data import read_picture


def escaped(text: object) -> str:
    """Return a text that cannot become markup; what is not Unicode is spelt out."""
    return html.escape(str(text).encode("utf-8", "backslashreplace").decode("utf-8"))


def png_source(content: bytes) -> str:
    """Return the address of a PNG that a page holds itself."""
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def thumbnail_source(path: Path, side: int, *, mode: str = "RGB") -> str:
    """Return the address of a small copy of a picture.

    Args:
        path: of the picture.
        side: pixels of its longer side at most.
        mode: ``RGB``, or ``L`` for grey.

    Returns:
        A ``data:`` address.

    Raises:
        HifaError: the picture cannot be read.
    """
    picture = read_picture(path).convert(mode)
    picture.thumbnail((side, side))
    content = io.BytesIO()
    picture.save(content, "PNG")
    return png_source(content.getvalue())
