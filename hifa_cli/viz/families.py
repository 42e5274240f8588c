"""Show families of duplicates: a picture, and a page that needs nothing else."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hifa_cli.errors import HifaError
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import written_file
from hifa_cli.viz.contact_sheet import INK, PALE, QUERIES, Cell, write_sheet
from hifa_cli.viz.pages import escaped, thumbnail_source

if TYPE_CHECKING:
    from hifa_cli.gallery import Gallery
    from hifa_cli.gallery.duplicates import Duplicates, Member

MOST = 200  # families that are shown
ACROSS = 12  # shapes of one that are shown in the picture
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto; max-width: 1400px; padding: 0 20px 24px; }
h1 { font-size: 19px; } h2 { font-size: 15px; margin: 24px 0 8px; border-top: 1px solid #d4d4d4; padding-top: 12px; overflow-wrap: anywhere; }
ul { display: flex; flex-wrap: wrap; gap: 12px; list-style: none; margin: 0; padding: 0; }
li { width: 168px; font-size: 13px; overflow-wrap: anywhere; }
img, .none { width: 160px; height: 160px; object-fit: contain; border: 1px solid #d4d4d4; display: block; background: #fff; }
.first img, .first .none { border: 2px solid #1a1a1a; }
p { margin: 2px 0; } .soft { color: #555; }
"""  # noqa: E501


def family_sheet(gallery: "Gallery", found: "Duplicates", out: Path) -> None:
    """Write a picture of the families: one row each, the first shape framed.

    Args:
        gallery: has the thumbnails.
        found: the families.
        out: the picture, PNG, JPEG or WebP by its ending.

    Raises:
        HifaError: ``out`` cannot be written.
    """
    rows = [
        [
            Cell(
                gallery.thumbnail(one.row),
                (one.shape.rsplit("/", 1)[-1], words(one)),
                PALE if one.kind else INK,
            )
            for one in family[:ACROSS]
        ]
        for family in _shown(found)
    ]
    write_sheet(out, rows, QUERIES)


def words(one: "Member") -> str:
    """Return how a shape differs from its family's first, in a few words."""
    if one.kind is None:
        return "first"
    apart = f", {one.distance:.2f} %" if "shape" in one.changes else ""
    return f"{one.kind}{apart}"


def family_page(gallery: "Gallery", found: "Duplicates", out: Path) -> None:
    """Write an HTML page of the families with their pictures inside.

    Args:
        gallery: has the thumbnails.
        found: the families.
        out: the page.

    Raises:
        HifaError: ``out`` cannot be written.
    """
    parts = [
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>Duplicates</title>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">',
        f"<style>{_STYLE}</style></head><body><h1>{_count(found)} of duplicates in "
        f"{escaped(gallery.folder.resolve().name)}</h1>",
        f"<p class='soft'>{found.shapes} shapes, {found.pairs} pairs compared. Distances are means over the "
        "surface, in per cent of the RMS radius. Nothing was deleted.</p>",
    ]
    for number, family in enumerate(_shown(found), 1):
        parts.append(f"<h2>{number}. {escaped(family[0].shape)} ({len(family)} shapes)</h2><ul>")
        parts += [_item(gallery, one) for one in family]
        parts.append("</ul>")
    with written_file(out) as path:
        path.write_text("\n".join([*parts, "</body></html>\n"]), encoding="utf-8")


def _shown(found: "Duplicates") -> "list[list[Member]]":
    if len(found.families) > MOST:
        progress.warn(f"{MOST} of {len(found.families)} families are shown; --json and --csv have all")
    return found.families[:MOST]


def _count(found: "Duplicates") -> str:
    return "1 family" if len(found.families) == 1 else f"{len(found.families)} families"


def _item(gallery: "Gallery", one: "Member") -> str:
    picture = gallery.thumbnail(one.row)
    shown = "<div class='none'>no picture</div>"
    if picture is not None:
        with suppress(HifaError):  # a picture that is damaged is none
            shown = f"<img alt='{escaped(one.shape)}' src='{thumbnail_source(picture, 160)}'>"
    facts = [words(one), *(f"{change} differs" for change in one.changes)]
    if "scale" in one.changes:
        facts.append(f"{one.scale:.4g} times the size")
    if "pose" in one.changes:
        facts.append(f"turned by {one.angle:.0f}°")
    lines = "".join(f"<p>{escaped(fact)}</p>" for fact in facts)
    head = " class='first'" if one.kind is None else ""
    path = f"<p class='soft'>{escaped(one.path)}</p>"
    return f"<li{head}>{shown}<p><b>{escaped(one.shape)}</b></p>{lines}{path}</li>"
