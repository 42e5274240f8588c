"""MI3DOR from the sets that it was taken from: every item, partial holdings, resumption, bad input."""

import gzip
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from hifa_cli.data.checks import check
from hifa_cli.data.mi3dor import MI3DOR_CLASSES, PUBLISHED
from hifa_cli.data.rebuild import Holdings, build, origin_of, read_lists
from hifa_cli.data.rebuild.build import REPORT, differences
from hifa_cli.data.rebuild.names import Piece
from hifa_cli.embeddings.io import Embeddings, Export, read_export, write_export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.duplicates import without_duplicates
from hifa_cli.runtime.progress import Reporter, reporting
from tests.cli.test_cli import hifa
from tests.data.miniatures import mesh
from tests.trees import picture

ITEMS = {
    ("image", "train"): ["airplane_000001_imagenet_n02690373_1", "plant_000002_imagenet_n12620546_2"],
    ("image", "test"): ["airplane_000003_imagenet_n04592741_3"],
    ("shape", "train"): ["airplane_000001_ShapNetCore55_model_000001", "flower_pot_000002_PSB_m1047",
                         "knife_000005_NTU_KNIV", "flower_pot_000009_ModelNet40_plant_0002"],
    ("shape", "test"): ["airplane_000007_ShapNetCore55_model_000002", "plant_000008_ModelNet40_plant_0002"],
}  # fmt: skip
FILES = {("image", "train"): "rgb_list.txt", ("image", "test"): "rgb_test_list.txt",
         ("shape", "train"): "view_list.txt", ("shape", "test"): "view_test_list.txt"}  # fmt: skip


def write_lists(
    folder: Path, items: dict[tuple[str, str], list[str]] = ITEMS, *, packed: bool = False
) -> Path:
    """Write lists as they were published: another machine's path and a number a line, four views a shape."""
    folder.mkdir(parents=True, exist_ok=True)
    for (kind, split), names in items.items():
        part = "image" if kind == "image" else "model"
        lines = []
        for name in names:
            class_name = origin_of(name).class_name if origin_of(name) else "x"  # type: ignore[union-attr]
            pot = "pot_" if class_name == "flower_pot" and kind == "shape" else ""  # as it was published
            base = f"/media/somebody/MI3DOR-1/{part}/{split}/{class_name}/{name}/{pot}{name}"
            ends = [".JPEG"] if kind == "image" else [f"_{number:03d}.png" for number in (2, 5, 8, 11)]
            lines += [f"{base}{end} 0" for end in ends]
        text = ("\n".join(lines) + "\n").encode()
        path = folder / FILES[kind, split]
        if packed:
            (folder / f"{path.name}.gz").write_bytes(gzip.compress(text))
        else:
            path.write_bytes(text)
    return folder


def hold(root: Path, names: Iterable[str], *, empty: bool = False) -> Holdings:
    """Make the source sets with the files of some items."""
    for name in names:
        origin = origin_of(name)
        assert origin is not None
        if origin.source == "imagenet":
            path = root / "imagenet/train" / origin.id.split("_")[0] / f"{origin.id}.JPEG"
        elif origin.source == "modelnet":
            path = root / "modelnet" / origin.id.rpartition("_")[0] / "train" / f"{origin.id}.off"
        elif origin.source == "shapenet":
            path = root / "shapenet/train" / f"{origin.id}.obj"
        else:
            path = root / origin.source / "db/x" / f"{origin.id}.off"
        if empty:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        elif path.suffix == ".JPEG":
            picture(path)
        elif not path.exists():
            mesh(path)
    return Holdings(root / "imagenet", root / "modelnet", root / "shapenet", root / "psb", root / "ntu")


EVERY = [name for names in ITEMS.values() for name in names]


def test_names_say_where_an_item_is_from() -> None:
    assert origin_of("flower_pot_000002_PSB_m1047") == ("flower_pot", "psb", "m1047")
    assert origin_of("knife_000005_NTU_KNIV") == ("knife", "ntu", "KNIV")
    assert origin_of("car_1_PSB_m1") is None


@pytest.mark.parametrize("packed", [False, True])
def test_lists_name_every_item_once(packed: bool, tmp_path: Path) -> None:
    pieces = read_lists(write_lists(tmp_path, packed=packed))
    assert sorted(piece.item for piece in pieces) == sorted(EVERY)


