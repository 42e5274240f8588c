"""A mesh whose reader may crash is read in a process of its own."""

from pathlib import Path

import numpy as np
import pytest

from hifa_cli.errors import HifaError
from hifa_cli.render import isolated
from hifa_cli.render.meshes import read_mesh
from tests.render.stepfile import step_text

pytest.importorskip("cascadio")


def test_what_is_read_apart_is_what_is_read_here(tmp_path: Path) -> None:
    (tmp_path / "a.step").write_text(step_text(1.0, 2.0, 3.0))
    here, there = read_mesh(tmp_path / "a.step"), isolated.read_safely(tmp_path / "a.step")
    np.testing.assert_array_equal(here.vertices, there.vertices)
    np.testing.assert_array_equal(here.faces, there.faces)


def test_a_refusal_comes_back_as_the_line_that_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.step").write_text("ISO-10303-21;")
    with pytest.raises(HifaError, match=r"a\.step: cannot be read as STEP"):
        isolated.read_safely(tmp_path / "a.step")


def test_a_crash_costs_the_mesh_and_not_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "python").chmod(0o700)
    (tmp_path / "a.step").write_text("ISO-10303-21;")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(HifaError, match="its reader broke down"):
        isolated.read_safely(tmp_path / "a.step")
