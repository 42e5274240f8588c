"""``hifa query``."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hifa_cli.cli import completion
from hifa_cli.cli.options import (
    PICTURES,
    SAY,
    Config,
    Device,
    Force,
    GalleryModel,
    Json,
    Quiet,
    Strict,
    Threads,
    Verbose,
    gallery_option,
    refuse_ending,
)
from hifa_cli.cli.terminal import encodable, plain, print_json, print_result, start_reporting
from hifa_cli.config import Find, IndexConfig
from hifa_cli.runtime import progress

if TYPE_CHECKING:
    from hifa_cli.gallery import Gallery
    from hifa_cli.query.retrieve import Match, Ranking

RANK, WRITE = "What is ranked", "Files to look at"
COLUMNS = ("query", "rank", "shape", "class", "score", "likelihood", "view", "azimuth", "elevation", "source")


def query(
    gallery: Annotated[Path, gallery_option("Folder of 'hifa index'.")],
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE…",
            help="Photos, folders of photos, patterns ('*.jpg'), lists (@list.txt), meshes, or - for stdin.",
            show_default="none; give them, or --like",
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(min=1, help="How many shapes to show for each query.", rich_help_panel=RANK),
    ] = IndexConfig.top,
    threshold: Annotated[
        float,
        typer.Option(
            min=-1.0, max=1.0, help="Show only shapes of at least this score.", rich_help_panel=RANK
        ),
    ] = -1.0,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="CLASS",
            help="Only shapes of this class. Repeatable.",
            show_default="of all",
            autocompletion=completion.classes,
            rich_help_panel=RANK,
        ),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H",
            help="Look at this part of each photo only (pixels).",
            show_default="the whole photo",
        ),
    ] = None,
    fuse: Annotated[
        bool, typer.Option("--fuse", help="All photos show one object: rank once for all of them.")
    ] = False,
    find: Annotated[
        Find,
        typer.Option(
            help="kind: shapes of the same kind; part: the very part; both: what serves both. Galleries of a "
            "model that was trained as in the paper, or with --ranking paper, know one order only.",
            rich_help_panel=RANK,
        ),
    ] = "both",
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="More like this shape, with photos or without any. Repeatable.",
            show_default="the photos alone",
            autocompletion=completion.shapes,
            rich_help_panel=RANK,
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Less like this shape. Repeatable.",
            show_default="none",
            autocompletion=completion.shapes,
            rich_help_panel=RANK,
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            show_default="the photos alone",
            help="Look for what words say, with photos or without any; the gallery's encoder must be one of "
            "open_clip (--backbone openclip/NAME of 'hifa index').",
        ),
    ] = None,
    text_weight: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of --text beside a photo; the photo has the rest.")
    ] = 0.5,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            help="Only shapes that this holds for, such as \"licence = 'CC0'\" (docs/gallery.md); "
            "'hifa index --stats' names the fields.",
            show_default="all shapes",
            rich_help_panel=RANK,
        ),
    ] = None,
    model: GalleryModel = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Write a picture: queries down, ranked shapes across.",
            show_default="none is written",
            rich_help_panel=WRITE,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write a page that works offline, the shapes turning in 3D.",
            show_default="none is written",
            rich_help_panel=WRITE,
        ),
    ] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="A line a match on stdout.", rich_help_panel=SAY)
    ] = False,
    device: Device = "auto",
    threads: Threads = None,
    strict: Strict = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    config: Config = None,
) -> None:
    """Find the shapes nearest to photos."""
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    if not images and not like and not text:
        raise typer.BadParameter("give a photo, a --text, or a shape of the gallery with --like ID")
    from tempfile import TemporaryDirectory

    from hifa_cli.gallery import read_gallery
    from hifa_cli.query.document import rankings_document
    from hifa_cli.query.parse import find_queries
    from hifa_cli.query.retrieve import MANY, Failed, QueryOptions, encoder_for, rank

    start_reporting(quiet=quiet or as_json or as_csv, verbose=verbose)
    wanted = QueryOptions(
        top, threshold, tuple(classes or ()), _box(crop), fuse, find, tuple(like or ()), tuple(unlike or ()),
        text or "", text_weight, where or "",
    )  # fmt: skip
    refuse_ending(sheet, "--sheet", PICTURES)
    refuse_ending(html, "--html", (".html", ".htm"))
    _refuse_taken([sheet, html], force=force)
    device = _picked(device)
    with TemporaryDirectory() as scratch:
        opened = read_gallery(gallery, device=device)
        _note_old(opened)
        absent: list[tuple[str, str]] = []
        queries = find_queries(images or (), Path(scratch), absent=absent)
        if device == "auto" and len(queries) >= MANY:
            device = _picked(device, even_auto=True)
        failed = [Failed(word, reason) for word, reason in absent]
        encoder = encoder_for(opened, model, device) if queries else None
        rankings, vectors = rank(encoder, opened, queries, wanted, failed=failed)
        if sheet is not None:
            _write_sheet(opened, rankings, sheet)
        if html is not None:
            _write_page(opened, rankings, html)
    metrics = _metrics(opened, rankings, vectors, find)
    if as_json:
        print_json(rankings_document(opened, rankings, metrics, failed))
    elif as_csv:
        typer.echo(encodable(_csv(opened, rankings)), nl=False)
    else:
        print_result(*(part for ranking in rankings for part in _shown(ranking)))
        if metrics:
            print_result(_metrics_table(metrics))
    if failed:
        count = len(queries) + len(absent)
        progress.note(f"{len(failed)} of {count} queries failed; see the warnings")
        if strict:
            raise typer.Exit(1)


def _note_old(gallery: "Gallery") -> None:
    """Say how a gallery of an earlier version would rank better."""
    document = gallery.document
    if (
        gallery.ranking is None
        and document["method"] == "frozen"
        and str(document["hifa_version"]) == "0.1.0"
    ):
        source = document["origins"][0]["path"] if document["origins"] else "MESHES"
        if all(origin["kind"] != "export" for origin in document["origins"]):
            progress.note(
                f"{gallery.folder} was made by hifa 0.1.0 and ranks as it did, without likelihoods; to find "
                f"the kind more often, build it again: hifa index {source} --out {gallery.folder} --force"
            )


def _picked(device: str, *, even_auto: bool = False) -> str:
    """The device by its own name; ``auto`` and ``cpu`` are left, since they may do without torch.

    Torch must be loaded before FAISS where both use CUDA: the other order crashed with two CUDA versions.
    """
    if device in ("auto", "cpu") and not even_auto:
        return device
    from hifa_cli.runtime.device import pick_device

    return str(pick_device(device))


def _box(crop: str | None) -> Any:
    from hifa_cli.query.parse import parse_box

    try:
        return parse_box(crop) if crop else None
    except ValueError as error:
        raise typer.BadParameter(
            f"--crop takes x,y,w,h in pixels, such as 120,40,300,300, not '{crop}'"
        ) from error


def _refuse_taken(files: Sequence[Path | None], *, force: bool) -> None:
    from hifa_cli.errors import HifaError

    for path in files:
        if path is not None and path.exists() and not force:
            raise HifaError(f"{path} exists: choose another name or give --force")


def _write_sheet(gallery: "Gallery", rankings: Sequence["Ranking"], sheet: Path) -> None:
    from hifa_cli.viz.contact_sheet import query_sheet

    truth = {one.query: one.class_name for one in rankings if one.class_name is not None}
    query_sheet(gallery, rankings, sheet, truth=truth or None)
    progress.note(f"picture: {sheet}")


def _write_page(gallery: "Gallery", rankings: Sequence["Ranking"], html: Path) -> None:
    from hifa_cli.web.page import write_page

    report = write_page(gallery, rankings, html)
    progress.note(
        f"page: {html} ({report.size / 1e6:.1f} MB, {report.meshes} meshes of {report.faces} faces in all)"
    )


def _metrics(gallery: "Gallery", rankings: Sequence["Ranking"], vectors: Any, find: Find) -> dict[str, Any]:
    """The batch's scores where the queries' classes are known and the gallery has them."""
    if not any(one.class_name in gallery.classes for one in rankings):
        return {}
    from hifa_cli.query.scoring import batch_scores

    return batch_scores(gallery, rankings, vectors, find)


def _csv(gallery: "Gallery", rankings: Sequence["Ranking"]) -> str:
    from hifa_cli.query.document import match_document

    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for ranking in rankings:
        for match in ranking.matches:
            writer.writerow({"query": ranking.query, **match_document(gallery, match)})
    return text.getvalue()


NOTHING_HERE = "nothing here looks like it: no shape is likely to be of its kind"


def _shown(ranking: "Ranking") -> list[Any]:
    """A query's name, a word where nothing looks like it, and its table."""
    doubt = [_cell(NOTHING_HERE)] if ranking.nothing_here else []
    return [_cell(ranking.query), *doubt, _table(ranking)]


