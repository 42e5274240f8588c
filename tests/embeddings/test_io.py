"""The embeddings file: what we write, what others may write, and what is refused in one line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hifa_cli.embeddings.io import Embeddings, Export, read_export, write_export
from hifa_cli.errors import HifaError


def sample(n: int = 5, dimension: int = 4, classes: int = 3) -> Export:
    generator = np.random.default_rng(n)

    def part(prefix: str) -> Embeddings:
        return Embeddings(
            tuple(f"{prefix}/größe {i}" for i in range(n)),
            np.arange(n) % (classes + 1) - 1,
            generator.standard_normal((n, dimension)).astype(np.float32),
        )

    names = tuple(f"class {i} 椅子" for i in range(classes))
    return Export(part("p"), part("s"), names, "0.1", "hifa", "sha256:abc", {"steps": 10, "note": "ü"})


def assert_same(one: Embeddings | None, other: Embeddings | None) -> None:
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.ids == other.ids
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.vectors, other.vectors)


def plain(path: Path, **changes: Any) -> Path:
    """A file as somebody else writes it, in a few lines of h5py; a change of None leaves a thing out."""
    columns = {"ids": np.array(["a/1", "a/2", "b/1"], dtype=object), "labels": np.array([0, 0, 1])}
    columns["vectors"] = np.eye(3, 4)
    attributes = {"schema": 1, "classes": ["a", "b"]}
    with h5py.File(path, "w") as file:
        for name, value in (attributes | changes.pop("attributes", {})).items():
            if value is not None:
                file.attrs[name] = value
        for group in changes.pop("groups", ("images", "shapes")):
            for key, value in (columns | changes).items():
                if value is not None:
                    file[f"{group}/{key}"] = value
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    export = sample()
    write_export(tmp_path / "e.h5", export)
    found = read_export(tmp_path / "e.h5")
    assert_same(found.images, export.images)
    assert_same(found.shapes, export.shapes)
    assert (found.classes, found.method, found.model) == (export.classes, export.method, export.model)
    assert (found.hifa_version, found.config) == (export.hifa_version, export.config)


@pytest.mark.parametrize("domain", ["images", "shapes"])
def test_one_domain_alone_is_valid(tmp_path: Path, domain: str) -> None:
    whole = sample()
    export = replace(whole, images=None, shapes=None)
    export = (
        replace(export, images=whole.images) if domain == "images" else replace(export, shapes=whole.images)
    )
    write_export(tmp_path / "e.h5", export)
    found = read_export(tmp_path / "e.h5")
    assert_same(getattr(found, domain), whole.images)
    assert [name for name in ("images", "shapes") if getattr(found, name) is not None] == [domain]


def test_the_file_is_schema_1_as_documented(tmp_path: Path) -> None:
    write_export(tmp_path / "e.h5", sample())
    with h5py.File(tmp_path / "e.h5", "r") as file:
        assert file.attrs["schema"] == 1
        assert list(file.attrs["classes"]) == ["class 0 椅子", "class 1 椅子", "class 2 椅子"]
        assert json.loads(file.attrs["config"]) == {"steps": 10, "note": "ü"}
        assert (file.attrs["hifa_version"], file.attrs["method"]) == ("0.1", "hifa")
        for group in ("images", "shapes"):
            assert file[group]["labels"].dtype == np.int64
            assert file[group]["vectors"].dtype == np.float32
            assert h5py.check_string_dtype(file[group]["ids"].dtype).encoding == "utf-8"


def test_thousands_of_classes_fit(tmp_path: Path) -> None:
    """The oldest HDF5 layout holds attributes up to 64 KB only."""
    export = sample(classes=20_000)
    write_export(tmp_path / "e.h5", export)
    assert read_export(tmp_path / "e.h5").classes == export.classes


def test_no_items_are_valid(tmp_path: Path) -> None:
    nothing = Embeddings((), np.zeros(0, np.int64), np.zeros((0, 4), np.float32))
    write_export(tmp_path / "e.h5", Export(nothing, None, ()))
    found = read_export(tmp_path / "e.h5")
    assert_same(found.images, nothing)
    assert found.classes == ()


def test_writing_replaces_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "e.h5"
    write_export(path, sample())
    before = path.read_bytes()
    images = sample().images
    assert images is not None
    broken = Export(Embeddings(images.ids, images.labels[:2], images.vectors), None, ("a", "b", "c"))
    with pytest.raises(ValueError, match="5 ids, labels"):
        write_export(path, broken)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["e.h5"]


@pytest.mark.parametrize(
    "part",
    [
        Embeddings(("a",), np.array([0]), np.array([[np.nan]], np.float32)),
        Embeddings(("a",), np.array([7]), np.array([[1.0]], np.float32)),
        Embeddings(("a",), np.array([0]), np.array([1.0], np.float32)),
    ],
)
def test_our_own_mistakes_are_not_written(tmp_path: Path, part: Embeddings) -> None:
    with pytest.raises(ValueError, match="images"):
        write_export(tmp_path / "e.h5", Export(part, None, ("a",)))
    wide = Embeddings(("a",), np.array([0]), np.ones((1, 2), np.float32))
    narrow = Embeddings(("a",), np.array([0]), np.ones((1, 3), np.float32))
    with pytest.raises(ValueError, match="width"):
        write_export(tmp_path / "e.h5", Export(wide, narrow, ("a",)))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_of_any_width_become_float32(tmp_path: Path, kind: Any) -> None:
    export = read_export(plain(tmp_path / "e.h5", vectors=np.eye(3, 4).astype(kind)))
    assert export.images is not None
    assert export.images.vectors.dtype == np.float32
    assert export.images.vectors.flags.c_contiguous
    np.testing.assert_array_equal(export.images.vectors, np.eye(3, 4))


@pytest.mark.parametrize(
    "ids",
    [
        np.array([b"a/1", "a/ü".encode(), b"b/1"]),  # fixed length, tagged ASCII, UTF-8 inside
        np.array([b"a/1", "a/ü".encode(), b"b/1"], dtype=h5py.string_dtype("utf-8", 7)),  # padded
        np.array(["a/1", "a/ü", "b/1"], dtype=object),
    ],
)
def test_strings_of_fixed_and_variable_length_are_read(tmp_path: Path, ids: Any) -> None:
    export = read_export(plain(tmp_path / "e.h5", ids=ids))
    assert export.images is not None
    assert export.images.ids == ("a/1", "a/ü", "b/1")


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint64, ">i8"])
def test_integers_of_any_width_become_int64(tmp_path: Path, kind: Any) -> None:
    export = read_export(plain(tmp_path / "e.h5", labels=np.array([0, 0, 1]).astype(kind)))
    assert export.shapes is not None
    assert export.shapes.labels.dtype == np.int64
    assert export.shapes.labels.tolist() == [0, 0, 1]


def test_optional_attributes_may_be_missing(tmp_path: Path) -> None:
    export = read_export(plain(tmp_path / "e.h5"))
    assert (export.hifa_version, export.method, export.model, export.config) == ("", "", "", {})


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (np.array([b"a", b"b"]), ("a", "b")),
        (np.array(["a", "b", "c"], dtype=h5py.string_dtype()), ("a", "b", "c")),
        (None, ("0", "1")),
    ],
)
def test_class_names_are_read_however_they_are_written(
    tmp_path: Path, classes: Any, expected: tuple[str, ...]
) -> None:
    assert read_export(plain(tmp_path / "e.h5", attributes={"classes": classes})).classes == expected


def test_no_classes_are_an_empty_list_of_any_type(tmp_path: Path) -> None:
    path = plain(tmp_path / "e.h5", attributes={"classes": []}, labels=np.full(3, -1))
    assert read_export(path).classes == ()
    path = plain(tmp_path / "f.h5", attributes={"classes": h5py.Empty("f")}, labels=np.full(3, -1))
    assert read_export(path).classes == ()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"attributes": {"schema": None}}, "no attribute 'schema'"),
    ({"attributes": {"schema": 2}}, "has schema 2, this hifa reads 1"),
    ({"attributes": {"schema": "1"}}, "has schema 1"),
    ({"attributes": {"schema": [1, 1]}}, "has schema"),
    ({"attributes": {"classes": ["a"]}}, "has the label 1 but 1 classes"),
    ({"attributes": {"classes": np.array([1, 2])}}, "'classes' must be a list of UTF-8 strings"),
    ({"attributes": {"classes": np.array([[b"a", b"b"]])}}, "'classes' must be a list of UTF-8 strings"),
    ({"attributes": {"classes": None}, "labels": np.array([0, 1, 2**40])}, "no attribute 'classes'"),
    ({"attributes": {"config": "{"}}, "'config' is not JSON"),
    ({"attributes": {"config": "[1]"}}, "'config' is not a JSON object"),
    ({"attributes": {"config": "[" * 100_000}}, "HDF5|'config' is not JSON"),
    ({"groups": ()}, "neither /images nor /shapes"),
    ({"groups": ("pictures",)}, "neither /images nor /shapes"),
    ({"ids": None}, "no /images/ids"),
    ({"labels": None}, "no /images/labels"),
    ({"vectors": None}, "no /images/vectors"),
    ({"ids": np.arange(3)}, "/images/ids must be UTF-8 strings"),
    ({"ids": np.array([b"\xff\xfe", b"a", b"b"])}, "/images/ids must be UTF-8"),
    ({"ids": np.array([b"a"])}, "columns of different length: 1 ids, 3 labels, 3 vectors"),
    ({"labels": np.array([0, 1])}, "columns of different length"),
    ({"labels": np.array([0.0, 0.0, 1.0])}, "/images/labels must be integers"),
    ({"labels": np.array([True, False, True])}, "/images/labels must be integers"),
    ({"labels": np.array([-2, 0, 1])}, "/images/labels must be -1"),
    ({"labels": np.array([0, 1, 2**64 - 1], dtype=np.uint64)}, "/images/labels must be"),
    ({"labels": np.zeros((3, 1), int)}, "/images/labels must have 1 dimension"),
    ({"vectors": np.eye(3, dtype=int)}, "/images/vectors must be floats"),
    ({"vectors": np.eye(3, dtype=complex)}, "/images/vectors must be floats"),
    ({"vectors": np.ones(3)}, "/images/vectors must have 2 dimension"),
    ({"vectors": np.ones((3, 0))}, "/images/vectors have no dimension"),
    ({"vectors": np.full((3, 2), np.nan)}, "/images/vectors row 0 is not finite"),
    ({"vectors": np.array([[1.0], [2.0], [np.inf]])}, "/images/vectors row 2 is not finite"),
    ({"vectors": np.array([[1.0], [1e300], [2.0]])}, "/images/vectors row 1 is beyond float32"),
]


@pytest.mark.parametrize(("change", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_wrong_file_is_named_in_one_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    try:
        path = plain(tmp_path / "wrong.h5", **dict(change))
    except (OSError, RuntimeError):  # an attribute too large for the oldest layout cannot even be written
        pytest.skip("h5py cannot write it")
    with pytest.raises(HifaError, match=said) as caught:
        read_export(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def linked(file: Any, link: Any) -> None:
    del file["images/vectors"]
    file["images/vectors"] = link


def with_external_link(file: Any, folder: Path) -> None:
    linked(file, h5py.ExternalLink(str(folder / "other.h5"), "/images/vectors"))


def with_soft_link(file: Any, folder: Path) -> None:
    linked(file, h5py.SoftLink("/shapes/vectors"))


def with_a_group_in_place(file: Any, folder: Path) -> None:
    del file["images/vectors"]
    file.create_group("images/vectors")


def with_external_storage(file: Any, folder: Path) -> None:
    del file["images/vectors"]
    secret = folder / "secret.bin"
    secret.write_bytes(bytes(96))
    file.create_dataset("images/vectors", (3, 4), "f8", external=[(str(secret), 0, 96)])


def with_a_virtual_dataset(file: Any, folder: Path) -> None:
    layout = h5py.VirtualLayout((3, 4), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "/images/vectors", (3, 4))
    del file["images/vectors"]
    file.create_virtual_dataset("images/vectors", layout)


def with_a_scalar(file: Any, folder: Path) -> None:
    del file["images/vectors"]
    file["images/vectors"] = 1.0


def with_an_absurd_size(file: Any, folder: Path) -> None:
    del file["images"]
    group = file.create_group("images")
    many = 10**10
    group.create_dataset("ids", (many,), h5py.string_dtype(), chunks=(1 << 20,))
    group.create_dataset("labels", (many,), np.int64, chunks=(1 << 20,))
    group.create_dataset("vectors", (many, 4096), np.float32, chunks=(64, 4096))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_external_link, "of the file itself"),
        (with_soft_link, "of the file itself"),
        (with_a_group_in_place, "must be a dataset"),
        (with_external_storage, "keeps its data in another file"),
        (with_a_virtual_dataset, "keeps its data in another file"),
        (with_a_scalar, "must have 2 dimension"),
        (with_an_absurd_size, r"claims shape \(10000000000,\)"),
    ],
)
def test_hostile_members_are_refused_before_they_are_read(
    tmp_path: Path, change: Callable[[Any, Path], None], said: str
) -> None:
    plain(tmp_path / "other.h5")
    path = plain(tmp_path / "hostile.h5")
    with h5py.File(path, "r+") as file:
        change(file, tmp_path)
    with pytest.raises(HifaError, match=said):
        read_export(path)


def test_packed_columns_are_read(tmp_path: Path) -> None:
    path = plain(tmp_path / "e.h5", vectors=None)
    with h5py.File(path, "r+") as file:
        for group in ("images", "shapes"):
            file.create_dataset(f"{group}/vectors", data=np.eye(3, 4), compression="gzip", chunks=(1, 4))
    assert len(read_export(path).images or ()) == 3


def test_images_and_shapes_must_be_of_one_width(tmp_path: Path) -> None:
    path = plain(tmp_path / "e.h5")
    with h5py.File(path, "r+") as file:
        del file["shapes/vectors"]
        file["shapes/vectors"] = np.ones((3, 9))
    with pytest.raises(HifaError, match="different width"):
        read_export(path)


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all", b"\x89HDF\r\n\x1a\n" + bytes(200)])
def test_what_is_no_hdf5_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "e.h5"
    path.write_bytes(content)
    with pytest.raises(HifaError, match=r"HDF5 file") as caught:
        read_export(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_named(tmp_path: Path, kept: float) -> None:
    write_export(tmp_path / "e.h5", sample(n=2000))
    content = (tmp_path / "e.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(HifaError, match="broken HDF5"):
        read_export(tmp_path / "cut.h5")


def test_flipped_bytes_are_read_or_named_but_never_crash(tmp_path: Path) -> None:
    write_export(tmp_path / "e.h5", sample())
    content = bytearray((tmp_path / "e.h5").read_bytes())
    generator = np.random.default_rng(0)
    read = 0
    for _ in range(300):
        changed = bytearray(content)
        for place in generator.integers(0, len(content), 3):
            changed[place] = generator.integers(256)
        (tmp_path / "x.h5").write_bytes(changed)
        try:
            read_export(tmp_path / "x.h5")
        except HifaError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            read += 1
    assert 0 < read < 300


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(HifaError, match="hifa export"):
        read_export(tmp_path / "none.h5")
    with pytest.raises(HifaError, match="no embeddings file at"):
        read_export(tmp_path)


def test_relabelling_keeps_names_and_marks_what_is_gone() -> None:
    export = sample()
    assert export.images is not None
    found = export.relabelled(("x", "class 2 椅子", "class 0 椅子"))
    assert found.images is not None
    names = [(-1 if label < 0 else export.classes[label]) for label in export.images.labels]
    expected = [{"class 0 椅子": 2, "class 2 椅子": 1}.get(str(name), -1) for name in names]
    assert found.images.labels.tolist() == expected
