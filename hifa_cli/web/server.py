"""A page on this machine: drop a photo, see and turn the shapes. Standard library only."""

import json
import tempfile
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hifa_cli.config import PageConfig, ServeConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery, read_gallery, read_main
from hifa_cli.query.parse import Query, parse_box
from hifa_cli.query.retrieve import QueryEncoder, Wanted, encoder_for, rank
from hifa_cli.runtime.progress import SILENT, Talk
from hifa_cli.web.document import page_contents
from hifa_cli.web.page import assemble

TOOLS = (
    '<label id="drop" tabindex="0">drop a photo here, or choose one '
    '<input type="file" id="file" accept="image/*" hidden></label>'
    '<label><select id="chosen"></select></label><span id="state" role="status"></span>'
)
START = """
const page = new Page(null), drop = $("drop"), past = { queries: [], shapes: [] };
async function ask(file) {
  $("state").textContent = "looking …";
  const answer = await fetch("query", { method: "POST", body: file, headers: { "X-Hifa": "1" } });
  const found = await answer.json();
  $("state").textContent = found.error || "";
  if (found.error) return;
  for (const query of found.queries) {
    query.name = file.name;
    for (const match of query.matches) match.at += past.shapes.length;
  }
  past.shapes.push(...found.shapes);
  past.queries.unshift(...found.queries);
  page.fill(past);
}
$("file").addEventListener("change", (event) => { if (event.target.files[0]) ask(event.target.files[0]); });
for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, (event) => {
  event.preventDefault();
  drop.classList.toggle("over", kind === "dragover");
  if (kind === "drop" && event.dataTransfer.files[0]) ask(event.dataTransfer.files[0]);
});
drop.addEventListener("keydown", (event) => { if (event.key === "Enter") $("file").click(); });
"""


class _Heard(Talk):
    """Keeps the last warning, which says why a photo could not be used."""

    said = ""

    def warn(self, message: str) -> None:
        """Keep ``message``."""
        self.said = message


class Desk:
    """An open gallery and its encoder; opened again when the gallery has changed.

    Args:
        folder: the gallery.
        model: a run, where the gallery holds no model.
        device: where the network runs.
        config: limits.
        talk: says what a query could not use.
    """

    def __init__(
        self, folder: Path, model: Path | None, device: str, config: ServeConfig, talk: Talk = SILENT
    ) -> None:
        self.folder, self.model, self.device, self.config, self.talk = folder, model, device, config, talk
        self.lock = threading.Lock()  # one query at a time: the network takes all cores as it is
        self.gallery: Gallery = read_gallery(folder, device=device, talk=talk)
        self.encoder: QueryEncoder = encoder_for(self.gallery, model, device)

    def answer(self, photo: bytes, top: int, crop: str | None) -> dict[str, Any]:
        """The page's document for one photo.

        Raises:
            HifaError: it is no picture, or the gallery cannot be opened any more.
        """
        try:
            box = parse_box(crop) if crop else None
        except ValueError as error:
            raise HifaError(str(error)) from error
        with self.lock, tempfile.TemporaryDirectory() as scratch:
            self._refresh()
            path = Path(scratch) / "photo"
            path.write_bytes(photo)
            wanted = Wanted(min(top, self.config.most), crop=box)
            heard = _Heard()
            try:
                rankings, _ = rank(self.encoder, self.gallery, [Query("photo", path)], wanted, talk=heard)
            except HifaError as error:
                raise HifaError((heard.said or str(error)).replace(str(path), "the photo")) from error
            return page_contents(self.gallery, rankings, PageConfig(), self.talk).data

    def _refresh(self) -> None:
        if read_main(self.folder) != self.gallery.document:
            self.gallery = read_gallery(self.folder, device=self.device, talk=self.talk)
            self.encoder = encoder_for(self.gallery, self.model, self.device)


class Handler(BaseHTTPRequestHandler):
    """``GET /`` is the page, ``POST /query`` takes a photo's bytes and answers JSON."""

    desk: Desk
    timeout = 60  # seconds that a silent client is kept
    server_version, sys_version = "hifa", ""

    def do_GET(self) -> None:
        """The page, and nothing else: no file of this machine can be asked for."""
        if not self._is_ours() or urlsplit(self.path).path != "/":
            self._send(HTTPStatus.NOT_FOUND, {"error": "there is only /"})
            return
        footer = f"{len(self.desk.gallery)} shapes in {self.desk.folder.resolve().name}"
        text = assemble(None, tools=TOOLS, footer=footer, start=START)
        self._send(HTTPStatus.OK, text.encode(), "text/html; charset=utf-8")

    def do_POST(self) -> None:
        """A photo to look for."""
        asked = urlsplit(self.path)
        if not self._is_ours() or asked.path != "/query" or self.headers.get("X-Hifa") is None:
            self._send(HTTPStatus.NOT_FOUND, {"error": "photos go to /query, with the header X-Hifa"})
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or not int(length):
            self._send(HTTPStatus.LENGTH_REQUIRED, {"error": "send a photo with its Content-Length"})
            return
        if int(length) > self.desk.config.upload:
            limit = self.desk.config.upload // 1_000_000
            self.close_connection = True
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": f"a photo has at most {limit} MB here"})
            return
        words = parse_qs(asked.query)
        top = words.get("top", [""])[0]
        try:
            photo = self.rfile.read(int(length))
            found = self.desk.answer(photo, int(top) if top.isdigit() else 10, words.get("crop", [None])[0])
        except HifaError as error:
            self._send(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": str(error)})
            return
        self._send(HTTPStatus.OK, found)

    def _is_ours(self) -> bool:
        """Whether the browser asked this machine by its own name: other sites' names may point here too."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        return host in ("127.0.0.1", "localhost", "[::1]", self.desk.config.host)

    def _send(self, status: HTTPStatus, content: Any, kind: str = "application/json") -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal belongs to whoever started the server."""


def make_server(desk: Desk) -> ThreadingHTTPServer:
    """A server for ``desk``, bound and not yet serving.

    Raises:
        HifaError: the port is taken.
    """
    handler = type("DeskHandler", (Handler,), {"desk": desk})
    try:
        server = ThreadingHTTPServer((desk.config.host, desk.config.port), handler)
    except OSError as error:
        raise HifaError(
            f"cannot serve on {desk.config.host}:{desk.config.port} ({error.strerror}): choose another --port"
        ) from error
    server.daemon_threads = True
    return server
