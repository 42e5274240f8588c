"""A gallery learns of photos of its own meshes, goes on after a kill, and says when its map is stale."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from hifa_cli.config import IndexConfig, LearnConfig, RankingConfig, RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery, learning, read_gallery
from hifa_cli.gallery import update as curate
from hifa_cli.gallery import verify as audit
from hifa_cli.gallery.build import BuildOptions, build_gallery
from hifa_cli.gallery.own import map_path
from hifa_cli.query.parse import Query
from hifa_cli.query.retrieve import QueryOptions, encoder_for, rank
from hifa_cli.render.workers import draw_all
from hifa_cli.runtime.progress import Reporter, reporting
from tests.cli.test_cli import hifa

QUICK = LearnConfig(photos=2, longest=64, steps=20, check=1, rate=1e-4)
COUNT = 12


class Heard(Reporter):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)

    warn = note


def write_mesh(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0.3 + number / 6
    made = (
        trimesh.creation.box((1, size, 2 - size / 2))
        if number % 2
        else trimesh.creation.cone(0.5, size, sections=4 + number)
    )
    made.export(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``meshes`` and a ``gallery`` of them that has learned."""
    folder = tmp_path_factory.mktemp("learned")
    for number in range(COUNT):
        write_mesh(folder / "meshes" / f"{number}.off", number)
    build_gallery(
        folder / "meshes", folder / "gallery", model=None, split=None, index_config=IndexConfig(),
        render_config=RenderConfig(elevation=15.0), workers=1, device="cpu", force=False,
        ranking=RankingConfig(),
    )  # fmt: skip
    shutil.copytree(folder / "gallery", folder / "plain")
    heard = Heard()
    with reporting(heard):
        report = learning.learn(folder / "gallery", QUICK, workers=1)
    assert (report["shapes"], report["photos"], report["failed"]) == (COUNT, 2 * COUNT, [])
    assert any("24 photos to generate" in one and "minutes" in one for one in heard.said)
    assert report["steps"] > 0, "choose other toys"
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(made, tmp_path / "copy")
    gallery = tmp_path / "copy" / "gallery" / "gallery.json"
    gallery.write_text(gallery.read_text().replace(str(made), str(tmp_path / "copy")), encoding="utf-8")
    return tmp_path / "copy"


def best(gallery: Gallery, photo: Path, find: Any) -> list[str]:
    encoder = encoder_for(gallery, None, "cpu")
    rankings, _ = rank(encoder, gallery, [Query("q", photo)], QueryOptions(COUNT, find=find))
    return [match.shape for match in rankings[0].matches]


def test_the_map_serves_the_very_part_and_leaves_the_kind_alone(folder: Path, photos: Path) -> None:
    plain, own = read_gallery(folder / "plain"), read_gallery(folder / "gallery")
    assert plain.own is None
    assert own.own is not None
    assert own.own.map.matrix.shape == (1280, 1280)
    photo = photos / "bars" / "0.png"
    assert best(plain, photo, "kind") == best(own, photo, "kind")
    scores = []
    for gallery in (plain, own):
        rankings, _ = rank(
            encoder_for(gallery, None, "cpu"), gallery, [Query("q", photo)], QueryOptions(COUNT, find="part")
        )
        scores.append({match.shape: match.score for match in rankings[0].matches})
    assert scores[0] != scores[1]


def test_a_mesh_is_still_its_own_best_match(folder: Path) -> None:
    gallery = read_gallery(folder / "gallery")
    mesh = folder / "meshes" / "3.off"
    asked = [Query("q", mesh)]
    rankings, _ = rank(encoder_for(gallery, None, "cpu"), gallery, asked, QueryOptions(3, find="part"))
    assert rankings[0].matches[0].shape == "3"


def test_learning_again_generates_nothing_that_is_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []

    def watched(jobs: Any, *_: Any) -> tuple[()]:
        drawn.extend(job.id for job in jobs)
        return ()

    monkeypatch.setattr(learning, "draw_all", watched)
    with reporting(heard := Heard()):
        report = learning.learn(folder / "gallery", QUICK, workers=1)
    assert report["shapes"] == COUNT
    assert drawn == []
    assert any("0 photos to generate" in one for one in heard.said)


def test_a_killed_run_goes_on_with_what_it_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = sorted((folder / "gallery" / "photos").rglob("*.npy"))
    for path in kept[:5]:
        path.write_bytes(path.read_bytes()[:100])  # half-written, or damaged: made anew
    asked: list[str] = []
    real = draw_all

    def counted(jobs: Any, *others: Any) -> Any:
        asked.extend(job.id for job in jobs)
        return real(jobs, *others)

    monkeypatch.setattr(learning, "draw_all", counted)
    learning.learn(folder / "gallery", QUICK, workers=1)
    assert sorted(asked) == sorted(path.stem for path in kept[:5])
    assert not (folder / "gallery" / ".photos").exists()


