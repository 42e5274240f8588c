"""The embeddings file, schema 1: what every stage after the network reads. The only room with h5py.

Columns, not a group an item: writing 10,500 × 256 takes 0.03 s instead of 4.6 s. Anyone may write such
a file, so reading trusts nothing in it: neither lengths nor types nor links.
"""

import errno
import json
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.runtime.atomic import written_file
from hifa_cli.runtime.kinds import refuse_other

SCHEMA = 1
PARQUET = ".parquet"
GROUPS = ("images", "shapes")
_MOST_CLASSES = 1_000_000  # where a file names none and they are made up from its labels
_MOST_EXPANSION = 1_100  # deflate cannot pack tighter than 1 : 1,032
_FREE = 1 << 26  # bytes that may be read without such a question
_HEAP = b"GCOL\1\0\0\0"  # how HDF5 begins a heap of strings; its size follows
_ROOM = 1 << 20  # bytes of an export besides its columns
_REMEDY = "write it with 'hifa export', or see 'Embeddings' in docs/metrics.md"


@dataclass(frozen=True, repr=False)
class Embeddings:
    """The vectors of one domain: ids (n), labels (n,) int64 with −1 for unknown, vectors (n, D) float32."""

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        """Return how many items."""
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Embeddings({len(self)} × {self.vectors.shape[1] if self.vectors.ndim == 2 else 0})"


@dataclass(frozen=True, repr=False)
class Export:
    """Embeddings of one or both domains, and what made them."""

    images: Embeddings | None
    shapes: Embeddings | None
    classes: tuple[str, ...]
    hifa_version: str = ""
    method: str = ""
    model: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{len(part)} {name}" for name in GROUPS if (part := getattr(self, name)) is not None
        )
        made = f", model {self.model[:12]}" if self.model else ""
        return f"Export({counts or 'nothing'}, {len(self.classes)} classes{made})"

    def relabelled(self, classes: Sequence[str]) -> "Export":
        """Return the same vectors, labelled by another list of classes; −1 where theirs is absent from it."""
        index = {name: label for label, name in enumerate(classes)}
        new = np.array(
            [index.get(name, -1) for name in self.classes] + [-1], dtype=np.int64
        )  # -1 picks the last
        parts = {
            name: replace(part, labels=new[part.labels])
            for name in GROUPS
            if (part := getattr(self, name)) is not None
        }
        return replace(self, classes=tuple(classes), **parts)


def write_export(path: Path, export: Export) -> None:
    """Write an export; the file appears whole or not at all.

    Args:
        path: its ending says the format: ``.parquet``, else HDF5.
        export: what to write.

    Raises:
        HifaError: the place cannot be written to.
        ValueError: columns of unequal length or width, or values that are not finite.
    """
    domains = [(name, part) for name in GROUPS if (part := getattr(export, name)) is not None]
    for name, part in domains:
        _check_written(name, part, len(export.classes))
    if len({part.vectors.shape[1] for _, part in domains}) > 1:
        raise ValueError("images and shapes have vectors of different width")
    if _is_parquet(path):
        from hifa_cli.embeddings.parquet import write_parquet

        return write_parquet(Path(path), export)
    with written_file(Path(path)) as temporary, _new(temporary, domains) as file:
        file.attrs["schema"] = SCHEMA
        file.attrs.create("classes", list(export.classes), (len(export.classes),), h5py.string_dtype())
        for name in ("hifa_version", "method", "model"):
            file.attrs[name] = getattr(export, name)
        _write_config(file, json.dumps(export.config, ensure_ascii=False), len(export.classes))
        for name, part in domains:
            group = file.create_group(name)
            group.create_dataset("ids", data=list(part.ids), shape=(len(part),), dtype=h5py.string_dtype())
            group.create_dataset("labels", data=part.labels, dtype=np.int64)
            group.create_dataset("vectors", data=part.vectors, dtype=np.float32)


def _new(path: Path, domains: Sequence[tuple[str, Embeddings]]) -> Any:
    """A new HDF5 file, where there is room: a disk that fills while it is written crashes the library."""
    size = sum(part.vectors.nbytes + 8 * len(part) for _, part in domains)
    size += sum(len(name.encode()) + 32 for _, part in domains for name in part.ids)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size + _ROOM)
    # libver v108: attributes above 64 KB (thousands of class names) do not fit the oldest layout
    return h5py.File(path, "w", libver=("v108", "v108"))


def _write_config(file: Any, config: str, classes: int) -> None:
    """Write the configuration; of fixed length where a long one among many names would look like a bomb."""
    apart = classes * len(config) > _FREE
    file.attrs["config"] = np.bytes_(config.encode("utf-8")) if apart else config


