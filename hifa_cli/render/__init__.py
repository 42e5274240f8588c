"""Twelve Phong views of any mesh: reading, cameras, shading, renderers, workers and the render stage.

Heavy libraries (numba, trimesh, OpenGL) stay in this package.

The package can be called: ``hifa_cli.render(…)`` is the function of the public API, although this package has
the same name and takes its place on ``hifa_cli`` as soon as anything imports it.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """Stand for the function :func:`hifa_cli.api.stages.render` when called."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Draw meshes: see :func:`hifa_cli.api.stages.render`."""
        return import_module("hifa_cli.api.stages").render(*args, **options)


sys.modules[__name__].__class__ = _CallablePackage
