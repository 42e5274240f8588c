"""Breaks every verb in every way that machines do, and says what became of it: see ``scripts/faults``."""

import argparse
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hifa_cli.runtime.atomic import written_file
from tools.faults.breaking import (
    FAULTS,
    KILLED,
    KILLED_AT,
    Fault,
    Outcome,
    Trial,
    killed,
    killed_at,
    may_mount,
)
from tools.faults.findings import TITLE, Row, commit, in_words, stamp
from tools.faults.running import count_changes, load_everything, run
from tools.faults.verbs import FEEDING, Verb, begin, digest, holds, make_world, verbs


def break_all(scratch: Path, asked: argparse.Namespace) -> None:
    """Every fault on every verb, ``asked.jobs`` verbs side by side, each in a world of its own.

    What is done of a verb with the same settings stays in ``asked.keep``, with the commit that it was done
    to, and is not done again.
    """
    kept = {verb.name: asked.keep / f"{place(verb)}.json" for verb in verbs() if verb.name in asked.verbs}
    missing = [verb for verb in verbs() if verb.name in kept and not _done(kept[verb.name], asked)]
    if missing:
        _break(missing, scratch, asked)


def kept_rows(path: Path) -> list[Row]:
    """What is kept of a verb."""
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    return [Row(**{**row, "wrong": Counter(row["wrong"])}) for row in rows]


def _done(path: Path, asked: argparse.Namespace) -> bool:
    """Whether a verb was broken in the way that is asked for; single faults are tried again."""
    if asked.faults or not path.is_file():
        return False
    return bool(json.loads(path.read_text(encoding="utf-8"))["asked"] == _way(asked))


def _keep(rows: Sequence[Row], path: Path, asked: argparse.Namespace) -> None:
    """Keep what became of a verb; of single faults, in the place of what was known of these."""
    if asked.faults:
        again = {_kind(row.fault): row for row in rows}
        rows = [again.pop(_kind(row.fault), row) for row in kept_rows(path)] + list(again.values())
    document = {"asked": _way(asked), "rows": [row._asdict() for row in rows]}
    with written_file(path) as beside:
        beside.write_text(json.dumps(document, indent=1), encoding="utf-8")


def _kind(fault: str) -> str:
    """A fault's name without how often it was tried, or why not."""
    return fault.partition(" (")[0].partition(":")[0]


def _way(asked: argparse.Namespace) -> dict[str, Any]:
    """What decides what is done to a verb."""
    names = ("kills", "points", "others", "seed")
    return {name: getattr(asked, name) for name in names}


def _break(missing: Sequence[Verb], scratch: Path, asked: argparse.Namespace) -> None:
    load_everything()
    world = scratch / "world"
    make_world(world)
    (world / "made").mkdir()
    for verb in (one for one in verbs() if one in missing or one.name in FEEDING):
        begin(verb, world, world / "made" / verb.out)
        first = run(verb, world, world / "made" / verb.out, scratch / "said.txt")
        if first.status:
            raise SystemExit(f"{verb.name} does not run undisturbed: {first.words[-2000:]}")
    running: dict[int, Verb] = {}
    for verb in sorted(
        missing, key=lambda verb: not verb.slow
    ):  # so that no slow one is left alone at the end
        if len(running) == asked.jobs:
            _finished(running)
        running[_started(verb, scratch, asked)] = verb
    while running:
        _finished(running)


def place(verb: Verb) -> str:
    """A verb's name as a file's."""
    return verb.name.replace(" ", "")


