"""A stand-in of Qdrant's HTTP interface: the client's embedded mode behind a port of this machine.

It answers what hifa asks, in the words of Qdrant's REST interface, so that tests go through the client's own
requests, its JSON and its errors. It is not Qdrant: how a server searches and stores is not tested by it.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import RLock, Thread
from typing import Any

from pydantic import TypeAdapter
from qdrant_client import QdrantClient, models

_NAME = r"/collections/(?P<name>[^/]+)"


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.model_dump(mode="json", exclude_none=True) if hasattr(value, "model_dump") else value


class Died(Exception):
    """Raised by a client that plays a server's death: the connection ends without an answer."""


class _Handler(BaseHTTPRequestHandler):
    server: "Server"

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        self.server.asked.append(f"{self.command} {self.path.partition('?')[0]}")
        try:
            with self.server.turn:
                found = _routed(self.server.client, self.command, self.path.partition("?")[0], body)
            status, content = 200, {"result": _plain(found), "status": "ok", "time": 0.0}
        except Died:
            return
        except (ValueError, KeyError) as error:
            status, content = 404, {"status": {"error": str(error)}, "time": 0.0}
        sent = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_PUT = do_POST = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _routed(client: QdrantClient, method: str, path: str, body: Any) -> Any:
    """Answer one request by the embedded client."""
    if (method, path) == ("GET", "/collections"):
        return client.get_collections()
    if (method, path) == ("POST", "/collections/aliases"):
        actions = TypeAdapter(list[models.AliasOperations]).validate_python(body["actions"])
        return client.update_collection_aliases(actions)
    if (method, path) == ("GET", "/aliases"):
        return client.get_aliases()
    match = re.fullmatch(_NAME + r"(?P<rest>/.*)?", path)
    if match is None:
        raise KeyError(path)
    return _of_collection(client, f"{method} {match['rest'] or ''}".strip(), match["name"], body)


def _of_collection(client: QdrantClient, what: str, name: str, body: Any) -> Any:
    if what == "PUT":
        asked = models.CreateCollection.model_validate(body)
        return client.create_collection(name, asked.vectors, on_disk_payload=asked.on_disk_payload)
    if what == "GET":
        return client.get_collection(name)
    if what == "DELETE":
        return client.delete_collection(name)
    if what == "PUT /index":
        return {"operation_id": 0, "status": "completed"}
    if what == "PUT /points":
        points = [models.PointStruct.model_validate(one) for one in body["points"]]
        return client.upsert(name, points)
    if what == "POST /points":
        wanted = models.PointRequest.model_validate(body)
        payload, vectors = wanted.with_payload or False, wanted.with_vector or False
        return client.retrieve(name, wanted.ids, with_payload=payload, with_vectors=vectors)
    if what == "POST /points/count":
        return client.count(name, exact=True)
    if what == "POST /points/query/batch":
        asked_all = models.QueryRequestBatch.model_validate(body).searches
        return client.query_batch_points(name, asked_all)
    raise KeyError(what)


class Server(ThreadingHTTPServer):
    """The stand-in.

    Args:
        client: of the embedded mode; it outlives the server, as a server's disk does.
        port: of this machine; 0 takes a free one.
    """

    daemon_threads = True

    def __init__(self, client: QdrantClient, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.client, self.turn = client, RLock()
        self.asked: list[str] = []

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        return int(self.server_address[1])


@contextmanager
def serving(client: QdrantClient, port: int = 0) -> Iterator[Server]:
    """Answer on a port until the end of the block."""
    server = Server(client, port)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
