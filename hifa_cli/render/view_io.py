"""A shape's pictures on disk: grey PNG files in a folder, the first one marked with what it shows."""

import struct
import zlib
from pathlib import Path

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"hifa\0"  # of the text chunk that holds the mark


def view_names(views: int) -> list[str]:
    """Return the files of a shape's views: ``00.png``, ``01.png`` and so on."""
    return [f"{view:02d}.png" for view in range(views)]


def write_views(folder: Path, pictures: NDArray[np.uint8], mark: str) -> None:
    """Write (V, H, W) greys as ``00.png`` … into ``folder``; ``mark`` goes into the first.

    Args:
        folder: empty.
        pictures: (V, H, W) greys.
        mark: what they depend on.
    """
    for name, picture in zip(view_names(len(pictures)), pictures, strict=True):
        (folder / name).write_bytes(grey_png(picture, mark if name == "00.png" else ""))


def grey_png(picture: NDArray[np.uint8], mark: str = "") -> bytes:
    """Return an 8-bit grey PNG of (H, W) greys.

    Note:
        ISA-L packs flat grey on white in two fifths of zlib's time at its quickest (run lengths of row
        differences), and no larger: 4.48 against 4.44 kB a view over 20 meshes.
    """
    height, width = picture.shape
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # each begins with its filter, 0: none
    rows[:, 1:] = picture
    packed = isal_zlib.compress(rows, 1)
    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    text = _chunk(b"tEXt", _KEYWORD + mark.encode("latin-1")) if mark else b""
    return _SIGNATURE + _chunk(b"IHDR", header) + text + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def read_mark(folder: Path, views: int) -> str | None:
    """Return the mark of the views in ``folder``; None where they are not whole or not marked."""
    names = view_names(views)
    try:
        if not set(names) <= {entry.name for entry in folder.iterdir()}:
            return None
        with (folder / names[0]).open("rb") as file:
            head = file.read(4096)
    except OSError:
        return None
    start = head.find(b"tEXt" + _KEYWORD, len(_SIGNATURE))
    if start < 4:
        return None
    length = int(struct.unpack(">I", head[start - 4 : start])[0])
    return head[start + 4 + len(_KEYWORD) : start + 4 + length].decode("latin-1")


def holds_only_views(folder: Path) -> bool:
    """Return whether nothing but our own kind of pictures would be lost if ``folder`` were replaced."""
    return all(entry.suffix == ".png" and entry.stem.isdigit() for entry in folder.iterdir())


def other_files(folder: Path) -> str | None:
    """Return why views cannot take the place of a folder; None where they can."""
    if not folder.exists() or holds_only_views(folder):
        return None
    return f"{folder} holds other files than views: choose another --out"
