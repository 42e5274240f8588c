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
        self.size = size
        self.ground = ground
        side = size * SAMPLES
        self._face_ids = np.empty((side, side), dtype=np.int32)
        self._inverse_depth = np.empty((side, side), dtype=np.float32)

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
        samples = Frame(frame.scale * SAMPLES, frame.left * SAMPLES, frame.top * SAMPLES)
        projected = cameras.on_pixels(cameras.project(vertices, camera), samples)
        self._face_ids.fill(-1)
        self._inverse_depth.fill(raster.BEHIND)
        raster.fill_nearest(projected, faces, self._face_ids, self._inverse_depth)
        eye = cameras.DISTANCE * camera[2]
        lights = shading.lights_in_space(self.phong, camera)
        surface = shading.material(self.phong)
        if normals is None:
            shading.draw_flat(self._face_ids, vertices, faces, eye, lights, surface, picture)
        else:
            shading.draw_smooth(
                self._face_ids, projected, vertices, faces, normals, eye, lights, surface, picture
            )
