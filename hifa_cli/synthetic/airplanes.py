"""Aeroplanes: bodies, wings, tails, engines and wheels."""

import numpy as np

from hifa_cli.synthetic.primitives import Part, ball, box, lathe, loft, rod, tube
from hifa_cli.synthetic.sampling import chance, pick

Generator = np.random.Generator


def airplane(rng: Generator) -> list[Part]:
    """A jet liner, a private aeroplane, a fighter, a biplane, a glider or a seaplane, its nose towards +X."""
    return pick(rng, (_liner, _propeller, _fighter, _biplane, _glider, _twin), (5, 4, 3, 2, 1.5, 3))(rng)


def _fuselage(
    rng: Generator, length: float, radius: float, *, nose: float, tail: float, droop: float = 0.0
) -> Part:
    """Return a round body: ``nose`` and ``tail`` are the shares of the length over which it tapers."""
    share = np.concatenate(
        [np.linspace(0, tail, 14), np.linspace(tail, 1 - nose, 8)[1:], 1 - nose * np.linspace(1, 0, 12)[1:]]
    )
    fore = np.sqrt(np.clip(1 - ((share - 1 + nose) / nose).clip(0) ** 2, 0, 1))
    aft = 1 - 0.88 * ((tail - share) / tail).clip(0) ** rng.uniform(1.5, 2.2)
    size = radius * fore * aft
    x = (share - 0.5) * length
    rise = radius * (0.7 * (1 - aft)) - droop * radius * (1 - fore)
    angle = np.arange(24) * (2 * np.pi / 24)
    tall = rng.uniform(0.95, 1.2)
    rings = np.stack(
        np.broadcast_arrays(
            x[:, None], size[:, None] * np.cos(angle), rise[:, None] + tall * size[:, None] * np.sin(angle)
        ),
        axis=-1,
    )
    return loft(rings, "body")


def wing(
    root: float, tip: float, span: float, sweep: float, role: str, *, rise: float = 0.0, thick: float = 0.12
) -> Part:
    """Return half a wing towards +Y with its root's middle at the origin.

    Args:
        root: chord there.
        tip: chord at the end.
        span: of the half.
        sweep: how far back the tip's middle lies.
        role: see `Part`.
        rise: how much higher the tip lies.
        thick: thickness over chord.

    Returns:
        One part, wound outward.
    """
    t = np.arange(20) * (2 * np.pi / 20)
    foil = np.stack([0.5 * np.cos(t), 0.5 * thick * np.sin(t) * (1.0 + 0.55 * np.cos(t))], axis=1)
    rings = []
    for share in (0.0, 0.25, 0.5, 0.75, 0.94, 1.0):
        chord = (root + (tip - root) * share) * (0.6 if share == 1.0 else 1.0)
        section = foil * chord
        y, x, z = span * share, -sweep * share, rise * share
        rings.append(np.stack([section[:, 0] + x, np.full(20, y), section[:, 1] + z], axis=1))
    return loft(rings, role)


def _pair(part: Part) -> list[Part]:
    return [part, part.scaled(y=-1)]


def _fin(root: float, tip: float, tall: float, sweep: float, x: float, z: float) -> Part:
    return wing(root, tip, tall, sweep, "tail", thick=0.1).turned("x", 90).moved(x=x, z=z)


def _tail(rng: Generator, length: float, radius: float, *, high: bool | None = None) -> list[Part]:
    """Return a fin and a tailplane, below or on top of the fin."""
    tall, x = rng.uniform(0.12, 0.17) * length, -0.43 * length
    sweep = rng.uniform(0.3, 0.9) * tall
    on_top = chance(rng, 0.25) if high is None else high
    chord = rng.uniform(0.1, 0.15) * length
    parts = [_fin(1.2 * chord, 0.6 * chord, tall, sweep, x, 0.8 * radius)]
    half = rng.uniform(0.13, 0.19) * length
    z, back = (0.8 * radius + tall, sweep) if on_top else (0.7 * radius, 0.0)
    plane = wing(0.8 * chord, 0.45 * chord, half, rng.uniform(0.1, 0.6) * half, "tail", rise=0.05 * half)
    return parts + [part.moved(x - back, 0, z) for part in _pair(plane)]


