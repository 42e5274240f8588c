"""The face that is seen through each pixel: a z-buffer that needs no graphics library.

Pixels: column ``x`` grows to the right, row ``y`` downwards, and the centre of the pixel in row i and
column j lies at (j + 0.5, i + 0.5). Depth enters as its inverse, 1 / w, which is affine in the picture
under perspective; larger is nearer.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.compiled import compiled, helper, row_writer, tuple_writer

GROUND = 0  # the key of a pixel that sees no face
LAST_FACE = 0x7FFFFFFF  # the lower half of a key is this less the face
LOW_HALF = 0xFFFFFFFF


def visible(
    projected: NDArray[np.float64], faces: NDArray[np.int32], height: int, width: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the nearest face and its inverse depth at every pixel centre.

    Both sides of a face are seen. A face with a corner at or behind the eye (inverse depth not
    positive, or not finite) is left out whole: nothing is clipped at a near plane.

    Args:
        projected: (n, 3) column, row (pixels) and inverse depth of every vertex.
        faces: (m, 3) indices into ``projected``; they must be valid, nothing checks them here.
        height: rows.
        width: columns.

    Returns:
        (height, width) face ids, −1 for the ground, and (height, width) inverse depths, 0 for the
        ground. Of faces at exactly the same depth the first one wins.
    """
    keys = cleared(new_keys(height, width), height, width)
    fill_nearest(projected, faces, 0.0, 0.0, keys)
    face_ids = np.where(keys == GROUND, -1, LAST_FACE - (keys & LOW_HALF)).astype(np.int32)
    return face_ids, (keys >> 32).astype(np.int32).view(np.float32)


