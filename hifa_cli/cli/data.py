"""``hifa data``: what a folder is, and sets laid out from others."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hifa_cli.cli.help import Verb, VerbGroup, described
from hifa_cli.cli.options import DRAW, SAY, Force, Json, LayoutName, Quiet, Verbose, Workers, out_option
from hifa_cli.cli.terminal import print_json, print_result, start_reporting
from hifa_cli.runtime import progress

if TYPE_CHECKING:
    from hifa_cli.data.checks import Check, Holding
    from hifa_cli.viz.tables import Table

data = typer.Typer(
    name="data", cls=VerbGroup, no_args_is_help=True, help="Look at folders of photos, views and meshes."
)
_SHOWN = 20  # problems that are printed one by one


@data.command(cls=Verb, no_args_is_help=True)
@described
def check(
    path: Annotated[Path, typer.Argument(help="Folder of photos, views or meshes, a benchmark, or a list.")],
    kind: Annotated[
        Literal["images", "shapes", "meshes"] | None,
        typer.Option(
            "--as",
            help="Take it for photos, views or meshes.",
            show_default="told from the names of its files",
        ),
    ] = None,
    layout: LayoutName = "auto",
    names_only: Annotated[
        bool, typer.Option("--names-only", help="Do not open the pictures and meshes.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 where anything is wrong.", rich_help_panel=SAY)
    ] = False,
    workers: Workers = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say what a folder is, what it holds of each class and split, and what is wrong with it."""
    from hifa_cli.data.checks import check as look
    from hifa_cli.runtime.threads import allowed

    start_reporting(quiet=quiet, verbose=verbose)
    crew = workers or allowed()

    def unreadable(paths: Sequence[Path], workers: int) -> "Iterable[tuple[Path, str]]":
        from hifa_cli.render.readable import unreadable_meshes

        return unreadable_meshes(paths, workers)

    found = look(path, domain=kind, read=not names_only, workers=crew, read_meshes=unreadable, layout=layout)
    if as_json:
        print_json(found.document())
    else:
        _print(found, most=None if verbose else _SHOWN)
    if strict and (found.problems or found.differences):
        raise typer.Exit(1)


def _print(found: "Check", most: int | None) -> None:
    from rich.markup import escape

    from hifa_cli.viz.tables import to_terminal

    print_result(f"{escape(str(found.path))}: {escape(found.layout)}")
    for one in found.chosen:
        for file, identity, name, split in one.examples:
            said = f"{file} is {identity}, class {name or '(none)'}" + (f", split {split}" if split else "")
            print_result(escape(f"  {said}"))
    print_result(*(to_terminal(_table(one)) for one in found.holdings))
    for note in found.notes:
        print_result(escape(note))
    lines = [*found.differences, *(f"{problem.path}: {problem.reason}" for problem in found.problems)]
    for line in (f"{path}: no verb reads files of this kind" for path in found.ignored[:most]):
        print_result(escape(line))
    for line in lines[:most]:
        print_result(escape(line))
    if most is not None and len(lines) > most:
        print_result(f"and {len(lines) - most} more: see them all with --verbose or --json")
    if not lines:
        as_published = f", and all counts are {found.benchmark}'s published ones" if found.benchmark else ""
        print_result(f"nothing is wrong{as_published}")


def _table(one: "Holding") -> "Table":
    from hifa_cli.viz.tables import Row, Table

    splits = sorted({split for counts in one.counts.values() for split in counts})
    rows = [
        Row(name or "(no class)", {split or "items": counts.get(split, 0) for split in splits})
        for name, counts in one.counts.items()
    ]
    if len(rows) > 1:
        rows.append(Row("all", {split or "items": one.split_total(split) for split in splits}))
    pictures = f", {one.pictures} pictures" if one.domain == "shapes" else ""
    title = f"{one.items} {one.domain}{pictures}"
    return Table("class", tuple(split or "items" for split in splits), tuple(rows), title=title)


