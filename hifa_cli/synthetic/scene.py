"""The things around and behind the subject: a ground, a wall or a sky, and the light they throw."""

from dataclasses import dataclass

import numpy as np

from hifa_cli.synthetic.materials import from_hsv
from hifa_cli.synthetic.primitives import Floats
from hifa_cli.synthetic.sampling import chance, pick

Generator = np.random.Generator

# Where things are photographed, with odds: a room's floor, a table before a wall, out of doors, on water, in
# the air, on a studio's paper.
PLACES: dict[str, dict[str, float]] = {
    "airplane": {"sky": 5, "field": 4, "studio": 1, "desk": 0.5},
    "boat": {"water": 6.5, "field": 2, "studio": 1, "desk": 0.5},
    "bottle": {"desk": 5.5, "studio": 2.5, "field": 1.5, "room": 0.5},
    "car": {"field": 7.5, "studio": 1, "room": 1, "desk": 0.5},
    "chair": {"room": 6, "studio": 2.2, "field": 1.8},
    "guitar": {"room": 6, "studio": 2.2, "field": 1.8},
    "lamp": {"room": 4, "desk": 4, "studio": 2},
    "mug": {"desk": 7, "studio": 2, "field": 1},
    "sofa": {"room": 7, "studio": 2, "field": 0.8},
    "table": {"room": 6.2, "studio": 2, "field": 1.8},
}  # fmt: skip
SPANS = {  # metres, of a thing one unit long: textures of grounds and walls have real sizes
    "airplane": 14.0, "boat": 7.0, "bottle": 0.28, "car": 4.4, "chair": 1.0, "guitar": 1.0, "lamp": 0.8,
    "mug": 0.13, "sofa": 2.1, "table": 1.4,
}  # fmt: skip


@dataclass(frozen=True)
class Scenery:
    """A place.

    Attributes:
        place: a key of `PLACES`' values.
        ground: the ground's height in the subject's units, or None in the air.
        floor: pattern of the ground and its (2, 3) colours.
        wall: distance of the wall behind the middle of the scene, its normal's azimuth (degrees), pattern
            and colours; None out of doors.
        sky: (3, 3) colours of horizon, zenith and far land.
        skyline: how high trees (or houses) stand on the horizon, as a slope, and whether they are houses.
        span: metres a unit.
        far: how blurred the distance is, in pixels.
        table: a repeating block of noise.
    """

    place: str
    ground: float | None
    floor: tuple[str, Floats]
    wall: tuple[float, float, str, Floats] | None
    sky: Floats
    skyline: tuple[float, bool]
    span: float
    far: float
    table: Floats

    def wall_plane(self) -> tuple[Floats, float]:
        """Return the wall's unit normal, towards the room, and its offset along it."""
        assert self.wall is not None
        azimuth = np.radians(self.wall[1])
        return np.array([np.cos(azimuth), np.sin(azimuth), 0.0]), -self.wall[0]


MODEL = 0.4  # metres
FLOORS: dict[str, dict[str, float]] = {
    "room": {"planks": 4, "tiles": 1.5, "carpet": 3, "rug": 1.5, "concrete": 1},
    "desk": {"planks": 4, "plain": 2, "cloth": 1.5, "concrete": 1, "tiles": 0.7},
    "field": {"grass": 3, "concrete": 3, "gravel": 2, "slabs": 2, "sand": 1},
    "water": {"water": 1},
    "sky": {"grass": 1},
    "studio": {"plain": 1},
}
FLOOR_COLOURS = {  # hue, saturation, value; each is varied
    "planks": (0.08, 0.55, 0.55), "tiles": (0.1, 0.12, 0.75), "carpet": (0.1, 0.25, 0.5),
    "rug": (0.0, 0.55, 0.4), "concrete": (0.1, 0.05, 0.5), "plain": (0.1, 0.2, 0.6), "cloth": (0.6, 0.3, 0.8),
    "grass": (0.25, 0.6, 0.4), "gravel": (0.09, 0.15, 0.5), "slabs": (0.09, 0.1, 0.6),
    "sand": (0.11, 0.35, 0.75), "water": (0.52, 0.5, 0.3),
}  # fmt: skip
WALLS = {"plain": 5, "stripes": 1.2, "bricks": 1.5, "panels": 1.5, "pictures": 2, "window": 1.5, "shelf": 1.5}


