"""What people see on a terminal, and in a log without one."""

import io
import re
import time

import pytest
from rich.console import Console

from hifa_cli.cli import terminal
from hifa_cli.cli.terminal import TerminalReporter
from hifa_cli.runtime import progress
from hifa_cli.runtime.progress import reporting
from hifa_cli.viz.tables import Row, Table, to_terminal

COLUMNS = ("NN", "FT", "ST", "F", "DCG", "ANMRR", "mAP", "AUC", "P@10", "queries", "gallery")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_never_cuts_a_number(width: int) -> None:
    rows = tuple(
        Row(name, {column: 0.1 + number / 100 for number, column in enumerate(COLUMNS)})
        for name in ("hifa", "a-very-long-name-of-an-export-that-somebody-chose")
    )
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(to_terminal(Table("export", COLUMNS, rows)))
    text = console.export_text()
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    for number, column in enumerate(COLUMNS):
        assert text.count(f"{0.1 + number / 100:.3f}") == 2
        assert column in text


def test_a_long_stage_says_regularly_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "HEARTBEAT", 0.05)
    with reporting(TerminalReporter()):
        for _ in progress.track(range(2), "outer"):
            for _ in progress.track(range(3), "inner", total=3):
                time.sleep(0.12)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("inner:")]
    assert any(re.fullmatch(r"inner: [12]/3, [0-9.]+/s, \d+ s left", line) for line in lines)
    assert len(lines) >= 6
