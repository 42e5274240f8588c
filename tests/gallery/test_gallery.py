"""A gallery answers exactly, whole or not at all, whatever the index and whoever is writing."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hifa_cli.config import IndexConfig, RenderConfig
from hifa_cli.embeddings.io import Embeddings, Export, write_export
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery, read_gallery
from hifa_cli.gallery.build import build_gallery
from hifa_cli.runtime.lock import sole_writer
from hifa_cli.runtime.progress import Reporter, reporting
from hifa_cli.search import faiss_index, searcher
from hifa_cli.search.exact import exact_search, recall


def export_of(vectors: np.ndarray[Any, Any], *, prefix: str = "kind") -> Export:
    count = len(vectors)
    ids = tuple(f"{prefix}/{number:03d}" for number in range(count))
    shapes = Embeddings(ids, np.zeros(count, dtype=np.int64), vectors.astype(np.float32))
    return Export(None, shapes, (prefix,), "0", "nobody's", "digest", {})


def built(source: Path, out: Path, *, force: bool = False, **changes: Any) -> dict[str, Any]:
    return build_gallery(
        source, out, model=None, split=None, index_config=IndexConfig(**changes),
        render_config=RenderConfig(), workers=1, device=torch.device("cpu"), force=force)  # fmt: skip


def written(folder: Path, vectors: np.ndarray[Any, Any], **changes: Any) -> Path:
    source = folder.with_name(f"{folder.name}.h5")
    write_export(source, export_of(vectors))
    built(source, folder, force=True, **changes)
    return folder


def cosines(queries: np.ndarray[Any, Any], vectors: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Of the clamped vectors, one pair at a time."""
    table = np.zeros((len(queries), len(vectors)))
    for i, q in enumerate(np.maximum(queries, 0)):
        for j, g in enumerate(np.maximum(vectors, 0)):
            lengths = np.sqrt((q * q).sum()) * np.sqrt((g * g).sum())
            table[i, j] = (q * g).sum() / lengths if lengths > 0 else 0
    return table


def blobs(count: int, width: int = 16, kinds: int = 12, seed: int = 0) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).gamma(1.0, size=(kinds, width))
    return centres[generator.integers(0, kinds, count)] + 0.3 * generator.gamma(1.0, size=(count, width))


FACTORIES = ["auto", "Flat", "HNSW16", "IVF8,SQ8", "IVF8,RaBitQ4", "PCA8,IVF4,Flat", "PQ4x4"]


