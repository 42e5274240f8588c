"""A gallery's own map on disk: ``maps/DIGEST.npz``, named by ``gallery.json`` under ``ranking``.

matrix  (D, D) float16, shift (D,) float32    the map (:class:`~hifa_cli.search.rerank.OwnMap`)
shapes  (n, 16) uint8                         digests of the shapes that it was learned of, ascending
"""

import hashlib
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.gallery.columns import DAMAGED, damaged
from hifa_cli.runtime.arrays import read_arrays
from hifa_cli.runtime.atomic import written_file
from hifa_cli.search.rerank import OwnMap

MAPS, PHOTOS = "maps", "photos"
_DIGEST_BYTES = 16


class Own(NamedTuple):
    """A map, and the (n, 16) digests of the shapes that it was learned of."""

    map: OwnMap
    shapes: NDArray[np.uint8]


def map_path(folder: Path, digest: str) -> Path:
    """Return where a gallery keeps the map with this digest."""
    return folder / MAPS / f"{digest}.npz"


def write_map(folder: Path, own: Own) -> str:
    """Write a map into a gallery; return the digest that names it."""
    content = io.BytesIO()
    np.savez(
        content, matrix=own.map.matrix.astype("<f2"), shift=own.map.shift.astype("<f4"),
        shapes=np.unique(own.shapes, axis=0),
    )  # fmt: skip
    digest = _digest(content.getvalue())
    with written_file(map_path(folder, digest)) as path:
        path.write_bytes(content.getbuffer())
    return digest


def read_map(folder: Path, digest: str, width: int) -> Own:
    """Read a gallery's map.

    Args:
        folder: the gallery.
        digest: as ``gallery.json`` names it.
        width: D of the gallery.

    Returns:
        The map and the shapes that it was learned of.

    Raises:
        HifaError: the file is not the one that was written.
        FileNotFoundError: it is gone.
    """
    path = map_path(folder, digest)
    content = path.read_bytes()
    if _digest(content) != digest:
        raise damaged(path)
    try:
        columns = _columns(content)
        matrix, shift, shapes = columns["matrix"], columns["shift"], columns["shapes"]
    except (*DAMAGED, KeyError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise damaged(path) from error
    kinds = [column.dtype.name for column in (matrix, shift, shapes)] == ["float16", "float32", "uint8"]
    sizes = (matrix.shape, shift.shape, shapes.shape[1:]) == ((width, width), (width,), (_DIGEST_BYTES,))
    if not (kinds and sizes and np.isfinite(matrix).all() and np.isfinite(shift).all()):
        raise damaged(path)
    return Own(OwnMap(matrix.astype(np.float32), shift), shapes)


def _columns(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file that is stored as it is: nothing in it can unpack to more."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("compressed")
    return read_arrays(io.BytesIO(content), ("matrix", "shift", "shapes"))


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()


def unlearned(digests: NDArray[np.uint8], own: Own) -> int:
    """Return how many shapes of a gallery, by their (n, 16) digests, its map was not learned of."""
    known = {row.tobytes() for row in own.shapes}
    return sum(row.tobytes() not in known for row in np.asarray(digests))


def stale(folder: Path, digests: NDArray[np.uint8], own: Own | None) -> str | None:
    """Return what is to be said of a map that was not learned of all shapes of a gallery.

    Args:
        folder: the gallery.
        digests: (n, 16) of its shapes.
        own: its map, or None.

    Returns:
        A sentence, or None if the map fits.
    """
    new = 0 if own is None else unlearned(digests, own)
    if not new:
        return None
    return (
        f"the own map was not learned of {new} of {len(digests)} shapes: "
        f"'hifa index --learn --out {folder}' learns it again"
    )
