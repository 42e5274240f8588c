"""A change costs what changes: rows are appended, those that go are not shown, and nothing else differs."""

import json
import random
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
from hifa_cli.gallery import Gallery, growth, read_gallery, thumbnail_path, update
from hifa_cli.gallery import verify as audit
from hifa_cli.gallery.build import BuildOptions, build_gallery
from hifa_cli.gallery.shown import Shown, whole
from hifa_cli.models.network import save_network
from hifa_cli.query.where import rows_where
from hifa_cli.search.exact import exact_search
from tests.gallery.test_update import write_mesh

CPU = torch.device("cpu")
GROWS = IndexConfig(whole_bytes=0)
WHOLE = IndexConfig(whole_bytes=1 << 40)
WIDTH = 16


def write_shapes(path: Path, numbers: range, classes: tuple[str, ...] = ("box", "rod")) -> Path:
    """An export of shapes whose vectors depend on their numbers alone."""
    vectors = [np.abs(np.random.default_rng(number).normal(size=WIDTH)) for number in numbers]
    labels = np.array([number % len(classes) for number in numbers], dtype=np.int64)
    ids = tuple(f"{classes[label]}/{number} ü" for label, number in zip(labels, numbers, strict=True))
    shapes = Embeddings(ids=ids, labels=labels, vectors=np.array(vectors, dtype=np.float32))
    write_export(path, Export(None, shapes, classes))
    return path


def build(source: Path, out: Path, **options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "model": None, "render_config": RenderConfig(views=2, size=48), "index_config": GROWS, **options,
    }  # fmt: skip
    return build_gallery(source, out, split=None, workers=1, device=CPU, force=False, **settings)


def add(out: Path, source: Path, config: IndexConfig = GROWS) -> update.Change:
    return update.add(out, [source], config, BuildOptions(workers=1), model=None)


def table(gallery: Gallery) -> dict[str, Any]:
    """All that a gallery knows of each shape, whatever the order of its rows."""
    return {
        name: (
            gallery.class_of(row), gallery.vectors[row].tobytes(), bytes(np.asarray(gallery.digests[row])),
            None if gallery.views is None else np.asarray(gallery.views[row]).tobytes(),
            gallery.source(row), gallery.thumbnail(row) is None, gallery.origin(row)["path"],
            {field: column.value(row) for field, column in gallery.fields.items()},
        )
        for row, name in enumerate(gallery.ids)
    }  # fmt: skip


def bases(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("generation-*"))


@pytest.fixture
def hundred(tmp_path: Path) -> Path:
    """A gallery of a hundred shapes of an export."""
    build(write_shapes(tmp_path / "e.h5", range(100)), tmp_path / "g")
    return tmp_path / "g"


def test_rows_that_are_shown_fill_the_holes_from_behind() -> None:
    shown = Shown(10, np.array([1, 4, 8]))
    stored = np.arange(10) * 10
    assert shown.of(stored.copy()).tolist() == [0, 70, 20, 30, 90, 50, 60]
    assert shown.where_stored(np.arange(7)).tolist() == [0, 7, 2, 3, 9, 5, 6]
    assert shown.where_shown(np.arange(-1, 10)).tolist() == [-1, 0, -1, 2, 3, -1, 5, 6, 1, -1, 4]
    assert whole(3).of(stored)[:3].tolist() == [0, 10, 20]
    for seed in range(200):
        rng = np.random.default_rng(seed)
        stored_count = int(rng.integers(1, 30))
        gone = np.flatnonzero(rng.random(stored_count) < rng.random())
        some = Shown(stored_count, gone)
        assert sorted(some.of(np.arange(stored_count)).tolist()) == sorted({*range(stored_count)} - {*gone})
        assert some.where_shown(some.where_stored(np.arange(some.count))).tolist() == [*range(some.count)]


