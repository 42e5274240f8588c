"""Meshes in archives: a zip or gzip file with one mesh in it is read as that mesh.

It is unpacked into a scratch folder, which nothing in the archive can leave: names that lead elsewhere,
links, encrypted files, bombs, and archives of several meshes are refused.
"""

import gzip
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, NamedTuple

from hifa_cli.data.contents import HEAD
from hifa_cli.data.formats import READ_SUFFIXES, THREEMF, USD, format_of_suffix
from hifa_cli.data.tree import is_picture
from hifa_cli.errors import HifaError
from hifa_cli.render.validate import FREE_EXPANSION, MOST_EXPANSION

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_PACKED = (".zip", ".gz", ".tgz", ".tar", ".7z", ".rar", ".xz", ".bz2", ".zst")
_MOST_FILES = 10_000  # beside the mesh
_BLOCK = 1 << 20
_BROKEN = (  # what zipfile and gzip raise of damaged bytes; ValueError of names that are not UTF-8
    zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, struct.error,
    EOFError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip


class Inside(NamedTuple):
    """The mesh of an archive: its name there, and its first bytes."""

    name: str
    head: bytes


def peek(path: Path, head: bytes) -> Inside | None:
    """Look into an archive; None where a file is none, or is a mesh of a format that is an archive.

    Args:
        path: the file.
        head: its first bytes.

    Raises:
        HifaError: it is damaged, or does not hold one mesh.
        OSError: it cannot be read.
    """
    try:
        if head.startswith(GZIP):
            with gzip.open(path) as file:
                return Inside(_name_in_gzip(path), file.read(HEAD))
        if head.startswith(ZIP):
            with zipfile.ZipFile(path) as archive:
                if _is_format(path, archive.namelist()):
                    return None
                mesh = _mesh_of(archive)
                with archive.open(mesh) as member:
                    return Inside(mesh.filename, member.read(HEAD))
    except _BROKEN:
        if format_of_suffix(path.suffix) in (THREEMF, USD):
            return None  # its own reader says what is wrong
        raise HifaError("is a damaged or encrypted archive: unpack it first") from None
    return None


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file."""
    file = os.open(path, _READ)
    try:
        return os.read(file, HEAD)
    finally:
        os.close(file)


@contextmanager
def unpacked(path: Path, head: bytes | None = None) -> Iterator[Path]:
    """Give a file to read: the mesh in an archive, unpacked for as long as this lasts; else the file itself.

    Args:
        path: the file.
        head: its first bytes, where they have been read already.

    Yields:
        The file to read.

    Raises:
        HifaError: as ``peek``, or the archive is a bomb or leads out of its folder.
        OSError: it cannot be read.
    """
    if peek(path, head_of(path) if head is None else head) is None:
        yield path
        return
    with TemporaryDirectory() as scratch:
        try:
            mesh = _unpack(path, Path(scratch))
        except _BROKEN:
            raise HifaError("is a damaged or encrypted archive: unpack it first") from None
        if peek(mesh, head_of(mesh)) is not None:
            raise HifaError("is an archive in an archive: unpack it first")
        yield mesh


def _is_format(path: Path, names: list[str]) -> bool:
    """Return whether a zip archive is itself a mesh: a 3MF, or a USD package under its own ending."""
    own = format_of_suffix(path.suffix)
    return own in (THREEMF, USD) or any(name.lower().endswith(".model") for name in names)


def is_package(path: Path) -> bool:
    """Return whether a zip archive holds the model of a 3MF."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.lower().endswith(".model") for name in archive.namelist())
    except _BROKEN:
        return False


def _mesh_of(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the one mesh of an archive.

    Raises:
        HifaError: it has none, or several.
    """
    files = [one for one in archive.infolist() if not one.is_dir() and not _is_hidden(one.filename)]
    meshes = [one for one in files if PurePosixPath(one.filename).suffix.lower() in READ_SUFFIXES]
    inner = next((one.filename for one in files if one.filename.lower().endswith(_PACKED)), None)
    if not meshes and inner is not None:
        name = "".join(one if one.isprintable() else "?" for one in PurePosixPath(inner).name[:60])
        raise HifaError(f"is an archive with another in it ({name}): unpack it first")
    if not meshes:
        raise HifaError("is a zip archive without a mesh in it")
    if len(meshes) > 1:
        raise HifaError(f"is a zip archive of {len(meshes)} meshes: unpack it first")
    return meshes[0]


def _is_hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or any(part.startswith(".") and part not in (".", "..") for part in parts)


def _name_in_gzip(path: Path) -> str:
    """Return what a gzip file's content is called: the file's own name without its last ending."""
    return path.stem if path.suffix.lower() == ".gz" else path.name


def _unpack(path: Path, folder: Path) -> Path:
    """Write an archive's mesh and what lies beside it into ``folder``; returns the mesh."""
    size = path.stat().st_size
    most = max(FREE_EXPANSION, MOST_EXPANSION * size)
    with path.open("rb") as file:
        if file.read(len(GZIP)) == GZIP:
            suffix = PurePosixPath(_name_in_gzip(path)).suffix
            with gzip.open(path) as content:
                _copy(content, folder / f"mesh{suffix}", most)
            return folder / f"mesh{suffix}"
    with zipfile.ZipFile(path) as archive:
        mesh = _mesh_of(archive)
        wanted = [one for one in archive.infolist() if not one.is_dir() and _is_wanted(one, mesh)]
        if len(wanted) > _MOST_FILES:
            raise HifaError(f"is a zip archive of {len(wanted)} files: unpack it first")
        for one in wanted:
            with archive.open(one) as content:
                most -= _copy(content, _place_of(one, folder), most)
        return _place_of(mesh, folder)


def _is_wanted(one: zipfile.ZipInfo, mesh: zipfile.ZipInfo) -> bool:
    """Return whether a file of an archive may be a part of its mesh: not a picture, not hidden."""
    return one is mesh or not (_is_hidden(one.filename) or is_picture(one.filename))


def _place_of(one: zipfile.ZipInfo, folder: Path) -> Path:
    """Return where a file of an archive is written.

    Raises:
        HifaError: its name leads out of the folder, or it is a link.
    """
    name = PurePosixPath(one.filename)
    strange = name.is_absolute() or ".." in name.parts or any(sign in one.filename for sign in ":\\\0")
    if strange or stat.S_ISLNK(one.external_attr >> 16):
        raise HifaError(f"is a zip archive that leads out of its folder ({one.filename[:80]!r})")
    return folder / name


def _copy(content: IO[bytes] | gzip.GzipFile, place: Path, most: int) -> int:
    """Write what is unpacked to a file; returns its size.

    Raises:
        HifaError: there is more of it than ``most`` bytes.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with place.open("wb") as file:
        while block := content.read(_BLOCK):
            written += len(block)
            if written > most:
                raise HifaError(f"would unpack to more than {most >> 20} MiB: no mesh, a bomb")
            file.write(block)
    return written
