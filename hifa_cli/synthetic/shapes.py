"""The ten kinds of things, and how one of them is made from a seed."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hifa_cli.synthetic.airplanes import airplane
from hifa_cli.synthetic.boats import boat
from hifa_cli.synthetic.bottles_mugs import bottle, mug
from hifa_cli.synthetic.cars import car
from hifa_cli.synthetic.chairs import chair
from hifa_cli.synthetic.guitars import guitar
from hifa_cli.synthetic.lamps import lamp
from hifa_cli.synthetic.primitives import Floats, Part
from hifa_cli.synthetic.sofas import sofa
from hifa_cli.synthetic.tables import table

KINDS: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    "airplane": airplane,
    "boat": boat,
    "bottle": bottle,
    "car": car,
    "chair": chair,
    "guitar": guitar,
    "lamp": lamp,
    "mug": mug,
    "sofa": sofa,
    "table": table,
}


def make_thing(kind: str, rng: np.random.Generator) -> list[Part]:
    """Return one thing of a kind: its parts, standing on z = 0 over the origin, its longest side 1 to 1.1."""
    parts = KINDS[kind](rng)
    points = np.concatenate([part.vertices for part in parts])
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (low + high) / 2
    longest = float((high - low).max())
    scale = rng.uniform(1.0, 1.1) / longest
    return [part.moved(-middle[0], -middle[1], -low[2]).scaled(scale, scale, scale) for part in parts]


def joined(parts: list[Part]) -> tuple[Floats, NDArray[np.int32], NDArray[np.int32]]:
    """Return all parts as one: vertices (n, 3), faces (m, 3) and the part each face belongs to (m,)."""
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    vertices = np.concatenate([part.vertices for part in parts])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts[:-1], strict=True)])
    owner = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.faces) for part in parts])
    return vertices, faces.astype(np.int32), owner
