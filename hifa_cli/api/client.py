"""A client of ``hifa serve`` for programs: needs nothing but the standard library."""

import json
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

from hifa_cli.errors import HifaError


class Client:
    """Asks a server of ``hifa serve``.

    Args:
        address: of the server, such as ``http://127.0.0.1:8321``.
        token: that it asks for, if any.
        timeout: seconds that an answer may take.

    Example:
        >>> import hifa_cli as hifa
        >>> client = hifa.Client("http://127.0.0.1:8321")
        >>> client.search("photo.jpg", top=1, where="faces < 5000")["results"][0]  # doctest: +SKIP
        {'query': 'photo.jpg', 'matches': [{'rank': 1, 'shape': 'chair/012', …}]}
    """

    def __init__(self, address: str, *, token: str | None = None, timeout: float = 60.0) -> None:
        if not address.startswith(("http://", "https://")):
            raise HifaError(f"{address} is not the address of a server: give http://HOST:PORT")
        self.address, self.token, self.timeout = address.rstrip("/"), token, timeout
        self._opener = build_opener(*([ProxyHandler({})] if "://127.0.0.1" in address else []))

    def search(
        self, photos: "str | Path | bytes | Iterable[str | Path | bytes]" = (), **options: Any
    ) -> dict[str, Any]:
        """Return what ``hifa query --json`` prints for photos.

        Args:
            photos: paths of photos, or bytes of picture files; none where ``like`` or ``text`` is the query.
            options: ``top``, ``threshold``, ``where``, ``find``, ``fuse``, ``text``, ``text_weight``; of
                ``classes``, ``crop`` (a text ``x,y,w,h`` a photo), ``like`` and ``unlike`` one or a list.

        Raises:
            HifaError: the server refuses, or does not answer.
        """
        given = [photos] if isinstance(photos, str | Path | bytes) else list(photos)
        body, kind = _form(given)
        return dict(self._document("POST", f"/v1/search?{_options(options)}", body, kind))

    def shape(self, name: str) -> dict[str, Any]:
        """Return a shape's class and fields, and where its mesh and picture are."""
        return dict(self._document("GET", f"/v1/shapes/{_quoted(name)}"))

    def gallery(self) -> dict[str, Any]:
        """Return what the gallery holds: number of shapes, classes and fields with counts, limits."""
        return dict(self._document("GET", "/v1/gallery"))

    def shapes(self, **options: Any) -> dict[str, Any]:
        """Return ``count`` of the shapes that a condition holds for, and a page of them with their fields.

        Args:
            options: ``where``, ``classes`` (one or a list), ``top`` and ``offset``.

        Raises:
            HifaError: the server refuses, or does not answer.
        """
        return dict(self._document("GET", f"/v1/shapes?{_options(options)}"))

    def mesh(self, name: str) -> bytes:
        """Return the file of a shape's mesh."""
        return self._asked("GET", f"/v1/shapes/{_quoted(name)}/mesh")

    def thumbnail(self, name: str) -> bytes:
        """Return a picture of a shape, a PNG file."""
        return self._asked("GET", f"/v1/shapes/{_quoted(name)}/thumbnail")

    def health(self) -> dict[str, Any]:
        """Return the server's state and version."""
        return dict(self._document("GET", "/health"))

    def _document(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Any:
        return json.loads(self._asked(method, path, body, kind))

    def _asked(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        headers = {"Content-Type": kind} if kind else {}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        request = Request(self.address + path, body, headers, method=method)
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                return bytes(answer.read())
        except HTTPError as error:
            raise HifaError(f"{self.address}: {_why(error)}") from error
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise HifaError(f"{self.address} does not answer ({reason}): is 'hifa serve' running?") from error


def _why(error: HTTPError) -> str:
    """Return what the server said, or the status where it said nothing."""
    try:
        return f"{json.loads(error.read())['error']} (status {error.code})"
    except (ValueError, KeyError, TypeError, OSError):
        return f"status {error.code}"


def _quoted(name: str) -> str:
    return quote(name, safe="", errors="surrogateescape")


def _options(options: Mapping[str, Any]) -> str:
    words: list[tuple[str, str]] = []
    for name, value in options.items():
        values = value if isinstance(value, list | tuple) else [value]
        known = {"classes": "class"}.get(name, name)
        words += [(known, str(int(one) if isinstance(one, bool) else one)) for one in values]
    return urlencode(words)


def _file(path: Path) -> tuple[str, bytes]:
    """Return a photo's name for a form, and its bytes."""
    try:
        return quote(str(path), errors="replace"), path.read_bytes()
    except OSError as error:
        raise HifaError(f"{path}: cannot be read: {error.strerror}") from error


def _form(photos: "list[str | Path | bytes]") -> tuple[bytes, str]:
    """Return a form with the photos, and its content type."""
    mark = uuid.uuid4().hex
    parts = []
    for photo in photos:
        name, content = ("photo", photo) if isinstance(photo, bytes) else _file(Path(photo))
        head = f'Content-Disposition: form-data; name="photo"; filename="{name}"\r\n\r\n'
        parts.append(f"--{mark}\r\n{head}".encode() + content + b"\r\n")
    return b"".join(parts) + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"
