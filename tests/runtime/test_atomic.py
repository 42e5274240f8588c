"""Whole writes, what the killed leave behind, and one writer at a time."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from hifa_cli.errors import HifaError, NoRoom
from hifa_cli.runtime.atomic import remove_folder, sweep, written_file, written_folder
from hifa_cli.runtime.lock import sole_output

posix = pytest.mark.skipif(os.name == "nt", reason="kills by signals")

DIE_WRITING = """
import os, signal, sys
from pathlib import Path
from hifa_cli.runtime.atomic import written_file, written_folder
with (written_folder if sys.argv[2] == "folder" else written_file)(Path(sys.argv[1])) as beside:
    (beside / "half" if sys.argv[2] == "folder" else beside).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""

DIE_SWAPPING = """
import os, signal, sys
from pathlib import Path
from hifa_cli.runtime import atomic
rename = os.rename
def dying(source, target):
    rename(source, target)
    os.kill(os.getpid(), signal.SIGKILL)
atomic.os.rename = dying
with atomic.written_folder(Path(sys.argv[1])) as beside:
    (beside / "new").write_text("new")
"""

HOLD = """
import sys, time
from pathlib import Path
from hifa_cli.runtime.lock import sole_output
with sole_output(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def ran(program: str, *arguments: str | Path) -> int:
    return subprocess.run([sys.executable, "-c", program, *map(str, arguments)], check=False).returncode


@contextmanager
def holder(target: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", HOLD, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@posix
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_writer_left_is_swept_by_the_next(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    assert ran(DIE_WRITING, target, kind) == -signal.SIGKILL
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())


@posix
def test_a_folder_moved_aside_by_a_killed_writer_is_put_back(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    assert ran(DIE_SWAPPING, target) == -signal.SIGKILL
    assert not target.exists()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (target / "old").read_text() == "old"


@pytest.mark.parametrize("writer", [written_file, written_folder])
@pytest.mark.parametrize(
    ("number", "kind", "remedy"),
    [(errno.ENOSPC, NoRoom, "make room, then give the same command again"),
     (errno.EIO, HifaError, "choose another --out")],
)  # fmt: skip
def test_a_full_disk_is_told_from_other_trouble_and_leaves_nothing(
    writer: Callable[[Path], AbstractContextManager[Path]], number: int, kind: type[HifaError], remedy: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    words = f"^cannot write {tmp_path / 'a'}: {os.strerror(number)}; {remedy}$"
    with pytest.raises(HifaError, match=words) as caught, writer(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    assert type(caught.value) is kind
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_removed_says_what_it_is_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/b.png", "about.json", "z.txt"):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text("x")
    whole = shutil.rmtree

    def dying(path: Path) -> None:
        if path == tmp_path / "run":
            raise KeyboardInterrupt
        whole(path)

    with monkeypatch.context() as patched:
        patched.setattr("hifa_cli.runtime.atomic.shutil.rmtree", dying)
        with pytest.raises(KeyboardInterrupt):
            remove_folder(tmp_path / "run", last="about.json")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["about.json"]
    remove_folder(tmp_path / "run", last="about.json")
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_is_writing_is_not_swept(tmp_path: Path) -> None:
    with written_file(tmp_path / "a") as file, written_folder(tmp_path / "b") as folder:
        sweep(tmp_path)
        assert file.exists()
        assert folder.exists()


def test_another_machines_halves_are_swept_a_day_later_and_no_sooner(tmp_path: Path) -> None:
    half = tmp_path / ".out.h5.00c0ffee-1-abcdefgh.part"
    half.write_text("half")
    sweep(tmp_path)
    assert half.exists()
    long_ago = time.time() - 90_000
    os.utime(half, (long_ago, long_ago))
    sweep(tmp_path)
    assert not half.exists()


def test_only_what_bears_our_own_kind_of_name_is_swept(tmp_path: Path) -> None:
    for name in ("holiday.part", ".movie.part", "letters.old", ".x.12-34-abcdefgh.part"):
        (tmp_path / name).write_text("theirs")
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_survives_an_interruption_between_the_two_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    rename, calls = os.rename, []

    def interrupted(source: Path, goal: Path) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise KeyboardInterrupt
        rename(source, goal)

    monkeypatch.setattr("hifa_cli.runtime.atomic.os.rename", interrupted)
    with pytest.raises(KeyboardInterrupt), written_folder(target):
        pass
    assert (target / "old").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["run", "emb.h5"])
def test_a_second_writer_is_told_who_the_first_one_is(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    with holder(target) as first:
        told = f"another hifa .process {first.pid}. is writing .*{name}"
        with pytest.raises(HifaError, match=told), sole_output(target):
            pytest.fail("both hold it")


def test_a_dead_writers_lock_holds_nobody_up_and_goes_with_the_next(tmp_path: Path) -> None:
    with holder(tmp_path / "run"):
        pass  # ends it by force
    assert (tmp_path / ".run.lock").exists()
    with sole_output(tmp_path / "run"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_lock_taken_on_a_file_that_its_holder_just_removed_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hifa_cli.runtime import lock

    taken, path = lock._taken, tmp_path / ".run.lock"

    def late(handle: int) -> bool:
        if not tries:
            path.unlink()  # the holder ended between our opening and our locking
        tries.append(handle)
        return taken(handle)

    tries: list[int] = []
    monkeypatch.setattr(lock, "_taken", late)
    with sole_output(tmp_path / "run"):
        assert len(tries) == 2
        assert path.exists()
