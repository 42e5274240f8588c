"""The world on disk: what is asked for, the same bytes however it is made, and whole files only."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from PIL import Image

from hifa_cli.config import WorldConfig
from hifa_cli.errors import HifaError
from hifa_cli.render.meshes import read_mesh
from hifa_cli.runtime.progress import Reporter, reporting
from hifa_cli.synthetic import world
from hifa_cli.synthetic.meshfiles import WRITERS
from hifa_cli.synthetic.shapes import KINDS
from hifa_cli.synthetic.world import make_world

T = TypeVar("T")
SMALL = WorldConfig(
    classes=("mug", "chair"), shapes_train=3, shapes_test=2, photos_train=2, photos_test=1, photo_size=48
)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        picture.load()
        width, height = picture.size
    return width, height


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "w"
    make_world(folder, SMALL, seed=1, workers=1)
    return folder


def test_the_default_makes_all_ten_kinds() -> None:
    assert set(WorldConfig().classes) == set(KINDS)


def test_every_file_asked_for_is_there_and_can_be_read(made: Path) -> None:
    for kind in SMALL.classes:
        for split, shapes, photos in (("train", 3, 2), ("test", 2, 1)):
            meshes = sorted((made / "shapes" / split / kind).iterdir())
            pictures = sorted((made / "photos" / split / kind).iterdir())
            assert (len(meshes), len(pictures)) == (shapes, photos)
            assert all(len(read_mesh(path).faces) >= 400 for path in meshes)
            assert all(max(size_of(path)) == 48 for path in pictures)


def test_several_formats_are_used(made: Path) -> None:
    suffixes = {path.suffix for path in (made / "shapes").rglob("*") if path.is_file()}
    assert len(suffixes) >= 4
    assert suffixes <= set(WRITERS)


def test_no_two_files_are_the_same_and_no_two_share_an_id(made: Path) -> None:
    found = digests(made)
    assert len(set(found.values())) == len(found)
    for domain in ("shapes", "photos"):
        ids = [Path(name).with_suffix("").parts[2:] for name in found if name.startswith(domain)]
        assert len(set(ids)) == len(ids)


def test_no_thing_is_made_twice_in_the_default_world(tmp_path: Path) -> None:
    config = WorldConfig()
    seeds = [item.seed for item in world._items(tmp_path, config, 0)]
    each = config.shapes_train + config.shapes_test + config.photos_train + config.photos_test
    assert len(set(seeds)) == len(seeds) == 10 * each


def test_two_processes_make_the_same_bytes_as_one(made: Path, tmp_path: Path) -> None:
    make_world(tmp_path / "w", SMALL, seed=1, workers=2)
    assert digests(tmp_path / "w") == digests(made)


def test_another_seed_makes_another_world(made: Path, tmp_path: Path) -> None:
    make_world(tmp_path / "w", replace(SMALL, photos_train=0, photos_test=0), seed=2, workers=1)
    ours, theirs = digests(tmp_path / "w"), digests(made)
    assert not [name for name in ours if ours[name] == theirs.get(name)]


def test_a_file_does_not_depend_on_how_many_others_there_are(made: Path, tmp_path: Path) -> None:
    fewer = replace(SMALL, classes=("chair",), shapes_train=1, photos_train=1)
    make_world(tmp_path / "w", fewer, seed=1, workers=1)
    ours, theirs = digests(tmp_path / "w"), digests(made)
    assert all(theirs[name] == ours[name] for name in ours if name != world.RECORD)


class Counting(Reporter):
    """Counts what is made."""

    def __init__(self) -> None:
        self.total: int | None = None

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        self.total = total
        yield from items


def test_a_half_made_world_is_completed_and_the_rest_left_alone(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    make_world(folder, SMALL, seed=1, workers=1)
    kept = folder / "photos/train/mug/img_0001.jpg"
    kept.write_bytes(b"touched")
    lost = [folder / "photos/test/mug/img_5001.jpg", next((folder / "shapes/train/chair").iterdir())]
    for path in lost:
        path.unlink()
    reporter = Counting()
    with reporting(reporter):
        make_world(folder, SMALL, seed=1, workers=1)
        assert reporter.total == 2
    assert kept.read_bytes() == b"touched"
    ours, theirs = digests(folder), digests(made)
    assert {name for name in theirs if ours[name] != theirs[name]} == {"photos/train/mug/img_0001.jpg"}


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(world, "save_photo", fails)
    only = replace(SMALL, shapes_train=0, shapes_test=0)
    with pytest.raises(RuntimeError, match="in the middle"):
        make_world(tmp_path / "w", only, seed=1, workers=1)
    assert sorted(path.name for path in (tmp_path / "w").rglob("*") if path.is_file()) == [world.RECORD]


@pytest.mark.parametrize(
    ("config", "workers", "words"),
    [
        (replace(SMALL, classes=("mug", "dragon")), 1, "cannot make 'dragon'"),
        (replace(SMALL, classes=()), 1, "one class or more"),
        (replace(SMALL, shapes_test=-1), 1, "0 to 4999"),
        (replace(SMALL, photos_train=5000), 1, "0 to 4999"),
        (replace(SMALL, photo_size=8), 1, "8 pixels"),
        (SMALL, 0, "0 processes"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_written(
    config: WorldConfig, workers: int, words: str, tmp_path: Path
) -> None:
    with pytest.raises(HifaError, match=words):
        make_world(tmp_path / "w", config, seed=1, workers=workers)
    assert not (tmp_path / "w").exists()


def test_a_folder_with_another_world_is_left_alone(made: Path) -> None:
    before = digests(made)
    for config, seed in ((SMALL, 2), (replace(SMALL, shapes_train=4), 1)):
        with pytest.raises(HifaError, match="other settings"):
            make_world(made, config, seed=seed, workers=1)
    assert digests(made) == before


def test_a_folder_of_someone_elses_photos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(HifaError, match="not the demo's"):
        make_world(tmp_path, SMALL, seed=1, workers=1)


def test_a_broken_record_is_named(tmp_path: Path) -> None:
    (tmp_path / world.RECORD).write_text("{", encoding="utf-8")
    with pytest.raises(HifaError, match=r"world\.json"):
        make_world(tmp_path, SMALL, seed=1, workers=1)
