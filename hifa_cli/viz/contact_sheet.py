"""A contact sheet: queries down, ranked shapes across."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hifa_cli.data import MESH_SUFFIXES, read_picture
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery
from hifa_cli.query.retrieve import Match, Ranking
from hifa_cli.runtime.atomic import written_file

CELL, GAP, CAPTION = 160, 8, 34  # pixels
INK, GROUND, PALE = "#1a1a1a", "#ffffff", "#e4e4e4"
RIGHT, WRONG = "#0072b2", "#d55e00"  # told apart by the colour-blind; a wrong frame is dashed as well
MOST = 200  # queries on one sheet: more than that nobody looks at


def query_sheet(
    gallery: Gallery, rankings: Sequence[Ranking], out: Path, *, truth: Mapping[str, str] | None = None
) -> None:
    """Write a picture of what the queries found.

    Args:
        gallery: where they were searched.
        rankings: one row each.
        out: the picture, PNG or JPEG by its ending.
        truth: the class of each query where it is known; hits are then framed blue, misses orange and
            dashed.

    Raises:
        HifaError: ``out`` cannot be written or has an ending that is no picture's.
    """
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise HifaError(f"cannot write the sheet {out}: end it in .png, .jpg or .webp")
    rows = rankings[:MOST]
    columns = 1 + max((len(ranking.matches) for ranking in rows), default=0)
    size = (columns * (CELL + GAP) + 2 * GAP, len(rows) * (CELL + CAPTION + GAP) + GAP)
    sheet = Image.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(sheet)
    for number, ranking in enumerate(rows):
        top = GAP + number * (CELL + CAPTION + GAP)
        caption = ("/".join(Path(ranking.query).parts[-2:]), "query")
        _cell(sheet, draw, (GAP, top), _query_picture(ranking), caption, INK)
        for match in ranking.matches:
            left = 2 * GAP + match.rank * (CELL + GAP)
            caption = (match.shape.rsplit("/", 1)[-1], f"{match.score:.2f}  {match.class_name or ''}")
            _cell(
                sheet, draw, (left, top), gallery.thumbnail(match.row), caption, _frame(match, ranking, truth)
            )
    with written_file(out) as path:
        sheet.save(path, format="JPEG" if out.suffix.lower() in (".jpg", ".jpeg") else out.suffix[1:].upper())


def _query_picture(ranking: Ranking) -> Path | None:
    shown = [path for path in ranking.pictures if path.suffix.lower() not in MESH_SUFFIXES]
    return shown[0] if shown and shown[0].is_file() else None


def _frame(match: Match, ranking: Ranking, truth: Mapping[str, str] | None) -> str:
    if truth is None or ranking.query not in truth or match.class_name is None:
        return PALE
    return RIGHT if match.class_name == truth[ranking.query] else WRONG


def _cell(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    picture: Path | None,
    caption: tuple[str, str],
    frame: str,
) -> None:
    left, top = corner
    if picture is not None:
        try:
            shown = read_picture(picture)
            shown.thumbnail((CELL, CELL))
            sheet.paste(shown, (left + (CELL - shown.width) // 2, top + (CELL - shown.height) // 2))
        except HifaError:
            draw.text((left + GAP, top + GAP), "no picture", fill=INK, font=_font())
    _border(draw, (left, top, left + CELL, top + CELL), frame)
    for line, text in enumerate(caption):
        draw.text((left, top + CELL + 3 + 14 * line), _shortened(text), fill=INK, font=_font())


def _border(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], colour: str) -> None:
    width = 1 if colour in (PALE, INK) else 4
    draw.rectangle(box, outline=colour, width=width)
    if colour == WRONG:
        for start in range(box[0], box[2], 24):
            draw.rectangle((start, box[1], start + 10, box[1] + width - 1), fill=GROUND)
            draw.rectangle((start, box[3] - width + 1, start + 10, box[3]), fill=GROUND)


def _shortened(text: str) -> str:
    """What fits under a cell."""
    font = _font()
    while text and font.getlength(text) > CELL:
        text = text[:-2].rstrip("…") + "…"
    return text


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(12)
