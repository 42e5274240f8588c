"""Boats: one family of hulls, and what stands on them."""

import numpy as np

from hifa_cli.synthetic.primitives import Floats, Part, ball, box, lathe, loft, oval, rod, sheet, tube
from hifa_cli.synthetic.sampling import chance, pick

Generator = np.random.Generator


def boat(rng: Generator) -> list[Part]:
    """Return a yacht, rowing boat, motor boat, trawler, catamaran, canoe or ship, its bow towards +X."""
    return pick(
        rng,
        (_yacht, _rowing_boat, _speedboat, _trawler, _catamaran, _canoe, _ship),
        (5, 3.5, 3, 3, 1.5, 1.5, 2.5),
    )(rng)


def hull(
    rng: Generator,
    length: float,
    beam: float,
    depth: float,
    *,
    transom: float,
    sheer: float,
    hollow: float = 0.0,
) -> list[Part]:
    """Return a hull with its rim amidships at z = 0.

    Args:
        rng: decides how full and how flared it is.
        length: overall.
        beam: greatest width.
        depth: from rim to keel.
        transom: the stern's width over the beam (0: pointed at both ends).
        sheer: how much higher the bow's rim lies.
        hollow: how deep it is open (0: decked).

    Returns:
        The hull's parts: skin, and where it is open the inside.
    """
    share = np.linspace(0, 1, 26)
    fore = 1 - ((share - 0.45).clip(0) / 0.55) ** rng.uniform(1.8, 2.8)
    aft = transom + (1 - transom) * (1 - ((0.45 - share).clip(0) / 0.45) ** 2)
    half = beam / 2 * np.sqrt(np.clip(fore * aft, 0, None) if transom == 0 else fore * aft**2)
    half = np.maximum(half, 0.004 * beam)
    rim = sheer * ((share - 0.4).clip(0) / 0.6) ** 2 + 0.3 * sheer * ((0.4 - share).clip(0) / 0.4) ** 2
    keel = -depth * np.clip(1 - ((share - 0.6).clip(0) / 0.4) ** 3, 0.05, 1)
    if transom == 0:
        keel = keel * np.clip(1 - ((0.4 - share).clip(0) / 0.4) ** 3, 0.05, 1)
    rake = 0.06 * length * ((share - 0.6).clip(0) / 0.4) ** 2
    x = (share - 0.5) * length
    outer = _skin(rng.uniform(0.35, 0.7), x, half, rim, keel, rake)
    if hollow <= 0:
        return [loft(outer, "hull"), *_stripe(rng, x + rake, half, rim)]
    floor = np.maximum(keel + (depth - hollow), keel + 0.03 * depth)
    inner = _skin(0.4, x, 0.94 * half, rim, floor, rake)[:, ::-1]
    return [loft(np.concatenate([outer, inner], axis=1), "hull"), *_stripe(rng, x + rake, half, rim)]


def _skin(fullness: float, x: Floats, half: Floats, rim: Floats, keel: Floats, rake: Floats) -> Floats:
    """Sections from rim to rim under the keel: (stations, 17, 3)."""
    t = np.linspace(-1, 1, 17)
    across = np.sign(t) * np.abs(t) ** fullness
    down = 1 - np.abs(t) ** 2.2
    y = half[:, None] * across
    z = rim[:, None] + (keel - rim)[:, None] * down
    lean = x[:, None] + rake[:, None] * (1 - down)
    return np.stack(np.broadcast_arrays(lean, y, z), axis=-1)


def _stripe(rng: Generator, x: Floats, half: Floats, rim: Floats) -> list[Part]:
    """Return a rubbing strake along both rims."""
    thick = 0.006 * (x[-1] - x[0]) * rng.uniform(0.6, 1.4)
    one = tube(np.stack([x, half, rim], axis=1), thick, "strake", sides=6)
    return [one, one.scaled(y=-1)]


