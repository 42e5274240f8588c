"""A store behind a gallery changes nothing of what the gallery answers, and holds its vectors to the bit."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient

from hifa_cli.api.client import Client
from hifa_cli.config import IndexConfig, RankingConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery, read_gallery, update
from hifa_cli.gallery import verify as audit
from hifa_cli.gallery.build import BuildOptions
from hifa_cli.gallery.rehouse import rehouse
from hifa_cli.gallery.stores import address_of, open_store, settled_address
from hifa_cli.gallery.stores.base import AT_ONCE, Asked, Block, Shelf, Size, StoreError, readable
from hifa_cli.query.where import rows_where
from hifa_cli.render.pipeline import draw_jobs
from hifa_cli.runtime.progress import reporting
from hifa_cli.search.exact import exact_search
from hifa_cli.search.rerank import QueryVectors, unit
from tests.cli.test_cli import hifa, one_line
from tests.gallery.qdrant_server import Died, serving
from tests.gallery.test_growth import GROWS, table, write_shapes
from tests.gallery.test_growth import build as build_export
from tests.gallery.test_shards import build, contents
from tests.gallery.test_update import Heard, write_mesh
from tests.web.conftest import serving as serving_pages

pytestmark = [  # of Qdrant's embedded mode
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
]
STORES = ("lance", "qdrant")
QDRANT = "qdrant://localhost:6333/parts"
WIDTH, VIEWS = 12, 3


@pytest.fixture(params=STORES)
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty store: LanceDB in a folder, or Qdrant's embedded mode in place of a server."""
    if request.param == "lance":
        return f"lance:{tmp_path / 'lance'}"
    client = QdrantClient(":memory:")
    monkeypatch.setattr("qdrant_client.QdrantClient", lambda **_: client)
    return QDRANT


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of the default encoder: 50 meshes of two classes, smoothed over a graph of neighbours."""
    root = tmp_path_factory.mktemp("stores")
    for number in range(42):
        write_mesh(root / "meshes" / "box" / f"{number} ü'\".off", 0.3 + number / 7)
    for number in range(8):
        write_mesh(root / "meshes" / "rod" / f"{number}.stl", 1.0 + number, kind="rod")
    (root / "parts.json").write_text(
        json.dumps([{"id": f"box/{number} ü'\"", "maker": "acme" if number % 3 else None,
                     "list price": number / 2} for number in range(42)])
    )  # fmt: skip
    ranking = RankingConfig(candidates=4)  # so that candidates are chosen even here
    build(root / "meshes", root / "g", ranking=ranking, metadata=root / "parts.json")
    return root / "g"


@pytest.fixture
def mine(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "g"))


@pytest.fixture
def pair(built: Path, address: str, tmp_path: Path) -> tuple[Path, Path, Path]:
    """The same gallery twice, locally and in the store, and the meshes that both follow."""
    meshes = Path(shutil.copytree(built.parent / "meshes", tmp_path / "meshes"))
    for name in ("local", "stored"):
        shutil.copytree(built, tmp_path / name)
    rehouse(tmp_path / "stored", address)
    return tmp_path / "local", tmp_path / "stored", meshes


def blocks(
    vectors: np.ndarray, views: np.ndarray | None, ids: list[str], first: int = 0, each: int = 7
) -> Iterator[Block]:
    for start in range(0, len(vectors), each):
        part = slice(start, start + each)
        said: list[dict[str, Any]] = [
            {"id": one, "class": None, "path": "", "fields": {}} for one in ids[part]
        ]
        yield Block(first + start, vectors[part], None if views is None else views[part], said)


def world(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    views = unit(rng.normal(size=(count, VIEWS, WIDTH))).astype(np.float16)
    return unit(views.astype(np.float32).mean(axis=1)), views


def shelf_of(address: str, vectors: np.ndarray, views: np.ndarray | None, ids: list[str]) -> Shelf:
    size = Size(0 if views is None else views.shape[1], vectors.shape[1])
    store = open_store(settled_address(address))
    store.create("hifa-0123456789abcdef-1-01234567", size, blocks(vectors, views, ids), [])
    return store.open("hifa-0123456789abcdef-1-01234567")


def known(gallery: Gallery) -> dict[str, Any]:
    """Of each shape its class, vectors and digest, whatever the order and wherever its source lies."""
    return {name: one[:4] for name, one in table(gallery).items()}


def queries_of(gallery: Gallery, count: int = 4) -> QueryVectors:
    """Queries between shapes of the gallery."""
    rng = np.random.default_rng(1)
    width = gallery.vectors.shape[1]
    rows = rng.permutation(len(gallery))[:count]
    near = [np.asarray(gallery.vectors[rows]) + 0.02 * rng.normal(size=(count, width)) for _ in range(2)]
    kind, part = (unit(one) for one in near)
    return QueryVectors(kind, part, part)


# --- a shelf ---


def test_a_shelf_gives_back_every_number_to_the_bit(address: str) -> None:
    vectors, views = world(40)
    vectors[3], views[5] = 0, 0
    vectors[4, :3] = np.array([-0.0, 1e-42, np.float32(1) / 3], dtype=np.float32)
    views[6, 0, :2] = np.array([6e-8, -0.0], dtype=np.float16)
    shelf = shelf_of(address, vectors, views, [str(number) for number in range(40)])
    rows = np.array([39, 0, 4, 4, 6, 3, 5])
    assert (shelf.count(), shelf.size) == (40, Size(VIEWS, WIDTH))
    assert shelf.fetch("vectors", rows).tobytes() == vectors[rows].tobytes()
    assert shelf.fetch("views", rows).tobytes() == views[rows].tobytes()
    assert shelf.fetch("vectors", rows).dtype == np.float32
    with pytest.raises(StoreError, match="lacks rows"):
        shelf.fetch("vectors", np.array([2, 40]))


def test_a_shelf_searches_exactly_among_any_rows(address: str) -> None:
    vectors, _ = world(300)
    queries = unit(np.random.default_rng(3).normal(size=(3, WIDTH)))
    shelf = shelf_of(address, vectors, None, [str(number) for number in range(300)])
    gone = np.arange(0, 250, 3)
    for stored, within in ((300, None), (280, None), (280, np.arange(1, 280, 2)), (300, np.arange(2))):
        found = shelf.search(queries, 10, Asked(stored, within, gone))
        left = np.setdiff1d(np.arange(stored) if within is None else within, gone)
        scores, rows = exact_search(vectors, queries, 10, among=left)
        assert found.rows[:, : rows.shape[1]].tolist() == rows.tolist()
        assert found.scores[:, : rows.shape[1]] == pytest.approx(scores, abs=1e-6)
        assert (found.rows[:, rows.shape[1] :] == -1).all()


def test_more_rows_than_one_condition_names_are_searched_in_parts(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hifa_cli.gallery.stores.base.AT_ONCE", 16)
    assert AT_ONCE == 10_000
    vectors, _ = world(200)
    queries = unit(np.random.default_rng(3).normal(size=(2, WIDTH)))
    shelf = shelf_of(address, vectors, None, [str(number) for number in range(200)])
    within = np.arange(5, 190)
    found = shelf.search(queries, 12, Asked(200, within))
    assert found.rows.tolist() == exact_search(vectors, queries, 12, among=within)[1].tolist()


def test_what_a_killed_writer_left_behind_the_rows_is_written_over(address: str) -> None:
    vectors, views = world(30)
    names = [f"a{number}" for number in range(30)]
    shelf = shelf_of(address, vectors[:20], views[:20], names[:20])
    shelf.append(blocks(vectors[20:], views[20:], ["left"] * 10, first=20))
    better, seen = world(5, seed=9)
    shelf.append(blocks(better, seen, ["new"] * 5, first=20))
    rows = np.arange(25)
    assert shelf.fetch("vectors", rows).tobytes() == np.concatenate([vectors[:20], better]).tobytes()
    assert [one["id"] for one in shelf.payload(rows)] == [*names[:20], *["new"] * 5]
    found = shelf.search(vectors[25:26], 30, Asked(25)).rows
    assert sorted(found[found >= 0].tolist()) == rows.tolist()


ODD = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\udc80\udcff / '\"\\\n\t\0%;*ü🪑")),
    min_size=1, max_size=12,
)  # fmt: skip


@pytest.mark.parametrize("kind", STORES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(ODD, min_size=1, max_size=8, unique=True), text=ODD)
def test_odd_ids_survive_every_store(
    kind: str, ids: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, views = world(len(ids))
    fields = {readable(text): "text", "no": "flag"}
    said: list[dict[str, Any]] = [
        {"name": name, "kind": one, "origin": "metadata"} for name, one in fields.items()
    ]
    payload = [
        {"id": readable(one), "class": readable(text), "path": readable(f"{one}.off"),
         "fields": {readable(text): readable(one), "no": False}}
        for one in ids
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        client = QdrantClient(":memory:")
        monkeypatch.setattr("qdrant_client.QdrantClient", lambda **_: client)
        store = open_store(f"lance:{scratch}" if kind == "lance" else QDRANT)
        rows = iter([Block(0, vectors, views, payload)])
        shelf = store.create("hifa-0123456789abcdef-1-01234567", Size(VIEWS, WIDTH), rows, said)
        assert shelf.payload(np.arange(len(ids))) == payload


# --- a gallery ---


@pytest.mark.parametrize("times", [0, 1_000_000])
@pytest.mark.parametrize("find", ["both", "kind", "part"])
def test_a_store_ranks_as_the_local_gallery(
    address: str, mine: Path, built: Path, find: Any, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the store is asked for each query, or its vectors are held in memory."""
    monkeypatch.setattr("hifa_cli.gallery.stores.table._COLD", times)
    local = read_gallery(built)
    rehouse(mine, address)
    stored = read_gallery(mine)
    assert stored.shelf is not None
    assert not list(mine.glob("generation-*/v*.f*"))
    queries = queries_of(local)
    for top in (3, 50):  # by candidates, and all shapes
        for condition in ("", "faces > 20", "maker = 'acme' and \"list price\" < 15", "class = 'rod'"):
            among = rows_where(stored, condition) if condition else None
            assert local.ranking is not None
            assert stored.ranking is not None
            scores, rows = local.ranking.rank(queries, top, find=find, among=among)
            found, at = stored.ranking.rank(queries, top, find=find, among=among)
            assert at.tolist() == rows.tolist()
            assert found == pytest.approx(scores, abs=1e-5)
    best = local.best_views(queries.part[0], rows[0])
    again = stored.best_views(queries.part[0], rows[0])
    assert best is not None
    assert again is not None
    assert best.tolist() == again.tolist()


