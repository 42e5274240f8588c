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
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds a file may take
MEMORY = 2.5e9  # bytes that the process may hold
FREE = 600e6  # bytes that reading any file may take on top of what is loaded


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
            [sys.executable, "-W", "ignore", "-m", "tests.faults.probe"],
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
        began = time.monotonic()
        try:
            process.stdin.write(json.dumps({"kind": kind, "path": str(path)}) + "\n")
            process.stdin.flush()
        except OSError:
            pass
        while True:
            try:
                line = self.answers.get(timeout=0.05)
            except queue.Empty:
                if time.monotonic() - began > self.patience:
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


# ---- the reading end ----


def _mesh() -> Callable[[Path], object]:
    from hifa_cli.config import RenderConfig
    from hifa_cli.errors import HifaError
    from hifa_cli.render.stage import mark_of
    from hifa_cli.render.views import MeshViews
    from tests.render.shapes import box, obj_text, off_text, stl_text

    config = RenderConfig(views=2, size=32)
    views = MeshViews(config)
    views.warm_up()
    with TemporaryDirectory() as folder:  # numba keeps what it compiled as pickles of its own
        for suffix, content in (("off", off_text(box())), ("obj", obj_text(box())), ("stl", stl_text(box()))):
            place = Path(folder) / f"warm.{suffix}"
            place.write_text(content, encoding="utf-8")
            views(place)
        place.with_suffix(".obj").write_text("v 0 0 0\n", encoding="utf-8")
        with suppress(HifaError):
            views(place.with_suffix(".obj"))
    return lambda path: (mark_of(path, config), views(path))


def _picture() -> Callable[[Path], object]:
    from hifa_cli.data.pictures import read_picture

    return read_picture


def _export() -> Callable[[Path], object]:
    from hifa_cli.store import read_export

    return read_export


def _gallery() -> Callable[[Path], object]:
    import numpy as np

    from hifa_cli.gallery import read_gallery

    def read(path: Path) -> object:
        gallery = read_gallery(path)
        scores, rows = gallery.search(np.ones((2, gallery.vectors.shape[1]), dtype=np.float32), 3)
        named = [(gallery.ids[int(row)], gallery.class_of(int(row))) for row in rows.ravel() if row >= 0]
        return scores, named

    return read


def _model() -> Callable[[Path], object]:
    import torch

    from hifa_cli.export import load_encoder

    return lambda path: load_encoder(path, torch.device("cpu"))


def _weights() -> Callable[[Path], object]:
    from hifa_cli.weights import read_weights

    return read_weights


def _config() -> Callable[[Path], object]:
    from typer.testing import CliRunner

    from hifa_cli.cli import app
    from hifa_cli.errors import HifaError

    def read(path: Path) -> object:
        done = CliRunner().invoke(app, ["evaluate", "--config", str(path), "/nowhere.h5"])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        if done.exit_code == 2:
            raise HifaError(" ".join(done.output.split()))
        return done.exit_code

    return read


def _trouble() -> Callable[[Path], object]:
    """Does what no reader may do, so that the tests can see that it is noticed."""

    def read(path: Path) -> object:
        if path.stem == "die":
            os.kill(os.getpid(), 11)
        if path.stem == "hang":
            time.sleep(2 * PATIENCE)
        if path.stem == "grow":
            return len(bytearray(int(FREE) + (1 << 28)))
        if path.stem == "look":
            return (path.parent.parent / "outside.secret").read_bytes()
        if path.stem == "write":
            return path.with_suffix(".new").write_bytes(b"")
        if path.stem == "run":
            return subprocess.run(["true"], check=True)
        raise ValueError(path.stem)

    return read


_READERS = {
    "trouble": _trouble,
    "mesh": _mesh, "picture": _picture, "export": _export, "gallery": _gallery, "model": _model,
    "weights": _weights, "config": _config,
}  # fmt: skip


class Watch:
    """What the interpreter opens, runs and connects to while a file is read."""

    def __init__(self) -> None:
        self.own: Path | None = None
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
        elif event.startswith(("subprocess", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class")):
            self.seen.append(f"{event} {arguments[:1]}")
        elif event in ("socket.connect", "socket.getaddrinfo", "urllib.Request"):
            self.seen.append(event)

    def _opened(self, path: object, flags: object) -> None:
        if not isinstance(path, str | bytes) or self.own is None:
            return
        place = os.path.realpath(os.fsdecode(path))  # Path would open nothing more, but is slower here
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        mine = place.startswith(str(self.own))
        if (writes and mine) or (not mine and not place.startswith(self.free)):
            self.seen.append(f"{'wrote' if writes else 'opened'} {place}")


def _answer(read: Callable[[Path], object], path: Path, watch: Watch) -> dict[str, Any]:
    from hifa_cli.errors import HifaError

    held = _reset_peak()
    watch.own = path.resolve() if path.is_dir() else path.parent.resolve()
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
    os.dup2(2, 1)  # what libraries print is no answer
    watch = Watch()
    readers: dict[str, Callable[[Path], object]] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["kind"] not in readers:
            readers[asked["kind"]] = _READERS[asked["kind"]]()
        out.write(json.dumps(_answer(readers[asked["kind"]], Path(asked["path"]), watch)) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
