"""Agents search a gallery by the tools of the Model Context Protocol, asked by the SDK's own client."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.types import CallToolResult, ImageContent, TextContent

from hifa_cli.config import ServeConfig
from hifa_cli.web.app import App
from hifa_cli.web.mcp_server import make_mcp_server
from tests.cli.test_cli import hifa

Call = Callable[..., CallToolResult]


@pytest.fixture(scope="module")
def app(world: Path) -> App:
    return App(world / "g", None, "cpu", ServeConfig(upload=100_000))


def asked(app: App, tool: str, folders: list[Path] | None = None, **arguments: Any) -> CallToolResult:
    async def ask() -> CallToolResult:
        async with Client(make_mcp_server(app, folders or [])) as client:
            return await client.call_tool(tool, arguments)

    return anyio.run(ask)


def said(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


def pictures(result: CallToolResult) -> list[bytes]:
    return [base64.b64decode(one.data) for one in result.content if isinstance(one, ImageContent)]


def test_tools_say_what_they_take_and_change_nothing(app: App) -> None:
    async def ask() -> Any:
        async with Client(make_mcp_server(app)) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in anyio.run(ask)}
    assert set(tools) == {
        "describe_gallery", "search_by_image", "similar_shapes", "filter_shapes", "describe_shape"
    }  # fmt: skip
    for tool in tools.values():
        assert tool.description
        assert tool.annotations.read_only_hint
        assert tool.input_schema["additionalProperties"] is False
        assert all("description" in one for one in tool.input_schema["properties"].values())


@pytest.mark.parametrize("by", ["path", "base64", "data address"])
def test_a_photo_finds_what_the_command_finds_and_the_best_are_shown(by: str, app: App, world: Path) -> None:
    photo = world / "photos/bars/0.png"
    code = base64.b64encode(photo.read_bytes()).decode()
    sent: dict[str, dict[str, Any]] = {
        "path": {"path": str(photo)}, "base64": {"image": code},
        "data address": {"image": f"data:image/png;base64,{code}"},
    }  # fmt: skip
    found = asked(app, "search_by_image", top=2, crop="1,1,40,40", classes=["rod"], pictures=1, **sent[by])
    _, out, _ = hifa(
        "query", photo, "-g", world / "g", "--json", "--top", "2", "--crop", "1,1,40,40", "--class", "rod"
    )
    matches = json.loads(out)["results"][0]["matches"]
    assert not found.is_error
    assert [one["shape"] for one in found.structured_content["results"][0]["matches"]] == [
        one["shape"] for one in matches
    ]
    assert json.loads(said(found)) == found.structured_content
    assert pictures(found) == [Path(matches[0]["thumbnail"]).read_bytes()]


def test_similar_shapes_are_found_by_id_and_narrowed_by_a_condition(app: App) -> None:
    found = asked(app, "similar_shapes", ids=["rod/1"], where="class = 'rod'", pictures=0)
    assert [one["shape"] for one in found.structured_content["results"][0]["matches"]] == ["rod/2"]
    assert pictures(found) == []


def test_shapes_are_listed_by_a_condition_a_page_at_a_time(app: App) -> None:
    first = asked(app, "filter_shapes", where="watertight", top=2).structured_content
    rest = asked(app, "filter_shapes", where="watertight", top=2, offset=2).structured_content
    assert (first["count"], len(first["shapes"]), len(rest["shapes"])) == (3, 2, 1)
    assert first["shapes"][0]["fields"]["watertight"] is True
    assert {one["shape"] for one in first["shapes"] + rest["shapes"]} == {"box/1", "rod/1", "rod/2"}


def test_a_shape_and_the_gallery_are_described(app: App, world: Path) -> None:
    shape = asked(app, "describe_shape", id="rod/1")
    assert shape.structured_content["class"] == "rod"
    assert shape.structured_content["source"] == str(world / "meshes/rod/1.off")
    assert len(pictures(shape)) == 1
    about = asked(app, "describe_gallery").structured_content
    assert (about["shapes"], about["classes"], about["text"]) == (3, [["box", 1], ["rod", 2]], False)
    assert {"faces", "watertight"} <= {one["name"] for one in about["fields"]}


@pytest.mark.parametrize(
    ("tool", "arguments", "why"),
    [
        ("search_by_image", {}, "give a path or an image, one of them"),
        ("search_by_image", {"path": "a.png", "image": "eA=="}, "one of them"),
        ("search_by_image", {"path": "/nowhere/a.png"}, "/nowhere/a.png cannot be read"),
        ("search_by_image", {"path": "/dev/zero"}, "/dev/zero is not a file"),
        ("search_by_image", {"path": "{world}/large.png"}, "the limit of a photo"),
        ("search_by_image", {"path": "{world}/g/gallery.json"}, "cannot be read as a picture"),
        ("search_by_image", {"image": "not base64!"}, "not base64"),
        ("search_by_image", {"image": "A" * 200_000}, "the limit of a photo"),
        ("search_by_image", {"image": "eA==", "crop": "a"}, "crop takes x,y,w,h"),
        ("search_by_image", {"image": "eA==", "top": 101}, "at most 100"),
        ("search_by_image", {"image": "eA==", "limit": 3}, "limit"),
        ("search_by_image", {"path": "{world}/photos/bars/0.png", "text": "a chair"}, "knows no words"),
        ("similar_shapes", {"ids": ["rod/9"]}, "no shape 'rod/9': did you mean rod/"),
        ("similar_shapes", {"ids": []}, "no photo came"),
        ("filter_shapes", {"where": "size < 3"}, "size"),
        ("filter_shapes", {"classes": ["sofa"]}, "no class 'sofa'"),
        ("describe_shape", {"id": "nope"}, "no shape 'nope'"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_an_error_with_a_reason(
    tool: str, arguments: dict[str, Any], why: str, app: App, world: Path
) -> None:
    (world / "large.png").write_bytes(b"\0" * 100_001)
    arguments = {
        name: value.replace("{world}", str(world)) if isinstance(value, str) else value
        for name, value in arguments.items()
    }
    found = asked(app, tool, **arguments)
    assert found.is_error
    assert why in said(found)
    assert str(world / "g") not in said(found).replace(arguments.get("path", "-"), "")


def test_photos_outside_the_folders_that_may_be_read_are_refused(app: App, world: Path) -> None:
    inside, outside = world / "photos/bars/0.png", world / "photos/rings/0.png"
    (world / "photos/bars/link.png").unlink(missing_ok=True)
    (world / "photos/bars/link.png").symlink_to(outside)
    folders = [world / "photos/bars"]
    assert not asked(app, "search_by_image", folders, path=str(inside)).is_error
    for path in (outside, world / "photos/bars/../rings/0.png", world / "photos/bars/link.png"):
        assert "outside the folders of --images" in said(
            asked(app, "search_by_image", folders, path=str(path))
        )
    (world / "photos/bars/link.png").unlink()


def test_the_command_answers_over_stdin_and_stdout(world: Path) -> None:
    async def ask() -> Any:
        started = StdioServerParameters(
            command=sys.executable, args=["-m", "hifa_cli", "mcp", str(world / "g"), "-q"], env={**os.environ}
        )
        async with Client(stdio_client(started)) as client:
            return await client.call_tool("search_by_image", {"path": str(world / "photos/bars/0.png")})

    found = anyio.run(ask)
    assert len(found.structured_content["results"][0]["matches"]) == 3
    assert len(pictures(found)) == 3


def test_a_folder_of_photos_that_is_missing_is_named(world: Path) -> None:
    code, out, err = hifa("mcp", world / "g", "--images", world / "nope")
    assert (code, out) == (1, "")
    assert err.strip() == f"error: --images {world / 'nope'} is not a folder: give one that holds photos"


def test_without_the_sdk_the_extra_is_named(world: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['mcp'] = None\n")
    done = subprocess.run(
        [sys.executable, "-m", "hifa_cli", "mcp", str(world / "g")], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"}, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip() == "error: hifa mcp needs the MCP SDK: pip install 'hifa-cli[mcp]'"
    assert done.stdout == ""
