"""Chairs: a base, a seat, a back and arms, each of several makes, put together at will."""

import numpy as np

from hifa_cli.synthetic.primitives import Floats, Part, ball, box, curve, lathe, loft, oval, prism, rod, tube
from hifa_cli.synthetic.sampling import chance, pick

Generator = np.random.Generator


def chair(rng: Generator) -> list[Part]:
    """Return a chair, an office chair, an armchair or (rarely) a stool."""
    width, depth = rng.uniform(0.4, 0.58), rng.uniform(0.4, 0.55)
    base = pick(rng, ("legs", "star", "pedestal", "cantilever", "sled", "rockers"), (10, 3, 2, 2, 1.5, 1.5))
    height = rng.uniform(0.36, 0.5)
    stool = base in ("legs", "pedestal") and chance(rng, 0.07)
    if stool:
        height, width, depth = rng.uniform(0.4, 0.8), 0.8 * width, 0.8 * depth
    parts = _seat(rng, width, depth, height) + BASES[base](rng, width, depth, height)
    if not stool:
        makes, odds = tuple(BACKS), (3, 3, 3, 2.5, 3, 1.5)
        rise = rng.uniform(0.3, 0.65)
        parts += [part.moved(z=height) for part in BACKS[pick(rng, makes, odds)](rng, width, depth, rise)]
        if chance(rng, 0.45):
            parts += _chair_arms(rng, width, depth, height)
    return parts


def _seat(rng: Generator, width: float, depth: float, height: float) -> list[Part]:
    make = pick(rng, ("board", "cushion", "round", "shaped"))
    thick = rng.uniform(0.02, 0.05)
    if make == "board":
        return [box((depth, width, thick), (0, 0, height), "frame", bevel=0.3 * thick, steps=2)]
    if make == "round":
        profile = [
            (0, -thick),
            (0.46 * width, -thick),
            (0.5 * width, 0),
            (0.47 * width, thick),
            (0, 1.2 * thick),
        ]
        return [lathe(curve(profile, 12).clip([0, -1], None), "seat", sides=32).moved(z=height)]
    if make == "shaped":
        outline = oval(depth, width, power=rng.uniform(3, 6), sides=36)
        outline[:, 1] *= 1 + rng.uniform(0, 0.35) * outline[:, 0] / depth
        return [prism(outline, 1.3 * thick, "seat", bevel=0.4 * thick).moved(z=height)]
    thick = rng.uniform(0.06, 0.13)
    cushion = box((depth, width, thick), (0, 0, height), "seat", bevel=0.45 * thick, steps=3)
    return [cushion, box((depth, width, 0.03), (0, 0, height - 0.5 * thick), "frame", bevel=0.01)]


def legs(rng: Generator, width: float, depth: float, height: float, role: str = "leg") -> list[Part]:
    """Return four legs, square, round or turned, perhaps splayed and braced.

    Args:
        rng: chooses them.
        width: between the outer sides, along X.
        depth: likewise, along Y.
        height: of the seat's underside.
        role: see `Part`.

    Returns:
        The legs and their braces.
    """
    make = pick(rng, ("square", "round", "turned"))
    splay = rng.uniform(0, 0.09) if chance(rng, 0.6) else 0.0
    thick = rng.uniform(0.012, 0.032)
    parts = []
    for side in (-1, 1):
        for end in (-1, 1):
            top = np.array([end * (depth / 2 - 1.6 * thick), side * (width / 2 - 1.6 * thick), height])
            foot = top + np.array([end * splay, side * splay, -height])
            parts.append(_leg(make, top, foot, thick, role))
    if chance(rng, 0.4):
        low, x, y = (
            rng.uniform(0.25, 0.6),
            depth / 2 - 1.6 * thick + 0.5 * splay,
            width / 2 - 1.6 * thick + 0.5 * splay,
        )
        ends = [((-x, -y), (x, -y)), ((-x, y), (x, y)), ((x, -y), (x, y)), ((-x, -y), (-x, y))]
        parts += [
            rod((*a, low * height), (*b, low * height), 0.6 * thick, role)
            for a, b in ends[: pick(rng, (2, 3, 4))]
        ]
    return parts


def _leg(make: str, top: Floats, foot: Floats, thick: float, role: str) -> Part:
    if make == "square":
        return tube([top, foot], [1.3 * thick, thick], role, sides=4)
    if make == "round":
        return rod(top, foot, (thick, 0.6 * thick), role)
    beads = 1 + 0.35 * np.sin(np.linspace(0, 5 * np.pi, 24)) * np.linspace(0.3, 1, 24)
    return tube(np.linspace(top, foot, 24), thick * beads * np.linspace(1, 0.6, 24), role)


def _star(rng: Generator, width: float, depth: float, height: float) -> list[Part]:
    """Return an office chair's column, spokes and castors."""
    count = pick(rng, (4, 5, 5))
    reach = 0.55 * max(width, depth)
    parts = [
        rod((0, 0, 0.1), (0, 0, 0.6 * height), 0.03, "metal"),
        rod((0, 0, 0.5 * height), (0, 0, height), 0.018, "metal"),
    ]
    for angle in np.arange(count) * (2 * np.pi / count):
        x, y = reach * np.cos(angle), reach * np.sin(angle)
        parts.append(tube([(0, 0, 0.12), (x, y, 0.075)], [0.026, 0.015], "metal"))
        parts.append(ball((0.03, 0.03, 0.03), (x, y, 0.03), "tyre", sides=10))
    return parts


