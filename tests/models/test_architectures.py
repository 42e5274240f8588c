"""A gallery can be made with the libraries' architectures, and its graph finds what torch finds."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "architectures.py"


def swept(*names: str) -> list[list[str]]:
    """Return the table's rows of some backbones, as cells."""
    done = subprocess.run(
        [sys.executable, SCRIPT, *names], capture_output=True, text=True, check=True, cwd=ROOT
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_graph_finds_the_same_as_torch_and_as_the_library() -> None:
    [row] = swept("mobilenetv3_small_050")
    assert row[:4] == ["mobilenetv3_small_050", "224", "1024", "avg"]
    assert float(row[4]) < 1e-4
    assert row[6] == ""


@pytest.mark.slow
def test_most_families_give_a_graph_and_no_other_fails_but_by_a_reason() -> None:
    rows = swept()
    assert len(rows) >= 100
    assert sum(not row[6] for row in rows) >= 100
    assert not [row for row in rows if row[6].startswith("FAULT")]