def test_an_addition_appends_to_the_columns_and_writes_nothing_again(hundred: Path, tmp_path: Path) -> None:
    base = hundred / "generation-1"
    before = {path.name: path.read_bytes() for path in base.iterdir()}
    change = add(hundred, write_shapes(tmp_path / "more.h5", range(100, 103)))
    assert (change.added, change.unchanged) == (3, 100)
    assert bases(hundred) == ["generation-1", "generation-2"]
    assert [path.name for path in (hundred / "generation-2").iterdir()] == ["gone.npy"]
    for path in base.iterdir():
        assert path.read_bytes().startswith(before[path.name])
        assert path.stat().st_size - len(before[path.name]) <= 3 * 4 * WIDTH
    assert (base / "vectors.f32").stat().st_size == 103 * 4 * WIDTH
    build(write_shapes(tmp_path / "all.h5", range(103)), tmp_path / "whole")
    grown, anew = read_gallery(hundred), read_gallery(tmp_path / "whole")
    assert list(grown.ids) == list(anew.ids)
    assert np.array_equal(grown.vectors, anew.vectors)
    assert grown.classes == anew.classes
    assert np.array_equal(grown.labels, anew.labels)
    assert json.loads((hundred / "gallery.json").read_text())["schema"] == 3
    assert audit.verify(hundred) == []


def test_a_removal_writes_which_rows_are_gone_and_nothing_else(hundred: Path) -> None:
    before = read_gallery(hundred)
    left = {name: value for name, value in table(before).items() if name not in ("box/4 ü", "rod/97 ü")}
    update.remove(hundred, ["box/4 ü", "rod/97*"], GROWS)
    assert bases(hundred) == ["generation-1", "generation-2"]
    assert np.load(hundred / "generation-2" / "gone.npy").tolist() == [4, 97]
    after = read_gallery(hundred)
    assert table(after) == left
    assert len(before) == 100  # who had opened it goes on
    assert before.ids[97] == "rod/97 ü"
    assert before.vectors.shape == (100, WIDTH)
    assert audit.verify(hundred) == []


def test_so_much_is_gone_that_the_columns_are_written_anew(hundred: Path) -> None:
    for number in range(0, 12, 2):
        update.remove(hundred, [f"box/{number} ü"], GROWS)
    assert bases(hundred) == ["generation-1", "generation-7"]
    update.remove(hundred, ["rod/1 ü"], GROWS)
    assert bases(hundred) == ["generation-8"]
    assert json.loads((hundred / "gallery.json").read_text())["schema"] == 2
    assert len(read_gallery(hundred)) == 93
    assert (hundred / "generation-8" / "vectors.f32").stat().st_size == 93 * 4 * WIDTH


def test_small_galleries_are_written_whole(hundred: Path, tmp_path: Path) -> None:
    add(hundred, write_shapes(tmp_path / "more.h5", range(100, 103)), IndexConfig())
    assert bases(hundred) == ["generation-2"]


