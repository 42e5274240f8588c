"""A gallery of three meshes with its photos, and the page's server on loopback."""

import http.client
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from hifa_cli.config import IndexConfig, ModelConfig, RankingConfig, RenderConfig, ServeConfig
from hifa_cli.embeddings.extract import frozen_encoder
from hifa_cli.gallery.build import build_gallery
from hifa_cli.gallery.ranking import ranking_document
from hifa_cli.models.network import save_network
from hifa_cli.web.app import App
from hifa_cli.web.server import make_server
from tests.cli.test_cli import hifa
from tests.conftest import write_photos
from tests.gallery.test_update import write_mesh

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``photos`` (three classes), ``meshes`` (box/1, rod/1, rod/2), ``run`` and the gallery ``g``."""
    root = tmp_path_factory.mktemp("page")
    for name, kind in (("box/1", "box"), ("rod/1", "rod"), ("rod/2", "rod")):
        write_mesh(root / "meshes" / f"{name}.off", 1.0 + int(name[-1]), kind=kind)
    write_photos(root / "photos", each=2)
    config = ModelConfig(backbone="test_resnet", embedding=8, size=32, resize=32)
    save_network(frozen_encoder(CPU, config, "none").network, root / "run", method="x", hifa_version="0")
    build_gallery(
        root / "meshes", root / "g", model=root / "run", split=None, index_config=IndexConfig(),
        render_config=RenderConfig(), workers=1, device=CPU, force=False)  # fmt: skip
    return root


@pytest.fixture(scope="session")
def worded(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a gallery of an encoder that knows words, with random weights."""
    pytest.importorskip("open_clip", reason="NO open_clip: words are not looked for")
    folder = tmp_path_factory.mktemp("worded") / "g"
    words = (
        "--backbone",
        "openclip/ViT-S-32",
        "--weights",
        "none",
        "--size",
        "64",
        "--workers",
        "1",
        "--quiet",
    )
    code, _, err = hifa("index", world / "meshes", "--out", folder, *words)
    assert code == 0, err
    return folder


@contextmanager
def serving(gallery: Path, **settings: Any) -> Iterator[int]:
    """Serve a gallery on loopback; yields the port."""
    app = App(gallery, None, "cpu", ServeConfig(**{"port": 0, **settings}))
    with running(app) as port:
        yield port


@contextmanager
def running(app: App) -> Iterator[int]:
    """Serve an app; yields the port."""
    with make_server(app) as server:
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield server.port
        finally:
            server.stop()
            thread.join()


def ask(
    port: int, method: str, path: str, body: bytes | None = None, *, to: str = "127.0.0.1", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Send one request to a real socket; ``Content_Type`` is the header ``Content-Type``."""
    connection = http.client.HTTPConnection(to, port, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def form(*photos: tuple[str, bytes], **fields: str | list[str]) -> tuple[bytes, str]:
    """Return a form as browsers send it, and its content type."""
    mark = "----hifaTest"
    parts = []
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            parts.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode())
    for name, content in photos:
        head = f'Content-Disposition: form-data; name="photo"; filename="{name}"\r\n'
        head += "Content-Type: image/png\r\n\r\n"
        parts.append(head.encode() + content)
    body = b"".join(b"--" + mark.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return body + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


def ranked_gallery(source: Path, target: Path) -> None:
    """Copy a gallery, as one that ranks by more than cosines."""
    shutil.copytree(source, target)
    main = target / "gallery.json"
    document = json.loads(main.read_text())
    ranking = {**ranking_document(RankingConfig(project=False), document["model"]), "graph": 0}
    main.write_text(json.dumps({**document, "ranking": ranking}))
