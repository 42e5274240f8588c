"""Reading one picture, whatever it is: any mode to RGB, upright, or a HifaError that says why not."""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hifa_cli.data.contents import HEAD, stranger
from hifa_cli.errors import HifaError

MAX_PIXELS = 90_000_000  # decoded at once: 270 MB as RGB; Pillow's own warning starts at 89.5 million
MAX_JPEG_PIXELS = 250_000_000  # a phone's largest photo has 200 million; decoded at half, quarter … scale

# Decoders that are trusted with a stranger's file. Never EPS (runs Ghostscript) and the like.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM", "AVIF")
_MODULES = ("Jpeg", "Png", "WebP", "Bmp", "Tiff", "Gif", "Ppm", "Avif")  # that hold them, in Pillow
_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_WIDE_WHITES = (255, 1023, 4095, 16383, 65535)  # of 8, 10, 12, 14 and 16 bits in 16
MOST_SCANS = 200  # of a progressive JPEG; programs write 10
_SCAN = b"\xff\xda"
_WITH_ALPHA = frozenset(("LA", "PA", "RGBA", "RGBa"))
_WHITE = (255, 255, 255, 255)
_PLAIN = 12.0  # deviation of a border's grey, of 255, from one colour or an even gradient
_ALIKE = 0.7  # correlation of a border's neighbours; the median of 400 photos is .96, noise has 0
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # a TIFF's tag, and what it says of negatives
_KINDS: tuple[tuple[int, bytes, str], ...] = (  # where their first bytes stand
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000, which is not read"),
    (0, b"\xff\x0a", "JPEG XL, which is not read"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL, which is not read"),
    (0, b"8BPS", "a Photoshop document, which is not read"),
    (0, b"%PDF-", "a PDF document, not a picture"),
    (0, b"glTF", "a mesh, not a picture"),
    (0, b"PK\x03\x04", "a zip archive, not a picture"),
    (4, b"ftypcrx", "a camera's raw picture, which is not read"),
    (4, b"ftyp", "a film, or a picture of a kind that is not read"),
    *((0, start, "a TIFF that is damaged, or of a kind that is not read") for start in (b"II*\0", b"MM\0*")),
    (0, b"\xff\xd8\xff", "a JPEG that is damaged"),
    (0, b"\x89PNG\r\n", "a PNG that is damaged"),
)
_GREY = 6.0  # mean range of a pixel's channels, of 255, below which a picture has no colour


def read_picture(path: Path) -> Image.Image:
    """Return a picture as RGB, turned upright by its EXIF orientation, transparency laid on white.

    Of an animation or a document of several pages the first is taken; 16-bit greys are scaled to 8.
    A JPEG of more than ``MAX_PIXELS`` is decoded at half, a quarter or an eighth of its size.

    Raises:
        HifaError: no such file exists, it is not a picture of a kind that we decode, it is broken or
            truncated, or it has more than ``MAX_PIXELS`` pixels (``MAX_JPEG_PIXELS`` for a JPEG).
    """
    path = Path(path)
    if not path.is_file():
        raise HifaError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    try:
        with warnings.catch_warnings():  # by module, so that threads cannot silence anybody else
            warnings.filterwarnings("ignore", module=r"PIL\.|pillow_heif")
            with _opened(path) as picture:
                _check_size(picture, path)
                _check_scans(picture, path)
                wide, negative = _is_wide(picture), _is_negative(picture)
                picture.load()
                rgb = _as_rgb(_upright(_stretched(picture) if wide else _without_idle_byte(picture)))
                return ImageOps.invert(rgb) if negative else rgb
    except (HifaError, KeyboardInterrupt):
        raise
    except MemoryError as error:
        raise HifaError(f"{path} is too large for this machine's memory: make it smaller") from error
    except Exception as error:  # Pillow's decoders raise whatever a broken file makes them stumble over
        raise HifaError(f"{path} cannot be read as a picture: {_reason(error, path)}") from error


class PhotoSigns(NamedTuple):
    """The signs that tell photos from rendered views.

    Attributes:
        sizes: how many different sizes the pictures have.
        camera: whether the borders of most of them look as a camera's: coloured, not plain, not noise.
    """

    sizes: int
    camera: bool


def photo_signs(paths: Sequence[Path]) -> PhotoSigns:
    """Look at pictures that may be views of one shape; those that cannot be read are left to their reader."""
    sizes, camera = set(), []
    for path in paths:
        try:
            picture = read_picture(path)
        except HifaError:
            continue
        sizes.add(picture.size)
        camera.append(_border_of_camera(picture))
    return PhotoSigns(len(sizes), 2 * sum(camera) > len(camera))


def _border_of_camera(picture: Image.Image) -> bool:
    """Return whether a border is coloured, is not an even gradient, and its neighbours are alike."""
    pixels = np.asarray(picture, dtype=np.float64)
    high, wide = (np.linspace(0, 1, size) for size in pixels.shape[:2])
    sides = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    border, greys = np.concatenate(sides), [side.mean(axis=1) for side in sides]
    places = [(row, column) for row in (0, 1) for column in wide]
    places += [(row, column) for column in (0, 1) for row in high]
    values, design = np.concatenate(greys), np.column_stack([np.ones(len(places)), np.array(places)])
    rest = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    steps = np.concatenate([np.diff(grey) for grey in greys])
    coloured = np.ptp(border, axis=1).mean() > _GREY
    return bool(coloured and rest.std() > _PLAIN and 1 - np.mean(steps**2) / (2 * values.var()) > _ALIKE)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return an opened picture as :func:`read_picture` would: RGB, upright, transparency laid on white."""
    return _as_rgb(_upright(picture))


def _opened(path: Path) -> Image.Image:
    with path.open("rb") as file:
        head = file.read(HEAD)
    if (said := stranger(head)) is not None:
        raise HifaError(f"{path} cannot be read as a picture: it is {said}")
    if _is_heif(head):
        return _opened_heif(path)
    if Image.MAX_IMAGE_PIXELS is not None:  # Pillow refuses at twice this, before we can ask for a small JPEG
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MAX_JPEG_PIXELS)
    return Image.open(path, formats=_decoders(FORMATS))


@cache
def _decoders(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return those that this Pillow has: AVIF and WebP are not built into all.

    ``Image.init`` would import all of Pillow's forty.
    """
    for name in _MODULES:
        with suppress(ImportError):
            import_module(f"PIL.{name}ImagePlugin")
    return tuple(form for form in wanted if form in Image.OPEN)


def _is_heif(head: bytes) -> bool:
    """Return whether a file is HEIC or the like by its first bytes, whatever its name; AVIF is not."""
    brands = {head[place : place + 4] for place in (8, *range(16, min(_box_size(head), len(head)), 4))}
    return head[4:8] == b"ftyp" and bool(brands & _HEIF_BRANDS) and not brands & _AVIF_BRANDS


def _box_size(head: bytes) -> int:
    return int.from_bytes(head[:4], "big")


def _opened_heif(path: Path) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        raise HifaError(f"{path} is HEIC: 'pip install pillow-heif' to read it, or save it as JPEG") from None
    heif: Any = pillow_heif.open_heif(path, convert_hdr_to_8bit=True)
    if heif.size[0] * heif.size[1] > MAX_PIXELS:
        raise HifaError(_too_large(path, heif.size, MAX_PIXELS))
    picture: Image.Image = heif.to_pillow()
    return picture


def _check_size(picture: Image.Image, path: Path) -> None:
    """Refuse what would fill the memory, before a pixel is decoded."""
    pixels = picture.width * picture.height
    if pixels <= MAX_PIXELS:
        return
    progressive = bool(picture.info.get("progressive"))  # holds all coefficients, however small the result
    if picture.format not in ("JPEG", "MPO") or progressive or pixels > MAX_JPEG_PIXELS:
        limit = MAX_JPEG_PIXELS if picture.format in ("JPEG", "MPO") and not progressive else MAX_PIXELS
        raise HifaError(_too_large(path, picture.size, limit))
    picture.draft(None, (picture.width // 2, picture.height // 2))


def _check_scans(picture: Image.Image, path: Path) -> None:
    """Refuse a JPEG that is drawn over and over: a scan is a few bytes and takes as long as the picture."""
    if picture.info.get("progressive") and path.read_bytes().count(_SCAN) > MOST_SCANS:
        raise HifaError(f"{path} is a JPEG of more than {MOST_SCANS} scans: save it again")


def _too_large(path: Path, size: tuple[int, int], limit: int) -> str:
    return (
        f"{path} has {size[0]} x {size[1]} pixels, more than the limit of {limit // 1_000_000} million: "
        "make it smaller"
    )


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # broken EXIF says nothing about the pixels
        return picture


def _without_idle_byte(picture: Image.Image) -> Image.Image:
    """Drop the fourth byte of a BMP's pixels where it is 0 everywhere: it means nothing then."""
    if picture.format in ("BMP", "DIB") and picture.mode == "RGBA" and not picture.getchannel("A").getbbox():
        return picture.convert("RGB")
    return picture


def _is_wide(picture: Image.Image) -> bool:
    """Return whether colours have 16 bits in the file, of which Pillow keeps the upper 8."""
    if picture.mode not in ("RGB", "RGBA", "LA", "RGBX"):
        return False
    tiles = getattr(picture, "tile", ())
    if picture.format == "PPM":
        return any(tile[-1][-1] > 255 for tile in tiles if isinstance(tile[-1], tuple))
    return any(";16" in str(part) for tile in tiles for part in tile)


def _is_negative(picture: Image.Image) -> bool:
    """Return whether a TIFF's greys are white at 0, of a mode that Pillow does not turn round."""
    if picture.format != "TIFF" or not (picture.mode in ("I", "F") or picture.mode.startswith("I;16")):
        return False
    tags: Any = getattr(picture, "tag_v2", {})
    return bool(tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def _stretched(picture: Image.Image) -> Image.Image:
    """Brighten colours that have used 10, 12 or 14 of 16 bits, and are all but black in the upper 8."""
    bands = picture.split()
    colours = bands[:-1] if picture.mode in ("RGBA", "LA") else bands
    brightest = max(int(np.asarray(band).max()) for band in colours)
    rounded = picture.format == "PPM"  # of others the lower 8 bits are cut off
    levels = [round(white / 257) if rounded else white >> 8 for white in _WIDE_WHITES]
    white = next(level for level in levels if brightest <= level)
    if not 0 < white < 255:
        return picture
    bright = [band.point([min(level * 255 // white, 255) for level in range(256)]) for band in colours]
    return Image.merge(picture.mode, [*bright, *bands[len(colours) :]])


def _as_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return Image.fromarray(_to_bytes(picture)).convert("RGB")
    if picture.mode == "La":  # Pillow converts it to nothing else
        picture = picture.convert("LA")
    if picture.mode in _WITH_ALPHA or "transparency" in picture.info:
        with_alpha = picture.convert("RGBA")
        ground = Image.new("RGBA", with_alpha.size, _WHITE)
        return Image.alpha_composite(ground, with_alpha).convert("RGB")
    return picture.convert("RGB")


def _to_bytes(picture: Image.Image) -> Any:
    """Greys of 16 bits, 32 bits or floats as (H, W) uint8.

    A PNG's or PGM's greys have 16 bits whatever mode Pillow gives them; cameras and microscopes use 10,
    12 or 14 of them, and white is the brightest grey of the fewest bits that hold them all. Wider ones
    have no agreed white: floats within [0, 1] and integers within 16 bits are taken as such, others are
    stretched over their own range.
    """
    grey = np.nan_to_num(np.asarray(picture).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = min(grey.min(), 0.0), grey.max()
    if picture.mode.startswith("I;16") or picture.format in ("PNG", "PPM"):
        low, high = 0.0, next(float(white) for white in _WIDE_WHITES if high <= white)
    elif low == 0.0:
        whites = (
            (1.0, 255.0, 65535.0)
            if picture.mode == "F"
            else (*map(float, _WIDE_WHITES[:-1]), 32767.0, 65535.0)
        )
        high = next((white for white in whites if high <= white), high)
    return np.clip(np.round((grey - low) * (255.0 / max(high - low, 1e-300))), 0, 255).astype(np.uint8)


def _reason(error: Exception, path: Path) -> str:
    if isinstance(error, UnidentifiedImageError):
        return _kind_of(path)
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"it has more than {MAX_PIXELS // 1_000_000} million pixels: make it smaller"
    if isinstance(error, OSError) and error.errno is not None:
        return error.strerror or "the system does not let it be read"
    if "truncated" in str(error).lower():
        return "it is cut off"
    return "it is damaged, or of a kind that Pillow does not read"


def _kind_of(path: Path) -> str:
    """Say what a file is that no decoder takes, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        return "it is empty"
    said = (said for place, start, said in _KINDS if head.startswith(start, place))
    return "it is " + next(said, f"none of {', '.join(FORMATS)}, or broken")
