"""The demo's world on disk: shapes in the formats of real libraries, and photos of other things."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from hifa_cli.config import WorldConfig
from hifa_cli.errors import HifaError, reason_of
from hifa_cli.runtime import atomic, progress, seeding
from hifa_cli.runtime.child import module_command
from hifa_cli.synthetic.meshfiles import WRITERS, write_messy
from hifa_cli.synthetic.photos import make_photo, save_photo
from hifa_cli.synthetic.shapes import KINDS, make_thing

RECORD = "world.json"  # what the folder holds
FIRST = {"train": 1, "test": 5001}  # numbers of both splits are disjoint, so that no two items share an id
LARGEST = 4999  # items of a class and split

Domain = Literal["shapes", "photos"]


class Item(NamedTuple):
    """A file to make: everything that decides its bytes."""

    target: Path
    domain: Domain
    kind: str
    seed: int
    size: int
    quality: int


def make_world(folder: Path, config: WorldConfig, *, seed: int, workers: int) -> None:
    """Make ``folder/{shapes,photos}/{train,test}/<class>/<file>``, or what of it is still missing.

    Every file is a thing of its own: no shape is photographed, and no split shares a thing with the
    other. A file depends on the seed, its domain, split, class and number alone, so the bytes are the
    same for any number of workers and any order.

    Args:
        folder: made where it does not exist; one made with another seed or configuration is refused.
        config: what to make.
        seed: of everything.
        workers: processes; 1 works in this one.

    Raises:
        HifaError: a class that cannot be made, a number out of range, a folder that holds another
            world or that cannot be written to.
    """
    _check(config, workers)
    _claim(folder, config, seed)
    missing = [item for item in _items(folder, config, seed) if not item.target.exists()]
    made = _make_all(missing, min(workers, len(missing)))
    for _ in progress.track(made, "making shapes and photos", total=len(missing)):
        pass


def _check(config: WorldConfig, workers: int) -> None:
    for kind in config.classes:
        if kind not in KINDS:
            raise HifaError(f"the demo cannot make '{kind}': choose among {', '.join(KINDS)}")
    counts = (config.shapes_train, config.shapes_test, config.photos_train, config.photos_test)
    if not config.classes or min(counts) < 0 or max(counts) > LARGEST:
        raise HifaError(f"the demo makes 0 to {LARGEST} items of one class or more: change the numbers")
    if config.photo_size < 32:
        raise HifaError(f"photos of {config.photo_size} pixels show nothing: choose 32 or more")
    if workers < 1:
        raise HifaError(f"{workers} processes make nothing: choose 1 or more")


def _claim(folder: Path, config: WorldConfig, seed: int) -> None:
    """Write down what the folder is for, or check that it says the same already."""
    wanted = json.loads(json.dumps({"seed": seed, **asdict(config)}))
    record = folder / RECORD
    if record.exists():
        if _read_record(record) != wanted:
            raise HifaError(f"{folder} holds a demo made with other settings: choose another folder")
        return
    if any((folder / domain).exists() for domain in ("shapes", "photos")):
        raise HifaError(f"{folder} holds shapes or photos that are not the demo's: choose another folder")
    with atomic.written_file(record) as temporary:
        temporary.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")


def _read_record(record: Path) -> object:
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise HifaError(f"cannot read {record}: {reason_of(error)}; choose another folder") from error


def _items(folder: Path, config: WorldConfig, seed: int) -> Iterator[Item]:
    counts: dict[tuple[Domain, str], int] = {
        ("shapes", "train"): config.shapes_train,
        ("shapes", "test"): config.shapes_test,
        ("photos", "train"): config.photos_train,
        ("photos", "test"): config.photos_test,
    }
    for (domain, split), count in counts.items():
        for index in range(count):
            for kind in config.classes:  # all kinds in turn, so that progress is even
                number = FIRST[split] + index
                own = seeding.derive_seed(seed, "demo", domain, split, kind, index)
                name = f"{kind}_{number:04d}{_suffix(kind, index)}"
                if domain == "photos":
                    name = f"img_{number:04d}.jpg"
                target = folder / domain / split / kind / name
                yield Item(target, domain, kind, own, config.photo_size, config.photo_quality)


def _suffix(kind: str, index: int) -> str:
    """Return the formats in turn, each kind starting with another."""
    suffixes = tuple(WRITERS)
    return suffixes[(index + tuple(KINDS).index(kind)) % len(suffixes)]


def _make_all(items: list[Item], workers: int) -> Iterator[Path]:
    """Make the items, yielding what is done."""
    if workers <= 1:
        yield from map(_make, items)
        return
    makers: list[subprocess.Popen[str]] = []
    done: queue.Queue[Path | None] = queue.Queue()
    try:
        for number in range(workers):
            makers.append(_started())
            threading.Thread(
                target=_feed, args=(makers[-1], items[number::workers], done), daemon=True
            ).start()
        for _ in items:
            if (path := done.get()) is None:
                raise HifaError("a process that made the demo's world died: start again with one worker")
            yield path
    finally:
        for maker in makers:
            maker.kill()
            maker.wait()


def _started() -> "subprocess.Popen[str]":
    """Start this module as a process (the standard library's pools import from the current folder)."""
    return subprocess.Popen(
        module_command("hifa_cli.synthetic.world"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )


def _feed(maker: "subprocess.Popen[str]", items: list[Item], done: "queue.Queue[Path | None]") -> None:
    """Give a process one item after another; None in ``done`` says that it died."""
    assert maker.stdin is not None
    assert maker.stdout is not None
    try:
        with maker.stdin, maker.stdout:
            for item in items:
                maker.stdin.write(json.dumps({**item._asdict(), "target": str(item.target)}) + "\n")
                maker.stdin.flush()
                if not maker.stdout.readline():
                    done.put(None)
                    return
                done.put(item.target)
    except (OSError, ValueError):
        done.put(None)


def _make(item: Item) -> Path:
    """Make one file; it appears whole or not at all."""
    rng = np.random.default_rng(item.seed)
    with atomic.written_file(item.target) as temporary:
        if item.domain == "shapes":
            write_messy(make_thing(item.kind, rng), temporary, item.target.suffix, rng)
        else:
            save_photo(make_photo(item.kind, rng, item.size), temporary, item.quality)
    return item.target


def main() -> None:
    """Make each item that comes as a JSON line; answer with a line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is not an answer
    for line in sys.stdin:
        fields = json.loads(line)
        _make(Item(**{**fields, "target": Path(fields["target"])}))
        answers.write("done\n")
        answers.flush()


if __name__ == "__main__":
    main()
