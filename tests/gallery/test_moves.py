"""Galleries survive moves: of the meshes, of the gallery, of both."""

import json
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hifa_cli.config import IndexConfig, ModelConfig, RenderConfig
from hifa_cli.embeddings.extract import frozen_encoder
from hifa_cli.embeddings.io import Embeddings, Export, write_export
from hifa_cli.errors import HifaError
from hifa_cli.gallery import read_gallery
from hifa_cli.gallery import update as curate
from hifa_cli.gallery import verify as audit
from hifa_cli.gallery.build import BuildOptions, build_gallery
from hifa_cli.gallery.relocate import relocate
from hifa_cli.models.network import save_network
from hifa_cli.render.pipeline import render
from tests.cli.test_cli import hifa
from tests.gallery.test_update import write_mesh

CPU = torch.device("cpu")


def build(root: Path, source: Path, *, split: str | None = None, factory: str = "auto") -> dict[str, object]:
    return build_gallery(
        source, root / "gallery", model=root / "run", split=split, index_config=IndexConfig(factory=factory),
        render_config=RenderConfig(size=32, views=2), workers=1, device=CPU, force=False)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    config = ModelConfig(backbone="test_resnet", embedding=8, size=32, resize=32)
    save_network(frozen_encoder(CPU, config, "none").network, root / "run", method="hifa", hifa_version="0")
    for number in range(3):
        write_mesh(root / "A" / ("train" if number else "test") / "box" / f"{number}.off", 0.5 + number)
    build(root, root / "A")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "root")
    main = tmp_path / "root" / "gallery" / "gallery.json"
    main.write_text(main.read_text().replace(str(made), str(tmp_path / "root")))
    return tmp_path / "root"


def sources(root: Path) -> set[Path]:
    gallery = read_gallery(root / "gallery")
    return {source for row in range(len(gallery)) if (source := gallery.source(row)) is not None}


def test_a_gallery_and_its_meshes_move_together(root: Path) -> None:
    shutil.move(root, root.parent / "elsewhere")
    moved = root.parent / "elsewhere"
    assert all(source.is_relative_to(moved / "A") and source.is_file() for source in sources(moved))
    assert audit.verify(moved / "gallery") == []
    assert curate.update(moved / "gallery", IndexConfig(), BuildOptions(workers=1), model=None).added == 0


def test_meshes_that_moved_are_recognised_by_their_bytes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "A").rename(root / "B")
    assert any("is gone" in fault and "--relocate" in fault for fault in audit.verify(root / "gallery"))

    def draw(jobs: list[object], *_: object) -> Generator[None]:
        assert jobs == []
        yield from ()

    monkeypatch.setattr("hifa_cli.gallery.mesh_source.draw_jobs", draw)
    report = build(root, root / "B")
    assert report["shapes"] == 3
    assert all(source.is_relative_to(root / "B") and source.is_file() for source in sources(root))
    document = json.loads((root / "gallery" / "gallery.json").read_text())
    assert [origin["path"] for origin in document["origins"]] == [str(root / "B")]
    assert audit.verify(root / "gallery") == []


def test_a_source_is_relocated_without_any_work(root: Path) -> None:
    (root / "A").rename(root / "C")
    with pytest.raises(HifaError, match="--relocate"):
        curate.update(root / "gallery", IndexConfig(), BuildOptions(workers=1), model=None)
    code, out, _ = hifa(
        "index", "--relocate", f"{root / 'A'}={root / 'C'}", "--out", root / "gallery", "--json"
    )
    assert code == 0
    assert json.loads(out)["relocated"] == [{"old": str(root / "A"), "new": str(root / "C")}]
    assert audit.verify(root / "gallery") == []
    change = curate.update(root / "gallery", IndexConfig(), BuildOptions(workers=1), model=None)
    assert (change.added, change.changed, change.unchanged) == (0, 0, 3)


def test_a_source_is_not_relocated_to_other_shapes(root: Path) -> None:
    (root / "A").rename(root / "C")
    write_mesh(root / "D" / "test" / "box" / "0.off", 9.0)
    for new in ("nowhere", "D"):
        with pytest.raises(HifaError, match=new):
            relocate(root / "gallery", [f"{root / 'A'}={root / new}"])