def barycentrics(
    projected: NDArray[np.float64], faces: NDArray[np.int32], face_ids: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Perspective-correct barycentric coordinates of every pixel centre in the face that it sees.

    Args:
        projected: (n, 3) as for :func:`visible`.
        faces: (m, 3) as for :func:`visible`.
        face_ids: (height, width) from :func:`visible`.

    Returns:
        (height, width, 3) weights of the face's three corners, summing to 1; zeros at the ground.
    """
    weights = np.zeros((*face_ids.shape, 3), dtype=np.float32)
    fill_barycentrics(projected, faces, face_ids, weights)
    return weights


SLACK = 1e-9  # pixels: a centre on an edge belongs to both faces, so no crack opens by rounding


@helper
def edge(ax: float, ay: float, bx: float, by: float) -> tuple[float, float]:
    """Return the edge from a down to b: its column (less half a pixel) at row 0, and columns a row.

    Args:
        ax: column of a.
        ay: row of a.
        bx: column of b.
        by: row of b, not above a.

    Returns:
        Column at row 0, and slope.
    """
    slope = (bx - ax) / (by - ay) if by - ay > SLACK else 0.0
    return ax - 0.5 - ay * slope, slope


LANES = 8  # columns at a time of a wide face's row


@row_writer
def put_nearest(
    builder: Any, keys: Any, at: Any, start: Any, step: Any, column: Any, last: Any, low: Any
) -> None:
    """Draw up to ``LANES`` columns of a row of a face: the larger of its keys and those that are there.

    LLVM's own vectorizer leaves so short a loop alone, hence its instructions are given here.

    Args:
        builder: that takes the instructions.
        keys: a pointer to the first of them.
        at: index of the key of ``column``.
        start: inverse depth at column 0.
        step: inverse depth a column.
        column: the first to be drawn.
        last: the last to be drawn.
        low: a key's lower half.
    """
    from llvmlite import ir  # numba's own; not needed where the loops are kept from a former process

    i64, double = column.type, ir.DoubleType()
    longs, doubles = ir.VectorType(i64, LANES), ir.VectorType(double, LANES)
    columns = builder.add(_everywhere(builder, column, LANES), ir.Constant(longs, list(range(LANES))))
    depths = builder.fadd(
        _everywhere(builder, start, LANES),
        builder.fmul(builder.sitofp(columns, doubles), _everywhere(builder, step, LANES)),
    )
    mark = _everywhere(builder, builder.trunc(low, ir.IntType(32)), LANES)
    inside = builder.icmp_signed("<=", columns, _everywhere(builder, last, LANES))
    _keep_nearest(builder, builder.gep(keys, [at]), depths, mark, inside)


def _everywhere(builder: Any, value: Any, lanes: int) -> Any:
    """Return a vector of one value."""
    from llvmlite import ir

    i32, kind = ir.IntType(32), ir.VectorType(value.type, lanes)
    lone = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(i32, 0))
    return builder.shuffle_vector(lone, lone, ir.Constant(ir.VectorType(i32, lanes), [0] * lanes))


def _keep_nearest(builder: Any, room: Any, depths: Any, mark: Any, inside: Any) -> None:
    """Write the keys of a part of a row where they are larger than those that are there.

    Args:
        builder: that takes the instructions.
        room: a pointer to the first key.
        depths: inverse depths, a vector of float64.
        mark: the lower halves of the keys, a vector of int32.
        inside: which of them are drawn.
    """
    from llvmlite import ir

    i64, i32, lanes = ir.IntType(64), ir.IntType(32), inside.type.count
    longs, ints = ir.VectorType(i64, lanes), ir.VectorType(i32, lanes)
    upper = builder.bitcast(builder.fptrunc(depths, ir.VectorType(ir.FloatType(), lanes)), ints)
    order = [half for lane in range(lanes) for half in (lanes + lane, lane)]  # the lower half comes first
    both = builder.shuffle_vector(upper, mark, ir.Constant(ir.VectorType(i32, 2 * lanes), order))
    drawn, room = builder.bitcast(both, longs), builder.bitcast(room, longs.as_pointer())
    held = builder.load(room, align=8)
    nearer = builder.and_(inside, builder.icmp_signed(">", drawn, held))
    builder.store(builder.select(nearer, drawn, held), room, align=8)


def _rows_of_a_face(builder: Any, lanes: int, whole: list[Any], edges: list[Any], put: Any) -> None:
    """Write a loop over the rows of a face of at most ``lanes`` columns.

    A sample is covered where it lies on the inner side of all three edges (Pineda 1988); what a row adds to
    their equations is added to all its columns at once, so that a row takes no rounding, no division and no
    branch.

    Args:
        builder: that takes the instructions.
        lanes: columns at once.
        whole: index of the first row's place, places a row, rows, the last column that is there, from the
            first: int64.
        edges: the values of the three equations at the first sample, what a column adds to each, what a row
            adds: float64; no sign is inside.
        put: writes what becomes of a row, given its place, which lanes are inside and how far down it lies.
    """
    from llvmlite import ir

    i64, double = ir.IntType(64), ir.DoubleType()
    longs, doubles = ir.VectorType(i64, lanes), ir.VectorType(double, lanes)
    numbers = [_everywhere(builder, number, lanes) for number in edges]
    steps = ir.Constant(doubles, [float(lane) for lane in range(lanes)])
    sides = [builder.fadd(numbers[k], builder.fmul(steps, numbers[3 + k])) for k in range(3)]
    there = builder.icmp_signed(
        "<=", ir.Constant(longs, list(range(lanes))), _everywhere(builder, whole[3], lanes)
    )
    before, body = builder.block, builder.append_basic_block("row")
    after = builder.append_basic_block("drawn")
    builder.branch(body)
    builder.position_at_end(body)
    row, place, down = builder.phi(i64), builder.phi(i64), builder.phi(double)
    now = [builder.phi(doubles) for _ in range(3)]
    signs = [builder.bitcast(side, longs) for side in now]
    outside = builder.or_(builder.or_(signs[0], signs[1]), signs[2])
    inside = builder.and_(there, builder.icmp_signed(">=", outside, ir.Constant(longs, [0] * lanes)))
    put(place, inside, down)
    follow = builder.add(row, ir.Constant(i64, 1))
    values = [
        (row, ir.Constant(i64, 0), follow),
        (place, whole[0], builder.add(place, whole[1])),
        (down, ir.Constant(double, 0.0), builder.fadd(down, ir.Constant(double, 1.0))),
        *((now[k], sides[k], builder.fadd(now[k], numbers[6 + k])) for k in range(3)),
    ]
    for phi, first, then in values:
        phi.add_incoming(first, before)
        phi.add_incoming(then, body)
    builder.cbranch(builder.icmp_signed("<", follow, whole[2]), body, after)
    builder.position_at_end(after)


def _parts(builder: Any, group: Any) -> list[Any]:
    """Return the values of a tuple."""
    return [builder.extract_value(group, place) for place in range(group.type.count)]


def face_drawer(lanes: int) -> Any:
    """Return a function for compiled loops that draws at most ``lanes`` columns of a face, row by row.

    Most faces of a fine mesh are that narrow, and few of a coarse one many times as wide. Its arguments:

    - keys: that it draws into;
    - whole: index of the key of the first row's first column, keys a row, rows, the last column that is
      there (from the first), a key's lower half: int64;
    - plane: inverse depth at the picture's corner, a column and a row; the first column, and the first
      row's centre: float64;
    - edges: the values of the three equations at the first sample, what a column adds to each, what a row
      adds: float64.
    """

    def instructions(builder: Any, keys: Any, whole: Any, plane: Any, edges: Any) -> None:
        from llvmlite import ir

        whole, double = _parts(builder, whole), ir.DoubleType()
        corner, per_column, per_row, left, top = _parts(builder, plane)
        steps = ir.Constant(ir.VectorType(double, lanes), [float(lane) for lane in range(lanes)])
        columns = builder.fadd(_everywhere(builder, left, lanes), steps)
        across = builder.fmul(columns, _everywhere(builder, per_column, lanes))
        mark = _everywhere(builder, builder.trunc(whole[4], ir.IntType(32)), lanes)

        def put(place: Any, inside: Any, down: Any) -> None:
            start = builder.fadd(corner, builder.fmul(builder.fadd(top, down), per_row))
            depths = builder.fadd(_everywhere(builder, start, lanes), across)
            _keep_nearest(builder, builder.gep(keys, [place]), depths, mark, inside)

        _rows_of_a_face(builder, lanes, whole, _parts(builder, edges), put)

    return tuple_writer(instructions)


NARROW, WIDE, VAST = 4, 8, 16  # columns of a face that are drawn at once
put_narrow, put_wide, put_vast = face_drawer(NARROW), face_drawer(WIDE), face_drawer(VAST)


def bit_setter(lanes: int) -> Any:
    """Return a function for compiled loops that sets the bits of at most ``lanes`` columns of a face.

    Its arguments:

    - outline: words that it sets bits of, in one word of each row;
    - whole: index of the first row's word, words a row, rows, the last column that is there (from the
      first): int64;
    - shift: of one number, the first column's bit: int64;
    - edges: as for :func:`face_drawer`.
    """

    def instructions(builder: Any, outline: Any, whole: Any, shift: Any, edges: Any) -> None:
        from llvmlite import ir

        bit = builder.extract_value(shift, 0)

        def put(place: Any, inside: Any, _: Any) -> None:
            covered = builder.zext(builder.bitcast(inside, ir.IntType(lanes)), ir.IntType(64))
            word = builder.gep(outline, [place])
            builder.store(builder.or_(builder.load(word), builder.shl(covered, bit)), word)

        _rows_of_a_face(builder, lanes, _parts(builder, whole), _parts(builder, edges), put)

    return tuple_writer(instructions)


set_few, set_many = bit_setter(NARROW), bit_setter(WIDE)

BATCH = 104  # faces set up at once: their tables stay in the first cache; powers of two share lines of it
# where the columns of these tables begin: corners (x, y, inverse depth of three), what is known of a face
_AX, _AY, _AZ, _BX, _BY, _BZ, _CX, _CY, _CZ = (np.uint64(BATCH * column) for column in range(9))
_LEFT, _SPAN, _TOP, _ROWS, _CORNER, _PER_COLUMN, _PER_ROW = (np.uint64(BATCH * k) for k in range(7))
_U, _V, _W = (
    np.uint64(BATCH * column) for column in range(7, 10)
)  # the edges' equations at the first sample
_UX, _VX, _WX = (np.uint64(BATCH * column) for column in range(10, 13))  # what a column adds
_UY, _VY, _WY = (np.uint64(BATCH * column) for column in range(13, 16))  # what a row adds
NARROWEST_SPANS = 64  # columns of faces that are drawn between their edges, row by row


@helper
def gather(
    projected: NDArray[np.float64],
    faces: NDArray[np.int32],
    begin: int,
    count: int,
    scale: float,
    left: float,
    top: float,
    deep: bool,
    corners: NDArray[np.float64],
) -> None:
    """Copy the corners of ``count`` faces from ``begin`` on, a coordinate after the other.

    Args:
        projected: (n, 3) columns, rows and inverse depths.
        faces: (m, 3).
        begin: the first face.
        count: ``BATCH`` at most.
        scale: of columns and rows.
        left: added to the columns.
        top: added to the rows.
        deep: whether inverse depths are wanted.
        corners: (9 · BATCH,) set in place.
    """
    one, two = np.uint64(1), np.uint64(2)  # indices without a sign need no look at what lies before the first
    for place in range(count):
        p, face = np.uint64(place), np.uint64(begin + place)
        for corner in range(3):
            at, vertex = np.uint64(3 * corner * BATCH), np.uint64(faces[face, np.uint64(corner)])
            corners[at + p] = left + scale * projected[vertex, np.uint64(0)]
            corners[at + _AY + p] = top + scale * projected[vertex, one]
            if deep:
                corners[at + _AZ + p] = projected[vertex, two]


@helper
def set_up(
    corners: NDArray[np.float64],
    width: float,
    height: float,
    least: float,
    away: float,
    plan: NDArray[np.float64],
) -> None:
    """Note where faces lie, their planes and their edges: the same steps for all, several at a time.

    Args:
        corners: (9 · BATCH,) of :func:`gather`.
        width: columns of the picture.
        height: rows of it.
        least: inverse depth that all corners are above; 0 leaves out what is at or behind the eye.
        away: the sign of the area, rows downwards, of the faces that are wanted; 0 wants all.
        plan: (16 · BATCH,) set in place; no rows where a face is not to be drawn: it lies between the
            samples, outside, not above ``least``, or has a corner that is not a number.
    """
    for place in range(BATCH):
        p = np.uint64(place)
        ax, ay, az = corners[p + _AX], corners[p + _AY], corners[p + _AZ]
        bx, by, bz = corners[p + _BX], corners[p + _BY], corners[p + _BZ]
        cx, cy, cz = corners[p + _CX], corners[p + _CY], corners[p + _CZ]
        left = np.ceil(max(min(ax, bx, cx) - 0.5 - SLACK, 0.0))
        right = np.floor(min(max(ax, bx, cx) - 0.5 + SLACK, width - 1.0))
        first = np.ceil(max(min(ay, by, cy) - 0.5, 0.0))
        last = np.floor(min(max(ay, by, cy) - 0.5, height - 1.0))
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        drawn = (left <= right) & (first <= last) & (abs(area) > 0.0) & (abs(area) < math.inf)
        drawn = drawn & (az > least) & (bz > least) & (cz > least) & (away * area >= 0.0)
        per_column = ((bz - az) * (cy - ay) - (cz - az) * (by - ay)) / area
        per_row = ((cz - az) * (bx - ax) - (bz - az) * (cx - ax)) / area
        x, y, way = left + 0.5, first + 0.5, 1.0 if area > 0.0 else -1.0
        ux, uy, vx, vy = way * (ay - by), way * (bx - ax), way * (by - cy), way * (cx - bx)
        wx, wy = way * (cy - ay), way * (ax - cx)
        u = uy * (y - ay) + ux * (x - ax) + SLACK * (abs(ux) + abs(uy))
        v = vy * (y - by) + vx * (x - bx) + SLACK * (abs(vx) + abs(vy))
        w = wy * (y - cy) + wx * (x - cx) + SLACK * (abs(wx) + abs(wy))
        here, right_of_it = (
            min(u, v, w),
            min(u + ux, v + vx, w + wx),
        )  # most boxes of two samples a side miss all
        below, across = min(u + uy, v + vy, w + wy), min(u + ux + uy, v + vx + vy, w + wx + wy)
        drawn = drawn & (
            (max(here, right_of_it, below, across) >= 0.0) | (max(right - left, last - first) > 1.0)
        )
        plan[p + _LEFT], plan[p + _SPAN] = left, right - left
        plan[p + _TOP], plan[p + _ROWS] = first, last - first + 1.0 if drawn else 0.0
        plan[p + _CORNER] = az + (0.5 - ax) * per_column - ay * per_row
        plan[p + _PER_COLUMN], plan[p + _PER_ROW] = per_column, per_row
        plan[p + _U], plan[p + _V], plan[p + _W] = u, v, w
        plan[p + _UX], plan[p + _VX], plan[p + _WX] = ux, vx, wx
        plan[p + _UY], plan[p + _VY], plan[p + _WY] = uy, vy, wy


@helper
def to_draw(plan: NDArray[np.float64], count: int, places: NDArray[np.uint64]) -> int:
    """List the faces of a batch that have rows; a list needs no branch that could be guessed wrong.

    Args:
        plan: of :func:`set_up`.
        count: faces.
        places: (BATCH + 1,) set from the front.

    Returns:
        How many they are.
    """
    many = 0
    for place in range(count):
        p = np.uint64(place)
        places[np.uint64(many)] = p
        many += plan[p + _ROWS] > 0.0
    return many


@helper
def row_ends(
    corners: NDArray[np.float64], p: np.uint64, width: int, height: int, ends: NDArray[np.int64]
) -> None:
    """Note the first and the last column of every row of a face, between its edges.

    Args:
        corners: of :func:`gather`.
        p: place of the face in them.
        width: columns of the picture.
        height: rows of it.
        ends: (height, 2) set in place for the rows of the face; none where the first is after the last.
    """
    ax, ay, bx, by = corners[p + _AX], corners[p + _AY], corners[p + _BX], corners[p + _BY]
    cx, cy = corners[p + _CX], corners[p + _CY]
    left = max(min(ax, bx, cx) - 0.5 - SLACK, 0.0)
    right = min(max(ax, bx, cx) - 0.5 + SLACK, width - 1.0)
    if by < ay:
        ax, ay, bx, by = bx, by, ax, ay
    if cy < ay:
        ax, ay, cx, cy = cx, cy, ax, ay
    if cy < by:
        bx, by, cx, cy = cx, cy, bx, by
    long, upper, lower = edge(ax, ay, cx, cy), edge(ax, ay, bx, by), edge(bx, by, cx, cy)
    for row in range(math.ceil(max(ay - 0.5, 0.0)), math.floor(min(cy - 0.5, height - 1.0)) + 1):
        y = row + 0.5
        one = long[0] + y * long[1]
        other = upper[0] + y * upper[1] if y < by else lower[0] + y * lower[1]
        ends[row, 0] = math.ceil(min(max(min(one, other) - SLACK, left), right + 1.0))
        ends[row, 1] = math.floor(min(max(one, other) + SLACK, right))


@compiled
def fill_nearest(
    projected: NDArray[np.float64],
    faces: NDArray[np.int32],
    left_end: float,
    top_end: float,
    keys: NDArray[np.int64],
) -> None:
    """Draw ``faces`` into ``keys``, in place.

    A key has the bits of the inverse depth (a positive float32, so they sort as it does) in its upper
    half and 0x7FFFFFFF less the face in its lower one: the largest key is the nearest, first face, and
    one comparison, one load and one store serve both. Faces are set up ``BATCH`` at a time. Those of up to
    ``NARROWEST_SPANS`` columns are drawn in strips (:func:`face_drawer`), wider ones between their edges.

    Args:
        projected: (n, 3) columns, rows and inverse depths.
        faces: (m, 3).
        left_end: the column where ``keys`` begin.
        top_end: the row where they begin.
        keys: (height, width), ``GROUND`` where nothing is drawn yet, in memory with room for ``VAST``
            more elements behind the last row, see :func:`new_keys`.
    """
    height, width = keys.shape
    corners, plan = np.zeros(9 * BATCH), np.empty(16 * BATCH)
    places, ends = np.empty(BATCH + 1, dtype=np.uint64), np.empty((height, 2), dtype=np.int64)
    for begin in range(0, faces.shape[0], BATCH):
        count = min(BATCH, faces.shape[0] - begin)
        gather(projected, faces, begin, count, 1.0, -left_end, -top_end, True, corners)
        set_up(corners, float(width), float(height), 0.0, 0.0, plan)
        for place in range(to_draw(plan, count, places)):
            p = places[place]
            column, span, first = plan[p + _LEFT], np.int64(plan[p + _SPAN]), np.int64(plan[p + _TOP])
            rows, low = np.int64(plan[p + _ROWS]), np.int64(LAST_FACE - begin) - np.int64(p)
            corner, per_column, per_row = plan[p + _CORNER], plan[p + _PER_COLUMN], plan[p + _PER_ROW]
            if span >= NARROWEST_SPANS:
                row_ends(corners, p, width, height, ends)
                for row in range(first, first + rows):
                    start = corner + (row + 0.5) * per_row
                    for at in range(ends[row, 0], ends[row, 1] + 1, LANES):
                        put_nearest(keys, row * width + at, start, per_column, at, ends[row, 1], low)
                continue
            u, v, w = plan[p + _U], plan[p + _V], plan[p + _W]
            ux, vx, wx = plan[p + _UX], plan[p + _VX], plan[p + _WX]
            uy, vy, wy = plan[p + _UY], plan[p + _VY], plan[p + _WY]
            at, top = first * width + np.int64(column), first + 0.5
            while span >= WIDE:
                whole, plane = (at, width, rows, span, low), (corner, per_column, per_row, column, top)
                put_vast(keys, whole, plane, (u, v, w, ux, vx, wx, uy, vy, wy))
                at, column, span = at + VAST, column + VAST, span - VAST
                u, v, w = u + VAST * ux, v + VAST * vx, w + VAST * wx
            whole, plane = (at, width, rows, span, low), (corner, per_column, per_row, column, top)
            if span >= NARROW:
                put_wide(keys, whole, plane, (u, v, w, ux, vx, wx, uy, vy, wy))
            elif span >= 0:
                put_narrow(keys, whole, plane, (u, v, w, ux, vx, wx, uy, vy, wy))


SPIN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@helper
def scrambled(bits: np.uint64) -> np.uint64:
    """Return 64 bits that look random: the last steps of splitmix64 (Steele et al. 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))


