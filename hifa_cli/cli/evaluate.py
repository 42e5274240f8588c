"""``hifa evaluate``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hifa_cli.cli import completion
from hifa_cli.cli.options import SAY, Config, Force, Json, Quiet, Seed, Verbose, out_option
from hifa_cli.cli.terminal import print_json, print_result, start_reporting
from hifa_cli.config import EvaluateConfig, MetricProfile
from hifa_cli.runtime import progress

if TYPE_CHECKING:
    from hifa_cli.embeddings.io import Export
    from hifa_cli.evaluation.bootstrap import Difference, Interval
    from hifa_cli.evaluation.evaluate import Scores
    from hifa_cli.evaluation.instances import InstanceScores
    from hifa_cli.viz.tables import Table

Format = Literal["table", "json", "csv", "markdown", "latex"]
_DEFAULT = EvaluateConfig()
CERTAIN, FORM = "How certain", "What is shown, and how"


def evaluate(
    exports: Annotated[
        list[Path], typer.Argument(metavar="EMB.h5…", help="Exports with labels in both domains.")
    ],
    profile: Annotated[
        MetricProfile, typer.Option(help="Whose definitions of the metrics: see docs/metrics.md.")
    ] = _DEFAULT.profile,
    per_class: Annotated[
        bool,
        typer.Option("--per-class", help="Also a table by the class of the photo.", rich_help_panel=FORM),
    ] = False,
    bootstrap: Annotated[
        int,
        typer.Option(
            min=0,
            help="95 % confidence intervals over queries from so many resamples; 0: none.",
            rich_help_panel=CERTAIN,
        ),
    ] = _DEFAULT.bootstrap,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="EMB.h5",
            help="Another export of the same photos: is the difference significant?",
            show_default="none is compared",
            rich_help_panel=CERTAIN,
        ),
    ] = None,
    resamples: Annotated[
        int,
        typer.Option(min=100, help="Resamples of the comparison with --against.", rich_help_panel=CERTAIN),
    ] = _DEFAULT.resamples,
    first_ranks: Annotated[
        bool,
        typer.Option(
            "--first-ranks", help="Sort only the ranks that count: quicker on huge galleries, no mAP, no AUC."
        ),
    ] = False,
    unlabelled_classes: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS,…",
            help="Classes that training had no photos of: their photos are scored apart from the others'.",
            show_default="all are scored together",
        ),
    ] = None,
    drop_duplicates: Annotated[
        bool,
        typer.Option(
            "--without-duplicates",
            help="Take out shapes that stand under two classes or in two splits, by name or vector.",
        ),
    ] = False,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="SET|FILE.csv|ids",
            help="Which mesh a photo shows (Pix3D, ABO, a CSV photo,shape, or 'ids' where the photo or its "
            "folder has the mesh's id): also Top-k and MRR.",
            show_default="classes alone",
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NN,FT,…",
            help="Columns to show, or all.",
            show_default="the paper's six on a terminal, all elsewhere",
            autocompletion=completion.metrics,
            rich_help_panel=FORM,
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print.", rich_help_panel=FORM)] = "table",
    out: Annotated[
        Path | None,
        out_option(
            "Write to a file what would be printed; .json, .csv, .md and .tex say the form.",
            show_default="stdout",
            rich_help_panel=FORM,
        ),
    ] = None,
    seed: Seed = 0,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="The same as --format csv.", rich_help_panel=SAY)
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    config: Config = None,
) -> None:
    """Score exports: NN, FT, ST, F, DCG, ANMRR."""
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    unlabelled = [one.strip() for one in (unlabelled_classes or "").split(",") if one.strip()]
    if unlabelled and against:
        raise typer.BadParameter("--unlabelled-classes and --against do not go together: leave one out")
    form = _form("json" if as_json else "csv" if as_csv else form, out)
    from hifa_cli.embeddings.io import read_export
    from hifa_cli.errors import HifaError
    from hifa_cli.evaluation.bootstrap import confidence, significance
    from hifa_cli.evaluation.duplicates import without_duplicates
    from hifa_cli.evaluation.evaluate import apart
    from hifa_cli.evaluation.evaluate import evaluate as stage

    if out is not None and out.exists() and not force:
        raise HifaError(f"{out} exists: choose another --out or give --force")
    start_reporting(quiet=quiet, verbose=verbose)

    def opened(path: Path) -> "Export":
        if not drop_duplicates:
            return read_export(path)
        export, gone = without_duplicates(read_export(path), str(path))
        progress.note(f"{path}: {len(gone)} shapes stand twice; scored without them")
        return export

    def scored(path: Path, export: "Export | None" = None) -> "Scores":
        scores = stage(
            export or opened(path),
            profile=profile,
            whole_list=not first_ranks,
            name=str(path),
        )
        if scores.skipped:
            progress.warn(f"{path}: {scores.skipped} photos have no class that a shape has; skipped")
        return scores

    names = _names(exports)
    found = _instances(exports, opened, pairs)
    if found and not _have_classes(exports):
        _print_instances(exports, names, found, form, out)
        return
    rival = scored(against) if against else None
    if unlabelled:
        parts = [(path, part) for path in exports for part in apart(opened(path), unlabelled, str(path))]
        names = [f"{name} ({part})" for name in names for part in ("known", "unlabelled")]
        results = [scored(path, part) for path, part in parts]
        exports = [path for path, _ in parts]
    else:
        results = [scored(path) for path in exports]
    intervals = [confidence(one, resamples=bootstrap, seed=seed) for one in results] if bootstrap else None
    differences = (
        [significance(one, rival, resamples=resamples, seed=seed) for one in results] if rival else None
    )
    if form == "json":
        document = _document(exports, results, intervals, differences, against, per_class=per_class)
        if unlabelled:
            for number, one in enumerate(document["exports"]):
                one["photos"] = ("known", "unlabelled")[number % 2]
        for one, instance in zip(document["exports"], found, strict=bool(found)):
            one["instances"] = instance.document()
        _print_document(document, out)
        return
    shown = _chosen(metrics, results[0], form if out is None else "markdown")
    tables = _tables(names, results, intervals, differences, against, per_class=per_class, metrics=shown)
    if found:
        tables.append(_instance_table(names, found))
    _print_tables(tables, form, out)


_ENDINGS: dict[str, Format] = {
    ".json": "json", ".csv": "csv", ".md": "markdown", ".markdown": "markdown", ".tex": "latex",
}  # fmt: skip


def _form(form: Format, out: Path | None) -> Format:
    """Return the form of the output: that of the file's ending where none is asked for."""
    told = _ENDINGS.get(out.suffix.lower()) if out is not None else None
    if told is None or form == told:
        return form
    if form == "table":
        return told
    raise typer.BadParameter(
        f"--out: {out} does not end as {form} does: give it another ending, or leave {form} out"
    )


