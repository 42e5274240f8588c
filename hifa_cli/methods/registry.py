"""The training methods by name: where each class stands, what it is, and how a user's own is found.

Nothing here imports torch before a method is built, so that the command line can list the names at once.
"""

import importlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, get_origin, get_type_hints

from hifa_cli.config import Norm, TrainConfig
from hifa_cli.errors import HifaError

if TYPE_CHECKING:
    from hifa_cli.methods.base import Objective
    from hifa_cli.models.network import Network


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        where: ``module:Class`` of its objective.
        about: what it is, on a line.
        options: keyword arguments of the class.
        norm: the batch normalisation that it is about.
    """

    where: str
    about: str
    options: Mapping[str, Any] = field(default_factory=dict)
    norm: Norm = "shared"


_HIFA = "hifa_cli.methods.base:Hifa"
METHODS: Mapping[str, Method] = {
    "source-only": Method("hifa_cli.methods.base:SourceOnly", "the photos' classes alone (the row AlexNet)"),
    "hifa-g": Method(_HIFA, "global alignment: equation 4", {"mutual": False, "local": False}),
    "hifa-gl": Method(_HIFA, "global and local alignment: equations 4 and 6", {"mutual": False}),
    "hifa-l": Method(_HIFA, "local alignment: equation 6 alone", {"mutual": False, "norms": False}),
    "hifa": Method(_HIFA, "all of equation 7"),
    "dann": Method("hifa_cli.methods.rivals:Dann", "gradient reversal (the row RevGrad)"),
    "jan": Method("hifa_cli.methods.rivals:Jan", "joint maximum mean discrepancy"),
    "dlea": Method(
        "hifa_cli.methods.rivals:Dlea", "DLEA-style: gradient reversal and class centroids, not DLEA itself"
    ),
    "mstn": Method("hifa_cli.methods.rivals:Mstn", "gradient reversal at a tenth and moving class centroids"),
    "afn": Method("hifa_cli.methods.rivals:Afn", "feature norms (HAFN): equation 4 alone"),
    "safn": Method("hifa_cli.methods.rivals:Safn", "feature norms that grow stepwise"),
    "mcc": Method("hifa_cli.methods.later:Mcc", "minimum class confusion of the shapes' predictions"),
    "shot": Method("hifa_cli.methods.later:Shot", "the photos first, then self-labelled shapes (SHOT)"),
    "ma": Method("hifa_cli.methods.later:PrototypeTransport", "SHOT and transported prototypes (MA's idea)"),
    "coral": Method("hifa_cli.methods.rivals:Coral", "equal covariances (Deep CORAL)"),
    "adabn": Method(
        "hifa_cli.methods.base:SourceOnly",
        "the photos' classes; shapes by batch-norm statistics of their own (AdaBN)",
        norm="adabn",
    ),
    "transnorm": Method(
        "hifa_cli.methods.rivals:Dann",
        "gradient reversal with transferable normalisation (TransNorm)",
        norm="transnorm",
    ),
}


def check_method(name: str) -> None:
    """Return whether ``name`` is in the table or has the form of a user's own class; nothing is imported.

    Raises:
        HifaError: neither.
    """
    if not isinstance(name, str):  # a number in a file
        raise HifaError(f"{name!r} is not a method: write its name in quotes")
    module, colon, kind = name.partition(":")
    own = bool(colon) and all(part.isidentifier() for part in (*module.split("."), kind))
    if name not in METHODS and not own:
        raise HifaError(f"no method '{name}': choose {', '.join(METHODS)}, or package.module:Class")


def find_method(name: str) -> tuple["type[Objective]", Mapping[str, Any]]:
    """Return the class of a method and its keyword arguments.

    Args:
        name: a name of the table, or ``package.module:Class`` of a subclass of ``Objective`` that Python
            can import. The current directory counts only where it is on ``PYTHONPATH``.

    Raises:
        HifaError: no such method, or the class cannot be imported or is not an objective.
    """
    from hifa_cli.methods.base import Objective

    check_method(name)
    known = METHODS.get(name)
    module, _, kind = (known.where if known else name).partition(":")
    try:
        found = getattr(importlib.import_module(module), kind)
    except Exception as error:  # whatever a user's module raises while it is imported
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise HifaError(
            f"cannot import --method {name}: {reason}; its folder must be on PYTHONPATH"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Objective)):
        raise HifaError(f"--method {name} is not a subclass of hifa_cli.methods.base.Objective; make it one")
    return found, known.options if known else {}


def settings_of(name: str) -> type | None:
    """Return the configuration class of a user's own method; None for a method without one.

    Args:
        name: a name of the table, whose settings are fields of ``TrainConfig``, or ``package.module:Class``.

    Raises:
        HifaError: the method does not exist, or its ``Settings`` is not a dataclass of numbers, texts and
            choices with a default each, under names of its own.
    """
    if name in METHODS:
        return None
    kind = find_method(name)[0].Settings
    if kind is None:
        return None
    if not isinstance(kind, type) or not is_dataclass(kind):
        raise HifaError(f"--method {name}: its Settings is not a dataclass; decorate it with @dataclass")
    hints = get_type_hints(kind)
    for one in fields(kind):
        if one.name in TrainConfig.__dataclass_fields__:
            raise HifaError(f"--method {name}: every run has a setting '{one.name}'; rename its own")
        if hints[one.name] not in (int, float, str, bool) and get_origin(hints[one.name]) is not Literal:
            raise HifaError(
                f"--method {name}: its setting '{one.name}' is not int, float, str, bool or Literal"
            )
        if one.default is MISSING:
            raise HifaError(f"--method {name}: its setting '{one.name}' has no default; give it one")
    return kind


def norm_of(config: TrainConfig) -> Norm:
    """Return the batch normalisation of a run: as it says, or the method's own."""
    if config.norm != "auto":
        return config.norm
    known = METHODS.get(config.method)
    return known.norm if known else "shared"


def build_objective(network: "Network", config: TrainConfig, seed: int) -> "Objective":
    """Return the objective called ``config.method``.

    Args:
        network: that is trained.
        config: of the run; ``method`` names the objective.
        seed: of its random streams.

    Returns:
        The objective, its own parameters initialised.

    Raises:
        HifaError: no such method.
    """
    kind, options = find_method(config.method)
    return kind(network, config, seed, **options)