def test_a_gallery_written_without_relative_places_opens(root: Path) -> None:
    path = root / "gallery" / "gallery.json"
    document = json.loads(path.read_text())
    for origin in document["origins"]:
        del origin["relative"]
        origin["path"] = origin["root"] = str(root / "A")
    path.write_text(json.dumps(document))
    assert audit.verify(root / "gallery") == []


def test_one_mesh_that_is_gone_is_named(root: Path) -> None:
    (root / "A" / "test" / "box" / "0.off").unlink()
    (fault,) = audit.verify(root / "gallery")
    assert "box/0" in fault
    assert "--update" in fault


def test_only_the_split_that_is_wanted_is_drawn(root: Path) -> None:
    shutil.rmtree(root / "gallery")
    assert build(root, root / "A", split="test")["shapes"] == 1
    assert list(read_gallery(root / "gallery").ids) == ["test/box/0"]
    with pytest.raises(HifaError, match="split 'val'"):
        build(root, root / "A", split="val")


def test_a_factory_that_faiss_does_not_know_is_refused_before_any_work(root: Path) -> None:
    shutil.rmtree(root / "gallery")
    with pytest.raises(HifaError, match="'FOO'") as caught:
        build(root, root / "A", factory="FOO")
    assert ".cpp" not in str(caught.value)
    assert not (root / "gallery").exists()


@pytest.mark.parametrize("change", [False, True])
def test_a_factory_that_does_not_fit_the_vectors_is_refused_before_any_work(
    change: bool, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hifa_cli.gallery.mesh_source.draw_jobs", lambda *_, **__: pytest.fail("it drew"))
    with pytest.raises(HifaError, match=r"--factory 'PQ3'.* 8 numbers"):
        (add_to if change else index_with)(root, "PQ3")


def index_with(root: Path, factory: str) -> None:
    build(root, root / "A", factory=factory)


def add_to(root: Path, factory: str) -> None:
    write_mesh(root / "more" / "new.off", 7.0)
    work, config = BuildOptions(workers=1), IndexConfig(factory=factory)
    curate.add(root / "gallery", [root / "more"], config, work, model=None)


def test_a_mesh_that_was_renamed_is_not_drawn_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: vector.tolist() for name, vector in rows_of(root)}
    (root / "A" / "train" / "rod").mkdir()
    (root / "A" / "train" / "box" / "1.off").rename(root / "A" / "train" / "rod" / "one.off")
    monkeypatch.setattr("hifa_cli.gallery.mesh_source.draw_jobs", lambda *_, **__: pytest.fail("it drew"))
    change = curate.update(root / "gallery", IndexConfig(), BuildOptions(workers=1), model=None)
    assert (change.renamed, change.added, change.removed, change.unchanged) == (1, 0, [], 2)
    after = {name: vector.tolist() for name, vector in rows_of(root)}
    assert set(after) == {"test/box/0", "train/rod/one", "train/box/2"}
    assert after["train/rod/one"] == before["train/box/1"]
    gallery = read_gallery(root / "gallery")
    row = list(gallery.ids).index("train/rod/one")
    assert gallery.source(row) == root / "A" / "train" / "rod" / "one.off"
    assert not list((root / "gallery" / "views").glob("*/train/box/1"))
    assert audit.verify(root / "gallery") == []


def rows_of(root: Path) -> list[tuple[str, "np.ndarray[Any, Any]"]]:
    gallery = read_gallery(root / "gallery")
    return list(zip(gallery.ids, np.asarray(gallery.vectors), strict=True))


