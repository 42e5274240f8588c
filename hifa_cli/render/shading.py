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
from hifa_cli.render.compiled import compiled, helper
from hifa_cli.render.raster import GROUND, LAST_FACE, LOW_HALF

Array = NDArray[np.float64]
Triple = tuple[float, float, float]


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


def lights_of(phong: Phong) -> Array:
    """(L, 4) unit directions in the camera's right, up and back, zero for a headlight, and strengths."""
    directions = np.array([light.direction for light in phong.lights])
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    directions = directions / np.where(lengths > 0, lengths, 1.0)
    strengths = [light.strength for light in phong.lights]
    return np.asarray(np.column_stack([directions, strengths]), dtype=np.float64)


def in_space(lights: Array, camera: Array) -> Array:
    """(L, 4) lights turned from a camera's axes, (3, 3) rows right, up and back, to the shape's space."""
    turned = np.empty_like(lights)
    turned[:, :3] = lights[:, :3] @ camera
    turned[:, 3] = lights[:, 3]
    return turned


def material(phong: Phong) -> Array:
    """Return (4,) ambient, diffuse, specular, shininess."""
    return np.array([phong.ambient, phong.diffuse, phong.specular, float(phong.shininess)])


@helper
def reflect(point: Triple, normal: Triple, eye: Array, lights: Array, surface: Array) -> int:
    """Return the grey, 0 … 255, of a point: the Phong formula above.

    Args:
        point: where it lies.
        normal: either way round, of any length.
        eye: (3,).
        lights: (L, 4) from :func:`in_space`.
        surface: (4,) from :func:`material`.

    Returns:
        The grey.
    """
    vx, vy, vz = eye[0] - point[0], eye[1] - point[1], eye[2] - point[2]
    nx, ny, nz = normal
    towards = nx * vx + ny * vy + nz * vz
    scale = 1.0 / math.sqrt(vx * vx + vy * vy + vz * vz)
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    turn = math.copysign(1.0 / length if length > 0.0 else 0.0, towards)
    facing = towards * turn * scale
    vx, vy, vz = vx * scale, vy * scale, vz * scale
    nx, ny, nz = nx * turn, ny * turn, nz * turn
    intensity = surface[0]
    for light in range(lights.shape[0]):
        lx, ly, lz = lights[light, 0], lights[light, 1], lights[light, 2]
        headlight = lx == 0.0 and ly == 0.0 and lz == 0.0
        lit = facing if headlight else nx * lx + ny * ly + nz * lz
        if lit <= 0.0:
            continue
        intensity += lights[light, 3] * surface[1] * lit
        if surface[2] > 0.0:
            mirrored = 2.0 * lit * facing - (1.0 if headlight else lx * vx + ly * vy + lz * vz)
            if mirrored > 0.0:
                intensity += lights[light, 3] * surface[2] * power(mirrored, surface[3])
    return int(255.0 * min(intensity, 1.0) + 0.5)


@helper
def power(base: float, exponent: float) -> float:
    """Return a whole power by squaring, five times as fast as the library's for any power."""
    left, result = int(exponent), 1.0
    while left > 0:
        if left & 1:
            result *= base
        base *= base
        left >>= 1
    return result


TOGETHER = 500  # faces whose centres are noted for all views: they stay in the first cache


@compiled
def shade_by_headlight(
    vertices: Array,
    faces: NDArray[np.int32],
    eyes: Array,
    strength: float,
    surface: Array,
    greys: NDArray[np.int16],
) -> None:
    """Take the grey of every face in every view from :func:`reflect` at its centre, several at a time.

    Args:
        vertices: (n, 3).
        faces: (m, 3).
        eyes: (V, 3).
        strength: of the only light, which is a headlight.
        surface: (4,) of a material without highlights.
        greys: (V, m) or wider, set in place.
    """
    centres = np.empty((7, TOGETHER))
    for begin in range(0, faces.shape[0], TOGETHER):
        count = min(TOGETHER, faces.shape[0] - begin)
        note_centres(vertices, faces, begin, count, centres)
        for view in range(eyes.shape[0]):
            shade_noted(centres, begin, count, eyes, view, strength, surface, greys)


@helper
def note_centres(vertices: Array, faces: NDArray[np.int32], begin: int, count: int, centres: Array) -> None:
    """Note what of a face its shading by a headlight takes, which is the same for all views.

    Args:
        vertices: (n, 3).
        faces: (m, 3).
        begin: the first face.
        count: faces.
        centres: (7, count) or wider, set in place: centre, normal, one over its length (0 if it has none).
    """
    for place in range(count):
        face = begin + place
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        nx, ny, nz = face_normal(vertices, a, b, c)
        length = math.sqrt(nx * nx + ny * ny + nz * nz)
        centres[0, place], centres[1, place], centres[2, place] = centre(vertices, a, b, c)
        centres[3, place], centres[4, place], centres[5, place] = nx, ny, nz
        centres[6, place] = 1.0 / length if length > 0.0 else 0.0


