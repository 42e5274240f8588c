"""Checks before a stranger's mesh is read: references, bombs, circles.

Grey views need geometry alone. So no material or texture is opened, and the only other file that a mesh
may name is a glTF's buffer in its own folder or below.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from hifa_cli.errors import HifaError

MOST_EXPANSION = 200  # of an archive as a whole; the XML of real meshes packs 5 to 20 times
FREE_EXPANSION = 1 << 28  # bytes that an archive may hold without such a question
MOST_DEPTH = 2_000  # of a scene's nodes: what reads them takes quadratic time
COMPRESSED = re.compile(rb"KHR_draco_mesh_compression|(EXT|KHR)_meshopt_compression")
_BLOCK = 1 << 20
_DOCTYPE = re.compile(
    rb"<!(DOCTYPE|ENTITY)|<\0!\0(D\0O\0C|E\0N\0T)|\0<\0!(\0D\0O\0C|\0E\0N\0T)", re.IGNORECASE
)
_OVERLAP = 32  # bytes of the block before, where the word may begin


class OwnFolder:
    """Gives a reader the files that a mesh may name: buffers in its folder or below, nothing else.

    Links are followed, as those to meshes are: whoever may put links there may put files there.

    Args:
        path: of the mesh.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, name: str) -> bytes:
        """Return the content of a buffer that the mesh names.

        Raises:
            HifaError: it is elsewhere, or gone.
        """
        place = own_file(self.path, name)
        if place is None:
            raise HifaError(
                f"names a file outside its folder ({name[:80]}), which is not opened: save it as GLB"
            )
        if not place.is_file():
            raise HifaError(f"needs a file that is not there ({name[:80]}): put it beside, or save it as GLB")
        return place.read_bytes()

    __getitem__ = get

    def keys(self) -> list[str]:
        """No list of what is there."""
        return []

    def __contains__(self, name: str) -> bool:
        """Return whether the mesh may have it."""
        return own_file(self.path, name) is not None


def own_file(path: Path, name: str) -> Path | None:
    """Return where a file lies that the mesh at ``path`` names by a relative URI.

    None outside its own folder.
    """
    written = name.replace("\\", "/")  # as programs on Windows do
    meant, as_written = (_inside(path, one) for one in (unquote(written), written))
    is_there = meant is not None and meant.is_file()
    return as_written if not is_there and as_written is not None and as_written.is_file() else meant


def _inside(path: Path, name: str) -> Path | None:
    inside = PurePosixPath(name)
    strange = inside.is_absolute() or ".." in inside.parts or any(sign in str(inside) for sign in ":\0")
    return None if strange else path.parent / inside


def gltf_buffers(path: Path) -> list[Path]:
    """Return the files beside a glTF that its geometry is in."""
    if path.suffix.lower() != ".gltf":
        return []
    try:
        buffers = json.loads(path.read_bytes())["buffers"]
        names = [str(buffer["uri"]) for buffer in buffers if not buffer["uri"].startswith("data:")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
    places = [own_file(path, name) for name in names]
    return [place for place in places if place is not None and place.is_file()]


def check_package(path: Path) -> None:
    """Refuse a 3MF that would fill the memory, or whose XML brings a document type.

    Raises:
        HifaError: it is one, or is not a whole archive.
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size, stored = sum(member.file_size for member in members), path.stat().st_size
            if size > max(FREE_EXPANSION, MOST_EXPANSION * stored):
                raise HifaError(
                    f"is {stored / 2**20:.1f} MiB and would unpack to {size / 2**20:.0f}: no mesh, a bomb"
                )
            for member in members:
                if member.filename.lower().endswith((".model", ".rels", ".xml")):
                    with archive.open(member) as file:
                        _refuse_doctype(iter(lambda: file.read(_BLOCK), b""))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise HifaError("cannot be read as .3mf: it is not a whole zip archive, or encrypted") from error
    except Exception as error:
        if type(error).__name__ not in ("error", "LZMAError"):  # zlib's and lzma's
            raise
        raise HifaError("cannot be read as .3mf: a part of it is damaged") from error


def check_xml(path: Path) -> None:
    """Refuse XML that brings a document type.

    Raises:
        HifaError: it does.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        _refuse_doctype(iter(lambda: file.read(_BLOCK), b""))


def refuse_doctype(content: bytes) -> None:
    """Refuse XML in memory that brings a document type.

    Raises:
        HifaError: it does.
    """
    _refuse_doctype(iter((content,)))


def _refuse_doctype(blocks: Iterator[bytes]) -> None:
    """XML of meshes needs no document type; one that comes defines entities to blow up or look around."""
    tail = b""
    for block in blocks:
        if _DOCTYPE.search(tail + block):
            raise HifaError("brings an XML document type or entities, which no mesh needs: remove them")
        tail = block[-_OVERLAP:]


def check_gltf(path: Path) -> None:
    """Refuse scenes that go round in circles or too deep; what is not a glTF is left to its reader.

    Raises:
        HifaError: it is one.
        OSError: it cannot be read.
    """
    try:
        document = json.loads(gltf_json(path))
    except (ValueError, RecursionError):
        return
    nodes = document.get("nodes") if isinstance(document, dict) else None
    if isinstance(nodes, list) and _depth([_children(node, len(nodes)) for node in nodes]) > MOST_DEPTH:
        raise HifaError(f"has nodes in a circle, or nested deeper than {MOST_DEPTH}: flatten the scene")


def gltf_json(path: Path) -> bytes:
    """Return the JSON of a glTF or GLB, without reading its binary part."""
    with path.open("rb") as file:
        head = file.read(20)
        if not head.startswith(b"glTF"):
            return (head + file.read()).removeprefix(b"\xef\xbb\xbf")
        return file.read(int.from_bytes(head[12:16], "little"))


def _children(node: Any, count: int) -> list[int]:
    named = node.get("children") if isinstance(node, dict) else None
    named = named if isinstance(named, list) else []
    return [child for child in named if isinstance(child, int) and 0 <= child < count]


def _depth(children: list[list[int]]) -> float:
    """Return how deep the deepest node lies; infinite where there is a circle. Every edge is walked once."""
    parents = [0] * len(children)
    for named in children:
        for child in named:
            parents[child] += 1
    waiting = [node for node, count in enumerate(parents) if count == 0]
    depth, done = [1] * len(children), 0
    while waiting:
        node = waiting.pop()
        done += 1
        for child in children[node]:
            depth[child] = max(depth[child], depth[node] + 1)
            parents[child] -= 1
            if parents[child] == 0:
                waiting.append(child)
    return float("inf") if done < len(children) else max(depth, default=0)
