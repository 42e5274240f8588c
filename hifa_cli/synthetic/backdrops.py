"""The surroundings of the subject: sky, ground and wall, ray by ray."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.compiled import compiled
from hifa_cli.synthetic.camera import Camera
from hifa_cli.synthetic.noise import noise
from hifa_cli.synthetic.primitives import Floats
from hifa_cli.synthetic.scene import Scenery

SKY, GROUND, WALL = 0, 1, 2
HORIZON = 60.0  # units: the ground is lost in haze beyond


class Backdrop(NamedTuple):
    """The surroundings that each pixel would see if nothing stood in the way.

    Attributes:
        colours: (n, 3) reflectances where there is ground or wall, light itself in the sky.
        points: (n, 3) what is met, in the scene.
        kinds: (n,) SKY, GROUND or WALL.
    """

    colours: Floats
    points: Floats
    kinds: NDArray[np.uint8]


def backdrop(scenery: Scenery, camera: Camera) -> Backdrop:
    """Ground, wall and sky before a camera, row by row."""
    count = camera.size[0] * camera.size[1]
    rays, points, reach = np.empty((count, 3)), np.empty((count, 3)), np.empty(count)
    kinds = np.zeros(count, dtype=np.uint8)
    ground = -math.inf if scenery.ground is None else scenery.ground
    normal, offset = (np.zeros(3), 0.0) if scenery.wall is None else scenery.wall_plane()
    fill_hits(
        camera.eye,
        camera.axes,
        camera.focal,
        camera.centre,
        camera.size[1],
        ground,
        normal,
        offset,
        rays,
        points,
        reach,
        kinds,
    )
    colours = np.empty((count, 3))
    for kind, paint in ((SKY, _sky), (GROUND, _ground_colours), (WALL, _wall_paint)):
        if (where := kinds == kind).any():
            slant = np.abs(rays[where, 2]).clip(0.02) if kind == GROUND else 1.0
            texel = reach[where] * scenery.span / (camera.focal * slant)
            colours[where] = paint(scenery, points[where], rays[where], texel)
    return Backdrop(colours, points, kinds)


@compiled
def fill_hits(
    eye: Floats,
    axes: Floats,
    focal: float,
    centre: Floats,
    width: int,
    ground: float,
    normal: Floats,
    offset: float,
    rays: Floats,
    points: Floats,
    reach: Floats,
    kinds: NDArray[np.uint8],
) -> None:
    """Fill in unit rays through the pixels' centres, and the nearer of ground and wall on each.

    Args:
        eye: (3,) place of the camera.
        axes: (3, 3) its axes as rows: right, up, back.
        focal: length in pixels.
        centre: (2,) principal point in pixels.
        width: pixels of a row.
        ground: z of the ground.
        normal: (3,) of the wall; zeros for none.
        offset: of the wall's plane along its normal.
        rays: (p, 3) set in place.
        points: (p, 3) set in place: what each ray meets.
        reach: (p,) set in place: distances; infinite for the sky.
        kinds: (p,) set in place: sky, ground or wall.
    """
    before = offset - eye[0] * normal[0] - eye[1] * normal[1] - eye[2] * normal[2]
    for pixel in range(len(rays)):
        x = (pixel % width + 0.5 - centre[0]) / focal
        y = (pixel // width + 0.5 - centre[1]) / focal
        scale = 1.0 / math.sqrt(x * x + y * y + 1.0)
        for axis in range(3):
            rays[pixel, axis] = (x * axes[0, axis] + y * axes[1, axis] + axes[2, axis]) * scale
        way, kind = 1e3, SKY
        if rays[pixel, 2] < -1e-4 and (ground - eye[2]) / rays[pixel, 2] < HORIZON:
            way, kind = (ground - eye[2]) / rays[pixel, 2], GROUND
        facing = rays[pixel, 0] * normal[0] + rays[pixel, 1] * normal[1] + rays[pixel, 2] * normal[2]
        if facing < -1e-4 and 0.0 < before / facing < way:
            way, kind = before / facing, WALL
        reach[pixel], kinds[pixel] = way, kind
        for axis in range(3):
            points[pixel, axis] = eye[axis] + way * rays[pixel, axis]


def _sky(scenery: Scenery, points: Floats, rays: Floats, texel: Floats) -> Floats:
    """Sky with clouds, and trees or houses on the horizon; a studio's paper goes on for ever."""
    if scenery.place == "studio":
        return np.broadcast_to(scenery.floor[1][0], rays.shape)
    horizon, zenith, land = scenery.sky
    up = rays[:, 2:].clip(0) ** 0.6
    flat = rays / (np.abs(rays[:, 2:]) + 0.12)
    clouds = np.clip(2.2 * (noise(scenery.table, flat * 1.7, 4) - 0.5), 0, 1)[:, None]
    colours = (horizon * (1 - up) + zenith * up) * (1 - 0.8 * clouds) + 0.85 * clouds
    if scenery.ground is None:  # in the air: hazy land far below
        below = 0.7 * np.clip(-rays[:, 2:] * 4, 0, 1)
        land = land * (0.35 + 1.1 * noise(scenery.table, flat * 5, 4)[:, None])
        hazy = colours * (1 - below) + below * land
        return np.asarray(np.where(rays[:, 2:] < -0.12, hazy, colours))
    ridge, shade = _skyline(scenery, rays)
    return np.asarray(np.where((rays[:, 2] < ridge)[:, None], land * shade, colours))


