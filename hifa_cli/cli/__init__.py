"""The verbs: options, help, messages and exit codes. Heavy imports stand inside command bodies."""

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperGroup
from typer.models import ParameterInfo

from hifa_cli import __version__
from hifa_cli.cli.adapt import adapt
from hifa_cli.cli.compare import compare
from hifa_cli.cli.data import data
from hifa_cli.cli.demo import demo
from hifa_cli.cli.doctor import doctor
from hifa_cli.cli.evaluate import evaluate
from hifa_cli.cli.export import export
from hifa_cli.cli.index import index
from hifa_cli.cli.options import Config
from hifa_cli.cli.plot import plot
from hifa_cli.cli.query import query
from hifa_cli.cli.render import render
from hifa_cli.cli.serve import serve
from hifa_cli.cli.terminal import command, plain
from hifa_cli.cli.train import train
from hifa_cli.errors import FULL, MAKE_ROOM, HifaError
from hifa_cli.runtime import signals
from hifa_cli.runtime.child import leave_current_folder


class HifaGroup(TyperGroup):
    """Turns a HifaError into one line on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; Ctrl-C exits 130 as shells expect."""
        try:
            with command():
                return super().invoke(ctx)
        except HifaError as error:
            typer.echo(plain(f"error: {error}"), err=True)
            raise typer.Exit(error.exit_code) from error
        except OSError as error:
            if error.errno in FULL:
                words = f"{error.strerror}: {MAKE_ROOM}"
            elif error.filename is not None:  # taken away, or not to be read or written
                words = (
                    f"{os.fsdecode(error.filename)}: {error.strerror}; see that it is there and may be used"
                )
            else:
                raise
            typer.echo(plain(f"error: {words}"), err=True)
            raise typer.Exit(1) from error
        except MemoryError as error:
            typer.echo("error: needs more memory than there is: ask for less at once", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=HifaGroup,
    name="hifa",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hifa {__version__}")
        raise typer.Exit


@app.callback()
def hifa(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    config: Config = None,
) -> None:
    """Show it a photo; it finds the 3D shape."""


def _verb(function: Callable[..., Any]) -> Callable[..., Any]:
    """Leave files that may not be read to their readers, who name them: they are no wrong usage."""
    for hint in get_type_hints(function, include_extras=True).values():
        for about in getattr(hint, "__metadata__", ()):
            if isinstance(about, ParameterInfo):
                about.readable = False
    return function


for _one in (render, train, export, adapt, index, query, serve, evaluate, compare, plot):
    app.command(no_args_is_help=True)(_verb(_one))
app.add_typer(data)
app.command()(demo)
app.command()(doctor)


def main() -> None:
    """Run the command line."""
    asked: list[int] = []
    status = 0
    leave_current_folder()
    try:
        with signals.heeded() as asked:
            app(prog_name="hifa")
    except KeyboardInterrupt:  # before the verb began, or when it was over
        status = 130
    except Exception:
        if not asked:
            raise
        status = asked[0]  # whatever an import, or a library that clears up, has made of the signal
    if status == 130:
        typer.echo("stopped", err=True)
    sys.exit(status)