def _started(verb: Verb, scratch: Path, asked: argparse.Namespace) -> int:
    """Break a verb in a process of its own; its id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _keep(list(break_one(verb, scratch, asked)), asked.keep / f"{place(verb)}.json", asked)
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _finished(running: dict[int, Verb]) -> None:
    pid, status = os.wait()
    if status:
        raise SystemExit(f"breaking {running[pid].name} failed")
    del running[pid]


def break_one(verb: Verb, scratch: Path, asked: argparse.Namespace) -> Iterator[Row]:
    """Every fault on one verb."""
    own = scratch / place(verb)
    shutil.copytree(scratch / "world", own / "world", symlinks=True)
    chance = np.random.default_rng([asked.seed, *verb.name.encode()])
    trial = Trial(verb, own / "world", own / "place" / "in", "", "", "nothing", [], 0, chance)
    trial.fresh()
    trial = replace(trial, before=digest(verb, trial.out))
    done = trial.run()
    good, content = digest(verb, trial.out), holds(verb, trial.out)
    trial = replace(trial, good=good, content=content, pace=[done.seconds])
    trial.fresh()
    trial = replace(trial, changes=count_changes(verb, trial.world, trial.out, trial.said()))
    wanted = asked.faults or [KILLED, KILLED_AT, *(fault.name for fault in FAULTS)]
    if KILLED in wanted:
        yield _killed(trial, asked.kills)
    if KILLED_AT in wanted:
        yield _killed_at_changes(trial, max(1, asked.points // 2) if verb.slow else asked.points)
    for fault in (one for one in FAULTS if one.name in wanted and one.fits(verb)):
        count = max(1, asked.others // 2) if verb.slow else asked.others
        yield _tried(trial, fault, count)


def _killed(trial: Trial, kills: int) -> Row:
    """SIGKILL until so many have hit; a machine that others slow down makes some miss."""
    began, outcomes = time.monotonic(), list[Outcome]()
    while sum(one.struck for one in outcomes) < kills and len(outcomes) < 2 * kills:
        outcomes.append(killed(trial))
    return _row(trial, KILLED, outcomes, began)


def _killed_at_changes(trial: Trial, points: int) -> Row:
    """SIGKILL before each change of files, or before so many of them."""
    began = time.monotonic()
    places = np.unique(np.linspace(1, trial.changes, min(points, trial.changes)).round().astype(int))
    outcomes = [killed_at(trial, int(change)) for change in places]
    return _row(trial, f"{KILLED_AT} ({len(places)} of {trial.changes})", outcomes, began)


def _tried(trial: Trial, fault: Fault, count: int) -> Row:
    began = time.monotonic()
    if fault.name == "disk full" and not may_mount():
        return Row(
            trial.verb.name,
            f"{fault.name}: not tried, no right to mount a small disk",
            0,
            0,
            0.0,
            Counter(),
            commit(),
        )
    return _row(trial, fault.name, [fault.inject(trial) for _ in range(count)], began)


def _row(trial: Trial, fault: str, outcomes: Sequence[Outcome], began: float) -> Row:
    wrong = Counter(one.wrong for one in outcomes if one.wrong)
    struck = sum(one.struck for one in outcomes)
    row = Row(trial.verb.name, fault, len(outcomes), struck, time.monotonic() - began, wrong, commit())
    sys.stdout.write(
        f"{row.verb:15} {fault:45} {row.struck:4} of {row.tried:4} struck, {sum(wrong.values())} wrong, "
        f"{row.seconds:.0f} s {dict(wrong) or ''}\n"
    )
    sys.stdout.flush()
    return row


def _said(arguments: Sequence[str]) -> list[str]:
    """What was asked for, without where the report and the verbs' results go."""
    pairs = zip(["", *arguments], arguments, strict=False)
    return [one for before, one in pairs if not {"--report", "--keep"} & {before, one}]


def main() -> None:
    """Run what is asked for, and write the report."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    everything = ",".join(verb.name for verb in verbs())
    on = argparse.BooleanOptionalAction
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs a verb at random moments")
    parser.add_argument(
        "--points",
        type=int,
        default=100,
        help="SIGKILLs a verb, each before a change of files; half for slow verbs",
    )
    parser.add_argument(
        "--others", type=int, default=6, help="of each other fault, a verb; half for slow verbs"
    )
    parser.add_argument("--mutations", type=int, default=200, help="of hostile files, a format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="verbs side by side")
    parser.add_argument("--verbs", default=everything, help=f"of {everything}; none: only the files")
    parser.add_argument("--faults", default="", help="only these again, e.g. 'Ctrl-C,disk full'")
    parser.add_argument("--files", action=on, default=True, help="try hostile files")
    parser.add_argument("--limits", action=on, default=True, help="measure the limits")
    parser.add_argument("--cases", default="", help="only the limits in whose words one of these stands")
    parser.add_argument(
        "--keep", type=Path, help="folder that keeps what is done of the verbs, to go on from"
    )
    parser.add_argument("--report", type=Path, help="write the report here, e.g. docs/reliability.md")
    asked = parser.parse_args()
    asked.cases = [words for words in asked.cases.split(",") if words]
    asked.faults = [name for name in asked.faults.split(",") if name]
    asked.verbs = [name for name in asked.verbs.split(",") if name != "none"]
    if unknown := set(asked.verbs) - set(everything.split(",")):
        parser.error(f"no verb called {', '.join(unknown)}")
    with TemporaryDirectory() as scratch:
        asked.keep = asked.keep or Path(scratch) / "kept"
        asked.keep.mkdir(parents=True, exist_ok=True)
        wrong = _all_parts(Path(scratch), asked)
        text = TITLE + "\n".join(path.read_text(encoding="utf-8") for path in sorted(asked.keep.glob("*.md")))
    if asked.report:
        asked.report.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    sys.exit(1 if wrong else 0)


def _all_parts(scratch: Path, asked: argparse.Namespace) -> int:
    """Do what is asked for; each part of the report is kept with the command that made it; returns
    how much is wrong."""
    wrong = 0

    def put(name: str, lines: Sequence[str]) -> None:
        text = "\n".join([lines[0], "", stamp(_said(sys.argv[1:])), *lines[1:]])
        (asked.keep / name).write_text(text.rstrip() + "\n", encoding="utf-8")

    if asked.verbs:
        break_all(scratch, asked)
    rows = [row for verb in verbs() for row in kept_rows(asked.keep / f"{place(verb)}.json")]
    if rows:  # of other times, too
        (asked.keep / "1-faults.md").write_text("\n".join(in_words(rows)), encoding="utf-8")
        wrong += sum(sum(row.wrong.values()) for row in rows)
    if asked.files:
        from tools.faults import files

        tried = files.try_files(asked.mutations, asked.seed)
        put("2-files.md", files.in_words(tried))
        wrong += sum(len(one.wrong) for one in tried)
    if asked.limits:
        from tools.faults import limits

        put("3-limits.md", limits.in_words(limits.measure_limits(asked.cases)))
    return wrong


if __name__ == "__main__":
    main()
