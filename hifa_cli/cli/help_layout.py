"""The layout of ``--help``: readable from 60 columns on, every default shown, no markup, examples at the end.

Typer's own layout needs five columns beside one another, cuts long options at 60 columns and reads square
brackets as markup. This one takes the same public attributes of the parameters. It is imported where a help
is shown: rich takes as long to import as the command line itself.
"""

from collections.abc import Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hifa_cli.cli.examples import EXAMPLES
from hifa_cli.cli.help import VerbGroup, argument_name, limits_of
from hifa_cli.cli.options import SAY

WIDEST = 110  # columns; longer lines are hard to read
BESIDE = 76  # columns from which an option's text stands beside its name
LEFT = 27  # columns of the names


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


def sections(command: Any, context: Any) -> Iterator[tuple[str, list[tuple[Text, Text]]]]:
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
            Text(argument_name(one)[0], style="bold cyan") if is_argument else _option(one),
            _about(one, context),
        )
        (last if panel == SAY or one.name in _OF_EVERY_VERB else rows).append(row)
    yield from ((title, rows) for title, rows in found.items() if rows)
    if isinstance(command, VerbGroup):
        yield "Verbs", [(Text(name, style="bold cyan"), Text(line)) for name, line in command.lines(context)]
    if last:
        yield SAY, last


_OF_EVERY_VERB = ("help", "install_completion", "show_completion")


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
    facts = [fact for fact in (limits_of(parameter), _default(parameter, context)) if fact]
    if facts:
        text.append(f" [{'; '.join(facts)}]", style="dim")
    return text


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