@pytest.mark.parametrize("seed", range(4))
def test_many_changes_give_what_writing_it_whole_gives(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    build(write_shapes(tmp_path / "e.h5", range(150)), tmp_path / "grown")
    shutil.copytree(tmp_path / "grown", tmp_path / "whole")
    places, number = {"grown": GROWS, "whole": WHOLE}, 150
    kinds = ("box", "rod", "cup", "arm")  # new classes come, and sort before old ones
    appended = 0
    for step in range(14):
        if draw.random() < 0.6:
            size = draw.randint(1, 5)
            kind = kinds[: draw.randint(2, 4)]
            more = write_shapes(tmp_path / f"{step}.h5", range(number, number + size), kind)
            number += size
            for name, config in places.items():
                add(tmp_path / name, more, config)
        else:
            gone = draw.sample(list(read_gallery(tmp_path / "whole").ids), draw.randint(1, 3))
            for name, config in places.items():
                update.remove(tmp_path / name, gone, config)
        grown, anew = read_gallery(tmp_path / "grown"), read_gallery(tmp_path / "whole")
        appended += grown.base != grown.place
        assert table(grown) == table(anew)
        assert grown.classes == anew.classes
        queries = np.abs(np.random.default_rng(step).normal(size=(3, WIDTH))).astype(np.float32)
        for one, other in zip(grown.search(queries, 9)[1], anew.search(queries, 9)[1], strict=True):
            assert [grown.ids[row] for row in one] == [anew.ids[row] for row in other]
    assert appended >= 8
    assert audit.verify(tmp_path / "grown") == []


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty meshes, a small random network, the gallery of them with metadata, and kept views."""
    root = tmp_path_factory.mktemp("library")
    config = ModelConfig(backbone="test_resnet", embedding=8, size=32, resize=32)
    save_network(frozen_encoder(CPU, config, "none").network, root / "run", method="hifa", hifa_version="0")
    for number in range(20):
        write_mesh(root / "meshes" / ("a", "b")[number % 2] / f"{number}.off", 0.4 + number / 3)
    (root / "t.csv").write_text("id,price,note\n" + "".join(f"a/{n},{n},note {n}\n" for n in range(0, 20, 2)))
    build(root / "meshes", root / "g", model=root / "run", keep_views=True, metadata=root / "t.csv")
    return root


def test_a_source_is_followed_with_fields_views_and_pictures(library: Path, tmp_path: Path) -> None:
    shutil.copytree(library, tmp_path / "l")
    meshes, g = tmp_path / "l" / "meshes", tmp_path / "l" / "g"
    main = g / "gallery.json"
    main.write_text(main.read_text().replace(str(library), str(tmp_path / "l")))
    write_mesh(meshes / "a" / "4.off", 9.0)  # changed: keeps its price
    for number in range(30):
        write_mesh(meshes / "c" / f"{number}.off", 3.1 + number / 11)
    shutil.copytree(g, tmp_path / "l" / "whole")
    first = update.update(g, GROWS, BuildOptions(workers=1), model=None)
    assert (first.added, first.changed) == (30, 1)
    (meshes / "b" / "3.off").rename(meshes / "b" / "other.off")
    (meshes / "a" / "8.off").unlink()
    change = update.update(g, GROWS, BuildOptions(workers=1), model=None)
    assert (change.renamed, change.removed, change.added) == (1, ["a/8"], 0)
    assert bases(g) == ["generation-1", "generation-3"]
    update.update(tmp_path / "l" / "whole", WHOLE, BuildOptions(workers=1), model=None)
    grown, anew = read_gallery(g), read_gallery(tmp_path / "l" / "whole")
    assert table(grown) == table(anew)
    assert grown.classes == ("a", "b", "c")
    assert [grown.ids[row] for row in rows_where(grown, "note = 'note 4' and price = 4")] == ["a/4"]
    assert [grown.ids[row] for row in rows_where(grown, "note = 'note 8'")] == []
    names = {path.parent.relative_to(g / "views" / "0").as_posix() for path in (g / "views").rglob("00.png")}
    assert names == set(grown.ids)
    named = {thumbnail_path(g, grown.digests[row]) for row in range(len(grown))}
    assert set((g / "thumbnails").glob("*/*.png")) == named
    assert audit.verify(g) == []


def test_neighbours_are_found_anew_and_a_kind_ranks_as_written_whole(tmp_path: Path) -> None:
    for number in range(44):
        write_mesh(tmp_path / "meshes" / f"{number}.off", 0.3 + number / 9)
    for name, config in (("g", GROWS), ("whole", WHOLE)):
        build(tmp_path / "meshes", tmp_path / name, ranking=RankingConfig(), index_config=config)
    write_mesh(tmp_path / "meshes" / "x" / "new.off", 2.22)
    for name, config in (("g", GROWS), ("whole", WHOLE)):
        update.update(tmp_path / name, config, BuildOptions(workers=1), model=None)
    grown, anew = read_gallery(tmp_path / "g"), read_gallery(tmp_path / "whole")
    assert grown.base != grown.place
    assert grown.ranking is not None
    assert anew.ranking is not None
    mine, theirs = grown.ranking.graph, anew.ranking.graph
    assert mine is not None
    assert theirs is not None
    assert mine.rows.shape == (45, 5)
    assert np.array_equal(mine.rows, theirs.rows)  # nothing was removed: the order is the same
    assert np.array_equal(mine.weights, theirs.weights)


@pytest.mark.parametrize("factory", ["HNSW8", "IVF4,Flat"])
def test_an_index_finds_what_is_new_and_never_what_is_gone(factory: str, tmp_path: Path) -> None:
    config = replace(GROWS, factory=factory)
    build(write_shapes(tmp_path / "e.h5", range(400)), tmp_path / "g", index_config=config)
    index = (tmp_path / "g" / "generation-1" / "index.faiss").read_bytes()
    update.remove(tmp_path / "g", ["box/10 ü", "rod/399 ü", "box/398 ü"], config)
    add(tmp_path / "g", write_shapes(tmp_path / "more.h5", range(400, 405)), config)
    assert bases(tmp_path / "g") == ["generation-1", "generation-3"]
    assert (tmp_path / "g" / "generation-1" / "index.faiss").read_bytes() == index
    gallery = read_gallery(tmp_path / "g")
    queries = np.stack([gallery.vectors[row] for row in range(len(gallery))])
    wanted = exact_search(gallery.vectors, queries, 1)
    found = gallery.searcher.search(queries, 1)
    assert np.allclose(found[0], wanted[0])
    assert found[1].max() < len(gallery)
    assert {gallery.ids[row] for row in found[1].ravel().tolist()} == set(gallery.ids)
    add(tmp_path / "g", write_shapes(tmp_path / "many.h5", range(405, 440)), config)  # too many to search
    assert bases(tmp_path / "g") == ["generation-4"]
    assert audit.verify(tmp_path / "g") == []


def test_who_is_killed_before_the_rename_leaves_the_gallery_as_it_was(
    hundred: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = table(read_gallery(hundred))
    more = write_shapes(tmp_path / "more.h5", range(100, 104))
    with monkeypatch.context() as patch:
        patch.setattr(growth, "publish", lambda *ignored: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            add(hundred, more)
    assert (
        hundred / "generation-1" / "vectors.f32"
    ).stat().st_size > 100 * 4 * WIDTH  # appended, not counted
    assert table(read_gallery(hundred)) == before
    add(hundred, write_shapes(tmp_path / "others.h5", range(200, 202)))
    after = read_gallery(hundred)
    assert {name: value for name, value in table(after).items() if name in before} == before
    assert set(after.ids) - set(before) == {"box/200 ü", "rod/201 ü"}
    assert audit.verify(hundred) == []


def test_what_cannot_be_appended_is_written_whole(hundred: Path, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps({"box/2 ü": {"price": 3}}))
    update.annotate(hundred, tmp_path / "t.json", GROWS)  # a field for all
    assert bases(hundred) == ["generation-2"]
    add(hundred, write_shapes(tmp_path / "one.h5", range(100, 101)))
    assert bases(hundred) == ["generation-2", "generation-3"]
    update.remove(hundred, ["box/100 ü"], GROWS)  # its origin goes with it
    assert bases(hundred) == ["generation-4"]
    assert len(read_gallery(hundred).document["origins"]) == 1
    assert [column.value(2) for column in read_gallery(hundred).fields.values()] == [3]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda g: np.save(g / "generation-2" / "gone.npy", np.array([7, 7])),
        lambda g: np.save(g / "generation-2" / "gone.npy", np.array([4, 900])),
        lambda g: (g / "generation-2" / "gone.npy").unlink(),
        lambda g: (g / "generation-1" / "vectors.f32").write_bytes(bytes(4 * WIDTH)),
        lambda g: (g / "generation-1" / "labels.npy").write_bytes(b"no numbers"),
        lambda g: (g / "generation-1" / "digests.npy").write_bytes(b""),
        lambda g: said(g, base="../elsewhere"),
        lambda g: said(g, stored=1 << 40),
        lambda g: said(g, stored=90),
        lambda g: said(g, indexed=-1),
        lambda g: said(g, classes=["box", 3]),
    ],
)  # fmt: skip
def test_damage_is_found_at_opening(spoil: Any, hundred: Path) -> None:
    update.remove(hundred, ["box/4 ü", "rod/97 ü"], GROWS)
    spoil(hundred)
    with pytest.raises(HifaError, match="damaged"):
        read_gallery(hundred)


def said(folder: Path, **entries: Any) -> None:
    main = folder / "gallery.json"
    document = json.loads(main.read_text())
    main.write_text(json.dumps({**document, "rows": {**document["rows"], **entries}}))
