"""The very first step of the command: the current folder leaves the path before anything else is imported.

Imported here is only what Python has loaded by itself. :mod:`hifa_cli.runtime.child` does the rest.
"""

import os
import sys

_real, _join = os.path.realpath, os.path.join  # pathlib would be looked for on the path


def drop_current_folder(*, as_module: bool = False) -> None:
    """Take off ``sys.path`` what empty and relative entries of ``PYTHONPATH`` put there.

    Args:
        as_module: ``python -m`` put the current folder there too.
    """
    own = _real(_join(os.path.dirname(__file__), os.pardir, os.pardir))  # noqa: PTH120
    text = os.environ.get("PYTHONPATH", "")
    named = text.split(os.pathsep) if text else []
    full = {_real(entry) for entry in named if os.path.isabs(entry)} | {own}  # noqa: PTH117
    loose = [entry for entry in named if not os.path.isabs(entry)]  # noqa: PTH117
    if as_module:
        loose.append(os.curdir)
    unwanted = {_real(entry) for entry in loose} - full
    installed = tuple(_real(place) + os.sep for place in (sys.prefix, sys.base_prefix))
    sys.path[:] = [
        entry for entry in sys.path if _real(entry) not in unwanted or _real(entry).startswith(installed)
    ]
