"""The layout of ``--help``: readable from 60 columns on, every default shown, no markup, examples at the end.

Typer's own layout needs five columns beside one another, cuts long options at 60 columns and reads square
brackets as markup. This one takes the same public attributes of the parameters.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup
from typer.models import ParameterInfo

from hifa_cli.cli.examples import EXAMPLES
from hifa_cli.cli.options import SAY

WIDEST = 110  # columns; longer lines are hard to read
BESIDE = 76  # columns from which an option's text stands beside its name
LEFT = 27  # columns of the names


class Verb(TyperCommand):
    """A verb whose help is laid out here."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help as text: ``get_help`` returns it, so that pages can be made of it."""
        formatter.write(help_text(self, ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what stands behind the verb in its usage: ``[OPTIONS]`` and the arguments by name."""
        names = [_argument(one) for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return ["[OPTIONS]", *(name if required else f"[{name}]" for name, required in names)]


class VerbGroup(TyperGroup):
    """A group of verbs whose help is laid out here."""

    subcommand_metavar = "VERB …"

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help as text."""
        formatter.write(help_text(self, ctx))


def described(function: Callable[..., Any]) -> Callable[..., Any]:
    """Say of every parameter what stands for its value, and leave unreadable files to their readers."""
    for hint in get_type_hints(function, include_extras=True).values():
        for about in getattr(hint, "__metadata__", ()):
            if isinstance(about, ParameterInfo):
                about.readable = False  # a file that may not be read is not wrong usage: its reader names it
                about.metavar = about.metavar or metavar_of(get_args(hint)[0])
    return function


def metavar_of(kind: Any) -> str | None:
    """Return the word that stands for a value of a type in the help; None for a flag.

    Args:
        kind: the type that a parameter is annotated with, such as ``list[Path] | None``.
    """
    origin = get_origin(kind)
    if origin is Literal:
        return "|".join(map(str, get_args(kind)))
    if origin in (Union, UnionType, list):
        return metavar_of(next(one for one in get_args(kind) if one is not type(None)))
    return {bool: None, Path: "PATH", int: "N", float: "X"}.get(kind, "TEXT")


def help_text(command: Any, context: Any) -> str:
    """Return the whole help of a verb or group, as wide as the terminal, coloured where it shows colours."""
    console = Console(highlight=False)
    console.width = min(console.width, WIDEST)
    with console.capture() as captured:
        for part in _parts(command, context, console.width):
            console.print(part)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _parts(command: Any, context: Any, width: int) -> Iterator[RenderableType]:
    yield Text.assemble(("Usage: ", "yellow"), (usage_line(command, context), "bold"))
    for paragraph in (command.help or "").strip().split("\n\n"):
        yield ""
        yield Padding(Text(" ".join(paragraph.split())), (0, 0, 0, 2))
    for title, rows in sections(command, context):
        yield ""
        yield Text(title, style="bold yellow")
        for name, about in rows:
            yield from _row(name, about, width)
    if examples := EXAMPLES.get(_path(context)):
        yield ""
        yield Text("Examples", style="bold yellow")
        for purpose, line in examples:
            yield Padding(Text(f"# {purpose}", style="dim"), (0, 0, 0, 2))
            yield Padding(Text(line), (0, 0, 0, 2))


def _path(context: Any) -> str:
    """Return the verb without the program's name: ``data check``."""
    return " ".join(context.command_path.split()[1:])


def usage_line(command: Any, context: Any) -> str:
    """Return how a verb is called: ``hifa render [OPTIONS] MESHES…``."""
    return f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}"


def sections(command: Any, context: Any) -> "Iterator[tuple[str, list[tuple[Text, Text]]]]":
    """Yield titles and rows: arguments, the main options, then panel by panel, what every verb has last."""
    found: dict[str, list[tuple[Text, Text]]] = {"Arguments": [], "Options": []}
    last: list[tuple[Text, Text]] = []
    for one in command.get_params(context):
        if getattr(one, "hidden", False):
            continue
        panel = getattr(one, "rich_help_panel", None)
        is_argument = one.param_type_name == "argument"
        rows = found.setdefault(panel or ("Arguments" if is_argument else "Options"), [])
        row = (
            Text(_argument(one)[0], style="bold cyan") if is_argument else _option(one),
            _about(one, context),
        )
        (last if panel == SAY or one.name in _OF_EVERY_VERB else rows).append(row)
    yield from ((title, rows) for title, rows in found.items() if rows)
    if isinstance(command, TyperGroup):
        commands = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
        rows = [(Text(name, style="bold cyan"), Text(_first(one))) for name, one in commands if one]
        yield "Verbs", rows
    if last:
        yield SAY, last


_OF_EVERY_VERB = ("help", "install_completion", "show_completion")


def _first(command: Any) -> str:
    return " ".join((command.help or "").strip().split("\n\n")[0].split())


def _argument(parameter: Any) -> tuple[str, bool]:
    return str(parameter.metavar or parameter.name.upper()), bool(parameter.required)


def _option(parameter: Any) -> Text:
    """Return ``-o, --out PATH``."""
    names = sorted(parameter.opts, key=lambda name: (name.startswith("--"), parameter.opts.index(name)))
    text = Text(", ".join(names), style="bold cyan")
    if parameter.metavar and not parameter.is_flag:
        text.append(f" {parameter.metavar}", style="not bold yellow")
    return text


def _about(parameter: Any, context: Any) -> Text:
    """Return what a parameter does, the numbers it takes, and its default or that it must be given."""
    text = Text(" ".join((parameter.help or "").split()))
    facts = [fact for fact in (_limits(parameter), _default(parameter, context)) if fact]
    if facts:
        text.append(f" [{'; '.join(facts)}]", style="dim")
    return text


def _limits(parameter: Any) -> str:
    low, high = getattr(parameter, "min", None), getattr(parameter, "max", None)
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if low else f"at most {high}" if high is not None else ""


def _default(parameter: Any, context: Any) -> str:
    """Return the default in words; of a flag, that it is off, nobody needs to be told."""
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return f"default: {parameter.show_default}"
    value = parameter.get_default(context, call=False)
    if value is None or not parameter.show_default or getattr(parameter, "is_flag", False):
        return ""
    shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"default: {shown}"


def _row(name: Text, about: Text, width: int) -> Iterator[RenderableType]:
    """Yield a name and its text: beside it where there is room, else below."""
    if width >= BESIDE and name.cell_len <= LEFT - 2:
        grid = Table.grid(padding=0)
        grid.add_column(width=LEFT, no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(name, about)
        yield Padding(grid, (0, 0, 0, 2))
        return
    yield Padding(name, (0, 0, 0, 2))
    yield Padding(about, (0, 0, 0, 2 + LEFT if width >= BESIDE else 6))


def usage_message(error: Any) -> str:
    """Return a usage error on one line: what is wrong, in words of ours, and where the help is."""
    parameter, words = getattr(error, "param", None), " ".join((error.message or "").split())
    name = getattr(error, "param_hint", None)
    if parameter is not None and parameter.param_type_name == "option":
        name = max(parameter.opts, key=len)
    elif parameter is not None:
        name = _argument(parameter)[0]
    if (given := _given(error)) is not None and parameter is not None:
        words = f"{name} takes {_wanted(parameter)}, not '{given}'"
    elif name and words:
        words = words if name in words else f"{name}: {words}"
    else:
        words = words or " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{words.rstrip('.')}; see '{context.command_path} --help'" if context else words


def _given(error: Any) -> Any:
    """Return the text that is not a value of its parameter's type, where Typer's validation says so."""
    validation = error.__cause__
    found = validation.errors() if hasattr(validation, "errors") else ()
    return found[0].get("input") if found else None


def _wanted(parameter: Any) -> str:
    """Return in words what an option takes: ``a whole number of at least 1``."""
    kind = str(parameter.metavar)
    if "|" in kind:
        return f"one of {', '.join(kind.split('|'))}"
    words = {"N": "a whole number", "X": "a number", "PATH": "a path"}.get(kind, kind)
    limits = _limits(parameter) or ("at least 0" if getattr(parameter, "min", None) == 0 else "")
    return f"{words} from {limits}" if " to " in limits else f"{words} of {limits}" if limits else words