def _nacelle(length: float, radius: float) -> list[Part]:
    profile = np.array(
        [(0, -0.5), (0.55, -0.5), (0.9, -0.1), (1, 0.25), (0.92, 0.5), (0.8, 0.5), (0.75, 0.2), (0, 0.2)]
    )
    shell = lathe(profile * np.array([radius, length]), "engine", sides=20)
    cone = ball((0.3 * radius, 0.3 * radius, 0.2 * length), (0, 0, 0.2 * length), "metal", sides=10)
    return [part.turned("y", 90) for part in (shell, cone)]


def _propeller_at(rng: Generator, x: float, y: float, z: float, reach: float) -> list[Part]:
    blades = int(rng.integers(2, 5))
    start = rng.uniform(0, 180)
    parts = [ball((0.18 * reach, 0.13 * reach, 0.13 * reach), (0, 0, 0), "metal", sides=12)]
    for index in range(blades):
        blade = box(
            (0.02 * reach, 0.14 * reach, reach), (0, 0, 0.5 * reach), "propeller", bevel=0.009 * reach
        )
        parts.append(blade.turned("z", 25).turned("x", start + 360 * index / blades))
    return [part.moved(x, y, z) for part in parts]


def _gear(points: list[tuple[float, float]], top: float, radius: float) -> list[Part]:
    """Wheels on struts; the ground lies where the tallest ends."""
    parts = []
    low = top - 4.5 * radius
    for x, y in points:
        parts.append(rod((x, y, top), (x, y, low), 0.22 * radius, "metal", sides=8))
        tyre = lathe(
            radius * np.array([(0, -0.3), (0.8, -0.35), (1, -0.15), (1, 0.15), (0.8, 0.35), (0, 0.3)]),
            "tyre",
            sides=16,
        )
        parts.append(tyre.turned("x", 90).moved(x, y, low))
    return parts


def _portholes(length: float, radius: float, count: int) -> list[Part]:
    x = np.linspace(-0.3, 0.36, count) * length
    panes = [
        ball(
            (0.008 * length, 0.08 * radius, 0.14 * radius),
            (place, 0.97 * radius, 0.25 * radius),
            "glass",
            sides=6,
        )
        for place in x
    ]
    return [part for pane in panes for part in _pair(pane)]


def _liner(rng: Generator) -> list[Part]:
    length = rng.uniform(28, 60)
    radius = length * rng.uniform(0.045, 0.06)
    span, sweep = rng.uniform(0.4, 0.52) * length, rng.uniform(0.12, 0.3) * length
    root = rng.uniform(0.16, 0.22) * length
    high = chance(rng, 0.2)
    z = 0.7 * radius if high else -0.6 * radius
    rear_engines = chance(rng, 0.3)
    parts = [
        _fuselage(rng, length, radius, nose=rng.uniform(0.12, 0.2), tail=rng.uniform(0.25, 0.4), droop=0.15)
    ]
    half = wing(root, 0.3 * root, span, sweep, "wing", rise=(-0.02 if high else 0.09) * span, thick=0.1)
    parts += [part.moved(0.02 * length, 0, z) for part in _pair(half)]
    parts += _tail(rng, length, radius, high=True if rear_engines else None)
    engine = _nacelle(0.09 * length, 0.35 * radius * rng.uniform(1.0, 1.5))
    places = (
        [(-0.3, 1.6 * radius / span, 0.4)]
        if rear_engines
        else [(0.09, 0.33, -0.55), *([(0.0, 0.62, -0.4)] if chance(rng, 0.35) else [])]
    )
    for x, share, drop in places:
        lift = z + drop * radius if not rear_engines else drop * radius
        parts += [
            part
            for piece in engine
            for part in _pair(
                piece.moved(x * length - (0 if rear_engines else sweep * share), span * share, lift)
            )
        ]
    parts += _portholes(length, radius, int(rng.integers(14, 26)))
    parts.append(
        ball(
            (0.03 * length, 0.7 * radius, 0.3 * radius), (0.435 * length, 0, 0.45 * radius), "glass", sides=14
        )
    )
    if chance(rng, 0.5):
        parts += _gear(
            [(0.36 * length, 0), (-0.02 * length, 0.9 * radius), (-0.02 * length, -0.9 * radius)],
            -0.6 * radius,
            0.22 * radius,
        )
    return parts


