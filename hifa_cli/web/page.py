"""A page of rankings in one file: works offline, the shapes turning in 3D."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hifa_cli import __version__
from hifa_cli.config import PageConfig
from hifa_cli.gallery import Gallery
from hifa_cli.query.retrieve import Ranking
from hifa_cli.runtime.atomic import written_file
from hifa_cli.runtime.progress import SILENT, Talk
from hifa_cli.web.document import page_contents

HERE = Path(__file__).parent
CHOOSER = '<label>query <select id="chosen"></select></label>'
START = 'new Page(JSON.parse($("data").textContent));'


@dataclass(frozen=True)
class PageReport:
    """What a page became.

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
    talk: Talk = SILENT,
) -> PageReport:
    """Write what queries found as one HTML file that needs nothing else.

    Args:
        gallery: where they were searched.
        rankings: what they found.
        out: the file.
        config: how large it may become.
        talk: what was left out, and progress.

    Raises:
        HifaError: the file cannot be written.
    """
    contents = page_contents(gallery, rankings, config or PageConfig(), talk)
    footer = f"hifa {__version__}: {len(gallery)} shapes in {gallery.folder.resolve().name}"
    text = assemble(contents.data, tools=CHOOSER, footer=footer, start=START)
    with written_file(out) as path:
        path.write_text(text, encoding="utf-8")
    return PageReport(len(text.encode()), contents.meshes, contents.faces)


def assemble(data: dict[str, Any] | None, *, tools: str, footer: str, start: str) -> str:
    """The page's parts as one HTML text.

    Args:
        data: the document; it cannot end the script element that it stands in.
        tools: markup of the header.
        footer: text.
        start: the script that comes last.
    """
    script = "\n".join(
        [(HERE / "viewer.js").read_text("utf-8"), (HERE / "page.js").read_text("utf-8"), start]
    )
    parts = {
        "STYLE": (HERE / "page.css").read_text("utf-8"),
        "TOOLS": tools,
        "FOOTER": footer.replace("&", "&amp;").replace("<", "&lt;"),
        "SCRIPT": script,
        "DATA": json.dumps(data, ensure_ascii=True).replace("<", "\\u003c"),
    }
    text = (HERE / "page.html").read_text("utf-8")
    for name, part in parts.items():  # the document last, since it may hold anything
        text = text.replace(f"<!--{name}-->", part)
    return text
