"""Materials of things: solid textures and gloss, for each part's role."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hifa_cli.synthetic.noise import noise
from hifa_cli.synthetic.primitives import Floats, apply
from hifa_cli.synthetic.sampling import chance, pick

Generator = np.random.Generator


@dataclass(frozen=True)
class Material:
    """The look of a surface.

    Attributes:
        pattern: a key of `PATTERNS`.
        colours: (2, 3) linear RGB between which the pattern goes.
        scale: pattern repeats over the length of the thing.
        tilt: (3, 3) how the pattern lies in the thing.
        gloss: strength of mirror-like reflection seen head-on, 0 … 1.
        sharpness: exponent of the highlight.
        metal: whether reflections take the surface's colour.
        opacity: 1 for all but glass.
        glow: light given off, as a share of white.
    """

    pattern: str
    colours: Floats
    scale: float
    tilt: Floats
    gloss: float = 0.03
    sharpness: float = 20.0
    metal: bool = False
    opacity: float = 1.0
    glow: float = 0.0


def albedo(material: Material, points: Floats, table: Floats) -> Floats:
    """Return the colours of a material at points of the thing's own space: (n, 3) -> (n, 3) linear RGB.

    Args:
        material: texture and colours.
        points: (n, 3) in the thing's own space.
        table: noise for the textures.

    Returns:
        (n, 3) linear RGB.
    """
    share = PATTERNS[material.pattern](apply(material.tilt.T, points) * material.scale, table)[:, None]
    return np.asarray(material.colours[0] * (1 - share) + material.colours[1] * share)


def _plain(points: Floats, table: Floats) -> Floats:
    return 0.15 * noise(table, points * 2)


def _grain(points: Floats, table: Floats) -> Floats:
    """Wood: rings about an axis, drawn out along it."""
    radius = np.sqrt(points[:, 0] ** 2 + points[:, 1] ** 2)
    drawn = points * np.array([3.0, 3.0, 0.25])
    rings = 0.5 + 0.5 * np.sin(9 * radius + 5 * noise(table, drawn))
    return np.clip(0.55 * rings + 0.6 * noise(table, drawn * 6) - 0.1, 0, 1)


def _stripes(points: Floats, table: Floats) -> Floats:
    return (np.sin(6.3 * points[:, 0]) > 0.2).astype(np.float64)


def _checks(points: Floats, table: Floats) -> Floats:
    waves = np.sin(6.3 * points)
    return np.asarray(0.5 * (waves[:, 0] > 0.1) + 0.3 * (waves[:, 1] > 0.1) + 0.2 * (waves[:, 2] > 0.3))


def _blotches(points: Floats, table: Floats) -> Floats:
    return np.clip(4 * (noise(table, points * 1.5, 2) - 0.45), 0, 1)


def _weave(points: Floats, table: Floats) -> Floats:
    return 0.45 * noise(table, points * 9) + 0.35 * noise(table, points * 1.5)


def _speckle(points: Floats, table: Floats) -> Floats:
    return np.clip(3 * (noise(table, points * 7) - 0.62), 0, 1)


def _print(points: Floats, table: Floats) -> Floats:
    """Return a label: lines of something like writing, and a device in the middle."""
    line = (np.sin(40 * points[:, 2]) > 0.1) & (noise(table, points * np.array([25.0, 25.0, 6.0])) > 0.45)
    return np.where(noise(table, points * 3) > 0.62, 1.0, 0.85 * line)


def _bands(points: Floats, table: Floats) -> Floats:
    """Rings about the upright axis, as on painted crockery and hulls."""
    return (np.sin(4.2 * points[:, 2] + 1.3) > 0.55).astype(np.float64)


PATTERNS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "plain": _plain,
    "grain": _grain,
    "stripes": _stripes,
    "checks": _checks,
    "blotches": _blotches,
    "weave": _weave,
    "speckle": _speckle,
    "print": _print,
    "bands": _bands,
}


def from_hsv(hue: float, saturation: float, value: float) -> Floats:
    """Return the linear RGB of a colour given as display hue (0 … 1), saturation and value.

    Args:
        hue: 0 to 1.
        saturation: 0 to 1.
        value: 0 to 1.

    Returns:
        (3,) linear RGB.
    """
    shades = np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    display = value * (1 - saturation * (1 - np.clip(shades, 0, 1)))
    return np.asarray(display**2.2)


def _pair(rng: Generator, hue: float, saturation: float, value: float, contrast: float) -> Floats:
    near = from_hsv(hue, saturation, value)
    return np.stack([near, near * contrast])


def _colour(rng: Generator) -> Floats:
    """Return a colour that people paint or dye with: greys, whites and blacks half the time."""
    if chance(rng, 0.5):
        return from_hsv(rng.random(), rng.uniform(0, 0.12), pick(rng, (0.95, 0.8, 0.5, 0.3, 0.12)))
    hue = pick(rng, (0.0, 0.04, 0.1, 0.15, 0.33, 0.5, 0.6, 0.65, 0.8)) + rng.normal(0, 0.02)
    return from_hsv(hue % 1, rng.uniform(0.35, 0.95), rng.uniform(0.3, 0.9))


def _tilted(rng: Generator) -> Floats:
    """Return the pattern's axis along X, Y or Z."""
    return np.roll(np.eye(3), int(rng.integers(3)), axis=1)


