"""The page is one file, shows what was found, and turns it, in a real browser."""

import base64
import json
import shutil
import struct
import subprocess
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
from hifa_cli.query.retrieve import Match, Ranking
from hifa_cli.web.page import CHOOSER, assemble, write_page
from hifa_cli.web.simplify import page_mesh, shrunk
from tests.conftest import write_photos

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


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


NASTY = "</script><script>alert(1)</script><!-- \u2028 <img src=x onerror=alert(2)> & \"'<!--SCRIPT-->"


def test_no_name_can_break_out_of_the_page() -> None:
    data = {"queries": [{"name": NASTY, "matches": []}], "shapes": []}
    text = assemble(data, tools=CHOOSER, footer=NASTY, start="")
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
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[Ranking]]:
    """A gallery of three shapes, and two queries of it."""
    import torch

    from hifa_cli.config import IndexConfig, ModelConfig
    from hifa_cli.embeddings.extract import frozen_encoder
    from hifa_cli.gallery.build import build_gallery
    from hifa_cli.models.network import save_network
    from hifa_cli.runtime.progress import SILENT
    from tests.gallery.test_update import write_mesh

    root = tmp_path_factory.mktemp("page")
    for name, kind in (("box/1", "box"), ("rod/1", "rod"), ("rod/2", "rod")):
        write_mesh(root / "meshes" / f"{name}.off", 1.0 + int(name[-1]), kind=kind)
    config = ModelConfig(backbone="test_resnet", embedding=8, size=32, resize=32)
    save_network(
        frozen_encoder(torch.device("cpu"), config, "none").network,
        root / "run",
        method="x",
        hifa_version="0",
    )
    build_gallery(
        root / "meshes", root / "g", model=root / "run", split=None, index_config=IndexConfig(),
        render_config=RenderConfig(), workers=1, device=torch.device("cpu"), force=False, talk=SILENT,
    )  # fmt: skip
    photos = write_photos(root / "photos", each=1)
    gallery = read_gallery(root / "g")
    rankings = []
    for number, name in enumerate(("bars", "rings")):
        matches = tuple(
            Match(
                rank + 1,
                gallery.ids[row],
                gallery.class_of(row),
                0.9 - rank / 10,
                row,
                3 * rank,
                90.0 * rank,
                30.0,
            )
            for rank, row in enumerate(((0, 1, 2), (2, 0, 1))[number])
        )
        rankings.append(Ranking(f"{name} {NASTY}", matches, (photos / name / "0.png",), "rod"))
    return gallery, rankings


def test_the_page_holds_every_query_and_every_shape_once(shown: Any, tmp_path: Path) -> None:
    gallery, rankings = shown
    report = write_page(gallery, rankings, tmp_path / "p.html")
    assert report.size == (tmp_path / "p.html").stat().st_size
    data = data_of((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert [one["name"] for one in data["queries"]] == [one.query for one in rankings]
    assert (len(data["shapes"]), report.meshes) == (3, 3)
    for query, ranking in zip(data["queries"], rankings, strict=True):
        assert query["pictures"][0].startswith("data:image/jpeg;base64,")
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


def test_a_real_browser_shows_and_turns_it(shown: Any, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"NO BROWSER ({', '.join(BROWSERS)}): the page is not opened")
    gallery, rankings = shown
    write_page(gallery, rankings, tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    # What the script did, written into the title for the browser to print: the second query is chosen, its
    # second card is clicked, the shape is turned, and every pixel is looked at.
    probe = """
    page.chosen.value = "1"; page.chosen.dispatchEvent(new Event("change"));
    const shown = document.querySelectorAll(".card").length; document.querySelectorAll(".card")[1].click();
    const count = () => {
      page.viewer.stale = true; page.viewer.draw();
      const gl = page.viewer.gl, w = page.viewer.canvas.width, h = page.viewer.canvas.height;
      const pixels = new Uint8Array(4 * w * h);
      gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
      let dark = 0;
      for (let i = 0; i < pixels.length; i += 4) dark += pixels[i] < 250;
      return dark / (w * h);
    };
    const first = count(); page.viewer.turn(45, 20); const second = count();
    document.title = JSON.stringify({shown, first, second, caption: $("caption").textContent,
      names: [...document.querySelectorAll("option")].length,
      alerts: document.querySelectorAll("#asked img[src=x]").length});
    """
    text = text.replace("new Page(", "const page = new Page(")
    text = text.replace("</script>\n</body>", probe + "</script>\n</body>")
    (tmp_path / "probe.html").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [
            browser, "--headless=new", "--no-sandbox", "--disable-gpu-sandbox", "--enable-unsafe-swiftshader",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=4000", "--window-size=1100,900",
            "--dump-dom", str(tmp_path / "probe.html"),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    title = done.stdout.partition("<title>")[2].partition("</title>")[0].replace("&amp;", "&")
    found = json.loads(title.replace("&lt;", "<").replace("&gt;", ">"))
    assert found["shown"] == 3
    assert found["names"] == 2
    assert found["caption"].startswith("box/1  seen from 90°")
    assert 0.02 < found["first"] < 0.9
    assert abs(found["first"] - found["second"]) > 0.001
    assert found["alerts"] == 0
