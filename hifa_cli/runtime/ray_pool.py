"""A Ray cluster as the place where tasks run. Ray gives the task of a node that died to another node."""

import io
import os
import re
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from hifa_cli.errors import HifaError
from hifa_cli.runtime import progress
from hifa_cli.runtime.cluster import Made, Task, perform
from hifa_cli.runtime.device import settled_device

_RETRIES = 5  # of a task whose node died
_AHEAD = 2  # tasks that are given out for each CPU of the cluster
_SHOWN = 200  # characters of a message of Ray's
_NO_TOKEN = "InvalidAuthToken"  # Ray says so where a token is wanted
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class RayPool:
    """The tasks of a Ray cluster.

    Args:
        ray: the library, connected.
        cpus: that a task asks for.
        gpus: likewise.
    """

    def __init__(self, ray: Any, cpus: int, gpus: int) -> None:
        self._ray, self._cpus = ray, cpus
        self._pending: list[Any] = []
        self._shared: Any = None
        self._task = ray.remote(perform).options(num_cpus=cpus, num_gpus=gpus, max_retries=_RETRIES)

    def capacity(self) -> int:
        """Return how many tasks may wait and run at a time: the cluster may grow."""
        return _AHEAD * max(1, int(self._ray.cluster_resources().get("CPU", 1)) // self._cpus)

    def submit(self, task: Task, shared: bytes) -> None:
        """Give out a task; what all of them share is stored in the cluster once."""
        if self._shared is None:
            self._shared = self._ray.put(shared)
        self._pending.append(self._task.remote(task, self._shared))

    def next(self) -> Made:
        """Wait for any of the tasks that were given out."""
        (done,), self._pending = self._ray.wait(self._pending, num_returns=1)
        try:
            made: Made = self._ray.get(done)
        except (self._ray.exceptions.WorkerCrashedError, self._ray.exceptions.RaySystemError) as error:
            raise _lost(error) from error
        except self._ray.exceptions.RayTaskError:
            raise  # a fault of ours
        except self._ray.exceptions.RayError as error:
            raise _lost(error) from error
        return made


def _lost(error: Exception) -> HifaError:
    why = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return HifaError(
        f"a task was lost with its node {_RETRIES + 1} times ({why[:120]}); give the same command again"
    )


def device_of_nodes(name: str) -> str:
    """Return the device of the tasks' networks: a GPU is the nodes' matter, this machine may have none.

    Args:
        name: auto, cpu, cuda, cuda:N or mps. Ray shows a task the GPUs that it was given, so any of CUDA's is
            the first.

    Raises:
        HifaError: the device does not exist.
    """
    return "cuda" if name.startswith("cuda") else settled_device(name)


@contextmanager
def ray_pool(*, cpus: int = 1, device: str = "cpu") -> Iterator[RayPool]:
    """Connect to a Ray cluster: that of ``RAY_ADDRESS``, one that runs here, or one of this machine alone.

    Args:
        cpus: that each task asks for.
        device: of its network; on ``cuda`` it asks for one GPU.

    Yields:
        The pool.

    Raises:
        HifaError: Ray is not installed, or the cluster of ``RAY_ADDRESS`` does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent
    try:
        import ray
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "ray":
            raise
        raise HifaError("--engine ray needs Ray: pip install 'hifa-cli[ray]'") from error
    with redirect_stdout(_RayWords()):  # the result's own place
        ours = not ray.is_initialized()
        if ours:
            _connect(ray)
        try:
            yield RayPool(ray, cpus, 1 if device.startswith("cuda") else 0)
        finally:
            if ours:
                ray.shutdown()


class _RayWords(io.TextIOBase):
    """Takes what Ray prints of its nodes; the first line of a message says what happened."""

    def writable(self) -> bool:
        """Return that it takes text."""
        return True

    def write(self, text: str) -> int:
        """Pass on a message's first line."""
        line = _COLOURS.sub("", text).strip().partition("\n")[0].strip()
        if line and not line.startswith("[state-dump]"):
            progress.note(line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…")
        return len(text)


def _connect(ray: Any) -> None:
    here = Path.cwd()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    os.chdir(sysconfig.get_path("stdlib"))  # Ray has its workers import from the current folder first
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError as error:
        if address := os.environ.get("RAY_ADDRESS"):
            raise HifaError(_refusal(address, error)) from error
        ray.init(address="local", include_dashboard=False, object_store_memory=256_000_000, **quiet)
    finally:
        os.chdir(here)


def _refusal(address: str, error: BaseException | None) -> str:
    """Return why the cluster of ``RAY_ADDRESS`` is not to be had."""
    while error is not None:
        if _NO_TOKEN in str(error):
            return (
                f"the Ray cluster at RAY_ADDRESS={address} wants its token: set RAY_AUTH_MODE=token and "
                "have the token of its first machine in ~/.ray/auth_token or RAY_AUTH_TOKEN (docs/scale.md)"
            )
        error = error.__cause__ or error.__context__
    return f"no Ray cluster answers at RAY_ADDRESS={address}: start it, or unset it"
