"""Signs of the up axis in a mesh's geometry: how it rests, its symmetry, its walls and legs.

All of it is seen from outside, on six small pictures along the axes, so that what lies inside a shape and
how its faces are wound do not matter. The box around the mesh fills every picture.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.meshes import Mesh
from hifa_cli.render.raster import visible

SIDE = 48  # pixels of a picture
LEVELS = 8  # heights at which pieces side by side are counted
THINNEST = 1e-3  # of the longest side: what is thinner counts as so thick
MOST_PIECES = 6  # side by side
RESTS = 0.03  # of the height: what is lower touches the ground

Numbers = NDArray[np.float64]
Direction = tuple[int, int]  # an axis, 0 to 2, and 1 or −1
DIRECTIONS: tuple[Direction, ...] = tuple((axis, sign) for axis in range(3) for sign in (1, -1))


class Side(NamedTuple):
    """A mesh seen along an axis; rows and columns are the other two axes, ascending.

    Attributes:
        seen: (SIDE, SIDE) where it is.
        place: (SIDE, SIDE) of the face seen along the axis, 0 to 1 of the box; 0 if absent.
        normal: (SIDE, SIDE, 3) absolute values of its normal.
    """

    seen: NDArray[np.bool_]
    place: Numbers
    normal: Numbers


class Sides(NamedTuple):
    """All that the features are computed from."""

    extent: Numbers  # (3,) logarithms of the box's sides, the longest is 0
    views: dict[Direction, Side]
    centres: Numbers  # (m, 3) of faces, 0 to 1 of the box
    areas: Numbers  # (m,)


def sides(mesh: Mesh) -> Sides:
    """Look at a mesh along its axes."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    longest = (high - low).max()
    inside = np.clip((mesh.vertices - low) / np.maximum(high - low, 1e-9 * longest), 0, 1)
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    cross = np.cross((b - a) / longest, (c - a) / longest)
    areas = np.linalg.norm(cross, axis=1)
    normals = np.abs(cross / np.maximum(areas, 1e-300)[:, None])
    views = {way: _side(inside, mesh.faces, normals, way) for way in DIRECTIONS}
    extent = np.log(np.maximum((high - low) / longest, THINNEST))
    return Sides(extent, views, inside[mesh.faces].mean(axis=1), areas)


def _side(inside: Numbers, faces: NDArray[np.int32], normals: Numbers, way: Direction) -> Side:
    axis, sign = way
    row, column = _others(axis)
    depth = inside[:, axis] if sign > 0 else 1 - inside[:, axis]
    projected = np.stack([inside[:, column] * SIDE, inside[:, row] * SIDE, 1 + depth], axis=1)
    face, inverse = visible(projected, faces, SIDE, SIDE)
    seen = face >= 0
    place = inverse.astype(np.float64) - 1 if sign > 0 else 2 - inverse.astype(np.float64)
    return Side(seen, np.where(seen, place, 0), np.where(seen[..., None], normals[np.maximum(face, 0)], 0))


def _others(axis: int) -> tuple[int, int]:
    return (1, 2) if axis == 0 else (0, 2) if axis == 1 else (0, 1)


def features(seen: Sides, way: Direction) -> dict[str, float]:
    """Numbers that say how likely ``way`` is up; they stay when a shape turns by 90° about it."""
    symmetry = [mirrored(seen.views, axis) for axis in range(3)]
    return {
        **_proportions(seen, way[0]),
        **_top_and_bottom(seen, way),
        **_walls(seen, way),
        **_symmetries(symmetry, way[0]),
        "area height": _area_height(seen, way),
    }


def _proportions(seen: Sides, axis: int) -> dict[str, float]:
    height = seen.extent[axis]
    short, long = sorted(seen.extent[list(_others(axis))])
    return {
        "height": height,
        "height to longer": height - long,
        "height to shorter": height - short,
        "longer to shorter": long - short,
    }


def _upright(side: Side, sign: int) -> Numbers:
    """Heights above the ground, 0 where nothing is seen."""
    return side.place if sign > 0 else np.where(side.seen, 1 - side.place, 0)


def _top_and_bottom(seen: Sides, way: Direction) -> dict[str, float]:
    axis, sign = way
    above, below = seen.views[way], seen.views[axis, -sign]
    top, bottom = _upright(above, sign), _upright(below, sign)
    both = above.seen & below.seen
    columns = np.where(both, np.maximum(top - bottom, 0), 0)
    whole = max(float(columns.sum()), 1e-9)
    highs, lows = _some(top[above.seen]), _some(bottom[below.seen])
    return {
        "footprint": above.seen.mean(),
        "top mean": highs.mean(),
        "top deviation": highs.std(),
        "bottom mean": lows.mean(),
        "bottom deviation": lows.std(),
        "top at 5%": (highs > 0.95).mean(),
        "top at 15%": (highs > 0.85).mean(),
        "bottom at 2%": (lows < 0.02).mean(),
        "bottom at 15%": (lows < 0.15).mean(),
        "box resting at 2%": (lows < 0.02).sum() / SIDE**2,
        "box resting at 15%": (lows < 0.15).sum() / SIDE**2,
        "thickness": columns.sum() / max(int(above.seen.sum()), 1),
        "centre": float(((top + bottom) / 2 * columns)[both].sum()) / whole,
        "top flat": _mean(above.normal[above.seen][:, axis] > 0.95),
        "bottom flat": _mean(below.normal[below.seen][:, axis] > 0.95),
        "top slope": _mean(above.normal[above.seen][:, axis]),
        "bottom slope": _mean(below.normal[below.seen][:, axis]),
        "top span": float(np.prod(_span(above.seen & (top > 1 - RESTS)))),
        **_support(below.seen & (bottom < RESTS), np.where(both, np.maximum(top - bottom, 0.01), 0)),
    }


