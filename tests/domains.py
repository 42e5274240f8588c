"""Two domains whose relation is known: what shallow adaptation should undo."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def random_domains(
    seed: int, photos: int = 24, shapes: int = 18, dimension: int = 6, classes: int = 3
) -> tuple[Floats, Labels, Floats]:
    """Photos, their classes (each there at least once), shapes; nothing hidden."""
    draw = np.random.default_rng(seed)
    labels = np.concatenate((np.arange(classes), draw.integers(0, classes, photos - classes)))
    centres = draw.normal(size=(classes, dimension)) * 2
    source = centres[labels] + draw.normal(size=(photos, dimension))
    target = centres[draw.integers(0, classes, shapes)] + draw.normal(size=(shapes, dimension)) + 0.5
    return source, labels.astype(np.int64), target


def turned_domains(
    seed: int, count: int = 120, dimension: int = 20, classes: int = 4, far: float = 1.0
) -> tuple[Floats, Labels, Floats, Labels]:
    """Shapes are photos of the same classes, moved far along one direction and turned in a plane.

    The classes lie in few directions; the movement lies in others and is several times larger.
    """
    draw = np.random.default_rng(seed)
    centres = np.zeros((classes, dimension))
    centres[:, :classes] = np.eye(classes) * 3
    turn = np.eye(dimension)
    angle = np.pi / 7
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    shift = np.zeros(dimension)
    shift[:3] = (6.0, -5.0, 1.0)
    shift[-1] = 9.0
    labels, hidden = draw.integers(0, classes, count), draw.integers(0, classes, count)
    labels[:classes] = np.arange(classes)
    spread = np.where(np.arange(dimension) < classes, 0.5, 0.8)
    source = centres[labels] + draw.normal(size=(count, dimension)) * spread
    target = (centres[hidden] + draw.normal(size=(count, dimension)) * spread) @ turn + far * shift
    return source, labels.astype(np.int64), target, hidden.astype(np.int64)


def accuracy(vectors: Floats, labels: Labels, queries: Floats, wanted: Labels) -> float:
    """How often the nearest vector has the query's class."""
    hits = 0
    for query, label in zip(queries, wanted, strict=True):
        hits += int(labels[((vectors - query) ** 2).sum(axis=1).argmin()] == label)
    return hits / len(queries)
