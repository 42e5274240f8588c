"""The views of a shape: a mesh file in, its grey pictures out."""

import math
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import Axis, RenderConfig
from hifa_cli.data.formats import MeshFormat, format_of_suffix
from hifa_cli.errors import HifaError
from hifa_cli.render import cameras
from hifa_cli.render.archives import unpacked
from hifa_cli.render.builtin import BuiltinRenderer
from hifa_cli.render.cameras import Frame
from hifa_cli.render.compiled import compiled
from hifa_cli.render.contents import format_of
from hifa_cli.render.facts import facts_of
from hifa_cli.render.framing import box_frames
from hifa_cli.render.meshes import Mesh, read_mesh
from hifa_cli.render.shading import PRESETS
from hifa_cli.render.strays import far_out, said_of_strays, without_strays
from hifa_cli.render.up_rules import UpRules
from hifa_cli.render.welding import one_a_place

BLANK = 1e-4  # of a picture: where no view shows more, nothing can be seen
FAINT = 0.01  # of a picture: where no view shows more, few vertices that lie far out are looked for


def up_axis(path: Path, config: RenderConfig, rules: UpRules | None = None) -> Axis:
    """Return the axis that is up: by the configuration's rules, else as asked for all, else by the format.

    glTF is +y by its specification, DAE says it itself (+y where it does not), most others are taken to be
    +z, as ModelNet and CAD have it (``hifa_cli.data.formats``). What shapes show is among the rules
    (:mod:`.up_taken`).

    Args:
        path: the mesh.
        config: what was asked for.
        rules: those of ``config``, for whoever asks for many files.

    Returns:
        ``x``, ``y`` or ``z``.
    """
    if (ruled := (rules or UpRules(config.ups)).find(path)) is not None:
        return ruled[1]
    if config.up != "auto":
        return config.up
    found: MeshFormat | None
    try:
        found = format_of(path)
    except (HifaError, OSError):  # its reader says so
        found = format_of_suffix(path.suffix)
    if found is None:
        return "z"
    if found.up == "file":
        return _said(path, found)
    return found.up


def _said(path: Path, found: MeshFormat) -> Axis:
    """Return the axis that a file says is up; +y where it cannot be read, which its reader says."""
    try:
        with unpacked(path) as file:
            said: Axis = import_module(f"hifa_cli.render.readers.{found.reader}").up_axis(file)
            return said
    except (HifaError, OSError):
        return "y"


class Renderer(Protocol):
    """The renderer: the built-in one or OpenGL."""

    name: str

    def draw(
        self,
        vertices: NDArray[np.float64],
        faces: NDArray[np.int32],
        normals: NDArray[np.float32] | None,
        rig: NDArray[np.float64],
        frames: list[Frame],
    ) -> NDArray[np.uint8]:
        """Return (V, size, size) greys of a shape in the unit sphere.

        Args:
            vertices: (n, 3) in the unit sphere.
            faces: (m, 3).
            normals: (m, 3, 3) of the corners; None draws faces flat.
            rig: (V, 3, 3) cameras: rows right, up, back.
            frames: of each view.

        Returns:
            (V, size, size) greys.
        """


def _renderer(config: RenderConfig) -> Renderer:
    phong = PRESETS[config.shading]
    if config.renderer == "opengl":
        from hifa_cli.render.opengl import OpenGLRenderer

        return OpenGLRenderer(phong, config.size, config.ground)
    return BuiltinRenderer(phong, config.size, config.ground)


