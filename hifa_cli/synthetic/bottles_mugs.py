"""Mugs and bottles: outlines turned about their axis, and what is stuck to them."""

import numpy as np

from hifa_cli.synthetic.primitives import Floats, Part, ball, box, curve, lathe, loft, oval, rod, tube
from hifa_cli.synthetic.sampling import chance, pick

Generator = np.random.Generator


def mug(rng: Generator) -> list[Part]:
    """Return a mug, tea cup, tankard or lidded beaker, its handle towards +Y."""
    radius = rng.uniform(0.035, 0.05)
    make = pick(rng, ("straight", "tapered", "bulbous", "waisted", "cup", "tankard"), (5, 3, 3, 2, 3, 1.5))
    tall = radius * {"cup": rng.uniform(1.0, 1.5), "tankard": rng.uniform(2.6, 3.6)}.get(
        make, rng.uniform(1.8, 2.7)
    )
    outer = _mug_side(rng, make, radius, tall)
    wall = rng.uniform(0.05, 0.1) * radius
    inner = outer[::-1] * np.array([1.0, 1.0]) - np.array([wall, 0.0])
    inner = inner[inner[:, 1] > 0.08 * tall]
    base = [(0.0, 0.0), (0.9 * outer[0, 0], 0.0)]
    lip = [(outer[-1, 0] - wall / 2, tall + wall / 3)]
    profile = np.concatenate([base, outer, lip, inner, [(0.0, 0.08 * tall)]])
    parts = [lathe(profile, "vessel", sides=40), *_handle(rng, make, outer, radius, tall)]
    if make == "cup" and chance(rng, 0.6):
        dish = (
            np.array([(0, 0), (0.9, 0), (1.7, 0.2), (1.75, 0.27), (1.65, 0.27), (0.9, 0.1), (0, 0.1)])
            * radius
        )
        parts = [part.moved(z=0.1 * radius) for part in parts] + [lathe(dish, "vessel", sides=40)]
    if make == "tankard" and chance(rng, 0.4):
        dome = (
            np.array([(0, 0.5), (0.1, 0.45), (0.12, 0.3), (0.8, 0.18), (1.04, 0), (0, 0)])[::-1]
            * outer[-1, 0]
        )
        parts.append(lathe(dome, "metal", sides=32).moved(z=tall))
    elif chance(rng, 0.6):
        parts.append(
            lathe(
                [
                    (0, 0.72 * tall),
                    (0.96 * float(np.interp(0.72 * tall, outer[:, 1], outer[:, 0])) - wall, 0.72 * tall),
                    (0, 0.721 * tall),
                ],
                "drink",
                sides=32,
            )
        )
    return parts


def _mug_side(rng: Generator, make: str, radius: float, tall: float) -> Floats:
    """Radius and height of the outside, from foot to lip: (16, 2)."""
    t = np.linspace(0, 1, 16)
    swing = rng.uniform(0.1, 0.25)
    shape = {
        "straight": np.ones(16) - 0.1 * (t < 0.05),
        "tapered": 1 - swing * (1 - t) if chance(rng, 0.75) else 1 - swing * t,
        "bulbous": 0.75 + 1.2 * swing * np.sin(np.pi * (0.1 + 0.75 * t)),
        "waisted": 1 - swing * np.sin(np.pi * t) ** 2,
        "cup": 0.5 + 0.55 * np.sqrt(np.clip(1 - (1 - t) ** rng.uniform(1.6, 2.6), 0, 1)),
        "tankard": 1.05 - 0.25 * t + 0.05 * np.sin(6 * np.pi * t),
    }[make]
    return np.stack([radius * shape, tall * (0.01 + 0.99 * t)], axis=1)


