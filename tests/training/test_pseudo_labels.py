"""Shapes get the classes of photos that they look like, and nothing of their own."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hifa_cli.adaptation.propagation import spread
from hifa_cli.config import DEFAULT_RECIPE, PRESETS, ModelConfig, TrainConfig
from hifa_cli.errors import Stopped
from hifa_cli.models.network import Network
from hifa_cli.runtime.progress import reporting
from hifa_cli.settings import identity
from hifa_cli.training.pseudo_labels import propagate
from hifa_cli.training.trainer import recipe_of
from tests.training.test_trainer import Listening, StopAt, run, same

OURS: dict[str, Any] = {
    "centred": True,
    "pooling": "mean",
    "descriptor": "fused",
    "pseudo_labels": "propagated",
}


def world(classes: int, each: int, shift: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Photos and shapes around common class means, the shapes behind an offset."""
    generator = np.random.default_rng(seed)
    means = generator.normal(size=(classes, 16))
    labels = np.repeat(np.arange(classes), each)
    photos = means[labels] + 0.3 * generator.normal(size=(len(labels), 16))
    shapes = means[labels][:, None] + shift + 0.3 * generator.normal(size=(len(labels), 4, 16))
    return photos.astype(np.float32), labels, shapes.astype(np.float32)


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_shapes_get_the_classes_of_like_photos_whatever_the_offset_between_the_domains(shift: float) -> None:
    photos, labels, shapes = world(5, 30, shift)
    found = propagate(photos, labels, shapes, (16,), 5)
    assert (found.labels == labels).mean() > 0.95
    assert 0 <= found.agreement <= 1


def test_what_is_iterated_is_the_closed_form_of_label_propagation() -> None:
    """Against (I − .9 W)⁻¹ P of Zhou et al. 2004, written densely."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(60, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = generator.random((60, 4))
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.argsort(-cosines, axis=1)[:, :20]
    weights = np.zeros((60, 60))
    rows = np.arange(60)[:, None]
    weights[rows, nearest] = np.exp((cosines[rows, nearest] - 1) / 0.1)
    weights += weights.T
    root = 1 / np.sqrt(weights.sum(axis=1))
    wanted = np.linalg.solve(np.eye(60) - 0.9 * root[:, None] * weights * root, scores)
    np.testing.assert_allclose(spread(vectors, scores), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("classes", "count"), [(1, 5), (3, 1), (8, 3)], ids=["one class", "one shape", "more classes than shapes"]
)
def test_poor_data_gives_finite_labels_of_known_classes(classes: int, count: int) -> None:
    photos, labels, shapes = world(classes, 4, 1.0)
    found = propagate(photos, labels, shapes[:count], (16,), classes)
    assert np.isfinite(found.scores).all()
    assert set(found.labels) <= set(range(classes))


def test_equal_shapes_get_one_class_and_a_class_without_photos_gets_no_shape() -> None:
    photos, labels, shapes = world(4, 6, 1.0)
    equal = propagate(photos, labels, np.repeat(shapes[:1], 9, axis=0), (16,), 4)
    assert len(set(equal.labels)) == 1
    kept = labels != 2
    assert 2 not in propagate(photos[kept], labels[kept], shapes, (16,), 4).labels


@pytest.mark.parametrize("freeze", ["trunk", "none"])
def test_the_default_recipe_never_sees_the_shapes_labels(
    freeze: str, photos: Path, views: Path, tmp_path: Path
) -> None:
    plain = run(photos, views, tmp_path / "plain", method="hifa-l", freeze=freeze, **OURS)
    (views / "bars").rename(views / "zebra")
    (views / "rings" / "shape0").rename(views / "loose")
    assert same(plain, run(photos, views, tmp_path / "moved", method="hifa-l", freeze=freeze, **OURS))


@pytest.mark.parametrize("freeze", ["trunk", "none"])
def test_an_interrupted_run_of_the_default_recipe_goes_on_to_the_bit(
    freeze: str, photos: Path, views: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"method": "hifa-l", "freeze": freeze, **OURS}
    whole = run(photos, views, tmp_path / "whole", **options)
    with pytest.raises(Stopped), reporting(StopAt(2, signal.SIGINT)):
        run(photos, views, tmp_path / "part", **options)
    assert same(whole, run(photos, views, tmp_path / "part", **options))


DEFAULT: dict[str, Any] = {
    **PRESETS[DEFAULT_RECIPE[1]], "method": DEFAULT_RECIPE[0], "preset": DEFAULT_RECIPE[1],
    "backbone": "efficientnet_lite0", "weights": "imagenet", "steps": 6, "size": 64, "resize": 64,
}  # fmt: skip


def test_the_default_itself_keeps_every_bit_whatever_the_shapes_are_called(
    photos: Path, views: Path, tmp_path: Path
) -> None:
    """The preset as ``hifa train`` has it, ImageNet's weights and all: only smaller pictures, fewer steps."""
    from dataclasses import replace

    from hifa_cli.data import find_shapes

    kept = {"features": tmp_path / "features", **DEFAULT}
    plain = run(photos, views, tmp_path / "plain", **kept)
    shapes = find_shapes(views)
    labels = np.random.default_rng(0).permutation([item.label for item in shapes.items]).tolist()
    items = tuple(item._replace(label=label) for item, label in zip(shapes.items, labels, strict=True))
    assert same(plain, run(photos, replace(shapes, items=items), tmp_path / "permuted", **kept))
    unknown = tuple(item._replace(label=-1) for item in reversed(shapes.items))
    assert same(plain, run(photos, replace(shapes, items=unknown, classes=()), tmp_path / "none", **kept))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_default_itself_goes_on_to_the_bit(
    number: int, photos: Path, views: Path, tmp_path: Path
) -> None:
    kept = {"features": tmp_path / "features", **DEFAULT}
    whole = run(photos, views, tmp_path / "whole", **kept)
    with pytest.raises(Stopped), reporting(StopAt(2, number)):
        run(photos, views, tmp_path / "part", **kept)
    assert same(whole, run(photos, views, tmp_path / "part", **kept))
    logs = [(tmp_path / name / "log.jsonl").read_bytes() for name in ("whole", "part")]
    assert logs[0] == logs[1]


