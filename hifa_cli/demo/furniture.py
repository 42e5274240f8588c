"""Tables and lamps."""

import numpy as np

from hifa_cli.demo.dice import chance, pick
from hifa_cli.demo.parts import Floats, Part, ball, box, curve, lathe, oval, prism, rod, tube
from hifa_cli.demo.seats import legs

Generator = np.random.Generator


def table(rng: Generator) -> list[Part]:
    """A dining, side or coffee table, or a desk."""
    make = pick(
        rng, ("legs", "pedestal", "trestle", "panels", "cross", "hairpin", "desk"), (5, 3, 2, 2, 1.5, 1.5, 3)
    )
    height = pick(rng, (rng.uniform(0.68, 0.8), rng.uniform(0.35, 0.5), rng.uniform(0.85, 1.05)), (6, 3, 1))
    length, depth = rng.uniform(0.7, 2.0), rng.uniform(0.55, 1.0)
    if make == "pedestal":
        depth, length = rng.uniform(0.6, 1.3), rng.uniform(0.6, 1.3)
    odds = {"pedestal": 0.8, "desk": 0.0, "panels": 0.0, "trestle": 0.1}
    rounded = chance(rng, odds.get(make, 0.25))
    if make == "desk":
        height, length, depth = rng.uniform(0.7, 0.78), rng.uniform(1.0, 1.7), rng.uniform(0.5, 0.75)
    thick = rng.uniform(0.018, 0.06)
    top = _table_top(rng, rounded, length, depth, thick).moved(z=height - thick / 2)
    inset = 0.72 if rounded else 1.0
    parts = [top, *UNDER[make](rng, inset * length, inset * depth, height - thick)]
    if make in ("legs", "panels") and not rounded and chance(rng, 0.3):
        parts.append(box((0.8 * depth, 0.85 * length, 0.02), (0, 0, rng.uniform(0.2, 0.4) * height), "leg"))
    return parts


def _table_top(rng: Generator, rounded: bool, length: float, depth: float, thick: float) -> Part:
    if rounded:
        return prism(oval(depth, length, sides=48), thick, "top", bevel=0.4 * thick)
    if chance(rng, 0.15):
        return prism(oval(depth, length, power=rng.uniform(3, 6), sides=48), thick, "top", bevel=0.4 * thick)
    return box((depth, length, thick), (0, 0, 0), "top", bevel=rng.uniform(0.1, 0.45) * thick, steps=2)


def _table_legs(rng: Generator, length: float, depth: float, height: float) -> list[Part]:
    inset = rng.uniform(0.8, 0.97)
    parts = legs(rng, inset * length, inset * depth, height)
    if chance(rng, 0.6):
        deep = rng.uniform(0.05, 0.12)
        for side in (-1, 1):
            parts.append(
                box(
                    (0.02, 0.9 * inset * length, deep),
                    (side * 0.44 * inset * depth, 0, height - deep / 2),
                    "leg",
                )
            )
            parts.append(
                box(
                    (0.88 * inset * depth, 0.02, deep),
                    (0, side * 0.45 * inset * length, height - deep / 2),
                    "leg",
                )
            )
    return parts


def _pedestal(rng: Generator, length: float, depth: float, height: float) -> list[Part]:
    reach, waist = 0.35 * min(length, depth), rng.uniform(0.025, 0.07)
    if chance(rng, 0.5):
        profile = [
            (0, 0),
            (reach, 0),
            (reach, 0.02),
            (2 * waist, 0.06),
            (waist, 0.4 * height),
            (2 * waist, height),
            (0, height),
        ]
        return [lathe(profile, "leg", sides=32)]
    bulge = waist * (1 + 0.6 * np.sin(np.linspace(0, rng.uniform(2, 9), 20)) ** 2)
    column = np.stack([np.zeros(20), np.zeros(20), np.linspace(0.15, height, 20)], axis=1)
    parts = [tube(column, bulge, "leg", sides=16)]
    count = pick(rng, (3, 4, 4))
    for angle in np.arange(count) * (360 / count):
        foot = curve(
            [(0, 0, 0.22), (0.5 * reach, 0, 0.17), (0.9 * reach, 0, 0.05), (1.2 * reach, 0, 0.02)], 12
        )
        parts.append(tube(foot, np.linspace(0.035, 0.02, 12), "leg").turned("z", angle + 45))
    return parts


