"""A gallery answers exactly, whole or not at all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hifa_cli import index
from hifa_cli.config import IndexConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import read_gallery, write_gallery
from hifa_cli.store import Embeddings, Export


def export_of(vectors: np.ndarray, *, labels: list[int] | None = None) -> Export:
    count = len(vectors)
    shapes = Embeddings(
        tuple(f"kind/{number:03d}" for number in range(count)),
        np.array(labels if labels is not None else [0] * count, dtype=np.int64),
        vectors.astype(np.float32),
    )
    return Export(None, shapes, ("kind",), "0", "frozen", "digest", {})


def written(folder: Path, vectors: np.ndarray, **changes: str) -> Path:
    write_gallery(folder, export_of(vectors), IndexConfig(**changes), model=None, thumbnails={})  # type: ignore[arg-type]
    return folder


def cosines(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Of the clamped vectors, one pair at a time."""
    table = np.zeros((len(queries), len(vectors)))
    for i, q in enumerate(np.maximum(queries, 0)):
        for j, g in enumerate(np.maximum(vectors, 0)):
            lengths = np.sqrt((q * q).sum()) * np.sqrt((g * g).sum())
            table[i, j] = (q * g).sum() / lengths if lengths > 0 else 0
    return table


@pytest.mark.parametrize("factory", ["auto", "Flat", "HNSW16"])
def test_scores_are_cosines_of_the_clamped_vectors_whatever_the_index(factory: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    vectors, queries = generator.normal(size=(40, 16)), generator.normal(size=(5, 16)) * 1e3
    gallery = read_gallery(written(tmp_path / "g", vectors, factory=factory))
    scores, rows = gallery.search(queries.astype(np.float32), 4)
    wanted = cosines(queries, vectors)
    np.testing.assert_allclose(scores, np.take_along_axis(wanted, rows, 1), atol=1e-5)
    if factory != "HNSW16":
        np.testing.assert_array_equal(rows, np.argsort(-wanted, axis=1, kind="stable")[:, :4])


def test_equal_scores_keep_the_order_of_the_gallery(tmp_path: Path) -> None:
    gallery = read_gallery(written(tmp_path / "g", np.tile([[1.0, 2.0]], (9, 1))))
    _, rows = gallery.search(np.array([[1.0, 2.0]], dtype=np.float32), 9)
    assert rows.tolist() == [list(range(9))]


def test_a_zero_query_and_a_zero_shape_break_nothing(tmp_path: Path) -> None:
    gallery = read_gallery(written(tmp_path / "g", np.array([[0.0, 0.0], [1.0, 0.0]])))
    scores, _ = gallery.search(np.array([[-1.0, -2.0]], dtype=np.float32), 5)
    assert scores.shape == (1, 2)
    assert np.isfinite(scores).all()


def test_a_large_gallery_is_given_inverted_lists() -> None:
    assert index.factory_for(390_000, 256, IndexConfig()) == "Flat"
    assert index.factory_for(1_000_000, 256, IndexConfig()) == "IVF4000,SQ8"
    assert index.factory_for(10, 2, IndexConfig(factory="HNSW32")) == "HNSW32"


def test_a_factory_that_faiss_does_not_know_is_the_users_to_mend(tmp_path: Path) -> None:
    for factory in ("Flatt", "IVF4096,Flat"):
        with pytest.raises(HifaError, match=f"FAISS cannot build '{factory}'"):
            written(tmp_path / "g", np.eye(3), factory=factory)
    with pytest.raises(HifaError, match="no gallery at"):
        read_gallery(tmp_path / "g")


def test_a_gallery_is_replaced_in_one_stroke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "g", np.eye(3))

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(index, "write", fail)
    with pytest.raises(KeyboardInterrupt):
        written(folder, np.eye(5))
    assert read_gallery(folder).shapes.ids == ("kind/000", "kind/001", "kind/002")
    monkeypatch.undo()
    written(folder, np.eye(5))
    assert len(read_gallery(folder).shapes.ids) == 5
    assert sorted(path.name for path in folder.iterdir()) == ["gallery.json", "generation-2"]


def test_a_query_of_another_length_names_both(tmp_path: Path) -> None:
    gallery = read_gallery(written(tmp_path / "g", np.eye(3)))
    with pytest.raises(HifaError, match="3 numbers a shape and the query has 2"):
        gallery.search(np.ones((1, 2), dtype=np.float32), 1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gallery.json", b"{", "damaged"),
        ("gallery.json", b'{"schema": 9}', "another schema"),
        ("gallery.json", b'{"schema": 1, "generation": "../../etc"}', "damaged"),
        ("generation-1/index.faiss", b"IxFInonsense", "damaged"),
        ("generation-1/index.faiss", b"", "damaged"),
        ("generation-1/shapes.h5", b"no hdf5", "shapes.h5"),
    ],
)
def test_damaged_files_are_named(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "g", np.eye(3))
    (folder / name).write_bytes(content)
    with pytest.raises(HifaError, match=said):
        read_gallery(folder)


def test_an_index_of_other_vectors_is_refused(tmp_path: Path) -> None:
    folder, other = written(tmp_path / "a", np.eye(3)), written(tmp_path / "b", np.eye(4))
    (folder / "generation-1" / "index.faiss").write_bytes(
        (other / "generation-1" / "index.faiss").read_bytes()
    )
    with pytest.raises(HifaError, match="does not fit its gallery"):
        read_gallery(folder)


def test_an_export_without_shapes_makes_no_gallery(tmp_path: Path) -> None:
    images_only = replace(export_of(np.eye(2)), shapes=None)
    with pytest.raises(HifaError, match="no shapes to index"):
        write_gallery(tmp_path / "g", images_only, IndexConfig(), model=None, thumbnails={})
    assert not (tmp_path / "g").exists()
