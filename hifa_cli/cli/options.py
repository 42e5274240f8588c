"""Options that several verbs share, declared once."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hifa_cli.cli import completion
from hifa_cli.errors import reason_of
from hifa_cli.runtime.kinds import EXPORT_SUFFIXES

if TYPE_CHECKING:
    from hifa_cli.config import Axis, Up


def _read_tables(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {reason_of(error)}") from error
    except (
        ValueError,
        RecursionError,
        MemoryError,
    ) as error:  # no TOML, no UTF-8, numbers or nesting without end
        raise typer.BadParameter(f"{path} is not TOML: {reason_of(error)}") from error


def _defaults_for(table: Any, name: str, parameters: Any) -> dict[str, Any]:
    """Return the table's values under the parameters' own names; an unknown key is a usage error.

    A verb with ``--set`` takes every field of its configuration as a key too, as ``--set`` would.
    """
    if not isinstance(table, dict):
        raise typer.BadParameter(f"'{name}' must be a table: write [{name}] on a line of its own")
    known = {
        spelling.lstrip("-").replace("-", "_"): parameter
        for parameter in parameters
        for spelling in (*parameter.opts, *parameter.secondary_opts, parameter.name)
    }
    values: dict[str, Any] = {}
    settings: list[str] = []
    for key, value in table.items():
        if (parameter := known.get(key.replace("-", "_"))) is None:
            if "set" in known and _is_setting(name, key.replace("-", "_"), table):
                settings.append(f"{key}={_as_text(name, key, value)}")
                continue
            raise typer.BadParameter(f"[{name}] does not know '{key}': see 'hifa {name} --help'")
        if parameter.multiple and not isinstance(value, list):
            value = [value]  # click would take a text apart
        if _holds_nul(value):
            raise typer.BadParameter(f"[{name}] '{key}' holds a NUL character, which no path or name has")
        values[parameter.name] = value
    if settings:
        name_of_set = known["set"].name
        values[name_of_set] = [*settings, *values.get(name_of_set, [])]
    return values


def _is_setting(verb: str, key: str, table: dict[str, Any]) -> bool:
    """Return whether ``--set`` of a verb knows a key; a table that names an own method may hold any."""
    from hifa_cli.config import AdaptConfig, TrainConfig
    from hifa_cli.settings import names_of

    own = ":" in str(table.get("method", "")) or ":" in str(table.get("methods", ""))
    return own or key in names_of(AdaptConfig if verb == "adapt" else TrainConfig)


def _as_text(verb: str, key: str, value: Any) -> str:
    """Return a number, a text or a truth value of a TOML file as it stands behind ``--set``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | str):
        return str(value)
    raise typer.BadParameter(f"[{verb}] '{key}' takes a number, a text, true or false, not {value!r:.40}")


def _set_in_file_too(context: typer.Context, given: list[str] | None) -> list[str]:
    """Put the settings of a configuration file before those of the command line: the later one wins."""
    mine = context.meta.get(TABLES, {}).get(str(context.info_name), {}).get("assignments", [])
    return [*mine, *(given or [])]


def set_option(help: str, **more: Any) -> Any:
    """Return ``--set NAME=VALUE``, spelt alike for every verb."""
    return typer.Option("--set", metavar="NAME=VALUE", help=help, callback=_set_in_file_too, **more)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_holds_nul, (*value, *value.values()) if isinstance(value, dict) else value))
    return isinstance(value, str) and "\0" in value


def load_config(context: typer.Context, path: Path | None) -> Path | None:
    """Take a verb's (or every verb's) defaults from a TOML file, a table a verb; flags win."""
    if path is None or context.resilient_parsing:
        return path
    tables = _read_tables(path)
    group: Any = context.find_root().command
    for name in tables:
        if name not in group.commands:
            raise typer.BadParameter(f"'{name}' is not a verb of hifa; 'hifa --help' lists them")
    defaults = {
        name: _defaults_for(table, name, group.commands[name].params) for name, table in tables.items()
    }
    context.meta[TABLES] = defaults
    mine = defaults if context.command is group else defaults.get(str(context.info_name), {})
    context.default_map = {**(context.default_map or {}), **mine}
    return path


