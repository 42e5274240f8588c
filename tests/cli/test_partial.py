"""Where some inputs fail and others do not: every input has an entry, and a script can see it."""

import json
from pathlib import Path

import pytest

from tests.cli.test_cli import hifa, one_line
from tests.conftest import write_photos
from tests.gallery.test_update import write_mesh


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of two meshes, a photo and a broken one, a folder with a broken mesh."""
    root = tmp_path_factory.mktemp("partial")
    for number in range(2):
        write_mesh(root / "meshes" / f"{number}.off", 0.5 + number)
        write_mesh(root / "mixed" / f"{number}.off", 0.5 + number)
    (root / "mixed" / "broken.off").write_text("OFF\n4 x\n")
    write_photos(root / "photos", each=1)
    (root / "broken.jpg").write_bytes(b"no picture")
    code, _, err = hifa("index", root / "meshes", "--out", root / "gallery", "--workers", "1", "-q")
    assert code == 0, err
    return root


def test_a_query_that_fails_has_an_entry_with_its_reason(place: Path) -> None:
    words = ("query", place / "broken.jpg", place / "photos/bars/0.png", "-g", place / "gallery", "--json")
    code, out, _ = hifa(*words)
    document = json.loads(out)
    assert (code, document["queries"], document["failed"]) == (0, 2, 1)
    broken = next(one for one in document["results"] if one["query"].endswith("broken.jpg"))
    assert broken["matches"] == []
    assert "cannot be read as a picture" in broken["error"]
    assert hifa(*words, "--strict")[0] == 1
    assert hifa("query", place / "broken.jpg", "-g", place / "gallery", "--json")[0] == 1


@pytest.mark.parametrize(
    "absent", ["missing.jpg", "nothing-*.jpg", "@missing.csv", "https://a.example/b.jpg"]
)
def test_a_query_that_is_not_there_has_an_entry_with_its_reason(absent: str, place: Path) -> None:
    words = ("query", absent, place / "photos/bars/0.png", "-g", place / "gallery", "--json")
    code, out, err = hifa(*words)
    document = json.loads(out)
    assert (code, document["queries"], document["failed"]) == (0, 2, 1)
    gone = next(one for one in document["results"] if one["query"] == absent)
    assert gone["matches"] == []
    assert absent.lstrip("@") in gone["error"]
    assert absent.lstrip("@") in err
    assert hifa(*words, "--strict")[0] == 1


def test_a_mesh_that_fails_has_an_entry_and_is_seen_with_strict(place: Path, tmp_path: Path) -> None:
    words = ("render", place / "mixed", "--out", tmp_path / "v", "--views", "1", "--size", "32", "--json")
    code, out, _ = hifa(*words, "--workers", "1")
    assert (code, [Path(one["path"]).name for one in json.loads(out)["failed"]]) == (0, ["broken.off"])
    assert hifa(*words, "--strict")[0] == 1
    again = ("index", place / "mixed", "--out", tmp_path / "g", "--workers", "1", "--json", "--strict")
    code, out, _ = hifa(*again)
    assert (code, len(json.loads(out)["failed"])) == (1, 1)
    assert (tmp_path / "g" / "gallery.json").is_file()


def test_one_photo_that_cannot_be_read_is_one_line(place: Path, tmp_path: Path) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    code, stdout, stderr = hifa("query", tmp_path / "torn.jpg", "-g", place / "gallery")
    assert (code, stdout) == (1, "")
    assert stderr.count("torn.jpg") == 1
    assert stderr.startswith("error: ")


def test_an_export_is_named_where_a_photo_is_wanted(place: Path, tmp_path: Path) -> None:
    (tmp_path / "all.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    code, _, stderr = hifa("query", tmp_path / "all.h5", "-g", place / "gallery")
    assert code == 1
    assert "is an export, not a photo: 'hifa index" in one_line(stderr)
