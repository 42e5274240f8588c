"""Cars and aeroplanes."""

import numpy as np

from hifa_cli.demo.dice import chance, pick
from hifa_cli.demo.parts import Floats, Part, ball, box, curve, lathe, loft, oval, rod, sheet, tube

Generator = np.random.Generator

# Outlines from the side, as fractions of length (rear 0, nose 1) and of height above the sill: the line
# of bonnet and boot, then the foot and head of the rear window and of the windscreen.
CARS: dict[str, tuple[list[tuple[float, float]], tuple[float, float, float, float]]] = {
    "saloon": (
        [(0, 0.5), (0.04, 0.95), (0.2, 1.0), (0.7, 1.0), (0.95, 0.8), (1, 0.4)],
        (0.13, 0.3, 0.55, 0.71),
    ),
    "hatchback": (
        [(0, 0.5), (0.03, 1.0), (0.3, 1.02), (0.72, 1.0), (0.95, 0.75), (1, 0.4)],
        (0.02, 0.12, 0.57, 0.76),
    ),
    "estate": (
        [(0, 0.5), (0.02, 1.0), (0.3, 1.02), (0.68, 1.0), (0.95, 0.8), (1, 0.4)],
        (0.01, 0.06, 0.53, 0.7),
    ),
    "jeep": (
        [(0, 0.5), (0.01, 1.0), (0.3, 1.0), (0.7, 1.0), (0.97, 0.94), (1, 0.5)],
        (0.01, 0.03, 0.6, 0.68),
    ),
    "sports": (
        [(0, 0.6), (0.03, 1.1), (0.2, 1.05), (0.6, 0.95), (0.93, 0.72), (1, 0.3)],
        (0.08, 0.34, 0.48, 0.66),
    ),
    "van": ([(0, 0.5), (0.01, 1.0), (0.3, 1.0), (0.84, 1.0), (0.97, 0.8), (1, 0.4)], (0.0, 0.01, 0.72, 0.88)),
    "pickup": (
        [(0, 0.6), (0.01, 0.95), (0.3, 0.95), (0.72, 1.0), (0.97, 0.92), (1, 0.5)],
        (0.4, 0.43, 0.6, 0.7),
    ),
    "beetle": (
        [(0, 0.3), (0.05, 0.7), (0.2, 1.05), (0.7, 1.0), (0.9, 0.8), (1, 0.3)],
        (0.1, 0.35, 0.6, 0.68),
    ),
    "convertible": (
        [(0, 0.5), (0.04, 0.95), (0.2, 1.0), (0.7, 0.95), (0.95, 0.75), (1, 0.4)],
        (0.2, 0.3, 0.6, 0.7),
    ),
}
HEIGHTS = {
    "saloon": 1.42,
    "hatchback": 1.47,
    "estate": 1.47,
    "jeep": 1.8,
    "sports": 1.2,
    "van": 2.05,
    "pickup": 1.8,
    "beetle": 1.5,
    "convertible": 1.35,
}
LENGTHS = {
    "saloon": 4.7,
    "hatchback": 3.9,
    "estate": 4.7,
    "jeep": 4.5,
    "sports": 4.4,
    "van": 4.9,
    "pickup": 5.3,
    "beetle": 4.1,
    "convertible": 4.2,
}


def car(rng: Generator) -> list[Part]:
    """A car, van or pick-up on four wheels, its nose towards +X."""
    make = pick(rng, tuple(CARS), (4, 4, 2.5, 3, 2.5, 2, 2.5, 1, 1.5))
    line, cabin = CARS[make]
    length, height = (table[make] * rng.uniform(0.92, 1.08) for table in (LENGTHS, HEIGHTS))
    width, wheel = rng.uniform(1.68, 1.95), 0.215 * height * rng.uniform(0.95, 1.15)
    if make in ("sports", "convertible", "beetle"):
        wheel = rng.uniform(0.29, 0.33)
    sill, belt = 0.75 * wheel, height * rng.uniform(0.6, 0.67)
    knots = np.array(line) * np.array([length, belt - sill]) + np.array([-length / 2, sill])
    knots[:, 1] += rng.normal(0, 0.012, len(knots))
    parts = [_body(rng, knots, width, sill), *_wheels(rng, length, width, wheel, sill)]
    feet = np.array(cabin) * length - length / 2 + rng.normal(0, 0.03, 4)
    parts += _greenhouse(rng, make, feet, width, belt - 0.02, height)
    return parts + _trimmings(rng, make, knots, width, sill, feet[3], belt)


