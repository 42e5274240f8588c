"""Classes of photos and shapes by a few labelled photos, without training: what a gallery may rank by.

A photo's classes come from a logistic regression on labelled photos, a shape's from two opinions of these
photos that are spread over similar shapes. Both speak only of photos that look like labelled ones.
"""

import io
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.adaptation.propagation import Floats64, joined_opinion, spread
from hifa_cli.errors import HifaError
from hifa_cli.runtime.arrays import read_arrays
from hifa_cli.runtime.atomic import written_file

Floats = NDArray[np.float32]
STRENGTH = 10.0  # C of the regression; vectors have unit length
NEAREST, OUTSIDE = 5, 0.05  # of the gate, as in models.network
BANK = 50  # photos of a class that the gate compares with
WEIGHT = 1.0  # of the classes' agreement beside a cosine
_MOST = 1 << 28  # numbers in a stored array


@dataclass(frozen=True)
class PhotoClasses:
    """The class knowledge of labelled photos, fitted once.

    Attributes:
        weights: (C, D) of the regression on centred unit vectors.
        biases: (C,).
        centre: (D,) mean of the class means of the photos.
        bank: (n, D) centred unit vectors of some of them, for the gate.
        banked: (n,) their classes.
        least: () how near the nearest ones of some class must be in the mean.
        kinds: (C, D) unit class means of what photos are looked up by.
        parts: (C, D) unit class means of centred vectors, less their mean.
    """

    weights: Floats
    biases: Floats
    centre: Floats
    bank: Floats
    banked: Floats
    least: Floats
    kinds: Floats
    parts: Floats

    def of_photos(self, vectors: Floats) -> Floats:
        """Return (q, C) square roots of class probabilities; zeros for photos unlike all labelled ones.

        Args:
            vectors: (q, D) unit vectors of photos, without what their own classifier says.
        """
        moved = _unit(vectors - self.centre)
        scores = moved @ self.weights.T + self.biases
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        inside = _nearness(moved, self.bank, self.banked) > self.least
        return np.asarray(np.sqrt(probabilities) * inside[:, None], dtype=np.float32)

    def of_shapes(self, views: NDArray[Any]) -> Floats:
        """Return (m, C) square roots of class probabilities of a gallery's shapes, propagated among them.

        Args:
            views: (m, V, D) unit vectors; zeros where a shape has fewer.
        """
        there = np.asarray(np.abs(views).sum(axis=2) > 0, dtype=np.float32)[..., None]
        count = np.maximum(there.sum(axis=1), 1)
        centre = np.asarray(views, dtype=np.float64).sum(axis=(0, 1)) / max(float(there.sum()), 1.0)
        means = np.empty((len(views), views.shape[2]), dtype=np.float32)
        moved = np.empty_like(means)
        for start in range(0, len(views), 512):
            part = np.asarray(views[start : start + 512], dtype=np.float32)
            seen, shown = there[start : start + 512], count[start : start + 512]
            means[start : start + 512] = (part * seen).sum(axis=1) / shown
            moved[start : start + 512] = (_unit(part - centre.astype(np.float32)) * seen).sum(axis=1) / shown
        means, moved = _unit(means), _unit(moved)
        joint, _ = joined_opinion(
            *(x.astype(np.float64) for x in (means @ self.kinds.T, moved @ self.parts.T))
        )
        scores: Floats64 = spread(moved.astype(np.float64), joint)
        scores = scores / np.maximum(scores.sum(axis=1, keepdims=True), 1e-300)
        return np.asarray(np.sqrt(scores), dtype=np.float32)


def fit_classes(kinds: Floats, parts: Floats, labels: NDArray[np.int64]) -> PhotoClasses:
    """Fit on labelled photos; every label of 0 … C − 1 has at least one.

    Args:
        kinds: (n, D) unit vectors that photos are looked up by.
        parts: (n, D) unit vectors without what their own classifier says.
        labels: (n,) classes.

    Returns:
        The class knowledge.

    Raises:
        HifaError: fewer than two classes.
    """
    classes = int(labels.max(initial=-1)) + 1
    if classes < 2:
        raise HifaError("the photos are of one class, and there is nothing to tell apart: give two or more")
    member = np.eye(classes, dtype=np.float32)[labels]
    counts = member.sum(axis=0)[:, None]
    centre = (member.T @ parts / counts).mean(axis=0)
    moved = _unit(parts - centre)
    weights, biases = _regression(moved, labels, classes)
    middle = member.T @ moved / counts
    rows = np.concatenate([_some(np.flatnonzero(labels == label)) for label in range(classes)])
    bank, banked = moved[rows], labels[rows].astype(np.float32)
    return PhotoClasses(
        weights=weights, biases=biases, centre=np.asarray(centre, dtype=np.float32), bank=bank,
        banked=banked, least=_least(bank, banked),
        kinds=_unit(member.T @ kinds / counts), parts=_unit(middle - middle.mean(axis=0)),
    )  # fmt: skip