def _table(ranking: "Ranking") -> Any:
    from hifa_cli.viz.tables import listing

    likely = any(match.likelihood is not None for match in ranking.matches)
    seen = any(match.view is not None for match in ranking.matches)
    more = [name for name, there in (("likely", likely), ("seen from", seen)) if there]
    table = listing(
        "rank", "shape", "class", "score", *more, numbers=("rank", "score", "likely", "seen from")
    )
    for match in ranking.matches:
        row = [str(match.rank), _cell(match.shape), _cell(match.class_name or "–"), f"{match.score:.3f}"]
        chance = [f"{100 * (match.likelihood or 0):.0f} %"] if likely else []
        table.add_row(*row, *chance, *([_direction(match)] if seen else []))
    return table


def _cell(name: str) -> Any:
    """A name as it is: neither markup nor a terminal's commands."""
    from rich.text import Text

    return Text(plain(name))


def _direction(match: "Match") -> str:
    if match.view is None:
        return "–"
    return f"{match.azimuth:.0f}°" if match.azimuth is not None else f"view {match.view}"


def _metrics_table(metrics: dict[str, Any]) -> Any:
    from hifa_cli.evaluation.metrics import SHOWN
    from hifa_cli.viz.tables import Row, Table, to_terminal

    title = f"{metrics['queries']} queries whose class is known"
    row = Row("all", {name: float(metrics[name]) for name in SHOWN})
    return to_terminal(Table("queries", SHOWN, (row,), title=title))
