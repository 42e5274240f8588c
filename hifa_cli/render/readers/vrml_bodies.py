"""VRML 97's bodies as polygons: those of measures, grids of heights, extrusions (ISO/IEC 14772-1, 6)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.parsing import Polygons

SEGMENTS = 32  # around a round body
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def polygons(vertices: Floats, rings: list[Integers]) -> Polygons:
    """Return polygons of these rings of corners."""
    starts = np.cumsum([0, *(len(ring) for ring in rings)]).astype(np.int64)
    return Polygons(vertices, starts, np.concatenate([*rings, np.empty(0, dtype=np.int64)]))


def grid(rows: int, columns: int) -> Integers:
    """Return (n, 4) corners of the quads between rows and columns of vertices, counter-clockwise from +z."""
    corner = np.arange(rows * columns).reshape(rows, columns)
    quads = np.stack([corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]], axis=-1)
    return quads.reshape(-1, 4)


def box(size: Floats) -> Polygons:
    """A box about the origin (6.6)."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * size / 2
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return polygons(corners, [np.array(one) for one in quads])


def sphere(radius: float) -> Polygons:
    """A sphere about the origin (6.42), its vertices on it."""
    heights = np.linspace(-np.pi / 2, np.pi / 2, SEGMENTS // 2 + 1)
    around = np.linspace(0, 2 * np.pi, SEGMENTS + 1)
    down, round_ = np.meshgrid(heights, around, indexing="ij")
    places = [np.cos(down) * np.sin(round_), np.sin(down), np.cos(down) * np.cos(round_)]
    return polygons(radius * np.stack(places, axis=-1).reshape(-1, 3), list(grid(*down.shape)))


def turned(radii: tuple[float, float], height: float, *, side: bool, bottom: bool, top: bool) -> Polygons:
    """A cylinder or a cone along y about the origin (6.9, 6.13).

    Args:
        radii: below and above.
        height: from the bottom to the top.
        side: whether it has its round side.
        bottom: whether it has its bottom.
        top: whether it has its top.

    Returns:
        Its polygons.
    """
    angles = np.arange(SEGMENTS) * 2 * np.pi / SEGMENTS
    circle = np.stack([np.sin(angles), np.zeros(SEGMENTS), np.cos(angles)], axis=1)
    middle = np.array([0, height / 2, 0])
    vertices = np.concatenate([circle * radii[0] - middle, circle * radii[1] + middle])
    low = np.arange(SEGMENTS)
    after, high = np.roll(low, -1), low + SEGMENTS
    rings: list[Integers] = []
    if side:
        rings += list(np.stack([low, after, after + SEGMENTS, high], axis=1))
    if bottom:
        rings.append(low[::-1])
    if top and radii[1] > 0:
        rings.append(high)
    return polygons(vertices, rings)


def heights(counts: tuple[int, int], spacing: tuple[float, float], given: Floats) -> Polygons:
    """A grid of heights over the plane of x and z (6.17).

    Args:
        counts: of columns along x and rows along z.
        spacing: between them.
        given: heights, row after row.

    Returns:
        Its polygons.

    Raises:
        HifaError: there are fewer heights than places.
    """
    columns, rows = counts
    if columns < 2 or rows < 2:
        return polygons(np.empty((0, 3)), [])
    if columns * rows > len(given):
        raise HifaError(f"is damaged: an ElevationGrid of {columns} × {rows} has {len(given)} heights")
    z, x = np.meshgrid(np.arange(rows) * spacing[1], np.arange(columns) * spacing[0], indexing="ij")
    vertices = np.stack([x.ravel(), given[: rows * columns], z.ravel()], axis=1)
    return polygons(vertices, list(grid(rows, columns)[:, ::-1]))


class Swept(NamedTuple):
    """Hold the fields of an extrusion (6.18).

    Attributes:
        section: (n, 2) its outline, in the plane of x and z.
        spine: (m, 3) the way that it is moved along.
        scales: (1 or m, 2) of the outline at each place.
        turns: (1 or m, 4) axis and angle of each.
        begin: whether its beginning is closed.
        end: whether its end is.
    """

    section: Floats
    spine: Floats
    scales: Floats
    turns: Floats
    begin: bool
    end: bool


def extrusion(swept: Swept) -> Polygons:
    """An outline that is moved along a way, scaled and turned at each of its places (6.18).

    Raises:
        HifaError: its scales or turns are not as many as its places.
    """
    count, size = len(swept.spine), len(swept.section)
    if count < 2 or size < 2:
        return polygons(np.empty((0, 3)), [])
    for name, given in (("scales", swept.scales), ("orientations", swept.turns)):
        if len(given) != 1 and len(given) < count:
            raise HifaError(f"is damaged: an Extrusion along {count} places has {len(given)} {name}")
    scales = np.broadcast_to(swept.scales[:count], (count, 2))
    turns = np.broadcast_to(swept.turns[:count], (count, 4))
    flat = np.stack([swept.section[:, 0], np.zeros(size), swept.section[:, 1]], axis=1)
    planes = cross_section_planes(swept.spine)
    places = [
        (flat * [scale[0], 1, scale[1]]) @ (planes[at] @ rotation(turn)).T + swept.spine[at]
        for at, (scale, turn) in enumerate(zip(scales, turns, strict=True))
    ]
    rings = list(grid(count, size))
    outline = np.arange(size)
    if size > 2 and (swept.section[0] == swept.section[-1]).all():
        outline = outline[:-1]
    if swept.begin:
        rings.append(outline[::-1])
    if swept.end:
        rings.append(outline + (count - 1) * size)
    return polygons(np.concatenate(places), rings)


def rotation(turn: Floats) -> Floats:
    """Return (3, 3) of an axis and an angle; none about no axis."""
    length = float(np.linalg.norm(turn[:3]))
    if not length > 0:
        return np.eye(3)
    x, y, z = turn[:3] / length
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = float(turn[3])
    found: Floats = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return found


def cross_section_planes(spine: Floats) -> Floats:
    """Return (m, 3, 3): at each place of a way the axes of its outline, as columns (6.18.3).

    y is along the way, z along the axis that it turns about; where it does not turn, z is that of the place
    before, and a straight way turns the outline as the shortest turn from +y does.
    """
    count = len(spine)
    closed = bool((spine[0] == spine[-1]).all()) and count > 2
    before, after = np.roll(spine, 1, axis=0), np.roll(spine, -1, axis=0)
    if closed:
        before[0], after[-1] = spine[-2], spine[1]
    else:
        before[0], after[-1] = spine[0], spine[-1]
    y = _units(after - before)
    z = np.cross(after - spine, before - spine)
    if not closed:
        z[0], z[-1] = z[min(1, count - 1)], z[max(count - 2, 0)]
    known = np.linalg.norm(z, axis=1) > 1e-12 * max(float(np.abs(spine).max()) ** 2, 1e-300)
    if not known.any():
        return _straight(y)
    z = _units(z)
    z[: int(np.argmax(known))] = z[int(np.argmax(known))]
    for at in range(1, count):
        if not known[at] and at > int(np.argmax(known)):
            z[at] = z[at - 1]
        if z[at] @ z[at - 1] < 0:
            z[at] = -z[at]
    for at in range(1, count):  # a way that turns back on itself has no direction there
        if not y[at].any():
            y[at] = y[at - 1]
    return np.stack([_units(np.cross(y, z)), y, z], axis=2)


def _units(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Floats = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return found


def _straight(y: Floats) -> Floats:
    """Return the axes along a straight way: those of the shortest turn from +y to it."""
    along = next((one for one in y if one.any()), np.array([0.0, 1.0, 0.0]))
    axis = np.cross([0.0, 1.0, 0.0], along)
    if not axis.any():
        axis = np.array([1.0, 0.0, 0.0])
    turn = np.append(axis, np.arccos(np.clip(along[1], -1, 1)))
    return np.broadcast_to(rotation(turn), (len(y), 3, 3))
