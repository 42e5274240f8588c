"""``hifa plot``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hifa_cli.cli import completion
from hifa_cli.cli.options import Config, Force, Json, Quiet, Seed, Verbose, out_option, refuse_ending
from hifa_cli.cli.terminal import print_json, start_reporting
from hifa_cli.config import PlotConfig
from hifa_cli.runtime import progress

if TYPE_CHECKING:
    from hifa_cli.embeddings.io import Export

Kind = Literal["tsne", "pr", "confusion"]
_DEFAULT = PlotConfig()


def plot(
    exports: Annotated[list[Path], typer.Argument(metavar="EMB.h5…", help="Exports; several side by side.")],
    out: Annotated[
        Path, out_option("Figure to write: .png, .pdf or .svg.", autocompletion=completion.figures)
    ],
    kind: Annotated[
        Kind,
        typer.Option(
            help="t-SNE of both domains, precision–recall curves, or confusion of retrieved classes."
        ),
    ] = "tsne",
    points: Annotated[
        int, typer.Option(min=5, help="The most points of each domain in a t-SNE; a sample of more.")
    ] = _DEFAULT.points,
    perplexity: Annotated[float, typer.Option(min=1.0, help="Of t-SNE.")] = _DEFAULT.perplexity,
    best: Annotated[
        int, typer.Option(min=1, help="Answers a photo that a confusion counts.")
    ] = _DEFAULT.best,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    config: Config = None,
) -> None:
    """Draw an export: t-SNE as in the paper's figure 3, precision–recall, confusion."""
    from hifa_cli.embeddings.io import read_export
    from hifa_cli.errors import HifaError
    from hifa_cli.viz.figures import FORMATS, save, style

    refuse_ending(out, "--out", [f".{one}" for one in FORMATS])
    if out.exists() and not force:
        raise HifaError(f"{out} exists: choose another --out or give --force")
    start_reporting(quiet=quiet, verbose=verbose)
    stems = [path.stem for path in exports]
    names = stems if len(set(stems)) == len(stems) else [str(path) for path in exports]
    read = [(name, read_export(path)) for name, path in zip(names, exports, strict=True)]
    with style():
        if kind == "tsne":
            figure = _tsne(read, points=points, perplexity=perplexity, seed=seed)
        elif kind == "pr":
            figure = _curves(read)
        else:
            figure = _confusion(read, best)
        save(figure, out)
    if as_json:
        print_json({"out": str(out), "kind": kind, "exports": [str(path) for path in exports]})
    else:
        progress.note(f"{kind} of {', '.join(names)} in {out}")


def _tsne(read: Sequence[tuple[str, "Export"]], *, points: int, perplexity: float, seed: int) -> Any:
    from hifa_cli.viz.figures import tsne, tsne_figure

    read, classes = _one_list_of_classes(read)
    embedded = []
    for name, export in progress.track(read, "t-SNE", total=len(read)):
        for part, what in ((export.images, "photos"), (export.shapes, "shapes")):
            if part is not None and len(part) > points:
                progress.note(f"{name}: {points} of {len(part)} {what} are drawn (--points)")
        embedded.append((name, tsne(export, points=points, perplexity=perplexity, seed=seed, name=name)))
    return tsne_figure(embedded, classes)


def _curves(read: Sequence[tuple[str, "Export"]]) -> Any:
    from hifa_cli.evaluation.evaluate import evaluate
    from hifa_cli.viz.figures import curves_figure

    scored = [(name, evaluate(export, name=name).curve) for name, export in read]
    return curves_figure([(name, curve) for name, curve in scored if curve is not None])


def _confusion(read: Sequence[tuple[str, "Export"]], best: int) -> Any:
    from hifa_cli.evaluation.evaluate import confusion
    from hifa_cli.viz.figures import confusion_figure

    read, classes = _one_list_of_classes(read)
    return confusion_figure(
        [(name, confusion(one, best=best, name=name)) for name, one in read], classes, best
    )


def _one_list_of_classes(
    read: Sequence[tuple[str, "Export"]],
) -> tuple[list[tuple[str, "Export"]], tuple[str, ...]]:
    """Exports side by side need one numbering, so that a class has one colour."""
    if len({export.classes for _, export in read}) == 1:
        return list(read), read[0][1].classes
    classes = tuple(sorted({name for _, export in read for name in export.classes}))
    return [(name, export.relabelled(classes)) for name, export in read], classes
