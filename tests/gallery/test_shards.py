"""Shards that machines make without a word between them merge into the gallery that one machine makes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hifa_cli.config import IndexConfig, ModelConfig, RankingConfig, RenderConfig
from hifa_cli.embeddings.extract import frozen_encoder
from hifa_cli.embeddings.io import Embeddings, Export, write_export
from hifa_cli.errors import HifaError
from hifa_cli.gallery import read_gallery, update
from hifa_cli.gallery import verify as audit
from hifa_cli.gallery.build import BuildOptions, build_gallery
from hifa_cli.gallery.merge import merge_shards
from hifa_cli.gallery.shard import Shard, parse_shard
from hifa_cli.models.network import save_network
from hifa_cli.render.pipeline import render
from hifa_cli.search.rerank import QueryVectors
from tests.cli.test_cli import hifa, one_line
from tests.gallery.test_update import write_mesh

CPU = torch.device("cpu")
DRAWN = RenderConfig(views=2, size=64)
PARTS = 3


def build(source: Any, out: Path, shard: Shard | None = None, **more: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "model": None, "ranking": RankingConfig(), "render_config": DRAWN, "force": False,
        "index_config": IndexConfig(), **more,
    }  # fmt: skip
    return build_gallery(source, out, split=None, workers=1, device=CPU, shard=shard, **settings)


def shards_of(source: Any, root: Path, parts: int = 2, **more: Any) -> list[Path]:
    places = [root / f"shard-{number}" for number in range(1, parts + 1)]
    for number, place in enumerate(places, 1):
        build(source, place, Shard(number, parts), **more)
    return places


def contents(gallery: Path) -> dict[str, bytes]:
    return {
        path.relative_to(gallery).as_posix(): path.read_bytes()
        for path in gallery.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources of 45 meshes with the default encoder, one whole gallery of them and three shards."""
    root = tmp_path_factory.mktemp("shards")
    for number in range(40):
        write_mesh(root / "meshes" / "box" / f"{number}.off", 0.3 + number / 7)
    for number in range(5):
        write_mesh(root / "more" / "rod" / f"{number}.stl", 1.0 + number, kind="rod")
    sources = [root / "meshes", root / "more"]
    build(sources, root / "whole", keep_views=True)
    shards_of(sources, root, PARTS, keep_views=True)
    return root


@pytest.fixture(scope="module")
def merged(root: Path) -> Path:
    """The shards of :func:`root`, merged in another order."""
    report = merge_shards([root / f"shard-{number}" for number in (3, 1, 2)], root / "merged")
    assert (report["shapes"], report["shards"], report["failed"]) == (45, 3, [])
    return root / "merged"