def _trestle(rng: Generator, length: float, depth: float, height: float) -> list[Part]:
    parts, lean, thick = [], rng.uniform(0.0, 0.3) * depth, rng.uniform(0.025, 0.045)
    for y in (-0.36 * length, 0.36 * length):
        for side in (-1, 1):
            parts.append(
                tube(
                    [(side * (0.42 * depth), y, 0), (side * (0.42 * depth - lean), y, height)],
                    thick,
                    "leg",
                    sides=4,
                )
            )
        parts.append(box((0.84 * depth, 1.5 * thick, 1.5 * thick), (0, y, thick), "leg", bevel=0.01))
        parts.append(box((0.84 * depth, 1.5 * thick, 1.5 * thick), (0, y, height - thick), "leg", bevel=0.01))
    return [
        *parts,
        box((0.03, 0.72 * length, 0.09), (0, 0, rng.uniform(0.2, 0.5) * height), "leg", bevel=0.01),
    ]


def _panels(rng: Generator, length: float, depth: float, height: float) -> list[Part]:
    thick, inset = rng.uniform(0.02, 0.06), rng.uniform(0.36, 0.48)
    ends = [
        box((0.9 * depth, thick, height), (0, side * inset * length, height / 2), "leg", bevel=0.2 * thick)
        for side in (-1, 1)
    ]
    rail = box((0.02, 2 * inset * length, 0.3 * height), (-0.3 * depth, 0, 0.8 * height), "leg")
    return [*ends, rail] if chance(rng, 0.5) else ends


def _cross(rng: Generator, length: float, depth: float, height: float) -> list[Part]:
    parts, thick = [], rng.uniform(0.02, 0.04)
    for y in (-0.38 * length, 0.38 * length):
        for side in (-1, 1):
            parts.append(
                tube([(side * 0.4 * depth, y, 0), (-side * 0.4 * depth, y, height)], thick, "leg", sides=4)
            )
    return [*parts, rod((0, -0.38 * length, height / 2), (0, 0.38 * length, height / 2), 0.7 * thick, "leg")]


def _hairpin(rng: Generator, length: float, depth: float, height: float) -> list[Part]:
    parts = []
    for x in (-0.4 * depth, 0.4 * depth):
        for y in (-0.42 * length, 0.42 * length):
            path = curve([(x - 0.07, y, height), (x, y, 0.02), (x, y, 0.01), (x + 0.07, y, height)], 24)
            parts.append(tube(path, rng.uniform(0.006, 0.01), "metal", sides=6))
    return parts


def _desk(rng: Generator, length: float, depth: float, height: float) -> list[Part]:
    """One or two chests of drawers under the top, legs or a panel at the other end."""
    wide, parts = 0.28 * length, []
    sides = (-1, 1) if chance(rng, 0.4) else (pick(rng, (-1, 1)),)
    tall = height if chance(rng, 0.6) else 0.5 * height
    for side in sides:
        y = side * (length - wide) / 2
        parts.append(box((0.94 * depth, wide, tall), (0, y, height - tall / 2), "leg", bevel=0.008))
        parts += _drawers(int(rng.integers(2, 5)), y, wide, depth, height, tall)
    if len(sides) == 1:
        parts += [
            rod((x, -sides[0] * 0.46 * length, 0), (x, -sides[0] * 0.46 * length, height), 0.022, "leg")
            for x in (-0.42 * depth, 0.42 * depth)
        ]
    if tall < height:
        parts += legs(rng, 0.96 * length, 0.92 * depth, height)
    return [*parts, box((0.015, 0.9 * length, 0.35 * height), (-0.44 * depth, 0, 0.75 * height), "leg")]


def _drawers(count: int, y: float, wide: float, depth: float, height: float, tall: float) -> list[Part]:
    each = tall / count
    parts = []
    for row in range(count):
        z = height - (row + 0.5) * each
        parts.append(box((0.02, 0.92 * wide, 0.86 * each), (0.475 * depth, y, z), "drawer", bevel=0.006))
        parts.append(ball((0.014, 0.014, 0.014), (0.5 * depth, y, z), "metal", sides=10))
    return parts


UNDER = {
    "legs": _table_legs,
    "pedestal": _pedestal,
    "trestle": _trestle,
    "panels": _panels,
    "cross": _cross,
    "hairpin": _hairpin,
    "desk": _desk,
}


def lamp(rng: Generator) -> list[Part]:
    """A floor, table, desk or hanging lamp."""
    return pick(
        rng,
        (_table_lamp, _floor_lamp, _desk_lamp, _arc_lamp, _tripod_lamp, _pendant, _chandelier),
        (5, 3, 4, 1.5, 1.5, 3, 1),
    )(rng)


