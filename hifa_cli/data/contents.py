"""The kind of a file by its first bytes, where its name says another."""

import re

HEAD = 4096  # bytes that are looked at

_LFS = "a Git LFS pointer, not the file itself: 'git lfs pull' fetches it"
_PAGE = "an HTML page, not the file itself: download it again"
_PACKED = "packed by {}: unpack it first"
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", _LFS),
    (b"\x1f\x8b", _PACKED.format("gzip")),
    (b"BZh", _PACKED.format("bzip2")),
    (b"\xfd7zXZ\0", _PACKED.format("xz")),
    (b"\x28\xb5\x2f\xfd", _PACKED.format("zstd")),
    (b"7z\xbc\xaf\x27\x1c", _PACKED.format("7-Zip")),
    (b"Rar!\x1a\x07", _PACKED.format("RAR")),
)
_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF-", "a PDF document"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\0", "a program"),
)
_ALL = tuple(start for start, _ in (*_STARTS, *_PICTURES))
_HTML = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)


def stranger(head: bytes) -> str | None:
    """Say what a file is that is neither a mesh nor a picture, by its first bytes; None if it may be one."""
    for start, said in _STARTS:
        if head.startswith(start):
            return said
    return _page_in(head)


def _page_in(head: bytes) -> str | None:
    return _PAGE if _HTML.match(head.removeprefix(b"\xef\xbb\xbf")) else None


def not_a_mesh(head: bytes) -> str | None:
    """Say what a file is that is not a mesh, by its first bytes; None if it may be one."""
    if not head.startswith(_ALL):  # one look for nearly all
        return _page_in(head)
    for start, said in _PICTURES:
        if head.startswith(start):
            return f"{said}, not a mesh"
    return stranger(head)
