"""Programs get what the command prints, from one address that says what it takes."""

import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import hifa_cli
from hifa_cli.config import IndexConfig, ServeConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import update as curate
from hifa_cli.web.app import App
from hifa_cli.web.batches import Batches
from tests.cli.test_cli import hifa
from tests.web.conftest import ask, form, running, serving

TOKEN = "a-token-of-the-tests"
PHOTO = "photos/bars/0.png"


@pytest.fixture(scope="module")
def served(world: Path) -> Iterator[int]:
    with serving(world / "g", upload=100_000) as port:
        yield port


def client(port: int, **options: Any) -> hifa_cli.Client:
    return hifa_cli.Client(f"http://127.0.0.1:{port}", **options)


def same(found: Any, wanted: Any) -> bool:
    """Compare documents; numbers to the 1e-5 that a batch may change."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return bool(found == pytest.approx(wanted, abs=1e-5)) if isinstance(wanted, float) else found == wanted


def test_a_search_answers_what_the_command_prints(world: Path, served: int) -> None:
    photo = world / PHOTO
    options = ["--top", "2", "--where", "watertight", "--crop", "1,1,20,20", "--class", "rod"]
    _, out, _ = hifa("query", str(photo), "-g", str(world / "g"), "--json", *options)
    printed = json.loads(out)
    found = client(served).search(photo, top=2, where="watertight", crop="1,1,20,20", classes="rod")
    printed["results"][0]["query"] = found["results"][0]["query"]
    printed["results"][0].pop("class", None)  # the command knows it from the photo's folder
    printed.pop("metrics", None)
    assert same(found, printed)
    assert len(found["results"][0]["matches"]) == 2


def test_shapes_alone_may_be_the_query(served: int) -> None:
    found = client(served).search(like=["rod/1"], classes="rod")
    assert [one["shape"] for one in found["results"][0]["matches"]] == ["rod/2"]


def test_a_photo_among_others_that_cannot_be_read_is_named(world: Path, served: int) -> None:
    body, kind = form(("good.png", (world / PHOTO).read_bytes()), ("bad.png", b"no picture"))
    status, _, answer = ask(served, "POST", "/v1/search", body, Content_Type=kind)
    found = json.loads(answer)
    assert (status, found["queries"], found["failed"]) == (200, 2, 1)
    assert [one["query"] for one in found["results"]] == ["good.png", "bad.png"]
    assert "error" in found["results"][1]


def test_a_shape_its_mesh_and_its_picture_can_be_had(world: Path, served: int) -> None:
    about = client(served).shape("rod/1")
    assert (about["class"], about["fields"]["faces"]) == ("rod", about["fields"]["faces"])
    assert about["fields"]["watertight"] is True
    assert about["mesh"] == "/v1/shapes/rod%2F1/mesh"
    assert client(served).mesh("rod/1") == (world / "meshes/rod/1.off").read_bytes()
    assert client(served).thumbnail("rod/1").startswith(b"\x89PNG")


def test_the_gallery_is_described_and_its_shapes_are_listed_by_a_condition(served: int) -> None:
    about = json.loads(ask(served, "GET", "/v1/gallery")[2])
    assert (about["shapes"], about["text"], about["most"]) == (3, False, 100)
    found = client(served).shapes(where="watertight", classes="rod", top=1, offset=1)
    assert (found["count"], [one["shape"] for one in found["shapes"]]) == (2, ["rod/2"])
    assert client(served).gallery() == about


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/v1/search", b"no picture", {}, 422),
        ("POST", "/v1/search", b"", {}, 422),
        ("POST", "/v1/search?top=0", b"x", {}, 422),
        ("POST", "/v1/search?top=101", b"x", {}, 422),
        ("POST", "/v1/search?like=rod/1&where=size%20%3C%203", b"", {}, 422),
        ("POST", "/v1/search?text_weight=2", b"x", {}, 422),
        ("POST", "/v1/search", b"x" * 100_001, {}, 413),
        ("POST", "/v1/search", b"x", {"Origin": "http://evil.example"}, 403),
        ("POST", "/v1/search", b"x", {"Host": "evil.example"}, 421),
        ("POST", "/v1/shapes/rod%2F1", b"x", {}, 405),
        ("GET", "/v1/search", None, {}, 405),
        ("GET", "/v1/shapes/nope", None, {}, 404),
        ("GET", "/v1/shapes/..%2F..%2Fgallery.json/mesh", None, {}, 404),
        ("GET", "/v1/shapes/rod/1", None, {}, 404),
        ("GET", "/v1/nothing", None, {}, 404),
        ("GET", "/v1/shapes?where=size%20%3C%203", None, {}, 422),
        ("GET", "/v1/shapes?top=101", None, {}, 422),
        ("GET", "/v1/shapes?offset=-1", None, {}, 422),
        ("GET", "/v1/shapes?like=rod/1", None, {}, 422),
        ("GET", "/v1/shapes/nope/views/0", None, {}, 404),
        ("GET", "/v1/shapes/rod%2F1/views/x", None, {}, 404),
        ("GET", "/v1/shapes/nope/preview", None, {}, 404),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_reason(
    method: str, path: str, body: bytes | None, headers: dict[str, str], status: int, served: int
) -> None:
    found, _, answer = ask(served, method, path, body, **headers)
    assert found == status
    assert json.loads(answer)["error"]


def test_a_token_guards_all_but_the_description(world: Path) -> None:
    with serving(world / "g", token=TOKEN) as port:
        for path in ("/v1/shapes/rod%2F1", "/metrics"):
            assert ask(port, "GET", path)[0] == 401
        assert ask(port, "POST", "/v1/search?like=rod/1", b"")[0] == 401
        assert client(port).health()["status"] == "ok"
        assert ask(port, "GET", "/openapi.json")[0] == 200
        assert client(port, token=TOKEN).shape("rod/1")["shape"] == "rod/1"
        with pytest.raises(HifaError, match="token is missing or wrong"):
            client(port).shape("rod/1")


def test_the_description_names_every_address_and_no_other(served: int) -> None:
    document = json.loads(ask(served, "GET", "/openapi.json")[2])
    assert document["openapi"] == "3.1.0"
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            asked = path.replace("{id}", quote("rod/1", safe="")).replace("{view}", "3")
            status, headers, _ = ask(served, method.upper(), asked, b"" if method == "post" else None)
            assert str(status) in about["responses"]
            if status == 200:
                assert headers["Content-Type"].partition(";")[0] in about["responses"]["200"]["content"]


def test_answers_are_counted_by_route_and_status(world: Path) -> None:
    with serving(world / "g") as port:
        client(port).search(world / PHOTO, top=1)
        ask(port, "GET", "/v1/shapes/one")
        ask(port, "GET", "/v1/shapes/two")
        text = ask(port, "GET", "/metrics")[2].decode()
    assert 'hifa_requests_total{route="/v1/search",status="200"} 1' in text
    assert 'hifa_requests_total{route="/v1/shapes/{id}",status="404"} 2' in text
    assert "hifa_search_seconds_count 1" in text
    assert "hifa_gallery_shapes 3" in text


def test_too_many_at_once_are_told_when_to_come_back(world: Path) -> None:
    app = App(world / "g", None, "cpu", ServeConfig(port=0, waiting=1))
    with running(app) as port, ThreadPoolExecutor(1) as threads:
        with app.lock:
            first = threads.submit(client(port).search, world / PHOTO, top=1)
            while not app._batches._waiting:
                threading.Event().wait(0.01)
            status, headers, _ = ask(port, "POST", "/v1/search?like=rod/1", b"")
        assert (status, headers["Retry-After"]) == (503, "1")
        assert first.result()["queries"] == 1


def test_photos_that_are_asked_for_at_once_are_encoded_together_and_answered_apart(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App(world / "g", None, "cpu", ServeConfig(port=0))
    sizes: list[int] = []
    encode = app.encoder.pictures

    def counted(pixels: Any) -> Any:
        sizes.append(len(pixels))
        return encode(pixels)

    monkeypatch.setattr(app.encoder, "pictures", counted)
    photos = [world / f"photos/{name}/0.png" for name in ("bars", "dots", "checks")]
    photos = [one for one in photos if one.exists()]
    wanted: list[dict[str, Any]] = [{"top": 3}, {"top": 2, "find": "part"}, {"top": 1}]  # of each its own
    with running(app) as port, ThreadPoolExecutor(8) as threads:
        alone = [client(port).search(one, **more) for one, more in zip(photos, wanted, strict=False)]
        sizes.clear()
        with app.lock:
            asked = [
                threads.submit(client(port).search, one, **more)
                for one, more in zip(photos, wanted, strict=False)
            ]
            broken = threads.submit(client(port).search, b"no picture", top=3)
            while sum(map(len, app._batches._waiting.values())) < len(photos):
                threading.Event().wait(0.01)
            with pytest.raises(HifaError, match="photo"):
                broken.result()  # at once: it never comes to the network
        together = [one.result() for one in asked]
    assert sizes == [len(photos)]
    assert all(map(same, together, alone))


def test_a_search_that_needs_no_network_does_not_wait_for_it(world: Path) -> None:
    app = App(world / "g", None, "cpu", ServeConfig(port=0))
    with running(app) as port, app.lock:
        assert client(port).search(like="rod/1", top=1)["queries"] == 1


def test_a_gallery_that_changes_is_answered_from_without_a_gap(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "g", tmp_path / "g")
    stop = threading.Event()
    seen: list[int] = []

    def asking(port: int) -> None:
        while not stop.is_set():
            seen.append(len(client(port).search(world / PHOTO, top=9)["results"][0]["matches"]))

    with serving(tmp_path / "g") as port, ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(asking, port) for _ in range(2)]
        curate.remove(tmp_path / "g", ["rod/2"], IndexConfig())
        while 2 not in seen[-4:]:
            threading.Event().wait(0.01)
        stop.set()
        for one in asked:
            one.result()  # no search failed
        assert len(client(port).search(world / PHOTO, top=9)["results"][0]["matches"]) == 2
    assert set(seen) <= {2, 3}


def test_an_error_of_the_work_reaches_everybody_who_waits_and_nobody_else() -> None:
    def work(key: Any, asked: Any) -> list[Any]:
        if key == "bad":
            raise ValueError("bad")
        return [2 * one for one in asked]

    batches: Batches[str, int, int] = Batches(work, threading.Lock(), 2)
    assert [batches.ask("good", one) for one in (1, 2, 3)] == [2, 4, 6]
    with pytest.raises(ValueError, match="bad"):
        batches.ask("bad", 1)
    assert batches.ask("good", 4) == 8


def test_a_crowd_that_comes_at_once_is_answered_or_told_to_come_back(world: Path) -> None:
    with serving(world / "g") as port, ThreadPoolExecutor(64) as threads:
        asked = [threads.submit(ask, port, "POST", "/v1/search?like=rod/1", b"") for _ in range(192)]
        statuses = {one.result()[0] for one in asked}
    assert 200 in statuses
    assert statuses <= {200, 503}


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(HifaError, match="is 'hifa serve' running"):
        client(9).health()
    with pytest.raises(HifaError, match="not the address of a server"):
        hifa_cli.Client("127.0.0.1:8321")
