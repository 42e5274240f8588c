"""``hifa mcp``."""

from pathlib import Path
from typing import Annotated

import typer

from hifa_cli.cli.options import (
    Config,
    Device,
    GalleryAgain,
    GalleryModel,
    GalleryPlace,
    Quiet,
    Verbose,
    one_gallery,
)
from hifa_cli.cli.terminal import start_reporting
from hifa_cli.config import ServeConfig
from hifa_cli.errors import HifaError


def mcp(
    place: GalleryPlace = None,
    gallery: GalleryAgain = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Read photos by their path in this folder only. Repeatable.",
            show_default="any path that an agent names",
        ),
    ] = None,
    model: GalleryModel = None,
    device: Device = "auto",
    quiet: Quiet = False,
    verbose: Verbose = False,
    config: Config = None,
) -> None:
    """Let agents search a gallery, over the Model Context Protocol on stdin and stdout."""
    given = one_gallery(place, gallery)
    start_reporting(quiet=quiet, verbose=verbose)
    from hifa_cli.runtime.threads import side_by_side

    side_by_side()
    try:
        from hifa_cli.web.mcp_server import make_mcp_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "pydantic"):
            raise
        raise HifaError("hifa mcp needs the MCP SDK: pip install 'hifa-cli[mcp]'") from error
    for folder in images or ():
        if not folder.is_dir():
            raise HifaError(f"--images {folder} is not a folder: give one that holds photos")
    from hifa_cli.web.app import App

    make_mcp_server(App(given, model, device, ServeConfig()), images or ()).run("stdio")
