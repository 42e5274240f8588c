"""Lamps: standing, on a desk, and hanging."""

import numpy as np

from hifa_cli.synthetic.primitives import Floats, Part, ball, box, curve, lathe, rod, tube
from hifa_cli.synthetic.sampling import chance, pick

Generator = np.random.Generator


def lamp(rng: Generator) -> list[Part]:
    """Return a floor, table, desk or hanging lamp."""
    return pick(
        rng,
        (_table_lamp, _floor_lamp, _desk_lamp, _arc_lamp, _tripod_lamp, _pendant, _chandelier),
        (5, 3, 4, 1.5, 1.5, 3, 1),
    )(rng)


def _shade(rng: Generator, size: float) -> list[Part]:
    """Return a shade about the origin, hanging from z = 0: drum, cone, bell, pleats, globe or dome."""
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
    """Return two arms on a hinge, or a goose-neck, and a conical or bar-shaped head."""
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
    parts = [rod((0, 0, 0), (0, 0, 0.55), 0.012, "cord"), ball((0.05, 0.05, 0.07), (0, 0, 0.02), "stand")]
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