@pytest.mark.parametrize("factory", FACTORIES)
def test_scores_are_cosines_of_the_clamped_vectors_whatever_the_index(factory: str, tmp_path: Path) -> None:
    vectors, queries = blobs(400) - 0.4, (blobs(5, seed=1) - 0.4) * 1e3
    gallery = read_gallery(written(tmp_path / "g", vectors, factory=factory))
    scores, rows = gallery.search(queries, 4)
    wanted = cosines(queries.astype(np.float32), vectors.astype(np.float32))
    assert (rows >= 0).all()
    np.testing.assert_allclose(scores, np.take_along_axis(wanted, rows, 1), atol=1e-6)
    assert (np.diff(scores) <= 0).all()
    if factory in ("auto", "Flat"):
        np.testing.assert_array_equal(rows, np.argsort(-wanted, axis=1, kind="stable")[:, :4])


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 90), queries=st.integers(1, 7), top=st.integers(1, 60), seed=st.integers(0, 999),
    part=st.booleans(),
)  # fmt: skip
def test_exact_search_is_a_sort_of_all_products(
    count: int, queries: int, top: int, seed: int, part: bool
) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(count, 5)).astype(np.float32)
    asked = generator.normal(size=(queries, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    among = np.flatnonzero(generator.random(count) < 0.5) if part else None
    allowed = np.arange(count) if among is None else among
    products = asked.astype(np.float64) @ vectors[allowed].astype(np.float64).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hifa_cli.search.exact.TILE", 17)
        patch.setattr("hifa_cli.search.exact.QUERIES", 3)
        scores, rows = exact_search(vectors, asked, top, among=among)
    order = np.argsort(-products, axis=1, kind="stable")[:, :top]
    np.testing.assert_array_equal(rows, allowed[order] if len(allowed) else np.zeros((queries, 0)))
    np.testing.assert_allclose(scores, np.take_along_axis(products, order, 1), atol=1e-9)


def test_equal_scores_keep_the_order_of_the_gallery(tmp_path: Path) -> None:
    gallery = read_gallery(written(tmp_path / "g", np.tile([[1.0, 2.0]], (9, 1))))
    _, rows = gallery.search(np.array([[1.0, 2.0]], dtype=np.float32), 9)
    assert rows.tolist() == [list(range(9))]


def test_a_zero_query_and_a_zero_shape_break_nothing(tmp_path: Path) -> None:
    gallery = read_gallery(written(tmp_path / "g", np.array([[0.0, 0.0], [1.0, 0.0]])))
    scores, _ = gallery.search(np.array([[-1.0, -2.0]], dtype=np.float32), 5)
    assert scores.tolist() == [[0.0, 0.0]]


def test_the_index_goes_by_size() -> None:
    assert faiss_index.factory_for(390_000, 256, IndexConfig()) == "Flat"
    assert faiss_index.factory_for(1_000_000, 256, IndexConfig()) == "IVF4000,SQ8"
    assert faiss_index.factory_for(4_000_000, 4096, IndexConfig()) == "IVF8000,RaBitQ4"
    assert faiss_index.factory_for(10, 2, IndexConfig(factory="HNSW32")) == "HNSW32"


@pytest.mark.parametrize("factory", ["IVF32,SQ8", "HNSW8", "IVF32,PQ4x4"])
def test_an_index_is_tuned_to_the_recall_that_was_asked_for(factory: str, tmp_path: Path) -> None:
    vectors, photos = blobs(3000), blobs(300, seed=5)
    export = replace(
        export_of(vectors),
        images=Embeddings(
            tuple(f"p{number}" for number in range(300)),
            np.zeros(300, dtype=np.int64),
            photos.astype(np.float32),
        ),
    )
    write_export(tmp_path / "e.h5", export)
    reached = built(tmp_path / "e.h5", tmp_path / "g", factory=factory, recall=0.97)["recall"]
    assert reached["queries"] == "photos"
    assert reached["recall"] >= 0.97
    # photos that it was not tuned with
    gallery, others = read_gallery(tmp_path / "g"), blobs(200, seed=6).astype(np.float32)
    unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (others, vectors)]  # all positive
    wanted = np.argsort(-unit[0] @ unit[1].T, axis=1, kind="stable")[:, :10]
    assert recall(gallery.search(others, 10)[1], wanted) >= 0.95


def test_effort_grows_with_the_recall_that_is_asked_for() -> None:
    vectors = blobs(3000, kinds=200).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    made = faiss_index.build(vectors, "IVF64,SQ8", IndexConfig())
    sample = searcher.sample_queries(vectors, None, IndexConfig())
    efforts = [
        searcher.tune(made, vectors, sample, IndexConfig(recall=aim)).effort for aim in (0.3, 0.9, 1.0)
    ]
    assert efforts == sorted(efforts)
    assert efforts[0] < efforts[-1]


def test_a_recall_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    class Heard(Reporter):
        def warn(self, message: str) -> None:
            said.append(message)

    said: list[str] = []
    source = tmp_path / "e.h5"
    write_export(source, export_of(np.random.default_rng(0).normal(size=(1000, 32))))
    with reporting(Heard()):
        report = built(source, tmp_path / "g", factory="IVF16,PQ1x4", recall=1.0)
    told = [line for line in said if "nearest" in line]
    assert (report["recall"]["recall"] < 1.0) == bool(told)


def test_a_factory_that_faiss_does_not_know_is_the_users_to_mend(tmp_path: Path) -> None:
    for factory, said in (("Flatt", "FAISS does not know the"), ("IVF4096,Flat", "FAISS cannot build")):
        with pytest.raises(HifaError, match=f"{said}.*'{factory}'"):
            written(tmp_path / "g", np.eye(3), factory=factory)
    with pytest.raises(HifaError, match="no gallery at"):
        read_gallery(tmp_path / "g")


def test_a_gallery_is_replaced_in_one_stroke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "g", np.eye(3))

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hifa_cli.gallery.snapshot._write_columns", fail)
    with pytest.raises(KeyboardInterrupt):
        written(folder, np.eye(5))
    assert list(read_gallery(folder).ids) == ["kind/000", "kind/001", "kind/002"]
    monkeypatch.undo()
    written(folder, np.eye(5))
    assert len(read_gallery(folder)) == 5
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "gallery.json", "generation-2"]


def test_who_has_opened_a_gallery_goes_on_while_it_is_replaced(tmp_path: Path) -> None:
    folder = written(tmp_path / "g", np.eye(3), factory="HNSW4")
    opened = read_gallery(folder)
    for size in (4, 5, 6):
        written(folder, np.eye(size))
    assert opened.search(np.eye(3, dtype=np.float32), 1)[1].tolist() == [[0], [1], [2]]
    assert [opened.ids[row] for row in range(3)] == ["kind/000", "kind/001", "kind/002"]


