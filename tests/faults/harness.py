"""Breaks every verb in every way that machines do, and says what became of it: see ``scripts/faults``.

Verbs run in forks of this process, which has loaded everything, so that a hundred kills a verb are minutes
and hit the work rather than the imports. A trial: run, break, look, run the same command again, compare.
"""

import argparse
import contextlib
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from PIL import Image

from tests.render.shapes import box, write_off

STRAY = re.compile(r"\..*\.(part|old|lock)$")
SETTLING = 8.0  # seconds that a worker whose parent was killed may take to end
PATIENCE = 300.0  # seconds that a run may take


class Verb(NamedTuple):
    """A command and what it must leave.

    Attributes:
        name: of the verb, and of its variant.
        arguments: of ``hifa``; ``{out}`` is where it writes.
        out: name of what it writes.
        same: patterns of the files below ``out`` that must be the same to the byte.
    """

    name: str
    arguments: tuple[str, ...]
    out: str
    same: tuple[str, ...] = ()


class Done(NamedTuple):
    """How a run ended: its exit status (negative: by a signal), what it said, and how long it took."""

    status: int
    words: str
    seconds: float


def verbs(world: Path) -> list[Verb]:
    """All verbs, each fed by the undisturbed output of those before."""
    photos, meshes = str(world / "photos"), str(world / "meshes")
    made = {name: str(world / "made" / name) for name in ("views", "run", "emb.h5", "gallery")}
    photo = next((world / "photos").rglob("*.png"))
    small = ("--backbone", "test_resnet", "--weights", "none", "--device", "cpu")
    return [
        Verb("render", ("render", meshes, "--out", "{out}", "--size", "32", "--views", "4", "--workers", "1",
             "--renderer", "builtin"), "views", ("**/*.png",)),
        Verb("train", ("train", "--images", photos, "--shapes", made["views"], "--out", "{out}", *small,
             "--steps", "12", "--checkpoint", "1", "--photos-per-step", "4", "--shapes-per-step", "2",
             "--views", "2", "--embedding", "8", "--set", "size=32"),
             "run", ("model.safetensors", "model.json")),
        Verb("export", ("export", "--model", made["run"], "--images", photos, "--shapes", made["views"],
             "--out", "{out}", "--device", "cpu"), "emb.h5", (".",)),
        Verb("index", ("index", made["emb.h5"], "--out", "{out}", "--device", "cpu"), "gallery",
             ("generation-*/ids.txt", "generation-*/vectors.f32", "generation-*/*.npy")),
        Verb("query", ("query", str(photo), "-g", made["gallery"], "--sheet", "{out}", "--device", "cpu"),
             "sheet.png", (".",)),
        Verb("evaluate", ("evaluate", made["emb.h5"], "--csv", "--out", "{out}"), "scores.csv", (".",)),
        Verb("plot", ("plot", made["emb.h5"], "--kind", "pr", "--out", "{out}"), "curves.png", (".",)),
    ]  # fmt: skip


