"""Contact sheets: every picture at its place, hits and misses framed, and no fault from a bad picture."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hifa_cli.errors import HifaError
from hifa_cli.query.retrieve import Match, Ranking
from hifa_cli.viz.contact_sheet import QUERIES, RIGHT, WRONG, query_sheet, shape_sheet


def write_shape(folder: Path, grey: int) -> Path:
    folder.mkdir(parents=True)
    for view in range(2):
        Image.new("L", (224, 224), grey).save(folder / f"{view:02d}.png")
    return folder


def test_every_shape_is_on_the_sheet(tmp_path: Path) -> None:
    shapes = [(f"klasse/stühle №{k} 椅子", write_shape(tmp_path / f"s{k}", 10 * k)) for k in range(20)]
    assert shape_sheet(tmp_path / "sheet.png", shapes) == 20
    with Image.open(tmp_path / "sheet.png") as opened:
        sheet = opened.convert("L")
        assert sheet.size == (16 * 112, 2 * 124)
        assert [sheet.getpixel((112 * k + 56, 50)) for k in range(16)] == [10 * k for k in range(16)]
        assert sheet.getpixel((3 * 112 + 56, 124 + 50)) == 190


def test_a_sheet_of_nothing_is_a_white_tile(tmp_path: Path) -> None:
    assert shape_sheet(tmp_path / "sheet.png", []) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.getextrema() == ((255, 255),) * 3


def test_a_broken_view_leaves_the_others_on_the_sheet(tmp_path: Path) -> None:
    shapes = [(f"s{k}", write_shape(tmp_path / f"s{k}", 50)) for k in range(3)]
    (tmp_path / "s1/01.png").write_text("no picture")
    (tmp_path / "s2/01.png").unlink()  # its other view is taken
    assert shape_sheet(tmp_path / "sheet.png", shapes) == 3
    with Image.open(tmp_path / "sheet.png") as opened:
        sheet = opened.convert("L")
    assert [sheet.getpixel((112 * k + 56, 70)) for k in range(3)] == [50, 255, 50]
    assert np.asarray(sheet)[:30, 112:224].min() < 128  # it says so


def rankings(tmp_path: Path) -> tuple[Any, list[Ranking]]:
    paths = []
    for number, grey in enumerate((40, 80, 120)):
        paths.append(tmp_path / f"{number}.png")
        Image.new("L", (50, 50), grey).save(paths[-1])
    gallery = SimpleNamespace(thumbnail=lambda row: paths[row])
    matches = (Match(1, "a/x", "a", 0.9, 1), Match(2, "b/y", "b", 0.8, 2))
    return gallery, [Ranking("photo.png", matches, (paths[0],), "a")]


def colours(sheet: Image.Image, column: int) -> set[str]:
    """Of the upper edge of a cell."""
    left, top = QUERIES.corner(0, column)
    row = np.asarray(sheet)[top + 1, left : left + QUERIES.side]
    return {"#" + bytes(pixel).hex() for pixel in row}


def test_hits_are_framed_blue_and_misses_orange_and_dashed(tmp_path: Path) -> None:
    gallery, found = rankings(tmp_path)
    query_sheet(gallery, found, tmp_path / "sheet.png", truth={"photo.png": "a"})
    with Image.open(tmp_path / "sheet.png") as opened:
        sheet = opened.convert("RGB")
    assert colours(sheet, 1) == {RIGHT}
    assert colours(sheet, 2) == {WRONG, "#ffffff"}
    centres = [QUERIES.corner(0, column) for column in range(3)]
    assert [sheet.getpixel((x + 80, y + 80))[0] for x, y in centres] == [40, 80, 120]  # type: ignore[index]


def test_without_known_classes_no_frame_judges(tmp_path: Path) -> None:
    gallery, found = rankings(tmp_path)
    query_sheet(gallery, found, tmp_path / "sheet.webp")
    with Image.open(tmp_path / "sheet.webp") as sheet:
        assert sheet.size == QUERIES.size(1, 3)


def test_another_ending_is_named(tmp_path: Path) -> None:
    for write in (lambda out: shape_sheet(out, []), lambda out: query_sheet(*rankings(tmp_path), out)):
        with pytest.raises(HifaError, match=r"end it in \.png, \.jpg or \.webp"):
            write(tmp_path / "sheet.gif")