@data.command(cls=Verb, no_args_is_help=True)
@described
def modelnet(
    path: Annotated[Path, typer.Argument(help="The unpacked ModelNet40.")],
    out: Annotated[Path, out_option("Folder to make: OUT/train/<class>/*.off, OUT/test/…")],
    copy: Annotated[bool, typer.Option("--copy", help="Copy the meshes rather than link them.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
) -> None:
    """Lay out shapes like MI3DOR-2's from ModelNet40: the first 80 train and 20 test meshes a class."""
    from hifa_cli.data.mi3dor import PUBLISHED
    from hifa_cli.data.modelnet import lay_out
    from hifa_cli.errors import HifaError

    if out.exists() and not force:
        raise HifaError(f"{out} exists: choose another --out or give --force")
    start_reporting(quiet=quiet, verbose=verbose)
    done = lay_out(path, out, copy=copy)
    for name in done.missing:
        progress.warn(f"{path} has no class {name}; left out")
    if as_json:
        print_json({"out": str(out), **done.counts, "missing": list(done.missing)})
        return
    for split, count in done.counts.items():
        published = PUBLISHED["MI3DOR-2", "shapes", split].total
        progress.note(f"{count} {split} meshes (MI3DOR-2 has {published})")
    progress.note(
        f"next: hifa render {out} --out VIEWS; the photos of MI3DOR-2 have to come from its authors"
    )


@data.command(cls=Verb, no_args_is_help=True)
@described
def mi3dor(
    lists: Annotated[
        Path,
        typer.Option(metavar="DIR", help="The published lists: rgb_list.txt, view_list.txt and two more."),
    ],
    out: Annotated[Path, out_option("Folder to make or to complete: OUT/image, OUT/model, OUT/view.")],
    imagenet: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="ImageNet, a folder a synset.", show_default="no photos"),
    ] = None,
    modelnet: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="ModelNet40.", show_default="its shapes are missing"),
    ] = None,
    shapenet: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="ShapeNetCore55 as SHREC'16 gave it out, or ShapeNetCore with its all.csv.",
            show_default="its shapes are missing",
        ),
    ] = None,
    psb: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Princeton Shape Benchmark.", show_default="its shapes are missing"),
    ] = None,
    ntu: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="NTU 3D Model Database.", show_default="its shapes are missing"),
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the files rather than link them.")] = False,
    no_views: Annotated[
        bool, typer.Option("--no-views", help="Lay out only; render no views.", rich_help_panel=DRAW)
    ] = False,
    workers: Workers = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Lay MI3DOR out again from the sets that it was taken from, by the published lists of its items.

    What is there is left alone: a run that was stopped goes on, and a set that comes later is added. What is
    missing is counted by what is wrong.
    """
    from hifa_cli.data.rebuild import Holdings, build, read_lists
    from hifa_cli.data.rebuild.build import differences

    start_reporting(quiet=quiet, verbose=verbose)
    built = build(read_lists(lists), Holdings(imagenet, modelnet, shapenet, psb, ntu), out, copy=copy)
    for line in differences(built):
        progress.warn(line)
    for why, items in built.missing.items():
        shown = ", ".join(items[:3]) + (", …" if len(items) > 3 else "")
        progress.warn(f"{len(items)} items are missing: {why} ({shown})")
    views = {} if no_views or not built.total("shape") else _views(out, workers)
    progress.note(built.how_to_read())
    if as_json:
        print_json({**built.document(), "views": views})
        return
    for kind, word in (("image", "photos"), ("shape", "shapes")):
        for split in ("train", "test"):
            there, listed = built.total(kind, split), built.total(kind, split, listed=True)
            print_result(f"{there} of {listed} {split} {word}")
    progress.note(f"next: hifa data check {out} --names-only; hifa compare --images {out} --shapes {out}")


def _views(out: Path, workers: int) -> dict[str, int]:
    """Draw what has no views yet, as the paper does."""
    from hifa_cli.config import RenderConfig
    from hifa_cli.render.pipeline import render
    from hifa_cli.runtime.threads import allowed

    drawn = RenderConfig(layout="folders")
    report = render([out / "model"], out / "view", drawn, workers=workers or allowed())
    return {"rendered": report.rendered, "skipped": report.skipped, "failed": len(report.failed)}
