"""``hifa evaluate`` and ``hifa plot`` as a user and a script call them, on files of plain h5py."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from hifa_cli.cli import app
from hifa_cli.evaluation.metrics import METRICS
from tests.worked_case import EXPECTED, FT, GALLERY_LABELS, LEGACY, NN, QUERY_LABELS, vectors


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def worked_file(path: Path, scale: float = 1.0, *, blur: float = 0.0) -> Path:
    photos, shapes = vectors(scale)
    photos = photos + blur * scale * np.random.default_rng(1).random(photos.shape)
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = 1
        file.attrs["classes"] = ["A", "B", "C"]
        for name, values, labels in (("images", photos, QUERY_LABELS), ("shapes", shapes, GALLERY_LABELS)):
            file[f"{name}/ids"] = [f"{name}/{row}" for row in range(len(labels))]
            file[f"{name}/labels"] = labels
            file[f"{name}/vectors"] = values.astype(np.float32)
    return path


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("profile", EXPECTED)
def test_the_worked_case_holds_in_every_profile(tmp_path: Path, profile: str, scale: float) -> None:
    path = worked_file(tmp_path / "e.h5", scale)
    done = run("evaluate", path, "--json", "--profile", profile)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    expected = {"NN": NN, "FT": FT, "DCG_legacy": LEGACY, **EXPECTED[profile]}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert list(found)[:10] == [*METRICS, "queries", "gallery", "skipped_queries"]
    assert (found["queries"], found["gallery"], found["skipped_queries"]) == (3, 24, 0)


def test_the_worked_case_reads_in_every_format(tmp_path: Path) -> None:
    path = worked_file(tmp_path / "e.h5")
    for form, said in (
        ("table", "0.533"),
        ("csv", "0.5333333333333333"),
        ("markdown", "| e | 0.667 | 0.533 | 0.772 | 0.500 | 0.581 | 0.566 | 0.448 |"),
        ("latex", r"e & 0.667 & 0.533 & 0.772 & 0.500 & 0.581 & 0.566 & 0.448 &"),
        ("json", '"FT": 0.5333333333333333'),
    ):
        done = run("evaluate", path, "--format", form)
        assert done.exit_code == 0, done.output
        assert said in done.stdout, form
    assert run("evaluate", path, "--csv").stdout == run("evaluate", path, "--format", "csv").stdout


def test_every_table_says_which_definition_it_follows(tmp_path: Path) -> None:
    path = worked_file(tmp_path / "e.h5")
    for form in ("table", "markdown", "latex"):
        assert "mi3dor-legacy: most likely that of HIFA" in run(
            "evaluate", path, "--format", form, "--profile", "mi3dor-legacy"
        ).stdout.replace("\n", " ")


def test_exports_stand_side_by_side_with_the_best_in_bold(tmp_path: Path) -> None:
    paths = [worked_file(tmp_path / "good.h5"), worked_file(tmp_path / "bad.h5", blur=60)]
    lines = run("evaluate", *paths, "--format", "markdown").stdout.splitlines()
    assert lines[2].startswith("| good | **0.667** |")
    document = json.loads(run("evaluate", *paths, "--json").stdout)
    assert [Path(one["export"]).name for one in document["exports"]] == ["good.h5", "bad.h5"]
    alone = json.loads(run("evaluate", paths[0], "--json").stdout)
    assert alone.keys() == document.keys()
    assert alone["exports"] == document["exports"][:1]


def test_a_terminal_shows_the_six_metrics_and_others_when_asked(tmp_path: Path) -> None:
    path = worked_file(tmp_path / "e.h5")
    assert "mAP" not in run("evaluate", path).stdout
    assert "mAP" in run("evaluate", path, "--metrics", "all").stdout
    assert run("evaluate", path, "--metrics", "mAP,NN", "--csv").stdout.startswith("export,mAP,NN,queries")
    assert run("evaluate", path, "--metrics", "nope").exit_code == 2


def test_exports_of_one_name_are_called_by_their_paths(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    paths = [worked_file(tmp_path / "a/e.h5"), worked_file(tmp_path / "e.h5")]
    rows = run("evaluate", *paths, "--csv").stdout.splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [str(path) for path in paths]


def test_classes_intervals_and_comparison_are_added_on_demand(tmp_path: Path) -> None:
    path, other = worked_file(tmp_path / "e.h5"), worked_file(tmp_path / "f.h5", blur=60)
    arguments = ("evaluate", path, "--per-class", "--bootstrap", 50, "--against", other, "--resamples", 100)
    found = json.loads(run(*arguments, "--json").stdout)
    assert list(found["classes"]) == ["A", "B", "C"]
    assert found["classes"]["A"]["FT"] == pytest.approx(0.6)
    assert found["confidence"]["FT"][0] <= found["FT"] <= found["confidence"]["FT"][1]
    assert found["against"]["FT"].keys() == {"difference", "low", "high", "p"}
    shown = run(*arguments).stdout
    assert "e − f" in shown
    assert "[0.500, 0.600]" in shown


def test_the_first_ranks_leave_out_what_needs_them_all(tmp_path: Path) -> None:
    found = json.loads(run("evaluate", worked_file(tmp_path / "e.h5"), "--first-ranks", "--json").stdout)
    assert "mAP" not in found
    assert found["DCG"] == pytest.approx(0.580545, abs=1e-6)


def test_a_result_can_be_written_to_a_file(tmp_path: Path) -> None:
    path, out = worked_file(tmp_path / "e.h5"), tmp_path / "t.tex"
    done = run("evaluate", path, "--format", "latex", "--out", out)
    assert (done.exit_code, done.stdout) == (0, "")
    assert out.read_text() == run("evaluate", path, "--format", "latex").stdout
    assert run("evaluate", path, "--format", "latex", "--out", out).exit_code == 1
    assert run("evaluate", path, "--json", "--out", out, "--force").exit_code == 2  # a .tex file
    assert run("evaluate", path, "--json", "--out", tmp_path / "t.json").exit_code == 0
    assert json.loads((tmp_path / "t.json").read_text())["queries"] == 3
    assert run("evaluate", path, "--out", tmp_path / "t.csv").exit_code == 0  # the ending says the form
    assert (tmp_path / "t.csv").read_text().startswith("export,NN,")


def test_skipped_photos_are_counted_and_said(tmp_path: Path) -> None:
    path = worked_file(tmp_path / "e.h5")
    with h5py.File(path, "r+") as file:
        file["images/labels"][0] = -1
    done = run("evaluate", path, "--json", "-q")
    assert "1 photos have no class that a shape has; skipped" in done.stderr
    assert json.loads(done.stdout)["skipped_queries"] == 1


def test_mistakes_exit_1_with_one_line_and_wrong_usage_exits_2(tmp_path: Path) -> None:
    path = worked_file(tmp_path / "e.h5")
    (tmp_path / "x.h5").write_bytes(b"x")
    for arguments in (
        ("evaluate", tmp_path / "none.h5"),
        ("evaluate", tmp_path / "x.h5"),
        ("plot", tmp_path / "x.h5", "--out", tmp_path / "a.png"),
    ):
        done = run(*arguments)
        assert done.exit_code == 1
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
    usages: list[tuple[object, ...]] = [
        ("evaluate", path, "--profile", "trec"),
        ("evaluate", path, "--json", "--csv"),
        ("evaluate", path, "--bootstrap", -1),
        ("plot", path, "--out", tmp_path / "a.jpg"),
        ("plot", path),
    ]
    for usage in usages:
        assert run(*usage).exit_code == 2, usage


def test_defaults_may_stand_in_a_file(tmp_path: Path) -> None:
    path = worked_file(tmp_path / "e.h5")
    (tmp_path / "hifa.toml").write_text('[evaluate]\nprofile = "psb"\nformat = "json"\n')
    found = json.loads(run("evaluate", path, "--config", tmp_path / "hifa.toml").stdout)
    assert found["profile"] == "psb"


@pytest.mark.parametrize("kind", ["tsne", "pr", "confusion"])
@pytest.mark.parametrize("several", [False, True])
def test_every_figure_is_drawn(tmp_path: Path, kind: str, several: bool) -> None:
    paths = [worked_file(tmp_path / "e.h5")] + ([worked_file(tmp_path / "f.h5", blur=9)] if several else [])
    out = tmp_path / "figures/a.png"
    done = run("plot", *paths, "--out", out, "--kind", kind, "--json", "-q")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["kind"] == kind
    assert out.read_bytes().startswith(b"\x89PNG")
    assert run("plot", *paths, "--out", out, "--kind", kind).exit_code == 1  # it is there


def test_exports_with_other_classes_share_one_numbering_in_a_figure(tmp_path: Path) -> None:
    paths = [worked_file(tmp_path / "e.h5"), worked_file(tmp_path / "f.h5")]
    with h5py.File(paths[1], "r+") as file:
        file.attrs["classes"] = ["C", "A", "Z"]
    out = tmp_path / "a.svg"
    assert run("plot", *paths, "--out", out, "--kind", "confusion").exit_code == 0
    assert ">Z<" in out.read_text()


def test_one_domain_without_labels_is_drawn_too(tmp_path: Path) -> None:
    path = tmp_path / "plain.h5"
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = 1
        file["shapes/ids"] = [str(i) for i in range(12)]
        file["shapes/labels"] = np.full(12, -1)
        file["shapes/vectors"] = np.random.default_rng(0).random((12, 5))
    assert run("plot", path, "--out", tmp_path / "a.png", "-q").exit_code == 0
    done = run("plot", path, "--out", tmp_path / "b.png", "--kind", "pr")
    assert (done.exit_code, "has no photos" in done.stderr) == (1, True)


def test_classes_without_labelled_photos_are_scored_apart_from_the_others(tmp_path: Path) -> None:
    path = worked_file(tmp_path / "e.h5")
    done = run("evaluate", path, "--unlabelled-classes", "B, C", "--json")
    assert done.exit_code == 0, done.output
    known, unlabelled = json.loads(done.stdout)["exports"]
    assert (known["photos"], unlabelled["photos"]) == ("known", "unlabelled")
    labels = np.asarray(QUERY_LABELS)
    assert (known["queries"], unlabelled["queries"]) == ((labels == 0).sum(), (labels > 0).sum())
    assert known["gallery"] == unlabelled["gallery"] == len(GALLERY_LABELS)  # each is asked of all shapes
    whole = json.loads(run("evaluate", path, "--json").stdout)
    share = (labels == 0).mean()
    assert share * known["NN"] + (1 - share) * unlabelled["NN"] == pytest.approx(whole["NN"])
    table = run("evaluate", path, "--unlabelled-classes", "B,C", "--format", "markdown").stdout
    assert "| e (known) |" in table
    assert "| e (unlabelled) |" in table


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (("--unlabelled-classes", "Z"), "no class 'Z': it has A, B, C", 1),
        (("--unlabelled-classes", "A,B,C"), "has no photos of other than the classes given", 1),
        (("--unlabelled-classes", "A", "--against", "{}"), "do not go together", 2),
    ],
)
def test_classes_that_cannot_be_told_apart_are_one_line(
    words: tuple[str, ...], message: str, code: int, tmp_path: Path
) -> None:
    path = worked_file(tmp_path / "e.h5")
    done = run("evaluate", path, *(word.format(path) for word in words))
    assert done.exit_code == code
    assert message in (str(done.exception) + done.output).replace("\n", " ").replace("│ │", " ")


def test_confidence_is_of_each_part_by_itself(tmp_path: Path) -> None:
    path = worked_file(tmp_path / "e.h5")
    done = run("evaluate", path, "--unlabelled-classes", "B,C", "--bootstrap", "50", "--json")
    parts = json.loads(done.stdout)["exports"]
    for part in parts:
        low, high = part["confidence"]["NN"]
        assert low <= part["NN"] <= high
