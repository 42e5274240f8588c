"""The renderer that comes with the installation: z-buffer and Phong on the CPU, no graphics library."""

import math

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render import cameras, raster, shading
from hifa_cli.render.cameras import Frame
from hifa_cli.render.framing import plane_box

SAMPLES = 2  # a side of a pixel


class BuiltinRenderer:
    """Draws one shape from many cameras."""

    name = "builtin"

    def __init__(self, phong: shading.Phong, size: int, ground: int) -> None:
        self.phong = phong
        self._lights = shading.lights_of(phong)
        self._surface = shading.material(phong)
        self.size = size
        self.ground = ground
        self._keys = raster.new_keys(size * SAMPLES, size * SAMPLES)

    def draw(
        self,
        vertices: NDArray[np.float64],
        faces: NDArray[np.int32],
        normals: NDArray[np.float32] | None,
        rig: NDArray[np.float64],
        frames: list[Frame],
    ) -> NDArray[np.uint8]:
        """Pictures of a shape that lies upright in the unit sphere.

        Args:
            vertices: (n, 3).
            faces: (m, 3).
            normals: (m, 3, 3) a normal a corner, or None for flat shading.
            rig: (V, 3, 3) cameras.
            frames: V frames, in pixels.

        Returns:
            (V, size, size) greys.
        """
        pictures = np.full((len(rig), self.size, self.size), self.ground, dtype=np.uint8)
        room = np.empty_like(vertices)
        for camera, frame, picture in zip(rig, frames, pictures, strict=True):
            projected = cameras.project(vertices, camera, frame.magnified(SAMPLES), room)
            place = self._box(projected)
            picture[place] = self._draw_box(vertices, faces, normals, camera, projected, place)
        return pictures

    def _box(self, projected: NDArray[np.float64]) -> tuple[slice, slice]:
        """The rows and columns of pixels that the shape may touch: the rest is neither cleared nor shaded."""
        left, top, right, bottom = plane_box(projected)
        return self._side(top, bottom), self._side(left, right)

    def _side(self, low: float, high: float) -> slice:
        first = min(max(math.floor(low / SAMPLES), 0), self.size - 1)
        return slice(first, max(min(math.ceil(high / SAMPLES), self.size), first + 1))

    def _draw_box(
        self,
        vertices: NDArray[np.float64],
        faces: NDArray[np.int32],
        normals: NDArray[np.float32] | None,
        camera: NDArray[np.float64],
        projected: NDArray[np.float64],
        place: tuple[slice, slice],
    ) -> NDArray[np.uint8]:
        """Return the part ``place`` of a picture; ``projected`` may be changed."""
        rows, columns = place
        left, top = float(SAMPLES * columns.start), float(SAMPLES * rows.start)
        picture = np.full((rows.stop - rows.start, columns.stop - columns.start), self.ground, dtype=np.uint8)
        keys = raster.cleared(self._keys, SAMPLES * picture.shape[0], SAMPLES * picture.shape[1])
        raster.fill_nearest(projected, faces, left, top, keys)
        eye = cameras.DISTANCE * camera[2]
        lights = shading.in_space(self._lights, camera)
        if normals is None:
            greys = np.full(len(faces), -1, dtype=np.int16)
            shading.draw_flat(keys, vertices, faces, eye, lights, self._surface, greys, picture)
        else:
            projected[:, :2] -= [left, top]
            shading.draw_smooth(
                keys, projected, vertices, faces, normals, eye, lights, self._surface, picture
            )
        return picture
