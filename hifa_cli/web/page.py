"""The page as one HTML text: a file that works offline, or what the server sends."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hifa_cli import __version__
from hifa_cli.config import PageConfig
from hifa_cli.gallery import Gallery
from hifa_cli.query.retrieve import Ranking
from hifa_cli.runtime.atomic import written_file
from hifa_cli.web.document import page_contents

HERE = Path(__file__).parent
HTML = "text/html; charset=utf-8"
Kind = Literal["file", "served"]
_SCRIPTS = {
    "file": ("viewer.js", "page.js", "file.js"),
    "served": ("viewer.js", "page.js", "crop.js", "served.js"),
}


@dataclass(frozen=True)
class PageReport:
    """The result of writing a page.

    Attributes:
        size: bytes.
        meshes: how many turn.
        faces: of all of them.
    """

    size: int
    meshes: int
    faces: int


def write_page(
    gallery: Gallery,
    rankings: Sequence[Ranking],
    out: Path,
    *,
    config: PageConfig | None = None,
) -> PageReport:
    """Write what queries found as one HTML file that needs nothing else.

    Args:
        gallery: where they were searched.
        rankings: what they found.
        out: the file.
        config: how large it may become.

    Returns:
        The page's size.

    Raises:
        HifaError: the file cannot be written.
    """
    contents = page_contents(gallery, rankings, config or PageConfig())
    footer = f"hifa {__version__}: {len(gallery)} shapes in {gallery.folder.resolve().name}"
    text = assemble("file", contents.data, footer)
    with written_file(out) as path:
        path.write_text(text, encoding="utf-8")
    return PageReport(len(text.encode()), contents.meshes, contents.faces)


def served_page(about: dict[str, Any]) -> tuple[bytes, str, str]:
    """Return the page of the server: its bytes, their content type, and the policy of its header."""
    footer = f"hifa {__version__}: {about['shapes']} shapes in {about['name']}"
    return assemble("served", about, footer).encode(), HTML, _policy("served", frames=True)


def login_page() -> tuple[bytes, str, str]:
    """Return the page that asks for the token: its bytes, their content type, and its policy."""
    text = (HERE / "login.html").read_text("utf-8").replace("<!--STYLE-->", _style())
    policy = f"default-src 'none'; style-src {_source(_style())}; form-action 'self'; frame-ancestors 'none'"
    return text.encode(), HTML, policy


def assemble(kind: Kind, data: dict[str, Any], footer: str) -> str:
    """Join the page's parts to one HTML text.

    Args:
        kind: a file of rankings, or the page of the server.
        data: the document; it cannot end the script element that it stands in.
        footer: text.

    Returns:
        HTML that loads nothing.
    """
    parts = {
        "POLICY": _policy(kind, frames=False),
        "STYLE": _style(),
        "KIND": kind,
        "FOOTER": footer.replace("&", "&amp;").replace("<", "&lt;"),
        "SCRIPT": _script(kind),
        "DATA": json.dumps(data, ensure_ascii=True).replace("<", "\\u003c"),
    }
    text = (HERE / "page.html").read_text("utf-8")
    for name, part in parts.items():  # the document last, since it may hold anything
        text = text.replace(f"<!--{name}-->", part)
    return text


def _policy(kind: Kind, *, frames: bool) -> str:
    """Return what the browser may load and run.

    Our own script and style by their digests, nothing from elsewhere.

    ``frame-ancestors`` counts only in a header.
    """
    parts = [
        "default-src 'none'",
        "img-src data: 'self'" if kind == "served" else "img-src data:",
        f"style-src {_source(_style())}",
        f"script-src {_source(_script(kind))}",
        "connect-src 'self'" if kind == "served" else "connect-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join([*parts, "frame-ancestors 'none'"] if frames else parts)


def _style() -> str:
    return "\n" + (HERE / "page.css").read_text("utf-8")


def _script(kind: Kind) -> str:
    return "\n" + "\n".join((HERE / name).read_text("utf-8") for name in _SCRIPTS[kind])


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