def _body(rng: Generator, knots: Floats, width: float, sill: float) -> Part:
    """Cross-sections along the car: full and upright amidships, drawn in at both ends."""
    x = np.linspace(knots[0, 0], knots[-1, 0], 40)
    smooth = curve(knots, 80)
    order = np.argsort(smooth[:, 0], kind="stable")
    top = np.interp(x, smooth[order, 0], smooth[order, 1])
    along = np.linspace(-1, 1, len(x))
    half = width / 2 * (1 - rng.uniform(0.08, 0.2) * np.abs(along) ** rng.uniform(4, 7))
    low = sill + 0.12 * np.abs(along) ** 8
    power, tuck = rng.uniform(3.5, 6), rng.uniform(0.02, 0.1)
    section = oval(2, 2, power=power, sides=28)
    middle, tall = (top + low) / 2, np.maximum(top - low, 0.08) / 2
    y = half[:, None] * section[:, 0] * (1 - tuck * np.maximum(section[:, 1], 0))
    z = middle[:, None] + tall[:, None] * section[:, 1]
    return loft(np.stack([np.broadcast_to(x[:, None], y.shape), y, z], axis=-1), "body")


def _wheels(rng: Generator, length: float, width: float, radius: float, sill: float) -> list[Part]:
    deep, spokes = rng.uniform(0.17, 0.24), int(rng.integers(5, 11))
    front, rear = rng.uniform(0.28, 0.33) * length, -rng.uniform(0.27, 0.32) * length
    tyre = [(0.6, -0.5), (0.92, -0.5), (1, -0.35), (1, 0.35), (0.92, 0.5), (0.6, 0.5), (0.6, -0.5)]
    rubber = lathe(np.array(tyre) * np.array([radius, deep]), "tyre", sides=28)
    disc = lathe(
        [
            (0, -0.3 * deep),
            (0.62 * radius, -0.3 * deep),
            (0.62 * radius, 0.3 * deep),
            (0.1 * radius, 0.38 * deep),
            (0, 0.38 * deep),
        ],
        "rim",
        sides=20,
    )
    bars = [
        box((0.55 * radius, 0.09 * radius, 0.03), (0.3 * radius, 0, 0.36 * deep), "metal").turned(
            "z", 360 * i / spokes
        )
        for i in range(spokes)
    ]
    turn = np.linspace(0.1, np.pi - 0.1, 20)
    curb = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    arch = tube(1.1 * radius * curb, 0.03, "body", sides=6)
    parts = []
    for x in (front, rear):
        for side in (-1, 1):
            for part in (rubber, disc, *bars, arch):
                upright = (
                    part.turned("x", 90).scaled(y=-1)
                    if part is not arch
                    else part.turned("x", 90).moved(y=0.45 * deep)
                )
                parts.append(upright.moved(y=width / 2 - 0.55 * deep).scaled(y=side).moved(x=x, z=radius))
    return parts


def _greenhouse(
    rng: Generator, make: str, feet: Floats, width: float, belt: float, height: float
) -> list[Part]:
    """Windows as one glass block under a painted roof, the pillars as bars on its edges."""
    foot_rear, head_rear, head_front, foot_front = feet
    lean = rng.uniform(0.76, 0.88) if make not in ("van", "jeep", "pickup") else rng.uniform(0.86, 0.95)
    low, high = 0.455 * width, 0.455 * width * lean
    if make == "convertible":
        return _open_top(foot_rear, head_front, foot_front, low, belt, height)
    corners = {
        "low": np.array([(foot_rear, low, belt), (foot_front, low, belt)]),
        "high": np.array([(head_rear, high, height - 0.05), (head_front, high, height - 0.05)]),
    }
    glass = _slanted(corners["low"], corners["high"], "glass")
    long, middle = head_front - head_rear, (head_front + head_rear) / 2
    roof = box((long + 0.12, 2 * high + 0.06, 0.08), (middle, 0, height - 0.04), "body", bevel=0.035, steps=3)
    parts = [glass, roof]
    posts = [(0.0, 0.0), (1.0, 1.0), (rng.uniform(0.42, 0.55), rng.uniform(0.42, 0.55))]
    if make in ("estate", "van", "jeep"):
        posts.append((0.2, 0.15))
    for bottom, top in posts:
        start = (1 - bottom) * corners["low"][0] + bottom * corners["low"][1]
        end = (1 - top) * corners["high"][0] + top * corners["high"][1]
        if bottom in (0.0, 1.0):  # the glass is rounded at its corners
            start, end = (point * _CORNER + (0.5 - bottom) * _INWARD for point in (start, end))
        pillar = tube([start, end], 0.045, "body", sides=6)
        parts += [pillar, pillar.scaled(y=-1)]
    if make == "van" and chance(rng, 0.6):
        parts.append(
            box(
                (0.55 * long, 2 * high + 0.1, height - belt - 0.06),
                (middle - 0.24 * long, 0, (height + belt) / 2),
                "body",
                bevel=0.03,
            )
        )
    return parts + (_bed(feet, width, belt) if make == "pickup" else [])


_CORNER, _INWARD = np.array([1.0, 0.95, 1.0]), np.array([0.2, 0.0, 0.0])


def _slanted(low: Floats, high: Floats, role: str) -> Part:
    """A block between two rectangles, each given by its two corners on the +Y side."""
    rings = []
    for share in np.linspace(0, 1, 7):
        (rear, half, z), (front, _, _) = (1 - share) * low + share * high
        swell = 1 + 0.03 * np.sin(np.pi * share)
        rounded = oval(front - rear, 2 * half * swell, power=9, sides=36) + np.array([(front + rear) / 2, 0])
        rings.append(np.column_stack([rounded, np.full(36, z)]))
    return loft(rings, role)