def _skyline(scenery: Scenery, rays: Floats) -> tuple[Floats, Floats]:
    """Return how high the horizon's trees or houses reach at each ray, and their (n, 1) brightness."""
    height, houses = scenery.skyline
    around = np.arctan2(rays[:, 1], rays[:, 0])[:, None] * np.array([8.0, 0.0, 0.0])
    if not houses:
        leaves = noise(scenery.table, rays * 26, 3)[:, None]
        return height * 2 * noise(scenery.table, around, 4) ** 2, 0.3 + 1.1 * leaves
    house = np.floor(1.5 * around + 0.3 * np.floor(3 * around))
    panes = (np.sin(24 * around[:, 0]) > 0.3) & (np.sin(rays[:, 2] * 170) > 0.2)
    tone = 0.5 + 1.6 * noise(scenery.table, house * 3.3)
    return height * (0.4 + noise(scenery.table, house * 5.1)), (tone * np.where(panes, 0.5, 1.0))[:, None]


def _ground_colours(scenery: Scenery, points: Floats, rays: Floats, texel: Floats) -> Floats:
    name, (first, second) = scenery.floor
    metres = points * scenery.span
    share, grain = FLOORS[name](metres, scenery.table)
    # finer texture than a pixel averages out
    sharp = np.clip(1.2 - texel / grain, 0, 1)
    share = 0.35 * (1 - sharp) + share * sharp
    colours = first * (1 - share[:, None]) + second * share[:, None]
    if name == "water":
        mirrored = rays * np.array([1, 1, -1]) + 0.25 * (share[:, None] - 0.5) * np.array([0.3, 0.3, 1])
        glancing = (1 - np.abs(rays[:, 2:])).clip(0, 1) ** 3
        away = np.maximum(mirrored, np.array([-1, -1, 0.05]))
        above = scenery.sky[0] * (1 - away[:, 2:]) + scenery.sky[1] * away[:, 2:]
        colours = colours * (1 - 0.75 * glancing) + 0.75 * glancing * above
    return np.asarray(colours)


def _wall_paint(scenery: Scenery, points: Floats, rays: Floats, texel: Floats) -> Floats:
    assert scenery.wall is not None
    _, azimuth, name, (first, second) = scenery.wall
    along = points[:, 1] * np.cos(np.radians(azimuth)) - points[:, 0] * np.sin(np.radians(azimuth))
    # walls behind small things are seen as from a desk: a sixth of a room's size is enough of them
    scale = max(scenery.span, 0.5)
    plane = np.stack([along * scale, points[:, 2] * scale, np.zeros(len(points))], axis=1)
    share = WALLS[name](plane, scenery.table)[:, None]
    colours = first * (1 - share) + second * share
    if name in ("pictures", "shelf"):  # every thing on it has its own colour
        cell = np.floor(plane * (np.array([9.0, 2.2, 1]) if name == "shelf" else np.array([1.1, 1.0, 1])))
        tint = np.stack(
            [noise(scenery.table, np.floor(cell) * 3.7 + shift) for shift in (0.0, 31.0, 67.0)], axis=1
        )
        colours = np.where(share > 0.5, tint**1.5, colours)
    if name == "window":
        colours = np.where(
            share > 0.5,
            1.6 * scenery.sky[0] * (0.6 + 0.6 * noise(scenery.table, plane * 4, 2)[:, None]),
            colours,
        )
    return np.asarray(colours * (0.92 + 0.12 * noise(scenery.table, plane * 1.5, 2)[:, None]))


def _lattice(points: Floats, pitch: float, joint: float) -> Floats:
    """1 on the joints of a square lattice."""
    return np.asarray(((points[:, :2] / pitch) % 1 < joint).any(axis=1), dtype=np.float64)


def _planks(points: Floats, table: Floats) -> tuple[Floats, float]:
    row = np.floor(points[:, 0] / 0.13)
    tone = noise(table, np.stack([row * 5.3, np.floor(points[:, 1] / 1.1 + row * 0.37) * 3.1, row], axis=1))
    streaks = noise(table, points * np.array([70.0, 5.0, 1.0]), 2)
    gap = (points[:, 0] / 0.13) % 1 < 0.05
    return np.where(gap, 1.0, 0.5 * tone + 0.4 * streaks), 0.03


