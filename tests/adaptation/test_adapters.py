"""Embeddings in, embeddings of the same schema out; no shape's label is read; maps are kept."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from hifa_cli.adaptation import adapters
from hifa_cli.adaptation.adapters import Maps, adapt, apply_maps, fit_maps, load_maps, save_maps
from hifa_cli.cli import app
from hifa_cli.config import AdaptConfig
from hifa_cli.embeddings.io import Embeddings, Export, read_export, write_export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.evaluate import evaluate
from hifa_cli.runtime.progress import Reporter, reporting
from tests.domains import turned_domains

CLASSES = ("a", "b", "c", "d")
METHODS: tuple[Literal["jgsa", "meda"], ...] = ("jgsa", "meda")


def export(seed: int, count: int = 60, far: float = 0.3) -> Export:
    source, labels, target, hidden = turned_domains(seed, count, far=far)
    images = Embeddings(tuple(f"p{i}" for i in range(count)), labels, source.astype(np.float32))
    shapes = Embeddings(tuple(f"s{i}" for i in range(count)), hidden, target.astype(np.float32))
    return Export(images, shapes, CLASSES, method="source-only", model="abc", config={"seed": seed})


def config(method: Literal["jgsa", "meda"], **own: Any) -> AdaptConfig:
    return AdaptConfig(method=method, dimension=6, **own)


def vectors(one: Export) -> tuple[Any, Any]:
    assert one.images is not None
    assert one.shapes is not None
    return one.images.vectors, one.shapes.vectors


def with_labels(one: Export, labels: Any) -> Export:
    assert one.shapes is not None
    return replace(one, shapes=replace(one.shapes, labels=np.asarray(labels, dtype=np.int64)))


class Listener(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)


@pytest.mark.parametrize("method", METHODS)
def test_the_schema_the_items_and_the_labels_stay(method: Literal["jgsa", "meda"], tmp_path: Path) -> None:
    test, fit = export(1), export(0)
    done = adapt(test, fit, config(method))
    for before, after in ((test.images, done.images), (test.shapes, done.shapes)):
        assert before is not None
        assert after is not None
        assert before.ids == after.ids
        assert_array_equal(before.labels, after.labels)
        assert after.vectors.dtype == np.float32
    assert done.classes == test.classes
    assert done.method == f"{method}:source-only"
    assert done.config["adapt"] == asdict(config(method))
    assert done.config["base"] == test.config
    assert done.config["base_model"] == "abc"
    assert done.model not in ("", "abc")
    write_export(tmp_path / "done.h5", done)
    assert_array_equal(vectors(read_export(tmp_path / "done.h5"))[1], vectors(done)[1])


@pytest.mark.parametrize("method", METHODS)
def test_no_label_of_a_shape_changes_a_bit(method: Literal["jgsa", "meda"]) -> None:
    test, fit = export(1), export(0)
    assert fit.shapes is not None
    wanted = vectors(adapt(test, fit, config(method)))
    shuffled = np.random.default_rng(0).permutation(fit.shapes.labels)
    unknown = np.full(len(shuffled), -1)
    for other in (with_labels(fit, shuffled), with_labels(fit, unknown)):
        for mine, theirs in zip(wanted, vectors(adapt(test, other, config(method))), strict=True):
            assert_array_equal(mine, theirs)
    for mine, theirs in zip(
        wanted, vectors(adapt(with_labels(test, unknown), fit, config(method))), strict=True
    ):
        assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("method", "far"), [("jgsa", 0.6), ("meda", 0.2)])
def test_retrieval_becomes_better_on_photos_and_shapes_that_were_not_fitted_on(
    method: Literal["jgsa", "meda"], far: float
) -> None:
    test, fit = export(1, 80, far), export(0, 80, far)
    raw, done = evaluate(test).values(), evaluate(adapt(test, fit, config(method))).values()
    assert 1 - done["FT"] < 0.6 * (1 - raw["FT"])
    assert 1 - done["NN"] < 0.6 * (1 - raw["NN"])


@pytest.mark.parametrize("method", METHODS)
def test_a_domain_may_be_missing_from_what_is_adapted(method: Literal["jgsa", "meda"]) -> None:
    test, maps = export(1), fit_maps(export(0), config(method))
    whole = vectors(apply_maps(test, maps))
    only = apply_maps(replace(test, shapes=None), maps)
    assert only.shapes is None
    assert only.images is not None
    assert_array_equal(only.images.vectors, whole[0])


def test_clamping_at_zero_loses_nothing_of_signed_values() -> None:
    test, fit = export(1), export(0)
    split, plain = (vectors(adapt(test, fit, config("jgsa", split_signs=how)))[0] for how in (True, False))
    assert split.shape[1] == 2 * plain.shape[1]
    assert (split >= 0).all()
    assert (plain < 0).any()
    assert_array_equal(split[:, : plain.shape[1]] - split[:, plain.shape[1] :], plain)


def test_meda_gives_a_score_a_class_or_the_manifolds_features() -> None:
    test, fit = export(1), export(0)
    scores = vectors(adapt(test, fit, config("meda")))[1]
    manifold = vectors(adapt(test, fit, config("meda", output="manifold")))[1]
    assert scores.shape[1] == len(CLASSES)
    assert manifold.shape[1] == 2 * 2 * 6
    np.testing.assert_allclose(np.linalg.norm(manifold, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("landmarks", [0, 30])
@pytest.mark.parametrize("method", METHODS)
def test_kept_maps_do_what_the_fit_did(
    method: Literal["jgsa", "meda"], landmarks: int, tmp_path: Path
) -> None:
    test, maps = export(1), fit_maps(export(0), config(method, landmarks=landmarks))
    save_maps(tmp_path / "maps", maps)
    kept = load_maps(tmp_path / "maps")
    assert kept.digest() == maps.digest()
    done, again = apply_maps(test, maps), apply_maps(test, kept)
    assert (done.model, done.method, done.config) == (again.model, again.method, again.config)
    for mine, theirs in zip(vectors(done), vectors(again), strict=True):
        assert_array_equal(mine, theirs)


def test_one_photo_alone_gets_the_vector_that_it_gets_among_others() -> None:
    test, maps = export(1), fit_maps(export(0), config("meda"))
    together = vectors(apply_maps(test, maps))[0]
    for row in (0, 7):
        alone = maps(vectors(test)[0][row : row + 1], "images")
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-5, atol=1e-6)


def test_another_seed_chooses_other_landmarks_and_the_same_seed_the_same() -> None:
    fit = export(0)
    one, two, other = (fit_maps(fit, config("meda", landmarks=20, seed=seed)).digest() for seed in (0, 0, 1))
    assert one == two
    assert one != other


def test_photos_without_a_label_are_left_out_and_said() -> None:
    fit, listener = export(0), Listener()
    assert fit.images is not None
    labels = fit.images.labels.copy()
    labels[5:15] = -1
    some = replace(fit, images=replace(fit.images, labels=labels))
    kept = [row for row in range(60) if labels[row] >= 0]
    fewer = Embeddings(tuple(fit.images.ids[row] for row in kept), labels[kept], fit.images.vectors[kept])
    with reporting(listener):
        found = fit_maps(some, config("jgsa"))
    assert found.digest() == fit_maps(replace(fit, images=fewer), config("jgsa")).digest()
    assert listener.said == ["10 photos without a label are left out of fitting"]


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_fitted_is_refused_in_one_line(method: Literal["jgsa", "meda"]) -> None:
    fit = export(0)
    assert fit.images is not None
    unlabelled = replace(fit.images, labels=np.full(60, -1))
    for broken, said in (
        (replace(fit, shapes=None), "photos and shapes"),
        (replace(fit, images=unlabelled), "photos with labels"),
    ):
        with pytest.raises(HifaError, match=said):
            fit_maps(broken, config(method))
    with pytest.raises(HifaError, match="too large"):
        fit_maps(fit, replace(config(method), dimension=41))
    with pytest.raises(HifaError, match="same --model"):
        adapt(replace(export(1), model="another"), fit, config(method))


def test_a_method_that_takes_fewer_dimensions_than_its_own_says_so() -> None:
    listener = Listener()
    with reporting(listener):
        fit_maps(export(0), AdaptConfig(method="meda"))  # 20 numbers: at most 10
    assert "takes 10 dimensions here instead of its own 20" in listener.said[0]


def test_a_kernel_beyond_the_machines_memory_is_refused_before_it_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapters, "machine_memory", lambda: 100_000.0)
    with pytest.raises(HifaError, match=r"0\.0 GB of memory.*--landmarks"):
        fit_maps(export(0), config("meda"))
    monkeypatch.setattr(adapters, "machine_memory", lambda: 70_000.0)
    fit_maps(export(0), config("meda", landmarks=10))  # fits


@pytest.mark.parametrize("damage", ["no file", "text", "empty", "missing", "shape", "schema", "nan", "field"])
def test_damaged_maps_are_refused_in_one_line(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "maps"
    save_maps(path, fit_maps(export(0), config("jgsa")))
    arrays, about = load_file(path), {"schema": 1, "base": "", "base_method": "", "config": {}}
    if damage == "no file":
        path.unlink()
    elif damage == "text":
        path.write_text("hello")
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        if damage == "missing":
            del arrays["values"]
        elif damage == "shape":
            arrays["target"] = arrays["target"][:3]
        elif damage == "nan":
            arrays["target"][0, 0] = np.nan
        elif damage == "schema":
            about["schema"] = 7
        elif damage == "field":
            about["config"] = {"method": "nothing"}
        save_file(arrays, path, metadata={"hifa_adapt": json.dumps(about)})
    with pytest.raises(HifaError) as caught:
        load_maps(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_maps_that_find_no_room_are_an_error_in_one_line_and_leave_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise SafetensorError("I/O error: No space left on device")

    path, maps = tmp_path / "maps", fit_maps(export(0), config("jgsa"))
    save_maps(path, maps)
    before = path.read_bytes()
    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(HifaError, match=r"cannot write .*No space left.*make room"):
        save_maps(path, maps)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["maps"]


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    write_export(tmp_path / "test.h5", export(1))
    write_export(tmp_path / "train.h5", export(0))
    return tmp_path / "test.h5", tmp_path / "train.h5"


@pytest.mark.parametrize("method", METHODS)
def test_the_command_writes_what_the_library_makes(
    method: Literal["jgsa", "meda"], files: tuple[Path, Path], tmp_path: Path
) -> None:
    test, train = files
    out, maps, again = tmp_path / "out.h5", tmp_path / "maps", tmp_path / "again.h5"
    asked = ("adapt", test, "--fit", train, "--method", method, "--dimension", 6)
    done = run(*asked, "--out", out, "--maps", maps, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    wanted = adapt(read_export(test), read_export(train), config(method))
    found = read_export(out)
    assert found.model == wanted.model == document["model"]
    assert document["config"] == asdict(config(method))
    assert_array_equal(vectors(found)[1], vectors(wanted)[1])
    assert run(*asked, "--out", out).exit_code == 1  # it exists
    assert run("adapt", test, "--fitted", maps, "--out", again).exit_code == 0
    assert read_export(again).model == wanted.model
    assert run("evaluate", out, again).exit_code == 0


def test_settings_by_name_reach_the_method(files: tuple[Path, Path], tmp_path: Path) -> None:
    test, train = files
    asked = ("adapt", test, "--fit", train, "--out", tmp_path / "out.h5", "--json")
    done = run(*asked, "--set", "alpha=2.5", "--set", "prepare=zscore")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["config"]["alpha"] == 2.5
    assert json.loads(done.stdout)["config"]["prepare"] == "zscore"


@pytest.mark.parametrize(
    "own",
    [
        (),
        ("--fit", "t.h5", "--fitted", "m"),
        ("--fitted", "m", "--maps", "n"),
        ("--fit", "t.h5", "--method", "pca"),
        ("--fit", "t.h5", "--set", "gamma=1"),
    ],
)
def test_wrong_usage_is_said(own: tuple[str, ...], tmp_path: Path) -> None:
    done = run("adapt", "x.h5", "--out", tmp_path / "out.h5", *own)
    assert done.exit_code == 2


def test_maps_know_the_width_that_they_take() -> None:
    for method in METHODS:
        maps: Maps = fit_maps(export(0), config(method))
        assert maps.width == 20
