"""The limits, stated: large and too large inputs through the real command line; time and memory of each.

Run alone: ``python -m tools.faults.limits [part of a case's name]…``.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tools.faults import large

ROOT = Path(__file__).resolve().parents[2]
GLANCE = 0.05  # seconds between two looks at a command's memory
PATIENCE = 600.0  # seconds that a command may take
TINY = (
    "--backbone test_resnet --weights none --device cpu --steps 2 --photos-per-step 4 --shapes-per-step 4 "
    "--views 1 --validation 0 --set size=32"
)
ASK = "query photo.png -g {gallery} --device cpu --json"


class Case(NamedTuple):
    """A large input and what is to become of it.

    Attributes:
        what: in words.
        make: writes the input into the folder that it is given.
        line: what is typed after ``hifa``, in that folder.
        status: the exit status that is right.
        says: what it must say, in any of its lines.
        keep: leave what is there for the next case.
    """

    what: str
    make: Callable[[Path], object]
    line: str
    status: int = 0
    says: str = ""
    keep: bool = False


class Limit(NamedTuple):
    """What became of a case.

    Attributes:
        what: in words.
        size: bytes of the input.
        outcome: what the command said that matters, or its last line.
        seconds: of the command, its start included.
        cpu: seconds that cores worked for it: the number to compare on a machine that is shared.
        memory: bytes that the command and the processes that it started held together, at most.
        fine: it ended as it should.
    """

    what: str
    size: int
    outcome: str
    seconds: float
    cpu: float
    memory: float
    fine: bool


class Measured(NamedTuple):
    """How a command ended, all that it said, its seconds, those of cores, and bytes of memory at most."""

    status: int
    words: str
    seconds: float
    cpu: float
    memory: float


def cases() -> Iterator[Case]:
    """All of them, in an order in which one can use what another left."""
    yield from _meshes()
    yield from _pictures()
    yield from _galleries()
    yield from _classes()


def _meshes() -> Iterator[Case]:
    render = "render meshes --out views --renderer builtin --size 224 --workers 1"
    for suffix, millions in (("ply", 1), ("ply", 5), ("obj", 5), ("stl", 5), ("glb", 5), ("ply", 10)):
        what = f"render 12 views of a mesh of {millions} million faces ({suffix.upper()})"
        yield Case(what, _mesh(suffix, millions * 1_000_000), render, says="1 rendered")
    beside = "1 rendered, 0 already there, 1 failed"
    both = _and(_mesh("ply", 10_000_000), _mesh("off", 12))
    yield Case("… of 10 million faces where it may take 1 GB, and a small one", both, f"{render} --memory 1",
               says="raise --memory", keep=True)  # fmt: skip
    yield Case("… where a mesh may take 3 s, and a small one (drawn before, now again)",
               _nothing, f"{render} --timeout 3 --force", says=beside)  # fmt: skip


def _pictures() -> Iterator[Case]:
    small = _and(_run, _vectors("small.h5", 100))
    yield Case("a gallery of 100 shapes, to ask the pictures of", small,
               "index small.h5 --model run --out gallery --device cpu", keep=True)  # fmt: skip
    pictures = (
        ("89 megapixels (PNG)", "photo.png", (9900, 9000), 0, ""),
        ("100 megapixels (PNG)", "photo.png", (10_000, 10_000), 1, "more than the limit"),
        ("240 megapixels (JPEG)", "huge.jpg", (20_000, 12_000), 0, ""),
        ("260 megapixels (JPEG)", "larger.jpg", (20_000, 13_000), 1, "more than the limit"),
    )
    for what, name, size, status, says in pictures:
        line = ASK.format(gallery="gallery").replace("photo.png", name)
        yield Case(f"query with a photo of {what}", _picture(name, size), line, status, says, keep=True)
    line = "export --model run --images many --out many.h5 --device cpu"
    what = "export a folder of these four photos, two of them too large"
    yield Case(what, _four, line, says="more than the limit")


def _galleries() -> Iterator[Case]:
    million = _and(_run, _vectors("million.h5", 1_000_000))
    yield Case(f"index 1,000,000 shapes, {large.WIDTH} numbers each", million,
               "index million.h5 --model run --out gallery --device cpu", keep=True)  # fmt: skip
    yield Case("query them for a photo", _picture("photo.png", (640, 480)), ASK.format(gallery="gallery"),
               keep=True)  # fmt: skip
    more = _vectors("more.h5", 1000, "more")
    yield Case("add 1,000 shapes to them", more, "index --add more.h5 --out gallery --device cpu")


def _classes() -> Iterator[Case]:
    train = f"train --images in/photos --shapes in/views --out run {TINY} --json"
    yield Case("train on 10,000 classes, two photos and two shapes each (2 steps)", _collection(10_000),
               train, keep=True)  # fmt: skip
    yield Case("check that folder of 20,000 photos", _nothing, "data check in/photos --json")
    scored = _vectors("emb.h5", 100_000, photos=2000, classes=10_000)
    yield Case("evaluate 2,000 photos against 100,000 shapes of 10,000 classes", scored, "evaluate emb.h5")
    yield Case("check a folder of 100,000 photos", _many, "data check in --json")


def _many(folder: Path) -> None:
    large.write_many(folder / "in", 100_000, 1000)


def _nothing(folder: Path) -> None:
    """What the case before left is the input."""


def _and(*makers: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: [make(folder) for make in makers]


def _mesh(suffix: str, faces: int) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / "meshes").mkdir(exist_ok=True)
        if suffix == "off":
            from tests.render.shapes import box, write_off

            write_off(folder / "meshes" / "box.off", box(1, 2, 3))
        else:
            large.write_mesh(folder / "meshes" / f"large.{suffix}", faces)

    return make


def _vectors(
    name: str, shapes: int, prefix: str = "s", photos: int = 0, classes: int = 10
) -> Callable[[Path], object]:
    return lambda folder: large.write_vectors(
        folder / name, shapes, photos=photos, classes=classes, prefix=prefix
    )


def _picture(name: str, size: tuple[int, int]) -> Callable[[Path], object]:
    return lambda folder: large.write_picture(folder / name, *size)


def _four(folder: Path) -> None:
    (folder / "many" / "kind").mkdir(parents=True)
    sizes = {"89.png": (9900, 9000), "100.png": (10_000, 10_000)}
    sizes |= {"240.jpg": (20_000, 12_000), "260.jpg": (20_000, 13_000)}
    for name, size in sizes.items():
        large.write_picture(folder / "many" / "kind" / name, *size)


def _collection(classes: int) -> Callable[[Path], object]:
    return lambda folder: large.write_collection(folder / "in", classes, 2)


def _run(folder: Path) -> None:
    """A small model for photos, trained in two steps."""
    large.write_collection(folder / "tiny", 2, 2)
    line = f"train --images tiny/photos --shapes tiny/views --out run {TINY} --embedding {large.WIDTH}"
    done = measure(line, folder)
    if done.status:
        raise RuntimeError(f"no model could be trained: {done.words[-2000:]}")
    shutil.rmtree(folder / "tiny")


def measure(line: str, folder: Path) -> Measured:
    """Run ``hifa`` in a folder and watch it, and all that it starts, to the end."""
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "300"}
    began, memory = time.monotonic(), 0.0
    said = folder / ".said"
    with said.open("wb") as file:
        command = [sys.executable, "-W", "ignore", "-m", "hifa_cli", *line.split()]
        process = subprocess.Popen(command, cwd=folder, env=settings, stdout=file, stderr=file)
    while True:
        memory = max(memory, _held(process.pid))
        found, status, used = os.wait4(process.pid, os.WNOHANG)
        if found:
            break
        if time.monotonic() - began > PATIENCE:
            process.kill()
        time.sleep(GLANCE)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    words = said.read_text(encoding="utf-8", errors="replace")
    return Measured(process.returncode, words, seconds, used.ru_utime + used.ru_stime, memory)


def _held(pid: int) -> float:
    """Bytes that a process and all below it hold now, or that one of them held at most."""
    together, most, waiting = 0.0, 0.0, [pid]
    for one in waiting:
        with suppress(OSError, ValueError, KeyError):
            about = dict(line.split(":", 1) for line in Path(f"/proc/{one}/status").read_text().splitlines())
            together += float(about["VmRSS"].split()[0]) * 1024
            most = max(most, float(about["VmHWM"].split()[0]) * 1024)
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return max(together, most)


def measure_limits(named: Sequence[str] = ()) -> list[Limit]:
    """Run the cases, or the chains in which the words of one hold one of ``named``."""
    found = []
    with TemporaryDirectory(prefix="hifa-limits-") as scratch:
        folder = Path(scratch)
        for chain in _chains():
            if named and not any(name in case.what for name in named for case in chain):
                continue
            for case in chain:
                one = _tried(case, folder)
                found.append(one)
                spent = f"{one.seconds:.1f} s, {one.cpu:.1f} of cores, {one.memory / 1e6:.0f} MB"
                sys.stdout.write(f"{one.what}: {one.outcome} ({spent})\n")
                sys.stdout.flush()
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found


def _chains() -> list[list[Case]]:
    """The cases, those together that use what another left."""
    chains: list[list[Case]] = [[]]
    for case in cases():
        chains[-1].append(case)
        if not case.keep:
            chains.append([])
    return chains[:-1]


def _tried(case: Case, folder: Path) -> Limit:
    before = _sizes(folder)
    case.make(folder)
    made = {path: size for path, size in _sizes(folder).items() if before.get(path) != size}
    done = measure(case.line, folder)
    fine = done.status == case.status and case.says in done.words and "Traceback" not in done.words
    size = sum(made.values())
    return Limit(case.what, size, _outcome(case, done), done.seconds, done.cpu, done.memory, fine)


def _sizes(folder: Path) -> dict[Path, int]:
    """The files that are the case's own input; names of one file count once."""
    found: dict[int, tuple[Path, int]] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            about = path.stat()
            if path.parent.name != "run":
                found[about.st_ino] = path, about.st_size
    return dict(found.values())