def _chosen(metrics: str | None, scores: "Scores", form: Format) -> tuple[str, ...]:
    """The metrics to show: as asked, else the table's shown ones on a terminal, and all in a file."""
    known = tuple(scores.values())
    from hifa_cli.evaluation.metrics import SHOWN

    if metrics is None:
        return SHOWN if form == "table" else known
    if metrics == "all":
        return known
    wanted = tuple(name.strip() for name in metrics.split(","))
    for name in wanted:
        if name not in known:
            raise typer.BadParameter(f"--metrics takes 'all' or some of {', '.join(known)}, not '{name}'")
    return wanted


def _instances(
    paths: Sequence[Path], opened: "Callable[[Path], Export]", pairs: Path | None
) -> "list[InstanceScores]":
    """Return the ranks of the meshes that the photos show, where it is said which."""
    from hifa_cli.evaluation.instances import BY_IDS, instance_scores, pairs_by_ids, read_pairs

    if pairs is None:
        return []
    told = None if str(pairs) == BY_IDS and not pairs.exists() else read_pairs(pairs)
    found = []
    for path in paths:
        export = opened(path)
        if told is None and export.images is not None and export.shapes is not None:
            mine = pairs_by_ids(export.images.ids, export.shapes.ids)
        else:
            mine = told or {}
        found.append(instance_scores(export, mine, str(path)))
    return found


