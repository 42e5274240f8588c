"""Which format a mesh has: what its first bytes say, else its ending."""

import re
import zipfile
from pathlib import Path

import numpy as np

from hifa_cli.data.contents import HEAD, not_a_mesh
from hifa_cli.data.formats import MESH_FORMATS, OBJ, STL, THREEMF, MeshFormat, format_of_suffix
from hifa_cli.errors import HifaError
from hifa_cli.render.readers.stl import FACE
from hifa_cli.render.readers.stl import HEAD as STL_HEAD
from hifa_cli.render.readers.textual import encoding_of

_NUMBER = rb"[-+]?[\d.][-+.\deE]*"
_STARTS: tuple[tuple[re.Pattern[bytes], MeshFormat], ...] = tuple(
    (re.compile(rb"\s*" + pattern, re.IGNORECASE | re.DOTALL), one)
    for one in MESH_FORMATS
    for pattern in one.starts
)
_OBJ = re.compile(
    rb"(^|[\r\n])[ \t]*v" + (rb"[ \t]+" + _NUMBER) * 3 + rb"[^\r\n]*[\r\n]+[ \t]*(v|vn|vt|f|#|g|o)[ \t]"
)
_OTHERS = "its first bytes are no mesh's that is read, nor does its name say: save it as GLB, OBJ or STL"


def format_of(path: Path) -> MeshFormat:
    """Return the format of a mesh: what its first bytes say, else its ending.

    Raises:
        HifaError: it is something else than a mesh.
        OSError: it cannot be read.
    """
    own = format_of_suffix(path.suffix)
    with path.open("rb") as file:
        head = file.read(HEAD)
    if (said := not_a_mesh(head)) is not None:
        raise HifaError(f"is {said}")
    found = _by_content(path, head, own) or own
    if found is None:
        raise HifaError(f"is of an unknown format: {_OTHERS}")
    return found


def _by_content(path: Path, head: bytes, own: MeshFormat | None) -> MeshFormat | None:
    if head.startswith(b"PK\x03\x04"):
        return _of_archive(path)
    text = _as_bytes(head)
    if found := next((one for pattern, one in _STARTS if pattern.match(text)), None):
        return found
    if own is not STL and len(head) >= STL_HEAD:
        count = int(np.frombuffer(head, dtype="<u4", count=1, offset=80)[0])
        if count and path.stat().st_size == STL_HEAD + FACE.itemsize * count:
            return STL
    if _OBJ.search(text):
        return OBJ
    return None


def _of_archive(path: Path) -> MeshFormat:
    """Return the format of a zip archive.

    Raises:
        HifaError: it is another archive than a mesh's.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError):
        names = []
    if path.suffix.lower() in THREEMF.suffixes or any(name.lower().endswith(".model") for name in names):
        return THREEMF
    raise HifaError("is a zip archive: unpack it first")


def _as_bytes(head: bytes) -> bytes:
    """Return a text's beginning without its mark, and as UTF-8 where it is UTF-16."""
    name = encoding_of(head[:64])
    if name is None:
        return head.removeprefix(b"\xef\xbb\xbf")
    whole = head[: len(head) // 4 * 4]
    return whole.decode(name, "replace").lstrip("\ufeff").encode()
