"""``hifa train``."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hifa_cli.cli import completion
from hifa_cli.cli.options import (
    BY_PRESET,
    RUN,
    SAY,
    AcceptLicence,
    Config,
    Device,
    Features,
    Force,
    Json,
    LayoutName,
    Meshes,
    Quiet,
    Seed,
    Threads,
    Verbose,
    backbone_option,
    freeze_option,
    out_option,
    set_option,
    weights_option,
)
from hifa_cli.cli.terminal import print_json, print_result, start_reporting
from hifa_cli.config import DEFAULT_RECIPE, Freeze, Preset, Pretrain, TrainConfig
from hifa_cli.errors import HifaError
from hifa_cli.methods.registry import METHODS, check_method, find_method, settings_of
from hifa_cli.runtime import progress
from hifa_cli.settings import choose_recipe, names_of, pairs, run_settings, train_config

if TYPE_CHECKING:
    import torch

    from hifa_cli.data import Collection

Keep = Literal["last", "best"]
Number = float | None
Count = int | None


def _known_method(name: str | None) -> str | None:
    if name is None:
        return None
    try:
        check_method(name)
    except HifaError as error:
        raise typer.BadParameter(str(error)) from error
    return name


DATA, NETWORK, STEPS, LOSS = "What of the data", "Network", "Steps", "Losses (equation 7)"


_FLAGS = {"images": "images_per_step", "shapes": "shapes_per_step"}  # parameters not named as their field

_SHOWN = (
    "method",
    "preset",
    "backbone",
    "weights",
    "freeze",
    "pseudo_labels",
    "steps",
    "images",
    "shapes",
    "rate",
)


def train(
    context: typer.Context,
    images: Annotated[Path, typer.Option(metavar="PHOTOS", help="Labelled photos: a folder a class.")],
    out: Annotated[Path, out_option("Folder of the run: weights, configuration, log.")],
    shapes: Annotated[
        Path | None,
        typer.Option(
            metavar="VIEWS",
            help="Rendered shapes ('hifa render'). Their folders' names are not read.",
            show_default="none; every method but source-only needs them",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            callback=_known_method,
            autocompletion=completion.methods,
            help=f"{', '.join(METHODS)}, or package.module:Class of your own (docs/methods.md).",
            show_default="hifa-l; with --preset: hifa",
        ),
    ] = None,
    preset: Annotated[
        Preset | None,
        typer.Option(
            help="propagated: the paper's L_C and L_L on an input, a pooling and labels of ours; stable: the "
            "paper's method, weights of ours; paper and lab: the published recipes, as they are.",
            show_default="propagated; with --method: stable",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Measure a few steps and say what the run would cost; write nothing."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run, and fail where none was begun.")
    ] = False,
    split: Annotated[
        str | None,
        typer.Option(
            help="Use only this split, e.g. train.",
            show_default="all there is",
            autocompletion=completion.splits,
            rich_help_panel=DATA,
        ),
    ] = None,
    layout: LayoutName = "auto",
    validation: Annotated[
        Number,
        typer.Option(
            min=0,
            max=0.9,
            help="Share of the photos held out and classified as it runs.",
            show_default=f"{TrainConfig.validation:g}",
            rich_help_panel=DATA,
        ),
    ] = None,
    keep: Annotated[
        Keep | None,
        typer.Option(
            help="Which weights: the last, or best on the held-out photos.",
            show_default=TrainConfig.keep,
            rich_help_panel=DATA,
        ),
    ] = None,
    backbone: Annotated[str | None, backbone_option(NETWORK)] = None,
    weights: Annotated[str | None, weights_option(NETWORK)] = None,
    freeze: Annotated[Freeze | None, freeze_option(NETWORK)] = None,
    pretrain: Annotated[
        Pretrain | None,
        typer.Option(
            help="generated: a first stage, ours and without labels: photos generated of the shapes' meshes "
            "learn to find their shapes (a map of the photos; with --freeze blocks:N the last blocks).",
            show_default=TrainConfig.pretrain,
            rich_help_panel=NETWORK,
        ),
    ] = None,
    meshes: Meshes = None,
    embedding: Annotated[
        Count,
        typer.Option(
            min=1, help="D, the length of a descriptor.", show_default=BY_PRESET, rich_help_panel=NETWORK
        ),
    ] = None,
    steps: Annotated[
        Count,
        typer.Option(min=1, help="Steps of the run.", show_default=BY_PRESET, rich_help_panel=STEPS),
    ] = None,
    images_per_step: Annotated[
        Count,
        typer.Option(
            "--photos-per-step",
            min=1,
            help="Photos a step.",
            show_default=BY_PRESET,
            rich_help_panel=STEPS,
        ),
    ] = None,
    shapes_per_step: Annotated[
        Count, typer.Option(min=1, help="Shapes a step.", show_default=BY_PRESET, rich_help_panel=STEPS)
    ] = None,
    views: Annotated[
        Count,
        typer.Option(min=1, help="Views of a shape a step.", show_default=BY_PRESET, rich_help_panel=STEPS),
    ] = None,
    rate: Annotated[
        Number,
        typer.Option(
            min=0,
            help="Learning rate of the new layers.",
            show_default=BY_PRESET,
            rich_help_panel=STEPS,
        ),
    ] = None,
    clip: Annotated[
        Number,
        typer.Option(
            min=0,
            help="Largest gradient norm; 0 means none.",
            show_default=BY_PRESET,
            rich_help_panel=STEPS,
        ),
    ] = None,
    checkpoint: Annotated[
        Count,
        typer.Option(
            min=1,
            help="Steps between checkpoints.",
            show_default=f"{TrainConfig.checkpoint}",
            rich_help_panel=STEPS,
        ),
    ] = None,
    weight_mutual: Annotated[
        Number,
        typer.Option(min=0, help="λ; 0 is the placebo arm.", show_default=BY_PRESET, rich_help_panel=LOSS),
    ] = None,
    weight_global: Annotated[
        Number, typer.Option(min=0, help="β.", show_default=BY_PRESET, rich_help_panel=LOSS)
    ] = None,
    weight_local: Annotated[
        Number, typer.Option(min=0, help="Factor on γ.", show_default=BY_PRESET, rich_help_panel=LOSS)
    ] = None,
    radius: Annotated[
        Number,
        typer.Option(min=0, help="R of equation 4.", show_default=BY_PRESET, rich_help_panel=LOSS),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        set_option(
            "Any other number of the run, e.g. momentum=0.8. Repeatable.",
            show_default=BY_PRESET,
            rich_help_panel=LOSS,
        ),
    ] = None,
    chunk: Annotated[
        Count,
        typer.Option(
            min=0,
            help="Pictures whose activations are held at once (0: all); saves memory.",
            show_default=f"{TrainConfig.chunk}",
            rich_help_panel=RUN,
        ),
    ] = None,
    feature_cache: Features = None,
    report: Annotated[
        bool,
        typer.Option(
            "--report/--no-report",
            help="Write RUN/report.html: beliefs, curves, t-SNE, examples.",
            rich_help_panel=SAY,
        ),
    ] = True,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Write TensorBoard scalars into the run's folder as well.",
            rich_help_panel=SAY,
        ),
    ] = False,
    seed: Seed = 0,
    threads: Threads = None,
    device: Device = "auto",
    accept_licence: AcceptLicence = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    config: Config = None,
) -> None:
    """Train on labelled photos and unlabelled shapes.

    Interrupted runs go on where they stopped when the same command is given again.
    """
    from hifa_cli.data import Collection, find_images, find_shapes
    from hifa_cli.runtime.device import pick_device
    from hifa_cli.runtime.distributed import joined
    from hifa_cli.training.checkpoint import CHECKPOINT

    chosen = {
        name: value
        for name in names_of(TrainConfig)
        if (value := context.params.get(_FLAGS.get(name, name))) is not None
    }
    method, preset = choose_recipe(method, preset)
    own = settings_of(method)  # a class of the user's that is not there is said first
    settings = train_config(method, preset, {**chosen, **_assigned(assignments or [], own)}, own)
    if shapes is None and find_method(method)[0].sees_shapes:  # loads torch, only where shapes are not given
        raise typer.BadParameter(f"--method {method} aligns photos with shapes: give --shapes VIEWS")
    if settings.pretrain != "none" and meshes is None:
        raise typer.BadParameter(
            f"--pretrain {settings.pretrain} makes photos of the shapes' meshes: give --meshes FOLDER"
        )
    if resume and not (out / CHECKPOINT).exists():
        raise HifaError(f"nothing to resume in {out}: it has no {CHECKPOINT}; leave out --resume to start")
    leads = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts, one speaks
    start_reporting(quiet=quiet or not leads, verbose=verbose)
    photos = find_images(images, split=split, layout=layout)
    targets = find_shapes(shapes, split=split, layout=layout) if shapes else Collection((), ())
    if leads:
        photos.report()
        targets.report()
    if (settings.preset, settings.inputs) == (DEFAULT_RECIPE[1], "pooled"):
        progress.note(f"the recipe '{settings.preset}' reads the pooled feature of {settings.backbone} alone")
    progress.note(f"{len(photos.items)} photos of {len(photos.classes)} classes, {len(targets.items)} shapes")
    with joined(pick_device(device)) as where:
        if dry_run:
            _show_estimate(photos, targets, settings, seed, where, as_json=as_json)
            return
        _train(
            photos, targets, out, settings, seed=seed, device=where, force=force,
            features=feature_cache, tensorboard=tensorboard, report=report, as_json=as_json and leads,
            meshes=meshes,
        )  # fmt: skip


def _assigned(texts: list[str], own: type | None) -> dict[str, Any]:
    try:
        return run_settings(dict(pairs(texts)), own)
    except ValueError as error:
        raise typer.BadParameter(f"--set: {error}") from error


def _train(
    photos: "Collection", shapes: "Collection", out: Path, config: TrainConfig, *, as_json: bool,
    **options: Any,
) -> None:  # fmt: skip
    from hifa_cli.pipelines.train import run_training

    chosen = "  ".join(f"{name}={getattr(config, name)}" for name in _SHOWN)
    progress.note(f"{chosen}  (all settings: {out / 'run.json'})")
    done = run_training(photos, shapes, out, config, **options)
    document = {
        "out": str(out), "method": config.method, "steps": done.steps, "seconds": done.seconds,
        "model": done.digest, "last": done.last, "config": asdict(config),
    }  # fmt: skip
    if as_json:
        print_json(document)
    else:
        progress.note(
            f"trained {config.method}: {done.steps} steps in {done.seconds} s, model {done.digest[:12]}"
        )
        if options["report"]:
            progress.note(f"what it believed and learned: {out / 'report.html'}")
        progress.note(f"next: hifa export --model {out} --images PHOTOS --shapes VIEWS --out EMB.h5")


def _show_estimate(
    photos: "Collection", shapes: "Collection", config: TrainConfig, seed: int, device: "torch.device",
    *, as_json: bool,
) -> None:  # fmt: skip
    from hifa_cli.training.estimate import estimate_cost
    from hifa_cli.training.setup import setup_run

    run = setup_run(photos, shapes, config, seed=seed, device=device)
    if config.pretrain != "none":
        from hifa_cli.training.pretraining import expected

        progress.note(f"{expected(run)}; not in the times below")
    estimate = estimate_cost(run)
    document = {**asdict(estimate), "config": asdict(config)}
    if as_json:
        print_json(document)
        return
    from hifa_cli.viz.tables import listing

    table = listing("what", "measured here", numbers=("measured here",))
    for name, count in estimate.parameters.items():
        table.add_row(f"parameters: {name}", f"{count:,}")
    table.add_row("pictures a step", f"{estimate.pictures_a_step:,}")
    table.add_row("seconds a step", f"{estimate.seconds_a_step:.3g}")
    table.add_row("looking at every picture once", f"{estimate.seconds_looking:,.0f} s")
    table.add_row(f"{estimate.steps:,} steps in all", f"{estimate.seconds_in_all:,.0f} s")
    table.add_row(f"peak memory of the {estimate.memory_of}", f"{estimate.memory_gb:.2f} GB")
    print_result(table)
