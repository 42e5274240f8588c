"""A cluster draws the folder of views that one machine draws."""

import json
from pathlib import Path

import pytest

from hifa_cli.config import RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.render.cluster import DrawWork, draw_part, render_on
from hifa_cli.render.pipeline import mark_of, render
from hifa_cli.runtime.parts import files_in
from hifa_cli.runtime.progress import reporting
from tests.pools import Here
from tests.render.shapes import ball, box, chair, write_off
from tests.render.test_pipeline import Ear

DRAWN = RenderConfig(views=2, size=32, renderer="builtin")


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound meshes, one whose vertices are partly numbers that do not exist, and a broken one."""
    folder = tmp_path_factory.mktemp("drawn") / "meshes"
    for number in range(3):
        write_off(folder / f"chair/{number}.off", chair())
    write_off(folder / "box/ein Würfel.off", box())
    write_off(folder / "ball.off", ball(6))
    (folder / "box/bad.off").write_text("OFF\n1 1")
    write_off(folder / "box/other.off", box())
    (folder / "box/part.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 nan\nf 1 2 3\nf 1 2 4\n")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()
    }


def test_a_cluster_draws_the_folder_of_one_machine_and_goes_on_where_it_was_killed(
    meshes: Path, tmp_path: Path
) -> None:
    with reporting(Ear()) as alone:
        here = render([meshes], tmp_path / "here", DRAWN, workers=1)
    with pytest.raises(HifaError, match="a task was lost"):
        render_on(Here(dies_after=1), [meshes], tmp_path / "there", DRAWN, parts=2)
    drawn = len(list((tmp_path / "there").rglob("00.png")))
    assert 0 < drawn < here.rendered
    pool = Here()
    with reporting(Ear()) as shared:
        there = render_on(pool, [meshes], tmp_path / "there", DRAWN, parts=2)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert (there.rendered, there.skipped) == (here.rendered - drawn, drawn)
    assert there.failed == here.failed
    assert [path.name for path, _ in there.failed] == ["bad.off"]
    assert there.taken == here.taken
    assert set(shared.warnings) == set(alone.warnings)
    assert len(shared.warnings) == len(alone.warnings)


def test_a_folder_of_other_files_is_left_alone(meshes: Path, tmp_path: Path) -> None:
    (tmp_path / "views/ball").mkdir(parents=True)
    (tmp_path / "views/ball/notes.txt").write_text("mine")
    report = render_on(Here(), [meshes / "ball.off"], tmp_path / "views", DRAWN)
    assert [reason for _, reason in report.failed] == [
        f"{tmp_path / 'views/ball'} holds other files than views: choose another --out"
    ]


def test_a_node_with_other_meshes_draws_none_of_them(meshes: Path) -> None:
    ball_mark = mark_of(meshes / "ball.off", DRAWN)
    work = ((str(meshes / "chair/0.off"), ball_mark), (str(meshes / "none.off"), ball_mark))
    files = files_in(draw_part(DrawWork(work, DRAWN, 1), b""))
    first, second = (reason for reason, _ in json.loads(files["answers.json"]))
    assert "is another file on its node" in first
    assert "cannot be read on its node" in second
    assert list(files) == ["answers.json"]