def test_items_of_other_names_are_counted_and_named(tmp_path: Path) -> None:
    folder = write_lists(tmp_path)
    with (folder / "rgb_list.txt").open("a") as file:
        file.write("a/b/c.JPEG 0\na/d.JPEG 0\n")
    heard: list[str] = []

    class Hearer(Reporter):
        def warn(self, message: str) -> None:
            heard.append(message)

    with reporting(Hearer()):
        assert len(read_lists(folder)) == len(EVERY)
    assert heard == [f"{folder / 'rgb_list.txt'}: 2 items have other names and are left out: c, d"]


def test_every_item_lands_in_the_layout_that_hifa_reads(tmp_path: Path) -> None:
    holdings, pieces = hold(tmp_path, EVERY), read_lists(write_lists(tmp_path / "lists"))
    built = build(pieces, holdings, tmp_path / "MI3DOR")
    assert (built.missing, built.placed) == ({}, len(EVERY))
    out = tmp_path / "MI3DOR"
    assert (out / "image/train/plant/plant_000002_imagenet_n12620546_2.JPEG").is_file()
    assert (out / "model/train/knife/knife_000005_NTU_KNIV.off").is_file()
    linked = out / "model/train/airplane/airplane_000001_ShapNetCore55_model_000001.obj"
    assert linked.samefile(tmp_path / "shapenet/train/model_000001.obj")
    found = check(out, read=False)
    assert {one.domain: one.items for one in found.holdings} == {"images": 3, "meshes": 6}
    assert "every listed item is there" in built.how_to_read()


def test_sets_whose_folders_are_links_are_found(tmp_path: Path) -> None:
    holdings = hold(tmp_path / "disk", EVERY)
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("imagenet", "modelnet", "shapenet", "psb", "ntu"):
        (linked / name).mkdir()
        for folder in (tmp_path / "disk" / name).iterdir():
            (linked / name / folder.name).symlink_to(folder)
    (tmp_path / "disk/psb/db/round").symlink_to(tmp_path / "disk/psb")
    there = Holdings(
        linked / "imagenet", linked / "modelnet", linked / "shapenet", linked / "psb", linked / "ntu"
    )
    pieces = read_lists(write_lists(tmp_path / "lists"))
    assert [build(pieces, one, tmp_path / f"out{n}").placed for n, one in enumerate((holdings, there))] == [
        len(EVERY)
    ] * 2


def test_a_second_run_copies_nothing_and_later_sets_are_added(tmp_path: Path) -> None:
    holdings, pieces = hold(tmp_path, EVERY), read_lists(write_lists(tmp_path / "lists"))
    part = Holdings(holdings.imagenet, holdings.modelnet, holdings.shapenet)
    out = tmp_path / "MI3DOR"
    built = build(pieces, part, out, copy=True)
    assert {why: len(items) for why, items in built.missing.items()} == {
        "--psb is not given": 1, "--ntu is not given": 1,
    }  # fmt: skip
    assert built.share == pytest.approx(4 / 6)
    assert "4 of 6 shapes (66.7 %)" in built.how_to_read()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if path.name != REPORT}
    again = build(pieces, holdings, out, copy=True)
    assert (again.placed, again.missing) == (2, {})
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert build(pieces, holdings, out).placed == 0


def test_what_is_missing_is_counted_by_what_is_wrong(tmp_path: Path) -> None:
    holdings, pieces = hold(tmp_path, EVERY), read_lists(write_lists(tmp_path / "lists"))
    (tmp_path / "shapenet/train/model_000001.obj").unlink()
    (tmp_path / "shapenet/train/model_000001.obj").symlink_to(tmp_path / "nowhere")
    (tmp_path / "psb/db/x/m1047.off").write_bytes(b"")
    (tmp_path / "imagenet/train/n12620546/n12620546_2.JPEG").unlink()
    built = build(pieces, holdings, tmp_path / "out")
    assert built.missing == {
        "a link in --shapenet leads nowhere": ["airplane_000001_ShapNetCore55_model_000001"],
        "an empty file in --psb": ["flower_pot_000002_PSB_m1047"],
        "not in --imagenet": ["plant_000002_imagenet_n12620546_2"],
    }
    report = json.loads((tmp_path / "out" / REPORT).read_text())
    assert report["missing"]["not in --imagenet"] == 1
    assert report["items"]["image"]["train"]["plant"] == {"there": 0, "listed": 1}
    assert not list((tmp_path / "out").rglob(".*half*"))


