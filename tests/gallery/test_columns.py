"""Columns of strings find the row of each."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hifa_cli.gallery.columns import read_texts, write_texts


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(max_size=5), max_size=30), other=st.text(max_size=5))
def test_a_row_is_found_by_its_text_and_the_first_of_equal_ones(
    texts: Sequence[str], other: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("column")
    write_texts(folder, "ids", texts)
    column = read_texts(folder, "ids", len(texts))
    for text in [*texts, other]:
        assert column.row(text) == (texts.index(text) if text in texts else None)


def test_texts_of_the_same_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hifa_cli.gallery.columns.hash", lambda _: 7, raising=False)
    write_texts(tmp_path, "ids", ["a", "b", "c"])
    column = read_texts(tmp_path, "ids", 3)
    assert [column.row(one) for one in "abcd"] == [0, 1, 2, None]
