"""The choice of the renderer on this machine."""

from pathlib import Path
from typing import Literal, NamedTuple

from hifa_cli.config import Renderer
from hifa_cli.errors import HifaError

GPU_NODES = ("nvidia[0-9]*", "dri/renderD*", "dxg")  # in /dev: NVIDIA's driver, Mesa's, Windows' own Linux


class Choice(NamedTuple):
    """A renderer and the reason; ``fell_back`` when it is not the one that was asked for."""

    renderer: Literal["builtin", "opengl"]
    reason: str
    fell_back: bool = False


def choose(wanted: Renderer) -> Choice:
    """Return the renderer to use: OpenGL where a GPU draws, else the built-in one, unless one is asked for.

    OpenGL is tried in a process of its own, and not at all where the system shows no GPU.
    """
    if wanted == "builtin":
        return Choice("builtin", "asked for")
    if wanted == "auto" and not gpu_nodes():
        return Choice("builtin", "this system shows no GPU, and OpenGL on a CPU is slower")
    from hifa_cli.render.opengl import probe

    try:
        driver = probe()
    except HifaError as error:
        reason = f"OpenGL does not start: {error}"
        return Choice("builtin", reason, fell_back=wanted == "opengl")
    if wanted == "auto" and driver.software:
        return Choice("builtin", f"OpenGL would draw on the CPU here ({driver.renderer}), which is slower")
    return Choice("opengl", driver.renderer)


def gpu_nodes() -> list[str]:
    """Return the GPUs' device files."""
    return sorted(str(node) for pattern in GPU_NODES for node in Path("/dev").glob(pattern))
