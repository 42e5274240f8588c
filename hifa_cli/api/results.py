"""Results of the API's functions: paths that know what is in them, and pictures for a notebook."""

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

    from hifa_cli.render.pipeline import RenderReport
    from hifa_cli.viz.contact_sheet import Cell, Layout

SHOWN = 48  # shapes of a folder of views in a notebook
QUALITY = 88  # of a notebook's JPEG pictures


@dataclass(frozen=True)
class _Folder:
    """A folder on disk that every function of the API takes as a path."""

    path: Path

    def __fspath__(self) -> str:
        """Return the path as text, so that this stands wherever a path does."""
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, repr=False)
class Views(_Folder):
    """Rendered shapes in a folder.

    Attributes:
        path: the folder.
        shapes: ids and folders of the shapes that are there now.
        rendered: how many were drawn.
        skipped: how many were there already.
        failed: meshes that could not be drawn, and why.
        up: which axis was taken to be up, by the kind of file, where the shapes decided it.
    """

    shapes: tuple[tuple[str, Path], ...] = ()
    rendered: int = 0
    skipped: int = 0
    failed: tuple[tuple[Path, str], ...] = ()
    up: tuple[Any, ...] = field(default=())

    @classmethod
    def of(cls, path: Path, report: "RenderReport") -> "Views":
        """Return what a run of the render stage left in ``path``."""
        return cls(
            path,
            tuple(report.shapes),
            report.rendered,
            report.skipped,
            tuple((failure.path, failure.reason) for failure in report.failed),
            tuple(report.taken),
        )

    def __len__(self) -> int:
        return len(self.shapes)

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"Views('{self.path}', {len(self)} shapes{failed})"

    def _repr_html_(self) -> str:
        from hifa_cli.viz.contact_sheet import SHAPES, shape_rows

        shown = self.shapes[:SHOWN]
        more = f" (the first {SHOWN})" if len(self) > SHOWN else ""
        return sheet_html(shape_rows(shown), SHAPES, f"{self!r}{more}")


@dataclass(frozen=True, repr=False)
class Run(_Folder):
    """A trained model in the folder of its run.

    Attributes:
        path: the folder.
        method: the training method.
        steps: how many it took.
        seconds: how long this call trained; a finished run keeps what it took.
        digest: SHA-256 of weights and configuration.
        last: the last line of the log: losses by name.
        config: every number of the run.
    """

    method: str = ""
    steps: int = 0
    seconds: float = 0.0
    digest: str = ""
    last: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_pretrained(cls, name: "str | os.PathLike[str]", *, revision: str | None = None) -> "Run":
        """Return a run of the Hugging Face Hub, or of a folder of this machine.

        Args:
            name: ``USER/NAME``, or the folder of a run.
            revision: branch, tag or commit of the hub; the main branch by default.

        Returns:
            The run; what was fetched is kept in the cache (``XDG_CACHE_HOME``).

        Raises:
            HifaError: there is none, or the hub cannot be reached.
        """
        from hifa_cli.models.about import read_about
        from hifa_cli.pipelines.sharing.contents import RUN, RUN_FILE, read_json
        from hifa_cli.pipelines.sharing.pull import here_or_cached
        from hifa_cli.runtime.progress import reporting_somewhere

        with reporting_somewhere():
            path = here_or_cached(name, RUN, revision)
            about, model = read_json(path / RUN_FILE), read_about(path)
        done = about.get("finished") or {}
        return cls(
            path, str(model.get("method", "")), int(done.get("steps", 0)), float(done.get("seconds", 0.0)),
            str(model.get("digest", "")), done.get("last") or {}, about.get("train") or {},
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Run('{self.path}', {self.method}, {self.steps} steps, model {self.digest[:12]})"


def sheet_html(rows: "Sequence[Sequence[Cell]]", layout: "Layout", text: str) -> str:
    """Return a contact sheet as HTML that needs no other file.

    Args:
        rows: cells of the sheet.
        layout: measures of the sheet.
        text: what the sheet shows, for those who cannot see it.

    Returns:
        One ``<img>`` element.
    """
    from hifa_cli.viz.contact_sheet import draw_sheet

    picture = draw_sheet(rows, layout)
    said = html.escape(text, quote=True)
    return f'<img src="data:image/jpeg;base64,{_encoded(picture)}" alt="{said}" title="{said}">'


def _encoded(picture: "Image.Image") -> str:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=QUALITY)
    return base64.b64encode(content.getvalue()).decode("ascii")
