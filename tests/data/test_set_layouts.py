"""Every data set's miniature is recognised and gives id, class and split from where the set says them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hifa_cli.data import find_images, find_shapes
from hifa_cli.data.layouts import LAYOUTS, NAMES, lay_out, pairs_of
from hifa_cli.data.shapes import shapes_of_meshes
from hifa_cli.errors import HifaError
from hifa_cli.render.discover import find_meshes
from tests.cli.test_cli import hifa
from tests.data import miniatures as mini
from tests.trees import hifa_views, picture

Build = Callable[[Path], Path]
# fmt: off
CASES: dict[str, tuple[Build, dict[str, str]]] = {
    "pix3d": (mini.pix3d, {"chair/IKEA_A": "chair", "chair/IKEA_B": "chair",
                           "bed/MALM_bed_1": "bed", "bed/MALM_bed_2": "bed"}),
    "shapenet-v2": (mini.shapenet, {f"train/airplane/{mini.UID}": "airplane",
                                    f"test/railroad_train/{mini.UID}": "railroad_train",
                                    f"val/garden_gnome/{mini.UID}": "garden_gnome"}),
    "shapenet-v1": (mini.shapenet1, {f"train/airplane/{mini.UID}": "airplane",
                                     f"boat/{mini.UID}": "boat", f"bicycle/{mini.UID}": "bicycle",
                                     f"test/railroad_train/{mini.UID}": "railroad_train",
                                     f"val/garden_gnome/{mini.UID}": "garden_gnome"}),
    "objaverse": (mini.objaverse, {mini.UID: "", f"garden_gnome/1{mini.UID[1:]}": "garden_gnome"}),
    "abo": (mini.abo, {"rug/B07B4YVDLQ": "rug", "B07B4YVDL1": ""}),
    "gso": (mini.gso, {"Shoe/Asics_GEL": "Shoe", "Blue_Vase": "", "Red_Box": ""}),
    "3d-future": (mini.future, {f"Corner-Side Table/{mini.UUIDS[0]}": "Corner-Side Table",
                                f"Sofa/{mini.UUIDS[1]}": "Sofa"}),
    "toys4k": (mini.toys4k, {"airplane/airplane_000": "airplane", "airplane/airplane_001": "airplane",
                             "apple/apple_000": "apple"}),
    "mcb": (mini.mcb, {"train/Bearing/00000001": "Bearing", "train/Cap nuts/00000002": "Cap nuts",
                       "test/Bearing/00000003": "Bearing"}),
    "fusion360": (mini.fusion, {"train/21241_b5f8e7a1_0000": "", "test/21242_c5f8e7a1_0000": ""}),
    "fusion360-assembly": (mini.assemblies, {"test/35848_1b2c3d4e": ""}),
    "abc": (mini.abc, {"00000002": "", "00000050_000": "", "00000050_001": ""}),
    "thingi10k": (mini.thingi10k, {"art/132423": "art", "art/132424": "art", "32770": "", "994785": ""}),
    "modelnet": (mini.modelnet, {"chair/train/chair_0001": "chair", "chair/test/chair_0890": "chair",
                                 "xbox/train/xbox_0001": "xbox"}),
}
# fmt: on


class Heard:
    """What a run of hifa says, by stream."""

    def __init__(self, *words: object) -> None:
        self.code, self.out, self.err = hifa(*map(str, words))


def classes(root: Path) -> tuple[str, dict[str, str]]:
    """Layout, and the class of every mesh's shape by id."""
    found = find_meshes([root])
    shapes = shapes_of_meshes((mesh.id, mesh.path) for mesh in found.meshes)
    named = {one.id: shapes.classes[one.label] if one.label >= 0 else "" for one in shapes.items}
    return found.layouts[0].layout.name, named


@pytest.mark.parametrize("name", CASES)
def test_ids_and_classes_are_the_sets_own(name: str, tmp_path: Path) -> None:
    build, expected = CASES[name]
    assert classes(build(tmp_path / "set")) == (name, expected)


@pytest.mark.parametrize("name", [name for name in CASES if name != "pix3d"])
def test_a_folder_above_the_set_gives_the_same(name: str, tmp_path: Path) -> None:
    build, expected = CASES[name]
    build(tmp_path / "above/set")
    layout, found = classes(tmp_path / "above")
    assert layout == name
    assert {identity.rpartition("/")[2] for identity in found} == {
        identity.rpartition("/")[2] for identity in expected
    }


