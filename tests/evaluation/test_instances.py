"""Top-k and reciprocal ranks of the very mesh, against a count by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from hifa_cli.embeddings.io import Embeddings, Export, write_export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.instances import instance_scores, pairs_by_ids, read_pairs
from tests.cli.test_cli import hifa
from tests.data import miniatures as mini


def made(photos: int = 7, shapes: int = 20) -> tuple[Export, dict[str, str]]:
    random = np.random.default_rng(3)
    vectors = random.normal(size=(photos + shapes, 6)).astype(np.float32)
    names = tuple(f"chair/{number}" for number in range(shapes))
    export = Export(
        Embeddings(tuple(f"chair/p{number}" for number in range(photos)), np.zeros(photos, np.int64),
                   vectors[:photos]),
        Embeddings(names, np.zeros(shapes, np.int64), vectors[photos:]), ("chair",),
    )  # fmt: skip
    return export, {f"chair/p{number}": names[random.integers(shapes)] for number in range(photos - 1)}


def test_ranks_are_those_of_a_count_by_hand() -> None:
    export, pairs = made()
    found = instance_scores(export, pairs)
    assert export.images is not None
    assert export.shapes is not None
    asked, held = (np.maximum(part.vectors.astype(np.float64), 0) for part in (export.images, export.shapes))
    cosines = asked @ held.T / np.linalg.norm(asked, axis=1)[:, None] / np.linalg.norm(held, axis=1)
    ranks = []
    for row, photo in enumerate(export.images.ids[:-1]):
        own = export.shapes.ids.index(pairs[photo])
        ranks.append(1 + int((cosines[row] > cosines[row, own]).sum()))
    assert found.ranks.tolist() == ranks
    assert (found.skipped, found.gallery) == (1, 20)
    values = found.values()
    assert values["Top-10"] == np.mean(np.array(ranks) <= 10)
    assert values["MRR"] == pytest.approx(np.mean(1 / np.array(ranks)))


def test_a_case_worked_by_hand() -> None:
    """Shapes stand on the axes, so a photo's cosines are its own numbers over its length."""
    photos = {
        "p": (9, 8, 8, 1),  # of c: b has the same cosine and stands before it, so rank 3
        "q": (1, 2, 3, 4),  # of d: rank 1
        "r": (5, 1, 2, 3),  # of b: rank 4
    }
    export = Export(
        Embeddings(tuple(photos), np.full(3, -1), np.array(list(photos.values()), dtype=np.float32)),
        Embeddings(tuple("abcd"), np.full(4, -1), np.eye(4, dtype=np.float32)), (),
    )  # fmt: skip
    found = instance_scores(export, {"p": "c", "q": "d", "r": "b"})
    assert found.ranks.tolist() == [3, 1, 4]
    values = {"Top-1": 1 / 3, "Top-5": 1.0, "Top-10": 1.0, "MRR": (1 / 3 + 1 + 1 / 4) / 3}
    assert found.values() == pytest.approx(values)


def test_the_eleventh_is_not_among_ten() -> None:
    shapes = Embeddings(tuple("abcdefghijkl"), np.full(12, -1), np.eye(12, dtype=np.float32))
    falling = np.tile(np.arange(12, 0, -1.0, dtype=np.float32), (2, 1))
    found = instance_scores(
        Export(Embeddings(("x", "y"), np.full(2, -1), falling), shapes, ()), {"x": "k", "y": "j"}
    )
    assert found.ranks.tolist() == [11, 10]
    assert found.values()["Top-10"] == 0.5


def test_ids_give_the_truth_by_name_or_by_folder() -> None:
    found = pairs_by_ids(["chair/1", "chair/2/front", "2", "table/1/a/b"], ["chair/1", "chair/2", "table/1"])
    assert found == {"chair/1": "chair/1", "chair/2/front": "chair/2", "table/1/a/b": "table/1"}


def test_an_export_without_classes_is_scored_by_ids_alone(tmp_path: Path) -> None:
    export, _ = made()
    assert export.images is not None
    assert export.shapes is not None
    images = Embeddings(export.shapes.ids[:7], np.full(7, -1), export.images.vectors)
    shapes = Embeddings(export.shapes.ids, np.full(20, -1), export.shapes.vectors)
    write_export(tmp_path / "e.h5", Export(images, shapes, ()))
    words = ("evaluate", str(tmp_path / "e.h5"), "--pairs", "ids")
    document = json.loads(hifa(*words, "--json")[1])
    assert document["instances"]["queries"] == 7
    assert "NN" not in document
    assert "Top-10" in hifa(*words)[1]


def test_pairs_come_from_a_set_or_a_table(tmp_path: Path) -> None:
    assert read_pairs(mini.pix3d(tmp_path / "pix3d"))["chair/0000"] == "chair/IKEA_A"
    (tmp_path / "pairs.csv").write_text("photo,shape\na,b\n")
    assert read_pairs(tmp_path / "pairs.csv") == {"a": "b"}
    (tmp_path / "none.csv").write_text("x,y\na,b\n")
    with pytest.raises(HifaError, match="no columns photo and shape"):
        read_pairs(tmp_path / "none.csv")
    with pytest.raises(HifaError, match="does not exist"):
        read_pairs(tmp_path / "absent.csv")
    with pytest.raises(HifaError, match=r"does not say which mesh a photo shows; these do: Pix3D"):
        read_pairs(mini.abc(tmp_path / "abc"))


def test_a_list_of_other_photos_is_named_with_what_there_is() -> None:
    export, _ = made()
    with pytest.raises(HifaError, match="'chair/p0' shows 'x', and a shape is called 'chair/0'"):
        instance_scores(export, {"chair/p0": "x"})


def test_the_verb_scores_instances_beside_classes(tmp_path: Path) -> None:
    export, pairs = made()
    write_export(tmp_path / "e.h5", export)
    rows = "".join(f"{photo},{shape}\n" for photo, shape in pairs.items())
    (tmp_path / "pairs.csv").write_text("photo,shape\n" + rows)
    words = ("evaluate", str(tmp_path / "e.h5"), "--pairs", str(tmp_path / "pairs.csv"))
    document = json.loads(hifa(*words, "--json")[1])
    assert document["exports"][0]["instances"]["queries"] == 6
    assert "Top-10" in hifa(*words)[1]
