"""Measure requests per second of ``hifa serve``: POST /v1/search by several clients at once, in one run.

    python benchmarks/serve.py [GALLERY PHOTO] [--seconds 10] [--clients 1,8,64] [--rounds 3] [--old CHECKOUT]

Without a gallery one of 1,000 shapes is made up, as benchmarks/query.py makes it. The rival is
``hifa query``, a process a photo.
Each client sends the photo again once it has its answer; one that is told to come back (503) waits 20 ms.
Server and clients are processes of their own. ``--old`` names the checkout of another version, whose server
takes turns with this one's; the ratio is of the medians. "CPU ms" is the server's own CPU time for
an answer, which other work on the machine changes little (Linux).
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from query import cold, made_up  # beside this script

ROOT = Path(__file__).resolve().parents[1]
SHAPES = 1_000
SEARCH = ("/v1/search?top=10", "/query?top=10")  # of this version, of 0.1.0


def rate(port: int, path: str, photo: bytes, clients: int, seconds: float) -> dict[str, float]:
    """Return answers a second, the median and the 95th percentile of their seconds, and refusals."""
    end = time.monotonic() + seconds
    took: list[list[float]] = [[] for _ in range(clients)]
    refusals = [0] * clients

    def asking(me: int) -> None:
        while time.monotonic() < end:
            began = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request("POST", path, photo, {"X-Hifa": "1"})  # 0.1.0 asks for that
            answer = connection.getresponse()
            answer.read()
            connection.close()
            if answer.status == 503:
                refusals[me] += 1
                time.sleep(0.02)
            elif answer.status == 200:
                took[me].append(time.monotonic() - began)
            else:
                raise SystemExit(f"{path}: status {answer.status}")

    start = time.monotonic()
    threads = [threading.Thread(target=asking, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = sorted(one for each in took for one in each) or [float("nan")]
    return {
        "answers": sum(map(len, took)),
        "a second": sum(map(len, took)) / (time.monotonic() - start),
        "median ms": 1e3 * statistics.median(whole),
        "95 % ms": 1e3 * whole[int(0.95 * (len(whole) - 1))],
        "told to come back": sum(refusals),
    }


@contextlib.contextmanager
def serving(gallery: Path, checkout: Path) -> Iterator[tuple[int, int]]:
    """Run the server of a checkout on a free port; yield the port and the process."""
    command = [sys.executable, "-m", "hifa_cli", "serve", str(gallery), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    with subprocess.Popen(
        command, cwd="/", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout is not None
        try:
            said = ""
            while not (found := re.search(r"http://[^/\s]+:(\d+)", said)):
                line = server.stdout.readline()
                if not line:
                    raise SystemExit(f"{checkout}: the server did not start: {said}")
                said += line
            threading.Thread(target=server.stdout.read, daemon=True).start()
            yield int(found[1]), server.pid
        finally:
            server.terminate()


def measured(port: int, path: str, photo: Path, clients: int, seconds: float) -> dict[str, float]:
    """Let clients in a process of their own ask for a while."""
    words = [port, path, photo, clients, seconds]
    command = [sys.executable, str(Path(__file__)), "--ask", json.dumps(words, default=str)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    found: dict[str, float] = json.loads(done.stdout)
    return found


def cpu_seconds(process: int) -> float:
    """Return how long a process has computed; NaN where the system does not say."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def path_of(port: int, photo: Path) -> str:
    """Return the address that this server answers photos at."""
    for path in SEARCH:
        with contextlib.suppress(SystemExit):
            if measured(port, path, photo, 1, 1.0)["a second"] > 0:
                return path
    raise SystemExit("the server answers no photo: give a gallery that it can read")


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gallery", type=Path, nargs="?")
    parser.add_argument("photo", type=Path, nargs="?")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", default="1,8,64")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each server")
    parser.add_argument("--old", type=Path, help="a checkout to compare with")
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        port, path, photo, clients, seconds = json.loads(given.ask)
        print(json.dumps(rate(port, path, Path(photo).read_bytes(), clients, seconds)))
        return
    if (given.gallery is None) != (given.photo is None):
        parser.error("give a gallery and a photo, or neither")
    with TemporaryDirectory() as scratch:
        if given.gallery is None:
            noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3)).astype(np.uint8)
            given.photo = Path(scratch) / "photo.jpg"
            Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC).save(given.photo)
            given.gallery = made_up(Path(scratch), SHAPES)
        print(json.dumps(report(given), indent=2))


def report(given: argparse.Namespace) -> dict[str, object]:
    """Return the figures for each number of clients, with their ratio to the old server's."""
    gallery, photo = given.gallery.resolve(), given.photo.resolve()
    words = ["query", str(photo), "-g", str(gallery), "--json", "--quiet"]
    processes = statistics.median(cold(words) for _ in range(given.rounds + 1))
    found: dict[str, object] = {"a process a photo, CPU ms": round(1e3 * processes, 1)}
    checkouts = {"hifa": ROOT} | ({"old": given.old.resolve()} if given.old else {})
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(serving(gallery, place)) for name, place in checkouts.items()}
        paths = {name: path_of(port, photo) for name, (port, _) in servers.items()}
        for clients in map(int, given.clients.split(",")):
            rounds: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
            for _ in range(given.rounds):
                for name, (port, process) in servers.items():
                    before = cpu_seconds(process)
                    one = measured(port, paths[name], photo, clients, given.seconds)
                    one["CPU ms"] = 1e3 * (cpu_seconds(process) - before) / one["answers"]
                    rounds[name].append(one)
            row = {
                f"{name}, {what}": round(statistics.median(one[what] for one in rounds[name]), 1)
                for name in servers
                for what in rounds[name][0]
            }
            if given.old:
                row["ratio"] = round(row["hifa, a second"] / row["old, a second"], 2)
                row["ratio of CPU"] = round(row["old, CPU ms"] / row["hifa, CPU ms"], 2)
            row["a process a photo, times the CPU"] = round(1e3 * processes / row["hifa, CPU ms"], 1)
            found[f"{clients} clients"] = row
    return found


if __name__ == "__main__":
    main()
