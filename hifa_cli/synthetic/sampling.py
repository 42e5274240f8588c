"""Choices made by a generator that is passed in."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def pick(rng: np.random.Generator, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """Return one of ``options``, all alike or by ``weights`` (any positive scale).

    Args:
        rng: decides.
        options: to choose from.
        weights: one each, of any positive scale; None means all alike.

    Returns:
        One of the options.
    """
    if weights is None:
        return options[int(rng.integers(len(options)))]
    edges = np.cumsum(weights)
    return options[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]
