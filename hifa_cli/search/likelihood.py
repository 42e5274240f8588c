"""The likelihood that a shape is of the photo's kind, and that any shape is.

Cosines cannot be compared between photos: one photo is near to everything, another to nothing. A photo's
scores are therefore standardised by its cosines with a background, shapes of many kinds that ship with the
package (T-normalisation of speaker verification, Auckenthaler et al., 2000), and a logistic regression makes
them a probability. It was fitted on photos and meshes of known kinds (``benchmarks/likelihood.py``); no label
of the gallery is used.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from hifa_cli.runtime.arrays import read_arrays
from hifa_cli.search.rerank import Floats

# the default encoder's first
CALIBRATION_FILES = ("likelihood.npz", "likelihood-lite2.npz", "likelihood-pair.npz")
CALIBRATION_VERSION = 1  # raised whenever the file is fitted anew
FEWEST, MOST = 50, 1_000  # shapes of the galleries that it was fitted on; fewer or more count as so many
FIRST = 10  # ranks by which a photo's kind is said to be there or not
EVIDENCE = ("kind", "neighbours", "semantic", "shapes", "rank")


@dataclass(frozen=True)
class Calibration:
    """The function from evidence to a likelihood.

    Attributes:
        background: (m, D) unit vectors of shapes of many kinds.
        weights: (5,) of the evidence, in the order of ``EVIDENCE``.
        offset: of the logistic regression.
        threshold: of the largest likelihood among the first ranks; below it nothing is of the photo's kind.
        model: digest of the encoder.
        projection: version of the nuisance projection.
    """

    background: Floats
    weights: NDArray[np.float64]
    offset: float
    threshold: float
    model: str
    projection: int

    def likelihoods(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (k,) probabilities of (k, 5) evidence."""
        odds = evidence @ self.weights + self.offset
        return np.asarray(1 / (1 + np.exp(-odds)), dtype=np.float64)

    def is_nothing(self, likelihoods: NDArray[np.float64]) -> bool:
        """Return whether none of the first ranks is likely enough of the photo's kind."""
        first = likelihoods[:FIRST]
        return not len(first) or float(first.max()) < self.threshold


def evidence_of(
    background: Floats, kind: Floats, part: Floats, scores: Floats, neighbours: Floats, shapes: int
) -> NDArray[np.float64]:
    """Return (k, 5) evidence of the shapes that one query found, best first.

    Args:
        background: (m, D) unit vectors.
        kind: (D,) unit query with the semantic term.
        part: (D,) unit query without.
        scores: (k,) cosines of the shapes.
        neighbours: (k,) mean cosines of their neighbours in the gallery, or their own without neighbours.
        shapes: in the gallery.

    Returns:
        (k, 5), in the order of ``EVIDENCE``.
    """
    others = np.asarray(background @ kind, dtype=np.float64)
    middle, width = others.mean(), max(float(others.std()), 1e-9)
    alike, size = np.ones(len(scores)), np.log(min(max(shapes, FEWEST), MOST))
    return np.stack([
        (scores - middle) / width, (neighbours - middle) / width,
        alike * float(kind @ part), alike * size, np.log1p(np.arange(len(scores))),
    ], axis=1)  # fmt: skip


@cache
def shipped_calibration(name: str) -> Calibration:
    """Return a calibration that this package ships."""
    with (files("hifa_cli.search") / name).open("rb") as file:
        stored = read_arrays(file)
        return Calibration(
            stored["background"].astype(np.float32), stored["weights"].astype(np.float64),
            float(stored["offset"]), float(stored["threshold"]), str(stored["model"]),
            int(stored["projection"]),
        )  # fmt: skip


def calibration_for(model: str, projection: int, version: int) -> Calibration | None:
    """Return the calibration of a gallery, or None if it has none.

    Args:
        model: digest of the gallery's encoder.
        projection: version of the nuisance projection that its vectors went through.
        version: of the calibration that the gallery was made with; 0 is none.

    Returns:
        The calibration, or None.
    """
    if version != CALIBRATION_VERSION:
        return None
    shipped = map(shipped_calibration, CALIBRATION_FILES)
    return next((one for one in shipped if (one.model, one.projection) == (model, projection)), None)
