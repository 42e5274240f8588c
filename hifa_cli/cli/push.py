"""``hifa push``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hifa_cli.cli.options import Config, Json, Quiet, Verbose
from hifa_cli.cli.terminal import print_json, print_result, start_reporting

Repo = Annotated[str, typer.Argument(metavar="USER/NAME", help="Repository of the hub.")]


def push(
    place: Annotated[
        Path, typer.Argument(metavar="RUN|GALLERY", help="Folder of 'hifa train' or of 'hifa index'.")
    ],
    repo: Repo,
    private: Annotated[
        bool, typer.Option("--private", help="For you and those whom you let in; a public one is refused.")
    ] = False,
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="What 'hifa evaluate --json' printed, for the model card.",
            show_default="no scores on the card",
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Licence of what you send, such as mit or cc-by-4.0.",
            show_default="that of the backbone's weights",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    config: Config = None,
) -> None:
    """Send a run or a gallery to the Hugging Face Hub, with a model card.

    The token is HF_TOKEN or that of 'hf auth login'. Photos, meshes and this machine's paths are never sent.
    """
    start_reporting(quiet=quiet, verbose=verbose)
    from hifa_cli.pipelines.sharing.push import push as send

    done = send(place, repo, private=private, scores=scores, licence=licence)
    if as_json:
        print_json(asdict(done))
    else:
        print_result(f"{done.address}  ({done.kind}, {done.files} files, commit {done.commit[:12]})")