def _check_written(name: str, part: Embeddings, classes: int) -> None:
    n = len(part.ids)
    if part.vectors.ndim != 2 or part.vectors.shape[0] != n or part.labels.shape != (n,):
        raise ValueError(f"{name}: {n} ids, labels {part.labels.shape}, vectors {part.vectors.shape}")
    if not np.isfinite(part.vectors).all():
        raise ValueError(f"{name}: vectors that are not finite")
    if n and not -1 <= part.labels.min() <= part.labels.max() < classes:
        raise ValueError(f"{name}: labels outside -1 … {classes - 1}")


def read_export(path: Path) -> Export:
    """Read and check an export, whoever wrote it.

    Vectors of other float widths become float32; ``hifa_version``, ``method``, ``model`` and
    ``config`` may be missing; where ``classes`` is, the labels become the names.

    Raises:
        HifaError: no file exists, it is not HDF5, of another schema, or anything in it is not as the
            schema says; the message names the column.
    """
    path = Path(path)
    if _is_parquet(path):
        from hifa_cli.embeddings.parquet import read_parquet

        return read_parquet(path)
    with _opened(path) as file:
        return _export(file, path)


def _is_parquet(path: Path) -> bool:
    return Path(path).suffix.lower() == PARQUET


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, open; whatever a broken one makes h5py stumble over becomes a HifaError."""
    if not path.is_file():
        refuse_other(path, "an export", wanted="an export")
        raise HifaError(f"no embeddings file at {path}: make one with 'hifa export'")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except HifaError:
        raise
    except MemoryError as error:
        raise HifaError(f"{path} does not fit into memory: export fewer items to a file") from error
    except PermissionError as error:
        raise HifaError(f"{path} may not be read: {os.strerror(error.errno or errno.EACCES)}") from error
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        kind = "is a broken HDF5 file" if h5py.is_hdf5(path) else "is not an HDF5 file"
        raise HifaError(f"{path} {kind}: {_REMEDY}") from error


def _export(file: Any, path: Path) -> Export:
    _check_schema(file, path)
    found = {name: _embeddings(file, name, path) for name in GROUPS if name in file}
    if not found:
        raise HifaError(f"{path} has neither /images nor /shapes: {_REMEDY}")
    widths = {part.vectors.shape[1] for part in found.values()}
    if len(widths) > 1:
        raise HifaError(
            f"{path}: /images and /shapes have vectors of different width: export both by one model"
        )
    text = {name: _text_attribute(file, name) for name in ("hifa_version", "method", "model")}
    return Export(
        images=found.get("images"),
        shapes=found.get("shapes"),
        classes=_classes(file, found, path),
        config=_config(file, path),
        **text,
    )


def _check_schema(file: Any, path: Path) -> None:
    if "schema" not in file.attrs:
        raise HifaError(f"{path} is not an embeddings file of hifa (no attribute 'schema'): {_REMEDY}")
    _check_attribute(file, "schema", path)
    schema = np.asarray(file.attrs["schema"])
    if schema.size != 1 or schema.dtype.kind not in "iu" or int(schema.reshape(())) != SCHEMA:
        raise HifaError(
            f"{path} has schema {str(file.attrs['schema'])[:20]}, this hifa reads {SCHEMA}: {_REMEDY}"
        )


def _embeddings(file: Any, name: str, path: Path) -> Embeddings:
    columns = _columns(file, name, path)
    place = f"{path}: /{name}"
    return Embeddings(
        ids=_ids(columns["ids"], f"{place}/ids"),
        labels=_labels(columns["labels"], place),
        vectors=_vectors(columns["vectors"], place),
    )


def _columns(file: Any, name: str, path: Path) -> dict[str, Any]:
    """Return the columns of a domain, checked but for what they hold."""
    group = _linked(file, name, h5py.Group, path)
    columns = {key: _linked(group, key, h5py.Dataset, path) for key in ("ids", "labels", "vectors")}
    _check_columns(columns, f"{path}: /{name}")
    return columns


def _linked(parent: Any, key: str, kind: type, path: Path) -> Any:
    """Return the member itself: a link into another file could read anything on this machine."""
    where = f"{parent.name.rstrip('/')}/{key}"
    link = parent.get(key, getlink=True)
    if link is None:
        raise HifaError(f"{path} has no {where}: {_REMEDY}")
    if not isinstance(link, h5py.HardLink) or not isinstance(member := parent[key], kind):
        raise HifaError(f"{path}: {where} must be a {kind.__name__.lower()} of the file itself: {_REMEDY}")
    return member


def _check_columns(columns: dict[str, Any], place: str) -> None:
    """Types, lengths and sizes, before anything is read."""
    ids, labels, vectors = columns["ids"], columns["labels"], columns["vectors"]
    for key, column in columns.items():
        if column.external or column.is_virtual:
            raise HifaError(f"{place}/{key} keeps its data in another file: copy them into this one")
        if column.shape is None or len(column.shape) != (2 if key == "vectors" else 1):
            raise HifaError(
                f"{place}/{key} must have {2 if key == 'vectors' else 1} dimension(s), has {column.shape}"
            )
    if h5py.check_string_dtype(ids.dtype) is None:
        raise HifaError(f"{place}/ids must be UTF-8 strings, are {ids.dtype}")
    if labels.dtype.kind not in "iu":
        raise HifaError(f"{place}/labels must be integers (int64), are {labels.dtype}")
    if vectors.dtype.kind != "f":
        raise HifaError(f"{place}/vectors must be floats (float32), are {vectors.dtype}")
    lengths = {key: column.shape[0] for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{count} {key}" for key, count in lengths.items())
        raise HifaError(f"{place} has columns of different length: {said}")
    if vectors.shape[1] < 1:
        raise HifaError(f"{place}/vectors have no dimension: shape {vectors.shape}")
    _check_size(columns, place)


def _check_size(columns: dict[str, Any], place: str) -> None:
    """A file of a few bytes can claim any shape; what it claims must be what it could hold."""
    stored = Path(columns["ids"].file.filename).stat().st_size
    for key, column in columns.items():
        size = int(np.prod([int(n) for n in column.shape], dtype=object)) * column.dtype.itemsize
        if size > max(_FREE, _MOST_EXPANSION * stored):
            raise HifaError(
                f"{place}/{key} claims shape {column.shape}, {size / 2**30:.0f} GiB, in a file of "
                f"{stored / 2**20:.1f} MiB: it is broken"
            )


def _ids(column: Any, place: str) -> tuple[str, ...]:
    """Return a column of strings, in blocks that the memory holds even where all name one long text again."""
    if column.dtype.kind != "O":
        return _strings(column[()], place)
    longest = max(_heaps(Path(column.file.filename)), default=0)
    found: list[str] = []
    size, most = 0, max(_FREE, Path(column.file.filename).stat().st_size)
    step = max(1, _FREE // max(longest, 1))
    for start in range(0, column.shape[0], step):
        found += _strings(column[start : start + step], place)
        size += sum(map(len, found[start:]))
        if size > most:
            raise HifaError(
                f"{place} holds more text than the file: its entries name one text again and again"
            )
    return tuple(found)


def _check_attribute(file: Any, name: str, path: Path) -> None:
    """Refuse a list of texts that could be larger than what the file holds; attributes are read at once."""
    shape = file.attrs.get_id(name).shape
    count = int(np.prod(shape, dtype=object)) if shape else 1
    most = max(_FREE, 4 * path.stat().st_size) // max(count, 1)
    if max(_heaps(path), default=0) > most and max(_texts(path), default=0) > most:
        raise HifaError(f"{path}: the attribute '{name}' could hold more text than the file: it is broken")


def _heaps(path: Path) -> Iterator[int]:
    """The sizes of the file's heaps, where strings of variable length lie: none is longer than its heap."""
    for content, place in _heap_places(path):
        yield min(int.from_bytes(content[place + 8 : place + 16], "little"), len(content))


