"""Hostile clients hold little, for a bounded time, and are answered in words: on real sockets."""

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from hifa_cli.config import ServeConfig
from hifa_cli.render.workers import resident_memory
from hifa_cli.web import connection, exchange
from hifa_cli.web.app import App
from tests.web.conftest import ask, running, serving

HOST = b"Host: localhost\r\n"
PATIENCE = 1.0
UPLOAD = 100_000


@pytest.fixture(scope="module")
def served(world: Path) -> Iterator[int]:
    with serving(world / "g", upload=UPLOAD) as port:
        yield port


@pytest.fixture
def hasty(served: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """The server, waiting for a second where it waits for a minute."""
    monkeypatch.setattr(exchange, "PATIENCE", PATIENCE)
    monkeypatch.setattr(connection.Connection, "patience", PATIENCE)
    return served


def joined(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def rest(client: socket.socket) -> bytes:
    """All that comes until the server closes; nothing where it resets the connection."""
    answer = b""
    with suppress(ConnectionError):
        while part := client.recv(65536):
            answer += part
    return answer


def dripped(client: socket.socket, piece: bytes) -> float:
    """Send a piece again and again until the server closes; the seconds that it took."""
    began = time.monotonic()
    with suppress(OSError):
        while time.monotonic() < began + 20:
            client.sendall(piece)
            client.settimeout(0.1)
            with suppress(TimeoutError):
                if not client.recv(65536):
                    break
    return time.monotonic() - began


@pytest.mark.parametrize(
    "head", [b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: "], ids=["none", "part"]
)
def test_a_head_that_does_not_come_to_its_end_is_not_waited_for(head: bytes, hasty: int) -> None:
    with joined(hasty) as client:
        client.sendall(head)
        assert dripped(client, b"x" if head else b"") < 10
    assert ask(hasty, "GET", "/health")[0] == 200


def test_a_kept_connection_is_not_waited_for_either(hasty: int) -> None:
    with joined(hasty) as client:
        client.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        assert dripped(client, b"G") < 10


@pytest.mark.parametrize("path", [b"/v1/search", b"/health"])
def test_a_slow_body_is_cut_off_with_a_reason(path: bytes, hasty: int) -> None:
    with joined(hasty) as client:
        client.sendall(b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 90000\r\n\r\n")
        began, answer = time.monotonic(), b""
        client.settimeout(0.05)
        while b"}" not in answer and time.monotonic() < began + 10:
            with suppress(TimeoutError):
                client.sendall(b"x")
                answer += client.recv(65536)
    assert re.match(rb"HTTP/1.1 40[58] ", answer)
    assert b"\r\nConnection: close" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_a_fast_body_is_waited_for_as_long_as_it_comes(world: Path, hasty: int) -> None:
    content = (world / "photos/bars/0.png").read_bytes() + bytes(
        40_000
    )  # what follows a PNG counts for nothing
    with joined(hasty) as client:
        client.sendall(b"POST /v1/search HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(content))
        for start in range(0, len(content), 4000):
            client.sendall(content[start : start + 4000])
            time.sleep(2.4 * PATIENCE * 4000 / len(content))
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_places_are_free_again_after_slow_bodies(world: Path, hasty: int) -> None:
    head = b"POST /v1/search HTTP/1.1\r\n" + HOST + b"Content-Length: 9000\r\n\r\nxx"
    with ExitStack() as clients:
        for _ in range(ServeConfig.waiting):
            clients.enter_context(joined(hasty)).sendall(head)
        deadline = time.monotonic() + 15
        statuses = []
        while time.monotonic() < deadline and 200 not in statuses:
            statuses.append(ask(hasty, "POST", "/v1/search?like=rod/1", b"")[0])
            time.sleep(0.02)
    assert (statuses[0], statuses[-1]) == (503, 200)


def test_chunks_without_end_are_refused_at_once(served: int) -> None:
    began = time.monotonic()
    with joined(served) as client:
        client.sendall(
            b"POST /v1/search HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        )
        answer = rest(client)
    assert answer.startswith(b"HTTP/1.1 411 ")
    assert time.monotonic() - began < 10


def test_a_client_that_does_not_read_its_answer_is_left(
    world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connection.Connection, "patience", PATIENCE)
    large = tmp_path / "large.off"
    with large.open("wb") as file:
        file.truncate(200_000_000)
    monkeypatch.setattr("hifa_cli.web.v1.mesh_of", lambda gallery, shape: large)
    with serving(world / "g") as port, ExitStack() as clients:
        before = resident_memory(os.getpid())
        for _ in range(5):
            client = clients.enter_context(joined(port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /v1/shapes/rod%2F1/mesh HTTP/1.1\r\n" + HOST + b"\r\n")
        deadline = time.monotonic() + 10
        while len(open_files(large)) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert resident_memory(os.getpid()) - before < 30e6
        while open_files(large) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not open_files(large)


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection_without_noise(
    world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    large = tmp_path / "large.off"
    with large.open("wb") as file:
        file.truncate(50_000_000)
    monkeypatch.setattr("hifa_cli.web.v1.mesh_of", lambda gallery, shape: large)
    with serving(world / "g") as port, joined(port) as client:
        client.sendall(b"GET /v1/shapes/rod%2F1/mesh HTTP/1.1\r\n" + HOST + b"\r\n")
        assert b"Content-Length: 50000000" in client.recv(65536)
        os.truncate(large, 8_000_000)
        assert len(rest(client)) < 10_000_000
        assert ask(port, "GET", "/health")[0] == 200
    assert capfd.readouterr().err == ""


def open_files(path: Path) -> list[str]:
    found = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += [one.name] if one.readlink() == path else []
    return found


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 200),
        (b"TRACE /health HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"GET /health HTTP/2.0\r\n" + HOST + b"\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: \r\n\r\n", 421),
        (b"GET /health HTTP/1.1\r\n" + HOST + b"A\0B: c\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\n" + HOST + b"A: " + b"x" * 200_000 + b"\r\n\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n", 400),  # TLS
        (b"GET /v1/shapes/x/views/" + b"9" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    ],
)
def test_what_is_odd_is_answered_in_words_and_with_the_guarding_headers(
    sent: bytes, status: int, served: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with joined(served) as client:
        client.sendall(sent)
        with suppress(OSError):  # it may be closed already
            client.shutdown(socket.SHUT_WR)
        answer = rest(client)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert b"X-Content-Type-Options: nosniff" in head
    assert b"frame-ancestors 'none'" in head
    assert status == 200 or json.loads(body)["error"]
    assert capfd.readouterr().err == ""


def test_a_client_that_has_sent_all_may_close_its_half(world: Path, served: int) -> None:
    content = (world / "photos/bars/0.png").read_bytes()
    with joined(served) as client:
        client.sendall(b"POST /v1/search HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(content))
        client.sendall(content)
        client.shutdown(socket.SHUT_WR)
        assert rest(client).startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_one_after_the_other(served: int) -> None:
    one = b"GET /v1/shapes/rod%2F1 HTTP/1.1\r\n" + HOST + b"\r\n"
    with joined(served) as client:
        client.sendall(200 * one)
        client.shutdown(socket.SHUT_WR)
        answers = rest(client)
    assert answers.count(b"HTTP/1.1 200 OK") == 200
    assert answers.count(b'"shape": "rod/1"') == 200


def test_more_connections_than_there_may_be_are_closed_and_memory_stays(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST", 20)
    with serving(world / "g") as port, ExitStack() as clients:
        assert ask(port, "GET", "/health")[0] == 200
        before = resident_memory(os.getpid())
        many = [clients.enter_context(joined(port)) for _ in range(60)]
        for client in many:
            with suppress(ConnectionError):
                client.sendall(b"GET /health HTTP/1.1\r\nX: " + b"x" * 60_000)
        closed = sum(is_closed(client) for client in many)
        assert 40 <= closed <= 41
        assert resident_memory(os.getpid()) - before < 30e6


def is_closed(client: socket.socket) -> bool:
    client.settimeout(0.05)
    try:
        return not client.recv(1)
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_the_server_answers_its_health_while_every_place_is_taken(world: Path) -> None:
    entered, leave = threading.Semaphore(0), threading.Event()

    class Slow(App):
        def search(self, *args: object, **more: object) -> dict[str, object]:
            entered.release()
            assert leave.wait(30)
            return {}

    with running(Slow(world / "g", None, "cpu", ServeConfig(port=0))) as port:
        asking = [
            threading.Thread(target=ask, args=(port, "POST", "/v1/search", b"x"))
            for _ in range(ServeConfig.waiting)
        ]
        for one in asking:
            one.start()
        for _ in asking:
            assert entered.acquire(timeout=30)
        assert ask(port, "POST", "/v1/search", b"x")[0] == 503
        assert ask(port, "GET", "/health")[0] == 200
        assert ask(port, "GET", "/v1/shapes/rod%2F1")[0] == 200
        leave.set()
        for one in asking:
            one.join()
