"""Light on a staged scene: a key light and its shadows, light from all round, and what surfaces reflect."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.compiled import compiled
from hifa_cli.render.raster import visible
from hifa_cli.synthetic import camera as optics
from hifa_cli.synthetic.composition import Staged
from hifa_cli.synthetic.materials import Material, albedo
from hifa_cli.synthetic.primitives import Floats, apply, dot
from hifa_cli.synthetic.sampling import chance
from hifa_cli.synthetic.scene import Scenery

Generator = np.random.Generator
TEXELS = 320  # a side of the key light's map
CELLS = 96  # a side of the map of what stands close over the ground
TAPS = np.array([(-0.7, -0.3), (0.3, -0.7), (0.7, 0.3), (-0.3, 0.7), (0.0, 0.0)])


class Light(NamedTuple):
    """The key light and the rest.

    Attributes:
        way: (3,) unit vector towards the key light.
        key: (3,) its colour and strength.
        sky: (3,) ambient light from above.
        bounce: (3,) ambient light from below.
        softness: of shadows, in texels.
    """

    way: Floats
    key: Floats
    sky: Floats
    bounce: Floats
    softness: float


def choose_light(around: Scenery, azimuth: float, rng: Generator) -> Light:
    """Return sun or lamp from anywhere above, mostly from the camera's side, and the sky's or room's light.

    Args:
        around: the place.
        azimuth: of the camera, degrees.
        rng: decides.

    Returns:
        The light.
    """
    side = azimuth + (rng.normal(0, 65) if chance(rng, 0.8) else 180 + rng.normal(0, 40))
    way, _ = optics.looking(side, rng.triangular(15, 50, 85), 0.0)
    outside = around.place in ("field", "water", "sky")
    overcast = rng.uniform(0 if outside else 0.2, 1)
    warmth = rng.normal(0, 0.12)
    tint = np.array([1 + warmth, 1, 1 - warmth])
    cast = around.sky[1] / around.sky[1].mean() if outside else np.ones(3)
    sky = (0.5 + 0.5 * overcast) * (0.6 + 0.4 * cast) * (0.5 + 0.5 * tint)
    floor = around.floor[1].mean(axis=0) if around.ground is not None else np.full(3, 0.2)
    return Light(
        way,
        (2.2 - 1.6 * overcast) * tint,
        sky,
        (0.25 + 0.6 * floor) * sky,
        rng.uniform(0.6, 2) + 4 * overcast**2,
    )


class Shadows:
    """Return where the key light does not reach, and where something stands close above the ground."""

    def __init__(self, scene: Staged, light: Light) -> None:
        side = np.array([0.0, 0.0, 1.0]) if abs(light.way[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
        across = np.cross(side, light.way)
        across = across / np.sqrt((across**2).sum())
        self.axes = np.stack([across, np.cross(light.way, across), light.way])
        self.softness = light.softness
        seen = apply(self.axes, scene.vertices)
        self.low, self.scale = seen.min(axis=0), (TEXELS - 8) / float(np.ptp(seen[:, :2], axis=0).max())
        # parallel light: any depth that is affine in the picture serves as the inverse depth
        self.nearest = visible(self._texels(scene.vertices), scene.faces, TEXELS, TEXELS)[1]
        self.corner = scene.vertices.min(axis=0)
        self.cell = (CELLS - 16) / float(np.ptp(scene.vertices[:, :2], axis=0).max())
        self.cover = self._cover(scene)

    def _texels(self, points: Floats) -> Floats:
        seen = (apply(self.axes, points) - self.low) * self.scale
        return np.asarray(seen + np.array([4.0, 4.0, 1.0]))

    def lit(self, points: Floats) -> Floats:
        """Return the share of the key light that reaches (n, 3) points, blurred over a few texels."""
        where = self._texels(points)
        where[:, 2] += 0.012 * self.scale + 0.8 * self.softness  # else a surface would shade itself
        share = np.empty(len(points))
        fill_lit(self.nearest, where, self.softness * TAPS, share)
        return share

    def _cover(self, scene: Staged) -> Floats:
        """Return how closely the ground is covered: (CELLS, CELLS), 1 where something touches it."""
        from scipy.ndimage import gaussian_filter

        top = float(scene.vertices[:, 2].max())
        below = (scene.vertices - self.corner) * self.cell + 8
        below[:, 2] = 1 + top - scene.vertices[:, 2]
        lowest = visible(below, scene.faces, CELLS, CELLS)[1]
        height = np.where(lowest > 0, 1 + top - lowest, np.inf)
        return np.asarray(gaussian_filter(np.exp(-height.clip(0) / 0.1), 2.0))

    def open(self, points: Floats) -> Floats:
        """Return the share of the sky's light that reaches (n, 3) points of the ground."""
        column, row = _indices((points[:, :2] - self.corner[:2]) * self.cell + 8, CELLS)
        return 1 - 0.75 * self.cover[row, column] * np.exp(-np.abs(points[:, 2]) / 0.1)


