"""A run says what it believes of the shapes, by nothing but photos and what pictures look like."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hifa_cli.runtime.progress import reporting
from hifa_cli.training.health import merged_classes, offset_of, report_beliefs
from hifa_cli.training.pseudo_labels import Beliefs, propagate
from tests.training.test_pseudo_labels import OURS, world
from tests.training.test_trainer import Listening, run


def beliefs(scores: list[list[float]]) -> Beliefs:
    table = np.array(scores)
    return Beliefs(table.argmax(axis=1), table, 0.5)


def test_classes_whose_shapes_could_be_the_others_are_named() -> None:
    found = beliefs([[0.5, 0.45, 0.05], [0.48, 0.47, 0.05], [0.05, 0.15, 0.8], [0.1, 0.8, 0.1]])
    assert merged_classes(found, ("a", "b", "c")) == [("a", "b")]


def test_classes_without_shapes_are_named_and_those_without_photos_are_not() -> None:
    heard = Listening()
    with reporting(heard):
        said = report_beliefs(beliefs([[0.9, 0.1, 0, 0]]), np.array([0, 1, 2]), ("a", "b", "c", "d"))
    assert said["without_shapes"] == ["b", "c"]
    assert said["shapes"] == {"a": 1, "b": 0, "c": 0}
    assert any("no shape was taken for b, c" in line for line in heard.said)


def test_the_agreement_of_two_opinions_falls_as_the_labels_get_worse() -> None:
    shares = []
    for noise in (0.0, 3.0, 30.0):
        photos, labels, shapes = world(5, 30, 1.0)
        shapes = shapes + noise * np.random.default_rng(1).normal(size=shapes.shape).astype(np.float32)
        found = propagate(photos, labels, shapes, (16,), 5)
        shares.append((found.agreement, (found.labels == labels).mean()))
    assert shares[0][0] > 0.9
    assert shares[0] > shares[1] > shares[2]


@pytest.mark.parametrize(("shift", "wanted"), [(0.0, 0.0), (3.0, 3.0)])
def test_the_offset_is_in_the_photos_own_spread(shift: float, wanted: float) -> None:
    draw = np.random.default_rng(0)
    photos = torch.from_numpy(draw.normal(size=(4000, 1)))
    shapes = torch.from_numpy(draw.normal(size=(4000, 1)) + shift)
    assert offset_of(photos, shapes) == pytest.approx(wanted, abs=0.1)
    assert offset_of(photos[:1], shapes) == 0
    assert offset_of(photos[:0], shapes) == 0


def test_a_run_keeps_it_and_no_label_of_a_shape_changes_it(photos: Path, views: Path, tmp_path: Path) -> None:
    run(photos, views, tmp_path / "plain", method="hifa-l", **OURS)
    (views / "bars").rename(views / "zebra")
    run(photos, views, tmp_path / "moved", method="hifa-l", **OURS)
    told = [(tmp_path / name / "health.json").read_text() for name in ("plain", "moved")]
    assert told[0] == told[1].replace("/zebra/", "/bars/")  # pictures are named by their paths
    kept = json.loads(told[0])
    assert set(kept) == {
        "agreement", "photos", "shapes", "without_shapes", "merged", "offset", "told_apart", "examples"
    }  # fmt: skip
    assert sum(kept["shapes"].values()) == 9
    run(photos, views, tmp_path / "paper", method="hifa-gl")
    assert not (tmp_path / "paper" / "health.json").exists()