def wood(rng: Generator) -> Material:
    """From pale pine to dark walnut, oiled or varnished."""
    light = from_hsv(rng.uniform(0.04, 0.1), rng.uniform(0.35, 0.7), rng.uniform(0.3, 0.85))
    gloss = rng.uniform(0.01, 0.06)
    return Material(
        "grain", np.stack([light, light * rng.uniform(0.35, 0.7)]), rng.uniform(2, 6), _tilted(rng), gloss, 30
    )


def metal(rng: Generator) -> Material:
    """Steel, chrome, brass or black iron."""
    kind = pick(rng, ("steel", "brass", "iron"), (5, 1.5, 2.5))
    base = {
        "steel": from_hsv(0.6, 0.04, 0.8),
        "brass": from_hsv(0.11, 0.55, 0.8),
        "iron": from_hsv(0.6, 0.05, 0.2),
    }[kind]
    return Material(
        "plain",
        np.stack([base, base * 0.8]),
        3,
        np.eye(3),
        rng.uniform(0.3, 0.75),
        rng.uniform(30, 200),
        metal=True,
    )


def paint(rng: Generator) -> Material:
    """Gloss paint in one colour."""
    base = _colour(rng)
    return Material(
        "plain", np.stack([base, base * 0.85]), 2, np.eye(3), rng.uniform(0.04, 0.08), rng.uniform(60, 300)
    )


def fabric(rng: Generator) -> Material:
    """Cloth: plain weave, striped, checked or patterned."""
    base, pattern = _colour(rng), pick(rng, ("weave", "stripes", "checks", "blotches"), (6, 1.2, 1, 1.3))
    other = base * 0.55 if pattern == "weave" else _colour(rng)
    scale = rng.uniform(5, 9) if pattern == "weave" else rng.uniform(3, 9)
    return Material(pattern, np.stack([base, other]), scale, _tilted(rng), 0.0, 5)


def leather(rng: Generator) -> Material:
    """Brown, black, red or cream."""
    base = pick(
        rng,
        (
            from_hsv(0.06, 0.6, 0.35),
            from_hsv(0.05, 0.2, 0.12),
            from_hsv(0.0, 0.7, 0.4),
            from_hsv(0.1, 0.25, 0.8),
        ),
    )
    return Material("weave", np.stack([base, base * 0.7]), rng.uniform(3, 6), np.eye(3), 0.05, 18)


def plastic(rng: Generator) -> Material:
    """Moulded, satin."""
    base = _colour(rng)
    return Material("plain", np.stack([base, base * 0.9]), 2, np.eye(3), 0.04, rng.uniform(15, 60))


