"""A toy world of pictures that any machine makes in a second, and the folder of real data."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

PATTERNS = ("bars", "blobs", "rings")
SIDE = 64

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background jobs ignore Ctrl-C, and so would what the tests start and stop with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pattern(kind: str, generator: np.random.Generator, side: int = SIDE) -> NDArray[np.float64]:
    """A (side, side) picture in 0 … 1 that a small network can tell from the other kinds."""
    y, x = np.mgrid[0:side, 0:side] / side
    phase, pitch = generator.random() * 6, 20 + 10 * generator.random()
    if kind == "bars":
        return np.asarray(0.5 + 0.5 * np.sin(pitch * x + phase))
    if kind == "rings":
        return np.asarray(0.5 + 0.5 * np.sin(pitch * np.hypot(x - 0.5, y - 0.5) + phase))
    return np.asarray(0.5 + 0.5 * np.sin(pitch * x + phase) * np.sin(pitch * y))


def write_photos(folder: Path, *, each: int = 4, seed: int = 0) -> Path:
    """Colour pictures in a folder a class."""
    generator = np.random.default_rng(seed)
    for kind in PATTERNS:
        for number in range(each):
            grey = pattern(kind, generator)[..., None] * generator.uniform(0.4, 1, size=3)
            path = folder / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((255 * grey).astype(np.uint8)).save(path)
    return folder


def write_views(folder: Path, *, each: int = 3, seed: int = 1, views: int = 12) -> Path:
    """Grey pictures in a folder a shape, as ``hifa render`` writes them."""
    generator = np.random.default_rng(seed)
    for kind in PATTERNS:
        for number in range(each):
            place = folder / kind / f"shape{number}"
            place.mkdir(parents=True)
            for view in range(views):
                picture = (255 * pattern(kind, generator)).astype(np.uint8)
                Image.fromarray(picture).save(place / f"{view:02d}.png")
    (folder / "views.json").write_text('{"schema": 1}\n', encoding="utf-8")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of labelled photos."""
    return write_photos(tmp_path / "photos")


@pytest.fixture
def views(tmp_path: Path) -> Path:
    """A folder of rendered shapes."""
    return write_views(tmp_path / "views")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photos and meshes: HIFA_REAL_DATA, or one beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HIFA_REAL_DATA", beside))
    if not (folder / "images").is_dir():
        pytest.skip(f"NO REAL DATA at {folder}: set HIFA_REAL_DATA to a folder with images/ and meshes/")
    return folder
