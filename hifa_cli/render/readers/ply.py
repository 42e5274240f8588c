"""PLY: text and binary of either byte order, polygons and triangle strips."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.compiled import compiled
from hifa_cli.render.parsing import Bytes, Polygons, numbers_of
from hifa_cli.render.polygons import triangles
from hifa_cli.render.readers.textual import bytes_of, refuse_commas, utf8

LONGEST_HEADER = 1 << 20
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "byte": "i1", "ubyte": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4",
    "uint": "u4", "uint32": "u4", "long": "i8", "int64": "i8", "ulong": "u8", "uint64": "u8",
    "half": "f2", "float16": "f2", "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_BEGIN = re.compile(rb"(?:\xef\xbb\xbf)?\s*ply[ \t]*(\r\n|\n|\r)", re.IGNORECASE)
_VERTICES, _FACES, _STRIPS = ("vertex", "vertices"), ("face", "faces", "polygon"), ("tristrips", "tristrip")
_CORNERS = ("vertex_indices", "vertex_index", "vertex_indexes", "vertexindices", "indices")
_AXES = ("x", "y", "z")


class Property(NamedTuple):
    """A property of an element: its numpy type, and that of its length where it is a list."""

    name: str
    kind: str
    length: str | None


@dataclass(frozen=True)
class Element:
    """So many records of the same properties."""

    name: str
    count: int
    properties: tuple[Property, ...]


class Header(NamedTuple):
    """The header of a file, and the position where its body begins; ``order`` is '' for text."""

    order: str
    elements: list[Element]
    begin: int


class Lists(NamedTuple):
    """A list a record: the values of the p-th are ``values[starts[p] : starts[p + 1]]``."""

    starts: NDArray[np.int64]
    values: NDArray[np.int64]


class Short(Exception):
    """A body ends early: so many records of an element are there."""


class CutOff(HifaError):
    """A body has fewer records than its header announces."""


def read(path: Path) -> tuple[Any, Any]:
    """Read vertices and triangles; polygons are cut, strips taken apart.

    Raises:
        HifaError: it is not a PLY, is cut off, or its header and its body disagree.
    """
    content = utf8(bytes_of(path))
    header = header_of(content)
    if header.order:
        return meshed(header, BinaryBody(content, header))
    values, lines = numbers_of(content, header.begin)
    try:
        vertices, faces = meshed(header, TextBody(values, lines))
    except CutOff:
        vertices, faces = meshed(header, body := TextBody(values, None))  # lists that go on in the next line
        if body.place < len(values):
            raise
    refuse_commas(vertices, content[header.begin :])
    return vertices, faces


def header_of(content: Bytes) -> Header:
    """Read the header.

    Raises:
        HifaError: it is not one, or names a type or format that does not exist.
    """
    head = content[:LONGEST_HEADER].tobytes()
    begin = _BEGIN.match(head)
    if begin is None:
        raise HifaError("cannot be read as .ply: it does not begin with 'ply'")
    line_end = rb"(?:\r|$)" if begin[1] == b"\r" else rb"(?:\r?\n|$)"  # a binary body may begin with LF
    end = re.compile(rb"[\r\n][ \t]*end_header[ \t]*" + line_end).search(head, begin.end() - 1)
    if end is None:
        raise HifaError("cannot be read as .ply: its header has no end ('end_header')")
    order, elements = "", []
    for line in re.split(rb"[\r\n]+", head[begin.end() : end.start()]):
        words = line.decode("utf-8", "replace").split()
        if words[:1] == ["format"]:
            order = _order(words)
        elif words[:1] == ["element"]:
            elements.append(Element(*_named(words), ()))
        elif words[:1] == ["property"] and elements:
            last = elements[-1]
            elements[-1] = replace(last, properties=(*last.properties, _property(words)))
    return Header(order, elements, end.end())


def _order(words: list[str]) -> str:
    if len(words) < 2 or words[1].lower() not in _ORDERS:
        raise HifaError(f"is PLY of an unknown format: '{' '.join(words)[:80]}'")
    return _ORDERS[words[1].lower()]


def _named(words: list[str]) -> tuple[str, int]:
    if len(words) < 3 or not (words[2].isascii() and words[2].isdecimal() and len(words[2]) < 19):
        raise HifaError(f"has an element without a count in its header: '{' '.join(words)[:80]}'")
    return words[1].lower(), int(words[2])


def _property(words: list[str]) -> Property:
    listed = words[1:2] == ["list"]
    types = [_TYPES.get(word.lower()) for word in words[2 if listed else 1 : -1]]
    if len(types) != 1 + listed or None in types:
        raise HifaError(f"has a property of an unknown type: '{' '.join(words)[:80]}'")
    return Property(words[-1].lower(), str(types[-1]), types[0] if listed else None)


def meshed(header: Header, body: "Body") -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read a body's elements in their order; (n, 3) vertices and (m, 3) triangles.

    Raises:
        HifaError: it ends early, goes on behind its end, or lacks what makes a vertex or a face.
    """
    vertices = np.empty((0, 3))
    faces: list[Lists] = []
    strips: list[Lists] = []
    last: Element | None = None
    for element in header.elements:
        try:
            if element.name in _VERTICES:
                vertices = np.concatenate([vertices, body.columns(element, _axes(element)).reshape(-1, 3)])
            elif element.name in (*_FACES, *_STRIPS):
                wanted = _corners(element)
                lists = body.lists(element, wanted)
                if element.name in _STRIPS:
                    strips.append(_parted(lists, element.properties[wanted].kind))
                else:
                    faces.append(lists)
            else:
                body.columns(element, [])
        except Short as short:
            raise CutOff(
                f"is cut off or damaged: {short} of {element.count} records of '{element.name}' can be read"
            ) from None
        last = element if element.count else last
    if last is not None and body.goes_on(last, len(vertices)):
        raise HifaError(f"has more records of '{last.name}' than the {last.count} that its header announces")
    cut = [triangles(Polygons(vertices, *lists)) for lists in faces]
    return vertices, np.concatenate([*cut, *(apart(*lists) for lists in strips), np.empty((0, 3), np.int64)])


