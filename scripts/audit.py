"""Runs pip-audit and reads its report: without data it finds nothing and calls that success."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

OURS = ("hifa-cli", "hifa_cli")  # in no database


class Audit(NamedTuple):
    """What a report says: packages asked about, those that could not be, and a line a vulnerability."""

    audited: tuple[str, ...]
    skipped: tuple[str, ...]
    found: tuple[str, ...]


def read(report: str) -> Audit:
    """A report of ``pip-audit --format json``.

    Raises:
        ValueError: it is none.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
        asked = [one for one in packages if "vulns" in one and not one.get("skip_reason")]
        found = [_line(one, flaw) for one in asked for flaw in one["vulns"]]
        skipped = [one["name"] for one in packages if one not in asked and one["name"] not in OURS]
        return Audit(tuple(one["name"] for one in asked), tuple(skipped), tuple(found))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no report of pip-audit: {error!r}") from error


def _line(package: dict[str, Any], flaw: dict[str, Any]) -> str:
    names = ", ".join([flaw["id"], *flaw.get("aliases", [])])
    fixed = ", ".join(flaw.get("fix_versions", [])) or "no version yet"
    return f"{package['name']} {package['version']}: {names}; fixed in {fixed}"


def run(options: Sequence[str], seconds: float) -> tuple[str, str]:
    """What pip-audit reports, and what it says besides; no report where it cannot be run in time."""
    own = Path(sys.executable).parent / "pip-audit"
    command = os.environ.get("HIFA_AUDIT") or str(own)
    fixed = ["--local", "--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    try:
        done = subprocess.run(
            [command, *fixed, *options], capture_output=True, text=True, timeout=seconds, check=False
        )
    except FileNotFoundError:
        return "", f"there is no {command}: scripts/setup dev"
    except subprocess.TimeoutExpired:
        return "", f"no answer after {seconds:g} s"
    return done.stdout, done.stderr


def main(options: Sequence[str]) -> int:
    """Audit, say what came of it, and return the exit status."""
    report, talk = run(options, float(os.environ.get("HIFA_AUDIT_SECONDS", "120")))
    try:
        audit = read(report)
    except ValueError:
        last = talk.strip().splitlines()[-1:] or ["it said nothing"]
        return _skipped(f"pip-audit gave no report ({last[0][:200]})")
    if not audit.audited:
        return _skipped(f"no advisory data can be had here, for none of {len(audit.skipped)} packages")
    for line in audit.found:
        sys.stderr.write(f"VULNERABLE: {line}\n")
    if audit.skipped:
        sys.stderr.write(f"NOT AUDITED: {', '.join(audit.skipped)}\n")
    sys.stdout.write(
        f"{len(audit.audited)} packages audited, {len(audit.found)} known vulnerabilities, "
        f"{len(audit.skipped)} packages could not be audited\n"
    )
    short = bool(audit.skipped) and bool(os.environ.get("HIFA_AUDIT_REQUIRED"))
    return 1 if audit.found or short else 0


def _skipped(reason: str) -> int:
    sys.stderr.write(f"SKIPPED: {reason}. Nothing is known of the installed versions.\n")
    return 1 if os.environ.get("HIFA_AUDIT_REQUIRED") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