def test_a_gallery_opens_while_it_is_replaced_again_and_again(tmp_path: Path) -> None:
    folder, stop = written(tmp_path / "g", np.eye(3)), threading.Event()

    def replace_it() -> None:
        size = 4
        while not stop.is_set():
            written(folder, np.eye(size))
            size = 4 + (size + 1) % 5

    writer = threading.Thread(target=replace_it)
    writer.start()
    try:
        for _ in range(60):
            gallery = read_gallery(folder)
            count = len(gallery)
            assert gallery.search(np.eye(count, dtype=np.float32), 1)[1][:, 0].tolist() == list(range(count))
    finally:
        stop.set()
        writer.join()


def test_two_writers_get_in_each_others_way_with_a_clear_word(tmp_path: Path) -> None:
    folder = written(tmp_path / "g", np.eye(3))
    with sole_writer(folder), pytest.raises(HifaError, match=r"another hifa \(process \d+\) is changing"):
        written(folder, np.eye(4))
    assert len(read_gallery(folder)) == 3
    written(folder, np.eye(4))  # the lock is gone with its holder


def test_a_query_of_another_length_names_both(tmp_path: Path) -> None:
    gallery = read_gallery(written(tmp_path / "g", np.eye(3)))
    with pytest.raises(HifaError, match="3 numbers a shape and the query has 2"):
        gallery.search(np.ones((1, 2), dtype=np.float32), 1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gallery.json", b"{", "damaged"),
        ("gallery.json", b'{"schema": 9}', "another schema"),
        ("gallery.json", b'{"schema": 2, "generation": "../../etc"}', "damaged"),
        ("gallery.json", b'{"schema": 2, "generation": "generation-1"}', "damaged"),
        ("generation-1/index.faiss", b"IxFInonsense", "damaged"),
        ("generation-1/index.faiss", b"", "damaged"),
        ("generation-1/vectors.f32", b"1234", "damaged"),
        ("generation-1/ids.txt", b"short", "damaged"),
        ("generation-1/ids.npy", b"no numbers", "damaged"),
        ("generation-1/labels.npy", b"", "damaged"),
        ("generation-1/vectors.f32", None, "damaged"),
    ],
)
def test_damaged_files_are_named(name: str, content: bytes | None, said: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "g", np.eye(3), factory="HNSW4")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(HifaError, match=said):
        read_gallery(folder)


def test_labels_that_name_no_class_are_damage(tmp_path: Path) -> None:
    folder = written(tmp_path / "g", np.eye(3))
    np.save(folder / "generation-1" / "labels.npy", np.array([0, 7, 0], dtype=np.int32))
    with pytest.raises(HifaError, match=r"labels\.npy is damaged"):
        read_gallery(folder)


def test_an_index_of_other_vectors_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "a", np.eye(3), factory="HNSW4")
    other = written(tmp_path / "b", np.eye(4), factory="HNSW4")
    (folder / "generation-1" / "index.faiss").write_bytes(
        (other / "generation-1" / "index.faiss").read_bytes()
    )
    with pytest.raises(HifaError, match="does not fit its gallery"):
        read_gallery(folder)


def test_an_export_without_shapes_makes_no_gallery(tmp_path: Path) -> None:
    only = export_of(np.eye(2))
    write_export(tmp_path / "e.h5", replace(only, shapes=None, images=only.shapes))
    with pytest.raises(HifaError, match="no shapes to index"):
        built(tmp_path / "e.h5", tmp_path / "g")
    assert not (tmp_path / "g").exists()


def test_ids_are_kept_whatever_they_are_made_of(tmp_path: Path) -> None:
    names = ("größe/椅子 1", "a\nb", "x" * 3000, "..", "c/../d")
    export = export_of(np.eye(5))
    shapes = export.shapes
    assert shapes is not None
    write_export(tmp_path / "e.h5", replace(export, shapes=replace(shapes, ids=names)))
    built(tmp_path / "e.h5", tmp_path / "g")
    gallery: Gallery = read_gallery(tmp_path / "g")
    assert tuple(gallery.ids) == names == tuple(gallery.ids[row] for row in range(5))
    assert json.loads((tmp_path / "g" / "gallery.json").read_text())["shapes"] == 5


@pytest.mark.gpu
@pytest.mark.parametrize("factory", ["Flat", "IVF8,SQ8"])
def test_a_gpu_answers_as_the_cpu_does(factory: str, tmp_path: Path) -> None:
    if not faiss_index.gpus():
        pytest.skip("NO GPU that FAISS can use: the search on CUDA is not tested")
    folder = written(tmp_path / "g", blobs(2000), factory=factory)
    queries = blobs(20, seed=3).astype(np.float32)
    for one, other in zip(
        read_gallery(folder).search(queries, 10),
        read_gallery(folder, device="cuda").search(queries, 10),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)
