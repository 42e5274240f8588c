"""Sphinx's configuration of the site."""

from typing import Any

from hifa_cli import __version__

project, author, copyright = "hifa", "the developers of hifa", "MIT licence"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.header", "misc.highlighting_failure"]
html_theme = "furo"
html_title = f"hifa {version}"
html_show_sphinx = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
add_module_names = False
napoleon_use_ivar = True  # attributes of named tuples are members too: each is described once


def _plain_bars(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Keep absolute values such as |x| from being read as substitutions."""
    lines[:] = [line.replace("|", r"\|") if "``" not in line else line for line in lines]


def setup(app: Any) -> None:
    """Connect what mends docstrings for reStructuredText."""
    app.connect("autodoc-process-docstring", _plain_bars)
