"""Measure requests per second of ``hifa serve``: POST /v1/search by several clients at once, in one run.

    python benchmarks/serve.py GALLERY PHOTO [--seconds 10] [--clients 1,8,64]

Each client sends the photo again once it has its answer; one that is told to come back (503) waits 20 ms.
"""

import argparse
import http.client
import threading
import time
from pathlib import Path

from hifa_cli.config import ServeConfig
from hifa_cli.web.app import App
from hifa_cli.web.server import make_server


def rate(port: int, path: str, photo: bytes, clients: int, seconds: float) -> tuple[float, int]:
    """Return answers per second, and how often a client was told to come back."""
    end = time.monotonic() + seconds
    answers, refusals = [0] * clients, [0] * clients

    def asking(me: int) -> None:
        while time.monotonic() < end:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request("POST", path, photo)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            if answer.status == 503:
                refusals[me] += 1
                time.sleep(0.02)
            elif answer.status == 200:
                answers[me] += 1
            else:
                raise SystemExit(f"{path}: status {answer.status}")

    start = time.monotonic()
    threads = [threading.Thread(target=asking, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answers) / (time.monotonic() - start), sum(refusals)


def main() -> None:
    """Print a line for each number of clients."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gallery", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", default="1,8,64")
    given = parser.parse_args()
    photo = given.photo.read_bytes()
    with make_server(App(given.gallery, None, "cpu", ServeConfig(port=0))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = int(server.server_address[1])
        path = "/v1/search?top=10"
        rate(port, path, photo, 1, 1.0)  # warm
        for clients in map(int, given.clients.split(",")):
            found, refused = rate(port, path, photo, clients, given.seconds)
            print(f"{clients} clients: {found:.1f}/s ({refused} told to come back)", flush=True)
        server.shutdown()


if __name__ == "__main__":
    main()
