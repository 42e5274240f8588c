"""A comparison's results as files: JSON, Markdown, LaTeX and a figure."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hifa_cli.pipelines.compare.published import PAPER_METRICS
from hifa_cli.pipelines.compare.run import Comparison
from hifa_cli.runtime.atomic import written_file
from hifa_cli.viz.tables import Table, to_latex, to_markdown

STEM = "compare"
FIGURES = (".png", ".pdf")


def write_results(done: Comparison, shown: Sequence[Table], document: dict[str, Any]) -> list[Path]:
    """Write ``compare.json``, ``.md``, ``.tex`` and the figure into the comparison's folder.

    Args:
        done: the comparison.
        shown: its tables.
        document: its JSON.

    Returns:
        The files.
    """
    stem = done.folder / STEM
    texts = {
        ".json": json.dumps(document, indent=2, ensure_ascii=False) + "\n",
        ".md": to_markdown(shown),
        ".tex": to_latex(shown),
    }
    for ending, text in texts.items():
        write_text(stem.with_suffix(ending), text)
    return [*(stem.with_suffix(ending) for ending in texts), *_write_figures(done, stem)]


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with written_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_figures(done: Comparison, stem: Path) -> list[Path]:
    """Dots a seed and their mean, a panel a metric of the paper."""
    from hifa_cli.viz.figures import save, seeds_figure, style

    if not done.scores:
        return []
    rows = [
        (arm.name, {metric: list(done.metric(arm.name, metric).values()) for metric in PAPER_METRICS})
        for arm in done.arms
    ]
    paths = [stem.with_suffix(ending) for ending in FIGURES]
    with style():
        figure = seeds_figure(rows, PAPER_METRICS)
        for path in paths:
            save(figure, path)
    return paths
