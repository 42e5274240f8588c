"""A filter finds the shapes that its condition holds for, and says what is wrong with any other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hifa_cli.config import IndexConfig, RenderConfig
from hifa_cli.embeddings.io import Embeddings, Export, write_export
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery, read_gallery
from hifa_cli.gallery.build import build_gallery
from hifa_cli.gallery.metadata import read_metadata
from hifa_cli.query.where import rows_where

TABLE = """id,faces n,price,licence,printed,maker
a/0,10,1.5,CC0,true,Ann
a/1,20,2,CC-BY,false,O'Hara
b/2,30,,CC0,,
b/3,40,-1e3,,true,Ann
"""


def gallery_of(folder: Path, table: str = TABLE, *, factory: str = "auto", count: int = 4) -> Gallery:
    generator = np.random.default_rng(0)
    ids = tuple(f"{'ab'[2 * number // count]}/{number}" for number in range(count))
    labels = np.array([2 * number // count for number in range(count)])
    vectors = generator.gamma(1.0, size=(count, 8)).astype(np.float32)
    write_export(
        folder / "e.h5", Export(None, Embeddings(ids, labels, vectors), ("a", "b"), "0", "m", "d", {})
    )
    (folder / "t.csv").write_text(table)
    build_gallery(
        folder / "e.h5", folder / "g", model=None, split=None, index_config=IndexConfig(factory=factory),
        render_config=RenderConfig(), workers=1, device="cpu", force=False, metadata=folder / "t.csv",
    )  # fmt: skip
    return read_gallery(folder / "g")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return gallery_of(tmp_path_factory.mktemp("where"))


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ('"faces n" < 30', [0, 1]),
        ("\"faces n\" >= 20 and licence = 'CC0'", [2]),
        ("price != 2", [0, 3]),  # a shape without a price is on neither side
        ("not price = 2", [0, 3]),
        ("price is null", [2]),
        ("price is not null and price < 0", [3]),
        ("price < -.5e3", [3]),
        ("licence in ('CC0', 'CC-BY')", [0, 1, 2]),
        ("licence not in ('CC0')", [1]),
        ("price in (1.5, 2)", [0, 1]),
        ("printed", [0, 3]),
        ("not printed", [1]),
        ("printed = false", [1]),
        ("maker = 'O''Hara'", [1]),
        ("class = 'b' or id = 'a/0'", [0, 2, 3]),
        ("class = 'a' and price = 2 or maker = 'Ann'", [0, 1, 3]),
        ("class = 'a' and (price = 2 or maker = 'Bob')", [1]),
        ("NOT (class = 'a' AND printed)", [1, 2, 3]),
        ('price > "faces n"', []),
        ('"faces n" > price', [0, 1, 3]),
        ("licence > 'CC-'", [0, 1, 2]),
        ("id != class", [0, 1, 2, 3]),
    ],
)
def test_conditions_find_their_shapes(gallery: Gallery, condition: str, rows: list[int]) -> None:
    assert rows_where(gallery, condition).tolist() == rows


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("prize < 2", "no field 'prize', did you mean 'price'?: it has id (text), class (text), "),
        ("price < 'two'", "price (number) cannot be compared with 'two': it has "),
        ("licence < 3", "licence (text) cannot be compared with 3"),
        ("licence = CC0", "(a text is written 'CC0')"),
        ("price = null", "write 'is null'"),
        ("price <", "the end where a value should stand"),
        ("price < 2 licence", "'licence' at character 11"),
        ("(price < 2", "the end where ')' should stand"),
        ("price", "the end where a comparison"),
        ("price < 2; drop", "cannot be read from character 10 on"),
        ("__import__('os').system('true')", "cannot be read from character 17 on"),
        ("price = licence", "price (number) and licence (text) cannot be compared"),
        ("(" * 60 + "printed" + ")" * 60, "nested more than 50 deep"),
        ("printed " + "or printed " * 2000, "10000 are allowed"),
        ("and", "where the name of a field should stand"),
        ("price in ()", "')' at character 11 where a value should stand"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_condition_is_said(gallery: Gallery, condition: str, said: str) -> None:
    with pytest.raises(HifaError) as caught:
        rows_where(gallery, condition)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="price<=>'\"(),.0123 andornotisull\n\\é-", max_size=60))
def test_no_text_breaks_the_parser(condition: str) -> None:
    gallery: Any = _Bare()
    try:
        rows = rows_where(gallery, condition)
    except HifaError:
        return
    assert set(rows.tolist()) <= {0, 1}


class _Bare:
    """As much of a gallery as a filter looks at."""

    ids, classes, labels, fields = ("x", "y"), (), np.array([-1, -1]), dict[str, Any]()

    def __len__(self) -> int:
        return 2


@pytest.mark.parametrize("factory", ["Flat", "HNSW16", "IVF8,Flat"])
def test_the_best_of_a_part_are_found_whatever_the_index(factory: str, tmp_path: Path) -> None:
    rows = [f"{'ab'[number // 200]}/{number},{number % 50}" for number in range(400)]
    table = "id,size\n" + "\n".join(rows) + "\n"
    gallery = gallery_of(tmp_path, table, factory=factory, count=400)
    queries = np.random.default_rng(1).gamma(1.0, size=(3, 8)).astype(np.float32)
    among = rows_where(gallery, "size = 7 and class = 'b'")
    assert len(among) == 4
    _, found = gallery.search(queries, 9, among=among)
    assert all(set(one[one >= 0].tolist()) == set(among.tolist()) for one in found)


def test_rows_and_shapes_that_do_not_meet_are_counted_and_named(tmp_path: Path) -> None:
    extra = "".join(f"z/{number},1,,,,\n" for number in range(5))
    (tmp_path / "x.csv").write_text(TABLE.replace("b/3,40,-1e3,,true,Ann\n", "") + extra)
    table = read_metadata(tmp_path / "x.csv")
    table.joined(["a/0", "a/1", "b/2", "b/3"], [""] * 4, [Path()] * 4)
    assert table.report["joined"] == 3
    assert table.report["rows_without_shape"] == 5
    assert table.report["first_rows_without_shape"] == ["z/0", "z/1", "z/2"]
    assert table.report["first_shapes_without_row"] == ["b/3"]


@pytest.mark.parametrize(
    ("name", "content", "kind", "values"),
    [
        ("t.csv", "id,x\na,007\nb,008\n", "text", ["007", "008"]),
        ("t.csv", "id,x\na,7\nb,\n", "number", [7.0, None]),
        ("t.csv", "id,x\na,7\nb,seven\n", "text", ["7", "seven"]),
        ("t.csv", 'id,x\na,"1,5"\nb,True\n', "text", ["1,5", "True"]),
        ("t.json", '[{"id": "a", "x": true}, {"id": "b"}]', "flag", [True, None]),
        ("t.json", '{"a": {"x": 1}, "b": {"x": NaN}}', "number", [1.0, None]),
        ("t.jsonl", '{"id": "a", "x": ["p", 1]}\n\n{"id": "b", "x": "é"}\n', "text", ['["p", 1]', "é"]),
    ],
)
def test_a_column_has_the_kind_of_all_its_cells(
    name: str, content: str, kind: str, values: list[Any], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    table = read_metadata(tmp_path / name)
    assert table.kinds == {"x": kind}
    assert [row[1]["x"] for row in table.rows] == values


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", "name,x\na,1\n", "no column names the shapes: call one 'id' or 'path' (it has name, x)"),
        ("t.csv", "id,x\na,1,2\n", "line 2 has more cells than the heading"),
        ("t.json", "[1]", "entry 1 is not an object"),
        ("t.json", "{", "is not JSON"),
        ("t.jsonl", '{"id": "a"}\n[\n', "is not JSONL"),
        ("t.xls", "", "metadata is read from .csv, .json or .jsonl"),
        ("t.csv", "", "no column names the shapes"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(HifaError) as caught:
        read_metadata(tmp_path / name)
    assert said in str(caught.value)


def test_a_column_called_like_a_fact_of_hifa_keeps_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,faces\na,7\n")
    assert read_metadata(tmp_path / "t.csv").kinds == {"metadata.faces": "number"}


def test_a_gallery_of_an_earlier_version_opens_without_fields(gallery: Gallery) -> None:
    document = {name: value for name, value in gallery.document.items() if name != "fields"}
    old = replace(gallery, document=document)
    assert old.fields == {}
    assert rows_where(old, "class = 'a'").tolist() == [0, 1]
