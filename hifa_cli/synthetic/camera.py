"""A camera: where it stands, what it projects, and what becomes of light on its sensor."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.synthetic.primitives import Floats, apply
from hifa_cli.synthetic.sampling import chance, pick

Generator = np.random.Generator
ASPECTS = ((1.0, 1.0), (1.0, 0.75), (0.75, 1.0), (1.0, 0.667), (0.667, 1.0))


class Camera(NamedTuple):
    """A pinhole.

    Attributes:
        eye: (3,).
        axes: (3, 3) rows right, down, forward.
        focal: pixels.
        centre: (2,) column and row of the optical axis.
        size: (height, width) in pixels.
    """

    eye: Floats
    axes: Floats
    focal: float
    centre: Floats
    size: tuple[int, int]

    def project(self, points: Floats) -> Floats:
        """Return (n, 3) points to column, row and inverse depth; behind the eye the last is not positive."""
        seen = apply(self.axes, points - self.eye)
        depth = seen[:, 2]
        nearness = np.where(depth > 0.05, 1 / np.maximum(depth, 0.05), -1.0)
        return np.stack(
            [
                self.centre[0] + self.focal * seen[:, 0] * nearness,
                self.centre[1] + self.focal * seen[:, 1] * nearness,
                nearness,
            ],
            axis=1,
        )

    def finer(self, factor: int) -> "Camera":
        """Return the same camera with ``factor`` times as many pixels a side."""
        height, width = self.size
        return self._replace(
            focal=self.focal * factor, centre=self.centre * factor, size=(height * factor, width * factor)
        )


def looking(azimuth: float, elevation: float, roll: float) -> tuple[Floats, Floats]:
    """Return the way from subject to eye, and the camera's axes, for angles in degrees.

    Args:
        azimuth: degrees about z, from +x.
        elevation: degrees above the horizon.
        roll: degrees about the line of sight.

    Returns:
        (3,) unit way from subject to eye, and (3, 3) axes as rows.
    """
    a, e, r = np.radians([azimuth, elevation, roll])
    way = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([-np.sin(a), np.cos(a), 0.0])
    down = -np.array([-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)])
    return way, np.stack([np.cos(r) * right + np.sin(r) * down, np.cos(r) * down - np.sin(r) * right, -way])


@dataclass(frozen=True)
class Framing:
    """The place of the subject in the picture: see `frame`."""

    azimuth: float
    elevation: float
    fill: float
    cropped: bool


def frame(points: Floats, plan: Framing, longest: int, rng: Generator) -> Camera:
    """Return a camera that shows ``points`` (n, 3) as planned, with a lens and a format of its own.

    The larger of the box's two shares of the frame is ``fill``; the box may leave the frame by up to a
    seventh of itself if ``cropped``, else it lies wholly inside.

    Args:
        points: (n, 3) of the subject.
        plan: direction, share of the frame, and whether it may be cropped.
        longest: pixels of the longer side.
        rng: chooses lens and format.

    Returns:
        The camera.
    """
    wide, tall = pick(rng, ASPECTS, (3, 4, 2, 2, 1))
    width, height = round(longest * wide), round(longest * tall)
    focal = longest / (2 * np.tan(np.radians(rng.triangular(18, 45, 68)) / 2))
    way, axes = looking(plan.azimuth, plan.elevation, rng.normal(0, 2.0))
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    reach = float(np.sqrt(((points - middle) ** 2).sum(axis=1).max()))
    distance, box = 4 * reach, np.zeros((2, 2))
    camera = Camera(middle + distance * way, axes, focal, np.array([width / 2, height / 2]), (height, width))
    for _ in range(8):
        seen = camera.project(points)[:, :2]
        box = np.stack([seen.min(axis=0), seen.max(axis=0)])
        share = float(((box[1] - box[0]) / (width, height)).max())
        distance = max(distance * share / plan.fill, 1.25 * reach)
        camera = camera._replace(eye=middle + distance * way)
    return camera._replace(centre=camera.centre + _placed(box, np.array([width, height]), plan.cropped, rng))


def _placed(box: Floats, size: NDArray[np.int64], cropped: bool, rng: Generator) -> Floats:
    """Return how far to shift the picture so that the box lies somewhere natural."""
    extent = box[1] - box[0]
    slack = np.maximum(size - extent, 0)
    low = 0.5 * slack + rng.normal(0, 0.16, 2) * slack
    low = np.clip(low, 0.02 * slack, 0.98 * slack)
    if cropped:
        side = rng.integers(2)
        beyond = extent[side] * rng.uniform(0.04, 0.15)
        low[side] = -beyond if chance(rng, 0.5) else size[side] - extent[side] + beyond
    return np.asarray(low - box[0])


def develop(light: Floats, key: float, rng: Generator) -> NDArray[np.uint8]:
    """Return what a cheap camera makes of (height, width, 3) linear light: (height, width, 3) display values.

    ``key`` is where the mean of the brighter half of the picture comes to lie, 1 being nearly white.

    Exposure, white balance, vignetting, lens blur, photon and read noise, tone curve, saturation; one
    picture in thirty is black and white.

    Args:
        light: (height, width, 3) linear.
        key: where the mean of the brighter half comes to lie, 1 being nearly white.
        rng: chooses the camera's faults.

    Returns:
        (height, width, 3) display values.
    """
    from scipy.ndimage import gaussian_filter

    height, width = light.shape[:2]
    light = light.astype(np.float32)
    greys = light.mean(axis=2).ravel()
    bright = max(float(np.sort(greys)[greys.size // 2 :].mean()), 0.05)
    balance = np.exp(rng.normal(0, 0.07, 3))
    gains = key / bright * np.exp(rng.normal(0, 0.22)) * balance / balance.mean()
    across, down = np.linspace(-0.5, 0.5, width), np.linspace(-0.5, 0.5, height)
    falloff = 1 - rng.uniform(0, 0.6) * (across**2 + down[:, None] ** 2)[..., None]
    seen = light * np.float32(gains) * np.float32(falloff)
    blur = min(rng.gamma(2.0, 0.2), 1.3)
    seen = gaussian_filter(seen, (blur, blur, 0), truncate=3.0).clip(0)
    gain, floor = np.float32(4 * rng.uniform(0.001, 0.03) ** 2), np.float32(rng.uniform(0.001, 0.006) ** 2)
    seen += rng.standard_normal(seen.shape, dtype=np.float32) * np.sqrt(gain * seen + floor)
    display = (1 - np.exp(-1.35 * seen.clip(0))) ** np.float32(1 / rng.uniform(2.0, 2.4))
    display = display + np.float32(rng.uniform(0, 0.5)) * (display - 0.45) * (1 - np.abs(2 * display - 1))
    grey = display.mean(axis=2, keepdims=True)
    display = grey + np.float32(0.0 if chance(rng, 0.033) else rng.uniform(0.7, 1.15)) * (display - grey)
    return np.asarray(np.rint(255 * display.clip(0, 1)), dtype=np.uint8)
