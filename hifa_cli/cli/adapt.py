"""``hifa adapt``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hifa_cli.cli.options import Config, Force, Json, Quiet, Seed, Verbose, out_option
from hifa_cli.cli.terminal import print_json, start_reporting
from hifa_cli.config import ADAPT_DIMENSIONS, AdaptConfig
from hifa_cli.runtime import progress

Shallow = Literal["jgsa", "meda"]
_OWN = ", ".join(f"{name} {count}" for name, count in ADAPT_DIMENSIONS.items())
_DEFAULT = AdaptConfig()
SETTINGS = "Settings of the method"


def adapt(
    export: Annotated[Path, typer.Argument(metavar="TEST.h5", help="Embeddings to adapt ('hifa export').")],
    out: Annotated[Path, out_option("The adapted embeddings, of the same schema.")],
    fit: Annotated[
        Path | None,
        typer.Option(
            metavar="TRAIN.h5",
            help="Photos with labels and shapes; shapes' labels are not read.",
            show_default="none; give it or --fitted",
        ),
    ] = None,
    method: Annotated[Shallow, typer.Option(help="The shallow method.")] = _DEFAULT.method,
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
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other setting, e.g. rho=0.5 or alpha=2. Repeatable.",
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
    """Adapt embeddings: JGSA or MEDA, fitted on labelled photos and unlabelled shapes."""
    if (fit is None) == (fitted is None):
        raise typer.BadParameter("give one of --fit TRAIN.h5 and --fitted MAPS")
    if fitted is not None and maps is not None:
        raise typer.BadParameter("--maps keeps what is fitted; with --fitted nothing is")
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


def _assigned(texts: list[str]) -> dict[str, Any]:
    from hifa_cli.settings import pairs, typed

    try:
        return typed(AdaptConfig, dict(pairs(texts)), sealed=("method",))
    except ValueError as error:
        raise typer.BadParameter(f"--set: {error}") from error
