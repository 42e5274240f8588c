"""Steps per second of ``hifa train`` against a plain textbook loop: the same model, batch and losses.

The textbook loop is what one writes from the paper in an afternoon: a DataLoader that decodes and augments,
the network on every picture, the losses, SGD. It runs in the same process and takes turns with ours step
by step, so that both see the same machine. Comparisons: the whole network, the trunk frozen (where the
textbook wraps the trunk in ``no_grad`` and ours looks at every picture once), and its last N blocks trained
(where the textbook wraps the early blocks in ``no_grad``).

    python benchmarks/train.py [--backbone alexnet] [--photos 8] [--shapes 4] [--steps 6]
        [--freeze none,trunk,blocks:1,blocks:2] [--device cuda] [--amp auto] [--workers 4]

On a GPU both decode in as many workers; the textbook computes in float32, ours as ``--amp`` says.
"""

import argparse
import json
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from hifa_cli.config import TrainConfig, last_blocks
from hifa_cli.data import find_images, find_shapes
from hifa_cli.data.loader import FeatureBatches, ImageBatches
from hifa_cli.data.reading import prefetch
from hifa_cli.embeddings.feature_cache import extract_features, gather_features
from hifa_cli.models.network import Critic, Network, TrunkFeatures
from hifa_cli.training.optim import TrainStep
from hifa_cli.training.setup import Run, setup_run

CLASSES, EACH_PHOTO, EACH_SHAPE = 10, 8, 4


