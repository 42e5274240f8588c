"""Verbs and groups of them: their help, their usage errors, and what stands for a value."""

from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from typer.core import TyperCommand, TyperGroup
from typer.models import ParameterInfo


class Verb(TyperCommand):
    """A verb whose help is laid out here."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help as text: ``get_help`` returns it, so that pages can be made of it."""
        from hifa_cli.cli.help_layout import help_text

        formatter.write(help_text(self, ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what stands behind the verb in its usage: ``[OPTIONS]`` and the arguments by name."""
        names = [argument_name(one) for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return ["[OPTIONS]", *(name if required else f"[{name}]" for name, required in names)]


class VerbGroup(TyperGroup):
    """A group of verbs whose help is laid out here."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help as text."""
        from hifa_cli.cli.help_layout import help_text

        formatter.write(help_text(self, ctx))

    def lines(self, ctx: Any) -> list[tuple[str, str]]:
        """Return every verb of the group with the first paragraph of its help."""
        verbs = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        return [(name, first_paragraph(verb.help or "")) for name, verb in verbs if verb]


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


def first_paragraph(text: str) -> str:
    """Return the first paragraph of a help on one line."""
    return " ".join(text.strip().split("\n\n")[0].split())


def argument_name(parameter: Any) -> tuple[str, bool]:
    """Return the name of an argument in a usage line, and whether it must be given."""
    return str(parameter.metavar or parameter.name.upper()), bool(parameter.required)


def limits_of(parameter: Any) -> str:
    """Return in words the numbers that a parameter takes; nothing where it takes all."""
    low, high = getattr(parameter, "min", None), getattr(parameter, "max", None)
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if low else f"at most {high}" if high is not None else ""


def usage_message(error: Any) -> str:
    """Return a usage error on one line: what is wrong, in words of ours, and where the help is."""
    parameter, words = getattr(error, "param", None), " ".join((error.message or "").split())
    name = getattr(error, "param_hint", None)
    if parameter is not None and parameter.param_type_name == "option":
        name = max(parameter.opts, key=len)
    elif parameter is not None:
        name = argument_name(parameter)[0]
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
    limits = limits_of(parameter) or ("at least 0" if getattr(parameter, "min", None) == 0 else "")
    return f"{words} from {limits}" if " to " in limits else f"{words} of {limits}" if limits else words
