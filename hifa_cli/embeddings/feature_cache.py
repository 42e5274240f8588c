"""A frozen trunk's features of pictures: computed once, and kept on disk for the next run.

    CACHE/<trunk>/<ab>/<cdef…>.safetensors    an item's features, named by what its pictures hold

A folder may serve many runs, methods, seeds and exports at once: nothing in it depends on a label, on a
name or on a head. It can be deleted at any time.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hifa_cli.data import Item
from hifa_cli.data.loader import in_order
from hifa_cli.embeddings.trunk_engine import TrunkEngine, runs_by, trunk_engine
from hifa_cli.errors import HifaError
from hifa_cli.models.network import Network, TrunkFeatures, write_tensors
from hifa_cli.models.norms import DomainNorm, plain_state
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import written_file
from hifa_cli.runtime.threads import wanted as wanted_threads

SEEN_BY = (
    "backbone",
    "size",
    "resize",
    "fit",
    "mean",
    "std",
    "inputs",
)  # what of a configuration a trunk's output needs

EACH = 4  # pictures a thread of the engine


class ExtractedFeatures(NamedTuple):
    """The trunk's features of an item."""

    row: int  # its place in the sequence
    features: TrunkFeatures  # (1, V, …); without maps where none were asked for: (1, V, 0, 0, 0)


