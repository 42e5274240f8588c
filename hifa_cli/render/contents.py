"""The format of a mesh: by its first bytes, else by its ending."""

import re
from pathlib import Path, PurePosixPath

from hifa_cli.data.contents import not_a_mesh
from hifa_cli.data.formats import MESH_FORMATS, OBJ, STL, THREEMF, USD, MeshFormat, format_of_suffix
from hifa_cli.errors import HifaError
from hifa_cli.render import archives
from hifa_cli.render.readers.stl import FACE
from hifa_cli.render.readers.stl import HEAD as STL_HEAD
from hifa_cli.render.readers.textual import encoding_of

_MOST_TRIANGLES = 0x09090909  # letters stand for more: 7 GB of them
_NUMBER = rb"[-+]?[\d.][-+.\deE]*"
_STARTS: tuple[tuple[re.Pattern[bytes], MeshFormat], ...] = tuple(
    (re.compile(rb"\s*" + pattern, re.IGNORECASE | re.DOTALL), one)
    for one in MESH_FORMATS
    for pattern in one.starts
)
_ANY = re.compile(  # one look for the many files that begin with a letter of their own
    rb"\s*(?:" + b"|".join(pattern for one in MESH_FORMATS for pattern in one.starts) + b")",
    re.IGNORECASE | re.DOTALL,
)
_VERTEX = re.compile(rb"[vV][ \t]")
_OBJ = re.compile(
    rb"(^|[\r\n])[ \t]*v" + (rb"[ \t]+" + _NUMBER) * 3 + rb"[^\r\n]*[\r\n]+[ \t]*(v|vn|vt|f|#|g|o)[ \t]",
    re.IGNORECASE,
)
_OTHERS = (
    "neither its first bytes nor its name are those of a mesh format that is read: save it as GLB, OBJ or STL"
)


def format_of(path: Path, head: bytes | None = None) -> MeshFormat:
    """Return the format of a mesh: what its first bytes say, else its ending. Of an archive, its mesh's.

    Args:
        path: the file.
        head: its first bytes, where they have been read already.

    Returns:
        The format.

    Raises:
        HifaError: it is something else than a mesh.
        OSError: it cannot be read.
    """
    head = archives.head_of(path) if head is None else head
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
        return own if path is None or (own is USD and not archives.is_package(path)) else THREEMF
    if path is not None and _is_3ds(head, path):
        return format_of_suffix(".3ds")
    binary = path is not None and _is_binary_stl(head, path)
    if binary and own is STL:
        return STL
    text = _as_bytes(head)
    if _ANY.match(text):
        return next((one for pattern, one in _STARTS if pattern.match(text)), None)
    if binary:
        return STL
    if own is OBJ:
        return None
    if _VERTEX.search(text) and _OBJ.search(text):  # the first is quick to see that there is none
        return OBJ
    return None


def _is_binary_stl(head: bytes, path: Path) -> bool:
    """Return whether a file is as large as its count of triangles would have it."""
    if len(head) < STL_HEAD:
        return False
    count = int.from_bytes(head[80:STL_HEAD], "little")
    return 0 < count < _MOST_TRIANGLES and path.stat().st_size == STL_HEAD + FACE.itemsize * count


def _is_3ds(head: bytes, path: Path) -> bool:
    """Return whether a file begins with the chunk that holds all of a 3DS."""
    return head.startswith(b"MM") and path.stat().st_size == int.from_bytes(head[2:6], "little")


def _as_bytes(head: bytes) -> bytes:
    """Return a text's beginning without its mark, and as UTF-8 where it is UTF-16."""
    name = encoding_of(head[:64])
    if name is None:
        return head.removeprefix(b"\xef\xbb\xbf")
    whole = head[: len(head) // 4 * 4]
    return whole.decode(name, "replace").lstrip("\ufeff").encode()