def _shade(rng: Generator, size: float) -> list[Part]:
    """A shade about the origin, hanging from z = 0: drum, cone, bell, pleats, globe or dome."""
    make = pick(rng, ("drum", "cone", "bell", "pleats", "globe", "dome"), (3, 4, 2, 1.5, 2, 2))
    if make == "globe":
        return [ball((size, size, size * rng.uniform(0.7, 1.1)), (0, 0, -0.5 * size), "shade", sides=24)]
    tall = size * rng.uniform(0.8, 1.7)
    narrow = {"drum": rng.uniform(0.9, 1.0), "dome": 0.15}.get(make, rng.uniform(0.3, 0.7))
    t = np.linspace(0, 1, 9)
    radius = size * (narrow + (1 - narrow) * {"bell": t**2, "dome": np.sqrt(1 - (1 - t) ** 2)}.get(make, t))
    outer = np.stack([radius, -tall * t], axis=1)
    inner = outer[::-1] * np.array([0.97, 1.0])
    skin = lathe(np.concatenate([outer, inner]), "shade", sides=48)
    if make == "pleats":
        angle = np.arctan2(skin.vertices[:, 1], skin.vertices[:, 0])
        wave = 1 + 0.05 * np.sign(np.sin(16 * angle))
        skin = Part(skin.vertices * np.stack([wave, wave, np.ones(len(wave))], axis=1), skin.faces, "shade")
    bulb = ball((0.25 * size, 0.25 * size, 0.3 * size), (0, 0, -0.55 * tall), "bulb", sides=10)
    return [skin, bulb]


def _foot(rng: Generator, radius: float) -> Part:
    if chance(rng, 0.25):
        return box((1.7 * radius, 1.7 * radius, 0.03), (0, 0, 0.015), "stand", bevel=0.008)
    return lathe(
        [(0, 0), (radius, 0), (radius, 0.012), (0.8 * radius, 0.028), (0.1 * radius, 0.05), (0, 0.05)],
        "stand",
        sides=32,
    )


def _table_lamp(rng: Generator) -> list[Part]:
    tall, size = rng.uniform(0.22, 0.42), rng.uniform(0.12, 0.22)
    make = pick(rng, ("vase", "stick", "balls", "block"))
    if make == "vase":
        knots = [
            (0, 0),
            (0.07, 0),
            (0.07, 0.02),
            (rng.uniform(0.05, 0.13), 0.4 * tall),
            (rng.uniform(0.02, 0.08), 0.75 * tall),
            (0.02, tall),
            (0, tall),
        ]
        body = [lathe(curve(knots, 28).clip([0, 0], None), "stand", sides=28)]
    elif make == "balls":
        count = int(rng.integers(2, 5))
        each = tall / (2 * count)
        body = [
            ball((0.8 * each, 0.8 * each, each), (0, 0, (2 * row + 1) * each), "stand", sides=16)
            for row in range(count)
        ]
        body.append(_foot(rng, 0.09))
    elif make == "block":
        body = [box((0.12, 0.12, tall), (0, 0, tall / 2), "stand", bevel=0.02, steps=2)]
    else:
        body = [_foot(rng, 0.1), rod((0, 0, 0), (0, 0, tall), rng.uniform(0.008, 0.02), "stand")]
    shade = _shade(rng, size)
    drop = -min(float(part.vertices[:, 2].min()) for part in shade)
    neck = rod((0, 0, tall - 0.02), (0, 0, tall + 0.8 * drop), 0.008, "metal")
    return [*body, neck, *(part.moved(z=tall + 0.85 * drop) for part in shade)]


def _floor_lamp(rng: Generator) -> list[Part]:
    tall, radius = rng.uniform(1.2, 1.7), rng.uniform(0.008, 0.02)
    parts = [_foot(rng, rng.uniform(0.12, 0.18)), rod((0, 0, 0), (0, 0, tall), radius, "stand")]
    if chance(rng, 0.3):
        bowl = np.array([(0, -0.12), (0.1, -0.1), (0.2, 0), (0.19, 0), (0.09, -0.09), (0, -0.11)])
        return [*parts, lathe(curve(bowl, 20).clip([0, -1], None), "shade", sides=32).moved(z=tall + 0.1)]
    shade = _shade(rng, rng.uniform(0.16, 0.28))
    return parts + [part.moved(z=tall + 0.1) for part in shade]


_BOW, _ACROSS, _UP = np.array([0.03, 0, 0]), np.array([0.0, 1, 0]), np.array([0.0, 0, 1])


def _desk_lamp(rng: Generator) -> list[Part]:
    """Two arms on a hinge, or a goose-neck, and a conical or bar-shaped head."""
    low, high = rng.uniform(0.2, 0.35), rng.uniform(0.2, 0.35)
    back, fore = np.radians(rng.uniform(95, 130)), np.radians(rng.uniform(10, 60))
    elbow = np.array([low * np.cos(back), 0, 0.03 + low * np.sin(back)])
    wrist = elbow + high * np.array([np.cos(fore), 0, np.sin(fore)])
    root = np.array([0.0, 0.0, 0.03])
    parts: list[Part] = [_foot(rng, rng.uniform(0.07, 0.11))]
    if chance(rng, 0.4):
        parts.append(
            tube(
                curve([root, 0.5 * (root + elbow) + _BOW, elbow + _BOW + 0.1 * _UP, wrist], 30),
                0.009,
                "stand",
            )
        )
    else:
        for y in (-0.012, 0.012) if chance(rng, 0.5) else (0.0,):
            parts += [
                tube([a + y * _ACROSS, b + y * _ACROSS], 0.007, "stand")
                for a, b in ((root, elbow), (elbow, wrist))
            ]
        parts += [ball((0.02, 0.02, 0.02), tuple(joint), "metal", sides=10) for joint in (elbow, wrist)]
    return parts + [part.moved(*wrist) for part in _head(rng)]


