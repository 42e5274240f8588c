"""``hifa query``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hifa_cli.cli.options import Config, Device, Force, Json, Quiet, Verbose
from hifa_cli.cli.terminal import print_json, print_result, talk_for
from hifa_cli.config import IndexConfig

if TYPE_CHECKING:
    from hifa_cli.gallery import Gallery
    from hifa_cli.retrieve import Ranking


def query(
    images: Annotated[list[Path], typer.Argument(help="Photos, folders of photos, or meshes.")],
    gallery: Annotated[Path, typer.Option("--gallery", "-g", help="Folder of 'hifa index'.")],
    top: Annotated[
        int, typer.Option(min=1, help="How many shapes to show for each query.")
    ] = IndexConfig.top,
    model: Annotated[
        Path | None, typer.Option(help="Run of 'hifa train', where the gallery holds no model.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Write a picture: queries down, ranked shapes across.")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    config: Config = None,
) -> None:
    """Find the shapes nearest to photos.

    [dim]hifa query photo.jpg -g gallery --top 5[/]
    """
    from hifa_cli.device import pick_device
    from hifa_cli.errors import HifaError
    from hifa_cli.gallery import read_gallery
    from hifa_cli.retrieve import encoder_for, query_paths

    talk = talk_for(quiet=quiet or as_json, verbose=verbose)
    if sheet is not None and sheet.exists() and not force:
        raise HifaError(f"{sheet} exists: choose another --sheet or give --force")
    opened = read_gallery(gallery)
    encoder = encoder_for(opened, model, pick_device(device))
    rankings = query_paths(encoder, opened, images, top=top, talk=talk)
    if sheet is not None:
        from hifa_cli.sheet import query_sheet

        query_sheet(opened, rankings, sheet)
        talk.note(f"picture: {sheet}")
    if as_json:
        print_json({"gallery": str(gallery), "results": [_document(opened, ranking) for ranking in rankings]})
    else:
        print_result(*(part for ranking in rankings for part in (ranking.query, _table(ranking))))


def _document(gallery: "Gallery", ranking: "Ranking") -> dict[str, Any]:
    matches = []
    for match in ranking.matches:
        thumbnail = gallery.thumbnail(match.row)
        matches.append(
            {
                "rank": match.rank,
                "shape": match.shape,
                "class": match.class_name,
                "score": match.score,
                "thumbnail": str(thumbnail) if thumbnail else None,
            }
        )
    return {"query": ranking.query, "matches": matches}


def _table(ranking: "Ranking") -> Any:
    from rich.table import Table

    table = Table()
    table.add_column("rank", justify="right")
    table.add_column("shape", overflow="fold")
    table.add_column("class")
    table.add_column("score", justify="right")
    for match in ranking.matches:
        table.add_row(str(match.rank), match.shape, match.class_name or "–", f"{match.score:.3f}")
    return table
