"""The server on real sockets: names, token, headers, limits, meshes, and how it starts."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from hifa_cli.config import ServeConfig
from hifa_cli.errors import HifaError
from hifa_cli.web import access
from hifa_cli.web.app import App
from hifa_cli.web.server import make_server
from tests.cli.test_cli import hifa
from tests.web.conftest import ask, form, running, serving

TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def served(world: Path) -> Iterator[int]:
    with serving(world / "g", upload=100_000) as port:
        yield port


def photo(world: Path) -> bytes:
    return (world / "photos/bars/0.png").read_bytes()


def test_the_page_comes_with_headers_that_guard_it(served: int) -> None:
    status, headers, page = ask(served, "GET", "/")
    assert status == 200
    assert b"Choose photos" in page
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


def test_bytes_and_a_form_are_answered_alike(world: Path, served: int) -> None:
    status, headers, plain = ask(served, "POST", "/v1/search?top=2", photo(world))
    assert status == 200
    assert headers["X-Frame-Options"] == "DENY"
    body, kind = form(("bars.png", photo(world)), top="2")
    status, _, formed = ask(served, "POST", "/v1/search", body, Content_Type=kind)
    assert status == 200
    one, other = json.loads(plain), json.loads(formed)
    assert one["results"][0]["matches"] == other["results"][0]["matches"]
    assert len(one["results"][0]["matches"]) == 2
    assert other["results"][0]["query"] == "bars.png"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/../../etc/passwd", None, {}, 404),
        ("GET", "/gallery.json", None, {}, 404),
        ("GET", "/", None, {"Host": "evil.example"}, 421),
        ("GET", "/v1/shapes/rod%2F1/mesh", None, {"Host": "evil.example"}, 421),
        ("POST", "/v1/search", b"x", {"Host": "evil.example"}, 421),
        ("POST", "/v1/search", b"x", {"Origin": "http://evil.example"}, 403),
        ("POST", "/query", b"x", {}, 404),
        ("POST", "/v1/search", b"no picture", {}, 422),
        ("POST", "/v1/search", b"", {}, 422),
        ("POST", "/v1/search", b"x" * 100_001, {}, 413),
        ("POST", "/v1/search?crop=9", b"x", {}, 422),
        ("POST", "/v1/search?class=sofa", b"x", {}, 422),
        ("GET", "/v1/shapes/nope/mesh", None, {}, 404),
        ("GET", "/v1/shapes/..%2F..%2Fgallery.json/mesh", None, {}, 404),
    ],
)
def test_anything_else_is_refused_in_words(
    method: str, path: str, body: bytes | None, headers: dict[str, str], status: int, served: int
) -> None:
    found, _, said = ask(served, method, path, body, **headers)
    assert found == status
    assert json.loads(said)["error"]
    assert b"/tmp" not in said


def test_a_page_behind_a_proxy_may_ask_by_the_name_that_is_allowed(world: Path) -> None:
    with serving(world / "g", allow_hosts=("shapes.example",)) as port:
        for origin, status in (("https://shapes.example", 200), ("https://evil.example", 403), ("null", 403)):
            assert ask(port, "POST", "/v1/search?like=rod/1", b"", Origin=origin)[0] == status


def test_a_refused_name_is_told_how_to_be_allowed(served: int, world: Path) -> None:
    _, _, said = ask(served, "GET", "/", Host="shapes.example:8321")
    assert "start it with --allow-host shapes.example" in json.loads(said)["error"]
    with serving(world / "g", allow_hosts=("shapes.example",)) as port:
        assert ask(port, "GET", "/", Host="shapes.example:8321")[0] == 200


def test_bound_to_every_address_it_answers_by_address_and_name_but_no_stranger(world: Path) -> None:
    with serving(world / "g", host="0.0.0.0") as port:
        for host in ("10.1.2.3:8321", f"{access.own_names()[0]}:{port}", f"localhost:{port}"):
            assert ask(port, "GET", "/", Host=host)[0] == 200
        assert ask(port, "GET", "/", Host="evil.example")[0] == 421


def test_it_serves_on_ipv6_loopback(world: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("NO IPv6 on this machine")
    with serving(world / "g", host="::1") as port:
        assert ask(port, "GET", "/", to="::1")[0] == 200
        assert ask(port, "GET", "/", to="::1", Host="evil.example")[0] == 421


@pytest.mark.parametrize(
    ("host", "remedy"),
    [("203.0.113.7", "this machine has no such address"), ("no-such-host.invalid", "no such address")],
)
def test_a_host_that_cannot_be_bound_gets_the_right_remedy(host: str, remedy: str, world: Path) -> None:
    app = App(world / "g", None, "cpu", ServeConfig(host=host, port=0))
    with pytest.raises(HifaError, match=remedy):
        make_server(app)


def test_a_taken_port_gets_the_right_remedy(world: Path, served: int) -> None:
    with pytest.raises(HifaError, match="choose another --port, or 0"):
        make_server(App(world / "g", None, "cpu", ServeConfig(port=served)))


def test_without_the_token_there_is_only_the_question_for_it(world: Path) -> None:
    with serving(world / "g", token=TOKEN) as port:
        status, headers, page = ask(port, "GET", "/")
        assert (status, b'name="token"' in page) == (401, True)
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert b"rod" not in page
        assert ask(port, "GET", "/?token=wrong")[0] == 401
        assert ask(port, "GET", "/v1/shapes/rod%2F1/mesh")[0] == 401
        assert ask(port, "POST", "/v1/search", photo(world))[0] == 401
        assert ask(port, "POST", "/v1/search?token=" + TOKEN, photo(world))[0] == 401


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(world: Path) -> None:
    with serving(world / "g", token=TOKEN) as port:
        status, headers, _ = ask(port, "GET", f"/?token={TOKEN}")
        assert (status, headers["Location"]) == (303, "./")
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        shown = cookie.partition(";")[0]
        assert b"Choose photos" in ask(port, "GET", "/", Cookie=shown)[2]
        assert ask(port, "POST", "/v1/search", photo(world), Cookie=shown)[0] == 200
        bearer = f"Bearer {TOKEN}"
        assert ask(port, "POST", "/v1/search", photo(world), Authorization=bearer)[0] == 200


def test_a_mesh_is_downloaded_as_it_is(world: Path, served: int) -> None:
    status, headers, content = ask(served, "GET", "/v1/shapes/rod%2F2/mesh")
    assert status == 200
    assert content == (world / "meshes/rod/2.off").read_bytes()
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''2.off"


def test_too_many_queries_at_once_are_sent_away(world: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(App):
        def search(self, *args: object, **more: object) -> dict[str, object]:
            entered.set()
            assert leave.wait(30)
            return {}

    with running(Slow(world / "g", None, "cpu", ServeConfig(port=0, waiting=1))) as port:
        first = threading.Thread(target=ask, args=(port, "POST", "/v1/search", b"x"))
        first.start()
        assert entered.wait(30)
        assert ask(port, "POST", "/v1/search", b"x")[0] == 503
        leave.set()
        first.join()
        assert ask(port, "POST", "/v1/search", b"x")[0] == 200


def test_a_fault_of_ours_is_told_and_the_server_goes_on(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(App):
        def search(self, *args: object, **more: object) -> dict[str, object]:
            raise RuntimeError("a bug")

    with running(Broken(world / "g", None, "cpu", ServeConfig(port=0))) as port:
        status, _, answer = ask(port, "POST", "/v1/search", b"x")
        assert status == 500
        assert b"a bug" not in answer
        assert ask(port, "GET", "/")[0] == 200
    said, start = "", time.monotonic()
    while "RuntimeError: a bug" not in said and time.monotonic() < start + 10:  # after the answer
        time.sleep(0.02)
        said += capsys.readouterr().err
    assert "RuntimeError: a bug" in said


def test_a_client_that_leaves_in_the_middle_makes_no_noise(
    world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(world / "g") as port:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(
                    b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\nxx"
                )
        assert ask(port, "GET", "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_the_command_prints_the_address_and_warns_those_who_let_others_in(world: Path) -> None:
    words = [sys.executable, "-m", "hifa_cli", "serve", str(world / "g"), "--port", "0"]
    with subprocess.Popen(
        [*words, "--host", "0.0.0.0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        port = int(address.rpartition(":")[2].strip("/"))
        assert address == f"http://127.0.0.1:{port}/"
        assert ask(port, "GET", "/", Host="192.0.2.8")[0] == 200
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert "the page has no password" in said
    assert access.own_names()[0] in said
    assert process.returncode == 130


def test_the_environment_and_the_current_folder_set_nothing(world: Path, tmp_path: Path) -> None:
    """uvicorn can be set by variables and a file; libraries of its could lie in the folder."""
    (tmp_path / ".env").write_text("UVICORN_PORT=1\nWEB_CONCURRENCY=4\n")
    for name in ("uvicorn", "starlette", "h11", "anyio", "click", "python_multipart", "idna"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('code of the current folder ran')\n")
    hostile = {"WEB_CONCURRENCY": "many", "FORWARDED_ALLOW_IPS": "*", "UVICORN_PORT": "1",
               "UVICORN_LOG_LEVEL": "trace", "UVICORN_ROOT_PATH": "/elsewhere"}  # fmt: skip
    words = [sys.executable, "-m", "hifa_cli", "serve", str(world / "g"), "--port", "0", "--quiet"]
    environment = {**os.environ, **hostile, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().strip().rpartition(":")[2].strip("/"))
        assert ask(port, "GET", "/health")[0] == 200
        assert b"HTTP/1.1 400 " in raw(port, b"no HTTP\r\n\r\n")
        process.send_signal(signal.SIGTERM)
        rest, said = process.communicate(timeout=30)
    assert (rest, said, process.returncode) == ("", "", 128 + signal.SIGTERM)


def test_a_query_that_is_being_answered_is_answered_before_the_server_stops(world: Path) -> None:
    entered = threading.Event()

    class Slow(App):
        def search(self, *args: object, **more: object) -> dict[str, object]:
            entered.set()
            time.sleep(0.5)
            return {}

    with ThreadPoolExecutor(1) as threads:
        with running(Slow(world / "g", None, "cpu", ServeConfig(port=0))) as port:
            asked = threads.submit(ask, port, "POST", "/v1/search", b"x")
            assert entered.wait(30)
        assert asked.result()[0] == 200


def test_work_that_does_not_end_does_not_keep_the_process(world: Path) -> None:
    script = (
        "import os, sys, time\n"
        "from hifa_cli.cli import main\n"
        "from hifa_cli.web import app, server\n"
        "server._GRACE = 1\n"
        "app.App.search = lambda *args, **more: (os.write(1, b'in\\n'), time.sleep(600))\n"
        f"sys.argv = ['hifa', 'serve', {str(world / 'g')!r}, '--port', '0', '--quiet']\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().strip().rpartition(":")[2].strip("/"))
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(b"POST /v1/search HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\nx")
            assert process.stdout.readline() == "in\n"
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert (said, process.returncode) == ("stopped\n", 130)


def test_a_weak_token_is_refused_by_the_command(world: Path) -> None:
    code, _, err = hifa("serve", world / "g", "--token", "1234")
    assert code == 1
    assert "at least 12 letters" in err


def raw(port: int, *requests: bytes) -> bytes:
    """Send bytes as they are, and return all that comes back until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"".join(requests))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