def _parted(lists: Lists, kind: str) -> Lists:
    """Return strips whose ends are −1: of numbers without a sign the largest one stands for it."""
    if kind[0] != "u":
        return lists
    return Lists(lists.starts, np.where(lists.values == int(np.iinfo(kind).max), -1, lists.values))


def _axes(element: Element) -> list[int]:
    """Return which properties are x, y and z."""
    names = [one.name if one.length is None else "" for one in element.properties]
    if element.count and not all(axis in names for axis in _AXES):
        raise HifaError("has vertices without x, y and z")
    return [names.index(axis) for axis in _AXES] if element.count else []


def _corners(element: Element) -> int:
    """Return which property lists an element's corners."""
    lists = [place for place, one in enumerate(element.properties) if one.length is not None]
    named = [place for place in lists if element.properties[place].name in _CORNERS]
    if not named and len(lists) == 1 and element.properties[lists[0]].kind[0] in "iu":
        named = lists
    if not named:
        raise HifaError(f"has records of '{element.name}' without a list of vertices")
    return named[0]


def apart(starts: NDArray[np.int64], corners: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (m, 3) triangles of strips, that a −1 or the end of a list parts."""
    faces = np.empty((len(corners), 3), dtype=np.int64)
    return faces[: take_apart(starts, corners, faces)]


@compiled
def take_apart(starts: NDArray[np.int64], corners: NDArray[np.int64], faces: NDArray[np.int64]) -> int:
    """Write the triangles of strips into ``faces``, every other one turned round.

    Args:
        starts: (k + 1,) where each strip begins.
        corners: of all strips; −1 begins a new one.
        faces: (t, 3) filled from the front.

    Returns:
        How many triangles there are.
    """
    count = 0
    for strip in range(len(starts) - 1):
        length = 0
        for place in range(starts[strip], starts[strip + 1]):
            length = length + 1 if corners[place] >= 0 else 0
            if length >= 3:
                odd = length % 2 == 0
                faces[count, 0] = corners[place - 1 if odd else place - 2]
                faces[count, 1] = corners[place - 2 if odd else place - 1]
                faces[count, 2] = corners[place]
                count += 1
    return count


class TextBody:
    """A body in text: all its numbers, and where lines begin (None: lines are all alike)."""

    def __init__(self, values: NDArray[np.float64], lines: NDArray[np.int64] | None) -> None:
        self.values, self.place, self.line = values, 0, 0
        self.lines = np.empty(0, dtype=np.int64) if lines is None else np.append(lines, len(values))
        self.by_line = lines is not None

    def columns(self, element: Element, wanted: list[int]) -> NDArray[np.float64]:
        """Return (count, wanted) numbers of some properties that are not lists.

        Raises:
            Short: records are missing.
        """
        offsets, _ = self._walked(element, wanted)
        return self.values[offsets]

    def lists(self, element: Element, wanted: int) -> Lists:
        """Return one property's lists.

        Raises:
            Short: records are missing.
        """
        offsets, lengths = self._walked(element, [wanted])
        return _gathered(offsets[:, 0], lengths[:, 0], self.values, 1)

    def goes_on(self, element: Element, vertices: int) -> bool:
        """Return whether a line follows that may be another record: three numbers or more."""
        del element, vertices
        if not self.by_line or self.line + 1 >= len(self.lines):
            return False
        more = self.values[self.lines[self.line] : self.lines[self.line + 1]]
        return len(more) >= 3 and bool(np.isfinite(more).all())

    def _walked(self, element: Element, wanted: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        listed = np.array([one.length is not None for one in element.properties], dtype=np.bool_)
        if element.count * len(listed) > len(self.values) - self.place:
            raise Short((len(self.values) - self.place) // len(listed))
        columns = np.full(len(listed), -1, dtype=np.int64)
        columns[wanted] = np.arange(len(wanted))
        count = element.count if len(listed) else 0
        offsets = np.empty((count, len(wanted)), dtype=np.int64)
        lengths = np.empty_like(offsets)
        done, self.place = walk_numbers(
            self.values, self.place, self.lines, self.line, self.by_line, listed, columns, offsets, lengths
        )
        self.line += count
        if done < count:
            raise Short(done)
        return offsets, lengths


class BinaryBody:
    """A body in binary."""

    def __init__(self, content: Bytes, header: Header) -> None:
        self.content, self.place, self.order = content, header.begin, header.order

    def columns(self, element: Element, wanted: list[int]) -> NDArray[np.float64]:
        """Return (count, wanted) numbers of some properties that are not lists.

        Raises:
            Short: records are missing.
        """
        if not element.count:
            return np.empty((0, len(wanted)))
        if (records := self._alike(element)) is not None:
            kept = np.empty((element.count, len(wanted)))
            for column, place in enumerate(wanted):
                kept[:, column] = records[f"p{place}"]
            return kept
        offsets, _ = self._walked(element, wanted)
        if not wanted:
            return np.empty((element.count, 0))
        kinds = [np.dtype(self.order + element.properties[place].kind) for place in wanted]
        columns = [
            self.content[offsets[:, column, None] + np.arange(kind.itemsize)].view(kind)[:, 0]
            for column, kind in enumerate(kinds)
        ]
        return np.stack(columns, axis=1).astype(np.float64)

    def lists(self, element: Element, wanted: int) -> Lists:
        """Return one property's lists.

        Raises:
            Short: records are missing.
        """
        if not element.count:
            return Lists(np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int64))
        if (records := self._alike(element)) is not None:
            values = records[f"p{wanted}"].reshape(len(records), -1)
            starts = np.arange(len(records) + 1, dtype=np.int64) * values.shape[1]
            return Lists(starts, _whole(values.reshape(-1)))
        offsets, lengths = self._walked(element, [wanted])
        kind = np.dtype(self.order + element.properties[wanted].kind)
        return _gathered(offsets[:, 0], lengths[:, 0], self.content, kind.itemsize, kind)

    def goes_on(self, element: Element, vertices: int) -> bool:
        """Return whether all that follows is faces, too."""
        if element.name not in _FACES:
            return False
        wanted = _corners(element)
        most = (len(self.content) - self.place) // self._least(element)
        found = 0
        while found < most and self.place < len(self.content):
            try:
                _, corners = self.lists(replace(element, count=1), wanted)
            except Short:
                return False
            if len(corners) < 3 or (corners < 0).any() or (corners >= vertices).any():
                return False
            found += 1
            if found == 100:  # as many as that are not chance
                return True
        return found > 0 and self.place == len(self.content)

    def _least(self, element: Element) -> int:
        return max(sum(int((one.length or one.kind)[1]) for one in element.properties), 1)

    def _alike(self, element: Element) -> Any:
        """Return the records as they lie, where all have lists of the same lengths; else None."""
        if self._least(element) * element.count > len(self.content) - self.place:
            if any(one.length for one in element.properties):
                return None
            raise Short((len(self.content) - self.place) // self._least(element))
        kind = self._like_the_first(element)
        if kind is None or kind.itemsize * element.count > len(self.content) - self.place:
            return None
        records = np.frombuffer(self.content, dtype=kind, count=element.count, offset=self.place)
        for name in kind.names or ():
            if name[0] == "n" and not (records[name] == records[name][0]).all():
                return None
        self.place += kind.itemsize * element.count
        return records

    def _like_the_first(self, element: Element) -> np.dtype[Any] | None:
        fields: list[tuple[Any, ...]] = []
        place = self.place
        for at, one in enumerate(element.properties):
            if one.length is None:
                fields.append((f"p{at}", self.order + one.kind))
            else:
                length = np.dtype(self.order + one.length)
                first = self.content[place : place + length.itemsize]
                count = _count(first.view(length)[0]) if len(first) == length.itemsize else -1
                if not 0 <= count * int(one.kind[1]) < min(len(self.content), 1 << 24):
                    return None
                fields += [(f"n{at}", length), (f"p{at}", self.order + one.kind, (count,))]
                place += length.itemsize + (count - 1) * int(one.kind[1])
            place += int(one.kind[1])
        return np.dtype(fields)

    def _walked(self, element: Element, wanted: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._least(element) * element.count > len(self.content) - self.place:
            raise Short((len(self.content) - self.place) // self._least(element))
        sizes = np.array([int(one.kind[1]) for one in element.properties], dtype=np.int64)
        lengths_of = np.array([int((one.length or "u0")[1]) for one in element.properties], dtype=np.int64)
        real = np.array([(one.length or "u0")[0] == "f" for one in element.properties], dtype=np.bool_)
        columns = np.full(len(sizes), -1, dtype=np.int64)
        columns[wanted] = np.arange(len(wanted))
        offsets = np.empty((element.count, len(wanted)), dtype=np.int64)
        lengths = np.empty_like(offsets)
        done, self.place = walk_bytes(
            self.content, self.place, self.order == ">", sizes, lengths_of, real, columns, offsets, lengths
        )
        if done < element.count:
            raise Short(done)
        return offsets, lengths


Body = TextBody | BinaryBody


def _whole(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return numbers as whole ones; −1 where they are none."""
    if values.dtype.kind != "f":
        return values.astype(np.int64)
    with np.errstate(invalid="ignore"):
        good = (np.abs(values) < 1 << 53) & (values == np.floor(values))
        return np.where(good, values, -1).astype(np.int64)


def _count(length: Any) -> int:
    """Return the length of a list, which some programs write as a real; −1 where it is not a whole number."""
    return int(length) if np.isfinite(length) and length == np.floor(length) else -1


def _gathered(
    offsets: NDArray[np.int64],
    lengths: NDArray[np.int64],
    source: NDArray[Any],
    size: int,
    kind: np.dtype[Any] | None = None,
) -> Lists:
    """Collect the lists that lie at ``offsets``, ``lengths`` items of ``size`` each."""
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    values = np.empty(int(starts[-1]) * size, dtype=source.dtype)
    gather(source, offsets, lengths * size, values)
    return Lists(starts, _whole(values if kind is None else values.view(kind)))


@compiled
def gather(
    source: NDArray[Any], offsets: NDArray[np.int64], lengths: NDArray[np.int64], values: NDArray[Any]
) -> None:
    """Copy pieces of ``source`` one after the other into ``values``.

    Args:
        source: to copy from.
        offsets: (k,) where each piece begins.
        lengths: (k,) of the pieces.
        values: filled from the front.
    """
    place = 0
    for piece in range(len(offsets)):
        for item in range(lengths[piece]):
            values[place] = source[offsets[piece] + item]
            place += 1


@compiled
def walk_numbers(
    values: NDArray[np.float64],
    place: int,
    lines: NDArray[np.int64],
    line: int,
    by_line: bool,
    listed: NDArray[np.bool_],
    columns: NDArray[np.int64],
    offsets: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> tuple[int, int]:
    """Note where the wanted properties of every record lie among the numbers of a text.

    Args:
        values: all numbers.
        place: where the first record begins, unless ``by_line``.
        lines: where lines begin, and where the last one ends.
        line: the first record's.
        by_line: a record begins with every line; what a line has too much is passed over.
        listed: (P,) which properties are lists.
        columns: (P,) the column of each wanted property; −1 for others.
        offsets: (count, wanted) to fill in.
        lengths: (count, wanted) to fill in.

    Returns:
        How many records are whole, and where the next one begins.
    """
    for record in range(len(offsets)):
        end = len(values)
        if by_line:
            if line + record + 1 >= len(lines):
                return record, place
            place, end = lines[line + record], lines[line + record + 1]
        for one in range(len(listed)):
            count = 1
            if place >= end:
                return record, place
            if listed[one]:
                announced = values[place]
                place += 1
                if not 0 <= announced <= end - place or announced != np.floor(announced):
                    return record, place
                count = int(announced)
            if columns[one] >= 0:
                offsets[record, columns[one]], lengths[record, columns[one]] = place, count
            place += count
        if by_line:
            place = end
    return len(offsets), place


@compiled
def whole_of(bits: int, size: int) -> int:
    """Return the whole number that a real of so many bytes stands for (IEEE 754); −1 where it is none."""
    fraction, exponent = 10, 5
    if size == 4:
        fraction, exponent = 23, 8
    elif size == 8:
        fraction, exponent = 52, 11
    power = ((bits >> fraction) & ((1 << exponent) - 1)) - ((1 << (exponent - 1)) - 1)
    mantissa = (bits & ((1 << fraction) - 1)) | (1 << fraction)
    if bits == 0:
        return 0
    if (bits >> (8 * size - 1)) & 1 or power < 0 or power > 52:
        return -1
    if power >= fraction:
        return mantissa << (power - fraction)
    if mantissa & ((1 << (fraction - power)) - 1):
        return -1
    return mantissa >> (fraction - power)


@compiled
def walk_bytes(
    content: Bytes,
    place: int,
    big: bool,
    sizes: NDArray[np.int64],
    lengths_of: NDArray[np.int64],
    real: NDArray[np.bool_],
    columns: NDArray[np.int64],
    offsets: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> tuple[int, int]:
    """Note where the wanted properties of every binary record lie.

    Args:
        content: the file.
        place: where the first record begins.
        big: whether the first byte of a number is its highest.
        sizes: (P,) bytes of a value of each property.
        lengths_of: (P,) bytes of the length of each list; 0 for what is not one.
        real: (P,) whether the length is a real.
        columns: (P,) the column of each wanted property; −1 for others.
        offsets: (count, wanted) to fill in.
        lengths: (count, wanted) to fill in.

    Returns:
        How many records are whole, and where the next one begins.
    """
    for record in range(len(offsets)):
        for one in range(len(sizes)):
            count, bytes_of = 1, lengths_of[one]
            if bytes_of > 0:
                if place + bytes_of > len(content):
                    return record, place
                count = 0
                for byte in range(bytes_of):
                    count = count * 256 + content[place + (byte if big else bytes_of - 1 - byte)]
                place += bytes_of
                if real[one]:
                    count = whole_of(count, bytes_of)
            if not 0 <= count <= (len(content) - place) // sizes[one]:
                return record, place
            if columns[one] >= 0:
                offsets[record, columns[one]], lengths[record, columns[one]] = place, count
            place += count * sizes[one]
    return len(offsets), place
