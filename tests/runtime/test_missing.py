"""A verb that needs a package which is not installed says so in one line, with the command."""

import subprocess
import sys
from pathlib import Path

import pytest

from hifa_cli.runtime.missing import what_is_missing
from tests.conftest import write_photos

ROOT = Path(__file__).resolve().parents[2]
_WITHOUT = """
import sys
for name in {names!r}:
    sys.modules[name] = None
from hifa_cli.cli import main
sys.argv = ["hifa", *sys.argv[1:]]
main()
"""


def without(names: list[str], *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _WITHOUT.format(names=names), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_training_without_torch_names_it_and_what_brings_it(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", each=2)
    done = without(
        ["torch"],
        "train",
        "--images",
        photos,
        "--method",
        "source-only",
        "--out",
        tmp_path / "run",
        "--quiet",
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        "error: 'hifa train' needs torch for this, which is not installed: pip install torch torchvision timm"
    )
    assert "Traceback" not in done.stderr


def test_our_own_missing_module_is_a_fault_and_not_explained_away() -> None:
    assert what_is_missing(ModuleNotFoundError("x", name="hifa_cli.nope"), "train") is None
    assert what_is_missing(ModuleNotFoundError("x"), "train") is None
    said = what_is_missing(ModuleNotFoundError("x", name="sklearn.manifold"), "plot")
    assert said is not None
    assert "scikit-learn" in said


@pytest.mark.slow
def test_the_slim_install_is_small_and_runs_every_verb() -> None:
    subprocess.run([ROOT / "scripts" / "slim"], check=True)
