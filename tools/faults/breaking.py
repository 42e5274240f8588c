"""What goes wrong on machines, each as a function of a trial: run, break, look, run again, compare."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tools.faults.running import NONE, Done, Limits, Run, run, start
from tools.faults.verbs import Verb, begin, digest, holds, strays

SETTLING = 8.0  # seconds that a worker whose parent was killed may take to end
SLOWER = 1.03  # a signal that comes in time says that there may be more of it
ONE_LINE = 800  # characters


class Outcome(NamedTuple):
    """Whether the fault hit the verb at its work, and what was wrong afterwards: nothing, or some words."""

    struck: bool
    wrong: str = ""


@dataclass(frozen=True)
class Trial:
    """A verb that is to be broken.

    Attributes:
        verb: the command.
        world: what it reads.
        place: folder that it writes in.
        good: digest of its undisturbed result.
        content: the same but for the order of a gallery's shapes.
        before: digest of what it changes, ``nothing`` where it makes something new.
        pace: seconds that it takes undisturbed, the latest last: others may slow the machine down.
        changes: how often it changes files, as Python sees it.
        chance: where the faults fall.
    """

    verb: Verb
    world: Path
    place: Path
    good: str
    content: str
    before: str
    pace: list[float]
    changes: int
    chance: np.random.Generator

    @property
    def out(self) -> Path:
        """Where it writes."""
        return self.place / self.verb.out

    def forced(self) -> "Trial":
        """The same over an old result."""
        return replace(self, verb=self.verb._replace(line=f"{self.verb.line} --force"))

    def fresh(self) -> None:
        """A folder with somebody else's file in it, and with what the verb is to change."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        self.fill()

    def fill(self) -> None:
        """What lies in the folder before."""
        (self.place / "theirs.txt").write_text("theirs", encoding="utf-8")
        begin(self.verb, self.world, self.out)

    def said(self, name: str = "said") -> Path:
        """Where what it says goes."""
        return self.world.parent / f"{name}.txt"

    def start(self, limits: Limits = NONE, name: str = "said") -> Run:
        """Start it."""
        return start(self.verb, self.world, self.out, self.said(name), limits)

    def run(self, limits: Limits = NONE) -> Done:
        """Run it to its end."""
        return run(self.verb, self.world, self.out, self.said(), limits)

    def wait_a_little(self) -> None:
        """Until a random moment of its work."""
        time.sleep(float(self.chance.uniform(0.0, 1.0)) * self.pace[-1])

    def interrupted(self, number: int, *, group: bool) -> Done:
        """Start, and send a signal at a random moment."""
        one = self.start()
        self.wait_a_little()
        one.send(number, group=group)
        done = one.wait()
        self.pace.append(SLOWER * self.pace[-1] if done.status else done.seconds)
        return done

    # ---- what must be so afterwards ----

    def between(self) -> str:
        """A file or a gallery is what it was or what it is to be, at any moment."""
        atomic = self.verb.same == (".",) or any(one.startswith("{generation}") for one in self.verb.same)
        now = digest(self.verb, self.out)
        if atomic and now not in (self.before, self.good, "nothing"):
            return "what is there is neither the old nor the new"
        return "what was there is gone" if self.verb.changes and now == "nothing" else ""

    def mended(self, *, ordered: bool = True) -> str:
        """Give the same command again: what is wrong afterwards, or nothing."""
        again = self.run()
        if again.hung:
            return "the same command hangs"
        done_before = again.status == 1 and tidy(again) and digest(self.verb, self.out) == self.good
        if again.status and not done_before:
            return f"the same command fails: {again.last}"
        return self.wrong(ordered=ordered)

    def wrong(self, *, ordered: bool = True) -> str:
        """What is not as it should be after a finished run, or nothing."""
        same = digest(self.verb, self.out) == self.good
        if not same and (ordered or holds(self.verb, self.out) != self.content):
            return "the result differs from the undisturbed one"
        return self.lost() or self.left()

    def lost(self) -> str:
        """Whether something that existed before is gone."""
        theirs = self.place / "theirs.txt"
        return "" if theirs.is_file() and theirs.read_text(encoding="utf-8") == "theirs" else "a file is lost"

    def left(self) -> str:
        """Half-written things that stay."""
        until = time.monotonic() + SETTLING
        while (found := strays(self.place)) and time.monotonic() < until:
            time.sleep(0.2)
        return f"left behind: {', '.join(found)}" if found else ""

    def refused(self, done: Done) -> str:
        """A run may end well or in one line with exit code 1."""
        if done.hung:
            return "hangs"
        return "" if done.status == 0 or (done.status == 1 and tidy(done)) else _how(done)


