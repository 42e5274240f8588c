"""The number of threads: what the machine allows, and what others leave free.

Two threads on a core that somebody else uses wait for each other; one alone is several times as fast.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_CGROUP = Path("/sys/fs/cgroup")


def allowed() -> int:
    """Return how many cores this process may use: its affinity and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _quota()))


def _quota() -> int:
    """Return the whole cores of a cgroup's quota (version 2, then 1); very many if absent."""
    with suppress(OSError, ValueError):
        limit, period = (_CGROUP / "cpu.max").read_text().split()
        return max(1, int(limit) // int(period)) if limit != "max" else sys.maxsize
    with suppress(OSError, ValueError):
        limits = [int((_CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period")]
        return max(1, limits[0] // limits[1]) if limits[0] > 0 else sys.maxsize
    return sys.maxsize


def free() -> int:
    """Return how many of the allowed cores others leave free, by the load of the last minute; at least 1."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    whole = os.cpu_count() or 1
    return max(1, min(allowed(), round(whole - load)))


def wait_asleep() -> None:
    """Have threads that wait for each other sleep, where other processes use the machine.

    OpenMP's threads spin while they wait, and on a core that somebody else needs they spin for nothing. The
    number of threads stays, so results stay the same to the bit. It counts for libraries loaded from now on;
    ``OMP_WAIT_POLICY`` of the user wins.
    """
    if not os.environ.get("OMP_WAIT_POLICY") and free() < allowed():
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def side_by_side() -> None:
    """Have NumPy's matrix products stay on one thread, where requests are what runs side by side.

    The products of a query are small: threads that share one wait for each other longer than they compute,
    which doubles the CPU time of an answer. It counts where NumPy is not loaded yet; what the user
    says (``OPENBLAS_NUM_THREADS``, ``OMP_NUM_THREADS``) wins.
    """
    if not os.environ.get("OMP_NUM_THREADS"):
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def wanted() -> int:
    """Return how many threads were asked for or chosen by :func:`use`, else how many are allowed."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() and int(said) > 0 else allowed()


def use(wanted: int | None, *, by_load: bool) -> int:
    """Have the libraries that are loaded from now on work with so many threads.

    Args:
        wanted: as the user says; None lets ``OMP_NUM_THREADS``, else the machine decide.
        by_load: whether other processes count. Where results must be the same to the bit whatever else the
            machine does (training, exports), they do not.

    Returns:
        The number of threads.
    """
    said = os.environ.get("OMP_NUM_THREADS", "")
    if wanted is None and said.isdecimal() and int(said) > 0:
        return int(said)
    count = wanted or (free() if by_load else allowed())
    os.environ.update(dict.fromkeys(_VARIABLES, str(count)))
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)
    return count