def _pedestal(rng: Generator, width: float, depth: float, height: float) -> list[Part]:
    radius = rng.uniform(0.38, 0.5) * max(width, depth)
    waist = rng.uniform(0.02, 0.04)
    flare = rng.uniform(1.0, 6.0)
    profile = [
        (0, 0),
        (radius, 0),
        (radius, 0.012),
        (waist * flare, 0.05),
        (waist, 0.35 * height),
        (1.5 * waist, height),
        (0, height),
    ]
    return [lathe(profile, "metal", sides=32)]


def _cantilever(rng: Generator, width: float, depth: float, height: float) -> list[Part]:
    """Return two bent tubes joined on the floor, nothing under the seat's back."""
    y, x, radius = width / 2, depth / 2, rng.uniform(0.011, 0.018)
    side = [
        (-x, y, height),
        (0.9 * x, y, height),
        (x, y, 0.9 * height),
        (x, y, 0.06),
        (0.85 * x, y, radius),
        (-x, y, radius),
    ]
    parts = [tube(curve(side, 28), radius, "metal")]
    return [*parts, parts[0].scaled(y=-1), rod((-x, -y, radius), (-x, y, radius), radius, "metal")]


def _sled(rng: Generator, width: float, depth: float, height: float) -> list[Part]:
    y, x, radius = 0.45 * width, depth / 2, rng.uniform(0.008, 0.014)
    loop = [(-0.7 * x, y, height), (-1.1 * x, y, radius), (1.1 * x, y, radius), (0.7 * x, y, height)]
    one = tube(loop, radius, "metal")
    return [one, one.scaled(y=-1)]


def _rockers(rng: Generator, width: float, depth: float, height: float) -> list[Part]:
    lift, reach = 0.1, rng.uniform(0.75, 0.95) * depth
    parts = [
        part.scaled(z=(height - lift) / height).moved(z=lift) for part in legs(rng, width, depth, height)
    ]
    t = np.linspace(-1, 1, 17)
    runner = np.stack([reach * t, np.full(17, width / 2 - 0.03), 0.02 + 0.16 * t**2], axis=1)
    one = tube(runner, 0.022, "leg", sides=6)
    return [*parts, one, one.scaled(y=-1)]


def _leaning(parts: list[Part], depth: float, lean: float) -> list[Part]:
    """Return a back made upright in the YZ plane, leant back by ``lean`` degrees at the seat's rear edge."""
    return [part.turned("y", -lean).moved(x=0.02 - depth / 2) for part in parts]


def _posts(width: float, rise: float, thick: float) -> list[Part]:
    return [
        rod((0, side * (width / 2 - thick), -0.02), (0, side * (width / 2 - thick), rise), thick, "frame")
        for side in (-1, 1)
    ]


def _panel_back(rng: Generator, width: float, depth: float, rise: float) -> list[Part]:
    """Return a board or a pad, perhaps with a gap below it."""
    gap = rng.uniform(0.08, 0.4) * rise if chance(rng, 0.4) else 0.0
    thick = rng.uniform(0.02, 0.09)
    panel = box(
        (thick, width, rise - gap), (0, 0, gap + (rise - gap) / 2), "back", bevel=0.45 * thick, steps=3
    )
    stays = [
        rod((-0.01, side * 0.3 * width, -0.03), (-0.01, side * 0.3 * width, gap + 0.1), 0.012, "metal")
        for side in (-1, 1)
    ]
    return _leaning([panel, *(stays if gap else [])], depth, rng.uniform(2, 18))


def _slat_back(rng: Generator, width: float, depth: float, rise: float) -> list[Part]:
    thick, count = rng.uniform(0.013, 0.024), int(rng.integers(3, 8))
    parts = _posts(width, rise, thick)
    parts.append(box((0.025, width, 0.07), (0, 0, rise - 0.03), "frame", bevel=0.01))
    parts.append(box((0.02, width - 0.04, 0.03), (0, 0, 0.1), "frame", bevel=0.008))
    inner = np.linspace(-1, 1, count + 2)[1:-1] * (width / 2 - thick)
    slat = 0.35 * width / count
    parts += [box((0.012, slat, rise - 0.13), (0, y, rise / 2 + 0.02), "frame", bevel=0.004) for y in inner]
    return _leaning(parts, depth, rng.uniform(2, 14))


def _ladder_back(rng: Generator, width: float, depth: float, rise: float) -> list[Part]:
    thick, count = rng.uniform(0.013, 0.024), int(rng.integers(2, 6))
    bow = rng.uniform(0, 0.05)
    y = np.linspace(-1, 1, 9)
    parts = _posts(width, rise + 0.03, thick)
    for height in np.linspace(0.3, 0.95, count) * rise:
        path = np.stack([-bow * (1 - y**2), y * (width / 2 - thick), np.full(9, height)], axis=1)
        parts.append(tube(path, 0.01, "frame", sides=6, flat=rng.uniform(1.5, 4)))
    return _leaning(parts, depth, rng.uniform(2, 14))


