"""``hifa adapt``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hifa_cli.cli.options import (
    EXPORTS,
    Config,
    Force,
    Json,
    Quiet,
    Seed,
    Verbose,
    out_option,
    refuse_ending,
    set_option,
)
from hifa_cli.cli.terminal import print_json, start_reporting
from hifa_cli.config import ADAPT_DIMENSIONS, AdaptConfig
from hifa_cli.runtime import progress

Shallow = Literal["jgsa", "meda", "labels"]
_OWN = ", ".join(f"{name} {count}" for name, count in ADAPT_DIMENSIONS.items())
_DEFAULT = AdaptConfig()
SETTINGS = "Settings of the method"


def adapt(
    export: Annotated[
        Path,
        typer.Argument(
            metavar="TEST.h5|GALLERY", help="Embeddings ('hifa export'), or with labels a gallery, to adapt."
        ),
    ],
    out: Annotated[Path, out_option("The adapted embeddings, or the gallery; it may be the same one.")],
    fit: Annotated[
        Path | None,
        typer.Option(
            metavar="TRAIN.h5|PHOTOS",
            help="Photos with labels and shapes, whose labels are not read; for a gallery photos in a folder "
            "per class.",
            show_default="none; give it or --fitted",
        ),
    ] = None,
    method: Annotated[
        Shallow,
        typer.Option(help="jgsa and meda adapt embeddings; labels teaches a gallery by labelled photos."),
    ] = _DEFAULT.method,
    maps: Annotated[
        Path | None,
        typer.Option(
            metavar="MAPS.npz",
            help="Keep what was fitted, for other embeddings.",
            show_default="it is not kept",
        ),
    ] = None,
    fitted: Annotated[
        Path | None,
        typer.Option(
            metavar="MAPS.npz",
            help="Use what --maps kept instead of fitting.",
            show_default="none; give it or --fit",
        ),
    ] = None,
    dimension: Annotated[
        int,
        typer.Option(
            min=0,
            help=f"Of the common subspace; 0 is the method's own ({_OWN}).",
            rich_help_panel=SETTINGS,
        ),
    ] = _DEFAULT.dimension,
    iterations: Annotated[
        int,
        typer.Option(min=1, help="Rounds of guessing the shapes' classes.", rich_help_panel=SETTINGS),
    ] = _DEFAULT.iterations,
    landmarks: Annotated[
        int,
        typer.Option(
            min=0,
            help="MEDA: so many points instead of the whole kernel; 0 is all.",
            rich_help_panel=SETTINGS,
        ),
    ] = _DEFAULT.landmarks,
    assignments: Annotated[
        list[str] | None,
        set_option(
            "Any other setting, e.g. rho=0.5 or alpha=2. Repeatable.",
            show_default="as docs/methods.md says",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    seed: Seed = _DEFAULT.seed,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    config: Config = None,
) -> None:
    """Adapt embeddings by JGSA or MEDA, or a gallery by a few labelled photos, without training."""
    if method == "labels" or export.is_dir():
        if method != "labels" or not export.is_dir():
            asked = f"{export} is a folder" if export.is_dir() else f"{export} is not a gallery"
            raise typer.BadParameter(
                f"{asked}: --method labels takes a gallery, other methods an export (.h5)"
            )
        if fit is None or maps is not None or fitted is not None:
            raise typer.BadParameter("--method labels needs --fit PHOTOS alone: neither --maps nor --fitted")
        start_reporting(quiet=quiet, verbose=verbose)
        _teach(export, fit, out, force=force, as_json=as_json)
        return
    if (fit is None) == (fitted is None):
        raise typer.BadParameter("give one of --fit TRAIN.h5 and --fitted MAPS")
    if fitted is not None and maps is not None:
        raise typer.BadParameter("--maps keeps what is fitted; with --fitted nothing is")
    refuse_ending(out, "--out", EXPORTS)
    chosen: dict[str, Any] = {
        "dimension": dimension, "iterations": iterations, "landmarks": landmarks, "seed": seed,
        **_assigned(assignments or []),
    }  # fmt: skip
    settings = AdaptConfig(method=method, **chosen)
    from hifa_cli.adaptation.adapters import apply_maps, fit_maps, load_maps, save_maps
    from hifa_cli.embeddings.io import read_export, write_export
    from hifa_cli.errors import HifaError

    for place in (out, *([maps] if maps else [])):
        if place.exists() and not force:
            raise HifaError(f"{place} exists: choose another name or give --force")
    start_reporting(quiet=quiet, verbose=verbose)
    test = read_export(export)
    learnt = load_maps(fitted) if fitted else fit_maps(read_export(fit or export), settings)
    done = apply_maps(test, learnt)
    if maps is not None:
        save_maps(maps, learnt)
    write_export(out, done)
    document = {
        "out": str(out), "maps": str(maps) if maps else None, "method": done.method, "model": done.model,
        "images": len(done.images or ()), "shapes": len(done.shapes or ()), "config": asdict(learnt.config),
    }  # fmt: skip
    if as_json:
        print_json(document)
    else:
        progress.note(f"{done.method}: {document['images']} photos and {document['shapes']} shapes in {out}")
        progress.note(f"next: hifa evaluate {export} {out}")


def _teach(gallery: Path, photos: Path, out: Path, *, force: bool, as_json: bool) -> None:
    from hifa_cli.data import find_images
    from hifa_cli.errors import HifaError
    from hifa_cli.gallery.labels import teach_gallery

    if out.exists() and out.resolve() != gallery.resolve() and not force:
        raise HifaError(f"{out} exists: choose another name or give --force")
    done = {"out": str(out), **teach_gallery(gallery, find_images(photos), out)}
    if as_json:
        print_json(done)
        return
    progress.note(f"{done['photos']} photos of {done['classes']} classes taught {done['shapes']} shapes")
    progress.note(f"next: hifa query PHOTO -g {out}")


def _assigned(texts: list[str]) -> dict[str, Any]:
    from hifa_cli.settings import pairs, typed

    try:
        return typed(AdaptConfig, dict(pairs(texts)), sealed=("method",))
    except ValueError as error:
        raise typer.BadParameter(f"--set: {error}") from error
