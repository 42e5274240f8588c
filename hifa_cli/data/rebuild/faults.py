"""Known faults of a benchmark: items that stand twice, and photos that pretrained trunks have seen."""

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hifa_cli.data.items import Candidate
from hifa_cli.data.rebuild.names import origin_of

# What Zhou et al.'s classes hold beside what they are called, by the synsets that the photos' names give.
NOISE = (
    ("plant", {"n12057211": "yellow lady's slipper", "n12620546": "rose hip"}),
    ("pistol", {"n03527444": "holster"}),
    ("bed", {"n04033995": "quilt"}),
    ("airplane", {"n04592741": "wing"}),
    ("keyboard", {"n04264628": "space bar"}),
    ("stairs", {"n02788148": "banister"}),
)
_BLOCK = 1 << 20


class Twice(NamedTuple):
    """One thing that stands under several classes, or in several splits, as several items."""

    items: tuple[str, ...]
    classes: tuple[str, ...]
    splits: tuple[str, ...]

    def reason(self) -> str:
        """Say what is wrong with it."""
        others = ", ".join(self.items[1:])
        if len(self.classes) > 1:
            return f"is the same as {others}, under the classes {' and '.join(self.classes)}"
        return f"is the same as {others}, in the splits {' and '.join(self.splits)}"


def named_twice(candidates: Iterable[Candidate]) -> list[Twice]:
    """Return the items whose names say that they are one item of the source, under two classes or splits."""
    keyed: list[tuple[Hashable, Candidate]] = []
    for one in candidates:
        if origin := origin_of(item_name(one.id)):
            keyed.append(((origin.source, origin.id), one))
    return _twice(keyed)


def bytes_twice(candidates: Sequence[Candidate]) -> list[Twice]:
    """Return the items whose files are the same byte for byte, under two classes or splits.

    Only files of one size are read.
    """
    sized = []
    for one in candidates:
        try:
            sized.append((one.views[0].stat().st_size, one))
        except OSError:  # it is reported as unreadable
            continue
    sizes = Counter(size for size, _ in sized)
    return _twice([(_digest(one.views[0]), one) for size, one in sized if sizes[size] > 1 and size])


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return f"unreadable {path}"
    return digest.hexdigest()


def _twice(keyed: Iterable[tuple[Hashable, Candidate]]) -> list[Twice]:
    groups: dict[Hashable, list[Candidate]] = {}
    for key, one in keyed:
        groups.setdefault(key, []).append(one)
    found = []
    for members in groups.values():
        classes = tuple(sorted({one.class_name or "" for one in members}))
        splits = tuple(sorted({one.split or "" for one in members}))
        if len(classes) > 1 or len(splits) > 1:
            found.append(Twice(tuple(sorted(one.id for one in members)), classes, splits))
    return sorted(found)


def item_name(identity: str) -> str:
    """Return MI3DOR's name in an id: its last part."""
    return identity.rpartition("/")[2]


def photo_faults(photos: Sequence[Candidate]) -> Iterator[str]:
    """Yield what is known to be wrong with MI3DOR's photos, by the synsets in their names."""
    synsets: dict[str, Counter[str]] = {}
    for one in photos:
        if (origin := origin_of(item_name(one.id))) and origin.source == "imagenet":
            synsets.setdefault(origin.class_name, Counter())[origin.id.partition("_")[0]] += 1
    total = sum(sum(counts.values()) for counts in synsets.values())
    if not total:
        return
    kinds = len({synset for counts in synsets.values() for synset in counts})
    yield (
        f"{total} photos of {kinds} synsets are ImageNet files, all of classes of ILSVRC-1k: a trunk that "
        "was trained on ImageNet's labels has very likely seen them with their labels"
    )
    for name, odd in NOISE:
        counts = synsets.get(name, Counter())
        shown = [f"{counts[synset]} {word}" for synset, word in odd.items() if counts[synset]]
        if shown:
            yield f"class {name}: {', '.join(shown)} of {sum(counts.values())} photos"
