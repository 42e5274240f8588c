"""Every number of a run can stand in a file, behind --set or in a call; a user's own method has its own."""

import json
from pathlib import Path
from typing import Any

import pytest

import hifa_cli
from hifa_cli.config import TrainConfig
from hifa_cli.errors import HifaError
from hifa_cli.methods.registry import settings_of
from hifa_cli.settings import names_of
from tests.cli.test_cli import hifa, one_line

TINY = """[train]
method = "source-only"
backbone = "test_resnet"
weights = "none"
size = 32
resize = 32
embedding = 8
steps = 1
photos-per-step = 6
device = "cpu"
"""
OWN = '''
from dataclasses import dataclass
from typing import Literal
from hifa_cli.methods.base import Objective

@dataclass(frozen=True)
class PullSettings:
    pull: float = 0.5
    power: Literal["one", "two"] = "two"

class Pull(Objective):
    """Pulls the mean descriptors of both domains together."""
    Settings = PullSettings

    def align(self, source, batch, step, progress):
        target = self.see(batch, step, "shapes")
        gap = (source.pooled.mean(dim=0) - target.pooled.mean(dim=0)).abs()
        return {"pull": self.settings.pull * (gap if self.settings.power == "one" else gap**2).sum()}

@dataclass
class Clash:
    steps: int = 3

class Clashing(Pull):
    Settings = Clash

class Bare(Pull):
    Settings = int
'''


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "hifa.toml"
    path.write_text(TINY, encoding="utf-8")
    return path


def trained(config: Path, photos: Path, out: Path, *words: object) -> dict[str, Any]:
    code, _, err = hifa("train", "--config", config, "--images", photos, "--out", out, *words)
    assert code == 0, err
    stored: dict[str, Any] = json.loads((out / "run.json").read_text(encoding="utf-8"))["train"]
    return stored


def test_a_number_without_a_flag_may_stand_in_a_train_table(
    config: Path, photos: Path, tmp_path: Path
) -> None:
    config.write_text(TINY + "momentum = 0.8\nnesterov = false\namp = 'off'\n", encoding="utf-8")
    stored = trained(config, photos, tmp_path / "run")
    assert (stored["momentum"], stored["nesterov"], stored["amp"]) == (0.8, False, "off")


def test_set_wins_over_the_file_and_leaves_its_other_numbers(
    config: Path, photos: Path, tmp_path: Path
) -> None:
    config.write_text(TINY + "momentum = 0.8\nwarmup = 3\n", encoding="utf-8")
    stored = trained(config, photos, tmp_path / "run", "--set", "momentum=0.7")
    assert (stored["momentum"], stored["warmup"]) == (0.7, 3)


@pytest.mark.parametrize("name", names_of(TrainConfig))
def test_every_number_of_a_run_is_known_to_a_train_table(name: str) -> None:
    from hifa_cli.cli.options import _is_setting

    assert _is_setting("train", name, {})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("momentom = 0.8", "does not know 'momentom'"),
        ("momentum = 'much'", "momentum is a number"),
        ("momentum = [1]", "takes a number, a text, true or false"),
        ("own = '{}'", "does not know 'own'"),
    ],
)
def test_a_wrong_number_in_a_file_is_a_usage_error(
    line: str, said: str, config: Path, photos: Path, tmp_path: Path
) -> None:
    config.write_text(TINY + line + "\n", encoding="utf-8")
    code, _, err = hifa("train", "--config", config, "--images", photos, "--out", tmp_path / "run")
    assert code == 2
    assert said in one_line(err)


def test_an_adapt_table_takes_every_number_too(tmp_path: Path) -> None:
    path = tmp_path / "hifa.toml"
    path.write_text("[adapt]\nrho = 'much'\n", encoding="utf-8")
    code, _, err = hifa("adapt", "--config", path, "x.h5", "--fit", "y.h5", "--out", tmp_path / "z.h5")
    assert code == 2
    assert "rho is a number" in one_line(err)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_pull.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return "my_pull:Pull"


def test_a_users_own_method_has_settings_of_its_own(
    own: str, config: Path, photos: Path, views: Path, tmp_path: Path
) -> None:
    table = TINY.replace("source-only", own).replace("[train]\n", f"[train]\nshapes = '{views}'\n")
    config.write_text(table + "pull = 0.25\nviews = 2\nshapes-per-step = 2\n", encoding="utf-8")
    by_file = trained(config, photos, tmp_path / "run", "--set", "power=one")
    assert json.loads(by_file["own"]) == {"power": "one", "pull": 0.25}
    run = hifa_cli.train(
        photos, views, out=tmp_path / "two", method=own, backbone="test_resnet", weights="none", size=32,
        resize=32, embedding=8, steps=1, photos_per_step=6, shapes_per_step=2, views=2, device="cpu",
        pull=0.25, power="one",
    )  # fmt: skip
    assert json.loads(str(run.config["own"])) == {"power": "one", "pull": 0.25}
    again = hifa_cli.train(
        photos, views, out=tmp_path / "three", method=own, backbone="test_resnet", weights="none", size=32,
        resize=32, embedding=8, steps=1, photos_per_step=6, shapes_per_step=2, views=2, device="cpu",
        pull=0.5, power="one",
    )  # fmt: skip
    assert again.last["pull"] == pytest.approx(2 * run.last["pull"], rel=1e-4)


@pytest.mark.parametrize(
    ("name", "said"),
    [("Clashing", "every run has a setting 'steps'"), ("Bare", "its Settings is not a dataclass")],
)
def test_settings_that_cannot_be_are_refused(own: str, name: str, said: str) -> None:
    with pytest.raises(HifaError, match=said):
        settings_of(own.replace("Pull", name))


def test_a_wrong_setting_of_an_own_method_is_named(
    own: str, photos: Path, views: Path, tmp_path: Path
) -> None:
    code, _, err = hifa(
        "train", "--images", photos, "--shapes", views, "--out", tmp_path / "run", "--method", own, "--set",
        "power=three",
    )  # fmt: skip
    assert code == 2
    assert "power is one of one, two" in one_line(err)
    with pytest.raises(HifaError, match="did you mean 'pull'"):
        hifa_cli.train(photos, views, out=tmp_path / "run", method=own, pul=1.0)


def test_a_row_of_a_comparison_has_them_too(own: str) -> None:
    from hifa_cli.pipelines.compare.plan import row_config
    from hifa_cli.pipelines.compare.rows import parse_arms

    (arm,) = parse_arms(f"{own}(pull=2, momentum=0.5)")
    config = row_config(arm, TrainConfig())
    assert json.loads(config.own) == {"power": "two", "pull": 2.0}
    assert config.momentum == 0.5
