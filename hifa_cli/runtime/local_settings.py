"""Settings files of libraries in the current folder are not read: they can name code to run.

matplotlib reads ``./matplotlibrc`` before any other (a backend is a module), numba ``./.numba_config.yaml``
(a cache is a folder of pickles).
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("matplotlibrc", ".numba_config.yaml")
_lock = threading.RLock()


@contextmanager
def ignored() -> Iterator[None]:
    """Have libraries that are imported meanwhile find no settings file of ``NAMES`` in the current folder."""
    with _lock:
        real: Any = os.path.exists
        os.path.exists = lambda path: path not in NAMES and real(path)
        try:
            yield
        finally:
            os.path.exists = real
