"""``hifa data``: what a folder is, what is wrong with it, and a set laid out from ModelNet40."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hifa_cli.cli import app
from hifa_cli.data.checks import Check, check
from hifa_cli.data.mi3dor import MI3DOR2_CLASSES, MI3DOR_CLASSES, MI3DOR_TEST_SHAPES
from hifa_cli.data.modelnet import lay_out
from hifa_cli.errors import HifaError
from tests.trees import hifa_views, mi3dor, mi3dor2, picture, views


def held(found: Check) -> dict[str, int]:
    return {one.domain: one.items for one in found.holdings}


def test_photos_are_counted_by_class_and_split(tmp_path: Path) -> None:
    for name in ("train/chair/1", "train/chair/2", "test/chair/3", "test/car/4"):
        picture(tmp_path / f"{name}.jpg")
    found = check(tmp_path)
    assert found.layout == "photos, a folder a class, split into test, train"
    assert {name: dict(counts) for name, counts in found.holdings[0].counts.items()} == {
        "car": {"test": 1},
        "chair": {"train": 2, "test": 1},
    }
    assert (found.problems, found.differences, found.benchmark) == ((), (), "")


def test_numbered_photos_are_not_taken_for_views(tmp_path: Path) -> None:
    for number in range(150):
        picture(tmp_path / f"chair/{number:03d}.jpg")
    assert held(check(tmp_path)) == {"images": 150}
    assert held(check(tmp_path, domain="shapes")) == {"shapes": 1}


def test_views_and_meshes_are_told_apart(tmp_path: Path) -> None:
    found = check(hifa_views(tmp_path / "views", "chair/1", "chair/2"))
    assert (held(found), found.holdings[0].pictures) == ({"shapes": 2}, 24)
    assert found.layout == "shapes (rendered views) as 'hifa render' writes them, a folder a class"
    (tmp_path / "meshes/chair/train").mkdir(parents=True)
    (tmp_path / "meshes/chair/train/1.off").write_text("OFF")
    assert held(check(tmp_path / "meshes")) == {"meshes": 1}


def test_unreadable_pictures_and_missing_views_are_reported(tmp_path: Path) -> None:
    root = hifa_views(tmp_path, "chair/1", "chair/2", "chair/3")
    (root / "chair/1/04.png").write_bytes(b"broken")
    (root / "chair/2/00.png").unlink()
    problems = {problem.path: problem.reason for problem in check(root, workers=2).problems}
    assert problems["chair/2"] == "has 11 views where others have 12 (missing 0); kept"
    assert "cannot be read as a picture" in problems[str(root / "chair/1/04.png")]
    assert len(problems) == 2
    assert len(check(root, read=False).problems) == 1


def test_every_unreadable_picture_among_many_is_found_in_order(tmp_path: Path) -> None:
    for number in range(200):
        path = picture(tmp_path / f"a/p{number:04d}x.jpg")
        if number % 7 == 0:
            path.write_bytes(b"broken")
    found = [Path(problem.path).stem for problem in check(tmp_path, workers=3).problems]
    assert found == [f"p{number:04d}x" for number in range(0, 200, 7)]


def whole_mi3dor_test(root: Path) -> Path:
    """The names of MI3DOR's test views: one picture a shape stands for twelve."""
    source = picture(root / "one.png")
    for name, count in MI3DOR_TEST_SHAPES.items():
        for number in range(1, count + 1):
            instance = f"{name}_test_{number:04d}"
            folder = root / "view/test" / instance
            folder.mkdir(parents=True)
            (folder / f"{instance}_001.png").hardlink_to(source)
    return root / "view/test"


def test_the_published_counts_are_recognised_and_what_is_missing_is_named(tmp_path: Path) -> None:
    root = whole_mi3dor_test(tmp_path)
    found = check(root, read=False, domain="shapes")
    assert (found.benchmark, found.differences) == ("MI3DOR", ())
    for name in ("chair_test_0001", "chair_test_0002", "knife_test_0001"):
        (root / name / f"{name}_001.png").unlink()
    assert check(root, read=False, domain="shapes").differences == (
        "MI3DOR test shapes: 3845 of 3848 published",
        "MI3DOR test shapes, chair: 248 of 250 published",
        "MI3DOR test shapes, knife: 177 of 178 published",
    )


