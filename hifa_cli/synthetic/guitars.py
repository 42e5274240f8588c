"""Guitars, acoustic and electric."""

import numpy as np

from hifa_cli.synthetic.primitives import Floats, Part, ball, box, curve, lathe, prism, rod, tube
from hifa_cli.synthetic.sampling import chance, pick

Generator = np.random.Generator

# Half outlines from tail (x = 0) to neck, as shares of the body's length and half width; mirrored about X.
BODIES: dict[str, list[tuple[float, float]]] = {
    "dreadnought": [
        (0, 0.6),
        (0.1, 0.95),
        (0.25, 1.0),
        (0.45, 0.86),
        (0.6, 0.72),
        (0.75, 0.76),
        (0.9, 0.74),
        (1, 0.4),
    ],
    "classical": [
        (0, 0.55),
        (0.1, 0.9),
        (0.27, 1.0),
        (0.47, 0.78),
        (0.58, 0.66),
        (0.75, 0.74),
        (0.92, 0.66),
        (1, 0.3),
    ],
    "single": [
        (0, 0.5),
        (0.1, 0.92),
        (0.28, 1.0),
        (0.48, 0.76),
        (0.6, 0.66),
        (0.8, 0.76),
        (0.95, 0.6),
        (1, 0.25),
    ],
    "double": [
        (0, 0.4),
        (0.08, 0.85),
        (0.25, 1.0),
        (0.47, 0.72),
        (0.65, 0.66),
        (0.85, 0.85),
        (1.08, 0.75),
        (0.97, 0.4),
        (0.84, 0.2),
    ],
    "tele": [
        (0, 0.55),
        (0.08, 0.92),
        (0.27, 1.0),
        (0.48, 0.74),
        (0.6, 0.68),
        (0.8, 0.78),
        (0.95, 0.7),
        (1, 0.25),
    ],
    "vee": [(0.22, 0.1), (0.0, 0.85), (0.06, 1.05), (0.5, 0.55), (0.9, 0.2), (1, 0.1)],
    "round": [(0, 0.5), (0.15, 0.9), (0.35, 1.0), (0.6, 0.95), (0.8, 0.75), (1, 0.3)],
}


def guitar(rng: Generator) -> list[Part]:
    """A guitar, bass, ukulele or banjo-like round one, standing on its tail with its strings towards +X."""
    make = pick(rng, tuple(BODIES), (3.5, 2.5, 3, 4, 2, 1.2, 0.8))
    acoustic = make in ("dreadnought", "classical", "round")
    scale = 0.6 if acoustic and chance(rng, 0.2) else 1.0
    length, half = rng.uniform(0.42, 0.52) * scale, rng.uniform(0.15, 0.2) * scale
    deep = rng.uniform(0.08, 0.12) * scale if acoustic else rng.uniform(0.035, 0.055)
    neck = rng.uniform(0.42, 0.62) * scale * (1.2 if not acoustic and chance(rng, 0.2) else 1.0)
    body = prism(_outline(rng, make, length, half), deep, "body", bevel=0.008 if acoustic else 0.014)
    parts = [body, *_neck(rng, length, neck, deep, scale)]
    parts += (
        _acoustic_front(rng, make, length, half, deep)
        if acoustic
        else _electric_front(rng, length, half, deep)
    )
    parts += _strings(rng, 0.26 * length, length + neck, deep, scale)
    # Made lying on its back with the neck towards +X: stood up, strings forward.
    return [part.turned("y", -90).scaled(x=-1) for part in parts]


def _outline(rng: Generator, make: str, length: float, half: float) -> Floats:
    knots = np.array(BODIES[make]) + rng.normal(0, 0.015, (len(BODIES[make]), 2))
    upper = curve(knots, 30) * np.array([length, half])
    lower = upper[::-1] * np.array([1.0, -1.0])
    if make in ("single", "tele"):
        horn = lower[:, 0] > 0.72 * length
        lower[horn, 1] *= np.interp(lower[horn, 0], [0.72 * length, 0.86 * length, length], [1, 0.95, 0.4])
        lower[horn, 0] = 0.72 * length + (lower[horn, 0] - 0.72 * length) * 0.7
    return np.concatenate([upper, lower])