@pytest.mark.parametrize("name", CASES)
def test_views_of_a_set_have_the_classes_and_splits_of_its_meshes(name: str, tmp_path: Path) -> None:
    """``hifa render`` names folders by these ids, and every later verb reads class and split from them."""
    build, expected = CASES[name]
    build(tmp_path / "set")
    views = hifa_views(tmp_path / "views", *expected)
    found = find_shapes(views)
    assert {one.id: found.classes[one.label] if one.label >= 0 else "" for one in found.items} == expected
    for split in ("train", "test"):
        mine = [one for one in expected if f"{split}/" in one and not one.startswith(f"railroad_{split}")]
        if mine:
            assert sorted(one.id for one in find_shapes(views, split=split).items) == sorted(
                one for one in mine if one.startswith(f"{split}/") or f"/{split}/" in one
            )


def test_every_row_has_a_miniature_and_names_do_not_repeat() -> None:
    assert len(set(NAMES)) == len(NAMES)
    others = {"folders", "flat", "mi3dor", "topex-printer"}
    assert {one.name for one in LAYOUTS} - others == set(CASES)


def test_the_first_row_that_fits_is_the_only_set_that_fits(tmp_path: Path) -> None:
    for name, (build, _) in CASES.items():
        root = build(tmp_path / name)
        fitting = []
        for row in (one for one in LAYOUTS if one.meshes and one.name not in ("folders", "flat")):
            try:
                lay_out(root, [mesh.path for mesh in find_meshes([root]).meshes], row.name)
                fitting.append(row.name)
            except HifaError:
                pass
        assert name in fitting
        assert set(fitting) <= {name, "mi3dor"}


def test_pix3d_photos_are_the_list_s_and_show_their_mesh(tmp_path: Path) -> None:
    root = mini.pix3d(tmp_path / "pix3d")
    photos = find_images(root)
    assert [one.id for one in photos.items] == [
        "bed/0002",
        "bed/0003",
        "chair/0000",
        "chair/0001",
        "chair/0004",
    ]
    assert photos.classes == ("bed", "chair")
    pairs = pairs_of(root)
    assert pairs["chair/0004"] == pairs["chair/0000"] == "chair/IKEA_A"
    assert pairs["bed/0003"] == "bed/MALM_bed_2"
    meshes = {mesh.id for mesh in find_meshes([root]).meshes}
    assert set(pairs.values()) == meshes


def test_a_listed_photo_that_is_not_there_is_named(tmp_path: Path) -> None:
    root = mini.pix3d(tmp_path / "pix3d")
    (root / "img/chair/0001.jpg").unlink()
    found = find_images(root)
    assert len(found.items) == 4
    assert "is listed and not there" in found.problems[0].reason


def test_abo_photos_are_the_main_ones_of_products_with_a_model(tmp_path: Path) -> None:
    root = mini.abo(tmp_path / "abo")
    assert [one.id for one in find_images(root).items] == ["rug/71abc"]
    assert pairs_of(root) == {"rug/71abc": "rug/B07B4YVDLQ"}


def test_topex_renders_are_views_of_a_part_and_its_photos_the_test(tmp_path: Path) -> None:
    root = mini.topex(tmp_path / "topex-printer")
    shapes = find_shapes(root)
    assert [(one.id, len(one.views)) for one in shapes.items] == [("gear/gear", 3), ("shaft/shaft", 3)]
    assert [one.id for one in find_images(root, split="test").items] == [
        "test/gear/photo",
        "test/shaft/photo",
    ]


def test_a_set_without_its_lists_says_what_is_missing(tmp_path: Path) -> None:
    root = mini.objaverse(tmp_path / "objaverse")
    (root / "lvis-annotations.json.gz").unlink()
    (found,) = find_meshes([root]).layouts
    assert found.remarks == ("lvis-annotations.json.gz is not beside it, so that no shape has a class",)


@pytest.mark.parametrize("content", [b"not gzip", b"\x1f\x8b\x08\x00broken"])
def test_a_damaged_list_is_one_line(content: bytes, tmp_path: Path) -> None:
    root = mini.objaverse(tmp_path / "objaverse")
    (root / "lvis-annotations.json.gz").write_bytes(content)
    with pytest.raises(HifaError, match=r"cannot read .*lvis-annotations.json.gz.*download it again"):
        find_meshes([root])


