"""A sample of ``scripts/faults``, and that it sees what it is to see."""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hifa_cli.errors import HifaError
from hifa_cli.runtime.atomic import written_file
from tools.faults import harness
from tools.faults.breaking import (
    FAULTS,
    KILLED,
    KILLED_AT,
    Trial,
    disk_full,
    killed_at,
    may_mount,
    two_writers,
)
from tools.faults.findings import Row, in_words
from tools.faults.verbs import WHOLE, Verb, digest, strays

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs verbs in forks")


def python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python where no thread lives that a fork could lose."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_a_sample_of_faults_leaves_nothing_wrong() -> None:
    asked = ["--kills", "1", "--points", "3", "--others", "1", "--no-files", "--no-limits"]
    done = python("-m", "tools.faults.harness", *asked, "--verbs", "index --remove,adapt")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    tried = [fault.name for fault in FAULTS if "processes" not in fault.name] + [KILLED, KILLED_AT]
    assert [name for name in tried if name not in done.stdout] == []


# ---- a verb that is as careless as none of ours: what becomes of it must be seen ----


def toy(out: str, carelessness: str) -> None:
    """What a careless verb does: it writes a result of two parts."""
    target = Path(out)
    if carelessness == "in place":
        target.write_text("half")
        (target.parent / "other").mkdir(exist_ok=True)
        target.write_text("whole")
    elif carelessness == "loses":
        (target.parent / "theirs.txt").unlink()
        target.write_text("whole")
    elif carelessness == "litters":
        (target.parent / ".toy.txt.0-1.part").write_text("half")
        target.write_text("whole")
    elif carelessness == "twice":
        target.open("x").write("whole")
    elif carelessness == "different":
        (target.parent / "count").open("a").write("x")
        target.write_text("whole" * len((target.parent / "count").read_text()))
    else:
        with written_file(target) as path:
            path.write_text("whole")


def trial_of(folder: Path, carelessness: str) -> Trial:
    """A trial of a careless verb: ``hifa_cli.cli.main`` is not what runs."""

    def main() -> None:
        try:
            toy(sys.argv[1], carelessness)
        except HifaError as error:
            sys.stdout.write(f"error: {error}\n")
            raise SystemExit(1) from None
        raise SystemExit(0)

    def instead() -> None:
        import hifa_cli.cli

        hifa_cli.cli.main = main

    verb = Verb("toy", "{out}", "toy.txt", WHOLE, prepare=instead)
    (folder / "world" / "made").mkdir(parents=True)
    (folder / "world" / "made" / "toy.txt").write_text("whole")
    good = folder / "good" / "toy.txt"
    good.parent.mkdir()
    good.write_text("whole")
    return Trial(
        verb, folder / "world", folder / "place" / "in", digest(verb, good), digest(verb, good), "nothing",
        [0.1], 4, np.random.default_rng(0),
    )  # fmt: skip


def seen(folder: str, carelessness: str) -> None:
    """Try it; runs in a process of its own."""
    trial = trial_of(Path(folder), carelessness)
    at_changes = [killed_at(trial, change) for change in (1, 2, 3)]
    outcomes = [*at_changes, two_writers(trial)]
    if may_mount():
        outcomes.append(disk_full(trial))
    wrong = sorted({one.wrong.partition(":")[0] for one in outcomes if one.wrong})
    print(json.dumps([wrong, [one.struck for one in at_changes]]))  # noqa: T201


@pytest.mark.parametrize(
    ("carelessness", "wrong"),
    [
        ("none", None), ("in place", "what is there is neither the old nor the new"),
        ("loses", "a file is lost"), ("litters", "left behind"), ("twice", "the second says"),
        ("different", "the result differs from the undisturbed one"),
    ],
)  # fmt: skip
def test_what_a_careless_verb_does_is_seen(carelessness: str, wrong: str | None, tmp_path: Path) -> None:
    call = f"from tests.faults.test_kills import seen; seen({str(tmp_path)!r}, {carelessness!r})"
    done = python("-c", call)
    assert done.returncode == 0, done.stderr
    found, struck = json.loads(done.stdout.splitlines()[-1])
    assert found == [] if wrong is None else wrong in found
    assert any(struck)


def test_half_written_things_are_seen_and_a_gallerys_own_lock_is_none(tmp_path: Path) -> None:
    (tmp_path / "gallery" / "generation-1").mkdir(parents=True)
    (tmp_path / "gallery" / "generation-2").mkdir()
    (tmp_path / "gallery" / "gallery.json").write_text('{"generation": "generation-2"}')
    for name in ("gallery/.lock", "a.png", ".out.h5.00c0ffee-1-abcdefgh.part", ".run.lock"):
        (tmp_path / name).touch()
    assert sorted(strays(tmp_path)) == [".out.h5.00c0ffee-1-abcdefgh.part", ".run.lock", "generation-1"]


def test_a_weakened_process_may_not_read_what_modes_forbid(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0)
    call = f"from tools.faults.running import weaken; weaken(); open({str(tmp_path / 'secret')!r})"
    assert "PermissionError" in python("-c", call).stderr


def test_the_report_names_what_went_wrong_and_how_often_a_fault_struck() -> None:
    rows = [Row("render", "killed", 3, 2, 60.0, Counter({"a file is lost": 2}), "abc")]
    text = "\n".join(in_words(rows))
    assert "| render | killed | 3 | 2 | 2 | abc | a file is lost (2) |" in text
    assert "In all: 1 verbs, 3 faults, 2 struck, 2 wrong; 1 minutes." in text


def test_what_was_kept_is_taken_with_the_same_settings_only(tmp_path: Path) -> None:
    asked = argparse.Namespace(kills=1, points=1, others=1, seed=0, faults=[])
    path = tmp_path / "adapt.json"
    assert not harness._done(path, asked)
    row = Row("adapt", "killed", 1, 1, 1.0, Counter(), "abc")
    harness._keep([row], path, asked)
    assert harness._done(path, asked)
    assert harness.kept_rows(path) == [row]
    asked.kills = 2
    assert not harness._done(path, asked)


def test_single_faults_that_are_tried_again_take_the_place_of_their_former_selves(tmp_path: Path) -> None:
    asked = argparse.Namespace(kills=1, points=1, others=1, seed=0, faults=[])
    path = tmp_path / "adapt.json"
    names = ("killed (1 of 2)", "Ctrl-C")
    first = [Row("adapt", name, 1, 1, 1.0, Counter({"bad": 1}), "abc") for name in names]
    harness._keep(first, path, asked)
    asked.faults = ["killed"]
    assert not harness._done(path, asked)
    again = Row("adapt", "killed (2 of 2)", 2, 2, 1.0, Counter(), "def")
    harness._keep([again], path, asked)
    assert harness.kept_rows(path) == [again, first[1]]
