"""docs/extending.md does what it says: its diffs apply to a copy of the package, are short, and work."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import write_photos, write_views

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SECTIONS = {
    part.split("\n", 1)[0]: re.findall(r"```(?:diff|python)\n(.*?)```", part, re.DOTALL)
    for part in TEXT.split("\n## ")[1:]
}
MOST_LINES, MOST_PLACES = 15, 2


def diffs(section: str) -> list[tuple[Path, list[list[str]]]]:
    """Return the files of a section's diff and their hunks."""
    found: list[tuple[Path, list[list[str]]]] = []
    for line in "".join(SECTIONS[section]).splitlines():
        if line.startswith("+++ b/"):
            found.append((Path(line.removeprefix("+++ b/")), []))
        elif line.startswith("@@"):
            found[-1][1].append([])
        elif not line.startswith("--- ") and found:
            found[-1][1][-1].append(line)
    return found


def apply(section: str, folder: Path) -> None:
    """Apply a section's diff below ``folder``; every hunk must fit in one place."""
    for path, hunks in diffs(section):
        file = folder / path
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        for hunk in hunks:
            old = "".join(f"{line[1:]}\n" for line in hunk if line[:1] in " -")
            new = "".join(f"{line[1:]}\n" for line in hunk if line[:1] in " +")
            assert text.count(old) == 1 or not text, f"{section}: {path} has no one place for {old!r}"
            text = text.replace(old, new) if text else new
        file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("section", [name for name in SECTIONS if name != "A method of your own"])
def test_an_extension_is_short_and_touches_two_places_at_most(section: str) -> None:
    found = diffs(section)
    assert 1 <= len(found) <= MOST_PLACES
    assert sum(line.startswith("+") for _, hunks in found for hunk in hunks for line in hunk) < MOST_LINES


def test_an_own_method_is_short() -> None:
    assert (
        len([line for line in SECTIONS["A method of your own"][0].splitlines() if line.strip()]) < MOST_LINES
    )


PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
import hifa_cli as hifa
root, photos, views = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
assert Path(hifa.__file__).parent.parent == root, hifa.__file__
tiny = dict(backbone="test_resnet", weights="none", size=32, resize=32, embedding=8, steps=1, views=2,
            photos_per_step=6, shapes_per_step=2, device="cpu", label_smoothing=0.1)
said = {}
run = hifa.train(photos, views, out=root / "run", method="hifa-g", **tiny)
said["loss"] = run.last["means"]
said["number"] = run.config["label_smoothing"]
own = hifa.train(photos, views, out=root / "own", method="my_methods:Pull", pull=0.25, **tiny)
said["own"] = [own.last["pull"], json.loads(own.config["own"])]
said["metric"] = hifa.evaluate(hifa.embed(run, images=photos, shapes=views, device="cpu")).to_dict()["P3"]
from hifa_cli.models.backbones import backbone_of
said["backbone"] = [backbone_of("resnet-small").model, backbone_of("resnet-small").size]
from hifa_cli.render.meshes import read_mesh
(root / "a.soup").write_text("soup 0 0 0 1 0 0 0 1 0")
from hifa_cli.data import MESH_SUFFIXES
said["mesh"] = [len(read_mesh(root / "a.soup").faces), ".soup" in MESH_SUFFIXES]
from typer.testing import CliRunner
from hifa_cli.cli import app
shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "120"}).output
said["flag"] = "--label-smoothing" in shown
print(json.dumps(said))
"""


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """A copy of the package with all extensions."""
    shutil.copytree(ROOT / "hifa_cli", tmp_path / "hifa_cli", ignore=shutil.ignore_patterns("__pycache__"))
    for section in SECTIONS:
        if section != "A method of your own":
            apply(section, tmp_path)
    return tmp_path


def test_all_extensions_together_apply(extended: Path) -> None:
    changed = {path for section in SECTIONS for path, _ in diffs(section)}
    assert changed
    for path in changed:
        compile((extended / path).read_text(encoding="utf-8"), str(path), "exec")


@pytest.mark.slow
def test_all_extensions_together_work(extended: Path) -> None:
    tmp_path = extended
    (tmp_path / "my_methods.py").write_text(SECTIONS["A method of your own"][0], encoding="utf-8")
    photos, views = write_photos(tmp_path / "photos"), write_views(tmp_path / "views")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(photos), str(views)],
        capture_output=True, text=True, check=False, timeout=500, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["loss"] >= 0
    assert said["number"] == 0.1
    assert said["own"][1] == {"pull": 0.25}
    assert 0 <= said["metric"] <= 1
    assert said["backbone"] == ["resnet18.a1_in1k", 224]
    assert said["mesh"] == [1, True]
    assert said["flag"]
