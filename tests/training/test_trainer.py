"""Training is honest, repeatable, and goes on where it stopped."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from hifa_cli.config import PRESETS, TrainConfig
from hifa_cli.data import Collection, find_images, find_shapes
from hifa_cli.data.loader import Batch
from hifa_cli.errors import HifaError, Stopped
from hifa_cli.runtime.progress import Reporter, reporting
from hifa_cli.training import trainer
from hifa_cli.training.optim import learning_rate
from tests.conftest import write_photos, write_views

TINY = TrainConfig(
    backbone="test_resnet", weights="none", freeze="trunk", embedding=8, steps=6, images=6, shapes=4,
    views=3, size=48, resize=56, warmup=0, checkpoint=2,
)  # fmt: skip
CPU = torch.device("cpu")


def run(
    photos: Path | Collection,
    views: Path | Collection,
    out: Path,
    /,
    *,
    seed: int = 0,
    features: Path | None = None,
    **changes: Any,
) -> dict[str, torch.Tensor]:
    known = photos if isinstance(photos, Collection) else find_images(photos)
    shapes = views if isinstance(views, Collection) else find_shapes(views)
    config = replace(TINY, **changes)
    trainer.train(known, shapes, out, config, seed=seed, device=CPU, force=False, features=features)
    return load_file(out / "model.safetensors")


class Listening(Reporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_batch_has_no_place_for_the_labels_of_shapes() -> None:
    assert Batch._fields == ("images", "labels", "shapes", "shape_rows")


@pytest.mark.parametrize("method", ["hifa", "hifa-gl", "hifa-g", "source-only"])
def test_permuting_the_labels_of_the_shapes_changes_not_one_bit(
    method: str, photos: Path, views: Path, tmp_path: Path
) -> None:
    plain = run(photos, views, tmp_path / "plain", method=method)
    shapes = find_shapes(views)
    labels = np.random.default_rng(0).permutation([item.label for item in shapes.items]).tolist()
    items = tuple(item._replace(label=label) for item, label in zip(shapes.items, labels, strict=True))
    permuted = run(photos, replace(shapes, items=items), tmp_path / "permuted", method=method)
    assert same(plain, permuted)
    unknown = tuple(item._replace(label=-1) for item in shapes.items)
    assert same(
        plain, run(photos, replace(shapes, items=unknown, classes=()), tmp_path / "none", method=method)
    )


def test_moving_the_shapes_between_class_folders_changes_not_one_bit(
    photos: Path, views: Path, tmp_path: Path
) -> None:
    plain = run(photos, views, tmp_path / "plain")
    (views / "bars").rename(views / "zebra")  # other names and another order of names
    (views / "rings" / "shape0").rename(views / "loose")
    assert same(plain, run(photos, views, tmp_path / "moved"))


def test_the_labels_of_the_photos_do_change_the_weights(photos: Path, views: Path, tmp_path: Path) -> None:
    plain = run(photos, views, tmp_path / "plain")
    known = find_images(photos)
    items = tuple(item._replace(label=(item.label + index) % 3) for index, item in enumerate(known.items))
    assert not same(plain, run(replace(known, items=items), views, tmp_path / "changed"))


@pytest.mark.parametrize("freeze", ["trunk", "none"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    freeze: str, photos: Path, views: Path, tmp_path: Path
) -> None:
    first = run(photos, views, tmp_path / "a", freeze=freeze, steps=2)
    assert same(first, run(photos, views, tmp_path / "b", freeze=freeze, steps=2, workers=3))
    assert not same(first, run(photos, views, tmp_path / "c", freeze=freeze, steps=2, seed=1))


def test_switching_the_mutual_information_off_by_weight_shifts_no_other_draw(
    photos: Path, views: Path, tmp_path: Path
) -> None:
    """The placebo arm: with λ = 0 the critic is built, and all else is HIFA-GL to the bit."""
    placebo = run(photos, views, tmp_path / "placebo", method="hifa", weight_mutual=0.0)
    without = run(photos, views, tmp_path / "without", method="hifa-gl")
    assert same(placebo, without)
    assert not same(without, run(photos, views, tmp_path / "with", method="hifa", weight_mutual=1.0))


class StopAt(Reporter):
    """Asks the run to stop, as Ctrl-C does, when a step begins."""

    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    def track(self, items: Any, label: str, total: int | None = None) -> Any:
        for index, item in enumerate(items):
            if label.startswith("training") and index == self.step:
                os.kill(os.getpid(), self.number)
            yield item


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_as_if_nothing_had_been(
    number: int, photos: Path, views: Path, tmp_path: Path
) -> None:
    whole = run(photos, views, tmp_path / "whole")
    with pytest.raises(Stopped, match="stopped after step 4 of 6"), reporting(StopAt(3, number)):
        run(photos, views, tmp_path / "cut")
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    assert same(whole, run(photos, views, tmp_path / "cut"))
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "cut")]
    assert logs[0] == logs[1]
    assert [json.loads(line)["step"] for line in logs[0].splitlines()] == list(range(6))


def test_a_killed_run_goes_on_as_if_nothing_had_been(photos: Path, views: Path, tmp_path: Path) -> None:
    whole = run(photos, views, tmp_path / "whole")
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from hifa_cli.training import trainer\n"
        "from tests.training.test_trainer import run\n"
        "save = trainer.save_checkpoint\n"
        "def killed(*args):\n"
        "    save(*args)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "trainer.save_checkpoint = killed\n"
        f"run(Path({str(photos)!r}), Path({str(views)!r}), Path({str(tmp_path / 'cut')!r}))\n"
    )
    root = Path(__file__).resolve().parents[2]
    died = subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=root, check=False)
    assert died.returncode == -signal.SIGKILL
    assert (tmp_path / "cut" / "checkpoint.safetensors").exists()
    assert same(whole, run(photos, views, tmp_path / "cut"))


def test_a_finished_run_is_not_done_again_and_other_settings_are_refused(
    photos: Path, views: Path, tmp_path: Path
) -> None:
    run(photos, views, tmp_path / "run")
    before = (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns
    run(photos, views, tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(HifaError, match=r"other settings \(train\)"):
        run(photos, views, tmp_path / "run", radius=10.0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(HifaError, match="is not a run of hifa"):
        run(photos, views, tmp_path / "mine")


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_term(
    photos: Path, views: Path, tmp_path: Path
) -> None:
    with pytest.raises(HifaError, match=r"step \d+: \w+ is (nan|inf).*--rate"):
        run(photos, views, tmp_path / "run", rate=1e30, steps=6)


def test_an_unreadable_photo_is_named_and_left_out(photos: Path, views: Path, tmp_path: Path) -> None:
    (photos / "bars" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    heard = Listening()
    for freeze in ("trunk", "none"):
        with reporting(heard):
            run(photos, views, tmp_path / freeze, freeze=freeze, steps=4, images=12)
    assert sum("broken" in message for message in heard.said) >= 2


def test_a_view_that_has_vanished_costs_its_shape_and_is_named(
    photos: Path, views: Path, tmp_path: Path
) -> None:
    shapes, heard = find_shapes(views), Listening()
    gone = shapes.items[4].views[1]
    gone.unlink()
    with reporting(heard):
        run(photos, shapes, tmp_path / "trunk", freeze="trunk", steps=2, shapes=9)
    assert sum(str(gone) in message for message in heard.said) == 1
    with reporting(heard):
        run(photos, shapes, tmp_path / "none", freeze="none", steps=12, shapes=9)  # draws 3 of 12
    assert sum(str(gone) in message for message in heard.said) >= 2


def test_photos_without_classes_are_refused(views: Path, tmp_path: Path) -> None:
    loose = write_photos(tmp_path / "some")
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(loose.rglob("*.png"))):
        Image.open(path).save(flat / f"{number}.png")
    with pytest.raises(HifaError, match="a folder a class"):
        run(flat, views, tmp_path / "run")


@pytest.mark.parametrize("shapes", [1, 2])
def test_fewer_shapes_than_a_batch_and_a_single_class_train(shapes: int, tmp_path: Path) -> None:
    photos, views = write_photos(tmp_path / "photos"), write_views(tmp_path / "views")
    known, found = find_images(photos), find_shapes(views)
    one_class = replace(
        known, items=tuple(item for item in known.items if item.label == 0), classes=("bars",)
    )
    items = tuple(item._replace(label=0) for item in one_class.items)
    weights = run(
        replace(one_class, items=items), replace(found, items=found.items[:shapes]), tmp_path / "run"
    )
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_training_on_the_toy_world_learns_its_classes(photos: Path, views: Path, tmp_path: Path) -> None:
    run(photos, views, tmp_path / "run", method="source-only", steps=600, images=12, rate=0.1)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[0]["classification"] == pytest.approx(math.log(3), abs=0.5)
    assert lines[-1]["classification"] < 0.5 * lines[0]["classification"]
    run(photos, views, tmp_path / "hifa")
    last = json.loads((tmp_path / "hifa" / "log.jsonl").read_text().splitlines()[-1])
    assert {"global", "local", "mutual_information", "norm_shapes", "predicted_classes"} <= set(last)


def test_every_preset_names_fields_of_the_configuration() -> None:
    for name, changes in PRESETS.items():
        assert TrainConfig(preset=name, **changes)  # type: ignore[arg-type]
    paper = TrainConfig(preset="paper", **PRESETS["paper"])  # type: ignore[arg-type]
    assert (paper.weight_mutual, paper.weight_global, paper.radius, paper.views) == (0.05, 1.0, 25.0, 12)
    assert (paper.backbone, paper.embedding) == ("alexnet", 256)


def test_the_learning_rate_decays_as_its_source_says() -> None:
    config = replace(TINY, rate=0.01, warmup=0, steps=100)
    assert learning_rate(config, 0) == pytest.approx(0.01)
    assert learning_rate(config, 50) == pytest.approx(0.01 / 6**0.75)
    warm = replace(config, warmup=10)
    assert learning_rate(warm, 0) == pytest.approx(0.001)


def test_tensorboard_gets_every_number_of_the_log(photos: Path, views: Path, tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="NO TENSORBOARD: pip install tensorboard",
    )
    known, shapes = find_images(photos), find_shapes(views)
    trainer.train(known, shapes, tmp_path / "run", TINY, seed=0, device=CPU, force=False, tensorboard=True)
    events = event_accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    for name in ("classification", "global", "local", "mutual_information"):
        scalars = events.Scalars(name)
        assert [scalar.step for scalar in scalars] == list(range(6))
        assert [scalar.value for scalar in scalars] == pytest.approx([line[name] for line in lines])


def test_tensorboard_that_is_not_installed_is_named_with_its_remedy(
    photos: Path, views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    known, shapes = find_images(photos), find_shapes(views)
    with pytest.raises(HifaError, match=r"pip install 'hifa-cli\[tensorboard\]'"):
        trainer.train(
            known,
            shapes,
            tmp_path / "run",
            TINY,
            seed=0,
            device=CPU,
            force=False,
            tensorboard=True,
        )


def test_what_changes_no_bit_may_change_when_a_run_goes_on(photos: Path, views: Path, tmp_path: Path) -> None:
    whole = run(photos, views, tmp_path / "whole")
    with pytest.raises(Stopped), reporting(StopAt(3, signal.SIGINT)):
        run(photos, views, tmp_path / "cut")
    assert same(whole, run(photos, views, tmp_path / "cut", workers=3, checkpoint=1))
    with pytest.raises(HifaError, match="other settings"):
        run(photos, views, tmp_path / "cut", chunk=2)