def _tiles(points: Floats, table: Floats) -> tuple[Floats, float]:
    checker = (np.floor(points[:, 0] / 0.3) + np.floor(points[:, 1] / 0.3)) % 2
    return np.maximum(_lattice(points, 0.3, 0.03), 0.35 * checker + 0.2 * noise(table, points * 8, 2)), 0.08


def _carpet(points: Floats, table: Floats) -> tuple[Floats, float]:
    return 0.7 * noise(table, points * 60, 2) + 0.3 * noise(table, points * 3), 0.03


def _rug(points: Floats, table: Floats) -> tuple[Floats, float]:
    waves = np.sin(points[:, 0] * 16) * np.sin(points[:, 1] * 16)
    return np.clip((waves > 0.2) * 0.8 + 0.3 * noise(table, points * 50), 0, 1), 0.08


def _concrete(points: Floats, table: Floats) -> tuple[Floats, float]:
    return 0.8 * noise(table, points * 2, 5), 0.1


def _smooth(points: Floats, table: Floats) -> tuple[Floats, float]:
    return 0.12 * noise(table, points * 3, 2), 0.1


def _cloth(points: Floats, table: Floats) -> tuple[Floats, float]:
    lines = ((points[:, :2] / 0.06) % 1 < 0.45).sum(axis=1) / 2
    return np.clip(lines + 0.15 * noise(table, points * 200), 0, 1), 0.02


def _grass(points: Floats, table: Floats) -> tuple[Floats, float]:
    return 0.75 * noise(table, points * 24, 3) + 0.35 * noise(table, points * 0.9, 2), 0.25


def _gravel(points: Floats, table: Floats) -> tuple[Floats, float]:
    return np.clip(1.5 * noise(table, points * 30, 2) - 0.25, 0, 1), 0.08


def _slabs(points: Floats, table: Floats) -> tuple[Floats, float]:
    return np.maximum(_lattice(points, 0.5, 0.04), 0.7 * noise(table, points * 6, 3)), 0.12


def _waves(points: Floats, table: Floats) -> tuple[Floats, float]:
    return noise(table, points * np.array([1.1, 1.6, 1.0]), 4), 0.8


FLOORS: dict[str, Callable[[Floats, Floats], tuple[Floats, float]]] = {
    "planks": _planks, "tiles": _tiles, "carpet": _carpet, "rug": _rug, "concrete": _concrete,
    "plain": _smooth,
    "cloth": _cloth, "grass": _grass, "gravel": _gravel, "slabs": _slabs, "sand": _carpet, "water": _waves,
}  # fmt: skip


def _bricks(points: Floats, table: Floats) -> Floats:
    row = np.floor(points[:, 1] / 0.08)
    across = points[:, 0] / 0.24 + 0.5 * (row % 2)
    joint = (across % 1 < 0.05) | ((points[:, 1] / 0.08) % 1 < 0.14)
    return np.where(
        joint, 1.0, 0.45 * noise(table, np.stack([np.floor(across) * 3.3, row * 7.1, row], axis=1))
    )


def _panels(points: Floats, table: Floats) -> Floats:
    cell = np.abs((points[:, :2] / np.array([0.6, 0.9])) % 1 - 0.5)
    edge = cell.max(axis=1)
    return np.where((edge > 0.36) & (edge < 0.4), 0.7, np.where(edge > 0.48, 0.4, 0.0))


def _pictures(points: Floats, table: Floats) -> Floats:
    cell = np.floor(points * np.array([1.1, 1.0, 1.0]))
    inside = (np.abs((points[:, :2] * np.array([1.1, 1.0])) % 1 - 0.5) < np.array([0.24, 0.3])).all(axis=1)
    return np.asarray(inside & (noise(table, cell * 5.7) > 0.55), dtype=np.float64)


def _panes(points: Floats, table: Floats) -> Floats:
    cell = np.abs((points[:, :2] / np.array([2.2, 2.6]) + np.array([0.2, 0.2])) % 1 - 0.5)
    bars = (np.abs(cell) < 0.012).any(axis=1)
    return np.asarray((cell < np.array([0.27, 0.3])).all(axis=1) & ~bars, dtype=np.float64)


def _books(points: Floats, table: Floats) -> Floats:
    cell = np.floor(points * np.array([9.0, 2.2, 1.0]))
    height = 0.55 + 0.35 * noise(table, cell * 4.9)
    up, across = (points[:, 1] * 2.2) % 1, (points[:, 0] * 9) % 1
    return ((up > 0.08) & (up < height) & (across > 0.06)).astype(np.float64)


WALLS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "plain": lambda points, table: 0.0 * points[:, 0], "bricks": _bricks, "panels": _panels,
    "pictures": _pictures,
    "stripes": lambda points, table: ((points[:, 0] / 0.12) % 1 < 0.5).astype(np.float64),
    "window": _panes, "shelf": _books,
}  # fmt: skip