def test_shapenet_by_its_list_of_numbers(tmp_path: Path) -> None:
    rows = ["id,synsetId,subSynsetId,modelId,split", "000001,02691156,02691156,abc,train",
            "000002,02691156,02691156,abd,test"]  # fmt: skip
    for model in ("abc", "abd"):
        mesh(tmp_path / f"core/02691156/{model}/models/model_normalized.obj")
    (tmp_path / "core/all.csv").write_text("\n".join(rows))
    pieces = [one for one in read_lists(write_lists(tmp_path / "lists")) if one.origin.source == "shapenet"]
    built = build(pieces, Holdings(shapenet=tmp_path / "core"), tmp_path / "out")
    assert (built.placed, built.missing) == (2, {})
    (tmp_path / "core/all.csv").write_text("\n".join(rows).replace("02691156,02691156", "03001627,03001627"))
    with pytest.raises(HifaError, match="are of another version: 2 of 2 numbers"):
        build(pieces, Holdings(shapenet=tmp_path / "core"), tmp_path / "out2")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "view_list.txt").unlink(), "has no view_list.txt"),
        (lambda folder: (folder / "view_list.txt").write_text("a/b_001.png 3\n"), "is not a list of MI3DOR"),
        (lambda folder: (folder / "view_list.txt").write_bytes(b"\xff\xfe"), "cannot read"),
    ],
)
def test_lists_that_are_none_end_in_one_line(spoil: object, said: str, tmp_path: Path) -> None:
    assert callable(spoil)
    spoil(write_lists(tmp_path))
    with pytest.raises(HifaError, match=said):
        read_lists(tmp_path)


