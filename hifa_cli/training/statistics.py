"""AdaBN's statistics: what batch normalisations see of shapes, taken once over unlabelled training views."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from hifa_cli.data import Item
from hifa_cli.data.reading import item_pixels
from hifa_cli.embeddings.feature_cache import trunk_digest
from hifa_cli.errors import HifaError
from hifa_cli.models.network import Network, write_tensors
from hifa_cli.models.norms import DomainNorm, Statistics, seen_as
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import written_file
from hifa_cli.runtime.seeding import numpy_stream

MOST = 2048  # pictures; each gives a layer hundreds of responses a channel
BATCH = 64  # pictures that are normalised by each other on their way to deeper layers
KEPT = "norms"  # folder beside the features of trunks


@torch.inference_mode()
def take_statistics(
    network: Network, views: Sequence[tuple[Path, ...]], device: torch.device, folder: Path | None = None
) -> None:
    """Set the statistics of shapes in every batch normalisation of an AdaBN network.

    Pictures are drawn from all views in an order of their own, so that a batch shows many shapes. On its way
    to a deeper layer a picture is normalised by its batch.

    Args:
        network: that is changed.
        views: of each training shape; nothing else of a shape is known.
        device: where the network is.
        folder: that keeps statistics for runs with the same trunk and pictures, or None.

    Raises:
        HifaError: none of the pictures can be read.

    References:
        Li et al. 2016, algorithm 1.
    """
    pictures = _drawn(views)
    kept = None if folder is None else _kept(folder, network, pictures, device)
    if kept is not None and _taken_up(network, kept):
        return
    training, statistics = network.training, Statistics()
    network.eval()
    with seen_as(statistics):
        for pixels in _batches(pictures, network):
            network.trunk(network.normalised(pixels.to(device)))
    network.train(training)
    if not statistics.known:
        raise HifaError("none of the views of the shapes can be read; check them with 'hifa data check'")
    statistics.write()
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with written_file(kept) as path:
            write_tensors({name: one.cpu() for name, one in _of_shapes(network).items()}, path)


def _drawn(views: Sequence[tuple[Path, ...]]) -> list[Path]:
    paths = [path for each in views for path in each]
    order = numpy_stream(0, "batch-norm statistics").permutation(len(paths))[:MOST]
    return [paths[row] for row in order]


def _batches(pictures: Sequence[Path], network: Network) -> Iterator[Tensor]:
    """Yield (B, 1, 3, S, S) pixels of the pictures that can be read; the last batch is never a small one."""
    items = [Item(str(path), -1, (path,)) for path in pictures]
    reading = item_pixels(items, network.config, workers=2)
    waiting: list[Tensor] = []
    for pixels in progress.track(reading, "taking statistics of the shapes", len(items)):
        if pixels is not None:
            waiting.append(torch.from_numpy(pixels))
        if len(waiting) >= 2 * BATCH:
            yield torch.stack(waiting[:BATCH])
            del waiting[:BATCH]
    if waiting:
        yield torch.stack(waiting)


def _of_shapes(network: Network) -> dict[str, Tensor]:
    """Return the statistics of shapes by the names of their buffers."""
    return {
        f"{name}.{one}": getattr(layer, one)
        for name, layer in network.trunk.named_modules()
        if isinstance(layer, DomainNorm)
        for one in ("shapes_mean", "shapes_var")
    }


def _kept(folder: Path, network: Network, pictures: Sequence[Path], device: torch.device) -> Path | None:
    """Return where the statistics of these pictures are kept; None where a picture is gone."""
    total = hashlib.sha256(f"{trunk_digest(network, device)} {BATCH}".encode())
    try:
        for path in pictures:
            total.update(hashlib.sha256(path.read_bytes()).digest())
    except OSError:
        return None
    return folder / KEPT / f"{total.hexdigest()[:32]}.safetensors"


def _taken_up(network: Network, kept: Path) -> bool:
    """Return whether statistics that fit were found and taken up."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(kept)
    except (OSError, SafetensorError, ValueError):
        return False
    wanted = _of_shapes(network)
    if found.keys() != wanted.keys() or any(
        one.shape != wanted[name].shape or not bool(torch.isfinite(one).all()) for name, one in found.items()
    ):
        return False
    for name, one in found.items():
        wanted[name].copy_(one)
    return True
