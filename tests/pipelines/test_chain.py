"""The whole way, render to evaluate, through the command line, on made and on real input."""

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import trimesh

from tests.conftest import write_photos

KINDS: dict[str, Callable[[np.random.Generator], Any]] = {
    "box": lambda generator: trimesh.creation.box(extents=generator.uniform(0.5, 2, 3)),
    "rod": lambda generator: trimesh.creation.cylinder(radius=0.2, height=generator.uniform(1, 3)),
    "ring": lambda generator: trimesh.creation.torus(1, generator.uniform(0.1, 0.4)),
}


def hifa(*words: str | Path, code: int = 0) -> str:
    """Run the command as a user does; its stdout."""
    command = [sys.executable, "-m", "hifa_cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def document(*words: str | Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(hifa(*words, "--json", "--quiet"))
    return parsed


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mesh library of three kinds, one of them broken, and photos of three patterns by the same names."""
    root = tmp_path_factory.mktemp("library")
    generator = np.random.default_rng(0)
    for kind, make in KINDS.items():
        for number in range(3):
            path = root / "meshes" / kind / f"{number}.{'off' if number else 'stl'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            make(generator).export(path)
    (root / "meshes" / "box" / "broken.obj").write_text("v 0 0 nonsense\nf 1 2 3\n")
    write_photos(root / "photos")
    for old, new in zip(("bars", "blobs", "rings"), KINDS, strict=True):
        (root / "photos" / old).rename(root / "photos" / new)
    return root


TINY = (
    "--method",
    "hifa",
    "--backbone",
    "test_resnet",
    "--weights",
    "none",
    "--freeze",
    "trunk",
    "--steps",
    "4",
    "--embedding",
    "8",
)


def test_the_six_verbs_run_in_order(library: Path, tmp_path: Path) -> None:
    views, run, exported, gallery = (tmp_path / name for name in ("views", "run", "all.h5", "gallery"))
    rendered = document("render", library / "meshes", "--out", views)
    assert rendered["rendered"] == 9
    assert [Path(one["path"]).name for one in rendered["failed"]] == ["broken.obj"]
    assert sorted(path.name for path in (views / "ring" / "2").iterdir()) == [
        f"{n:02d}.png" for n in range(12)
    ]

    trained = document("train", "--images", library / "photos", "--shapes", views, "--out", run, *TINY)
    assert {"classification", "global", "local", "mutual_information"} <= set(trained["last"])

    words = ("--model", run, "--images", library / "photos", "--shapes", views, "--out", exported)
    counted = document("export", *words)
    assert (counted["images"], counted["shapes"], counted["dimension"]) == (12, 9, 8)
    with h5py.File(exported) as file:
        assert file.attrs["schema"] == 1
        assert list(file.attrs["classes"]) == sorted(KINDS)
        assert file.attrs["model"] == trained["model"]
        assert file["shapes/vectors"].shape == (9, 8)
        assert sorted(file["shapes/ids"].asstr())[0] == "box/0"

    assert document("index", exported, "--out", gallery)["shapes"] == 9
    photo = library / "photos" / "ring" / "0.png"
    found = document("query", photo, library / "meshes" / "rod" / "1.off", "-g", gallery, "--top", "4")
    assert [result["query"] for result in found["results"]] == [
        str(photo),
        str(library / "meshes" / "rod" / "1.off"),
    ]
    ranks = found["results"][0]["matches"]
    assert [match["rank"] for match in ranks] == [1, 2, 3, 4]
    assert all(first["score"] >= second["score"] for first, second in pairwise(ranks))
    itself = found["results"][1]["matches"][0]
    assert (itself["shape"], itself["class"]) == ("rod/1", "rod")
    assert itself["score"] == pytest.approx(1, abs=1e-5)

    scores = document("evaluate", exported)
    assert list(scores)[:10] == [
        "NN", "FT", "ST", "F", "DCG", "DCG_legacy", "ANMRR", "queries", "gallery", "skipped_queries"
    ]  # fmt: skip
    assert (scores["queries"], scores["gallery"], scores["skipped_queries"]) == (12, 9, 0)


def test_meshes_to_gallery_in_one_command_and_again_after_a_change(library: Path, tmp_path: Path) -> None:
    gallery, meshes = tmp_path / "gallery", tmp_path / "meshes"
    subprocess.run(["cp", "-r", library / "meshes", meshes], check=True)
    made = document("index", meshes, "--out", gallery)
    assert made["shapes"] == 9
    assert [Path(one["path"]).name for one in made["failed"]] == ["broken.obj"]
    sheet = tmp_path / "sheet.png"
    found = document("query", library / "photos", "-g", gallery, "--top", "2", "--sheet", sheet)
    assert len(found["results"]) == 12
    assert sheet.stat().st_size > 1000
    assert all(Path(match["thumbnail"]).is_file() for match in found["results"][0]["matches"])
    trimesh.creation.icosphere(2).export(meshes / "ball.ply")
    again = document("index", meshes, "--out", gallery)
    assert again["shapes"] == 10
    assert (
        document("query", meshes / "ball.ply", "-g", gallery)["results"][0]["matches"][0]["shape"] == "ball"
    )


def test_a_photo_that_is_no_image_and_a_gallery_of_another_model_are_told(
    library: Path, tmp_path: Path
) -> None:
    for seed in ("1", "2"):
        words = ("--images", library / "photos", "--seed", seed, *TINY, "--method", "source-only")
        hifa("train", *words, "--out", tmp_path / f"run{seed}")
    hifa("render", library / "meshes" / "rod", "--out", tmp_path / "views")
    hifa("export", "--model", tmp_path / "run1", "--shapes", tmp_path / "views", "--out", tmp_path / "e.h5")
    hifa("index", tmp_path / "e.h5", "--out", tmp_path / "gallery")
    fake = tmp_path / "fake.jpg"
    fake.write_text("no picture")
    hifa("query", fake, "-g", tmp_path / "gallery", code=1)
    photo = library / "photos" / "box" / "0.png"
    hifa("query", photo, "-g", tmp_path / "gallery", "--model", tmp_path / "run2", code=1)
    hifa("query", photo, "-g", tmp_path / "gallery", "--model", tmp_path / "run1")
    hifa("index", tmp_path / "e.h5", "--model", tmp_path / "run2", "--out", tmp_path / "other", code=1)
    assert not (tmp_path / "other").exists()


@pytest.mark.real
def test_real_photos_find_real_meshes_of_their_kind(real_data: Path, tmp_path: Path) -> None:
    """Four kinds of real things with the frozen encoder: far better than the chance of one in four."""
    for kind in ("airplane", "bottle", "chair", "cup"):
        for domain, count in (("meshes", 4), ("images", 5)):
            place = tmp_path / domain / kind
            place.mkdir(parents=True)
            for path in sorted((real_data / domain / kind).iterdir())[:count]:
                (place / path.name).symlink_to(path)
    assert document("render", tmp_path / "meshes", "--out", tmp_path / "views")["rendered"] == 16
    words = ("--images", tmp_path / "images", "--shapes", tmp_path / "views")
    hifa("export", *words, "--out", tmp_path / "frozen.h5")
    frozen = document("evaluate", tmp_path / "frozen.h5")
    assert (frozen["queries"], frozen["gallery"]) == (20, 16)
    assert frozen["NN"] > 0.6
    hifa("train", *words, "--out", tmp_path / "run", "--steps", "30", "--shapes-per-step", "8")
    hifa("export", "--model", tmp_path / "run", *words, "--out", tmp_path / "hifa.h5")
    hifa("index", tmp_path / "hifa.h5", "--out", tmp_path / "gallery")
    photo = next((tmp_path / "images" / "bottle").iterdir())
    assert (
        len(document("query", photo, "-g", tmp_path / "gallery", "--top", "5")["results"][0]["matches"]) == 5
    )
    assert document("evaluate", tmp_path / "hifa.h5")["NN"] > 0.6
