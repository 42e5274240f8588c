"""Which format a mesh has: what its first bytes say, else its ending."""

import re
import zipfile
from pathlib import Path

import numpy as np

from hifa_cli.data.contents import HEAD, not_a_mesh
from hifa_cli.errors import HifaError
from hifa_cli.render.readers.stl import FACE
from hifa_cli.render.readers.stl import HEAD as STL_HEAD
from hifa_cli.render.readers.textual import encoding_of

# Formats that are read whatever the file is called: their readers are ours, or run no foreign code.
READ_AS = frozenset((".off", ".obj", ".stl", ".ply", ".dae", ".3mf", ".glb", ".gltf"))

_NUMBER = rb"[-+]?[\d.][-+.\deE]*"
_STARTS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(rb"\s*" + pattern, re.IGNORECASE | re.DOTALL), ending)
    for pattern, ending in (
        (rb"ply[ \t]*[\r\n]", ".ply"),
        (rb"(#[^\r\n]*[\r\n]\s*)*(ST|C|N|4)*OFF\b", ".off"),
        (rb"solid\b.{0,2048}?\bfacet\b", ".stl"),
        (rb"glTF[\x01\x02]\0\0\0", ".glb"),
        (rb"\{.{0,4000}\"(asset|accessors|bufferViews|meshes|scenes|nodes)\"\s*:", ".gltf"),
        (rb"(<\?xml.*?\?>\s*)?(<!--((?!-->).)*-->\s*)*<(\w+:)?COLLADA\b", ".dae"),
        (rb"ISO-10303-21", ".step"),
        (rb"Kaydara FBX Binary", ".fbx"),
        (rb"; FBX \d", ".fbx"),
        (rb"#VRML", ".wrl"),
        (rb"(<\?xml.*?)?<X3D\b", ".x3d"),
        (rb"PXR-USDC", ".usdc"),
        (rb"#usda ", ".usda"),
        (rb"BLENDER[-_]", ".blend"),
        (rb"(DBRep_DrawableShape|CASCADE Topology)", ".brep"),
    )
)
_OBJ = re.compile(
    rb"(^|[\r\n])[ \t]*v" + (rb"[ \t]+" + _NUMBER) * 3 + rb"[^\r\n]*[\r\n]+[ \t]*(v|vn|vt|f|#|g|o)[ \t]"
)
_ALIKE = {".stp": ".step", ".usd": ".usdc"}  # two endings of one format


def ending_of(path: Path) -> str:
    """Return the ending whose reader a mesh wants: its own, unless its first bytes say another.

    Raises:
        HifaError: it is something else than a mesh, or a format that is read by its own name only.
        OSError: it cannot be read.
    """
    own = path.suffix.lower()
    with path.open("rb") as file:
        head = file.read(HEAD)
    if (said := not_a_mesh(head)) is not None:
        raise HifaError(f"is {said}")
    found = _by_content(path, head, own)
    if found is None or found == _ALIKE.get(own, own):
        return own
    if found not in READ_AS:
        raise HifaError(f"has the ending of another format: it is {found}, rename it")
    return found


def _by_content(path: Path, head: bytes, own: str) -> str | None:
    if head.startswith(b"PK\x03\x04"):
        return _of_archive(path, own)
    text = _as_bytes(head)
    if found := next((ending for pattern, ending in _STARTS if pattern.match(text)), None):
        return found
    if own != ".stl" and len(head) >= STL_HEAD:
        count = int(np.frombuffer(head, dtype="<u4", count=1, offset=80)[0])
        if count and path.stat().st_size == STL_HEAD + FACE.itemsize * count:
            return ".stl"
    if own in READ_AS - {".obj"} and _OBJ.search(text):
        return ".obj"
    return None


def _of_archive(path: Path, own: str) -> str | None:
    """Return 3MF's ending for an archive that is one under another name.

    Raises:
        HifaError: it is another archive, under the name of a format that is none.
    """
    if own not in READ_AS or own == ".3mf":
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError):
        names = []
    if any(name.lower().endswith(".model") for name in names):
        return ".3mf"
    raise HifaError("is a zip archive: unpack it first")


def _as_bytes(head: bytes) -> bytes:
    """Return a text's beginning without its mark, and as UTF-8 where it is UTF-16."""
    name = encoding_of(head[:64])
    if name is None:
        return head.removeprefix(b"\xef\xbb\xbf")
    whole = head[: len(head) // 4 * 4]
    return whole.decode(name, "replace").lstrip("\ufeff").encode()