def ceramic(rng: Generator) -> Material:
    """Glazed: plain, banded, speckled or with a print."""
    base = from_hsv(0.1, rng.uniform(0, 0.15), rng.uniform(0.8, 0.97)) if chance(rng, 0.45) else _colour(rng)
    pattern = pick(rng, ("plain", "bands", "speckle", "blotches", "print"), (5, 1.5, 1, 1.2, 1.3))
    other = base * 0.9 if pattern == "plain" else _colour(rng)
    return Material(
        pattern,
        np.stack([base, other]),
        rng.uniform(1.5, 4),
        np.eye(3),
        rng.uniform(0.04, 0.07),
        rng.uniform(60, 250),
    )


def glass(rng: Generator) -> Material:
    """Bottle glass: green, brown, clear or blue; or pet."""
    hue, saturation, value, opacity = pick(
        rng,
        (
            (0.3, 0.7, 0.3, 0.85),
            (0.07, 0.85, 0.25, 0.9),
            (0.45, 0.08, 0.85, 0.4),
            (0.58, 0.5, 0.7, 0.55),
            (0.25, 0.5, 0.6, 0.65),
        ),
    )
    base = from_hsv(hue + rng.normal(0, 0.02), saturation, value)
    return Material("plain", np.stack([base, base * 0.7]), 2, np.eye(3), 0.09, 250, opacity=opacity)


def window(rng: Generator) -> Material:
    """Return a pane with the dark behind it."""
    base = from_hsv(0.55, 0.2, rng.uniform(0.12, 0.3))
    return Material("plain", np.stack([base, base]), 1, np.eye(3), 0.22, 200)


def rubber(rng: Generator) -> Material:
    """Nearly black, dull."""
    base = from_hsv(0.0, 0.0, rng.uniform(0.1, 0.2))
    return Material("plain", np.stack([base, base * 0.7]), 4, np.eye(3), 0.01, 8)


def canvas(rng: Generator) -> Material:
    """Sailcloth: mostly white."""
    base = from_hsv(0.1, 0.06, 0.93) if chance(rng, 0.75) else _colour(rng)
    other = base * 0.85 if chance(rng, 0.8) else _colour(rng)
    return Material(
        "stripes", np.stack([base, other]), rng.uniform(2, 6), np.roll(np.eye(3), 2, axis=1), 0.0, 5
    )


def paper(rng: Generator) -> Material:
    """Return a printed label."""
    base = from_hsv(0.12, rng.uniform(0, 0.2), 0.92) if chance(rng, 0.7) else _colour(rng)
    return Material("print", np.stack([base, _colour(rng) * 0.6]), rng.uniform(0.8, 1.6), np.eye(3), 0.02, 15)


def shade(rng: Generator) -> Material:
    """Return a lampshade, switched on or off."""
    made = pick(rng, (fabric, plastic, paint, metal), (5, 1, 2, 1.2))(rng)
    if made.metal or chance(rng, 0.5):
        return made
    pale = from_hsv(0.11, rng.uniform(0.05, 0.35), 0.95)
    glow = rng.uniform(0.3, 1.0) if chance(rng, 0.6) else 0.0
    return Material(made.pattern, np.stack([pale, pale * 0.8]), made.scale, made.tilt, 0.01, 10, glow=glow)


def bulb(rng: Generator) -> Material:
    """Frosted, burning or not."""
    white = np.ones((2, 3)) * 0.85
    return Material("plain", white, 1, np.eye(3), 0.05, 50, glow=1.5 if chance(rng, 0.5) else 0.0)


def _tinted(hue: float, saturation: float, value: float, gloss: float) -> Callable[[Generator], Material]:
    base = from_hsv(hue, saturation, value)

    def make(rng: Generator) -> Material:
        return Material("plain", np.stack([base, base * 0.8]), 2, np.eye(3), gloss, 80)

    return make


