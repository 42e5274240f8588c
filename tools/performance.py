"""Write the README's performance table from what the benchmarks measured.

    python -m tools.performance                   print the table of the kept results
    python -m tools.performance --write           put it into README.md
    python -m tools.performance --run start,render --write     measure these again, keep the results, write

Every script of ``benchmarks`` that is named here prints one JSON document, with its rival's figures of the
same run. The documents are kept in ``benchmarks/results.json`` with machine, date and versions; a test holds
the README to them.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hifa_cli.runtime import atomic

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "README.md"
BEGIN, END = "<!-- performance: python -m tools.performance --write -->", "<!-- /performance -->"
PACKAGES = (
    "hifa-cli",
    "numpy",
    "numba",
    "torch",
    "onnxruntime",
    "openvino",
    "faiss-gpu",
    "faiss-cpu",
    "pyrender",
    "trimesh",
)
HEAD = "| | hifa | beside | | ratio |\n|---|---:|---|---:|---:|"

Report = dict[str, Any]


class Row(NamedTuple):
    """A row of the table: two figures of one run, and how many times ours fits into the rival's."""

    what: str
    hifa: str
    rival: str
    theirs: str
    ratio: float

    def line(self, script: str) -> str:
        """Return the row in Markdown, with a link to the script that measured it."""
        what = f"[{self.what}](benchmarks/{script}.py)"
        return f"| {what} | {self.hifa} | {self.rival} | {self.theirs} | **{self.ratio:.1f} ×** |"


def _render(report: Report) -> list[Row]:
    return [
        Row(
            f"12 views of {row['mesh']} faces, file to PNG",
            f"{row['hifa_cpu_ms']:.0f} ms",
            "the script of pyrender's README",
            f"{row['script_cpu_ms']:.0f} ms",
            row["cpu_ratio"],
        )
        for row in report["rows"]
    ]


def _index(report: Report) -> list[Row]:
    return [
        Row(
            "Index: a mesh to twelve vectors",
            f"{1000 * report['new_1_cpu_s_a_mesh']:.0f} ms",
            "PNG files, then torch",
            f"{1000 * report['old_1_cpu_s_a_mesh']:.0f} ms",
            report["times_as_many_1"],
        )
    ]


def _query(report: Report) -> list[Row]:
    return [
        Row(
            f"`hifa query`, {report['shapes']:,} shapes, a process",
            f"{1000 * report['cold_cpu_s']:.0f} ms",
            "the same with torch",
            f"{1000 * report['torch_cold_cpu_s']:.0f} ms",
            report["times_as_fast"],
        )
    ]


def _serve(report: Report) -> list[Row]:
    one = report["8 clients"]
    return [
        Row(
            "`hifa serve`, 8 clients, a photo",
            f"{one['hifa, CPU ms']:.0f} ms",
            "`hifa query`, a process a photo",
            f"{report['a process a photo, CPU ms']:.0f} ms",
            one["a process a photo, times the CPU"],
        )
    ]


def _start(report: Report) -> list[Row]:
    one = report["hifa --help"]
    mine, theirs = one["hifa_cpu_s"], one["all_verbs_cpu_s"]
    rival = "all verbs imported at the start"
    return [Row("`hifa --help`", f"{1000 * mine:.0f} ms", rival, f"{1000 * theirs:.0f} ms", one["ratio"])]


def _evaluate(report: Report) -> list[Row]:
    return [
        Row(
            f"`hifa evaluate`, {report['queries']:,} photos × {report['gallery']:,} shapes",
            f"{report['hifa']['cpu_seconds']:.1f} s",
            "a loop over queries",
            f"{report['plain']['cpu_seconds']:.1f} s",
            report["times_as_fast"],
        )
    ]


def _gallery(report: Report) -> list[Row]:
    found = f"{100 * report['recall_at_10']:.1f} % of the ten nearest"
    return [
        Row(
            f"Search among {report['shapes']:,} vectors ({found})",
            f"{report['cpu_ms_a_query_single']:.1f} ms",
            "exact search",
            f"{report['exact_cpu_ms_a_query_single']:.1f} ms",
            report["qps_ratio_single"],
        )
    ]


