"""Check docstrings for what ruff cannot see: sections that are missing, and words that we do not use.

    python -m tools.docstrings            name what is wrong; exit 1 where there is any

A public function with three arguments or more has ``Args:``, and ``Returns:`` where it returns something and
``Raises:`` where it raises; one of ``losses.py`` with as many has an ``Example:`` too. Verbs are explained by
their options.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MANY = 3  # arguments from which they are explained one by one
OLD_WORDS = re.compile(r"\A(What|How|Whether|Where)\b|\b(is|are) no [a-z]+\b|\bthere is no\b", re.IGNORECASE)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def faults(source: str, *, examples: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the faults of a module.

    Args:
        source: its text.
        examples: whether its functions need an example as well.

    Returns:
        Names (``Class.method``) and what is wrong with their docstring.
    """
    for name, node in _functions(ast.parse(source), ""):
        text = ast.get_docstring(node) or ""
        if not text:
            continue  # ruff asks for it
        if OLD_WORDS.search(text.split("\n\n")[0]):
            yield name, "words"
        public = not name.rsplit(".", 1)[-1].startswith("_") and not _is_verb(node)
        if public and _arguments(node) >= MANY:
            yield from ((name, section) for section in _missing(node, text, examples=examples))


def _functions(tree: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield f"{prefix}{node.name}", node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _functions(node, f"{prefix}{node.name}.")


def _is_verb(node: Function) -> bool:
    """Return whether a function is a verb of the command line, whose options explain themselves."""
    every = [*node.args.args, *node.args.kwonlyargs]
    return any("typer." in ast.unparse(one.annotation) for one in every if one.annotation is not None)


def _arguments(node: Function) -> int:
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return sum(one.arg not in ("self", "cls") for one in named)


def _missing(node: Function, text: str, *, examples: bool) -> Iterator[str]:
    if "Args:" not in text:
        yield "Args"
    returns = node.returns is not None and ast.unparse(node.returns) not in ("None", "NoReturn")
    if returns and not re.search(r"(Returns|Yields):", text):
        yield "Returns"
    own = [one for part in node.body for one in ast.walk(part)]
    if any(isinstance(one, ast.Raise) and one.exc is not None for one in own) and "Raises:" not in text:
        yield "Raises"
    if examples and "Example" not in text:
        yield "Example"


def found() -> list[str]:
    """Return the faults of the package, one line per function and fault."""
    lines = []
    for path in sorted((ROOT / "hifa_cli").rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        examples = path.name == "losses.py"
        source = path.read_text(encoding="utf-8")
        lines += [f"{place} {name} {what}" for name, what in faults(source, examples=examples)]
    return lines


def main() -> int:
    """Name the faults."""
    lines = found()
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stderr.write(f"{len(lines)} docstrings to mend\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
