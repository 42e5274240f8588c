"""``hifa pull``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hifa_cli.cli.options import Config, Force, Json, Quiet, Verbose, out_option
from hifa_cli.cli.push import Repo
from hifa_cli.cli.terminal import print_json, print_result, start_reporting


def pull(
    repo: Repo,
    out: Annotated[Path, out_option("Folder for the run or the gallery.")],
    revision: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Branch, tag or commit.", show_default="the main branch"),
    ] = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    config: Config = None,
) -> None:
    """Fetch a run or a gallery from the Hugging Face Hub; every file is checked.

    A pull that was stopped goes on when the same command is given again.
    """
    start_reporting(quiet=quiet, verbose=verbose)
    from hifa_cli.pipelines.sharing.pull import pull as fetch

    done = fetch(repo, out, revision=revision, force=force)
    if as_json:
        print_json({**asdict(done), "path": str(done.path)})
    else:
        print_result(f"{done.path}  ({done.kind}, {done.files} files, commit {done.commit[:12]})")
