"""Shapes of the gallery steer a query: more like these, less like those."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hifa_cli.errors import HifaError
from hifa_cli.gallery import read_gallery
from hifa_cli.gallery.columns import Texts
from hifa_cli.query.examples import rows_of_ids, steered
from hifa_cli.query.retrieve import QueryOptions, rank
from hifa_cli.search.rerank import QueryVectors, unit
from tests.cli.test_cli import hifa, one_line
from tests.web.conftest import ranked_gallery

EAST, NORTH, WEST = np.eye(3, dtype=np.float32)


def gallery(*ids: str, vectors: Any = None, ranking: object = "ranks") -> Any:
    table = np.zeros((len(ids), 3), np.float32) if vectors is None else np.stack(vectors)
    ends = np.cumsum([len(one) for one in ids]).astype(np.int64)
    texts = Texts("".join(ids).encode(), ends)
    return SimpleNamespace(folder=Path("g"), ids=texts, vectors=table, ranking=ranking)


def test_rows_are_found_in_the_order_of_the_ids() -> None:
    assert rows_of_ids(gallery("a", "b", "c"), ("c", "a")).tolist() == [2, 0]
    assert rows_of_ids(gallery("a"), ()).tolist() == []


@pytest.mark.parametrize(
    ("asked", "named"),
    [("armchair", "chair/armchair_1"), ("chair/armchair_2", "chair/armchair_1"), ("CUP", "cup/red")],
)
def test_a_wrong_id_is_named_with_the_nearest(asked: str, named: str) -> None:
    with pytest.raises(HifaError, match=f"no shape '{asked}': did you mean {named}"):
        rows_of_ids(gallery("chair/armchair_1", "cup/red", "lamp/12"), (asked,))


def test_an_id_like_no_other_names_none() -> None:
    with pytest.raises(HifaError, match="no shape 'zzzzzz': 'hifa index --stats'"):
        rows_of_ids(gallery("chair/1"), ("zzzzzz",))


def test_a_query_moves_towards_what_is_liked_and_away_from_what_is_not() -> None:
    shapes = gallery("a", "b", vectors=(EAST, NORTH))
    query = QueryVectors(unit((EAST + NORTH + WEST)[None]), unit((EAST + NORTH + WEST)[None]))
    moved = steered(shapes, query, np.array([0]), np.array([1]))
    for before, after in ((query.kind, moved.kind), (query.part, moved.part)):
        assert after[0] @ EAST > before[0] @ EAST
        assert after[0] @ NORTH < before[0] @ NORTH
        assert np.linalg.norm(after[0]) == pytest.approx(1, abs=1e-6)


def test_shapes_alone_are_a_query() -> None:
    shapes = gallery("a", "b", vectors=(EAST, NORTH))
    moved = steered(shapes, None, np.array([0, 1]), np.zeros(0, np.int64))
    np.testing.assert_allclose(moved.kind, unit((EAST + NORTH)[None]), atol=1e-6)


@pytest.fixture(scope="module", params=["paper", "default"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine shapes of three kinds in ``gallery`` that ranks one way or the other, and their photos."""
    from tests.query.test_query import made_world

    root = made_world(tmp_path_factory.mktemp("examples"))
    if request.param == "default":
        (root / "gallery").rename(root / "plain")
        ranked_gallery(root / "plain", root / "gallery")
    return root


def asked(world: Path, *words: object) -> dict[str, Any]:
    code, out, err = hifa("query", *words, "-g", world / "gallery", "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)["results"][0]
    return found


def test_without_a_photo_the_nearest_are_of_the_shapes_kind(world: Path) -> None:
    found = asked(world, "--like", "rings/shape0", "--top", 2)
    assert found["query"] == "like rings/shape0"
    assert found["like"] == ["rings/shape0"]
    assert "unlike" not in found
    assert [one["shape"] for one in found["matches"]] == sorted(
        ("rings/shape1", "rings/shape2"), key=[one["shape"] for one in found["matches"]].index
    )


def test_examples_are_not_shown_and_the_number_of_matches_stays(world: Path) -> None:
    photo = world / "photos" / "bars" / "0.png"
    plain = asked(world, photo, "--top", 4)
    steered = asked(world, photo, "--like", "rings/shape0", "--unlike", "bars/shape1", "--top", 4)
    assert len(plain["matches"]) == len(steered["matches"]) == 4
    assert not {"rings/shape0", "bars/shape1"} & {one["shape"] for one in steered["matches"]}
    assert [one["rank"] for one in steered["matches"]] == [1, 2, 3, 4]
    assert steered["unlike"] == ["bars/shape1"]
    assert len(asked(world, photo, "--like", "rings/shape0", "--top", 99)["matches"]) == 8


def test_liked_shapes_bring_theirs_forward(world: Path) -> None:
    photo = world / "photos" / "bars" / "0.png"
    places = {}
    for name, words in {"plain": (), "steered": ("--like", "rings/shape0")}.items():
        order = [one["shape"] for one in asked(world, photo, *words, "--top", 9)["matches"]]
        places[name] = np.mean([order.index(f"rings/shape{number}") for number in (1, 2)])
    assert places["steered"] < places["plain"]


def test_wrong_words_are_refused(world: Path) -> None:
    code, _, err = hifa("query", "--like", "rings/shape9", "-g", world / "gallery")
    assert code == 1
    assert "no shape 'rings/shape9': did you mean rings/shape" in one_line(err)
    assert hifa("query", "-g", world / "gallery")[0] == 2
    assert hifa("query", "--unlike", "rings/shape0", "-g", world / "gallery")[0] == 2


def test_the_library_needs_no_encoder_for_shapes_alone(world: Path) -> None:
    opened = read_gallery(world / "gallery")
    [ranking], _ = rank(None, opened, [], QueryOptions(2, like=("bars/shape0",)))
    assert {one.class_name for one in ranking.matches} == {"bars"}
    with pytest.raises(HifaError, match="nothing to look for"):
        rank(None, opened, [], QueryOptions(2))