def tidy(done: Done) -> bool:
    """Whether it said why in a line, and showed no traceback."""
    return bool(done.words.strip()) and "Traceback" not in done.words and len(done.last) < ONE_LINE


def _how(done: Done) -> str:
    return f"ends with {done.status}: {done.last}"


def _dead(done: Done) -> bool:
    return done.status == -signal.SIGKILL and not done.hung


# ---- being killed ----


def killed(trial: Trial) -> Outcome:
    """SIGKILL at a random moment, of the process or of its whole group; every fourth time twice."""
    trial.fresh()
    group = bool(trial.chance.random() < 0.5)
    struck = _dead(trial.interrupted(signal.SIGKILL, group=group))
    wrong = trial.between()
    if trial.chance.random() < 0.25:
        trial.interrupted(signal.SIGKILL, group=group)
        wrong = wrong or trial.between()
    return Outcome(struck, wrong or trial.mended())


def killed_at(trial: Trial, change: int) -> Outcome:
    """SIGKILL just before its n-th change of files."""
    trial.fresh()
    done = trial.run(Limits(place=trial.place, die_at=change))
    return Outcome(_dead(done), trial.between() or trial.mended())


def killed_over_old(trial: Trial) -> Outcome:
    """SIGKILL while an older result is replaced (``--force``), at a random moment or at a change of files."""
    trial.fresh()
    if (first := trial.run()).status:
        return Outcome(False, f"does not run: {first.last}")
    forced = trial.forced()
    if trial.chance.random() < 0.5:
        done = forced.interrupted(signal.SIGKILL, group=True)
    else:
        change = int(trial.chance.integers(1, max(trial.changes, 1) + 4))  # what is old goes, too
        done = forced.run(Limits(place=trial.place, die_at=change))
    atomic = forced.between()
    if trial.verb.same == (".",) and digest(trial.verb, trial.out) != trial.good:
        atomic = "what was there is neither whole nor replaced"
    return Outcome(_dead(done), atomic or forced.mended())


def worker_killed(trial: Trial) -> Outcome:
    """SIGKILL of a process that the verb started, as a system without memory does."""
    trial.fresh()
    one = trial.start()
    time.sleep(float(trial.chance.uniform(0.0, 0.5)) * trial.pace[-1])
    until, struck = time.monotonic() + trial.pace[-1], False
    while not struck and time.monotonic() < until and not _ended(one.pid):
        if children := one.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(trial.chance.choice(children)), signal.SIGKILL)
                struck = True
        time.sleep(0.01)
    return Outcome(struck, trial.refused(one.wait()) or trial.mended())


def _ended(pid: int) -> bool:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


# ---- being interrupted ----


def _stopped(trial: Trial, number: int, *, group: bool) -> Outcome:
    trial.fresh()
    done = trial.interrupted(number, group=group)
    struck = done.status != 0
    if done.hung:
        return Outcome(struck, "hangs")
    if "Traceback" in done.words:
        return Outcome(struck, f"a traceback: {done.last}")
    if done.status not in (0, 1, 130, 128 + number, -number):
        return Outcome(struck, _how(done))
    return Outcome(
        struck, trial.lost() or (trial.left() if struck else "") or trial.between() or trial.mended()
    )


def ctrl_c(trial: Trial) -> Outcome:
    """SIGINT to the whole group, as a terminal sends it: one line, nothing left, and it can be finished."""
    return _stopped(trial, signal.SIGINT, group=True)


