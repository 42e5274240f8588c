"""``hifa render``: folders whole or not at all, what is current left, what fails told."""

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hifa_cli.cli import app
from hifa_cli.config import RenderConfig
from hifa_cli.data import find_shapes
from hifa_cli.errors import HifaError, NoRoom
from hifa_cli.render import job as drawing
from hifa_cli.render import pipeline as stage
from hifa_cli.render.backend import Choice
from hifa_cli.render.job import DrawShape
from hifa_cli.render.pipeline import mark_of, render
from hifa_cli.render.views import MeshViews
from hifa_cli.render.workers import Worker
from hifa_cli.runtime.child import program_command
from hifa_cli.runtime.progress import Reporter, reporting
from tests.render.shapes import ball, box, chair, write_off

T = TypeVar("T")
SMALL = RenderConfig(views=3, size=48, renderer="builtin")


class Ear(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    folder = tmp_path / "meshes"
    write_off(folder / "chair/1.off", chair())
    write_off(folder / "box/ein Würfel.off", box())
    write_off(folder / "ball.off", ball(12))
    return folder


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["render", *map(str, arguments)])


def as_json(*arguments: object) -> Any:
    done = run(*arguments, "--json", "-q", "--views", 3, "--size", 48, "--workers", 1)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def when(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*.png"))}


def test_every_shape_gets_a_folder_of_views_named_by_its_id(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "views"
    done = run(meshes, "--out", out, "--json", "--workers", 2)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["rendered"], report["skipped"], report["failed"]) == (3, 0, [])
    assert report["renderer"] == "builtin"
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    shapes = ("ball", "box/ein Würfel", "chair/1")
    assert names == {"views.json"} | {f"{shape}/{view:02d}.png" for shape in shapes for view in range(12)}
    with Image.open(out / "chair/1/00.png") as picture:
        assert (picture.mode, picture.size) == ("L", (224, 224))
    expected = MeshViews(RenderConfig())(meshes / "chair/1.off")
    for view, picture_of in enumerate(expected):
        with Image.open(out / f"chair/1/{view:02d}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), picture_of)
    found = find_shapes(out)
    assert {item.id for item in found.items} == set(shapes)


def test_views_json_tells_how_the_views_were_drawn(meshes: Path, tmp_path: Path) -> None:
    render([meshes], tmp_path / "v", SMALL, workers=1)
    told = json.loads((tmp_path / "v/views.json").read_text())
    assert told["schema"] == 1
    assert (told["views"], told["elevation"], told["size"], told["azimuths"]) == (
        3,
        30.0,
        48,
        [0.0, 120.0, 240.0],
    )
    assert told["shading"]["preset"] == "mvcnn"
    assert (told["shading"]["ambient"], told["shading"]["diffuse"]) == (0.3, 0.6)
    assert told["renderer"] == "builtin"
    assert {"hifa", "numpy", "numba", "trimesh"} <= set(told["versions"])


def test_a_second_run_leaves_what_is_current_and_draws_what_changed(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "v"
    assert as_json(meshes, "-o", out)["rendered"] == 3
    before = when(out)
    os.utime(meshes / "ball.off")  # touched, not changed
    assert (again := as_json(meshes, "-o", out))["skipped"] == 3
    assert again["rendered"] == 0
    assert when(out) == before
    write_off(meshes / "ball.off", ball(6))
    (out / "chair/1/01.png").unlink()
    report = as_json(meshes, "-o", out)
    assert (report["rendered"], report["skipped"]) == (2, 1)
    changed = {Path(path).parent.name for path, time in when(out).items() if before.get(path) != time}
    assert changed == {"ball", "1"}


def test_other_settings_draw_again(meshes: Path, tmp_path: Path) -> None:
    option = ("--shading", "smooth")
    as_json(meshes, "-o", tmp_path / "v")
    assert as_json(meshes, "-o", tmp_path / "v", *option)["rendered"] == 3
    assert as_json(meshes, "-o", tmp_path / "v", *option)["skipped"] == 3


def test_everything_that_a_picture_depends_on_is_in_its_mark(meshes: Path) -> None:
    path = meshes / "ball.off"
    changes: list[dict[str, Any]] = [
        {"views": 6},
        {"elevation": 10.0},
        {"size": 100},
        {"up": "y"},
        {"shading": "smooth"},
        {"framing": "sphere"},
        {"ground": 0},
    ]
    others = [replace(RenderConfig(), **change) for change in changes]
    marks = {mark_of(path, config) for config in [RenderConfig(), *others]}
    assert len(marks) == 8


def test_force_draws_again(meshes: Path, tmp_path: Path) -> None:
    as_json(meshes, "-o", tmp_path / "v")
    assert as_json(meshes, "-o", tmp_path / "v", "--force")["rendered"] == 3


def test_renderers_and_workers_are_no_settings_of_the_picture(meshes: Path) -> None:
    path = meshes / "ball.off"
    assert mark_of(path, SMALL) == mark_of(path, RenderConfig(views=3, size=48, renderer="opengl", timeout=1))
    assert mark_of(path, SMALL) != mark_of(path, RenderConfig(views=3, size=49))


def test_shapes_left_over_from_other_settings_are_told(meshes: Path, tmp_path: Path) -> None:
    render([meshes], tmp_path / "v", SMALL, workers=1)
    ear = Ear()
    other = RenderConfig(views=3, size=48, renderer="builtin", ground=0)
    with reporting(ear):
        render([meshes / "ball.off"], tmp_path / "v", other, workers=1)
    assert any("keeps 2 shapes drawn with other settings" in warning for warning in ear.warnings)
    ear = Ear()
    with reporting(ear):
        render([meshes], tmp_path / "v", other, workers=1)
    assert ear.warnings == []


def test_bad_meshes_are_listed_with_their_reasons_and_the_rest_is_drawn(meshes: Path, tmp_path: Path) -> None:
    (meshes / "empty.off").touch()
    (meshes / "points.obj").write_text("v 0 0 0\n")
    (meshes / "ball.stl").write_text("solid\n")
    gone = tmp_path / "gone.off"
    done = run(meshes, gone, "-o", tmp_path / "v", "--json", "--size", 48, "--views", 2, "--workers", 1)
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert report["rendered"] == 3
    reasons = {Path(failure["path"]).name: failure["reason"] for failure in report["failed"]}
    assert set(reasons) == {"empty.off", "points.obj", "ball.stl", "gone.off"}
    assert "empty" in reasons["empty.off"]
    assert not any(name in reason for name, reason in reasons.items() if name != "ball.stl")  # named once
    assert "points but no faces" in reasons["points.obj"]
    assert "same id 'ball'" in reasons["ball.stl"]
    for name in reasons:
        assert name in done.stderr
    assert not (tmp_path / "v/empty").exists()
    assert not list((tmp_path / "v").rglob("*.part"))


def test_nothing_drawn_is_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "empty.off").touch()
    done = run(tmp_path / "empty.off", "-o", tmp_path / "v", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["failed"][0]["reason"].endswith("the file has no bytes")


def test_no_meshes_at_all_is_exit_code_1_and_says_what_is_a_mesh(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").touch()
    done = run(tmp_path, "-o", tmp_path / "v")
    assert done.exit_code == 1
    assert ".off" in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "wrong",
    [
        ("--views", 0),
        ("--elevation", 91),
        ("--up", "w"),
        ("--shading", "toon"),
        ("--ground", 256),
        ("--nope",),
    ],
)
def test_wrong_usage_is_exit_code_2(meshes: Path, tmp_path: Path, wrong: tuple[object, ...]) -> None:
    assert run(meshes, "-o", tmp_path / "v", *wrong).exit_code == 2


def test_a_file_in_the_place_of_the_views_is_one_line_and_exit_code_1(meshes: Path, tmp_path: Path) -> None:
    (tmp_path / "v").touch()
    done = run(meshes, "-o", tmp_path / "v")
    assert done.exit_code == 1
    assert "cannot write" in done.stderr


@pytest.mark.skipif(hasattr(os, "getuid") and os.getuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_line_and_exit_code_1(meshes: Path, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir(mode=0o500)
    done = run(meshes, "-o", tmp_path / "v")
    assert done.exit_code == 1
    assert "choose another --out" in done.stderr


def test_a_folder_that_holds_the_users_files_is_not_replaced(meshes: Path, tmp_path: Path) -> None:
    (tmp_path / "v/ball").mkdir(parents=True)
    (tmp_path / "v/ball/thesis.tex").write_text("work of years")
    report = render([meshes], tmp_path / "v", SMALL, workers=1)
    assert report.rendered == 2
    assert "holds other files than views" in report.failed[0].reason
    assert (tmp_path / "v/ball/thesis.tex").read_text() == "work of years"


def test_a_folder_appears_whole_or_not_at_all(
    meshes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(folder: Path, pictures: Any, mark: str) -> None:
        (folder / "00.png").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    draw = DrawShape(SMALL)
    assert not isinstance(draw(meshes / "ball.off", tmp_path / "v/ball", "mark"), str)
    before = when(tmp_path / "v")
    monkeypatch.setattr(drawing, "write_views", half)
    for name in ("ball", "other"):
        with pytest.raises(NoRoom, match="No space left"):
            draw(meshes / "ball.off", tmp_path / "v" / name, "mark")
    assert when(tmp_path / "v") == before
    assert [path.name for path in (tmp_path / "v").iterdir()] == ["ball"]


def test_an_axis_that_was_assumed_is_told(meshes: Path, tmp_path: Path) -> None:
    ear = Ear()
    with reporting(ear):
        render([meshes], tmp_path / "v", SMALL, workers=1)
    assert any("+z in 3 .off" in note and "--up" in note for note in ear.notes)
    ear = Ear()
    config = RenderConfig(views=3, size=48, renderer="builtin", up="y")
    with reporting(ear):
        render([meshes], tmp_path / "v", config, workers=1)
    assert not any("--up" in note for note in ear.notes)  # it may still say that it compiles


def test_a_contact_sheet_shows_what_was_drawn_and_what_was_there(meshes: Path, tmp_path: Path) -> None:
    as_json(meshes, "-o", tmp_path / "v")
    as_json(meshes, "-o", tmp_path / "v", "--contact-sheet", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (3 * 112, 124)
        for tile in range(3):
            assert np.asarray(sheet)[:110, 112 * tile : 112 * (tile + 1)].min() < 200


def test_a_renderer_that_fails_at_start_falls_back_with_one_line(
    meshes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = Ear()
    monkeypatch.setattr(
        stage, "choose", lambda wanted: Choice("builtin", "OpenGL does not start: no EGL", True)
    )
    wanted = RenderConfig(views=2, size=48, renderer="opengl")
    with reporting(ear):
        report = render([meshes], tmp_path / "v", wanted, workers=1)
    assert (report.rendered, report.renderer) == (3, "builtin")
    assert ear.warnings == ["drawing with the builtin renderer: OpenGL does not start: no EGL"]


def test_meshes_below_links_and_odd_names_come_through_the_workers(tmp_path: Path) -> None:
    write_off(tmp_path / "store/ein Stuhl, 椅子\t№1.off", chair())
    (tmp_path / "set").mkdir()
    (tmp_path / "set/linked").symlink_to(tmp_path / "store")
    report = render([tmp_path / "set"], tmp_path / "v", SMALL, workers=1)
    assert report.failed == []
    assert (tmp_path / "v/linked/ein Stuhl, 椅子\t№1/02.png").exists()


def test_a_run_that_was_stopped_goes_on_where_it_was(meshes: Path, tmp_path: Path) -> None:
    whole = render([meshes], tmp_path / "whole", SMALL, workers=1)
    shutil.copytree(tmp_path / "whole/chair", tmp_path / "v/chair")
    report = render([meshes], tmp_path / "v", SMALL, workers=1)
    assert (whole.rendered, report.rendered, report.skipped) == (3, 2, 1)


# Draws one mesh well, and leaves the next half-written.
SLOW = """
import sys, time, types
from pathlib import Path
from hifa_cli.runtime.atomic import written_folder
fake = types.ModuleType("hifa_cli.render.job")
class DrawShape:
    remark = ""
    def __init__(self, config): self.drawn = 0
    def __call__(self, path, folder, mark):
        with written_folder(folder) as half:
            (half / "00.png").touch()
            time.sleep(600 * self.drawn)
            self.drawn += 1
fake.DrawShape = DrawShape
sys.modules["hifa_cli.render.job"] = fake
from hifa_cli.render.workers import main
main()
"""


def test_a_run_that_is_interrupted_leaves_nothing_half_written(
    meshes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupts(Reporter):
        def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
            for item in items:
                yield item
                until = time.monotonic() + 20
                while not list((tmp_path / "v").rglob("*.part/00.png")) and time.monotonic() < until:
                    time.sleep(0.02)
                raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "command", staticmethod(lambda: program_command(SLOW)))
    with pytest.raises(KeyboardInterrupt) as stopped, reporting(Interrupts()):
        render([meshes], tmp_path / "v", SMALL, workers=1)
    assert stopped.traceback  # held, as the one who reports it does: what it refers to is not cleared up
    assert len(list((tmp_path / "v").rglob("00.png"))) == 1
    assert list((tmp_path / "v").rglob("*.part")) == []


def test_without_meshes_the_library_says_so_too(tmp_path: Path) -> None:
    with pytest.raises(HifaError, match="no meshes in"):
        render([tmp_path], tmp_path / "v", SMALL, workers=1)
