"""``hifa doctor``: what works here, what does not, and the remedy."""

from typing import Annotated

import typer

from hifa_cli.cli.options import Config, Json


def doctor(
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Also load torch and FAISS where no GPU asks for it.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Say what works on this machine, what does not, and what to do about it.

    Ends with exit code 1 where something that hifa needs is broken.
    """
    from rich.table import Table

    from hifa_cli.cli.terminal import print_json, print_result
    from hifa_cli.doctor import examine

    findings = examine(thorough=thorough)
    broken = any(finding.state == "broken" for finding in findings)
    if as_json:
        print_json({"works": not broken, "findings": [finding._asdict() for finding in findings]})
    else:
        table = Table(box=None, pad_edge=False)
        for heading in ("part", "", "found", "to better it"):
            table.add_column(heading, overflow="fold")  # a path is copied whole
        colours = {"works": "green", "slower": "yellow", "absent": "yellow", "broken": "red"}
        for part, state, found, remedy in findings:
            table.add_row(part, f"[{colours[state]}]{state}[/]", *map(_plain, (found, remedy)))
        print_result(table)
    if broken:
        raise typer.Exit(1)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
