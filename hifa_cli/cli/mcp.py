"""``hifa mcp``."""

from pathlib import Path
from typing import Annotated

import typer

from hifa_cli.cli.options import Config, Device, Quiet, Verbose, gallery_option
from hifa_cli.cli.terminal import start_reporting
from hifa_cli.config import ServeConfig
from hifa_cli.errors import HifaError


def mcp(
    place: Annotated[
        Path | None,
        typer.Argument(metavar="GALLERY", help="Folder of 'hifa index'.", show_default="what --gallery says"),
    ] = None,
    gallery: Annotated[
        Path | None, gallery_option("The same as the argument.", show_default="what the argument says")
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Read photos by their path in this folder only. Repeatable.",
            show_default="any path that an agent names",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Run of 'hifa train', where the gallery holds no model.",
            show_default="the gallery's model",
        ),
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
    verbose: Verbose = False,
    config: Config = None,
) -> None:
    """Let agents search a gallery, over the Model Context Protocol on stdin and stdout."""
    given = place or gallery
    if given is None or (place and gallery):
        raise typer.BadParameter("which gallery? give GALLERY, or -g GALLERY, once")
    start_reporting(quiet=quiet, verbose=verbose)
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
