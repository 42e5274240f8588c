"""The very shape's metrics, against ranks worked out by hand, and the files that give the truth."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from hifa_cli.cli import app
from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.bootstrap import confidence
from hifa_cli.evaluation.instances import evaluate_instances, pairs_by_ids, read_pairs

# Shapes stand on the axes, so a photo's cosines are its numbers over its length: the ranks can be read off.
SHAPES = ("a", "b", "c", "d")
PHOTOS = {
    "p": (9, 8, 8, 1),  # of c: b has the same cosine and stands before it, so rank 3
    "q": (1, 2, 3, 4),  # of d: rank 1
    "r": (5, 1, 2, 3),  # of b: rank 4
    "s": (1, 1, 1, 1),  # of nothing in the gallery
}
TRUTH = {"p": "c", "q": "d", "r": "b", "s": "nowhere"}


def export(labels: int = -1) -> Export:
    images = Embeddings(
        tuple(PHOTOS), np.full(len(PHOTOS), labels), np.array(list(PHOTOS.values()), dtype=np.float32)
    )
    return Export(images, Embeddings(SHAPES, np.full(4, labels), np.eye(4, dtype=np.float32)), ("thing",))


def truth(**more: str) -> dict[str, frozenset[str]]:
    return {photo: frozenset((shape, *more.get(photo, ""))) for photo, shape in TRUTH.items()}


def stored(path: Path, labels: int = -1) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = 1
        file.attrs["classes"] = ["thing"]
        for name, part in (("images", export(labels).images), ("shapes", export(labels).shapes)):
            assert part is not None
            file[f"{name}/ids"] = list(part.ids)
            file[f"{name}/labels"] = part.labels
            file[f"{name}/vectors"] = part.vectors
    return path


def pairs_file(path: Path, head: str = "photo,shape\n") -> Path:
    path.write_text(head + "".join(f"{a},{b}\n" for a, b in TRUTH.items()), encoding="utf-8")
    return path


def run(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_worked_case_has_the_ranks_that_were_read_off() -> None:
    found = evaluate_instances(export(), truth())
    assert found.ids == ("p", "q", "r")
    assert found.ranks.tolist() == [3, 1, 4]
    assert found.values() == pytest.approx({"Top-1": 1 / 3, "Top-10": 1.0, "MRR": (1 / 3 + 1 + 1 / 4) / 3})
    assert (found.gallery, found.skipped) == (4, 1)


def test_a_photo_of_several_shapes_counts_by_the_first() -> None:
    assert evaluate_instances(export(), truth(p="a", r="d")).ranks.tolist() == [1, 1, 2]


def test_the_eleventh_is_not_among_ten() -> None:
    shapes = Embeddings(tuple("abcdefghijkl"), np.full(12, -1), np.eye(12, dtype=np.float32))
    photos = Embeddings(("x", "y"), np.full(2, -1), np.tile(np.arange(12, 0, -1.0, dtype=np.float32), (2, 1)))
    found = evaluate_instances(Export(photos, shapes, ()), {"x": frozenset("k"), "y": frozenset("j")})
    assert found.ranks.tolist() == [11, 10]
    assert found.values()["Top-10"] == 0.5


def test_ids_give_the_truth_by_name_or_by_folder() -> None:
    found = pairs_by_ids(["chair/1", "chair/2/front", "2", "table/1/a/b"], ["chair/1", "chair/2", "table/1"])
    assert found == {
        "chair/1": frozenset({"chair/1"}),
        "chair/2/front": frozenset({"chair/2"}),
        "table/1/a/b": frozenset({"table/1"}),
    }


@pytest.mark.parametrize("head", ["", "photo,shape\n", "\ufeffImage_ID , shape\n\n"])
def test_pairs_are_read_with_and_without_a_head(tmp_path: Path, head: str) -> None:
    assert read_pairs(pairs_file(tmp_path / "p.csv", head)) == truth()


@pytest.mark.parametrize("text", ["a,b,c\n", "a\n", "a,\n", "photo,shape\n", ""])
def test_a_file_that_holds_no_pairs_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(HifaError, match=r"p\.csv"):
        read_pairs(path)


def test_pairs_of_other_ids_are_refused_naming_what_ids_look_like() -> None:
    with pytest.raises(HifaError, match="'p' and 'a'"):
        evaluate_instances(export(), {"p.jpg": frozenset("a")})


def test_the_interval_holds_the_value() -> None:
    found = evaluate_instances(export(), truth())
    for name, interval in confidence(found, resamples=200).items():
        assert interval.low <= found.values()[name] <= interval.high


def test_an_export_without_classes_is_scored_by_the_very_shape_alone(tmp_path: Path) -> None:
    path, pairs = stored(tmp_path / "e.h5"), pairs_file(tmp_path / "p.csv")
    done = run("evaluate", path, "--pairs", pairs, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["instances"]["Top-1"] == pytest.approx(1 / 3)
    assert document["exports"][0]["instances"]["skipped_photos"] == 1
    assert "NN" not in document
    assert "0.333" in run("evaluate", path, "--pairs", pairs, "--csv").stdout


def test_classes_and_the_very_shape_stand_in_one_document_and_two_tables(tmp_path: Path) -> None:
    path, pairs = stored(tmp_path / "e.h5", labels=0), pairs_file(tmp_path / "p.csv")
    document = json.loads(run("evaluate", path, "--pairs", pairs, "--json", "--bootstrap", "50").stdout)
    assert document["NN"] == 1.0
    assert document["instances"]["MRR"] == pytest.approx(19 / 36)
    assert len(document["instances"]["confidence"]["MRR"]) == 2
    shown = run("evaluate", path, "--pairs", pairs, "--format", "markdown").stdout
    assert "| export | NN |" in shown
    assert "| e | 0.333 | 1.000 | 0.528 | 3 | 4 | 1 |" in shown


def test_nothing_is_taken_from_ids_unasked(tmp_path: Path) -> None:
    assert "instances" not in json.loads(
        run("evaluate", stored(tmp_path / "e.h5", labels=0), "--json").stdout
    )
