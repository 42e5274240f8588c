"""A sample of photos and shapes before and after a run, for its report; no label of a shape is known here."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hifa_cli.models.network import TrunkFeatures
from hifa_cli.training.setup import Run

MOST = 250  # of each domain
_CHUNK = 64

Floats = NDArray[np.float32]


class Points(NamedTuple):
    """Vectors of n photos and m shapes.

    Attributes:
        before: (n, F) and (m, F): the trunk's pooled feature, of shapes the mean over the views.
        after: (n, D) and (m, D): the descriptor.
        labels: (n,) classes of the photos.
        believed: (m,) classes that training assigned to the shapes, −1 where it assigned none.
    """

    before: tuple[Floats, Floats]
    after: tuple[Floats, Floats]
    labels: NDArray[np.int64]
    believed: NDArray[np.int64]


def points_of(run: Run) -> Points | None:
    """Return a sample of what a run learned from; None if it was not looked at once, or a domain is empty."""
    if not run.seen or not len(run.seen[0].shapes.high):
        return None
    photos, labels, shapes, untrained = run.seen[0]
    rows = [
        _spread(labels),
        np.linspace(0, len(shapes.high) - 1, min(MOST, len(shapes.high))).astype(np.int64),
    ]
    parts = [_rows(seen, row) for seen, row in zip((photos, shapes), rows, strict=True)]
    plain = [_rows(seen, row) for seen, row in zip(untrained, rows, strict=True)]
    width = (run.network.trunk.blocks or (run.network.trunk.width,))[0]
    before = [_plain(part, width) for part in plain]
    after = [_described(run, part, domain) for part, domain in zip(parts, ("images", "shapes"), strict=True)]
    assigned = run.objective.assigned
    believed = (
        np.full(len(rows[1]), -1, dtype=np.int64) if assigned is None else assigned.cpu().numpy()[rows[1]]
    )
    return Points((before[0], before[1]), (after[0], after[1]), labels[rows[0]], believed)


def _rows(seen: TrunkFeatures, rows: NDArray[np.int64]) -> TrunkFeatures:
    """Return some rows, without maps where descriptors do not need them."""
    high = seen.high[torch.from_numpy(rows)]
    if not high.shape[-1]:
        return TrunkFeatures(seen.low[torch.from_numpy(rows)], high)
    return TrunkFeatures(high.new_empty(*high.shape[:2], 0, 0, 0), high)


def _spread(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return rows of photos, evenly over the classes."""
    order = np.argsort(labels, kind="stable")
    return np.sort(order[np.linspace(0, len(labels) - 1, min(MOST, len(labels))).astype(np.int64)])


def _plain(part: TrunkFeatures, width: int) -> Floats:
    """Return the mean over the views of the unit pooled features."""
    mean: Floats = nn.functional.normalize(part.high[..., :width].float(), dim=-1).mean(dim=1).numpy()
    return mean


@torch.inference_mode()
def _described(run: Run, part: TrunkFeatures, domain: str) -> Floats:
    run.network.eval()
    found = [
        run.network.describe(
            TrunkFeatures(*(one[start : start + _CHUNK].to(run.device) for one in part)), domain
        )[1]
        for start in range(0, len(part.high), _CHUNK)
    ]
    return np.concatenate([one.float().cpu().numpy() for one in found])
