"""Read a search request: a photo's bytes or a form of several, with options."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args
from urllib.parse import parse_qs, unquote

from hifa_cli.config import Find
from hifa_cli.errors import HifaError
from hifa_cli.query.parse import Box, parse_box
from hifa_cli.query.retrieve import QueryOptions
from hifa_cli.web.app import Photo

_PART_NAME = re.compile(r'\bname="([^"]*)"')
_FILE_NAME = re.compile(r'\bfilename="([^"]*)"')
_BOUNDARY = re.compile(r'\bboundary=(?:"([^"]+)"|([^\s;]+))')
_MOST_PARTS = 1000
OPTIONS = (
    "top", "threshold", "class", "where", "crop", "fuse", "find", "like", "unlike", "text", "text_weight",
)  # fmt: skip
TRUTHS = ("0", "1", "true", "false")


@dataclass
class Form:
    """The fields of a request: files as (name, bytes), all others as words."""

    files: list[tuple[str, bytes]] = field(default_factory=list)
    words: dict[str, list[str]] = field(default_factory=dict)


def parse_search(address: str, kind: str, body: bytes, *, top: int = 10) -> tuple[list[Photo], QueryOptions]:
    """Return the photos of a request and what is wanted of their rankings.

    Args:
        address: the query string: ``top``, ``threshold``, ``class`` (repeatable), ``crop``, ``fuse``,
            ``find``, ``where``, ``like`` and ``unlike`` (both repeatable).
        kind: the content type: a form (``multipart/form-data``) may hold several photos and the same fields.
        body: a photo's bytes, or the form.
        top: shapes where the request does not say.

    Returns:
        The photos in their order, and the options.

    Raises:
        HifaError: the form is broken or a field has a wrong value.
    """
    form = _form(kind, body) if kind.lower().startswith("multipart/form-data") else Form([("photo", body)])
    for name, values in parse_qs(address, keep_blank_values=True).items():
        form.words.setdefault(name, []).extend(values)
    return _photos(form), _wanted(form.words, top)


def _photos(form: Form) -> list[Photo]:
    boxes = [_box(text) for text in form.words.get("crop", [])]
    if len(boxes) > max(len(form.files), 1):
        raise HifaError(f"{len(boxes)} crops for {len(form.files)} photos: send one for each, or none")
    boxes += [None] * (len(form.files) - len(boxes))
    return [Photo(name, content, box) for (name, content), box in zip(form.files, boxes, strict=False)]


def _box(text: str) -> Box | None:
    try:
        return parse_box(text) if text else None
    except ValueError as error:
        raise HifaError(f"crop takes x,y,w,h in pixels, such as 120,40,300,300, not '{text[:40]}'") from error


def _wanted(words: dict[str, list[str]], top: int) -> QueryOptions:
    unknown = [name for name in words if name not in OPTIONS]
    if unknown:
        raise HifaError(f"option '{unknown[0][:50]}' does not exist: there are {', '.join(OPTIONS)}")
    one = {name: values[-1] for name, values in words.items()}
    return QueryOptions(
        _whole(one["top"]) if "top" in one else top,
        _between(one, "threshold", -1, -1.0),
        _names(words, "class"),
        fuse=_truth(one.get("fuse", "0")),
        find=_find(one.get("find", "both")),
        like=_names(words, "like"),
        unlike=_names(words, "unlike"),
        where=one.get("where", ""),
        text=one.get("text", ""),
        text_weight=_between(one, "text_weight", 0, QueryOptions.text_weight),
    )


def _names(words: dict[str, list[str]], name: str) -> tuple[str, ...]:
    return tuple(one for one in words.get(name, []) if one)


def _truth(text: str) -> bool:
    if text not in TRUTHS:
        raise HifaError(f"fuse takes {', '.join(TRUTHS)}, not '{text[:20]}'")
    return text in ("1", "true")


def _find(text: str) -> Find:
    known: dict[str, Find] = {one: one for one in get_args(Find)}
    if text not in known:
        raise HifaError(f"find takes {', '.join(known)}, not '{text[:20]}'")
    return known[text]


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise HifaError(f"top takes a whole number from 1, not '{text[:20]}'")
    return int(text)


def _between(words: Mapping[str, str], name: str, least: int, usual: float) -> float:
    """Return a number from ``least`` to 1."""
    if name not in words:
        return usual
    try:
        number = float(words[name])
    except ValueError:
        number = math.nan
    if not least <= number <= 1:
        raise HifaError(f"{name} takes a number from {least} to 1, not '{words[name][:20]}'")
    return number


def _form(kind: str, body: bytes) -> Form:
    found = _BOUNDARY.search(kind)
    if found is None:
        raise HifaError("the form has no boundary: send multipart/form-data as browsers do")
    mark = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
    parts = (b"\r\n" + body).split(b"\r\n" + mark, _MOST_PARTS)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise HifaError("the form is cut short or has too many parts: send it again")
    form = Form()
    for part in parts[1:-1]:
        head, gap, content = part.partition(b"\r\n\r\n")
        text = head.decode("utf-8", "replace")
        name, file = _PART_NAME.search(text), _FILE_NAME.search(text)
        if not gap or name is None:
            raise HifaError("a part of the form has no name: send multipart/form-data as browsers do")
        if file is not None:
            form.files.append((_plain_name(file[1]), content))
        else:
            form.words.setdefault(name[1], []).append(content.decode("utf-8", "replace"))
    return form


def _plain_name(name: str) -> str:
    """Return a file's name without folders; browsers escape quotes and line ends by percents."""
    return re.split(r"[/\\]", unquote(name))[-1] or "photo"
