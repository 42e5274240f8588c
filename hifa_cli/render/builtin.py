"""The renderer that comes with the installation: z-buffer and Phong on the CPU, no graphics library."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render import cameras, raster, shading
from hifa_cli.render.cameras import Frame

SAMPLES = 2  # a side of a pixel
MOST_SHADED = 2_000_000  # faces that are shaded whether they are seen or not


class BuiltinRenderer:
    """Draws one shape from many cameras."""

    name = "builtin"

    def __init__(self, phong: shading.Phong, size: int, ground: int) -> None:
        self.phong = phong
        self._lights = shading.lights_of(phong)
        self._surface = shading.material(phong)
        self._headlight_only = phong.specular == 0 and phong.lights == (shading.HEADLIGHT,)
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
        projected = np.empty_like(vertices)
        flat = self._flat(vertices, faces if normals is None else faces[:0], rig)
        for view, (camera, frame, picture) in enumerate(zip(rig, frames, pictures, strict=True)):
            box = cameras.project_and_measure(vertices, camera, frame.magnified(SAMPLES), projected)
            (left, wide), (top, high) = self._side(box[0], box[2]), self._side(box[1], box[3])
            keys = raster.cleared(self._keys, SAMPLES * high, SAMPLES * wide)
            raster.fill_nearest(projected, faces, float(SAMPLES * left), float(SAMPLES * top), keys)
            if normals is None:
                flat(keys, view, top, left, picture)
                continue
            eye, lights = cameras.DISTANCE * camera[2], shading.in_space(self._lights, camera)
            place = (SAMPLES, top, left, picture)
            shading.draw_smooth(keys, projected, vertices, faces, normals, eye, lights, self._surface, *place)
        return pictures

    def _side(self, low: float, high: float) -> tuple[int, int]:
        """Return the first of the pixels that samples from ``low`` to ``high`` touch, and how many."""
        first = min(max(math.floor(low / SAMPLES), 0), self.size - 1)
        return first, max(min(math.ceil(high / SAMPLES), self.size) - first, 1)

    def _flat(
        self, vertices: NDArray[np.float64], faces: NDArray[np.int32], rig: NDArray[np.float64]
    ) -> Callable[..., None]:
        """Return what shades a view of flat faces, given its keys, number, top, left and picture."""
        surface, eyes = self._surface, cameras.DISTANCE * rig[:, 2]
        if not self._headlight_only or len(faces) > MOST_SHADED:
            greys = np.empty(len(faces), dtype=np.int16)

            def as_seen(keys: Any, view: int, *place: Any) -> None:
                eye, lights = eyes[view], shading.in_space(self._lights, rig[view])
                greys.fill(-1)
                shading.draw_flat(keys, vertices, faces, eye, lights, surface, greys, SAMPLES, *place)

            return as_seen
        of_all = np.empty((len(rig), len(faces) + 1), dtype=np.int16)
        shading.shade_by_headlight(vertices, faces, eyes, self.phong.lights[0].strength, surface, of_all)
        of_all[:, -1] = self.ground

        def at_once(keys: Any, view: int, *place: Any) -> None:
            shading.draw_shaded(keys, of_all[view], *place)

        return at_once