def _texts(path: Path) -> Iterator[int]:
    """The sizes of everything in the file's heaps: slower, and exact where the heaps are well-formed."""
    for content, place in _heap_places(path):
        end = place + min(int.from_bytes(content[place + 8 : place + 16], "little"), len(content) - place)
        place += 16
        while place + 16 <= end:  # number, references and 4 bytes of nothing, then the size
            size = int.from_bytes(content[place + 8 : place + 16], "little")
            if content[place : place + 2] == b"\0\0":  # the space that is left
                break
            yield min(size, len(content))
            place += 16 + size + -size % 8


def _heap_places(path: Path) -> Iterator[tuple[mmap.mmap, int]]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(_HEAP)
        while place >= 0:
            yield content, place
            place = content.find(_HEAP, place + len(_HEAP))


def _strings(raw: Any, place: str) -> tuple[str, ...]:
    """Strings of fixed or variable length, UTF-8 whatever they are tagged."""
    try:
        return tuple(one.decode("utf-8") if isinstance(one, bytes) else str(one) for one in raw)
    except UnicodeDecodeError as error:
        raise HifaError(f"{place} must be UTF-8 strings: {error.reason}") from error


def _labels(column: Any, place: str) -> NDArray[np.int64]:
    raw = column[()]
    if raw.size and (raw.min() < -1 or raw.max() > np.iinfo(np.int64).max):
        raise HifaError(f"{place}/labels must be -1 (unknown) or more, there is {raw.min()}")
    return np.ascontiguousarray(raw, dtype=np.int64)


