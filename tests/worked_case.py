"""The worked case: 24 shapes of sizes 10, 8 and 6, three queries with given ranks of the relevant."""

import numpy as np
from numpy.typing import NDArray

SIZES = (10, 8, 6)
RANKS = (
    (1, 2, 4, 5, 7, 9, 12, 15, 18, 22),
    (2, 3, 5, 8, 11, 13, 16, 21),
    (1, 3, 4, 10, 19, 24),
)
GALLERY_LABELS: NDArray[np.int64] = np.repeat(np.arange(3), SIZES)
QUERY_LABELS: NDArray[np.int64] = np.arange(3)

NN, FT, F_POOLED, LEGACY = 0.666667, 0.533333, 0.5, 0.565671
EXPECTED = {
    "mi3dor": {"ST": 0.772222, "F": F_POOLED, "DCG": 0.580545, "ANMRR": 0.447977},
    "mi3dor-legacy": {"ST": 0.772222, "F": F_POOLED, "DCG": LEGACY, "ANMRR": 0.447977},
    "psb": {"ST": 0.813889, "F": (20 / 34 + 16 / 32 + 12 / 30) / 3, "DCG": 0.782143, "ANMRR": 0.274976},
    "mpeg7": {"ST": 0.813889, "F": 0.494872, "DCG": 0.575479, "ANMRR": 0.274976},
    "mpeg7-2001": {"ST": 0.813889, "F": 0.494872, "DCG": 0.575479, "ANMRR": 0.309917},
    "oscar": {"ST": 0.813889, "F": 0.494872, "DCG": 0.726365, "ANMRR": 0.381286},
}


def orders() -> list[list[int]]:
    """For each query the gallery rows by rank."""
    found = []
    for label, ranks in enumerate(RANKS):
        relevant = iter(np.flatnonzero(label == GALLERY_LABELS).tolist())
        others = iter(np.flatnonzero(label != GALLERY_LABELS).tolist())
        found.append(
            [next(relevant if rank in ranks else others) for rank in range(1, len(GALLERY_LABELS) + 1)]
        )
    return found


def vectors(scale: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Queries (3, 48) and gallery (24, 48) whose cosines fall in those orders, with negative entries.

    Shape g points along axis g, its length is its own; query q falls along the axes in its order. The
    other 24 axes hold negative noise, which clamping takes away.
    """
    n = len(GALLERY_LABELS)
    queries, gallery = np.zeros((3, 2 * n)), np.zeros((n, 2 * n))
    for row, order in enumerate(orders()):
        queries[row, order] = np.arange(n, 0, -1)
    gallery[:, :n] = np.diag(np.linspace(0.5, 3.0, n))
    noise = np.random.default_rng(0)
    queries[:, n:], gallery[:, n:] = -noise.random((3, n)) * 50, -noise.random((n, n)) * 50
    return queries * scale, gallery * scale
