"""CPU seconds of a start, beside one that imports every verb before it answers: in one run, taking turns.

    python benchmarks/start.py [--turns 20]

The rival is how most command lines are built, ours until 0.2.0: all verbs are imported, then one is called.
Printed are medians, and the best of all turns.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

TURNS = 20
LINES = (("--help",), ("query", "--help"), ("--version",))
_EAGER = """
import sys
from importlib import import_module
from hifa_cli.cli import app
from hifa_cli.cli.verbs import ABOUT
import hifa_cli.cli.help_layout
commands = import_module("typer.main").get_command(app).commands
[commands[name] for name in ABOUT]
app(sys.argv[1:], prog_name="hifa")
"""


def cpu_seconds(command: list[str]) -> float:
    """Return the CPU seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(words: tuple[str, ...], turns: int) -> dict[str, float]:
    """Return medians and bests of both, and the ratio of the medians."""
    hifa = [str(Path(sys.executable).with_name("hifa")), *words]
    eager = [sys.executable, "-c", _EAGER, *words]
    pairs = [(cpu_seconds(hifa), cpu_seconds(eager)) for _ in range(turns + 1)][1:]  # the first one warms up
    mine, theirs = ([pair[who] for pair in pairs] for who in (0, 1))
    return {
        "hifa_cpu_s": round(statistics.median(mine), 3),
        "hifa_cpu_s_best": round(min(mine), 3),
        "all_verbs_cpu_s": round(statistics.median(theirs), 3),
        "ratio": round(statistics.median(theirs) / statistics.median(mine), 2),
    }


def main() -> None:
    """Measure; print one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=TURNS)
    given = parser.parse_args()
    json.dump(
        {f"hifa {' '.join(words)}": compare(words, given.turns) for words in LINES}, sys.stdout, indent=2
    )


if __name__ == "__main__":
    main()
