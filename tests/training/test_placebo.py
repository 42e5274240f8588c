"""The gain of the default recipe is the labels': shuffled among the shapes, they destroy it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hifa_cli.config import ModelConfig, TrainConfig
from hifa_cli.data import Collection
from hifa_cli.data.loader import FeatureBatches
from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.evaluation.evaluate import evaluate
from hifa_cli.methods.registry import build_objective
from hifa_cli.models.network import Network, TrunkFeatures
from hifa_cli.training.optim import TrainStep
from hifa_cli.training.setup import Run, believe

CLASSES, EACH, VIEWS, WIDTH = 6, 40, 4, 32
CPU = torch.device("cpu")
OURS = TrainConfig(
    method="hifa-l", backbone="test_resnet", freeze="trunk", embedding=12, centred=True, pooling="mean",
    pseudo_labels="propagated", steps=150, images=24, shapes=24, views=VIEWS, size=32, warmup=5,
)  # fmt: skip


class Passing(torch.nn.Module):
    """Stands in for a trunk: the features are made up."""

    width = WIDTH
    blocks: tuple[int, ...] = ()

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(len(pixels), 1, 1, 1), torch.zeros(len(pixels), WIDTH)


def domain(means: np.ndarray, draw: np.random.Generator, noise: float, views: int) -> TrunkFeatures:
    labels = np.repeat(np.arange(CLASSES), EACH)
    item = means[labels][:, None] + noise * draw.normal(size=(len(labels), 1, WIDTH))
    seen = item + 0.3 * draw.normal(size=(len(labels), views, WIDTH))
    return TrunkFeatures(torch.zeros(len(labels), views, 0, 0, 0), torch.from_numpy(seen).float())


def two_domains(seed: int) -> tuple[TrunkFeatures, TrunkFeatures, TrunkFeatures, TrunkFeatures]:
    """Photos and shapes to train on and to test with: the shapes' class means are moved, all and each."""
    draw = np.random.default_rng(seed)
    means = draw.normal(size=(CLASSES, WIDTH))
    moved = 0.7 * means + 0.9 * draw.normal(size=means.shape) + 2 * draw.normal(size=WIDTH)
    sides = [(means, 1.0, 1), (moved, 0.7, VIEWS)]
    train, test = ([domain(m, draw, noise, views) for m, noise, views in sides] for _ in range(2))
    return train[0], train[1], test[0], test[1]


def first_tier(config: TrainConfig, seed: int) -> float:
    """FT on unseen photos and shapes after training."""
    photos, shapes, test_photos, test_shapes = two_domains(seed)
    labels = np.repeat(np.arange(CLASSES), EACH)
    names = tuple(f"c{number}" for number in range(CLASSES))
    model = ModelConfig(
        backbone="test_resnet", embedding=12, classes=names, size=32, dropout=config.dropout, centred=True,
        pooling="mean",
    )  # fmt: skip
    torch.manual_seed(seed)
    network = Network(model)
    network.trunk = Passing()  # type: ignore[assignment]
    network.bottleneck = torch.nn.Linear(WIDTH, 12)
    network.register_buffer("centres", torch.zeros(2, WIDTH))
    objective = build_objective(network, config, seed)
    objective.expect(len(shapes.high))
    run = Run(config, model, Collection((), ()), Collection((), ()), [], objective, seed, CPU)
    believe(run, photos, labels, shapes)
    steps = FeatureBatches(photos, labels, shapes, config, seed)
    train_step = TrainStep(objective, config, CPU)
    objective.train()
    for step in range(config.steps):
        train_step(steps(step), step)
    network.eval()
    with torch.inference_mode():
        vectors = [network(part, name).pooled.numpy() for part, name in
                   ((test_photos, "images"), (test_shapes, "shapes"))]  # fmt: skip
    images, found = (Embeddings(tuple(map(str, range(len(v)))), labels, v) for v in vectors)
    return evaluate(Export(images, found, names)).values()["FT"]


@pytest.mark.parametrize("seed", [0, 1])
def test_shuffled_labels_destroy_the_gain(seed: int) -> None:
    without = first_tier(replace(OURS, method="source-only"), seed)
    with_labels = first_tier(OURS, seed)
    placebo = first_tier(replace(OURS, pseudo_labels="permuted"), seed)
    assert with_labels > without + 0.05
    assert placebo < without - 0.05
