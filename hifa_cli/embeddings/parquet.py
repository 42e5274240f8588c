"""Exports as Parquet: one row an item, for pandas, ``datasets`` and every data warehouse.

domain  string                    ``images`` or ``shapes``
id      string
label   int64                     −1 for unknown
class   string                    null for unknown
vector  fixed_size_list<float>    D numbers

The schema's metadata has, under ``hifa``, the JSON of what an HDF5 export has as attributes. Anyone may write
such a file: ``domain``, ``id`` and ``vector`` suffice.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.embeddings.io import GROUPS, SCHEMA, Embeddings, Export, Header
from hifa_cli.errors import HifaError
from hifa_cli.runtime.atomic import written_file

_KEY = b"hifa"
_ROWS = 16_384  # of a group: what a reader of blocks holds at once
_MOST_EXPANSION = 1_100
_FREE = 1 << 26
_REMEDY = "write it with 'hifa export', or see 'Parquet' in docs/file-formats.md"


def write_parquet(path: Path, export: Export) -> None:
    """Write a checked export; the file appears whole or not at all.

    Raises:
        HifaError: pyarrow is not installed, or the place cannot be written to.
    """
    arrow, parquet = _arrow(path)
    about = {
        "schema": SCHEMA, "classes": export.classes, "hifa_version": export.hifa_version,
        "method": export.method, "model": export.model, "config": export.config,
    }  # fmt: skip
    parts = [(name, part) for name in GROUPS if (part := getattr(export, name)) is not None]
    width = parts[0][1].vectors.shape[1]
    text = arrow.string()
    vector = arrow.list_(arrow.float32(), width)
    schema = arrow.schema(
        [("domain", text), ("id", text), ("label", arrow.int64()), ("class", text), ("vector", vector)],
        metadata={_KEY: json.dumps(about, ensure_ascii=False).encode("utf-8")},
    )
    try:
        with (
            written_file(path) as temporary,
            parquet.ParquetWriter(temporary, schema, compression="zstd") as file,
        ):
            for name, part in parts:
                for start in range(0, len(part), _ROWS):
                    rows = slice(start, start + _ROWS)
                    labels = part.labels[rows]
                    file.write_table(
                        arrow.table(
                            {
                                "domain": [name] * len(labels),
                                "id": list(part.ids[rows]),
                                "label": labels,
                                "class": [
                                    export.classes[one] if one >= 0 else None for one in labels.tolist()
                                ],
                                "vector": arrow.FixedSizeListArray.from_arrays(
                                    np.ascontiguousarray(part.vectors[rows], dtype=np.float32).ravel(), width
                                ),
                            },
                            schema=schema,
                        )
                    )
    except (OSError, arrow.ArrowException) as error:
        raise HifaError(f"cannot write {path}: {error}; make room or choose another place") from error


def read_parquet(path: Path) -> Export:
    """Read and check an export, whoever wrote it.

    Raises:
        HifaError: pyarrow is not installed, the file is damaged, or a column is not as the format says.
    """
    with _opened(path) as file:
        about = _about(file, path)
        columns = _Columns(file, path)
        parts = {name: columns.part(name) for name in GROUPS}
        found = {name: part for name, part in parts.items() if len(part)}
        if not found:
            raise HifaError(f"{path} holds neither photos nor shapes: {_REMEDY}")
        classes, labelled = _labelled(columns, about, found, path)
        texts = {name: str(about.get(name, "")) for name in ("hifa_version", "method", "model")}
        config = about.get("config", {})
        return Export(
            labelled.get("images"), labelled.get("shapes"), classes,
            config=config if isinstance(config, dict) else {}, **texts,
        )  # fmt: skip


def parquet_heading(path: Path) -> Header:
    """Return what an export's shapes are.

    Raises:
        HifaError: as :func:`read_parquet`, or the export has no shapes.
    """
    found = read_parquet(path)
    if found.shapes is None:
        raise HifaError(f"{path} has no shapes to index: export some with --shapes VIEWS")
    part = found.shapes
    return Header(
        part.ids, part.labels, part.vectors.shape[1], found.classes, found.method, found.model, found.config
    )


def parquet_blocks(path: Path, size: int) -> Iterator[NDArray[np.float32]]:
    """Yield an export's shape vectors in order, at most ``size`` rows at a time.

    Raises:
        HifaError: as :func:`read_parquet`.
    """
    with _opened(path) as file:
        left = np.zeros((0, 0), dtype=np.float32)
        for batch in file.iter_batches(min(size, _ROWS), columns=["domain", "vector"]):
            rows = np.array(batch.column("domain").to_pylist()) == "shapes"
            vectors = _vectors(batch.column("vector"), path)[rows]
            left = np.concatenate([left, vectors]) if len(left) else vectors
            while len(left) >= size:
                yield left[:size]
                left = left[size:]
        if len(left):
            yield left


class _Columns:
    """The columns of a file, each read once."""

    def __init__(self, file: Any, path: Path) -> None:
        names = set(file.schema_arrow.names)
        for name in ("domain", "id", "vector"):
            if name not in names:
                raise HifaError(f"{path} has no column '{name}': {_REMEDY}")
        self.path = path
        table = file.read(
            columns=[name for name in ("domain", "id", "label", "class", "vector") if name in names]
        )
        self.domains = np.array([str(one) for one in table.column("domain").to_pylist()])
        for name in set(self.domains.tolist()) - set(GROUPS):
            raise HifaError(f"{path}: the column 'domain' says '{name[:40]}': write images or shapes")
        ids = table.column("id").to_pylist()
        if not all(isinstance(one, str) for one in ids):
            raise HifaError(f"{path}: the column 'id' must be texts without gaps")
        self.ids = np.array(ids, dtype=object)
        self.vectors = _vectors(table.column("vector"), path)
        self.labels = self._labels(table) if "label" in names else None
        self.classes = table.column("class").to_pylist() if "class" in names else [None] * len(ids)

    def _labels(self, table: Any) -> NDArray[np.int64]:
        column = table.column("label")
        kind = column.type
        if column.null_count or not str(kind).startswith(("int", "uint")):
            raise HifaError(
                f"{self.path}: the column 'label' must be whole numbers without gaps, −1 for unknown"
            )
        found = column.to_numpy()
        if len(found) and (found.min() < -1 or found.max() > np.iinfo(np.int64).max):
            raise HifaError(f"{self.path}: the column 'label' must be −1 or more, there is {found.min()}")
        return np.ascontiguousarray(found, dtype=np.int64)

    def part(self, name: str) -> Embeddings:
        """Return one domain, whose labels are not known yet."""
        rows = np.flatnonzero(self.domains == name)
        unknown = np.full(len(rows), -1, dtype=np.int64)
        labels = unknown if self.labels is None else self.labels[rows]
        return Embeddings(tuple(self.ids[rows].tolist()), labels, self.vectors[rows])


def _labelled(
    columns: _Columns, about: dict[str, Any], found: dict[str, Embeddings], path: Path
) -> tuple[tuple[str, ...], dict[str, Embeddings]]:
    """Return the classes and the domains labelled by them: by number, or by name where numbers are absent."""
    classes = about.get("classes")
    if classes is not None and not (
        isinstance(classes, list) and all(isinstance(one, str) for one in classes)
    ):
        raise HifaError(f"{path}: 'classes' in its metadata must be a list of texts: {_REMEDY}")
    if columns.labels is None:
        names = [None if one is None else str(one) for one in columns.classes]
        classes = classes or sorted({one for one in names if one is not None})
        number = {name: label for label, name in enumerate(classes)}
        missing = next((one for one in names if one is not None and one not in number), None)
        if missing is not None:
            raise HifaError(f"{path}: the class '{missing}' is not among those of its metadata")
        labels = np.array([-1 if one is None else number[one] for one in names], dtype=np.int64)
        return tuple(classes), {
            name: replace(part, labels=labels[columns.domains == name]) for name, part in found.items()
        }
    most = max(int(part.labels.max(initial=-1)) for part in found.values())
    if classes is None:
        classes = _named(columns, most, path)
    if most >= len(classes):
        raise HifaError(f"{path} has the label {most} but {len(classes)} classes: index = label, from 0")
    return tuple(classes), found


def _named(columns: _Columns, most: int, path: Path) -> list[str]:
    """Return the names that stand beside the labels; the labels themselves where none does.

    Raises:
        HifaError: a label is beyond the number of rows.
    """
    if columns.labels is None or most >= max(len(columns.labels), 1_000):
        raise HifaError(f"{path} has the label {most} and no list of classes: number the classes from 0")
    names = [str(label) for label in range(most + 1)]
    for label, name in zip(columns.labels.tolist(), columns.classes, strict=True):
        if label >= 0 and isinstance(name, str):
            names[label] = name
    return names


def _vectors(column: Any, path: Path) -> NDArray[np.float32]:
    """Return (n, D) of a column of lists, of fixed length or not."""
    parts: Sequence[Any] = getattr(column, "chunks", [column])
    found = [_of_chunk(chunk, path) for chunk in parts if len(chunk)]
    if len({one.shape[1] for one in found}) > 1:
        raise HifaError(
            f"{path}: the column 'vector' has lists of different length: export both by one model"
        )
    vectors = np.concatenate(found) if found else np.zeros((0, 1), dtype=np.float32)
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise HifaError(f"{path}: vector {row} is not finite: the network that made it is broken")
    return vectors


def _of_chunk(chunk: Any, path: Path) -> NDArray[np.float32]:
    kind = str(chunk.type)
    if "list" not in kind or not any(one in kind for one in ("float", "double", "halffloat")):
        raise HifaError(f"{path}: the column 'vector' must be lists of floats, is {kind[:60]}")
    values = chunk.flatten()
    if chunk.null_count or values.null_count or len(values) % len(chunk) or not len(values):
        raise HifaError(f"{path}: the column 'vector' must be lists of one length without gaps")
    width = len(values) // len(chunk)
    lengths = {width} if "fixed_size" in kind else set(chunk.value_lengths().to_pylist())
    if lengths != {width}:
        raise HifaError(
            f"{path}: the column 'vector' has lists of different length: export both by one model"
        )
    with np.errstate(over="ignore", under="ignore"):
        flat: NDArray[np.float32] = np.ascontiguousarray(
            values.to_numpy(zero_copy_only=False), dtype=np.float32
        )
    return flat.reshape(-1, width)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, open; whatever a broken one makes pyarrow stumble over becomes a HifaError."""
    if not path.is_file():
        raise HifaError(f"no embeddings file at {path}: make one with 'hifa export'")
    arrow, parquet = _arrow(path)
    try:
        with parquet.ParquetFile(path) as file:
            _check_size(file, path)
            yield file
    except HifaError:
        raise
    except MemoryError as error:
        raise HifaError(f"{path} does not fit into memory: export fewer items to a file") from error
    except (arrow.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise HifaError(f"{path} is not a Parquet file that can be read: {_REMEDY}") from error


def _check_size(file: Any, path: Path) -> None:
    """Refuse a file of a few bytes that claims to hold more than it could."""
    about = file.metadata
    claimed = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
    most = max(_FREE, _MOST_EXPANSION * path.stat().st_size)
    if claimed > most or about.num_rows > most:
        raise HifaError(
            f"{path} claims {about.num_rows} rows of {claimed / 2**30:.0f} GiB in a file of "
            f"{path.stat().st_size / 2**20:.1f} MiB: it is broken"
        )


def _about(file: Any, path: Path) -> dict[str, Any]:
    raw = (file.schema_arrow.metadata or {}).get(_KEY)
    if raw is None:
        return {}
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise HifaError(
            f"{path}: its metadata 'hifa' is not JSON; leave it out or write an object"
        ) from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise HifaError(f"{path} is of another schema, this hifa reads {SCHEMA}: {_REMEDY}")
    return found


def _arrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise HifaError(f"{path} is Parquet, which needs pyarrow: pip install 'hifa-cli[parquet]'") from error
    return pyarrow, pyarrow.parquet
