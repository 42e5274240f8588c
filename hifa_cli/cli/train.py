"""``hifa train``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from hifa_cli.cli.options import Config, Device, Features, Force, Json, Quiet, Seed, Verbose
from hifa_cli.cli.terminal import print_json, talk_for
from hifa_cli.config import PRESETS, Freeze, Method, Preset, TrainConfig

Number = float | None
Count = int | None
_BY_PRESET = "Default: what the preset says."


def train(
    images: Annotated[Path, typer.Option(help="Labelled photos: a folder a class.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: weights, configuration, log.")],
    shapes: Annotated[
        Path | None, typer.Option(help="Rendered shapes ('hifa render'). Their folders' names are not read.")
    ] = None,
    method: Annotated[
        Method, typer.Option(help="The method, or an ablation of table 3.")
    ] = TrainConfig.method,
    preset: Annotated[
        Preset,
        typer.Option(
            help="stable trains from any start; paper and lab are the published recipes, as they are."
        ),
    ] = TrainConfig.preset,
    split: Annotated[str | None, typer.Option(help="Use only this split, e.g. train.")] = None,
    backbone: Annotated[
        str | None, typer.Option(help="efficientnet_lite0, alexnet, or any timm model by name. " + _BY_PRESET)
    ] = None,
    weights: Annotated[str | None, typer.Option(help="imagenet, none, or a file of weights.")] = None,
    freeze: Annotated[
        Freeze | None,
        typer.Option(help="Keep the trunk as it is; auto does so on a CPU, where training it takes days."),
    ] = None,
    steps: Annotated[Count, typer.Option(min=1, help="Steps of the run.")] = None,
    images_per_step: Annotated[Count, typer.Option("--photos-per-step", min=1, help="Photos a step.")] = None,
    shapes_per_step: Annotated[Count, typer.Option(min=1, help="Shapes a step.")] = None,
    views: Annotated[Count, typer.Option(min=1, help="Views of a shape a step.")] = None,
    rate: Annotated[Number, typer.Option(min=0, help="Learning rate of the new layers.")] = None,
    weight_mutual: Annotated[
        Number, typer.Option(min=0, help="λ of equation 7; 0 is the placebo arm.")
    ] = None,
    weight_global: Annotated[Number, typer.Option(min=0, help="β of equation 7.")] = None,
    weight_local: Annotated[Number, typer.Option(min=0, help="Factor on γ of equation 7.")] = None,
    radius: Annotated[Number, typer.Option(min=0, help="R of equation 4.")] = None,
    embedding: Annotated[Count, typer.Option(min=1, help="D, the length of a descriptor.")] = None,
    clip: Annotated[Number, typer.Option(min=0, help="Largest gradient norm; 0 means none.")] = None,
    checkpoint: Annotated[Count, typer.Option(min=1, help="Steps between checkpoints.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run, and fail where there is none.")
    ] = False,
    seed: Seed = 0,
    feature_cache: Features = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    config: Config = None,
) -> None:
    """Train on labelled photos and unlabelled shapes.

    Interrupted runs go on where they stopped when the same command is given again.

    [dim]hifa train --images photos --shapes views --out run[/]
    """
    from hifa_cli import train as stage
    from hifa_cli.checkpoints import CHECKPOINT
    from hifa_cli.data import Collection, find_images, find_shapes
    from hifa_cli.device import pick_device
    from hifa_cli.errors import HifaError

    given: dict[str, Any] = {
        "backbone": backbone, "weights": weights, "freeze": freeze, "steps": steps, "images": images_per_step,
        "shapes": shapes_per_step, "views": views, "rate": rate, "weight_mutual": weight_mutual,
        "weight_global": weight_global, "weight_local": weight_local, "radius": radius,
        "embedding": embedding, "clip": clip, "checkpoint": checkpoint,
    }  # fmt: skip
    chosen: dict[str, Any] = {
        **PRESETS[preset],
        **{name: value for name, value in given.items() if value is not None},
    }
    settings = TrainConfig(method=method, preset=preset, **chosen)
    if shapes is None and method != "source-only":
        raise typer.BadParameter(f"--method {method} aligns photos with shapes: give --shapes VIEWS")
    if resume and not (out / CHECKPOINT).exists():
        raise HifaError(f"nothing to resume in {out}: there is no {CHECKPOINT}; leave out --resume to start")
    talk = talk_for(quiet=quiet, verbose=verbose)
    photos = find_images(images, split=split)
    targets = find_shapes(shapes, split=split) if shapes else Collection((), ())
    photos.tell(talk)
    targets.tell(talk)
    talk.note(f"{len(photos.items)} photos of {len(photos.classes)} classes, {len(targets.items)} shapes")
    where = pick_device(device)
    report = stage.train(
        photos,
        targets,
        out,
        settings,
        seed=seed,
        device=where,
        force=force,
        talk=talk,
        features=feature_cache,
    )
    document = {
        "out": str(out), "method": method, "steps": report.steps, "seconds": report.seconds,
        "model": report.digest, "last": report.last, "config": asdict(settings),
    }  # fmt: skip
    if as_json:
        print_json(document)
    else:
        talk.note(f"trained {method}: {report.steps} steps in {report.seconds} s, model {report.digest[:12]}")
        talk.note(f"next: hifa export --model {out} --images PHOTOS --shapes VIEWS --out EMB.h5")