@compiled
def facing_away(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> float:
    """Return the sign of a face's area in a picture, rows downwards, that looks away; 0 if there is none.

    Only a closed, consistently wound surface has one: each edge is gone along as often one way as the
    other, vertices at one place being one. That is so if and only if (but for one case in 2⁶⁴) a sum of
    a random number for every edge, negative for the other way, is zero; no table of edges is needed.

    Args:
        vertices: (n, 3).
        faces: (m, 3).

    Returns:
        1, −1 (wound inside out as a whole, by its volume), or 0.
    """
    marks = np.empty(vertices.shape[0], dtype=np.uint64)
    for vertex in range(vertices.shape[0]):
        mark = np.uint64(0)
        for axis in range(3):
            mark = (mark ^ np.float64(vertices[vertex, axis] + 0.0).view(np.uint64)) * SPIN  # −0 is 0
            mark ^= mark >> np.uint64(32)
        marks[vertex] = scrambled(mark)
    total, volume = np.uint64(0), 0.0
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        p, q, r = marks[a], marks[b], marks[c]
        for start, end in ((p, q), (q, r), (r, p)):
            number = scrambled(start ^ end)
            total = total + number if start < end else total - number
        ax, ay, az = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        bx, by, bz = vertices[b, 0], vertices[b, 1], vertices[b, 2]
        cx, cy, cz = vertices[c, 0], vertices[c, 1], vertices[c, 2]
        volume += ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
    if total != np.uint64(0) or volume == 0.0:
        return 0.0
    return math.copysign(1.0, volume)


def new_keys(height: int, width: int) -> NDArray[np.int64]:
    """Room for (height, width) keys and the few more that :func:`fill_nearest` asks for."""
    return np.empty(height * width + VAST, dtype=np.int64)


def cleared(room: NDArray[np.int64], height: int, width: int) -> NDArray[np.int64]:
    """Return (height, width) keys of nothing but ground, in ``room`` from :func:`new_keys`.

    Args:
        room: of :func:`new_keys`.
        height: rows.
        width: columns.

    Returns:
        A view of ``room``.
    """
    keys = room[: height * width].reshape(height, width)
    keys.fill(GROUND)
    return keys


@compiled
def fill_outline(
    projected: NDArray[np.float64],
    faces: NDArray[np.int32],
    scale: float,
    left_end: float,
    top_end: float,
    size: int,
    away: float,
    outline: NDArray[np.uint64],
) -> None:
    """Set a bit of ``outline`` at every pixel centre that a face covers.

    A line through a closed, consistently wound surface leaves it as often as it enters, so the faces
    that look away cover what all of them cover.

    Args:
        projected: (n, 3) columns, rows and inverse depths on the picture plane, all finite.
        faces: (m, 3).
        scale: pixels to a unit of the plane.
        left_end: the pixels' column of the plane's column 0.
        top_end: the pixels' row of the plane's row 0.
        size: rows and columns.
        away: of :func:`facing_away`; the others are left out then, 0 takes all.
        outline: (size, words) bits, column 0 lowest in the first word, with room for ``size``; set in place.
    """
    words, every = outline.shape[1], np.uint64(0xFFFFFFFFFFFFFFFF)
    corners, plan = np.zeros(9 * BATCH), np.empty(16 * BATCH)
    places, ends = np.empty(BATCH + 1, dtype=np.uint64), np.empty((size, 2), dtype=np.int64)
    for begin in range(0, faces.shape[0], BATCH):
        count = min(BATCH, faces.shape[0] - begin)
        gather(projected, faces, begin, count, scale, left_end, top_end, False, corners)
        set_up(corners, float(size), float(size), -math.inf, away, plan)
        for place in range(to_draw(plan, count, places)):
            p = places[place]
            column, span = np.int64(plan[p + _LEFT]), np.int64(plan[p + _SPAN])
            row, rows = np.int64(plan[p + _TOP]), np.int64(plan[p + _ROWS])
            if span >= NARROWEST_SPANS:
                row_ends(corners, p, size, size, ends)
                for line in range(row, row + rows):
                    first, last = ends[line, 0], max(ends[line, 1], 0)
                    head, tail = every << np.uint64(first & 63), every >> np.uint64(63 - (last & 63))
                    if first >> 6 == last >> 6:
                        outline[line, first >> 6] |= head & tail  # nothing where first > last
                    elif first < last:
                        outline[line, first >> 6] |= head
                        for word in range((first >> 6) + 1, last >> 6):
                            outline[line, word] = every
                        outline[line, last >> 6] |= tail
                continue
            u, v, w = plan[p + _U], plan[p + _V], plan[p + _W]
            ux, vx, wx = plan[p + _UX], plan[p + _VX], plan[p + _WX]
            while span >= 0:
                bit = column & 63
                strip: int = min(WIDE, 64 - bit)  # type: ignore[assignment]
                whole = (row * words + (column >> 6), words, rows, min(span, strip - 1))
                edges = (u, v, w, ux, vx, wx, plan[p + _UY], plan[p + _VY], plan[p + _WY])
                if span < NARROW:
                    set_few(outline, whole, (bit,), edges)
                else:
                    set_many(outline, whole, (bit,), edges)
                column, span = column + strip, span - strip
                u, v, w = u + strip * ux, v + strip * vx, w + strip * wx


@compiled
def fill_barycentrics(
    projected: NDArray[np.float64],
    faces: NDArray[np.int32],
    face_ids: NDArray[np.int32],
    weights: NDArray[np.float32],
) -> None:
    """Fill ``weights`` in place where ``face_ids`` names a face.

    Args:
        projected: (n, 3) columns, rows and inverse depths.
        faces: (m, 3).
        face_ids: (H, W), −1 for the ground.
        weights: (H, W, 3) set in place where a face is seen.
    """
    height, width = face_ids.shape
    for row in range(height):
        for column in range(width):
            face = face_ids[row, column]
            if face < 0:
                continue
            x, y = column + 0.5, row + 0.5
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            ax, ay = projected[a, 0] - x, projected[a, 1] - y
            bx, by = projected[b, 0] - x, projected[b, 1] - y
            cx, cy = projected[c, 0] - x, projected[c, 1] - y
            wa = (bx * cy - cx * by) * projected[a, 2]
            wb = (cx * ay - ax * cy) * projected[b, 2]
            wc = (ax * by - bx * ay) * projected[c, 2]
            whole = wa + wb + wc
            weights[row, column, 0] = wa / whole
            weights[row, column, 1] = wb / whole
            weights[row, column, 2] = wc / whole
