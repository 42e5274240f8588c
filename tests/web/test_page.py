"""The page is one file, shows what was found, and turns it, in a real browser."""

import base64
import hashlib
import json
import struct
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from hifa_cli.config import PageConfig, RenderConfig
from hifa_cli.gallery import read_gallery
from hifa_cli.query.document import rankings_document
from hifa_cli.query.retrieve import Ranking
from hifa_cli.web.page import assemble, served_page, write_page
from hifa_cli.web.simplify import page_mesh, shrunk
from tests.gallery.test_update import write_mesh
from tests.web.shown import NASTY, rankings_of


def decoded(text: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    content = base64.b64decode(text)
    corners, faces = struct.unpack_from("<2I", content)
    places = np.frombuffer(content, "<i2", 3 * corners, 8).reshape(-1, 3) / 32767
    return places, np.frombuffer(content, "<u2", 3 * faces, 8 + 6 * corners).reshape(-1, 3)


class Scripts(HTMLParser):
    """What a browser takes for script elements, and what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.loaded: list[str] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [str(value) for name, value in attrs if name in ("src", "href") and value]
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "script"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)


def data_of(text: str) -> dict[str, Any]:
    parser = Scripts()
    parser.feed(text)
    assert parser.loaded == []  # nothing from anywhere else
    assert len(parser.scripts) == 2
    found: dict[str, Any] = json.loads(parser.scripts[0][1])
    return found


def test_no_name_can_break_out_of_the_page() -> None:
    data = {"queries": [{"query": NASTY, "matches": []}], "shapes": []}
    text = assemble("file", data, NASTY)
    assert data_of(text) == data
    assert "<img src=x" not in text


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(4, 400), most=st.integers(1, 300))
def test_a_shrunken_mesh_keeps_its_bounds_and_points_at_its_own_corners(
    seed: int, count: int, most: int
) -> None:
    generator = np.random.default_rng(seed)
    corners = generator.uniform(-1, 1, (count, 3)) / np.sqrt(3)
    faces = 2 * generator.integers(0, count // 2, (3 * count, 3))  # no face has the other corners
    small, left = shrunk(corners, faces, most)
    assert len(left) <= most or len(faces) <= most
    if len(left):
        assert left.max() < len(small)
        assert (small.min(axis=0) >= corners.min(axis=0) - 1e-12).all()
        assert (small.max(axis=0) <= corners.max(axis=0) + 1e-12).all()
    if len(faces) > most and len(left):
        assert left.max() == len(small) - 1
        assert all(len({*face}) == 3 for face in left.tolist())


def test_a_fine_ball_stays_a_ball(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(6)  # 81,920 faces
    ball.export(tmp_path / "ball.stl")
    text, faces = page_mesh(tmp_path / "ball.stl", RenderConfig(), 3000)
    corners, triangles = decoded(text)
    assert 1000 < faces <= 3000
    assert len(triangles) == faces
    assert np.linalg.norm(corners, axis=1) == pytest.approx(1, abs=0.1)
    edges = (
        corners[triangles[:, 1]] - corners[triangles[:, 0]],
        corners[triangles[:, 2]] - corners[triangles[:, 0]],
    )
    area = np.linalg.norm(np.cross(*edges), axis=1).sum() / 2
    assert area == pytest.approx(4 * np.pi, rel=0.1)


def test_a_mesh_stands_upright_in_the_page(tmp_path: Path) -> None:
    trimesh.creation.box((1, 4, 1)).export(tmp_path / "post.obj")
    corners, _ = decoded(page_mesh(tmp_path / "post.obj", RenderConfig(up="y"), 100)[0])
    assert corners.max(axis=0) == pytest.approx(np.array([1, 1, 4]) / np.sqrt(18), abs=1e-4)


@pytest.fixture(scope="module")
def shown(world: Path) -> tuple[Any, list[Ranking]]:
    """A gallery of three shapes, and two queries of it."""
    gallery = read_gallery(world / "g")
    return gallery, rankings_of(gallery, world / "photos")


def test_the_page_holds_every_query_and_every_shape_once(shown: Any, tmp_path: Path) -> None:
    gallery, rankings = shown
    report = write_page(gallery, rankings, tmp_path / "p.html")
    assert report.size == (tmp_path / "p.html").stat().st_size
    data = data_of((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert [one["query"] for one in data["queries"]] == [one.query for one in rankings]
    assert (len(data["shapes"]), report.meshes) == (3, 3)
    for query, ranking in zip(data["queries"], rankings, strict=True):
        assert query["pictures"][0]["picture"].startswith("data:image/jpeg;base64,")
        for match, wanted in zip(query["matches"], ranking.matches, strict=True):
            assert (match["shape"], match["score"]) == (wanted.shape, pytest.approx(wanted.score))
            assert len(decoded(data["shapes"][match["at"]]["mesh"])[1]) > 4


def test_a_page_stays_small_and_says_what_is_missing(shown: Any, tmp_path: Path) -> None:
    gallery, rankings = shown
    config = PageConfig(queries=1, meshes=1, faces=10)
    report = write_page(gallery, rankings, tmp_path / "p.html", config=config)
    data = data_of((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert (len(data["queries"]), report.meshes) == (1, 1)
    assert report.faces <= 10
    assert [shape.get("why") for shape in data["shapes"]][1:] == ["left out to keep the page small"] * 2


@pytest.mark.parametrize("kind", ["file", "served"])
def test_the_page_runs_only_its_own_script_and_loads_nothing(kind: Any) -> None:
    about = {"name": NASTY, "shapes": 3, "queries": []}
    text = assemble(kind, about, "")
    assert data_of(text) == about
    policy = text.partition('Content-Security-Policy" content="')[2].partition('"')[0]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "http://" not in text
    assert "https://" not in text


def test_the_servers_header_forbids_frames() -> None:
    _, kind, policy = served_page({"name": "g", "shapes": 3})
    assert kind == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in policy


def test_the_page_says_what_the_command_says(shown: Any, tmp_path: Path) -> None:
    gallery, rankings = shown
    write_page(gallery, rankings, tmp_path / "p.html")
    queries = data_of((tmp_path / "p.html").read_text(encoding="utf-8"))["queries"]
    for query, one in zip(queries, rankings_document(gallery, rankings)["results"], strict=True):
        matches = [{k: v for k, v in match.items() if k != "at"} for match in query["matches"]]
        assert matches == [{k: v for k, v in match.items() if k != "thumbnail"} for match in one["matches"]]
        assert (query["query"], query["class"]) == (one["query"], one["class"])


def test_every_query_sees_a_shape_from_the_view_that_it_matched(shown: Any, tmp_path: Path) -> None:
    gallery, rankings = shown  # each shape is found by both queries, row 1 from views 3 and 6
    for further, views in ((10, [{"0", "3"}, {"3", "6"}, {"6", "0"}]), (0, [{"0"}, {"3"}, {"0"}])):
        write_page(gallery, rankings, tmp_path / "p.html", config=PageConfig(views=further))
        data = data_of((tmp_path / "p.html").read_text(encoding="utf-8"))
        by_name = {match["shape"]: data["shapes"][match["at"]] for match in data["queries"][0]["matches"]}
        assert [set(by_name[name]["pictures"]) for name in gallery.ids] == views


def test_a_view_is_never_drawn_of_a_mesh_that_has_changed(shown: Any, tmp_path: Path) -> None:
    gallery, rankings = shown
    source = gallery.source(0)
    before = source.read_bytes()
    try:
        write_mesh(source, 9.0)
        write_page(gallery, rankings, tmp_path / "p.html")
    finally:
        source.write_bytes(before)
    data = data_of((tmp_path / "p.html").read_text(encoding="utf-8"))
    by_name = {match["shape"]: data["shapes"][match["at"]] for match in data["queries"][0]["matches"]}
    assert set(by_name[gallery.ids[0]]["pictures"]) == {""}  # its thumbnail
