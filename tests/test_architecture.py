"""docs/architecture.md names what there is, and all of it."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "hifa_cli"


def rooms() -> set[str]:
    """Packages and modules at the top level of the package."""
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return packages | {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}


def test_the_page_names_every_package_and_no_other() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = text.split("```")[1]
    named = {name for line in drawing.splitlines() for name in re.findall(r"\w+", line[:12])}
    assert named == rooms()


def test_every_module_that_the_page_names_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[2]
    for name in re.findall(r"`([a-z_]+/[a-z_]+)(?:\.\w+)?`", text):
        place = PACKAGE / name
        assert place.with_suffix(".py").exists() or place.is_dir(), name


def test_the_house_has_at_most_24_rooms() -> None:
    assert len(rooms() - {"__main__"}) <= 24
