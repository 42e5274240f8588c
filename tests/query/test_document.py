"""A ranking has one form as JSON."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hifa_cli.query.document import match_document, ranking_document, rankings_document
from hifa_cli.query.retrieve import Match, Ranking

MATCH = Match(1, "a/x", "a", 0.123456789, 0, view=3, azimuth=90.0, elevation=30.0)


def gallery(source: Path | None = Path("/m/a/x.off"), thumbnail: Path | None = None) -> Any:
    return SimpleNamespace(folder=Path("g"), thumbnail=lambda row: thumbnail, source=lambda row: source)


def test_a_match_names_the_view_and_its_files_with_every_digit_of_its_score() -> None:
    assert match_document(gallery(), MATCH) == {
        "rank": 1, "shape": "a/x", "class": "a", "score": 0.123456789, "view": 3, "azimuth": 90.0,
        "elevation": 30.0, "source": "/m/a/x.off", "thumbnail": None,
    }  # fmt: skip
    assert match_document(gallery(None, Path("t.png")), MATCH)["thumbnail"] == "t.png"
    assert match_document(gallery(None), MATCH)["source"] is None


def test_the_class_of_a_query_stands_only_where_it_is_known() -> None:
    assert "class" not in ranking_document(gallery(), Ranking("q", ()))
    assert ranking_document(gallery(), Ranking("q", (MATCH,), class_name="a"))["class"] == "a"


def test_metrics_stand_only_where_there_are_any() -> None:
    rankings = [Ranking("q", (MATCH,)), Ranking("r", ())]
    document = rankings_document(gallery(), rankings)
    assert [one["query"] for one in document["results"]] == ["q", "r"]
    assert set(document) == {"gallery", "queries", "failed", "results"}
    assert rankings_document(gallery(), rankings, {"NN": 1.0})["metrics"] == {"NN": 1.0}
