"""Top-k and reciprocal ranks of the very mesh, against a count by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from hifa_cli.embeddings.io import Embeddings, Export, write_export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.instances import instance_scores, read_pairs
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
