"""Settings as users write them: NAME=VALUE texts, tables of a file, keywords of a function."""

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hifa_cli.config import DEFAULT_RECIPE, NEW_MODEL_FIELDS, PRESETS, ModelConfig, Preset, TrainConfig
from hifa_cli.errors import HifaError

MOST_SIDE = 4_096  # pixels a side that a stored network may want its pictures in
MOST_NUMBERS = 65_536  # of an embedding


def pairs(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return ``key=value`` texts as pairs; a later one of the same key wins.

    Raises:
        ValueError: one has no '=' or no key.
    """
    found: dict[str, str] = {}
    for one in texts:
        if not isinstance(one, str):  # from a file
            raise ValueError(f'{one!r} is not a setting: write "key=value"')
        key, equals, value = one.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"'{one}' is not a setting: write key=value")
        found[key.strip().replace("-", "_")] = value.strip()
    return tuple(found.items())


def typed(kind: type, texts: Mapping[str, str], *, sealed: Sequence[str] = ()) -> dict[str, Any]:
    """Return values of a configuration's fields from text, each by the field's own type.

    Args:
        kind: a dataclass of ``config.py``.
        texts: by name of the field.
        sealed: fields that may not be set so.

    Returns:
        The values by name of the field.

    Raises:
        ValueError: the field is unknown, or the text is not a value of it.
    """
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind) if field.name not in sealed]
    values = {}
    for key, text in texts.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
            raise ValueError(f"the setting '{key}' does not exist; {hint}")
        values[key] = _value(key, text, hints[key])
    return values


def _value(key: str, text: str, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise ValueError(f"{key} is one of {', '.join(map(str, get_args(kind)))}, not '{text}'")
        return text
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{key} is true or false, not '{text}'")
        return text.lower() == "true"
    if kind not in (int, float, str):
        raise ValueError(f"{key} cannot be set from a line of text")
    try:
        return kind(text)
    except ValueError as error:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"{key} is {what}, not '{text}'") from error


def documented(kind: type, document: Any) -> dict[str, Any]:
    """Values of a dataclass's fields as a JSON document has them, each of the field's own type.

    Args:
        kind: a dataclass whose fields are numbers, texts, choices and tuples of these.
        document: what was read; a field that it lacks keeps its default.

    Raises:
        ValueError: it is not an object, or has an unknown field, or one is of another type.
    """
    hints = get_type_hints(kind)
    if not isinstance(document, dict) or not set(document) <= {field.name for field in fields(kind)}:
        raise ValueError(f"no settings of a {kind.__name__}")
    return {key: _documented(key, value, hints[key]) for key, value in document.items()}


def _documented(key: str, value: Any, kind: Any) -> Any:
    if get_origin(kind) is tuple and isinstance(value, list):
        inner = get_args(kind)
        inner = inner[:1] * len(value) if inner[1:] == (...,) else inner
        if len(inner) == len(value):
            return tuple(_documented(key, one, each) for one, each in zip(value, inner, strict=True))
    elif get_origin(kind) is Literal:
        if isinstance(value, str) and value in get_args(kind):
            return value
    elif kind is float and type(value) in (int, float) and abs(value) <= 1e300:
        return float(value)
    elif kind in (int, bool, str) and type(value) is kind:
        return value
    raise ValueError(f"{key} cannot be {str(value)[:40]}")


def choose_recipe(method: str | None, preset: Preset | None) -> tuple[str, Preset]:
    """Return method and preset where neither, one or both are given.

    Args:
        method: as the user says.
        preset: likewise.

    Returns:
        The method's name and the preset.
    """
    if method is None and preset in (None, DEFAULT_RECIPE[1]):
        return DEFAULT_RECIPE
    return method or TrainConfig.method, preset or TrainConfig.preset


SEALED = ("method", "preset", "own")  # fields of a run that have their own way in


def train_config(
    method: str | None, preset: Preset | None, given: Mapping[str, Any], own: type | None = None
) -> TrainConfig:
    """Return the configuration of a run: the preset's numbers, and what is given in their place.

    Args:
        method: a name of the table of methods, or ``package.module:Class``; None lets the preset decide.
        preset: None means the default of the method.
        given: fields of ``TrainConfig`` but method and preset, and fields of ``own``.
        own: the configuration class of a user's own method.

    Returns:
        Every number of the run.

    Raises:
        HifaError: a field or the preset does not exist, or a value is of another type.
    """
    name, chosen = choose_recipe(method, preset)
    if chosen not in PRESETS:
        raise HifaError(f"preset '{chosen}' does not exist: choose {', '.join(PRESETS)}")
    return with_settings(TrainConfig(method=name, preset=chosen), {**recipe(chosen, given), **given}, own)


def recipe(preset: Preset, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a preset, with the input that the backbone has.

    Args:
        preset: its name.
        given: what the user says; of another backbone than EfficientNet-Lite0 the pooled feature is read, for
            the four blocks are that network's.
    """
    numbers = dict(PRESETS[preset])
    if "inputs" in numbers and given.get("backbone", TrainConfig.backbone) != TrainConfig.backbone:
        numbers["inputs"] = "pooled"
    return numbers


def with_settings(config: TrainConfig, given: Mapping[str, Any], own: type | None = None) -> TrainConfig:
    """Return ``config`` with some of its numbers changed, and all settings of a user's own method.

    Args:
        config: of a run.
        given: fields of ``TrainConfig`` but method and preset, and fields of ``own``.
        own: the configuration class of a user's own method; what is not given keeps its default.

    Returns:
        The changed configuration.

    Raises:
        HifaError: a field does not exist, or a value is of another type.
    """
    theirs = names_of(own)
    known = [*names_of(TrainConfig), *theirs]
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            raise HifaError(
                f"setting '{key}' does not exist"
                + (f": did you mean '{close[0]}'?" if close else f"; there are {', '.join(known)}")
            )
    try:
        mine = documented(TrainConfig, {key: value for key, value in given.items() if key not in theirs})
        if own is not None:
            made = own(**documented(own, {key: value for key, value in given.items() if key in theirs}))
            mine["own"] = json.dumps({name: getattr(made, name) for name in theirs}, sort_keys=True)
    except ValueError as error:
        raise HifaError(f"setting {error}") from error
    return replace(config, **mine)


def names_of(kind: type | None) -> tuple[str, ...]:
    """Return the names of the settings that a user may give for a configuration class; none for None."""
    return () if kind is None else tuple(one.name for one in fields(kind) if one.name not in SEALED)


def run_settings(texts: Mapping[str, str], own: type | None = None) -> dict[str, Any]:
    """Return values of a run's settings from text, each by the type of its field.

    Args:
        texts: by name of the field, of ``TrainConfig`` or of ``own``.
        own: the configuration class of a user's own method.

    Returns:
        The values by name.

    Raises:
        ValueError: a field does not exist, or the text is not a value of it.
    """
    theirs = names_of(own)
    texts = texts if "attention" in theirs else _with_attention(texts)
    mine = typed(TrainConfig, {key: text for key, text in texts.items() if key not in theirs}, sealed=SEALED)
    if own is None:
        return mine
    return mine | typed(own, {key: text for key, text in texts.items() if key in theirs})


def _with_attention(texts: Mapping[str, str]) -> dict[str, str]:
    """Return settings in which ``attention`` of DLEA is spelt as the pooling that it stands for."""
    rest = {name: text for name, text in texts.items() if name != "attention"}
    match texts.get("attention"):
        case None | "none":
            return rest
        case "views" if "pooling" not in rest:
            return {**rest, "pooling": "attention"}
    raise ValueError("attention: give none, or views without another pooling")


def stored_model(document: Any) -> ModelConfig:
    """Return the network that ``model.json`` describes.

    Raises:
        ValueError: it describes none, or one that no picture or no memory could feed.
    """
    config = ModelConfig(**documented(ModelConfig, document))
    if not 1 <= config.size <= config.resize <= MOST_SIDE:
        raise ValueError(f"pictures of {config.resize} pixels, of which it sees {config.size}")
    if not 0 <= config.embedding <= MOST_NUMBERS or not 0 <= config.dropout <= 1:
        raise ValueError(f"an embedding of {config.embedding} numbers, a dropout of {config.dropout}")
    if config.norm_last < 0:
        raise ValueError(f"statistics of the last {config.norm_last} blocks")
    if not all(math.isfinite(1 / one) if one else False for one in config.std):
        raise ValueError(f"a deviation of {config.std}")
    return config


def identity(config: ModelConfig) -> dict[str, Any]:
    """Return what of a configuration a digest depends on: new fields only where they are used.

    So networks and galleries that an older version wrote keep their digests.
    """
    plain = asdict(ModelConfig())
    return {
        name: value
        for name, value in asdict(config).items()
        if name not in NEW_MODEL_FIELDS or value != plain[name]
    }