def test_several_sources_are_one_gallery_that_follows_them_all(root: Path) -> None:
    write_mesh(root / "B" / "rod" / "0.stl", 3.0, kind="rod")
    words = ("--out", root / "both", "--model", root / "run", "--workers", "1", "-q")
    code, _, err = hifa("index", root / "A", root / "B", *words)
    assert code == 0, err
    gallery = read_gallery(root / "both")
    assert sorted(gallery.ids) == ["rod/0", "test/box/0", "train/box/1", "train/box/2"]
    assert {origin["path"] for origin in gallery.document["origins"]} == {str(root / "A"), str(root / "B")}
    assert all(source.is_file() for row in range(4) if (source := gallery.source(row)) is not None)
    write_mesh(root / "A" / "train" / "box" / "new.off", 5.0)
    (root / "B" / "rod" / "0.stl").rename(root / "B" / "rod" / "again.stl")
    code, out, _ = hifa("index", "--update", root / "both", "--workers", "1", "--json")
    assert code == 0
    counts = json.loads(out)
    assert [counts[name] for name in ("added", "renamed", "unchanged")] == [1, 1, 3]
    assert audit.verify(root / "both") == []


def test_the_same_sources_again_draw_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mesh(root / "B" / "rod" / "0.stl", 3.0, kind="rod")
    words = ("--out", root / "both", "--model", root / "run", "--workers", "1", "-q")
    assert hifa("index", root / "A", root / "B", *words)[0] == 0
    monkeypatch.setattr("hifa_cli.gallery.mesh_source.draw_jobs", lambda *_, **__: pytest.fail("it drew"))
    assert hifa("index", root / "B", root / "A", *words)[0] == 0  # in another order, too
    gallery = read_gallery(root / "both")
    assert all(source.is_file() for row in range(4) if (source := gallery.source(row)) is not None)
    assert hifa("index", root / "A", *words)[0] == 0  # B goes
    assert len(read_gallery(root / "both")) == 3


@pytest.mark.parametrize(("second", "said"), [("C", "both have the id 'train/box/1'"), ("A", "given twice")])
def test_sources_whose_ids_collide_are_refused_before_any_work(
    second: str, said: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mesh(root / "C" / "train" / "box" / "1.ply", 2.5)
    monkeypatch.setattr("hifa_cli.gallery.mesh_source.draw_jobs", lambda *_, **__: pytest.fail("it drew"))
    code, _, err = hifa("index", root / "A", root / second, "--out", root / "both")
    assert code == 1
    assert said in err
    assert not (root / "both").exists()


def test_an_export_whose_ids_repeat_is_refused(root: Path) -> None:
    import numpy as np

    shapes = Embeddings(("a", "b", "a"), np.zeros(3, dtype=np.int64), np.eye(3, 4, dtype=np.float32))
    write_export(root / "all.h5", Export(None, shapes, ("x",)))
    code, _, err = hifa("index", root / "all.h5", "--out", root / "g")
    assert code == 1
    assert "'a'" in err
    assert not (root / "g").exists()


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        ("index {root}/gallery --out {root}/g", "hifa query"),
        ("index {root}/run --out {root}/g", "hifa export"),
        ("index --add {root}/gallery --out {root}/gallery", "hifa query"),
        ("render {root}/gallery --out {root}/v", "hifa query"),
        ("render {root}/views --out {root}/v", "hifa index"),
        ("query {root}/a.png -g {root}/run", "hifa export"),
        ("query {root}/gallery -g {root}/gallery", "hifa query"),
        ("export --images {root}/gallery --out {root}/e.h5", "hifa query"),
        ("export --shapes {root}/gallery --out {root}/e.h5", "hifa query"),
        ("export --model {root}/gallery --shapes {root}/views --out {root}/e.h5", "hifa query"),
        ("evaluate {root}/gallery", "hifa query"),
        ("plot {root}/run --out {root}/a.png", "hifa export"),
        ("train --images {root}/gallery --shapes {root}/views --out {root}/r", "hifa query"),
        ("data check {root}/gallery", "hifa query"),
    ],
)
def test_a_folder_of_another_kind_is_named_with_the_verb_that_takes_it(
    words: str, verb: str, root: Path
) -> None:
    render([root / "A"], root / "views", RenderConfig(size=32, views=2), workers=1)
    code, _, err = hifa(*(word.replace("{root}", str(root)) for word in words.split()))
    assert code == 1
    assert f"'{verb}" in err.splitlines()[-1]
    assert "Traceback" not in err