def choose_scenery(kind: str, place: str, azimuth: float, table: Floats, rng: Generator) -> Scenery:
    """Return a place of the given sort, its wall square to a camera at ``azimuth`` within some degrees.

    Args:
        kind: of the subject.
        place: the sort of place.
        azimuth: of the camera, degrees.
        table: noise for the textures.
        rng: decides.

    Returns:
        Ground, wall or sky, and the light that they throw.
    """
    floor = pick(rng, tuple(FLOORS[place]), tuple(FLOORS[place].values()))
    wall = None
    if place in ("room", "desk"):
        distance = rng.uniform(0.75, 2.5) if place == "room" else rng.uniform(1.0, 6.0)
        name = pick(rng, tuple(WALLS), tuple(WALLS.values()))
        wall = (distance, azimuth + rng.normal(0, 14), name, _wall_colours(name, rng))
    # what is too long for a table stands there as a model
    span = min(SPANS[kind], MODEL) if place == "desk" else SPANS[kind]
    return Scenery(
        place=place,
        ground=0.0,
        floor=(floor, _floor_colours(floor, place, rng)),
        wall=wall,
        sky=_sky_colours(rng),
        skyline=(rng.uniform(0.0, 0.3) if place == "field" else rng.uniform(0.0, 0.06), chance(rng, 0.4)),
        span=span,
        far=rng.uniform(0.3, 4.0) if span < 3 else rng.uniform(0.0, 1.5),
        table=table,
    )


def _sky_colours(rng: Generator) -> Floats:
    horizon = from_hsv(0.58, rng.uniform(0.02, 0.15), rng.uniform(0.8, 1.0))
    blue = from_hsv(rng.uniform(0.55, 0.62), rng.uniform(0.3, 0.7), rng.uniform(0.55, 0.95))
    land = from_hsv(rng.uniform(0.1, 0.4), rng.uniform(0.05, 0.6), rng.uniform(0.2, 0.6))
    return np.stack([horizon, horizon * 0.9 if chance(rng, 0.35) else blue, land])


def _usual_hue(rng: Generator) -> float:
    """Of what people put on walls and floors: mostly from beige to brown, or blue."""
    return float(pick(rng, (rng.normal(0.09, 0.03), rng.normal(0.6, 0.05), rng.random()), (6, 2, 2)) % 1)


def _floor_colours(name: str, place: str, rng: Generator) -> Floats:
    if place == "studio":
        white = from_hsv(rng.random(), rng.uniform(0, 0.06), rng.uniform(0.88, 1.0))
        paper = (
            white
            if chance(rng, 0.7)
            else from_hsv(rng.random(), rng.uniform(0.0, 0.5), rng.uniform(0.15, 0.9))
        )
        return np.stack([paper, paper])
    hue, saturation, value = FLOOR_COLOURS[name]
    if name in ("carpet", "rug", "cloth", "plain"):
        hue = _usual_hue(rng)
    value = np.clip(value * np.exp(rng.normal(0, 0.3)), 0.08, 0.97)
    base = from_hsv((hue + rng.normal(0, 0.03)) % 1, np.clip(saturation + rng.normal(0, 0.12), 0, 0.9), value)
    other = base * rng.uniform(0.4, 0.75)
    return np.stack([base, from_hsv(_usual_hue(rng), 0.4, 0.7) if name in ("rug", "cloth") else other])


def _wall_colours(name: str, rng: Generator) -> Floats:
    if name == "bricks":
        base = from_hsv(rng.uniform(0.01, 0.07), rng.uniform(0.2, 0.65), rng.uniform(0.4, 0.75))
        return np.stack([base, from_hsv(0.1, 0.08, 0.7)])
    hue, saturation = _usual_hue(rng), pick(rng, (rng.uniform(0, 0.1), rng.uniform(0.1, 0.5)), (2, 1))
    base = from_hsv(hue, saturation, rng.uniform(0.35, 0.97))
    return np.stack(
        [base, from_hsv((hue + rng.normal(0, 0.1)) % 1, rng.uniform(0, 0.6), rng.uniform(0.15, 0.95))]
    )