Maker = Callable[[Generator], Material]
lens, red_lens, plate, coffee = (
    _tinted(0.15, 0.05, 0.9, 0.2),
    _tinted(0.0, 0.85, 0.6, 0.1),
    _tinted(0.13, 0.1, 0.9, 0.02),
    _tinted(0.06, 0.7, 0.18, 0.06),
)

# What a role is made of, in any kind of thing or (longer key) in one kind; repeats are odds.
ROLES: dict[str, tuple[Maker, ...]] = {
    "metal": (metal,), "leg": (wood, wood, wood, metal, paint),
    "frame": (wood, wood, wood, paint, plastic, metal),
    "seat": (fabric, fabric, leather, plastic, wood), "back": (fabric, fabric, leather, plastic, wood),
    "pillow": (fabric,), "tyre": (rubber,), "rim": (metal,), "lamp": (lens,), "taillamp": (red_lens,),
    "bumper": (rubber, metal, paint), "plate": (plate,), "glass": (window,),
    "top": (wood, wood, wood, paint, ceramic),
    "drawer": (wood, paint), "stand": (metal, metal, wood, ceramic, paint), "shade": (shade,),
    "bulb": (bulb,),
    "cord": (rubber, metal), "body": (paint,), "wing": (paint,), "tail": (paint,), "engine": (paint, metal),
    "propeller": (rubber, metal), "hull": (paint, paint, wood), "strake": (wood, paint, rubber),
    "sail": (canvas,),
    "mast": (metal, wood, paint), "house": (paint, wood), "oar": (wood,), "motor": (paint,),
    "funnel": (paint,),
    "crate": (paint, wood), "vessel": (ceramic,), "handle": (ceramic,), "drink": (coffee,),
    "cap": (plastic, metal, paint),
    "cork": (wood,), "label": (paper,), "neck": (wood,), "fretboard": (wood,), "head": (wood, paint),
    "hole": (rubber,), "rosette": (wood, plastic), "guard": (plastic, plastic),
    "pickup": (rubber, metal, plastic),
    "knob": (metal, rubber, plastic), "string": (metal,), "book": (paint, fabric), "leaf": (plastic,),
    "thing": (paint, wood, plastic, ceramic, fabric),
    "bottle/glass": (glass, glass, glass, plastic, ceramic), "guitar/body": (wood, wood, paint),
    "sofa/seat": (fabric, fabric, leather), "sofa/back": (fabric, fabric, leather),
    "boat/seat": (leather, plastic),
}  # fmt: skip
SAME = {  # roles that mostly match another of the same thing
    "handle": ("vessel", 0.9), "back": ("seat", 0.75), "wing": ("body", 0.75), "tail": ("body", 0.6),
    "engine": ("body", 0.5),
    "drawer": ("leg", 0.7), "top": ("leg", 0.6), "frame": ("leg", 0.85), "head": ("body", 0.4),
    "bumper": ("body", 0.4),
}  # fmt: skip


def furnish(kind: str, roles: list[str], rng: Generator) -> dict[str, Material]:
    """Return a material for every role of a thing, some of them alike.

    Args:
        kind: of the thing.
        roles: of its parts.
        rng: decides.

    Returns:
        A material by role.
    """
    made: dict[str, Material] = {}
    for role in sorted(set(roles), key=lambda role: (role in SAME, role)):
        other, odds = SAME.get(role, ("", 0.0))
        if chance(rng, odds) and other in made:
            made[role] = made[other]
            continue
        made[role] = pick(rng, ROLES.get(f"{kind}/{role}", ROLES.get(role, ROLES["thing"])))(rng)
    if "leaf" in made:
        green = from_hsv(rng.uniform(0.22, 0.38), rng.uniform(0.4, 0.8), rng.uniform(0.2, 0.6))
        made["leaf"] = Material("blotches", np.stack([green, green * 0.5]), 4, np.eye(3), 0.03, 12)
    return made
