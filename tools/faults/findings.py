"""What ``docs/reliability.md`` says: found by what was run, never typed; and what faults did to the verbs."""

import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Row(NamedTuple):
    """What a fault did to a verb.

    Attributes:
        verb: the command.
        fault: what was done to it.
        tried: how often.
        struck: how often it hit the verb at its work: a run may be over before.
        seconds: that all of it took.
        wrong: what went wrong, with its count.
        commit: of hifa that it was done to.
    """

    verb: str
    fault: str
    tried: int
    struck: int
    seconds: float
    wrong: Counter[str]
    commit: str


TITLE = """# Reliability

Nothing here is typed: it is what `scripts/faults` (the harness in `tools/faults`) found; its short
run is part of the tests (`tests/faults`). How hifa guards itself is in
[SECURITY.md](../SECURITY.md).

"""


def stamp(said: Sequence[str]) -> str:
    """By what, and on what, a part of the report was found."""
    where = f"{platform.system()}, Python {platform.python_version()}, commit {commit()}"
    return f"By `{' '.join(['scripts/faults', *said])}` on {where}."


def commit() -> str:
    """That is checked out, and whether it was changed since."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def in_words(rows: Sequence[Row]) -> list[str]:
    """The report's lines on them."""
    lines = [
        "## Faults",
        "",
        "Each trial breaks the verb at its work, then gives the same command again. Right is: it finishes,",
        "its result is the undisturbed one to the byte (weights, embeddings, views, columns, tables,",
        "figures), no half-written file or lock stays, nothing that was there is lost, and no traceback is",
        "shown. A file or a gallery is, at every moment, the old one or the new one. *Struck* counts the",
        "trials in which the verb was still at work, or in which it could not finish. A demo's and a",
        "comparison's commands are at their smallest: two kinds, a few steps. Faults were tried again",
        "where what they had found was mended: each row has the commit of hifa that it was tried on.",
        "",
        _in_all(rows),
        "",
        "| verb | fault | tried | struck | wrong | commit | what |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for row in rows:
        what = "; ".join(f"{words} ({count})" for words, count in row.wrong.items()).replace("|", "/")
        counts = f"{row.tried} | {row.struck} | {sum(row.wrong.values())}"
        lines.append(f"| {row.verb} | {row.fault} | {counts} | {row.commit} | {what} |")
    return [*lines, ""]


def _in_all(rows: Sequence[Row]) -> str:
    wrong, verbs = sum(sum(row.wrong.values()) for row in rows), len({row.verb for row in rows})
    tried, struck = sum(row.tried for row in rows), sum(row.struck for row in rows)
    minutes = sum(row.seconds for row in rows) / 60
    return f"In all: {verbs} verbs, {tried} faults, {struck} struck, {wrong} wrong; {minutes:.0f} minutes."