@pytest.mark.parametrize("document", ["[]", "3", '{"a": 3, "b": [[], {}]}', "null"])
def test_a_list_of_another_kind_names_nothing(document: str, tmp_path: Path) -> None:
    root = mini.fusion(tmp_path / "fusion")
    (root / "train_test.json").write_text(document)
    assert classes(root)[1] == {"21241_b5f8e7a1_0000": "", "21242_c5f8e7a1_0000": ""}


# fmt: off
OTHERS: dict[str, tuple[Build, str, str, str]] = {
    "shapenet": (mini.shapenet, "all.csv", "a,b\n1,2\n", "all.csv names no split of any of the 3 shapes"),
    "objaverse": (mini.objaverse, "lvis-annotations.json.gz", "[1, 2]",
                  "lvis-annotations.json.gz names no class of any of the 2 shapes"),
    "abo": (mini.abo, "listings/metadata/listings_0.json.gz", '{"item": "x"}', "name no 3dmodel_id"),
    "3d-future": (mini.future, "model_info.json", json.dumps({mini.UUIDS[0]: {"category_id": "x"}}),
                  "model_info.json names no class of any of the 2 shapes: is it of another version?"),
    "thingi10k": (mini.thingi10k, "contextual_data.csv", "id,kind\n9,art\n",
                  "contextual_data.csv names no category of any of the 3 shapes"),
    "fusion360": (mini.fusion, "train_test.json", '{"a": []}', "names no split of any of the 2 shapes"),
    "assemblies": (mini.assemblies, "train_test.json", "{}", "names no split of any of the 1 shapes"),
}
# fmt: on


@pytest.mark.parametrize("name", OTHERS)
def test_a_list_of_another_version_is_said_by_every_verb(name: str, tmp_path: Path) -> None:
    """It named no class and no split in silence, and nothing was wrong."""
    build, path, content, said = OTHERS[name]
    root = build(tmp_path / name)
    mini.packed(root / path, content)
    checked = Heard("data", "check", root, "--names-only")
    assert said in checked.out
    assert "nothing is wrong" not in checked.out
    drawn = Heard("render", root, "--out", tmp_path / "views", "--views", 1, "--size", 32)
    assert said in " ".join(drawn.err.split())


def test_a_list_that_lacks_some_shapes_is_said_with_three_examples(tmp_path: Path) -> None:
    root = mini.fusion(tmp_path / "fusion")
    for number in range(5):
        mini.mesh(root / f"reconstruction/9999{number}_b5f8e7a1_0000_0001.obj")
    said = find_meshes([root]).layouts[0].remarks
    named = ", ".join(f"9999{number}_b5f8e7a1_0000" for number in range(3))
    assert said == (f"train_test.json names no split of 5 of 7 shapes: {named}, …",)
    assert find_meshes([mini.thingi10k(tmp_path / "thingi")]).layouts[0].remarks == (
        "input_summary.csv names no thing of 1 of 4 shapes: 994785",
    )


def test_sets_that_are_whole_have_nothing_to_remark(tmp_path: Path) -> None:
    for name, (build, _) in CASES.items():
        if name != "thingi10k":  # one of its meshes is in no list
            found = find_meshes([build(tmp_path / name)]).layouts[0]
            assert not [one for one in found.remarks if name != "shapenet-v1" or "of 2 of 5" not in one], name


def test_half_unpacked_sets_are_counted(tmp_path: Path) -> None:
    root = mini.pix3d(tmp_path / "pix3d")
    shutil.rmtree(root / "model/bed")
    said = "2 of 4 listed meshes are not there: model/bed/MALM/bed_1.obj, model/bed/MALM/bed_2.obj"
    assert said in " ".join(Heard("data", "check", root, "--names-only").out.split())
    assert not find_meshes([root / "model/chair"]).layouts[0].remarks
    root = mini.future(tmp_path / "future")
    (root / mini.UUIDS[0] / "raw_model.obj").unlink()
    assert find_meshes([root]).layouts[0].remarks == (
        f"1 of 2 shapes have no raw_model.obj, drawn by the other: {mini.UUIDS[0]}",
    )


def test_links_that_lead_nowhere_are_counted_and_three_are_named(tmp_path: Path) -> None:
    root = mini.toys4k(tmp_path / "toys")
    for number in range(5):
        (root / f"toys4k_obj_files/apple/apple_01{number}").mkdir()
        (root / f"toys4k_obj_files/apple/apple_01{number}/mesh.obj").symlink_to(tmp_path / "gone.obj")
    said = " ".join(Heard("data", "check", root, "--names-only").out.split())
    assert "5 links lead nowhere; left out: " in said
    assert said.count("mesh.obj is ") == 3
    assert "apple_012/mesh.obj, …" in said
    assert "apple_013" not in said


