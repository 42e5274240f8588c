"""One shape from its mesh file to its folder of pictures: what a worker, or an engine, runs."""

import traceback
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import RenderConfig
from hifa_cli.errors import HifaError, NoRoom
from hifa_cli.render.facts import Facts, facts_of
from hifa_cli.render.view_io import other_files, write_views
from hifa_cli.render.views import MeshViews
from hifa_cli.runtime.atomic import written_folder

Pictures = NDArray[np.uint8] | list[NDArray[np.uint8]]  # one array, or one each where their sizes differ


class DrawShape:
    """A mesh file to its views; never raises for what is wrong with one mesh."""

    def __init__(self, config: RenderConfig) -> None:
        self.views = MeshViews(config)
        self.views.warm_up()

    @property
    def remark(self) -> str:
        """Return what was left out of the last mesh that was drawn, to be said; mostly nothing."""
        return self.views.remark

    def facts(self) -> Facts:
        """Return what was measured of the last mesh that was drawn; nothing where the memory is short."""
        try:
            return {} if self.views.mesh is None else facts_of(self.views.mesh)
        except MemoryError:
            return {}

    def __call__(self, path: Path, folder: Path | None, mark: str) -> str | Pictures:
        """Draw the mesh at ``path``.

        Args:
            path: of the mesh.
            folder: for the views, which appears whole or not at all; None writes nothing.
            mark: that the views bear.

        Returns:
            (V, S, S) greys (or what a subclass draws), or why it could not be drawn.

        Raises:
            NoRoom: the disk is full, which is not the mesh's fault.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of readers, about parts of a file that no view shows
                pictures = self.pictures(path, mark)
            if folder is None:
                return pictures
            if (reason := other_files(folder)) is not None:
                return reason
            with written_folder(folder) as temporary:
                self.write(temporary, pictures, mark)
        except NoRoom:
            raise
        except HifaError as error:
            return str(error).removeprefix(f"{path}: ")  # whoever hears the reason knows the path
        except MemoryError:
            return "needs more memory than there is"
        except Exception as error:
            return f"cannot be drawn: a fault of hifa's own ({_place_of(error)}), please report it"
        return pictures

    def pictures(self, path: Path, mark: str) -> Pictures:
        """Return what is drawn of the mesh at ``path``; ``mark`` says from what the pictures are made."""
        del mark
        return self.views(path)

    def write(self, folder: Path, pictures: Pictures, mark: str) -> None:
        """Write the pictures into an empty folder.

        Args:
            folder: empty.
            pictures: of the shape.
            mark: what they depend on; it is written with them.
        """
        write_views(folder, np.asarray(pictures), mark)


def _place_of(error: Exception) -> str:
    """Return where in the code an error came up: an error's text says nothing to whoever has the mesh."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"