HOST = b"Host: localhost\r\n"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (
            b"GET /health HTTP/1.1\r\n%sContent-Length: \xb2\r\n",
            400,
        ),  # a digit to str.isdigit, no number to int
        (b"POST /v1/search HTTP/1.1\r\n%sContent-Length: " + b"9" * 5000 + b"\r\n", 400),
        (b"POST /v1/search HTTP/1.1\r\n%sContent-Length: 3\r\nContent-Length: 4\r\n", 400),
        (b"POST /v1/search HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n", 411),
        (b"POST /v1/search HTTP/1.1\r\n%s", 411),
        (b"GET http://[ HTTP/1.1\r\n%s", 400),
        (b"POST /v1/search?like=rod/1 HTTP/1.1\r\n%sContent-Length: 0\r\nOrigin: http://[\r\n", 403),
        (b"GET /health HTTP/7.x\r\n%s", 400),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n%s", 414),
        (b"GET /health HTTP/1.1\r\n%s" + 200 * b"A: b\r\n", 431),
        (b"QUERY /v1/search HTTP/1.1\r\n%s", 405),
        (b"PUT /health HTTP/1.1\r\n%s", 405),
        (b"DELETE / HTTP/1.1\r\n%s", 405),
        (b"POST /v1/nothing HTTP/1.1\r\n%s", 404),
    ],
)
def test_what_is_no_request_is_refused_as_everything_else_is(head: bytes, status: int, served: int) -> None:
    answer = raw(served, head.replace(b"%s", HOST) + b"\r\n")
    first, _, rest = answer.partition(b"\r\n")
    assert first.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    headers, _, body = rest.partition(b"\r\n\r\n")
    assert json.loads(body)["error"]
    assert b"X-Content-Type-Options: nosniff" in headers
    assert (b"\r\nAllow: " in headers) == (status == 405)


