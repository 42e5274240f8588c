"""Every number with a meaning, once: a frozen dataclass a stage, imports nothing heavy.

A command's default is the field here; a field names the section or equation it comes from.
"""

from dataclasses import dataclass
from typing import Literal

Renderer = Literal["auto", "builtin", "opengl"]
Shading = Literal["mvcnn", "smooth"]
Up = Literal["auto", "x", "y", "z"]
Framing = Literal["box", "sphere"]


@dataclass(frozen=True)
class RenderConfig:
    """The twelve views of a shape (section 3.2; Su et al. 2015)."""

    views: int = 12  # N, section 3.2
    elevation: float = 30.0  # degrees, Su et al. 2015
    size: int = 224  # pixels a side
    up: Up = "auto"
    shading: Shading = "mvcnn"
    framing: Framing = "box"
    ground: int = 255  # grey level behind the shape
    renderer: Renderer = "auto"