@helper
def shade_noted(
    centres: Array,
    begin: int,
    count: int,
    eyes: Array,
    view: int,
    strength: float,
    surface: Array,
    greys: NDArray[np.int16],
) -> None:
    """Take the greys of faces whose centres are noted.

    Args:
        centres: of :func:`note_centres`.
        begin: the first face.
        count: faces.
        eyes: (V, 3).
        view: of the V.
        strength: of the headlight.
        surface: (4,).
        greys: (V, m) or wider, set in place.
    """
    ex, ey, ez, ambient, diffuse = (
        eyes[view, 0],
        eyes[view, 1],
        eyes[view, 2],
        surface[0],
        strength * surface[1],
    )
    for place in range(count):
        face = np.uint64(place)
        vx, vy, vz = ex - centres[0, face], ey - centres[1, face], ez - centres[2, face]
        towards = centres[3, face] * vx + centres[4, face] * vy + centres[5, face] * vz
        facing = abs(towards) * centres[6, face] * (1.0 / math.sqrt(vx * vx + vy * vy + vz * vz))
        grey = np.int16(np.int32(255.0 * min(ambient + diffuse * facing, 1.0) + 0.5))
        greys[np.uint64(view), np.uint64(begin) + face] = grey


@compiled
def draw_shaded(
    keys: NDArray[np.int64], greys: NDArray[np.int16], top: int, left: int, picture: NDArray[np.uint8]
) -> None:
    """Average the greys of each pixel's samples, two a side, where the grey of every face is known.

    Args:
        keys: (2·h, 2·w) of a part of the picture from :func:`raster.fill_nearest`.
        greys: (m + 1,) of the faces, and of the ground.
        top: row where the part begins.
        left: column where it begins.
        picture: (H, W), the part drawn in place.
    """
    height, width, ground = keys.shape[0] // 2, keys.shape[1] // 2, np.int64(greys.shape[0] - 1)
    sums = np.empty(keys.shape[1], dtype=np.int32)  # of two samples, one over the other
    for row in range(height):
        upper, lower = np.uint64(2 * row), np.uint64(2 * row + 1)
        for place in range(keys.shape[1]):
            sample = np.uint64(place)
            one, other = keys[upper, sample], keys[lower, sample]
            one = ground if one == GROUND else LAST_FACE - (one & LOW_HALF)
            other = ground if other == GROUND else LAST_FACE - (other & LOW_HALF)
            sums[sample] = greys[np.uint64(one)] + greys[np.uint64(other)]
        for column in range(width):
            picture[top + row, left + column] = (sums[2 * column] + sums[2 * column + 1] + 2) >> 2


@compiled
def draw_flat(
    keys: NDArray[np.int64],
    vertices: Array,
    faces: NDArray[np.int32],
    eye: Array,
    lights: Array,
    surface: Array,
    greys: NDArray[np.int16],
    samples: int,
    top: int,
    left: int,
    picture: NDArray[np.uint8],
) -> None:
    """Average the greys of each pixel's samples, one grey a face, taken at its centre if it is seen.

    Args:
        keys: (S·h, S·w) of a part of the picture from :func:`raster.fill_nearest`.
        vertices: (n, 3).
        faces: (m, 3).
        eye: (3,).
        lights: (L, 4).
        surface: (4,).
        greys: (m,) or more, −1, filled here for the faces that are seen.
        samples: S, a side of a pixel.
        top: row where the part begins.
        left: column where it begins.
        picture: (H, W), the ground's grey in the part that is drawn in place.
    """
    height, width = keys.shape[0] // samples, keys.shape[1] // samples
    wide, many = keys.shape[1], samples * samples
    sums = np.empty(wide, dtype=np.int32)  # down the lines of one row of pixels
    ground = np.int32(picture[top, left])
    for row in range(height):
        sums[:] = 0
        for line in range(row * samples, (row + 1) * samples):
            for place in range(wide):
                key = keys[line, place]
                if key == GROUND:
                    sums[place] += ground
                    continue
                face = LAST_FACE - (key & LOW_HALF)
                grey = greys[face]
                if grey < 0:
                    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
                    normal = face_normal(vertices, a, b, c)
                    grey = reflect(centre(vertices, a, b, c), normal, eye, lights, surface)
                    greys[face] = grey
                sums[place] += grey
        for column in range(width):
            total = many // 2
            for place in range(column * samples, (column + 1) * samples):
                total += sums[place]
            picture[top + row, left + column] = total // many


@helper
def centre(vertices: Array, a: int, b: int, c: int) -> Triple:
    """Return the mean of three vertices.

    Args:
        vertices: (n, 3).
        a: the first vertex.
        b: the second.
        c: the third.

    Returns:
        Three coordinates.
    """
    return (
        (vertices[a, 0] + vertices[b, 0] + vertices[c, 0]) / 3.0,
        (vertices[a, 1] + vertices[b, 1] + vertices[c, 1]) / 3.0,
        (vertices[a, 2] + vertices[b, 2] + vertices[c, 2]) / 3.0,
    )


