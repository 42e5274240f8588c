"""VRML 97 (ISO/IEC 14772-1, annex A): a text to a tree of nodes, whatever the nodes mean.

Values are told by how they are written, so that nodes of any type can be passed over. Lists of numbers, which
are nearly all of a file, are parsed by compiled loops.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render.parsing import numbers_of

MOST_DEPTH = 120  # of nodes in nodes: each takes a few calls in calls
_SPACE = re.compile(rb"(?:[\s,]+|#[^\r\n]*)*?(?=[^\s,#]|\Z)")
_NUMBERS = re.compile(rb"[-+0-9.eE\s,]*")
_NUMBER = re.compile(rb"[-+]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![^\s,#\[\]{}\"])")
_WORD = re.compile(rb"[^\s,#\[\]{}\"]+")
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_COMMA = re.compile(rb"[-+]?\d+,\d+")
_LOOKED_AT = 1024  # bytes in which it shows that coordinates have decimal commas
_DECLARED = ("field", "exposedField", "eventIn", "eventOut")
_NO_COMMA = bytes.maketrans(b",", b" ")

Numbers = NDArray[np.float64]


@dataclass
class Node:
    """A node: its type, and its fields: numbers, texts, truths, nodes in a list, or a link."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    prototype: "Prototype | None" = None


@dataclass
class Prototype:
    """A type of node that the file makes itself: defaults of its fields, and the nodes that it stands for."""

    defaults: dict[str, Any]
    nodes: list[Node]


@dataclass(frozen=True)
class Link:
    """A field of a prototype's node that has the value of one of the prototype's own (``IS``)."""

    name: str


class _Names:
    """Look up what names stand for, in the file or in a prototype."""

    def __init__(self, prototypes: dict[str, Prototype | None]) -> None:
        self.nodes: dict[str, Node] = {}
        self.prototypes = dict(prototypes)  # None: of another file


