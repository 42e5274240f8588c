"""Random scenes of every format of hifa's own are read as assimp reads them."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.data.test_formats import tool
from tests.render.readers.scenes import WRITERS

pytestmark = pytest.mark.skipif(
    find_spec("assimp_py") is None, reason="NO SECOND READER: pip install assimp_py; nothing was compared"
)
TOOL = Path(__file__).resolve().parents[3] / "tools" / "compare_readers"
FEW, SCENES = 5, 25


def measures(reader: str, paths: list[Path]) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, str(TOOL), "--one", reader, *map(str, paths)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("scenes", [FEW, pytest.param(SCENES, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", WRITERS)
def test_random_scenes_are_read_as_assimp_reads_them(tmp_path: Path, kind: str, scenes: int) -> None:
    paths = []
    for seed in range(scenes):
        suffix, content = WRITERS[kind](np.random.default_rng(seed))
        paths.append(tmp_path / f"{seed}{suffix}")
        paths[-1].write_bytes(content)
    compare = tool("compare_readers")
    ours, theirs = measures("hifa", paths), measures("py", paths)
    assert len(ours) == len(theirs) == scenes
    differences = {}
    for path, one, other in zip(paths, ours, theirs, strict=True):
        refused = {one.get("refused"), other.get("refused")} - {None}
        said = "; ".join(map(str, refused)) or compare.difference(one, other)
        if said:
            differences[path.name] = said
    assert differences == {}
