"""``hifa duplicates``."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hifa_cli.cli.options import Force, Json, Quiet, Verbose, gallery_option
from hifa_cli.cli.terminal import print_json, print_result, start_reporting
from hifa_cli.config import DuplicatesConfig
from hifa_cli.runtime import progress

if TYPE_CHECKING:
    from hifa_cli.gallery.duplicates import Duplicates

_DEFAULT = DuplicatesConfig()
OUTPUTS = "What is written"
COLUMNS = ("family", "shape", "kind", "changes", "distance", "farthest", "scale", "angle", "path")


def duplicates(
    place: Annotated[
        Path | None,
        typer.Argument(
            metavar="GALLERY", help="A gallery made of meshes.", show_default="what --gallery says"
        ),
    ] = None,
    gallery: Annotated[
        Path | None, gallery_option("The same as the argument.", show_default="what the argument says")
    ] = None,
    within: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=20.0,
            help="Mean distance, in per cent of the shape's RMS radius, up to which shapes are "
            "variants of one part; 0 finds only surfaces that are the same.",
        ),
    ] = _DEFAULT.within,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="PICTURE", help="Picture of the families.", show_default="none", rich_help_panel=OUTPUTS
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Page of the families.", show_default="none", rich_help_panel=OUTPUTS
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Table of the families.",
            show_default="none",
            rich_help_panel=OUTPUTS,
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
) -> None:
    """Find the same part in a gallery: copies, poses, scales, mirrors, variants. Nothing is deleted."""
    chosen = place or gallery
    if chosen is None or (place is not None and gallery is not None):
        raise typer.BadParameter("give one gallery: GALLERY or -g GALLERY")
    from hifa_cli.errors import HifaError
    from hifa_cli.gallery import read_gallery
    from hifa_cli.gallery.duplicates import find_duplicates

    for out in (sheet, html, table):
        if out is not None and out.exists() and not force:
            raise HifaError(f"{out} exists: choose another name or give --force")
    for out, endings in (
        (sheet, (".png", ".jpg", ".jpeg", ".webp")),
        (html, (".html", ".htm")),
        (table, (".csv",)),
    ):
        if out is not None and out.suffix.lower() not in endings:
            raise HifaError(f"cannot write {out}: end it in {', '.join(endings)}")
    start_reporting(quiet=quiet, verbose=verbose)
    opened = read_gallery(chosen)
    found = find_duplicates(opened, DuplicatesConfig(within=within))
    if sheet is not None or html is not None:
        from hifa_cli.viz.families import family_page, family_sheet

        if sheet is not None:
            family_sheet(opened, found, sheet)
        if html is not None:
            family_page(opened, found, html)
    if table is not None:
        from hifa_cli.runtime.atomic import written_file

        with written_file(table) as path:
            path.write_text(_csv(found), encoding="utf-8")
    for out in (sheet, html, table):
        if out is not None:
            progress.note(f"written: {out}")
    if as_json:
        print_json({"gallery": str(chosen), **found.document()})
    else:
        print_result(*_lines(found))


def _rows(found: "Duplicates") -> list[list[Any]]:
    return [
        [
            number, one.shape, one.kind or "first", " ".join(one.changes), one.distance, one.farthest,
            one.scale, one.angle, one.path,
        ]
        for number, family in enumerate(found.families, 1)
        for one in family
    ]  # fmt: skip


def _csv(found: "Duplicates") -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(found))
    return text.getvalue()


def _lines(found: "Duplicates") -> list[Any]:
    """Return the families as people read them: one line per shape."""
    lines: list[Any] = []
    for number, family in enumerate(found.families, 1):
        lines.append(f"family {number}: {len(family)} shapes, {family[0].shape}")
        for one in family[1:]:
            more = f", {one.distance:.2f} % apart" if one.kind not in (None, "copy") else ""
            size = f", {one.scale:.4g} times the size" if "scale" in one.changes else ""
            turned = f", turned by {one.angle:.0f}°" if "pose" in one.changes and one.angle > 0.5 else ""
            lines.append(f"  {one.kind}: {one.shape}{more}{size}{turned}")
    inside = sum(len(family) for family in found.families)
    families = "1 family" if len(found.families) == 1 else f"{len(found.families)} families"
    lines.append(f"{families} of {inside} shapes among {found.shapes}")
    if found.failed:
        lines.append(f"{len(found.failed)} shapes could not be compared")
    return lines
