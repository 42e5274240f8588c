"""Qdrant behind a gallery: a collection a shelf, an alias for the one in force.

A point's id is its row. Its vector is the shape's, compared by the inner product, which Qdrant stores as it
is; the vectors of its views are bytes in the payload (float16, little-endian, in base64), since they are only
ever read whole, and JSON numbers would be five times as many bytes.
"""

import base64
import math
import os
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

KEY_VARIABLE = "HIFA_QDRANT_KEY"  # HOST=KEY: a gallery of a stranger must not have it sent elsewhere
_PORT = 6333
_SENT = 8_000_000  # bytes of one request, about; Qdrant takes 32 MB
_READ = 256  # points read at once
_BITS = 8  # bytes of a number as JSON, at least
_SECONDS = 60  # until a server counts as gone


def open_qdrant(address: str, host: str, port: int | None, collection: str, *, https: bool) -> "QdrantStore":
    """Return a collection of a server.

    Args:
        address: as the user gave it.
        host: of the server.
        port: of its HTTP interface; None is Qdrant's own.
        collection: to write to, or to read.
        https: whether the server is asked over TLS.

    Returns:
        The store; nothing is asked yet.

    Raises:
        StoreError: the client is not installed.
    """
    try:
        import qdrant_client
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "qdrant_client":
            raise
        raise StoreError(
            "--store qdrant://… needs Qdrant's client: pip install 'hifa-cli[qdrant]'"
        ) from error
    named, _, key = os.environ.get(KEY_VARIABLE, "").partition("=")
    client = qdrant_client.QdrantClient(
        host=host, port=port or _PORT, https=https, api_key=key if key and named == host else None,
        timeout=_SECONDS, check_compatibility=False,
    )  # fmt: skip
    return QdrantStore(address, client, collection)


def _errors() -> tuple[type[BaseException], ...]:
    """Return what the client raises; ValueError is its embedded mode's."""
    from qdrant_client.http.exceptions import ApiException
    from qdrant_client.http.exceptions import UnexpectedResponse as Unexpected

    return ApiException, Unexpected, ValueError, OSError


class QdrantStore(Store):
    """A collection's name on a server: the shelves are collections of that name with an ending.

    Args:
        address: as the user gave it.
        client: of Qdrant.
        collection: the name.
    """

    def __init__(self, address: str, client: Any, collection: str) -> None:
        self.address, self._client, self._collection = address, client, collection
        self._errors = _errors()

    def _of(self, name: str) -> str:
        return f"{self._collection}.{name}"

    def shelves(self) -> list[str]:
        """Return the names of all collections that are shelves.

        Raises:
            StoreError: the name is that of a collection which is not a gallery's.
        """
        with reached(self.address, self._errors):
            names = [one.name for one in self._client.get_collections().collections]
        if self._collection in names:
            raise StoreError(
                f"{self.address} is a collection that no gallery has made: give another name behind the host"
            )
        start = f"{self._collection}."
        return [name[len(start) :] for name in names if name.startswith(start)]

    def create(
        self, name: str, size: Size, blocks: Iterator[Block], fields: Sequence[dict[str, Any]]
    ) -> Shelf:
        """Write a collection.

        Args:
            name: that no shelf has.
            size: of a shape's numbers.
            blocks: its rows from 0.
            fields: what ``gallery.json`` says of the fields.

        Returns:
            The shelf.
        """
        from qdrant_client import models

        vectors = models.VectorParams(size=size.width, distance=models.Distance.DOT, on_disk=True)
        with reached(self.address, self._errors):
            self._client.create_collection(self._of(name), vectors_config=vectors, on_disk_payload=True)
            self._client.create_payload_index(self._of(name), "row", models.PayloadSchemaType.INTEGER)
        shelf = QdrantShelf(self.address, self._client, name, self._of(name), size)
        shelf.append(blocks)
        return shelf

    def open(self, name: str) -> Shelf:
        """Return a collection that is there."""
        with reached(self.address, self._errors):
            found = self._client.get_collection(self._of(name)).config.params.vectors
            first = self._client.retrieve(self._of(name), [0], with_payload=["views_of"])
        views = int(first[0].payload.get("views_of", 0)) if first else 0
        return QdrantShelf(self.address, self._client, name, self._of(name), Size(views, int(found.size)))

    def drop(self, name: str) -> None:
        """Remove a collection."""
        with reached(self.address, self._errors):
            self._client.delete_collection(self._of(name))

    def show(self, name: str) -> None:
        """Let the collection's name be an alias of the shelf in force."""
        from qdrant_client import models

        create = models.CreateAlias(collection_name=self._of(name), alias_name=self._collection)
        changes: list[Any] = [models.CreateAliasOperation(create_alias=create)]
        with reached(self.address, self._errors):
            known = {one.alias_name: one.collection_name for one in self._client.get_aliases().aliases}
            if known.get(self._collection) == self._of(name):
                return
            if self._collection in known:
                delete = models.DeleteAlias(alias_name=self._collection)
                changes.insert(0, models.DeleteAliasOperation(delete_alias=delete))
            self._client.update_collection_aliases(changes)


