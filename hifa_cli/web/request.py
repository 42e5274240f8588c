"""Read a search request: a photo's bytes or a form of several, with options."""

import math
import re
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
        raise HifaError(f"crop takes x,y,w,h in pixels, such as 120,40,300,300, not '{text}'") from error


def _wanted(words: dict[str, list[str]], top: int) -> QueryOptions:
    number, least, find = _last(words, "top"), _last(words, "threshold"), _last(words, "find")
    return QueryOptions(
        _whole(number) if number else top,
        _score(least) if least else -1.0,
        tuple(name for name in words.get("class", []) if name),
        fuse=_last(words, "fuse") in ("1", "true"),
        find=_find(find or "both"),
        like=tuple(name for name in words.get("like", []) if name),
        unlike=tuple(name for name in words.get("unlike", []) if name),
        where=_last(words, "where"),
        text=_last(words, "text"),
        text_weight=_weight(_last(words, "text_weight")),
    )


def _find(text: str) -> Find:
    known: dict[str, Find] = {one: one for one in get_args(Find)}
    if text not in known:
        raise HifaError(f"find takes {', '.join(known)}, not '{text[:20]}'")
    return known[text]


def _last(words: dict[str, list[str]], name: str) -> str:
    return words.get(name, [""])[-1]


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise HifaError(f"top takes a whole number from 1, not '{text}'")
    return int(text)


def _weight(text: str) -> float:
    try:
        number = float(text) if text else QueryOptions.text_weight
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise HifaError(f"text_weight takes a number from 0 to 1, not '{text[:20]}'")
    return number


def _score(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not -1 <= number <= 1:
        raise HifaError(f"threshold takes a number from -1 to 1, not '{text}'")
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
