"""Hostile files: read, and put into words."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from PIL import Image

from tests.faults.corpus import OUTSIDE, Case, corpus, raw, write_good_export
from tests.faults.fuzz import KINDS, mutants
from tests.faults.probe import Probe, Verdict
from tests.faults.readers import FREE, PATIENCE
from tests.faults.spoilt import spoilt
from tests.faults.stored import galleries


class Tried(NamedTuple):
    """Files of one kind: what became of them, the longest and largest, and what went wrong."""

    kind: str
    outcomes: Counter[str]
    seconds: float
    grown: float
    wrong: tuple[str, ...]


class Limit(NamedTuple):
    """A large input: what it was, what became of it."""

    what: str
    verdict: Verdict
    size: float


def try_files(mutations: int, seed: int) -> list[Tried]:
    """Read the corpus, then ``mutations`` of each format."""
    found = []
    with TemporaryDirectory() as scratch, Probe() as probe:
        (Path(scratch) / OUTSIDE).write_text("3" * 1000)
        folder = Path(scratch) / "in"
        folder.mkdir()
        cases = [*corpus(), *galleries()]
        for kind in dict.fromkeys(case.kind for case in cases):
            mine = [case for case in cases if case.kind == kind]
            found.append(_tried(f"corpus: {kind}", [(case, _read(probe, case, folder)) for case in mine]))
        for suffix in KINDS:
            seen = []
            for number, content in enumerate(mutants(suffix, mutations, seed)):
                case = Case(reader_of(suffix), f"mutant-{number}.{suffix}", "either", raw(content))
                seen.append((case, _read(probe, case, folder)))
            found.append(_tried(f"mutations: {suffix}", seen))
            sys.stdout.write(f"{found[-1].kind}: {dict(found[-1].outcomes)}\n")
            sys.stdout.flush()
    return found


def _read(probe: Probe, case: Case, folder: Path) -> Verdict:
    case.write(folder / case.name)
    verdict = probe.read(case.kind, folder / case.name)
    if case.name != "good.h5" and (folder / case.name).is_file():
        (folder / case.name).unlink()
    return verdict


def _tried(kind: str, seen: Sequence[tuple[Case, Verdict]]) -> Tried:
    wrong = [
        f"{case.name}: {one.outcome} {one.words} {' '.join(one.strange)}"
        for case, one in seen
        if not one.fine or case.wanted not in ("either", one.outcome)
    ]
    outcomes = Counter(one.outcome for _, one in seen)
    return Tried(
        kind, outcomes, max(one.seconds for _, one in seen), max(one.grown for _, one in seen), tuple(wrong)
    )


def measure_limits() -> list[Limit]:
    """Large and too large: a mesh, pictures, and an export of many classes."""
    limits = []
    with TemporaryDirectory() as scratch, Probe(patience=300.0) as probe:
        folder = Path(scratch)
        _grid(folder / "grid.ply", 1000)
        Image.fromarray(np.zeros((9000, 9900), dtype=np.uint8)).save(folder / "89.png")
        Image.fromarray(np.zeros((10_000, 10_000), dtype=np.uint8)).save(folder / "100.png")
        Image.fromarray(np.zeros((10_000, 10_000), dtype=np.uint8)).save(folder / "100.jpg")
        _classes(folder / "classes.h5", 1000, 100_000)
        for what, kind, name in (
            ("mesh of 2 million faces (PLY)", "mesh", "grid.ply"),
            ("picture of 89 megapixels (PNG)", "picture", "89.png"),
            ("picture of 100 megapixels (PNG)", "picture", "100.png"),
            ("picture of 100 megapixels (JPEG)", "picture", "100.jpg"),
            ("export of 100,000 shapes in 1,000 classes", "export", "classes.h5"),
        ):
            probe.read(kind, folder / "none")  # the reader is loaded
            size = (folder / name).stat().st_size
            limits.append(Limit(what, probe.read(kind, folder / name), size))
    return limits


def _grid(path: Path, side: int) -> None:
    import trimesh

    y, x = np.mgrid[0 : side + 1, 0 : side + 1]
    vertices = np.stack([x, y, np.sin(x / 50.0) * 40], axis=-1).reshape(-1, 3)
    a = (y[:-1, :-1] * (side + 1) + x[:-1, :-1]).ravel()
    faces = np.concatenate(
        [np.stack([a, a + 1, a + side + 2], 1), np.stack([a, a + side + 2, a + side + 1], 1)]
    )
    trimesh.Trimesh(vertices, faces, process=False).export(path)


def _classes(path: Path, classes: int, count: int) -> None:
    import h5py

    write_good_export(path)
    with h5py.File(path, "a") as file:
        file.attrs["classes"] = [f"class {number}" for number in range(classes)]
        for name in ("images", "shapes"):
            del file[name]
        group = file.create_group("shapes")
        group["ids"] = [f"c/{number}" for number in range(count)]
        group["labels"] = np.arange(count) % classes
        group["vectors"] = np.ones((count, 64), dtype=np.float32)


def in_words(files: Sequence[Tried]) -> list[str]:
    """The report's lines on them."""
    lines = [
        "## Hostile files",
        "",
        f"Read in a process watched from outside: at most {PATIENCE:g} s and {FREE / 1e6:g} MB a file,",
        "no other file opened, nothing written, run or connected to, and one line where the file is",
        "refused. Seconds",
        "count the start of that process where a file is its first.",
        "",
        "| files | tried | read | refused | wrong | longest (s) | most memory (MB) | what |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for one in files:
        counts = one.outcomes
        what = "; ".join(one.wrong).replace("|", "/").replace("\n", " ")[:300]
        lines.append(
            f"| {one.kind} | {sum(counts.values())} | {counts['read']} | {counts['refused']} "
            f"| {len(one.wrong)} | {one.seconds:.1f} | {one.grown / 1e6:.0f} | {what} |"
        )
    return [*lines, ""]


def _limits(limits: Sequence[Limit]) -> list[str]:
    lines = [
        "## Limits",
        "",
        "| what | file (MB) | outcome | seconds | memory on top (MB) |",
        "|---|---:|---|---:|---:|",
    ]
    for limit in limits:
        one = limit.verdict
        said = one.outcome if one.outcome == "read" else f"{one.outcome}: {one.words.rsplit('/', 1)[-1]}"
        lines.append(
            f"| {limit.what} | {limit.size / 1e6:.0f} | {said} | {one.seconds:.1f} | {one.grown / 1e6:.0f} |"
        )
    beyond = [
        "",
        "Beyond: a mesh that takes more than `--timeout` or `--memory` in `hifa render` costs itself, with",
        "a line that says so.",
        "Galleries larger than memory are opened by memory map; none of a stranger's size was tried here.",
    ]
    return [*lines, *beyond, ""]
