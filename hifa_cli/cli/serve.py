"""``hifa serve``."""

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
from hifa_cli.runtime import progress

REACH = "Who can reach it"


def serve(
    place: GalleryPlace = None,
    gallery: GalleryAgain = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 takes a free one.", rich_help_panel=REACH)
    ] = ServeConfig.port,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on; 0.0.0.0 (or ::) lets others in: see --token.",
            rich_help_panel=REACH,
        ),
    ] = ServeConfig.host,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A name that browsers reach the page by, such as a proxy's. Repeatable. "
            "Loopback, the bound address and this machine's own names need none.",
            show_default="no further name",
            rich_help_panel=REACH,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="HIFA_TOKEN",
            help="Ask everybody for this token; 'random' makes one.",
            show_default="HIFA_TOKEN, else none is asked for",
            rich_help_panel=REACH,
        ),
    ] = None,
    model: GalleryModel = None,
    device: Device = "auto",
    quiet: Quiet = False,
    verbose: Verbose = False,
    config: Config = None,
) -> None:
    """Search by photos on a page in the browser; see and turn the shapes."""
    given = one_gallery(place, gallery)
    from hifa_cli.runtime.threads import side_by_side

    side_by_side()
    from hifa_cli.web import access
    from hifa_cli.web.app import App
    from hifa_cli.web.server import make_server

    start_reporting(quiet=quiet, verbose=verbose)
    settings = ServeConfig(
        port=port,
        host=host.strip("[]"),
        allow_hosts=tuple(allow_host or ()),
        token=access.new_token(token),
    )
    server = make_server(App(given, model, device, settings))
    mine, *others = access.addresses(settings, server.port)
    if warning := access.warning(settings):
        progress.warn(warning)
    typer.echo(mine)
    for address in others:
        progress.note(f"for others: {address}")
    progress.note("Ctrl-C stops it")
    with server:
        server.run()