class QdrantShelf(Shelf):
    """A collection whose points are rows.

    Args:
        address: of the store.
        client: of Qdrant.
        name: of the shelf.
        collection: its name on the server.
        size: of a shape's numbers.
    """

    def __init__(self, address: str, client: Any, name: str, collection: str, size: Size) -> None:
        self._address, self._client, self._collection = address, client, collection
        self.name, self.size = name, size
        self._errors = _errors()

    def count(self) -> int:
        """Return how many rows there are."""
        with reached(self._address, self._errors):
            return int(self._client.count(self._collection, exact=True).count)

    def append(self, blocks: Iterator[Block]) -> None:
        """Write rows, some at a time; a row that a killed writer left is replaced."""
        views, width = self.size
        at_once = max(1, _SENT // (_BITS * width + 3 * views * width))
        for block in blocks:
            for start in range(0, len(block.vectors), at_once):
                points = [
                    _point(block, place) for place in range(start, min(start + at_once, len(block.vectors)))
                ]
                with reached(self._address, self._errors):
                    self._client.upsert(self._collection, points, wait=True)

    def some(self, kind: Kind, rows: Rows) -> NDArray[Any]:
        """Return the numbers of some different rows, ascending."""
        views, width = self.size
        if kind == "vectors":
            found = self._points(rows, with_payload=False, with_vectors=True)
            return np.array([one.vector for one in found], dtype=np.float32).reshape(len(rows), width)
        parts = [base64.b64decode(one.payload["views"]) for one in self._points(rows, with_payload=["views"])]
        if any(len(part) != 2 * views * width for part in parts):
            raise StoreError(
                f"the store {self._address} holds views of another size: build the gallery again"
            )
        numbers = np.frombuffer(b"".join(parts), dtype="<f2").astype(np.float16)
        return numbers.reshape(len(rows), views, width)

    def payload(self, rows: Rows) -> list[dict[str, Any]]:
        """Return what is known of some different rows, ascending."""
        names = ["id", "class", "path", "fields"]
        found = [one.payload for one in self._points(rows, with_payload=names)]
        return [{name: one.get(name) for name in names} for one in found]

    def _points(self, rows: Rows, **wanted: Any) -> list[Any]:
        """Return some points in the order of their rows."""
        found: list[Any] = []
        for start in range(0, len(rows), _READ):
            ids = rows[start : start + _READ].tolist()
            with reached(self._address, self._errors):
                part = self._client.retrieve(self._collection, ids, **wanted)
            found += sorted(part, key=lambda one: int(one.id))
        if [int(one.id) for one in found] != rows.tolist():
            raise StoreError(
                f"the store {self._address} lacks rows of {self.name}: bring them back, or build the gallery "
                "again"
            )
        return found

    def nearest(self, queries: NDArray[np.float32], top: int, asked: Asked) -> Found:
        """Return the rows of largest inner product, by exact search of the server's.

        Args:
            queries: (q, D).
            top: how many at most.
            asked: among which rows; at most ``AT_ONCE`` are named in ``within``.

        Returns:
            Scores and rows, best first.
        """
        from qdrant_client import models

        conditions = _conditions(asked)
        requests = [
            models.QueryRequest(
                query=query.tolist(), limit=top, filter=conditions, with_payload=False, with_vector=False,
                params=models.SearchParams(exact=True),
            )
            for query in np.asarray(queries, dtype=np.float32)
        ]  # fmt: skip
        scores = np.full((len(queries), top), -np.inf, dtype=np.float32)
        rows = np.full((len(queries), top), -1, dtype=np.int64)
        with reached(self._address, self._errors):
            answers = self._client.query_batch_points(self._collection, requests)
        for number, answer in enumerate(answers):
            for place, point in enumerate(answer.points):
                scores[number, place], rows[number, place] = point.score, point.id
        return Found(scores, rows)


def _conditions(asked: Asked) -> Any:
    from qdrant_client import models

    must: list[Any] = [models.FieldCondition(key="row", range=models.Range(lt=asked.stored))]
    if asked.within is not None:
        must.append(models.HasIdCondition(has_id=asked.within.tolist()))
    if asked.without is None or not len(asked.without):
        return models.Filter(must=must)
    return models.Filter(must=must, must_not=[models.HasIdCondition(has_id=asked.without.tolist())])


def _sendable(value: Any) -> Any:
    """Return a value that JSON has: infinite numbers as texts."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _point(block: Block, place: int) -> Any:
    from qdrant_client import models

    row = block.first + place
    said = block.payload[place]
    fields = {name: _sendable(value) for name, value in said["fields"].items()}
    payload = {"row": row, **said, "fields": fields}
    if block.views is not None:
        content = np.ascontiguousarray(block.views[place], dtype="<f2").tobytes()
        payload |= {"views": base64.b64encode(content).decode("ascii"), "views_of": len(block.views[place])}
    return models.PointStruct(id=row, vector=block.vectors[place].tolist(), payload=payload)
