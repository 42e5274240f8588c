"""Compiled loops that start quickly: numba with its compilation kept on disk wherever a place is left."""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from hifa_cli.runtime import local_settings

P = ParamSpec("P")
T = TypeVar("T")


def compiled(loop: Callable[P, T]) -> Callable[P, T]:
    """Compile ``loop`` at its first call and keep the result for later processes.

    The result is kept beside the module, else in the user's cache folder (numba's own order), else in
    the temporary folder: a read-only installation of a user without a home still compiles only once.

    Note:
        A kept result is thrown away when its own file changes, but not when a compiled function that it
        calls from another file does: compiled functions that call each other stand in one file, and
        constants come in as arguments.
    """
    with local_settings.ignored():
        import numba

        numba.core.config._config_fname = os.devnull  # it looks again at every compilation
    try:
        kept = numba.njit(cache=True, nogil=True, error_model="numpy")(loop)
    except RuntimeError:  # numba found no place to write
        vars(numba.config)["CACHE_DIR"] = os.environ["NUMBA_CACHE_DIR"] = str(_private_cache())
        try:
            kept = numba.njit(cache=True, nogil=True, error_model="numpy")(loop)
        except (RuntimeError, OSError):
            kept = numba.njit(nogil=True, error_model="numpy")(loop)
    return kept


def _private_cache() -> Path:
    """Return a folder in the temporary one that nobody else can write to: what lies there is executed."""
    folder = Path(tempfile.gettempdir()) / f"hifa-compiled-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        ours = not hasattr(os, "getuid") or status.st_uid == os.getuid()
        if not stat.S_ISDIR(status.st_mode) or not ours or status.st_mode & 0o022:
            raise PermissionError(folder)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="hifa-compiled-"))
    return folder
