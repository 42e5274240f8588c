"""The fields of a gallery's shapes: what was measured of their meshes, and what the user's table says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from hifa_cli.gallery.columns import Texts, damaged, read_numbers, read_texts, write_texts
from hifa_cli.gallery.shown import Shown, whole
from hifa_cli.runtime.arrays import read_array

Kind = Literal["number", "flag", "text"]
Origin = Literal["measured", "metadata"]
Value = float | bool | str | None
UNITS = {
    "extent_x": "mesh units", "extent_y": "mesh units", "extent_z": "mesh units", "area": "mesh units²",
    "volume": "mesh units³", "faces": "count", "bodies": "count",
}  # fmt: skip
MEASURED: dict[str, Kind] = {**dict.fromkeys(UNITS, "number"), "watertight": "flag"}
OWN = ("id", "class")  # of every gallery


class Field(NamedTuple):
    """A field of every shape.

    Attributes:
        name: as it stands in a filter.
        kind: number, flag (true or false) or text.
        origin: measured by hifa, or from the user's metadata.
    """

    name: str
    kind: Kind
    origin: Origin

    @property
    def unit(self) -> str:
        """Return the unit of a measured field; nothing where hifa knows none."""
        return UNITS.get(self.name, "") if self.origin == "measured" else ""


@dataclass(frozen=True)
class Column:
    """The values of one field.

    Attributes:
        field: the field.
        numbers: (n,) float64, NaN where a shape has no value, flags as 0 and 1; of text (n,) int32 places in
            ``words``, −1 where a shape has none.
        words: the different texts; empty for numbers and flags.
    """

    field: Field
    numbers: NDArray[Any]
    words: Texts | Sequence[str] = ()

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return (n,) whether a shape has a value."""
        absent = self.numbers < 0 if self.field.kind == "text" else np.isnan(self.numbers)
        return np.asarray(~absent)

    def value(self, row: int) -> Value:
        """Return a shape's value, or None."""
        number = self.numbers[row]
        if self.field.kind == "text":
            return None if number < 0 else self.words[int(number)]
        if np.isnan(number):
            return None
        if self.field.kind == "flag":
            return bool(number)
        return int(number) if float(number).is_integer() and abs(number) < 1 << 53 else float(number)

    def values(self, rows: NDArray[np.int64]) -> list[Value]:
        """Return the values of some shapes."""
        return [self.value(row) for row in rows.tolist()]


def listed(column: Column, most: int) -> dict[str, Any]:
    """Return a field for people: name, kind, unit, of how many shapes it is known, and what they have.

    That is the range of a number; of a flag or a text of at most ``most`` words each value with its count.
    """
    field, known = column.field, column.known
    said: dict[str, Any] = {"name": field.name, "kind": field.kind, "unit": field.unit or None}
    said |= {"origin": field.origin, "known": int(known.sum())}
    if not known.any():
        return said
    numbers = np.asarray(column.numbers)[known]
    if field.kind == "number":
        return {**said, "least": float(numbers.min()), "most": float(numbers.max())}
    counts = np.bincount(numbers.astype(np.int64))
    if np.count_nonzero(counts) <= most:
        words = ("false", "true") if field.kind == "flag" else column.words
        said["values"] = [[words[place], int(counts[place])] for place in np.flatnonzero(counts).tolist()]
    return said


def column_of(field: Field, values: Sequence[Value]) -> Column:
    """Return a column of plain values; None stands for no value."""
    if field.kind != "text":
        numbers = [np.nan if one is None else float(one) for one in values]
        return Column(field, np.array(numbers, dtype=np.float64))
    words = sorted({str(one) for one in values if one is not None})
    places = {word: place for place, word in enumerate(words)}
    codes = [-1 if one is None else places[str(one)] for one in values]
    return Column(field, np.array(codes, dtype=np.int32), words)


