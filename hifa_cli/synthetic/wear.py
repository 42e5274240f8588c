"""Worn copies of generated photos: turned, cropped, covered, badly exposed, blurred, small, compressed.

A map that is learned of clean photos knows one camera. A worn copy costs a twelfth of a new photo.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from hifa_cli.synthetic.primitives import Floats
from hifa_cli.synthetic.sampling import chance

Generator = np.random.Generator
Picture = NDArray[np.uint8]
_SMALLEST = 64  # pixels a side


def worn(picture: Picture, other: Picture, rng: Generator) -> Picture:
    """Return a worn copy of a photo.

    Args:
        picture: (height, width, 3).
        other: any picture; in a third of the copies a piece of it covers a part.
        rng: decides everything.

    Returns:
        (height', width', 3), no larger than the photo.
    """
    image = Image.fromarray(picture)
    if chance(rng, 0.8):
        image = _moved(image, rng)
    if chance(rng, 0.35):
        image = _covered(image, Image.fromarray(other).resize(image.size), rng)
    return _taken(image, rng)


def _moved(image: Image.Image, rng: Generator) -> Image.Image:
    """Turn, scale, shift and shear about the middle; what lies beyond the edge is the picture, mirrored."""
    width, height = image.size
    turn, scale = np.radians(rng.normal(0, 8)), np.exp(rng.uniform(-0.3, 0.3))
    middle = np.array([width, height]) / 2
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / scale
    matrix += [[0, rng.normal(0, 0.05)], [rng.normal(0, 0.05), 0]]
    edge = max(width, height) // 2
    offset = middle + rng.normal(0, 0.06, 2) * (width, height) - matrix @ middle + edge
    mirrored = Image.fromarray(
        np.pad(np.asarray(image), ((edge, edge), (edge, edge), (0, 0)), mode="symmetric")
    )
    rows = np.column_stack([matrix, offset]).ravel()
    return mirrored.transform(image.size, Image.Transform.AFFINE, tuple(rows), Image.Resampling.BILINEAR)


def _covered(image: Image.Image, other: Image.Image, rng: Generator) -> Image.Image:
    """Lay a piece of another picture over a polygon of three to six corners."""
    size = np.array(image.size)
    corners = size * rng.uniform(0.2, 0.8, 2) + rng.normal(
        0, rng.uniform(0.05, 0.2) * size.max(), (int(rng.integers(3, 7)), 2)
    )
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in corners], fill=255)
    moved = np.roll(np.asarray(other), int(rng.integers(size[0])), axis=1)
    return Image.composite(Image.fromarray(moved), image, mask)


def _taken(image: Image.Image, rng: Generator) -> Picture:
    """Expose, make grey now and then, add noise, blur, make smaller and compress."""
    values: Floats = np.asarray(image, dtype=np.float64) / 255
    balance = (1 + rng.normal(0, 0.07, 3)) * rng.uniform(0.7, 1.3)
    values = np.clip(values * balance, 0, 1) ** rng.uniform(0.75, 1.35)
    if chance(rng, 0.15):
        values = np.repeat(values.mean(axis=2, keepdims=True), 3, axis=2)
    values = values + rng.normal(0, rng.exponential(0.02), values.shape)
    image = Image.fromarray(np.asarray(np.clip(values, 0, 1) * 255, dtype=np.uint8))
    if chance(rng, 0.4):
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.6))))
    share = rng.uniform(0.45, 1)
    width, height = (min(side, max(_SMALLEST, int(side * share))) for side in image.size)
    file = io.BytesIO()
    small = image.resize((width, height), Image.Resampling.BILINEAR)
    small.save(file, "JPEG", quality=int(rng.uniform(25, 90)))
    return np.asarray(Image.open(file).convert("RGB"))