def test_sets_that_are_packed_or_absent_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    pieces = read_lists(write_lists(tmp_path / "lists"))
    (tmp_path / "imagenet").mkdir()
    (tmp_path / "imagenet/n02690373.tar").write_bytes(b"x")
    for holdings, said in (
        (Holdings(imagenet=tmp_path / "imagenet"), "holds nothing but archives"),
        (Holdings(psb=tmp_path / "none"), "is not a folder"),
    ):
        with pytest.raises(HifaError, match=said):
            build(pieces, holdings, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_tree_of_the_published_size_is_built_and_has_the_published_counts(tmp_path: Path) -> None:
    """28,690 items, of the sources in turn."""
    numbers = iter(range(10**6))
    items: dict[tuple[str, str], list[str]] = {}
    sources = ("ShapNetCore55_model_{:06d}", "ModelNet40_chair_{:04d}", "PSB_m{}", "NTU_D{}")
    for kind, domain in (("image", "images"), ("shape", "shapes")):
        for split in ("train", "test"):
            published = PUBLISHED["MI3DOR", domain, split]
            sizes = published.classes or dict.fromkeys(MI3DOR_CLASSES, 183) | {"airplane": 182}
            names = items.setdefault((kind, split), [])
            for class_name, size in sizes.items():
                for _ in range(size):
                    number = next(numbers)
                    source = "imagenet_n02690373_{}" if kind == "image" else sources[number % 4]
                    names.append(f"{class_name}_{number:06d}_{source.format(number)}")
    pieces = read_lists(write_lists(tmp_path / "lists", items))
    assert len(pieces) == 21_000 + 7_690
    every = [piece.item for piece in pieces]
    built = build(pieces, hold(tmp_path, every, empty=True), tmp_path / "out")
    assert (built.placed, built.missing, list(differences(built))) == (28_690, {}, [])
    assert (built.total("shape", "test"), built.total("image", "test")) == (3_848, 10_500)
    found = check(tmp_path / "out", read=False)
    assert found.benchmark == "MI3DOR"
    assert found.differences == ()


def test_check_reports_the_known_faults(tmp_path: Path) -> None:
    build(read_lists(write_lists(tmp_path / "lists")), hold(tmp_path, EVERY), tmp_path / "MI3DOR")
    found = check(tmp_path / "MI3DOR", read=False)
    assert found.notes[0].startswith("3 photos of 3 synsets are ImageNet files")
    assert found.notes[1:] == ("class plant: 1 rose hip of 1 photos", "class airplane: 1 wing of 2 photos")
    (twice,) = [one for one in found.problems if "is the same as" in one.reason]
    assert twice.reason.endswith("under the classes flower_pot and plant")


def test_files_that_are_the_same_under_two_classes_are_reported(tmp_path: Path) -> None:
    for name in ("chair/a.obj", "sofa/b.obj", "sofa/c.obj"):
        mesh(tmp_path / name)
    found = check(tmp_path)
    assert [one.reason for one in found.problems] == [
        "is the same as sofa/b, sofa/c, under the classes chair and sofa"
    ]
    assert check(tmp_path, read=False).problems == ()


def export_of(path: Path, shapes: list[str], folder: Path | None = None) -> Path:
    classes = ("flower_pot", "knife", "plant")
    labels = np.array(
        [next(n for n, one in enumerate(classes) if f"/{one}_" in f"/{name}") for name in shapes]
    )
    vectors = np.random.default_rng(0).random((len(shapes) + 3, 4)).astype(np.float32)
    config = {"shapes": str(folder)} if folder else {}
    write_export(path, Export(
        Embeddings(("p0", "p1", "p2"), np.arange(3), vectors[-3:]),
        Embeddings(tuple(shapes), labels, vectors[:-3]), classes, config=config,
    ))  # fmt: skip
    return path


def test_shapes_that_stand_twice_are_taken_out_of_the_scores(tmp_path: Path) -> None:
    shapes = ["flower_pot_000009_ModelNet40_plant_0002", "plant_000008_ModelNet40_plant_0002",
              "knife_000005_NTU_KNIV", "plant_000010_ModelNet40_plant_0003",
              "flower_pot_000001_PSB_m1"]  # fmt: skip
    path = export_of(tmp_path / "e.h5", shapes)
    left, gone = without_duplicates(read_export(path))
    assert gone == tuple(shapes[:2])
    assert left.shapes is not None
    assert left.shapes.ids == tuple(shapes[2:])
    code, out, err = hifa("evaluate", str(path), "--without-duplicates", "--json")
    assert code == 0, err
    assert json.loads(out)["gallery"] == 3
    assert "2 shapes stand twice" in err
    assert json.loads(hifa("evaluate", str(path), "--json")[1])["gallery"] == 5


def test_a_twin_in_the_other_split_is_known_from_the_folder_of_views(tmp_path: Path) -> None:
    for item in ("train/flower_pot/flower_pot_000009_ModelNet40_plant_0002",
                 "test/plant/plant_000008_ModelNet40_plant_0002",
                 "test/knife/knife_000005_NTU_KNIV"):  # fmt: skip
        picture(tmp_path / "view" / item / "00.png")
    (tmp_path / "view/views.json").write_text("{}")
    shapes = ["test/plant/plant_000008_ModelNet40_plant_0002", "test/knife/knife_000005_NTU_KNIV"]
    assert without_duplicates(read_export(export_of(tmp_path / "a.h5", shapes)))[1] == ()
    found = without_duplicates(read_export(export_of(tmp_path / "b.h5", shapes, tmp_path / "view")))[1]
    assert found == (shapes[0],)


def test_the_verb_lays_out_renders_and_resumes(tmp_path: Path) -> None:
    hold(tmp_path, EVERY)
    write_lists(tmp_path / "lists")
    words = [
        "data",
        "mi3dor",
        "--lists",
        tmp_path / "lists",
        "--out",
        tmp_path / "MI3DOR",
        "--workers",
        1,
        "--json",
    ]
    for name in ("imagenet", "modelnet", "shapenet"):
        words += [f"--{name}", tmp_path / name]
    code, out, err = hifa(*map(str, words))
    assert code == 0, err
    document = json.loads(out)
    assert document["views"] == {"rendered": 4, "skipped": 0, "failed": 0}
    assert document["missing"] == {"--psb is not given": 1, "--ntu is not given": 1}
    assert "1 items are missing: --psb is not given (flower_pot_000002_PSB_m1047)" in " ".join(err.split())
    assert "the lists name 2 train images; 10500 are published" in " ".join(err.split())
    code, out, err = hifa(*map(str, [*words, "--psb", tmp_path / "psb", "--ntu", tmp_path / "ntu"]))
    assert json.loads(out)["views"] == {"rendered": 2, "skipped": 4, "failed": 0}
    found = check(tmp_path / "MI3DOR", read=False)
    assert {one.domain: one.items for one in found.holdings} == {"images": 3, "shapes": 6, "meshes": 6}


def test_pieces_know_their_place() -> None:
    origin = origin_of(EVERY[0])
    assert origin is not None
    assert Piece("image", "train", EVERY[0], origin).origin.source == "imagenet"
    assert os.sep not in EVERY[0]