def test_labels_that_are_shuffled_are_other_labels(photos: Path, views: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"method": "hifa-l", **OURS}
    plain = run(photos, views, tmp_path / "plain", **options)
    options["pseudo_labels"] = "permuted"
    assert not same(plain, run(photos, views, tmp_path / "permuted", **options))


def test_a_digest_is_what_it_was_before_there_were_new_fields() -> None:
    old = identity(ModelConfig())
    assert not {"inputs", "bank"} & set(old)
    assert identity(ModelConfig(centred=True))["centred"] is True


def test_a_run_says_what_of_it_is_not_the_papers() -> None:
    method, preset = DEFAULT_RECIPE
    ours = TrainConfig(method=method, preset=preset, **PRESETS[preset])  # type: ignore[arg-type]
    assert "mean over the views" in recipe_of(ours)["not_of_the_paper"]
    for name in ("paper", "lab", "stable"):
        assert recipe_of(TrainConfig(preset=name, **PRESETS[name]))["not_of_the_paper"] == "-"  # type: ignore[arg-type]


def fused(classes: int = 3) -> Network:
    torch.manual_seed(0)
    names = tuple(f"c{i}" for i in range(classes))
    network = Network(
        ModelConfig(backbone="test_resnet", embedding=8, classes=names, size=48, descriptor="fused", bank=6)
    )
    network.bank.copy_(torch.nn.functional.normalize(torch.rand_like(network.bank), dim=1))
    return network.eval()


def test_a_photo_unlike_every_labelled_one_is_answered_as_without_training() -> None:
    network = fused()
    pixels = torch.randint(0, 256, (2, 1, 3, 48, 48), dtype=torch.uint8)
    shapes = torch.randint(0, 256, (4, 3, 3, 48, 48), dtype=torch.uint8)
    network.threshold.fill_(2.0)
    with torch.inference_mode():
        photo, shape = network.describe(pixels, "images")[1], network.describe(shapes, "shapes")[1]
        plain = network.untrained(network.trunk_features(pixels).high, "images")[:, 0]
        of_shapes = network.untrained(network.trunk_features(shapes).high, "shapes").mean(dim=1)
    unit = torch.nn.functional.normalize
    wanted = plain @ unit(of_shapes, dim=1).T
    torch.testing.assert_close((photo @ unit(shape, dim=1).T * 3**0.5), wanted)
    network.threshold.fill_(-2.0)
    with torch.inference_mode():
        assert network.describe(pixels, "images")[1][:, :8].abs().sum() > 0