def write_columns(place: Path, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Write the fields of a generation; return what ``gallery.json`` says of them."""
    for number, column in enumerate(columns):
        np.save(place / f"field-{number}.npy", column.numbers)
        if column.field.kind == "text":
            write_texts(place, f"field-{number}-words", column.words)
    return [dict(column.field._asdict()) for column in columns]


def read_columns(place: Path, fields: Any, count: int, shown: Shown | None = None) -> dict[str, Column]:
    """Open the fields of a generation; none where a gallery of an earlier version has none.

    Args:
        place: the generation.
        fields: what ``gallery.json`` says of them; None in galleries of an earlier version.
        count: of shapes.
        shown: which of the stored rows those are; None where nothing was appended.

    Returns:
        The columns by name.

    Raises:
        ValueError: ``fields`` is not what ``write_columns`` returned.
        HifaError: a file is damaged.
    """
    found = {}
    for number, said in enumerate(fields or ()):
        field = Field(str(said["name"]), said["kind"], said["origin"])
        if field.kind not in get_args(Kind) or field.origin not in get_args(Origin):
            raise ValueError("a field of no kind")
        words = None if shown is None or field.kind != "text" else int(said["words"])
        found[field.name] = _read(place, f"field-{number}", field, count, shown, words)
    return found


def _read(
    place: Path, name: str, field: Field, count: int, shown: Shown | None, words_stored: int | None
) -> Column:
    """Open one field; ``words_stored`` counts the texts of one that was appended to."""
    if field.kind != "text":
        return Column(field, read_numbers(place, name, np.float64, (count,), shown))
    codes = read_numbers(place, name, np.int32, (count,), shown)
    most = int(codes.max(initial=-1)) + 1
    if words_stored is None:
        ends = read_array(place / f"{name}-words.npy", mapped=True)
        words = read_texts(place, f"{name}-words", len(ends))
    else:
        words = read_texts(place, f"{name}-words", words_stored, whole(words_stored))
    if codes.min(initial=0) < -1 or most > len(words):
        raise damaged(place / f"{name}.npy")
    return Column(field, codes, words)


def joined_columns(
    old: Mapping[str, Column], kept: NDArray[np.int64], measured: Sequence[Mapping[str, Value]],
    before: Sequence[tuple[int, bool]], table: Mapping[str, tuple[Kind, Mapping[int, Value]]],
) -> list[Column]:  # fmt: skip
    """Return the columns of the next generation: rows that stay, then those that are new.

    Args:
        old: columns of the generation before.
        kept: (k,) its rows that stay.
        measured: of each new row what was measured.
        before: of each new row the old row of the same id (−1 without one), and whether its mesh is the same.
        table: of each field of new metadata its kind, and its values by new row; the others keep theirs.

    Returns:
        Columns of as many rows as stay and are new.
    """
    columns = []
    for name, kind in MEASURED.items():
        column = old.get(name)
        stay = [None] * len(kept) if column is None else column.values(kept)
        fresh: list[Value] = []
        for facts, (row, same) in zip(measured, before, strict=True):
            again = column.value(row) if column is not None and same and not facts else None
            fresh.append(facts.get(name, again))
        values = [*stay, *fresh]
        if any(one is not None for one in values):
            columns.append(column_of(Field(name, kind, "measured"), values))
    names = [name for name, column in old.items() if column.field.origin == "metadata"]
    for name in dict.fromkeys([*names, *table]):
        columns.append(_annotated(name, old.get(name), kept, before, table.get(name)))
    return [one for one in columns if one.known.any()]


def _annotated(
    name: str, old: Column | None, kept: NDArray[np.int64], before: Sequence[tuple[int, bool]],
    table: tuple[Kind, Mapping[int, Value]] | None,
) -> Column:  # fmt: skip
    """Return a field of metadata: what the shapes had, and over it what a new table says."""
    values: list[Value] = [None] * (len(kept) + len(before))
    if old is not None:
        fresh = [old.value(row) if row >= 0 else None for row, _ in before]
        values = [*old.values(kept), *fresh]
    kind = old.field.kind if old is not None else "text"
    if table is not None:
        left = [one for row, one in enumerate(values) if one is not None and row not in table[1]]
        kind = table[0] if not left or kind == table[0] else "text"
        for row, value in table[1].items():
            values[row] = value
    return column_of(Field(name, kind, "metadata"), values)