def _light_body(rng: Generator, length: float, radius: float) -> list[Part]:
    glass = ball(
        (0.14 * length, 0.75 * radius, 0.75 * radius), (0.1 * length, 0, 0.8 * radius), "glass", sides=18
    )
    return [_fuselage(rng, length, radius, nose=rng.uniform(0.12, 0.25), tail=rng.uniform(0.45, 0.6)), glass]


def _propeller(rng: Generator) -> list[Part]:
    length = rng.uniform(6.5, 9.5)
    radius, span = length * rng.uniform(0.07, 0.09), length * rng.uniform(0.55, 0.72)
    high = chance(rng, 0.5)
    z, chord = (1.3 * radius if high else -0.5 * radius), rng.uniform(0.17, 0.23) * length
    half = wing(
        chord,
        rng.uniform(0.55, 1.0) * chord,
        span,
        rng.uniform(-0.02, 0.08) * span,
        "wing",
        rise=(0.02 if high else 0.1) * span,
    )
    parts = [
        *_light_body(rng, length, radius),
        *_tail(rng, length, 0.6 * radius),
        *(part.moved(0.1 * length, 0, z) for part in _pair(half)),
    ]
    parts += _propeller_at(rng, 0.5 * length, 0, -0.1 * radius, 0.13 * length)
    if high:
        strut = rod(
            (0.1 * length, 0.9 * radius, -0.4 * radius), (0.1 * length, 0.45 * span, z), 0.05, "metal"
        )
        parts += _pair(strut)
    points = [(0.36, 0.0), (0.03, 0.2)] if chance(rng, 0.6) else [(-0.42, 0.0), (0.18, 0.2)]
    gear = [
        (points[0][0] * length, 0.0),
        *((points[1][0] * length, side * points[1][1] * span) for side in (-1, 1)),
    ]
    return parts + _gear(gear, -0.3 * radius, 0.035 * length)


def _fighter(rng: Generator) -> list[Part]:
    length = rng.uniform(13, 19)
    radius, span = 0.055 * length, rng.uniform(0.26, 0.38) * length
    delta = chance(rng, 0.5)
    root = rng.uniform(0.42, 0.55) * length if delta else rng.uniform(0.25, 0.32) * length
    half = wing(
        root, 0.12 * root, span, rng.uniform(0.3, 0.42) * root if delta else 0.15 * length, "wing", thick=0.05
    )
    parts = [
        _fuselage(rng, length, radius, nose=rng.uniform(0.35, 0.5), tail=0.12),
        *(part.moved(-0.1 * length) for part in _pair(half)),
    ]
    parts.append(
        ball((0.1 * length, 0.55 * radius, 0.75 * radius), (0.2 * length, 0, 0.7 * radius), "glass", sides=18)
    )
    fin = _fin(
        0.17 * length,
        0.07 * length,
        rng.uniform(0.13, 0.18) * length,
        0.09 * length,
        -0.36 * length,
        0.4 * radius,
    )
    parts += _pair(fin.turned("x", -14).moved(y=radius)) if chance(rng, 0.5) else [fin]
    if not delta:
        tail = wing(0.13 * length, 0.05 * length, 0.16 * length, 0.08 * length, "tail", thick=0.06)
        parts += [part.moved(-0.42 * length) for part in _pair(tail)]
    intake = box(
        (0.4 * length, 0.9 * radius, 1.1 * radius),
        (-0.05 * length, 1.1 * radius, -0.1 * radius),
        "body",
        bevel=0.3 * radius,
        steps=2,
    )
    parts += _pair(intake)
    if chance(rng, 0.6):
        missile = tube(
            [(-0.02 * length, 0, 0), (0.1 * length, 0, 0), (0.13 * length, 0, 0)],
            [0.012 * length, 0.012 * length, 0.002 * length],
            "engine",
        )
        parts += _pair(missile.moved(-0.16 * length, 0.75 * span, -0.02 * length))
    return parts


