"""A mesh that kills, hangs or fills its process costs itself and nothing else."""

import os
import sys
import time
from pathlib import Path

import pytest

from hifa_cli.config import RenderConfig
from hifa_cli.errors import NoRoom
from hifa_cli.render import workers
from hifa_cli.render.workers import Job, Worker, draw_all, memory_limit
from hifa_cli.runtime.child import program_command
from hifa_cli.runtime.progress import Reporter, reporting
from hifa_cli.runtime.workers import StartError

# A worker whose meshes do what their names say; no renderer, so that it starts in a moment.
HOSTILE = """
import os, signal, sys, time, types
from hifa_cli.errors import NoRoom
fake = types.ModuleType("hifa_cli.render.job")
class DrawShape:
    remark = ""
    def __init__(self, config):
        start = os.environ.get("HOSTILE_START", "")
        if start == "raise": raise RuntimeError("no such renderer")
        if start == "die": os.kill(os.getpid(), signal.SIGSEGV)
        if start == "once" and os.path.exists(os.environ["HOSTILE_ONCE"]): raise RuntimeError("not again")
        if start == "once": open(os.environ["HOSTILE_ONCE"], "w").close()
        time.sleep(float(os.environ.get("HOSTILE_SLEEP", "0")))
    def __call__(self, path, folder, mark):
        print("libraries print on standard output")
        if "crash" in path.name: os.kill(os.getpid(), signal.SIGSEGV)
        if "killed" in path.name: os.kill(os.getpid(), signal.SIGKILL)
        if "exit" in path.name: print("last words", file=sys.stderr, flush=True); os._exit(3)
        if "hang" in path.name: time.sleep(600)
        if "eat" in path.name:
            hoard = []
            while True: hoard.append(b"x" * 10_000_000)
        if "refuse" in path.name: return "is refused"
        if "full" in path.name: raise NoRoom("cannot write it: make room")
        return None
fake.DrawShape = DrawShape
sys.modules["hifa_cli.render.job"] = fake
from hifa_cli.render.workers import main
main()
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by POSIX signals")


@pytest.fixture(autouse=True)
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "command", staticmethod(lambda: program_command(HOSTILE)))


def jobs(*names: str) -> list[Job]:
    return [Job(name, Path(f"/meshes/{name}.off"), Path(f"/views/{name}"), "mark") for name in names]


def run(names: list[str], config: RenderConfig | None = None, crew: int = 2) -> dict[str, str | None]:
    outcomes = draw_all(jobs(*names), config or RenderConfig(renderer="builtin"), crew)
    return {outcome.job.id: outcome.reason for outcome in outcomes}


@pytest.mark.parametrize("crew", [1, 2, 3])
def test_every_job_is_answered_once(crew: int) -> None:
    names = [f"m{number}" for number in range(20)]
    assert run(names, crew=crew) == dict.fromkeys(names)


def test_a_refusal_costs_one_mesh_and_no_process() -> None:
    assert run(["a", "refuse", "b"], crew=1) == {"a": None, "refuse": "is refused", "b": None}


@pytest.mark.parametrize("crew", [1, 2])
def test_a_full_disk_ends_all_of_it_at_once(crew: int) -> None:
    drawn: list[str] = []
    names = ["a", "full", *map(str, range(500))]
    with pytest.raises(NoRoom, match=r"^cannot write it: make room$"):
        drawn.extend(one.job.id for one in draw_all(jobs(*names), RenderConfig(renderer="builtin"), crew))
    assert len(drawn) < 400


@pytest.mark.parametrize("crew", [1, 2])
def test_a_crash_costs_one_mesh(crew: int) -> None:
    found = run(["a", "crash1", "b", "killed", "c", "exit", "d", "crash2", "e"], crew=crew)
    assert {name: reason for name, reason in found.items() if reason} == {
        "crash1": "its process was ended by SIGSEGV",
        "crash2": "its process was ended by SIGSEGV",
        "killed": "its process was ended by SIGKILL: out of memory?",
        "exit": "its process ended with status 3: last words",
    }
    assert len(found) == 9


def test_a_mesh_that_hangs_is_given_up_after_its_time() -> None:
    begun = time.monotonic()
    found = run(["a", "hang", "b"], RenderConfig(timeout=1.0), crew=1)
    assert found == {"a": None, "hang": "took longer than 1 s: raise --timeout", "b": None}
    assert time.monotonic() - begun < 20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is watched through /proc")
def test_a_mesh_that_eats_memory_is_given_up() -> None:
    found = run(["a", "eat", "b"], RenderConfig(memory=0.3), crew=1)
    assert found["a"] is None
    assert found["b"] is None
    assert "GB of memory where 0.3 are allowed: raise --memory" in str(found["eat"])


@pytest.mark.parametrize(
    ("how", "words"), [("raise", "RuntimeError: no such renderer"), ("die", "without a word")]
)
def test_a_renderer_that_does_not_start_says_why(
    monkeypatch: pytest.MonkeyPatch, how: str, words: str
) -> None:
    monkeypatch.setenv("HOSTILE_START", how)
    with pytest.raises(StartError, match=f"builtin renderer does not start: {words}"):
        run(["a"])


def test_a_worker_that_does_not_start_leaves_its_job_to_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOSTILE_START", "once")
    monkeypatch.setenv("HOSTILE_ONCE", str(tmp_path / "started"))
    names = [f"m{number}" for number in range(10)]
    assert run(names, crew=3) == dict.fromkeys(names)


def test_when_no_worker_starts_again_the_rest_is_not_lost_in_silence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOSTILE_START", "once")
    monkeypatch.setenv("HOSTILE_ONCE", str(tmp_path / "started"))
    with pytest.raises(StartError, match="not again"):
        run(["crash", "a", "b"], crew=1)


def test_stopping_early_ends_the_processes() -> None:
    outcomes = draw_all(jobs("a", "hang", "b"), RenderConfig(), 1)
    next(outcomes)
    begun = time.monotonic()
    outcomes.close()
    assert time.monotonic() - begun < 5


def test_a_slow_start_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ear(Reporter):
        def __init__(self) -> None:
            self.heard: list[str] = []

        def note(self, message: str) -> None:
            self.heard.append(message)

    ear = Ear()
    monkeypatch.setattr(workers, "SLOW_START", 0.05)
    monkeypatch.setattr(workers, "_said", [])
    monkeypatch.setenv("HOSTILE_SLEEP", "0.5")
    with reporting(ear):
        list(draw_all(jobs("a"), RenderConfig(), 1))
    assert ear.heard == [workers.COMPILING]


def test_workers_share_the_machines_memory_unless_told_otherwise() -> None:
    whole = memory_limit(RenderConfig(), 1)
    assert memory_limit(RenderConfig(), 4) == pytest.approx(whole / 4)
    assert memory_limit(RenderConfig(memory=2.5), 4) == 2.5e9
    if hasattr(os, "sysconf"):
        assert whole <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
