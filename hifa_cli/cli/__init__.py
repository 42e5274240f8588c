"""The verbs: options, help, messages and exit codes. Heavy imports stand inside command bodies."""

# ruff: noqa: E402
from hifa_cli.runtime.first import drop_current_folder

drop_current_folder()  # before the imports below can find a json.py there

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from hifa_cli import __version__
from hifa_cli.cli import completion
from hifa_cli.cli.help import Verb, VerbGroup, usage_message
from hifa_cli.cli.options import Config
from hifa_cli.cli.terminal import command, plain
from hifa_cli.cli.verbs import ABOUT, Verbs
from hifa_cli.errors import FULL, MAKE_ROOM, HifaError
from hifa_cli.runtime import signals, threads
from hifa_cli.runtime.child import leave_current_folder
from hifa_cli.runtime.missing import what_is_missing


class HifaGroup(VerbGroup):
    """Turns a HifaError into one line on stderr and exit code 1, wrong usage into one and exit code 2.

    The modules of the verbs are not imported before one is asked for.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = Verbs(self.commands)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the verbs."""
        return list(self.commands)

    def lines(self, ctx: Any) -> list[tuple[str, str]]:
        """Return every verb and its line, as the table has it."""
        return list(ABOUT.items())

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, *more: Any, **extra: Any
    ) -> Any:
        """Run a line; without a verb, or a verb without its arguments, the help is shown."""
        alone = extra.pop("standalone_mode", True)
        extra["standalone_mode"] = False
        if not alone:
            return super().main(args, prog_name, *more, **extra)
        try:
            status = super().main(args, prog_name, *more, **extra)
        except TyperException as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # Typer asks for it so too: it is not public
                typer.echo(error.format_message())
            else:
                typer.echo(plain(f"error: {usage_message(error)}"), err=True)
            sys.exit(error.exit_code)
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; Ctrl-C exits 130 as shells expect."""
        try:
            with command():
                return super().invoke(ctx)
        except HifaError as error:
            typer.echo(plain(f"error: {error}"), err=True)
            raise typer.Exit(error.exit_code) from error
        except ModuleNotFoundError as error:
            if (missing := what_is_missing(error, str(ctx.invoked_subcommand))) is None:
                raise
            typer.echo(plain(f"error: {missing}"), err=True)
            raise typer.Exit(1) from error
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


@app.command(cls=Verb, name="help")
def help_on(
    context: typer.Context,
    verb: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VERB",
            help="Which verb, such as 'index' or 'data check'.",
            show_default="all verbs in short",
            autocompletion=completion.verbs,
        ),
    ] = None,
) -> None:
    """Show the help of a verb."""
    here: Any = context.find_root()
    for name in verb or ():
        group = here.command
        found = group.get_command(here, name) if hasattr(group, "commands") else None
        if found is None:
            known = ", ".join(getattr(group, "commands", ())) or "none below it"
            raise typer.BadParameter(f"'{name}' is not a verb of '{here.command_path}': there are {known}")
        here = type(context)(found, info_name=name, parent=here)
    typer.echo(here.command.get_help(here))


def main() -> None:
    """Run the command line."""
    asked: list[int] = []
    status = 0
    leave_current_folder()
    threads.wait_asleep()
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
