"""Views that a gallery keeps no pictures of, drawn from the mesh when a page shows them."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from PIL import Image

from hifa_cli.config import RenderConfig
from hifa_cli.render.isolated import read_safely
from hifa_cli.render.views import MeshViews, up_axis

_alone = threading.Lock()  # a renderer draws into its own buffers


def drawn_views(path: Path, config: RenderConfig, views: Sequence[int]) -> dict[int, Image.Image]:
    """Draw some views of a mesh.

    Args:
        path: the mesh.
        config: how the gallery's shapes were drawn.
        views: numbers of views; one that the rig has not is left out.

    Returns:
        Pictures by view.

    Raises:
        HifaError: the mesh cannot be read, or nothing of it can be seen.
    """
    wanted = [view for view in views if 0 <= view < config.views]
    if not wanted:
        return {}
    mesh = read_safely(path)
    with _alone:
        drawn = _renderer(config).draw(mesh, up_axis(path, config), wanted)
    return {view: Image.fromarray(picture) for view, picture in zip(wanted, drawn, strict=True)}


@lru_cache(maxsize=4)
def _renderer(config: RenderConfig) -> MeshViews:
    return MeshViews(replace(config, renderer="builtin"))
