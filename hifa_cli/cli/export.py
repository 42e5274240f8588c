"""``hifa export``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from hifa_cli.cli import completion
from hifa_cli.cli.options import (
    EXPORTS,
    AcceptLicence,
    Config,
    Device,
    Features,
    Force,
    Json,
    LayoutName,
    Quiet,
    Threads,
    Verbose,
    out_option,
    refuse_ending,
)
from hifa_cli.cli.terminal import print_json, start_reporting
from hifa_cli.config import TrainConfig
from hifa_cli.runtime import progress

if TYPE_CHECKING:
    from hifa_cli.data import Collection
    from hifa_cli.embeddings.io import Export

FROZEN = "Without a trained model"


def export(
    out: Annotated[Path, out_option("HDF5 file to write.")],
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
    backbone: Annotated[
        str | None,
        typer.Option(
            help="alexnet, dinov2-small, torchvision/NAME or any timm model by name.",
            show_default=TrainConfig.backbone,
            autocompletion=completion.backbones,
            rich_help_panel=FROZEN,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="imagenet (downloaded where it is not installed), none, or a file.",
            show_default=TrainConfig.weights,
            autocompletion=completion.weights,
            rich_help_panel=FROZEN,
        ),
    ] = None,
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
    accept_licence: AcceptLicence = False,
    threads: Threads = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    config: Config = None,
) -> None:
    """Embed photos and shapes into an HDF5 file."""
    if images is None and shapes is None:
        raise typer.BadParameter("nothing to export: give --images PHOTOS, --shapes VIEWS or both")
    if model is not None and (method or backbone or weights):
        raise typer.BadParameter("--model has its own backbone and weights: leave one out")
    refuse_ending(out, "--out", EXPORTS)
    from hifa_cli.data import find_images, find_shapes
    from hifa_cli.embeddings.io import write_export
    from hifa_cli.errors import HifaError
    from hifa_cli.runtime.device import settled_device
    from hifa_cli.runtime.lock import sole_output

    start_reporting(quiet=quiet, verbose=verbose)
    with sole_output(out):
        if out.exists() and not force:
            raise HifaError(f"{out} exists: choose another --out or give --force")
        photos = find_images(images, split=split, layout=layout) if images else None
        views = find_shapes(shapes, split=split, layout=layout) if shapes else None
        for found in (photos, views):
            if found is not None:
                found.report()
        about = {
            "run": _absolute(model),
            "weights": None if model else weights or TrainConfig.weights,
            "images": _absolute(images),
            "shapes": _absolute(shapes),
            "split": split,
        }
        done = _exported(
            _Encoder(model, backbone or TrainConfig.backbone, weights or TrainConfig.weights, size),
            photos, views, about, settled_device(device), feature_cache,
        )  # fmt: skip
        write_export(out, done)
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


class _Encoder(NamedTuple):
    """The encoder that was asked for: a run, or a backbone without training."""

    model: Path | None
    backbone: str
    weights: str
    size: int


def _exported(
    asked: _Encoder, photos: "Collection | None", views: "Collection | None", about: dict[str, Any],
    device: str, features: Path | None,
) -> "Export":  # fmt: skip
    """Export by a graph where there is one and it does; torch is loaded only else."""
    plain = asked.backbone == TrainConfig.backbone and asked.weights == "imagenet" and not asked.size
    if device == "cpu" and features is None and (asked.model is not None or plain):
        from hifa_cli.embeddings.graph_export import export_by_graph, exporting_encoder

        encoder = exporting_encoder(asked.model)
        if encoder is not None:
            return export_by_graph(encoder, photos, views, about=about)
    import torch

    from hifa_cli.embeddings import extract

    where = torch.device(device)
    if asked.model is not None:
        by_torch = extract.load_encoder(asked.model, where)
    else:
        prepared = extract.untrained(asked.backbone, asked.size)
        by_torch = extract.frozen_encoder(where, prepared, asked.weights)
    return extract.export(by_torch, photos, views, about=about, features=features)


def _absolute(path: Path | None) -> str | None:
    return str(path.resolve()) if path else None