def _some(values: Numbers) -> Numbers:
    return values if len(values) else np.zeros(1)


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _span(touching: NDArray[np.bool_]) -> list[float]:
    """Return how far what touches reaches along rows and columns, of the box."""
    rows, columns = np.nonzero(touching)
    return [(np.ptp(one) + 1) / SIDE if len(one) else 1 / SIDE for one in (rows, columns)]


def _support(touching: NDArray[np.bool_], weights: Numbers) -> dict[str, float]:
    """Return how wide it rests, and how far inside of that its weight lies."""
    if not touching.any():
        touching = np.zeros_like(touching)
        touching[SIDE // 2, SIDE // 2] = True
    rows, columns = np.nonzero(touching)
    weights = weights / max(float(weights.sum()), 1e-9)
    places = np.arange(SIDE)
    row, column = float(weights.sum(axis=1) @ places), float(weights.sum(axis=0) @ places)
    inside = sorted(
        min(one - near.min(), near.max() - one) / SIDE for one, near in ((row, rows), (column, columns))
    )
    narrow, wide = sorted(_span(touching))
    return {
        "support narrow": narrow,
        "support wide": wide,
        "support": narrow * wide,
        "support margin": inside[0],
        "support margin wide": inside[1],
        "stable": float(inside[0] > 0),
        "off centre": float(np.hypot(rows.mean() - row, columns.mean() - column)) / SIDE,
    }


def _walls(seen: Sides, way: Direction) -> dict[str, float]:
    """Walls that stand, and pieces side by side at each height: legs below, a seat above."""
    axis, sign = way
    outlines, upright, slopes = [], [], []
    for other in _others(axis):
        outline = seen.views[other, 1].seen
        outline = outline if axis == _others(other)[0] else outline.T
        outlines.append(outline if sign > 0 else outline[::-1])
        for side in (seen.views[other, 1], seen.views[other, -1]):
            if side.seen.any():
                slopes.append(float(side.normal[side.seen][:, axis].mean()))
                upright.append(float((side.normal[side.seen][:, axis] < 0.05).mean()))
    starts = [np.diff(one.astype(np.int8), axis=1, prepend=0) == 1 for one in outlines]
    pieces = np.mean([np.minimum(one.sum(axis=1), MOST_PIECES) for one in starts], axis=0)
    wide = np.mean([one.mean(axis=1) for one in outlines], axis=0)
    narrow_fill, wide_fill = sorted(float(one.mean()) for one in outlines)
    return {
        **{f"pieces {level}": float(part.mean()) for level, part in enumerate(np.split(pieces, LEVELS))},
        "wider below": float(wide[: SIDE // 2].mean() - wide[SIDE // 2 :].mean()),
        "outline narrow": narrow_fill,
        "outline wide": wide_fill,
        "walls": _mean(np.array(upright)),
        "side slope": _mean(np.array(slopes)),
    }


def _symmetries(symmetry: list[tuple[float, float]], axis: int) -> dict[str, float]:
    """Return up and down differ while left and right are often alike."""
    found = {}
    for number, kind in enumerate(("depth", "outline")):
        less, more = sorted(symmetry[other][number] for other in _others(axis))
        found[f"mirror {kind}"] = symmetry[axis][number]
        found[f"mirror {kind} less"], found[f"mirror {kind} more"] = less, more
    return found


def mirrored(views: dict[Direction, Side], axis: int) -> tuple[float, float]:
    """Return how alike a shape and its mirror image in ``axis`` are, 0 to 1.

    Seen along it, and from the sides.
    """
    front, back = views[axis, 1], views[axis, -1]
    both = front.seen & back.seen
    along = 1 - float(np.abs(front.place - (1 - back.place))[both].mean()) if both.any() else 0.0
    across = []
    for other in _others(axis):
        turned = 0 if axis == _others(other)[0] else 1
        for sign in (1, -1):
            side = views[other, sign]
            seen, place = np.flip(side.seen, turned), np.flip(side.place, turned)
            both, either = seen & side.seen, int((seen | side.seen).sum())
            apart = float(np.abs(place - side.place)[both].mean()) if both.any() else 0.5
            across.append((both.sum() / either if either else 1.0) * (1 - 2 * min(0.5, apart)))
    return along, float(np.mean(across))


def _area_height(seen: Sides, way: Direction) -> float:
    heights = seen.centres[:, way[0]]
    heights = heights if way[1] > 0 else 1 - heights
    return float(heights @ seen.areas) / max(float(seen.areas.sum()), 1e-300)
