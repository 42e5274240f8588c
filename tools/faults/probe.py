"""A process that reads hostile files with hifa's own readers and says what became of each.

Run as a program it answers a JSON line for each on its standard input; ``Probe`` is the other end, which
watches time and memory and sees it die.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tools.faults.readers import FREE, PATIENCE, READERS, STARTERS, WRITERS

ROOT = Path(__file__).resolve().parents[2]
CHANGES = ("os.remove", "os.rmdir", "os.rename", "os.symlink", "os.link", "shutil.rmtree")
ASLEEP = 5.0  # times its patience that it may take where it does not work, or others work beside it
MEMORY = 2.5e9  # bytes that the process may hold


class Verdict(NamedTuple):
    """What became of a file.

    Attributes:
        outcome: ``read``, ``refused``, or what must not be: ``raised``, ``died``, ``hung``, ``grew``.
        words: the line that the user sees, or the trouble.
        seconds: that it took.
        grown: bytes of memory that it took at most, on top of what was there.
        strange: files opened, programs run, connections made that reading it had no business with.
    """

    outcome: str
    words: str
    seconds: float
    grown: float
    strange: tuple[str, ...]

    @property
    def fine(self) -> bool:
        """Read rightly or refused in one line, in bounds, and nothing else was touched."""
        return self.outcome in ("read", "refused") and not self.strange


class Probe:
    """The reading process, started when needed and again after it has died."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.process: subprocess.Popen[str] | None = None
        self.answers: queue.Queue[str] = queue.Queue()
        self.scratch: TemporaryDirectory[str] | None = None

    def __enter__(self) -> "Probe":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _start(self) -> "subprocess.Popen[str]":
        settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        self.scratch = TemporaryDirectory()  # where readers may write: STEP's goes through files
        settings["TMPDIR"] = self.scratch.name
        self.process = process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tools.faults.probe"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=settings,
            encoding="utf-8", cwd=ROOT,
        )  # fmt: skip
        answers: queue.Queue[str] = queue.Queue()
        self.answers = answers

        def listen() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                answers.put(line)
            answers.put("")

        threading.Thread(target=listen, daemon=True).start()
        return process

    def read(self, kind: str, path: Path) -> Verdict:
        """Have ``path`` read as ``kind``."""
        process = self.process or self._start()
        assert process.stdin is not None
        began, worked = time.monotonic(), _busy(process.pid)
        try:
            process.stdin.write(json.dumps({"kind": kind, "path": str(path)}) + "\n")
            process.stdin.flush()
        except OSError:
            pass
        while True:
            try:
                line = self.answers.get(timeout=0.05)
            except queue.Empty:
                waited = time.monotonic() - began
                if waited > ASLEEP * self.patience or _busy(process.pid) - worked > self.patience:
                    return self._given_up("hung", began)
                if _resident(process.pid) > MEMORY:
                    return self._given_up("grew", began)
                continue
            if not line:
                return self._given_up("died", began)
            said = json.loads(line)
            outcome = said["outcome"] if said["grown"] < FREE else "grew"
            seconds = time.monotonic() - began
            return Verdict(outcome, said["words"], seconds, said["grown"], tuple(said["strange"]))

    def _given_up(self, outcome: str, began: float) -> Verdict:
        assert self.process is not None
        held = _resident(self.process.pid)
        self.process.kill()
        status = self.process.wait()
        self.end()
        return Verdict(outcome, f"status {status}", time.monotonic() - began, held, ())

    def end(self) -> None:
        """End the process."""
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        if self.scratch is not None:
            self.scratch.cleanup()


def _resident(pid: int) -> float:
    from hifa_cli.render.workers import resident_memory

    return resident_memory(pid)


def _busy(pid: int) -> float:
    """Seconds that a process has worked: others may keep it waiting."""
    try:
        numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


# ---- the reading end ----


class Watch:
    """What the interpreter opens, runs and connects to while a file is read."""

    def __init__(self) -> None:
        self.own: Path | None = None
        self.may_write = False
        self.may_start = False
        self.lock = ""
        self.seen: list[str] = []
        free = (
            sys.prefix,
            sys.base_prefix,
            "/proc",
            "/sys",
            "/dev/null",
            "/dev/urandom",
            "/etc/ld",
            "/usr",
            tempfile.gettempdir(),
            str(ROOT),
        )
        self.free = tuple(str(Path(place).resolve()) for place in free)
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.own is None:
            return
        if event == "open":
            self._opened(arguments[0], arguments[2] if len(arguments) > 2 else 0)
        elif self.may_start and event.startswith("subprocess") and arguments[0] == sys.executable:
            pass
        elif event.startswith(("subprocess", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class")):
            self.seen.append(f"{event} {arguments[:1]}")
        elif event in ("socket.connect", "socket.getaddrinfo", "urllib.Request"):
            self.seen.append(event)
        elif event in CHANGES and not any(type(one) is int and one >= 0 for one in arguments[-2:]):
            self._changed(
                event, arguments[:2]
            )  # what is named within an open folder was told with that folder

    def _opened(self, path: object, flags: object) -> None:
        if not isinstance(path, str | bytes) or self.own is None:
            return
        place = os.path.realpath(os.fsdecode(path))  # Path would open nothing more, but is slower here
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self._changed("wrote", (place,))
        elif not self._mine(place) and not place.startswith(self.free):
            self.seen.append(f"opened {place}")

    def _mine(self, place: str) -> bool:
        return f"{place}/".startswith(f"{self.own}/")

    def _changed(self, event: str, places: tuple[Any, ...]) -> None:
        for place in (
            os.path.realpath(os.fsdecode(one)) for one in places if isinstance(one, str | bytes | Path)
        ):
            mine = self.may_write and (self._mine(place) or place.startswith(f"{self.lock}."))
            free = place.startswith((tempfile.gettempdir(), "/dev/null")) or "__pycache__" in place
            if not mine and not free:
                self.seen.append(f"{event} {place}")


def _answer(read: Callable[[Path], object], path: Path, watch: Watch) -> dict[str, Any]:
    from hifa_cli.errors import HifaError

    held = _reset_peak()
    watch.own = path.resolve() if path.is_dir() else path.parent.resolve()
    watch.lock = str(watch.own.with_name(f".{watch.own.name}"))
    watch.seen = []
    try:
        read(path)
        outcome, words = "read", ""
    except HifaError as error:
        words = str(error)
        outcome = "refused" if "\n" not in words.strip() and len(words) < 800 else "raised"
    except BaseException as error:
        outcome, words = "raised", f"{type(error).__name__}: {error}"[:300]
    finally:
        watch.own = None
    return {"outcome": outcome, "words": words, "grown": _peak() - held, "strange": watch.seen[:5]}


def _reset_peak() -> float:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _peak()
    return _peak()


def _peak() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return float(line.split()[1]) * 1024
    return 0.0


def main() -> None:
    """Answer every line until there are no more."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is not an answer
    watch = Watch()
    readers: dict[str, Callable[[Path], object]] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["kind"] not in readers:
            readers[asked["kind"]] = READERS[asked["kind"]]()
        watch.may_write, watch.may_start = asked["kind"] in WRITERS, asked["kind"] in STARTERS
        out.write(json.dumps(_answer(readers[asked["kind"]], Path(asked["path"]), watch)) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