def _regression(moved: Floats, labels: NDArray[np.int64], classes: int) -> tuple[Floats, Floats]:
    """Return (C, D) weights and (C,) biases, every class as heavy as the others."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=STRENGTH, max_iter=500, class_weight="balanced").fit(moved, labels)
    weights, biases = fitted.coef_.astype(np.float32), fitted.intercept_.astype(np.float32)
    if classes == 2:  # one row stands for both
        weights, biases = np.concatenate((-weights, weights)) / 2, np.concatenate((-biases, biases)) / 2
    return weights, biases


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return up to ``BANK`` of the rows, evenly."""
    return rows[np.linspace(0, len(rows) - 1, min(BANK, len(rows))).astype(np.int64)]


def _nearness(vectors: Floats, bank: Floats, banked: Floats) -> Floats:
    """Return (q,) mean cosine to the nearest photos of the class that has the nearest ones.

    A small class counts by what it has, so that a large one beside it does not close the gate to it.
    """
    found = np.full(len(vectors), -np.inf)
    for label in np.unique(banked):
        mine = bank[banked == label]
        found = np.maximum(found, _nearest(vectors @ mine.T, min(NEAREST, max(1, len(mine) - 1))))
    return np.asarray(found, dtype=np.float32)


def _least(bank: Floats, banked: Floats) -> Floats:
    """Return () the nearness that a twentieth of the photos, each left out in turn, does not have."""
    found: list[Floats] = []
    for label in np.unique(banked):
        mine = bank[banked == label]
        if len(mine) > 1:
            cosines = mine @ mine.T
            np.fill_diagonal(cosines, -np.inf)
            found.append(_nearest(cosines, min(NEAREST, len(mine) - 1)))
    return np.array(np.quantile(np.concatenate(found), OUTSIDE) if found else -1.0, dtype=np.float32)


def _nearest(cosines: Floats, count: int) -> Floats:
    """Return (q,) mean of the ``count`` largest in each row."""
    largest = np.partition(cosines, cosines.shape[1] - count, axis=1)[:, -count:]
    return np.asarray(largest.mean(axis=1))


def write_classes(path: Path, found: PhotoClasses) -> None:
    """Write what was fitted as arrays without objects."""
    content = io.BytesIO()
    arrays: dict[str, Any] = {part.name: getattr(found, part.name) for part in fields(found)}
    np.savez(content, **arrays)
    with written_file(path) as beside:
        beside.write_bytes(content.getbuffer())


def read_classes(path: Path, classes: int, width: int) -> PhotoClasses:
    """Read what :func:`write_classes` wrote.

    Args:
        path: the file.
        classes: C.
        width: D.

    Returns:
        The class knowledge.

    Raises:
        ValueError: it is something else, or of other measures.
        OSError: it is not there.
    """
    shapes = {
        "weights": (classes, width), "biases": (classes,), "centre": (width,), "least": (),
        "kinds": (classes, width), "parts": (classes, width), "bank": (-1, width), "banked": (-1,),
    }  # fmt: skip
    with zipfile.ZipFile(path) as archive:
        if any(
            one.compress_type != zipfile.ZIP_STORED or one.file_size > _MOST for one in archive.infolist()
        ):
            raise ValueError("packed arrays")
    arrays = read_arrays(path, shapes)
    for name, shape in shapes.items():
        array = arrays[name]
        fits = len(array.shape) == len(shape) and all(
            wanted in (-1, there) for wanted, there in zip(shape, array.shape, strict=True)
        )
        if array.dtype != np.float32 or not fits or not np.isfinite(array).all():
            raise ValueError(f"no {name}")
    if not 1 <= len(arrays["bank"]) == len(arrays["banked"]):
        raise ValueError("a gate of nothing")
    return PhotoClasses(**arrays)


def _unit(vectors: NDArray[Any]) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)