def _vectors(column: Any, place: str, rows: Any = ()) -> NDArray[np.float32]:
    raw = column[rows]
    with np.errstate(over="ignore", under="ignore"):
        vectors: NDArray[np.float32] = np.ascontiguousarray(raw, dtype=np.float32)
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        what = "beyond float32" if np.isfinite(raw[row]).all() else "not finite"
        raise HifaError(f"{place}/vectors row {row} is {what}: the network that made it is broken")
    return vectors


def _classes(file: Any, found: dict[str, Embeddings], path: Path) -> tuple[str, ...]:
    most = max((int(part.labels.max(initial=-1)) for part in found.values()), default=-1)
    if "classes" not in file.attrs:
        if most >= _MOST_CLASSES:
            raise HifaError(
                f"{path} has the label {most} and no attribute 'classes': number the classes from 0"
            )
        return tuple(str(label) for label in range(most + 1))
    _check_attribute(file, "classes", path)
    raw = file.attrs["classes"]
    if isinstance(raw, str | bytes):
        raw = [raw]
    if isinstance(raw, h5py.Empty) or np.asarray(raw).size == 0:
        raw = []
    if np.asarray(raw).ndim != 1 or not all(isinstance(one, str | bytes) for one in raw):
        raise HifaError(f"{path}: the attribute 'classes' must be a list of UTF-8 strings")
    classes = _strings(raw, f"{path}: the attribute 'classes'")
    if most >= len(classes):
        raise HifaError(f"{path} has the label {most} but {len(classes)} classes: index = label, from 0")
    return classes


def _text_attribute(file: Any, name: str) -> str:
    if name in file.attrs:
        _check_attribute(file, name, Path(file.filename))
    value = file.attrs.get(name, "")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _config(file: Any, path: Path) -> dict[str, Any]:
    if not (text := _text_attribute(file, "config").strip()):
        return {}
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HifaError(
            f"{path}: the attribute 'config' is not JSON; leave it out or write an object"
        ) from error
    if not isinstance(config, dict):
        raise HifaError(f"{path}: the attribute 'config' is not a JSON object; leave it out or write one")
    return config


@dataclass(frozen=True)
class Header:
    """Everything of an export's shapes but their vectors, and what made them."""

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    width: int
    classes: tuple[str, ...]
    method: str
    model: str
    config: dict[str, Any]

    def __len__(self) -> int:
        """Return how many shapes."""
        return len(self.ids)


def read_shapes_heading(path: Path) -> Header:
    """Return what an export's shapes are; their vectors stay on disk, however many there are.

    Raises:
        HifaError: as ``read_export``, or the export has no shapes.
    """
    if _is_parquet(path):
        from hifa_cli.embeddings.parquet import parquet_heading

        return parquet_heading(path)
    with _opened(path) as file:
        _check_schema(file, path)
        if "shapes" not in file:
            raise HifaError(f"{path} has no shapes to index: export some with --shapes VIEWS")
        columns = _columns(file, "shapes", path)
        place = f"{path}: /shapes"
        ids, labels = _ids(columns["ids"], f"{place}/ids"), _labels(columns["labels"], place)
        width = int(columns["vectors"].shape[1])
        known = Embeddings(ids, labels, np.empty((0, width), dtype=np.float32))
        return Header(
            ids, labels, width, _classes(file, {"shapes": known}, path),
            _text_attribute(file, "method"), _text_attribute(file, "model"), _config(file, path),
        )  # fmt: skip


def shape_blocks(path: Path, size: int) -> Iterator[NDArray[np.float32]]:
    """Yield an export's shape vectors in order, ``size`` rows at a time.

    Raises:
        HifaError: as ``read_export``.
    """
    if _is_parquet(path):
        from hifa_cli.embeddings.parquet import parquet_blocks

        yield from parquet_blocks(path, size)
        return
    with _opened(path) as file:
        column = _columns(file, "shapes", path)["vectors"]
        for start in range(0, column.shape[0], size):
            yield _vectors(column, f"{path}: /shapes", slice(start, start + size))


def sample_images(path: Path, count: int) -> NDArray[np.float32] | None:
    """Return up to ``count`` photo vectors of an export, spread over all; None if it has no photos.

    Raises:
        HifaError: as ``read_export``.
    """
    if _is_parquet(path):
        photos = read_export(path).images
        if photos is None:
            return None
        rows = np.linspace(0, len(photos) - 1, min(count, len(photos))).astype(np.int64)
        return photos.vectors[np.unique(rows)]
    with _opened(path) as file:
        if "images" not in file:
            return None
        column = _columns(file, "images", path)["vectors"]
        rows = np.unique(np.linspace(0, column.shape[0] - 1, min(count, column.shape[0])).astype(np.int64))
        return _vectors(column, f"{path}: /images", rows) if len(rows) else None