def _train(report: Report) -> list[Row]:
    names = {
        "frozen trunk": "frozen trunk (default)",
        "blocks:1": "last block",
        "whole network": "whole network",
    }
    return [
        Row(
            f"A training step, {shown}",
            f"{1000 * report[name]['hifa_seconds_a_step']:.0f} ms",
            "the textbook loop",
            f"{1000 * report[name]['textbook_seconds_a_step']:.0f} ms",
            report[name]["times_faster"],
        )
        for name, shown in names.items()
        if name in report
    ]


class Script(NamedTuple):
    """A benchmark: its arguments and its rows. ``{scratch}`` is a folder that is removed afterwards."""

    arguments: tuple[str, ...]
    rows: Callable[[Report], list[Row]]


SCRIPTS = {
    "start": Script((), _start),
    "render": Script(("--json", "--meshes", "1k,10k,10k soup,100k,100k soup"), _render),
    "index": Script(("--most", "40", "--workers", "1"), _index),
    "query": Script((), _query),
    "serve": Script(("--clients", "1,8", "--seconds", "5"), _serve),
    "gallery": Script(("--out", "{scratch}"), _gallery),
    "evaluate": Script((), _evaluate),
    "train": Script(
        ("--freeze", "trunk,blocks:1,none", "--photos", "4", "--shapes", "2", "--steps", "3"), _train
    ),
}


def run(name: str) -> dict[str, Any]:
    """Run a benchmark on one thread; return its report and what it was measured on.

    Raises:
        SystemExit: it failed.
    """
    with TemporaryDirectory() as scratch:
        words = [word.format(scratch=scratch) for word in SCRIPTS[name].arguments]
        one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        load, began = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, time.monotonic()
        command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *words]
        done = subprocess.run(command, env=os.environ | one, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmarks/{name}.py failed: {done.stderr.strip().splitlines()[-1:]}")
    return {
        "command": " ".join(["python", f"benchmarks/{name}.py", *map(_quoted, SCRIPTS[name].arguments)]),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": _versions(),
        "load": round(load, 1),
        "seconds": round(time.monotonic() - began),
        "report": json.loads(done.stdout),
    }


def _quoted(word: str) -> str:
    return f"'{word}'" if " " in word else word.format(scratch="FOLDER")


def _processor() -> str:
    """Return the processor's name as Linux says it, else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine()
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def kept() -> dict[str, Any]:
    """Return the results that are kept, by benchmark."""
    document: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    return document


def keep(name: str, result: dict[str, Any]) -> None:
    """Keep the result of a benchmark in place of its last one."""
    document = kept() | {name: result}
    ordered = {one: document[one] for one in SCRIPTS if one in document}
    with atomic.written_file(KEPT) as temporary:
        temporary.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def table(results: dict[str, Any]) -> str:
    """Return the table of kept results, and on what they were measured."""
    lines = [
        row.line(name)
        for name in SCRIPTS
        if name in results
        for row in SCRIPTS[name].rows(results[name]["report"])
    ]
    machines = sorted({f"{one['machine']}, Python {one['python']}" for one in results.values()})
    dates = sorted({one["date"] for one in results.values()})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    about = f"CPU time on one thread (of training steps: wall time), {'; '.join(machines)}, {when}"
    return "\n".join([HEAD, *lines, "", f"{about}: `python -m tools.performance --run all`."])


def between(page: str, text: str) -> str:
    """Return a page with a text between its markers.

    Raises:
        SystemExit: the page lacks them.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"README.md lacks the markers '{BEGIN}' and '{END}'")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def main() -> int:
    """Measure what is asked for; print the table, or write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", metavar="NAMES", help=f"'all', or behind commas: {', '.join(SCRIPTS)}")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    given = parser.parse_args()
    for name in SCRIPTS if given.run == "all" else (given.run or "").split(",") if given.run else ():
        if name not in SCRIPTS:
            parser.error(f"'{name}' is not one of {', '.join(SCRIPTS)}")
        keep(name, run(name))
    if given.write:
        with atomic.written_file(PAGE) as temporary:
            temporary.write_text(between(PAGE.read_text(encoding="utf-8"), table(kept())), encoding="utf-8")
    else:
        print(table(kept()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
