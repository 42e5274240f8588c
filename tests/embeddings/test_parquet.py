"""Exports as Parquet: the same as HDF5 to the bit, for every verb, and refused in one line where damaged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hifa_cli.embeddings.io import (
    Embeddings,
    Export,
    read_export,
    read_shapes_heading,
    sample_images,
    shape_blocks,
    write_export,
)
from hifa_cli.errors import HifaError
from tests.cli.test_cli import hifa, one_line

pyarrow = pytest.importorskip("pyarrow", reason="NO pyarrow: Parquet is not tested")
parquet = pytest.importorskip("pyarrow.parquet")

ODD = ("a/b c", "ü\n\t", "'; --", "🪑", "−1", "x" * 300, "a,b", '"', "..", "NULL")


def made(n: int = 10, m: int = 7, width: int = 5) -> Export:
    draw = np.random.default_rng(0)

    def part(ids: tuple[str, ...], labels: int) -> Embeddings:
        vectors = draw.normal(size=(len(ids), width)).astype(np.float32)
        return Embeddings(ids, draw.integers(-1, labels, len(ids)), vectors)

    photos = part((*ODD, *(f"p{one}" for one in range(n)))[:n], 3)
    return Export(
        photos, part(tuple(f"s{one}" for one in range(m)), 3), ("Stühle", "b", "c"), "0.2.0", "frozen",
        "ab12", {"model": {"size": 224}, "shapes": None},
    )  # fmt: skip


def same(first: Export, second: Export) -> None:
    for one, other in ((first.images, second.images), (first.shapes, second.shapes)):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert one.ids == other.ids
            np.testing.assert_array_equal(one.labels, other.labels)
            np.testing.assert_array_equal(one.vectors, other.vectors)
            assert other.vectors.dtype == np.float32
            assert other.labels.dtype == np.int64
    names = ("classes", "hifa_version", "method", "model", "config")
    assert [getattr(first, name) for name in names] == [getattr(second, name) for name in names]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    export = made()
    write_export(tmp_path / "e.parquet", export)
    same(export, read_export(tmp_path / "e.parquet"))
    assert [path.name for path in tmp_path.iterdir()] == ["e.parquet"]


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    export = made(20_000, 3)
    for name in ("e.h5", "e.parquet"):
        write_export(tmp_path / name, export)
    same(read_export(tmp_path / "e.h5"), read_export(tmp_path / "e.parquet"))
    heads = [read_shapes_heading(tmp_path / name) for name in ("e.h5", "e.parquet")]
    assert heads[0].ids == heads[1].ids
    assert (heads[0].width, heads[0].model) == (heads[1].width, heads[1].model)
    blocks = [np.concatenate(list(shape_blocks(tmp_path / name, 2))) for name in ("e.h5", "e.parquet")]
    np.testing.assert_array_equal(blocks[0], blocks[1])
    assert [len(one) for one in shape_blocks(tmp_path / "e.parquet", 2)] == [2, 1]
    samples = [sample_images(tmp_path / name, 50) for name in ("e.h5", "e.parquet")]
    assert samples[0] is not None
    assert samples[1] is not None
    np.testing.assert_array_equal(samples[0], samples[1])


@pytest.mark.parametrize("absent", ["images", "shapes"])
def test_a_domain_may_be_absent(tmp_path: Path, absent: str) -> None:
    from dataclasses import replace

    export = replace(made(), **{absent: None})  # type: ignore[arg-type]
    write_export(tmp_path / "e.parquet", export)
    same(export, read_export(tmp_path / "e.parquet"))
    if absent == "images":
        assert sample_images(tmp_path / "e.parquet", 5) is None
    else:
        with pytest.raises(HifaError, match="no shapes to index"):
            read_shapes_heading(tmp_path / "e.parquet")


def test_every_verb_takes_it(photos: Path, views: Path, tmp_path: Path) -> None:
    words = ("export", "--images", photos, "--shapes", views, "--quiet")
    for name in ("e.h5", "e.parquet"):
        assert hifa(*words, "--out", tmp_path / name)[0] == 0
    same(read_export(tmp_path / "e.h5"), read_export(tmp_path / "e.parquet"))
    scores = []
    for name in ("e.h5", "e.parquet"):
        file = tmp_path / name
        scores.append(json.loads(hifa("evaluate", file, "--json")[1])["exports"][0])
        out = tmp_path / f"{name}.gallery"
        code, _, err = hifa("index", file, "--out", out, "-q")
        assert code == 0, err
        found = json.loads(hifa("query", photos / "bars/0.png", "-g", out, "--json")[1])["results"][0][
            "matches"
        ]
        scores.append([(one["shape"], one["score"]) for one in found])
    for one in (scores[0], scores[2]):
        del one["export"]
    assert scores[:2] == scores[2:]
    fitted = ("adapt", tmp_path / "e.parquet", "--fit", tmp_path / "e.parquet", "--dimension", "2", "-q")
    assert hifa(*fitted, "--out", tmp_path / "a.parquet")[0] == 0
    assert hifa("plot", tmp_path / "a.parquet", "--out", tmp_path / "t.png", "-q")[0] == 0


def test_the_format_that_is_asked_for_is_the_endings(photos: Path, tmp_path: Path) -> None:
    code, _, err = hifa("export", "--images", photos, "--to", "parquet", "--out", tmp_path / "e.h5")
    assert code == 2
    assert "must end in .parquet" in one_line(err)
    assert hifa("export", "--images", photos, "--to", "parquet", "-o", tmp_path / "e.parquet", "-q")[0] == 0


def write_table(path: Path, columns: dict[str, Any], metadata: dict[bytes, bytes] | None = None) -> Path:
    table = pyarrow.table(columns)
    parquet.write_table(table.replace_schema_metadata(metadata), path)
    return path


PLAIN: dict[str, Any] = {
    "domain": ["images", "shapes", "shapes"], "id": ["a", "b", "c"], "class": ["cup", None, "car"],
    "vector": [[1.0, 2.0], [0.5, 0.0], [0.0, 1.0]],
}  # fmt: skip


def test_a_file_of_somebody_elses_needs_only_three_columns(tmp_path: Path) -> None:
    found = read_export(write_table(tmp_path / "e.parquet", PLAIN))
    assert found.classes == ("car", "cup")
    assert found.shapes is not None
    assert found.shapes.labels.tolist() == [-1, 0]
    bare = {name: PLAIN[name] for name in ("domain", "id", "vector")}
    assert read_export(write_table(tmp_path / "f.parquet", bare)).classes == ()
    numbered = {**PLAIN, "label": [4, -1, 0]}
    assert read_export(write_table(tmp_path / "g.parquet", numbered)).classes == ("car", "1", "2", "3", "cup")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"domain": None}, "no column 'domain'"),
        ({"domain": ["images", "meshes", "shapes"]}, "says 'meshes'"),
        ({"id": [1, 2, 3]}, "'id' must be texts"),
        ({"id": ["a", None, "c"]}, "'id' must be texts"),
        ({"vector": [[1.0], [1.0, 2.0], [1.0, 2.0]]}, "of different length|of one length"),
        ({"vector": [[1.0, 2.0], None, [1.0, 2.0]]}, "without gaps"),
        ({"vector": [[1.0, float("nan")], [1.0, 2.0], [1.0, 2.0]]}, "vector 0 is not finite"),
        ({"vector": ["x", "y", "z"]}, "must be lists of floats"),
        ({"vector": [[], [], []]}, "must be lists of (one length|floats)"),
        ({"label": ["a", "b", "c"]}, "'label' must be whole numbers"),
        ({"label": [-2, 0, 0]}, "−1 or more"),
        ({"label": [10**9, 0, 0]}, "number the classes from 0"),
    ],
)
def test_what_is_not_as_the_format_says_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    columns = {name: column for name, column in {**PLAIN, **changes}.items() if column is not None}
    path = write_table(tmp_path / "e.parquet", columns)
    with pytest.raises(HifaError, match=said):
        read_export(path)


@pytest.mark.parametrize("about", [b"x", b"[]", b'{"schema": 9}', b'{"schema": 1, "classes": 3}'])
def test_metadata_of_no_sense_is_refused(tmp_path: Path, about: bytes) -> None:
    path = write_table(tmp_path / "e.parquet", PLAIN, {b"hifa": about})
    with pytest.raises(HifaError, match=r"metadata|schema"):
        read_export(path)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    write_export(tmp_path / "e.parquet", made())
    whole = (tmp_path / "e.parquet").read_bytes()
    draw = np.random.default_rng(0)
    for number in range(60):
        torn = bytearray(whole)
        for place in draw.integers(0, len(whole), 4):
            torn[place] ^= int(draw.integers(1, 256))
        content = bytes(torn)[: len(whole) - (number % 2) * int(draw.integers(1, len(whole)))]
        (tmp_path / "torn.parquet").write_bytes(content)
        said = ""
        try:
            read_export(tmp_path / "torn.parquet")
        except HifaError as error:
            said = str(error)
        assert "\n" not in said


def test_an_absent_extra_names_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(HifaError, match=r"needs pyarrow: pip install 'hifa-cli\[parquet\]'"):
        write_export(tmp_path / "e.parquet", made())
    assert not list(tmp_path.iterdir())


def test_datasets_loads_it(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="NO datasets: its reading of Parquet is not tested")
    write_export(tmp_path / "e.parquet", made())
    found = datasets.Dataset.from_parquet(str(tmp_path / "e.parquet"), cache_dir=str(tmp_path / "cache"))
    assert found.num_rows == 17
    assert found[0]["id"] == ODD[0]
    np.testing.assert_array_equal(np.float32(found[3]["vector"]), made().images.vectors[3])  # type: ignore[union-attr]
