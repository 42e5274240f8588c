"""Contact sheets: many small pictures with captions in one picture, of rendered shapes or of rankings."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from hifa_cli.data import is_mesh, read_picture
from hifa_cli.errors import HifaError
from hifa_cli.runtime.atomic import written_file

if TYPE_CHECKING:
    from hifa_cli.gallery import Gallery
    from hifa_cli.query.retrieve import Match, Ranking

INK, GROUND, PALE = "#1a1a1a", "#ffffff", "#e4e4e4"
RIGHT, WRONG = "#0072b2", "#d55e00"  # told apart by the colour-blind; a wrong frame is dashed as well
MOST_QUERIES = 200  # on one sheet: more than that nobody looks at
MOST_SHAPES = 2000  # of more, every k-th
ACROSS = 16  # shapes in a row
VIEW = "01.png"  # from the front, a little to the side


class Cell(NamedTuple):
    """A picture with its caption; without a frame where none is named."""

    picture: Path | Image.Image | None
    caption: tuple[str, ...]
    frame: str | None = None


class Layout(NamedTuple):
    """Measures of a sheet in pixels; ``split`` sets the first column apart."""

    side: int
    gap: int
    caption: int
    font: int
    split: int = 0

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Return left and top of a cell."""
        left = self.gap + column * (self.side + self.gap) + (self.split if column else 0)
        return left, self.gap + row * (self.side + self.caption + self.gap)

    def size(self, rows: int, columns: int) -> tuple[int, int]:
        """Return width and height of a sheet."""
        left, top = self.corner(rows, columns)
        return left, top


QUERIES = Layout(side=160, gap=8, caption=34, font=12, split=8)
SHAPES = Layout(side=112, gap=0, caption=12, font=10)


def query_sheet(
    gallery: "Gallery", rankings: Sequence["Ranking"], out: Path, *, truth: Mapping[str, str] | None = None
) -> None:
    """Write a picture of what the queries found: queries down, ranked shapes across.

    Args:
        gallery: where they were searched.
        rankings: one row each.
        out: the picture, PNG, JPEG or WebP by its ending.
        truth: the class of each query where it is known; hits are then framed blue, misses orange and
            dashed.

    Raises:
        HifaError: ``out`` cannot be written or its ending is not a picture's.
    """
    rows = []
    for ranking in rankings[:MOST_QUERIES]:
        found = [
            shape_cell(
                gallery.thumbnail(match.row), match.shape, match.score, match.class_name,
                likelihood=match.likelihood, frame=_frame(match, ranking, truth),
            )
            for match in ranking.matches
        ]  # fmt: skip
        rows.append(
            [query_cell(ranking.query, _query_picture(ranking), nothing_here=ranking.nothing_here), *found]
        )
    write_sheet(out, rows, QUERIES)


def query_cell(name: str, picture: Path | Image.Image | None, *, nothing_here: bool | None = None) -> Cell:
    """Return the first cell of a row: the photo that asks, and whether no shape seems to be of its kind.

    Args:
        name: of the photo.
        picture: a file or an open picture; None shows a plain cell.
        nothing_here: whether no shape seems to be of its kind; None where that is not known.

    Returns:
        The cell.
    """
    said = "query: nothing looks like it" if nothing_here else "query"
    return Cell(picture, ("/".join(Path(name).parts[-2:]), said), INK)


def shape_cell(
    thumbnail: Path | None, shape: str, score: float, class_name: str | None, *,
    likelihood: float | None = None, frame: str = PALE,
) -> Cell:  # fmt: skip
    """Return the cell of a shape that was found.

    Args:
        thumbnail: its picture.
        shape: its id; the last part of it is shown.
        score: what it was ranked by.
        class_name: its class, where that is known.
        likelihood: that it is of the query's kind, where that is known.
        frame: colour of the frame.

    Returns:
        The cell, its caption of two lines.
    """
    sure = "" if likelihood is None else f" {likelihood:.0%}"
    return Cell(thumbnail, (shape.rsplit("/", 1)[-1], f"{score:.2f}{sure}  {class_name or ''}"), frame)


