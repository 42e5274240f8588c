"""The App answers bytes with what the command answers, and survives what is not a photo."""

import io
import json
import shutil
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import pytest
from PIL import Image

from hifa_cli.config import Find, IndexConfig, ServeConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery import read_gallery, update
from hifa_cli.query.parse import Box
from hifa_cli.query.retrieve import QueryOptions
from hifa_cli.runtime.progress import Reporter, reporting
from hifa_cli.web.app import App, Photo
from hifa_cli.web.shapes import mesh_of, preview_of, view_of
from tests.cli.test_cli import hifa
from tests.web.conftest import ranked_gallery


@pytest.fixture(scope="module")
def app(world: Path) -> App:
    return App(world / "g", None, "cpu", ServeConfig(most=2, photos=3))


def photo(world: Path, kind: str = "bars", number: int = 0, crop: Box | None = None) -> Photo:
    path = world / "photos" / kind / f"{number}.png"
    return Photo(path.name, path.read_bytes(), crop)


def commanded(world: Path, *words: object) -> list[dict[str, Any]]:
    code, out, err = hifa("query", *words, "-g", world / "g", "--json")
    assert code == 0, err
    found: list[dict[str, Any]] = json.loads(out)["results"][0]["matches"]
    return found


def same(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> bool:
    names = ("rank", "shape", "class", "score", "view", "azimuth", "elevation", "source")
    one, other = ([[match[name] for name in names] for match in matches] for matches in (found, wanted))
    return one == other


def test_a_photo_is_answered_as_by_the_command(app: App, world: Path) -> None:
    found = app.search([photo(world)], QueryOptions(2))
    assert same(found["results"][0]["matches"], commanded(world, world / "photos/bars/0.png", "--top", 2))
    assert found["results"][0]["query"] == "0.png"
    assert found["failed"] == 0


def test_a_crop_counts_as_for_the_command_and_the_page_gets_the_whole_photo(app: App, world: Path) -> None:
    found = app.search([photo(world, crop=Box(8, 4, 30, 20))], QueryOptions(2), pictures=480)
    found = found["results"][0]
    wanted = commanded(world, world / "photos/bars/0.png", "--crop", "8,4,30,20", "--top", 2)
    assert same(found["matches"], wanted)
    assert not same(found["matches"], commanded(world, world / "photos/bars/0.png", "--top", 2))
    assert [(one["width"], one["height"]) for one in found["pictures"]] == [(64, 64)]


def test_photos_are_fused_or_answered_each_by_itself(app: App, world: Path) -> None:
    photos = [photo(world), photo(world, "rings")]
    paths = [world / "photos" / kind / "0.png" for kind in ("bars", "rings")]
    assert len(app.search(photos, QueryOptions(2))["results"]) == 2
    [fused] = app.search(photos, QueryOptions(2, fuse=True), pictures=480)["results"]
    assert same(fused["matches"], commanded(world, *paths, "--fuse", "--top", 2))
    assert len(fused["pictures"]) == 2


def test_classes_and_the_least_score_are_heeded(app: App, world: Path) -> None:
    matches = app.search([photo(world)], QueryOptions(2, classes=("rod",)))["results"][0]["matches"]
    assert {one["class"] for one in matches} == {"rod"}
    assert app.search([photo(world)], QueryOptions(2, threshold=1.0))["results"][0]["matches"] == []
    with pytest.raises(HifaError, match="no class 'sofa'"):
        app.search([photo(world)], QueryOptions(2, classes=("sofa",)))


def test_shapes_are_answered_as_by_the_command(app: App, world: Path) -> None:
    wanted = QueryOptions(2, like=("rod/1",), unlike=("box/1",))
    [found] = app.search([], wanted, pictures=480)["results"]
    assert same(found["matches"], commanded(world, "--like", "rod/1", "--unlike", "box/1", "--top", 2))
    assert (found["like"], found["unlike"], found["pictures"]) == (["rod/1"], ["box/1"], [])
    with pytest.raises(HifaError, match="no shape 'rod/9': did you mean rod/"):
        app.search([], QueryOptions(2, like=("rod/9",)))
    with pytest.raises(HifaError, match="no photo came"):
        app.search([], QueryOptions(2))


def test_limits_hold(app: App, world: Path) -> None:
    with pytest.raises(HifaError, match="at most 3"):
        app.search([photo(world)] * 4, QueryOptions(1))
    with pytest.raises(HifaError, match="no photo"):
        app.search([], QueryOptions(1))


def test_a_photo_that_cannot_be_read_is_named_as_it_was_sent(app: App, world: Path) -> None:
    broken = Photo("broken.png", b"no picture")
    with pytest.raises(HifaError, match=r"broken\.png.*cannot be read") as error:
        app.search([broken], QueryOptions(1))
    assert "/tmp" not in str(error.value)
    found = app.search([broken, photo(world)], QueryOptions(1), pictures=480)
    assert [one["query"] for one in found["results"]] == ["0.png", "broken.png"]
    assert [len(one["pictures"]) for one in found["results"]] == [1, 0]
    assert "broken.png" in found["results"][1]["error"]
    assert "photo-0" not in found["results"][1]["error"]


def test_a_crop_beside_the_photo_is_explained(app: App, world: Path) -> None:
    with pytest.raises(HifaError, match=r"the crop 900,0,5,5 lies outside 0\.png, which has 64 x 64 pixels"):
        app.search([photo(world, crop=Box(900, 0, 5, 5))], QueryOptions(1))


def test_about_counts_the_classes(app: App) -> None:
    about = app.about()
    assert about["classes"] == [["box", 1], ["rod", 2]]
    assert (about["name"], about["shapes"], about["most"], about["find"]) == ("g", 3, 2, [])


def test_a_gallery_says_what_it_can_find(world: Path, tmp_path: Path) -> None:
    ranked_gallery(world / "g", tmp_path / "g")
    app = App(tmp_path / "g", None, "cpu", ServeConfig())
    assert app.about()["find"] == ["both", "kind", "part"]
    for find in get_args(Find):
        found = app.search([photo(world)], QueryOptions(3, find=find))
        assert len(found["results"][0]["matches"]) == 3


def test_a_gallery_that_changes_is_followed(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "g", tmp_path / "g")
    app = App(tmp_path / "g", None, "cpu", ServeConfig())
    assert len(app.search([photo(world)], QueryOptions(20))["results"][0]["matches"]) == 3
    update.remove(tmp_path / "g", ["rod/*"], IndexConfig())
    found = app.search([photo(world)], QueryOptions(20))
    assert len(found["results"][0]["matches"]) == 1
    assert app.about()["classes"] == [["box", 1]]


def test_a_mesh_is_found_by_its_id_and_nothing_else_is(app: App, world: Path) -> None:
    assert mesh_of(app.current(), "rod/2") == world / "meshes/rod/2.off"
    for name in ("", "rod", "../run/model.json", "rod/3", "rod/2.off"):
        with pytest.raises(HifaError, match="has no shape"):
            mesh_of(app.current(), name)


def test_a_mesh_that_went_away_is_told(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "g", tmp_path / "g")
    main = tmp_path / "g/gallery.json"
    main.write_text(main.read_text().replace(str(world / "meshes"), str(tmp_path / "away")))
    app = App(tmp_path / "g", None, "cpu", ServeConfig())
    with pytest.raises(HifaError, match="no longer where it was"):
        mesh_of(app.current(), "rod/1")
    with pytest.raises(HifaError, match="no longer where it was"):
        preview_of(app.current(), "rod/1", 100)
    assert view_of(app.current(), "rod/1", 3, 160).startswith(b"\xff\xd8")  # its thumbnail


def test_a_view_is_drawn_of_the_mesh_and_a_preview_is_thinned(app: App) -> None:
    first, other = (view_of(app.current(), "rod/1", view, 100) for view in (0, 3))
    assert first != other
    assert Image.open(io.BytesIO(first)).size == (100, 100)
    packed = preview_of(app.current(), "rod/1", 5000)
    corners, faces = struct.unpack_from("<2I", packed)
    assert len(packed) == 8 + 6 * corners + 6 * faces
    assert len(preview_of(app.current(), "rod/1", 8)) < len(packed) or faces <= 8


def test_a_photo_that_lies_on_its_side_is_cropped_upright(app: App) -> None:
    picture, content = Image.linear_gradient("L").resize((60, 30)).convert("RGB"), io.BytesIO()
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(content, "JPEG", exif=exif)
    sent = Photo("a.jpg", content.getvalue(), Box(0, 40, 10, 10))
    found = app.search([sent], QueryOptions(1), pictures=480)
    assert [found["results"][0]["pictures"][0][side] for side in ("width", "height")] == [30, 60]


def test_a_search_says_nothing_on_the_terminal(world: Path) -> None:
    class Terminal(Reporter):
        def __init__(self) -> None:
            self.labels: list[str] = []
            self.warnings: list[str] = []

        def warn(self, message: str) -> None:
            self.warnings.append(message)

        def track(self, items: Any, label: str, total: int | None = None) -> Any:
            self.labels.append(label)
            yield from items

    terminal, broken = Terminal(), Photo("broken.png", b"no picture")
    with reporting(terminal):
        App(world / "g", None, "cpu", ServeConfig()).search([photo(world), broken], QueryOptions(1))
    assert terminal.labels == []
    assert terminal.warnings == []


def test_threads_that_wait_for_a_changed_gallery_open_it_once(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(world / "g", tmp_path / "g")
    app = App(tmp_path / "g", None, "cpu", ServeConfig(port=0))
    opened: list[int] = []
    arrived = threading.Barrier(5)

    def slow(folder: Path, **more: Any) -> Any:
        opened.append(1)
        threading.Event().wait(0.3)
        return read_gallery(folder, **more)

    monkeypatch.setattr("hifa_cli.web.app.read_gallery", slow)
    update.remove(tmp_path / "g", ["rod/2"], IndexConfig())

    def ask() -> int:
        arrived.wait()
        return len(app.current())

    with ThreadPoolExecutor(5) as threads:
        sizes = [one.result() for one in [threads.submit(ask) for _ in range(5)]]
    assert sizes == [2] * 5
    assert opened == [1]
