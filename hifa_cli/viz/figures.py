"""Figures for papers: t-SNE (figure 3), precision–recall curves, confusion. The only room with matplotlib.

Colours are of Okabe and Ito and of Tol, which the colour-blind tell apart; domains differ in marker as
well, curves in dash, so that a print in grey can be read. Text is 7 to 8 points at the width of a page.
"""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.metrics import LOWER_IS_BETTER, Curve
from hifa_cli.runtime import local_settings
from hifa_cli.runtime.atomic import written_file
from hifa_cli.search.ranking import normalised
from hifa_cli.search.rerank import unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")
RED, BLUE = "#c1272d", "#0000a7"  # photos and shapes, as in figure 3; of different lightness
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B0A000")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
_CLASSES = (  # of Okabe and Ito and more; next to each other in this order they differ most
    "#0072B2", "#E69F00", "#882255", "#5FBF3F", "#000000", "#F28CBF", "#56B4E9", "#D55E00", "#332288",
    "#999933", "#8C8C8C", "#AA44DD", "#007A5A", "#F0D800", "#8C564B",
)  # fmt: skip
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # 15 and 7 have no common factor: 105 classes differ
_STYLE: Mapping[str, Any] = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "pdf.fonttype": 42,  # letters stay letters
    "svg.fonttype": "none",
    "svg.hashsalt": "hifa",
    "savefig.dpi": 300,
    "text.parse_math": False,  # a class may have a $ in its name
}
_WIDTH = 7.0  # inches, a page of two columns
_MOST_POINTS = 1000  # of a curve


class Embedded(NamedTuple):
    """Points of both domains on a plane: (n, 2) positions, labels, and which are photos."""

    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    photos: NDArray[np.bool_]


def tsne(
    export: Export, *, points: int, perplexity: float, seed: int, name: str = "the export", clamp: bool = True
) -> Embedded:
    """Lay both domains out on one plane by t-SNE (van der Maaten and Hinton 2008), as in figure 3.

    The vectors are those that retrieval compares: normalised, and clamped as in the paper.

    Args:
        export: one or both domains.
        points: the most of each domain; of more, a sample with the classes in proportion.
        perplexity: of t-SNE, lowered where there are fewer than three times as many points.
        seed: of the sample and of t-SNE.
        name: what messages call the export.
        clamp: set negative values to zero first; False for descriptors with signs.

    Returns:
        Positions on the plane, labels, and which points are photos.

    Raises:
        HifaError: fewer than five points.
    """
    generator = np.random.default_rng(seed)
    parts = [(part, part is export.images) for part in (export.images, export.shapes) if part is not None]
    rows = [_sample(part, points, generator) for part, _ in parts]
    vectors = np.concatenate(
        [
            normalised(part.vectors[kept]) if clamp else unit(part.vectors[kept]).astype(np.float64)
            for (part, _), kept in zip(parts, rows, strict=True)
        ]
    )
    if len(vectors) < 5:
        raise HifaError(
            f"{name} has {len(vectors)} vectors, t-SNE needs at least 5: export more photos or shapes"
        )
    return Embedded(
        _laid_out(vectors, perplexity, seed),
        np.concatenate([part.labels[kept] for (part, _), kept in zip(parts, rows, strict=True)]),
        np.concatenate([np.full(len(kept), photo) for (_, photo), kept in zip(parts, rows, strict=True)]),
    )


