"""Tables of numbers as people and papers want them: terminal, Markdown, LaTeX, CSV."""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hifa_cli.evaluation.bootstrap import Difference, Interval
from hifa_cli.evaluation.evaluate import Scores
from hifa_cli.evaluation.metrics import LOWER_IS_BETTER

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table as RichTable

Value = float | int | str | None
DIGITS = 3  # of the paper's tables
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
        "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A line of a table: its name, its values by column, and intervals or deviations of some of them."""

    name: str
    values: Mapping[str, Value]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    deviations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Rows against columns.

    Attributes:
        head: what the first column holds.
        columns: of numbers; a row may lack some.
        rows: in order.
        ranked: columns whose best value is set in bold, where there are several rows.
        title: above the table.
        note: below it: which definitions the numbers follow.
    """

    head: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    ranked: frozenset[str] = frozenset()
    title: str = ""
    note: str = ""

    def cell(self, row: Row, column: str) -> str:
        """A value as it is printed: three digits, with its deviation or interval where there is one."""
        value = row.values.get(column)
        if value is None:
            return ""
        if not isinstance(value, float):
            return str(value)
        if column == "p" and 0 < value < 10**-DIGITS:
            return f"<{10**-DIGITS:.{DIGITS}f}"  # never nought
        interval = row.intervals.get(column)
        bounds = f" [{interval.low:.{DIGITS}f}, {interval.high:.{DIGITS}f}]" if interval else ""
        spread = f" ± {row.deviations[column]:.{DIGITS}f}" if column in row.deviations else ""
        return f"{value:.{DIGITS}f}{spread}{bounds}"

    def best(self, column: str) -> str | None:
        """The printed value of a column's best row, without its interval; None where none is set in bold."""
        values = [value for row in self.rows if isinstance(value := row.values.get(column), float)]
        if column not in self.ranked or len(self.rows) < 2 or not values:
            return None
        return f"{(min if column in LOWER_IS_BETTER else max)(values):.{DIGITS}f}"

    def is_best(self, row: Row, column: str) -> bool:
        """Return whether a value is printed like the best of its column.

        Those that print alike are all best.
        """
        value = row.values.get(column)
        return isinstance(value, float) and f"{value:.{DIGITS}f}" == self.best(column)


def scores_table(
    scores: Sequence[tuple[str, Scores]], *, intervals: Sequence[Mapping[str, Interval]] | None = None,
    metrics: Sequence[str] = (),
) -> Table:  # fmt: skip
    """Return the scores of exports, a row each, best in bold.

    Args:
        scores: a name and its scores, all by one profile.
        intervals: a confidence interval by metric, one mapping a row.
        metrics: only these, in this order; all by default.

    Returns:
        The table.
    """
    bounds = intervals or [{}] * len(scores)
    rows = tuple(
        Row(
            name,
            {**one.values(), "queries": len(one.ids), "gallery": one.gallery, "skipped": one.skipped},
            bound,
        )
        for (name, one), bound in zip(scores, bounds, strict=True)
    )
    metrics = tuple(metrics) or tuple(scores[0][1].values())
    note = f"{scores[0][1].profile.name}: {scores[0][1].profile.note}. ANMRR: lower is better."
    if intervals:
        note += " In brackets: 95 % bootstrap interval over queries."
    columns = (
        *metrics,
        "queries",
        "gallery",
        *(("skipped",) if any(one.skipped for _, one in scores) else ()),
    )
    return Table("export", columns, rows, ranked=frozenset(metrics), note=note)


def class_table(name: str, scores: Scores) -> Table:
    """Return the scores of one export by the class of the query."""
    present = sorted(set(scores.labels.tolist()))
    rows = tuple(
        Row(
            scores.classes[label],
            {
                "queries": int((scores.labels == label).sum()),
                "gallery": int(scores.sizes[label]),
                **scores.of_class(label),
            },
        )
        for label in present
    )
    note = f"{scores.profile.name}, over the queries of each class."
    return Table("class", ("queries", "gallery", *scores.ratios), rows, title=name, note=note)


def difference_table(name: str, against: str, differences: Mapping[str, Difference]) -> Table:
    """Return how one export differs from another, a row a metric.

    Args:
        name: of the first export.
        against: of the second.
        differences: by metric, first minus second with its interval and p.

    Returns:
        The table.
    """
    rows = tuple(
        Row(metric, {"difference": one.value, "p": one.p}, {"difference": one.interval})
        for metric, one in differences.items()
    )
    note = "95 % interval of a paired bootstrap over queries; p of a two-sided paired permutation test."
    return Table("metric", ("difference", "p"), rows, title=f"{name} − {against}", note=note)


