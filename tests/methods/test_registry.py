"""Methods are found by name, the user's own by where they stand."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hifa_cli.cli import app
from hifa_cli.config import ModelConfig, TrainConfig
from hifa_cli.errors import HifaError
from hifa_cli.methods.base import Objective
from hifa_cli.methods.registry import METHODS, build_objective, check_method, find_method
from hifa_cli.models.network import Network

OWN = '''
from hifa_cli.methods.base import Objective

class Mine(Objective):
    """Pulls the mean descriptors of both domains together."""
    def align(self, source, batch, step, progress):
        target = self.see(batch, step, "shapes")
        return {"mine": (source.pooled.mean(dim=0) - target.pooled.mean(dim=0)).square().sum()}

class Stranger:
    pass
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_methods.py").write_text(OWN)
    (tmp_path / "my_broken.py").write_text("raise RuntimeError('first line\\nsecond line')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_of_the_table_is_an_objective(name: str) -> None:
    kind, _ = find_method(name)
    assert issubclass(kind, Objective)
    assert METHODS[name].about


def test_only_methods_of_the_photos_classes_alone_need_no_shapes_in_a_step() -> None:
    assert [name for name in METHODS if not find_method(name)[0].sees_shapes] == ["source-only", "adabn"]


def test_a_users_own_class_is_built(own: Path) -> None:
    network = Network(ModelConfig(backbone="test_resnet", classes=("a",), embedding=4, size=32))
    torch.manual_seed(0)
    built = build_objective(network, replace(TrainConfig(), method="my_methods:Mine"), 0)
    assert type(built).__name__ == "Mine"
    assert built.network is network


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hifi", "choose source-only"),
        ("", "choose source-only"),
        ("my_methods:", "choose source-only"),
        ("my methods:Mine", "choose source-only"),
        ("os;rm:Mine", "choose source-only"),
        ("my_methods:Nobody", "cannot import"),
        ("no_such_module_anywhere:Mine", "PYTHONPATH"),
        ("my_broken:Mine", "first line"),
        ("my_methods:Stranger", "not a subclass"),
        ("json:loads", "not a subclass"),
    ],
)
def test_what_is_no_method_is_said_in_one_line(own: Path, name: str, said: str) -> None:
    with pytest.raises(HifaError, match=said) as caught:
        find_method(name)
    assert "\n" not in str(caught.value)


def test_checking_a_name_imports_nothing(own: Path) -> None:
    check_method("my_broken:Mine")


def test_an_unknown_name_is_a_usage_error_that_lists_the_known(tmp_path: Path) -> None:
    asked = ["train", "--images", str(tmp_path), "--out", str(tmp_path / "run"), "--method", "hifi"]
    done = CliRunner().invoke(app, asked, env={"COLUMNS": "300", "TERM": "dumb"})
    assert done.exit_code == 2
    assert all(name in done.output for name in METHODS)


def test_a_users_class_that_sees_shapes_needs_them(own: Path, tmp_path: Path) -> None:
    asked = ["train", "--images", str(tmp_path), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, [*asked, "--method", "my_methods:Mine"], env={"COLUMNS": "300"})
    assert done.exit_code == 2
    assert "--shapes" in done.output
