"""The format of a mesh: by its first bytes, else by its ending."""

import re
from pathlib import Path, PurePosixPath

import numpy as np

from hifa_cli.data.contents import HEAD, not_a_mesh
from hifa_cli.data.formats import MESH_FORMATS, OBJ, STL, THREEMF, USD, MeshFormat, format_of_suffix
from hifa_cli.errors import HifaError
from hifa_cli.render import archives
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
_OTHERS = (
    "neither its first bytes nor its name are those of a mesh format that is read: save it as GLB, OBJ or STL"
)


def format_of(path: Path) -> MeshFormat:
    """Return the format of a mesh: what its first bytes say, else its ending. Of an archive, its mesh's.

    Raises:
        HifaError: it is something else than a mesh.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    inside = archives.peek(path, head)
    if inside is None:
        return _told(head, path.suffix, path)
    return _told(inside.head, PurePosixPath(inside.name).suffix, None)


def _told(head: bytes, suffix: str, path: Path | None) -> MeshFormat:
    """Return the format that first bytes and an ending tell; ``path`` is None for what is in an archive."""
    if (said := not_a_mesh(head)) is not None:
        raise HifaError(f"is {said}" if path else f"is an archive of what is {said}")
    own = format_of_suffix(suffix)
    found = _by_content(head, own, path) or own
    if found is None:
        raise HifaError(f"is of an unknown format: {_OTHERS}")
    return found


def _by_content(head: bytes, own: MeshFormat | None, path: Path | None) -> MeshFormat | None:
    if head.startswith(archives.ZIP):
        return own if path is None or own is USD else THREEMF
    text = _as_bytes(head)
    if found := next((one for pattern, one in _STARTS if pattern.match(text)), None):
        return found
    if own is not STL and len(head) >= STL_HEAD and path is not None:
        count = int(np.frombuffer(head, dtype="<u4", count=1, offset=80)[0])
        if count and path.stat().st_size == STL_HEAD + FACE.itemsize * count:
            return STL
    if _OBJ.search(text):
        return OBJ
    return None


def _as_bytes(head: bytes) -> bytes:
    """Return a text's beginning without its mark, and as UTF-8 where it is UTF-16."""
    name = encoding_of(head[:64])
    if name is None:
        return head.removeprefix(b"\xef\xbb\xbf")
    whole = head[: len(head) // 4 * 4]
    return whole.decode(name, "replace").lstrip("\ufeff").encode()
