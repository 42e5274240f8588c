"""Two machines of one: network namespaces with a cable between them, each with a node of a Ray cluster."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PORT = 6379


class Machine:
    """A network namespace of this machine, with an address."""

    def __init__(self, name: str, address: str, settings: dict[str, str]) -> None:
        self.name, self.address, self.settings = name, address, settings

    def command(self, *words: object) -> list[str]:
        """What runs Python in it."""
        return ["ip", "netns", "exec", self.name, sys.executable, *map(str, words)]

    def start(self, *words: object) -> "subprocess.Popen[str]":
        """Start Python in it."""
        return subprocess.Popen(
            self.command(*words), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
            env={**os.environ, **self.settings},
        )  # fmt: skip

    def run(self, *words: object, tries: int = 1) -> str:
        """Run Python in it: what it says on stdout."""
        for left in reversed(range(tries)):
            process = self.start(*words)
            stdout, stderr = process.communicate(timeout=300)
            if process.returncode == 0 or not left:
                break
            self.stop()
        assert process.returncode == 0, stderr
        return stdout

    def processes(self) -> dict[int, str]:
        """Process ids and commands of all that runs in it."""
        found = {}
        for one in _ip("netns", "pids", self.name).stdout.split():
            with suppress(OSError):
                found[int(one)] = Path(f"/proc/{one}/cmdline").read_text().replace("\0", " ")
        return found

    def stop(self) -> None:
        """Kill all that runs in it, as a loss of power does."""
        while found := self.processes():
            for process in found:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)


def _ip(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


@contextmanager
def two_machines(settings: dict[str, str]) -> Iterator[tuple[Machine, Machine]]:
    """Two machines with a cable between them; skips the test where the system does not allow them."""
    if shutil.which("ip") is None:
        pytest.skip("network namespaces need 'ip': apt-get install iproute2")
    first, second = (
        Machine(f"hifa-{os.getpid()}-{number}", f"10.77.0.{number}", settings) for number in (1, 2)
    )
    steps: list[Sequence[str]] = [("netns", "add", one.name) for one in (first, second)]
    cable = ("type", "veth", "peer", "name", "eth0", "netns")
    steps.append(("link", "add", "eth0", "netns", first.name, *cable, second.name))
    for one in (first, second):
        steps.append(("-n", one.name, "addr", "add", f"{one.address}/24", "dev", "eth0"))
        steps += [("-n", one.name, "link", "set", name, "up") for name in ("lo", "eth0")]
    try:
        for step in steps:
            if (done := _ip(*step)).returncode:
                pytest.skip(f"no network namespaces here: 'ip {' '.join(step)}': {done.stderr.strip()}")
        yield first, second
    finally:
        for one in (first, second):
            one.stop()
            _ip("netns", "delete", one.name)


@contextmanager
def ray_on_two_machines() -> Iterator[tuple[Machine, Machine]]:
    """A Ray cluster with a node of one CPU on each machine, which have a token of their own."""
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    ray = ("-m", "ray.scripts.scripts", "start", "--num-cpus", 1, "--object-store-memory", 80_000_000)
    with (
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as scratch,  # sockets: short
        two_machines(settings) as (first, second),
    ):
        address = f"{first.address}:{PORT}"
        head = ("--head", "--port", PORT, "--include-dashboard", "false")
        for one, more in ((first, head), (second, ("--address", address))):
            place = Path(scratch, one.address[-1])
            # Ray gives a node 30 seconds to start, which a busy machine may not manage
            one.run(*ray, "--node-ip-address", one.address, "--temp-dir", place, *more, tries=3)
        settings["RAY_ADDRESS"] = address
        yield first, second
