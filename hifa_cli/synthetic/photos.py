"""A photo of a thing: staged, lit, seen in perspective before a background, developed."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hifa_cli.render.normals import corner_normals
from hifa_cli.render.raster import barycentrics, visible
from hifa_cli.synthetic import camera as optics
from hifa_cli.synthetic import composition, props
from hifa_cli.synthetic import scene as scenery
from hifa_cli.synthetic.backdrops import GROUND, SKY, WALL, backdrop
from hifa_cli.synthetic.camera import Camera, Framing
from hifa_cli.synthetic.composition import Staged
from hifa_cli.synthetic.lighting import Light, Shadows, Surface, ambient, choose_light, reflect
from hifa_cli.synthetic.noise import noise_table
from hifa_cli.synthetic.primitives import Floats, Part, dot
from hifa_cli.synthetic.sampling import pick
from hifa_cli.synthetic.scene import Scenery
from hifa_cli.synthetic.shapes import make_thing

Generator = np.random.Generator
SAMPLES = 2  # a side of a pixel
CREASE = 40.0  # degrees
SHOWN = 0.6  # of the subject; clutter that hides more is taken away
KEY = 0.36  # usual exposure: the brighter half's mean


class Photo(NamedTuple):
    """A picture, and where the subject is in it.

    Attributes:
        picture: (height, width, 3) uint8.
        mask: (height, width) the share of each pixel that shows the subject.
    """

    picture: NDArray[np.uint8]
    mask: Floats


def make_photo(kind: str, rng: Generator, longest: int) -> Photo:
    """Return a photo of a fresh thing.

    Args:
        kind: a key of `shapes.KINDS`.
        rng: decides everything.
        longest: pixels of the longer side.

    Returns:
        The picture, and what was placed how.
    """
    thing = make_thing(kind, rng)
    odds = scenery.PLACES[kind]
    place = pick(rng, tuple(odds), tuple(odds.values()))
    plan = composition.plan_view(kind, place, rng)
    subject = composition.pose(kind, place, thing, rng)
    around = scenery.choose_scenery(kind, place, plan.azimuth, noise_table(rng), rng)
    camera, around = place_camera(subject, plan, around, longest, rng)
    others = props.clutter(kind, place, plan.azimuth, around.span, rng) if around.ground == 0.0 else []
    scene = composition.staged(kind, subject, in_the_room(others, around), thing, rng)
    return expose_scene(scene, plan, camera, around, place, rng)


def place_camera(
    subject: list[Part], plan: Framing, around: Scenery, longest: int, rng: Generator
) -> tuple[Camera, Scenery]:
    """Return the camera that a plan asks for, and the place fitted to the subject.

    Args:
        subject: posed parts.
        plan: the camera's direction and how the subject fills the picture.
        around: the place.
        longest: pixels of the longer side.
        rng: decides what is left open.

    Returns:
        The camera, and the place with its ground under the subject.
    """
    around = _fitted(around, subject, rng)
    return _camera(subject, plan, around, longest, rng), around


def expose_scene(
    scene: Staged, plan: Framing, camera: Camera, around: Scenery, place: str, rng: Generator
) -> Photo:
    """Return the photo of a scene: its light, its shadows, developed.

    Args:
        scene: subject and clutter.
        plan: the camera's direction, which the light is chosen by.
        camera: of :func:`place_camera`.
        around: the place.
        place: its name.
        rng: chooses light and exposure.

    Returns:
        The picture, and what was placed how.
    """
    scene = _unhidden(scene, camera)
    linear, mask = _expose(scene, camera, around, choose_light(around, plan.azimuth, rng))
    bright = place == "studio" and around.floor[1].mean() > 0.5
    return Photo(optics.develop(linear, rng.uniform(0.7, 1.2) if bright else KEY, rng), mask)


def save_photo(photo: Photo, path: Path, quality: int) -> None:
    """Write the picture as a JPEG.

    Args:
        photo: to write.
        path: of the file.
        quality: of the JPEG, 1 to 95.
    """
    Image.fromarray(photo.picture).save(path, format="JPEG", quality=quality)


def _fitted(around: Scenery, subject: list[Part], rng: Generator) -> Scenery:
    """No ground under what flies, a floor far below what hangs, a wall behind all of the subject."""
    if around.place == "sky":
        around = replace(around, ground=None)
    elif composition.hangs(subject):
        around = replace(around, ground=-rng.uniform(1.2, 2.5))
    if around.wall is None:
        return around
    normal, offset = around.wall_plane()
    points = np.concatenate([part.vertices for part in subject])
    needed = 0.03 - float((points * normal).sum(axis=1).min())
    return replace(around, wall=(max(-offset, needed), *around.wall[1:]))


def in_the_room(others: list[list[Part]], around: Scenery) -> list[list[Part]]:
    """Return the clutter that does not reach into the wall."""
    if around.wall is None:
        return others
    normal, offset = around.wall_plane()
    return [
        thing
        for thing in others
        if all(((part.vertices * normal).sum(axis=1) > offset).all() for part in thing)
    ]


def _camera(subject: list[Part], plan: Framing, around: Scenery, longest: int, rng: Generator) -> Camera:
    """Return the planned camera, raised above the ground where the plan would bury it."""
    points = np.concatenate([part.vertices for part in subject])
    if around.place == "water":
        points = points[points[:, 2] > 0]
    camera = optics.frame(points, plan, longest, rng)
    if around.ground is not None and camera.eye[2] < around.ground + 0.05:
        camera = optics.frame(points, replace(plan, elevation=4.0), longest, rng)
    return camera


def _unhidden(scene: Staged, camera: Camera) -> Staged:
    """Return the scene, without its clutter if that hides too much of the subject."""
    if scene.subject.all():
        return scene
    projected = camera.project(scene.vertices)
    together = visible(projected, scene.faces, *camera.size)[0]
    alone = visible(projected, scene.faces[scene.subject], *camera.size)[0]
    if int(scene.subject[together[together >= 0]].sum()) >= SHOWN * int((alone >= 0).sum()):
        return scene
    kept = scene.subject
    return scene._replace(faces=scene.faces[kept], material=scene.material[kept], subject=scene.subject[kept])


def _expose(scene: Staged, camera: Camera, around: Scenery, light: Light) -> tuple[Floats, Floats]:
    """Return (height, width, 3) linear light, and the subject's share of each pixel."""
    shadows = Shadows(scene, light)
    samples = _samples(scene, camera)
    surface = _surface(scene, camera, samples)
    sent = np.zeros((len(samples.faces), 5))
    sent[:, 4] = scene.subject[samples.faces]
    material = scene.material[samples.faces]
    for index in np.unique(material):
        here = material == index
        part = Surface(*(values[here] for values in surface))
        colour, opacity = reflect(part, scene.materials[index], light, shadows, around.table)
        sent[here, :4] = np.column_stack([colour * opacity[:, None], opacity])
    if around.place == "water":  # what is under water is not seen
        sent[surface.points[:, 2] < 0] = 0
    count = camera.size[0] * camera.size[1]
    sums = [np.bincount(samples.pixels, samples.shares * channel, minlength=count) for channel in sent.T]
    pixels = np.stack(sums, axis=1).astype(np.float64).reshape(*camera.size, 5)
    behind = _backdrop(camera, around, light, shadows)
    return pixels[..., :3] + (1 - pixels[..., 3:4]) * behind, pixels[..., 4]


