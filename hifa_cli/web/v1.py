"""The interface for programs, without sockets: ``/v1/…``, ``/health``, ``/metrics`` and ``/openapi.json``."""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from hifa_cli import __version__
from hifa_cli.errors import HifaError
from hifa_cli.web.app import App
from hifa_cli.web.openapi import specification
from hifa_cli.web.request import parse_search
from hifa_cli.web.shapes import facts_of, mesh_of, row_of

OPEN = ("/health", "/openapi.json")  # without a token: they say nothing of the gallery
SEARCH, SHAPES = "/v1/search", "/v1/shapes/"
READ = ("GET", "HEAD")
NOTHING = "this address does not exist: /openapi.json lists all that do"
KINDS = "send the bytes of a picture (image/*, application/octet-stream), or multipart/form-data"
# curl --data-binary and urllib call every body a form, whatever it is
_PHOTOS = ("", "application/octet-stream", "application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True)
class Answer:
    """The answer to a request.

    Attributes:
        status: of HTTP.
        body: of a document.
        kind: its content type.
        file: what is sent in its place.
    """

    status: HTTPStatus
    body: bytes = b""
    kind: str = "application/json"
    file: Path | None = None


@dataclass
class Counts:
    """Numbers of what was answered, for ``/metrics``; any thread may add to them."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    searches: int = 0
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, route: str, status: int, seconds: float) -> None:
        """Count an answer.

        Args:
            route: of the request.
            status: of the answer.
            seconds: that it took.
        """
        with self._lock:
            self.answers[route, status] += 1
            if route == SEARCH and status == HTTPStatus.OK:
                self.searches += 1
                self.seconds += seconds

    def text(self, app: App) -> str:
        """Return the numbers in Prometheus' text format 0.0.4."""
        with self._lock:
            answers, searches, seconds = sorted(self.answers.items()), self.searches, self.seconds
        lines = ["# HELP hifa_requests_total Requests answered.", "# TYPE hifa_requests_total counter"]
        lines += [
            f'hifa_requests_total{{route="{route}",status="{status}"}} {count}'
            for (route, status), count in answers
        ]
        lines += [
            "# HELP hifa_search_seconds Time of the searches that were answered, with waiting.",
            "# TYPE hifa_search_seconds summary",
            f"hifa_search_seconds_sum {seconds:.6f}",
            f"hifa_search_seconds_count {searches}",
            "# HELP hifa_gallery_shapes Shapes of the gallery that is open.",
            "# TYPE hifa_gallery_shapes gauge",
            f"hifa_gallery_shapes {len(app.gallery)}",
        ]
        return "\n".join(lines) + "\n"


def is_mine(path: str) -> bool:
    """Return whether a path belongs to this interface."""
    return path in (*OPEN, "/metrics") or path.startswith("/v1/")


def route_of(path: str) -> str:
    """Return the route of a path, so that ids make no new numbers."""
    if not path.startswith(SHAPES):
        return path if path in (*OPEN, "/metrics", SEARCH) else "other"
    end = path.rsplit("/", 1)[1]
    return f"{SHAPES}{{id}}" + (f"/{end}" if end in ("mesh", "thumbnail") else "")


def allowed(path: str) -> tuple[str, ...]:
    """Return the methods that an address takes; none if it does not exist."""
    if path in (*OPEN, "/metrics"):
        return READ
    parts = path.split("/")
    if path.startswith(SHAPES) and (len(parts) == 4 or parts[4:] in (["mesh"], ["thumbnail"])):
        return READ
    return ("POST",) if path == SEARCH else ()


def is_photo(kind: str) -> bool:
    """Return whether a body of a content type may be a photo or a form of photos."""
    name = kind.partition(";")[0].strip().lower()
    return name in _PHOTOS or name.startswith("image/")


def answered_get(app: App, counts: Counts, path: str) -> Answer:
    """Answer a GET request.

    Args:
        app: the gallery.
        counts: for ``/metrics``.
        path: one that is :func:`allowed`; ids stand in it percent-encoded, their slashes too.

    Returns:
        Status, type and body.

    Raises:
        HifaError: the mesh of a shape is not there.
    """
    if path == "/health":
        return _document({"status": "ok", "version": __version__})
    if path == "/openapi.json":
        return _document(specification(app.config))
    if path == "/metrics":
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Answer(HTTPStatus.OK, counts.text(app).encode(), kind)
    parts = path.split("/")
    return _of_shape(app, unquote(parts[3], errors="surrogateescape"), "".join(parts[4:]))


def _of_shape(app: App, shape: str, what: str) -> Answer:
    gallery = app.current()
    row = row_of(gallery, shape)
    thumbnail = gallery.thumbnail(row)
    if what == "thumbnail":
        if thumbnail is None:
            return refused(HTTPStatus.NOT_FOUND, f"the gallery has no picture of '{shape}'")
        return Answer(HTTPStatus.OK, thumbnail.read_bytes(), "image/png")
    if what == "mesh":
        return Answer(HTTPStatus.OK, file=mesh_of(gallery, shape), kind="application/octet-stream")
    own = f"{SHAPES}{quote(shape, safe='', errors='surrogateescape')}"
    mesh = f"{own}/mesh" if gallery.source(row) is not None else None
    return _document(
        {
            **facts_of(gallery, row),
            "mesh": mesh,
            "thumbnail": f"{own}/thumbnail" if thumbnail is not None else None,
        }
    )


def answered_search(app: App, options: str, kind: str, body: bytes) -> Answer:
    """Answer ``POST /v1/search`` as ``hifa query --json`` does.

    Args:
        app: the gallery.
        options: the query string.
        kind: content type of the body.
        body: a photo's bytes, a form, or nothing where shapes or words are the query.

    Returns:
        Status, type and body.

    Raises:
        HifaError: an option is wrong, or no photo can be used.
    """
    photos, wanted = parse_search(options, kind, body)
    if not body:  # shapes or words are the query
        photos = []
    if wanted.top > app.config.most:
        raise HifaError(f"top is {wanted.top}: ask for at most {app.config.most} shapes")
    return _document(app.search(photos, wanted))


def refused(status: HTTPStatus, message: str) -> Answer:
    """Return a refusal: an object with ``error``."""
    return Answer(status, json.dumps({"error": message}).encode())


def _document(document: Any) -> Answer:
    return Answer(HTTPStatus.OK, json.dumps(document).encode())


def now() -> float:
    """Return seconds of a clock that only goes forward."""
    return time.monotonic()