def _sail(luff: Floats, clew: Floats, belly: float) -> Part:
    """Cloth between an edge (tack to head) and a corner, bellied towards +Y; open, as it is in life."""
    up, along = np.linspace(0, 1, 9)[:, None, None], np.linspace(0, 1, 7)[None, :, None]
    edge = luff[0] + (luff[1] - luff[0]) * up
    leech = clew + (luff[1] - clew) * up
    grid = edge + (leech - edge) * along
    bulge = belly * np.sin(np.pi * along[..., 0]) * np.sin(np.pi * (0.15 + 0.8 * up[..., 0])).clip(0)
    return sheet(grid + np.stack([0 * bulge, bulge, 0 * bulge], axis=-1), "sail")


def _rig(rng: Generator, x: float, tall: float, aft: float, fore: float, deck: float) -> list[Part]:
    """Return a mast with a boom and, mostly, sails."""
    parts = [rod((x, 0, deck), (x, 0, deck + tall), (0.009 * tall, 0.005 * tall), "mast")]
    swing, low = np.radians(rng.uniform(-25, 25)), deck + 0.13 * tall
    end = np.array([x - aft * np.cos(swing), aft * np.sin(swing), low])
    parts.append(rod((x, 0, low), end, 0.006 * tall, "mast"))
    for foot in ((x + fore, 0, deck), (x - 1.1 * aft, 0, deck)):
        parts.append(rod(foot, (x, 0, deck + tall), 0.0015 * tall, "cord", sides=4))
    if chance(rng, 0.2):
        return [
            *parts,
            tube([(x, 0, low + 0.02 * tall), end + np.array([0, 0, 0.02 * tall])], 0.018 * tall, "sail"),
        ]
    head = rng.uniform(0.85, 0.97)
    belly = rng.uniform(-0.09, 0.09) * aft * 2
    luff = np.array([(x - 0.02, 0, low), (x - 0.02, 0, deck + head * tall)])
    parts.append(_sail(luff, end, belly))
    if chance(rng, 0.75):
        stay = np.array(
            [
                (x + 0.97 * fore, 0, deck + 0.03 * tall),
                (x + 0.1 * fore, 0, deck + rng.uniform(0.7, 0.9) * tall),
            ]
        )
        parts.append(
            _sail(
                stay,
                np.array([x - 0.1 * fore, np.sign(belly) * 0.12 * fore, deck + 0.12 * tall]),
                0.8 * belly,
            )
        )
    return parts


def _house(
    size: tuple[float, float, float], at: tuple[float, float, float], *, glazed: bool = True
) -> list[Part]:
    """Return a deck-house standing on ``at``, with a band of windows."""
    long, wide, tall = size
    x, y, z = at
    walls = box(size, (x, y, z + tall / 2), "house", bevel=0.08 * tall, steps=2)
    if not glazed:
        return [walls]
    band = box((1.01 * long, 1.01 * wide, 0.28 * tall), (x, y, z + 0.68 * tall), "glass", bevel=0.03 * tall)
    posts = [
        box((0.07 * long, 1.02 * wide, 0.3 * tall), (x + share * long, y, z + 0.68 * tall), "house")
        for share in (-0.25, 0.05, 0.3)
    ]
    return [walls, band, *posts]


def _yacht(rng: Generator) -> list[Part]:
    length = rng.uniform(4, 14)
    beam, tall = length * rng.uniform(0.27, 0.36), length * rng.uniform(1.0, 1.35)
    parts = hull(rng, length, beam, 0.13 * length, transom=rng.uniform(0.4, 0.8), sheer=0.05 * length)
    x = rng.uniform(0.05, 0.14) * length
    parts += _rig(rng, x, tall, 0.42 * length, 0.5 * length - x, 0.0)
    if chance(rng, 0.3):
        parts += _rig(rng, -0.35 * length, 0.65 * tall, 0.2 * length, 0.25 * length, 0.0)
    if length > 6:
        parts += _house((0.3 * length, 0.55 * beam, 0.07 * length), (-0.02 * length, 0, 0))
    if chance(rng, 0.5):
        keel = loft(
            [oval(0.2 * length, 0.03 * length), oval(0.14 * length, 0.02 * length)] @ np.eye(2, 3)
            - np.array([[[0, 0, 0.1]], [[0, 0, 0.24]]]) * length,
            "hull",
        )
        parts += [keel.moved(x=0.02 * length)]
    return parts


