"""The placing of a thing before the camera: its pose, its materials, and where the camera stands."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.synthetic.camera import Framing
from hifa_cli.synthetic.materials import Material, furnish
from hifa_cli.synthetic.primitives import Floats, Part
from hifa_cli.synthetic.sampling import chance, pick
from hifa_cli.synthetic.shapes import joined

Generator = np.random.Generator

# From where people photograph a kind: azimuths off its front (degrees) with their spread, and elevations.
VIEWS: dict[str, tuple[tuple[float, ...], float, tuple[float, float, float]]] = {
    "airplane": ((50, -50, 90, -90, 20), 20, (-5, 8, 30)),
    "boat": ((50, -50, 90, -90), 22, (0, 8, 35)),
    "bottle": ((0, 90, 180, -90), 40, (-3, 10, 45)),
    "car": ((40, -40, 90, -90, 140, -140), 15, (0, 8, 35)),
    "chair": ((35, -35, 0), 22, (0, 16, 45)),
    "guitar": ((0,), 22, (-5, 6, 35)),
    "lamp": ((0, 90, 180, -90), 40, (-5, 8, 35)),
    "mug": ((30, 0, 180, 150), 30, (2, 25, 55)),
    "sofa": ((0, 30, -30), 16, (0, 14, 40)),
    "table": ((0, 45, 90, -45), 25, (3, 20, 45)),
}


class Staged(NamedTuple):
    """Everything that is solid in a picture.

    Attributes:
        vertices: (n, 3) in the scene.
        own: (n, 3) the same points in their own things, where textures live.
        faces: (m, 3).
        material: (m,) index into ``materials``.
        subject: (m,) whether a face is the subject's.
        materials: of all parts.
    """

    vertices: Floats
    own: Floats
    faces: NDArray[np.int32]
    material: NDArray[np.int32]
    subject: NDArray[np.bool_]
    materials: list[Material]


def plan_view(kind: str, place: str, rng: Generator) -> Framing:
    """Return a camera's direction as people choose it, seven times in ten; any other way round else.

    Args:
        kind: of the subject.
        place: where it is.
        rng: decides.

    Returns:
        Direction, share of the frame, and whether it may be cropped.
    """
    fronts, spread, (low, usual, high) = VIEWS[kind]
    azimuth = pick(rng, fronts) + rng.normal(0, spread) if chance(rng, 0.7) else rng.uniform(0, 360)
    elevation = rng.triangular(low, usual, high) if chance(rng, 0.9) else rng.uniform(max(low, 0), 60)
    if place == "sky":
        elevation = rng.triangular(-35, -8, 15)
    cropped = chance(rng, 0.12)
    fill = rng.uniform(0.8, 1.05) if cropped else rng.triangular(0.42, 0.8, 0.96)
    return Framing(azimuth, elevation, fill, cropped)


def pose(kind: str, place: str, parts: list[Part], rng: Generator) -> list[Part]:
    """Return the subject as it stands, lies, leans, flies or floats, its lowest point or waterline at z = 0.

    Args:
        kind: of the subject.
        place: where it is.
        parts: of the subject.
        rng: decides.

    Returns:
        The parts, moved.
    """
    if kind == "guitar":
        tilt, lean = pick(
            rng, ((0, -12), (0, 0), (-60, 0), (60, 0), (-90, -10), (25, -8)), (4, 3, 1.5, 1.5, 1, 1)
        )
        parts = _turned(parts, ("x", tilt + rng.normal(0, 5)), ("y", lean))
    elif kind == "airplane" and place == "sky":
        parts = _turned(parts, ("x", rng.normal(0, 14)), ("y", rng.normal(-5, 6)))
    elif kind == "bottle" and chance(rng, 0.06):
        parts = _turned(parts, ("y", 90))
    elif kind == "boat" and place == "water":
        parts = _turned(parts, ("x", rng.normal(0, 3)))
        keel = np.concatenate([part.vertices for part in parts if part.role == "hull"])[:, 2]
        return [part.moved(z=-(keel.min() + rng.uniform(0.3, 0.5) * np.ptp(keel) * 0.7)) for part in parts]
    low = min(float(part.vertices[:, 2].min()) for part in parts)
    return [part.moved(z=-low) for part in parts]


def _turned(parts: list[Part], *turns: tuple[str, float]) -> list[Part]:
    for axis, degrees in turns:
        parts = [part.turned(axis, degrees) for part in parts]
    return parts


def hangs(parts: list[Part]) -> bool:
    """Return whether a lamp hangs from the ceiling: it has a cord."""
    return any(part.role == "cord" for part in parts)


def staged(
    kind: str, subject: list[Part], others: list[list[Part]], own: list[Part], rng: Generator
) -> Staged:
    """Return subject and clutter as one mesh, every part with a material.

    Args:
        kind: the subject's.
        subject: its posed parts.
        others: the clutter, a list of parts a thing.
        own: the subject's parts before they were posed.
        rng: chooses the materials.

    Returns:
        The mesh, its faces' materials, and points of the things' own space.
    """
    materials: list[Material] = []
    of_part: list[int] = []
    for name, thing in ((kind, subject), *(("thing", other) for other in others)):
        made = furnish(name, [part.role for part in thing], rng)
        order = {role: len(materials) + index for index, role in enumerate(made)}
        materials += made.values()
        of_part += [order[part.role] for part in thing]
    everything = subject + [part for other in others for part in other]
    vertices, faces, owner = joined(everything)
    texture = np.concatenate([part.vertices for part in own + everything[len(subject) :]])
    material = np.array(of_part, dtype=np.int32)[owner]
    return Staged(vertices, texture, faces, material, owner < len(subject), materials)
