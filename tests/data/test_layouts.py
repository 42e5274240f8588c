"""From folders and lists to items: ids, classes, splits, views, and what is said of what is wrong."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hifa_cli.data import Collection, Item, find_images, find_shapes
from hifa_cli.data.mi3dor import MI3DOR2_CLASSES, MI3DOR_CLASSES, MI3DOR_TEST_SHAPES, class_names
from hifa_cli.data.tree import places
from hifa_cli.errors import HifaError
from tests.trees import hifa_views, mi3dor, mi3dor2, picture, views


def named(collection: Collection) -> dict[str, str]:
    """Class by id, '' for none."""
    return {item.id: collection.classes[item.label] if item.label >= 0 else "" for item in collection.items}


def test_an_id_is_the_path_without_its_ending_and_the_class_its_first_folder(tmp_path: Path) -> None:
    for name in ("chair/a.b.jpg", "chair/old/c.PNG", "car/d.JPEG", "e.webp"):
        picture(tmp_path / name)
    found = find_images(tmp_path)
    assert named(found) == {"car/d": "car", "chair/a.b": "chair", "chair/old/c": "chair", "e": ""}
    assert found.classes == ("car", "chair")
    assert found.items[0].views == (tmp_path / "car/d.JPEG",)
    assert found.problems == ()


def test_items_come_in_the_order_of_their_ids(tmp_path: Path) -> None:
    for name in ("b/2", "b/10", "a/x", "a-b/x", "a"):
        picture(tmp_path / f"{name}.png")
    ids = [item.id for item in find_images(tmp_path).items]
    assert ids == sorted(ids)


def test_what_is_no_picture_or_hidden_is_left_out(tmp_path: Path) -> None:
    picture(tmp_path / "chair/a.jpg")
    for name in (".DS_Store", "Thumbs.db", "._a.jpg", "notes.txt", ".cache/b.jpg", "__MACOSX/c.jpg", "d.eps"):
        (tmp_path / "chair" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "chair" / name).write_bytes(b"x")
    assert list(named(find_images(tmp_path))) == ["chair/a"]


@pytest.mark.parametrize("layout", ["train/chair/{}.png", "chair/train/{}.png"])
def test_split_folders_on_either_side_of_the_class_are_no_class(tmp_path: Path, layout: str) -> None:
    for split in ("train", "test"):
        for number in range(2):
            picture(tmp_path / layout.format(number).replace("train", split))
    found = find_images(tmp_path)
    assert found.classes == ("chair",)
    assert len(found.items) == 4
    only = find_images(tmp_path, split="test")
    assert [item.id for item in only.items] == [
        layout.replace("train", "test").format(n)[:-4] for n in range(2)
    ]


def test_classes_of_one_split_are_numbered_like_those_of_all(tmp_path: Path) -> None:
    picture(tmp_path / "train/a/1.png")
    picture(tmp_path / "test/b/1.png")
    assert find_images(tmp_path, split="test").classes == ("a", "b")
    assert find_images(tmp_path, split="test").items[0].label == 1


def test_a_split_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    picture(tmp_path / "train/a/1.png")
    with pytest.raises(HifaError, match="no photos of the split 'val': it has train"):
        find_images(tmp_path, split="val")
    with pytest.raises(HifaError, match="the split 'dev' does not exist: choose one of train, test, val"):
        find_images(tmp_path, split="dev")


def test_trains_are_a_class_among_others() -> None:
    found = places([("train",), ("car",), ("bus",)])
    assert [(place.class_name, place.split) for place in found] == [
        ("train", None),
        ("car", None),
        ("bus", None),
    ]
    found = places([("train", "test"), ("car", "test")])
    assert [(place.class_name, place.split) for place in found] == [("train", "test"), ("car", "test")]
    found = places([("train", "car"), ("test", "car")])
    assert [(place.class_name, place.split) for place in found] == [("car", "train"), ("car", "test")]


def test_trains_are_a_class_within_the_splits(tmp_path: Path) -> None:
    for path in ("train/train/1.png", "test/train/2.png", "train/car/3.png", "test/car/4.png"):
        picture(tmp_path / path)
    found = find_images(tmp_path, split="test")
    assert found.classes == ("car", "train")
    assert [(item.id, item.label) for item in found.items] == [("test/car/4", 0), ("test/train/2", 1)]


@given(st.lists(st.lists(st.sampled_from(["train", "test", "a", "b", "2D", "view"]), max_size=4), max_size=6))
def test_every_path_has_a_place(paths: list[list[str]]) -> None:
    found = places([tuple(path) for path in paths])
    assert len(found) == len(paths)
    assert all(place.split in (None, "train", "test") for place in found)
    assert all(place.class_name in (None, *path) for place, path in zip(found, paths, strict=True))


def test_a_folder_without_classes_is_valid(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    found = find_images(tmp_path)
    assert found.items == (Item("1", -1, (tmp_path / "1.png",)),)
    assert found.classes == ()


def test_one_picture_is_a_collection_of_one(tmp_path: Path) -> None:
    path = picture(tmp_path / "my chair.jpg")
    assert find_images(path).items == (Item("my chair", -1, (path,)),)


def test_two_endings_of_one_name_stay_two_items_and_are_reported(tmp_path: Path) -> None:
    picture(tmp_path / "chair/a.jpg")
    picture(tmp_path / "chair/a.png")
    found = find_images(tmp_path)
    assert [item.id for item in found.items] == ["chair/a", "chair/a.png"]
    assert "has the id chair/a as another file has" in found.problems[0].reason


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    picture(tmp_path / "root/chair/a.jpg")
    picture(tmp_path / "elsewhere/b.jpg")
    (tmp_path / "root/car").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root/chair/up").symlink_to(tmp_path / "root")
    (tmp_path / "root/dead.jpg").symlink_to(tmp_path / "nothing")
    found = find_images(tmp_path / "root")
    assert list(named(found)) == ["car/b", "chair/a"]
    assert [problem.reason for problem in found.problems] == [
        "links back to a folder above it; not followed",
        f"a link leads nowhere; left out: {tmp_path / 'root/dead.jpg'}",
    ]


def test_what_is_no_file_is_left_out(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert list(named(find_images(tmp_path))) == ["a"]


def test_names_are_the_same_on_every_system(tmp_path: Path) -> None:
    """macOS writes ü as u and two dots; a name that is no Unicode must not break an export."""
    picture(tmp_path / "mo\u0308bel/stu\u0308hle.jpg")
    broken = os.fsencode(str(tmp_path)) + b"/m\xc3\xb6bel2/\xff.jpg"
    os.makedirs(os.path.dirname(broken))  # noqa: PTH103, PTH120
    with open(broken, "wb") as file:  # noqa: PTH123
        file.write(b"x")
    ids = [item.id for item in find_images(tmp_path).items]
    assert ids == ["möbel/stühle", "möbel2/\N{REPLACEMENT CHARACTER}"]
    assert "\n".join(ids).encode()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    picture(tmp_path / "a/1.jpg")
    picture(tmp_path / "b/1.jpg")
    (tmp_path / "b").chmod(0)
    found = find_images(tmp_path)
    (tmp_path / "b").chmod(0o755)
    assert "cannot be read" in found.problems[0].reason


@pytest.mark.parametrize("find", [find_images, find_shapes])
def test_what_is_not_there_is_named_with_the_remedy(tmp_path: Path, find: object) -> None:
    assert callable(find)
    with pytest.raises(HifaError, match=r"does not exist: give the folder"):
        find(tmp_path / "none")
    (tmp_path / "a.bin").write_bytes(b"x")
    with pytest.raises(HifaError, match="is neither a folder of"):
        find(tmp_path / "a.bin")
    (tmp_path / "empty/chair").mkdir(parents=True)
    with pytest.raises(HifaError, match=r"no picture is found|holds no rendered views"):
        find(tmp_path / "empty")


def test_meshes_and_views_in_the_wrong_place_are_named(tmp_path: Path) -> None:
    (tmp_path / "meshes/chair").mkdir(parents=True)
    (tmp_path / "meshes/chair/a.OFF").write_text("OFF")
    with pytest.raises(HifaError, match=r"holds meshes, not views: run 'hifa render .* --out VIEWS' first"):
        find_shapes(tmp_path / "meshes")
    with pytest.raises(HifaError, match="holds meshes, not photos"):
        find_images(tmp_path / "meshes")
    with pytest.raises(HifaError, match="holds rendered views of shapes, not photos"):
        find_images(hifa_views(tmp_path / "views", "chair/1"))
    picture(tmp_path / "photos/chair/photo.jpg")
    with pytest.raises(HifaError, match="carry no view number"):
        find_shapes(tmp_path / "photos")


def test_our_own_views_are_read(tmp_path: Path) -> None:
    found = find_shapes(hifa_views(tmp_path, "chair/012", "car/a.b", "003"))
    assert named(found) == {"003": "", "car/a.b": "car", "chair/012": "chair"}
    assert [path.name for path in found.items[2].views] == [f"{n:02d}.png" for n in range(12)]
    assert found.problems == ()


def test_views_of_splits_are_selected(tmp_path: Path) -> None:
    root = hifa_views(tmp_path, "chair/train/1", "chair/test/2", "test/car/3")
    assert named(find_shapes(root, split="test")) == {"chair/test/2": "chair", "test/car/3": "car"}


@pytest.mark.parametrize("class_folders", [True, False])
def test_mi3dor_is_read_from_every_level(tmp_path: Path, class_folders: bool) -> None:
    root = mi3dor(tmp_path, class_folders=class_folders)
    for level, split in ((root, "test"), (root / "view", "test"), (root / "view/test", None)):
        found = find_shapes(level, split=split)
        assert found.classes == ("airplane", "flower_pot")
        assert [found.classes[item.label] for item in found.items] == ["airplane", "airplane", "flower_pot"]
        between = ("airplane/", "flower_pot/") if class_folders else ("", "")
        prefix = "" if level.name == "test" else "test/" if level.name == "view" else "view/test/"
        assert [item.id for item in found.items] == [
            f"{prefix}{between[0]}airplane_test_0001",
            f"{prefix}{between[0]}airplane_test_0002",
            f"{prefix}{between[1]}flower_pot_test_0001",
        ]
        assert [len(item.views) for item in found.items] == [12, 12, 12]
        assert found.items[0].views[0].name == "airplane_test_0001_001.png"
    for level, split in ((root, "test"), (root / "image", "test"), (root / "image/test", None)):
        photos = find_images(level, split=split)
        assert [photos.classes[item.label] for item in photos.items] == ["airplane"] * 3 + ["flower_pot"] * 3
    assert len(find_shapes(root).items) == 6
    assert len(find_images(root).items) == 12


def test_the_class_comes_from_the_file_name_where_folders_are_nested_wrongly(tmp_path: Path) -> None:
    """In a re-host whole classes lie inside an instance folder of another."""
    views(tmp_path / "bicycle_test_0001", "bicycle_test_0001_{:03d}.png", range(1, 13))
    views(tmp_path / "bicycle_test_0001/car_test_0007", "car_test_0007_{:03d}.png", range(1, 13))
    assert named(find_shapes(tmp_path)) == {
        "bicycle_test_0001": "bicycle",
        "bicycle_test_0001/car_test_0007": "car",
    }


def test_mi3dor2_is_read_from_every_level(tmp_path: Path) -> None:
    root = mi3dor2(tmp_path)
    found = find_shapes(root, split="test")
    assert named(found) == {
        "test/3D/airplane/airplane_0627": "airplane",
        "test/3D/airplane/airplane_0628": "airplane",
        "test/3D/xbox/xbox_0627": "xbox",
        "test/3D/xbox/xbox_0628": "xbox",
    }
    assert {len(item.views) for item in found.items} == {12}
    assert named(find_images(root, split="train")) == {
        "train/2D/airplane/n01": "airplane",
        "train/2D/xbox/n01": "xbox",
    }
    assert named(find_shapes(root / "test/3D")) == {
        "airplane/airplane_0627": "airplane",
        "airplane/airplane_0628": "airplane",
        "xbox/xbox_0627": "xbox",
        "xbox/xbox_0628": "xbox",
    }


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("chair_0001_{:03d}.jpg", range(1, 13)),
        ("chair_0001.obj.shaded_v{:03d}.png", range(1, 13)),
        ("chair_0001.{}.png", range(12)),
    ],
)
def test_flat_folders_of_mvcnn_and_its_kin_are_read(tmp_path: Path, pattern: str, numbers: range) -> None:
    views(tmp_path / "chair/train", pattern, numbers)
    found = find_shapes(tmp_path)
    assert named(found) == {"chair/train/chair_0001": "chair"}
    assert len(found.items[0].views) == 12
    views(tmp_path / "flat", pattern, numbers)
    assert named(find_shapes(tmp_path / "flat")) == {"chair_0001": "chair"}


def test_a_flat_folder_of_unknown_names_has_no_class(tmp_path: Path) -> None:
    views(tmp_path, "gear_0001_{:03d}.png", range(1, 13))
    assert named(find_shapes(tmp_path)) == {"gear_0001": ""}


def test_shapes_without_views_or_with_fewer_are_reported(tmp_path: Path) -> None:
    hifa_views(tmp_path, "chair/1", "chair/2", "chair/3")
    (tmp_path / "chair/2/05.png").unlink()
    (tmp_path / "chair/4").mkdir()
    found = find_shapes(tmp_path)
    assert [(item.id, len(item.views)) for item in found.items] == [
        ("chair/1", 12),
        ("chair/2", 11),
        ("chair/3", 12),
    ]
    assert {problem.path: problem.reason for problem in found.problems} == {
        "chair/2": "has 11 views where others have 12 (missing 5); kept",
        "chair/4": "has no views; left out",
    }


def test_a_view_that_is_there_twice_is_taken_once(tmp_path: Path) -> None:
    hifa_views(tmp_path, "chair/1")
    picture(tmp_path / "chair/1/03.jpg")
    found = find_shapes(tmp_path)
    assert len(found.items[0].views) == 12
    assert "view 3 is there twice" in found.problems[0].reason


def test_pictures_beside_the_views_are_left_out_and_counted(tmp_path: Path) -> None:
    hifa_views(tmp_path, "chair/1")
    picture(tmp_path / "chair/1/texture.jpg")
    found = find_shapes(tmp_path)
    assert len(found.items[0].views) == 12
    assert "1 pictures without a view number" in found.problems[0].reason


def test_a_csv_names_paths_classes_ids_and_splits(tmp_path: Path) -> None:
    for name in ("a.jpg", "deep/b.jpg", "c.jpg"):
        picture(tmp_path / name)
    (tmp_path / "list.csv").write_text(
        "path,class,split,id\na.jpg,chair,train,\ndeep/b.jpg,car,test,b!\nc.jpg,,test,\ngone.jpg,car,test,\n"
    )
    found = find_images(tmp_path / "list.csv")
    assert named(found) == {"a": "chair", "b!": "car", "c": ""}
    assert [problem.path for problem in found.problems] == ["gone.jpg"]
    assert list(named(find_images(tmp_path / "list.csv", split="test"))) == ["b!", "c"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.csv", "chair/a.jpg,stool\n"),
        ("l.csv", "Class;File\nstool;chair/a.jpg\n"),
        ("l.tsv", "file\tlabel\nchair/a.jpg\tstool\n"),
        ("l.json", json.dumps({"chair/a.jpg": "stool"})),
        ("l.json", json.dumps([{"path": "chair/a.jpg", "category": "stool"}])),
        ("l.json", json.dumps({"items": [{"image": "chair/a.jpg", "class": "stool"}]})),
        ("l.csv", "\ufeffpath,class\r\nchair\\a.jpg,stool\r\n"),
    ],
)
def test_lists_are_read_in_every_dress(tmp_path: Path, name: str, text: str) -> None:
    picture(tmp_path / "chair/a.jpg")
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert named(find_images(tmp_path / name)) == {"chair/a": "stool"}


def test_a_list_without_classes_takes_them_from_the_folders(tmp_path: Path) -> None:
    picture(tmp_path / "train/chair/my photo.jpg")
    (tmp_path / "list.txt").write_text("train/chair/my photo.jpg\n")
    found = find_images(tmp_path / "list.txt", split="train")
    assert named(found) == {"train/chair/my photo": "chair"}


def test_a_list_from_another_machine_is_found_by_the_ends_of_its_paths(tmp_path: Path) -> None:
    root = mi3dor(tmp_path / "MI3DOR")
    lines = [
        f"/home/someone/data/view/test/airplane/{shape}/{shape}_{view:03d}.png 0"
        for shape in ("airplane_test_0001", "airplane_test_0002")
        for view in range(1, 13)
    ]
    (root / "list_target_test.txt").write_text("\n".join(lines))
    found = find_shapes(root / "list_target_test.txt")
    assert [item.id for item in found.items] == [f"view/test/airplane/airplane_test_{n:04d}" for n in (1, 2)]
    assert {len(item.views) for item in found.items} == {12}
    assert found.classes == ("airplane",)  # a number says less than the name
    (root / "list_source_test.txt").write_text("x/image/test/airplane/airplane_0.jpg 0\n")
    assert named(find_images(root / "list_source_test.txt")) == {"image/test/airplane/airplane_0": "airplane"}


def test_a_list_may_name_shapes_by_their_folders(tmp_path: Path) -> None:
    hifa_views(tmp_path, "x/1", "x/2")
    (tmp_path / "l.csv").write_text("path,class\nx/1,chair\nx/2,car\n")
    assert named(find_shapes(tmp_path / "l.csv")) == {"x/1": "chair", "x/2": "car"}


def test_a_json_list_may_name_the_views_of_a_shape(tmp_path: Path) -> None:
    for name in ("front.png", "back.png"):
        picture(tmp_path / name)
    (tmp_path / "l.json").write_text(
        json.dumps([{"id": "s/1", "views": ["front.png", "back.png"], "class": "s"}])
    )
    found = find_shapes(tmp_path / "l.json")
    assert named(found) == {"s/1": "s"}
    assert [path.name for path in found.items[0].views] == ["front.png", "back.png"]


def test_numbers_for_classes_are_mi3dors_names_where_there_are_as_many(tmp_path: Path) -> None:
    for count, names in ((21, MI3DOR_CLASSES), (40, MI3DOR2_CLASSES)):
        folder = tmp_path / str(count)
        for number in range(count):
            picture(folder / f"images/{number}.jpg")
        (folder / "l.txt").write_text("".join(f"images/{number}.jpg {number}\n" for number in range(count)))
        assert find_images(folder / "l.txt").classes == tuple(sorted(names))
    assert class_names([0, 5, 11, -1]) == {0: "00", 5: "05", 11: "11"}


def test_label_files_beside_the_pictures_name_their_classes(tmp_path: Path) -> None:
    """train/2D/images with train/2D/label.txt, train/3D/images with label.txt, as one re-user has them."""
    for number in range(3):
        picture(tmp_path / f"train/2D/images/p{number}.jpg")
        views(tmp_path / f"train/3D/images/s{number}", f"s{number}_{{:03d}}.png", range(1, 13))
    (tmp_path / "train/2D/label.txt").write_text("images/p0.jpg 0\nimages/p1.jpg 1\nimages/p2.jpg 1\n")
    lines = [f"/data/3D/images/s{n}/s{n}_{v:03d}.png {n % 2}" for n in range(3) for v in range(1, 13)]
    (tmp_path / "train/3D/label.txt").write_text("\n".join(lines))
    assert list(named(find_images(tmp_path)).values()) == ["0", "1", "1"]
    assert list(named(find_shapes(tmp_path)).values()) == ["0", "1", "0"]
    assert list(named(find_images(tmp_path / "train/2D")).values()) == ["0", "1", "1"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("l.txt", b"", "names no picture"),
        ("l.csv", b"path,class\n", "names no picture"),
        ("l.json", b"{", "is not JSON"),
        ("l.json", b"[" * 100_000, "is not JSON"),
        ("l.json", b"3", "is not a list of pictures"),
        ("l.json", b'[{"class": "a"}]', "an entry without a path"),
        ("l.json", b'[{"path": "a\\u0000b"}]', "an entry without a path"),
        ("l.csv", b"\xff\xfe\x00", "not UTF-8"),
        ("l.txt", b"gone.jpg 1\n", "no picture is found .*gone.jpg: listed but not there"),
    ],
)
def test_a_broken_list_is_named_in_one_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HifaError, match=said) as caught:
        find_images(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_photo_listed_twice_is_taken_once(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "l.txt").write_text("a.jpg\na.jpg\n")
    found = find_images(tmp_path / "l.txt")
    assert list(named(found)) == ["a"]
    assert found.problems[0].reason == "listed twice; taken once"


def test_relabelling_goes_by_name(tmp_path: Path) -> None:
    for name in ("a/1", "b/1", "c/1", "0"):
        picture(tmp_path / f"{name}.png")
    found = find_images(tmp_path).relabelled(("c", "x", "a"))
    assert [(item.id, item.label) for item in found.items] == [("0", -1), ("a/1", 2), ("b/1", -1), ("c/1", 0)]
    assert found.classes == ("c", "x", "a")


def test_published_counts_are_those_of_the_paper() -> None:
    assert len(MI3DOR_CLASSES) == 21
    assert len(MI3DOR2_CLASSES) == 40
    assert sum(MI3DOR_TEST_SHAPES.values()) == 3_848
    assert list(MI3DOR_CLASSES) == sorted(MI3DOR_CLASSES)
    assert list(MI3DOR2_CLASSES) == sorted(MI3DOR2_CLASSES)
