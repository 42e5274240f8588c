"""The audit says what it knows: nothing where it was told nothing, one line a vulnerability."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AUDIT = Path(__file__).resolve().parents[1] / "scripts" / "audit.py"
FINE: dict[str, Any] = {"name": "numpy", "version": "2.4.6", "vulns": []}
BROKEN: dict[str, Any] = {
    "name": "pillow",
    "version": "12.3.0",
    "vulns": [
        {"id": "PYSEC-1", "fix_versions": ["13.0.0"], "aliases": ["CVE-2026-112403"], "description": ""}
    ],
}
UNKNOWN: dict[str, Any] = {
    "name": "torch",
    "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.14.1)",
}
OURS: dict[str, Any] = {"name": "hifa-cli", "skip_reason": "distribution marked as editable"}


def audited(
    tmp_path: Path,
    packages: list[dict[str, Any]] | None,
    *,
    script: str = "",
    status: int = 0,
    **settings: str,
) -> subprocess.CompletedProcess[str]:
    """Run the audit with a stub in place of pip-audit, which reports so."""
    stub = tmp_path / "pip-audit"
    if packages is not None:
        (tmp_path / "report.json").write_text(json.dumps({"dependencies": packages, "fixes": []}))
        script = f'cat "{tmp_path}/report.json"; echo "No known vulnerabilities found" >&2; exit {status}'
    stub.write_text(f"#!/bin/sh\n{script}\n")
    stub.chmod(0o755)
    own = {name: value for name, value in os.environ.items() if not name.startswith("HIFA_")}
    return subprocess.run(
        [sys.executable, str(AUDIT)],
        env={**own, "HIFA_AUDIT": str(stub), **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_vulnerability_is_told_with_the_number_of_packages(tmp_path: Path) -> None:
    done = audited(tmp_path, [FINE, OURS], HIFA_AUDIT_REQUIRED="1")
    assert done.returncode == 0
    assert done.stdout.startswith("1 packages audited, 0 known vulnerabilities, 0 packages")


@pytest.mark.parametrize(("required", "status"), [("", 0), ("1", 1)])
def test_success_without_data_is_no_success(tmp_path: Path, required: str, status: int) -> None:
    done = audited(tmp_path, [UNKNOWN, OURS], HIFA_AUDIT_REQUIRED=required)
    assert done.returncode == status
    assert done.stderr.startswith("SKIPPED: no advisory data can be had here, for none of 1 packages")
    assert done.stdout == ""


@pytest.mark.parametrize(("required", "status"), [("", 0), ("1", 1)])
def test_packages_that_were_skipped_are_named(tmp_path: Path, required: str, status: int) -> None:
    done = audited(tmp_path, [FINE, UNKNOWN], HIFA_AUDIT_REQUIRED=required)
    assert done.returncode == status
    assert "NOT AUDITED: torch\n" in done.stderr


def test_a_vulnerability_fails_and_names_what_mends_it(tmp_path: Path) -> None:
    done = audited(tmp_path, [FINE, BROKEN], status=1)
    assert done.returncode == 1
    assert "VULNERABLE: pillow 12.3.0: PYSEC-1, CVE-2026-112403; fixed in 13.0.0\n" in done.stderr


@pytest.mark.parametrize(
    "script",
    [
        "echo 'requests.exceptions.ConnectionError: Max retries exceeded' >&2; exit 1",
        "echo not json",
        "echo '{}'",
        "echo '[1]'",
        "exec sleep 60",
    ],
)
@pytest.mark.parametrize(("required", "status"), [("", 0), ("1", 1)])
def test_no_report_is_told_and_does_not_hang(tmp_path: Path, script: str, required: str, status: int) -> None:
    done = audited(tmp_path, None, script=script, HIFA_AUDIT_REQUIRED=required, HIFA_AUDIT_SECONDS="2")
    assert done.returncode == status
    assert done.stderr.startswith("SKIPPED: pip-audit gave no report (")
    assert "Traceback" not in done.stderr


def test_a_missing_pip_audit_is_told(tmp_path: Path) -> None:
    done = audited(tmp_path, [FINE], HIFA_AUDIT=str(tmp_path / "none"))
    assert done.returncode == 0
    assert "scripts/setup dev" in done.stderr