def _biplane(rng: Generator) -> list[Part]:
    length = rng.uniform(6, 8.5)
    radius, span, chord = 0.075 * length, length * rng.uniform(0.5, 0.65), 0.19 * length
    gap, stagger = rng.uniform(2.2, 3.0) * radius, rng.uniform(0, 0.08) * length
    half = wing(chord, 0.9 * chord, span, 0.0, "wing", rise=0.02 * span, thick=0.08)
    parts = [
        _fuselage(rng, length, radius, nose=0.1, tail=0.6),
        *_tail(rng, length, 0.5 * radius, high=False),
    ]
    for z, x in ((-0.7 * radius, 0.12 * length), (gap, 0.12 * length + stagger)):
        parts += [part.moved(x, 0, z) for part in _pair(half)]
    for y in (0.15 * span, 0.7 * span):
        for shift in (-0.3 * chord, 0.3 * chord):
            parts += _pair(
                rod(
                    (0.12 * length + shift, y, -0.7 * radius),
                    (0.12 * length + stagger + shift, y, gap),
                    0.03,
                    "metal",
                    sides=6,
                )
            )
    parts += [
        ball(
            (0.05 * length, 0.4 * radius, 0.25 * radius),
            (-0.06 * length, 0, 0.95 * radius),
            "glass",
            sides=10,
        )
    ]
    parts += _propeller_at(rng, 0.5 * length, 0, 0, 0.15 * length)
    return parts + _gear(
        [(0.22 * length, 0.12 * length), (0.22 * length, -0.12 * length), (-0.45 * length, 0)],
        -0.5 * radius,
        0.04 * length,
    )


def _glider(rng: Generator) -> list[Part]:
    length = rng.uniform(6, 8)
    radius, span, chord = 0.055 * length, length * rng.uniform(0.95, 1.25), 0.12 * length
    half = wing(chord, 0.4 * chord, span, rng.uniform(-0.02, 0.05) * span, "wing", rise=0.07 * span)
    parts = [
        _fuselage(rng, length, radius, nose=0.3, tail=0.5),
        *_tail(rng, length, 0.5 * radius, high=chance(rng, 0.7)),
    ]
    parts += [part.moved(0.08 * length, 0, 0.6 * radius) for part in _pair(half)]
    return [
        *parts,
        ball(
            (0.13 * length, 0.7 * radius, 0.75 * radius), (0.27 * length, 0, 0.5 * radius), "glass", sides=18
        ),
    ]


def _twin(rng: Generator) -> list[Part]:
    """Return two or four propellers on the wings, with floats in a few."""
    length = rng.uniform(11, 20)
    radius, span = 0.065 * length, rng.uniform(0.48, 0.6) * length
    high, chord = chance(rng, 0.5), 0.16 * length
    z = 1.0 * radius if high else -0.5 * radius
    half = wing(chord, 0.5 * chord, span, 0.03 * span, "wing", rise=(0.02 if high else 0.08) * span)
    parts = [_fuselage(rng, length, radius, nose=0.2, tail=0.45), *_tail(rng, length, 0.8 * radius)]
    parts += [part.moved(0.08 * length, 0, z) for part in _pair(half)] + _portholes(length, radius, 9)
    parts.append(
        ball(
            (0.05 * length, 0.75 * radius, 0.4 * radius), (0.38 * length, 0, 0.5 * radius), "glass", sides=14
        )
    )
    for share in (0.3, 0.58) if chance(rng, 0.3) else (0.35,):
        pod = ball(
            (0.1 * length, 0.4 * radius, 0.4 * radius),
            (0.11 * length, share * span, z + 0.03 * span),
            "engine",
            sides=14,
        )
        parts += _pair(pod)
        for side in (-1, 1):
            parts += _propeller_at(rng, 0.21 * length, side * share * span, z + 0.03 * span, 0.095 * length)
    if chance(rng, 0.25):
        pontoon = ball(
            (0.3 * length, 0.4 * radius, 0.4 * radius),
            (0.03 * length, 0.13 * length, -2.6 * radius),
            "engine",
            sides=16,
        )
        struts = [
            rod((x, 0.13 * length, -2.4 * radius), (x, 0.7 * radius, 0), 0.05, "metal")
            for x in (-0.1 * length, 0.15 * length)
        ]
        return parts + [part for piece in (pontoon, *struts) for part in _pair(piece)]
    return parts + _gear(
        [(0.35 * length, 0), (0.03 * length, 0.15 * length), (0.03 * length, -0.15 * length)],
        -0.5 * radius,
        0.025 * length,
    )
