"""The up axis, as the shapes of a folder show it.

A linear classifier of geometry (:mod:`.up_features`) gives each axis a score; the files of a folder vote.
``benchmarks/up_axis.py`` fits its weights and measures it.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import Axis
from hifa_cli.errors import HifaError
from hifa_cli.render.isolated import read_safely
from hifa_cli.render.up_features import Direction, features, sides

WEIGHTS = Path(__file__).with_name("up_weights.json")
AXES: tuple[Axis, ...] = ("x", "y", "z")
SURE = 0.75  # of the chance that an axis is up, below which the format's own is taken
PRIOR = np.log([0.01, 0.495, 0.495])  # of x, y and z: hardly a program has x up
STEADY = 3.0  # log-odds that one file gives at most
ALIKE = 0.3  # correlation between a folder's files: what misleads in one chair does so in the next

LOOKED = 32  # files of a folder and format
LARGEST = 100_000_000  # bytes of a file that is looked at
ENOUGH = 8  # files, after which no more than ENOUGH_BYTES are read
ENOUGH_BYTES = 64_000_000

Numbers = NDArray[np.float64]


@cache
def _weights() -> tuple[tuple[str, ...], Numbers]:
    """Return names, and (f, 3) means, deviations and weights, of the features."""
    document: dict[str, list[float]] = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    return tuple(document), np.array(list(document.values()))


def axis_scores(path: Path) -> Numbers | None:
    """Return (3,) scores of +x, +y and +z being up, differences are log-odds; None where it cannot be read.

    Meshes that cannot be read are reported when they are drawn.
    """
    names, (mean, scale, weight) = _weights()[0], _weights()[1].T
    ways: list[Direction] = [(axis, 1) for axis in range(3)]
    try:
        seen = sides(read_safely(path))
    except (HifaError, MemoryError):
        return None
    found = [features(seen, way) for way in ways]
    numbers = np.array([[one[name] for name in names] for one in found])
    scores: Numbers = np.clip((numbers - mean) / scale, -4, 4) @ weight
    return scores


def decide(scores: Numbers) -> Axis | None:
    """Return the axis that is up in a folder whose files have these (n, 3) scores; None where it is open."""
    if not len(scores):
        return None
    chances = folder_chances(scores)
    best = int(chances.argmax())
    return AXES[best] if chances[best] >= SURE else None


def folder_chances(scores: Numbers) -> Numbers:
    """(3,) chances of the axes, from (n, 3) scores; n files that resemble each other count as fewer."""
    steady = scores - scores.mean(axis=1, keepdims=True)
    steady = np.clip(steady, -STEADY, STEADY)
    counted = len(scores) / (1 + ALIKE * (len(scores) - 1))
    odds = steady.mean(axis=0) * counted + PRIOR
    chances = np.exp(odds - odds.max())
    return np.asarray(chances / chances.sum())


def sample(paths: Sequence[Path]) -> list[Path]:
    """At most ``LOOKED`` files, spread evenly, that are quick to read; the same for the same files."""
    sizes = {path: _size(path) for path in paths}
    light = sorted(path for path in paths if 0 < sizes[path] <= LARGEST)
    count = min(LOOKED, len(light))
    chosen: list[Path] = []
    read = 0
    for path in (light[number * len(light) // count] for number in range(count)):
        if len(chosen) >= ENOUGH and read + sizes[path] > ENOUGH_BYTES:
            break
        chosen.append(path)
        read += sizes[path]
    return chosen


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
