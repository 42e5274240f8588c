"""Filters of shapes by their fields: ``faces < 5000 and licence = 'CC0'``.

A condition is parsed by this module alone and evaluated over whole columns; nothing in it is ever executed. A
comparison with a value that a shape has not is neither true nor false, as in SQL: neither the comparison nor
its negation finds the shape, only ``is null`` does.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery
from hifa_cli.gallery.fields import Column, Field, Value
from hifa_cli.search.exact import Rows

LONGEST = 10_000  # characters of a condition
DEEPEST = 50  # parentheses and negations within each other
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])"""
    r"""|'(?P<text>(?:[^']|'')*)'|"(?P<quoted>(?:[^"]|"")*)\""""
    r"""|(?P<sign><=|>=|!=|<>|==|[=<>(),])|(?P<word>[^\W\d][\w.\-]*))"""
)
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne, "<>": operator.ne, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_WORDS = ("and", "or", "not", "in", "is", "null", "true", "false")
Flags = NDArray[np.bool_]


class _Token(NamedTuple):
    kind: str  # number, text, quoted, sign, word, end
    value: str
    at: int


class _Truth(NamedTuple):
    """Of each shape whether a condition holds, and whether its negation does; neither where unknown."""

    holds: Flags
    fails: Flags


def rows_where(gallery: Gallery, condition: str) -> Rows:
    """Return the rows of the shapes that a condition holds for, ascending.

    Args:
        gallery: whose fields may stand in the condition, with ``id`` and ``class``.
        condition: comparisons (``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in (…)``, ``is null``) of
            fields with numbers, ``'texts'``, ``true`` and ``false``, joined by ``and``, ``or``, ``not`` and
            parentheses.

    Raises:
        HifaError: it cannot be parsed, names a field that does not exist, or compares different kinds; the
            message says which fields there are.
    """
    return np.flatnonzero(_Parser(condition, columns_of(gallery)).parsed().holds).astype(np.int64)


def columns_of(gallery: Gallery) -> dict[str, Column]:
    """Return the fields that a condition may name: the gallery's, ``id`` and ``class``."""
    labels = np.asarray(gallery.labels)
    return {
        "id": Column(Field("id", "text", "measured"), np.arange(len(gallery)), gallery.ids),
        "class": Column(Field("class", "text", "measured"), labels, gallery.classes),
        **gallery.fields,
    }


