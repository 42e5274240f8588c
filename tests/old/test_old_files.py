"""Files of every kind that 0.1.0 wrote are read, and give the numbers that 0.1.0 got from them.

``tools/old_files.py`` says how they were made.
"""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

import hifa_cli as hifa
from hifa_cli.config import TrainConfig
from hifa_cli.data import find_images, find_shapes
from hifa_cli.embeddings.io import read_export
from hifa_cli.render.pipeline import PICTURE_VERSION
from hifa_cli.training.checkpoint import load_checkpoint
from hifa_cli.training.optim import TrainStep
from hifa_cli.training.setup import setup_run
from tests.cli.test_cli import hifa as command

ARCHIVE = Path(__file__).with_name("written_by_0.1.0.tar.xz")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files, unpacked."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # not in every patch release
        archive.extractall(folder)
    return folder


def document(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_they_were_written_by_0_1_0(old: Path) -> None:
    for file in ("run/run.json", "run/model.json", "stopped/run.json", "gallery/gallery.json"):
        assert document(old / file)["hifa_version"] == "0.1.0", file
    assert read_export(old / "all.h5").hifa_version == "0.1.0"


def test_old_views_are_read_and_are_not_taken_for_what_is_drawn_today(old: Path, tmp_path: Path) -> None:
    shapes = find_shapes(old / "views")
    assert [(item.id, len(item.views)) for item in shapes.items] == [("box/box1", 2), ("slab/slab1", 2)]
    assert shapes.classes == ("box", "slab")
    shutil.copytree(old / "views", tmp_path / "views")
    again = hifa.render(old / "meshes", tmp_path / "views", views=2, size=32, workers=1)
    assert document(old / "views" / "views.json")["picture_version"] != PICTURE_VERSION
    assert (again.rendered, again.skipped) == (2, 0)


def test_an_old_export_scores_as_it_did(old: Path) -> None:
    answers = document(old / "answers.json")
    scores = hifa.evaluate(old / "all.h5").to_dict()
    for name in ("NN", "FT", "ST", "F", "DCG", "DCG_legacy", "ANMRR", "mAP", "AUC", "queries", "gallery"):
        assert scores[name] == pytest.approx(answers[name], abs=1e-12), name


def test_an_old_model_embeds_as_it_did(old: Path) -> None:
    before = read_export(old / "all.h5")
    now = hifa.embed(old / "run", images=old / "photos", shapes=old / "views", device="cpu")
    assert now.model == before.model
    for mine, theirs in ((now.images, before.images), (now.shapes, before.shapes)):
        assert mine is not None
        assert theirs is not None
        assert mine.ids == theirs.ids
        np.testing.assert_allclose(mine.vectors, theirs.vectors, rtol=1e-4, atol=1e-5)


def test_an_old_gallery_is_asked_with_its_run(old: Path) -> None:
    gallery = hifa.open_gallery(old / "gallery", model=old / "run", device="cpu")
    assert list(gallery.shapes) == ["box/box1", "slab/slab1"]
    assert gallery.classes == ("box", "slab")
    hits = gallery.query(old / "photos" / "box" / "0.png")
    export = read_export(old / "all.h5")
    assert export.images is not None
    assert export.shapes is not None
    query, shapes = (np.maximum(part.vectors, 0) for part in (export.images, export.shapes))
    lengths = np.linalg.norm(shapes, axis=1) * np.linalg.norm(query[0])
    wanted = np.divide(shapes @ query[0], lengths, out=np.zeros(len(shapes)), where=lengths > 0)
    scores = {hit.shape_id: hit.score for hit in hits}
    for name, cosine in zip(export.shapes.ids, wanted.tolist(), strict=True):
        assert scores[name] == pytest.approx(cosine, abs=1e-4)


def test_an_old_checkpoint_is_loaded_into_the_method_that_wrote_it(old: Path) -> None:
    stored = document(old / "stopped" / "run.json")
    assert stored["finished"] is None
    train = stored["train"]
    assert isinstance(train, dict)
    config = TrainConfig(**{**train, "weights": "none"})  # the checkpoint has all weights
    run = setup_run(
        find_images(old / "photos"), find_shapes(old / "views"), config, seed=0, device=torch.device("cpu")
    )
    stepper = TrainStep(run.objective, run.config, run.device)
    before = {name: tensor.clone() for name, tensor in run.objective.state_dict().items()}
    step = load_checkpoint(old / "stopped", run.objective, stepper.optimiser, most=config.steps)
    assert 0 < step < config.steps
    changed = [name for name, tensor in run.objective.state_dict().items() if not tensor.equal(before[name])]
    assert any(name.startswith("network.trunk") for name in changed)
    assert any(name.startswith("network.bottleneck") for name in changed)
    assert stepper.optimiser.state_dict()["state"]


def test_an_old_run_of_another_normalisation_is_not_gone_on_with(old: Path, tmp_path: Path) -> None:
    """0.1.0 fed every timm model with ImageNet's numbers: to go on with others would be another network."""
    shutil.copytree(old / "run", tmp_path / "run")
    code, _, err = command(
        "train", "--images", old / "photos", "--shapes", old / "views", "--out", tmp_path / "run",
        "--method", "hifa-g", "--backbone", "test_resnet", "--weights", "none", "--device", "cpu",
    )  # fmt: skip
    assert code == 1
    assert "holds a run with other settings" in err