def terminated(trial: Trial) -> Outcome:
    """SIGTERM to the process, as a service manager sends it."""
    return _stopped(trial, signal.SIGTERM, group=False)


# ---- no room, no place ----


def disk_full(trial: Trial) -> Outcome:
    """A disk (tmpfs) with too little room, or too few inodes; then there is room, and the command goes on."""
    shutil.rmtree(trial.place, ignore_errors=True)
    trial.place.mkdir(parents=True)
    with small_disk(trial.place) as resize:
        trial.fill()
        temporary = trial.place / "tmp"
        temporary.mkdir()
        held, files = _held(trial.place)
        needs = max(_held(trial.world / "made" / trial.verb.out)[0], 1 << 14)
        if trial.chance.random() < 0.75:
            resize(f"size={held + int(trial.chance.uniform(0.0, 1.1) * needs)}")
        else:
            resize(f"nr_inodes={files + int(trial.chance.integers(1, 12))}")
        trial.place.chmod(0o755)
        with _temporary(temporary if trial.chance.random() < 0.33 else None):
            done = trial.run()
        if wrong := trial.refused(done) or trial.lost() or trial.left() or trial.between():
            return Outcome(done.status != 0, wrong)
        resize("size=4g,nr_inodes=1000000")
        return Outcome(done.status != 0, trial.mended())


@contextmanager
def small_disk(place: Path) -> Iterator[Callable[[str], None]]:
    """A disk in memory at ``place``; yields what changes its size."""

    def mount(options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)

    mount("size=4g")
    try:
        yield lambda size: mount(f"remount,{size}")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def may_mount() -> bool:
    """Whether this machine lets a small disk be made."""
    with tempfile.TemporaryDirectory() as place:
        try:
            with small_disk(Path(place)):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@contextmanager
def _temporary(place: Path | None) -> Iterator[None]:
    """Have temporary files go there."""
    before = os.environ.get("TMPDIR")
    if place:
        os.environ["TMPDIR"], tempfile.tempdir = str(place), None
    try:
        yield
    finally:
        tempfile.tempdir = None
        os.environ.pop("TMPDIR", None)
        if before is not None:
            os.environ["TMPDIR"] = before