def test_an_unpacked_mi3dor_holds_three_domains(tmp_path: Path) -> None:
    found = check(mi3dor(tmp_path))
    assert held(found) == {"images": 12, "shapes": 6, "meshes": 6}
    assert "as MI3DOR names them" in found.layout
    assert held(check(mi3dor2(tmp_path / "two"))) == {"images": 4, "shapes": 8}


def test_the_benchmark_is_told_by_its_classes(tmp_path: Path) -> None:
    for name in MI3DOR_CLASSES:
        picture(tmp_path / "one/test" / name / "a.jpg")
    for name in MI3DOR2_CLASSES:
        picture(tmp_path / "two" / name / "a.jpg")
    assert check(tmp_path / "one").benchmark == "MI3DOR"
    assert check(tmp_path / "one").differences[:2] == (
        "MI3DOR test images: 21 of 10500 published",
        "MI3DOR test images, airplane: 1 of 500 published",
    )
    assert check(tmp_path / "two").benchmark == "MI3DOR-2"
    assert check(tmp_path / "two").differences == ()  # no split, so nothing to compare with


def test_a_list_is_checked(tmp_path: Path) -> None:
    views(tmp_path / "s", "s_{:03d}.png", range(1, 13))
    (tmp_path / "l.txt").write_text("".join(f"s/s_{n:03d}.png 3\n" for n in range(1, 13)))
    assert check(tmp_path / "l.txt").layout == "a list of shapes (rendered views)"
    picture(tmp_path / "a.jpg")
    (tmp_path / "m.txt").write_text("a.jpg 1\n")
    assert check(tmp_path / "m.txt").layout == "a list of photos"


def test_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HifaError, match="holds no photos, views or meshes"):
        check(tmp_path)
    with pytest.raises(HifaError, match="does not exist"):
        check(tmp_path / "none")


def test_the_folder_above_the_one_that_was_meant_is_noticed(tmp_path: Path) -> None:
    for name in ("images/chair/1", "images/car/2"):
        picture(tmp_path / f"{name}.jpg")
    (problem,) = check(tmp_path).problems
    assert "all are of one class, 'images'" in problem.reason
    assert check(tmp_path / "images").problems == ()
    for split in ("train", "test"):
        picture(tmp_path / f"chairs/chair/{split}/1.jpg")
    assert check(tmp_path / "chairs").problems == ()


@pytest.mark.real
def test_the_real_photos_and_meshes_are_whole(real_data: Path) -> None:
    """Against the manifest that comes with them."""
    with (real_data / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["path"].startswith("meshes_extra")]
    for domain, folder in (("images", "images"), ("meshes", "meshes")):
        expected = Counter(row["class"] for row in rows if row["path"].startswith(f"{folder}/"))
        found = check(real_data / folder, workers=2)
        assert found.problems == ()
        assert {name: counts[""] for name, counts in found.holdings[0].counts.items()} == expected, domain


def modelnet40(root: Path) -> Path:
    for name, train, test in (("airplane", 90, 25), ("bowl", 64, 20), ("not_a_class", 5, 5)):
        for split, numbers in (("train", range(1, train + 1)), ("test", range(train + 1, train + test + 1))):
            (root / name / split).mkdir(parents=True)
            for number in numbers:
                (root / name / split / f"{name}_{number:04d}.off").write_text("OFF 0 0 0\n")
    return root


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("inner", ["", "ModelNet40"])
def test_the_first_80_and_20_meshes_of_each_class_are_laid_out(
    tmp_path: Path, copy: bool, inner: str
) -> None:
    modelnet40(tmp_path / "MN" / inner)
    done = lay_out(tmp_path / "MN", tmp_path / "out", copy=copy)
    assert done.counts == {"train": 80 + 64, "test": 20 + 20}
    assert len(done.missing) == 38
    laid = sorted(path.name for path in (tmp_path / "out/test/airplane").iterdir())
    assert laid == [f"airplane_{number:04d}.off" for number in range(91, 111)]
    links = (tmp_path / "out/test/airplane" / laid[0]).stat().st_nlink
    assert links == (1 if copy else 2)
    lines = (tmp_path / "out/list.csv").read_text().splitlines()
    assert len(lines) == 1 + 144 + 40
    assert lines[1] == "train/airplane/airplane_0001.off,airplane,train"
    assert held(check(tmp_path / "out")) == {"meshes": 184}


