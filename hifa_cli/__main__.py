"""Lets ``python -m hifa_cli`` and ``torchrun -m hifa_cli`` work like ``hifa``."""

import os
import sys

# ``python -m`` puts the current folder first: a json.py there must not pass for the library.
_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
if sys.path[0] != _HOME and os.path.exists(sys.path[0]) and os.path.samefile(sys.path[0], os.curdir):  # noqa: PTH110, PTH121
    del sys.path[0]

from hifa_cli.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
