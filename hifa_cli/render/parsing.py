"""Meshes in text formats (OFF, OBJ, STL), parsed by compiled loops some 20 times as fast as in Python.

A parser takes the file's bytes and returns plain arrays; whether they make a mesh is for others to see.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.compiled import bit_finder, compiled, helper, word_reader

Bytes = NDArray[np.uint8]

_STL_VERTEX = len("vertex 0 0 0")
SMALL = 1 << 22  # bytes of an OBJ up to which room that stays empty costs less than a second look
POWERS = np.array([10.0**power for power in range(23)])  # the exact ones


class Polygons(NamedTuple):
    """(n, 3) vertices, and polygons: the corners of the p-th are ``corners[starts[p] : starts[p + 1]]``."""

    vertices: NDArray[np.float64]
    starts: NDArray[np.int64]
    corners: NDArray[np.int64]


def parse_obj(text: Bytes) -> Polygons:
    """OBJ: vertices and faces, with relative indices and continued lines; everything else is passed over.

    Raises:
        HifaError: it has curved surfaces, or parts in another file.
    """
    text = ended(text)
    size = len(text)
    counts = np.array(
        [size // 3 + 1, size // 3 + 1, size]
    )  # more than there are: what stays empty costs nothing
    if size > SMALL:
        obj_counts(text, counts)
    vertices, starts = np.empty((counts[0], 3)), np.empty(counts[1] + 1, dtype=np.int64)
    corners = np.empty(counts[2], dtype=np.int64)
    vertex, face, used, place = obj_body(text, POWERS, vertices, starts, corners)
    if place < size:
        word = text[place : place + 4].tobytes().split()[0].decode("ascii").lower()
        if word in ("f", "fo"):
            raise HifaError("has faces whose corners are parted by commas: part them by blanks")
        raise HifaError(f"has '{word}' statements, which are not read: save it as polygons in one file")
    return Polygons(vertices[:vertex], starts[: face + 1], corners[:used])


def parse_stl_text(text: Bytes) -> Polygons:
    """Return the text form of STL, its words in lines or not; faces may have more than three corners.

    Raises:
        HifaError: a face is not whole.
    """
    text = ended(text)
    counts = np.zeros(2, dtype=np.int64)
    vertices = np.empty(
        (len(text) // _STL_VERTEX + 1, 3)
    )  # more than there are: what stays empty costs nothing
    starts = np.zeros(len(vertices) + 1, dtype=np.int64)
    stl_corners(text, POWERS, vertices, starts, counts)
    vertices, starts = vertices[: counts[0]], starts[: counts[1] + 1]
    if not counts[1]:  # no face is ended by a word
        starts = np.arange(0, len(vertices) + 1, 3)
    if starts[-1] != len(vertices) or (np.diff(starts) < 3).any():
        raise HifaError(f"is cut off or damaged: {len(vertices)} corners are not a whole number of triangles")
    tail = text[-4096:].tobytes().lower()
    if len(vertices) and b"endsolid" not in tail and not tail.rstrip().endswith(b"endfacet"):
        raise HifaError("is cut off: it ends within a face")
    return Polygons(vertices, starts, np.arange(len(vertices)))


def ended(text: Bytes) -> Bytes:
    """The text with an end of line behind it, so that the loops below need not look for the text's end.

    It is written into the room that readers leave behind a file's bytes, where there is some.
    """
    if len(text) and text[-1] == 10:
        return text
    room = text.base
    if (
        isinstance(room, np.ndarray)
        and room.flags.writeable
        and len(room) == len(text) + 1
        and room.dtype == np.uint8
    ):
        room[-1] = 10
        return room
    return np.append(text, np.uint8(10))


@helper
def blank(byte: int) -> bool:
    """White space within a line."""
    white: bool = byte == 32 or (9 <= byte <= 12 and byte != 10)
    return white


@helper
def line_ends(text: Bytes, place: int) -> bool:
    """Return whether nothing more of the line comes: its end, or a comment."""
    ends: bool = text[place] == 10 or text[place] == 13 or text[place] == 35
    return ends


@helper
def word_ends(text: Bytes, place: int) -> bool:
    """Return whether white space comes."""
    byte = text[place]
    white: bool = byte == 32 or (9 <= byte <= 13)
    return white


@helper
def in_line(text: Bytes, place: int) -> int:
    """Past white space, and past ends of lines that a backslash continues."""
    while True:
        byte = text[place]
        if byte == 32 or (byte < 32 and blank(byte)):
            place += 1
        elif byte != 92:
            return place
        elif text[place + 1] == 10 and place + 2 < len(text):
            place += 2
        elif text[place + 1] == 13 and text[place + 2] == 10 and place + 3 < len(text):
            place += 3
        else:
            return place


@helper
def next_line(text: Bytes, place: int) -> int:
    """Return the beginning of the next line."""
    while place < len(text) and text[place] != 10 and text[place] != 13:
        place += 1
    return place + 1


@helper
def to_content(text: Bytes, place: int) -> int:
    """Past white space, ends of lines, comments and a byte-order mark."""
    if place == 0 and len(text) >= 3 and text[0] == 239 and text[1] == 187 and text[2] == 191:
        place = 3
    while place < len(text):
        if text[place] == 35:
            place = next_line(text, place)
        elif blank(text[place]) or text[place] == 10 or text[place] == 13:
            place += 1
        else:
            break
    return min(place, len(text))


lowest_bit, eight_bytes = bit_finder(), word_reader()
_ZEROS, _TOPS = np.uint64(0x3030303030303030), np.uint64(0x8080808080808080)
_NOT_NINE = np.uint64(0x7676767676767676)  # what lifts all but 0 … 9 to the top bit
_EXCLAMATIONS = np.uint64(0x2121212121212121)  # the first letters that are seen
_TENS, _PAIRS = np.uint64((10 << 8) + 1), np.uint64(0x00FF00FF00FF00FF)
_HUNDREDS, _FOURS = np.uint64((100 << 16) + 1), np.uint64(0x0000FFFF0000FFFF)
_MYRIADS = np.uint64((10_000 << 32) + 1)


@helper
def eight(text: Bytes, place: int) -> Any:
    """Return eight bytes of a text as a word, the first one lowest, each less the letter "0"."""
    return eight_bytes(text, place) ^ _ZEROS


@helper
def digits(word: Any) -> int:
    """Return how many digits a word of :func:`eight` begins with."""
    count: int = lowest_bit(((word + _NOT_NINE) | word) & _TOPS) >> 3
    return count


@helper
def of_digits(word: Any, count: int) -> Any:
    """Return the number that the first ``count`` digits of a word are, eight of them at most.

    Neighbours are added to pairs, fours and eights, each by one multiplication.
    """
    half = np.uint64(32 - 4 * count)
    word = (word << half) << half  # the digits to the end, zeros before them
    word = ((word * _TENS) >> np.uint64(8)) & _PAIRS
    word = ((word * _HUNDREDS) >> np.uint64(16)) & _FOURS
    return np.int64((word * _MYRIADS) >> np.uint64(32))


@helper
def blank_after(text: Bytes, place: int) -> int:
    """Return the place of the first blank or control letter of the 24 bytes from ``place`` on, else −1."""
    for more in (0, 8, 16):
        word = eight_bytes(text, place + more)
        found = (word - _EXCLAMATIONS) & ~word & _TOPS
        if found:
            return place + more + int(lowest_bit(found) >> 3)
    return -1


@helper
def integer(text: Bytes, place: int) -> tuple[int, int]:
    """Return the whole number that begins at ``place``, and where it ends: at ``place`` without one.

    Numbers of more than 18 digits, which count nothing, come out wrong but within 64 bits.
    """
    if place + 8 <= len(text):
        word = eight(text, place)
        count = digits(word)
        if 0 < count < 8:
            return of_digits(word, count), place + count
    return any_integer(text, place)


@helper
def any_integer(text: Bytes, place: int) -> tuple[int, int]:
    """Return what :func:`integer` does for numbers of a sign or of many digits, or where there is none."""
    begin = place
    negative = text[place] == 45
    if negative or text[place] == 43:
        place += 1
    first, value = place, 0
    while 48 <= text[place] <= 57:
        value = value * 10 + (text[place] - 48)
        place += 1
    if place == first:
        return 0, begin
    if place - first > 18:
        value = 1 << 58
    return (-value if negative else value), place


@helper
def number(text: Bytes, place: int, powers: NDArray[np.float64]) -> tuple[float, int]:
    """Return the decimal number that begins at ``place``, and where its word ends; NaN if it is not a number.

    Correctly rounded up to 15 digits and powers of ten up to 22; else a few units in the last place off.
    Numbers of up to seven digits before the point and fifteen behind it, as nearly all are, are read eight
    digits at a time.

    Args:
        text: bytes of the file.
        place: of its first byte.
        powers: of ten, from 0 on.

    Returns:
        The number, and the place behind it.
    """
    if place + 26 > len(text):  # a sign, eight digits, a point, sixteen digits
        return any_number(text, place, powers)
    stop = blank_after(text, place)  # soon known, so that what comes next need not wait for the digits
    minus = text[place] == 45
    first = place + (minus | (text[place] == 43))  # signs come and go: no branch could be guessed
    word = eight(text, first)
    whole = digits(word)
    mantissa, end, part, more = of_digits(word, whole), first + whole, 0, 0
    if text[end] == 46:
        word = eight(text, end + 1)
        part = digits(word)
        mantissa, end = mantissa * np.int64(powers[part]) + of_digits(word, part), end + 1 + part
        if part == 8:
            word = eight(text, end)
            more = digits(word)
            mantissa, end = mantissa * np.int64(powers[more]) + of_digits(word, more), end + more
    if not (
        0 < whole + part + more <= 18 and whole < 8 and more < 8 and end == stop and word_ends(text, stop)
    ):
        return any_number(text, place, powers)
    return (1.0 - 2.0 * minus) * (float(mantissa) / powers[part + more]), stop


@helper
def any_number(text: Bytes, place: int, powers: NDArray[np.float64]) -> tuple[float, int]:
    """Return what :func:`number` does for all others: with an exponent, with many digits, or with none.

    Args:
        text: bytes of the file.
        place: of its first byte.
        powers: of ten, from 0 on.

    Returns:
        The number, and the place behind it.
    """
    negative = text[place] == 45
    if negative or text[place] == 43:
        place += 1
    mantissa, exponent, digits, fraction = 0, 0, 0, False
    while 48 <= text[place] <= 57 or (text[place] == 46 and not fraction):
        if text[place] == 46:
            fraction = True
        elif mantissa < 100000000000000000:
            digits += 1
            mantissa = mantissa * 10 + (text[place] - 48)
            exponent -= fraction
        else:
            exponent += not fraction
        place += 1
    if digits > 0 and ((text[place] | 32) == 101 or (text[place] | 32) == 100):  # Fortran writes 1D0
        power, end = integer(text, place + 1)
        if end > place + 1:
            exponent, place = exponent + max(min(power, 100000), -100000), end
    whole = digits > 0 and word_ends(text, place)
    while not word_ends(text, place):  # "1.#IND", as some programs print what is not a number
        place += 1
    value = float(mantissa)
    if not whole:
        value = math.nan
    elif mantissa != 0 and exponent > 0:
        value = value * (
            powers[exponent] if exponent <= 22 else 10.0**exponent if exponent <= 308 else math.inf
        )
    elif mantissa != 0 and exponent < 0:
        value = value / powers[-exponent] if exponent >= -22 else value * 10.0**exponent
    return (-value if negative else value), place


def numbers_of(text: Bytes, place: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return every number of a text from ``place`` on, and the position of each line's first one.

    Words that are not numbers become not-a-number; lines without words have no position. Lines may end in
    CR, LF or both.
    """
    text = ended(text)
    values = np.empty((len(text) - place) // 2 + 1)
    lines = np.empty(len(values), dtype=np.int64)
    count, used = all_numbers(text, place, POWERS, values, lines)
    return values[:count], lines[:used]


@compiled
def all_numbers(
    text: Bytes,
    place: int,
    powers: NDArray[np.float64],
    values: NDArray[np.float64],
    lines: NDArray[np.int64],
) -> tuple[int, int]:
    """Fill in what :func:`numbers_of` returns.

    Args:
        text: bytes of the file.
        place: to begin at.
        powers: of ten, from 0 on.
        values: filled in place.
        lines: places in ``values`` where lines begin, filled in place.

    Returns:
        How many values and lines there are.
    """
    count, used, fresh = 0, 0, True
    while place < len(text):
        byte = text[place]
        if byte == 10 or byte == 13:
            place, fresh = place + 1, True
        elif byte == 32 or (byte < 32 and blank(byte)):
            place += 1
        else:
            if fresh:
                lines[used] = count
                used, fresh = used + 1, False
            values[count], place = number(text, place, powers)
            count += 1
    return count, used


@helper
def off_counts(text: Bytes, place: int, counts: NDArray[np.int64]) -> int:
    """Read the counts of vertices and faces; returns the place after them (and the edges), or −1.

    Args:
        text: bytes of the file.
        place: to begin at.
        counts: (2,) vertices and faces, set in place.

    Returns:
        The place after them and the number of edges, or −1.
    """
    for count in range(2):
        place = to_content(text, place)
        if place >= len(text):
            return -1
        counts[count], end = integer(text, place)
        if end == place:
            return -1
        place = end
    place = in_line(text, place)
    return integer(text, place)[1]


@compiled
def off_body(
    text: Bytes,
    place: int,
    by_line: bool,
    more: int,
    powers: NDArray[np.float64],
    vertices: NDArray[np.float64],
    starts: NDArray[np.int64],
    corners: NDArray[np.int64],
) -> tuple[int, int]:
    """Read vertices, then faces.

    Args:
        text: bytes of the file.
        place: to begin at.
        by_line: whether each item ends with its line.
        more: numbers behind each vertex that are passed over where items share lines.
        powers: of ten, from 0 on.
        vertices: (n, 3), or of another width, filled in place.
        starts: where each face's corners begin, filled in place.
        corners: filled in place.

    Returns:
        How many vertices and faces could be read, and where it ended.
    """
    for vertex in range(len(vertices)):
        place = to_content(text, place)
        for axis in range(vertices.shape[1]):
            if place < len(text):
                place = in_line(text, place) if by_line else to_content(text, place)
            if place >= len(text) or line_ends(text, place):
                return vertex, place
            vertices[vertex, axis], place = number(text, place, powers)
        for _ in range(0 if by_line else more):
            place = to_content(text, place)
            if place >= len(text):
                return vertex, place
            _, place = number(text, place, powers)
        if by_line:
            place = next_line(text, place)
    for face in range(len(starts) - 1):
        place = to_content(text, place)
        if place >= len(text):
            return len(vertices) + face, place
        size, end = integer(text, place)
        if end == place or size < 0:
            return len(vertices) + face, place
        place, used = end, starts[face]
        for _ in range(size):
            place = in_line(text, place) if by_line else to_content(text, place)
            if place >= len(text) or used >= len(corners):
                return len(vertices) + face, place
            corner, end = integer(text, place)
            if end == place:
                return len(vertices) + face, place
            corners[used], place = corner, end
            used += 1
        starts[face + 1] = used
        if by_line:
            place = next_line(text, place)
    return len(vertices) + len(starts) - 1, place


@helper
def obj_surface(text: Bytes, place: int, letter: int, second: int) -> int:
    """Return 1 where a line begins a patch, a surface or a call of another file, else 0.

    Args:
        text: bytes of the file, with an end of line behind them.
        place: where the line begins.
        letter: its first one, small.
        second: its second one, small.

    Returns:
        1 or 0.
    """
    if place + 4 >= len(text):
        return 0
    third, last = text[place + 2] | 32, text[place + 3] | 32
    if blank(text[place + 3]):  # bsp, bzp, cdc, cdp: patches
        patch = (letter == 98 and (second == 115 or second == 122) and third == 112) or (
            letter == 99 and second == 100 and (third == 99 or third == 112)
        )
        return 1 if patch else 0
    if not blank(text[place + 4]):
        return 0
    surface = letter == 115 and second == 117 and third == 114 and last == 102  # surf
    other = letter == 99 and second == 97 and third == 108 and last == 108  # call, of another file
    return 1 if surface or other else 0


@helper
def obj_kind(text: Bytes, place: int) -> int:
    """Return what a line that begins at ``place`` is: 118 a vertex, 102 a face, 1 what is not read, else 0.

    Keywords may be capitals; faces were "fo" before version 3 of the format.
    """
    if place + 1 >= len(text):
        return 0
    letter, second = int(text[place]) | 32, int(text[place + 1])
    if letter == 118:
        return 118 if blank(second) else 0
    if letter == 102:
        return 102 if blank(second) or (second | 32 == 111 and blank(text[place + 2])) else 0
    if letter == 115 or letter == 98 or letter == 99:
        return obj_surface(text, place, letter, second | 32)
    return 0


@helper
def has_comma(text: Bytes, place: int) -> bool:
    """Return whether the rest of a line has a comma between two digits."""
    while not line_ends(text, place):
        if text[place] == 44 and 48 <= text[place - 1] <= 57 and 48 <= text[place + 1] <= 57:
            return True
        place += 1
    return False


@compiled
def obj_counts(text: Bytes, counts: NDArray[np.int64]) -> None:
    """Count vertices, faces and the words on face lines."""
    counts[:] = 0
    place = to_content(text, 0)
    while place < len(text):
        kind = obj_kind(text, place)
        if kind == 118:
            counts[0] += 1
        elif kind == 102:
            counts[1] += 1
            place = in_line(text, place + 2 - blank(text[place + 1]))
            while not line_ends(text, place):
                counts[2] += 1
                while not line_ends(text, place) and not blank(text[place]) and text[place] != 92:
                    place += 1
                if in_line(text, place) == place and not line_ends(text, place):
                    place += 1  # a lone backslash
                place = in_line(text, place)
        place = to_content(text, next_line(text, place))


@compiled
def obj_body(
    text: Bytes,
    powers: NDArray[np.float64],
    vertices: NDArray[np.float64],
    starts: NDArray[np.int64],
    corners: NDArray[np.int64],
) -> tuple[int, int, int, int]:
    """Read vertices and faces; a corner that is not a number becomes −1.

    Args:
        text: bytes of the file.
        powers: of ten, from 0 on.
        vertices: (n, 3) filled in place.
        starts: where each face's corners begin, filled in place.
        corners: filled in place, from 0.

    Returns:
        How many vertices, faces and corners there are, and where a line begins that is not read: behind the
        text where none does.
    """
    vertex, face, used = 0, 0, 0
    starts[0] = 0
    place = to_content(text, 0)
    while place < len(text):
        kind, line = obj_kind(text, place), place
        if kind == 118:
            place += 1
            for axis in range(3):
                place = in_line(text, place)
                vertices[vertex, axis] = math.nan
                if not line_ends(text, place):
                    vertices[vertex, axis], place = number(text, place, powers)
            vertex += 1
        elif kind == 102:
            place = in_line(text, place + 2 - blank(text[place + 1]))
            while not line_ends(text, place):
                corner, _ = integer(text, place)
                corners[used] = corner - 1 if corner > 0 else vertex + corner if corner < 0 else -1
                used += 1
                while not line_ends(text, place) and not blank(text[place]) and text[place] != 92:
                    place += 1
                if in_line(text, place) == place and not line_ends(text, place):
                    place += 1
                place = in_line(text, place)
            face += 1
            starts[face] = used
            if used - starts[face - 1] < 3 and has_comma(text, line):
                return vertex, face, used, line
        elif kind == 1:
            return vertex, face, used, place
        place = to_content(text, next_line(text, place))
    return vertex, face, used, len(text)


@helper
def stl_word(text: Bytes, place: int) -> int:
    """Return which word comes: 6 for vertex, 7 endloop, 8 endfacet, 5 solid, 9 endsolid, 0 for any other."""
    word, length = 0, 0
    while length <= 8 and place + length < len(text) and not word_ends(text, place + length):
        word = word * 256 + (text[place + length] | 32) if length < 8 else 0
        length += 1
    if length == 6 and word == 0x766572746578:
        return 6
    if length == 7 and word == 0x656E646C6F6F70:
        return 7
    if length == 8 and word == 0x656E646661636574:
        return 8
    if length == 5 and word == 0x736F6C6964:
        return 5
    if length == 8 and word == 0x656E64736F6C6964:
        return 9
    return 0


@helper
def stl_named(text: Bytes, place: int) -> int:
    """Return where the name behind "solid" ends: at the end of its line, or before a "facet" in it."""
    while place < len(text) and text[place] != 10 and text[place] != 13:
        if (
            (text[place] | 32) == 102
            and place + 5 < len(text)
            and (text[place + 1] | 32) == 97
            and (text[place + 2] | 32) == 99
            and (text[place + 3] | 32) == 101
            and (text[place + 4] | 32) == 116
            and word_ends(text, place + 5)
            and word_ends(text, place - 1)
        ):
            return place
        place += 1
    return place


@compiled
def stl_corners(
    text: Bytes,
    powers: NDArray[np.float64],
    vertices: NDArray[np.float64],
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Read the three words behind each "vertex" and note where "endloop" or "endfacet" ends a face.

    Other words are passed over by their first letters, which are not v, e or s.

    Args:
        text: the file.
        powers: of ten.
        vertices: (n, 3) to fill in, at least as many as there are.
        starts: (n + 1) to fill in.
        counts: becomes how many vertices and faces there are.
    """
    count, faces, begin, place = 0, 0, 0, 0
    while place < len(text):
        if word_ends(text, place):
            place += 1
            continue
        letter = text[place] | 32
        length = stl_word(text, place) if letter == 118 or letter == 101 or letter == 115 else 0
        if length == 6 and count < len(vertices):
            place += 6
            for axis in range(3):
                while place < len(text) and word_ends(text, place):
                    place += 1
                vertices[count, axis] = math.nan
                if place < len(text):
                    vertices[count, axis], place = number(text, place, powers)
            count += 1
            continue
        if length == 5 or length == 9:
            place = stl_named(text, place + min(length, 8))
            continue
        if length >= 7 and count > begin:
            faces, begin = faces + 1, count
            starts[faces] = count
        while place < len(text) and not word_ends(text, place):
            place += 1
    counts[0], counts[1] = count, faces