def to_csv(tables: Sequence[Table]) -> str:
    """Full precision; an interval takes two columns more; tables under one another."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for number, table in enumerate(tables):
        bounded = [column for column in table.columns if any(column in row.intervals for row in table.rows)]
        spread = [column for column in table.columns if any(column in row.deviations for row in table.rows)]
        if number:
            writer.writerow([])
        edges = [f"{column}_{edge}" for column in bounded for edge in ("low", "high")]
        edges += [f"{column}_deviation" for column in spread]
        writer.writerow([table.head, *table.columns, *edges])
        for row in table.rows:
            bounds: list[float | str] = [
                edge for column in bounded for edge in row.intervals.get(column, ("", ""))
            ]
            bounds += [row.deviations.get(column, "") for column in spread]
            values = [row.values.get(column) for column in table.columns]
            writer.writerow([row.name, *("" if value is None else value for value in values), *bounds])
    return out.getvalue()


def to_markdown(tables: Sequence[Table]) -> str:
    """Pipe tables, best in bold, the note below each."""
    return "\n\n".join(_markdown(table) for table in tables) + "\n"


def _markdown(table: Table) -> str:
    def escaped(text: str) -> str:
        return re.sub(r"([|\\*_`<>])", r"\\\1", text)

    lines = [f"**{escaped(table.title)}**", ""] if table.title else []
    lines.append("| " + " | ".join(map(escaped, (table.head, *table.columns))) + " |")
    lines.append("|---|" + "---:|" * len(table.columns))
    for row in table.rows:
        cells = [table.cell(row, column) for column in table.columns]
        bold = [
            f"**{cell}**" if table.is_best(row, column) else cell
            for cell, column in zip(cells, table.columns, strict=True)
        ]
        lines.append("| " + " | ".join((escaped(row.name), *bold)) + " |")
    return "\n".join([*lines, "", table.note] if table.note else lines)


def to_latex(tables: Sequence[Table]) -> str:
    r"""``tabular`` environments with the rules of booktabs (``\usepackage{booktabs}``), best in bold."""
    return "\n\n".join(_latex(table) for table in tables) + "\n"


def _latex(table: Table) -> str:
    def escaped(text: str) -> str:
        return text.translate(_LATEX).replace("−", "--").replace("±", r"$\pm$").replace("†", r"$^\dagger$")

    def cell(row: Row, column: str) -> str:
        text = escaped(table.cell(row, column))
        return rf"\textbf{{{text}}}" if table.is_best(row, column) else text

    heads = [
        escaped(column) + (r"$\downarrow$" if column in LOWER_IS_BETTER else "") for column in table.columns
    ]
    comment = [f"% {line}" for line in (table.title, table.note) if line]
    rows = [
        " & ".join((escaped(row.name), *(cell(row, column) for column in table.columns)))
        for row in table.rows
    ]
    return "\n".join(
        [
            *comment,
            rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
            r"\toprule",
            " & ".join((escaped(table.head), *heads)) + r" \\",
            r"\midrule",
            *(row + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def listing(*columns: str, numbers: Collection[str] = (), headed: bool = True) -> "RichTable":
    """Return an empty table of names and numbers: names go on below where they are long, numbers stay whole.

    Args:
        columns: their headings.
        numbers: headings of the columns that hold numbers.
        headed: whether the headings are shown.
    """
    from rich.table import Table as RichTable

    table = RichTable(show_header=headed)
    for name in columns:
        whole = name in numbers
        table.add_column(
            name, justify="right" if whole else "left", no_wrap=whole, overflow="fold", min_width=len(name)
        )
    return table


def to_terminal(table: Table) -> "Fitted":
    """Return a table for people, best in bold, the note below; it never cuts a number."""
    return Fitted(table)


class Fitted:
    """A table that the terminal's width lays out: columns that do not fit beside go below, whole."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RichTable]":
        """Yield the blocks of columns, one under the other."""
        names = [table_cell_width(row.name) for row in self.table.rows]
        head = min(max([len(self.table.head), *names]), max(options.max_width // 3, 8))
        blocks = list(self._blocks(options.max_width - head - _EDGES))
        for number, columns in enumerate(blocks):
            first, last = number == 0, number == len(blocks) - 1
            yield self._shown(columns, head, titled=first, noted=last)

    def _blocks(self, room: int) -> Iterator[tuple[str, ...]]:
        """Yield as many columns at once as fit; a column alone where it is wider than all."""
        block: list[str] = []
        left = room
        for column in self.table.columns:
            cells = [line for row in self.table.rows for line in self._cell(row, column).split("\n")]
            width = max(map(len, [_heading(column), *cells])) + _BETWEEN
            if block and width > left:
                yield tuple(block)
                block, left = [], room
            block.append(column)
            left -= width
        yield tuple(block)

    def _cell(self, row: Row, column: str) -> str:
        return self.table.cell(row, column).replace(" [", "\n[")  # an interval on a line of its own

    def _shown(self, columns: Sequence[str], head: int, *, titled: bool, noted: bool) -> "RichTable":
        from rich.table import Table as RichTable
        from rich.text import Text

        table = self.table
        shown = RichTable(title=Text(table.title) if table.title and titled else None)
        shown.caption, shown.caption_justify = Text(table.note) if table.note and noted else None, "left"
        shown.add_column(Text(table.head), overflow="fold", max_width=head)
        for column in columns:
            shown.add_column(_heading(column), justify="right", no_wrap=True)
        for row in table.rows:
            cells = [
                Text(self._cell(row, column), style="bold green" if table.is_best(row, column) else "")
                for column in columns
            ]
            shown.add_row(Text(row.name), *cells)
        return shown


_EDGES, _BETWEEN = 4, 3  # characters of a table's frame


def _heading(column: str) -> str:
    return column + (" ↓" if column in LOWER_IS_BETTER else "")


def table_cell_width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    from rich.cells import cell_len

    return cell_len(text)
