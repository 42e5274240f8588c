"""Tables and desks."""

import numpy as np

from hifa_cli.synthetic.chairs import legs
from hifa_cli.synthetic.primitives import Part, ball, box, curve, lathe, oval, prism, rod, tube
from hifa_cli.synthetic.sampling import chance, pick

Generator = np.random.Generator


def table(rng: Generator) -> list[Part]:
    """Return a dining, side or coffee table, or a desk."""
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
    """Return one or two chests of drawers under the top, legs or a panel at the other end."""
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
