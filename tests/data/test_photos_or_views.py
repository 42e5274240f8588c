"""Photos with numbers for names are not taken for views; views of any renderer are."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from hifa_cli.data.pictures import photo_signs
from hifa_cli.data.shapes import find_shapes
from hifa_cli.errors import HifaError
from tests.cli.test_cli import hifa, one_line

Size = tuple[int, int]
Draw = Callable[[np.random.Generator, Size], Image.Image]


def photo(generator: np.random.Generator, size: Size) -> Image.Image:
    """Return a coloured picture whose neighbours are alike, to its edges."""
    small = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))


def view(generator: np.random.Generator, size: Size, top: int = 255, colour: bool = True) -> Image.Image:
    """Return an object in the middle of a plain ground, or of one that grows darker towards its foot."""
    ground = np.linspace(top, 255, size[1])[:, None, None] * ([0.9, 0.95, 1.0] if colour else [1, 1, 1])
    picture = np.broadcast_to(ground, (size[1], size[0], 3)).copy()
    picture[size[1] // 4 : -size[1] // 4, size[0] // 4 : -size[0] // 4] = generator.uniform(0, 255, 3)
    return Image.fromarray(picture.astype(np.uint8))


def gradient(generator: np.random.Generator, size: Size) -> Image.Image:
    return view(generator, size, top=40)


def numbered(root: Path, draw: Draw, sizes: list[Size], name: str = "{:03d}.jpg") -> Path:
    """Draw six pictures for each of three folders, whose sizes take turns."""
    generator = np.random.default_rng(0)
    for folder in ("cup", "car", "lamp"):
        (root / folder).mkdir(parents=True)
        for number in range(1, 7):
            draw(generator, sizes[number % len(sizes)]).save(root / folder / name.format(number))
    return root


ONE, SEVERAL = [(96, 72)], [(96, 72), (72, 96), (80, 60)]


@pytest.mark.parametrize("sizes", [ONE, SEVERAL], ids=["one size", "several sizes"])
@pytest.mark.parametrize("name", ["{:03d}.jpg", "{}.png"])
@pytest.mark.parametrize("words", [("index",), ("export", "--shapes")])
def test_numbered_photos_are_refused_before_anything_is_written(
    tmp_path: Path, sizes: list[Size], name: str, words: tuple[str, ...]
) -> None:
    root, out = numbered(tmp_path / "photos", photo, sizes, name), tmp_path / "out.h5"
    code, stdout, stderr = hifa(*words, root, "--out", out)
    assert (code, stdout) == (1, "")
    assert "look like photos, not like rendered views" in one_line(stderr)
    assert not out.exists()


def test_numbered_photos_are_no_shapes_for_training(photos: Path, tmp_path: Path) -> None:
    root = numbered(tmp_path / "more", photo, SEVERAL)
    code, _, stderr = hifa("train", "--images", photos, "--shapes", root, "--out", tmp_path / "run")
    assert code == 1
    assert "look like photos" in one_line(stderr)


def test_numbered_photos_are_not_added_to_a_gallery(tmp_path: Path) -> None:
    views, out = numbered(tmp_path / "views", view, ONE), tmp_path / "gallery"
    assert hifa("index", views, "--out", out, "--quiet")[0] == 0
    before = (out / "gallery.json").read_bytes()
    code, _, stderr = hifa("index", "--add", numbered(tmp_path / "more", photo, ONE), "-g", out)
    assert code == 1
    assert "look like photos" in one_line(stderr)
    assert (out / "gallery.json").read_bytes() == before


@pytest.mark.parametrize("draw", [view, gradient], ids=["plain", "gradient"])
def test_views_of_other_renderers_are_views(tmp_path: Path, draw: Draw) -> None:
    assert len(find_shapes(numbered(tmp_path / "views", draw, ONE)).items) == 3


def test_grey_views_that_fill_their_frame_are_views(tmp_path: Path) -> None:
    def close(generator: np.random.Generator, size: Size) -> Image.Image:
        return photo(generator, size).convert("L")

    assert len(find_shapes(numbered(tmp_path / "views", close, ONE)).items) == 3


def test_a_list_says_that_pictures_are_views(tmp_path: Path) -> None:
    root = numbered(tmp_path / "views", photo, ONE)
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in sorted(root.rglob("*.jpg"))]
    (tmp_path / "views.csv").write_text("path,id\n" + "\n".join(rows) + "\n", encoding="utf-8")
    assert [len(one.views) for one in find_shapes(tmp_path / "views.csv").items] == [6, 6, 6]


def test_the_pictures_of_one_shape_may_be_damaged(tmp_path: Path) -> None:
    root = numbered(tmp_path / "views", view, ONE)
    (root / "cup" / "001.jpg").write_bytes(b"\xff\xd8 no picture")
    assert photo_signs(sorted((root / "cup").iterdir())) == (1, False)
    with pytest.raises(HifaError, match="nowhere"):
        find_shapes(tmp_path / "nowhere")


@pytest.mark.parametrize(("draw", "kind"), [(photo, "images"), (view, "shapes")])
def test_a_check_takes_numbered_photos_for_photos(tmp_path: Path, draw: Draw, kind: str) -> None:
    code, stdout, _ = hifa("data", "check", numbered(tmp_path / "mine", draw, ONE), "--json")
    assert code == 0
    assert [part for part in ("images", "shapes") if part in json.loads(stdout)] == [kind]
