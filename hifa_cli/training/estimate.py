"""A few steps of a run that is not made: its size, its memory and its time, measured."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from hifa_cli.data.loader import Batch, FeatureBatches, ImageBatches
from hifa_cli.data.reading import prefetch
from hifa_cli.embeddings.feature_cache import extract_features, gather_features
from hifa_cli.models.network import TrunkFeatures
from hifa_cli.training.optim import TrainStep
from hifa_cli.training.setup import Run

WARM, TIMED = 2, 4  # steps before the clock runs, and while it does
LOOKED_AT = 24  # pictures of each domain that a frozen trunk is timed on


@dataclass(frozen=True)
class Estimate:
    """The estimated cost of a run on this machine."""

    parameters: dict[str, int]  # of trunk, head and critic; trained: what the optimiser moves
    pictures_a_step: int
    seconds_a_step: float
    steps: int
    seconds_looking: float  # a frozen trunk's one look at every picture
    seconds_in_all: float
    memory_gb: float  # peak: of the GPU where there is one, else of the process
    memory_of: str


def estimate_cost(run: Run) -> Estimate:
    """Take a few steps in memory; nothing is written.

    Raises:
        HifaError: none of the pictures can be read.
    """
    if run.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(run.device)
    steps, looking = _feed(run)
    train_step = TrainStep(run.objective, run.config, run.device)
    run.objective.train()
    started = 0.0
    for step, batch in enumerate(prefetch(steps, range(WARM + TIMED), 1)):
        if step == WARM:
            started = _now(run.device)
        train_step(batch.to(run.device), step)
    each = (_now(run.device) - started) / TIMED
    memory, owner = _peak_memory(run.device)
    config = run.config
    return Estimate(
        parameters=_parameters(run),
        pictures_a_step=config.images + (config.shapes * config.views if run.objective.sees_shapes else 0),
        seconds_a_step=round(each, 4),
        steps=config.steps,
        seconds_looking=round(looking, 1),
        seconds_in_all=round(looking + each * config.steps, 1),
        memory_gb=round(memory / 1e9, 2),
        memory_of=owner,
    )


def _feed(run: Run) -> tuple[Callable[[int], Batch], float]:
    """Batches as the run would have them, and the seconds that looking at everything once would take."""
    config, views = run.config, run.views if run.objective.sees_shapes else []
    if config.freeze == "none":
        return ImageBatches(run.photos, views, run.network.config, config, run.seed), 0.0
    photos = run.photos.items[:LOOKED_AT]
    shapes = [photos[0]._replace(views=each) for each in views[: max(1, LOOKED_AT // config.views)]]
    features: list[TrunkFeatures] = []
    seconds = 0.0
    for domain, items, count in (("images", photos, len(run.photos.items)), ("shapes", shapes, len(views))):
        if not items:
            features.append(TrunkFeatures(*(part[:0] for part in features[0])))
            continue
        started = time.monotonic()
        looked = extract_features(
            run.network, items, maps=run.objective.reads_maps, device=run.device, label="looking at a sample",
            workers=max(config.workers, 2), domain=domain)  # fmt: skip
        seen, _ = gather_features(looked, items)
        seconds += (time.monotonic() - started) * count / len(items)
        features.append(seen)
    labels = torch.tensor([item.label for item in photos]).numpy()
    return FeatureBatches(
        features[0], labels[: len(features[0].high)], features[1], config, run.seed
    ), seconds


def _parameters(run: Run) -> dict[str, int]:
    def count(parameters: Any) -> int:
        return sum(p.numel() for p in parameters)

    modules: dict[str, Any] = {
        "trunk": run.network.trunk.parameters(),
        "head": run.network.head_parameters(),
        "critic": run.objective.critic_parameters(),
        "trained": (p for p in run.objective.parameters() if p.requires_grad),
    }
    return {name: count(parameters) for name, parameters in modules.items()}


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()


def _peak_memory(device: torch.device) -> tuple[int, str]:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device), "GPU"
    if sys.platform == "win32":
        return 0, "process (not known on Windows)"
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024, "process"
