"""Threads go by what is free, unless somebody says otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hifa_cli.runtime import threads


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine of eight idle cores without a quota."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0), raising=False)
    monkeypatch.setattr(threads, "_CGROUP", tmp_path)
    for name in threads._VARIABLES:
        monkeypatch.setenv(name, "")
    return monkeypatch


@pytest.mark.parametrize(
    ("load", "quota", "allowed", "free"),
    [
        (0.0, "max 100000", 8, 8),
        (5.2, "max 100000", 8, 3),
        (30.0, "max 100000", 8, 1),
        (0.0, "250000 100000", 2, 2),
        (7.0, "250000 100000", 2, 1),
        (0.0, "10000 100000", 1, 1),
        (0.0, "nonsense", 8, 8),
    ],
)
def test_affinity_quota_and_load_count(
    machine: pytest.MonkeyPatch, tmp_path: Path, load: float, quota: str, allowed: int, free: int
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    machine.setattr(os, "getloadavg", lambda: (load, load, load), raising=False)
    assert (threads.allowed(), threads.free()) == (allowed, free)


def test_what_the_user_says_wins(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(os, "getloadavg", lambda: (6.0, 0.0, 0.0), raising=False)
    assert threads.use(None, by_load=True) == 2
    assert os.environ["OMP_NUM_THREADS"] == "2"
    machine.setenv("OMP_NUM_THREADS", "5")
    assert threads.use(None, by_load=True) == 5
    assert threads.use(3, by_load=True) == 3
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"


def test_training_does_not_depend_on_what_others_do(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(os, "getloadavg", lambda: (6.0, 0.0, 0.0), raising=False)
    assert threads.use(None, by_load=False) == 8


@pytest.mark.parametrize(
    ("load", "given", "policy"), [(0.0, "", ""), (6.0, "", "PASSIVE"), (6.0, "ACTIVE", "ACTIVE")]
)
def test_threads_that_wait_sleep_where_others_use_the_machine(
    load: float, given: str, policy: str, machine: pytest.MonkeyPatch
) -> None:
    machine.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    machine.setenv("OMP_WAIT_POLICY", given)
    threads.wait_asleep()
    assert os.environ["OMP_WAIT_POLICY"] == policy
    assert threads.use(None, by_load=False) == 8


@pytest.mark.parametrize(
    ("said", "found"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "4"}, "4"), ({"OMP_NUM_THREADS": "3"}, None)]
)
def test_side_by_side_each_product_has_one_thread_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], found: str | None
) -> None:
    for name in threads._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    threads.side_by_side()
    assert os.environ.get("OPENBLAS_NUM_THREADS") == found


@pytest.mark.parametrize("verb", ["serve", "mcp"])
def test_a_server_says_so_before_numpy_is_loaded(verb: str, tmp_path: Path) -> None:
    code = (
        "import os, sys; from hifa_cli.cli import app; from hifa_cli.runtime import threads\n"
        "threads.side_by_side = lambda: print('numpy' in sys.modules)\n"
        f"app(['{verb}', {str(tmp_path / 'nothing')!r}], standalone_mode=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("False")
