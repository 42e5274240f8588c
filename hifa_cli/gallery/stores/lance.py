"""LanceDB behind a gallery: a table a shelf, in a folder or in object storage."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.gallery.stores.base import (
    Asked,
    Block,
    Found,
    Kind,
    Rows,
    Shelf,
    Size,
    Store,
    StoreError,
    reached,
)

_ERRORS = (ValueError, RuntimeError, OSError, KeyError)  # all that LanceDB raises, and Arrow's own errors
_FIXED = ("row", "id", "class", "path", "vector", "views")
_COLUMN = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def open_lance(address: str, place: str) -> "LanceStore":
    """Return the database at a folder or in object storage, there or not.

    Raises:
        StoreError: LanceDB is not installed, or the place cannot be opened.
    """
    try:
        import lancedb
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("lancedb", "pyarrow"):
            raise
        raise StoreError("--store lance:PATH needs LanceDB: pip install 'hifa-cli[lance]'") from error
    with reached(address, _ERRORS):
        return LanceStore(address, lancedb.connect(place))


def column_names(fields: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the column of each field: its own name where that is a word, else ``field_`` and its number."""
    names: dict[str, str] = {}
    for number, said in enumerate(fields):
        name = str(said["name"])
        plain = _COLUMN.fullmatch(name) and name not in _FIXED and not name.startswith("field_")
        names[name] = name if plain else f"field_{number}"
    return names


class LanceStore(Store):
    """A LanceDB database.

    Args:
        address: as the user gave it.
        database: of LanceDB.
    """

    def __init__(self, address: str, database: Any) -> None:
        self.address, self._database = address, database

    def shelves(self) -> list[str]:
        """Return the names of all tables."""
        names: list[str] = []
        token = None
        with reached(self.address, _ERRORS):
            while True:
                page = self._database.list_tables(page_token=token)
                names += page.tables
                token = page.page_token
                if not token:
                    return names

    def create(
        self, name: str, size: Size, blocks: Iterator[Block], fields: Sequence[dict[str, Any]]
    ) -> Shelf:
        """Write a table: whole, or not at all.

        Args:
            name: that no shelf has.
            size: of a shape's numbers.
            blocks: its rows from 0.
            fields: what ``gallery.json`` says of the fields.

        Returns:
            The shelf.
        """
        import pyarrow

        schema = _schema(size, fields)
        batches = pyarrow.RecordBatchReader.from_batches(schema, (_batch(one, schema) for one in blocks))
        with reached(self.address, _ERRORS):
            return LanceShelf(self.address, self._database.create_table(name, data=batches, schema=schema))

    def open(self, name: str) -> Shelf:
        """Return a table that is there."""
        with reached(self.address, _ERRORS):
            return LanceShelf(self.address, self._database.open_table(name))

    def drop(self, name: str) -> None:
        """Remove a table."""
        with reached(self.address, _ERRORS):
            self._database.drop_table(name)


