"""The pages point to what exists, and name what is written."""

import json
import re
from pathlib import Path

import pytest

import hifa_cli as hifa
from tests.api.conftest import write_meshes
from tests.conftest import write_photos

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-")
        for head in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place), target


def test_the_file_formats_page_names_every_field_that_is_written(tmp_path: Path) -> None:
    """Fields of the JSON files of a run and of views, as this version writes them."""
    text = (ROOT / "docs" / "file-formats.md").read_text(encoding="utf-8")
    hifa.render(write_meshes(tmp_path / "meshes"), tmp_path / "views", views=1, workers=1)
    hifa.train(
        write_photos(tmp_path / "photos", each=1), out=tmp_path / "run", method="source-only",
        backbone="test_resnet", weights="none", size=32, resize=32, embedding=8, steps=1, photos_per_step=3,
        device="cpu",
    )  # fmt: skip
    for file in ("views/views.json", "run/run.json", "run/model.json"):
        for field in json.loads((tmp_path / file).read_text(encoding="utf-8")):
            assert f"`{field}`" in text, f"{file}: {field}"


def test_the_citation_names_the_paper_and_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "cff-version: 1.2.0" in text
    assert f"version: {hifa.__version__}" in text
    assert "Hierarchical Instance Feature Alignment" in text
