"""``hifa serve``."""

from pathlib import Path
from typing import Annotated

import typer

from hifa_cli.cli.options import Config, Device, Quiet, Verbose
from hifa_cli.cli.terminal import start_reporting
from hifa_cli.config import ServeConfig
from hifa_cli.runtime import progress


def serve(
    gallery: Annotated[Path, typer.Argument(help="Folder of 'hifa index'.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = ServeConfig.port,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; 0.0.0.0 (or ::) lets others in: see --token."),
    ] = ServeConfig.host,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A name that browsers reach the page by, such as a proxy's. Repeatable. "
            "Loopback, the bound address and this machine's own names need none.",
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="HIFA_TOKEN", help="Ask everybody for this token; 'random' makes one. Default: none."
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Run of 'hifa train', where the gallery holds no model.")
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
    verbose: Verbose = False,
    config: Config = None,
) -> None:
    """Search by photos on a page in the browser; see and turn the shapes.

    [dim]hifa serve gallery[/]
    [dim]hifa serve gallery --host 0.0.0.0 --token random[/]
    [dim]hifa serve gallery --allow-host shapes.example.org[/]
    """
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
    server = make_server(App(gallery, model, device, settings))
    mine, *others = access.addresses(settings, server.server_address[1])
    if warning := access.warning(settings):
        progress.warn(warning)
    typer.echo(mine)
    for address in others:
        progress.note(f"for others: {address}")
    progress.note("Ctrl-C stops it")
    with server:
        server.serve_forever()
