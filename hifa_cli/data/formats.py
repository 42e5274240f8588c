"""The formats of meshes: the one table of what they are called, how they begin and which reader they have.

To add a format, add a row here and a module with ``read(path)`` in ``hifa_cli/render/readers``; nothing else
lists formats. ``tools/format_table`` prints the table of docs/formats.md.
"""

import zipfile
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple


class MeshFormat(NamedTuple):
    """A format of meshes.

    Attributes:
        name: as people call it.
        suffixes: endings of its files; the first stands for the format.
        reader: the module of ``hifa_cli.render.readers`` whose ``read(path)`` returns (n, 3) vertices and
            (m, 3) faces; None for formats that are known and not read.
        up: the axis that is up in what the reader returns; ``file`` where its ``up_axis(path)`` says it.
        looked_at: the format does not say which axis is up, so that shapes are looked at (render/up_look).
        starts: regular expressions, one of which fits the first bytes (blanks before them are skipped).
        extra: of the package, which installs the library that reads it. Such a reader is foreign native
            code: it runs in a process of its own (render/isolated).
        module: that the extra installs.
    """

    name: str
    suffixes: tuple[str, ...]
    reader: str | None
    up: Literal["y", "z", "file"] = "z"
    looked_at: bool = False
    starts: tuple[bytes, ...] = ()
    extra: str = ""
    module: str = ""

    @property
    def suffix(self) -> str:
        """Return the ending that stands for the format."""
        return self.suffixes[0]

    @property
    def isolated(self) -> bool:
        """Return whether a library reads it, which could take its process down."""
        return bool(self.extra)


# fmt: off
OBJ = MeshFormat("Wavefront OBJ", (".obj",), "obj", looked_at=True)  # no first bytes of its own
STL = MeshFormat("STL", (".stl",), "stl", looked_at=True, starts=(rb"solid\b.{0,2048}?\bfacet\b",))
THREEMF = MeshFormat("3MF", (".3mf",), "threemf")  # a zip archive: render/contents looks into it
USD = MeshFormat("USD", (".usd", ".usdc", ".usda", ".usdz"), "usd", up="y", starts=(rb"PXR-USDC", rb"#usda "),
                 extra="usd", module="pxr")
MESH_FORMATS: tuple[MeshFormat, ...] = (
    MeshFormat("OFF", (".off",), "off",
               starts=(rb"(#[^\r\n]*[\r\n]\s*)*(ST|C|N|4)*OFF\b",)),
    OBJ,
    STL,
    MeshFormat("PLY", (".ply",), "ply", looked_at=True,
               starts=(rb"ply[ \t]*[\r\n]",)),
    MeshFormat("glTF 2.0, binary", (".glb",), "gltf", up="y",
               starts=(rb"glTF[\x01\x02]\0\0\0",)),
    MeshFormat("glTF 2.0", (".gltf",), "gltf", up="y",
               starts=(rb"\{.{0,4000}\"(asset|accessors|bufferViews|meshes|scenes|nodes)\"\s*:",)),
    THREEMF,
    MeshFormat("COLLADA", (".dae",), "dae", up="file",
               starts=(rb"(<\?xml.*?\?>\s*)?(<!--((?!-->).)*-->\s*)*<(\w+:)?COLLADA\b",)),
    MeshFormat("STEP", (".step", ".stp"), "step", starts=(rb"ISO-10303-21",),
               extra="step", module="cascadio"),
    MeshFormat("IGES", (".iges", ".igs"), "step", starts=(rb"[^\r\n]{72}S[ 0]{6}1",),
               extra="step", module="cascadio"),
    MeshFormat("Open CASCADE BREP", (".brep",), "brep",
               starts=(rb"(DBRep_DrawableShape|CASCADE Topology)",), extra="brep", module="OCP"),
    MeshFormat("FBX", (".fbx",), "fbx", up="y", starts=(rb"Kaydara FBX Binary", rb"; FBX \d"),
               extra="fbx", module="ufbx"),
    MeshFormat("3DS", (".3ds",), "assimp", up="y", extra="assimp", module="assimp_py"),
    MeshFormat("VRML 97", (".wrl",), "vrml", up="y", starts=(rb"#VRML",)),
    MeshFormat("X3D", (".x3d",), "assimp", up="y", starts=(rb"(<\?xml.*?)?<X3D\b",),
               extra="assimp", module="assimp_py"),
    USD,
    MeshFormat("Blender", (".blend",), None, starts=(rb"BLENDER[-_]",)),
)
# fmt: on
_BY_SUFFIX = {suffix: one for one in MESH_FORMATS for suffix in one.suffixes}
MESH_SUFFIXES = frozenset(_BY_SUFFIX)
ARCHIVE_SUFFIXES = frozenset((".zip", ".gz"))  # around one mesh (render/archives)
READ_SUFFIXES = tuple(suffix for suffix, one in _BY_SUFFIX.items() if one.reader is not None)


def format_of_suffix(suffix: str) -> MeshFormat | None:
    """Return the format of files with this ending, in any case; None where it is not a mesh's."""
    return _BY_SUFFIX.get(suffix.lower())


def is_mesh(path: Path) -> bool:
    """Return whether a file is called as a mesh is, or as an archive of one."""
    return _is_called(path, MESH_SUFFIXES)


def is_read(path: Path) -> bool:
    """Return whether a file is called as a mesh of a format that is read, or as an archive of one."""
    return _is_called(path, frozenset(READ_SUFFIXES))


def _is_called(path: Path, suffixes: frozenset[str]) -> bool:
    suffix = path.suffix.lower()
    if suffix not in ARCHIVE_SUFFIXES:
        return suffix in suffixes
    return Path(path.stem).suffix.lower() in suffixes or (suffix == ".zip" and _holds(path, suffixes))


def _holds(path: Path, suffixes: frozenset[str]) -> bool:
    """Return whether a zip archive holds one mesh; it is not unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [PurePosixPath(name) for name in archive.namelist() if "__MACOSX" not in name]
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return False
    return sum(name.suffix.lower() in suffixes for name in names) == 1


def shape_name(path: Path) -> str:
    """Return a mesh's file name without its ending, and without that of an archive around it."""
    inner = Path(path.stem)
    packed = path.suffix.lower() in ARCHIVE_SUFFIXES and inner.suffix.lower() in MESH_SUFFIXES
    return inner.stem if packed else path.stem


def rank(path: Path) -> int:
    """Return how far down the table a file's format stands: of two files of one shape the first is taken."""
    found = format_of_suffix(path.suffix)
    return len(MESH_FORMATS) if found is None else MESH_FORMATS.index(found)


def is_looked_at(path: Path) -> bool:
    """Return whether a file's format, by its ending, leaves open which axis is up."""
    found = format_of_suffix(path.suffix)
    return found is not None and found.looked_at