def test_meshes_that_do_not_follow_the_layout_are_counted_and_named(tmp_path: Path) -> None:
    root = tmp_path / "toys"
    for number in range(20):
        mini.mesh(root / f"apple/apple_{number:03d}/mesh.obj")
    mini.mesh(root / "stray.obj")
    heard = Heard("data", "check", root, "--names-only")
    assert "stray.obj: does not follow the layout toys4k; left out" in heard.out
    assert len(find_meshes([root]).meshes) == 20


# fmt: off
UNKNOWN = {
    "called 'part'": ("a/1/part.obj", "a/2/part.obj", "b/3/part.obj"),
    "holds one mesh": ("red chair/chair.obj", "blue chair/chair2.obj", "old table/t.obj"),
    "called as items are": ("000-021/a.obj", "000-022/b.obj", "000-022/c.obj"),
    "only folder is called 'meshes'": ("meshes/a.obj", "meshes/b.obj", "meshes/c.obj"),
}
# fmt: on


@pytest.mark.parametrize("why", UNKNOWN)
def test_an_unknown_tree_is_never_guessed_in_silence(why: str, tmp_path: Path) -> None:
    for name in UNKNOWN[why]:
        mini.mesh(tmp_path / "tree" / name)
    heard = Heard("render", tmp_path / "tree", "--out", tmp_path / "views", "--size", 32, "--views", 1)
    words = " ".join(heard.err.split())
    assert "fits no layout that hifa knows" in words
    assert why in words
    assert "--layout flat" in words
    for name in UNKNOWN[why]:
        assert f"{name} is {name.removesuffix('.obj')} of class {name.split('/')[0]}" in words


def test_plain_folders_are_named_without_a_warning(tmp_path: Path) -> None:
    for name in ("chair/a.obj", "chair/b.obj", "table/c.obj", "table/d.obj"):
        mini.mesh(tmp_path / "tree" / name)
    heard = Heard("render", tmp_path / "tree", "--out", tmp_path / "views", "--size", 32, "--views", 1)
    assert "layout folders" in heard.err
    assert "fits no layout" not in heard.err


def test_flat_takes_no_folder_for_a_class(tmp_path: Path) -> None:
    root = mini.abc(tmp_path / "abc")
    shapes, chosen = lay_out(root, sorted(root.rglob("*.obj")), "flat")
    assert all("/" not in one.id for one in shapes)
    assert chosen.doubt == ""


def test_a_wrong_name_and_a_wrong_set_end_in_one_line(tmp_path: Path) -> None:
    mini.mesh(tmp_path / "chair/a.obj")
    heard = Heard("render", tmp_path / "chair", "--out", tmp_path / "v", "--layout", "nope")
    assert heard.code == 2
    assert "'nope' does not exist" in " ".join(heard.err.split())
    heard = Heard("render", tmp_path / "chair", "--out", tmp_path / "v", "--layout", "gso")
    assert heard.code == 1
    assert "no mesh in" in heard.err


@pytest.mark.parametrize("name", ["shapenet-v2", "gso", "3d-future"])
def test_render_and_index_name_the_layout_and_keep_its_classes(name: str, tmp_path: Path) -> None:
    build, expected = CASES[name]
    root = build(tmp_path / "set")
    views = tmp_path / "views"
    heard = Heard("render", root, "--out", views, "--size", 32, "--views", 2, "--json")
    assert f"layout {name}" in heard.err
    (said,) = json.loads(heard.out)["layouts"]
    assert said["name"] == name
    assert len(said["examples"]) == min(3, len(expected))
    found = find_shapes(views)
    assert {one.id for one in found.items} == set(expected)


def test_data_check_names_layout_and_examples(tmp_path: Path) -> None:
    root = mini.pix3d(tmp_path / "pix3d")
    heard = Heard("data", "check", root, "--names-only", "--json")
    document = json.loads(heard.out)
    assert {one["name"] for one in document["layouts"]} == {"pix3d"}
    assert document["images"]["items"] == 5
    assert document["meshes"]["items"] == 4
    assert "Pix3D (layout pix3d" in Heard("data", "check", root, "--names-only").out


def test_photos_of_plain_folders_are_read_as_before(tmp_path: Path) -> None:
    picture(tmp_path / "chair/1.jpg")
    assert [one.id for one in find_images(tmp_path).items] == ["chair/1"]