def test_numbers_beyond_four_digits_sort_as_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "chair/train"
    folder.mkdir(parents=True)
    for number in (9999, 10000, 2):
        (folder / f"chair_{number:04d}.off").write_text("OFF")
    lay_out(tmp_path, tmp_path / "out")
    lines = (tmp_path / "out/list.csv").read_text().splitlines()
    assert [Path(line.split(",")[0]).stem for line in lines[1:]] == [
        "chair_0002",
        "chair_9999",
        "chair_10000",
    ]


def test_what_is_no_modelnet_is_named(tmp_path: Path) -> None:
    with pytest.raises(HifaError, match="is not ModelNet40"):
        lay_out(tmp_path, tmp_path / "out")
    with pytest.raises(HifaError, match="unpack ModelNet40"):
        lay_out(tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_line_reports_and_exits(tmp_path: Path) -> None:
    run = CliRunner().invoke
    root = hifa_views(tmp_path, "chair/1", "[red]/2")
    done = run(app, ["data", "check", str(root), "-q"])
    assert done.exit_code == 0, done.output
    assert "nothing is wrong" in done.stdout
    assert "[red]" in done.stdout
    (root / "chair/1/00.png").write_bytes(b"")
    assert run(app, ["data", "check", str(root), "-q"]).exit_code == 0
    assert run(app, ["data", "check", str(root), "-q", "--strict"]).exit_code == 1
    document = json.loads(run(app, ["data", "check", str(root), "-q", "--json"]).stdout)
    assert document["shapes"]["classes"] == {"[red]": {"": 1}, "chair": {"": 1}}
    assert document["problems"][0]["path"].endswith("00.png")
    assert run(app, ["data", "check", str(tmp_path / "none")]).exit_code == 1
    assert run(app, ["data", "check", str(root), "--as", "sounds"]).exit_code == 2


def test_the_command_line_lays_modelnet_out(tmp_path: Path) -> None:
    root = modelnet40(tmp_path / "MN")
    arguments = ["data", "modelnet", str(root), "--out", str(tmp_path / "out"), "-q"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["train"] == 144
    assert CliRunner().invoke(app, arguments).exit_code == 1
    assert CliRunner().invoke(app, [*arguments, "--force"]).exit_code == 0


def test_meshes_are_opened_and_what_no_verb_reads_is_named(tmp_path: Path) -> None:
    from tests.cli.test_cli import hifa
    from tests.render.shapes import box, write_off

    write_off(tmp_path / "box" / "good.off", box(1.0, 1.0, 1.0))
    (tmp_path / "box" / "broken.off").write_text("OFF\n4 4 0\n0 0\n")
    (tmp_path / "box" / "broken.step").write_text("not STEP")
    (tmp_path / "box" / "old.fbx").write_bytes(b"Kaydara")
    (tmp_path / "box" / "drawing.dwg").write_bytes(b"AC")
    picture(tmp_path / "box" / "texture.png")
    code, out, _ = hifa("data", "check", tmp_path, "--json", "--strict", "--workers", "1", "-q")
    document = json.loads(out)
    assert code == 1
    named = {Path(problem["path"]).name for problem in document["problems"]}
    assert named == {"broken.off", "broken.step", "old.fbx"}
    assert [Path(path).name for path in document["ignored"]] == ["drawing.dwg"]
    _, out, _ = hifa("data", "check", tmp_path, "-q")
    assert "nothing is wrong" not in out
    assert "drawing.dwg" in out
    assert "old.fbx" in out