def _rowing_boat(rng: Generator) -> list[Part]:
    length = rng.uniform(2.6, 5)
    beam, depth = length * rng.uniform(0.32, 0.42), length * rng.uniform(0.11, 0.15)
    parts = hull(
        rng, length, beam, depth, transom=rng.uniform(0.5, 0.85), sheer=0.07 * length, hollow=0.85 * depth
    )
    for share in (-0.3, 0.0, 0.25)[: int(rng.integers(2, 4))]:
        wide = 0.9 * beam * (1 - 1.6 * max(share, 0.0))
        parts.append(box((0.22, wide, 0.03), (share * length, 0, -0.25 * depth), "strake"))
    if chance(rng, 0.7):
        for side in (-1, 1):
            reach, x = rng.uniform(0.35, 0.55) * length, -0.05 * length
            inside, outside = (
                (x, side * 0.1 * beam, 0.08),
                (x - 0.15 * length, side * (0.5 * beam + reach), -0.3 * depth),
            )
            blade = ball((0.06, 0.22, 0.015), outside, "oar", sides=10)
            parts += [rod(inside, outside, 0.022, "oar"), blade]
    return parts


def _speedboat(rng: Generator) -> list[Part]:
    length = rng.uniform(4.5, 11)
    beam, depth = length * rng.uniform(0.28, 0.36), 0.13 * length
    parts = hull(rng, length, beam, depth, transom=rng.uniform(0.85, 1.0), sheer=0.05 * length)
    half = 0.4 * beam
    screen = [
        [(0.08 * length, -half, 0.02), (0.2 * length, 0, 0.02), (0.08 * length, half, 0.02)],
        [
            (0.0, -0.85 * half, 0.09 * length),
            (0.11 * length, 0, 0.09 * length),
            (0.0, 0.85 * half, 0.09 * length),
        ],
    ]
    parts.append(sheet(screen, "glass"))
    parts += [
        box(
            (0.07 * length, 0.32 * beam, 0.09 * length),
            (x * length, y * beam, 0.04 * length),
            "seat",
            bevel=0.02 * length,
            steps=2,
        )
        for x in (-0.1, -0.28)
        for y in (-0.22, 0.22)
    ]
    if chance(rng, 0.45):
        parts += _house((0.32 * length, 0.7 * beam, 0.13 * length), (-0.02 * length, 0, 0))
    if chance(rng, 0.5):
        motor = box(
            (0.06 * length, 0.08 * length, 0.1 * length),
            (-0.53 * length, 0, 0.04 * length),
            "motor",
            bevel=0.02 * length,
            steps=2,
        )
        parts += [
            motor,
            rod((-0.54 * length, 0, 0), (-0.54 * length, 0, -0.16 * length), 0.012 * length, "motor"),
        ]
    if chance(rng, 0.4):
        parts.append(
            tube(
                [
                    (-0.2 * length, -half, 0),
                    (-0.25 * length, -half, 0.2 * length),
                    (-0.25 * length, half, 0.2 * length),
                    (-0.2 * length, half, 0),
                ],
                0.008 * length,
                "metal",
            )
        )
    return parts


def _trawler(rng: Generator) -> list[Part]:
    length = rng.uniform(8, 22)
    beam, aft = length * rng.uniform(0.28, 0.36), chance(rng, 0.5)
    parts = hull(rng, length, beam, 0.17 * length, transom=rng.uniform(0.5, 0.9), sheer=0.12 * length)
    x = -0.25 * length if aft else rng.uniform(0.05, 0.18) * length
    parts += _house(
        (rng.uniform(0.16, 0.26) * length, 0.62 * beam, rng.uniform(0.15, 0.21) * length), (x, 0, 0)
    )
    parts.append(rod((-x / 2, 0, 0), (-x / 2, 0, rng.uniform(0.4, 0.6) * length), 0.012 * length, "mast"))
    parts.append(
        rod(
            (-x / 2, 0, 0.08 * length),
            (-x / 2 - np.sign(-x) * 0.3 * length, 0, 0.38 * length),
            0.008 * length,
            "mast",
        )
    )
    if chance(rng, 0.6):
        parts.append(
            rod(
                (x - 0.06 * length, 0, 0.15 * length),
                (x - 0.08 * length, 0, 0.3 * length),
                0.025 * length,
                "funnel",
                sides=16,
            )
        )
    rail = [
        rod(
            (share * length, side * 0.42 * beam, 0.0),
            (share * length, side * 0.42 * beam, 0.09 * length),
            0.004 * length,
            "metal",
            sides=5,
        )
        for share in (-0.4, -0.25, -0.1, 0.1)
        for side in (-1, 1)
    ]
    crates = [
        box(
            (0.07 * length,) * 3,
            (-np.sign(x) * share * length, (share - 0.3) * beam, 0.035 * length),
            "crate",
        )
        for share in (0.2, 0.35)
    ]
    return parts + rail + (crates if chance(rng, 0.5) else [])