class Samples(NamedTuple):
    """Return where light is computed.

    It is computed once in a pixel that sees one material of one thing, else in each sample.

    Attributes:
        pixels: (n,) which pixel, row by row.
        shares: (n,) how much of it.
        faces: (n,) what is seen.
        weights: (n, 3) barycentric coordinates in it.
    """

    pixels: NDArray[np.intp]
    shares: Floats
    faces: NDArray[np.int32]
    weights: Floats


def _samples(scene: Staged, camera: Camera) -> Samples:
    fine = camera.finer(SAMPLES)
    projected = fine.project(scene.vertices)
    grid, _ = visible(projected, scene.faces, *fine.size)
    weights = _by_pixel(barycentrics(projected, scene.faces, grid))
    faces = _by_pixel(grid)[..., 0]
    stuff = np.where(faces >= 0, 2 * scene.material[faces] + scene.subject[faces], -1)
    alike = (stuff == stuff[:, :1]).all(axis=1)
    pixels, sample = np.nonzero((faces >= 0) & ~(alike[:, None] & (np.arange(SAMPLES**2) > 0)))
    shares = np.where(alike[pixels], 1.0, 1 / SAMPLES**2)
    return Samples(pixels, shares, faces[pixels, sample], weights[pixels, sample].astype(np.float64))