def shape_sheet(out: Path, shapes: Sequence[tuple[str, Path]]) -> int:
    """Write one small view of every shape, its id below.

    Args:
        out: the picture, PNG, JPEG or WebP by its ending.
        shapes: ids and folders of views.

    Returns:
        How many shapes are on the sheet.

    Raises:
        HifaError: ``out`` cannot be written or its ending is not a picture's.
    """
    shown = shapes[:: -(-len(shapes) // MOST_SHAPES)] if shapes else ()
    write_sheet(out, shape_rows(shown), SHAPES)
    return len(shown)


def shape_rows(shapes: Sequence[tuple[str, Path]]) -> list[list[Cell]]:
    """Return rows of one small view of every shape, its id below; ids and folders of views are given."""
    cells = [
        Cell(
            next(filter(Path.is_file, (folder / VIEW, folder / "00.png")), None),
            (name if len(name) <= 18 else f"…{name[-17:]}",),
        )
        for name, folder in shapes
    ]
    return [cells[start : start + ACROSS] for start in range(0, len(cells), ACROSS)]


def write_sheet(out: Path, rows: Sequence[Sequence[Cell]], layout: Layout) -> None:
    """Write rows of cells as one picture.

    Args:
        out: the picture, PNG, JPEG or WebP by its ending.
        rows: cells, a list per row.
        layout: measures in pixels.

    Raises:
        HifaError: ``out`` cannot be written or its ending is not a picture's.
    """
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise HifaError(f"cannot write the sheet {out}: end it in .png, .jpg or .webp")
    sheet = draw_sheet(rows, layout)
    with written_file(out) as path:
        sheet.save(path, format="JPEG" if out.suffix.lower() in (".jpg", ".jpeg") else out.suffix[1:].upper())


def draw_sheet(rows: Sequence[Sequence[Cell]], layout: Layout) -> Image.Image:
    """Draw rows of cells.

    Args:
        rows: cells, a list per row.
        layout: measures in pixels.

    Returns:
        The RGB picture; a cell whose picture cannot be read says so in its place.
    """
    size = layout.size(max(1, len(rows)), max([1, *map(len, rows)]))
    sheet = Image.new("RGB", size, GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(layout.font)
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            left, top = layout.corner(number, column)
            _paste(sheet, draw, cell.picture, (left, top), layout)
            if cell.frame is not None:
                _border(draw, (left, top, left + layout.side, top + layout.side), cell.frame)
            for line, text in enumerate(cell.caption):
                place = (left + 1, top + layout.side + (2 + layout.font) * line + min(3, layout.gap))
                draw.text(place, _shortened(text, font, layout.side), fill=INK, font=font)
    return sheet


def _paste(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    picture: Path | Image.Image | None,
    corner: tuple[int, int],
    layout: Layout,
) -> None:
    left, top = corner
    try:
        shown = read_picture(picture) if isinstance(picture, Path) else picture and picture.copy()
    except HifaError:
        shown = None
    if shown is None:
        draw.text((left + 8, top + 8), "no picture", fill=INK, font=ImageFont.load_default(layout.font))
        return
    shown.thumbnail((layout.side, layout.side))
    sheet.paste(shown, (left + (layout.side - shown.width) // 2, top + (layout.side - shown.height) // 2))


def _query_picture(ranking: "Ranking") -> Path | None:
    shown: Iterable[Path] = (path for path in ranking.pictures if not is_mesh(path) and path.is_file())
    return next(iter(shown), None)


def _frame(match: "Match", ranking: "Ranking", truth: Mapping[str, str] | None) -> str:
    if truth is None or ranking.query not in truth or match.class_name is None:
        return PALE
    return RIGHT if match.class_name == truth[ranking.query] else WRONG


def _border(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], colour: str) -> None:
    width = 1 if colour in (PALE, INK) else 4
    draw.rectangle(box, outline=colour, width=width)
    if colour == WRONG:
        for start in range(box[0], box[2], 24):
            draw.rectangle((start, box[1], start + 10, box[1] + width - 1), fill=GROUND)
            draw.rectangle((start, box[3] - width + 1, start + 10, box[3]), fill=GROUND)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Return what fits under a cell."""
    while text and font.getlength(text) > width:
        text = text[:-2].rstrip("…") + "…"
    return text