TABLES = "hifa_cli.tables"  # of a configuration file, for a verb that runs others: in the context's meta


DRAW = "How meshes are drawn"  # titles of groups of options that several verbs have
RUN = "How it runs"
SAY = "Output and control"
MACHINES = "Several machines"


def out_option(help: str, **more: Any) -> Any:
    """Return ``-o/--out``, spelt alike for every verb."""
    return typer.Option("--out", "-o", help=help, **more)


BY_PRESET = "what the preset says"


def backbone_option(panel: str, default: str = BY_PRESET) -> Any:
    """Return ``--backbone``; ``panel`` is its group in ``--help``."""
    return typer.Option(
        help="efficientnet_lite0, alexnet, dinov2-small, torchvision/NAME or any timm model.",
        show_default=default,
        autocompletion=completion.backbones,
        rich_help_panel=panel,
    )


def weights_option(panel: str) -> Any:
    """Return ``--weights``; ``panel`` is its group in ``--help``."""
    from hifa_cli.config import TrainConfig

    return typer.Option(
        help="imagenet (downloaded if not installed), none, or a file of weights.",
        show_default=TrainConfig.weights,
        autocompletion=completion.weights,
        rich_help_panel=panel,
    )


def freeze_option(panel: str) -> Any:
    """Return ``--freeze``; ``panel`` is its group in ``--help``."""
    return typer.Option(
        metavar="auto|none|trunk|blocks:N",
        help="trunk: keep the trunk as it is; auto does so on a CPU, where training it takes days. blocks:N: "
        "train its last N blocks, and look at the pictures once with the others.",
        show_default=BY_PRESET,
        rich_help_panel=panel,
    )


PICTURES = (".png", ".jpg", ".jpeg", ".webp")  # endings of contact sheets
EXPORTS = EXPORT_SUFFIXES


def refuse_ending(path: Path | None, option: str, endings: Sequence[str]) -> None:
    """Refuse an output whose ending says another kind of file, before any work is done for it.

    Args:
        path: what the user gave, if anything.
        option: its name, for the message.
        endings: with their dots, in small letters.

    Raises:
        BadParameter: it ends otherwise.
    """
    if path is not None and path.suffix.lower() not in endings:
        raise typer.BadParameter(f"{option}: {path} must end in {' or '.join(endings)}")


def gallery_option(help: str, **more: Any) -> Any:
    """Return ``-g/--gallery``, spelt alike for every verb."""
    return typer.Option("--gallery", "-g", help=help, **more)


def one_gallery(place: Path | None, gallery: Path | None) -> Path:
    """Return the gallery that an argument or ``-g`` names.

    Raises:
        BadParameter: neither or both name one.
    """
    given = place or gallery
    if given is None or (place and gallery):
        raise typer.BadParameter("which gallery? give GALLERY, or -g GALLERY, once")
    return given


GalleryPlace = Annotated[
    Path | None,
    typer.Argument(metavar="GALLERY", help="Folder of 'hifa index'.", show_default="what --gallery says"),
]
GalleryAgain = Annotated[
    Path | None, gallery_option("The same as the argument.", show_default="what the argument says")
]
GalleryModel = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="RUN",
        help="Run of 'hifa train', where the gallery holds no model.",
        show_default="the gallery's model",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=SAY)]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.", rich_help_panel=SAY)
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.", rich_help_panel=SAY)]
Force = Annotated[
    bool,
    typer.Option("--force", help="Do it again and overwrite what is there.", rich_help_panel=SAY),
]


def _checked_layout(name: str) -> str:
    from hifa_cli.data.layouts import NAMES

    if name not in NAMES:
        raise typer.BadParameter(f"the layout '{name}' does not exist: choose one of {', '.join(NAMES)}")
    return name


LayoutName = Annotated[
    str,
    typer.Option(
        "--layout",
        metavar="NAME",
        callback=_checked_layout,
        autocompletion=completion.layouts,
        help="Of the data set: where class, id and split come from (docs/datasets.md). auto recognises it.",
    ),
]


