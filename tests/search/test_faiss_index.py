"""FAISS is asked for GPUs only where it can be."""

import sys

import numpy as np
import pytest

from hifa_cli.search import faiss_index
from hifa_cli.search.searcher import Searcher


def test_where_faiss_is_not_installed_it_has_no_gpus_and_a_gpu_user_searches_exactly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert faiss_index.gpus() == 0
    vectors = np.eye(4, dtype=np.float32)
    scores, rows = Searcher(vectors, device="cuda").search(vectors[1:2], 2)
    assert rows[0, 0] == 1
    assert scores[0, 0] == pytest.approx(1)


def test_faiss_without_cuda_has_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_index, "_faiss", lambda: object())
    assert faiss_index.gpus() == 0
