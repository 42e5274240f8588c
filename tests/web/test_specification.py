"""The server keeps what /openapi.json promises: Schemathesis asks it with photos, ids and options that exist.

The quick run asks the same each time. ``HIFA_SCHEMATHESIS=2000`` asks each address that often, at random.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.web.conftest import ask, serving

EXAMPLES = int(os.environ.get("HIFA_SCHEMATHESIS", "0"))
SETTINGS = """
[checks.positive_data_acceptance]  # a class that the gallery lacks, words that its encoder does not know
expected-statuses = ["2xx", 404, 422, 503]
"""
TOKEN = "a-token-of-the-tests"


@pytest.mark.parametrize("token", [None, TOKEN], ids=["open", "guarded"])
def test_every_answer_is_one_that_the_specification_has(
    token: str | None, world: Path, tmp_path: Path
) -> None:
    (tmp_path / "settings.toml").write_text(SETTINGS)
    quick = [] if EXAMPLES else ["--seed", "1", "--phases", "coverage" if token else "coverage,fuzzing"]
    head = ["--header", f"Authorization: Bearer {token}"] if token else []
    with serving(world / "g", token=token, upload=100_000) as port:
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "--config-file", tmp_path / "settings.toml", "run",
             f"http://127.0.0.1:{port}/openapi.json", "--checks", "all", "--max-examples", str(EXAMPLES or 6),
             "--suppress-health-check", "all", *quick, *head],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUTF8": "1",
                 "HIFA_TEST_PHOTOS": str(world / "photos"),
                 "SCHEMATHESIS_HOOKS": "tests.web.schemathesis_hooks"},
        )  # fmt: skip
        counts = ask(port, "GET", "/metrics", Authorization=f"Bearer {token}")[2].decode()
    assert done.returncode == 0, done.stdout + done.stderr
    if token:
        return
    for route in ("/v1/search", "/v1/shapes/{id}", "/v1/shapes/{id}/mesh", "/v1/shapes/{id}/thumbnail"):
        assert re.search(rf'route="{re.escape(route)}",status="200"\}} \d', counts), counts
