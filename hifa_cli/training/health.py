"""The beliefs of a run about the shapes before its first step; no label of a shape is known here."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import written_file
from hifa_cli.training.pseudo_labels import Beliefs

HEALTH_FILE = "health.json"
MERGED = 0.8  # of the first class's mean probability: a second one as likely as that looks like the same
EXAMPLES = 6  # of each class that are kept as the surest and as the least sure
SHOWN = 8  # classes that a message names


def report_beliefs(beliefs: Beliefs, labels: NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, Any]:
    """Say what is believed of the shapes, and return it.

    Args:
        beliefs: labels and scores of m shapes.
        labels: (n,) classes of the photos.
        classes: their names.

    Returns:
        ``agreement`` of two opinions (an estimate of how many labels are right, from below where they err
        apart), ``photos`` and ``shapes`` by class, classes ``without_shapes``, and pairs that look
        ``merged``: shapes of the first are nearly as likely of the second.
    """
    counts = np.bincount(beliefs.labels, minlength=len(classes))
    known = np.unique(labels)
    empty = [classes[label] for label in known if not counts[label]]
    merged = merged_classes(beliefs, classes)
    progress.note(f"shapes were given classes; two opinions agree on {beliefs.agreement:.0%} of them")
    if empty:
        progress.warn(
            f"no shape was taken for {', '.join(empty[:SHOWN])}: there may be none, or it looks like others"
        )
    if merged:
        pairs = ", ".join(f"{first} and {second}" for first, second in merged[:SHOWN])
        progress.note(f"shapes of {pairs} are hard to tell apart")
    return {
        "agreement": round(beliefs.agreement, 4),
        "photos": {classes[label]: int((labels == label).sum()) for label in known},
        "shapes": {classes[label]: int(counts[label]) for label in known},
        "without_shapes": empty,
        "merged": [list(pair) for pair in merged],
    }


def examples(
    beliefs: Beliefs, views: Sequence[Sequence[Path]], classes: Sequence[str]
) -> dict[str, dict[str, list[list[Any]]]]:
    """Return which shapes were labelled most and least surely.

    Args:
        beliefs: labels and scores of m shapes.
        views: pictures of these shapes.
        classes: names of the classes.

    Returns:
        By class, ``sure`` and ``unsure``: lists of a picture and the probability of the class, at most
        ``EXAMPLES`` each and none in both.
    """
    if len(views) != len(beliefs.labels):
        return {}
    found = {}
    for label in np.unique(beliefs.labels):
        rows = np.flatnonzero(beliefs.labels == label)
        rows = rows[np.argsort(-beliefs.scores[rows, label], kind="stable")].tolist()
        sure, rest = rows[:EXAMPLES], rows[EXAMPLES:]
        named = [
            [[str(views[row][0]), round(float(beliefs.scores[row, label]), 4)] for row in part]
            for part in (sure, rest[::-1][:EXAMPLES])
        ]
        found[classes[label]] = dict(zip(("sure", "unsure"), named, strict=True))
    return found


def merged_classes(beliefs: Beliefs, classes: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return pairs of classes of which the first one's shapes are nearly as likely of the second."""
    found = []
    for label in np.unique(beliefs.labels):
        mean = beliefs.scores[beliefs.labels == label].mean(axis=0)
        others = np.where(np.arange(len(mean)) == label, 0, mean)
        second = int(others.argmax())
        if others[second] > MERGED * mean[label]:
            found.append((classes[label], classes[second]))
    return found


def offset_of(photos: Tensor, shapes: Tensor) -> float:
    """Return the distance of the domains' mean features over the photos' own spread; 0 without a spread.

    Args:
        photos: (n, F) trunk features.
        shapes: (m, F) mean trunk features of their views.
    """
    if not len(photos) or not len(shapes):
        return 0.0
    centre = photos.double().mean(dim=0)
    spread = float((photos.double() - centre).square().sum(dim=1).mean().sqrt())
    return round(float((centre - shapes.double().mean(dim=0)).norm()) / spread, 4) if spread else 0.0


def write_health(folder: Path, health: dict[str, Any]) -> None:
    """Write what a run believes beside its configuration."""
    with written_file(folder / HEALTH_FILE) as path:
        path.write_text(json.dumps(health, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
