"""Decide who may ask: names that this server answers for, a token, and what browsers may do with the page.

A site of a stranger can let its own name point at this machine and so make a visitor's browser ask this
server as if it were that site (DNS rebinding). Such a request names the stranger's host, so only known
names are answered. An address (10.0.0.5) cannot be pointed elsewhere and is safe where the server listens
beyond this machine anyway.
"""

import hmac
import ipaddress
import re
import secrets
import socket
from http.cookies import CookieError, SimpleCookie

from hifa_cli.config import ServeConfig
from hifa_cli.errors import HifaError

RANDOM = "random"
SHORTEST_TOKEN = 12
_TOKEN = re.compile(rf"[A-Za-z0-9._~-]{{{SHORTEST_TOKEN},}}")  # safe in an address and in a cookie
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_WILDCARDS = ("", "0.0.0.0", "::")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Return whether a server on ``host`` can be reached from this machine only."""
    address = _address(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


def is_allowed(header: str | None, config: ServeConfig) -> bool:
    """Return whether this server answers for the ``Host`` of a request.

    Loopback and the bound address always, ``allow_hosts`` too; where the server listens beyond this machine
    also the machine's own names and every address.

    Args:
        header: the request's ``Host``, with or without a port.
        config: host and names.
    """
    host = host_name(header or "")
    if not host:
        return False
    known = {*_LOOPBACK, host_name(config.host), *map(host_name, config.allow_hosts)}
    if is_loopback(config.host):
        return host in known
    return host in known or host in own_names() or _address(host) is not None


def own_names() -> tuple[str, ...]:
    """Return the names that this machine gives itself, by which its own network may know it."""
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return tuple(dict.fromkeys((name, short, f"{short}.local")))


def host_name(text: str) -> str:
    """Return a host without port, brackets and final dot, in small letters."""
    text = text.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    name, _, port = text.rpartition(":")
    if name and ":" not in name and port.isdigit():
        text = name
    return text.rstrip(".") if _address(text) is None else text


def new_token(wish: str | None) -> str | None:
    """Return the token that is asked for: none, a random one, or ``wish``.

    Raises:
        HifaError: it is too short to protect anything, or has characters that an address cannot carry.
    """
    if wish is None:
        return None
    if wish == RANDOM:
        return secrets.token_urlsafe(24)
    if not _TOKEN.fullmatch(wish):
        raise HifaError(
            f"--token takes at least {SHORTEST_TOKEN} letters, digits and any of . _ ~ -, "
            "or 'random', which makes one"
        )
    return wish


def cookie_name(port: int) -> str:
    """Return the cookie's name; browsers share cookies between the ports of a host."""
    return f"hifa-{port}"


def shows_token(token: str | None, *, cookies: str, authorization: str, port: int) -> bool:
    """Return whether a request may pass: no token is needed, or its cookie or bearer is the token.

    Args:
        token: of this server.
        cookies: the ``Cookie`` header.
        authorization: the ``Authorization`` header.
        port: of this server.

    Returns:
        True if the request may pass.
    """
    if token is None:
        return True
    kind, _, shown = authorization.partition(" ")
    if kind.lower() == "bearer" and same(shown.strip(), token):
        return True
    try:
        found = SimpleCookie(cookies).get(cookie_name(port))
    except CookieError:
        return False
    return found is not None and same(found.value, token)


def same(shown: str, token: str) -> bool:
    """Compare in a time that does not depend on where the two differ."""
    return hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode())


def warning(config: ServeConfig) -> str | None:
    """Return what the user must know before others can reach the server, None where they cannot."""
    if is_loopback(config.host):
        return None
    where = "any address of this machine" if config.host in _WILDCARDS else config.host
    if config.token is None:
        return (
            f"everybody who can reach {where} may search this gallery, see its paths and download its "
            "meshes: the page has no password; give --token random, or --host 127.0.0.1 to keep it to "
            "this machine"
        )
    return (
        f"the page on {where} is sent without encryption: on a network that you do not trust put a proxy "
        "with HTTPS in front of it"
    )


def addresses(config: ServeConfig, port: int) -> list[str]:
    """Return the addresses to open, for this machine first, then for others."""
    end = f":{port}/" + (f"?token={config.token}" if config.token else "")
    if config.host not in _WILDCARDS:
        return [f"http://{f'[{config.host}]' if ':' in config.host else config.host}{end}"]
    return [f"http://{'[::1]' if config.host == '::' else '127.0.0.1'}{end}", f"http://{own_names()[0]}{end}"]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
