"""--freeze blocks:N: the last blocks are trained, exactly, on what the others made once of each picture."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hifa_cli.config import TrainConfig
from hifa_cli.data import find_images, find_shapes
from hifa_cli.data.loader import Batch, FeatureBatches, ImageBatches
from hifa_cli.embeddings.feature_cache import FeatureCache, extract_features
from hifa_cli.errors import HifaError, Stopped
from hifa_cli.models.network import LiteBlocks, TrunkFeatures
from hifa_cli.runtime.progress import reporting
from hifa_cli.training.estimate import estimate_cost
from hifa_cli.training.optim import TrainStep
from hifa_cli.training.setup import Run, setup_run
from tests.cli.test_cli import hifa, one_line
from tests.training.test_trainer import CPU, TINY, StopAt, run, same

BACKBONES = ("test_resnet", "test_efficientnet")
OURS: dict[str, Any] = {
    "method": "hifa-l", "centred": True, "pooling": "mean", "descriptor": "fused",
    "pseudo_labels": "propagated",
}  # fmt: skip


def ready(photos: Path, views: Path, **changes: Any) -> Run:
    config = replace(TINY, augment=False, dropout=0.0, **changes)
    return setup_run(find_images(photos), find_shapes(views), config, seed=0, device=CPU)


def kept(whole: Run) -> FeatureBatches:
    """Return batches of what the early blocks make of everything, as precise as the network is."""
    parts = []
    for items in (whole.photos.items, tuple(whole.photos.items[0]._replace(views=v) for v in whole.views)):
        looked = list(extract_features(whole.network, items, maps=False, device=CPU, label="", workers=1))
        parts.append(
            TrunkFeatures(
                *(torch.cat(each).clone() for each in zip(*(one.features for one in looked), strict=True))
            )
        )
    labels = np.array([item.label for item in whole.photos.items])
    return FeatureBatches(parts[0], labels, parts[1], whole.config, 0)


def gradients(one: Run, batch: Batch) -> dict[str, torch.Tensor]:
    one.objective.double().train()
    terms = one.objective(batch, 3, 0.5)
    sum(terms.values(), start=torch.zeros(())).backward()
    return {name: p.grad for name, p in one.objective.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("last", [1, 2])
def test_gradients_are_those_of_the_network_on_pixels(
    backbone: str, last: int, photos: Path, views: Path
) -> None:
    split = ready(photos, views, backbone=backbone, freeze=f"blocks:{last}", method="hifa")
    plain = ready(photos, views, backbone=backbone, freeze="none", method="hifa")
    plain.objective.load_state_dict(split.objective.state_dict())
    for one in (split, plain):
        one.objective.double()
    mine = gradients(split, kept(split)(0))
    pixels = ImageBatches(plain.photos, plain.views, plain.model, plain.config, 0)(0)
    theirs = gradients(plain, pixels)
    moved = [name for name, p in split.network.trunk.named_parameters() if p.requires_grad]
    assert 0 < len(moved) < len(list(split.network.trunk.parameters()))
    assert set(mine) < set(theirs)
    assert all(f"network.trunk.{name}" in mine for name in moved if not name.startswith("net.classifier"))
    for name, ours in mine.items():
        assert float((ours - theirs[name]).abs().max()) <= 1e-9 * max(1.0, float(theirs[name].abs().max()))


def test_the_four_blocks_are_the_same_from_any_early_block() -> None:
    torch.manual_seed(0)
    trunk, pixels = LiteBlocks().eval(), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        whole = trunk(pixels)
        for early in range(7):
            parts = trunk.late(trunk.early(pixels, early), early)
            assert all(torch.equal(one, two) for one, two in zip(whole, parts, strict=True))


def test_a_step_moves_the_last_blocks_alone_and_no_statistics(photos: Path, views: Path) -> None:
    one = ready(photos, views, freeze="blocks:1", method="hifa-gl")
    before = {name: value.clone() for name, value in one.network.trunk.state_dict().items()}
    batches, step = kept(one), TrainStep(one.objective, one.config, CPU)
    one.objective.train()
    for number in range(3):
        step(batches(number), number)
    moved = {
        name for name, value in one.network.trunk.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved
    assert all(name.startswith("net.layer4") for name in moved)
    assert not any("running" in name or "num_batches" in name for name in moved)


@pytest.mark.parametrize("options", [{"method": "hifa"}, OURS])
def test_an_interrupted_run_goes_on_to_the_bit(
    options: dict[str, Any], photos: Path, views: Path, tmp_path: Path
) -> None:
    options = {**options, "freeze": "blocks:2"}
    whole = run(photos, views, tmp_path / "whole", **options)
    with pytest.raises(Stopped), reporting(StopAt(2, signal.SIGINT)):
        run(photos, views, tmp_path / "part", features=tmp_path / "kept", **options)
    files = sorted((tmp_path / "kept").rglob("*.safetensors"))
    assert same(whole, run(photos, views, tmp_path / "part", features=tmp_path / "kept", **options))
    assert files == sorted((tmp_path / "kept").rglob("*.safetensors"))  # nothing was looked at again


def test_kept_maps_of_another_cut_are_not_taken(photos: Path, views: Path, tmp_path: Path) -> None:
    folders = {
        FeatureCache(tmp_path, ready(photos, views, freeze=freeze).network, CPU).folder
        for freeze in ("trunk", "blocks:1", "blocks:2")
    }
    assert len(folders) == 3


def test_labels_of_shapes_change_no_bit(photos: Path, views: Path, tmp_path: Path) -> None:
    plain = run(photos, views, tmp_path / "plain", freeze="blocks:1", **OURS)
    (views / "bars").rename(views / "zebra")
    assert same(plain, run(photos, views, tmp_path / "moved", freeze="blocks:1", **OURS))


def test_held_out_photos_are_classified_by_the_moving_trunk(
    photos: Path, views: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"validation": 0.5, "validate_every": 2, "keep": "best", "method": "hifa-g"}
    run(photos, views, tmp_path / "run", freeze="blocks:1", **options)
    assert "accuracy_held_out" in (tmp_path / "run/log.jsonl").read_text(encoding="utf-8")


def test_its_cost_is_estimated(photos: Path, views: Path) -> None:
    estimate = estimate_cost(ready(photos, views, freeze="blocks:1", method="hifa"))
    assert estimate.parameters["head"] < estimate.parameters["trained"] < sum(estimate.parameters.values())
    assert estimate.seconds_looking > 0


def test_a_trunk_that_moves_has_no_fused_descriptor(photos: Path, views: Path) -> None:
    for freeze in ("blocks:1", "none"):
        assert ready(photos, views, freeze=freeze, **OURS).model.descriptor == "embedding"
    assert ready(photos, views, freeze="trunk", **OURS).model.descriptor == "fused"


def test_what_cannot_be_split_is_one_line(photos: Path, views: Path, tmp_path: Path) -> None:
    with pytest.raises(HifaError, match="needs an EfficientNet or a ResNet of timm, not 'alexnet'"):
        ready(photos, views, freeze="blocks:1", backbone="alexnet", size=64, resize=64)
    with pytest.raises(HifaError, match="has 4 blocks"):
        ready(photos, views, freeze="blocks:5")
    words = ("train", "--images", photos, "--shapes", views, "--out", tmp_path / "run", "--freeze")
    code, _, err = hifa(*words, "blocks:99")
    assert code == 2
    assert "blocks:99" in err
    code, _, err = hifa(*words, "blocks:1", "--backbone", "alexnet", "--weights", "none")
    assert code == 1
    assert "use --freeze trunk or none" in one_line(err)


def test_the_command_trains_and_exports(photos: Path, views: Path, tmp_path: Path) -> None:
    out, words = tmp_path / "run", ("--set", "size=64", "--set", "resize=64", "--steps", "3", "-q")
    code, _, err = hifa(
        "train", "--images", photos, "--shapes", views, "--out", out, "--freeze", "blocks:1", *words
    )
    assert code == 0, err
    assert TrainConfig(freeze="blocks:1").freeze in (out / "run.json").read_text(encoding="utf-8")
    assert (out / "report.html").read_text(encoding="utf-8").count("<figure") == 2  # curves, before and after
    code, _, err = hifa(
        "export", "--model", out, "--images", photos, "--shapes", views, "-o", tmp_path / "e.h5", "-q"
    )
    assert code == 0, err
