"""Hostile files: read, and put into words."""

import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tools.faults.bombs import more_meshes, more_pictures
from tools.faults.corpus import OUTSIDE, Case, corpus
from tools.faults.fuzz import KINDS, MISSING, mutants
from tools.faults.probe import Probe, Verdict
from tools.faults.readers import FREE, PATIENCE
from tools.faults.spoilt import spoilt
from tools.faults.stored import galleries


class Tried(NamedTuple):
    """Files of one kind: what became of them, the longest and largest, and what went wrong."""

    kind: str
    outcomes: Counter[str]
    seconds: float
    grown: float
    wrong: tuple[str, ...]


def try_files(mutations: int, seed: int) -> list[Tried]:
    """Read the corpus, then ``mutations`` of each format and of each of hifa's own files."""
    found = []
    with TemporaryDirectory() as scratch, Probe() as probe:
        (Path(scratch) / OUTSIDE).write_text("3" * 1000)
        folder = Path(scratch) / "in"
        folder.mkdir()
        cases = [*corpus(), *more_meshes(), *more_pictures(), *galleries(), *spoilt()]
        for kind in dict.fromkeys(case.kind for case in cases):
            mine = [case for case in cases if case.kind == kind]
            found.append(_tried(f"corpus: {kind}", [(case, _read(probe, case, folder)) for case in mine]))
            _tell(found[-1])
        for name in KINDS:
            found.append(
                _tried(f"mutations: {name}", list(_mutants(probe, name, mutations, seed, Path(scratch))))
            )
            _tell(found[-1])
    return found


def _tell(one: Tried) -> None:
    sys.stdout.write(f"{one.kind}: {dict(one.outcomes)} {' '.join(one.wrong[:3])}\n")
    sys.stdout.flush()


def _read(probe: Probe, case: Case, folder: Path) -> Verdict:
    path = folder / case.name
    case.write(path)
    verdict = probe.read(case.kind, path)
    if path.is_dir():
        shutil.rmtree(path)
    elif case.name != "good.h5":  # others link to it
        path.unlink(missing_ok=True)
    return verdict


def _mutants(probe: Probe, name: str, count: int, seed: int, scratch: Path) -> Iterator[tuple[Case, Verdict]]:
    kind = KINDS[name]
    for number, content in enumerate(mutants(name, count, seed)):
        with TemporaryDirectory(dir=scratch, prefix="in-") as place:
            path = kind.write(Path(place), content)
            case = Case(kind.reader, f"mutant {number}", "either", lambda path: None)
            yield case, probe.read(kind.reader, path)


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


def in_words(files: Sequence[Tried]) -> list[str]:
    """The report's lines on them."""
    lines = [
        "## Hostile files",
        "",
        f"Read in a process watched from outside: at most {PATIENCE:g} s of work, {FREE / 1e6:g} MB a file,",
        "no other file opened, nothing written or removed elsewhere, nothing run or connected to, and one",
        "line where it is refused. One mutation in four is blind; the others keep checksums, lengths and",
        "digests right, so that what lies behind them is reached. Seconds count the start of that process",
        "where a file is its first.",
        "",
        *(f"Not tried here: {what}." for what in MISSING),
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
