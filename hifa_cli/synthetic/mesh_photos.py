"""Photos of anybody's meshes: put into the demo's places, of a random material, seen from anywhere."""

import numpy as np
from numpy.typing import NDArray

from hifa_cli.synthetic import composition, props
from hifa_cli.synthetic import scene as scenery
from hifa_cli.synthetic.camera import Framing
from hifa_cli.synthetic.noise import noise_table
from hifa_cli.synthetic.photos import Generator, Photo, expose_scene, in_the_room, place_camera
from hifa_cli.synthetic.primitives import Floats, Part
from hifa_cli.synthetic.sampling import chance, pick

# Whose places the mesh is put into: rooms, desks, studios and fields, at sizes from a cup's to a car's.
STAND_INS = ("chair", "lamp", "bottle", "table", "mug", "car", "sofa")
ROLE = "thing"


def make_mesh_photo(
    vertices: Floats, faces: NDArray[np.int32], rng: Generator, longest: int = 256, *, size: float = 1.0
) -> Photo:
    """Return a photo of a mesh that stands on the ground of a random place.

    Args:
        vertices: (n, 3), upright along +z, any units.
        faces: (m, 3).
        rng: decides everything.
        longest: pixels of the longer side.
        size: of the mesh in the scene, in the scene's units: its largest extent.

    Returns:
        The picture, and what was placed how.
    """
    kind = pick(rng, STAND_INS)
    odds = {name: share for name, share in scenery.PLACES[kind].items() if name not in ("water", "sky")}
    place = pick(rng, tuple(odds), tuple(odds.values()))
    subject = [_standing(vertices, faces, size)]
    around = scenery.choose_scenery(kind, place, azimuth := rng.uniform(0, 360), noise_table(rng), rng)
    plan = Framing(azimuth, rng.triangular(-3, 10, 45), rng.triangular(0.45, 0.8, 0.98), chance(rng, 0.08))
    camera, around = place_camera(subject, plan, around, longest, rng)
    others = props.clutter(kind, place, plan.azimuth, around.span, rng) if around.ground == 0.0 else []
    scene = composition.staged(ROLE, subject, in_the_room(others, around), subject, rng)
    return expose_scene(scene, plan, camera, around, place, rng)


def _standing(vertices: Floats, faces: NDArray[np.int32], size: float) -> Part:
    """Return the mesh at its size, centred, its lowest point on the ground."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    middle = (low + high) / 2
    middle[2] = low[2]
    scaled = (vertices - middle) * (size / max(float((high - low).max()), 1e-300))
    return Part(scaled, faces, ROLE)