def _handle(rng: Generator, make: str, outer: Floats, radius: float, tall: float) -> list[Part]:
    low, high = (0.2, 0.85) if make != "cup" else (0.3, 0.9)
    low, high = low + rng.uniform(-0.05, 0.12), high + rng.uniform(-0.1, 0.04)
    reach, form = radius * rng.uniform(0.5, 0.85), pick(rng, ("c", "ear", "square", "angle"), (4, 3, 2, 1))
    (y_low, y_high), gap = (
        np.interp([low * tall, high * tall], outer[:, 1], outer[:, 0]) - 0.02 * radius,
        high - low,
    )
    inward = {
        "c": [(0, high), (0.75, high + 0.03), (1, high - 0.35 * gap), (0.75, low + 0.1 * gap), (0, low)],
        "ear": [(0, high), (0.7, high + 0.06), (1, high - 0.2 * gap), (0.5, low + 0.3 * gap), (0, low)],
        "square": [(0, high), (0.9, high), (1, high - 0.1 * gap), (1, low + 0.1 * gap), (0.9, low), (0, low)],
        "angle": [(0, high), (0.6, high), (1, high), (0.5, low + 0.4 * gap), (0, low)],
    }[form]
    knots = [
        (
            (y_low if i == len(inward) - 1 else y_high if i == 0 else (y_low + y_high) / 2) + reach * r,
            tall * z,
        )
        for i, (r, z) in enumerate(inward)
    ]
    path = curve([(0.0, y, z) for y, z in knots], 26)
    return [tube(path, rng.uniform(0.09, 0.15) * radius, "handle", sides=12, flat=rng.uniform(0.8, 1.5))]


def bottle(rng: Generator) -> list[Part]:
    """Return a wine, beer, water, spirit or sauce bottle, a flask, a carafe or a spray bottle."""
    make = pick(
        rng,
        ("wine", "round", "beer", "plastic", "square", "jug", "spray", "flask"),
        (4, 2, 3, 3, 2.5, 1.5, 2, 2),
    )
    tall, radius = rng.uniform(0.2, 0.34), rng.uniform(0.032, 0.045)
    if make in ("square", "spray"):
        return _cornered(rng, make, tall, 1.15 * radius)
    side = _bottle_side(rng, make)
    profile = curve(side, 56).clip(0, None) * np.array([radius, tall])
    body = np.concatenate([[(0.0, 0.006)], profile, [(0.0, tall)]])
    if make == "plastic":
        rib = 1 - 0.045 * (np.sin(body[:, 1] / tall * 60) > 0.2) * (body[:, 1] < 0.6 * tall)
        body = body * np.stack([rib, np.ones(len(body))], axis=1)
    parts = [lathe(body, "glass", sides=32), *_closure(rng, make, float(profile[-1, 0]), tall)]
    if make != "jug" and chance(rng, 0.75):
        parts.append(_label(rng, profile, tall))
    if make in ("jug", "flask") and chance(rng, 0.7):
        top = float(np.interp(0.93 * tall, profile[:, 1], profile[:, 0]))
        path = [
            (0, top, 0.93 * tall),
            (0, top + 0.9 * radius, 0.92 * tall),
            (0, top + radius, 0.75 * tall),
            (0, 0.9 * radius, 0.55 * tall),
        ]
        parts.append(tube(curve(path, 20), 0.006, "glass", flat=1.6))
    return parts


def _bottle_side(rng: Generator, make: str) -> list[tuple[float, float]]:
    """Knots of the outside as shares of radius and height."""
    neck, shoulder = rng.uniform(0.28, 0.42), rng.uniform(0.52, 0.68)
    slope = rng.uniform(0.06, 0.22)
    foot = [(0.85, 0.0), (0.98, 0.015), (1.0, 0.04), (1.0, 0.3 * shoulder)]
    if make == "flask":
        wide = rng.uniform(1.3, 1.9)
        return [
            (0.6, 0.0),
            (wide, 0.12),
            (1.05 * wide, 0.28),
            (0.7 * wide, 0.48),
            (neck, 0.62),
            (neck, 0.9),
            (1.25 * neck, 1.0),
        ]
    if make == "jug":
        return [
            (0.8, 0.0),
            (1.2, 0.05),
            (1.45, 0.3),
            (1.4, 0.5),
            (0.8, 0.72),
            (1.1 * neck, 0.82),
            (1.1 * neck, 0.95),
            (1.3 * neck, 1.0),
        ]
    if make == "round":
        return [
            *foot,
            (1.0, 0.85 * shoulder),
            (0.95, shoulder),
            (neck, shoulder + slope),
            (neck, 0.95),
            (1.15 * neck, 0.96),
            (1.15 * neck, 1.0),
        ]
    if make == "plastic":
        waist = rng.uniform(0.82, 1.0)
        return [
            *foot,
            (waist, 0.4),
            (1.0, 0.6),
            (0.9, 0.75),
            (1.1 * neck, 0.9),
            (1.1 * neck, 0.95),
            (1.1 * neck, 1.0),
        ]
    high = shoulder if make == "wine" else 0.9 * shoulder
    return [
        *foot,
        (1.0, high - 0.03),
        (0.97, high),
        (1.1 * neck, high + slope),
        (neck, high + slope + 0.08),
        (0.95 * neck, 0.96),
        (1.1 * neck, 1.0),
    ]


