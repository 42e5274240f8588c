"""An error names the thing as it was given, and a remedy that works for this verb."""

from pathlib import Path

import pytest

from tests.cli.test_cli import hifa
from tests.conftest import write_photos
from tests.gallery.test_update import write_mesh
from tests.trees import picture


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("messages")
    write_photos(root / "photos", each=1)
    write_mesh(root / "meshes" / "a.off", 1.0)
    (root / "empty").mkdir()
    picture(root / "snaps" / "cat.png")
    assert hifa("index", root / "meshes", "--out", root / "g", "--workers", "1", "-q")[0] == 0
    return root


@pytest.mark.parametrize(
    ("words", "said", "never"),
    [
        ("index {root}/snaps --out {root}/x", "hifa query", "give photos as --images"),
        ("index {root}/empty --out {root}/x", "no meshes", "--out {root}/empty"),
        ("query {root}/g -g {root}/photos/bars/0.png", "-g and the gallery", "make one with"),
        ("query https://a.example/b.jpg -g {root}/g", "is a URL", "check the path"),
        ("index https://a.example/b.obj --out {root}/x", "is a URL", "nothing at"),
        ("train --images nope --shapes nope --out {root}/x", "'nope' does not exist", "there is no"),
    ],
)
def test_a_message_leads_on(words: str, said: str, never: str, place: Path) -> None:
    code, _, err = hifa(*(word.replace("{root}", str(place)) for word in words.split()))
    assert code == 1
    assert said in err.splitlines()[-1]
    assert never.replace("{root}", str(place)) not in err


def test_a_folder_of_meshes_is_a_query(place: Path) -> None:
    code, out, err = hifa("query", place / "meshes", "-g", place / "g", "--csv")
    assert code == 0, err
    assert "a.off" in out
