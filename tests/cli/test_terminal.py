"""What people see on a terminal, and in a log without one."""

import io
import re
import time
from importlib import import_module

import pytest
from rich.console import Console

from hifa_cli.cli import terminal
from hifa_cli.cli.terminal import TerminalReporter
from hifa_cli.evaluation.metrics import SHOWN
from hifa_cli.query.retrieve import Match, Ranking
from hifa_cli.runtime import progress
from hifa_cli.runtime.progress import reporting
from hifa_cli.viz.tables import Row, Table, to_terminal

index, query = map(import_module, ("hifa_cli.cli.index", "hifa_cli.cli.query"))  # not the verbs of that name
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


LONG = "a-folder-with-a-very-long-name/and-another-one-below-it/the-part-that-somebody-drew-0001"


def shown(width: int, *parts: object) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    for part in parts:
        console.print(part)
    text = console.export_text()
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    return text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_ranking_is_whole_at_every_width(width: int) -> None:
    matches = tuple(
        Match(rank, f"{LONG}-{rank}", "office-furniture", 0.987 - rank / 1000, rank, 3, 330.0, 15.0)
        for rank in (1, 999)
    )
    text = shown(width, query._table(Ranking("a.jpg", matches)))
    for whole in ("999", "0.986", "-0.012", "330°", "rank", "score", "seen from"):
        assert whole in text
    metrics = {"queries": 1234, **dict.fromkeys(SHOWN, 0.12345)}
    assert shown(width, query._metrics_table(metrics)).count("0.123") == len(SHOWN)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_what_a_gallery_holds_is_whole_at_every_width(width: int) -> None:
    found = {
        "shapes": 1234567, "dimension": 1280, "views": 12, "factory": "IVF4000,SQ8", "method": "frozen",
        "model": "0123456789abcdef" * 4, "store": "qdrant://host:6333/gallery",
        "generation": "generation-123", "without_class": 98765,
        "effort": {"recall": 0.987, "at": 10, "target": 0.95}, "bytes": {"vectors": 123456789012},
        "origins": [{"kind": "meshes", "path": f"/{LONG}", "shapes": 1234567}],
        "classes": {LONG: 7654321, "lamp": 1},
        "fields": [{"name": "height", "kind": "number", "unit": "m", "origin": "table", "known": 424242}],
    }  # fmt: skip
    text = shown(width, *index._tables(found))
    for whole in (
        "1234567",
        "7654321",
        "98765",
        "0.987",
        "424242",
        "123456.8 MB",
        "generation-123",
        "shapes",
    ):
        assert whole in text
    assert "0123456789abcdef" * 4 in re.sub("[^0-9a-f]", "", text)


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
