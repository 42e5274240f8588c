"""Serve the page over HTTP with the standard library; the App does the work."""

import errno
import json
import shutil
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from hifa_cli.config import ServeConfig
from hifa_cli.errors import HifaError
from hifa_cli.web import access, v1
from hifa_cli.web.app import App
from hifa_cli.web.page import login_page, served_page
from hifa_cli.web.request import parse_search

_CHUNK = 1 << 16
_REMEDIES = {
    errno.EADDRINUSE: "choose another --port, or 0 for a free one",
    errno.EACCES: "ports below 1024 need rights that you do not have; choose another --port",
    errno.EADDRNOTAVAIL: "this machine has no such address; give one of its own, 0.0.0.0, ::1 or 127.0.0.1",
    errno.EAFNOSUPPORT: "this machine has no IPv6; give --host 127.0.0.1",
}


class Refused(Exception):
    """A request that is answered by a status and a line."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """``GET /`` is the page, ``POST /query`` takes photos, ``GET /shapes/ID/mesh`` gives a mesh's file."""

    app: App
    counts: v1.Counts
    slots: threading.BoundedSemaphore
    timeout = 60  # seconds that a silent client is kept
    server_version, sys_version = "hifa", ""
    began = 0.0  # of the request
    left = 0  # bytes of the body that were not read

    def do_GET(self) -> None:
        """Answer the page or a mesh, and nothing else: no other file of this machine can be asked for."""
        self._answered(self._get_v1 if v1.is_mine(urlsplit(self.path).path) else self._get)

    def do_POST(self) -> None:
        """Answer photos."""
        self._answered(self._post_v1 if v1.is_mine(urlsplit(self.path).path) else self._post)

    def _get_v1(self) -> None:
        path = urlsplit(self.path).path
        if path not in v1.OPEN and not self._may_pass():
            raise Refused(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong")
        try:
            self._send_v1(v1.answered_get(self.app, self.counts, self.path))
        except HifaError as error:
            raise Refused(HTTPStatus.NOT_FOUND, str(error)) from error

    def _post_v1(self) -> None:
        if urlsplit(self.path).path != v1.SEARCH:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "only /v1/search takes POST")
        if not self._may_pass():
            raise Refused(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong")
        self._check_origin()
        if not self.headers.get("Content-Length", "").isdigit():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "send the body with its Content-Length")
        with self._slot():
            kind = self.headers.get("Content-Type", "")
            found = v1.answered_search(self.app, self.path, kind, self._body())
        self._send_v1(found)

    def _check_origin(self) -> None:
        """Refuse what another site's page lets a visitor's browser send: it may cost this machine time."""
        origin = self.headers.get("Origin")
        host = access.host_name(self.headers.get("Host", ""))
        if origin is not None and access.host_name(urlsplit(origin).netloc) != host:
            raise Refused(HTTPStatus.FORBIDDEN, "pages of other sites may not ask this server")

    def _send_v1(self, found: v1.Answer) -> None:
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

    def _answered(self, work: Any) -> None:
        length = self.headers.get("Content-Length", "")
        self.left = int(length) if length.isdigit() else 0
        self.began = v1.now()
        try:
            self._check_host()
            work()
        except Refused as error:
            self._refuse(error.status, str(error))
        except HifaError as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            self._refuse(
                HTTPStatus.INTERNAL_SERVER_ERROR, "an error inside hifa: the server's terminal has more"
            )
            raise

    def _get(self) -> None:
        asked = urlsplit(self.path)
        parts = asked.path.split("/")
        if asked.path == "/" and self._takes_token(asked.query):
            return
        if not self._may_pass():
            if asked.path != "/":
                raise Refused(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong")
            self._send(HTTPStatus.UNAUTHORIZED, *login_page())
        elif asked.path == "/":
            self._send(HTTPStatus.OK, *served_page(self.app.about()))
        elif parts[:2] == ["", "shapes"] and parts[3:] == ["mesh"]:
            self._send_mesh(unquote(parts[2], errors="surrogateescape"))
        else:
            raise Refused(HTTPStatus.NOT_FOUND, "there are only / and /shapes/ID/mesh")

    def _post(self) -> None:
        asked = urlsplit(self.path)
        if asked.path != "/query" or self.headers.get("X-Hifa") is None:
            raise Refused(HTTPStatus.NOT_FOUND, "photos go to /query, with the header X-Hifa")
        if not self._may_pass():
            raise Refused(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong")
        if not self.left:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "send a photo with its Content-Length")
        with self._slot():
            photos, wanted = parse_search(asked.query, self.headers.get("Content-Type", ""), self._body())
            found = self.app.query(photos, wanted)
        self._send(HTTPStatus.OK, json.dumps(found).encode())

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
        self.send_response(HTTPStatus.SEE_OTHER)
        cookie = f"{access.cookie_name(self._port)}={token}; HttpOnly; SameSite=Strict; Path=/"
        for name, value in {**access.HEADERS, "Set-Cookie": cookie, "Location": "./"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def _send_mesh(self, shape: str) -> None:
        try:
            path = self.app.mesh(shape)
        except HifaError as error:
            raise Refused(HTTPStatus.NOT_FOUND, str(error)) from error
        self._send_file(path)

    def _send_file(self, path: Path) -> None:
        with path.open("rb") as file:
            size = path.stat().st_size
            name = quote(path.name, safe="", errors="surrogateescape")
            disposition = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
            self._start(HTTPStatus.OK, "application/octet-stream", size, disposition)
            shutil.copyfileobj(file, self.wfile, _CHUNK)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        left = min(self.left, self.app.config.upload)
        while left > 0 and (read := self.rfile.read(min(left, _CHUNK))):
            left -= len(read)  # else the connection is reset before the browser has read why
        self._send(status, json.dumps({"error": message}).encode())

    def _send(
        self, status: HTTPStatus, body: bytes, kind: str = "application/json", policy: str | None = None
    ) -> None:
        self._start(status, kind, len(body), {"Content-Security-Policy": policy} if policy else {})
        self.wfile.write(body)

    def _start(self, status: HTTPStatus, kind: str, length: int, more: dict[str, str]) -> None:
        self.counts.add(v1.route_of(urlsplit(self.path).path), int(status), v1.now() - self.began)
        self.send_response(status)
        own = {"Content-Type": kind, "Content-Length": str(length)}
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            own["Retry-After"] = "1"
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

    def server_bind(self) -> None:
        """Bind without a reverse look-up; ``::`` takes IPv4 too where the system can."""
        if self.address_family == socket.AF_INET6 and self.server_address[0] == "::":
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

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
