"""Features of all pictures by frozen trunks, once for all rows and seeds; and the room that a job needs."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from hifa_cli.config import ModelConfig, TrainConfig
from hifa_cli.data import Collection, Item
from hifa_cli.embeddings.feature_cache import FeatureCache, extract_features, trunk_digest
from hifa_cli.errors import HifaError
from hifa_cli.methods.registry import build_objective
from hifa_cli.models.network import Network
from hifa_cli.models.norms import DOMAINS
from hifa_cli.models.weights import build_network
from hifa_cli.pipelines.compare.jobs import Job, Shared, frozen_model
from hifa_cli.render.workers import machine_memory
from hifa_cli.runtime.seeding import torch_stream
from hifa_cli.training.setup import by_content, model_config, resolved_freeze
from hifa_cli.training.statistics import take_statistics

PROCESS = 1.5e9  # bytes that a process takes before it holds any feature: 1.1 measured, and room to step
SHARE = 0.8  # of the machine's memory for all jobs together
FLOAT = 4  # bytes


def look_once(
    jobs: Sequence[Job],
    shared: Shared,
    train: tuple[Collection, Collection],
    test: tuple[Collection, Collection],
    device: torch.device,
) -> float:
    """Keep what every frozen trunk among ``jobs`` makes of every picture that the jobs will want.

    A trunk that cannot be had is left to its jobs to complain of.

    Args:
        jobs: that are to be done.
        shared: where the data are.
        train: photos and shapes of the training split.
        test: photos and shapes of the test split.
        device: where the trunks run.

    Returns:
        Bytes of features that the hungriest job will hold.
    """
    networks: dict[tuple[str, ...], Network] = {}
    wanted: dict[tuple[str, ...], set[str]] = {}
    features = Path(shared.features)
    for job in _distinct(jobs):
        try:
            network, parts = _wanted(job, train[0].classes, device)
            if network.config.norm == "adabn":
                take_statistics(network, by_content(train[1]), device, features)
        except Exception:  # whatever a user's own method raises: its job will say so
            continue
        key = tuple(trunk_digest(network, device, domain) for domain in DOMAINS)
        networks.setdefault(key, network)
        wanted.setdefault(key, set()).update(parts)
    most = 0.0
    for key, network in networks.items():
        for items, maps, what in _shares(wanted[key], train, test):
            domain = "shapes" if what.endswith("shapes") else "images"
            cache = FeatureCache(features, network, device, domain)
            label = f"looking at {len(items)} {what} with {network.config.backbone}"
            for _ in extract_features(
                network, items, maps=maps, device=device, label=label, workers=2, cache=cache, domain=domain
            ):
                pass  # the cache has it now
        most = max(most, _bytes(network, wanted[key], train))
    return most


def room(needed: float, device: torch.device, config: TrainConfig) -> int:
    """Return how many jobs fit side by side: by cores and memory.

    One on a GPU or where whole trunks are trained.

    Args:
        needed: bytes that the hungriest job holds.
        device: where the networks run.
        config: of the rows.

    Returns:
        At least 1.
    """
    if device.type != "cpu" or resolved_freeze(config, device) != "trunk":
        return 1
    return max(1, min(cores(), int(SHARE * machine_memory() / (PROCESS + needed))))


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _distinct(jobs: Sequence[Job]) -> list[Job]:
    """Return one job a row: seeds do not change what is looked at."""
    return list({job.name: job for job in jobs if job.kind != "adapted"}.values())


def _wanted(job: Job, classes: tuple[str, ...], device: torch.device) -> tuple[Network, set[str]]:
    """The network of a job, and which features it will ask for: of training, with maps, of the test."""
    config = TrainConfig(**job.train)
    if job.kind == "frozen":
        network = _network(frozen_model(job, config, device), config.weights, device)
        return network, {"test", "train"} if job.fits else {"test"}
    freeze = resolved_freeze(config, device)
    if freeze != "trunk":
        raise HifaError("its trunk changes: nothing of it can be kept for others")
    network = _network(model_config(replace(config, freeze=freeze), classes), config.weights, device)
    objective = build_objective(network, replace(config, freeze=freeze), 0)
    shapes = {"train shapes"} if objective.sees_shapes or job.fits else set()
    return network, {"test", "train photos", *shapes, *({"maps"} if objective.reads_maps else ())}


def _network(config: ModelConfig, weights: str, device: torch.device) -> Network:
    return build_network(config, weights, torch_stream(0, "initialise", "head")).to(device).eval()


def _shares(
    wanted: set[str], train: tuple[Collection, Collection], test: tuple[Collection, Collection]
) -> list[tuple[tuple[Item, ...], bool, str]]:
    """Items, whether their maps are wanted, and what they are called."""
    maps = "maps" in wanted
    shares = []
    if wanted & {"train", "train photos"}:
        shares.append((train[0].items, maps, "training photos"))
    if wanted & {"train", "train shapes"}:
        shares.append((train[1].items, maps, "training shapes"))
    return [*shares, (test[0].items, False, "test photos"), (test[1].items, False, "test shapes")]


def _bytes(network: Network, wanted: set[str], train: tuple[Collection, Collection]) -> float:
    """Return what a job holds of the training split's features."""
    size = network.config.size
    device = network.mean.device
    with torch.inference_mode():
        seen = network.trunk_features(torch.zeros(1, 1, 1, size, size, dtype=torch.uint8, device=device))
    each = seen.high.numel() + (seen.low.numel() if "maps" in wanted else 0)
    pictures = sum(len(item.views) for part in train for item in part.items)
    return float(each * pictures * FLOAT)
