"""``hifa serve``."""

from pathlib import Path
from typing import Annotated

import typer

from hifa_cli.cli.options import Config, Device, Quiet, Verbose
from hifa_cli.cli.terminal import talk_for
from hifa_cli.config import ServeConfig


def serve(
    gallery: Annotated[Path, typer.Argument(help="Folder of 'hifa index'.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = ServeConfig.port,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than this lets others ask, unprotected.")
    ] = ServeConfig.host,
    model: Annotated[
        Path | None, typer.Option(help="Run of 'hifa train', where the gallery holds no model.")
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
    verbose: Verbose = False,
    config: Config = None,
) -> None:
    """Drop photos on a page of this machine; see and turn the shapes.

    [dim]hifa serve gallery[/]
    """
    from hifa_cli.web.server import Desk, make_server

    talk = talk_for(quiet=quiet, verbose=verbose)
    server = make_server(Desk(gallery, model, device, ServeConfig(port=port, host=host), talk))
    typer.echo(f"http://{host}:{server.server_address[1]}/")
    talk.note("Ctrl-C stops it")
    with server:
        server.serve_forever()
