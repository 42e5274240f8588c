"""Settings as they are written on a command line: NAME=VALUE for any field of a configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints


def pairs(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """``key=value`` texts as pairs; a later one of the same key wins.

    Raises:
        ValueError: one has no '=' or no key.
    """
    found: dict[str, str] = {}
    for one in texts:
        key, equals, value = one.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"'{one}' is no setting: write key=value")
        found[key.strip().replace("-", "_")] = value.strip()
    return tuple(found.items())


def typed(kind: type, texts: Mapping[str, str], *, sealed: Sequence[str] = ()) -> dict[str, Any]:
    """Values of a configuration's fields from text, each by the field's own type.

    Args:
        kind: a dataclass of ``config.py``.
        texts: by name of the field.
        sealed: fields that may not be set so.

    Raises:
        ValueError: there is no such field, or the text is no value of it.
    """
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind) if field.name not in sealed]
    values = {}
    for key, text in texts.items():
        if key not in known:
            raise ValueError(f"there is no setting '{key}' here; there are {', '.join(known)}")
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
