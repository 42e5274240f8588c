"""``hifa index``."""

from pathlib import Path
from typing import Annotated

import typer

from hifa_cli.cli.options import Config, Device, Force, Json, Quiet, Verbose
from hifa_cli.cli.terminal import print_json, talk_for
from hifa_cli.config import IndexConfig, RenderConfig, Up


def index(
    source: Annotated[
        Path, typer.Argument(help="An export (HDF5), a folder of rendered views, or a folder of meshes.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the gallery.")],
    model: Annotated[
        Path | None,
        typer.Option(help="Run of 'hifa train'. Default: the export's, or the pretrained encoder."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Use only this split of views or meshes, e.g. test.")
    ] = None,
    factory: Annotated[
        str, typer.Option(help="FAISS factory string; auto goes by size.")
    ] = IndexConfig.factory,
    up: Annotated[Up, typer.Option(help="Up axis of the meshes; auto goes by format.")] = RenderConfig.up,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that render. Default: all cores.")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    config: Config = None,
) -> None:
    """Make a gallery that photos can be held against.

    [dim]hifa index meshes/ --out gallery[/]

    A folder of meshes is rendered, embedded and indexed in one go; given again, only what is new or has
    changed is rendered.
    """
    from hifa_cli import build
    from hifa_cli.device import pick_device

    talk = talk_for(quiet=quiet, verbose=verbose)
    report = build.build_gallery(
        source,
        out,
        model=model,
        split=split,
        index_config=IndexConfig(factory=factory),
        render_config=RenderConfig(up=up),
        workers=workers,
        device=pick_device(device),
        force=force,
        talk=talk,
    )
    if as_json:
        print_json({"out": str(out), **report})
    else:
        talk.note(f"{report['shapes']} shapes in {out} ({report['factory']})")
        talk.note(f"next: hifa query PHOTO -g {out}")