def write_world(folder: Path) -> tuple[Path, Path]:
    """Photos of 500 pixels and views of 224, of noise that compresses like pictures."""
    generator = np.random.default_rng(0)

    def picture(side: int, channels: int) -> Image.Image:
        coarse = generator.integers(0, 256, (side // 8, side // 8, channels), dtype=np.uint8).squeeze()
        return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)

    for label in range(CLASSES):
        for number in range(EACH_PHOTO):
            path = folder / "photos" / f"class{label}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(500, 3).save(path)
        for number in range(EACH_SHAPE):
            place = folder / "views" / f"class{label}" / str(number)
            place.mkdir(parents=True)
            for view in range(12):
                picture(224, 1).save(place / f"{view:02d}.png")
    (folder / "views" / "views.json").write_text('{"schema": 1}\n', encoding="utf-8")
    return folder / "photos", folder / "views"


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """The textbook's data set: decode, resize, crop, flip, normalise, each time anew."""

    def __init__(self, items: list[tuple[tuple[Path, ...], int]], model: object) -> None:
        self.items = items
        mean, std = model.mean, model.std  # type: ignore[attr-defined]
        self.transform = transforms.Compose(
            [
                transforms.Resize((256, 256)),
                transforms.RandomCrop(224),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(mean, std),
            ]
        )

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        views, label = self.items[index]
        return torch.stack([self.transform(Image.open(path).convert("RGB")) for path in views]), label


def forever(
    items: list[tuple[tuple[Path, ...], int]], size: int, model: object, workers: int
) -> Iterator[list[torch.Tensor]]:
    """Shuffled batches without end."""
    while True:
        yield from DataLoader(
            Pictures(items, model), batch_size=size, shuffle=True, drop_last=True, num_workers=workers
        )


def textbook(run: Run, device: torch.device) -> Callable[[], None]:
    """One step of the plain loop."""
    config, model = run.config, run.model
    network, critic = Network(model), Critic(*_map_of(run.network), run.network.dimension)
    network.load_state_dict(run.network.state_dict())
    network.to(device).train()
    critic.to(device)
    if last := last_blocks(config.freeze):
        network.split(last)
    elif config.freeze == "trunk":
        network.trunk.requires_grad_(False)
    trained = [p for p in (*network.parameters(), *critic.parameters()) if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=config.rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    photos = forever(
        [(item.views, item.label) for item in run.photos.items], config.images, model, config.workers
    )
    shapes = forever([(views, -1) for views in run.views], config.shapes, model, config.workers)
    centroids = [torch.zeros(len(model.classes), model.embedding, device=device) for _ in range(2)]

    def embed(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        batch, views = pixels.shape[:2]
        if last:
            with torch.no_grad():
                early = network.trunk.early(pixels.flatten(0, 1), network.kept)
            low, high = network.trunk.late(early, network.kept)
        else:
            with torch.set_grad_enabled(config.freeze == "none"):
                low, high = network.trunk(pixels.flatten(0, 1))
        each = network.bottleneck(network.dropout(high)).unflatten(0, (batch, views))
        return low.unflatten(0, (batch, views)), each, each.amax(dim=1)

    def step() -> None:
        images, labels = (part.to(device) for part in next(photos))
        views = next(shapes)[0].to(device)
        low_s, each_s, k_s = embed(images)
        low_t, each_t, k_t = embed(views)
        logits_s, logits_t = network.classifier(k_s), network.classifier(k_t)
        loss = F.cross_entropy(logits_s, labels)
        for k in (k_s, k_t):
            loss = loss + config.weight_global * (k.norm(dim=1).mean() - config.radius) ** 2
        guesses = logits_t.argmax(dim=1)
        for domain, (k, named) in enumerate(((k_s, labels), (k_t, guesses))):
            moved = centroids[domain].clone()
            for label in named.unique():
                moved[label] = 0.7 * moved[label] + 0.3 * k[named == label].mean(dim=0)
            centroids[domain] = moved
        loss = loss + config.weight_local * ((centroids[0] - centroids[1]) ** 2).mean()
        for low, each in ((low_s, each_s), (low_t, each_t)):
            few = min(config.mutual_views or each.shape[1], each.shape[1])
            maps, own = low[:, :few].flatten(0, 1), each[:, :few].flatten(0, 1)
            others = each[:, :few].roll(1, 0).flatten(0, 1)
            real, fake = critic(maps, own)[0], critic(maps, others)[0]
            loss = loss + config.weight_mutual * (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        centroids[:] = [centroid.detach() for centroid in centroids]

    return step


def ours(run: Run, device: torch.device) -> tuple[Callable[[], None], float]:
    """One step of ``hifa train``, and the seconds it took to get ready."""
    started, config = time.monotonic(), run.config
    if config.freeze == "none":
        steps: Callable[[int], object] = ImageBatches(run.photos, run.views, run.model, config, run.seed)
    else:
        features: list[TrunkFeatures] = []
        for items in (run.photos.items, tuple(run.photos.items[0]._replace(views=v) for v in run.views)):
            looked = extract_features(run.network, items, maps=True, device=device, label="", workers=1)
            features.append(gather_features(looked, items)[0])
        labels = np.array([item.label for item in run.photos.items])
        steps = FeatureBatches(features[0], labels, features[1], config, run.seed)
    train_step = TrainStep(run.objective, config, device)
    run.objective.train()
    feed = enumerate(prefetch(steps, range(config.steps), config.workers or 1))
    ready = time.monotonic() - started

    def step() -> None:
        number, batch = next(feed)
        train_step(batch.to(device), number)  # type: ignore[attr-defined]

    return step, ready


def _map_of(network: Network) -> tuple[int, int]:
    size = network.config.size
    with torch.no_grad():
        device = next(network.parameters()).device
        low = network.trunk_features(torch.zeros(1, 1, 3, size, size, dtype=torch.uint8, device=device)).low
    return low.shape[2], low.shape[-1]


def compare(run: Run, steps: int, device: torch.device) -> dict[str, float]:
    """Seconds of a step of each, taking turns; medians."""
    (mine, ready), theirs = ours(run, device), textbook(run, device)
    times: dict[str, list[float]] = {"hifa": [], "textbook": []}
    for number in range(steps + 2):
        for name, step in (("textbook", theirs), ("hifa", mine)):
            started = time.monotonic()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number >= 2:  # the first ones warm up
                times[name].append(time.monotonic() - started)
    hifa, textbook_ = (statistics.median(times[name]) for name in ("hifa", "textbook"))
    return {
        "hifa_seconds_a_step": round(hifa, 4),
        "textbook_seconds_a_step": round(textbook_, 4),
        "times_faster": round(textbook_ / hifa, 2),
        "seconds_to_get_ready": round(ready, 1),
        "steps_until_it_pays": round(ready / max(textbook_ - hifa, 1e-9), 1),
    }


def main() -> None:
    """Parse, measure, print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--photos", type=int, default=8, help="a step")
    parser.add_argument("--shapes", type=int, default=4, help="a step, of twelve views")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--freeze", default="none,trunk,blocks:1,blocks:2")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--amp", default="auto", help="precision of ours on CUDA: auto, off, bf16, fp16")
    parser.add_argument("--workers", type=int, default=0, help="that decode, on both sides")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.set_num_threads(1)
    config = TrainConfig(
        backbone=arguments.backbone, weights="none", images=arguments.photos, shapes=arguments.shapes,
        steps=arguments.steps + 4, amp=arguments.amp, workers=arguments.workers,
    )  # fmt: skip
    results: dict[str, object] = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
    }
    with tempfile.TemporaryDirectory() as folder:
        photos, views = write_world(Path(folder))
        for freeze in arguments.freeze.split(","):
            run = setup_run(
                find_images(photos), find_shapes(views), replace(config, freeze=freeze),
                seed=0, device=device,
            )  # fmt: skip
            names = {"none": "whole network", "trunk": "frozen trunk"}
            results[names.get(freeze, freeze)] = compare(run, arguments.steps, device)
    results["peak_memory_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
