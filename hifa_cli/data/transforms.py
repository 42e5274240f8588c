"""From a picture to the square of pixels that a network sees; no tensors."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hifa_cli.config import ModelConfig

Pixels = NDArray[np.uint8]


def squared(picture: Image.Image, side: int, fit: str) -> Image.Image:
    """Make a picture ``side`` x ``side``.

    Args:
        picture: of any shape.
        side: pixels.
        fit: ``squash`` ignores the aspect ratio (MSTN's recipe), ``crop`` keeps the middle (the lab's),
            ``pad`` keeps everything on a white ground.

    Returns:
        A picture of ``side`` × ``side`` pixels.
    """
    if picture.size == (side, side):
        return picture
    if fit != "squash":
        width, height = picture.size
        edge = min(width, height) if fit == "crop" else max(width, height)
        left, top = (width - edge) // 2, (height - edge) // 2
        if fit == "pad":
            ground = Image.new("RGB", (edge, edge), "white")
            ground.paste(picture, (-left, -top))
            picture = ground
        else:
            picture = picture.crop((left, top, left + edge, top + edge))
    return picture.resize((side, side), Image.Resampling.BICUBIC)


def to_pixels(picture: Image.Image, model: ModelConfig) -> Pixels:
    """Return (3, size, size) uint8 pixels of an RGB picture: fitted, then the middle cut out."""
    picture = squared(picture, model.resize, model.fit)
    margin = (model.resize - model.size) // 2
    box = (margin, margin, margin + model.size, margin + model.size)
    return np.ascontiguousarray(np.asarray(picture.crop(box) if margin else picture).transpose(2, 0, 1))


def grey_pixels(pictures: NDArray[np.uint8], model: ModelConfig) -> Pixels:
    """Return (V, 3, size, size) uint8 pixels of (V, H, W) greys, the same that their PNG files would give."""
    if pictures.shape[1:] == (model.resize, model.resize):
        margin = (model.resize - model.size) // 2
        inner = pictures[:, margin : margin + model.size, margin : margin + model.size]
        return np.repeat(inner[:, None], 3, axis=1)
    return np.stack([to_pixels(Image.fromarray(one).convert("RGB"), model) for one in pictures])
