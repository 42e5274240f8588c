"""Sofas: a back, arms and feet of several makes, put together at will."""

import numpy as np

from hifa_cli.synthetic.primitives import Part, box, prism, rod, tube
from hifa_cli.synthetic.sampling import chance, pick

Generator = np.random.Generator


def sofa(rng: Generator) -> list[Part]:
    """Return a sofa of one and a half to four seats, perhaps with a chaise."""
    seats = int(rng.integers(2, 5))
    width, depth = seats * rng.uniform(0.55, 0.75), rng.uniform(0.7, 0.95)
    height, foot = rng.uniform(0.36, 0.46), rng.uniform(0.04, 0.18)
    lean = rng.uniform(3, 16)
    base = box(
        (depth, width, 0.75 * (height - foot)),
        (0, 0, foot + 0.35 * (height - foot)),
        "seat",
        bevel=0.03,
        steps=2,
    )
    parts = [
        base,
        *_seat_cushions(rng, seats, width, depth, height),
        *_sofa_back(rng, seats, width, depth, height, lean),
    ]
    parts += _sofa_arms(rng, width, depth, height, foot) + _sofa_feet(rng, width, depth, foot)
    if chance(rng, 0.25):
        parts += _chaise(rng, width, depth, height, foot)
    for _ in range(int(rng.integers(0, 4))):
        pillow = box((0.14, 0.42, 0.42), (0, 0, 0), "pillow", bevel=0.068, steps=3)
        y = rng.uniform(-0.42, 0.42) * width
        parts.append(
            pillow.turned("x", rng.uniform(-25, 25)).turned("y", -25).moved(-0.12 * depth, y, height + 0.24)
        )
    return parts


def _seat_cushions(rng: Generator, seats: int, width: float, depth: float, height: float) -> list[Part]:
    thick = rng.uniform(0.1, 0.18)
    count = 1 if chance(rng, 0.25) else seats
    each = width / count
    places = (np.arange(count) + 0.5) * each - width / 2
    size = (depth, each - 0.012, thick)
    return [box(size, (0.02, y, height), "seat", bevel=0.4 * thick, steps=3) for y in places]


def _sofa_back(
    rng: Generator, seats: int, width: float, depth: float, height: float, lean: float
) -> list[Part]:
    rise, make = (
        rng.uniform(0.32, 0.55),
        pick(rng, ("cushions", "block", "camel", "tufted", "low"), (4, 3, 2, 2, 1)),
    )
    thick = rng.uniform(0.14, 0.24)
    if make == "camel":
        t = np.linspace(-1, 1, 25)
        top = rise * (0.75 + 0.3 * np.cos(np.pi * t / 1.3))
        outline = np.concatenate(
            [np.stack([-top, t * width / 2], axis=1), [(0.1, width / 2), (0.1, -width / 2)]]
        )
        parts = [prism(outline, thick, "back", bevel=0.05).turned("y", 90)]
    elif make == "tufted":
        count = 2 * seats
        each = width / count
        places = (np.arange(count) + 0.5) * each - width / 2
        parts = [box((thick, each, rise), (0, y, rise / 2), "back", bevel=0.06, steps=2) for y in places]
    else:
        rise = 0.55 * rise if make == "low" else rise
        parts = [box((0.7 * thick, width, rise), (-0.02, 0, rise / 2 - 0.06), "back", bevel=0.05, steps=2)]
        if make == "cushions":
            each = width / seats
            places = (np.arange(seats) + 0.5) * each - width / 2
            parts += [
                box((0.17, each - 0.02, rise), (0.11, y, 0.55 * rise), "seat", bevel=0.07, steps=3)
                for y in places
            ]
    return [part.turned("y", -lean).moved(-depth / 2, 0, height) for part in parts]


def _sofa_arms(rng: Generator, width: float, depth: float, height: float, foot: float) -> list[Part]:
    make = pick(rng, ("block", "rolled", "rail", "none"), (4, 3, 1.5, 1))
    thick, rise = rng.uniform(0.09, 0.24), rng.uniform(0.1, 0.26)
    y, tall = width / 2 + thick / 2, height + rise - foot
    if make == "none":
        return []
    if make == "rail":
        loop = [
            (depth / 2, y, foot),
            (depth / 2, y, height + rise),
            (-depth / 2, y, height + rise),
            (-depth / 2, y, foot),
        ]
        one = [tube(loop, 0.022, "leg", sides=6)]
    else:
        one = [box((depth, thick, tall), (0.01, y, foot + tall / 2), "back", bevel=0.4 * thick, steps=3)]
    if make == "rolled":
        roll, top = 0.7 * thick, height + rise
        one.append(rod((-depth / 2, y, top), (depth / 2 + 0.03, y, top), roll, "back", sides=18))
    return one + [part.scaled(y=-1) for part in one]


def _sofa_feet(rng: Generator, width: float, depth: float, foot: float) -> list[Part]:
    if foot < 0.06 or chance(rng, 0.15):
        return [box((0.9 * depth, 0.94 * width, foot), (0, 0, foot / 2), "leg")]
    radius = rng.uniform(0.015, 0.035)
    corners = [(x * 0.42 * depth, y * 0.45 * width) for x in (-1, 1) for y in (-1, 1)]
    return [rod((x, y, foot + 0.04), (x, y, 0), (radius, 0.6 * radius), "leg") for x, y in corners]


def _chaise(rng: Generator, width: float, depth: float, height: float, foot: float) -> list[Part]:
    """Return the long end of a corner sofa."""
    side, long, wide = pick(rng, (-1, 1)), rng.uniform(0.5, 0.9), rng.uniform(0.6, 0.8)
    y, x = side * (width - wide) / 2, depth / 2 + long / 2 - 0.03
    base = box(
        (long, wide, 0.75 * (height - foot)), (x, y, foot + 0.35 * (height - foot)), "seat", bevel=0.03
    )
    return [base, box((long, wide, 0.14), (x, y, height), "seat", bevel=0.055, steps=3)]