@pytest.fixture
def mine(root: Path, tmp_path: Path) -> list[Path]:
    """Copies of the shards."""
    return [
        Path(shutil.copytree(root / f"shard-{number}", tmp_path / f"s{number}"))
        for number in range(1, PARTS + 1)
    ]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random network that ranks as the paper does, and meshes for it."""
    root = tmp_path_factory.mktemp("small")
    config = ModelConfig(backbone="test_resnet", embedding=8, size=32, resize=36)
    save_network(frozen_encoder(CPU, config, "none").network, root / "run", method="hifa", hifa_version="0")
    for number in range(12):
        write_mesh(root / "meshes" / ("a", "b")[number % 2] / f"{number}.off", 0.4 + number / 3)
    return root


def test_every_shape_belongs_to_one_shard_whatever_its_neighbours_are() -> None:
    names = [f"kind/{number} é\udce9" for number in range(3000)]
    taken = [[name for name in names if name in Shard(number, 5)] for number in range(1, 6)]
    assert sorted(name for part in taken for name in part) == sorted(names)
    assert all(500 < len(part) < 700 for part in taken)
    assert "chair/12" in Shard(2, 3)  # fixed for ever: galleries of other versions depend on it
    assert "chair/12" not in Shard(1, 3)


def test_merged_shards_are_the_gallery_of_one_machine_byte_for_byte(root: Path, merged: Path) -> None:
    sizes = [len(read_gallery(root / f"shard-{number}")) for number in range(1, PARTS + 1)]
    assert sum(sizes) == 45
    assert min(sizes) > 0
    whole, joined = contents(root / "whole"), contents(merged)
    assert whole.keys() == joined.keys()
    assert [name for name, content in whole.items() if joined[name] != content] == []
    assert "generation-1/neighbours.npy" in joined  # smoothing over the whole gallery
    assert any(name.startswith("generation-1/field-") for name in joined)
    assert sum(name.startswith("views/") and name.endswith(".png") for name in joined) == 2 * 45
    assert audit.verify(merged) == []


def test_a_query_finds_the_same_in_both(root: Path, merged: Path) -> None:
    whole = read_gallery(root / "whole")
    joined = read_gallery(merged)
    asked = QueryVectors(*(np.asarray(whole.vectors[5:8]) for _ in range(2)))
    assert whole.ranking is not None
    assert joined.ranking is not None
    for one, other in zip(whole.ranking.rank(asked, 45), joined.ranking.rank(asked, 45), strict=True):
        assert np.array_equal(one, other)


def test_a_shard_is_a_gallery_that_knows_its_part(root: Path) -> None:
    code, out, err = hifa("index", "--stats", root / "shard-2", "--json")
    assert code == 0, err
    assert json.loads(out)["shard"] == "2/3"
    assert all(name in Shard(2, 3) for name in read_gallery(root / "shard-2").ids)
    assert audit.verify(root / "shard-2") == []


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ((0, 1), "missing among 3 shards: 3/3"),
        ((0, 1, 1, 2), "are both the shard 2/3"),
        ((0, 0, 0), "are both the shard 1/3"),
    ],
)
def test_missing_and_repeated_shards_are_named(
    chosen: tuple[int, ...], said: str, mine: list[Path], tmp_path: Path
) -> None:
    code, _, err = hifa("index", "--merge", *(mine[number] for number in chosen), "--out", tmp_path / "g")
    assert code == 1
    assert said in one_line(err)
    assert not (tmp_path / "g").exists()


def test_what_is_no_shard_or_of_another_number_is_refused(
    root: Path, mine: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(HifaError, match="is a whole gallery, not a shard"):
        merge_shards([*mine[:2], root / "whole"], tmp_path / "g")
    with pytest.raises(HifaError, match="choose another --out or give --force"):
        build([root / "meshes", root / "more"], mine[0], Shard(1, 2))
    with pytest.raises(HifaError, match="is shard 1/3 of a gallery already"):
        build([root / "meshes", root / "more"], mine[0])
    with pytest.raises(HifaError, match="is one of the shards"):
        merge_shards(mine, mine[1], force=True)
    with pytest.raises(HifaError, match="is a gallery already"):
        merge_shards(mine, root / "whole")


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        ("hifa_version", "0.0.1", "differ in the version of hifa"),
        ("model", "0" * 32, "differ in the encoder"),
        ("shard", {"number": 2, "of": 3, "factory": "auto", "recall": 0.5, "views": "auto"}, "--recall"),
        ("origins", [], "differ in the number of sources"),
    ],
)
def test_shards_of_another_make_are_refused(
    entry: str, value: Any, said: str, mine: list[Path], tmp_path: Path
) -> None:
    main = mine[1] / "gallery.json"
    document = json.loads(main.read_text())
    if entry == "origins":
        np.save(mine[1] / "generation-1" / "origins.npy", np.zeros(document["shapes"], dtype=np.int32))
        value = document["origins"][:1]
    main.write_text(json.dumps({**document, entry: value}))
    with pytest.raises(HifaError, match=said):
        merge_shards(mine, tmp_path / "g")
    assert not (tmp_path / "g").exists()


def test_shards_that_were_drawn_otherwise_are_refused(small: Path, tmp_path: Path) -> None:
    trained: dict[str, Any] = {"model": small / "run", "ranking": None}
    build(small / "meshes", tmp_path / "a", Shard(1, 2), **trained)
    drawn = replace(DRAWN, elevation=12.0)
    build(small / "meshes", tmp_path / "b", Shard(2, 2), render_config=drawn, **trained)
    code, _, err = hifa("index", "--merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "g")
    assert code == 1
    assert "differ in 'rig' of source 1" in one_line(err)


def test_updated_shards_merge_into_the_gallery_that_is_built_anew(small: Path, tmp_path: Path) -> None:
    trained: dict[str, Any] = {"model": small / "run", "ranking": None}
    meshes = Path(shutil.copytree(small / "meshes", tmp_path / "meshes"))
    shards = shards_of(meshes, tmp_path, **trained)
    write_mesh(meshes / "c" / "new.off", 9.0)
    (meshes / "a" / "4.off").unlink()
    write_mesh(meshes / "b" / "7.off", 5.5)
    work = BuildOptions(workers=1)
    update.update(shards[0], IndexConfig(), work, model=None)
    with pytest.raises(HifaError, match="held other shapes"):
        merge_shards(shards, tmp_path / "g")
    for shard in shards[1:]:
        update.update(shard, IndexConfig(), work, model=None)
    merge_shards(shards, tmp_path / "g")
    build(meshes, tmp_path / "anew", **trained)
    assert contents(tmp_path / "g") == contents(tmp_path / "anew")
    write_mesh(meshes / "c" / "newer.off", 11.0)
    for shard in shards:
        update.update(shard, IndexConfig(), work, model=None)
    merge_shards(shards, tmp_path / "g", force=True)  # the next generation of the merged gallery
    assert len(read_gallery(tmp_path / "g")) == 13
    assert update.update(tmp_path / "g", IndexConfig(), work, model=None).unchanged == 13


def test_more_sources_are_divided_as_the_first_ones_were(small: Path, tmp_path: Path) -> None:
    trained: dict[str, Any] = {"model": small / "run", "ranking": None}
    shards = shards_of(small / "meshes", tmp_path, **trained)
    for number in range(4):
        write_mesh(tmp_path / "more" / "d" / f"{number}.off", 2.2 + number)
    for shard in shards:
        update.add(shard, [tmp_path / "more"], IndexConfig(), BuildOptions(DRAWN, workers=1), model=None)
    merge_shards(shards, tmp_path / "g")
    build([small / "meshes", tmp_path / "more"], tmp_path / "anew", **trained)
    assert contents(tmp_path / "g") == contents(tmp_path / "anew")


def test_rendered_views_are_divided_too_and_an_index_is_of_the_whole(small: Path, tmp_path: Path) -> None:
    trained: dict[str, Any] = {
        "model": small / "run",
        "ranking": None,
        "index_config": IndexConfig(factory="HNSW8"),
    }
    render([small / "meshes"], tmp_path / "views", DRAWN, workers=1)
    shards = shards_of(tmp_path / "views", tmp_path, **trained)
    assert {read_gallery(shard).document["factory"] for shard in shards} == {"Flat"}
    merge_shards(shards, tmp_path / "g")
    build(tmp_path / "views", tmp_path / "anew", **trained)
    assert (tmp_path / "g" / "generation-1" / "index.faiss").is_file()
    assert contents(tmp_path / "g") == contents(tmp_path / "anew")


def test_metadata_of_shards_is_kept_and_their_maps_are_not(small: Path, tmp_path: Path) -> None:
    shards = shards_of(small / "meshes", tmp_path, model=small / "run", ranking=None)
    (tmp_path / "t.csv").write_text(
        "id,price,note\n" + "".join(f"a/{n},{n},{'x' * (n % 4)}\n" for n in range(0, 12, 2))
    )
    for shard in shards:
        update.annotate(shard, tmp_path / "t.csv", IndexConfig())
    merge_shards(shards, tmp_path / "g")
    build(small / "meshes", tmp_path / "anew", model=small / "run", ranking=None,
          metadata=tmp_path / "t.csv")  # fmt: skip
    assert contents(tmp_path / "g") == contents(tmp_path / "anew")


def test_a_broken_mesh_costs_its_shard_that_mesh_only(small: Path, tmp_path: Path) -> None:
    meshes = Path(shutil.copytree(small / "meshes", tmp_path / "meshes"))
    (meshes / "a" / "broken.off").write_text("OFF\n4 x\n")
    failed = []
    for number in (1, 2):
        report = build(meshes, tmp_path / f"{number}", Shard(number, 2), model=small / "run", ranking=None)
        failed += report["failed"]
    assert [Path(one["path"]).name for one in failed] == ["broken.off"]
    assert merge_shards([tmp_path / "1", tmp_path / "2"], tmp_path / "g")["shapes"] == 12


def test_a_shard_that_cannot_be_made_is_said_in_one_line(small: Path, tmp_path: Path) -> None:
    meshes = small / "meshes"
    for words, code, said in (
        ((meshes, "--shard", "4/3"), 2, "'4/3' is not a shard"),
        ((meshes, "--shard", "0/3"), 2, "is not a shard"),
        ((meshes, "--shard", "1/3", "--learn"), 2, "--shard goes with a SOURCE"),
        (("--merge", meshes, "--recall", "0.5"), 2, "all else is as in the shards"),
        (("--merge", meshes), 1, "no gallery at"),
        ((meshes, "--shard", "400/900", "--model", small / "run"), 1, "no shape falls into the shard"),
    ):
        found, _, err = hifa("index", *words, "--out", tmp_path / "g", "-q")
        assert found == code, err
        assert said in " ".join(err.split())
        assert not (tmp_path / "g").exists()


def test_an_export_is_not_divided(tmp_path: Path) -> None:
    shapes = Embeddings(
        ids=("a", "b"), labels=np.zeros(2, dtype=np.int64), vectors=np.eye(2, dtype=np.float32)
    )
    write_export(tmp_path / "e.h5", Export(None, shapes, ("thing",)))
    with pytest.raises(HifaError, match="embedded already"):
        build(tmp_path / "e.h5", tmp_path / "g", Shard(1, 2))


def test_a_damaged_part_is_found_when_the_shard_is_opened(mine: list[Path], tmp_path: Path) -> None:
    main = mine[0] / "gallery.json"
    document = json.loads(main.read_text())
    main.write_text(json.dumps({**document, "shard": {**document["shard"], "number": 7}}))
    with pytest.raises(HifaError, match="damaged"):
        merge_shards(mine, tmp_path / "g")
    assert parse_shard("2/8") == Shard(2, 8)