def test_candidates_are_those_of_the_local_gallery_where_scores_are_almost_equal(
    address: str, mine: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hifa_cli.gallery.stores.table._COLD", 1_000_000)
    local = read_gallery(built)
    rehouse(mine, address)
    stored = read_gallery(mine)
    queries = queries_of(local, 12).kind
    for top in (1, 4, 9, 49, 60):
        wanted = local.searcher.candidates(queries, top)
        assert stored.searcher.candidates(queries, top).tolist() == wanted.tolist()
    some = np.array([4, 2, 2, 30])
    assert stored.searcher.products(queries[0], some) == pytest.approx(
        local.searcher.products(queries[0], some), abs=1e-6
    )


def test_a_query_on_the_command_line_is_the_same(address: str, mine: Path, built: Path) -> None:
    rehouse(mine, address)
    for options in ((), ("--where", "watertight and faces < 30"), ("--class", "rod"), ("--find", "part")):
        answers = []
        for gallery in (built, mine):
            code, stdout, stderr = hifa("query", "--like", "rod/3", "-g", gallery, "--json", *options)
            assert code == 0, stderr
            found = json.loads(stdout)
            answers.append(
                [
                    (one["shape"], pytest.approx(one["score"], abs=1e-5), one["view"])
                    for one in found["results"][0]["matches"]
                ]
            )
        assert answers[1] == answers[0]
        assert answers[0]


def test_vectors_come_back_byte_for_byte(address: str, mine: Path, built: Path) -> None:
    rehouse(mine, address)
    rehouse(mine, "local")
    before, after = contents(built), contents(mine)
    again = {name.replace("generation-3", "generation-1"): one for name, one in after.items()}
    assert again.keys() == before.keys()
    assert [name for name, one in before.items() if again[name] != one] == ["gallery.json"]
    assert open_store(settled_address(address)).shelves() == []


def test_a_store_knows_ids_classes_paths_and_fields(address: str, mine: Path) -> None:
    rehouse(mine, address)
    gallery = read_gallery(mine)
    assert gallery.shelf is not None
    rows = np.arange(len(gallery))
    for row, one in enumerate(gallery.shelf.payload(rows)):
        known = {name: column.value(row) for name, column in gallery.fields.items()}
        assert one["id"] == gallery.ids[row]
        assert (one["class"], one["path"]) == (gallery.class_of(row), gallery.paths[row])
        assert one["fields"] == {name: value for name, value in known.items() if value is not None}
    assert audit.verify(mine) == []
    assert audit.stats(mine)["store"] == settled_address(address)


def test_a_changed_gallery_in_a_store_is_the_one_that_changes_locally(pair: tuple[Path, Path, Path]) -> None:
    *places, source = pair
    old = read_gallery(places[1])
    write_mesh(source / "box" / "new\n%.off", 9.5)
    write_mesh(source / "box" / "7 ü'\".off", 8.25)
    (source / "box" / "11 ü'\".off").unlink()
    (source / "box" / "12 ü'\".off").rename(source / "box" / "moved.off")
    for place in places:
        update.update(place, GROWS, BuildOptions(workers=1), model=None)
    local, stored = (read_gallery(place) for place in places)
    assert "rows" in stored.document
    assert known(stored) == known(local)
    assert "box/new\n%" in known(stored)
    assert local.ranking is not None
    assert stored.ranking is not None
    queries = queries_of(local)
    for top in (3, 60):
        wanted, rows = local.ranking.rank(queries, top)
        found, at = stored.ranking.rank(queries, top)
        assert [stored.ids[row] for row in at[0]] == [local.ids[row] for row in rows[0]]
        assert found == pytest.approx(wanted, abs=1e-5)
    assert audit.verify(places[1]) == []
    assert np.asarray(old.vectors).shape == (50, 1280)  # who reads the old generation goes on
    assert stored.shelf is not None
    assert old.shelf is not None
    assert old.shelf.name == stored.shelf.name
    rehouse(places[1], "local")
    assert known(read_gallery(places[1])) == known(local)


def test_an_export_ranked_as_the_paper_does_answers_alike(address: str, tmp_path: Path) -> None:
    build_export(write_shapes(tmp_path / "e.h5", range(120)), tmp_path / "local")
    build_export(write_shapes(tmp_path / "e.h5", range(120)), tmp_path / "stored", store=address)
    local, stored = read_gallery(tmp_path / "local"), read_gallery(tmp_path / "stored")
    queries = np.abs(np.random.default_rng(2).normal(size=(5, 16)))
    for among in (None, np.arange(3, 90, 4)):
        scores, rows = local.search(queries, 10, among=among)
        found, at = stored.search(queries, 10, among=among)
        assert at.tolist() == rows.tolist()
        assert found.tolist() == scores.tolist()


# --- what goes wrong ---


def test_an_absent_library_is_named(built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    for place, extra in ((f"lance:{tmp_path}", "lance"), (QDRANT, "qdrant")):
        code, _, stderr = hifa("index", str(built), "--store", place)
        assert code == 1
        assert f"pip install 'hifa-cli[{extra}]'" in one_line(stderr)


@pytest.mark.parametrize(
    "text",
    ["lance:", "qdrant://host", "qdrant:///name", "qdrant://h:x/n", "qdrant://h/a b", "redis://h/n", "x"],
)
def test_an_address_that_names_no_store_is_refused(built: Path, text: str) -> None:
    code, _, stderr = hifa("index", str(built), "--store", text)
    assert code == 1
    assert "is not a store: give" in one_line(stderr)


def test_a_server_that_is_not_there_is_named_before_any_work(built: Path, tmp_path: Path) -> None:
    place = "qdrant://127.0.0.1:9/parts"
    code, _, stderr = hifa(
        "index", str(built.parent / "meshes"), "--out", str(tmp_path / "g"), "--store", place
    )
    assert code == 1
    assert place in one_line(stderr)
    assert "does not answer" in stderr
    assert not (tmp_path / "g").exists()


def test_a_store_of_another_gallery_is_refused(address: str, mine: Path, built: Path, tmp_path: Path) -> None:
    rehouse(mine, address)
    other = Path(shutil.copytree(built, tmp_path / "other"))
    with pytest.raises(HifaError, match="holds another gallery"):
        rehouse(other, address)
    assert address_of(read_gallery(other).document, other) == "local"
    assert audit.verify(mine) == []


def test_a_collection_that_no_gallery_made_is_left_alone(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qdrant_client import models

    client = QdrantClient(":memory:")
    monkeypatch.setattr("qdrant_client.QdrantClient", lambda **_: client)
    client.create_collection("parts", models.VectorParams(size=4, distance=models.Distance.DOT))
    with pytest.raises(HifaError, match="no gallery has made"):
        rehouse(mine, QDRANT)
    assert [one.name for one in client.get_collections().collections] == ["parts"]


def test_a_shelf_that_is_gone_or_of_another_size_is_said_in_one_line(address: str, mine: Path) -> None:
    rehouse(mine, address)
    said = json.loads((mine / "gallery.json").read_text())
    for key, value, words in (
        ("dimension", said["dimension"] - 1, "build the gallery again"),
        ("store", {**said["store"], "shelf": "hifa-x"}, "does not hold the vectors"),
        (
            "rows",
            {"base": said["generation"], "stored": 51, "indexed": 50, "classes": said["classes"]},
            "rows of",
        ),
    ):
        (mine / "gallery.json").write_text(json.dumps({**said, key: value}))
        if key == "rows":
            np.save(mine / said["generation"] / "gone.npy", np.zeros(1, dtype=np.int64))
        code, _, stderr = hifa("query", "--like", "rod/1", "-g", str(mine))
        assert code == 1
        assert words in one_line(stderr)


def test_a_gallery_document_with_an_odd_store_is_damaged(mine: Path) -> None:
    said = json.loads((mine / "gallery.json").read_text())
    for store in (1, {}, {"address": "local", "shelf": "a"}, {"address": "lance:/x", "shelf": "../a"}, None):
        (mine / "gallery.json").write_text(json.dumps({**said, "schema": 4, "store": store}))
        with pytest.raises(HifaError, match="damaged"):
            read_gallery(mine)


def failing(monkeypatch: pytest.MonkeyPatch, address: str, after: int) -> Callable[[], None]:
    """Have a store go away after so many blocks; return what brings it back."""
    from hifa_cli.gallery.shipping import Cargo

    whole = Cargo.blocks

    def some(self: Cargo, first: int) -> Iterator[Block]:
        for number, block in enumerate(whole(self, first)):
            if number == after:
                raise StoreError(f"the store {address} does not answer: gone")
            yield block

    patch = pytest.MonkeyPatch()
    patch.setattr(Cargo, "blocks", some)
    patch.setattr("hifa_cli.gallery.shipping._AT_ONCE", 1)
    return patch.undo


def test_a_store_that_goes_away_while_a_gallery_is_made_loses_nothing(
    address: str, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meshes, drawn = built.parent / "meshes" / "rod", []

    def counted(jobs: Any, *more: Any) -> Any:
        drawn.append(len(list(jobs)))
        return draw_jobs(jobs, *more)

    monkeypatch.setattr("hifa_cli.gallery.mesh_source.draw_jobs", counted)
    back = failing(monkeypatch, address, 5)
    with pytest.raises(StoreError, match="does not answer"):
        build(meshes, tmp_path / "g", store=address)
    back()
    build(meshes, tmp_path / "g", store=address)
    assert drawn == [8]  # and none again
    assert audit.verify(tmp_path / "g") == []
    assert len(open_store(settled_address(address)).shelves()) == 1


def test_a_store_that_goes_away_while_a_gallery_changes_leaves_it_as_it_was(
    pair: tuple[Path, Path, Path], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, place, source = pair
    before = table(read_gallery(place))
    for number in range(3):
        write_mesh(source / "rod" / f"new {number}.off", 3.5 + number, kind="rod")
    for config in (GROWS, IndexConfig()):
        back = failing(monkeypatch, address, 1)
        with pytest.raises(StoreError):
            update.update(place, config, BuildOptions(workers=1), model=None)
        back()
        assert table(read_gallery(place)) == before
    update.update(place, GROWS, BuildOptions(workers=1), model=None)
    assert len(read_gallery(place)) == 53
    assert audit.verify(place) == []


def test_another_machine_is_not_asked_because_a_strangers_gallery_names_it(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def client(**options: Any) -> Any:
        asked.append(options["host"])
        raise OSError("no such host")

    monkeypatch.setattr("qdrant_client.QdrantClient", client)
    said = json.loads((mine / "gallery.json").read_text())
    store = {"shelf": "hifa-0123456789abcdef-1-01234567", "relative": ""}
    for place, host in (("qdrant://db.example/parts", "db.example"), ("lance:s3://bucket/x", "bucket")):
        entry = {**store, "address": place}
        (mine / "gallery.json").write_text(json.dumps({**said, "schema": 4, "store": entry}))
        with pytest.raises(StoreError, match=f"HIFA_STORES={host}"):
            read_gallery(mine)
    assert asked == []


def test_a_gallery_whose_store_does_not_answer_is_not_made_anew(
    mine: Path, built: Path, tmp_path: Path
) -> None:
    rehouse(mine, f"lance:{tmp_path / 'lance'}")
    (tmp_path / "lance").rename(tmp_path / "away")
    said = (mine / "gallery.json").read_text()
    with pytest.raises(StoreError, match="does not hold"):
        build(built.parent / "meshes", mine)
    assert (mine / "gallery.json").read_text() == said
    (tmp_path / "away").rename(tmp_path / "lance")
    assert build(built.parent / "meshes", mine)["shapes"] == 50


def test_a_gallery_whose_store_is_lost_is_made_anew_by_force(mine: Path, built: Path, tmp_path: Path) -> None:
    rehouse(mine, f"lance:{tmp_path / 'lance'}")
    shutil.rmtree(tmp_path / "lance")
    with pytest.raises(StoreError, match="--force"):
        build(built.parent / "meshes", mine)
    with reporting(Heard()) as heard:
        assert build(built.parent / "meshes", mine, force=True)["shapes"] == 50
    assert "does not hold the vectors" in heard.said[0]
    assert audit.verify(mine) == []


def test_a_source_given_again_with_another_store_moves_there(mine: Path, built: Path, tmp_path: Path) -> None:
    rehouse(mine, f"lance:{tmp_path / 'a'}")
    meshes = Path(shutil.copytree(built.parent / "meshes", tmp_path / "meshes"))
    build(meshes, mine, store=f"lance:{tmp_path / 'b'}")
    assert open_store(f"lance:{tmp_path / 'a'}").shelves() == []
    build(meshes, mine)  # and stays there
    assert address_of(read_gallery(mine).document, mine) == f"lance:{tmp_path / 'b'}"
    assert audit.verify(mine) == []


def test_a_copy_reads_the_store_and_changes_nothing_there(address: str, mine: Path, tmp_path: Path) -> None:
    rehouse(mine, address)
    copy = Path(shutil.copytree(mine, tmp_path / "copy"))
    with reporting(Heard()):
        update.remove(copy, ["box/1*"], GROWS)
    assert len(read_gallery(copy)) < 50
    assert audit.verify(mine) == []
    update.remove(mine, ["rod/1"], GROWS)
    assert (len(read_gallery(mine)), audit.verify(copy)) == (49, [])


def test_a_folder_of_lance_moves_with_its_gallery(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    mine.rename(tmp_path / "a" / "g")
    rehouse(tmp_path / "a" / "g", f"lance:{tmp_path / 'a' / 'vectors.lance'}")
    (tmp_path / "a").rename(tmp_path / "b")
    assert audit.verify(tmp_path / "b" / "g") == []


def test_only_the_last_two_shelves_stay(address: str, mine: Path) -> None:
    rehouse(mine, address)
    for name in ("rod/1", "rod/2", "rod/3"):
        update.remove(mine, [name], IndexConfig())  # written whole, it is small
    shelves = open_store(settled_address(address)).shelves()
    assert len(shelves) == 2
    assert read_gallery(mine).document["store"]["shelf"] in shelves


# --- Qdrant's client over HTTP ---


def test_a_gallery_goes_through_qdrants_http_interface_and_back(mine: Path, built: Path) -> None:
    """To a stand-in of the server: see :mod:`.qdrant_server`."""
    local = read_gallery(built)
    assert local.ranking is not None
    with serving(QdrantClient(":memory:")) as server:
        place = f"qdrant://127.0.0.1:{server.port}/parts"
        rehouse(mine, place)
        stored = read_gallery(mine)
        assert stored.ranking is not None
        queries = queries_of(local)
        for top, among in ((3, None), (60, None), (5, np.arange(1, 50, 2))):
            scores, rows = local.ranking.rank(queries, top, among=among)
            found, at = stored.ranking.rank(queries, top, among=among)
            assert at.tolist() == rows.tolist()
            assert found == pytest.approx(scores, abs=1e-5)
        assert audit.verify(mine) == []
        shelf = stored.document["store"]["shelf"]
        assert f"GET /collections/parts.{shelf}" in server.asked
        (alias,) = server.client.get_aliases().aliases
        assert (alias.alias_name, alias.collection_name) == ("parts", f"parts.{shelf}")
        rehouse(mine, "local")
        assert server.client.get_collections().collections == []
    again = read_gallery(mine)
    assert again.views is not None
    assert local.views is not None
    assert again.vectors.tobytes() == local.vectors.tobytes()
    assert again.views.tobytes() == local.views.tobytes()


def test_a_server_that_dies_while_vectors_are_sent_loses_nothing(mine: Path) -> None:
    client = QdrantClient(":memory:")
    before = table(read_gallery(mine))
    with serving(client) as server, pytest.MonkeyPatch.context() as patch:
        port, put = server.port, client.upsert
        place = f"qdrant://127.0.0.1:{port}/parts"

        def dying(*given: Any, **more: Any) -> Any:
            if sum(one.startswith("PUT") and one.endswith("/points") for one in server.asked) > 2:
                server.server_close()
                raise Died
            return put(*given, **more)

        patch.setattr(client, "upsert", dying)
        patch.setattr("hifa_cli.gallery.stores.qdrant._SENT", 300_000)
        with pytest.raises(StoreError, match="does not answer"):
            rehouse(mine, place)
    assert table(read_gallery(mine)) == before
    with pytest.raises(StoreError, match="does not answer"):
        rehouse(mine, place)
    with serving(client, port):
        rehouse(mine, place)
        assert table(read_gallery(mine)) == before
        assert audit.verify(mine) == []
        assert len(open_store(place).shelves()) == 1  # what was half-sent is gone
    assert hifa("query", "--like", "rod/1", "-g", mine)[0] == 1
    with serving(client, port):
        assert hifa("query", "--like", "rod/1", "-g", mine)[0] == 0


def test_a_key_is_sent_to_the_host_that_it_is_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr("qdrant_client.QdrantClient", lambda **options: sent.append(options["api_key"]))
    monkeypatch.setenv("HIFA_QDRANT_KEY", "db.example=secret=1")
    for place in ("qdrant+https://db.example/parts", "qdrant://other.example/parts"):
        open_store(place)
    assert sent == ["secret=1", None]


def test_a_server_whose_store_is_away_says_so_without_naming_it(mine: Path, tmp_path: Path) -> None:
    rehouse(mine, f"lance:{tmp_path / 'lance'}")
    with serving_pages(mine) as port:
        ask = Client(f"http://127.0.0.1:{port}")
        assert ask.search(like="rod/1")["results"][0]["matches"]
        (tmp_path / "lance").rename(tmp_path / "away")
        with pytest.raises(HifaError, match="does not answer: try again later") as raised:
            ask.search(like="rod/2")
        assert "lance" not in str(raised.value)
        (tmp_path / "away").rename(tmp_path / "lance")
        assert ask.search(like="rod/2")["results"][0]["matches"]