def test_classes_without_shapes_are_named(photos: Path, views: Path, tmp_path: Path) -> None:
    for folder in [one for one in sorted(views.iterdir()) if one.is_dir()][1:]:
        for shape in sorted(folder.iterdir())[1:]:
            for view in shape.iterdir():
                view.unlink()
    reporter = Listening()
    with reporting(reporter):
        run(photos, views, tmp_path / "out", method="hifa-l", **OURS)
        assert all("collapsed" not in line for line in reporter.said)


def test_a_small_class_stays_inside_the_gate_beside_large_ones(tmp_path: Path) -> None:
    """3 photos of one class and 40 of the others: its own photos are known, and foreign ones are not."""
    from hifa_cli.models.network import TrunkFeatures
    from hifa_cli.training.setup import _set_gate, bank_rows

    draw = np.random.default_rng(0)
    labels = np.concatenate((np.zeros(3, dtype=np.int64), np.repeat([1, 2], 40)))
    network = fused()
    width = network.bank.shape[1]
    means = draw.normal(size=(3, width))

    def photos(which: np.ndarray) -> torch.Tensor:
        made = means[which] + 0.2 * draw.normal(size=(len(which), width))
        return torch.from_numpy(made).float()[:, None]

    rows = bank_rows(labels, 3)
    assert rows.shape == (3, 40)
    assert set(labels[rows[0]]) == {0}
    network.bank = torch.zeros(rows.size, width)
    high = photos(labels)
    _set_gate(network, TrunkFeatures(high, high), labels)
    own = photos(np.zeros(30, dtype=np.int64))
    assert network.inside(own).mean() > 0.25
    distinct = network.likeness(own)[..., np.unique(rows, return_index=True)[1]]
    among_all = distinct.topk(5, dim=-1).values.mean(dim=-1)  # two of five are foreign: never near enough
    assert (among_all > network.threshold).float().mean() == 0
    strange = torch.from_numpy(draw.normal(size=(30, 1, width))).float()
    assert network.inside(strange).mean() < 0.1


@pytest.mark.parametrize(("noise", "least", "most"), [(0.05, 0.9, 1.0), (30.0, 0.0, 0.5)])
def test_how_far_the_gate_can_tell_unknown_kinds_is_measured_on_labelled_photos(
    noise: float, least: float, most: float
) -> None:
    from hifa_cli.models.network import TrunkFeatures
    from hifa_cli.training.setup import _set_gate

    draw, labels = np.random.default_rng(0), np.repeat(np.arange(3), 40)
    network = fused()
    width = network.bank.shape[1]
    means = draw.normal(size=(3, width))
    high = torch.from_numpy(means[labels] + noise * draw.normal(size=(len(labels), width))).float()[:, None]
    network.bank = torch.zeros(len(labels), width)
    assert least <= _set_gate(network, TrunkFeatures(high, high), labels) <= most


def test_told_apart_is_the_largest_difference_of_shares_above_a_threshold() -> None:
    from hifa_cli.training.setup import told_apart

    draw = np.random.default_rng(1)
    known, unknown = torch.from_numpy(draw.normal(0.7, 1, 40)), torch.from_numpy(draw.normal(size=30))
    plain = max(float((known > at).double().mean() - (unknown > at).double().mean())
                for at in torch.cat((known, unknown)))  # fmt: skip
    assert told_apart(known, unknown) == pytest.approx(plain)
    assert told_apart(unknown - 9, known) == 0
    assert told_apart(known, unknown[:0]) == 1


def test_one_photo_per_class_leaves_the_gate_open() -> None:
    from hifa_cli.models.network import TrunkFeatures
    from hifa_cli.training.setup import _set_gate

    network = fused()
    network.bank = torch.zeros(3, network.bank.shape[1])
    high = torch.rand(3, 1, network.bank.shape[1])
    assert _set_gate(network, TrunkFeatures(high, high), np.arange(3)) == 1  # nothing speaks against
    assert network.threshold == -1
    assert network.inside(high).all()


def test_every_backbone_has_the_default_recipe_with_the_input_that_it_has() -> None:
    from hifa_cli.settings import train_config

    own = train_config(None, None, {})
    other = train_config(None, None, {"backbone": "resnet50"})
    for config in (own, other):
        assert (config.method, config.preset) == DEFAULT_RECIPE
        assert (config.pooling, config.pseudo_labels, config.centred) == ("mean", "propagated", True)
    assert (own.inputs, other.inputs) == ("blocks", "pooled")
    assert train_config("hifa", None, {"backbone": "resnet50"}).preset == "stable"
    assert train_config(None, "paper", {}).inputs == "pooled"
