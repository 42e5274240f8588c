"""3MF: the meshes of the objects that are built, wherever in the package they and their components lie."""

import posixpath
import re
import zipfile
import zlib
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render import validate
from hifa_cli.render.compiled import compiled
from hifa_cli.render.parsing import Bytes, numbers_of
from hifa_cli.render.readers.parts import Parts
from hifa_cli.render.readers.xmltree import child, children, name_of, parsed

MOST_OBJECTS = 200_000  # with all copies
MOST_DEPTH = 200  # of components in components
_ROOT = "3dmodel"  # how the type of the relationship to the root model ends
_UNITS = {
    "micron": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "inch": 25.4, "foot": 304.8, "meter": 1000.0,
}  # fmt: skip
_PLAIN = ("mesh", "components", "metadatagroup")
_LISTS = re.compile(rb"<((?:[A-Za-z_][\w.-]*:)?(vertices|triangles))(?:\s[^<>]*)?>")
_IN_MESH = ("vertices", "triangles", "trianglesets")

Place = NDArray[np.float64]
Key = tuple[str, str]  # a model part and an id in it


def read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], str]:
    """Read the triangles of what is built, or of every object where nothing is; say which objects hold none.

    Raises:
        HifaError: it is not a 3MF package, is damaged, or a part of it cannot be drawn.
    """
    validate.check_package(path)
    try:
        with zipfile.ZipFile(path) as archive, np.errstate(invalid="ignore", over="ignore"):
            return Package(archive).built()
    except zipfile.BadZipFile:
        raise HifaError("cannot be read as .3mf: it is not a whole zip archive") from None
    except (RuntimeError, NotImplementedError):  # a password, a compression
        raise HifaError("cannot be read as .3mf: it is encrypted or packed in an unknown way") from None
    except (EOFError, zlib.error):
        raise HifaError("cannot be read as .3mf: a part of it is damaged") from None