@helper
def face_normal(vertices: Array, a: int, b: int, c: int) -> Triple:
    """Return the cross product of two edges, twice the face's area long.

    Args:
        vertices: (n, 3).
        a: the first vertex.
        b: the second.
        c: the third.

    Returns:
        Three coordinates.
    """
    ax, ay, az = vertices[a, 0], vertices[a, 1], vertices[a, 2]
    ux, uy, uz = vertices[b, 0] - ax, vertices[b, 1] - ay, vertices[b, 2] - az
    vx, vy, vz = vertices[c, 0] - ax, vertices[c, 1] - ay, vertices[c, 2] - az
    return uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx


@compiled
def draw_smooth(
    keys: NDArray[np.int64],
    projected: Array,
    vertices: Array,
    faces: NDArray[np.int32],
    normals: NDArray[np.float32],
    eye: Array,
    lights: Array,
    surface: Array,
    samples: int,
    top: int,
    left: int,
    picture: NDArray[np.uint8],
) -> None:
    """Average over each pixel's samples, shading every face once a pixel, where its samples' mean lies.

    Args:
        keys: (S·h, S·w) of a part of the picture from :func:`raster.fill_nearest`.
        projected: (n, 3) columns, rows (in samples, of the whole picture) and inverse depths.
        vertices: (n, 3).
        faces: (m, 3).
        normals: (m, 3, 3) a normal for every corner of every face.
        eye: (3,).
        lights: (L, 4).
        surface: (4,).
        samples: S, a side of a pixel.
        top: row where the part begins.
        left: column where it begins.
        picture: (H, W), the ground's grey in the part that is drawn in place.
    """
    height, width = keys.shape[0] // samples, keys.shape[1] // samples
    many = samples * samples
    seen = np.empty(many, dtype=np.int64)  # the faces through one pixel's samples, −1 once accounted for
    across, down = np.arange(many) % samples + 0.5, np.arange(many) // samples + 0.5
    for row in range(height):
        for column in range(width):
            sample = 0
            for line in range(row * samples, (row + 1) * samples):
                for place in range(column * samples, (column + 1) * samples):
                    seen[sample] = LAST_FACE - (keys[line, place] & LOW_HALF)
                    sample += 1
            total, rest, first = 0, many, 0
            while rest > 0:
                face, count, x, y = seen[first], 0, 0.0, 0.0
                if face >= 0:
                    for other in range(first, many):
                        if seen[other] == face:
                            seen[other] = -1
                            count, x, y = count + 1, x + across[other], y + down[other]
                    if face == LAST_FACE:  # the ground's key is 0
                        total += count * picture[top + row, left + column]
                    else:
                        x, y = (left + column) * samples + x / count, (top + row) * samples + y / count
                        point, normal = interpolate(x, y, face, projected, vertices, faces, normals)
                        total += count * reflect(point, normal, eye, lights, surface)
                rest, first = rest - count, first + 1
            picture[top + row, left + column] = (total + many // 2) // many


@helper
def interpolate(
    x: float,
    y: float,
    face: int,
    projected: Array,
    vertices: Array,
    faces: NDArray[np.int32],
    normals: NDArray[np.float32],
) -> tuple[Triple, Triple]:
    """Return the point of a face that is seen at (x, y), and its normal there (of any length).

    Args:
        x: column of the place.
        y: row of the place.
        face: that is seen there.
        projected: (n, 3) columns, rows and inverse depths.
        vertices: (n, 3).
        faces: (m, 3).
        normals: (m, 3, 3) of the corners; empty for flat faces.

    Returns:
        Point and normal.
    """
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    ax, ay = projected[a, 0] - x, projected[a, 1] - y
    bx, by = projected[b, 0] - x, projected[b, 1] - y
    cx, cy = projected[c, 0] - x, projected[c, 1] - y
    wa = (bx * cy - cx * by) * projected[a, 2]
    wb = (cx * ay - ax * cy) * projected[b, 2]
    wc = (ax * by - bx * ay) * projected[c, 2]
    scale = 1.0 / (wa + wb + wc)
    wa, wb, wc = wa * scale, wb * scale, wc * scale
    point = (
        wa * vertices[a, 0] + wb * vertices[b, 0] + wc * vertices[c, 0],
        wa * vertices[a, 1] + wb * vertices[b, 1] + wc * vertices[c, 1],
        wa * vertices[a, 2] + wb * vertices[b, 2] + wc * vertices[c, 2],
    )
    normal = (
        wa * normals[face, 0, 0] + wb * normals[face, 1, 0] + wc * normals[face, 2, 0],
        wa * normals[face, 0, 1] + wb * normals[face, 1, 1] + wc * normals[face, 2, 1],
        wa * normals[face, 0, 2] + wb * normals[face, 1, 2] + wc * normals[face, 2, 2],
    )
    return point, normal
