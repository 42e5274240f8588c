"""Serve the page over HTTP with the standard library; the App does the work."""

import errno
import json
import os
import re
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from hifa_cli.config import ServeConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery.stores.base import StoreError
from hifa_cli.web import access, v1
from hifa_cli.web.app import App
from hifa_cli.web.page import login_page, served_page
from hifa_cli.web.shapes import STORE_AWAY

_CHUNK = 1 << 16
_REMEDIES = {
    errno.EADDRINUSE: "choose another --port, or 0 for a free one",
    errno.EACCES: "ports below 1024 need rights that you do not have; choose another --port",
    errno.EADDRNOTAVAIL: "this machine has no such address; give one of its own, 0.0.0.0, ::1 or 127.0.0.1",
    errno.EAFNOSUPPORT: "this machine has no IPv6; give --host 127.0.0.1",
}


_LENGTH = re.compile(r"[0-9]{1,15}")  # of a body; no other digits, and no more than a number needs


class Refused(Exception):
    """A request that is answered by a status and a line.

    Args:
        status: of HTTP.
        message: the line.
        headers: that the status asks for.
    """

    def __init__(self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


def _unauthorized() -> Refused:
    return Refused(
        HTTPStatus.UNAUTHORIZED, "the token is missing or wrong", {"WWW-Authenticate": 'Bearer realm="hifa"'}
    )


class Handler(BaseHTTPRequestHandler):
    """``GET /`` is the page; all else that it asks for is what programs ask for (:mod:`.v1`)."""

    app: App
    counts: v1.Counts
    slots: threading.BoundedSemaphore
    timeout = 60  # seconds that a silent client is kept
    default_request_version = "HTTP/1.0"  # of what names none: its answer has a head too
    protocol_version = "HTTP/1.1"  # connections are kept, and curl need not wait before it sends a photo
    disable_nagle_algorithm = True  # else each answer on a kept connection waits for the last one's receipt
    server_version, sys_version = "hifa", ""
    began = 0.0  # of the request
    left = 0  # bytes of the body that were not read
    started = False  # whether the answer's head was sent
    asked = SplitResult("", "", "", "", "")  # the address that was asked for

    def do_GET(self) -> None:
        """Answer the page or a mesh, and nothing else: no other file of this machine can be asked for."""
        self._answered()

    def do_HEAD(self) -> None:
        """Answer as to GET, without the body."""
        self._answered()

    def do_POST(self) -> None:
        """Answer photos."""
        self._answered()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is not HTTP, and methods that no address has, as everything else is refused.

        Args:
            code: of the library.
            message: of the library.
            explain: left out.
        """
        if code == HTTPStatus.NOT_IMPLEMENTED:  # any word may be a method
            self._answered()
        else:
            self.close_connection = True
            self.asked, self.began, self.started = SplitResult("", "", "", "", ""), v1.now(), False
            self._refuse(Refused(HTTPStatus(code), message or HTTPStatus(code).phrase))

    def _work(self) -> None:
        """Answer the request, or refuse it: first who asks, then what, then how."""
        path = self.asked.path
        if path == "/" and self.command in v1.READ and self._takes_token(self.asked.query):
            return
        if path not in v1.OPEN and not self._may_pass():
            if path != "/" or self.command not in v1.READ:
                raise _unauthorized()
            return self._send(HTTPStatus.UNAUTHORIZED, *login_page())
        allowed = v1.READ if path == "/" else v1.allowed(path)
        if not allowed:
            raise Refused(HTTPStatus.NOT_FOUND, v1.NOTHING)
        if self.command not in allowed:
            raise Refused(
                HTTPStatus.METHOD_NOT_ALLOWED, f"{path} takes {' and '.join(allowed)}",
                {"Allow": ", ".join(allowed)},
            )  # fmt: skip
        if path == "/":
            self._send(HTTPStatus.OK, *served_page(self.app.about()))
        elif self.command == "POST":
            self._search()
        else:
            self._answer(v1.answered_get(self.app, self.counts, path, self.asked.query))

    def _search(self) -> None:
        self._check_origin()
        if "Content-Length" not in self.headers:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "send the body with its Content-Length")
        kind = self.headers.get("Content-Type", "")
        if self.left and not v1.is_photo(kind):
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{kind[:50]} is not a photo: {v1.KINDS}")
        with self._slot():
            found = v1.answered_search(self.app, self.asked.query, kind, self._body())
        self._answer(found)

    def _check_origin(self) -> None:
        """Refuse what another site's page lets a visitor's browser send: it may cost this machine time."""
        origin = self.headers.get("Origin")
        if origin is None:
            return
        name, host = (access.host_name(one) for one in (origin.rpartition("/")[2], self.headers["Host"]))
        if name != host and name not in map(access.host_name, self.app.config.allow_hosts):
            raise Refused(HTTPStatus.FORBIDDEN, "pages of other sites may not ask this server")

    def _answer(self, found: v1.Answer) -> None:
        if found.file is not None:
            self._send_file(found.file)
        else:
            self._send(found.status, found.body, found.kind)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Hold one of the places of requests whose photos may be in memory at once.

        Raises:
            Refused: the photos are too large, or all places are taken.
        """
        if self.left > self.app.config.upload:
            limit = self.app.config.upload // 1_000_000
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the photos of a query have at most {limit} MB here"
            )
        if not self.slots.acquire(blocking=False):
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many queries wait: try again in some seconds")
        try:
            yield
        finally:
            self.slots.release()

    def _answered(self) -> None:
        """Answer a request, whatever it is."""
        self.began = v1.now()
        try:
            self._read_head()
            self._check_host()
            self._work()
        except Refused as error:
            self._refuse(error)
        except StoreError:
            self._refuse(Refused(HTTPStatus.SERVICE_UNAVAILABLE, STORE_AWAY))
        except HifaError as error:
            self._refuse(Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)))
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            if not self.started:
                said = "an error inside hifa: the server's terminal has more"
                self._refuse(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, said))
            raise

    def _read_head(self) -> None:
        """Read the address and the body's length.

        Raises:
            Refused: the address is malformed, or the body has no certain end: a request might hide in it.
        """
        self.left, self.started, self.asked = 0, False, SplitResult("", "", "", "", "")
        lengths = set(self.headers.get_all("Content-Length", []))
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "send the body in one piece, with its Content-Length")
        if len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
            self.close_connection = True
            raise Refused(HTTPStatus.BAD_REQUEST, "Content-Length is not one number")
        self.left = int(lengths.pop()) if lengths else 0
        try:
            self.asked = urlsplit(self.path)
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, f"the address is malformed: {error}") from error

    def _body(self) -> bytes:
        body = self.rfile.read(self.left)
        if len(body) < self.left:
            raise ConnectionAbortedError("the client left while it sent")
        self.left = 0
        return body

    def _check_host(self) -> None:
        if not access.is_allowed(self.headers.get("Host"), self.app.config):
            name = access.host_name(self.headers.get("Host", ""))[:100]
            raise Refused(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this server does not answer for the name '{name}': start it with --allow-host {name}",
            )

    @property
    def _port(self) -> int:
        return int(self.connection.getsockname()[1])

    def _may_pass(self) -> bool:
        return access.shows_token(
            self.app.config.token,
            cookies=self.headers.get("Cookie", ""),
            authorization=self.headers.get("Authorization", ""),
            port=self._port,
        )

    def _takes_token(self, query: str) -> bool:
        """Keep a token of the address as a cookie and take it out of the address."""
        shown, token = parse_qs(query).get("token", [""])[0], self.app.config.token
        if token is None or not access.same(shown, token):
            return False
        cookie = f"{access.cookie_name(self._port)}={token}; HttpOnly; SameSite=Strict; Path=/"
        self._start(HTTPStatus.SEE_OTHER, "text/plain", 0, {"Set-Cookie": cookie, "Location": "./"})
        return True

    def _send_file(self, path: Path) -> None:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            name = quote(path.name, safe="", errors="surrogateescape")
            disposition = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
            self._start(HTTPStatus.OK, "application/octet-stream", size, disposition)
            left = 0 if self.command == "HEAD" else size
            while left and (read := file.read(min(left, _CHUNK))):
                left -= self.wfile.write(read)
            self.close_connection |= left > 0  # the file became shorter: do not let them wait

    def _refuse(self, why: Refused) -> None:
        body = json.dumps({"error": str(why)}).encode()
        self._start(why.status, "application/json", len(body), why.headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _drain(self) -> None:
        """Read what is left of the body; a connection with too much of it is closed afterwards."""
        left, self.left = min(self.left, self.app.config.upload), max(self.left - self.app.config.upload, 0)
        while left > 0 and (read := self.rfile.read(min(left, _CHUNK))):
            left -= len(read)  # else the connection is reset before the client has read why
        self.close_connection |= self.left + left > 0

    def _send(
        self, status: HTTPStatus, body: bytes, kind: str = "application/json", policy: str | None = None
    ) -> None:
        self._start(status, kind, len(body), {"Content-Security-Policy": policy} if policy else {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _start(self, status: HTTPStatus, kind: str, length: int, more: Mapping[str, str]) -> None:
        self._drain()
        self.started = True
        self.counts.add(v1.route_of(self.asked.path), int(status), v1.now() - self.began)
        self.send_response(status)
        own = {"Content-Type": kind, "Content-Length": str(length)}
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            own["Retry-After"] = "1"
        if self.close_connection:
            own["Connection"] = "close"
        closed = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}
        for name, value in {**access.HEADERS, **closed, **own, **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal belongs to whoever started the server."""


class Server(ThreadingHTTPServer):
    """A threading server of either family that asks no name server and survives clients that leave."""

    daemon_threads = True
    request_queue_size = 128  # connections that wait to be taken; beyond, the system resets them

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._kept: set[Any] = set()
        super().__init__(*arguments, **options)

    def server_bind(self) -> None:
        """Bind without a reverse look-up; ``::`` takes IPv4 too where the system can."""
        if self.address_family == socket.AF_INET6 and self.server_address[0] == "::":
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection on a thread of its own."""
        self._kept.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that was answered."""
        self._kept.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Stop for good: connections that are kept would be answered by their threads."""
        super().server_close()
        for request in list(self._kept):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report errors of our own; a client that went away is none."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def make_server(app: App) -> Server:
    """Return a server for ``app``, bound and not yet serving.

    Raises:
        HifaError: the host or the port cannot be bound.
    """
    config = app.config
    slots = threading.BoundedSemaphore(config.waiting)
    handler = type("AppHandler", (Handler,), {"app": app, "slots": slots, "counts": v1.Counts()})
    try:
        family, address = _resolved(config)
        kind: type[Server] = type("AppServer", (Server,), {"address_family": family})
        return kind(address, handler)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "choose another --host or --port")
        if isinstance(error, socket.gaierror):
            remedy = _REMEDIES[errno.EADDRNOTAVAIL]
        raise HifaError(
            f"cannot serve on {config.host} port {config.port} ({error.strerror}): {remedy}"
        ) from error


def _resolved(config: ServeConfig) -> tuple[socket.AddressFamily, Any]:
    found = socket.getaddrinfo(
        config.host.strip("[]"), config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return found[0][0], found[0][4]