class Package:
    """The model parts of an archive, parsed as they are asked for."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        names = archive.namelist()
        self._names = {_plain(unquote(name)): name for name in names} | {_plain(name): name for name in names}
        self._mark = f"lifted-{token_hex(8)}"  # of lists that were taken out of the XML; nobody can guess it
        self._tables: list[NDArray[np.float64]] = []
        self._models: dict[str, Any] = {}
        self._objects: dict[Key, Any] = {}
        self._meshes: dict[Key, tuple[NDArray[np.float64], NDArray[np.int64]]] = {}

    def built(self) -> tuple[NDArray[np.float64], NDArray[np.int64], str]:
        """Return (n, 3) vertices and (m, 3) faces of everything that is built, and a remark on what is not.

        Raises:
            HifaError: components go round in a circle, or name what is not there.
        """
        root = self._root()
        model, parts = self._model(root), Parts()
        items = [one for build in children(model, "build") for one in children(build, "item")]
        waiting = [(self._named(one, root), _place(one), 1) for one in items]
        if not waiting:
            waiting = [(key, np.eye(4), 1) for key in self._unused(root)]
        seen, empty = 0, set[str]()
        while waiting:
            key, place, depth = waiting.pop()
            seen += 1
            if seen > MOST_OBJECTS or depth > MOST_DEPTH:
                raise HifaError(
                    f"has components in a circle, or more than {MOST_OBJECTS:,} copies: flatten them"
                )
            thing = self._object(key)
            _refuse_others(thing, _PLAIN)
            for one in (
                one for group in children(thing, "components") for one in children(group, "component")
            ):
                waiting.append((self._named(one, key[0]), place @ _place(one), depth + 1))
            if child(thing, "mesh") is not None:
                parts.add(*self._mesh(key, thing), place)
            elif not any(children(group, "component") for group in children(thing, "components")):
                empty.add(key[1][:40])
        return *parts.joined(), _said_of_empty(empty)

    def _root(self) -> str:
        """Return the name of the root model: what the package says, else the one that there is."""
        if (found := self._names.get("_rels/.rels")) is not None:
            for one in parsed(self.archive.read(found), ".3mf").iter():
                if name_of(one) == "Relationship" and (one.get("Type") or "").lower().endswith(_ROOT):
                    target = self._part(one.get("Target") or "")
                    if target in self._names:
                        return target
        models = sorted(name for name in self._names if name.endswith(".model"))
        if "3d/3dmodel.model" in models:
            return "3d/3dmodel.model"
        if len(models) != 1:
            raise HifaError(f"cannot be read as .3mf: {len(models) or 'no'} models are in it, none the root")
        return models[0]

    def _model(self, name: str) -> Any:
        """Return the root element of a model part; notes its objects.

        Raises:
            HifaError: it is not there, or is not a model.
        """
        if name not in self._models:
            if name not in self._names:
                raise HifaError(f"names a model that is not in it ('{name[:80]}')")
            content = lifted(self.archive.read(self._names[name]), self._mark, self._tables)
            root = parsed(content, ".3mf")
            if name_of(root) != "model":
                raise HifaError(f"cannot be read as .3mf: '{name[:80]}' is not a model, or is encrypted")
            self._models[name] = root
            for resources in children(root, "resources"):
                for thing in children(resources, "object"):
                    self._objects.setdefault((name, thing.get("id") or ""), thing)
        return self._models[name]

    def _named(self, reference: Any, part: str) -> Key:
        """Return the object that an item or a component names: in its own part, or in another."""
        paths = [value for key, value in reference.attrib.items() if key.rpartition("}")[2] == "path"]
        return (self._part(paths[0]) if paths else part), reference.get("objectid") or ""

    def _part(self, path: str) -> str:
        """Return the name of a part, which programs write with signs encoded as in URIs, or as they are."""
        return _plain(path) if _plain(path) in self._names else _plain(unquote(path))

    def _object(self, key: Key) -> Any:
        self._model(key[0])
        if key not in self._objects:
            raise HifaError(f"names an object that it does not have ({key[1][:40]!r} of '{key[0][:80]}')")
        return self._objects[key]

    def _unused(self, part: str) -> list[Key]:
        """Return the objects of a part, or else of all parts, that are not components of others."""
        if not any(key[0] == part for key in self._objects):
            for name in sorted(self._names):
                if name.endswith(".model"):
                    self._model(name)
        used = {
            self._named(one, key[0])
            for key, thing in self._objects.items()
            for one in thing.iter()
            if name_of(one) == "component"
        }
        return [key for key in self._objects if key not in used]

    def _mesh(self, key: Key, thing: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        if key not in self._meshes:
            mesh = child(thing, "mesh")
            _refuse_others(mesh, _IN_MESH)
            vertices = self._table(child(mesh, "vertices"), "vertex", ("x", "y", "z"))
            corners = self._table(child(mesh, "triangles"), "triangle", ("v1", "v2", "v3"))
            whole = np.abs(corners) < 1 << 53
            self._meshes[key] = vertices, np.where(whole, corners, -1).astype(np.int64)
        return self._meshes[key]

    def _table(self, group: Any, row: str, columns: tuple[str, ...]) -> NDArray[np.float64]:
        """Return (n, columns) numbers of the attributes of all rows.

        Raises:
            HifaError: a row lacks one, or it is not a number.
        """
        if group is None:
            return np.empty((0, len(columns)))
        lifted_as = group.get(self._mark)
        table = _rows(group, row, columns) if lifted_as is None else self._tables[int(lifted_as)]
        if not np.isfinite(table).all():
            raise HifaError(f"has a <{row}> of something else than numbers")
        return table


def lifted(content: bytes, mark: str, tables: list[NDArray[np.float64]]) -> bytes:
    """Take plain lists of vertices and triangles out of a model's XML: trees of them take four times as long.

    Args:
        content: of a model part.
        mark: the name of an attribute that the XML does not have.
        tables: gets the numbers of each list; the element that it was in is marked with its place there.

    Returns:
        The XML without them. A list that holds anything unusual stays in it.
    """
    pieces, done = [], 0
    for opening in _LISTS.finditer(content):
        end = content.find(b"</" + opening[1], opening.end())
        if opening.start() < done or opening[0].endswith(b"/>") or end < 0:
            continue
        block = np.frombuffer(content, dtype=np.uint8, count=end - opening.end(), offset=opening.end())
        text = np.empty(len(block) + 1, dtype=np.uint8)
        row = np.frombuffer(b"vertex" if opening[2] == b"vertices" else b"triangle", dtype=np.uint8)
        used = scan_rows(block, row, text)
        values = numbers_of(text[:used])[0] if used > 0 else np.empty(0)
        if used < 0 or len(values) % 3:
            continue
        pieces += [content[done : opening.end() - 1], f' {mark}="{len(tables)}">'.encode()]
        tables.append(values.reshape(-1, 3))
        done = end
    return b"".join([*pieces, content[done:]])


@compiled
def past_blanks(block: Bytes, place: int) -> int:
    """Return the place of the next byte that is not white space."""
    while place < len(block) and block[place] <= 32:
        place += 1
    return place


@compiled
def scan_rows(block: Bytes, row: Bytes, text: Bytes) -> int:
    """Copy the three attributes of each element in a list into ``text``, a line an element.

    Args:
        block: what stands between the list's two tags.
        row: the elements' name: vertex has x, y, z, and triangle v1, v2, v3.
        text: to fill in, one longer than ``block``.

    Returns:
        How many bytes of ``text`` are filled; −1 where the list holds anything else.
    """
    place, used, size = 0, 0, len(block)
    begins, ends = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    while place < size:
        if block[place] <= 32:
            place += 1
            continue
        if block[place] != 60:  # <
            return -1
        place += 1
        closing = place < size and block[place] == 47
        begin = place + closing
        while (
            place < size
            and block[place] > 32
            and block[place] != 62
            and not (block[place] == 47 and place > begin)
        ):
            place += 1
            if block[place - 1] == 58:
                begin = place
        if place - begin != len(row):
            return -1
        for letter in range(len(row)):
            if block[begin + letter] != row[letter]:
                return -1
        if closing:
            place = past_blanks(block, place)
            if place >= size or block[place] != 62:
                return -1
            place += 1
            continue
        ends[:] = -1
        while True:
            place = past_blanks(block, place)
            if place >= size:
                return -1
            if block[place] == 62:
                place += 1
                break
            if block[place] == 47:
                if place + 1 >= size or block[place + 1] != 62:
                    return -1
                place += 2
                break
            name = place
            while place < size and block[place] > 32 and block[place] != 61:
                if block[place] == 60 or block[place] == 62:
                    return -1
                place += 1
            length = place - name
            place = past_blanks(block, place)
            if place >= size or block[place] != 61:
                return -1
            place += 1
            place = past_blanks(block, place)
            if place >= size or (block[place] != 34 and block[place] != 39):
                return -1
            quote, place = block[place], place + 1
            value = place
            while place < size and block[place] != quote:
                if block[place] == 38 or block[place] == 60:
                    return -1
                place += 1
            if place >= size:
                return -1
            column = -1
            if len(row) == 6 and length == 1:
                column = block[name] - 120
            elif len(row) == 8 and length == 2 and block[name] == 118:
                column = block[name + 1] - 49
            if 0 <= column < 3:
                if ends[column] >= 0 or place == value:
                    return -1
                begins[column], ends[column] = value, place
            place += 1
        for column in range(3):
            if ends[column] < 0:
                return -1
            for letter in range(begins[column], ends[column]):
                if block[letter] <= 32:
                    return -1
                text[used] = block[letter]
                used += 1
            text[used] = 10
            used += 1
    return used


def _plain(name: str) -> str:
    """Return a part's name as it is compared: no slash before it, case ignored."""
    return posixpath.normpath("/" + name.replace("\\", "/")).lstrip("/").lower()