class LanceShelf(Shelf):
    """A table: columns ``row``, ``id``, ``class``, ``path``, ``vector``, ``views``, and one a field.

    Args:
        address: of the store.
        table: of LanceDB.

    Raises:
        StoreError: it is not such a table.
    """

    def __init__(self, address: str, table: Any) -> None:
        self._address, self._table, self.name = address, table, str(table.name)
        with reached(address, _ERRORS):
            self._schema = table.schema
        said = self._schema.metadata or {}
        try:
            self.size = Size(int(said[b"views"]), int(said[b"width"]))
            self._fields = _fields(self._schema)
            self._columns = [name for name in self._schema.names if name not in _FIXED]
        except (KeyError, ValueError) as error:
            raise StoreError(f"{address}: the table {self.name} is not a gallery's") from error

    def count(self) -> int:
        """Return how many rows there are."""
        with reached(self._address, _ERRORS):
            return int(self._table.count_rows())

    def append(self, blocks: Iterator[Block]) -> None:
        """Write rows, all of them or none."""
        import pyarrow

        first = next(blocks, None)
        if first is None:
            return
        rest = (_batch(one, self._schema) for one in blocks)
        parts = (one for some in ((_batch(first, self._schema),), rest) for one in some)
        with reached(self._address, _ERRORS):
            if self._table.count_rows() > first.first:
                self._table.delete(f"row >= {first.first}")
            self._table.add(pyarrow.RecordBatchReader.from_batches(self._schema, parts))

    def some(self, kind: Kind, rows: Rows) -> NDArray[Any]:
        """Return the numbers of some different rows, ascending."""
        views, width = self.size
        numbers = self._taken(rows, ["vector" if kind == "vectors" else "views"]).column(1)
        flat = numbers.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        if kind == "vectors":
            return np.asarray(flat, dtype=np.float32).reshape(len(rows), width)
        return np.asarray(flat, dtype=np.float16).reshape(len(rows), views, width)

    def payload(self, rows: Rows) -> list[dict[str, Any]]:
        """Return what is known of some different rows, ascending."""
        found = self._taken(rows, ["id", "class", "path", *self._columns]).to_pylist()
        return [
            {**{name: one[name] for name in ("id", "class", "path")}, "fields": self._known(one)}
            for one in found
        ]

    def _known(self, row: dict[str, Any]) -> dict[str, Any]:
        pairs = zip(self._fields, self._columns, strict=True)
        return {name: row[column] for name, column in pairs if row[column] is not None}

    def _taken(self, rows: Rows, columns: list[str]) -> Any:
        """Return a table of some rows, whose first column is their numbers."""
        with reached(self._address, _ERRORS):
            found = self._table.take_offsets(rows.tolist()).select(["row", *columns]).to_arrow()
            numbers = found.column("row").to_numpy()
            if len(numbers) == len(rows):
                order = np.argsort(numbers, kind="stable")
                if np.array_equal(numbers[order], rows):
                    return found if (np.diff(numbers) > 0).all() else found.take(order)
        raise StoreError(
            f"the store {self._address} lacks rows of {self.name}: bring them back, or build the gallery "
            "again"
        )

    def nearest(self, queries: NDArray[np.float32], top: int, asked: Asked) -> Found:
        """Return the rows of largest inner product, without any index of LanceDB's.

        Args:
            queries: (q, D).
            top: how many at most.
            asked: among which rows; at most ``AT_ONCE`` are named in ``within``.

        Returns:
            Scores and rows, best first.
        """
        condition = _condition(asked)
        scores = np.full((len(queries), top), -np.inf, dtype=np.float32)
        rows = np.full((len(queries), top), -1, dtype=np.int64)
        for number, query in enumerate(queries):
            with reached(self._address, _ERRORS):
                found = (
                    self._table.search(np.asarray(query, dtype=np.float32), vector_column_name="vector")
                    .distance_type("dot")
                    .bypass_vector_index()
                    .where(condition, prefilter=True)
                    .select(["row", "_distance"])
                    .limit(top)
                    .to_arrow()
                )
                mine = found.column("row").to_numpy()
                scores[number, : len(mine)] = 1 - found.column("_distance").to_numpy()
                rows[number, : len(mine)] = mine
        return Found(scores, rows)


def _condition(asked: Asked) -> str:
    parts = [f"row < {asked.stored}"]
    if asked.within is not None:
        parts.append(
            f"row IN ({', '.join(map(str, asked.within.tolist()))})" if len(asked.within) else "false"
        )
    if asked.without is not None and len(asked.without):
        parts.append(f"row NOT IN ({', '.join(map(str, asked.without.tolist()))})")
    return " AND ".join(parts)


def _schema(size: Size, fields: Sequence[dict[str, Any]]) -> Any:
    """Return the schema of a table; which field has which column is in the order of the fields."""
    import pyarrow

    kinds = {"number": pyarrow.float64(), "flag": pyarrow.bool_(), "text": pyarrow.string()}
    columns = [
        pyarrow.field("row", pyarrow.int64()),
        *(pyarrow.field(name, pyarrow.string()) for name in ("id", "class", "path")),
        pyarrow.field("vector", pyarrow.list_(pyarrow.float32(), size.width)),
    ]
    if size.views:
        columns.append(pyarrow.field("views", pyarrow.list_(pyarrow.float16(), size.views * size.width)))
    names = column_names(fields)
    columns += [pyarrow.field(names[str(one["name"])], kinds[one["kind"]]) for one in fields]
    said = {"views": str(size.views), "width": str(size.width), "fields": json.dumps(list(names))}
    return pyarrow.schema(columns, metadata=said)


def _fields(schema: Any) -> list[str]:
    """Return the names of the fields, in the order of their columns."""
    return [str(name) for name in json.loads(schema.metadata[b"fields"])]


def _batch(block: Block, schema: Any) -> Any:
    """Return rows as Arrow has them."""
    import pyarrow

    count = len(block.vectors)
    columns = [name for name in schema.names if name not in _FIXED]
    arrays = {
        "row": pyarrow.array(np.arange(block.first, block.first + count)),
        "vector": _lists(block.vectors),
        **{name: pyarrow.array([one[name] for one in block.payload], pyarrow.string())
           for name in ("id", "class", "path")},
    }  # fmt: skip
    if block.views is not None:
        arrays["views"] = _lists(block.views)
    for name, column in zip(_fields(schema), columns, strict=True):
        values = [one["fields"].get(name) for one in block.payload]
        arrays[column] = pyarrow.array(values, schema.field(column).type)
    return pyarrow.record_batch([arrays[name] for name in schema.names], schema=schema)


def _lists(numbers: NDArray[Any]) -> Any:
    import pyarrow

    flat = np.ascontiguousarray(numbers).reshape(len(numbers), -1)
    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(flat.ravel()), flat.shape[1])
