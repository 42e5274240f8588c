"""A contact sheet: one picture with every shape on it."""

from collections.abc import Sequence
from pathlib import Path

from hifa_cli.runtime.atomic import written_file

TILE = 112  # pixels a side
LABEL = 12  # pixels under each tile
ACROSS = 16
MOST = 2000  # shapes; of more, every k-th
VIEW = "01.png"  # from the front, a little to the side


def write_contact_sheet(path: Path, shapes: Sequence[tuple[str, Path]]) -> int:
    """Write one small view of every shape, its id below, as a PNG.

    Args:
        path: of the sheet.
        shapes: ids and folders of views.

    Returns:
        How many shapes are on the sheet.
    """
    from PIL import Image, ImageDraw

    shown = shapes[:: -(-len(shapes) // MOST)] if shapes else ()
    across = max(1, min(ACROSS, len(shown)))
    down = max(1, -(-len(shown) // across))
    sheet = Image.new("L", (across * TILE, down * (TILE + LABEL)), 255)
    pen = ImageDraw.Draw(sheet)
    for place, (name, folder) in enumerate(shown):
        x, y = place % across * TILE, place // across * (TILE + LABEL)
        view = folder / VIEW if (folder / VIEW).exists() else folder / "00.png"
        with Image.open(view) as picture:
            sheet.paste(picture.convert("L").resize((TILE, TILE), Image.Resampling.BOX), (x, y))
        pen.text((x + 2, y + TILE - 1), name[-18:].encode("latin-1", "replace").decode("latin-1"), fill=96)
    with written_file(path) as temporary:
        sheet.save(temporary, "PNG")
    return len(shown)
