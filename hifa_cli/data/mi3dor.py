"""Published facts of MI3DOR and MI3DOR-2: class names and how many items there should be.

MI3DOR: Zhou et al. 2020, section 4.1; gallery sizes a class as counted from the unpacked test set.
MI3DOR-2: the same section.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

MI3DOR_TEST_SHAPES: Mapping[str, int] = {
    "airplane": 250, "bed": 250, "bicycle": 31, "bookshelf": 250, "camera": 45, "car": 250, "chair": 250,
    "flower_pot": 250, "guitar": 250, "keyboard": 109, "knife": 178, "monitor": 250, "motorcycle": 143,
    "pistol": 123, "plant": 239, "radio": 62, "rifle": 250, "stairs": 72, "tent": 96, "vase": 250,
    "wardrobe": 250,
}  # fmt: skip

MI3DOR_CLASSES = tuple(MI3DOR_TEST_SHAPES)

MI3DOR2_CLASSES = (
    "airplane", "bathtub", "bed", "bench", "bookshelf", "bottle", "bowl", "car", "chair", "cone", "cup",
    "curtain", "desk", "door", "dresser", "flower_pot", "glass_box", "guitar", "keyboard", "lamp",
    "laptop", "mantel", "monitor", "night_stand", "person", "piano", "plant", "radio", "range_hood",
    "sink", "sofa", "stairs", "stool", "table", "tent", "toilet", "tv_stand", "vase", "wardrobe", "xbox",
)  # fmt: skip


class Published(NamedTuple):
    """The number of items of a benchmark: in all, and of each class where that is known."""

    total: int
    classes: Mapping[str, int]


def _each(count: int, names: Iterable[str]) -> dict[str, int]:
    return dict.fromkeys(names, count)


PUBLISHED: Mapping[tuple[str, str, str], Published] = {
    ("MI3DOR", "images", "train"): Published(10_500, _each(500, MI3DOR_CLASSES)),
    ("MI3DOR", "images", "test"): Published(10_500, _each(500, MI3DOR_CLASSES)),
    ("MI3DOR", "shapes", "train"): Published(3_842, {}),
    ("MI3DOR", "shapes", "test"): Published(3_848, MI3DOR_TEST_SHAPES),
    ("MI3DOR-2", "images", "train"): Published(19_294, {}),
    ("MI3DOR-2", "images", "test"): Published(400, _each(10, MI3DOR2_CLASSES)),
    ("MI3DOR-2", "shapes", "train"): Published(3_182, {}),
    ("MI3DOR-2", "shapes", "test"): Published(800, _each(20, MI3DOR2_CLASSES)),
}


def class_names(labels: Iterable[int]) -> dict[int, str]:
    """Return names for the numbers of a list; a negative number has none.

    MI3DOR numbers its 21 classes and MI3DOR-2 its 40 in alphabetical order from 0; other numbers are
    called by themselves, with zeros before them so that they sort as numbers do.
    """
    numbers = sorted({label for label in labels if label >= 0})
    for names in (MI3DOR_CLASSES, MI3DOR2_CLASSES):
        if numbers == list(range(len(names))):
            return dict(enumerate(names))
    width = len(str(numbers[-1])) if numbers else 1
    return {number: f"{number:0{width}d}" for number in numbers}
