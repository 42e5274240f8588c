"""Tables: what is bold, what is escaped, what a reader of CSV gets back."""

import csv
import io

import numpy as np
import pytest
from rich.console import Console

from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.evaluation.bootstrap import Difference, Interval
from hifa_cli.evaluation.evaluate import Scores, evaluate
from hifa_cli.evaluation.metrics import METRICS
from hifa_cli.viz.tables import (
    Row,
    Table,
    class_table,
    difference_table,
    scores_table,
    to_csv,
    to_latex,
    to_markdown,
    to_terminal,
)


def table(*rows: tuple[str, float, float]) -> Table:
    lines = tuple(Row(name, {"NN": nn, "ANMRR": anmrr, "queries": 3}) for name, nn, anmrr in rows)
    return Table(
        "export", ("NN", "ANMRR", "queries"), lines, ranked=frozenset(("NN", "ANMRR")), note="a note"
    )


def scores(seed: int = 0) -> Scores:
    generator = np.random.default_rng(seed)
    parts = [
        Embeddings(
            tuple(f"{name}{i}" for i in range(n)),
            generator.integers(0, 2, n),
            generator.random((n, 4)).astype(np.float32),
        )
        for name, n in (("p", 20), ("s", 30))
    ]
    return evaluate(Export(parts[0], parts[1], ("chair_a", "b&c")))


def test_the_best_is_bold_and_for_anmrr_the_lowest() -> None:
    lines = to_markdown([table(("one", 0.5, 0.9), ("two", 0.4, 0.1))]).splitlines()
    assert lines[2:4] == ["| one | **0.500** | 0.900 | 3 |", "| two | 0.400 | **0.100** | 3 |"]


def test_what_is_printed_alike_is_bold_alike() -> None:
    lines = to_markdown([table(("one", 0.50001, 0.9), ("two", 0.49999, 0.1))]).splitlines()
    assert lines[2].startswith("| one | **0.500** ")
    assert lines[3].startswith("| two | **0.500** ")


def test_a_row_alone_is_not_the_best_of_anything() -> None:
    assert "**" not in to_markdown([table(("one", 0.5, 0.9))])


def test_latex_is_escaped_and_bold() -> None:
    text = to_latex([table((r"a_b&c\d", 0.5, 0.9), ("two", 0.4, 0.1))])
    assert r"a\_b\&c\textbackslash{}d & \textbf{0.500} & 0.900 & 3 \\" in text
    assert r"export & NN & ANMRR$\downarrow$ & queries \\" in text
    assert text.splitlines()[0] == "% a note"
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\end{tabular}") == 1


def test_csv_keeps_every_digit() -> None:
    exact = 1 / 3
    rows = list(csv.reader(io.StringIO(to_csv([table(("one, two", exact, 0.9))]))))
    assert rows == [["export", "NN", "ANMRR", "queries"], ["one, two", repr(exact), "0.9", "3"]]
    assert float(rows[1][1]) == exact


def test_intervals_stand_in_brackets_and_in_columns_of_their_own() -> None:
    bounded = Table("export", ("NN",), (Row("one", {"NN": 0.5}, {"NN": Interval(0.4, 0.6)}),))
    assert "0.500 [0.400, 0.600]" in to_markdown([bounded])
    assert to_csv([bounded]).splitlines() == ["export,NN,NN_low,NN_high", "one,0.5,0.4,0.6"]


def test_markdown_escapes_what_would_break_a_table() -> None:
    assert r"| a\|b\*c |" in to_markdown([table(("a|b*c", 0.5, 0.1))])


def test_the_scores_of_exports_stand_side_by_side_with_their_definition() -> None:
    one, other = scores(0), scores(1)
    shown = scores_table([("one", one), ("other", other)])
    assert shown.columns == (*METRICS, "mAP", "AUC", "queries", "gallery")
    assert [row.name for row in shown.rows] == ["one", "other"]
    assert shown.rows[1].values["FT"] == other.values()["FT"]
    assert shown.note.startswith("mi3dor: MI3DOR benchmark script")


def test_a_class_table_holds_the_classes_that_were_asked() -> None:
    found = class_table("one", scores())
    assert [row.name for row in found.rows] == ["chair_a", "b&c"]
    assert sum(int(str(row.values["queries"])) for row in found.rows) == 20
    assert found.rows[0].values["NN"] == scores().of_class(0)["NN"]


def test_a_difference_table_says_how_sure_it_is() -> None:
    found = difference_table("one", "other", {"NN": Difference(-0.25, Interval(-0.3, -0.2), 0.01)})
    assert "| NN | -0.250 [-0.300, -0.200] | 0.010 |" in to_markdown([found])
    rare = difference_table("one", "other", {"NN": Difference(0.5, Interval(0.4, 0.6), 1e-4)})
    assert rare.cell(rare.rows[0], "p") == "<0.001"


@pytest.mark.parametrize("width", [60, 200])
def test_the_terminal_shows_names_as_they_are(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(to_terminal(table(("[bold]x[/]", 0.5, 0.9), ("two", 0.4, 0.1))))
    assert "[bold]x[/]" in out.getvalue()
    assert "ANMRR ↓" in out.getvalue()
    assert "a note" in out.getvalue()


def test_deviations_stand_behind_their_means_and_in_columns_of_their_own() -> None:
    spread = Table("method", ("NN",), (Row("one", {"NN": 0.5}, deviations={"NN": 0.0123}),))
    assert "| one | 0.500 ± 0.012 |" in to_markdown([spread])
    assert r"0.500 $\pm$ 0.01" in to_latex([spread])
    assert to_csv([spread]).splitlines() == ["method,NN,NN_deviation", "one,0.5,0.0123"]
