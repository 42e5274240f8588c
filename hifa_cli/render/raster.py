"""The face that is seen through each pixel: a z-buffer that needs no graphics library.

Pixels: column ``x`` grows to the right, row ``y`` downwards, and the centre of the pixel in row i and
column j lies at (j + 0.5, i + 0.5). Depth enters as its inverse, 1 / w, which is affine in the picture
under perspective; larger is nearer.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.render.compiled import compiled, row_writer, tuple_writer

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
    fill_nearest(projected, faces, 0.0, 0.0, 0.0, keys)
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


@compiled
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


LANES = 4  # columns at a time


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

    i64, i32, double = column.type, ir.IntType(32), ir.DoubleType()
    longs, doubles = ir.VectorType(i64, LANES), ir.VectorType(double, LANES)

    def everywhere(value: Any) -> Any:
        lone = builder.insert_element(
            ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined), value, ir.Constant(i32, 0)
        )
        return builder.shuffle_vector(lone, lone, ir.Constant(ir.VectorType(i32, LANES), [0] * LANES))

    columns = builder.add(everywhere(column), ir.Constant(longs, list(range(LANES))))
    depths = builder.fadd(everywhere(start), builder.fmul(builder.sitofp(columns, doubles), everywhere(step)))
    bits = builder.bitcast(
        builder.fptrunc(depths, ir.VectorType(ir.FloatType(), LANES)), ir.VectorType(i32, LANES)
    )
    upper = builder.shl(builder.zext(bits, longs), ir.Constant(longs, [32] * LANES))
    drawn = builder.or_(upper, everywhere(low))
    room = builder.bitcast(builder.gep(keys, [at]), longs.as_pointer())
    held = builder.load(room, align=8)
    nearer = builder.icmp_signed(">", drawn, held)
    inside = builder.icmp_signed("<=", columns, everywhere(last))
    builder.store(builder.select(builder.and_(nearer, inside), drawn, held), room, align=8)


def face_drawer(lanes: int) -> Any:
    """Return a function for compiled loops that draws a face of at most ``lanes`` columns, row by row.

    A sample is covered where it lies on the inner side of all three edges (Pineda 1988); what a row adds to
    their equations is added to all its columns at once, so that a row takes no rounding, no division and no
    branch. Most faces of a fine mesh are that narrow.

    Its arguments:

    - keys: that it draws into;
    - whole: index of the key of the first row's first column, keys a row, rows, the last column that is
      there (from the first), a key's lower half: int64;
    - plane: inverse depth at the picture's corner, a column and a row; the first column, and the first
      row's centre: float64;
    - edges: the values of the three equations at the first sample, what a column adds to each, what a row
      adds: float64; at or above zero is inside.
    """

    def instructions(builder: Any, keys: Any, whole: Any, plane: Any, edges: Any) -> None:
        from llvmlite import ir  # numba's own; not needed where the loops are kept from a former process

        i64, i32, double = ir.IntType(64), ir.IntType(32), ir.DoubleType()
        longs, doubles = ir.VectorType(i64, lanes), ir.VectorType(double, lanes)

        def everywhere(value: Any) -> Any:
            lone = builder.insert_element(
                ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, ir.Constant(i32, 0)
            )
            return builder.shuffle_vector(lone, lone, ir.Constant(ir.VectorType(i32, lanes), [0] * lanes))

        at, stride, rows, last, low = (builder.extract_value(whole, place) for place in range(5))
        corner, per_column, per_row, left, top = (builder.extract_value(plane, place) for place in range(5))
        numbers = [everywhere(builder.extract_value(edges, place)) for place in range(9)]
        steps = ir.Constant(doubles, [float(lane) for lane in range(lanes)])
        sides = [builder.fadd(numbers[k], builder.fmul(steps, numbers[3 + k])) for k in range(3)]
        across = builder.fmul(builder.fadd(everywhere(left), steps), everywhere(per_column))
        there = builder.icmp_signed("<=", ir.Constant(longs, list(range(lanes))), everywhere(last))
        mark = everywhere(low)
        before, body = builder.block, builder.append_basic_block("row")
        after = builder.append_basic_block("drawn")
        builder.branch(body)
        builder.position_at_end(body)
        row, place, y = builder.phi(i64), builder.phi(i64), builder.phi(double)
        now = [builder.phi(doubles) for _ in range(3)]
        start = builder.fadd(corner, builder.fmul(y, per_row))
        depths = builder.fadd(everywhere(start), across)
        bits = builder.bitcast(
            builder.fptrunc(depths, ir.VectorType(ir.FloatType(), lanes)), ir.VectorType(i32, lanes)
        )
        drawn = builder.or_(builder.shl(builder.zext(bits, longs), ir.Constant(longs, [32] * lanes)), mark)
        inside = there
        for side in now:
            inside = builder.and_(
                inside, builder.fcmp_ordered(">=", side, ir.Constant(doubles, [0.0] * lanes))
            )
        room = builder.bitcast(builder.gep(keys, [place]), longs.as_pointer())
        held = builder.load(room, align=8)
        nearer = builder.and_(inside, builder.icmp_signed(">", drawn, held))
        builder.store(builder.select(nearer, drawn, held), room, align=8)
        follow = builder.add(row, ir.Constant(i64, 1))
        values = [
            (row, ir.Constant(i64, 0), follow),
            (place, at, builder.add(place, stride)),
            (y, top, builder.fadd(y, ir.Constant(double, 1.0))),
            *((now[k], sides[k], builder.fadd(now[k], numbers[6 + k])) for k in range(3)),
        ]
        for phi, first, then in values:
            phi.add_incoming(first, before)
            phi.add_incoming(then, body)
        builder.cbranch(builder.icmp_signed("<", follow, rows), body, after)
        builder.position_at_end(after)

    return tuple_writer(instructions)


NARROW, WIDE = 4, 8  # columns of the faces that are drawn at once
put_narrow, put_wide = face_drawer(NARROW), face_drawer(WIDE)


TILE = 8  # samples a side of the squares whose farthest sample is noted
MOST_TILES = 16  # of a face that is looked up there: a larger one is drawn at once
MARGIN = 1.0 + 1e-6  # on a face's nearest depth: what interpolation may add by rounding


@compiled
def note_farthest(keys: NDArray[np.int64], farthest: NDArray[np.float32]) -> None:
    """Note the smallest inverse depth of every square of ``TILE`` samples a side, in place.

    Args:
        keys: (height, width) from :func:`fill_nearest`.
        farthest: a value a square, 0 where one of its samples sees the ground.
    """
    height, width = keys.shape
    least = np.empty(width, dtype=np.int64)  # down the rows of one row of squares
    for i in range(farthest.shape[0]):
        least[:] = keys[i * TILE]
        for row in range(i * TILE + 1, min((i + 1) * TILE, height)):
            for column in range(width):
                least[column] = min(least[column], keys[row, column])
        for j in range(farthest.shape[1]):
            key = least[j * TILE]
            for column in range(j * TILE + 1, min((j + 1) * TILE, width)):
                key = min(key, least[column])
            farthest[i, j] = np.int32(key >> 32).view(np.float32)


@compiled
def note_hidden(
    projected: NDArray[np.float64],
    left_end: float,
    top_end: float,
    farthest: NDArray[np.float32],
    hidden: NDArray[np.bool_],
) -> None:
    """Note of every vertex whether it lies behind all samples of its square and of the eight around it.

    A face of no more than ``TILE`` samples a side touches none but those of each of its corners, so it is
    hidden where all its corners are.

    Args:
        projected: (n, 3) columns, rows and inverse depths.
        left_end: the column where the squares begin.
        top_end: the row where they begin.
        farthest: a value a square, from :func:`note_farthest`.
        hidden: (n,) set in place; False where a vertex is not finite.
    """
    down, across = farthest.shape
    around = np.empty((down, across), dtype=np.float32)
    for i in range(down):
        for j in range(across):
            least = farthest[i, j]
            for row in range(max(i - 1, 0), min(i + 2, down)):
                for column in range(max(j - 1, 0), min(j + 2, across)):
                    least = min(least, farthest[row, column])
            around[i, j] = least
    most = 1.0 * TILE * max(down, across)
    for vertex in range(projected.shape[0]):
        x, y = projected[vertex, 0] - left_end - 0.5, projected[vertex, 1] - top_end - 0.5
        if abs(x) <= most and abs(y) <= most:
            i, j = min(int(max(y, 0.0)) // TILE, down - 1), min(int(max(x, 0.0)) // TILE, across - 1)
            hidden[vertex] = projected[vertex, 2] * MARGIN < around[i, j]
        else:
            hidden[vertex] = False


@compiled
def fill_nearest(
    projected: NDArray[np.float64],
    faces: NDArray[np.int32],
    left_end: float,
    top_end: float,
    away: float,
    keys: NDArray[np.int64],
) -> None:
    """Draw ``faces`` into ``keys``, in place, row by row between their edges.

    A key has the bits of the inverse depth (a positive float32, so they sort as it does) in its upper
    half and 0x7FFFFFFF less the face in its lower one: the largest key is the nearest, first face, and
    one comparison, one load and one store serve both. Of faces of up to ``WIDE`` columns all columns go at
    once (:func:`face_drawer`); of wider ones four at a time between two edges, without a branch on how many
    of them a row has.

    Faces that look away wait until the others are drawn. Those of them that lie behind everything that
    is drawn where they are cannot be seen and are left out; the rest are drawn. So ``away`` changes the
    time that the keys take, never the keys.

    Args:
        projected: (n, 3) columns, rows and inverse depths.
        faces: (m, 3).
        left_end: the column where ``keys`` begin.
        top_end: the row where they begin.
        away: the sign of the area, rows downwards, of the faces that look away, see
            :func:`facing_away`; 0 draws all faces in one pass.
        keys: (height, width), ``GROUND`` where nothing is drawn yet, in memory with room for ``WIDE``
            more elements behind the last row, see :func:`new_keys`.
    """
    height, width = keys.shape
    down, across = (height + TILE - 1) // TILE, (width + TILE - 1) // TILE
    waiting, many = np.empty(faces.shape[0] if away != 0.0 else 0, dtype=np.int32), 0
    farthest = np.empty((down, across) if away != 0.0 else (0, 0), dtype=np.float32)
    hidden_ones = np.empty(projected.shape[0] if away != 0.0 else 0, dtype=np.bool_)
    for turn in range(2):
        if turn == 1 and many > 0:
            note_farthest(keys, farthest)
            note_hidden(projected, left_end, top_end, farthest, hidden_ones)
        for place in range(faces.shape[0] if turn == 0 else many):
            face = place if turn == 0 else waiting[place]
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            ax, ay, az = projected[a, 0] - left_end, projected[a, 1] - top_end, projected[a, 2]
            bx, by, bz = projected[b, 0] - left_end, projected[b, 1] - top_end, projected[b, 2]
            cx, cy, cz = projected[c, 0] - left_end, projected[c, 1] - top_end, projected[c, 2]
            if turn == 0 and away != 0.0:
                if away * ((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) > 0.0:
                    waiting[many] = face
                    many += 1
                    continue
            elif turn == 1 and hidden_ones[a] and hidden_ones[b] and hidden_ones[c]:
                wide = max(max(ax, bx, cx) - min(ax, bx, cx), max(ay, by, cy) - min(ay, by, cy))
                if wide <= TILE - SLACK - SLACK:
                    continue
            left = max(min(ax, bx, cx) - 0.5 - SLACK, 0.0)
            right = min(max(ax, bx, cx) - 0.5 + SLACK, width - 1.0)
            first, end = math.ceil(min(ay, by, cy) - 0.5), max(ay, by, cy) - 0.5
            if not (first <= end and math.ceil(left) <= right):
                continue  # between pixel centres, outside, or not a number
            if turn == 1:
                # the nearest sample of the face against the farthest one in every tile that it touches
                upper_tile, lower_tile = max(first, 0) // TILE, min(int(end), height - 1) // TILE
                left_tile, right_tile = int(left) // TILE, int(right) // TILE
                if (lower_tile - upper_tile + 1) * (right_tile - left_tile + 1) <= MOST_TILES:
                    nearest, hidden = max(az, bz, cz) * MARGIN, True
                    for i in range(upper_tile, lower_tile + 1):
                        for j in range(left_tile, right_tile + 1):
                            hidden = hidden and nearest < farthest[i, j]
                    if hidden:
                        continue
            column, last = math.ceil(left), math.floor(right)
            if last - column < WIDE:
                area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
                if not (az > 0.0 and bz > 0.0 and cz > 0.0 and 0.0 < abs(area) < math.inf):
                    continue
                per_column = ((bz - az) * (cy - ay) - (cz - az) * (by - ay)) / area
                per_row = ((cz - az) * (bx - ax) - (bz - az) * (cx - ax)) / area
                corner = az + (0.5 - ax) * per_column - ay * per_row
                first = max(first, 0)
                x, y = column + 0.5, first + 0.5
                way = math.copysign(1.0, area)
                ux, uy, vx, vy = way * (bx - ax), way * (by - ay), way * (cx - bx), way * (cy - by)
                wx, wy = way * (ax - cx), way * (ay - cy)
                edges = (
                    ux * (y - ay) - uy * (x - ax) + SLACK * (abs(ux) + abs(uy)),
                    vx * (y - by) - vy * (x - bx) + SLACK * (abs(vx) + abs(vy)),
                    wx * (y - cy) - wy * (x - cx) + SLACK * (abs(wx) + abs(wy)),
                    -uy, -vy, -wy, ux, vx, wx,
                )  # fmt: skip
                rows = math.floor(min(end, height - 1.0)) - first + 1
                whole = (first * width + column, width, rows, last - column, 0x7FFFFFFF - face)
                plane = (corner, per_column, per_row, float(column), y)
                if rows <= 0:
                    continue
                if last - column < NARROW:
                    put_narrow(keys, whole, plane, edges)
                else:
                    put_wide(keys, whole, plane, edges)
                continue
            if by < ay:
                ax, ay, az, bx, by, bz = bx, by, bz, ax, ay, az
            if cy < ay:
                ax, ay, az, cx, cy, cz = cx, cy, cz, ax, ay, az
            if cy < by:
                bx, by, bz, cx, cy, cz = cx, cy, cz, bx, by, bz
            area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
            if not (az > 0.0 and bz > 0.0 and cz > 0.0 and 0.0 < abs(area) < math.inf):
                continue
            per_column = ((bz - az) * (cy - ay) - (cz - az) * (by - ay)) / area
            per_row = ((cz - az) * (bx - ax) - (bz - az) * (cx - ax)) / area
            corner = az + (0.5 - ax) * per_column - ay * per_row
            long, upper, lower = edge(ax, ay, cx, cy), edge(ax, ay, bx, by), edge(bx, by, cx, cy)
            low = np.int64(0x7FFFFFFF - face)
            for row in range(math.ceil(max(ay - 0.5, 0.0)), math.floor(min(cy - 0.5, height - 1.0)) + 1):
                y = row + 0.5
                one = long[0] + y * long[1]
                other = upper[0] + y * upper[1] if y < by else lower[0] + y * lower[1]
                column = math.ceil(min(max(min(one, other) - SLACK, left), right + 1.0))
                last = math.floor(min(max(one, other) + SLACK, right))
                start = corner + y * per_row
                while column <= last:
                    put_nearest(keys, row * width + column, start, per_column, column, last, low)
                    column += LANES


SPIN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@compiled
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
    return np.empty(height * width + WIDE, dtype=np.int64)


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
    every = np.uint64(0xFFFFFFFFFFFFFFFF)
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay = left_end + scale * projected[a, 0], top_end + scale * projected[a, 1]
        bx, by = left_end + scale * projected[b, 0], top_end + scale * projected[b, 1]
        cx, cy = left_end + scale * projected[c, 0], top_end + scale * projected[c, 1]
        if away * ((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) < 0.0:
            continue
        left, right = max(min(ax, bx, cx) - 0.5, 0.0), min(max(ax, bx, cx) - 0.5, size - 1.0)
        if not (math.ceil(min(ay, by, cy) - 0.5) <= max(ay, by, cy) - 0.5 and math.ceil(left) <= right):
            continue
        if by < ay:
            ax, ay, bx, by = bx, by, ax, ay
        if cy < ay:
            ax, ay, cx, cy = cx, cy, ax, ay
        if cy < by:
            bx, by, cx, cy = cx, cy, bx, by
        long, upper, lower = edge(ax, ay, cx, cy), edge(ax, ay, bx, by), edge(bx, by, cx, cy)
        for row in range(math.ceil(max(ay - 0.5, 0.0)), math.floor(min(cy - 0.5, size - 1.0)) + 1):
            y = row + 0.5
            one = long[0] + y * long[1]
            other = upper[0] + y * upper[1] if y < by else lower[0] + y * lower[1]
            first = math.ceil(min(max(min(one, other), left), right + 1.0))
            last = max(math.floor(min(max(one, other), right)), 0)
            head, tail = every << np.uint64(first & 63), every >> np.uint64(63 - (last & 63))
            if first >> 6 == last >> 6:
                outline[row, first >> 6] |= head & tail  # nothing where first > last
            elif first < last:
                outline[row, first >> 6] |= head
                for word in range((first >> 6) + 1, last >> 6):
                    outline[row, word] = every
                outline[row, last >> 6] |= tail


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