def _open_top(rear: float, head: float, foot: float, half: float, belt: float, height: float) -> list[Part]:
    screen = sheet(
        [
            [(foot, -half, belt), (foot, 0, belt), (foot, half, belt)],
            [(head, -0.85 * half, height), (head, 0, height), (head, 0.85 * half, height)],
        ],
        "glass",
    )
    frame = tube(
        [(foot, half, belt), (head, 0.85 * half, height), (head, -0.85 * half, height), (foot, -half, belt)],
        0.02,
        "body",
        sides=6,
    )
    well = box((0.85 * (head - rear), 1.6 * half, 0.06), ((rear + head) / 2, 0, belt + 0.03), "seat")
    seats = [
        box((0.16, 0.5, 0.55), (x, y, belt + 0.16), "seat", bevel=0.06, steps=2)
        for x in (rear + 0.25, head - 0.45)
        for y in (-0.4, 0.4)
    ]
    return [screen, frame, well, *seats]


def _bed(feet: Floats, width: float, belt: float) -> list[Part]:
    rear = -feet.mean() if feet[0] > 0 else feet[0]
    long = 1.5
    x, z = rear - long / 2, belt + 0.06
    sides = [box((long, 0.07, 0.16), (x, side * 0.45 * width, z), "body", bevel=0.02) for side in (-1, 1)]
    floor = box((long - 0.05, 0.82 * width, 0.02), (x, 0, belt + 0.02), "tyre")
    return [*sides, floor, box((0.07, 0.9 * width, 0.16), (x - long / 2, 0, z), "body", bevel=0.02)]


def _trimmings(
    rng: Generator, make: str, knots: Floats, width: float, sill: float, screen: float, belt: float
) -> list[Part]:
    """Lamps, bumpers, grille, number plates, mirrors, and what else some cars carry."""
    rear, nose = knots[0, 0], knots[-1, 0]
    lamp_z, size = sill + 0.55 * (belt - sill), rng.uniform(0.06, 0.13)
    parts = []
    for side in (-1, 1):
        y = side * 0.36 * width
        parts.append(ball((0.07, 1.6 * size, size), (nose - 0.07, y, lamp_z), "lamp", sides=12))
        parts.append(ball((0.05, size, 1.3 * size), (rear + 0.05, y, lamp_z + 0.08), "taillamp", sides=12))
        parts.append(
            ball(
                (0.06, 0.1, 0.07), (screen - 0.1, side * (0.5 * width + 0.07), belt + 0.06), "body", sides=10
            )
        )
    for x, role in ((nose, "bumper"), (rear, "bumper")):
        parts.append(
            box((0.16, 0.94 * width, 0.16), (x - 0.03 * np.sign(x), 0, sill + 0.1), role, bevel=0.06, steps=2)
        )
    parts.append(box((0.03, 0.42 * width, 0.14), (nose - 0.02, 0, lamp_z - 0.04), "tyre", bevel=0.01))
    parts += [box((0.02, 0.5, 0.11), (x + 0.06 * np.sign(x), 0, sill + 0.12), "plate") for x in (nose, rear)]
    if make == "sports" and chance(rng, 0.5):
        parts.append(box((0.25, 0.85 * width, 0.03), (rear + 0.2, 0, belt + 0.2), "body", bevel=0.012))
        parts += [
            rod((rear + 0.2, y, belt - 0.1), (rear + 0.2, y, belt + 0.2), 0.02, "body") for y in (-0.5, 0.5)
        ]
    if make in ("jeep", "van", "estate") and chance(rng, 0.4):
        top = HEIGHTS[make] * 0.98
        parts += [
            rod((-0.25 * (nose - rear), y, top), (0.05 * (nose - rear), y, top), 0.02, "metal")
            for y in (-0.6, 0.6)
        ]
    return parts


def airplane(rng: Generator) -> list[Part]:
    """A jet liner, a private aeroplane, a fighter, a biplane, a glider or a seaplane, its nose towards +X."""
    return pick(rng, (_liner, _propeller, _fighter, _biplane, _glider, _twin), (5, 4, 3, 2, 1.5, 3))(rng)


def _fuselage(
    rng: Generator, length: float, radius: float, *, nose: float, tail: float, droop: float = 0.0
) -> Part:
    """A round body: ``nose`` and ``tail`` are the shares of the length over which it tapers."""
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
    """Half a wing towards +Y with its root's middle at the origin.

    Args:
        root: chord there.
        tip: chord at the end.
        span: of the half.
        sweep: how far back the tip's middle lies.
        role: see `Part`.
        rise: how much higher the tip lies.
        thick: thickness over chord.
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
    """A fin and a tailplane, below or on top of the fin."""
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
    """Two or four propellers on the wings, with floats in a few."""
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
