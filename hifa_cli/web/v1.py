"""The interface for programs, without sockets: ``/v1/…``, ``/health``, ``/metrics`` and ``/openapi.json``."""

import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from hifa_cli import __version__
from hifa_cli.config import PageConfig
from hifa_cli.errors import HifaError
from hifa_cli.query.retrieve import QueryOptions
from hifa_cli.web.app import App
from hifa_cli.web.openapi import specification
from hifa_cli.web.request import parse_list, parse_search
from hifa_cli.web.shapes import facts_of, listed_shapes, mesh_of, preview_of, row_of, view_of

OPEN = ("/health", "/openapi.json")  # without a token: they say nothing of the gallery
SEARCH, LIST = "/v1/search", "/v1/shapes"
BYTES = "application/octet-stream"
_SHOWN = PageConfig()  # how large previews and pictures of views may be
NOTHING = "this address does not exist: /openapi.json lists all that do"
KINDS = "send the bytes of a picture (image/*, application/octet-stream), or multipart/form-data"
# curl --data-binary and urllib call every body a form, whatever it is
_PHOTOS = ("", BYTES, "application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True)
class Answer:
    """The answer to a request.

    Attributes:
        body: of a document.
        kind: its content type.
        file: what is sent in its place.
    """

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


def is_photo(kind: str) -> bool:
    """Return whether a body of a content type may be a photo or a form of photos."""
    name = kind.partition(";")[0].strip().lower()
    return name in _PHOTOS or name.startswith("image/")


@dataclass(frozen=True)
class Asked:
    """A request, as its route needs it.

    Attributes:
        app: the gallery.
        counts: for ``/metrics``.
        options: the query string.
        names: what stands in the path for ``{id}`` and ``{view}``, percent-encoded.
        kind: content type of the body.
        body: a photo's bytes, a form, or nothing where shapes or words are the query.
    """

    app: App
    counts: Counts
    options: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    body: bytes = b""

    @property
    def shape(self) -> str:
        """Return the id of the shape."""
        return unquote(self.names["id"], errors="surrogateescape")


def _health(asked: Asked) -> Answer:
    return _document({"status": "ok", "version": __version__})


def _description(asked: Asked) -> Answer:
    return _document(specification(asked.app.config))


def _metrics(asked: Asked) -> Answer:
    kind = "text/plain; version=0.0.4; charset=utf-8"
    return Answer(asked.counts.text(asked.app).encode(), kind)


def _gallery(asked: Asked) -> Answer:
    asked.app.current()
    return _document(asked.app.about())


def _shapes(asked: Asked) -> Answer:
    wanted, offset = parse_list(asked.options)
    _check_top(asked.app, wanted)
    return _document(listed_shapes(asked.app.current(), wanted, offset))


def _shape(asked: Asked) -> Answer:
    opened = asked.app.current()
    row = row_of(opened, asked.shape)
    own = f"{LIST}/{quote(asked.shape, safe='', errors='surrogateescape')}"
    mesh = f"{own}/mesh" if opened.source(row) is not None else None
    picture = f"{own}/thumbnail" if opened.thumbnail(row) is not None else None
    return _document({**facts_of(opened, row), "mesh": mesh, "thumbnail": picture})


def _mesh(asked: Asked) -> Answer:
    return Answer(file=mesh_of(asked.app.current(), asked.shape), kind=BYTES)


def _thumbnail(asked: Asked) -> Answer:
    opened = asked.app.current()
    picture = opened.thumbnail(row_of(opened, asked.shape))
    if picture is None:
        raise HifaError(f"the gallery has no picture of '{asked.shape}'")
    return Answer(picture.read_bytes(), "image/png")


def _preview(asked: Asked) -> Answer:
    return Answer(preview_of(asked.app.current(), asked.shape, _SHOWN.faces), BYTES)


def _view(asked: Asked) -> Answer:
    number = asked.names["view"]
    if not (number.isascii() and number.isdigit() and len(number) < 5):
        raise HifaError(f"a view is a number from 0 to 9999, not '{number[:20]}'")
    picture = view_of(asked.app.current(), asked.shape, int(number), _SHOWN.thumbnail)
    return Answer(picture, "image/jpeg")


def search(asked: Asked) -> Answer:
    """Answer as ``hifa query --json`` does.

    Raises:
        HifaError: an option is wrong, or no photo can be used.
    """
    photos, wanted, pictures = parse_search(asked.options, asked.kind, asked.body)
    if not asked.body:  # shapes or words are the query
        photos = []
    _check_top(asked.app, wanted)
    return _document(asked.app.search(photos, wanted, pictures=pictures))


QUICK = {"/health": _health, "/openapi.json": _description, "/metrics": _metrics}  # they wait for nothing
LISTS = {"/v1/gallery": _gallery, LIST: _shapes}
OF_SHAPE = {  # what cannot be had of a shape is not there: 404
    f"{LIST}/{{id}}": _shape,
    f"{LIST}/{{id}}/mesh": _mesh,
    f"{LIST}/{{id}}/thumbnail": _thumbnail,
    f"{LIST}/{{id}}/preview": _preview,
    f"{LIST}/{{id}}/views/{{view}}": _view,
}


def _check_top(app: App, wanted: QueryOptions) -> None:
    if wanted.top > app.config.most:
        raise HifaError(f"top is {wanted.top}: ask for at most {app.config.most} shapes")


def _document(document: Any) -> Answer:
    return Answer(json.dumps(document).encode())
