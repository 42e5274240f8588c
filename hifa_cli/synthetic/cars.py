"""Cars: nine outlines, and what all cars carry."""

import numpy as np

from hifa_cli.synthetic.primitives import Floats, Part, ball, box, curve, lathe, loft, oval, rod, sheet, tube
from hifa_cli.synthetic.sampling import chance, pick

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
    """Return a car, van or pick-up on four wheels, its nose towards +X."""
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
    roof = box((long + 0.05, 2 * high + 0.02, 0.08), (middle, 0, height - 0.04), "body", bevel=0.035, steps=3)
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
    """Return a block between two rectangles, each given by its two corners on the +Y side."""
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
                (0.06, 0.1, 0.07), (screen - 0.1, side * (0.5 * width + 0.02), belt + 0.04), "body", sides=10
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