def test_a_connection_is_kept_and_its_answers_do_not_mix(served: int) -> None:
    hidden = b"GET /nothing HTTP/1.1\r\n%s\r\n" % HOST
    answers = raw(
        served,
        b"POST /health HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (HOST, len(hidden), hidden),
        b"HEAD /health HTTP/1.1\r\n%s\r\n" % HOST,
        b"GET /health HTTP/1.1\r\n%s\r\n" % HOST,
    )
    statuses = re.findall(rb"HTTP/1.1 (\d+)", answers)
    assert statuses == [b"405", b"200", b"200"]  # the body of the first is not a request
    assert answers.count(b'"status": "ok"') == 1  # HEAD has no body


def test_a_server_that_stops_answers_no_kept_connection(world: Path) -> None:
    with serving(world / "g") as port:
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        kept.request("GET", "/health")
        assert kept.getresponse().read()
    kept.auto_open = 0  # a new connection would be refused anyway

    def again() -> None:
        kept.request("GET", "/health")
        kept.getresponse().read()

    with closing(kept), pytest.raises((http.client.HTTPException, OSError)):
        again()


def test_a_large_photo_is_sent_at_once_by_those_who_ask_first(served: int) -> None:
    with socket.create_connection(("127.0.0.1", served), timeout=5) as connection:
        connection.sendall(
            b"POST /v1/search HTTP/1.1\r\n%sContent-Length: 5\r\nExpect: 100-continue\r\n\r\n" % HOST
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
