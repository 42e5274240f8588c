"""Which axis is up: said by rules, shown by shapes, kept by what was drawn."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from hifa_cli.config import Axis, RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.render import up_look
from hifa_cli.render.cameras import upright
from hifa_cli.render.discover import find_meshes
from hifa_cli.render.meshes import Mesh
from hifa_cli.render.pipeline import mark_of, render
from hifa_cli.render.up_features import DIRECTIONS, features, sides
from hifa_cli.render.up_look import AXES, LARGEST, LOOKED, axis_scores, decide, sample
from hifa_cli.render.up_rules import Rules, UpRules, parse_up
from hifa_cli.render.up_taken import Taken, read_taken, settle_up
from hifa_cli.render.views import up_axis
from hifa_cli.runtime.progress import reporting
from hifa_cli.synthetic.meshfiles import WRITERS
from hifa_cli.synthetic.shapes import KINDS, joined, make_thing
from tests.cli.test_cli import hifa
from tests.render.shapes import ball, box, chair, soup
from tests.render.test_pipeline import Ear

TINY = RenderConfig(views=2, size=32, renderer="builtin")


def laid(vertices: np.ndarray[Any, Any], up: Axis) -> np.ndarray[Any, Any]:
    """What stands along z, as a program with ``up`` writes it."""
    turn = upright(np.eye(3), up)  # takes such a file's points to z-up ones
    return vertices @ turn.T


def write_things(folder: Path, up: Axis, kinds: Sequence[str], each: int = 1, suffix: str = ".obj") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(each):
        for kind in kinds:
            vertices, faces, _ = joined(make_thing(kind, np.random.default_rng(number)))
            WRITERS[suffix](folder / f"{kind}{number}{suffix}", laid(vertices, up), faces)
    return folder


def drawn(folder: Path, out: Path, config: RenderConfig = TINY, **options: Any) -> tuple[Any, Ear]:
    ear = Ear()
    with reporting(ear):
        return render([folder], out, config, workers=1, **options), ear


class Settled(NamedTuple):
    """What a report says of it."""

    ups: Rules
    taken: list[Taken]


def settled(*folders: Path, config: RenderConfig = TINY) -> tuple[Settled, Ear]:
    """What a run would take, without drawing."""
    ear = Ear()
    with reporting(ear):
        found, taken = settle_up(find_meshes(folders)[0], folders, config, [])
    return Settled(found.ups, taken), ear


def axes(folder: Path, config: RenderConfig) -> dict[str, Axis]:
    return {path.name: up_axis(path, config) for path in sorted(folder.iterdir())}


def test_laying_is_the_reverse_of_standing_up() -> None:
    points = np.random.default_rng(0).normal(size=(5, 3))
    for axis in AXES:
        np.testing.assert_allclose(upright(laid(points, axis), axis), points)


@pytest.mark.parametrize("up", ["y", "z"])
@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl"])
def test_a_folder_stands_as_its_shapes_do(tmp_path: Path, up: Axis, suffix: str) -> None:
    folder = write_things(tmp_path / "things", up, list(KINDS), suffix=suffix)
    report, ear = settled(folder)
    assert [(one.axis, one.seen) for one in report.taken] == [(up, True)]
    assert any(
        f"taken as {up}-up" in note and "look upright so" in note and "--up" in note for note in ear.notes
    )
    assert report.ups == ((f"*{suffix}", up),)


@pytest.mark.parametrize("kind", list(KINDS))
def test_no_kind_of_things_is_taken_to_lie(tmp_path: Path, kind: str) -> None:
    for up in ("y", "z"):
        folder = write_things(tmp_path / up, up, [kind], each=6)
        scores = [axis_scores(path) for path in sorted(folder.iterdir())]
        assert decide(np.array(scores)) in (up, None)


def test_pictures_of_a_folder_laid_down_are_those_of_one_that_stands(tmp_path: Path) -> None:
    for up in ("y", "z"):
        drawn(write_things(tmp_path / up, up, ["chair", "table", "car"]), tmp_path / f"v{up}")
    for picture in (tmp_path / "vz").rglob("*.png"):
        if picture.name != "00.png":  # which holds the mark
            twin = tmp_path / "vy" / picture.relative_to(tmp_path / "vz")
            assert picture.read_bytes() == twin.read_bytes()


def test_shapes_without_an_up_leave_it_to_the_format_and_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for number, mesh in enumerate([ball(12), box(), box(), ball(8)]):
        WRITERS[".obj"](tmp_path / f"parts/{number}.obj", mesh.vertices, mesh.faces)
    report, ear = settled(tmp_path / "parts")
    assert [(one.axis, one.seen) for one in report.taken] == [("z", False)]
    assert report.ups == ()
    assert any("as .obj files usually are" in note and "--up y" in note for note in ear.notes)


def test_formats_that_say_it_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_things(tmp_path / "things", "y", ["chair", "table"], suffix=".off")
    WRITERS[".glb"](folder / "c.glb", *chair())
    monkeypatch.setattr(up_look, "axis_scores", lambda path: pytest.fail(f"looked at {path}"))
    report, _ = settled(folder)
    assert report.taken == []
    assert axes(folder, TINY) == {"c.glb": "y", "chair0.off": "z", "table0.off": "z"}


def test_what_was_seen_once_holds_when_other_files_come(tmp_path: Path) -> None:
    folder = write_things(tmp_path / "things", "y", list(KINDS))
    first, _ = drawn(folder, tmp_path / "v")
    for path in folder.iterdir():
        if not path.name.startswith("car"):
            path.unlink()
    write_things(folder, "z", list(KINDS)[2:], each=2)  # which would vote otherwise
    second, ear = drawn(folder, tmp_path / "v")
    assert [one.axis for one in second.taken] == ["y"]
    assert second.ups == first.ups
    assert any("as before" in note for note in ear.notes)
    again, _ = drawn(folder, tmp_path / "v", force=True)
    assert [one.axis for one in again.taken] == ["z"]


def test_a_second_run_draws_nothing_and_takes_the_same(tmp_path: Path) -> None:
    folder = write_things(tmp_path / "things", "y", ["chair", "table", "lamp"])
    first, _ = drawn(folder, tmp_path / "v")
    settings = (tmp_path / "v/views.json").read_text()
    second, _ = drawn(folder, tmp_path / "v")
    assert (second.rendered, second.skipped) == (0, 3)
    assert (tmp_path / "v/views.json").read_text() == settings
    assert read_taken(tmp_path / "v/views.json") == first.taken


def test_what_was_left_to_the_format_is_looked_at_again(tmp_path: Path) -> None:
    folder = tmp_path / "things"
    folder.mkdir()
    WRITERS[".obj"](folder / "ball.obj", *ball(12))
    assert not drawn(folder, tmp_path / "v")[0].taken[0].seen
    write_things(folder, "y", list(KINDS))
    report, _ = drawn(folder, tmp_path / "v")
    assert [(one.axis, one.seen) for one in report.taken] == [("y", True)]
    assert report.rendered == 11  # the ball as well: it stands otherwise now


def test_sources_of_one_run_vote_apart(tmp_path: Path) -> None:
    one = write_things(tmp_path / "a", "y", ["chair", "table", "sofa", "lamp"])
    other = write_things(tmp_path / "b", "z", ["car", "mug", "bottle", "airplane"], each=2)
    report = settled(one, other)[0]
    assert [(Path(taken.folder).name, taken.axis) for taken in report.taken] == [("a", "y"), ("b", "z")]
    config = RenderConfig(ups=report.ups)
    assert up_axis(one / "chair0.obj", config) == "y"
    assert up_axis(other / "car0.obj", config) == "z"


def test_a_folder_below_that_looks_otherwise_is_told(tmp_path: Path) -> None:
    write_things(tmp_path / "all/ours", "z", list(KINDS), each=2)
    write_things(tmp_path / "all/theirs", "y", ["chair", "table", "sofa", "car"], each=2)
    report, ear = settled(tmp_path / "all")
    assert [one.axis for one in report.taken] == ["z"]
    assert any("--up 'theirs/*=y'" in warning for warning in ear.warnings)


def test_damaged_records_are_looked_at_again(tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "folder": "/a",
        "format": ".obj",
        "axis": "y",
        "seen": True,
        "looks": 1,
        "looked": 1,
        "files": 1,
    }
    path = tmp_path / "views.json"
    wrong: list[Any] = [None, 3, {**row, "axis": "w"}, {**row, "files": "1"}, {"axis": "y"}, row]
    path.write_text(json.dumps({"up_taken": wrong}))
    assert read_taken(path) == [Taken(**row)]
    for text in ("", "[]", '{"up_taken": 3}', "{"):
        path.write_text(text)
        assert read_taken(path) == []


def test_features_stay_when_a_shape_turns_about_its_up_axis() -> None:
    mesh = soup(3)
    quarter = Mesh(mesh.vertices @ np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]), mesh.faces)
    first, second = features(sides(mesh), (2, 1)), features(sides(quarter), (2, 1))
    assert first.keys() == second.keys()
    np.testing.assert_allclose(list(first.values()), list(second.values()), atol=0.02)


def test_features_follow_a_shape_that_is_laid_down() -> None:
    for mesh in (soup(5), chair()):
        expected = features(sides(mesh), (2, 1))
        for number, axis in enumerate(AXES):
            lying = Mesh(np.ascontiguousarray(laid(mesh.vertices, axis)), mesh.faces)
            found = features(sides(lying), (number, 1))
            np.testing.assert_allclose(list(found.values()), list(expected.values()), atol=0.05)


@pytest.mark.parametrize(
    "mesh", [Mesh(box().vertices * [1, 1, 0], box().faces), box(1e150, 1e-9, 1), box(1, 0, 0)]
)
def test_flat_and_huge_meshes_have_finite_features(mesh: Mesh) -> None:
    seen = sides(mesh)
    for way in DIRECTIONS:
        assert np.isfinite(list(features(seen, way).values())).all()


def test_a_sample_is_even_small_and_the_same_every_time(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:03d}.obj" for number in range(100)]
    for path in paths:
        path.write_text("v 0 0 0")
    with paths[50].open("wb") as file:
        file.truncate(LARGEST + 1)  # no block of it is on the disk
    chosen = sample(paths)
    assert len(chosen) == LOOKED
    assert chosen == sample(paths[::-1])
    assert paths[50] not in chosen
    assert chosen[0] == paths[0]
    assert chosen[-1] in paths[95:]


def test_a_file_that_cannot_be_read_does_not_vote(tmp_path: Path) -> None:
    (tmp_path / "bad.obj").write_text("v 0 0 0\nf 1 2 3\n")
    assert axis_scores(tmp_path / "bad.obj") is None
    assert decide(np.empty((0, 3))) is None


def test_rules_fit_the_ends_of_paths_and_the_last_one_wins() -> None:
    rules = UpRules([("*.obj", "y"), ("vendor/*", "z"), ("vendor/odd.obj", "x"), ("/abs/one.obj", "x")])
    places = {
        "/m/a.OBJ": "y", "/m/a.stl": None, "/m/vendor/a.obj": "z", "/m/vendor/sub/a.stl": "z",
        "/m/vendor/odd.obj": "x", "/m/myvendor/a.obj": "y", "/m/vendor/notodd.obj": "z", "/abs/one.obj": "x",
    }  # fmt: skip
    found = {place: rules.find(Path(place)) for place in places}
    assert {place: hit and hit[1] for place, hit in found.items()} == places


def test_rules_outrank_the_axis_for_all_and_what_shapes_show(tmp_path: Path) -> None:
    folder = write_things(tmp_path / "things", "y", ["chair", "table", "sofa", "lamp"])
    config = RenderConfig(views=2, size=32, renderer="builtin", ups=(("chair*", "x"),))
    report, _ = settled(folder, config=config)
    then = RenderConfig(ups=report.ups)
    assert axes(folder, then) == {"chair0.obj": "x", "lamp0.obj": "y", "sofa0.obj": "y", "table0.obj": "y"}
    assert report.taken[0].files == 3
    assert up_axis(folder / "chair0.obj", RenderConfig(up="z", ups=config.ups)) == "x"
    assert mark_of(folder / "chair0.obj", config) != mark_of(folder / "chair0.obj", RenderConfig(up="z"))


def test_a_pattern_that_fits_nothing_is_told(tmp_path: Path) -> None:
    folder = write_things(tmp_path / "things", "z", ["chair"])
    config = RenderConfig(views=2, size=32, renderer="builtin", up="z", ups=(("*.objj", "y"),))
    _, ear = settled(folder, config=config)
    assert any("'*.objj'" in warning for warning in ear.warnings)


def test_texts_of_up_are_read() -> None:
    assert parse_up([]) == ("auto", ())
    assert parse_up(["y", "*.stl=z", "a=b.obj=x"]) == ("y", (("*.stl", "z"), ("a=b.obj", "x")))
    for wrong in ("w", "*.obj=w", "=y", "*.obj"):
        with pytest.raises(ValueError, match="is not auto, x, y, z or PATTERN=AXIS"):
            parse_up([wrong])


def test_a_list_names_files_and_outranks_patterns(tmp_path: Path) -> None:
    table = tmp_path / "up.csv"
    table.write_text("\ufeffpath,axis\nchair/1.obj,y\n\n./odd[1].obj,X\n", encoding="utf-8")
    up, rules = parse_up(["*.obj=z"], table)
    found = UpRules(rules)
    assert up == "auto"
    hits = [found.find(Path("/m", name)) for name in ("chair/1.obj", "odd[1].obj", "o.obj")]
    assert [hit and hit[1] for hit in hits] == ["y", "x", "z"]


@pytest.mark.parametrize("content", [b"a.obj\n", b"a.obj,w\n", b",y\n", b"a.obj,y,z\n", b"\xff\xfe,y\n"])
def test_a_wrong_list_is_named_with_its_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "up.csv").write_bytes(content)
    with pytest.raises(HifaError, match=r"up\.csv"):
        parse_up([], tmp_path / "up.csv")
    with pytest.raises(HifaError, match="No such file"):
        parse_up([], tmp_path / "none.csv")


def test_the_command_takes_axes_patterns_lists_and_tables(tmp_path: Path) -> None:
    folder = write_things(tmp_path / "things", "y", ["chair", "table"])
    (tmp_path / "up.csv").write_text("table0.obj,y\n")
    (tmp_path / "hifa.toml").write_text('[render]\nup = "z"\nviews = 2\nsize = 32\n')
    base = ("render", folder, "--json", "--config", tmp_path / "hifa.toml")
    assert hifa(*base, "-o", tmp_path / "a")[0] == 0
    settings = json.loads((tmp_path / "a/views.json").read_text())
    assert (settings["up"], settings["ups"], settings["up_taken"]) == ("z", [], [])
    options = ("--up", "x", "--up", "chair*=y", "--up-list", tmp_path / "up.csv")
    assert hifa(*base, "-o", tmp_path / "b", *options)[0] == 0
    settings = json.loads((tmp_path / "b/views.json").read_text())
    assert (settings["up"], settings["ups"]) == ("x", [["chair*", "y"], ["table0.obj", "y"]])
    code, _, err = hifa(*base, "-o", tmp_path / "c", "--up", "*.obj=up")
    assert code == 2
    assert "'*.obj=up' is not" in " ".join(err.split())
