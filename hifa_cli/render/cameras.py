"""Cameras: the rig of Su et al. 2015 and the two ways to fit a shape into its picture.

A shape enters upright along +z, centred, within the unit sphere. Azimuth 0 looks from −y, as MATLAB's
``view`` does; azimuths grow counter-clockwise seen from above.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.compiled import compiled

FIELD_OF_VIEW = 10.0  # degrees, the unit sphere just inside: MATLAB's automatic angle, weak perspective
DISTANCE = 1.0 / float(np.sin(np.radians(FIELD_OF_VIEW / 2)))  # from the eye to the shape's centre
LONGEST_SIDE = 0.9  # of the picture's side; render_views.m of Su et al. 2015
LARGEST_AREA = 0.3  # of the picture; the same

Box = tuple[float, float, float, float]  # left, top, right, bottom

# Rows are the new x, y, z: proper rotations that bring the named axis up.
_UPRIGHT = {
    "x": np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]),
    "y": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
    "z": np.eye(3),
}


@dataclass(frozen=True)
class Frame:
    """The place of a picture plane on the pixels: column = left + scale·u, row = top − scale·v."""

    scale: float
    left: float
    top: float

    def magnified(self, factor: float) -> "Frame":
        """Return the same frame on pixels ``factor`` times as fine."""
        return Frame(factor * self.scale, factor * self.left, factor * self.top)


def upright(points: NDArray[np.float64], up: Literal["x", "y", "z"]) -> NDArray[np.float64]:
    """Return (n, 3) points turned so that the axis ``up`` becomes +z."""
    return points if up == "z" else points @ _UPRIGHT[up].T


def rig(views: int, elevation: float) -> NDArray[np.float64]:
    """Orientations of ``views`` cameras on a circle, all looking at the origin.

    Args:
        views: V, azimuths 0, 360/V, …
        elevation: degrees above the horizon; ±90 looks straight down or up.

    Returns:
        (V, 3, 3) rows right, up and back (from the origin to the eye), orthonormal, right-handed.
    """
    azimuth = 2 * np.pi * np.arange(views) / views
    sin, cos, zero = np.sin(azimuth), np.cos(azimuth), np.zeros(views)
    high, flat = np.sin(np.radians(elevation)), np.cos(np.radians(elevation))
    right = np.stack([cos, sin, zero], axis=1)
    up = np.stack([-sin * high, cos * high, zero + flat], axis=1)
    back = np.stack([sin * flat, -cos * flat, zero + high], axis=1)
    return np.stack([right, up, back], axis=1)


def project(
    points: NDArray[np.float64],
    camera: NDArray[np.float64],
    frame: Frame,
    room: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return (n, 3) points to a camera's picture: column, row and inverse depth 1 / w.

    Args:
        points: (n, 3) within the unit sphere.
        camera: (3, 3) rows right, up, back.
        frame: where the picture plane lies on the pixels.
        room: (n, 3) to write into, since fresh memory costs more than the projection of large meshes.

    Returns:
        (n, 3), in ``room`` if that is given.
    """
    projected = np.empty_like(points) if room is None else room
    project_and_measure(points, camera, frame, projected)
    return projected


def project_and_measure(
    points: NDArray[np.float64], camera: NDArray[np.float64], frame: Frame, projected: NDArray[np.float64]
) -> Box:
    """Project points as :func:`project` does, and return their box in the picture.

    Args:
        points: (n, 3) within the unit sphere; one at least.
        camera: (3, 3) rows right, up, back.
        frame: where the picture plane lies on the pixels.
        projected: (n, 3) set in place.

    Returns:
        Left, top, right, bottom.
    """
    return fill_projected(points, camera, DISTANCE, frame.scale, frame.left, frame.top, projected)


@compiled
def fill_projected(
    points: NDArray[np.float64],
    camera: NDArray[np.float64],
    distance: float,
    scale: float,
    left: float,
    top: float,
    projected: NDArray[np.float64],
) -> Box:
    """Write columns, rows and inverse depths of ``points`` into ``projected``.

    Args:
        points: (n, 3) within the unit sphere.
        camera: (3, 3) rows right, up, back.
        distance: of the eye from the origin.
        scale: pixels to a unit of the picture plane.
        left: pixels' column of the plane's column 0.
        top: pixels' row of the plane's row 0.
        projected: (n, 3) set in place.

    Returns:
        Least column and row, greatest column and row.
    """
    least_x, least_y, most_x, most_y = math.inf, math.inf, -math.inf, -math.inf
    for point in range(points.shape[0]):
        x, y, z = points[point, 0], points[point, 1], points[point, 2]
        inverse = 1.0 / (distance - (camera[2, 0] * x + camera[2, 1] * y + camera[2, 2] * z))
        factor = scale * inverse
        column = left + factor * (camera[0, 0] * x + camera[0, 1] * y + camera[0, 2] * z)
        row = top - factor * (camera[1, 0] * x + camera[1, 1] * y + camera[1, 2] * z)
        projected[point, 0], projected[point, 1], projected[point, 2] = column, row, inverse
        least_x, most_x = min(least_x, column), max(most_x, column)
        least_y, most_y = min(least_y, row), max(most_y, row)
    return least_x, least_y, most_x, most_y


def sphere_frame(size: int) -> Frame:
    """Return the same frame for every view: the unit sphere fills ``LONGEST_SIDE`` of the picture."""
    radius = 1.0 / np.sqrt(DISTANCE**2 - 1.0)  # of the sphere's outline on the plane
    return Frame(scale=LONGEST_SIDE * size / 2 / float(radius), left=size / 2, top=size / 2)