def _held(place: Path) -> tuple[int, int]:
    """Bytes (in whole pages) and number of the files there."""
    paths = [place, *place.rglob("*")] if place.is_dir() else [place]
    return sum(-(-path.lstat().st_size // 4096) * 4096 for path in paths), len(paths) + 1


def file_limit(trial: Trial) -> Outcome:
    """No file may grow beyond some bytes, as under a quota; then it may again."""
    trial.fresh()
    done = trial.run(Limits(most_bytes=int(2 ** trial.chance.uniform(3, 14))))
    struck = done.status != 0
    return Outcome(
        struck, trial.refused(done) or trial.lost() or trial.left() or trial.between() or trial.mended()
    )


def folder_taken_away(trial: Trial) -> Outcome:
    """The folder that is written into is renamed under the verb's feet."""
    trial.fresh()
    one = trial.start()
    trial.wait_a_little()
    elsewhere = trial.place.with_name("elsewhere")
    shutil.rmtree(elsewhere, ignore_errors=True)
    trial.place.rename(elsewhere)
    done = one.wait()
    if wrong := trial.refused(done):
        return Outcome(True, wrong)
    if not (elsewhere / "theirs.txt").is_file():
        return Outcome(True, "a file is lost")
    trial.fresh()
    return Outcome(True, trial.mended())


def no_place(trial: Trial) -> Outcome:
    """The output is to lie below a file, or in a folder that may not be written in."""
    trial.fresh()
    if trial.chance.random() < 0.5 and not trial.verb.changes:
        done = replace(trial, place=trial.place / "theirs.txt").run()
    else:
        shut = [trial.place, trial.out] if trial.verb.changes else [trial.place]
        for folder in shut:
            folder.chmod(0o555)
        done = trial.run(Limits(weak=True))
        for folder in shut:
            folder.chmod(0o755)
    if done.status != 1 or not tidy(done):
        return Outcome(True, _how(done))
    return Outcome(True, trial.lost() or trial.left() or trial.mended())


def two_writers(trial: Trial) -> Outcome:
    """The same command twice at once: one finishes, the other too or says who is in its way."""
    trial.fresh()
    both = [trial.start(name=f"said-{number}") for number in range(2)]
    done = [one.wait() for one in both]
    losers = [one for one in done if one.status]
    if len(losers) > 1:
        return Outcome(True, f"neither finishes: {losers[0].last}")
    if losers and not tidy(losers[0]):
        return Outcome(True, f"the second says: {losers[0].last}")
    return Outcome(True, trial.wrong())


# ---- inputs ----


def input_unreadable(trial: Trial) -> Outcome:
    """One of its inputs may not be read: it is named; and when it may be, the command goes on."""
    trial.fresh()
    path = _one_input(trial)
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        done = trial.run(Limits(weak=True))
    finally:
        path.chmod(mode)
    if not done.status or trial.refused(done):
        return Outcome(True, _without(trial, done, path))
    if not _names(done, path):
        return Outcome(True, f"{path.name} is not named: {done.last}")
    return Outcome(True, trial.lost() or trial.left() or trial.between() or trial.mended())


def _names(done: Done, path: Path) -> bool:
    """Whether a file, or its folder where there are many like it, is named; lines may be broken anywhere."""
    said = "".join(done.words.split())
    return any(name in said for name in (path.name, f"{path.parent.name}/{path.stem}", path.parent.name))


def _without(trial: Trial, done: Done, path: Path, *, named: bool = True) -> str:
    """What is wrong with a run that went on without an input: it has to say so, and can be done again."""
    wrong = trial.refused(done) or trial.lost() or trial.left()
    if named and not wrong and digest(trial.verb, trial.out) != trial.good and not _names(done, path):
        wrong = f"left out without a word: {done.last}"
    if wrong:
        return f"{path.name}: {wrong}"
    again = trial if trial.verb.changes else trial.forced()
    return again.mended(ordered=False)


def input_taken_away(trial: Trial) -> Outcome:
    """One of its inputs vanishes at a random moment; when it is back, the command goes on."""
    trial.fresh()
    path = _one_input(trial)
    if trial.chance.random() < 0.5:
        path = path.parent
    away = trial.world.parent / "away"
    one = trial.start()
    trial.wait_a_little()
    path.rename(away)
    done = one.wait()
    away.rename(path)
    if not done.status or trial.refused(done):  # what had gone before it looked, it cannot name
        struck = digest(trial.verb, trial.out) != trial.good
        return Outcome(struck, _without(trial, done, path, named=False))
    return Outcome(True, trial.lost() or trial.left() or trial.between() or trial.mended())


def _one_input(trial: Trial) -> Path:
    pattern = trial.verb.reads[int(trial.chance.integers(len(trial.verb.reads)))]
    found = sorted(trial.world.glob(pattern))
    return found[int(trial.chance.integers(len(found)))]


class Fault(NamedTuple):
    """A fault: its name, what it does, and which verbs it can be tried on."""

    name: str
    inject: Callable[[Trial], Outcome]
    fits: Callable[[Verb], bool] = lambda verb: True
    once: bool = False


KILLED, KILLED_AT = "killed", "killed at a change of files"
FAULTS = (
    Fault("killed over an old result", killed_over_old, lambda verb: not verb.changes),
    Fault("one of its processes killed", worker_killed, lambda verb: verb.slow),
    Fault("Ctrl-C", ctrl_c),
    Fault("SIGTERM", terminated),
    Fault("disk full", disk_full),
    Fault("files limited in size", file_limit),
    Fault("folder taken away", folder_taken_away),
    Fault("two writers", two_writers),
    Fault("no place to write", no_place),
    Fault("input not readable", input_unreadable, lambda verb: bool(verb.reads)),
    Fault("input taken away", input_taken_away, lambda verb: bool(verb.reads)),
)