def _use_threads(context: typer.Context, wanted: int | None) -> int | None:
    from hifa_cli.runtime.threads import use

    if not context.resilient_parsing:
        use(wanted, by_load=context.info_name in ("index", "query", "serve"))
    return wanted


Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        callback=_use_threads,
        help="Threads for the network and the search.",
        show_default="OMP_NUM_THREADS, else what is free",
        rich_help_panel=RUN,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Exit 1 where any input failed, not only where all did.", rich_help_panel=SAY
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of every random stream.", rich_help_panel=RUN)]
Features = Annotated[
    Path | None,
    typer.Option(
        "--feature-cache",
        help="Folder that keeps what a frozen trunk makes of the pictures, for all runs and exports on it.",
        show_default="none is kept",
        rich_help_panel=RUN,
    ),
]


Meshes = Annotated[
    Path | None,
    typer.Option(
        "--meshes",
        metavar="MESHES",
        help="The meshes that the shapes were drawn from, under any names: for pretrain=generated.",
        show_default="none",
        rich_help_panel=RUN,
    ),
]


def _accept_licence(accepted: bool) -> bool:
    """Worker processes must know as well: the environment is what they inherit."""
    from hifa_cli.models.backbones import ACCEPT

    if accepted:
        os.environ[ACCEPT] = "1"
    return accepted


AcceptLicence = Annotated[
    bool,
    typer.Option(
        "--accept-licence",
        callback=_accept_licence,
        help="Use weights whose licence forbids commercial use.",
        rich_help_panel=RUN,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="auto, cpu, cuda, cuda:N or mps.",
        autocompletion=completion.devices,
        rich_help_panel=RUN,
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        min=0,
        help="Processes that read or draw; 0: as many as the process may use cores.",
        rich_help_panel=RUN,
    ),
]
Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(
        "--engine",
        help="What does the work: this machine, or a Ray cluster (that of RAY_ADDRESS, else one that runs "
        "here, else this machine's CPUs), a part a task (docs/scale.md).",
        rich_help_panel=MACHINES,
    ),
]
Shards = Annotated[
    int | None,
    typer.Option(
        "--shards",
        min=1,
        help="Of --engine ray: how many parts.",
        show_default="one for 256 shapes or photos",
        rich_help_panel=MACHINES,
    ),
]


def check_engine(engine: str, shards: int | None) -> None:
    """Refuse a number of parts where one machine does the work.

    Raises:
        BadParameter: it is given without a cluster.
    """
    if shards is not None and engine != "ray":
        raise typer.BadParameter("--shards goes with --engine ray")


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        callback=load_config,
        is_eager=True,
        metavar="FILE.toml",
        help="Defaults from a TOML file, a table a verb; flags win.",
        show_default="none is read",
        rich_help_panel=SAY,
    ),
]
Ups = Annotated[
    list[str] | None,
    typer.Option(
        "--up",
        metavar="AXIS|PATTERN=AXIS",
        help="The axis that is up: auto, x, y, z, or of some files, e.g. '*.obj=y'. Repeatable. "
        "auto: what the format or the file says; in OBJ, PLY and STL what the folder's shapes show, else z.",
        show_default="auto",
        autocompletion=completion.axes,
        rich_help_panel=DRAW,
    ),
]
UpList = Annotated[
    Path | None,
    typer.Option(
        "--up-list",
        metavar="FILE.csv",
        help="The up axis file by file: a path and x, y or z a line. It outranks --up.",
        show_default="none: --up alone",
        rich_help_panel=DRAW,
    ),
]


def chosen_up(texts: list[str] | None, listed: Path | None) -> "tuple[Up, tuple[tuple[str, Axis], ...]]":
    """Return the axis and the rules of ``--up`` and ``--up-list``; a wrong text is a usage error."""
    from hifa_cli.render.up_rules import parse_up

    try:
        return parse_up(texts or [], listed)
    except ValueError as error:
        raise typer.BadParameter(f"--up: {error}") from error
