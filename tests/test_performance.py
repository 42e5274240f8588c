"""The README's performance table is what the kept results of the benchmarks say."""

from pathlib import Path

import pytest

from tools.performance import BEGIN, END, PAGE, ROOT, SCRIPTS, Row, between, kept, table


def test_the_table_of_the_readme_is_that_of_the_kept_results() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert between(page, table(kept())) == page, "run: python -m tools.performance --write"


def test_every_line_was_measured_and_has_its_script() -> None:
    results = kept()
    assert list(results) == list(SCRIPTS)
    for name, result in results.items():
        assert (ROOT / "benchmarks" / f"{name}.py").is_file()
        assert result["command"].startswith(f"python benchmarks/{name}.py")
        assert {"date", "machine", "python", "versions", "load", "seconds"} <= set(result)


def test_a_ratio_is_that_of_the_two_figures_beside_it() -> None:
    def figure(text: str) -> float:
        number, unit = text.split()
        return float(number.replace(",", "")) * {"ms": 1.0, "s": 1000.0}[unit]

    for name, script in SCRIPTS.items():
        for row in script.rows(kept()[name]["report"]):
            assert figure(row.theirs) / figure(row.hifa) == pytest.approx(row.ratio, rel=0.1), row.what


def test_only_the_text_between_the_markers_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter {Path.cwd().name}\n"
    assert between(page, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter {Path.cwd().name}\n"
    with pytest.raises(SystemExit, match="lacks the markers"):
        between("nothing", "new")


def test_a_row_links_to_the_script_that_measured_it() -> None:
    line = Row("A start", "1 ms", "another", "2 ms", 2.0).line("start")
    assert line == "| [A start](benchmarks/start.py) | 1 ms | another | 2 ms | **2.0 ×** |"