def _spindle_back(rng: Generator, width: float, depth: float, rise: float) -> list[Part]:
    """Return a Windsor's bow and spindles."""
    angle = np.linspace(0, np.pi, 25)
    half = 0.48 * width
    square = rng.uniform(0.4, 1.0)
    bow = np.stack([np.zeros(25), half * np.cos(angle), rise * np.sin(angle) ** square], axis=1)
    parts = [tube(bow, 0.013, "frame")]
    for y in np.linspace(-0.8, 0.8, int(rng.integers(5, 10))):
        top = rise * np.sqrt(1 - y**2) ** square
        parts.append(rod((0, 0.7 * half * y, 0), (0, half * y, top), 0.007, "frame", sides=7))
    return _leaning(parts, depth, rng.uniform(6, 18))


def _shell_back(rng: Generator, width: float, depth: float, rise: float) -> list[Part]:
    """Return a moulded shell that curls round the sitter."""
    wrap, tilt = rng.uniform(0.25, 0.7), rng.uniform(0.05, 0.25)
    thick = rng.uniform(0.012, 0.05)
    t, u = np.linspace(-1, 1, 15)[:, None], np.linspace(0, 1, 11)[None, :]
    height = rise * u * (1 - 0.35 * np.abs(t) ** 2.5)
    x = -depth / 2 + wrap * depth * t**2 * (1 - 0.3 * u) - tilt * height
    y = t * width / 2 * (1 - 0.15 * u**2)
    front = np.stack(np.broadcast_arrays(x, y, height), axis=-1)
    return [_thickened(front, thick, "back")]


def _thickened(front: Floats, thick: float, role: str) -> Part:
    """Return a closed slab: a sheet of points and its copy shifted back along X."""
    behind = front - np.array([thick, 0, 0])
    rings = [np.concatenate([near, far[::-1]]) for near, far in zip(front, behind, strict=True)]
    return loft(rings, role)


def _split_back(rng: Generator, width: float, depth: float, rise: float) -> list[Part]:
    """Return an outline cut out with a vase-shaped splat, or a round pad on two stays."""
    if chance(rng, 0.5):
        radius = 0.42 * min(width, rise)
        pad = prism(oval(2 * radius, 2 * radius, sides=32), 0.05, "back", bevel=0.02).turned("y", 90)
        stays = [
            rod((-0.02, side * 0.2, -0.03), (-0.02, side * 0.14, rise - radius), 0.011, "frame")
            for side in (-1, 1)
        ]
        return _leaning([pad.moved(z=rise - radius), *stays], depth, rng.uniform(4, 14))
    waist = rng.uniform(0.3, 0.8)
    outline = curve(
        [
            (0, 0.05),
            (0.3, 0.07 * waist),
            (0.6, 0.1),
            (0.95, 0.07),
            (0.95, -0.07),
            (0.6, -0.1),
            (0.3, -0.07 * waist),
            (0, -0.05),
        ],
        40,
        looped=True,
    )
    splat = prism(outline * np.array([-rise, 1.0]), 0.014, "frame").turned("y", 90)
    top = box((0.028, 1.06 * width, 0.08), (0, 0, rise), "frame", bevel=0.013, steps=2)
    return _leaning([*_posts(width, rise, 0.018), splat, top], depth, rng.uniform(3, 12))


def _chair_arms(rng: Generator, width: float, depth: float, height: float) -> list[Part]:
    rise, make = rng.uniform(0.16, 0.26), pick(rng, ("post", "loop", "panel"))
    y, x = width / 2 + 0.015, depth / 2
    if make == "panel":
        one = [
            box(
                (0.95 * depth, 0.06, rise + 0.1),
                (0, y, height + rise / 2 - 0.05),
                "back",
                bevel=0.028,
                steps=2,
            )
        ]
    elif make == "loop":
        path = [
            (0.6 * x, y, height),
            (0.7 * x, y + 0.02, height + 0.8 * rise),
            (0.3 * x, y + 0.02, height + rise),
            (-x, y - 0.02, height + rise),
        ]
        one = [tube(curve(path, 20), 0.014, "metal")]
    else:
        one = [
            box((0.9 * depth, 0.05, 0.028), (-0.05 * depth, y, height + rise), "frame", bevel=0.012, steps=2)
        ]
        one.append(rod((0.6 * x, y, height - 0.02), (0.6 * x, y, height + rise), 0.015, "frame"))
    return one + [part.scaled(y=-1) for part in one]


BASES = {
    "legs": legs,
    "star": _star,
    "pedestal": _pedestal,
    "cantilever": _cantilever,
    "sled": _sled,
    "rockers": _rockers,
}
BACKS = {
    "panel": _panel_back,
    "slats": _slat_back,
    "ladder": _ladder_back,
    "spindles": _spindle_back,
    "shell": _shell_back,
    "splat": _split_back,
}
