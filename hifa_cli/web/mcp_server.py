"""Answer agents over the Model Context Protocol: tools that search an open gallery.

The tools do what ``/v1`` does over HTTP, with the same limits. They read a file only where a call names it.
"""

import base64
import binascii
import json
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ImageContent, TextContent, ToolAnnotations
from pydantic import Field

from hifa_cli import __version__
from hifa_cli.config import Find
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery
from hifa_cli.query.parse import parse_box
from hifa_cli.query.retrieve import QueryOptions
from hifa_cli.web.app import App, Photo
from hifa_cli.web.shapes import facts_of, listed_shapes, row_of

MOST_PICTURES = 12  # thumbnails of an answer: each costs the agent as much as a page of text
INSTRUCTIONS = (
    "Searches a gallery of 3D shapes by photos. Call describe_gallery first: it lists the classes, and the "
    "fields that conditions ('where') can use. Scores are cosines and compare within one answer only; "
    "'likelihood' is in 0 … 1 where it stands. 'source' is the path of a shape's mesh."
)

Top = Annotated[int, Field(ge=1, description="How many shapes.")]
Classes = Annotated[list[str], Field(description="Only shapes of these classes; none means all.")]
Where = Annotated[
    str,
    Field(
        description="Only shapes that this condition holds for, such as: faces < 5000 and licence = 'CC0'. "
        "Comparisons are = != < <= > >= and in ('a', 'b'); a flag stands alone; also and, or, not, ( )."
    ),
]
Pictures = Annotated[
    int, Field(ge=0, le=MOST_PICTURES, description="Of how many of the best shapes a picture is sent.")
]
Ids = Annotated[list[str], Field(description="Ids of shapes.")]


class _Tools:
    """The tools of a gallery; each public method is one, and its docstring is what the agent reads.

    Args:
        app: the open gallery.
        folders: where pictures may be read by their path; none means anywhere.
    """

    def __init__(self, app: App, folders: Sequence[Path] = ()) -> None:
        self._app, self._folders = app, [folder.resolve() for folder in folders]

    def search_by_image(
        self,
        path: Annotated[str, Field(description="Path of a photo on this machine.")] = "",
        image: Annotated[str, Field(description="A photo's file in base64, in place of a path.")] = "",
        top: Top = 10,
        classes: Classes = [],  # noqa: B006 - the SDK makes the schema of it; nobody changes it
        where: Where = "",
        find: Annotated[
            Find, Field(description="The same kind, the very part, or what serves both.")
        ] = "both",
        crop: Annotated[str, Field(description="x,y,w,h in pixels: the part of the photo that counts.")] = "",
        text: Annotated[
            str, Field(description="Words beside the photo, where describe_gallery says text.")
        ] = "",
        text_weight: Annotated[float, Field(ge=0, le=1, description="Of the words beside the photo.")] = 0.5,
        pictures: Pictures = 3,
    ) -> CallToolResult:
        """Find the 3D shapes that a photo shows, best first. Give a path or a base64 image, one of them."""
        with _refusals():
            photo = self._photo(path, image, crop)
            wanted = self._wanted(top, classes, where, find=find, text=text, text_weight=text_weight)
            return self._found(self._app.search([photo], wanted), pictures)

    def search_by_text(
        self,
        text: Annotated[str, Field(description="What to look for, such as: a red office chair.")],
        top: Top = 10,
        classes: Classes = [],  # noqa: B006
        where: Where = "",
        pictures: Pictures = 3,
    ) -> CallToolResult:
        """Find the 3D shapes that words describe, best first."""
        with _refusals():
            return self._found(self._app.search([], self._wanted(top, classes, where, text=text)), pictures)

    def similar_shapes(
        self,
        ids: Ids,
        unlike: Annotated[list[str], Field(description="Ids of shapes to be less like.")] = [],  # noqa: B006
        top: Top = 10,
        classes: Classes = [],  # noqa: B006
        where: Where = "",
        pictures: Pictures = 3,
    ) -> CallToolResult:
        """Find the shapes that are most like one shape of the gallery, or like several of them."""
        with _refusals():
            wanted = self._wanted(top, classes, where, like=tuple(ids), unlike=tuple(unlike))
            return self._found(self._app.search([], wanted), pictures)

    def filter_shapes(
        self,
        where: Where = "",
        classes: Classes = [],  # noqa: B006
        top: Top = 20,
        offset: Annotated[int, Field(ge=0, description="How many to leave out: the next page.")] = 0,
    ) -> CallToolResult:
        """List the shapes that a condition holds for, with their fields, and count them all."""
        with _refusals():
            return _answer(listed_shapes(self._app.current(), self._wanted(top, classes, where), offset))

    def describe_shape(self, id: Annotated[str, Field(description="Of the shape.")]) -> CallToolResult:
        """Describe a shape: its class, its fields, the path of its mesh, and a picture."""
        with _refusals():
            gallery = self._app.current()
            row = row_of(gallery, id)
            source = gallery.source(row)
            document = {**facts_of(gallery, row), "source": str(source) if source else None}
            return _answer(document, _pictures(gallery, [id]))

    def describe_gallery(self) -> CallToolResult:
        """Describe the gallery: how many shapes, classes and fields with counts and ranges, limits."""
        with _refusals():
            self._app.current()
            return _answer(self._app.about())

    def _photo(self, path: str, image: str, crop: str) -> Photo:
        if bool(path) == bool(image):
            raise HifaError("give a path or an image, one of them")
        try:
            box = parse_box(crop) if crop else None
        except ValueError as error:
            raise HifaError(
                f"crop takes x,y,w,h in pixels, such as 120,40,300,300, not '{crop[:40]}'"
            ) from error
        if path:
            return Photo(Path(path).name, self._read(Path(path).expanduser()), box)
        return Photo("image", _decoded(image, self._app.config.upload), box)

    def _read(self, path: Path) -> bytes:
        """Return a picture's file.

        Raises:
            HifaError: it is not a file, is too large, or lies outside the folders that may be read.
        """
        if self._folders and not any(path.resolve().is_relative_to(one) for one in self._folders):
            raise HifaError(
                f"{path} is outside the folders of --images: choose one inside, or send the image"
            )
        most = self._app.config.upload
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise HifaError(f"{path} is not a file: give the path of a photo")
            with path.open("rb") as file:
                content = file.read(most + 1)
        except (OSError, ValueError) as error:
            raise HifaError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from error
        if len(content) > most:
            raise HifaError(f"{path} has more than {most // 1_000_000} MB, the limit of a photo")
        return content

    def _wanted(self, top: int, classes: Sequence[str], where: str, **more: Any) -> QueryOptions:
        if top > self._app.config.most:
            raise HifaError(f"top is {top}: ask for at most {self._app.config.most} shapes")
        return QueryOptions(top, classes=tuple(classes), where=where, **more)

    def _found(self, document: dict[str, Any], pictures: int) -> CallToolResult:
        best = [match["shape"] for match in document["results"][0]["matches"][:pictures]]
        return _answer(document, _pictures(self._app.gallery, best))