def make_world(world: Path) -> None:
    """Meshes and photos of two kinds."""
    generator = np.random.default_rng(0)
    for kind in ("flat", "tall"):
        for number in range(5):
            x, y, z = generator.uniform(0.5, 1.5, 3)
            write_off(
                world / "meshes" / kind / f"{number}.off", box(x, y, z * (0.2 if kind == "flat" else 3))
            )
            picture = generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            (world / "photos" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(world / "photos" / kind / f"{number}.png")


# ---- running ----


def start(verb: Verb, out: Path, said: Path, *, most_bytes: int = 0) -> int:
    """Start a verb in a fork; its process id."""
    sys.stdout.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the verb begins: the fork's first steps are not its
    pid = os.fork()
    if pid:
        return pid
    status = 99
    try:
        os.setsid()
        with said.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        if most_bytes:  # what it says is no file that may not grow
            cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
            assert cat.stdin is not None
            os.dup2(cat.stdin.fileno(), 1)
            os.dup2(cat.stdin.fileno(), 2)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
        sys.argv = ["hifa", *(part.replace("{out}", str(out)) for part in verb.arguments)]
        from hifa_cli.cli import main

        signal.signal(signal.SIGINT, signal.default_int_handler)
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


def wait(pid: int, said: Path, began: float) -> Done:
    """Wait for a run; one that never ends is killed and counts as hung."""
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            break
        if time.monotonic() - began > PATIENCE:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    words = said.read_text(encoding="utf-8", errors="replace") if said.exists() else ""
    return Done(code, words, time.monotonic() - began)


def run(verb: Verb, out: Path, *, most_bytes: int = 0) -> Done:
    """Run a verb to its end."""
    said, began = out.parent.parent / "said.txt", time.monotonic()
    done = wait(start(verb, out, said, most_bytes=most_bytes), said, began)
    if most_bytes:
        time.sleep(0.3)  # what it said passes through another process
        done = done._replace(words=said.read_text(encoding="utf-8", errors="replace"))
    return done


def digest(verb: Verb, out: Path) -> str:
    """Of everything that must be the same."""
    total = hashlib.sha256()
    files = {path for pattern in verb.same for path in ([out] if pattern == "." else out.glob(pattern))}
    for path in sorted(path for path in files if path.is_file()):
        name = re.sub(r"generation-\d+", "generation", str(path.relative_to(out.parent)))  # a running number
        total.update(f"{name}\0".encode() + path.read_bytes())
    return total.hexdigest() if files else "nothing"


def strays(folder: Path) -> list[str]:
    """Half-written things; a gallery's own lock file is none."""
    found = [path for path in folder.rglob("*") if STRAY.match(path.name)]
    return [path.name for path in found if not (path.name == ".lock" and path.parent != folder)]


# ---- breaking ----


class Trial(NamedTuple):
    """A verb, where it may write, its undisturbed result, how long that took, and chance."""

    verb: Verb
    place: Path
    good: str
    seconds: float
    chance: np.random.Generator

    @property
    def out(self) -> Path:
        """Where it writes."""
        return self.place / self.verb.out

    def fresh(self) -> None:
        """An empty folder with somebody else's file in it."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        (self.place / "theirs.txt").write_text("theirs", encoding="utf-8")

    def interrupted(self, number: int) -> Done:
        """Start, and send a signal at a random moment."""
        said, began = self.place.parent / "said.txt", time.monotonic()
        pid = start(self.verb, self.out, said)
        time.sleep(float(self.chance.uniform(0.0, 1.0)) * self.seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        return wait(pid, said, began)

    def mended(self) -> str:
        """Give the same command again: what is wrong afterwards, or nothing."""
        again = run(self.verb, self.out)
        finished = again.status == 0 or (again.status == 1 and "--force" in again.words and self.out.exists())
        if not finished:
            return f"the same command fails: {_last(again.words)}"
        return self.wrong()

    def wrong(self) -> str:
        """What is not as it should be after a finished run, or nothing."""
        if digest(self.verb, self.out) != self.good:
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


def _last(words: str) -> str:
    lines = words.strip().splitlines()
    return lines[-1][:200] if lines else "without a word"


def killed(trial: Trial) -> str:
    """SIGKILL at a random moment, into an empty place."""
    trial.fresh()
    trial.interrupted(signal.SIGKILL)
    return trial.mended()


def killed_over_old(trial: Trial) -> str:
    """SIGKILL while an older result is replaced (``--force``): it is the old or the new one, whole."""
    trial.fresh()
    if run(trial.verb, trial.out).status:
        return "does not run"
    forced = trial._replace(verb=trial.verb._replace(arguments=(*trial.verb.arguments, "--force")))
    forced.interrupted(signal.SIGKILL)
    if trial.verb.same == (".",) and digest(trial.verb, trial.out) != trial.good:
        return "what was there is neither whole nor replaced"
    return forced.mended()


def _stopped(trial: Trial, number: int) -> str:
    trial.fresh()
    done = trial.interrupted(number)
    if "Traceback" in done.words:
        return f"a traceback: {_last(done.words)}"
    if done.status not in (0, 1, 130, 128 + number, -number):
        return f"ends with {done.status}"
    return trial.lost() or (trial.left() if done.status != 0 else "") or trial.mended()


def ctrl_c(trial: Trial) -> str:
    """SIGINT at a random moment: one line, nothing left behind, and the same command finishes."""
    return _stopped(trial, signal.SIGINT)


def terminated(trial: Trial) -> str:
    """SIGTERM at a random moment."""
    return _stopped(trial, signal.SIGTERM)


def disk_full(trial: Trial) -> str:
    """No file may grow beyond some bytes, as on a full disk or under a quota; then it may again."""
    trial.fresh()
    done = run(trial.verb, trial.out, most_bytes=int(2 ** trial.chance.uniform(3, 12)))
    if "Traceback" in done.words or done.status not in (0, 1):
        return f"ends with {done.status}: {_last(done.words)}"
    return trial.lost() or trial.left() or trial.mended()


def folder_taken_away(trial: Trial) -> str:
    """The folder that is written into is renamed under the verb's feet."""
    trial.fresh()
    said, began = trial.place.parent / "said.txt", time.monotonic()
    pid = start(trial.verb, trial.out, said)
    time.sleep(float(trial.chance.uniform(0.0, 1.0)) * trial.seconds)
    elsewhere = trial.place.with_name("elsewhere")
    shutil.rmtree(elsewhere, ignore_errors=True)
    trial.place.rename(elsewhere)
    done = wait(pid, said, began)
    if "Traceback" in done.words or done.status not in (0, 1):
        return f"ends with {done.status}: {_last(done.words)}"
    if not (elsewhere / "theirs.txt").is_file():
        return "a file is lost"
    trial.fresh()
    return trial.mended()


def two_writers(trial: Trial) -> str:
    """The same command twice at once: one finishes, the other too or says who is in its way."""
    trial.fresh()
    notes = [trial.place.parent / f"said-{k}.txt" for k in range(2)]
    began = time.monotonic()
    pids = [start(trial.verb, trial.out, said) for said in notes]
    done = [wait(pid, said, began) for pid, said in zip(pids, notes, strict=True)]
    losers = [one for one in done if one.status]
    if len(losers) > 1:
        return f"neither finishes: {_last(losers[0].words)}"
    if losers and not ("another hifa" in losers[0].words or "--force" in losers[0].words):
        return f"the second says: {_last(losers[0].words)}"
    return trial.wrong()


def no_place(trial: Trial) -> str:
    """The output is to lie below a file."""
    trial.fresh()
    nowhere = trial._replace(place=trial.place / "theirs.txt")
    said, began = trial.place.parent / "said.txt", time.monotonic()
    done = wait(start(trial.verb, nowhere.out, said), said, began)
    if done.status != 1 or "Traceback" in done.words:
        return f"ends with {done.status}: {_last(done.words)}"
    return trial.lost() or trial.left()


FAULTS: dict[str, Callable[[Trial], str]] = {
    "killed": killed, "killed over an old result": killed_over_old, "Ctrl-C": ctrl_c, "SIGTERM": terminated,
    "disk full": disk_full, "folder taken away": folder_taken_away, "two writers": two_writers,
    "no place to write": no_place,
}  # fmt: skip


class Row(NamedTuple):
    """What a fault did to a verb: how often it was tried, and what went wrong, with its count."""

    verb: str
    fault: str
    tried: int
    wrong: Counter[str]


def break_all(world: Path, names: Sequence[str], kills: int, others: int, seed: int) -> list[Row]:
    """Every fault on every verb: ``kills`` SIGKILLs, ``others`` of each other one."""
    _load_everything()
    make_world(world)
    (world / "made").mkdir()
    rows = []
    for verb in verbs(world):
        first = run(verb, world / "made" / verb.out)
        if first.status:
            raise SystemExit(f"{verb.name} does not run undisturbed: {first.words[-2000:]}")
        if verb.name not in names:
            continue
        good = digest(verb, world / "made" / verb.out)
        chance = np.random.default_rng([seed, *verb.name.encode()])
        trial = Trial(verb, world / "place" / "in", good, first.seconds, chance)
        for fault, inject in FAULTS.items():
            count = kills if fault == "killed" else 1 if fault == "no place to write" else others
            wrong = Counter(inject(trial) for _ in range(count))
            del wrong[""]
            rows.append(Row(verb.name, fault, count, wrong))
            sys.stdout.write(
                f"{verb.name:9} {fault:26} {count:4} tried, {sum(wrong.values())} wrong {dict(wrong)}\n"
            )
    return rows


def _load_everything() -> None:
    """Have the forks begin with everything imported."""
    import timm  # noqa: F401

    import hifa_cli.cli
    import hifa_cli.evaluate
    import hifa_cli.export
    import hifa_cli.figures
    import hifa_cli.gallery.build
    import hifa_cli.render.stage
    import hifa_cli.train  # noqa: F401


def _said(arguments: Sequence[str]) -> list[str]:
    """What was asked for, without where the report goes."""
    pairs = zip(["", *arguments], arguments, strict=False)
    return [one for before, one in pairs if "--report" not in (before, one) and one != "--append"]


def main() -> None:
    """Run what is asked for, and write the report."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    everything = "render,train,export,index,query,evaluate,plot"
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs a verb")
    parser.add_argument("--others", type=int, default=5, help="of each other fault, a verb")
    parser.add_argument("--mutations", type=int, default=200, help="a format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", default=everything, help=f"of {everything}; none: only the files")
    parser.add_argument(
        "--files", action=argparse.BooleanOptionalAction, default=True, help="try hostile files"
    )
    parser.add_argument(
        "--limits", action=argparse.BooleanOptionalAction, default=True, help="measure the limits"
    )
    parser.add_argument("--report", type=Path, help="write the report here, e.g. docs/reliability.md")
    parser.add_argument("--append", action="store_true", help="add to the report that is there")
    asked = parser.parse_args()
    from tests.faults import report

    names = [name for name in asked.verbs.split(",") if name != "none"]
    with TemporaryDirectory() as scratch:
        rows = break_all(Path(scratch), names, asked.kills, asked.others, asked.seed) if names else []
    files = report.try_files(asked.mutations, asked.seed) if asked.files else []
    limits = report.measure_limits() if asked.limits else []
    text = report.written(rows, files, limits, _said(sys.argv[1:]), titled=not asked.append)
    if asked.report:
        with asked.report.open("a" if asked.append else "w", encoding="utf-8") as file:
            file.write(text)
    sys.stdout.write(text)
    wrong = sum(sum(row.wrong.values()) for row in rows) + sum(len(one.wrong) for one in files)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
