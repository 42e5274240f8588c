"""The Phong reflection model: its presets, and the loops that turn seen faces into grey pictures.

``I = ambient + Σ strength·(diffuse·max(n·l, 0) + specular·max(r·v, 0)^shininess)``, n turned towards the
eye so that both sides of a face are lit alike, grey = round(255·min(I, 1)). Every constant stands here,
for every renderer.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import Shading
from hifa_cli.render.compiled import compiled

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Light:
    """A light: its direction in the camera's right, up and back; all zero is a headlight at the eye."""

    direction: tuple[float, float, float]
    strength: float = 1.0


@dataclass(frozen=True)
class Phong:
    """A material under its lights; ``crease`` degrees bound smoothing over an edge, None is flat."""

    ambient: float
    diffuse: float
    specular: float
    shininess: int
    lights: tuple[Light, ...]
    crease: float | None


HEADLIGHT = Light((0.0, 0.0, 0.0))
KEY = Light((0.3, 0.6, 1.0))  # over the viewer's right shoulder
FILL = Light((-0.8, 0.1, 0.5), strength=0.25)

PRESETS: dict[Shading, Phong] = {
    # render_views.m of Su et al. 2015: flat faces, grey 76 … 230 as in the public MI3DOR views
    "mvcnn": Phong(0.3, 0.6, 0.0, 1, lights=(HEADLIGHT,), crease=None),
    "smooth": Phong(0.225, 0.45, 0.2, 32, lights=(KEY, FILL), crease=40.0),
}


def lights_in_space(phong: Phong, camera: Array) -> Array:
    """(L, 4) unit directions in the shape's space, zero for a headlight, and strengths.

    Args:
        phong: the preset.
        camera: (3, 3) rows right, up, back.
    """
    directions = np.array([light.direction for light in phong.lights])
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    directions = directions / np.where(lengths > 0, lengths, 1.0)
    return np.column_stack([directions @ camera, [light.strength for light in phong.lights]])


def material(phong: Phong) -> Array:
    """(4,) ambient, diffuse, specular, shininess."""
    return np.array([phong.ambient, phong.diffuse, phong.specular, float(phong.shininess)])


@compiled
def reflect(point: Array, normal: Array, eye: Array, lights: Array, surface: Array) -> int:
    """The grey, 0 … 255, of a point: the Phong formula above.

    Args:
        point: (3,) where it lies.
        normal: (3,) either way round, of any length.
        eye: (3,).
        lights: (L, 4) from :func:`lights_in_space`.
        surface: (4,) from :func:`material`.
    """
    vx, vy, vz = eye[0] - point[0], eye[1] - point[1], eye[2] - point[2]
    scale = 1.0 / math.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx * scale, vy * scale, vz * scale
    nx, ny, nz = normal[0], normal[1], normal[2]
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    scale = 1.0 / length if length > 0.0 else 0.0
    nx, ny, nz = nx * scale, ny * scale, nz * scale
    facing = nx * vx + ny * vy + nz * vz
    if facing < 0.0:
        nx, ny, nz, facing = -nx, -ny, -nz, -facing
    intensity = surface[0]
    for light in range(lights.shape[0]):
        lx, ly, lz = lights[light, 0], lights[light, 1], lights[light, 2]
        if lx == 0.0 and ly == 0.0 and lz == 0.0:
            lx, ly, lz = vx, vy, vz
        lit = nx * lx + ny * ly + nz * lz
        if lit <= 0.0:
            continue
        intensity += lights[light, 3] * surface[1] * lit
        if surface[2] > 0.0:
            mirrored = 2.0 * lit * facing - (lx * vx + ly * vy + lz * vz)
            if mirrored > 0.0:
                intensity += lights[light, 3] * surface[2] * mirrored ** int(surface[3])
    return int(255.0 * min(intensity, 1.0) + 0.5)


