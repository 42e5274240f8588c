"""3MF: the meshes of the objects that are built, wherever in the package they and their components lie."""

import posixpath
import zipfile
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.parsing import numbers_of
from hifa_cli.render.readers.parts import Parts
from hifa_cli.render.readers.xmltree import child, children, name_of, parsed

MOST_OBJECTS = 200_000  # with all copies
MOST_DEPTH = 200  # of components in components
_ROOT = "3dmodel"  # how the type of the relationship to the root model ends
_UNITS = {
    "micron": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "inch": 25.4, "foot": 304.8, "meter": 1000.0,
}  # fmt: skip
_PLAIN = ("mesh", "components", "metadatagroup")
_IN_MESH = ("vertices", "triangles", "trianglesets")

Place = NDArray[np.float64]
Key = tuple[str, str]  # a model part and an id in it


def read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read the triangles of what is built, or of every object where nothing is.

    Raises:
        HifaError: it is not a 3MF package, is damaged, or a part of it cannot be drawn.
    """
    try:
        with zipfile.ZipFile(path) as archive:
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
        self._names = {_plain(name): name for name in archive.namelist()}
        self._models: dict[str, Any] = {}
        self._objects: dict[Key, Any] = {}
        self._meshes: dict[Key, tuple[NDArray[np.float64], NDArray[np.int64]]] = {}

    def built(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(n, 3) vertices and (m, 3) faces of everything that is built.

        Raises:
            HifaError: components go round in a circle, or name what is not there.
        """
        root = self._root()
        model, parts = self._model(root), Parts()
        items = [one for build in children(model, "build") for one in children(build, "item")]
        waiting = [(self._named(one, root), _place(one), 1) for one in items]
        if not waiting:
            waiting = [(key, np.eye(4), 1) for key in self._unused(root)]
        seen = 0
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
        return parts.joined()

    def _root(self) -> str:
        """Return the name of the root model: what the package says, else the one that there is."""
        if (found := self._names.get("_rels/.rels")) is not None:
            for one in parsed(self.archive.read(found), ".3mf").iter():
                if name_of(one) == "Relationship" and (one.get("Type") or "").lower().endswith(_ROOT):
                    target = _plain(unquote(one.get("Target") or ""))
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
            root = parsed(self.archive.read(self._names[name]), ".3mf")
            if name_of(root) != "model":
                raise HifaError(f"cannot be read as .3mf: '{name[:80]}' is no model, or is encrypted")
            self._models[name] = root
            for resources in children(root, "resources"):
                for thing in children(resources, "object"):
                    self._objects.setdefault((name, thing.get("id") or ""), thing)
        return self._models[name]

    def _named(self, reference: Any, part: str) -> Key:
        """Return the object that an item or a component names: in its own part, or in another."""
        paths = [value for key, value in reference.attrib.items() if key.rpartition("}")[2] == "path"]
        return (_plain(unquote(paths[0])) if paths else part), reference.get("objectid") or ""

    def _object(self, key: Key) -> Any:
        self._model(key[0])
        if key not in self._objects:
            raise HifaError(f"names an object that it does not have ({key[1][:40]!r} of '{key[0][:80]}')")
        return self._objects[key]

    def _unused(self, part: str) -> list[Key]:
        """Objects of a part, or of all parts where it has none, that are no other's component."""
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
            vertices = _table(child(mesh, "vertices"), "vertex", ("x", "y", "z"))
            corners = _table(child(mesh, "triangles"), "triangle", ("v1", "v2", "v3"))
            whole = np.abs(corners) < 1 << 53
            self._meshes[key] = vertices, np.where(whole, corners, -1).astype(np.int64)
        return self._meshes[key]


def _plain(name: str) -> str:
    """Return a part's name as it is compared: no slash before it, case ignored."""
    return posixpath.normpath("/" + name.replace("\\", "/")).lstrip("/").lower()


def _refuse_others(element: Any, known: tuple[str, ...]) -> None:
    """Refuse shapes by extensions: beams, displacements, Boolean operations, volumes."""
    for one in element:
        if name_of(one) and name_of(one) not in known:
            raise HifaError(
                f"has a shape by a 3MF extension that is not drawn ('{name_of(one)[:40]}'): mesh it"
            )


def _table(group: Any, row: str, columns: tuple[str, ...]) -> NDArray[np.float64]:
    """(n, columns) numbers of the attributes of all rows.

    Raises:
        HifaError: a row lacks one, or it is not a number.
    """
    if group is None:
        return np.empty((0, len(columns)))
    table = np.empty((len(group), len(columns)))
    for column, name in enumerate(columns):
        words = group.xpath(f"*/@{name}", smart_strings=False)  # an object a row would take twice as long
        values, _ = numbers_of(np.frombuffer(("\n".join(words) + " ").encode(), dtype=np.uint8))
        if len(words) != len(group) or len(values) != len(group):
            raise HifaError(f"has a <{row}> without a number for {name}")
        table[:, column] = values
    if not np.isfinite(table).all():
        raise HifaError(f"has a <{row}> of something else than numbers")
    return table


def _place(reference: Any) -> Place:
    """(4, 4) of an item's or component's transform, whose rows 3MF writes as columns."""
    place = np.eye(4)
    if (text := reference.get("transform")) is not None:
        values, _ = numbers_of(np.frombuffer((text + " ").encode(), dtype=np.uint8))
        if len(values) != 12 or not np.isfinite(values).all():
            raise HifaError(f"has a damaged transform ('{text[:80]}')")
        place[:3] = values.reshape(4, 3).T
    return place
