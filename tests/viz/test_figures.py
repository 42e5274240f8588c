"""Figures: the right points in the right colours, in every format, the same bytes for the same data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from PIL import Image

from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.metrics import Curve, curve
from hifa_cli.viz.figures import (
    BLUE,
    RED,
    Embedded,
    class_style,
    confusion_figure,
    curves_figure,
    save,
    seeds_figure,
    style,
    tsne,
    tsne_figure,
)


def export(queries: int = 60, gallery: int = 40, classes: int = 3, spread: float = 0.2) -> Export:
    generator = np.random.default_rng(0)
    centres = np.eye(classes, 8) * 3

    def part(prefix: str, n: int) -> Embeddings:
        labels = np.arange(n) % classes
        vectors = centres[labels] + spread * generator.standard_normal((n, 8))
        return Embeddings(tuple(f"{prefix}{i}" for i in range(n)), labels, vectors.astype(np.float32))

    return Export(part("p", queries), part("s", gallery), tuple(f"class_{i} $x$" for i in range(classes)))


def laid_out() -> Embedded:
    return tsne(export(), points=1000, perplexity=10, seed=0)


def test_classes_that_lie_apart_come_out_apart() -> None:
    one = laid_out()
    assert one.points.shape == (100, 2)
    assert one.photos.tolist() == [True] * 60 + [False] * 40
    centres = np.array([one.points[one.labels == label].mean(axis=0) for label in range(3)])
    distances = np.linalg.norm(one.points[:, None] - centres, axis=2)
    assert (distances.argmin(axis=1) == one.labels).mean() == 1.0


def test_the_same_seed_gives_the_same_picture() -> None:
    np.testing.assert_array_equal(laid_out().points, laid_out().points)


def test_a_sample_keeps_the_classes_in_proportion() -> None:
    one = tsne(export(queries=600), points=30, perplexity=5, seed=0)
    assert len(one.points) == 60
    assert np.bincount(one.labels[one.photos]).tolist() == [10, 10, 10]


def test_equal_vectors_do_not_stop_it() -> None:
    images = export().images
    assert images is not None
    flat = replace(images, vectors=np.ones_like(images.vectors))
    one = tsne(Export(flat, None, ("a", "b", "c")), points=1000, perplexity=30, seed=0)
    assert np.isfinite(one.points).all()


def test_too_few_points_are_named() -> None:
    with pytest.raises(HifaError, match=r"x\.h5 has 4 vectors"):
        tsne(export(queries=3, gallery=1), points=10, perplexity=5, seed=0, name="x.h5")


def test_photos_are_red_dots_and_shapes_blue_triangles() -> None:
    one = laid_out()
    with style():
        axis = tsne_figure([("one", one)], export().classes).axes[0]
    drawn: dict[str, Any] = {
        str(item.get_label()): item for item in axis.collections if isinstance(item, PathCollection)
    }
    assert set(drawn) == {"photos", "shapes"}
    assert to_hex(drawn["photos"].get_facecolor()[0]) == RED
    assert to_hex(drawn["shapes"].get_facecolor()[0]) == BLUE
    np.testing.assert_allclose(drawn["photos"].get_offsets(), one.points[one.photos])
    np.testing.assert_allclose(drawn["shapes"].get_offsets(), one.points[~one.photos])
    sides = [len(item.get_paths()[0].vertices) for item in (drawn["photos"], drawn["shapes"])]
    assert sides[0] > 8 > sides[1]


def test_every_class_has_a_colour_and_its_name() -> None:
    with style():
        figure = tsne_figure([("one", laid_out()), ("two", laid_out())], export().classes)
    assert len(figure.axes) == 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(export().classes)
    assert [text.get_text() for text in figure.axes[1].texts] == list(export().classes)


def crowded(classes: int) -> Embedded:
    generator = np.random.default_rng(1)
    centres = generator.uniform(-30, 30, (classes, 2))
    labels = np.arange(1200) % classes
    points = centres[labels] + 2 * generator.standard_normal((1200, 2))
    return Embedded(points, labels, generator.random(1200) < 0.5)


@pytest.mark.parametrize("classes", [15, 40])
def test_names_hide_no_point_and_no_other_name(classes: int) -> None:
    names = tuple(f"a long class {number}" for number in range(classes))
    one = crowded(classes)
    with style():
        figure = tsne_figure([("one", one), ("two", one)], names)
        figure.set_dpi(300)  # as it is saved: with other pixels than it was laid out for
        figure.draw_without_rendering()
    for axis in (figure.axes[1], figure.axes[3]):
        texts: list[Any] = list(axis.texts)
        for text in texts:
            text.get_window_extent()  # puts it where its point is
        boxes = [Text.get_window_extent(text) for text in texts]
        points = axis.transData.transform(one.points)
        assert len(boxes) >= 12  # the others have no room and stand in the legend only
        for number, box in enumerate(boxes):
            assert not ((points > box.min) & (points < box.max)).all(axis=1).any()
            assert not any(box.overlaps(other) for other in boxes[:number])
            assert axis.get_window_extent().contains(*box.min)
            assert axis.get_window_extent().contains(*box.max)


def lab(colour: str) -> Any:
    linear = [((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in to_rgb(colour)]
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(to_xyz) @ linear / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_a_hundred_classes_differ_in_colour_or_marker_and_fifteen_in_both_senses_of_colour() -> None:
    styles = [class_style(number) for number in range(100)]
    assert len(set(styles)) == 100
    colours = [lab(colour) for colour, _ in styles[:15]]
    gaps = [np.linalg.norm(a - b) for number, a in enumerate(colours) for b in colours[:number]]
    assert min(gaps) > 25  # CIE 1976; two greens of before had 10


def test_curves_carry_their_points_and_their_area() -> None:
    falling = curve(np.array([9, 5, 3, 2, 1]), 10)
    with style():
        axis: Any = curves_figure([("a", falling), ("b", falling)]).axes[0]
    np.testing.assert_allclose(
        axis.lines[0].get_xydata(), np.stack([falling.recall, falling.precision], axis=1)
    )
    assert axis.get_legend().get_texts()[0].get_text() == f"a (AUC {falling.area():.3f})"
    styles = {(line.get_color(), line.get_linestyle()) for line in axis.lines}
    assert len(styles) == 2
    assert len({line.get_linestyle() for line in axis.lines}) == 2  # can be told apart in grey


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    n = 100_000
    long = Curve(np.linspace(1, 0.1, n), np.linspace(0, 1, n))
    with style():
        axis: Any = curves_figure([("a", long)]).axes[0]
    drawn = axis.lines[0].get_xydata()
    assert len(drawn) < 1100
    assert drawn[0].tolist() == [0, 1]
    assert drawn[-1].tolist() == pytest.approx([1, 0.1])


def test_a_confusion_shows_the_classes_that_occur() -> None:
    matrix = np.zeros((4, 4))
    matrix[0, 0], matrix[0, 2], matrix[2, 2] = 0.75, 0.25, 1.0
    with style():
        axis, bar = confusion_figure([("one", matrix)], ("a", "b", "c", "d"), 1).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "c"]
    np.testing.assert_array_equal(axis.images[0].get_array(), [[75, 25], [0, 100]])
    assert [text.get_text() for text in axis.texts] == ["75", "25", "100"]
    assert bar.get_ylim() == (0, 100)  # of the same unit as the numbers in the cells
    assert bar.get_ylabel() == "answers (%)"


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_every_format_is_written_with_the_same_bytes_each_time(tmp_path: Path, ending: str) -> None:
    falling = curve(np.array([9, 5, 3, 2, 1]), 10)
    written = []
    for number in range(2):
        out = tmp_path / f"{number}.{ending}"
        with style():
            save(curves_figure([("class_$1$ 椅", falling)]), out)
        written.append(out.read_bytes())
    assert written[0] == written[1]
    assert written[0].startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[ending])
    if ending == "png":
        with Image.open(tmp_path / "0.png") as picture:
            assert picture.width >= 1000  # 3.5 inches at 300 dots


def test_another_ending_is_named(tmp_path: Path) -> None:
    with style(), pytest.raises(HifaError, match=r"end it in \.png, \.pdf, \.svg"):
        save(curves_figure([("a", curve(np.array([1, 0]), 1))]), tmp_path / "a.jpg")


def test_the_two_colours_differ_in_lightness_too() -> None:
    """Red and blue are told apart by the colour-blind, and in grey."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    assert (luminance(RED) + 0.05) / (luminance(BLUE) + 0.05) > 2


def test_every_seed_is_a_dot_and_their_mean_a_bar() -> None:
    rows = [("one", {"NN": [0.2, 0.4], "ANMRR": [0.5, 0.5]}), ("failed", {}), ("two", {"NN": [0.9]})]
    with style():
        figure = seeds_figure(rows, ("NN", "ANMRR"))
    nn, anmrr, spare = figure.axes
    drawn = [(str(line.get_marker()), np.asarray(line.get_data()).round(9).tolist()) for line in nn.lines]
    assert drawn == [
        ("o", [[0.2, 0.4], [0, 0]]), ("|", [[0.3], [0]]), ("o", [[], []]),
        ("o", [[0.9], [2]]), ("|", [[0.9], [2]]),
    ]  # fmt: skip
    assert [label.get_text() for label in nn.get_yticklabels()] == ["one", "failed", "two"]
    assert nn.yaxis_inverted()  # the first row on top
    assert "less is better" in anmrr.get_title()
    assert not spare.get_visible()
