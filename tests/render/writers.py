"""Writers of mesh files, each with every freedom that its format has."""

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.meshes import Mesh

_CODES = {
    "char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "float": "f",
    "double": "d", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
    "float32": "f", "float64": "d",
}  # fmt: skip


Column = tuple[str | tuple[str, str], Sequence[float]]  # a type, or a list's two, and its values


class Ply(NamedTuple):
    """How a PLY is written.

    Attributes:
        form: ``ascii``, ``binary_little_endian`` or ``binary_big_endian``.
        newline: of the header, and of the body where it is text.
        axes: the type of x, y and z.
        length: the type of the lists' lengths.
        corner: the type of the corners.
        extra: properties before and behind the others, an element between, lists among them.
        strips: triangles as one strip each in one list, parted by −1.
        name: of the list of corners.
    """

    form: str = "ascii"
    newline: str = "\n"
    axes: str = "double"
    length: str = "uchar"
    corner: str = "int"
    extra: bool = False
    strips: bool = False
    name: str = "vertex_indices"

    def bytes_of(self, vertices: NDArray[np.float64], polygons: Sequence[Sequence[int]]) -> bytes:
        """Write vertices (n, 3) and polygons."""
        before: list[Column] = [("uchar", [7]), (("uchar", "short"), [1, -2, 3])] if self.extra else []
        behind: list[Column] = [("float", [0.5])] if self.extra else []
        header = ["ply", f"format {self.form} 1.0", "comment end_header is not here"]
        header += [f"element vertex {len(vertices)}"]
        header += ["property uchar flag", "property list uchar short notes"] if self.extra else []
        header += [f"property {self.axes} {axis}" for axis in "xyz"]
        header += ["property float quality"] if self.extra else []
        rows: list[bytes] = [
            self._row([*before, *((self.axes, [float(one)]) for one in vertex), *behind])
            for vertex in vertices
        ]
        if self.extra:
            header += ["element other 2", "property list ushort double numbers", "property int last"]
            rows += [self._row([(("ushort", "double"), [0.25] * size), ("int", [size])]) for size in (0, 3)]
        lists = [[int(one) for one in polygon] for polygon in polygons]
        if self.strips:
            lists = [[one for polygon in lists for one in (*polygon, -1)]]
        header += [f"element {'tristrips' if self.strips else 'face'} {len(lists)}"]
        header += ["property uchar flag", "property list uchar short notes"] if self.extra else []
        header += [f"property list {self.length} {self.corner} {self.name}"]
        rows += [self._row([*before, ((self.length, self.corner), one)]) for one in lists]
        return self.newline.join([*header, "end_header", ""]).encode() + b"".join(rows)

    def _row(self, values: Sequence[Column]) -> bytes:
        if self.form == "ascii":
            words = [
                word
                for kind, numbers in values
                for word in ([str(len(numbers))] if isinstance(kind, tuple) else [])
                + [f"{one!r}" for one in numbers]
            ]
            return (" ".join(words) + self.newline).encode()
        order, row = "<" if "little" in self.form else ">", b""
        for kind, numbers in values:
            if isinstance(kind, tuple):
                row += struct.pack(order + _CODES[kind[0]], len(numbers))
            code = _CODES[kind[1] if isinstance(kind, tuple) else kind]
            row += struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        return row


def dae_text(
    mesh: Mesh, *, faces: str = "", scene: str = "", asset: str = "", libraries: str = "", places: str = ""
) -> str:
    """COLLADA of one geometry ``g``, shown once.

    Args:
        mesh: what is written.
        faces: the primitive, in place of triangles.
        scene: the nodes, in place of one that shows the geometry.
        asset: what stands in <asset>.
        libraries: more of them.
        places: the numbers of the vertices, in place of the mesh's.
    """
    numbers = places or " ".join(repr(float(one)) for one in mesh.vertices.ravel())
    corners = " ".join(str(one) for one in mesh.faces.ravel())
    vertex = '<input semantic="VERTEX" source="#v" offset="0"/>'
    faces = faces or f'<triangles count="{len(mesh.faces)}">{vertex}<p>{corners}</p></triangles>'
    scene = scene or '<node><instance_geometry url="#g"/></node>'
    return (
        '<?xml version="1.0"?><COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">'
        f"<asset>{asset}</asset>{libraries}"
        '<library_geometries><geometry id="g"><mesh>'
        f'<source id="p"><float_array id="a" count="{3 * len(mesh.vertices)}">{numbers}</float_array>'
        f'<technique_common><accessor source="#a" count="{len(mesh.vertices)}" stride="3">'
        '<param name="X" type="float"/><param name="Y" type="float"/><param name="Z" type="float"/>'
        "</accessor></technique_common></source>"
        f'<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>{faces}'
        "</mesh></geometry></library_geometries>"
        f'<library_visual_scenes><visual_scene id="s">{scene}</visual_scene></library_visual_scenes>'
        '<scene><instance_visual_scene url="#s"/></scene></COLLADA>'
    )


NAMESPACES = (
    'xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02" '
    'xmlns:p="http://schemas.microsoft.com/3dmanufacturing/production/2015/06"'
)


def object_xml(mesh: Mesh, identity: int = 1) -> str:
    """An <object> of 3MF with a mesh."""
    vertices = "".join(f'<vertex x="{x!r}" y="{y!r}" z="{z!r}"/>' for x, y, z in mesh.vertices.tolist())
    triangles = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in mesh.faces.tolist())
    inside = f"<vertices>{vertices}</vertices><triangles>{triangles}</triangles>"
    return f'<object id="{identity}" type="model"><mesh>{inside}</mesh></object>'


def model_xml(objects: str, build: str | None = '<item objectid="1"/>', unit: str = "millimeter") -> str:
    """A model part of 3MF."""
    built = "" if build is None else f"<build>{build}</build>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><model unit="{unit}" {NAMESPACES}>'
        f"<resources>{objects}</resources>{built}</model>"
    )


def package(parts: Mapping[str, str | bytes], root: str | None = "/3D/3dmodel.model") -> bytes:
    """A 3MF package of these parts; ``root`` is what its relationships name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        if root is not None:
            kind = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"
            namespace = "http://schemas.openxmlformats.org/package/2006/relationships"
            relation = f'<Relationship Target="{root}" Id="r" Type="{kind}"/>'
            archive.writestr("_rels/.rels", f'<Relationships xmlns="{namespace}">{relation}</Relationships>')
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()
