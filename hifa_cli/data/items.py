"""A photo is a shape seen once: one kind of item for both."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hifa_cli.runtime import progress

UNKNOWN = -1  # the label of an item without a class


class Item(NamedTuple):
    """A photo (one view) or a shape (usually twelve)."""

    id: str
    label: int
    views: tuple[Path, ...]


class Problem(NamedTuple):
    """Something that was found wrong and worked around: where, and what was done."""

    path: str
    reason: str


class Candidate(NamedTuple):
    """An item before its class has a number."""

    id: str
    class_name: str | None
    split: str | None
    views: tuple[Path, ...]


@dataclass(frozen=True)
class Collection:
    """Items in the order of their ids; a label is an index into ``classes``, −1 is unknown."""

    items: tuple[Item, ...]
    classes: tuple[str, ...]
    problems: tuple[Problem, ...] = ()

    def relabelled(self, classes: Sequence[str]) -> "Collection":
        """Return the same items, labelled by another list of classes; −1 where theirs is absent from it."""
        index = {name: label for label, name in enumerate(classes)}
        translation = [index.get(name, UNKNOWN) for name in self.classes]
        items = tuple(
            item._replace(label=translation[item.label] if item.label >= 0 else UNKNOWN)
            for item in self.items
        )
        return Collection(items=items, classes=tuple(classes), problems=self.problems)

    def counts(self) -> Counter[str]:
        """Return how many items a class holds; items without a class count under ''."""
        return Counter(self.classes[item.label] if item.label >= 0 else "" for item in self.items)

    def report(self, *, most: int = 5) -> None:
        """Warn of the problems, at most ``most`` by name."""
        for problem in self.problems[:most]:
            progress.warn(f"{problem.path}: {problem.reason}")
        if (rest := len(self.problems) - most) > 0:
            progress.warn(f"and {rest} more like these: 'hifa data check' lists them all")


def collection_of(
    candidates: Iterable[Candidate], problems: Sequence[Problem], split: str | None
) -> Collection:
    """Number the classes of all candidates, keep those of ``split``, sort by id.

    The classes are those of every split, so that train and test speak of the same labels.

    Args:
        candidates: photos or shapes of every split.
        problems: found on the way.
        split: ``train``, ``test`` or ``val``; None keeps all.

    Returns:
        The collection.
    """
    found = list(candidates)
    notes = list(problems)
    unique = _unique(sorted(found, key=lambda candidate: candidate.id), notes)
    classes = tuple(sorted({one.class_name for one in unique if one.class_name is not None}))
    index = {name: label for label, name in enumerate(classes)}
    items = tuple(
        Item(one.id, UNKNOWN if one.class_name is None else index[one.class_name], one.views)
        for one in unique
        if split is None or one.split == split
    )
    return Collection(items=items, classes=classes, problems=tuple(notes))


def _unique(candidates: Iterable[Candidate], notes: list[Problem]) -> list[Candidate]:
    """Give the second of two items with one id (``a.jpg``, ``a.png``) the ending back."""
    taken: dict[str, Candidate] = {}
    for one in candidates:
        name, number = one.id, 2
        if name in taken:
            if taken[name].views == one.views:
                notes.append(Problem(one.id, "listed twice; taken once"))
                continue
            name += one.views[0].suffix
        while name in taken:
            name, number = f"{one.id}~{number}", number + 1
        if name != one.id:
            notes.append(
                Problem(str(one.views[0]), f"has the id {one.id} as another file has; called {name}")
            )
        taken[name] = one._replace(id=name)
    return sorted(taken.values(), key=lambda candidate: candidate.id)