@compiled
def draw_flat(
    face_ids: NDArray[np.int32],
    vertices: Array,
    faces: NDArray[np.int32],
    eye: Array,
    lights: Array,
    surface: Array,
    picture: NDArray[np.uint8],
) -> None:
    """Average the greys of each pixel's samples, one grey a face, taken at the face's centre.

    Args:
        face_ids: (S·H, S·W) from :func:`raster.visible`.
        vertices: (n, 3).
        faces: (m, 3).
        eye: (3,).
        lights: (L, 4).
        surface: (4,).
        picture: (H, W), filled with the ground's grey; drawn in place.
    """
    height, width = picture.shape
    samples = face_ids.shape[0] // height
    centre, normal = np.empty(3), np.empty(3)
    last, grey = -1, 0
    for row in range(height):
        for column in range(width):
            total, seen, ground = 0, 0, int(picture[row, column])
            for sample in range(samples * samples):
                face = face_ids[row * samples + sample // samples, column * samples + sample % samples]
                if face < 0:
                    total += ground
                    continue
                seen += 1
                if face != last:
                    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
                    for axis in range(3):
                        centre[axis] = (vertices[a, axis] + vertices[b, axis] + vertices[c, axis]) / 3.0
                    face_normal(vertices, a, b, c, normal)
                    grey, last = reflect(centre, normal, eye, lights, surface), face
                total += grey
            if seen > 0:
                picture[row, column] = (2 * total + samples * samples) // (2 * samples * samples)


@compiled
def face_normal(vertices: Array, a: int, b: int, c: int, normal: Array) -> None:
    """Write the cross product of two edges, twice the face's area long, into ``normal``."""
    ux, uy, uz = (
        vertices[b, 0] - vertices[a, 0],
        vertices[b, 1] - vertices[a, 1],
        vertices[b, 2] - vertices[a, 2],
    )
    vx, vy, vz = (
        vertices[c, 0] - vertices[a, 0],
        vertices[c, 1] - vertices[a, 1],
        vertices[c, 2] - vertices[a, 2],
    )
    normal[0], normal[1], normal[2] = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx


@compiled
def draw_smooth(
    face_ids: NDArray[np.int32],
    projected: Array,
    vertices: Array,
    faces: NDArray[np.int32],
    normals: NDArray[np.float32],
    eye: Array,
    lights: Array,
    surface: Array,
    picture: NDArray[np.uint8],
) -> None:
    """Average over each pixel's samples, shading every face once a pixel, where its samples' mean lies.

    Args:
        face_ids: (S·H, S·W) from :func:`raster.visible`.
        projected: (n, 3) columns, rows (in samples) and inverse depths.
        vertices: (n, 3).
        faces: (m, 3).
        normals: (m, 3, 3) a normal for every corner of every face.
        eye: (3,).
        lights: (L, 4).
        surface: (4,).
        picture: (H, W), filled with the ground's grey; drawn in place.
    """
    height, width = picture.shape
    samples = face_ids.shape[0] // height
    point, normal, weight = np.empty(3), np.empty(3), np.empty(3)
    many = samples * samples
    ids = np.empty(many, dtype=np.int32)
    for row in range(height):
        for column in range(width):
            total, seen, ground = 0, 0, int(picture[row, column])
            for sample in range(many):
                ids[sample] = face_ids[
                    row * samples + sample // samples, column * samples + sample % samples
                ]
                seen += ids[sample] >= 0
            if seen == 0:
                continue
            total = ground * (many - seen)
            for sample in range(many):
                face = ids[sample]
                if face < 0:
                    continue
                count, x, y = 0, 0.0, 0.0
                for other in range(sample, many):
                    if ids[other] == face:
                        ids[other] = -1
                        count += 1
                        x += column * samples + other % samples + 0.5
                        y += row * samples + other // samples + 0.5
                x, y = x / count, y / count
                whole = 0.0
                for corner in range(3):
                    b, c = faces[face, (corner + 1) % 3], faces[face, (corner + 2) % 3]
                    weight[corner] = projected[faces[face, corner], 2] * (
                        (projected[b, 0] - x) * (projected[c, 1] - y)
                        - (projected[c, 0] - x) * (projected[b, 1] - y)
                    )
                    whole += weight[corner]
                point[:] = 0.0
                normal[:] = 0.0
                for corner in range(3):
                    share = weight[corner] / whole
                    for axis in range(3):
                        point[axis] += share * vertices[faces[face, corner], axis]
                        normal[axis] += share * normals[face, corner, axis]
                total += count * reflect(point, normal, eye, lights, surface)
            picture[row, column] = (2 * total + many) // (2 * many)
