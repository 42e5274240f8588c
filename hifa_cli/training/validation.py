"""Source validation: photos held out of training, classified while it runs.

Labels of shapes are never looked at: what is best for the photos is all that a run can know.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from hifa_cli.data import Collection
from hifa_cli.models.network import Network, TrunkFeatures
from hifa_cli.runtime.seeding import numpy_stream

Accuracy = Callable[[Network], float]
AT_ONCE = 256  # cached features classified at once


def held_out(photos: Collection, share: float, seed: int) -> tuple[Collection, Collection]:
    """Return photos to train on and photos to validate with: ``share`` of each class, one of each kept.

    Args:
        photos: labelled.
        share: in [0, 1); 0 holds nothing out.
        seed: which photos.

    Returns:
        Both collections, with the same classes.
    """
    generator = numpy_stream(seed, "validation")
    labels = np.array([item.label for item in photos.items], dtype=np.int64)
    out: set[int] = set()
    for label in np.unique(labels) if share else ():
        rows = generator.permutation(np.flatnonzero(labels == label))
        out.update(rows[: min(round(share * len(rows)), len(rows) - 1)].tolist())
    kept = [item for row, item in enumerate(photos.items) if row not in out]
    left = [item for row, item in enumerate(photos.items) if row in out]
    return replace(photos, items=tuple(kept)), replace(photos, items=tuple(left))


@torch.inference_mode()
def accuracy_on_features(network: Network, seen: TrunkFeatures, labels: torch.Tensor) -> float:
    """Return the share of photos that the classifier names rightly, by what the frozen trunk made of them.

    Args:
        network: the classifier.
        seen: (n, 1, F) of the photos.
        labels: (n,) their classes.

    Returns:
        0 to 1.
    """
    device, right = network.mean.device, 0
    training = network.training
    network.eval()
    for start in range(0, len(labels), AT_ONCE):
        part = TrunkFeatures(*(each[start : start + AT_ONCE].to(device) for each in seen))
        right += int((network(part).logits.argmax(dim=1).cpu() == labels[start : start + AT_ONCE]).sum())
    network.train(training)
    return right / len(labels)
