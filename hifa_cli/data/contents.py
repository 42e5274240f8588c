"""The kind of a file by its first bytes, where its name says another."""

import re

HEAD = 4096  # bytes that are looked at

_LFS = "a Git LFS pointer, not the file itself: 'git lfs pull' fetches it"
_PAGE = "an HTML page, not the file itself: download it again"
_REPLY = "what a server says in place of the file, not the file itself: download it again"
_PACKED = "packed by {}: unpack it first"
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", _LFS),
    (b"version https://hawser", _LFS),
    (b"\x1f\x8b", _PACKED.format("gzip")),
    (b"BZh", _PACKED.format("bzip2")),
    (b"\xfd7zXZ\0", _PACKED.format("xz")),
    (b"\x28\xb5\x2f\xfd", _PACKED.format("zstd")),
    (b"7z\xbc\xaf\x27\x1c", _PACKED.format("7-Zip")),
    (b"Rar!\x1a\x07", _PACKED.format("RAR")),
    (b"\x04\x22\x4d\x18", _PACKED.format("LZ4")),
    (b"LZIP", _PACKED.format("lzip")),
    (b"\x1f\x9d", _PACKED.format("compress")),
    (b"MSCF\0\0\0\0", _PACKED.format("cabinet")),
    (b"!<arch>\n", _PACKED.format("ar")),
)
_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"%PDF-", "a PDF document"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\0", "a program"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE document (of SolidWorks, 3ds Max, Office)"),
    (b"3D Geometry File Format", "a Rhino model (3DM)"),
    (b"AC10", "a DWG drawing"),
    (b"LASF", "a LAS point cloud"),
    (b"# .PCD", "a PCD point cloud"),
    (b"# vtk DataFile", "a VTK data set"),
)
_ALL = tuple(start for start, _ in (*_STARTS, *_PICTURES))
_OCTAL = b" 01234567"  # how the sum of an old tar begins
_ODD = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")  # marks of text
_HTML = re.compile(
    rb"\s*(<\?xml[^>]*\?>\s*)?(<!--((?!-->).)*-->\s*)*"
    rb"<(!doctype\s+html|html|head|body|title|meta|script|style|link)\b",
    re.IGNORECASE | re.DOTALL,
)
_ANSWER = re.compile(
    rb"\s*((<\?xml[^>]*\?>\s*)?<Error>|\{\s*\"(error|message|detail)\"\s*:|40[0-9][: ]+[A-Z])", re.IGNORECASE
)


def stranger(head: bytes) -> str | None:
    """Say what a file is that is neither a mesh nor a picture, by its first bytes; None if it may be one."""
    text = _as_bytes(head) if head.startswith(_ODD) else head
    for start, said in _STARTS if text.startswith(_ALL) else ():  # one look for nearly all
        if text.startswith(start):
            return said
    return _PACKED.format("tar") if is_tar(head) else _page_in(text)


def is_tar(head: bytes) -> bool:
    """Return whether a file begins as a tar archive, old ones included: the sum of its first 512 bytes."""
    if head[257:262] == b"ustar":
        return True
    if head[148:149] not in _OCTAL:
        return False
    said = head[148:156].strip(b"\0 ")
    if len(head) < 512 or not said.isdigit() or len(said) < 4:
        return False
    try:
        return int(said, 8) == sum(head[:148]) + 8 * 32 + sum(head[156:512])
    except ValueError:
        return False


def _as_bytes(head: bytes) -> bytes:
    """Return a text's beginning without its mark, a byte a letter."""
    if head.startswith(_ODD[0]):
        return head[3:]
    order = "utf-16-le" if head.startswith(_ODD[1]) else "utf-16-be"
    return head[2 : len(head) // 2 * 2].decode(order, "replace").encode()


def _page_in(head: bytes) -> str | None:
    if _HTML.match(head):
        return _PAGE
    return _REPLY if _ANSWER.match(head) else None


def not_a_mesh(head: bytes) -> str | None:
    """Say what a file is that is not a mesh, by its first bytes; None if it may be one."""
    for start, said in _PICTURES if head.startswith(_ALL) else ():
        if head.startswith(start):
            return f"{said}, not a mesh"
    if head[4:8] == b"ftyp":
        return "a HEIC or AVIF picture or a film, not a mesh"
    if head[8:12] == b"WEBP" and head.startswith(b"RIFF"):
        return "a WebP picture, not a mesh"
    return stranger(head)