def _closure(rng: Generator, make: str, neck: float, tall: float) -> list[Part]:
    form = pick(rng, ("cap", "cork", "foil", "none", "ball"), (5, 1.5, 2.5, 1.5, 1))
    if form == "none":
        return []
    if form == "cork":
        return [rod((0, 0, tall - 0.01), (0, 0, tall + 0.018), 0.8 * neck, "cork", sides=16)]
    if form == "ball":
        return [ball((1.2 * neck, 1.2 * neck, 1.3 * neck), (0, 0, tall + 0.8 * neck), "cap", sides=16)]
    if form == "foil" and make in ("wine", "beer"):
        return [
            lathe(
                [
                    (0, 0.84 * tall),
                    (1.12 * neck, 0.84 * tall),
                    (1.05 * neck, 0.96 * tall),
                    (1.1 * neck, 1.004 * tall),
                    (0, 1.004 * tall),
                ],
                "cap",
                sides=24,
            )
        ]
    return [rod((0, 0, tall - 0.018), (0, 0, tall + 0.006), 1.13 * neck, "cap", sides=24)]


def _label(rng: Generator, profile: Floats, tall: float) -> Part:
    low, high = rng.uniform(0.1, 0.2), rng.uniform(0.35, 0.5)
    heights = np.linspace(low, high, 8) * tall
    radius = np.interp(heights, profile[:, 1], profile[:, 0]) * 1.012
    turn = np.linspace(0, 2 * np.pi if chance(rng, 0.4) else rng.uniform(2.2, 4.2), 33)
    turn = turn - turn.mean()
    rings = [
        np.stack([r * np.cos(turn), r * np.sin(turn), np.full(33, z)], axis=1)
        for r, z in zip(radius, heights, strict=True)
    ]
    back = [ring * np.array([0.99, 0.99, 1]) for ring in rings]
    return loft([np.concatenate([near, far[::-1]]) for near, far in zip(rings, back, strict=True)], "label")


def _cornered(rng: Generator, make: str, tall: float, radius: float) -> list[Part]:
    """Return a bottle of square or oval section: spirits, or household stuff with a trigger."""
    deep = rng.uniform(0.5, 1.0)
    power, shoulder = rng.uniform(2.5, 7), rng.uniform(0.6, 0.75)
    tall = 0.8 * tall
    neck = rng.uniform(0.3, 0.42)
    rings = []
    for share, size in (
        (0, 0.93),
        (0.015, 1),
        (0.3 * shoulder, 1),
        (0.9 * shoulder, 1),
        (shoulder, 0.94),
        (shoulder + 0.1, neck),
        (1, neck),
    ):
        round_off = power if size > 0.9 else 2.0
        wide = 2 * radius * size
        section = oval(wide * (deep if size > 0.9 else 1), wide, power=round_off, sides=36)
        rings.append(np.column_stack([section, np.full(36, share * tall)]))
    parts = [loft(rings, "glass")]
    if chance(rng, 0.7):
        parts.append(box((2.03 * radius * deep, 1.3 * radius, 0.35 * tall), (0, 0, 0.36 * tall), "label"))
    if make == "square":
        return parts + _closure(rng, make, neck * radius, tall)
    head = box(
        (0.35 * tall, 0.4 * radius, 0.1 * tall), (0.06 * tall, 0, 1.12 * tall), "cap", bevel=0.004, steps=2
    )
    trigger = tube(
        curve([(0.1 * tall, 0, 1.1 * tall), (0.14 * tall, 0, 1.0 * tall), (0.1 * tall, 0, 0.9 * tall)], 10),
        0.005,
        "cap",
        flat=1.5,
    )
    return [
        *parts,
        rod((0, 0, 0.97 * tall), (0, 0, 1.1 * tall), 1.15 * neck * radius, "cap", sides=20),
        head,
        trigger,
    ]
