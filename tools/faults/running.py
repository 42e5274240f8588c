"""Runs verbs in forks of a process that has everything loaded: a fault hits the work, not the imports."""

import contextlib
import ctypes
import faulthandler
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from tools.faults.verbs import Verb

PATIENCE = 300.0  # seconds that a run may take


class Done(NamedTuple):
    """How a run ended: exit status (negative: by a signal), what it said, how long it took, if it hung."""

    status: int
    words: str
    seconds: float
    hung: bool = False

    @property
    def last(self) -> str:
        """The last line that it said."""
        lines = self.words.strip().splitlines()
        return lines[-1][:200] if lines else "without a word"


class Run(NamedTuple):
    """A verb on its way: its process (and group), where its words go, when it began."""

    pid: int
    said: Path
    began: float

    def wait(self) -> Done:
        """Wait for the end; what never ends is killed."""
        hung = False
        while True:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                break
            if time.monotonic() - self.began > PATIENCE:
                hung = True
                self.send(signal.SIGKILL, group=True)
            time.sleep(0.005)
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        words = self.said.read_text(encoding="utf-8", errors="replace") if self.said.exists() else ""
        return Done(code, words, time.monotonic() - self.began, hung)

    def send(self, number: int, *, group: bool) -> None:
        """Send a signal to the process alone, or to its group as a terminal does."""
        with contextlib.suppress(ProcessLookupError):
            try:
                (os.killpg if group else os.kill)(self.pid, number)
            except ProcessLookupError:  # it has no group of its own yet
                os.kill(self.pid, number)

    def children(self) -> list[int]:
        """The processes that it started, and theirs."""
        found = [self.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += map(int, (task / "children").read_text().split())
        return found[1:]


class Limits(NamedTuple):
    """What a run is to suffer.

    Attributes:
        most_bytes: no file may grow beyond; 0 is no limit.
        weak: even root may read and write only what the modes of files allow.
        place: whose changes of files are counted; none is not counted.
        die_at: the one before which it kills itself; 0 is never.
    """

    most_bytes: int = 0
    weak: bool = False
    place: Path | None = None
    die_at: int = 0


NONE = Limits()


def start(verb: Verb, world: Path, out: Path, said: Path, limits: Limits = NONE) -> Run:
    """Start a verb in a fork, in a process group of its own."""
    sys.stdout.flush()
    said.unlink(missing_ok=True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the verb begins: the fork's first steps are not its
    began = time.monotonic()
    pid = os.fork()
    if pid:
        return Run(pid, said, began)
    status = 99
    try:
        os.setsid()
        _speak_into(said, limits)
        faulthandler.enable()  # what crashes says where
        verb.prepare()
        sys.argv = ["hifa", *verb.words(world, out)]
        if limits.weak:
            weaken()
        from hifa_cli.cli import main

        signal.signal(signal.SIGINT, signal.default_int_handler)
        if limits.place:
            Watch(limits.place, limits.die_at, said)
        main()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _speak_into(said: Path, limits: Limits) -> None:
    with said.open("wb") as file:
        if not limits.most_bytes:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            return
        cat = subprocess.Popen(
            ["cat"], stdin=subprocess.PIPE, stdout=file
        )  # its words are no file of its own
    assert cat.stdin is not None
    os.dup2(cat.stdin.fileno(), 1)
    os.dup2(cat.stdin.fileno(), 2)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.most_bytes, limits.most_bytes))


def run(verb: Verb, world: Path, out: Path, said: Path, limits: Limits = NONE) -> Done:
    """Run a verb to its end."""
    done = start(verb, world, out, said, limits).wait()
    if limits.most_bytes:
        time.sleep(0.3)  # what it said passes through another process
        done = done._replace(words=said.read_text(encoding="utf-8", errors="replace"))
    return done


_DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER = 1, 2, 3  # capabilities(7): root's right to read and write all


def weaken() -> None:
    """Take from this process, and all that it starts, root's right to read and write what modes forbid.

    Raises:
        OSError: the system refuses.
    """
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER):
        if libc.prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
            raise OSError(ctypes.get_errno(), "cannot drop a capability")
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "cannot read capabilities")
    gone = 1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH | 1 << _FOWNER
    for place in range(3):
        sets[place] &= ~gone
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "cannot set capabilities")


class Watch:
    """Counts the changes that Python makes to files below ``place``; kills the process before one of them.

    Counted are opening for writing, renaming, removing, making and linking; what libraries written in C do
    lies between two of these. The count goes to ``said``'s neighbour, ``….count``.
    """

    changes = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
               "os.chmod")  # fmt: skip

    def __init__(self, place: Path, die_at: int, said: Path) -> None:
        self.place, self.die_at, self.count = os.path.realpath(place), die_at, 0
        self.tally = os.open(said.with_suffix(".count"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_change(event, arguments):
            return
        self.count += 1
        os.pwrite(self.tally, b"%d" % self.count, 0)
        if self.count == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_change(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            flags = arguments[2] if len(arguments) > 2 else 0
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return False
        elif event not in self.changes:
            return False
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        name = os.fsdecode(path)
        relative = not name.startswith(os.sep)  # within a folder that is open: how trees are removed
        return relative or os.path.normpath(name).startswith(self.place)


def count_changes(verb: Verb, world: Path, out: Path, said: Path) -> int:
    """Run a verb to its end; how often it changes files."""
    said.with_suffix(".count").unlink(missing_ok=True)
    run(verb, world, out, said, Limits(place=out.parent))
    return int(said.with_suffix(".count").read_text() or 0)


def load_everything() -> None:
    """Have the forks begin with everything imported."""
    import timm  # noqa: F401

    import hifa_cli.adaptation.adapters
    import hifa_cli.cli
    import hifa_cli.embeddings.extract
    import hifa_cli.evaluation.evaluate
    import hifa_cli.gallery.build
    import hifa_cli.gallery.update
    import hifa_cli.pipelines.compare.run
    import hifa_cli.pipelines.demo
    import hifa_cli.render.pipeline
    import hifa_cli.training.trainer  # noqa: F401
