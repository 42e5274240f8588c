"""Photos held out of training say how well the photos are known; shapes say nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hifa_cli.data import Collection, Item, find_images
from hifa_cli.errors import HifaError
from hifa_cli.models.network import TrunkFeatures
from hifa_cli.runtime.progress import reporting
from hifa_cli.training.validation import accuracy_on_features, held_out
from tests.training.test_trainer import StopAt, run, same


def collection(counts: list[int]) -> Collection:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    items = tuple(Item(str(row), label, (Path(f"{row}.png"),)) for row, label in enumerate(labels))
    return Collection(items, tuple(str(label) for label in range(len(counts))))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.floats(0, 0.9), st.integers(0, 5))
def test_every_photo_is_on_one_side_and_every_class_keeps_one(
    counts: list[int], share: float, seed: int
) -> None:
    photos = collection(counts)
    kept, held = held_out(photos, share, seed)
    assert sorted(item.id for item in kept.items + held.items) == sorted(item.id for item in photos.items)
    for label, count in enumerate(counts):
        away = sum(item.label == label for item in held.items)
        assert away == min(round(share * count), count - 1)


def test_the_same_seed_holds_out_the_same_photos() -> None:
    photos = collection([20, 20])
    assert held_out(photos, 0.3, 1) == held_out(photos, 0.3, 1) != held_out(photos, 0.3, 2)


def test_accuracy_is_counted() -> None:
    class Fake:
        mean = torch.zeros(1)
        training = True

        def eval(self) -> None:
            self.training = False

        def train(self, mode: bool) -> None:
            self.training = mode

        def __call__(self, part: TrunkFeatures) -> Any:
            assert not self.training
            return type("Features", (), {"logits": part.high[:, 0]})

    high = torch.eye(3)[torch.tensor([0, 1, 2, 1] * 100)].unsqueeze(1)
    network: Any = Fake()
    seen = TrunkFeatures(torch.zeros(400, 1), high)
    assert accuracy_on_features(network, seen, torch.tensor([0, 1, 2, 0] * 100)) == 0.75
    assert network.training


@pytest.mark.parametrize("freeze", ["trunk", "none"])
def test_the_log_has_the_accuracy_and_the_best_weights_can_be_kept(
    freeze: str, photos: Path, views: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"validation": 0.5, "validate_every": 2, "freeze": freeze, "method": "hifa-g"}
    run(photos, views, tmp_path / "last", **options)
    lines = [json.loads(text) for text in (tmp_path / "last" / "log.jsonl").read_text().splitlines()]
    scores = {line["step"]: line["accuracy_held_out"] for line in lines if "accuracy_held_out" in line}
    assert set(scores) == {1, 3, 5}
    assert all(0 <= score <= 1 for score in scores.values())
    best = run(photos, views, tmp_path / "best", keep="best", **options)
    first_best = max(scores, key=lambda step: (scores[step], -step))
    shorter = run(photos, views, tmp_path / "again", keep="best", **options)
    assert same(best, shorter)
    if first_best == 5:
        assert same(best, run(photos, views, tmp_path / "third", **options))
    assert not list((tmp_path / "best").glob("best*"))


def test_a_run_that_keeps_the_best_goes_on_after_an_interruption(
    photos: Path, views: Path, tmp_path: Path
) -> None:
    import signal

    from hifa_cli.errors import Stopped

    options: dict[str, Any] = {"validation": 0.5, "validate_every": 1, "keep": "best"}
    whole = run(photos, views, tmp_path / "whole", **options)
    with pytest.raises(Stopped), reporting(StopAt(3, signal.SIGINT)):
        run(photos, views, tmp_path / "cut", **options)
    assert same(whole, run(photos, views, tmp_path / "cut", **options))


def test_keeping_the_best_without_photos_to_judge_by_is_refused(
    photos: Path, views: Path, tmp_path: Path
) -> None:
    with pytest.raises(HifaError, match="--validation"):
        run(photos, views, tmp_path / "run", keep="best")


def test_what_is_held_out_is_never_trained_on(photos: Path, views: Path, tmp_path: Path) -> None:
    """Its pixels may change: with the same split not one bit of the weights does."""
    plain = run(photos, views, tmp_path / "plain", validation=0.5)
    known = find_images(photos)
    _, held = held_out(known, 0.5, 0)
    for item in held.items:
        from PIL import Image

        with Image.open(item.views[0]) as picture:
            noise = np.random.default_rng(0).integers(0, 256, (*picture.size[::-1], 3), dtype=np.uint8)
        Image.fromarray(noise).save(item.views[0])
    assert same(plain, run(photos, views, tmp_path / "noise", validation=0.5))