class Parser:
    """A text, and how far it has been read."""

    def __init__(self, text: bytes) -> None:
        self.text, self.place, self.depth = text, 0, 0

    def scene(self) -> list[Node]:
        """Return the nodes of the file.

        Raises:
            HifaError: it is cut off or damaged; the message names the line.
        """
        return self._statements(_Names({}), end=b"")

    def _fail(self, wanted: str) -> HifaError:
        line = len(re.findall(rb"\r\n|\r|\n", self.text[: self.place])) + 1
        if self._next() == b"":
            return HifaError(f"is cut off: it ends where {wanted} should come")
        return HifaError(f"is damaged: line {line} has something else than {wanted}")

    def _next(self) -> bytes:
        """Return the next letter that is not white space, a comma or a comment; nothing at the end."""
        if (found := _SPACE.match(self.text, self.place)) is not None:
            self.place = found.end()
        return self.text[self.place : self.place + 1]

    def _word(self, wanted: str) -> str:
        self._next()
        found = _WORD.match(self.text, self.place)
        if found is None:
            raise self._fail(wanted)
        self.place = found.end()
        return found[0].decode("utf-8", "replace")

    def _peek(self) -> str:
        self._next()
        found = _WORD.match(self.text, self.place)
        return "" if found is None else found[0].decode("utf-8", "replace")

    def _take(self, letter: bytes) -> None:
        if self._next() != letter:
            raise self._fail(f"'{letter.decode()}'")
        self.place += 1

    def _statements(self, names: _Names, end: bytes) -> list[Node]:
        """Return the nodes up to ``end``: a bracket, or nothing for the file's."""
        nodes: list[Node] = []
        while (letter := self._next()) != end:
            if letter == b"":
                raise self._fail("a node or its end")
            if (node := self._statement(names)) is not None:
                nodes.append(node)
        self.place += len(end)
        return nodes

    def _statement(self, names: _Names) -> Node | None:
        """Return a node; None of NULL, and of what declares or connects."""
        word = self._word("a node")
        if word in ("PROTO", "EXTERNPROTO"):
            self._prototype(names, word == "EXTERNPROTO")
        elif word == "ROUTE":
            for wanted in ("a route's beginning", "TO", "a route's end"):
                self._word(wanted)
        elif word == "USE":
            if (name := self._word("a name")) not in names.nodes:
                raise HifaError(f"uses a node that it does not name before ('{name[:60]}')")
            return names.nodes[name]
        elif word == "DEF":
            name = self._word("a name")
            node = self._node(self._word("a node"), names)
            names.nodes[name] = node
            return node
        elif word != "NULL":
            return self._node(word, names)
        return None

    def _node(self, kind: str, names: _Names) -> Node:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise HifaError(f"has nodes nested deeper than {MOST_DEPTH}: flatten the scene")
        self._take(b"{")
        node = Node(kind, {}, names.prototypes.get(kind))
        while self._next() != b"}":
            word = self._word("a field or '}'")
            if word in ("PROTO", "EXTERNPROTO", "ROUTE"):
                self.place -= len(word)
                self._statement(names)
            elif word in _DECLARED and kind == "Script":
                self._declared(word, names, node.fields)
            elif self._peek() == "IS":
                self._word("IS")
                node.fields[word] = Link(self._word("a name"))
            else:
                begin = self.place
                node.fields[word] = self._value(names)
                if word == "point":
                    _refuse_commas(self.text[begin : begin + _LOOKED_AT])
        self.place += 1
        self.depth -= 1
        return node

    def _declared(self, way: str, names: _Names, fields: dict[str, Any], *, valued: bool = True) -> None:
        """Read a field or event that an interface declares; a field has a value, unless of another file."""
        self._word("a type")
        name = self._word("a name")
        if self._peek() == "IS":
            self._word("IS")
            fields[name] = Link(self._word("a name"))
        elif valued and way in ("field", "exposedField"):
            fields[name] = self._value(names)

    def _prototype(self, names: _Names, other: bool) -> None:
        name = self._word("a prototype's name")
        self._take(b"[")
        defaults: dict[str, Any] = {}
        while self._next() != b"]":
            way = self._word("a field or ']'")
            if way not in _DECLARED:
                raise self._fail("a field or an event")
            self._declared(way, names, defaults, valued=not other)
        self.place += 1
        if other:
            self._value(names)
            names.prototypes[name] = None
            return
        self._take(b"{")
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise HifaError(f"has prototypes nested deeper than {MOST_DEPTH}: flatten the scene")
        nodes = self._statements(_Names(names.prototypes), end=b"}")
        self.depth -= 1
        names.prototypes[name] = Prototype(defaults, nodes)

    def _value(self, names: _Names) -> Any:
        """Return a field's value: numbers, strings, truths, or a list of nodes."""
        letter = self._next()
        if letter == b"[":
            self.place += 1
            return self._listed(names)
        if letter == b'"':
            return [self._string()]
        if _NUMBER.match(self.text, self.place):
            return self._numbers()
        word = self._peek()
        if word in ("TRUE", "FALSE"):
            self._word("a value")
            return word == "TRUE"
        if not word:
            raise self._fail("a value")
        if self._is_no_number(word):
            return self._numbers()
        node = self._statement(names)
        return [] if node is None else [node]

    def _listed(self, names: _Names) -> Any:
        """Return what stands in brackets."""
        if (numbers := self._plain_numbers()) is not None:
            return numbers
        values: list[Any] = []
        while (letter := self._next()) != b"]":
            if letter == b"[":
                raise self._fail("a value of a list, which has no lists in it")
            value = self._value(names)
            values += [value] if isinstance(value, bool) else [*value]
        many = sum(isinstance(one, float) for one in values)
        if 0 < many < len(values):
            raise self._fail("a list of one kind of values")
        self.place += 1
        return np.array(values, dtype=np.float64) if many else values

    def _plain_numbers(self) -> Numbers | None:
        """Return the numbers of a list of nothing but numbers and comments; None where it has other words."""
        pieces, place = [], self.place
        while True:
            found = _NUMBERS.match(self.text, place)
            end = place if found is None else found.end()
            pieces.append(self.text[place:end])
            letter = self.text[end : end + 1]
            if letter == b"]":
                break
            if letter != b"#":
                return None
            place = end
            while place < len(self.text) and self.text[place] not in b"\r\n":
                place += 1
        self.place = end + 1
        return numbers_in(b"\n".join(pieces))

    def _numbers(self) -> Numbers:
        """Return numbers that follow one another."""
        values: list[float] = []
        while True:
            self._next()
            found = _NUMBER.match(self.text, self.place) or _WORD.match(self.text, self.place)
            if found is None or not (
                _NUMBER.match(found[0]) or self._is_no_number(found[0].decode("latin-1"))
            ):
                return np.array(values, dtype=np.float64)
            self.place = found.end()
            word = found[0].decode("latin-1")
            values.append(_real(word))

    def _is_no_number(self, word: str) -> bool:
        """Return whether a program wrote a number that is none: nan, inf, 1.#IND, 1,5 is none of these."""
        return re.fullmatch(r"[-+]?(nan|inf|infinity|\d\.#\w*)(\(\w*\))?", word, re.IGNORECASE) is not None

    def _string(self) -> str:
        found = _STRING.match(self.text, self.place)
        if found is None:
            raise HifaError("is cut off: a text in quotes has no end")
        self.place = found.end()
        return re.sub(rb"\\(.)", rb"\1", found[1], flags=re.DOTALL).decode("utf-8", "replace")


def _refuse_commas(text: bytes) -> None:
    """Refuse coordinates with decimal commas, which VRML takes for white space.

    Raises:
        HifaError: each word of the list has one comma, within: no program parts three coordinates so.
    """
    words = text.translate(None, b"[").partition(b"]")[0].split()[:-1]
    if len(words) > 2 and all(_COMMA.fullmatch(word) for word in words):
        raise HifaError(f"has numbers with commas ({words[0].decode()}): write them with decimal points")


def _real(word: str) -> float:
    try:
        return float(int(word, 16)) if "x" in word.lower() else float(word)
    except (ValueError, OverflowError):
        return float("nan")


def numbers_in(text: bytes) -> Numbers:
    """Return all numbers of a text in which commas are white space; not-a-number for other words."""
    if not text.strip(b" \t\r\n,"):
        return np.empty(0)
    return numbers_of(np.frombuffer(text.translate(_NO_COMMA) + b"\n", dtype=np.uint8))[0]
