"""A hit says how likely it is, and a query says where nothing is; whatever shows the ranking shows it."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hifa_cli.gallery import read_gallery
from hifa_cli.search.likelihood import Calibration
from tests.cli.test_cli import hifa
from tests.gallery.test_update import write_mesh
from tests.web.conftest import ranked_gallery

SIX = [("box", 1), ("box", 2), ("rod", 1), ("rod", 2)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of the default encoder, one that ranks as the paper does, and a photo."""
    root = tmp_path_factory.mktemp("sure")
    for kind, number in SIX:
        write_mesh(root / "meshes" / kind / f"{number}.off", 0.5 + number, kind=kind)
    for name, words in {"g": (), "paper": ("--ranking", "paper")}.items():
        code, _, err = hifa("index", root / "meshes", "--out", root / name, "--workers", 1, *words)
        assert code == 0, err
    pixels = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / "photo.png")
    return root


def asked(gallery: Path, *words: object) -> dict[str, Any]:
    code, out, err = hifa("query", gallery.parent / "photo.png", "-g", gallery, *words, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)["results"][0]
    return found


def test_every_hit_has_a_likelihood_and_a_query_an_answer(world: Path) -> None:
    found = asked(world / "g")
    assert all(0 <= one["likelihood"] <= 1 for one in found["matches"])
    ranking = read_gallery(world / "g").ranking
    assert ranking is not None
    assert ranking.calibration is not None
    best = max(one["likelihood"] for one in found["matches"])
    assert found["nothing_here"] is (best < ranking.calibration.threshold)


def test_a_shape_of_the_gallery_is_likely_of_its_kind(world: Path) -> None:
    found = asked(world / "g", "--top", 4)
    code, out, err = hifa("query", world / "meshes/box/1.off", "-g", world / "g", "--json")
    assert code == 0, err
    [mesh] = json.loads(out)["results"]
    assert mesh["nothing_here"] is False
    assert mesh["matches"][0]["likelihood"] > found["matches"][0]["likelihood"]


def test_likelihoods_do_not_hang_on_what_is_shown(world: Path) -> None:
    whole = asked(world / "g", "--top", 4)
    part = asked(world / "g", "--top", 1)
    assert part["matches"] == whole["matches"][:1]
    assert part["nothing_here"] == whole["nothing_here"]
    none = asked(world / "g", "--threshold", 1)
    assert (none["matches"], none["nothing_here"]) == ([], whole["nothing_here"])


def test_a_gallery_that_changed_still_has_them(world: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(world / "g", tmp_path / "g")
    write_mesh(tmp_path / "more" / "ball" / "1.off", 1.2, kind="rod")
    assert hifa("index", "--add", tmp_path / "more", "--out", tmp_path / "g", "--workers", 1)[0] == 0
    assert hifa("index", "--remove", "box/2", "--out", tmp_path / "g")[0] == 0
    code, out, _ = hifa("query", world / "photo.png", "-g", tmp_path / "g", "--json")
    assert code == 0
    [found] = json.loads(out)["results"]
    assert {one["shape"] for one in found["matches"]} == {"ball/1", "box/1", "rod/1", "rod/2"}
    assert all(0 <= one["likelihood"] <= 1 for one in found["matches"])


def test_galleries_without_a_calibration_have_none(world: Path, tmp_path: Path) -> None:
    ranked_gallery(world / "paper", tmp_path / "old")  # ranks by more than cosines, not calibrated
    for place in (world / "paper", tmp_path / "old"):
        code, out, _ = hifa("query", world / "photo.png", "-g", place, "--json")
        assert code == 0
        [found] = json.loads(out)["results"]
        assert "nothing_here" not in found
        assert not any("likelihood" in one for one in found["matches"])


def test_a_gallery_of_the_first_version_opens_ranks_as_before_and_says_once_how_to_rebuild(
    world: Path, tmp_path: Path
) -> None:
    """Its manifest knew neither a ranking nor where its sources lie relative to it."""
    import shutil

    shutil.copytree(world / "paper", tmp_path / "old")
    document = json.loads((tmp_path / "old" / "gallery.json").read_text())
    wanted = asked(world / "paper")
    assert "ranking" not in document
    for origin in document["origins"]:
        origin.pop("relative", None)
    document["hifa_version"] = "0.1.0"
    (tmp_path / "old" / "gallery.json").write_text(json.dumps(document))
    words = ["query", world / "photo.png", world / "photo.png", "-g", tmp_path / "old"]
    code, out, err = hifa(*words, "--csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["shape"], float(row["score"])) for row in rows] == [
        (one["shape"], one["score"]) for one in wanted["matches"]
    ]
    code, _, err = hifa(*words)
    assert code == 0
    assert err.count("was made by hifa 0.1.0") == 1
    assert "without likelihoods" in err
    assert f"hifa index {world / 'meshes'} --out {tmp_path / 'old'} --force" in err.replace("\n", " ")


@pytest.fixture
def doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is likely enough."""
    monkeypatch.setattr(Calibration, "is_nothing", lambda *_: True)


@pytest.mark.usefixtures("doubtful")
def test_the_table_and_the_lines_show_it(world: Path) -> None:
    code, out, _ = hifa("query", world / "photo.png", "-g", world / "g")
    assert code == 0
    assert "nothing here looks like it" in out
    assert "likely" in out
    assert "%" in out
    code, out, _ = hifa("query", world / "photo.png", "-g", world / "g", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert all(0 <= float(row["likelihood"]) <= 1 for row in rows)
    code, out, _ = hifa("query", world / "photo.png", "-g", world / "paper")
    assert "likely" not in out
    code, out, _ = hifa("query", world / "photo.png", "-g", world / "paper", "--csv")
    assert {row["likelihood"] for row in csv.DictReader(io.StringIO(out))} == {""}


@pytest.mark.usefixtures("doubtful")
def test_pages_and_sheets_show_it(world: Path, tmp_path: Path) -> None:
    words = ["--html", tmp_path / "p.html", "--sheet", tmp_path / "s.png"]
    assert hifa("query", world / "photo.png", "-g", world / "g", *words)[0] == 0
    text = (tmp_path / "p.html").read_text()
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert data["queries"][0]["nothing_here"] is True
    assert all("likelihood" in one for one in data["queries"][0]["matches"])
    assert (tmp_path / "s.png").stat().st_size > 1000
