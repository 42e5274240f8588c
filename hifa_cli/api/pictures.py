"""Photos as a program has them: paths, bytes, PIL pictures and arrays, all made files for the one reader.

A stranger's bytes go through the same hardened reader as a stranger's file (``data/pictures``); a picture in
memory is written without loss, so that it ranks the shapes exactly as its file would.
"""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hifa_cli.errors import HifaError

if TYPE_CHECKING:
    from PIL import Image

PathLike: TypeAlias = str | os.PathLike[str]
Photo: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | np.ndarray[Any, Any]"
)


def is_one(photos: object) -> bool:
    """Return whether ``photos`` is one photo, not a list of them."""
    return isinstance(photos, str | os.PathLike | bytes | bytearray | memoryview | np.ndarray) or _is_pil(
        photos
    )


def _is_pil(photo: object) -> bool:
    from PIL import Image

    return isinstance(photo, Image.Image)


def as_file(photo: object, scratch: Path, number: int) -> tuple[str, Path]:
    """Return the name and the file of a photo; one that is not a file yet is written into ``scratch``.

    Args:
        photo: a path, bytes of a picture file, a PIL picture, or an array (H, W), (H, W, 3) or (H, W, 4) of
            uint8, or of floats between 0 and 1.
        scratch: an empty folder.
        number: of the photo in its list, from 0.

    Returns:
        What messages call the photo, and its path.

    Raises:
        HifaError: it is not a photo.
    """
    if isinstance(photo, str | os.PathLike):
        path = Path(photo)
        if path.is_dir():
            raise HifaError(
                f"{path} is a folder: give a list of its photos, such as sorted(Path(…).glob('*.jpg'))"
            )
        if not path.exists():
            raise HifaError(f"no photo at {path}: check the path")
        return str(path), path
    name, path = f"photo {number + 1}", scratch / f"photo-{number}"
    if isinstance(photo, bytes | bytearray | memoryview):
        path.write_bytes(photo)
        return name, path
    picture: Any = photo if _is_pil(photo) else from_array(photo)
    _written(picture, path, name)
    return name, path


def _written(picture: "Image.Image", path: Path, name: str) -> None:
    from hifa_cli.data.pictures import to_rgb

    if not picture.width or not picture.height:
        raise HifaError(f"{name} has no pixels")
    content = io.BytesIO()
    to_rgb(picture).save(content, "BMP")  # without loss and without time spent on packing
    path.write_bytes(content.getvalue())


def from_array(photo: object) -> "Image.Image":
    """Return an array as a picture.

    Args:
        photo: (H, W), (H, W, 3) or (H, W, 4), uint8, or floats between 0 and 1.

    Returns:
        The PIL picture.

    Raises:
        HifaError: it has another shape or other numbers.
    """
    from PIL import Image

    if not hasattr(photo, "__array__"):
        raise HifaError(
            f"a {type(photo).__name__} is not a photo: give a path, bytes, a PIL picture, an array, or "
            "a list of these"
        )
    array = np.asarray(photo)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise HifaError(
            f"an array of shape {array.shape} is not a photo: give (H, W), (H, W, 3) or (H, W, 4); "
            "several photos as a list"
        )
    if array.dtype.kind == "f":
        if not array.size or not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise HifaError("an array of floats is a photo where all its numbers are between 0 and 1")
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise HifaError(f"an array of {array.dtype} is not a photo: give uint8, or floats between 0 and 1")
    return Image.fromarray(np.ascontiguousarray(array))
