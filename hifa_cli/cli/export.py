"""``hifa export``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hifa_cli.cli import completion
from hifa_cli.cli.options import (
    EXPORTS,
    AcceptLicence,
    Config,
    Device,
    Engine,
    Features,
    Force,
    Json,
    LayoutName,
    Quiet,
    Shards,
    Threads,
    Verbose,
    backbone_option,
    check_engine,
    out_option,
    refuse_ending,
    weights_option,
)
from hifa_cli.cli.terminal import print_json, start_reporting
from hifa_cli.config import TrainConfig
from hifa_cli.runtime import progress

FROZEN = "Without a trained model"


def export(
    out: Annotated[Path, out_option("File to write: HDF5 (.h5), or Parquet (.parquet).")],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="Run of 'hifa train'.", show_default="the pretrained encoder, untrained"
        ),
    ] = None,
    method: Annotated[
        Literal["frozen"] | None,
        typer.Option(
            help="frozen: a pretrained backbone, untrained.",
            show_default="frozen without --model",
            rich_help_panel=FROZEN,
        ),
    ] = None,
    backbone: Annotated[str | None, backbone_option(FROZEN, TrainConfig.backbone)] = None,
    weights: Annotated[str | None, weights_option(FROZEN)] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="PHOTOS", help="Photos: a folder a class, or all in one.", show_default="no photos"
        ),
    ] = None,
    shapes: Annotated[
        Path | None,
        typer.Option(metavar="VIEWS", help="Rendered shapes ('hifa render').", show_default="no shapes"),
    ] = None,
    to: Annotated[
        Literal["hdf5", "parquet"] | None,
        typer.Option(
            help="Format, which --out must end like: hdf5 (.h5) or parquet (.parquet, hifa-cli[parquet]).",
            show_default="by the ending of --out",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Use only this split, e.g. test.",
            show_default="all there is",
            autocompletion=completion.splits,
        ),
    ] = None,
    layout: LayoutName = "auto",
    feature_cache: Features = None,
    size: Annotated[
        int,
        typer.Option(
            min=0,
            help="Pixels a side that the backbone sees; 0: as in its pretraining.",
            rich_help_panel=FROZEN,
        ),
    ] = 0,
    engine: Engine = "local",
    shards: Shards = None,
    accept_licence: AcceptLicence = False,
    threads: Threads = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    config: Config = None,
) -> None:
    """Embed photos and shapes into an HDF5 or Parquet file."""
    check_engine(engine, shards)
    if images is None and shapes is None:
        raise typer.BadParameter("nothing to export: give --images PHOTOS, --shapes VIEWS or both")
    if model is not None and (method or backbone or weights):
        raise typer.BadParameter("--model has its own backbone and weights: leave one out")
    refuse_ending(
        out, "--out", [one for one in EXPORTS if to is None or (one == ".parquet") == (to == "parquet")]
    )
    from hifa_cli.pipelines.export import EncoderChoice, Sources, run_export

    start_reporting(quiet=quiet, verbose=verbose)
    choice = EncoderChoice(model, backbone, weights, size)
    sources = Sources(images, shapes, split, layout)
    if engine == "ray":
        from hifa_cli.pipelines.export_cluster import ExportOptions, export_on_ray

        options = ExportOptions(device, feature_cache, threads or 1, shards)
        done = export_on_ray(choice, sources, out, options, force=force)
    else:
        done = run_export(choice, sources, device=device, features=feature_cache, out=out, force=force)
    counts = {
        name: len(part.ids) if part else 0
        for name, part in (("images", done.images), ("shapes", done.shapes))
    }
    if as_json:
        width = next(part.vectors.shape[1] for part in (done.images, done.shapes) if part is not None)
        print_json({"out": str(out), **counts, "dimension": width, "model": done.model})
    else:
        progress.note(f"{counts['images']} photos and {counts['shapes']} shapes in {out}")
        progress.note(f"next: hifa evaluate {out}, or hifa index {out} --out GALLERY")