class FeatureCache:
    """A folder of features, safe to share between processes.

    Args:
        folder: made when it is needed.
        network: whose trunk looks; its weights, preprocessing, torch's version and the kind of device
            choose the subfolder. Of a network that is split, what its early blocks make is kept.
        device: where it looks.
        domain: ``images`` or ``shapes``, whose statistics choose the subfolder where they differ.
    """

    def __init__(self, folder: Path, network: Network, device: torch.device, domain: str = "images") -> None:
        digest = early_digest if network.kept >= 0 else trunk_digest
        self.digest = digest(network, device, domain)
        self.folder = folder / self.digest[:16]
        self._network, self._device = network, device
        self._width = 0 if network.kept >= 0 else network.trunk.width

    def key(self, item: Item) -> str | None:
        """SHA-256 of what the item's pictures hold, or None where they cannot be read."""
        total = hashlib.sha256()
        try:
            for path in item.views:
                total.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            return None
        return total.hexdigest()

    def read(self, key: str | None, *, maps: bool) -> TrunkFeatures | None:
        """Return (1, V, …) features of an item, or None where they are not kept or are damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if key is None:
            return None
        try:  # copied: numbers lie unaligned in a file, and sums of them differ in their last bits
            high = load_file(self._path(key, "high"))["high"].unsqueeze(0).clone()
            if not maps:
                return TrunkFeatures(_no_maps(high), high)
            return TrunkFeatures(load_file(self._path(key, "maps"))["maps"].unsqueeze(0).clone(), high)
        except (OSError, KeyError, SafetensorError, RuntimeError, ValueError):
            return None

    def fits(self, kept: TrunkFeatures, views: int) -> bool:
        """Return whether features are what the trunk could have made of an item of ``views`` views."""
        low = (1, views, *(self._map if kept.low.numel() else (0, 0, 0)))
        shapes = kept.low.shape == low and kept.high.shape == (1, views, self._width)
        return shapes and kept.high.dtype == torch.float32 == kept.low.dtype and _finite(kept)

    @cached_property
    def _map(self) -> tuple[int, ...]:
        """Return (c, h, w) of the trunk's maps, as one picture shows."""
        side = self._network.config.size
        with torch.inference_mode():
            blank = torch.zeros((1, 3, side, side), device=self._device)
            kept, trunk = self._network.kept, self._network.trunk
            low = trunk.early(blank, kept) if kept >= 0 else trunk(blank)[0]
        return tuple(low.shape[1:])

    def write(self, key: str | None, features: TrunkFeatures, *, maps: bool) -> None:
        """Keep an item's (1, V, …) features.

        Args:
            key: of the item; None keeps nothing.
            features: (1, V, …) of the trunk.
            maps: whether the maps are kept too.
        """
        parts = {"high": features.high[0], **({"maps": features.low[0]} if maps else {})}
        for name, part in parts.items() if key is not None else ():
            path = self._path(str(key), name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_file(path) as beside:
                write_tensors({name: part.contiguous().clone()}, beside)

    def _path(self, key: str, part: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}-{part}.safetensors"


def trunk_digest(network: Network, device: torch.device, domain: str = "images") -> str:
    """Return SHA-256 of all that decides what the trunk makes of a picture of a domain.

    Args:
        network: with the trunk.
        device: where it looks.
        domain: ``images`` or ``shapes``, whose statistics count where they differ.

    Returns:
        64 hexadecimal digits.
    """
    who: tuple[object, ...] = (runs_by(network, device) or torch.__version__, device.type)
    if network.config.norm == "transnorm":
        who = (*who, "transnorm", domain)
    return _digest(network, who, plain_state(network.trunk, domain))


def early_digest(network: Network, device: torch.device, domain: str = "images") -> str:
    """Return SHA-256 of all that decides what the early blocks of a split network make of a picture.

    Args:
        network: that is split.
        device: where it looks.
        domain: ``images`` or ``shapes``, whose statistics count where they differ.

    Returns:
        64 hexadecimal digits.
    """
    moving = {name for name, one in network.trunk.named_parameters() if one.requires_grad}
    for name, module in network.trunk.named_modules():
        if isinstance(module, DomainNorm) and module.kind == "transnorm":  # of the blocks that learn
            moving |= {f"{name}.{one}" for one, _ in module.named_buffers()}
    state = {name: one for name, one in plain_state(network.trunk, domain).items() if name not in moving}
    return _digest(network, (torch.__version__, device.type, network.kept), state)


def _digest(network: Network, who: tuple[object, ...], state: Mapping[str, Tensor]) -> str:
    config = {name: value for name, value in asdict(network.config).items() if name in SEEN_BY}
    total = hashlib.sha256(repr((sorted(config.items()), *who)).encode())
    for name, tensor in sorted(state.items()):
        total.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


@torch.inference_mode()
def extract_features(
    network: Network,
    items: Sequence[Item],
    *,
    maps: bool,
    device: torch.device,
    label: str,
    workers: int,
    cache: FeatureCache | None = None,
    frozen: bool = True,
    domain: str = "images",
) -> Iterator[ExtractedFeatures]:
    """Run the trunk on every readable item once; what ``cache`` has is not looked at again, and comes first.

    Of a network that is split, the early blocks alone look, and their maps are what is wanted.

    Torch looks at items one by one, the views of a shape together: in a larger batch the last bits of an
    item's features would depend on its neighbours, and then on which run looked first. A graph looks at
    every picture by itself (:mod:`.trunk_engine`). An item that cannot be read is named in a warning and
    left out.

    Args:
        network: its trunk looks.
        items: photos (one view) or shapes.
        maps: whether the low-level maps are wanted: twelve times larger than the rest.
        device: where the network is.
        label: of the progress bar.
        workers: threads that read pictures.
        cache: features kept before.
        frozen: whether the trunk stays as it is: then a graph of it may look, several times as fast.
        domain: ``images`` or ``shapes``: by whose statistics batches are normalised where they differ.

    Yields:
        Row of the item, and its features.
    """
    network.eval()
    maps, frozen = maps or network.kept >= 0, frozen and network.kept < 0
    keys = {row: cache.key(item) for row, item in enumerate(items)} if cache else {}
    missing: list[int] = []
    for row in range(len(items)):
        kept = cache.read(keys[row], maps=maps) if cache else None
        if kept is None or (cache and not cache.fits(kept, len(items[row].views))):
            missing.append(row)
        else:
            yield ExtractedFeatures(row, kept)
    if not missing:
        return
    chosen = [items[row] for row in missing]
    pixels = in_order(chosen, network.config, workers=workers)
    digest = (cache.digest if cache else trunk_digest(network, device, domain)) if frozen else ""
    engine = trunk_engine(network, device, digest, domain) if frozen else None
    shown = progress.track(pixels, label, len(chosen))
    looking = _by_torch(network, shown, device, domain) if engine is None else _by_engine(engine, shown)
    for place, found in looking:
        features = found if maps else TrunkFeatures(_no_maps(found.high), found.high)
        if cache:
            cache.write(keys[missing[place]], features, maps=maps)
        yield ExtractedFeatures(missing[place], features)


Places = Iterator[tuple[int, Tensor]]  # of items, with their (1, V, 1 or 3, H, W) pixels
Found = Iterator[tuple[int, TrunkFeatures]]


def _by_torch(network: Network, pixels: Places, device: torch.device, domain: str) -> Found:
    look = network.early_maps if network.kept >= 0 else network.trunk_features
    for place, seen in pixels:
        found = look(seen.to(device), domain)
        yield place, TrunkFeatures(found.low.cpu(), found.high.cpu())


def _by_engine(engine: TrunkEngine, pixels: Places) -> Found:
    """Look at some items at once, so that every thread has work."""
    waiting: list[tuple[int, Tensor]] = []
    for one in pixels:
        waiting.append(one)
        if sum(seen.shape[1] for _, seen in waiting) >= EACH * wanted_threads():
            yield from _looked(engine, waiting)
            waiting = []
    yield from _looked(engine, waiting)


def _looked(engine: TrunkEngine, waiting: Sequence[tuple[int, Tensor]]) -> Found:
    if waiting:
        found = engine.look([seen for _, seen in waiting])
        yield from zip([place for place, _ in waiting], found, strict=True)


def gather_features(
    looked: Iterator[ExtractedFeatures], items: Sequence[Item]
) -> tuple[TrunkFeatures, list[int]]:
    """Return all that was looked at as one, in the order of the items.

    Returns:
        Features of the n readable items, with as many views as the item that has fewest; and the n rows.

    Raises:
        HifaError: nothing could be read.
    """
    fewest = min((len(item.views) for item in items), default=0)
    low = high = torch.empty(0)
    known = np.zeros(len(items), dtype=bool)
    for row, features in looked:
        if not known.any():  # filled in place: a list joined at the end would need the memory twice
            low = torch.empty(len(items), fewest, *features.low.shape[2:])
            high = torch.empty(len(items), fewest, *features.high.shape[2:])
        low[row], high[row] = features.low[0, :fewest], features.high[0, :fewest]
        known[row] = True
    if not known.any():
        raise HifaError("none of the pictures can be read; check the folder with 'hifa data check'")
    if not known.all():
        low, high = low[torch.from_numpy(known)], high[torch.from_numpy(known)]
    return TrunkFeatures(low, high), [int(row) for row in np.flatnonzero(known)]


def _finite(features: TrunkFeatures) -> bool:
    return all(bool(torch.isfinite(part).all()) for part in features)


def _no_maps(high: Tensor) -> Tensor:
    return high.new_empty(*high.shape[:2], 0, 0, 0)
