"""One pool serves every kind of worker: what dies costs its own job, and nobody stays behind."""

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hifa_cli.runtime.child import program_command
from hifa_cli.runtime.workers import Pool, StartError, WorkerProcess, child_environment

ECHO = """
import json, os, signal, sys, time
print("ready", file=sys.stderr)
for line in sys.stdin:
    said = json.loads(line)
    if said["word"] == "die":
        print("my last words", file=sys.stderr, flush=True); os._exit(3)
    if said["word"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(said.get("sleep", 0))
    answer = {"word": said["word"], "pid": os.getpid()}
    sys.stdout.write(json.dumps(answer) + "\\n"); sys.stdout.flush()
    if said["word"] == "bytes":
        sys.stdout.buffer.write(b"12345"); sys.stdout.flush()
"""
Said = tuple[str, Any]


class Echo(WorkerProcess):
    @staticmethod
    def command() -> list[str]:
        return program_command(ECHO)

    def ready(self) -> None:
        if self.process is None:
            self.launch(child_environment(1, names=("OMP_NUM_THREADS",)))

    def do(self, job: dict[str, Any]) -> Iterator[Said]:
        self.ready()
        self.send(job)
        answer = self.receive()
        if answer is None:
            yield job["word"], self.cause_of_death()
        elif job["word"] == "bytes":
            yield "bytes", (self.receive_bytes(5), answer["pid"])
        else:
            yield job["word"], answer["pid"]


def pool(workers: int = 2, **more: Any) -> "Pool[Echo, dict[str, Any], Said]":
    return Pool([Echo() for _ in range(workers)], Echo.do, **more)


def words(*names: str) -> list[dict[str, Any]]:
    return [{"word": name} for name in names]


def test_a_worker_that_dies_costs_only_its_job() -> None:
    crew = pool()
    found = list(crew.run(words("a", "die", "b", "kill", "c", "d", "e")))
    crew.close()
    said = dict(found)
    assert set(said) == {"a", "die", "b", "kill", "c", "d", "e"}
    assert said["die"] == "its process ended with status 3: my last words"
    assert said["kill"] == "its process was ended by SIGKILL: out of memory?"
    assert len({said[name] for name in "abcde"}) >= 2


def test_bytes_follow_an_answer() -> None:
    crew = pool(1)
    ((_, (content, _)), (_, second)) = list(crew.run(words("bytes", "x")))
    crew.close()
    assert content == b"12345"
    assert isinstance(second, int)


def test_workers_last_from_one_run_to_the_next() -> None:
    crew = pool(1)
    first, second = list(crew.run(words("a"))), list(crew.run(words("b")))
    crew.close()
    assert first[0][1] == second[0][1]


def test_a_lazy_pool_leaves_the_others_asleep_where_one_does() -> None:
    crew = pool(3, lazy=True, ahead=2)
    found = []
    for one in crew.run(words(*"abcd")):
        found.append(one)
        time.sleep(0.05)  # taking costs more than doing
    assert sum(worker.process is not None for worker in crew.workers) == 1
    crew.close()
    assert len(found) == 4


def test_nobody_stays_behind_when_a_run_is_left() -> None:
    crew = pool()
    run = crew.run([{"word": "x", "sleep": 60}, {"word": "y"}])
    assert next(run)[0] == "y"
    pids = [worker.process.pid for worker in crew.workers if worker.process is not None]
    started = time.monotonic()
    crew.close()
    assert time.monotonic() - started < 20
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_who_does_not_start_leaves_the_jobs_to_the_others() -> None:
    def prepare(worker: Echo) -> None:
        if worker is broken:
            raise StartError("the renderer does not start")
        worker.ready()

    crew = pool(prepare=prepare)
    broken = crew.workers[0]
    assert sorted(word for word, _ in crew.run(words(*"abc"))) == ["a", "b", "c"]
    crew.close()
    alone = pool(1, prepare=prepare)
    broken = alone.workers[0]
    with pytest.raises(StartError, match="does not start"):
        list(alone.run(words("a")))
    alone.close()


def test_an_error_in_a_thread_is_an_error_of_the_run() -> None:
    def fail(worker: Echo, job: dict[str, Any]) -> Iterator[Said]:
        raise ZeroDivisionError
        yield "", 0

    crew = Pool([Echo()], fail)
    with pytest.raises(ZeroDivisionError):
        list(crew.run(words("a")))
    crew.close()


def test_the_environment_has_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert child_environment(1, names=("OMP_NUM_THREADS",))["OMP_NUM_THREADS"] == "1"
    assert child_environment(1, names=("OMP_NUM_THREADS",), keep=True)["OMP_NUM_THREADS"] == "7"
    assert json.dumps(child_environment(1, names=()))
