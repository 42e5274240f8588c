"""Things that stand about in photos: boxes, books, plants, trees, at times a thing of another kind."""

from collections.abc import Callable

import numpy as np

from hifa_cli.synthetic.primitives import Part, ball, box, curve, lathe, rod
from hifa_cli.synthetic.sampling import chance, pick
from hifa_cli.synthetic.scene import SPANS
from hifa_cli.synthetic.shapes import KINDS

Generator = np.random.Generator


def _box(rng: Generator) -> list[Part]:
    x, y, z = rng.uniform(0.3, 1, 3)
    return [box((x, y, z), (0, 0, z / 2), "thing", bevel=rng.uniform(0, 0.08))]


def _books(rng: Generator) -> list[Part]:
    heights = 0.15 * np.arange(int(rng.integers(2, 6))) + 0.07
    return [box((0.7, 1.0, 0.14), (*rng.normal(0, 0.05, 2), z), "book") for z in heights]


def _ball(rng: Generator) -> list[Part]:
    return [ball((0.5, 0.5, 0.5), (0, 0, 0.5), "thing", sides=20)]


def _post(rng: Generator) -> list[Part]:
    return [rod((0, 0, 0), (0, 0, 3), 0.06, "thing"), box((0.3, 0.1, 0.3), (0, 0, 3), "thing")]


def _pot(rng: Generator) -> list[Part]:
    foot, belly, mouth = rng.uniform(0.2, 0.5), rng.uniform(0.3, 0.6), rng.uniform(0.1, 0.4)
    side = [(0, 0), (foot, 0), (belly, 0.5), (mouth, 1.0), (0, 1.0)]
    return [lathe(curve(side, 24).clip(0, None), "vessel")]


def _plant(rng: Generator) -> list[Part]:
    pot = lathe([(0, 0), (0.22, 0), (0.3, 0.4), (0, 0.4)], "vessel")
    return [pot, *_leaves(0.6, (0.26, 0.1, 0.04), rng)]


def _bush(rng: Generator) -> list[Part]:
    return _leaves(0.3, (0.22, 0.22, 0.16), rng)


def _tree(rng: Generator) -> list[Part]:
    return _leaves(rng.uniform(0.8, 1.6), (0.22, 0.22, 0.16), rng)


def _leaves(high: float, size: tuple[float, float, float], rng: Generator) -> list[Part]:
    """Return a stem with leaves (or clumps of them) all about its top."""
    parts = [rod((0, 0, 0), (0, 0, high + 0.2), (0.06, 0.03), "frame")]
    leaf = ball(size, (0, 0, 0), "leaf", sides=8)
    for _ in range(int(rng.integers(10, 26))):
        way = rng.normal(0, 1, 3)
        x, y, z = 0.45 * way / np.sqrt((way**2).sum()) * rng.uniform(0.4, 1.1)
        turned = leaf.turned("y", rng.uniform(-60, 60)).turned("z", rng.uniform(0, 360))
        parts.append(turned.moved(x, y, high + 0.3 + z))
    return parts


# What stands about where: how it is made and how many metres its longest side may have.
PROPS: dict[str, tuple[tuple[Callable[[Generator], list[Part]], float, float], ...]] = {
    "room": ((_box, 0.2, 0.7), (_books, 0.2, 0.35), (_ball, 0.2, 0.4), (_plant, 0.4, 1.2), (_pot, 0.2, 0.6)),
    "desk": (
        (_box, 0.05, 0.25),
        (_books, 0.2, 0.3),
        (_ball, 0.05, 0.1),
        (_plant, 0.15, 0.4),
        (_pot, 0.06, 0.25),
    ),
    "field": ((_tree, 3, 9), (_tree, 3, 9), (_post, 2, 4), (_bush, 0.6, 2), (_box, 0.4, 1.2)),
    "studio": ((_box, 0.1, 0.5),),
}
NEIGHBOURS = {"room": ("table", "chair", "lamp"), "desk": ("mug", "bottle"), "field": ("car",)}


def clutter(kind: str, place: str, azimuth: float, span: float, rng: Generator) -> list[list[Part]]:
    """Other things about the subject: none to six, mostly beside and behind it, seldom before it.

    Args:
        kind: the subject's.
        place: see `scenery.PLACES`.
        azimuth: of the camera, in degrees.
        span: metres that the subject is long.
        rng: decides.

    Returns:
        A list of parts a thing, on the ground z = 0.
    """
    if place not in PROPS or (place == "studio" and chance(rng, 0.9)):
        return []
    count = pick(rng, (0, 1, 2, 3, 4, 6), (3, 2, 2, 2, 1, 1))
    return [_placed(*_prop(kind, place, rng), span, azimuth, rng) for _ in range(count)]


def _prop(kind: str, place: str, rng: Generator) -> tuple[list[Part], float]:
    """Return a thing and how many metres long it is."""
    others = [name for name in NEIGHBOURS.get(place, ()) if name != kind]
    if others and chance(rng, 0.15):
        name = pick(rng, others)
        return KINDS[name](rng), SPANS[name]
    make, low, high = pick(rng, PROPS[place])
    return make(rng), rng.uniform(low, high)


def _placed(thing: list[Part], metres: float, span: float, azimuth: float, rng: Generator) -> list[Part]:
    """Return the thing in its size beside a subject whose length of ``span`` metres is one unit."""
    points = np.concatenate([part.vertices for part in thing])
    front = chance(rng, 0.12)
    wanted = float(np.clip(metres / span, 0.12, 0.4 if front else 1.6))
    scale = wanted / float(np.ptp(points, axis=0).max())
    side = (0.0 if front else pick(rng, (90, -90, 180, 135, -135))) + rng.normal(0, 25)
    reach = 0.62 + 0.8 * scale * float(np.abs(points[:, :2]).max())
    reach *= 1 if front else rng.uniform(1, 1.7)
    x, y = reach * np.cos(np.radians(azimuth + side)), reach * np.sin(np.radians(azimuth + side))
    turn, low = rng.uniform(0, 360), float(points[:, 2].min())
    return [part.moved(z=-low).scaled(scale, scale, scale).turned("z", turn).moved(x, y) for part in thing]
