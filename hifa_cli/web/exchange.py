"""A request and its answer as they pass: bodies that come in time, and the headers that every answer has."""

import time

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from hifa_cli.web import access, v1

PATIENCE = 60.0  # seconds that a silent client is kept
LEAST = 10_000  # bytes a second that a body must bring beyond them, or it holds its place for hours
HEADERS = {
    "Server": "hifa",
    **access.HEADERS,
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def headers_of(status: int, own: Headers, *, close: bool) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer.

    Args:
        status: of the answer.
        own: what it says itself; it prevails.
        close: whether the connection ends with it.

    Returns:
        Names and values, the names as people write them.
    """
    found = {**HEADERS, **{name.title(): value for name, value in own.items()}}
    if status == 503:
        found["Retry-After"] = "1"
    if close:
        found["Connection"] = "close"
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in found.items()]


class Exchange:
    """The two ends of a request that the routes see.

    Args:
        scope: of the request.
        ends: of the server.
        counts: of answers.
        most: bytes of a body that is not wanted which are read, so that the client comes to read why.
    """

    def __init__(self, scope: Scope, ends: tuple[Receive, Send], counts: v1.Counts, most: int) -> None:
        self._receive, self._send = ends
        self._counts, self._most = counts, most
        headers = Headers(scope=scope)
        length = int(headers.get("content-length", "0"))  # the server has checked that it is a number
        self.route = "other"
        self.close = False  # whether the connection ends with the answer
        self._waits = headers.get("expect", "").lower() == "100-continue"
        self._more, self._gone = length > 0, False
        self._began, self._got = time.monotonic(), 0

    async def receive(self) -> Message:
        """Return the next part of the body.

        Raises:
            HTTPException: it does not come.
        """
        if not self._more or self.close:
            return await self._receive()
        self._waits = False
        rest = self._began + PATIENCE + self._got / LEAST - time.monotonic()
        try:
            with anyio.fail_after(max(min(rest, PATIENCE), 0)):
                message = await self._receive()
        except TimeoutError as error:
            self.close = True
            raise HTTPException(408, "the body of the request does not come") from error
        self._gone = message["type"] == "http.disconnect"
        self._got += len(message.get("body", b""))
        self._more = message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer; the first one waits until the body was read."""
        if message["type"] == "http.response.start":
            await self.drain()
            status = message["status"]
            own = Headers(raw=message["headers"])
            message = {**message, "headers": headers_of(status, own, close=self.close)}
            if not self._gone:
                self._counts.add(self.route, status, time.monotonic() - self._began)
        if not self._gone:
            await self._send(message)

    async def drain(self) -> None:
        """Read what nobody wants of the body: a connection that is closed before loses its answer."""
        most = self._got + self._most
        while self._more and not self.close:
            if self._waits or self._got >= most:
                self.close = True
                return
            try:
                await self.receive()
            except HTTPException:
                return