def test_added_shapes_make_the_map_stale_and_learning_again_makes_it_right(folder: Path) -> None:
    write_mesh(folder / "more" / "new.off", 15)
    with reporting(heard := Heard()):
        curate.add(folder / "gallery", [folder / "more"], IndexConfig(), BuildOptions(workers=1), model=None)
    assert any("not learned of 1 of 13 shapes" in one and "--learn" in one for one in heard.said)
    assert read_gallery(folder / "gallery").own is not None
    assert audit.stats(folder / "gallery")["own_map"]["unlearned"] == 1
    with reporting(heard):
        assert audit.verify(folder / "gallery") == []
    learning.learn(folder / "gallery", QUICK, workers=1)
    assert len(list((folder / "gallery" / "maps").iterdir())) == 1


def test_removed_shapes_leave_the_map_in_force_and_it_is_not_stale(folder: Path) -> None:
    with reporting(heard := Heard()):
        curate.remove(folder / "gallery", ["3"], IndexConfig())
    assert not any("learned" in one for one in heard.said)
    assert audit.stats(folder / "gallery")["own_map"]["unlearned"] == 0


def test_indexing_the_same_meshes_again_keeps_the_map(folder: Path) -> None:
    build_gallery(
        folder / "meshes", folder / "gallery", model=None, split=None, index_config=IndexConfig(),
        render_config=RenderConfig(elevation=15.0), workers=1, device="cpu", force=False,
        ranking=RankingConfig(),
    )  # fmt: skip
    assert read_gallery(folder / "gallery").own is not None


def test_a_damaged_or_missing_map_is_named(folder: Path) -> None:
    said = read_gallery(folder / "gallery").document["ranking"]["own"]
    path = map_path(folder / "gallery", said["map"])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(HifaError, match=path.name):
        read_gallery(folder / "gallery")
    assert audit.verify(folder / "gallery")
    path.unlink()
    with pytest.raises(HifaError, match=path.name):
        read_gallery(folder / "gallery")


@pytest.mark.parametrize(
    ("key", "value"), [("map", "../../x"), ("map", 3), ("steps", 0), ("weight", "x"), ("before", [0.1])]
)
def test_a_gallery_that_says_nonsense_of_its_map_is_damaged(folder: Path, key: str, value: Any) -> None:
    path = folder / "gallery" / "gallery.json"
    document = json.loads(path.read_text())
    document["ranking"]["own"][key] = value
    path.write_text(json.dumps(document))
    with pytest.raises(HifaError, match="damaged"):
        read_gallery(folder / "gallery")


def test_forgetting_leaves_the_gallery_as_it_was(folder: Path) -> None:
    code, _, err = hifa("index", "--forget", "--out", folder / "gallery", "--quiet")
    assert code == 0, err
    assert read_gallery(folder / "gallery").own is None
    assert not (folder / "gallery" / "maps").exists()
    assert not (folder / "gallery" / "photos").exists()
    assert audit.verify(folder / "gallery") == []


def test_a_mesh_that_cannot_be_photographed_is_named_and_the_others_are_learned(folder: Path) -> None:
    store = folder / "gallery" / "photos"
    shutil.rmtree(store)
    real = learning.make_jobs

    def broken(*arguments: Any) -> Any:
        return [job if job.path.stem != "3" else job._replace(mark="{}") for job in real(*arguments)]

    with reporting(heard := Heard()), pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "make_jobs", broken)
        report = learning.learn(folder / "gallery", QUICK, workers=1)
    assert [Path(one["path"]).stem for one in report["failed"]] == ["3"]
    assert report["shapes"] == COUNT - 1
    assert any("no photos of 3" in one for one in heard.said)


def test_changed_meshes_are_left_out_with_a_word(folder: Path) -> None:
    write_mesh(folder / "meshes" / "3.off", 9)
    with reporting(heard := Heard()):
        report = learning.learn(folder / "gallery", QUICK, workers=1)
    assert report["shapes"] == COUNT - 1
    assert any("1 meshes are gone or have changed" in one for one in heard.said)


def test_more_shapes_than_are_needed_are_not_all_learned_of(folder: Path) -> None:
    with reporting(heard := Heard()):
        report = learning.learn(folder / "gallery", replace(QUICK, shapes=10), workers=1)
    assert report["shapes"] == 10
    assert any("learned of 10 of 12" in one for one in heard.said)


def test_what_cannot_be_learned_is_refused_with_a_remedy(views: Path, tmp_path: Path) -> None:
    code, _, err = hifa("index", views, "--out", tmp_path / "g", "--quiet")
    assert code == 0, err
    code, _, err = hifa("index", "--learn", "--out", tmp_path / "g")
    assert code == 1
    assert "generated of meshes" in " ".join(err.split())
    code, _, err = hifa("index", views, "--out", tmp_path / "p", "--ranking", "paper", "--quiet")
    code, _, err = hifa("index", tmp_path / "p", "--learn")
    assert code == 1
    assert "ranks as the paper does" in " ".join(err.split())
    code, _, _ = hifa("index", views, "--out", tmp_path / "q", "--learn", "--ranking", "paper")
    assert code == 2


def test_cost_is_said_in_minutes_of_the_work_that_is_left() -> None:
    config = LearnConfig(photos=5, steps=600)
    assert "5000 photos" in learning.cost(1000, 1000, config, 2)
    assert "400 have theirs" in learning.cost(1000, 600, config, 2)
    assert np.isfinite(float(learning.cost(1000, 0, config, 2).split("some ")[1].split()[0]))
