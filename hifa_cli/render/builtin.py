"""The renderer that comes with the installation: z-buffer and Phong on the CPU, no graphics library."""

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render import cameras, raster, shading
from hifa_cli.render.cameras import Frame

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
        for camera, frame, picture in zip(rig, frames, pictures, strict=True):
            self._draw_one(vertices, faces, normals, camera, frame, picture)
        return pictures

    def _draw_one(
        self,
        vertices: NDArray[np.float64],
        faces: NDArray[np.int32],
        normals: NDArray[np.float32] | None,
        camera: NDArray[np.float64],
        frame: Frame,
        picture: NDArray[np.uint8],
    ) -> None:
        projected = cameras.project(vertices, camera, frame.magnified(SAMPLES))
        self._keys.fill(raster.GROUND)
        raster.fill_nearest(projected, faces, self._keys)
        eye = cameras.DISTANCE * camera[2]
        lights = shading.in_space(self._lights, camera)
        if normals is None:
            greys = np.full(len(faces), -1, dtype=np.int16)
            shading.draw_flat(self._keys, vertices, faces, eye, lights, self._surface, greys, picture)
        else:
            shading.draw_smooth(
                self._keys, projected, vertices, faces, normals, eye, lights, self._surface, picture
            )
