"""Any bytes are a sound mesh or are refused in one line: the seeded, short run of tools/fuzz_readers."""

import os
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.render.readers.fuzzing import SEEDS, check, mutated

ROOT = Path(__file__).parents[3]
MUTATIONS = 150  # of each seed


@pytest.mark.parametrize("kind", SEEDS)
def test_mutations_are_read_soundly_or_refused(tmp_path: Path, kind: str) -> None:
    generator = np.random.default_rng([17, *kind.encode()])
    path = tmp_path / f"a.{kind}"
    outcomes = Counter[str]()
    for seed in SEEDS[kind]():
        assert check(path, seed) == "read"
        outcomes.update(check(path, mutated(seed, generator)) for _ in range(MUTATIONS))
    assert outcomes["refused"] > 0
    assert outcomes["read"] > 0 or kind in (
        "3mf",
        "gltf",
    )  # checksums catch nearly all; its buffer lies apart


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="NO COVERAGE-GUIDED FUZZING: pip install atheris")
@pytest.mark.parametrize("kind", SEEDS)
def test_a_minute_guided_by_coverage_finds_nothing(tmp_path: Path, kind: str) -> None:
    command = [sys.executable, str(ROOT / "tools" / "fuzz_readers"), kind, "--minutes", "1", "--seed", "1"]
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [*command, "--findings", str(tmp_path)], capture_output=True, text=True, check=False, env=settings
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not list(tmp_path.glob("crash-*"))