def _sample(part: Embeddings, most: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return rows in proportion to the classes: every n-th of them, ordered by class and chance."""
    shuffled = generator.permutation(len(part))
    by_class = shuffled[np.argsort(part.labels[shuffled], kind="stable")]
    taken = np.linspace(0, len(part), min(most, len(part)), endpoint=False).astype(np.int64)
    return np.sort(by_class[taken])


def _laid_out(vectors: NDArray[np.float64], perplexity: float, seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE

    centred = vectors - vectors.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    reduced = centred @ axes[:50].T  # t-SNE's authors do the same; distances hardly change
    start: Any = "random"
    if reduced.shape[1] >= 2 and spread[1] > 1e-12:
        start = (reduced[:, :2] / reduced[:, 0].std() * 1e-4).astype(np.float32)
    perplexity = min(perplexity, (len(vectors) - 1) / 3)
    plane: NDArray[np.float64] = TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(
        reduced.astype(np.float32)
    )
    return plane


def tsne_figure(embedded: Sequence[tuple[str, Embedded]], classes: Sequence[str]) -> "Figure":
    """Figure 3: an export a row; left by domain (photos red, shapes blue), right by class."""
    figure, axes = _panels(len(embedded), 2, height=3.3)
    present = sorted({label for _, one in embedded for label in one.labels.tolist() if label >= 0})
    for (name, one), (left, right) in zip(embedded, axes, strict=True):
        _draw_domains(left, one)
        _draw_classes(right, one, present)
        for axis in (left, right):
            axis.set(xticks=[], yticks=[])
        if len(embedded) > 1:
            left.set_ylabel(name)
        left.margins(0.05)
        right.margins(0.12)  # room for names
    axes[0][0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, markerscale=2, frameon=False)
    if present:
        shown = [_handle(i, classes[label]) for i, label in enumerate(present)]
        axes[0][1].legend(
            handles=[_example("photo", 0.0), _example("shape (edged)", 0.6)],
            loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False,
        )  # fmt: skip
        figure.legend(
            handles=shown, loc="outside lower center", ncols=min(7, len(shown)), handlelength=1, frameon=False
        )
    figure.draw_without_rendering()  # settles the layout, on which the places of the names depend
    for (_, one), (_, right) in zip(embedded, axes, strict=True):
        _write_names(right, one, present, classes)
    return figure


def _draw_domains(axis: "Axes", one: Embedded) -> None:
    """The domain with more points first, so that the other is not buried."""
    domains = [("shapes", ~one.photos, "^", BLUE), ("photos", one.photos, "o", RED)]
    for name, rows, marker, colour in sorted(domains, key=lambda domain: -int(domain[1].sum())):
        x, y = one.points[rows].T
        size = _size(len(one.points))
        axis.scatter(
            x, y, s=size, marker=marker, c=colour, alpha=0.6, linewidths=0, label=name, rasterized=True
        )


def _draw_classes(axis: "Axes", one: Embedded, present: Sequence[int]) -> None:
    """A class has a colour and a marker of its own; shapes are larger and have a dark edge."""
    size = _size(len(one.points))
    for rows, scale, edge in ((one.photos, 1.2, 0.0), (~one.photos, 2.0, 0.4)):
        for number, label in enumerate(present):
            x, y = one.points[rows & (one.labels == label)].T
            axis.scatter(
                x, y, s=size * scale, marker=class_style(number)[1], c=class_style(number)[0],
                linewidths=edge, edgecolors="black", rasterized=True,
            )  # fmt: skip


def _write_names(axis: "Axes", one: Embedded, present: Sequence[int], classes: Sequence[str]) -> None:
    """Write a class's name beside most of it, where it hides no point and no other name.

    A name that finds no such place is left to the legend.
    """
    from matplotlib.text import Text

    points = axis.transData.transform(one.points)
    taken: list[Any] = []
    for label in present:
        mine = one.points[one.labels == label]
        if not mine.size:
            continue
        centre = mine[np.linalg.norm(mine - np.median(mine, axis=0), axis=1).argmin()]
        text = axis.annotate(
            classes[label], (centre[0], centre[1]), xytext=(0, 0), textcoords="offset points", ha="center",
            va="center", fontsize=6.5, zorder=0.5, in_layout=False,
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "0.45", "shrinkA": 1, "shrinkB": 0},
        )  # fmt: skip
        place = _free_place(text, axis.get_window_extent(), points, taken)
        if place is None:
            text.remove()
            continue
        text.set_position(place)
        text.get_window_extent()
        taken.append(Text.get_window_extent(text))


def _free_place(text: Any, frame: Any, points: NDArray[np.float64], taken: Sequence[Any]) -> Any:
    """Return the nearest offset in points at which a text covers nothing and stays inside; None otherwise."""
    from matplotlib.text import Text

    text.get_window_extent()  # puts the name where its point is
    box = Text.get_window_extent(text).padded(3)  # of the name without its line
    for radius in range(8, 160, 4):
        for angle in np.linspace(0, 2 * np.pi, 32, endpoint=False):
            x, y = 1.5 * radius * np.cos(angle), radius * np.sin(angle)  # names are wider than high
            here = box.translated(x, y)
            inside = frame.x0 < here.x0 and here.x1 < frame.x1 and frame.y0 < here.y0 and here.y1 < frame.y1
            covered = ((points > here.min) & (points < here.max)).all(axis=1).any()
            if inside and not covered and not any(here.overlaps(other) for other in taken):
                points_a_pixel = (
                    72 / text.figure.dpi
                )  # a figure is saved with more pixels than it is laid out
                return (x * points_a_pixel, y * points_a_pixel)
    return None


def _size(points: int) -> float:
    return float(np.clip(6000 / points, 3, 18))


def class_style(number: int) -> tuple[str, str]:
    """Return the colour and the marker of the ``number``-th class that is shown."""
    return _CLASSES[number % len(_CLASSES)], _MARKERS[number % len(_MARKERS)]


def _handle(number: int, name: str) -> Any:
    from matplotlib.lines import Line2D

    colour, marker = class_style(number)
    return Line2D([], [], color=colour, marker=marker, markersize=4.5, linewidth=0, label=name)


def _example(name: str, edge: float) -> Any:
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color="0.7", marker="o", markersize=4.5, linewidth=0, markeredgewidth=edge,
        markeredgecolor="black", label=name,
    )  # fmt: skip


def curves_figure(curves: Sequence[tuple[str, Curve]]) -> "Figure":
    """Pooled precision against recall, an export a line, with the area under each."""
    figure, [[axis]] = _panels(1, 1, height=3.0, width=3.5)
    for number, (name, one) in enumerate(curves):
        rows = _thinned(one.recall)
        axis.plot(
            one.recall[rows],
            one.precision[rows],
            color=_LINES[number % len(_LINES)],
            linestyle=_DASHES[number % len(_DASHES)],
            label=f"{name} (AUC {one.area():.3f})",
        )
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axis.grid(linewidth=0.3, alpha=0.6)
    axis.legend(loc="best")
    return figure


def _thinned(recall: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return rows of a curve at even steps of recall, with the first and the last."""
    wanted = np.searchsorted(recall, np.linspace(0, 1, _MOST_POINTS))
    return np.unique(np.clip(np.concatenate([[0], wanted, [len(recall) - 1]]), 0, len(recall) - 1))


def confusion_figure(
    matrices: Sequence[tuple[str, NDArray[np.float64]]], classes: Sequence[str], best: int
) -> "Figure":
    """Draw the classes of the answers to a class's photos in percent of its answers, an export a panel.

    Args:
        matrices: by name of an export, (C, C) counts of answers: row the photo's class, column the answer's.
        classes: names by label.
        best: answers of each photo that were counted.

    Returns:
        The figure, drawn under :func:`style`.
    """
    kept = np.flatnonzero(sum(matrix.sum(axis=0) + matrix.sum(axis=1) for _, matrix in matrices) > 0)
    side = float(np.clip(0.16 * len(kept) + 1.2, 2.6, 7.0))
    figure, axes = _panels(len(matrices), 1, height=side, width=side + 0.6)
    names = [classes[label] for label in kept.tolist()]
    for (name, matrix), [axis] in zip(matrices, axes, strict=True):
        shares = 100 * matrix[np.ix_(kept, kept)]
        image = axis.imshow(shares, vmin=0, vmax=100, cmap="Blues")
        axis.set_xticks(range(len(kept)), names, rotation=90)
        axis.set_yticks(range(len(kept)), names)
        axis.set(xlabel="class of the nearest shape" if best == 1 else f"class of the {best} nearest shapes")
        axis.set(ylabel="class of the photo", title=name if len(matrices) > 1 else "")
        figure.colorbar(image, ax=axis, label="answers (%)", fraction=0.046, pad=0.02)
        if len(kept) <= 15:
            _write_shares(axis, shares)
    return figure


def _write_shares(axis: "Axes", shares: NDArray[np.float64]) -> None:
    for row, column in zip(*np.nonzero(shares >= 5), strict=True):
        share = shares[row, column]
        colour = "white" if share > 50 else "black"
        axis.text(column, row, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=5.5)


def seeds_figure(
    rows: Sequence[tuple[str, Mapping[str, Sequence[float]]]], metrics: Sequence[str]
) -> "Figure":
    """Return every seed of every method as a dot and their mean as a bar, a panel a metric.

    Args:
        rows: a method's name and its values by metric, top to bottom; one without values stays empty.
        metrics: of the panels.
    """
    columns = 3
    lines = -(-len(metrics) // columns)
    figure, axes = _panels(lines, columns, height=0.7 + 0.2 * len(rows))
    for number, axis in enumerate(axes.flat):
        if number >= len(metrics):
            axis.set_visible(False)
            continue
        _draw_seeds(axis, [values.get(metrics[number], ()) for _, values in rows])
        names = [name for name, _ in rows] if number % columns == 0 else []
        axis.set_yticks(range(len(rows)), names or [""] * len(rows))
        axis.set_title(metrics[number] + (" (less is better)" if metrics[number] in LOWER_IS_BETTER else ""))
    return figure


def _draw_seeds(axis: "Axes", rows: Sequence[Sequence[float]]) -> None:
    for number, values in enumerate(rows):
        colour = _LINES[number % len(_LINES)]
        axis.plot(values, [number] * len(values), "o", color=colour, markersize=3.5, alpha=0.6, linewidth=0)
        if values:
            axis.plot(
                [float(np.mean(values))], [number], "|", color=colour, markersize=11, markeredgewidth=1.6
            )
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(axis="x", linewidth=0.3, alpha=0.6)


def varied_figure(
    lines: Mapping[str, Mapping[str, Sequence[tuple[int, Sequence[float]]]]], title: str
) -> "Figure":
    """A panel a metric: a line for each row over the values of what is varied, with bars of deviation.

    Args:
        lines: by metric and row, pairs of a value and the scores of the seeds.
        title: what is varied.
    """
    figure, axes = _panels(1, max(1, len(lines)), height=2.9)
    for axis, (metric, rows) in zip(axes.flat, lines.items(), strict=False):
        for number, (name, pairs) in enumerate(rows.items()):
            values = [value for value, _ in pairs]
            spreads = [float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0 for _, scores in pairs]
            axis.errorbar(
                values, [float(np.mean(scores)) for _, scores in pairs], spreads, label=name, capsize=2,
                color=_LINES[number % len(_LINES)], linestyle=_DASHES[number % len(_DASHES)],
                marker=_MARKERS[number % len(_MARKERS)], markersize=3,
            )  # fmt: skip
        axis.set(xlabel=title, title=metric)
        axis.set_xticks(sorted({value for pairs in rows.values() for value, _ in pairs}))
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(4, max(1, len(names))), frameon=False)
    return figure


def training_figure(terms: Mapping[str, Sequence[tuple[int, float]]]) -> "Figure":
    """A panel for each logged number of a run over its steps.

    Args:
        terms: by name, pairs of a step and a value.
    """
    columns = min(3, max(1, len(terms)))
    figure, axes = _panels(-(-len(terms) // columns), columns, height=1.7)
    for axis in axes.flat[len(terms) :]:
        axis.set_axis_off()
    for axis, (name, pairs) in zip(axes.flat, terms.items(), strict=False):
        steps, values = np.array(pairs, dtype=np.float64).T
        axis.plot(steps, values, color=_LINES[0], linewidth=0.4, alpha=0.4)
        axis.plot(steps, _smooth(values), color=_LINES[0])
        axis.set_title(name)
        axis.set_xlabel("step")
    return figure


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over a window of a twentieth of all values."""
    half = len(values) // 40
    sums = np.concatenate([[0.0], np.cumsum(values)])
    first = np.maximum(np.arange(len(values)) - half, 0)
    last = np.minimum(np.arange(len(values)) + half + 1, len(values))
    means: NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)
    return means


def _panels(rows: int, columns: int, *, height: float, width: float = _WIDTH) -> tuple["Figure", Any]:
    with local_settings.ignored():
        from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


@contextmanager
def style() -> Iterator[None]:
    """The settings under which figures are to be drawn and saved."""
    with local_settings.ignored():
        from matplotlib import rc_context

    settings: Any = _STYLE
    with rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing", category=UserWarning)
        yield


def as_png(figure: "Figure", *, dots: int = 110) -> bytes:
    """Return a figure as PNG; the same data give the same bytes.

    Args:
        figure: drawn under :func:`style`.
        dots: per inch.
    """
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dots)
    return content.getvalue()


def save(figure: "Figure", out: Path) -> None:
    """Write a figure in the format of its ending; the same data give the same bytes.

    Raises:
        HifaError: the ending is none of ``FORMATS``, or the place cannot be written to.
    """
    if (kind := out.suffix.lower().lstrip(".")) not in FORMATS:
        raise HifaError(f"{out} is not a figure to write: end it in .{', .'.join(FORMATS)}")
    dates: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    with written_file(out) as temporary:
        figure.savefig(temporary, format=kind, metadata=dates.get(kind))
