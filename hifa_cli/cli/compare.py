"""``hifa compare``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hifa_cli.cli import completion
from hifa_cli.cli.options import (
    BY_PRESET,
    RUN,
    TABLES,
    AcceptLicence,
    Config,
    Device,
    Features,
    Force,
    Json,
    Meshes,
    Quiet,
    Strict,
    Verbose,
    backbone_option,
    freeze_option,
    out_option,
    refuse_ending,
    set_option,
    weights_option,
)
from hifa_cli.cli.terminal import print_json, print_result, start_reporting
from hifa_cli.config import PRESETS, CompareConfig, EvaluateConfig, Freeze, MetricProfile, Preset, TrainConfig
from hifa_cli.runtime import progress

if TYPE_CHECKING:
    from hifa_cli.pipelines.compare.rows import Arm
    from hifa_cli.pipelines.compare.run import Comparison
    from hifa_cli.pipelines.compare.vary import Varied, Varying

_DEFAULT = CompareConfig()
MOST_SEEDS = 10_000  # from 0 on; a slip of the finger should not take all memory
EVERY_ROW, SCORE = "Recipe of every row", "Splits, scores and tables"
_OF_TRAIN = {"images_per_step": "images", "shapes_per_step": "shapes"}  # the flags of 'hifa train' by field
_PATHS = ("images", "shapes", "method", "preset")  # keys of [train] that mean something else there


def compare(
    context: typer.Context,
    images: Annotated[
        Path, typer.Option(metavar="PHOTOS", help="Labelled photos, with a train and a test split.")
    ],
    shapes: Annotated[
        Path, typer.Option(metavar="VIEWS", help="Rendered shapes ('hifa render'), with the same splits.")
    ],
    out: Annotated[Path, out_option("Folder of the comparison: runs, exports, scores, tables.")],
    methods: Annotated[
        str,
        typer.Option(
            metavar="METHOD,METHOD,…",
            help="Rows: a method of 'hifa train', METHOD(key=value,…) with settings of its own, frozen or "
            "frozen:BACKBONE without any training, jgsa or meda (fitted on source-only's embeddings, or "
            "on jgsa:METHOD's).",
            autocompletion=completion.rows,
        ),
    ] = _DEFAULT.methods,
    seeds: Annotated[
        str, typer.Option(metavar="COUNT | N,N,…", help="How many seeds from 0 on, or which.")
    ] = _DEFAULT.seeds,
    train_split: Annotated[
        str,
        typer.Option(help="Split to train on.", autocompletion=completion.splits, rich_help_panel=SCORE),
    ] = _DEFAULT.train_split,
    test_split: Annotated[
        str, typer.Option(help="Split to score.", autocompletion=completion.splits, rich_help_panel=SCORE)
    ] = _DEFAULT.test_split,
    preset: Annotated[
        Preset | None,
        typer.Option(help="Recipe of every row.", show_default=TrainConfig.preset, rich_help_panel=EVERY_ROW),
    ] = None,
    backbone: Annotated[str | None, backbone_option(EVERY_ROW)] = None,
    weights: Annotated[str | None, weights_option(EVERY_ROW)] = None,
    freeze: Annotated[Freeze | None, freeze_option(EVERY_ROW)] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps of the run.", show_default=BY_PRESET, rich_help_panel=EVERY_ROW),
    ] = None,
    meshes: Meshes = None,
    assignments: Annotated[
        list[str] | None,
        set_option(
            "Any other number of the run, e.g. momentum=0.8. Repeatable.",
            show_default=BY_PRESET,
            rich_help_panel=EVERY_ROW,
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="Row that all others are paired with.",
            show_default="the ablation's step before, and source-only",
            autocompletion=completion.rows,
            rich_help_panel=SCORE,
        ),
    ] = None,
    profile: Annotated[
        MetricProfile,
        typer.Option(help="Whose definitions of the metrics: see docs/metrics.md.", rich_help_panel=SCORE),
    ] = EvaluateConfig.profile,
    vary: Annotated[
        Literal["labels", "unlabelled", "views"] | None,
        typer.Option(
            help="Compare at several sizes of the data: labels (photos of each class), unlabelled (per cent "
            "of classes without photos), views (of each shape). Writes vary.json, .csv, .md and a figure.",
            show_default="the data as they are",
            rich_help_panel=SCORE,
        ),
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,…",
            help="Of --vary, e.g. 1,5,20.",
            show_default="labels 1,3,5,10,20; unlabelled 0,25,50,75; views 1,2,3,4,6,12",
            rich_help_panel=SCORE,
        ),
    ] = None,
    ranks: Annotated[
        bool,
        typer.Option(
            "--ranks",
            help="Write ranks.csv.gz, too: where each query's relevant shapes stand, for others to check.",
            rich_help_panel=SCORE,
        ),
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(
            min=0, help="Runs side by side; 0: by cores and memory, one on a GPU.", rich_help_panel=RUN
        ),
    ] = _DEFAULT.jobs,
    markdown: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.md",
            help="Write the tables there as well.",
            show_default="into --out alone",
            rich_help_panel=SCORE,
        ),
    ] = None,
    latex: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.tex",
            help="Write the tables there as well.",
            show_default="into --out alone",
            rich_help_panel=SCORE,
        ),
    ] = None,
    feature_cache: Features = None,
    accept_licence: AcceptLicence = False,
    device: Device = "auto",
    strict: Strict = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    config: Config = None,
) -> None:
    """Train and score methods over several seeds on the same data: the paper's tables.

    All rows share data, backbone, budget and seeds. What is done is reused: the same command goes on where
    it was interrupted, and more methods or seeds add to it. A [train] table in --config applies to every row.
    """
    refuse_ending(markdown, "--markdown", (".md", ".markdown", ".txt"))
    refuse_ending(latex, "--latex", (".tex", ".txt"))
    arms, chosen = _arms(methods), _seeds(seeds)
    if reference is not None and reference not in [arm.name for arm in arms]:
        raise typer.BadParameter(f"--reference {reference} is none of the rows")
    numbers = _values(vary, values)
    given = {"backbone": backbone, "weights": weights, "freeze": freeze, "steps": steps}
    settings = _settings(context, preset, given, assignments or [])
    from hifa_cli.data.tree import existing_folder
    from hifa_cli.errors import HifaError
    from hifa_cli.pipelines.compare.outputs import write_results, write_text
    from hifa_cli.pipelines.compare.report import document, tables
    from hifa_cli.pipelines.compare.run import compare as stage
    from hifa_cli.pipelines.compare.vary import Varying
    from hifa_cli.runtime.device import pick_device
    from hifa_cli.viz.tables import to_latex, to_markdown, to_terminal

    _check(arms, settings)
    for place, what in ((images, "photos"), (shapes, "shapes")):
        if not place.is_file():
            existing_folder(place, what)  # before torch is loaded
    start_reporting(quiet=quiet, verbose=verbose)
    device_there = pick_device(device)

    def comparison(photos: Path, views: Path, folder: Path, beside: Path | None) -> "Comparison":
        return stage(
            photos, views, folder, arms, settings, seeds=chosen, train_split=train_split,
            test_split=test_split, profile=profile, device=device_there, jobs=jobs, force=force,
            features=feature_cache or beside, meshes=meshes,
        )  # fmt: skip

    if vary is not None:
        asked = Varying(vary, numbers, images, shapes, train_split, test_split)
        _vary(asked, out, comparison, as_json=as_json, strict=strict)
        return
    done = comparison(images, shapes, out, None)
    shown, whole = tables(done, reference), document(done, reference)
    written = write_results(done, shown, whole)
    if ranks:
        from hifa_cli.pipelines.compare.ranks import write_ranks

        written.append(write_ranks(done))
    for path, text in ((markdown, to_markdown), (latex, to_latex)):
        if path is not None:
            write_text(path, text(shown))
    if as_json:
        print_json(whole)
    else:
        print_result(*map(to_terminal, shown))
    progress.note(f"written: {', '.join(path.name for path in written)} in {out}")
    if not done.failed:
        return
    said = f"{len(done.failed)} of {len(done.plan.jobs)} jobs failed; the same command tries them again"
    if not done.scores:
        raise HifaError(said)
    progress.note(said)
    if strict:
        raise typer.Exit(1)


def _values(what: "Varied | None", text: str | None) -> tuple[int, ...]:
    """Return the values of --vary."""
    if what is None:
        if text is not None:
            raise typer.BadParameter("--values goes with --vary")
        return ()
    from hifa_cli.pipelines.compare.vary import checked_values

    try:
        return checked_values(what, text)
    except ValueError as error:
        raise typer.BadParameter(
            f"--values: '{text}' is not a list of whole numbers such as 1,5,20"
        ) from error


def _vary(
    asked: "Varying",
    out: Path,
    comparison: "Callable[[Path, Path, Path, Path], Comparison]",
    *,
    as_json: bool,
    strict: bool,
) -> None:
    from hifa_cli.errors import HifaError
    from hifa_cli.pipelines.compare import vary
    from hifa_cli.viz.tables import to_terminal

    points, failed = vary.vary(asked, out, comparison)
    written = vary.write_varied(asked, points, failed, out)
    if as_json:
        print_json(vary.document(asked, points, failed))
    else:
        print_result(*map(to_terminal, vary.tables(asked, points)))
    progress.note(f"written: {', '.join(path.name for path in written)} in {out}")
    if failed and not points:
        raise HifaError(f"all jobs failed: {next(iter(failed.values()))}")
    if failed:
        progress.note(f"{len(failed)} jobs failed; the same command tries them again")
        if strict:
            raise typer.Exit(1)


def _arms(text: str) -> "tuple[Arm, ...]":
    from hifa_cli.pipelines.compare.rows import parse_arms

    try:
        return parse_arms(text)
    except ValueError as error:
        raise typer.BadParameter(f"--methods: {error}") from error


def _seeds(text: str) -> tuple[int, ...]:
    """``5`` is 0 to 4; ``3,`` is the seed 3 alone."""
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise typer.BadParameter(f"--seeds: '{text}' is neither a number nor a list of them") from error
    if "," not in text and numbers:
        if numbers[0] > MOST_SEEDS:
            raise typer.BadParameter(f"--seeds: {text} are more than {MOST_SEEDS}")
        numbers = list(range(numbers[0]))
    if not numbers or min(numbers) < 0:
        raise typer.BadParameter(f"--seeds: '{text}' names no seed of 0 or more")
    return tuple(dict.fromkeys(numbers))


def _settings(
    context: typer.Context, preset: Preset | None, given: dict[str, Any], assignments: Sequence[str]
) -> TrainConfig:
    """The settings of every row: preset, then [train] of --config, then flags, then --set."""
    from hifa_cli.settings import SEALED, pairs, typed

    table = dict(context.meta.get(TABLES, {}).get("train", {}))
    preset = preset or table.get("preset", TrainConfig.preset)
    if preset not in PRESETS:
        raise typer.BadParameter(f"unknown preset '{preset}': choose one of {', '.join(PRESETS)}")
    known = {
        field: str(value)
        for key, value in table.items()
        if key not in _PATHS and (field := _OF_TRAIN.get(key, key)) in TrainConfig.__dataclass_fields__
    }
    try:
        chosen = {
            **typed(TrainConfig, {**known, **dict(pairs(table.get("assignments") or []))}, sealed=("own",)),
            **{name: value for name, value in given.items() if value is not None},
            **typed(TrainConfig, dict(pairs(assignments)), sealed=SEALED),
        }
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return TrainConfig(preset=preset, **{**PRESETS[preset], **chosen})


def _check(arms: "Sequence[Arm]", settings: TrainConfig) -> None:
    """Every row's method and settings exist."""
    from hifa_cli.errors import HifaError
    from hifa_cli.methods.registry import check_method
    from hifa_cli.pipelines.compare.plan import checked
    from hifa_cli.pipelines.compare.rows import FROZEN, SHALLOW

    try:
        for arm in arms:
            for one in (arm, arm.base):
                if one is not None and one.kind == "trained":
                    check_method(one.method)
        checked(arms, settings)
    except HifaError as error:
        raise typer.BadParameter(f"--methods: {error}; or {', '.join((FROZEN, *SHALLOW))}") from error
    except ValueError as error:
        raise typer.BadParameter(f"--methods: {error}") from error
