"""A connection of uvicorn's that bounds what a client may hold, and refuses in the words of the site."""

import sys
from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Any

import h11
from starlette.datastructures import Headers
from uvicorn.protocols.http.h11_impl import H11Protocol

from hifa_cli.web.exchange import PATIENCE, headers_of
from hifa_cli.web.site import Site, refusal

MOST = 512  # connections at once; more are closed as they come


class Connection(H11Protocol):
    """One client's connection.

    uvicorn waits for ever for a first request, for the rest of its head, and for a client to read its answer.
    """

    patience = PATIENCE
    _moved = 0.0  # when it last began to wait for the client
    _watch: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._moved = self.loop.time()
        if len(self.connections) > MOST:
            transport.abort()
        else:
            self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, or for the end of what is still to be read."""
        self._moved = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        self._moved = self.loop.time()
        super().pause_writing()

    def _look(self) -> None:
        """End a connection that waits for its client too long; bodies are waited for by :mod:`.exchange`."""
        between = self.cycle is None or self.cycle.response_complete
        if (between or self.flow.write_paused) and self.loop.time() - self._moved > self.patience:
            self.transport.abort()
        else:
            self._watch = self.loop.call_later(self.patience / 4, self._look)

    def eof_received(self) -> Any:
        """Keep a connection whose client has sent all and still reads, until its answer is out."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        return True

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP as everything else is refused."""
        error = sys.exc_info()[1]
        status = HTTPStatus(getattr(error, "error_status_hint", 400))
        if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE and b"\r\n" not in self.conn.trailing_data[0]:
            status = HTTPStatus.REQUEST_URI_TOO_LONG
        if self.cycle is not None:
            self.cycle.disconnected = True  # it has no answer of its own any more
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        site = self.config.app
        assert isinstance(site, Site)
        site.counts.add("other", status, 0.0)
        answer = refusal(status, str(error or msg))
        headers = headers_of(status, Headers(raw=answer.raw_headers), close=True)
        head = h11.Response(status_code=status, headers=headers, reason=status.phrase.encode())
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
