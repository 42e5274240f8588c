"""Write docs/cli.md from the command line itself.

python -m tools.cli_reference            print it
python -m tools.cli_reference --write    put it into docs/cli.md
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "cli.md"
HEAD = """# Command line

<!-- Written by python -m tools.cli_reference --write; a test holds it to the program. -->

Results go to stdout, messages to stderr. `--json` gives one document. Exit code 1: something that you can
mend; 2: wrong usage; 130: stopped by Ctrl-C. `--config FILE.toml` takes a table per verb, whose keys are the
options' names (and, in `[train]`, `[compare]` and `[adapt]`, every number that `--set` knows); flags win.
"""


def reference() -> str:
    """Return the page: every verb with its usage, options and examples."""
    from typer.main import get_command

    from hifa_cli.cli import app

    group: Any = get_command(app)
    context = group.make_context("hifa", [], resilient_parsing=True)
    parts = [HEAD, *_command(group, context)]
    return "\n".join(parts)


def _command(command: Any, context: Any) -> Iterator[str]:
    """Yield the parts of a verb's section, and those of the verbs below it."""
    from hifa_cli.cli.examples import EXAMPLES
    from hifa_cli.cli.help_layout import sections, usage_line

    yield f"## {context.command_path}\n"
    for paragraph in (command.help or "").strip().split("\n\n"):
        yield " ".join(paragraph.split()) + "\n"
    yield f"```\n{usage_line(command, context)}\n```\n"
    for title, rows in sections(command, context):
        if title != "Verbs":
            yield f"**{title}**\n\n| | |\n|---|---|"
            yield from (f"| `{_cell(name.plain)}` | {_cell(about.plain)} |" for name, about in rows)
            yield ""
    if examples := EXAMPLES.get(" ".join(context.command_path.split()[1:])):
        lines = "\n".join(f"# {purpose}\n{line}" for purpose, line in examples)
        yield f"```sh\n{lines}\n```\n"
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            yield from _command(child, child.make_context(name, [], parent=context, resilient_parsing=True))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> int:
    """Print the page or write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    if parser.parse_args().write:
        PAGE.write_text(reference(), encoding="utf-8")
    else:
        sys.stdout.write(reference())
    return 0


if __name__ == "__main__":
    sys.exit(main())
