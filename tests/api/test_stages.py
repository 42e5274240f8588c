"""The stages meet in files or in memory, as the command line's do, and take text or paths."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hifa_cli as hifa
from hifa_cli.embeddings.io import read_export
from tests.api.conftest import World
from tests.cli.test_cli import hifa as command

TINY: dict[str, Any] = {
    "backbone": "test_resnet",
    "weights": "none",
    "size": 32,
    "resize": 32,
    "embedding": 8,
}


@pytest.fixture
def run(photos: Path, views: Path, tmp_path: Path) -> hifa.Run:
    return hifa.train(
        str(photos), str(views), out=str(tmp_path / "run"), method="source-only", steps=2,
        photos_per_step=6, shapes_per_step=2,
        views=2, momentum=0.8, device="cpu", **TINY,
    )  # fmt: skip


def test_a_run_is_its_folder_and_says_what_it_came_to(run: hifa.Run, tmp_path: Path) -> None:
    assert Path(run) == tmp_path / "run"
    assert (run.method, run.steps) == ("source-only", 2)
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    assert stored["train"]["momentum"] == 0.8
    assert stored["finished"]["digest"] == run.digest
    assert repr(run) == f"Run('{run}', source-only, 2 steps, model {run.digest[:12]})"


def test_embeddings_are_those_of_the_command_line(
    run: hifa.Run, photos: Path, views: Path, tmp_path: Path
) -> None:
    mine = hifa.embed(run, images=photos, shapes=str(views), out=tmp_path / "mine.h5", device="cpu")
    code, _, err = command(
        "export", "--model", run.path, "--images", photos, "--shapes", views, "--out", tmp_path / "its.h5",
        "--device", "cpu",
    )  # fmt: skip
    assert code == 0, err
    for path in (tmp_path / "mine.h5", tmp_path / "its.h5"):
        other = read_export(path)
        assert mine.images is not None
        assert other.images is not None
        assert mine.images.ids == other.images.ids
        np.testing.assert_array_equal(mine.images.vectors, other.images.vectors)
        assert (mine.model, mine.classes) == (other.model, other.classes)
        assert json.loads(json.dumps(mine.config)) == other.config
    assert repr(mine) == f"Export(12 images, 9 shapes, 3 classes, model {run.digest[:12]})"


def test_scores_of_memory_and_of_a_file_are_the_same(
    run: hifa.Run, photos: Path, views: Path, tmp_path: Path
) -> None:
    file = tmp_path / "all.h5"
    embeddings = hifa.embed(run, images=photos, shapes=views, out=file, device="cpu")
    scores = hifa.evaluate(embeddings)
    assert scores.to_dict() == hifa.evaluate(str(file)).to_dict()
    assert set(scores.per_class()) == {"bars", "blobs", "rings"}
    assert "ANMRR" in str(scores)
    assert repr(scores).startswith("Scores(NN=")


def test_a_gallery_of_a_run_is_asked_with_photos(
    run: hifa.Run, photos: Path, views: Path, tmp_path: Path
) -> None:
    gallery = hifa.build_gallery(views, tmp_path / "gallery", model=run, device="cpu")
    assert gallery.method == "source-only"
    assert len(gallery.query(sorted(photos.rglob("*.png"))[:2], top_k=4)[1]) == 4


def test_rendered_views_are_a_folder_and_say_what_failed(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.off").write_text("OFF\n3 1 0\n0 0 0\n")
    with caplog.at_level(logging.WARNING, "hifa_cli"):
        views = hifa.render([str(world.meshes), tmp_path / "bad.off"], tmp_path / "views", views=2, workers=1)
    assert (len(views), views.rendered, len(views.failed)) == (3, 3, 1)
    assert "bad.off" in caplog.text
    assert (Path(views) / "box" / "cube" / "01.png").is_file()
    assert repr(views) == f"Views('{views}', 3 shapes, 1 failed)"
    assert views._repr_html_().startswith('<img src="data:image/jpeg;base64,')
    again = hifa.render(world.meshes, tmp_path / "views", views=2, workers=1)
    assert (again.rendered, again.skipped) == (0, 3)


def test_a_setting_that_does_not_exist_is_named_with_its_neighbour(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(hifa.HifaError, match=r"setting 'momentom' does not exist: did you mean 'momentum'\?"):
        hifa.train(photos, out=tmp_path / "run", momentom=0.8)
    with pytest.raises(hifa.HifaError, match="setting steps cannot be many"):
        hifa.train(photos, out=tmp_path / "run", steps="many")
    with pytest.raises(hifa.HifaError, match="preset 'best' does not exist"):
        hifa.train(photos, out=tmp_path / "run", preset="best")  # type: ignore[arg-type]


def test_what_cannot_be_done_is_said(photos: Path, tmp_path: Path, world: World) -> None:
    with pytest.raises(hifa.HifaError, match="give shapes=VIEWS"):
        hifa.train(photos, out=tmp_path / "run", method="hifa")
    with pytest.raises(hifa.HifaError, match="nothing to embed"):
        hifa.embed()
    with pytest.raises(hifa.HifaError, match="rig 'low' does not exist"):
        hifa.render(world.meshes, tmp_path / "views", rig="low")  # type: ignore[arg-type]
    with pytest.raises(hifa.HifaError, match="up: 'w' is not"):
        hifa.render(world.meshes, tmp_path / "views", up="w")
    with pytest.raises(hifa.HifaError, match="no gallery at"):
        hifa.open_gallery(tmp_path / "nothing")


def test_messages_go_to_the_reporter_that_is_set(world: World, tmp_path: Path) -> None:
    class Heard(hifa.Reporter):
        def __init__(self) -> None:
            self.warnings: list[str] = []

        def warn(self, message: str) -> None:
            self.warnings.append(message)

    (tmp_path / "bad.off").write_text("OFF\n3 1 0\n0 0 0\n")
    with hifa.reporting(Heard()) as heard:
        hifa.render([world.meshes, tmp_path / "bad.off"], tmp_path / "views", views=2, workers=1)
    assert any("bad.off" in message for message in heard.warnings)