class MeshViews:
    """A mesh file to its views; loads what it needs once, then one call a mesh.

    ``renderer="auto"`` is the built-in one here; the stage asks the machine (:mod:`.choice`).
    """

    def __init__(self, config: RenderConfig) -> None:
        self.config = config
        self.rules = UpRules(config.ups)
        self.phong = PRESETS[config.shading]
        self.rig = cameras.rig(config.views, config.elevation)
        self.renderer: Renderer = _renderer(config)
        self.remark = ""  # what was left out of the last mesh, to be said
        self.mesh: Mesh | None = None  # the last one that was read, until the next

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        """Draw the mesh at ``path``.

        Returns:
            (V, size, size) greys.

        Raises:
            HifaError: the mesh cannot be read, or nothing of it can be seen.
        """
        self.mesh = None
        self.mesh = read_mesh(path)
        return self.draw(self.mesh, up_axis(Path(path), self.config, self.rules))

    def warm_up(self) -> None:
        """Draw and measure a tetrahedron, so that all is loaded and compiled before the first mesh."""
        vertices = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], dtype=np.int32)
        self.draw(Mesh(vertices, faces), "z")
        facts_of(Mesh(vertices, faces))

    def draw(self, mesh: Mesh, up: Axis, views: Sequence[int] | None = None) -> NDArray[np.uint8]:
        """Draw a mesh that is already read.

        Where next to nothing of it can be seen because few vertices lie far out, the rest is drawn and
        ``remark`` says so. Every other shape is drawn whole; where vertices far out fill the pictures and
        hide how small the rest is, ``remark`` says that.

        Args:
            mesh: the mesh.
            up: its upright axis.
            views: only these of the rig, in this order.

        Returns:
            (V, size, size) greys.

        Raises:
            HifaError: nothing of it can be seen.
        """
        self.remark = mesh.remark
        pictures = self._drawn(mesh, up, views)
        shown = self._shown(pictures)
        if shown > FAINT:
            self.remark = "; ".join(filter(None, (mesh.remark, said_of_strays(mesh.vertices))))
            return pictures
        if (rest := without_strays(mesh)) is not None:
            others = self._drawn(rest.mesh, up, views)
            if self._shown(others) > BLANK:
                self.remark = "; ".join(filter(None, (mesh.remark, rest.remark)))
                return others
        if shown <= BLANK:
            raise HifaError(_why_blank(mesh.vertices))
        return pictures

    def _drawn(self, mesh: Mesh, up: Axis, views: Sequence[int] | None) -> NDArray[np.uint8]:
        vertices, faces = one_a_place(mesh.vertices, mesh.faces)
        vertices = within_unit_sphere(cameras.upright(vertices, up), faces)
        normals = None
        if self.phong.crease is not None:
            from hifa_cli.render.normals import corner_normals

            normals = corner_normals(vertices, faces, self.phong.crease)
        rig = self.rig if views is None else self.rig[list(views)]
        frames = self._frames(vertices, faces, rig)
        return self.renderer.draw(vertices, faces, normals, rig, frames)

    def _shown(self, pictures: NDArray[np.uint8]) -> float:
        """Return the share of the fullest picture that is not ground; of the first one that is not faint."""
        shown = 0.0
        for picture in pictures:
            shown = max(shown, np.count_nonzero(picture != self.config.ground) / picture.size)
            if shown > FAINT:
                break
        return shown

    def _frames(
        self, vertices: NDArray[np.float64], faces: NDArray[np.int32], rig: NDArray[np.float64]
    ) -> list[Frame]:
        if self.config.framing == "sphere":
            return [cameras.sphere_frame(self.config.size)] * len(rig)
        return box_frames(vertices, faces, rig, self.config.size)


def _why_blank(vertices: NDArray[np.float64]) -> str:
    """Say why nothing of a shape can be seen, though it has faces."""
    strays, times = far_out(vertices)
    if many := int(strays.sum()):
        return (
            f"nothing of it can be seen beside how far its vertices lie apart: {many} of {len(vertices)} lie "
            f"up to {times:.0e} times as far out as the others; remove them"
        )
    return "nothing of it can be seen: it is too thin beside how far its vertices lie apart"


def within_unit_sphere(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return (n, 3) vertices moved and scaled so that the surface's centre of area is the origin.

    The farthest vertex comes to lie on the unit sphere. The centre of area turns with the shape, as a
    bounding box's would not, so that turning the shape by the rig's step only permutes its views.

    Raises:
        HifaError: no face has an area beside the shape's size: its sides are lost in rounding.
    """
    fitted = np.empty_like(vertices)
    fit(vertices, faces, fitted)
    if math.isnan(fitted[0, 0]):  # centres whose weights are all zero have no mean
        raise HifaError("has no face that spans an area beside how far its vertices lie apart")
    return fitted


@compiled
def fit(vertices: NDArray[np.float64], faces: NDArray[np.int32], fitted: NDArray[np.float64]) -> None:
    """Write the vertices, moved and scaled into the unit sphere, into ``fitted``.

    Args:
        vertices: (n, 3).
        faces: (m, 3), which weigh the centre by area.
        fitted: (n, 3) set in place.
    """
    low, high = np.full(3, math.inf), np.full(3, -math.inf)
    for vertex in range(vertices.shape[0]):
        for axis in range(3):
            low[axis] = min(low[axis], vertices[vertex, axis])
            high[axis] = max(high[axis], vertices[vertex, axis])
    middle = 0.5 * low + 0.5 * high  # halved first: sums of 1e308 are too much
    reach = (0.5 * high - 0.5 * low).max()
    for vertex in range(vertices.shape[0]):
        for axis in range(3):
            fitted[vertex, axis] = (vertices[vertex, axis] - middle[axis]) / reach
    x, y, z = centre_of_area(fitted, faces)
    farthest = 0.0
    for vertex in range(vertices.shape[0]):
        fitted[vertex, 0] -= x
        fitted[vertex, 1] -= y
        fitted[vertex, 2] -= z
        distance = fitted[vertex, 0] ** 2 + fitted[vertex, 1] ** 2 + fitted[vertex, 2] ** 2
        farthest = max(farthest, distance)
    scale = 1.0 / math.sqrt(farthest)
    for vertex in range(vertices.shape[0]):
        for axis in range(3):
            fitted[vertex, axis] *= scale


@compiled
def centre_of_area(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> tuple[float, float, float]:
    """Return the mean of the faces' centres, weighted by their areas."""
    sx, sy, sz, whole = 0.0, 0.0, 0.0, 0.0
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay, az = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        ux, uy, uz = vertices[b, 0] - ax, vertices[b, 1] - ay, vertices[b, 2] - az
        vx, vy, vz = vertices[c, 0] - ax, vertices[c, 1] - ay, vertices[c, 2] - az
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        area = math.sqrt(nx * nx + ny * ny + nz * nz)
        whole += area
        sx += area * (ax + (ux + vx) / 3.0)
        sy += area * (ay + (uy + vy) / 3.0)
        sz += area * (az + (uz + vz) / 3.0)
    return sx / whole, sy / whole, sz / whole