def _catamaran(rng: Generator) -> list[Part]:
    length = rng.uniform(5, 13)
    gap = length * rng.uniform(0.22, 0.3)
    one = hull(rng, length, 0.13 * length, 0.12 * length, transom=0.6, sheer=0.04 * length)
    parts = [part.moved(y=side * gap) for part in one for side in (-1, 1)]
    parts.append(
        box((0.5 * length, 2 * gap, 0.03 * length), (-0.08 * length, 0, 0), "hull", bevel=0.01 * length)
    )
    if chance(rng, 0.6):
        parts += _house((0.3 * length, 1.5 * gap, 0.1 * length), (-0.08 * length, 0, 0))
    parts.append(rod((0.25 * length, -gap, 0), (0.25 * length, gap, 0), 0.012 * length, "metal"))
    return parts + _rig(rng, 0.08 * length, 1.25 * length, 0.4 * length, 0.3 * length, 0.0)


def _canoe(rng: Generator) -> list[Part]:
    length = rng.uniform(3.5, 5.5)
    depth = 0.075 * length
    parts = hull(
        rng,
        length,
        0.18 * length,
        depth,
        transom=0.0,
        sheer=rng.uniform(0.02, 0.06) * length,
        hollow=0.9 * depth,
    )
    parts += [
        box((0.2, 0.15 * length, 0.025), (share * length, 0, -0.2 * depth), "strake")
        for share in (-0.25, 0.2)
    ]
    if chance(rng, 0.6):
        start, end = np.array([-0.2, 0.02, 0.03]) * length, np.array([0.15, 0.05, 0.03]) * length
        parts += [
            rod(start, end, 0.018, "oar"),
            ball((0.25, 0.08, 0.015), tuple(end + np.array([0.2, 0.04, 0])), "oar", sides=10),
        ]
    return parts


def _ship(rng: Generator) -> list[Part]:
    """Return a freighter with boxes and an aft house, or a liner or ferry in storeys."""
    length = rng.uniform(40, 120)
    beam, depth = length * rng.uniform(0.14, 0.22), 0.09 * length
    parts = hull(rng, length, beam, depth, transom=rng.uniform(0.7, 0.95), sheer=0.03 * length)
    if chance(rng, 0.5):
        x = -0.36 * length
        parts += _house((0.1 * length, 0.85 * beam, 0.15 * length), (x, 0, 0))
        for share in np.arange(-0.25, 0.3, 0.105):
            stack = int(rng.integers(1, 4))
            parts.append(
                box(
                    (0.1 * length, 0.85 * beam, stack * 0.03 * length),
                    (share * length, 0, 0.015 * stack * length),
                    "crate",
                )
            )
    else:
        x, floor = -0.05 * length, 0.0
        for storey in range(int(rng.integers(2, 5))):
            long = (0.72 - 0.12 * storey) * length
            parts += [
                part.moved(z=floor)
                for part in _house((long, (0.9 - 0.1 * storey) * beam, 0.045 * length), (x, 0, 0))
            ]
            floor += 0.044 * length
    tall = float(max(part.vertices[:, 2].max() for part in parts))
    chimney = lathe([(0, 0), (0.022, 0), (0.02, 0.08), (0, 0.08)], "funnel", sides=16).scaled(
        length, length, length
    )
    for shift in (0.0, -0.08)[: int(rng.integers(1, 3))]:
        parts.append(chimney.moved(x + shift * length, 0, 0.9 * tall))
    return [*parts, rod((0.4 * length, 0, 0), (0.4 * length, 0, 0.14 * length), 0.004 * length, "mast")]