@compiled
def fill_lit(nearest: NDArray[np.float32], where: Floats, taps: Floats, share: Floats) -> None:
    """Fill in the share of ``taps`` around each texel that nothing nearer to the light covers.

    Args:
        nearest: (s, s) depths from the light.
        where: (p, 3) columns, rows and depths of the points in the light's picture.
        taps: (t, 2) offsets in texels.
        share: (p,) set in place, 0 to 1.
    """
    side = nearest.shape[0] - 1  # the rim is empty: outside the map nothing casts a shadow
    for point in range(len(where)):
        total = 0
        for tap in range(len(taps)):
            column = min(max(int(where[point, 0] + taps[tap, 0]), 0), side)
            row = min(max(int(where[point, 1] + taps[tap, 1]), 0), side)
            near = nearest[row, column]
            total += near <= 0 or near <= where[point, 2]
        share[point] = total / len(taps)


def _indices(where: Floats, side: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Column and row of the cells, those outside taken at the (empty) rim."""
    cells = np.floor(where).clip(0, side - 1).astype(np.intp)
    return cells[:, 0], cells[:, 1]


def ambient(light: Light, normals: Floats) -> Floats:
    """Light from all round on surfaces with (n, 3) normals."""
    up = 0.5 + 0.5 * normals[:, 2:]
    return light.sky * up + light.bounce * (1 - up)


class Surface(NamedTuple):
    """Points where surfaces are seen, one a row.

    Attributes:
        points: (n, 3) in the scene.
        own: (n, 3) in their thing.
        normals: (n, 3) unit, towards the eye.
        view: (n, 3) unit, towards the eye.
    """

    points: Floats
    own: Floats
    normals: Floats
    view: Floats


def reflect(
    surface: Surface, material: Material, light: Light, shadows: Shadows, table: Floats
) -> tuple[Floats, Floats]:
    """Return the light (n, 3) that one material sends to the eye, and its opacity (n,).

    Args:
        surface: n points with normals and ways to the eye.
        material: of all of them.
        light: sun or lamp, and what comes from around.
        shadows: what hides the light.
        table: noise for the textures.

    Returns:
        (n, 3) linear light, and (n,) opacity.
    """
    base = albedo(material, surface.own, table)
    lit = shadows.lit(surface.points)[:, None] * light.key
    facing = dot(surface.normals, light.way).clip(0)
    close = 1 - 0.45 * np.exp(-surface.points[:, 2:].clip(0) / 0.1)
    diffuse = base * (facing * lit + close * ambient(light, surface.normals))
    cosine = dot(surface.normals, surface.view).clip(0, 1)
    polish = min(material.sharpness / 80, 1.0)
    fresnel = material.gloss + (1 - material.gloss) * polish * 0.7 * (1 - cosine) ** 5
    mirrored = 2 * cosine * surface.normals - surface.view
    toward = dot(mirrored, light.way).clip(0, 1)
    highlight = (material.sharpness + 8) / 12 * toward**material.sharpness * lit
    shine = fresnel * (polish * _surroundings(light, mirrored) * close + highlight.clip(0, 6))
    if material.metal:
        diffuse, shine = (1 - material.gloss) * diffuse, shine * base / max(float(base.max()), 1e-3)
    colour = diffuse + shine + material.glow * base
    opacity = material.opacity + (1 - material.opacity) * fresnel[:, 0].clip(0, 1)
    return colour, opacity if material.opacity < 1 else np.ones(len(base))


def _surroundings(light: Light, ways: Floats) -> Floats:
    """Return what a mirror shows: light above, a bright band at the horizon, the ground's colour below."""
    up = np.clip(0.5 + 2.5 * ways[:, 2:], 0, 1)
    band = np.exp(-((ways[:, 2:] - 0.25) ** 2) / 0.05)
    window = np.clip(8 * np.sin(3 * np.arctan2(ways[:, 1:2], ways[:, :1])) - 4, 0, 1)
    return np.asarray(1.1 * light.sky * up * (1 + 0.5 * band * window) + light.bounce * (1 - up))
