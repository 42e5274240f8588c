"""The verbs by name, each with its line in ``hifa --help``: none of them is imported to be listed."""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.main import get_command, get_group

from hifa_cli.cli.help import Verb, described

ABOUT = {  # the first paragraph of each one's help; a test holds them equal
    "render": "Draw MESHES… from all sides: twelve grey Phong views a shape.",
    "train": "Train on labelled photos and unlabelled shapes.",
    "export": "Embed photos and shapes into an HDF5 or Parquet file.",
    "adapt": "Adapt embeddings by JGSA or MEDA, or a gallery by a few labelled photos, without training.",
    "index": "Make a gallery that photos can be held against, or change one, or look it over.",
    "query": "Find the shapes nearest to photos.",
    "serve": "Search by photos on a page in the browser; see and turn the shapes.",
    "mcp": "Let agents search a gallery, over the Model Context Protocol on stdin and stdout.",
    "duplicates": "Find the same part in a gallery: copies, poses, scales, mirrors, variants. "
    "Nothing is deleted.",
    "push": "Send a run or a gallery to the Hugging Face Hub, with a model card.",
    "pull": "Fetch a run or a gallery from the Hugging Face Hub; every file is checked.",
    "evaluate": "Score exports: NN, FT, ST, F, DCG, ANMRR.",
    "compare": "Train and score methods over several seeds on the same data: the paper's tables.",
    "plot": "Draw an export: t-SNE as in the paper's figure 3, precision–recall, confusion.",
    "demo": "Do the whole job, offline, on a world made on the spot: minutes on two cores.",
    "doctor": "Say what works on this machine, what does not, and what to do about it.",
    "help": "Show the help of a verb.",
    "data": "Look at folders of photos, views and meshes.",
}
_ALONE = ("demo", "doctor")  # do something without any argument


class Verbs(MutableMapping[str, Any]):
    """The commands by name, in the order of :data:`ABOUT`; each is imported when it is asked for."""

    def __init__(self, made: MutableMapping[str, Any]) -> None:
        self._made = dict(made)

    def __getitem__(self, name: str) -> Any:
        if name not in self._made and name in ABOUT:
            self._made[name] = _command(name)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in ABOUT or name in self._made

    def __iter__(self) -> Iterator[str]:
        return iter({**ABOUT, **self._made})

    def __len__(self) -> int:
        return len({**ABOUT, **self._made})

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]


def _command(name: str) -> Any:
    """Import the module of a verb and make its command."""
    made = getattr(import_module(f"hifa_cli.cli.{name}"), name)
    if isinstance(made, typer.Typer):
        return get_group(made)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(cls=Verb, no_args_is_help=name not in _ALONE)(described(made))
    return get_command(alone)
