"""A sample of ``scripts/faults``: a verb that is killed or starved is finished by the same command."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.harness import FAULTS, Row, strays
from tests.faults.report import written

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs verbs in forks")
def test_a_sample_of_faults_leaves_nothing_wrong() -> None:
    asked = ["--kills", "2", "--others", "1", "--verbs", "export", "--no-files", "--no-limits"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.faults.harness", *asked],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert all(fault in done.stdout for fault in FAULTS)


def test_half_written_things_are_seen_and_a_gallerys_own_lock_is_none(tmp_path: Path) -> None:
    (tmp_path / "gallery").mkdir()
    for name in ("gallery/.lock", "a.png", ".out.h5.00c0ffee-1-abcdefgh.part", ".run.lock"):
        (tmp_path / name).touch()
    assert sorted(strays(tmp_path)) == [".out.h5.00c0ffee-1-abcdefgh.part", ".run.lock"]


def test_the_report_names_what_went_wrong() -> None:
    text = written([Row("render", "killed", 3, Counter({"a file is lost": 2}))], [], [], ["--seed", "1"])
    assert "| render | killed | 3 | 2 | a file is lost (2) |" in text
    assert "scripts/faults --seed 1" in text
