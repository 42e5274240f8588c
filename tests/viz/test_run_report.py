"""A run's report: one page that needs nothing else, made of nothing that training may not know."""

import json
import re
from pathlib import Path

import pytest
import torch

import hifa_cli as api
from hifa_cli.config import TrainConfig
from hifa_cli.data import Collection
from hifa_cli.errors import HifaError
from hifa_cli.pipelines import train as stage
from hifa_cli.training.trainer import TrainReport
from hifa_cli.viz.run_report import MOST_CLASSES, write_report
from tests.cli.test_cli import hifa
from tests.conftest import write_photos, write_views

FAST = ("--steps", "4", "--set", "views=2", "--quiet")


def run_of(place: Path, out: Path, *words: object) -> Path:
    code, _, err = hifa(
        "train", "--images", place / "photos", "--shapes", place / "views", "--out", out, *FAST, *words
    )
    assert code == 0, err
    return out


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    write_photos(root / "photos", each=4)
    write_views(root / "views", each=4, views=2)
    return root


def test_the_page_needs_nothing_and_names_what_was_believed(place: Path, tmp_path: Path) -> None:
    page = (run_of(place, tmp_path / "run") / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not re.search(r"(src|href)='(?!data:)", page)
    assert page.count("<figure") == 2
    health = json.loads((tmp_path / "run/health.json").read_text(encoding="utf-8"))
    for name, both in health["examples"].items():
        assert f"<h3>{name}, most surely" in page
        shares = [share for _, share in both["sure"]]
        assert shares == sorted(shares, reverse=True)
        assert all(Path(path).is_file() for path, _ in both["sure"] + both["unsure"])
    assert sum(health["shapes"].values()) == 12
    assert set(health["photos"].values()) == {4}
    run_of(place, tmp_path / "run")  # again: nothing is left to do
    assert (tmp_path / "run/report.html").read_text(encoding="utf-8") == page


def test_labels_of_shapes_change_no_byte_of_it(place: Path, tmp_path: Path) -> None:
    pages = []
    names = sorted(path.relative_to(place / "views").as_posix() for path in (place / "views").glob("*/*"))
    for shift in (0, 5):
        lines = [f"{name} {(number + shift) % 3}" for number, name in enumerate(names)]
        (place / "views/label.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        page = (run_of(place, tmp_path / str(shift) / "run") / "report.html").read_text(encoding="utf-8")
        pages.append(re.sub(r"steps in [\d.]+ s", "", page))
        health = (tmp_path / str(shift) / "run/health.json").read_bytes()
        pages.append(health.decode())
    (place / "views/label.txt").unlink()
    assert pages[:2] == pages[2:]


def test_a_run_without_labels_of_shapes_has_curves(place: Path, tmp_path: Path) -> None:
    page = (run_of(place, tmp_path / "run", "--method", "source-only") / "report.html").read_text("utf-8")
    assert "gives shapes no classes before it trains" in page
    assert "L_C" not in page  # in a picture, not in words
    assert "<h2>Curves</h2>" in page


def test_a_name_cannot_become_markup(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", each=3)
    (tmp_path / "photos/bars").rename(tmp_path / "photos/<b>&'x")
    write_views(tmp_path / "views", each=3, views=2)
    page = (run_of(tmp_path, tmp_path / "run") / "report.html").read_text(encoding="utf-8")
    assert "<b>&'x" not in page
    assert "&lt;b&gt;&amp;&#x27;x" in page


def test_a_page_of_very_many_classes_stays_small(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    (tmp_path / "log.jsonl").write_text("", encoding="utf-8")
    shown = {f"class {number}": {"sure": [["gone/00.png", 0.5]], "unsure": []} for number in range(1000)}
    (tmp_path / "health.json").write_text(json.dumps({"examples": shown}), encoding="utf-8")
    page = write_report(tmp_path, None, ()).read_text(encoding="utf-8")
    assert page.count("<h3>") == MOST_CLASSES
    assert f"{MOST_CLASSES} of 1000 classes" in page
    assert "the picture is gone" in page


@pytest.mark.slow
def test_python_writes_it_and_it_can_be_left_out(place: Path, tmp_path: Path) -> None:
    api.train(place / "photos", place / "views", out=tmp_path / "run", steps=3, views=2, report=False)
    assert not (tmp_path / "run/report.html").exists()
    api.train(place / "photos", place / "views", out=tmp_path / "run", steps=3, views=2)
    assert (tmp_path / "run/report.html").is_file()


def test_a_page_that_cannot_be_made_costs_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise HifaError("the disk is full")

    whole = TrainReport(tmp_path, 1, 0.0, "digest", {})
    monkeypatch.setattr(stage, "train", lambda *_, **__: whole)
    monkeypatch.setattr(stage, "export_onnx", lambda _: True)
    monkeypatch.setattr(stage, "write_report", refuse)
    nothing, cpu = Collection((), ()), torch.device("cpu")
    assert (
        stage.run_training(nothing, nothing, tmp_path, TrainConfig(), seed=0, device=cpu, force=False)
        is whole
    )
