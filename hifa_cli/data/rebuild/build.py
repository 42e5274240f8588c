"""The items of MI3DOR, linked or copied into the folders that hifa reads; resumable, nothing half-written."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hifa_cli.data.mi3dor import PUBLISHED
from hifa_cli.data.rebuild.holdings import Holdings
from hifa_cli.data.rebuild.names import Piece
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import sweep, written_file
from hifa_cli.runtime.lock import sole_output

REPORT = "mi3dor.json"
NAMED = 3  # of each kind of what is missing
_FOLDERS = {"image": "image", "shape": "model"}


@dataclass
class Built:
    """The items that were laid out, and those that are missing.

    Attributes:
        out: the benchmark.
        counts: items that are there, by ``kind split class``.
        listed: items of the lists, likewise.
        placed: how many this run linked or copied; the others were there.
        missing: items by what is wrong with them.
    """

    out: Path
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    listed: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    placed: int = 0
    missing: dict[str, list[str]] = field(default_factory=dict)

    def total(self, kind: str, split: str = "", *, listed: bool = False) -> int:
        """Return how many photos (``image``) or shapes there are, or are listed, in one split or both.

        Args:
            kind: ``image`` or ``shape``.
            split: ``train`` or ``test``; '' counts both.
            listed: count the listed ones rather than those that are there.

        Returns:
            The number.
        """
        counts = self.listed if listed else self.counts
        return sum(count for key, count in counts.items() if key[0] == kind and split in ("", key[1]))

    @property
    def share(self) -> float:
        """Return the share of the listed shapes that are there."""
        return self.total("shape") / max(1, self.total("shape", listed=True))

    def how_to_read(self) -> str:
        """Say what scores on this set mean."""
        shapes = self.total("shape")
        listed = self.total("shape", listed=True)
        photos, wanted = self.total("image"), self.total("image", listed=True)
        if shapes == listed and photos == wanted:
            return (
                "every listed item is there: scores compare with published ones, but for the views, which "
                "are hifa's and not the authors'"
            )
        return (
            f"{shapes} of {listed} shapes ({100 * self.share:.1f} %) and {photos} of {wanted} photos are "
            "there: compare rows that were made on this very set; a gallery with fewer shapes has fewer "
            "right answers and fewer wrong ones, so that no metric compares with a published one"
        )

    def document(self) -> dict[str, Any]:
        """Return the report: counts by class and split, and what is missing by kind."""
        return {
            "schema": 1,
            "out": str(self.out),
            "placed": self.placed,
            "items": {
                kind: {
                    split: {
                        name: {
                            "there": self.counts[kind, split, name],
                            "listed": self.listed[kind, split, name],
                        }
                        for name in sorted({key[2] for key in self.listed if key[:2] == (kind, split)})
                    }
                    for split in ("train", "test")
                }
                for kind in ("image", "shape")
            },
            "missing": {why: len(items) for why, items in self.missing.items()},
            "first_missing": {why: items[:NAMED] for why, items in self.missing.items()},
            "how_to_read": self.how_to_read(),
        }


def build(pieces: Sequence[Piece], holdings: Holdings, out: Path, *, copy: bool = False) -> Built:
    """Lay out what is held as ``OUT/{image,model}/<split>/<class>/<item>.<ending>``.

    What is there already is left alone, so that a run that was stopped goes on and a second run with more
    sets adds theirs. ``mi3dor.json`` says what there is.

    Args:
        pieces: the items of the published lists.
        holdings: the source sets.
        out: the folder to make or to complete.
        copy: copy the files where they could be linked.

    Returns:
        What is there and what is missing, by class and split.

    Raises:
        HifaError: a set is not one, ShapeNet's lists are of another version, or ``out`` cannot be written to.
    """
    holdings.check()
    holdings.check_version(piece.origin for piece in pieces)
    built = Built(out)
    out.mkdir(parents=True, exist_ok=True)
    with sole_output(out):
        for folder in {_folder(out, piece) for piece in pieces}:
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
        there = {
            folder: {path.stem for path in folder.iterdir()}
            for folder in {_folder(out, one) for one in pieces}
        }
        for piece in progress.track(pieces, "lay out MI3DOR", total=len(pieces)):
            key = (piece.kind, piece.split, piece.origin.class_name)
            built.listed[key] += 1
            if piece.item in there[_folder(out, piece)]:
                built.counts[key] += 1
            elif why := _place(piece, holdings, _folder(out, piece), copy=copy):
                built.missing.setdefault(why, []).append(piece.item)
            else:
                built.counts[key] += 1
                built.placed += 1
        with written_file(out / REPORT) as temporary:
            temporary.write_text(json.dumps(built.document(), indent=2) + "\n", encoding="utf-8")
    return built


def _folder(out: Path, piece: Piece) -> Path:
    return out / _FOLDERS[piece.kind] / piece.split / piece.origin.class_name


def _place(piece: Piece, holdings: Holdings, folder: Path, *, copy: bool) -> str:
    """Link or copy one item; return why it cannot be done, or ''."""
    source = piece.origin.source
    if not holdings.held(source):
        return f"--{source} is not given"
    found = holdings.find(piece.origin)
    if found is None:
        return f"not in --{source}"
    target = folder / f"{piece.item}{found.suffix}"
    if not found.is_file():
        return f"a link in --{source} leads nowhere"
    try:
        if found.stat().st_size == 0:
            return f"an empty file in --{source}"
        _link_or_copy(found.resolve(), target, copy=copy)
    except OSError as error:
        return f"a file in --{source} cannot be read ({error.strerror})"
    return ""


def _link_or_copy(source: Path, target: Path, *, copy: bool) -> None:
    """Make ``target`` whole or not at all: a hard link where the file system can, else a copy."""
    if not copy:
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            pass
        else:
            return
    source.open("rb").close()  # what cannot be read is this item's fault, and not the output's
    with written_file(target) as temporary:
        shutil.copyfile(source, temporary)


def differences(built: Built) -> Iterable[str]:
    """Yield where the lists' counts are not the published ones, which shows lists of another version."""
    for kind, domain in (("image", "images"), ("shape", "shapes")):
        for split in ("train", "test"):
            published = PUBLISHED["MI3DOR", domain, split].total
            if (listed := built.total(kind, split, listed=True)) != published:
                yield f"the lists name {listed} {split} {domain}; {published} are published"
