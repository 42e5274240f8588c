"""Compiled loops: kept on disk wherever a place is left, and right without one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hifa_cli.render import compiled as module
from hifa_cli.render.compiled import compiled

HOMELESS = """
import numba.core.caching as caching
for name in ("InTreeCacheLocator", "UserWideCacheLocator", "InTreeCacheLocatorFsAgnostic"):
    kind = getattr(caching, name, None) or getattr(caching, "_" + name, None)
    if kind is not None:
        kind.from_function = classmethod(lambda cls, function, path: None)
import tempfile; tempfile.tempdir = {temporary!r}
from hifa_cli.render.raster import visible, fill_nearest
import numpy as np
points = np.array([[0.0, 0, 1], [9, 0, 1], [0, 9, 1]])
print((visible(points, np.array([[0, 1, 2]], dtype=np.int32), 9, 9)[0] == 0).sum())
print(fill_nearest.stats.cache_path, sum(fill_nearest.stats.cache_hits.values()))
"""


@pytest.mark.slow
def test_where_neither_the_package_nor_the_home_can_be_written_the_temporary_folder_keeps_it(
    tmp_path: Path,
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment.pop("NUMBA_CACHE_DIR", None)
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", HOMELESS.format(temporary=str(tmp_path))],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.split())
    assert said[0][0] == said[1][0] == "45"
    assert said[0][1].startswith(str(tmp_path))
    assert [int(words[2]) for words in said] == [0, 1]  # compiled once, then found


def test_a_loop_without_a_file_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setitem(vars(numba.config), "CACHE_DIR", "")
    names: dict[str, object] = {}
    exec("def add(x, y):\n    return x + y\n", names)
    assert compiled(names["add"])(1, 2) == 3  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs POSIX owners")
def test_compiled_code_is_not_taken_from_a_folder_that_others_can_write_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))  # type: ignore[attr-defined]
    usual = module._private_cache()
    assert usual.stat().st_mode & 0o077 == 0
    assert module._private_cache() == usual
    usual.chmod(0o777)
    assert module._private_cache() != usual
    usual.rmdir()
    usual.symlink_to(tmp_path)
    assert module._private_cache() not in (usual, tmp_path)