def _head(rng: Generator) -> list[Part]:
    tilt, size = rng.uniform(10, 50), rng.uniform(0.06, 0.1)
    if chance(rng, 0.25):
        bar = box((0.06, 0.3, 0.025), (0.03, 0, 0), "shade", bevel=0.01, steps=2)
        return [bar.turned("y", tilt / 2)]
    cone = np.array(
        [
            (0.02, 0.04),
            (0.025, 0.0),
            (0.6 * size, -0.5 * size),
            (size, -1.4 * size),
            (0.95 * size, -1.4 * size),
            (0.02, -0.02),
        ]
    )
    parts = [lathe(cone, "shade", sides=28), ball((0.03, 0.03, 0.035), (0, 0, -0.9 * size), "bulb", sides=12)]
    return [part.turned("y", -tilt) for part in parts]


def _arc_lamp(rng: Generator) -> list[Part]:
    tall, reach = rng.uniform(1.5, 2.0), rng.uniform(0.8, 1.3)
    knots = [
        (0, 0, 0),
        (0.02, 0, 0.6 * tall),
        (0.4 * reach, 0, tall),
        (0.85 * reach, 0, 0.95 * tall),
        (reach, 0, 0.8 * tall),
    ]
    parts = [_foot(rng, 0.18), tube(curve(knots, 40), 0.013, "stand")]
    return parts + [part.moved(reach, 0, 0.8 * tall) for part in _shade(rng, rng.uniform(0.13, 0.2))]


def _tripod_lamp(rng: Generator) -> list[Part]:
    tall, spread = rng.uniform(0.4, 1.3), rng.uniform(0.25, 0.4)
    parts = []
    for angle in (0, 120, 240):
        parts.append(
            rod((0.03, 0, tall), (spread * tall, 0, 0), (0.018, 0.013), "leg").turned("z", angle + 30)
        )
    parts.append(rod((0, 0, tall - 0.03), (0, 0, tall + 0.03), 0.04, "metal"))
    size = rng.uniform(0.15, 0.25) * (0.5 + 0.5 * tall)
    shade = _shade(rng, size)
    lift = -0.75 * min(float(part.vertices[:, 2].min()) for part in shade)
    return [
        *parts,
        rod((0, 0, tall), (0, 0, tall + lift), 0.01, "metal"),
        *(part.moved(z=tall + lift) for part in shade),
    ]


def _pendant(rng: Generator) -> list[Part]:
    size, cord = rng.uniform(0.15, 0.3), rng.uniform(0.3, 0.8)
    parts = [*_shade(rng, size), rod((0, 0, 0), (0, 0, cord), 0.006, "cord", sides=8)]
    rose = lathe([(0, 0), (0.06, 0), (0.03, -0.04), (0, -0.05)][::-1], "stand", sides=20).moved(z=cord)
    return [*parts, rose]


def _chandelier(rng: Generator) -> list[Part]:
    count, reach = int(rng.integers(3, 8)), rng.uniform(0.25, 0.4)
    parts = [rod((0, 0, 0), (0, 0, 0.55), 0.012, "stand"), ball((0.05, 0.05, 0.07), (0, 0, 0.02), "stand")]
    cup = _cup_shade(rng)
    for angle in np.arange(count) * (360 / count):
        arm = curve([(0, 0, 0.05), (0.5 * reach, 0, -0.06), (reach, 0, 0.0), (reach, 0, 0.07)], 18)
        parts += [tube(arm, 0.009, "stand").turned("z", angle)]
        parts += [part.moved(reach, 0, 0.07).turned("z", angle) for part in cup]
    return parts


def _cup_shade(rng: Generator) -> list[Part]:
    if chance(rng, 0.5):
        return [ball((0.06, 0.06, 0.06), (0, 0, 0.06), "shade", sides=14)]
    profile: Floats = np.array(
        [(0, 0), (0.03, 0), (0.05, 0.04), (0.075, 0.1), (0.07, 0.1), (0.04, 0.03), (0, 0.01)]
    )
    return [lathe(profile, "shade", sides=20), ball((0.02, 0.02, 0.04), (0, 0, 0.05), "bulb", sides=8)]
