"""Versions with known problems are told, others not."""

import sys

import pytest

from hifa_cli.doctor import _known_problems
from hifa_cli.runtime import advisories
from hifa_cli.runtime.advisories import ADVISORIES, known_problems, numbers


def test_what_is_installed_here_has_no_known_problem_that_a_newer_version_mends() -> None:
    mended_only_on_newer_python = {"pillow"} if sys.version_info < (3, 11) else set()
    assert {found.package for found, _ in known_problems()} == mended_only_on_newer_python
    assert _known_problems().state == ("broken" if mended_only_on_newer_python else "works")


@pytest.mark.parametrize("advisory", ADVISORIES, ids=lambda one: f"{one.package}-{one.source}")
def test_every_advisory_is_told_below_its_version_and_not_at_it(
    advisory: advisories.Advisory, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = "0.0.1"
    monkeypatch.setattr(advisories, "version", lambda package: installed)
    assert advisory in [found for found, _ in known_problems()]
    finding = _known_problems()
    assert finding.state == "broken"
    assert advisory.package in finding.remedy
    installed = advisory.fixed
    assert advisory not in [found for found, _ in known_problems()]


@pytest.mark.parametrize(
    ("older", "newer"), [("2.5.1", "2.6.0"), ("2.9", "2.10"), ("9.5.0", "10.0.1"), ("10.0", "10.0.1")]
)
def test_versions_are_compared_as_numbers(older: str, newer: str) -> None:
    assert numbers(older) < numbers(newer)
    assert numbers(f"{newer}+cu124") == numbers(newer)
