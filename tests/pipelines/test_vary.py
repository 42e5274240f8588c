"""``hifa compare --vary``: the same comparison on parts of the data, each named by a list."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import hifa, one_line
from tests.conftest import write_photos, write_views
from tests.pipelines.test_compare import TINY


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vary")
    for seed, split in enumerate(("train", "test")):
        write_photos(root / "photos" / split, seed=seed)
        write_views(root / "views" / split, seed=10 + seed, views=4)
    return root


def varied(world: Path, out: Path, what: str, values: str, *more: object) -> dict[str, Any]:
    words = ("--images", world / "photos", "--shapes", world / "views", "--out", out, "--vary", what)
    code, text, err = hifa(
        "compare", *words, "--values", values, "--methods", "source-only,frozen", "--seeds", "2", *TINY,
        "--json", "--jobs", 1, *more,
    )  # fmt: skip
    assert code == 0, err
    found: dict[str, Any] = json.loads(text)
    return found


def listed(path: Path, split: str) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return [line for line in csv.DictReader(file) if line["split"] == split]


def test_parts_are_nested_and_the_test_split_is_whole(world: Path, tmp_path: Path) -> None:
    found = varied(world, tmp_path / "v", "labels", "1,3")
    parts = [tmp_path / "v" / f"labels-{value}/photos.csv" for value in (1, 3)]
    ids = [{line["id"] for line in listed(part, "train")} for part in parts]
    assert [len(one) for one in ids] == [3, 9]
    assert ids[0] < ids[1]
    assert [len(listed(part, "test")) for part in parts] == [12, 12]
    points = {(one["row"], one["value"]): one["scores"] for one in found["points"]}
    assert set(points) == {(row, value) for row in ("source-only", "frozen") for value in (1, 3)}
    assert points["frozen", 1] == points["frozen", 3]  # without training no label counts
    assert [len(one["FT"]) for one in points.values()].count(2) == 2
    for ending in ("json", "csv", "md", "png", "pdf"):
        assert (tmp_path / "v" / f"vary.{ending}").is_file()


def test_the_same_command_again_says_the_same_and_works_no_more(world: Path, tmp_path: Path) -> None:
    first = varied(world, tmp_path / "v", "labels", "2")
    weights = sorted((tmp_path / "v").rglob("model.safetensors"))
    times = [path.stat().st_mtime_ns for path in weights]
    assert varied(world, tmp_path / "v", "labels", "2") == first
    assert [path.stat().st_mtime_ns for path in weights] == times


def test_classes_without_photos_are_scored_apart(world: Path, tmp_path: Path) -> None:
    found = varied(world, tmp_path / "v", "unlabelled", "0,33")
    parts = {(one["value"], one["part"]) for one in found["points"]}
    assert parts == {(0, "all"), (33, "all"), (33, "known"), (33, "unknown")}
    kept = {line["class"] for line in listed(tmp_path / "v/unlabelled-33/photos.csv", "train")}
    assert len(kept) == 2
    assert "photos of unknown classes" in (tmp_path / "v/vary.md").read_text(encoding="utf-8")


def test_views_are_taken_evenly_around(world: Path, tmp_path: Path) -> None:
    varied(world, tmp_path / "v", "views", "2,4")
    lines = listed(tmp_path / "v/views-2/shapes.csv", "test")
    assert sorted({Path(line["path"]).name for line in lines}) == ["00.png", "02.png"]
    assert len(lines) == 18


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--values", "1"), 2, "--values goes with --vary"),
        (("--vary", "labels", "--values", "one"), 2, "not a list of whole numbers"),
        (("--vary", "labels", "--values", "0"), 2, "not a list of whole numbers"),
        (("--vary", "views", "--values", "9"), 1, "a shape has 4 views"),
        (("--vary", "unlabelled", "--values", "80"), 1, "two must keep their photos"),
    ],
)
def test_what_cannot_be_varied_is_said(
    world: Path, tmp_path: Path, more: tuple[str, ...], code: int, said: str
) -> None:
    words = ("compare", "--images", world / "photos", "--shapes", world / "views", "--out", tmp_path / "v")
    found, _, err = hifa(*words, *more, *TINY)
    assert found == code
    assert said in one_line(err)
