"""The pictures' files: PNG that every reader takes, and their mark."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hifa_cli.render.view_io import grey_png, holds_only_views, read_mark, view_names, write_views


@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 40), width=st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_a_png_is_read_back_by_pillow_as_it_was(seed: int, height: int, width: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    with Image.open(io.BytesIO(grey_png(picture, "a mark"))) as read:
        read.load()
        assert (read.mode, read.info["hifa"]) == ("L", "a mark")
        np.testing.assert_array_equal(np.asarray(read), picture)
    with Image.open(io.BytesIO(grey_png(picture))) as read:
        read.verify()


def write(folder: Path, views: int = 3, mark: str = "abc 123") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_views(folder, np.full((views, 8, 8), 200, dtype=np.uint8), mark)
    return folder


def test_views_are_named_by_two_digits(tmp_path: Path) -> None:
    write(tmp_path, views=12)
    assert sorted(path.name for path in tmp_path.iterdir()) == view_names(12)
    assert view_names(12)[0] == "00.png"
    assert view_names(12)[-1] == "11.png"


def test_the_mark_of_whole_views_is_read_back(tmp_path: Path) -> None:
    assert read_mark(write(tmp_path), 3) == "abc 123"


@pytest.mark.parametrize("damage", ["gone", "one missing", "fewer", "no mark", "no png", "cut"])
def test_views_that_are_not_whole_or_not_ours_have_no_mark(tmp_path: Path, damage: str) -> None:
    folder, views = write(tmp_path / "a"), 3
    if damage == "gone":
        folder = tmp_path / "b"
    elif damage == "one missing":
        (folder / "01.png").unlink()
    elif damage == "fewer":
        views = 4
    elif damage == "no mark":
        Image.new("L", (8, 8)).save(folder / "00.png")
    elif damage == "no png":
        (folder / "00.png").write_bytes(b"not a picture")
    else:
        (folder / "00.png").write_bytes((folder / "00.png").read_bytes()[:12])
    assert read_mark(folder, views) is None


def test_a_folder_with_anything_else_is_not_ours_to_replace(tmp_path: Path) -> None:
    assert holds_only_views(write(tmp_path))
    (tmp_path / "notes.txt").touch()
    assert not holds_only_views(tmp_path)
