"""The one way to start a Python process of our own: nothing in the current folder can become code there."""

import json
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

# -I ignores PYTHONPATH, the user's site and the current folder; the program then sets the path it is given.
_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
_AS_MODULE = (
    "import runpy; sys.argv[0] = sys.argv.pop(1); runpy.run_module(sys.argv[0], None, '__main__', True)"
)
_AS_SOURCE = "exec(sys.argv.pop(1))"


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module as ``python -m`` does, on a safe path.

    Args:
        module: dotted name, found on :func:`safe_path`.
        arguments: the program's own.
    """
    return [*_python(_AS_MODULE), module, *arguments]


def program_command(source: str) -> list[str]:
    """Return the command that runs source code as ``python -c`` does, on a safe path."""
    return [*_python(_AS_SOURCE), source]


def _python(program: str) -> list[str]:
    return [sys.executable, "-I", "-W", "ignore", "-c", _BOOT + program, json.dumps(safe_path())]


def safe_path(path: Sequence[str] | None = None) -> list[str]:
    """Return where modules may come from: ``sys.path`` without the current folder.

    The current folder stands there as ``''``, as a relative entry, or made absolute: ``python -m`` puts it
    there, and Python's start resolves relative and empty entries of ``PYTHONPATH``. It counts only where
    ``PYTHONPATH`` names it in full, or where Python or this package is installed in it.

    Args:
        path: entries to look over; ``sys.path`` by default.
    """
    own = _real(Path(__file__).parents[2])
    named = [Path(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    installed = [Path(place) for place in sysconfig.get_paths().values()]
    wanted = {own, *(_real(entry) for entry in (*named, *installed) if entry.is_absolute())}
    unwanted = {_real(entry) for entry in (*_current_folder(), *named)} - wanted
    entries = [Path(entry) for entry in (sys.path if path is None else path) if entry]
    kept = [str(entry) for entry in entries if entry.is_absolute() and _real(entry) not in unwanted]
    return kept if own in map(_real, kept) else [*kept, own]


def _current_folder() -> list[Path]:
    """Return the current folder, or nothing where somebody has removed it."""
    try:
        return [Path.cwd()]
    except OSError:
        return []


def _real(path: Path | str) -> str:
    return os.path.realpath(path)


def leave_current_folder() -> None:
    """Take the current folder off this process's own path."""
    sys.path[:] = safe_path()
