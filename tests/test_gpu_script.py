"""scripts/gpu proves nothing where there is no GPU, and says so; its page holds what its sections found."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "gpu.py"


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_gpu_it_says_so_and_writes_nothing() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    page = SCRIPT.parents[1] / "docs" / "gpu.md"
    before = page.read_bytes() if page.exists() else None
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("no CUDA device: nothing was proved and nothing written")
    assert (page.read_bytes() if page.exists() else None) == before


@pytest.mark.slow
def test_a_section_runs_in_a_process_of_its_own_and_prints_one_document() -> None:
    words = [sys.executable, str(SCRIPT), "--rehearse", "--section", "machine"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["torch"]


def test_a_section_that_fails_is_written_down_and_costs_no_other(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "LIMIT", 0.01)
    assert "took longer" in gpu.run_section("machine", rehearse=True)["failed"]
    text = gpu.page(
        {"machine": {"gpus": ["A|B"]}, "export": {"failed": "no\nmemory"}, "training": {"x": {"y": 0.25}}}
    )
    assert "| gpus | ['A/B'] |" in text
    assert "| failed | no memory |" in text
    assert "| x: y | 0.25 |" in text
