"""Serve the site on a socket by uvicorn."""

import errno
import logging
import socket
import threading

import uvicorn

from hifa_cli.config import ServeConfig
from hifa_cli.errors import HifaError
from hifa_cli.web.app import App
from hifa_cli.web.connection import Connection
from hifa_cli.web.exchange import PATIENCE
from hifa_cli.web.site import HEAD, Site

_BACKLOG = 128  # connections that wait to be taken; beyond, the system resets them
_GRACE = 5  # seconds that answers have when the server is stopped
_REMEDIES = {
    errno.EADDRINUSE: "choose another --port, or 0 for a free one",
    errno.EACCES: "ports below 1024 need rights that you do not have; choose another --port",
    errno.EADDRNOTAVAIL: "this machine has no such address; give one of its own, 0.0.0.0, ::1 or 127.0.0.1",
    errno.EAFNOSUPPORT: "this machine has no IPv6; give --host 127.0.0.1",
}
logging.getLogger("uvicorn").addHandler(logging.NullHandler())  # the terminal is whose who started the server


class Server:
    """A server that is bound: connections wait until it runs.

    Args:
        app: the gallery.
        listening: the socket.
    """

    def __init__(self, app: App, listening: socket.socket) -> None:
        self._listening = listening
        self.port = int(listening.getsockname()[1])
        # Names what uvicorn would look for in the environment, too (WEB_CONCURRENCY, FORWARDED_ALLOW_IPS).
        config = uvicorn.Config(
            Site(app), loop="asyncio", http=Connection, ws="none", lifespan="off", interface="asgi3",
            workers=1, proxy_headers=False, forwarded_allow_ips=[], log_config=None, access_log=False,
            server_header=False, backlog=_BACKLOG, timeout_keep_alive=int(PATIENCE),
            timeout_graceful_shutdown=_GRACE, h11_max_incomplete_event_size=HEAD,
        )  # fmt: skip
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Answer until :meth:`stop`, or until what a signal raises, which is raised once answers have ended.

        The loop has a thread of its own: signals stay with who called, and work that does not end (a thread
        of a daemon's is one too) does not keep the process.
        """
        thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listening]}, daemon=True)
        thread.start()
        try:
            thread.join()
        finally:
            self.stop()
            thread.join(_GRACE + 1)

    def stop(self) -> None:
        """Let answers end, then stop; any thread may ask for it."""
        self._server.should_exit = True

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        self._listening.close()


def make_server(app: App) -> Server:
    """Return a server for ``app``, bound and not yet serving.

    Raises:
        HifaError: the host or the port cannot be bound.
    """
    config = app.config
    try:
        return Server(app, _bound(config))
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "choose another --host or --port")
        if isinstance(error, socket.gaierror):
            remedy = _REMEDIES[errno.EADDRNOTAVAIL]
        why = (error.strerror or "").partition(" (while")[0]
        raise HifaError(f"cannot serve on {config.host} port {config.port} ({why}): {remedy}") from error


def _bound(config: ServeConfig) -> socket.socket:
    """Return a socket that listens; ``::`` takes IPv4 too where the system can."""
    found = socket.getaddrinfo(
        config.host.strip("[]"), config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, address = found[0][0], found[0][4]
    both = address[0] == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=both)
