"""What is known of a gallery's shapes stays with the right shape whatever changes."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import trimesh

import hifa_cli
from hifa_cli.config import IndexConfig, ModelConfig, RenderConfig
from hifa_cli.embeddings.extract import frozen_encoder
from hifa_cli.errors import HifaError
from hifa_cli.gallery import read_gallery
from hifa_cli.gallery import update as curate
from hifa_cli.gallery import verify as audit
from hifa_cli.gallery.build import BuildOptions, build_gallery
from hifa_cli.models.network import save_network
from hifa_cli.query.where import rows_where

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random network, as ``hifa train`` writes one."""
    folder = tmp_path_factory.mktemp("run")
    config = ModelConfig(backbone="test_resnet", embedding=8, size=32, resize=32)
    save_network(frozen_encoder(CPU, config, "none").network, folder, method="hifa", hifa_version="0")
    return folder


def write_box(path: Path, height: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.creation.box((1, 1, height)).export(path)


def build(source: Path, out: Path, model: Path, **options: Any) -> dict[str, Any]:
    return build_gallery(
        source, out, model=model, split=None, index_config=IndexConfig(),
        render_config=RenderConfig(size=64), workers=1, device=CPU, force=False, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """Three boxes of the heights 2, 3 and 4, their gallery, and a table."""
    root = tmp_path_factory.mktemp("library")
    for height in (2, 3, 4):
        write_box(root / f"meshes/box/b{height}.off", height)
    (root / "table.csv").write_text("path,price\nbox/b2.off,20\nbox/b3.off,30\nbox/b4.off,40\n")
    build(root / "meshes", root / "gallery", model, metadata=root / "table.csv")
    return root


@pytest.fixture
def mine(library: Path, tmp_path: Path) -> Path:
    shutil.copytree(library, tmp_path / "mine")
    return tmp_path / "mine"


def table(root: Path) -> dict[str, tuple[Any, Any]]:
    gallery = read_gallery(root / "gallery")
    columns = [gallery.fields[name] for name in ("extent_z", "price")]
    return {
        name: (round(float(columns[0].value(row) or 0), 6), columns[1].value(row))
        for row, name in enumerate(gallery.ids)
    }


def update(root: Path) -> None:
    curate.update(root / "gallery", IndexConfig(), BuildOptions(workers=1), model=None)


def test_meshes_are_measured_while_they_are_drawn(library: Path) -> None:
    assert table(library) == {"box/b2": (2, 20), "box/b3": (3, 30), "box/b4": (4, 40)}
    fields = {one["name"]: one for one in audit.stats(library / "gallery")["fields"]}
    assert fields["volume"]["unit"] == "mesh units³"
    assert (fields["volume"]["least"], fields["volume"]["most"]) == pytest.approx((2, 4))
    assert fields["watertight"]["kind"] == "flag"
    assert fields["price"]["origin"] == "metadata"
    assert audit.verify(library / "gallery") == []


def test_an_update_measures_what_changed_and_keeps_what_the_table_said(mine: Path) -> None:
    write_box(mine / "meshes/box/b3.off", 3.5)
    write_box(mine / "meshes/box/b5.off", 5)
    (mine / "meshes/box/b2.off").unlink()
    update(mine)
    assert table(mine) == {"box/b3": (3.5, 30), "box/b4": (4, 40), "box/b5": (5, None)}


def test_fields_follow_a_renamed_mesh(mine: Path) -> None:
    (mine / "meshes/box/b3.off").rename(mine / "meshes/box/b9.off")
    update(mine)
    assert table(mine)["box/b9"] == (3, 30)


def test_removed_shapes_take_their_values_with_them(mine: Path) -> None:
    curate.remove(mine / "gallery", ["box/b2"], IndexConfig())
    assert table(mine) == {"box/b3": (3, 30), "box/b4": (4, 40)}


def test_added_shapes_are_measured(mine: Path) -> None:
    write_box(mine / "more/box/b7.off", 7)
    curate.add(mine / "gallery", [mine / "more"], IndexConfig(), BuildOptions(workers=1), model=None)
    assert table(mine)["box/b7"] == (7, None)
    assert table(mine)["box/b2"] == (2, 20)


def test_a_table_by_itself_changes_the_values_that_it_has(mine: Path) -> None:
    (mine / "new.jsonl").write_text('{"id": "box/b2", "price": 21, "maker": "Ann"}\n')
    change = curate.annotate(mine / "gallery", mine / "new.jsonl", IndexConfig())
    assert change.metadata["joined"] == 1
    assert table(mine) == {"box/b2": (2, 21), "box/b3": (3, 30), "box/b4": (4, 40)}
    gallery = read_gallery(mine / "gallery")
    assert rows_where(gallery, "maker is null").tolist() == [1, 2]


def test_values_of_another_kind_make_the_field_a_text(mine: Path) -> None:
    (mine / "new.csv").write_text("id,price\nbox/b2,cheap\n")
    curate.annotate(mine / "gallery", mine / "new.csv", IndexConfig())
    assert [one[1] for one in table(mine).values()] == ["cheap", "30", "40"]


def test_building_again_keeps_the_fields(mine: Path, model: Path) -> None:
    write_box(mine / "meshes/box/b5.off", 5)
    build(mine / "meshes", mine / "gallery", model)
    assert table(mine)["box/b3"] == (3, 30)
    assert table(mine)["box/b5"] == (5, None)


def test_a_wrong_table_is_refused_before_anything_is_drawn(mine: Path, model: Path) -> None:
    (mine / "bad.csv").write_text("name\nx\n")
    with pytest.raises(HifaError, match="no column names the shapes"):
        build(mine / "meshes", mine / "other", model, metadata=mine / "bad.csv")
    assert not (mine / "other").exists()


def test_a_query_looks_only_among_shapes_that_the_filter_holds_for(mine: Path) -> None:
    gallery = hifa_cli.open_gallery(mine / "gallery")
    assert gallery.fields["faces"] == "number, count"
    found = gallery.query(mine / "meshes/box/b2.off", where="price >= 30 and watertight")
    assert {one.shape_id for one in found} == {"box/b3", "box/b4"}
    assert len(gallery.query(mine / "meshes/box/b2.off", where="faces > 12")) == 0
    with pytest.raises(HifaError, match="no field 'prize'"):
        gallery.query(mine / "meshes/box/b2.off", where="prize > 1")
    assert not len(gallery.query(like="box/b2", where="price < 0"))
