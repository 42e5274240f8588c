"""``hifa push`` and ``hifa pull`` as processes, against a stand-in of the Hub."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hifa_cli.errors import HifaError
from hifa_cli.pipelines.sharing.hub import Hub
from tests.pipelines.sharing.conftest import finished, hub, indexed, run
from tests.pipelines.sharing.stand_in import StandIn

__all__ = ["finished", "hub", "indexed", "run"]  # fixtures


def hifa(*words: str | Path, program: str | None = None) -> subprocess.CompletedProcess[str]:
    start = ["-m", "hifa_cli"] if program is None else ["-c", program]
    own = {**os.environ, "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, *start, *map(str, words)], env=own, capture_output=True, text=True, check=False
    )


def test_a_run_goes_and_comes_and_stdout_is_one_document(hub: StandIn, run: Path, tmp_path: Path) -> None:
    sent = hifa("push", run, "ada/chairs", "--json")
    got = hifa("pull", "ada/chairs", "--out", tmp_path / "back", "--json", "--quiet")
    assert (sent.returncode, got.returncode) == (0, 0), sent.stderr + got.stderr
    assert json.loads(got.stdout) == {
        **{key: json.loads(sent.stdout)[key] for key in ("repo", "kind", "commit", "files", "bytes")},
        "path": str(tmp_path / "back"),
    }
    assert got.stderr == ""
    assert "error" not in sent.stderr.lower()


def test_an_error_is_one_line_and_usage_is_another_status(hub: StandIn, tmp_path: Path) -> None:
    missing = hifa("pull", "ada/nothing", "--out", tmp_path / "back")
    assert missing.returncode == 1
    assert missing.stdout == ""
    assert missing.stderr.startswith("error: ")
    assert len(missing.stderr.splitlines()) == 1
    assert hifa("pull", "ada/nothing").returncode == 2


@pytest.mark.slow
def test_a_pull_that_was_killed_leaves_nothing_and_goes_on(hub: StandIn, run: Path, tmp_path: Path) -> None:
    assert hifa("push", run, "ada/chairs").returncode == 0
    hub.held = "model.safetensors"
    words = ["pull", "ada/chairs", "--out", str(tmp_path / "back")]
    started = subprocess.Popen([sys.executable, "-m", "hifa_cli", *words], stderr=subprocess.DEVNULL)
    while not any(verb == "GET" and path.endswith(hub.held) for verb, path, _ in hub.asked):
        assert started.poll() is None
        time.sleep(0.05)
    started.kill()
    started.wait()
    hub.release.set()
    assert not (tmp_path / "back").exists()
    hub.asked.clear()
    assert hifa(*words).returncode == 0
    got = {path.rsplit("/", 1)[-1] for verb, path, _ in hub.asked if verb == "GET" and "resolve" in path}
    assert "model.safetensors" in got
    assert "model.json" not in got, "it was fetched before"
    assert [path.name for path in tmp_path.iterdir() if "back" in path.name] == ["back"]


def test_a_pull_loads_no_torch(hub: StandIn, run: Path, tmp_path: Path) -> None:
    assert hifa("push", run, "ada/chairs").returncode == 0
    program = (
        "import sys; from pathlib import Path; from hifa_cli.pipelines.sharing.pull import pull; "
        f"pull('ada/chairs', Path({str(tmp_path / 'back')!r})); print('torch' in sys.modules)"
    )
    done = hifa(program=program)
    assert done.stdout == "False\n", done.stderr


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(HifaError, match=r"huggingface_hub: pip install 'hifa-cli\[hub\]'"):
        Hub("ada/chairs")