def _outcome(case: Case, done: Measured) -> str:
    """One line: what it was to say, or the error, or that it was done."""
    lines = [line.strip() for line in done.words.splitlines() if line.strip()]
    told = [line for line in lines if case.says and case.says in line]
    errors = [line for line in lines if line.lower().startswith(("error", "hifa:"))]
    if done.status == case.status == 0 and not case.says:
        return "done"
    chosen = told or errors or lines[-1:] or ["without a word"]
    end = f"exit {done.status}" if done.status else "done"
    return f"{end}: {chosen[0][:240]}"


def in_words(limits: Sequence[Limit]) -> list[str]:
    """The report's lines on them."""
    wrong = [one for one in limits if not one.fine]
    lines = [
        "## Limits",
        "",
        "Each line is a command, start and imports included, on a machine that others may have used",
        f"too ({os.cpu_count()} cores, {_machine_memory() / 1e9:.0f} GB): the seconds that cores worked",
        "for it (CPU) depend on that less than those on the clock. *Memory* is the most that the",
        "command and the processes that it started held together, looked at every",
        f"{GLANCE * 1000:g} ms, or the high-water mark of the",
        "largest of them, where that is more; files that are read by memory map count.",
        f"{len(limits)} tried, {len(wrong)} not as it should be.",
        "",
        "| what | input (MB) | outcome | seconds | CPU (s) | memory (MB) |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for one in limits:
        outcome = ("" if one.fine else "**wrong** ") + one.outcome.replace("|", "/")
        lines.append(
            f"| {one.what} | {one.size / 1e6:.1f} | {outcome} | {one.seconds:.1f} | {one.cpu:.1f} "
            f"| {one.memory / 1e6:.0f} |"
        )
    return [*lines, ""]


def _machine_memory() -> float:
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


if __name__ == "__main__":
    sys.stdout.write("\n".join(in_words(measure_limits(sys.argv[1:]))) + "\n")