def _said_of_empty(objects: set[str]) -> str:
    """Return what is said of objects that are built and hold neither a mesh nor components."""
    if not objects:
        return ""
    named = ", ".join(sorted(objects)[:3])
    return f"{len(objects)} of its objects hold no mesh and are left out ({named})"


def _refuse_others(element: Any, known: tuple[str, ...]) -> None:
    """Refuse shapes by extensions: beams, displacements, Boolean operations, volumes."""
    for one in element:
        if name_of(one) and name_of(one) not in known:
            raise HifaError(
                f"has a shape by a 3MF extension that is not drawn ('{name_of(one)[:40]}'): mesh it"
            )


def _rows(group: Any, row: str, columns: tuple[str, ...]) -> NDArray[np.float64]:
    """Return (n, columns) numbers of a list that stayed in the XML."""
    table = np.empty((len(group), len(columns)))
    for column, name in enumerate(columns):
        words = group.xpath(f"*/@{name}", smart_strings=False)  # an object a row would take twice as long
        values, _ = numbers_of(np.frombuffer(("\n".join(words) + " ").encode(), dtype=np.uint8))
        if len(words) != len(group) or len(values) != len(group):
            raise HifaError(f"has a <{row}> without a number for {name}")
        table[:, column] = values
    return table


def _place(reference: Any) -> Place:
    """Return (4, 4) of an item's or component's transform, whose rows 3MF writes as columns."""
    place = np.eye(4)
    if (text := reference.get("transform")) is not None:
        values, _ = numbers_of(np.frombuffer((text + " ").encode(), dtype=np.uint8))
        if len(values) != 12 or not np.isfinite(values).all():
            raise HifaError(f"has a damaged transform ('{text[:80]}')")
        place[:3] = values.reshape(4, 3).T
    return place