def make_mcp_server(app: App, folders: Sequence[Path] = ()) -> MCPServer[Any]:
    """Return a server of an open gallery, to be run over any transport of the SDK."""
    tools = _Tools(app, folders)
    known = [
        tools.describe_gallery, tools.search_by_image, tools.similar_shapes, tools.filter_shapes,
        tools.describe_shape,
    ]  # fmt: skip
    if app.about()["text"]:
        known.append(tools.search_by_text)
    return MCPServer(
        "hifa", instructions=INSTRUCTIONS, version=__version__, log_level="ERROR",
        tools=[_tool(one) for one in known],
    )  # fmt: skip


def _tool(method: Any) -> Tool:
    """Return a tool that refuses arguments it does not have, where the SDK would ignore them."""
    tool = Tool.from_function(method, annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
    arguments = tool.fn_metadata.arg_model
    arguments.model_config["extra"] = "forbid"
    arguments.model_rebuild(force=True)
    tool.parameters = arguments.model_json_schema(by_alias=True)
    return tool


def _pictures(gallery: Gallery, ids: Sequence[str]) -> list[TextContent | ImageContent]:
    """Return each shape's picture behind its id, as far as the gallery has them."""
    shown: list[TextContent | ImageContent] = []
    for name in ids:
        row = gallery.ids.row(name)
        path = None if row is None else gallery.thumbnail(row)  # the gallery may have changed meanwhile
        if path is not None:
            data = base64.b64encode(path.read_bytes()).decode()
            shown += [
                TextContent(type="text", text=_plain(name)),
                ImageContent(type="image", data=data, mime_type="image/png"),
            ]
    return shown


@contextmanager
def _refusals() -> Iterator[None]:
    """Pass on what the caller can mend; the SDK hides the words of all other errors from agents."""
    try:
        yield
    except HifaError as error:
        raise ToolError(_plain(str(error))) from error


def _answer(document: Any, pictures: Sequence[TextContent | ImageContent] = ()) -> CallToolResult:
    text = json.dumps(document, ensure_ascii=False)
    content = [TextContent(type="text", text=_plain(text)), *pictures]
    return CallToolResult(content=list(content), structured_content=json.loads(_plain(text)))


def _plain(text: str) -> str:
    """Return a text that UTF-8 can carry: names of files may hold bytes that are not text."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _decoded(image: str, most: int) -> bytes:
    """Return the bytes of a base64 text, which may be the whole of a data address."""
    if len(image) > 4 * (most // 3 + 100):
        raise HifaError(f"the image has more than {most // 1_000_000} MB, the limit of a photo")
    text = image.partition(";base64,")[2] if image.startswith("data:") else image
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise HifaError(
            "the image is not base64: send a picture's file in base64, or give its path"
        ) from error