def _by_pixel(grid: NDArray[Any]) -> NDArray[Any]:
    """Return (2 height, 2 width, …) samples as (height · width, 4, k)."""
    height, width = grid.shape[0] // SAMPLES, grid.shape[1] // SAMPLES
    blocks = grid.reshape(height, SAMPLES, width, SAMPLES, -1).swapaxes(1, 2)
    return np.asarray(blocks.reshape(height * width, SAMPLES**2, -1))


def _surface(scene: Staged, camera: Camera, samples: Samples) -> Surface:
    """Return the place that each sample sees."""
    corners = scene.faces[samples.faces]
    smooth = corner_normals(scene.vertices, scene.faces, CREASE)[samples.faces]
    a, b, c = samples.weights[:, :1], samples.weights[:, 1:2], samples.weights[:, 2:]
    points, own = (
        a * values[corners[:, 0]] + b * values[corners[:, 1]] + c * values[corners[:, 2]]
        for values in (scene.vertices, scene.own)
    )
    normals = a * smooth[:, 0] + b * smooth[:, 1] + c * smooth[:, 2]
    view = camera.eye - points
    view /= np.sqrt(dot(view, view))
    # both sides of a face are seen: the normal is turned towards the eye
    normals *= np.sign(dot(normals, view)) / np.sqrt(dot(normals, normals)).clip(1e-9)
    return Surface(points, own, normals, view)


def _backdrop(camera: Camera, around: Scenery, light: Light, shadows: Shadows) -> Floats:
    """Return (height, width, 3) light of ground, wall and sky, with the shadows that fall on them."""
    colours, points, kinds = backdrop(around, camera)
    for kind in (GROUND, WALL):
        if (where := kinds == kind).any():
            normal = np.array([[0.0, 0.0, 1.0]]) if kind == GROUND else around.wall_plane()[0][None]
            key = light.key * dot(normal, light.way).clip(0)
            lit, free = shadows.lit(points[where]), shadows.open(points[where])
            if around.place == "water":
                lit = 0.6 + 0.4 * lit
            colours[where] *= lit[:, None] * key + free[:, None] * ambient(light, normal)
    if around.place == "studio":
        colours[kinds == SKY] *= light.key * max(float(light.way[2]), 0.0) + light.sky
    return _out_of_focus(colours.reshape(*camera.size, 3), kinds.reshape(camera.size) != GROUND, around.far)


def _out_of_focus(picture: Floats, distant: NDArray[np.bool_], blur: float) -> Floats:
    """Return the picture with what is ``distant`` blurred by that many pixels."""
    from scipy.ndimage import gaussian_filter

    if blur < 0.3 or not distant.any():
        return picture
    share = gaussian_filter(distant.astype(np.float32), blur, truncate=3.0)[..., None] * distant[..., None]
    soft = gaussian_filter(picture.astype(np.float32), (blur, blur, 0), truncate=3.0)
    return np.asarray(picture * (1 - share) + share * soft)