class _Parser:
    """Evaluates a condition while it is parsed."""

    def __init__(self, condition: str, columns: Mapping[str, Column]) -> None:
        if len(condition) > LONGEST:
            raise HifaError(f"the filter has {len(condition)} characters: {LONGEST} are allowed")
        self.condition, self.columns = condition, columns
        self.tokens = list(_tokens(condition))
        self.place = self.depth = 0

    def parsed(self) -> _Truth:
        """Return the truth of the whole condition."""
        found = self._either()
        if self._next().kind != "end":
            raise self._wrong("'and', 'or' or the end", self._next())
        return found

    def _either(self) -> _Truth:
        found = self._both()
        while self._takes("or"):
            other = self._both()
            found = _Truth(found.holds | other.holds, found.fails & other.fails)
        return found

    def _both(self) -> _Truth:
        found = self._one()
        while self._takes("and"):
            other = self._one()
            found = _Truth(found.holds & other.holds, found.fails | other.fails)
        return found

    def _one(self) -> _Truth:
        self.depth += 1
        if self.depth > DEEPEST:
            raise HifaError(f"the filter is nested more than {DEEPEST} deep: write it flatter")
        if self._takes("not"):
            found = _Truth(*reversed(self._one()))
        elif self._takes("("):
            found = self._either()
            self._demand(")")
        else:
            found = self._comparison()
        self.depth -= 1
        return found

    def _comparison(self) -> _Truth:
        column = self._field()
        if self._takes("is"):
            wanted = not self._takes("not")
            self._demand("null")
            holds = column.known != wanted
            return _Truth(holds, ~holds)
        denied = self._takes("not")
        if denied or self._next().value.lower() == "in":
            self._demand("in")
            found = self._among(column)
            return _Truth(*reversed(found)) if denied else found
        token = self._next()
        if token.kind == "sign" and token.value in _COMPARISONS:
            self.place += 1
            return self._compared(column, token.value)
        if column.field.kind == "flag":  # a flag by itself
            return _truth(column, column.numbers == 1)
        raise self._wrong("a comparison such as = or <, 'in' or 'is null'", token)

    def _compared(self, column: Column, sign: str) -> _Truth:
        token = self._next()
        if token.kind in ("word", "quoted") and token.value.lower() not in ("true", "false", "null"):
            return self._of_two(column, sign, self._field())
        value = self._value(column)
        return _truth(column, _each(column, lambda one: _COMPARISONS[sign](one, value)))

    def _of_two(self, one: Column, sign: str, other: Column) -> _Truth:
        """Compare two fields."""
        if one.field.kind != other.field.kind:
            raise HifaError(
                f"{_about(one.field)} and {_about(other.field)} cannot be compared: {self._known()}"
            )
        both = one.known & other.known
        if one.field.kind == "text":
            rows = np.flatnonzero(both)
            holds = np.zeros(len(both), dtype=bool)
            compare = _COMPARISONS[sign]
            holds[rows] = [compare(one.value(row), other.value(row)) for row in rows.tolist()]
        else:
            holds = _COMPARISONS[sign](one.numbers, other.numbers)
        return _Truth(both & holds, both & ~holds)

    def _among(self, column: Column) -> _Truth:
        self._demand("(")
        values = [self._value(column)]
        while self._takes(","):
            values.append(self._value(column))
        self._demand(")")
        wanted = set(values)
        return _truth(column, _each(column, lambda one: _isin(one, wanted)))

    def _value(self, column: Column) -> Value:
        """Take a value of the kind that a field has."""
        token = self._next()
        word = token.value.lower() if token.kind == "word" else ""
        value: Value = None
        if token.kind == "number":
            value, kind = float(token.value), "number"
        elif token.kind == "text":
            value, kind = token.value.replace("''", "'"), "text"
        elif word in ("true", "false"):
            value, kind = word == "true", "flag"
        elif word == "null":
            raise HifaError(f"{column.field.name}: write 'is null' or 'is not null' instead of '= null'")
        else:
            hint = f", such as '{token.value}' in quotes" if token.kind in ("word", "quoted") else ""
            raise self._wrong(f"a value{hint}", token)
        if kind != column.field.kind:
            said = f"'{value}'" if kind == "text" else token.value
            raise HifaError(f"{_about(column.field)} cannot be compared with {said}: {self._known()}")
        self.place += 1
        return value

    def _field(self) -> Column:
        token = self._next()
        if token.kind not in ("word", "quoted") or (token.kind == "word" and token.value.lower() in _WORDS):
            raise self._wrong("the name of a field", token)
        self.place += 1
        name = token.value.replace('""', '"')
        if (column := self.columns.get(name)) is None:
            near = get_close_matches(name, self.columns, 1)
            hint = f", did you mean '{near[0]}'?" if near else ""
            quoted = f" (a text is written '{name}')" if self.place > 1 and not near else ""
            raise HifaError(f"the gallery has no field '{name}'{hint or quoted}: {self._known()}")
        return column

    def _known(self) -> str:
        named = [f"{name} ({_kind(column.field)})" for name, column in self.columns.items()]
        return f"it has {', '.join(named)}"

    def _next(self) -> _Token:
        return self.tokens[self.place]

    def _takes(self, word: str) -> bool:
        token = self._next()
        found = token.kind in ("sign", "word") and token.value.lower() == word
        self.place += found
        return found

    def _demand(self, word: str) -> None:
        if not self._takes(word):
            raise self._wrong(f"'{word}'", self._next())

    def _wrong(self, wanted: str, token: _Token) -> HifaError:
        found = f"'{token.value}' at character {token.at + 1}" if token.kind != "end" else "the end"
        return HifaError(f'the filter "{self.condition[:200]}" has {found} where {wanted} should stand')


def _tokens(condition: str) -> Iterator[_Token]:
    place, end = 0, len(condition.rstrip())
    while place < end:
        found = _TOKEN.match(condition, place)
        if found is None:
            start = place + len(condition[place:]) - len(condition[place:].lstrip())
            raise HifaError(
                f'the filter "{condition[:200]}" cannot be read from character {start + 1} on: '
                f"'{condition[start : start + 20]}'"
            )
        kind = str(found.lastgroup)
        yield _Token(kind, found[kind], found.start(kind))
        place = found.end()
    yield _Token("end", "", end)


def _truth(column: Column, holds: Flags) -> _Truth:
    known = column.known
    return _Truth(known & holds, known & ~holds)


def _each(column: Column, holds: Callable[[Any], Any]) -> Flags:
    """Return (n,) whether a test holds for the values of a column; of text it is made once a word."""
    if column.field.kind != "text":
        return np.asarray(holds(np.asarray(column.numbers)), dtype=bool)
    of_words = np.array([bool(holds(word)) for word in column.words] + [False])
    return np.asarray(of_words[np.asarray(column.numbers)])


def _isin(one: Any, wanted: set[Value]) -> Any:
    return one in wanted if isinstance(one, str) else np.isin(one, [float(each or 0) for each in wanted])


def _about(field: Field) -> str:
    return f"{field.name} ({_kind(field)})"


def _kind(field: Field) -> str:
    return f"{field.kind}, {field.unit}" if field.unit else field.kind