def _neck(rng: Generator, length: float, neck: float, deep: float, scale: float) -> list[Part]:
    wide, top = 0.026 * scale, deep / 2
    bar = box(
        (neck + 0.06, 1.9 * wide, 0.026),
        (length + neck / 2 - 0.03, 0, top - 0.009),
        "neck",
        bevel=0.009,
        steps=2,
    )
    board = box(
        (neck + 0.12 * length, 2 * wide, 0.007),
        (length + neck / 2 - 0.06 * length, 0, top + 0.006),
        "fretboard",
    )
    frets = [
        box(
            (0.0025, 2 * wide, 0.002), (length + neck * (2 ** (-i / 12) * 1.9 - 0.9), 0, top + 0.011), "metal"
        )
        for i in range(0, 13)
    ]
    long, angle = rng.uniform(0.13, 0.18) * scale, rng.uniform(0, 12)
    form = pick(rng, ("paddle", "hooked", "flared"))
    tip = {"paddle": 1.0, "hooked": rng.uniform(0.6, 1.0), "flared": 1.35}[form]
    skew = 0.6 * wide if form == "hooked" else 0.0
    outline = curve(
        [
            (0, wide),
            (0.2 * long, 1.5 * wide),
            (long, 1.5 * wide * tip + skew),
            (1.04 * long, skew),
            (long, skew - 1.5 * wide * tip),
            (0.2 * long, -1.5 * wide),
            (0, -wide),
        ],
        28,
        looped=True,
    )
    head = [prism(outline, 0.016, "head", bevel=0.003)]
    for place in (0.25, 0.52, 0.8):
        for side in (-1, 1) if form != "hooked" else (1, 1):
            y = side * (1.5 * wide + 0.016)
            shift = 0.13 * long if form == "hooked" and len(head) % 4 > 1 else 0.0
            head += [
                ball((0.008, 0.011, 0.006), (place * long + shift, y, -0.004), "metal", sides=8),
                rod(
                    (place * long + shift, y - side * 0.016, 0),
                    (place * long + shift, y - side * 0.016, 0.018),
                    0.004,
                    "metal",
                    sides=8,
                ),
            ]
    return [
        bar,
        board,
        *frets,
        *(part.turned("y", angle).moved(x=length + neck, z=top - 0.006) for part in head),
    ]


def _acoustic_front(rng: Generator, make: str, length: float, half: float, deep: float) -> list[Part]:
    x, radius, top = 0.66 * length, rng.uniform(0.26, 0.32) * half, deep / 2
    disc = lathe([(0, 0), (radius, 0), (radius, 0.002), (0, 0.002)], "hole", sides=32).moved(x, 0, top)
    angle = np.linspace(0, 2 * np.pi, 33)[:-1]
    ring = tube(
        np.stack([x + 1.1 * radius * np.cos(angle), 1.1 * radius * np.sin(angle), np.full(32, top)], axis=1),
        0.003,
        "rosette",
        looped=True,
        sides=6,
        flat=2.5,
    )
    bridge = box((0.028, 0.75 * half, 0.014), (0.27 * length, 0, top + 0.005), "fretboard", bevel=0.005)
    parts = [disc, ring, bridge]
    if make == "dreadnought" and chance(rng, 0.6):
        guard = curve(
            [(0.62, -0.25), (0.5, -0.3), (0.38, -0.5), (0.48, -0.66), (0.62, -0.5)], 24, looped=True
        ) * np.array([length, half])
        parts.append(prism(guard, 0.002, "guard").moved(z=top + 0.0015))
    return parts


def _electric_front(rng: Generator, length: float, half: float, deep: float) -> list[Part]:
    top = deep / 2
    places = (0.36, 0.53, 0.7)[: int(rng.integers(1, 4))]
    parts = [
        box((rng.uniform(0.02, 0.04), 0.085, 0.016), (share * length, 0, top + 0.004), "pickup", bevel=0.004)
        for share in places
    ]
    parts.append(box((0.03, 0.08, 0.016), (0.24 * length, 0, top + 0.006), "metal", bevel=0.004))
    if chance(rng, 0.6):
        guard = curve(
            [
                (0.85, 0.3),
                (0.6, 0.5),
                (0.35, 0.35),
                (0.22, -0.2),
                (0.2, -0.65),
                (0.35, -0.72),
                (0.6, -0.5),
                (0.85, -0.3),
            ],
            36,
            looped=True,
        )
        parts.append(prism(guard * np.array([length, half]), 0.003, "guard").moved(z=top + 0.001))
    for index in range(int(rng.integers(2, 5))):
        x, y = (0.12 + 0.09 * index) * length, -0.55 * half - 0.04 * half * index
        parts.append(rod((x, y, top), (x, y, top + 0.014), 0.01, "knob", sides=14))
    return parts


def _strings(rng: Generator, start: float, end: float, deep: float, scale: float) -> list[Part]:
    count = pick(rng, (4, 6, 6, 6))
    z = deep / 2 + 0.012
    return [
        rod((start, y, z), (end, 0.75 * y, z), 0.0007, "string", sides=4)
        for y in scale * np.linspace(-0.024, 0.024, count)
    ]
