"""``hifa compare``: rows over seeds through the command line, killed, resumed and with rows that fail."""

import csv
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from hifa_cli.adaptation.adapters import adapt
from hifa_cli.config import AdaptConfig, TrainConfig
from hifa_cli.data.mi3dor import MI3DOR_CLASSES
from hifa_cli.embeddings.io import read_export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.evaluate import evaluate
from hifa_cli.evaluation.metrics import METRICS
from hifa_cli.pipelines.compare import run as stage
from hifa_cli.pipelines.compare.jobs import Runner, Shared, code_digest, finished
from hifa_cli.pipelines.compare.plan import plan
from hifa_cli.pipelines.compare.report import document, tables
from hifa_cli.pipelines.compare.rows import parse_arms
from hifa_cli.pipelines.compare.workers import Crew, Worker
from hifa_cli.runtime.child import program_command
from hifa_cli.runtime.lock import sole_output
from hifa_cli.viz.tables import to_latex, to_markdown
from tests.cli.test_cli import hifa
from tests.conftest import write_photos, write_views
from tests.trees import picture, views

ROWS = "source-only,hifa-gl,hifa(weight_mutual=0),hifa,jgsa(dimension=4),frozen"
TINY = (
    "--backbone", "test_resnet", "--weights", "none", "--freeze", "trunk", "--steps", "6",
    "--set", "embedding=8", "--set", "size=32", "--set", "warmup=0", "--set", "checkpoint=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos and views of three patterns, in train and test."""
    root = tmp_path_factory.mktemp("world")
    for seed, split in enumerate(("train", "test")):
        write_photos(root / "photos" / split, seed=seed)
        write_views(root / "views" / split, seed=10 + seed, views=3)
    return root


def words(world: Path, out: Path, methods: str = ROWS, *more: object) -> list[str]:
    data = ("--images", world / "photos", "--shapes", world / "views", "--out", out)
    return list(map(str, ("compare", *data, "--methods", methods, "--seeds", "2", *TINY, *more)))


@pytest.fixture(scope="module")
def compared(world: Path) -> tuple[Path, dict[str, Any]]:
    """An undisturbed comparison of all rows: its folder and document."""
    code, out, err = hifa(*words(world, world / "done", ROWS, "--json", "--jobs", 1))
    assert code == 0, err
    return world / "done", json.loads(out)


def scores(found: dict[str, Any]) -> dict[tuple[str, int | None], dict[str, Any]]:
    """What must be the same whenever the same things are compared."""
    return {
        (arm["name"], run["seed"]): {key: run[key] for key in ("model", *METRICS)}
        for arm in found["arms"]
        for run in arm["runs"]
    }


def test_every_row_has_every_seed_and_the_document_is_as_described(
    compared: tuple[Path, dict[str, Any]],
) -> None:
    folder, found = compared
    assert found["schema"] == 1
    assert found["seeds"] == [0, 1]
    assert found["splits"] == {"train": "train", "test": "test"}
    assert {**found["data"]["test"], "digest": ""} == {"photos": 12, "shapes": 9, "classes": 3, "digest": ""}
    assert (found["settings"]["steps"], found["settings"]["embedding"]) == (6, 8)
    assert (found["benchmark"], found["published"]) == (None, None)
    assert [arm["name"] for arm in found["arms"]] == ROWS.split(",")
    assert [[run["seed"] for run in arm["runs"]] for arm in found["arms"]] == [[0, 1]] * 5 + [[None]]
    for arm in found["arms"]:
        assert set(arm) == {"name", "runs", "mean", "deviation", "failed", "differs_in", "code"}
        assert set(arm["mean"]) == set(arm["deviation"]) == set(METRICS)
        assert all((folder / run["folder"] / "test.h5").is_file() for run in arm["runs"])
    hifa_row = next(arm for arm in found["arms"] if arm["name"] == "hifa")
    first, second = (run["FT"] for run in hifa_row["runs"])
    assert hifa_row["mean"]["FT"] == pytest.approx((first + second) / 2)
    assert hifa_row["deviation"]["FT"] == pytest.approx(abs(first - second) / 2**0.5)
    assert {(one["arm"], one["against"]) for one in found["differences"]} > {
        ("hifa", "hifa-gl"), ("hifa", "source-only"), ("frozen", "source-only")
    }  # fmt: skip
    assert {"mean", "error", "wins", "seeds"} == set(found["differences"][0]["NN"])
    assert [one["over"] for one in found["gains"]] == [name for name in ROWS.split(",") if name != "hifa"]
    assert json.loads((folder / "compare.json").read_text()) == found


def test_the_scores_are_those_of_train_export_and_evaluate(
    world: Path, compared: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """One run by hand, with the verbs."""
    _, found = compared
    data = ("--images", world / "photos", "--shapes", world / "views")
    run, exported = tmp_path / "run", tmp_path / "test.h5"
    assert (
        hifa("train", *data, "--split", "train", "--out", run, "--method", "hifa", "--seed", 1, *TINY)[0] == 0
    )
    assert hifa("export", *data, "--split", "test", "--model", run, "--out", exported)[0] == 0
    code, out, _ = hifa("evaluate", exported, "--json")
    assert code == 0
    by_hand, ours = json.loads(out), scores(found)["hifa", 1]
    assert {name: by_hand[name] for name in METRICS} == pytest.approx(
        {name: ours[name] for name in METRICS}, abs=1e-6
    )


def test_a_row_with_statistics_of_shapes_scores_as_by_hand_and_photos_are_looked_at_once(
    world: Path, tmp_path: Path
) -> None:
    """AdaBN: trained on one split, its statistics from that split's shapes."""
    kept = ("--feature-cache", tmp_path / "kept")
    code, out, err = hifa(*words(world, tmp_path / "out", "source-only,adabn,frozen", "--json", *kept))
    assert code == 0, err
    found = scores(json.loads(out))
    assert found["adabn", 1]["model"] != found["source-only", 1]["model"]
    data = ("--images", world / "photos", "--shapes", world / "views")
    run, exported = tmp_path / "run", tmp_path / "test.h5"
    hifa("train", *data, "--split", "train", "--out", run, "--method", "adabn", "--seed", 1, *TINY)
    assert hifa("export", *data, "--split", "test", "--model", run, "--out", exported)[0] == 0
    by_hand = json.loads(hifa("evaluate", exported, "--json")[1])
    ours = {name: found["adabn", 1][name] for name in METRICS}
    assert {name: by_hand[name] for name in METRICS} == pytest.approx(ours, abs=1e-6)
    trunks = 2  # random weights: another trunk a seed
    assert len(list((tmp_path / "kept/norms").iterdir())) == trunks
    photos, shapes = (len(list((world / name).glob("*/*/*"))) for name in ("photos", "views"))
    tested = len(list((world / "views/test").glob("*/*")))
    assert shapes == 2 * tested  # those of training are not looked at by these rows
    files = [path for path in (tmp_path / "kept").rglob("*.safetensors") if path.parent.name != "norms"]
    assert len(files) == trunks * (photos + 2 * tested)


def test_the_placebo_is_hifa_gl_to_the_bit(compared: tuple[Path, dict[str, Any]]) -> None:
    """The term of weight zero acts on nothing: the rows of the ablation share every other draw."""
    found = scores(compared[1])
    for seed in (0, 1):
        assert found["hifa(weight_mutual=0)", seed] == found["hifa-gl", seed]
        assert found["hifa", seed]["model"] != found["hifa-gl", seed]["model"]


def test_a_shallow_row_adapts_its_bases_embeddings_fitted_on_the_training_split(
    compared: tuple[Path, dict[str, Any]],
) -> None:
    folder, found = compared
    config = AdaptConfig(method="jgsa", dimension=4)
    base, row = (next(folder.glob(f"arms/{name}/seed-1")) for name in ("source-only-*", "jgsa-dimension=4-*"))
    test, fit = read_export(base / "test.h5"), read_export(base / "train.h5")
    assert test.images is not None
    assert fit.images is not None
    assert not set(test.images.ids) & set(fit.images.ids)
    by_hand, ours = evaluate(adapt(test, fit, config)).values(), scores(found)["jgsa(dimension=4)", 1]
    assert {name: ours[name] for name in METRICS} == {name: by_hand[name] for name in METRICS}
    assert (row / "test.h5").is_file()


def test_tables_and_figures_are_written(compared: tuple[Path, dict[str, Any]]) -> None:
    folder, found = compared
    markdown, latex = ((folder / f"compare.{ending}").read_text() for ending in ("md", "tex"))
    mean, deviation = found["arms"][0]["mean"]["FT"], found["arms"][0]["deviation"]["FT"]
    assert f"{mean:.3f} ± {deviation:.3f}" in markdown
    assert rf"{mean:.3f} $\pm$ {deviation:.3f}" in latex
    assert "hifa − hifa-gl" in markdown
    assert "relative gain of hifa" in markdown
    assert (folder / "compare.png").read_bytes()[:4] == b"\x89PNG"
    assert (folder / "compare.pdf").read_bytes()[:4] == b"%PDF"


def test_the_same_command_again_works_no_more_and_says_the_same(
    world: Path, compared: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stage, "_work", lambda *_: pytest.fail("worked again"))
    copies = ("--markdown", tmp_path / "a.md", "--latex", tmp_path / "a.tex")
    code, out, _ = hifa(*words(world, compared[0], ROWS, "--json", *copies))
    assert code == 0
    assert json.loads(out) == compared[1]
    assert (tmp_path / "a.md").read_text() == (compared[0] / "compare.md").read_text()
    assert (tmp_path / "a.tex").read_text() == (compared[0] / "compare.tex").read_text()
    code, out, _ = hifa(*words(world, compared[0], "hifa,source-only", "--json", "--reference", "hifa"))
    assert code == 0
    assert [(one["arm"], one["against"]) for one in json.loads(out)["differences"]] == [
        ("source-only", "hifa")
    ]


def children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # a list a thread that has started some
    return [int(one) for each in lists for one in each.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(what: Any, seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="NO /proc: processes cannot be looked for")
def test_a_comparison_that_was_ended_leaves_nobody_behind_and_goes_on(
    number: signal.Signals, world: Path, compared: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    rows = "source-only,hifa-gl,hifa"
    command = [sys.executable, "-m", "hifa_cli", *words(world, tmp_path / "out", rows, "--jobs", 1)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    first = wait_for(lambda: sorted((tmp_path / "out" / "arms").glob("*/*/scores.json")))
    workers = children(process.pid)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    assert (number == signal.SIGKILL) or "the same command goes on" in err
    assert workers
    wait_for(lambda: not any(map(alive, workers)), 10)
    kept = {path: path.read_bytes() for path in first}
    code, out, err = hifa(*words(world, tmp_path / "out", rows, "--jobs", 1, "--json"))
    assert code == 0, err
    assert {path: path.read_bytes() for path in first} == kept
    undisturbed = {key: one for key, one in scores(compared[1]).items() if key[0] in rows.split(",")}
    assert scores(json.loads(out)) == undisturbed


# A worker at something that is neither training nor quick.
SLOW = """
import time
from pathlib import Path
from hifa_cli.runtime.atomic import written_file
from hifa_cli.pipelines.compare import worker
from hifa_cli.runtime import progress
class Runner:
    def __init__(self, shared): pass
    def __call__(self, job):
        with written_file(Path(job.folder) / "emb.h5"):
            progress.warn("writing")
            time.sleep(600)
worker.Runner = Runner
worker.main()
"""


def test_a_worker_that_is_asked_to_stop_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "command", staticmethod(lambda: program_command(SLOW)))
    job = replace(next(iter(planned("frozen").jobs.values())), folder=str(tmp_path))
    crew = Crew(asdict(Shared("", "", "train", "test", "mi3dor", "cpu", "", "")), workers=1, threads=1)
    assert next(crew.run([(0, asdict(job))])).value == "writing"
    assert len(list(tmp_path.glob(".*.part"))) == 1
    began = time.monotonic()
    crew.stop(60)
    assert list(tmp_path.iterdir()) == []
    assert time.monotonic() - began < 30


def test_a_row_that_fails_is_told_and_the_others_go_on(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "suicides.py").write_text(
        "import os, signal\n"
        "from hifa_cli.methods.base import SourceOnly\n"
        "class Killed(SourceOnly):\n"
        "    def align(self, *_):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "class Wrong(SourceOnly):\n"
        "    def align(self, *_):\n"
        "        raise ZeroDivisionError('by nothing')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    rows = "suicides:Killed,suicides:Wrong,hifa(weights=nowhere.pt),frozen:test_vit(weights=none),source-only"
    more = ("--json", "--seeds", "1", "--jobs", 1, "--feature-cache", tmp_path / "kept")
    code, out, err = hifa(*words(world, tmp_path / "out", rows, *more))
    assert code == 0
    assert (tmp_path / "kept").is_dir()
    assert not (tmp_path / "out" / "features").exists()
    assert "3 of 5 jobs failed" in err
    found = {arm["name"]: arm for arm in json.loads(out)["arms"]}
    reasons = [found[name]["failed"][0]["reason"] for name in list(found)[:3]]
    assert "SIGKILL" in reasons[0]
    assert reasons[1].startswith("ZeroDivisionError: by nothing (see ")
    assert "by nothing" in Path(reasons[1].split("(see ")[1][:-1]).read_text()
    assert "nowhere.pt" in reasons[2]
    assert [len(arm["runs"]) for arm in found.values()] == [0, 0, 0, 1, 1]
    assert "| suicides:Killed | 0 | its process was ended by SIGKILL" in (
        tmp_path / "out" / "compare.md"
    ).read_text().replace("\\", "")
    again = words(
        world, tmp_path / "out", "hifa(weights=nowhere.pt),source-only", "--seeds", "1", "--jobs", 1
    )
    assert hifa(*again, "--strict")[0] == 1
    code, _, err = hifa(
        *words(world, tmp_path / "out", "hifa(weights=nowhere.pt)", "--seeds", "1", "--jobs", 1)
    )
    assert (code, err.splitlines()[-1][:24]) == (1, "error: 1 of 1 jobs faile")


def planned(methods: str, out: Path = Path("out"), **changes: Any) -> Any:
    config = replace(TrainConfig(steps=30), **changes)
    return plan(parse_arms(methods), (0, 1), config, out, train_data="x", device="cpu")


def test_a_picture_that_goes_away_while_a_row_trains_is_no_result(world: Path, tmp_path: Path) -> None:
    photos = shutil.copytree(world / "photos", tmp_path / "photos")
    rest = (str(world / "views"), "train", "test", "mi3dor", "cpu")
    tiny = {"backbone": "test_resnet", "weights": "none", "freeze": "trunk", "size": 32, "embedding": 8}

    def scored(folder: str, runner: Runner) -> Any:
        job = planned("source-only", tmp_path / folder, steps=2, **tiny).jobs["source-only", 0]
        return runner(job)["model"]

    def runner(features: str) -> Runner:
        found = Runner(Shared(str(photos), *rest, str(tmp_path / features), ""))
        assert found._train[0].items  # listed
        return found

    whole = scored("whole", runner("a"))
    begun, one = runner("b"), next((photos / "train").rglob("*.png"))
    one.rename(tmp_path / "away")
    with pytest.raises(HifaError, match=f"{one.name} went away: put it back"):
        scored("out", begun)
    assert list((tmp_path / "out").rglob("run.json")) == []
    (tmp_path / "away").rename(one)
    assert scored("out", runner("b")) == whole
    one.write_bytes(b"damaged")
    assert scored("less", runner("b")) != whole


def test_all_rows_share_every_setting_but_their_own() -> None:
    found = planned("source-only,hifa,hifa(weight_mutual=0),hifa(backbone=resnet50),jgsa,frozen")
    shared = asdict(TrainConfig(steps=30))
    for (name, seed), job in found.jobs.items():
        if job.kind == "trained":
            own = {key for key, value in job.train.items() if value != shared[key]} - {"method"}
            assert own == set(re.findall(r"\((\w+)=", name))
            assert job.seed == seed
    assert found.unlike == {"hifa(backbone=resnet50)": ("backbone",)}
    assert [seed for name, seed in found.jobs if name == "frozen"] == [None]
    assert found.jobs["source-only", 0].fits
    assert not found.jobs["hifa", 0].fits
    assert found.jobs["jgsa", 1].base == found.jobs["source-only", 1].folder
    assert list(found.jobs).index(("source-only", 1)) < list(found.jobs).index(("jgsa", 0))


def test_the_default_recipe_is_a_row_with_the_budget_of_the_others() -> None:
    found = planned("source-only,default,default(dropout=0.5)", steps=30, views=7)
    job = found.jobs["default", 0]
    assert (job.train["method"], job.train["preset"]) == ("hifa-l", "propagated")
    assert (job.train["steps"], job.train["views"]) == (30, 7)
    assert (job.train["inputs"], job.train["centred"], job.train["descriptor"]) == ("blocks", True, "fused")
    assert found.jobs["default(dropout=0.5)", 1].train["dropout"] == 0.5
    assert found.unlike == {}
    other = planned("default", backbone="test_resnet").jobs["default", 0]
    assert (other.train["inputs"], other.train["pooling"]) == ("pooled", "mean")


def test_rows_of_another_version_of_the_code_are_marked(
    world: Path, compared: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    assert {code for arm in compared[1]["arms"] for code in arm["code"]} == {code_digest()}
    shutil.copytree(compared[0], tmp_path / "done")
    for path in (tmp_path / "done").glob("arms/source-only-*/seed-*/scores.json"):
        stored = json.loads(path.read_text())
        del stored["code"]  # as versions before it wrote
        path.write_text(json.dumps(stored))
    code, out, err = hifa(*words(world, tmp_path / "done", "source-only,hifa", "--json"))
    assert code == 0
    assert "source-only: done by another version of the code" in " ".join(err.split())
    assert [arm["code"] for arm in json.loads(out)["arms"]] == [[""], [code_digest()]]
    table = (tmp_path / "done" / "compare.md").read_text()
    assert f"MIXED VERSIONS OF THE CODE: not known: source-only; {code_digest()}: hifa" in table
    assert "MIXED" not in (compared[0] / "compare.md").read_text()


def test_other_settings_data_or_seeds_have_other_folders() -> None:
    def folder(**changes: Any) -> str:
        return str(planned("hifa", **changes).jobs["hifa", 0].folder)

    assert folder() == folder()
    others = [folder(steps=31), folder(radius=24.0), planned("hifa").jobs["hifa", 1].folder]
    others.append(
        plan(parse_arms("hifa"), (0,), TrainConfig(steps=30), Path("out"), train_data="y", device="cpu")
        .jobs["hifa", 0]
        .folder
    )
    assert len({folder(), *others}) == 5


def test_scores_of_other_test_data_or_definitions_are_not_taken(
    compared: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, _ = compared
    path = next(folder.glob("arms/hifa-gl*/seed-0"))
    kept = json.loads((path / "scores.json").read_text())
    shared = Shared("", "", "train", "test", "mi3dor", "cpu", "", kept["test_data"])
    job = replace(planned("hifa-gl").jobs["hifa-gl", 0], folder=str(path))
    assert finished(job, shared) == kept
    assert finished(job, replace(shared, profile="psb")) is None
    assert finished(job, replace(shared, test_data="other")) is None
    assert finished(replace(job, fits=True), shared) is None
    assert finished(replace(job, folder=str(path.parent)), shared) is None
    damaged = tmp_path / "seed-0"
    shutil.copytree(path, damaged)
    (damaged / "scores.json").write_text('{"schema": 1, "test_data"')
    assert finished(replace(job, folder=str(damaged)), shared) is None


def test_mi3dor_is_known_by_its_classes_and_stands_beside_the_published_numbers(tmp_path: Path) -> None:
    for name in MI3DOR_CLASSES:
        for split in ("train", "test"):
            picture(tmp_path / "image" / split / name / "a.png")
            views(tmp_path / "view" / split / name / "b", numbers=range(2))
    benchmark, differences = stage._benchmark(tmp_path / "image", tmp_path / "view")
    assert benchmark == "MI3DOR"
    assert any("21 of 10500 published" in one for one in differences)
    arms = parse_arms("source-only,hifa")
    made = plan(arms, (0, 1), TrainConfig(), tmp_path, train_data="", device="cpu")
    shared = Shared("", "", "train", "test", "mi3dor-legacy", "cpu", "", "")
    counts = {split: {"photos": 21, "shapes": 21, "classes": 21} for split in ("train", "test")}
    done = stage.Comparison(
        tmp_path, arms, (0, 1), TrainConfig(), made, shared, "cpu", counts, benchmark, differences
    )
    for (name, seed), job in made.jobs.items():
        level = 0.5 if name == "hifa" else 0.4
        done.scores[name, seed] = {
            **dict.fromkeys(METRICS, level), "DCG_legacy": 0.25, "seconds": {}, "model": job.folder
        }  # fmt: skip
    text = to_markdown(tables(done)).replace("\\", "")
    assert "| HIFA | 0.500 (0.778) | 0.500 (0.618) | 0.500 (0.768) | 0.500 (0.151) | 0.250 (0.654) |" in text
    assert "| AlexNet | 0.400 (0.424) | 0.400 (0.323) | 0.400 (0.469) | 0.400 (0.099†) |" in text
    assert "| JAN | – (0.446) |" in text
    assert "| source-only | +25.00 % |" in text
    assert r"(0.099$^\dagger$)" in to_latex(tables(done))
    found = document(done)
    assert found["published"]["scores"]["hifa"]["NN"] == 0.778
    assert found["published"]["gains"]["dlea"]["NN"] == pytest.approx(0.0183, abs=5e-5)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--methods", "dlae"], "dlae"),
        (["--methods", "hifa(raduis=1)"], "raduis"),
        (["--methods", "hifa(method=jan)"], "method"),
        (["--methods", "hifa("], "hifa("),
        (["--methods", "frozen(norm=adabn)"], "taken by training"),
        (["--seeds", "-1"], "--seeds"),
        (["--seeds", "a"], "--seeds"),
        (["--seeds", "0"], "--seeds"),
        (["--seeds", "9" * 20], "--seeds"),
        (["--set", "steps"], "steps"),
        (["--reference", "jan"], "--reference"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_made(
    more: list[str], said: str, world: Path, tmp_path: Path
) -> None:
    data = ("--images", world / "photos", "--shapes", world / "views", "--out", tmp_path / "out")
    code, _, err = hifa("compare", *data, "--methods", "hifa", *more)
    assert code == 2
    assert said in err
    assert not (tmp_path / "out").exists()


def test_the_splits_must_be_two_and_the_folder_free(world: Path, tmp_path: Path) -> None:
    code, _, err = hifa(*words(world, tmp_path / "out", "hifa", "--test-split", "train"))
    assert (code, "both splits" in err) == (1, True)
    code, _, err = hifa(*words(tmp_path, tmp_path / "out", "hifa"))  # no photos there
    assert code == 1
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("1")
    code, _, err = hifa(*words(world, tmp_path / "out", "hifa"))
    assert (code, "is not a comparison" in err) == (1, True)
    with sole_output(tmp_path / "other"):
        code, _, err = hifa(*words(world, tmp_path / "other", "hifa"))
    assert (code, "another hifa" in err) == (1, True)


def test_settings_come_from_the_train_table_flags_and_set_in_this_order(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[tuple[TrainConfig, tuple[int, ...]]] = []

    def record(*arguments: Any, **options: Any) -> Any:
        got.append((arguments[4], options["seeds"]))
        raise HifaError("enough")

    monkeypatch.setattr(stage, "compare", record)
    settings = tmp_path / "hifa.toml"
    settings.write_text(
        '[train]\nimages = "elsewhere"\npreset = "paper"\nphotos-per-step = 7\nsteps = 9\nradius = 8\n'
        'set = ["clip=1"]\n'
        '[compare]\nseeds = "4,2"\nmethods = "source-only"\n'
    )
    data = ("--images", world / "photos", "--shapes", world / "views", "--out", tmp_path / "out")
    for command in (
        ("compare", *data, "--steps", 5, "--set", "clip=2", "--config", settings),
        ("--config", settings, "compare", *data, "--steps", 5, "--set", "clip=2"),
    ):
        assert hifa(*command)[0] == 1
    for config, seeds in got:
        assert (config.images, config.steps, config.radius, config.clip) == (7, 5, 8.0, 2.0)
        assert (config.preset, config.backbone, config.weight_global) == ("paper", "alexnet", 1.0)
        assert seeds == (4, 2)
    assert len(got) == 2


@pytest.mark.skipif(shutil.which("sh") is None, reason="NO sh")
def test_a_worker_ends_when_its_parent_is_gone() -> None:
    """Its standard input ends, in the middle of nothing: no process is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hifa_cli.pipelines.compare.worker"],
        stdin=subprocess.PIPE,
        env=dict(os.environ),
    )
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=60)


def test_ranks_are_enough_to_check_the_scores(compared: tuple[Path, dict[str, Any]], world: Path) -> None:
    folder, found = compared
    code, out, err = hifa(*words(world, folder, ROWS, "--json", "--jobs", 1, "--ranks"))
    assert code == 0, err
    assert scores(json.loads(out)) == scores(found)
    with gzip.open(folder / "ranks.csv.gz", "rt", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for arm in found["arms"]:
        for run in arm["runs"]:
            seed = "" if run["seed"] is None else str(run["seed"])
            mine = [line for line in lines if (line["row"], line["seed"]) == (arm["name"], seed)]
            ranks = [(int(line["relevant"]), [int(one) for one in line["ranks"].split()]) for line in mine]
            assert len(mine) == 12
            assert run["NN"] == pytest.approx(sum(1 in one for _, one in ranks) / len(ranks))
            tier = [sum(rank <= count for rank in one) / count for count, one in ranks]
            assert run["FT"] == pytest.approx(sum(tier) / len(tier))


def test_the_document_names_data_and_versions(compared: tuple[Path, dict[str, Any]]) -> None:
    _, found = compared
    digests = {split: part["digest"] for split, part in found["data"].items()}
    assert len(set(digests.values())) == 2
    assert all(len(one) == 64 for one in digests.values())
    assert {"python", "torch", "numpy"} <= set(found["versions"])