def _have_classes(paths: Sequence[Path]) -> bool:
    """Return whether any export has a photo of a known class; without, only the very mesh can be scored."""
    from hifa_cli.embeddings.io import read_export

    images = [read_export(path).images for path in paths]
    return any(one is not None and (one.labels >= 0).any() for one in images)


def _print_instances(
    paths: Sequence[Path], names: Sequence[str], found: "Sequence[InstanceScores]", form: Format,
    out: Path | None,
) -> None:  # fmt: skip
    """Print the ranks of the very meshes alone."""
    if form != "json":
        _print_tables([_instance_table(names, found)], form, out)
        return
    documents = [
        {"export": str(path), "instances": one.document()} for path, one in zip(paths, found, strict=True)
    ]
    _print_document({**documents[0], "exports": documents}, out)


def _instance_table(names: Sequence[str], found: "Sequence[InstanceScores]") -> "Table":
    from hifa_cli.viz.tables import Row, Table

    rows = tuple(
        Row(name, {**one.values(), "photos": len(one.ids)}) for name, one in zip(names, found, strict=True)
    )
    return Table("export", (*found[0].values(), "photos"), rows, title="the very mesh")


def _names(paths: Sequence[Path]) -> list[str]:
    stems = [path.stem for path in paths]
    return stems if len(set(stems)) == len(stems) else [str(path) for path in paths]


def _document(
    paths: Sequence[Path],
    results: Sequence["Scores"],
    intervals: "Sequence[dict[str, Interval]] | None",
    differences: "Sequence[dict[str, Difference]] | None",
    against: Path | None,
    *,
    per_class: bool,
) -> dict[str, Any]:
    documents = []
    for number, (path, scores) in enumerate(zip(paths, results, strict=True)):
        document: dict[str, Any] = {**scores.document(), "export": str(path)}
        if intervals:
            document["confidence"] = {key: list(one) for key, one in intervals[number].items()}
        if differences:
            compared = {
                key: {"difference": one.value, "low": one.interval.low, "high": one.interval.high, "p": one.p}
                for key, one in differences[number].items()
            }
            document["against"] = {"export": str(against), **compared}
        if per_class:
            document["classes"] = scores.per_class()
        documents.append(document)
    return {**documents[0], "exports": documents}  # one shape: the first one's scores, then all


def _tables(
    names: Sequence[str],
    results: Sequence["Scores"],
    intervals: "Sequence[dict[str, Interval]] | None",
    differences: "Sequence[dict[str, Difference]] | None",
    against: Path | None,
    *,
    per_class: bool,
    metrics: Sequence[str],
) -> list["Table"]:
    from hifa_cli.viz.tables import class_table, difference_table, scores_table

    tables = [scores_table(list(zip(names, results, strict=True)), intervals=intervals, metrics=metrics)]
    if differences and against:
        tables += [
            difference_table(name, against.stem, one) for name, one in zip(names, differences, strict=True)
        ]
    if per_class:
        tables += [class_table(name, scores) for name, scores in zip(names, results, strict=True)]
    return tables


def _print_document(document: dict[str, Any], out: Path | None) -> None:
    if out is None:
        print_json(document)
        return
    import json

    _write(json.dumps(document, indent=2, ensure_ascii=False) + "\n", out)


def _print_tables(tables: Sequence["Table"], form: Format, out: Path | None) -> None:
    from hifa_cli.viz.tables import to_csv, to_latex, to_markdown, to_terminal

    if form == "table" and out is None:
        print_result(*map(to_terminal, tables))
        return
    writers = {"csv": to_csv, "markdown": to_markdown, "latex": to_latex, "table": to_markdown}
    text = writers[form](tables)
    if out is None:
        typer.echo(text, nl=False)
    else:
        _write(text, out)


def _write(text: str, out: Path) -> None:
    from hifa_cli.runtime.atomic import written_file

    with written_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
