"""The page and the interface for programs as an ASGI application: who may ask, what, and how."""

import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, quote, urlsplit

import anyio
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from h11 import LocalProtocolError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from hifa_cli.errors import HifaError
from hifa_cli.gallery.stores.base import StoreError
from hifa_cli.web import access, v1
from hifa_cli.web.app import App
from hifa_cli.web.exchange import Exchange
from hifa_cli.web.page import login_page, served_page
from hifa_cli.web.shapes import STORE_AWAY

HEAD = 65_536  # bytes of an address, and of all headers
MOST_HEADERS = 100
READERS = 16  # requests that read or draw at once; more wait, searches have places of their own
SOON = 0.5  # seconds that a search waits for a place, which costs less than a client that comes back
READ = ("GET", "HEAD")
Work = Callable[[v1.Asked], v1.Answer]
Endpoint = Callable[[Request], Awaitable[Response]]
_UNKNOWN_HOST = "this server does not answer for the name '{name}': start it with --allow-host {name}"


class Site:
    """The application: checks that hold for every address, then its route.

    Args:
        app: the gallery.
    """

    def __init__(self, app: App) -> None:
        self.app, self.counts = app, v1.Counts()
        self._places = anyio.Semaphore(app.config.waiting)
        self._searching, self._reading = CapacityLimiter(app.config.waiting), CapacityLimiter(READERS)
        self._routes = [
            Route("/", self._page),
            Route(v1.SEARCH, self._search, methods=["POST"]),
            *(Route(path, self._quick(work)) for path, work in v1.QUICK.items()),
            *(Route(path, self._read(work)) for path, work in v1.LISTS.items()),
            *(Route(path, self._read(work, missing=True)) for path, work in v1.OF_SHAPE.items()),
        ]
        known = dict.fromkeys((HTTPException, HifaError, ClientDisconnect), _refused)
        self._site = Starlette(routes=self._routes, exception_handlers={**known, Exception: _fault})
        self._site.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        exchange = Exchange(scope, (receive, send), self.counts, self.app.config.upload)
        try:
            _check_head(scope)
            self._find(scope, exchange)
            self._check_host(Headers(scope=scope))
            answer = self._entry(Request(scope)) or self._site
        except HTTPException as error:
            exchange.close |= error.status_code in (400, 411, 414, 431, 505)
            answer = refusal(error.status_code, error.detail, error.headers)
        if scope["method"] in READ:
            await exchange.drain()
        await answer(scope, exchange.receive, exchange.send)

    def _find(self, scope: Scope, exchange: Exchange) -> None:
        """Let routes see the address as it was sent: the slashes of an id stand in it percent-encoded."""
        target = b"?".join([scope["raw_path"], *filter(None, [scope["query_string"]])])
        try:
            asked = urlsplit(target.decode("latin-1"))
        except ValueError as error:
            raise HTTPException(400, f"the address is malformed: {error}") from error
        scope["path"], scope["query_string"] = asked.path, asked.query.encode("latin-1")
        found = (route.path for route in self._routes if route.matches(scope)[0] != Match.NONE)
        exchange.route = next(found, "other")

    def _check_host(self, headers: Headers) -> None:
        if not access.is_allowed(headers.get("host"), self.app.config):
            name = access.host_name(headers.get("host", ""))[:100]
            raise HTTPException(421, _UNKNOWN_HOST.format(name=name))

    def _entry(self, request: Request) -> Response | None:
        """Return the answer to those who bring the token in the address, or do not show it."""
        path, token = request.scope["path"], self.app.config.token
        port = request.scope["server"][1]
        reads = path == "/" and request.method in READ
        brought = parse_qs(request.scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if reads and token is not None and access.same(brought, token):
            cookie = f"{access.cookie_name(port)}={token}; HttpOnly; SameSite=Strict; Path=/"
            headers = {"Set-Cookie": cookie, "Location": "./", "Content-Type": "text/plain"}
            return Response(b"", 303, headers)
        cookies, bearer = (request.headers.get(name, "") for name in ("cookie", "authorization"))
        if path in v1.OPEN or access.shows_token(token, cookies=cookies, authorization=bearer, port=port):
            return None
        if reads:
            return _html(401, login_page())
        how = {"WWW-Authenticate": 'Bearer realm="hifa"'}
        raise HTTPException(401, "the token is missing or wrong", how)

    async def _page(self, request: Request) -> Response:
        return _html(200, await run_sync(served_page, self.app.about(), limiter=self._reading))

    def _quick(self, work: Work) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return _response(work(self._asked(request)), request)

        return endpoint

    def _read(self, work: Work, *, missing: bool = False) -> Endpoint:
        """Return the endpoint of work that reads or draws, on a thread; what it refuses may be missing."""

        async def endpoint(request: Request) -> Response:
            try:
                asked = self._asked(request)
                found = await run_sync(work, asked, limiter=self._reading, abandon_on_cancel=True)
            except HifaError as error:
                if not missing:
                    raise
                return refusal(404, str(error))
            return _response(found, request)

        return endpoint

    def _asked(self, request: Request, body: bytes = b"") -> v1.Asked:
        options = request.scope["query_string"].decode("latin-1")
        kind = request.headers.get("content-type", "")
        return v1.Asked(self.app, self.counts, options, request.path_params, kind, body)

    async def _search(self, request: Request) -> Response:
        self._check_search(request.headers)
        async with self._place():
            asked = self._asked(request, await request.body())
            found = await run_sync(v1.search, asked, limiter=self._searching, abandon_on_cancel=True)
        return _response(found, request)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Hold one of the places of requests whose photos may be in memory at once."""
        try:
            with anyio.fail_after(SOON):
                await self._places.acquire()
        except TimeoutError as error:
            raise HTTPException(503, "too many queries wait: try again in some seconds") from error
        try:
            yield
        finally:
            self._places.release()

    def _check_search(self, headers: Headers) -> None:
        """Refuse what another site's page makes a browser send, and bodies that are not photos."""
        origin, config = headers.get("origin"), self.app.config
        if origin is not None:
            name, host = (access.host_name(one) for one in (origin.rpartition("/")[2], headers["host"]))
            if name != host and name not in map(access.host_name, config.allow_hosts):
                raise HTTPException(403, "pages of other sites may not ask this server")
        if "content-length" not in headers:
            raise HTTPException(411, "send the body with its Content-Length")
        length, kind = int(headers["content-length"]), headers.get("content-type", "")
        if length and not v1.is_photo(kind):
            raise HTTPException(415, f"{kind[:50]} is not a photo: {v1.KINDS}")
        if length > config.upload:
            limit = f"the photos of a query have at most {config.upload // 1_000_000} MB here"
            raise HTTPException(413, limit)


def _check_head(scope: Scope) -> None:
    """Refuse a head that is too large, and a body without a certain end: a request might hide in it."""
    headers = scope["headers"]
    if scope["http_version"] not in ("1.0", "1.1"):
        raise HTTPException(505, "this server speaks HTTP/1.1")
    if len(scope["raw_path"]) + len(scope["query_string"]) > HEAD:
        raise HTTPException(414, "the address is too long")
    if len(headers) > MOST_HEADERS or sum(len(name) + len(value) for name, value in headers) > HEAD:
        raise HTTPException(431, "there are too many headers")
    if "transfer-encoding" in Headers(scope=scope):
        raise HTTPException(411, "send the body in one piece, with its Content-Length")


def refusal(status: int, why: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a refusal: an object with ``error``.

    Args:
        status: of HTTP.
        why: the line.
        headers: that the status asks for.

    Returns:
        The answer.
    """
    return Response(json.dumps({"error": why}), status, headers, "application/json")


def _html(status: int, page: tuple[bytes, str, str]) -> Response:
    content, kind, policy = page
    return Response(content, status, {"Content-Security-Policy": policy}, kind)


def _response(found: v1.Answer, request: Request) -> Response:
    if found.file is None:
        return Response(found.body, media_type=found.kind)
    # files are sent whole
    request.scope["headers"] = [one for one in request.scope["headers"] if one[0] != b"range"]
    name = quote(found.file.name, safe="", errors="surrogateescape")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}", "Accept-Ranges": "none"}
    return FileResponse(found.file, headers=headers, media_type=found.kind)


async def _refused(request: Request, error: Exception) -> Response:
    """Return the refusal of what routes raise."""
    if isinstance(error, StoreError):
        return refusal(503, STORE_AWAY)
    if not isinstance(error, HTTPException):  # where the client has left nobody reads it
        return refusal(422, str(error))
    if error.status_code == 404:
        return refusal(404, v1.NOTHING)
    if error.status_code == 405:
        allowed = sorted((error.headers or {})["Allow"].split(", "))
        why = f"{request.scope['path']} takes {' and '.join(allowed)}"
        return refusal(405, why, {"Allow": ", ".join(allowed)})
    return refusal(error.status_code, error.detail, error.headers)


async def _fault(request: Request, error: Exception) -> Response:
    if not isinstance(error, LocalProtocolError):  # a file changed while it was sent: the connection ends
        traceback.print_exception(error)
    return refusal(500, "an error inside hifa: the server's terminal has more")
