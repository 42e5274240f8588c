"""A stand-in of the Hugging Face Hub on loopback: what huggingface_hub asks of it, and no more.

It was written after the client library's own requests. It is not the Hub: what only the Hub does (Xet, its
CDN, its limits) is not tried here.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

WRITER, READER = "hf_writer", "hf_reader"  # tokens
Files = dict[str, bytes]


@dataclass
class Repo:
    """A repository: commits, oldest first, each with all its files."""

    private: bool = False
    commits: list[tuple[str, Files]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Files) -> str:
        """Add a commit; its name."""
        text = f"{len(self.commits)}{sorted(files.items())!r}"
        name = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.commits.append((name, files))
        return name

    def at(self, revision: str) -> tuple[str, Files] | None:
        """The commit of a revision."""
        name = self.commits[-1][0] if revision == "main" else self.tags.get(revision, revision)
        return next((one for one in self.commits if one[0] == name), None)

    @property
    def files(self) -> Files:
        """The files of the last commit."""
        return self.commits[-1][1]


@dataclass
class StandIn:
    """What the server knows, and how it is to fail.

    Attributes:
        cut: send no more than so many bytes of any file, then hang up.
        broken: answer as a captive portal does.
        fails: end of the path of requests that are answered with status 500.
        held: end of the path of a request that waits until ``release`` is set.
        asked: method, path and Range of each request.
    """

    repos: dict[str, Repo] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    cut: int | None = None
    broken: bool = False
    fails: str = ""
    held: str = ""
    release: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    address: str = ""


class Handler(BaseHTTPRequestHandler):
    hub: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answered()

    def do_HEAD(self) -> None:
        self._answered()

    def do_POST(self) -> None:
        self._answered()

    def do_PUT(self) -> None:
        self._answered()

    def _answered(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.hub.broken:
            self._say(200, b"<html>a captive portal</html>", {"Content-Type": "text/html"})
        elif self.hub.fails and path.endswith(self.hub.fails):
            self._refuse(500, "")
        elif self.command == "PUT":
            self.hub.blobs[hashlib.sha256(body).hexdigest()] = body
            self._json({})
        elif self.command == "POST":
            self._posted(path, body)
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+)|/tree/([^/]+))?", path):
            self._info(found[1], found[2] or found[3] or "main", tree=bool(found[3]))
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(*found.groups())
        else:
            self._refuse(404, "")

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _repo(self, name: str) -> Repo | None:
        """A repository that whoever asks may see."""
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and self._token() != WRITER):
            self._refuse(404 if self._token() else 401, "RepoNotFound")
            return None
        return repo

    def _info(self, name: str, revision: str, *, tree: bool) -> None:
        if (repo := self._repo(name)) is None:
            return
        if (found := repo.at(revision)) is None:
            self._refuse(404, "RevisionNotFound")
        elif tree:
            self._json([{"type": "file", "path": path, "size": len(data), "oid": "0" * 40}
                        for path, data in found[1].items()])  # fmt: skip
        else:
            names = [{"rfilename": path} for path in found[1]]
            self._json({"id": name, "sha": found[0], "private": repo.private, "siblings": names, "tags": []})

    def _file(self, name: str, revision: str, path: str) -> None:
        if (repo := self._repo(name)) is None:
            return
        if (found := repo.at(revision)) is None:
            return self._refuse(404, "RevisionNotFound")
        if (data := found[1].get(path)) is None:
            return self._refuse(404, "EntryNotFound")
        if self.command == "GET" and self.hub.held and path == self.hub.held:
            self.hub.release.wait(60)
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": found[0]}
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._say(206 if start else 200, data[start:], headers, most=self.hub.cut)

    def _posted(self, path: str, body: bytes) -> None:
        if path == "/api/validate-yaml":
            return self._json({"warnings": [], "errors": []})
        if not self._token():
            return self._refuse(401, "")
        if self._token() != WRITER:
            return self._refuse(403, "")
        if path == "/api/repos/create":
            return self._created(json.loads(body))
        if path.endswith("/info/lfs/objects/batch"):
            return self._lfs(json.loads(body))
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", path)
        if found is None or (repo := self._repo(found[1])) is None:
            return None
        if found[2] == "preupload":
            files = [{"path": one["path"], "uploadMode": "lfs" if one["size"] > 10_000 else "regular",
                      "shouldIgnore": False} for one in json.loads(body)["files"]]  # fmt: skip
            return self._json({"files": files})
        return self._committed(repo, found[1], [json.loads(line) for line in body.splitlines()])

    def _created(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{self.hub.address}/{name}"}
        if name in self.hub.repos:
            return self._json(url, 409)
        made = self.hub.repos[name] = Repo(private=asked.get("visibility") == "private")
        made.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        return self._json(url)

    def _lfs(self, asked: dict[str, Any]) -> None:
        def entry(one: dict[str, Any]) -> dict[str, Any]:
            there = one["oid"] in self.hub.blobs
            href = {"upload": {"href": f"{self.hub.address}/upload/{one['oid']}"}}
            return {**one, **({} if there else {"actions": href})}

        self._json({"transfer": "basic", "objects": [entry(one) for one in asked["objects"]]})

    def _committed(self, repo: Repo, name: str, lines: list[dict[str, Any]]) -> None:
        files = dict(repo.files)
        for line in lines:
            value = line["value"]
            if (
                line["key"] == "header"
                and value.get("parentCommit", repo.commits[-1][0]) != repo.commits[-1][0]
            ):
                return self._refuse(412, "")
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        commit = repo.commit(files)
        return self._json({"commitUrl": f"{self.hub.address}/{name}/commit/{commit}", "commitOid": commit})

    def _json(self, document: Any, status: int = 200) -> None:
        self._say(status, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str) -> None:
        self._say(
            status, b"{}", {"Content-Type": "application/json", **({"X-Error-Code": code} if code else {})}
        )

    def _say(self, status: int, data: bytes, headers: dict[str, str], most: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data if most is None else data[:most])
            if most is not None and most < len(data):
                self.close_connection = True


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Serve on a free port of loopback."""
    hub = StandIn()
    handler = type("Bound", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
