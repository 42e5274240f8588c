"""The page in a real browser: wide, narrow, by keyboard alone, and without what axe calls a barrier.

It needs Chromium and the package playwright; axe-core is taken from ``HIFA_AXE`` or ``node_modules``.
"""

import base64
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hifa_cli.config import ServeConfig
from hifa_cli.gallery import read_gallery
from hifa_cli.web.app import App
from hifa_cli.web.page import write_page
from tests.web.conftest import ranked_gallery, running, serving
from tests.web.shown import rankings_of

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader",
)  # fmt: skip
WIDE, NARROW = (1400, 900), (380, 760)
AXE = Path(os.environ.get("HIFA_AXE") or Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js")
DONE = "body:has(#results[aria-busy=false]):has(#stage[aria-busy=false])"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"NO BROWSER ({', '.join(BROWSERS)}): the page is not opened")
    playwright = pytest.importorskip("playwright.sync_api", reason="NO playwright: the page is not opened")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=program, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """Opens pages of a size; fails where a script failed, a policy was broken, or another place was asked."""
    contexts, faults = [], []

    def opened(address: str, size: tuple[int, int] = WIDE) -> Any:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, has_touch=size == NARROW,
            permissions=["clipboard-read", "clipboard-write"], reduced_motion="reduce",
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("filechooser", lambda _: None)  # turns their interception on before it is needed
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: faults.append(line.text) if "Policy" in line.text else None)
        base = address.partition("?")[0]
        page.on(
            "request",
            lambda one: None if one.url.startswith((base, "data:", "blob:")) else faults.append(one.url),
        )
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture(scope="module")
def address(world: Path) -> Iterator[str]:
    """The page of the server."""
    with serving(world / "g", most=7) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def file(world: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page as a file."""
    gallery, out = read_gallery(world / "g"), tmp_path_factory.mktemp("file") / "p.html"
    write_page(gallery, rankings_of(gallery, world / "photos"), out)
    return out.as_uri()


def bring(page: Any, *paths: Path, button: str = "#choose") -> None:
    """Choose photos as a person does, and wait for the answer."""
    before = page.locator("#past li").count()
    with page.expect_file_chooser() as chooser:
        page.click(button)
    chooser.value.set_files([str(path) for path in paths])
    if button == "#choose":
        page.wait_for_selector(f"#past li:nth-child({before + 1})")
    page.wait_for_selector(DONE)


def photo(world: Path, kind: str = "bars", number: int = 0) -> Path:
    return world / "photos" / kind / f"{number}.png"


def shapes(page: Any) -> list[str]:
    found: list[str] = page.locator(".card b").all_inner_texts()
    return found


def until(page: Any, condition: str, given: Any = None) -> None:
    """Wait for a condition; the page's policy lets Playwright's own waiting not evaluate it."""
    end = time.monotonic() + 20
    while not page.evaluate(condition, given):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(50)


def ink(page: Any) -> float:
    """The share of the canvas that is not white."""
    share: float = page.evaluate(
        """() => {
        const viewer = page.viewer, gl = viewer.gl, w = viewer.canvas.width, h = viewer.canvas.height;
        viewer.draw();
        const pixels = new Uint8Array(4 * w * h);
        gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
        let dark = 0;
        for (let i = 0; i < pixels.length; i += 4) dark += pixels[i] < 250;
        return dark / (w * h);
        }"""
    )
    return share


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("kind", ["file", "served"])
def test_axe_finds_no_barrier_and_nothing_is_wider_than_the_screen(
    kind: str, size: tuple[int, int], tab: Any, file: str, address: str, world: Path
) -> None:
    page = tab(file if kind == "file" else address, size)
    if kind == "served":
        bring(page, photo(world))
        for place in ("#options", "#classes", "#filters", "#numbers"):
            page.evaluate(f"document.querySelector('{place}').open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    if not AXE.is_file():
        pytest.skip(
            f"NO axe-core at {AXE}: barriers are not looked for ('npm install axe-core', or HIFA_AXE)"
        )
    page.evaluate(AXE.read_text(encoding="utf-8"))
    report = page.evaluate("axe.run()")
    assert len(report["passes"]) > 15
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in report["violations"]] == []


def test_the_file_shows_every_query_turns_shapes_and_explains_its_frames(tab: Any, file: str) -> None:
    page = tab(file)
    page.select_option("#chosen", index=1)
    assert page.locator(".card").count() == 3
    assert page.locator("#chosen option").count() == 2
    assert page.locator("#legend").is_visible()
    assert [page.locator(f".card.{kind}").count() for kind in ("right", "wrong")] == [2, 1]
    page.locator(".card").nth(1).click()
    assert page.inner_text("#caption") == "Matched view: from 90°, 30° up."
    assert page.inner_text("#stage-title") == "box/1"
    first = ink(page)
    page.click("[aria-label='Turn left']")
    page.click("[aria-label='Look from higher']")
    assert page.inner_text("#caption").startswith(
        "Turned: now seen from 100°, 40° up. The photo matches the view from 90°"
    )
    assert 0.02 < first < 0.9
    assert abs(first - ink(page)) > 0.001
    page.click("#home")
    assert page.inner_text("#caption") == "Matched view: from 90°, 30° up."
    assert page.locator("#home").is_disabled()
    assert not page.locator("#download").is_visible()
    assert page.locator("img[src=x]").count() == 0
    page.click("#previous")
    assert page.input_value("#chosen") == "0"


def test_the_caption_follows_a_spin(tab: Any, file: str) -> None:
    page = tab(file)
    page.click("#spin")
    page.wait_for_timeout(400)
    page.click("#spin")
    assert page.inner_text("#caption").startswith("Turned: now seen from")
    assert page.get_attribute("#spin", "aria-pressed") == "false"


def test_the_path_is_copied_and_the_mesh_comes_down(tab: Any, address: str, world: Path) -> None:
    page = tab(address)
    bring(page, photo(world))
    name = page.inner_text("#stage-title")
    page.click("#copy")
    page.wait_for_selector("text=Copied")
    assert page.evaluate("navigator.clipboard.readText()") == str(world / "meshes" / f"{name}.off")
    with page.expect_download() as loading:
        page.click("#download")
    assert Path(loading.value.path()).read_bytes() == (world / "meshes" / f"{name}.off").read_bytes()


def test_a_crop_is_drawn_on_the_photo_and_taken_back(tab: Any, address: str, world: Path) -> None:
    page = tab(address)
    bring(page, photo(world))
    whole = page.locator(".card").first.inner_text()
    box = page.locator(".photo").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 3 / 4, steps=3)
    page.mouse.up()
    page.wait_for_selector("#whole:visible")
    page.wait_for_selector(DONE)
    assert [page.input_value(f"#crop-{name}") for name in ("left", "top", "width", "height")] == [
        "16",
        "16",
        "16",
        "32",
    ]
    assert page.locator(".box").count() == 1
    assert page.locator(".card").first.inner_text() != whole
    page.click("#whole")
    page.wait_for_selector("#whole", state="hidden")
    page.wait_for_selector(DONE)
    assert page.locator(".card").first.inner_text() == whole
    assert page.locator("#past li").count() == 1  # a crop is the same query, refined


def test_top_threshold_and_classes_ask_again(tab: Any, address: str, world: Path) -> None:
    page = tab(address)
    bring(page, photo(world))
    assert len(shapes(page)) == 3
    page.fill("#top", "2")
    page.press("#top", "Enter")
    page.wait_for_selector(".card >> nth=2", state="detached")
    page.click("#classes-title")
    page.check("input[value=rod]")
    page.wait_for_selector(DONE)
    page.wait_for_selector("text=Classes: rod")
    assert all("rod/" in one for one in shapes(page))
    page.fill("#class-filter", "bo")
    assert page.locator("#class-list li:visible").all_inner_texts() == ["box\n1"]
    page.click("#all-classes")
    page.fill("#threshold", "1")
    page.press("#threshold", "Enter")
    page.wait_for_selector("text=No shape has the least score")
    assert page.locator("#find-row").is_hidden()


def test_a_filter_is_typed_or_chosen_from_counts_and_taken_back(tab: Any, address: str, world: Path) -> None:
    page = tab(address)
    bring(page, photo(world))
    assert page.inner_text("#path") == str(world / "meshes" / f"{page.inner_text('#stage-title')}.off")
    page.click("#filters-title")
    listed = page.locator("#field-list li").all_inner_texts()
    assert " ".join(listed[-1].split()) == "watertight true 3"
    assert "faces 12 … 28" in listed
    page.fill("#condition", "class = 'rod'")
    page.press("#condition", "Enter")
    page.wait_for_selector(".card >> nth=2", state="detached")
    assert all("rod/" in one for one in shapes(page))
    page.click("#field-list button:has-text('true')")
    page.wait_for_selector("text=Filter: (class = 'rod') and watertight = true")
    page.wait_for_selector(DONE)
    assert len(shapes(page)) == 2
    page.fill("#condition", "size < 3")
    page.press("#condition", "Enter")
    page.wait_for_selector("#state:has-text('size')")
    assert len(shapes(page)) == 2  # a wrong condition takes nothing away
    page.fill("#condition", "")
    page.press("#condition", "Enter")
    page.wait_for_selector(".card >> nth=2")
    page.wait_for_selector("text=Filter: none")


def test_the_page_asks_what_programs_ask_and_sends_a_mesh_once_it_is_looked_at(
    tab: Any, address: str, world: Path
) -> None:
    page = tab(address)
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url.removeprefix(address)))
    bring(page, photo(world))
    until(page, "() => [...document.querySelectorAll('.card img')].every((one) => one.naturalWidth)")
    assert all(one.startswith(("v1/", "data:")) for one in asked)
    assert len([one for one in asked if one.endswith("/preview")]) == 1
    page.locator(".card").nth(1).click()
    page.wait_for_selector(DONE)
    page.locator(".card").nth(0).click()
    page.wait_for_selector(DONE)
    assert len([one for one in asked if one.endswith("/preview")]) == 2
    assert ink(page) > 0.02


def test_words_are_looked_for_alone_and_beside_a_photo_by_weight(tab: Any, worded: Path, world: Path) -> None:
    with serving(worded) as port:
        page = tab(f"http://127.0.0.1:{port}/")
        page.fill("#text", "stripes")
        page.press("#text", "Enter")
        page.wait_for_selector("#past li")
        page.wait_for_selector(DONE)
        assert page.inner_text("#query-name") == "text stripes"
        words = page.locator(".card").first.inner_text()
        bring(page, photo(world))
        half = page.locator(".card").first.inner_text()
        page.evaluate("$('text-weight').value = 1; $('text-weight').dispatchEvent(new Event('change'))")
        until(page, "(words) => document.querySelector('.card').innerText === words", words)
        page.fill("#text", "")
        page.press("#text", "Enter")
        page.wait_for_selector(DONE)
        assert page.locator(".card").first.inner_text() not in (half, words)


def test_words_are_not_offered_where_the_encoder_knows_none(tab: Any, address: str) -> None:
    page = tab(address)
    assert page.locator("#text-row").is_hidden()
    assert page.locator("#weight-row").is_hidden()


def test_shapes_found_steer_the_query_and_are_dropped_again(tab: Any, address: str, world: Path) -> None:
    page = tab(address)
    bring(page, photo(world))
    first, second, third = (one.split(". ", 1)[1] for one in shapes(page))
    page.click("#more")
    page.wait_for_selector(f"text=More like {first}")
    page.wait_for_selector(".card >> nth=2", state="detached")
    assert not any(first in one for one in shapes(page))
    page.locator(".card", has_text=third).click()
    page.click("#less")
    page.wait_for_selector(f"text=Less like {third}")
    page.wait_for_selector(".card >> nth=1", state="detached")
    assert second in shapes(page)[0]
    page.click("#shapes-only")
    page.wait_for_selector("h2:has-text('Shapes') >> visible=true")
    page.wait_for_selector(".photo", state="detached")
    page.click(f"text=Less like {third}")
    page.wait_for_selector(".card >> nth=1")
    assert page.locator("#past li").count() == 1
    assert page.locator("#examples button").is_disabled()  # the last one is the whole question


def test_several_photos_are_asked_apart_or_fused(tab: Any, address: str, world: Path) -> None:
    page = tab(address)
    bring(page, photo(world), photo(world, "rings"))
    page.wait_for_selector("#past li:nth-child(2)")
    page.wait_for_selector(DONE)
    page.evaluate("document.querySelector('#together').click()")
    bring(page, photo(world), photo(world, "rings"))
    assert page.inner_text("#query-title") == "2 photos of one object"
    assert page.locator(".photo").count() == 2
    bring(page, photo(world, "blobs"), button="#another")
    page.wait_for_selector("text=3 photos of one object")
    assert page.locator("#past li").count() == 3


def test_the_session_is_remembered(tab: Any, address: str, world: Path) -> None:
    page = tab(address)
    bring(page, photo(world))
    first = page.locator(".card").first.inner_text()
    bring(page, photo(world, "rings", 1))
    page.locator("#past button").nth(1).click()
    assert page.locator(".card").first.inner_text() == first
    assert page.locator("#past [aria-current]").count() == 1
    assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "true"


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_photo_is_dropped_or_pasted(kind: str, tab: Any, address: str, world: Path) -> None:
    page = tab(address)
    content = base64.b64encode(photo(world).read_bytes()).decode()
    page.evaluate(
        """([kind, content]) => {
        const data = new DataTransfer();
        const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
        data.items.add(new File([bytes], "it.png", { type: "image/png" }));
        const event = kind === "drop" ? new DragEvent("drop", { dataTransfer: data, cancelable: true })
          : new ClipboardEvent("paste", { clipboardData: data });
        document.dispatchEvent(event);
        }""",
        [kind, content],
    )
    page.wait_for_selector("#past li")
    assert "it.png" in page.inner_text("#past")


def test_a_photo_that_cannot_be_read_is_named(tab: Any, address: str, world: Path, tmp_path: Path) -> None:
    page = tab(address)
    (tmp_path / "broken.png").write_text("no picture")
    with page.expect_file_chooser() as chooser:
        page.click("#choose")
    chooser.value.set_files(str(tmp_path / "broken.png"))
    page.wait_for_selector("#state:has-text('broken.png')")
    assert page.locator("#past li").count() == 0
    bring(page, photo(world))
    assert page.inner_text("#state") == ""


def test_a_broken_photo_among_several_does_not_stop_the_others(
    tab: Any, address: str, world: Path, tmp_path: Path
) -> None:
    page = tab(address)
    (tmp_path / "broken.png").write_text("no picture")
    with page.expect_file_chooser() as chooser:
        page.click("#choose")
    chooser.value.set_files([str(photo(world)), str(tmp_path / "broken.png"), str(photo(world, "rings", 1))])
    page.wait_for_selector("#past li:nth-child(2)")
    page.wait_for_selector("#state:has-text('broken.png')")
    assert not page.locator("#retry").is_visible()


def test_a_server_that_stopped_is_told_and_asked_again_when_it_is_back(tab: Any, world: Path) -> None:
    app = App(world / "g", None, "cpu", ServeConfig(port=0))
    with running(app) as port:
        page = tab(f"http://127.0.0.1:{port}/")
    with page.expect_file_chooser() as chooser:
        page.click("#choose")
    chooser.value.set_files([str(photo(world)), str(photo(world, "rings", 1))])
    page.wait_for_selector("text=The server does not answer")
    assert page.get_attribute("#results", "aria-busy") == "false"
    app.config = replace(app.config, port=port)
    with running(app):
        page.click("#retry")
        page.wait_for_selector("#past li:nth-child(2)")
        page.wait_for_selector(DONE)
    assert page.inner_text("#state") == ""
    assert not page.locator("#retry").is_visible()


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_keyboard_opens_the_chooser(key: str, tab: Any, address: str) -> None:
    page = tab(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "choose"
    with page.expect_file_chooser():
        page.keyboard.press(key)


def test_a_keyboard_alone_does_everything(tab: Any, address: str, world: Path) -> None:
    page = tab(address)
    bring(page, photo(world))
    page.focus("body")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    controls = "choose crop another top threshold together classes-title card canvas spin copy download"
    assert set(controls.split()) <= reached
    page.locator(".card").nth(1).focus()
    page.keyboard.press("Enter")
    assert page.get_attribute(".card >> nth=1", "aria-pressed") == "true"
    page.wait_for_selector(DONE)
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    assert "Turned" in page.inner_text("#caption")
    page.keyboard.press("Home")
    assert "Matched view" in page.inner_text("#caption")
    page.focus("#classes-title")
    page.keyboard.press("Enter")
    page.focus("input[value=rod]")
    page.keyboard.press("Space")
    page.wait_for_selector("#matches li:nth-child(3)", state="detached")
    assert all("rod/" in one for one in shapes(page))
    assert page.evaluate("document.activeElement.value") == "rod"  # an answer takes no focus away
    page.focus("#numbers summary")
    page.keyboard.press("Space")
    for name, value in (("left", "4"), ("top", "5"), ("width", "40"), ("height", "30")):
        page.focus(f"#crop-{name}")
        page.keyboard.type(value)
    page.focus("#crop-apply")
    page.keyboard.press("Space")
    page.wait_for_selector("#whole:visible")
    assert page.locator(".box").count() == 1


def test_a_phone_scrolls_over_the_shape_pinches_it_and_sees_what_was_tapped(
    tab: Any, address: str, world: Path
) -> None:
    page = tab(address, NARROW)
    bring(page, photo(world))
    assert page.evaluate("getComputedStyle(document.querySelector('#canvas')).touchAction") == "pan-y"
    client = page.context.new_cdp_session(page)
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": a, "y": b, "id": n} for n, (a, b) in enumerate(points)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    before = page.evaluate("scrollY")
    touch("touchStart", (x, y))
    for step in range(1, 9):
        touch("touchMove", (x, y - 20 * step))
    touch("touchEnd")
    page.wait_for_timeout(300)
    assert page.evaluate("scrollY") > before + 50

    box = page.locator("#canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, max(box["y"], 0) + 60
    zoom = page.evaluate("page.viewer.zoom")
    touch("touchStart", (x - 20, y), (x + 20, y))
    for step in range(1, 6):
        touch("touchMove", (x - 20 - 8 * step, y), (x + 20 + 8 * step, y))
    touch("touchEnd")
    page.wait_for_timeout(100)
    assert page.evaluate("page.viewer.zoom") > 1.3 * zoom

    last = page.locator(".card").last
    last.scroll_into_view_if_needed()
    last.tap()
    page.wait_for_timeout(300)
    top = page.locator("#canvas").bounding_box()["y"]
    assert 0 <= top < NARROW[1] / 2


def test_the_token_is_asked_for_once(tab: Any, world: Path) -> None:
    app = App(world / "g", None, "cpu", ServeConfig(port=0, token="a-token-of-the-tests"))
    with running(app) as port:
        page = tab(f"http://127.0.0.1:{port}/")
        page.fill("input[name=token]", "a-token-of-the-tests")
        page.click("text=Open")
        page.wait_for_selector("#choose")
        assert page.url == f"http://127.0.0.1:{port}/"
        bring(page, photo(world))
        page.reload()
        page.wait_for_selector("#choose")


def test_the_choice_of_what_to_find_shows_where_the_gallery_supports_it(
    tab: Any, world: Path, tmp_path: Path
) -> None:
    ranked_gallery(world / "g", tmp_path / "g")
    with serving(tmp_path / "g") as port:
        page = tab(f"http://127.0.0.1:{port}/")
        bring(page, photo(world))
        assert page.locator("#find option").all_inner_texts() == ["both", "kind", "part"]
        page.select_option("#find", "part")
        page.wait_for_selector(DONE)
        assert page.evaluate("session.form(session.entry).get('find')") == "part"
