"""Read a search request: a photo's bytes or a form of several, with options."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, get_args
from urllib.parse import parse_qs, unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from hifa_cli.config import Find
from hifa_cli.errors import HifaError
from hifa_cli.query.parse import Box, parse_box
from hifa_cli.query.retrieve import QueryOptions
from hifa_cli.web.app import Photo

_MOST_PARTS = 1000
OPTIONS = (
    "top", "threshold", "class", "where", "crop", "fuse", "find", "like", "unlike", "text", "text_weight",
    "pictures",
)  # fmt: skip
LIST_OPTIONS = ("where", "class", "top", "offset")
LARGEST = 1024  # pixels of a photo's longer side in an answer
TRUTHS = ("0", "1", "true", "false")
logging.getLogger("python_multipart").addHandler(logging.NullHandler())  # the answer says what is wrong


@dataclass
class Form:
    """The fields of a request: files as (name, bytes), all others as words."""

    files: list[tuple[str, bytes]] = field(default_factory=list)
    words: dict[str, list[str]] = field(default_factory=dict)


class Search(NamedTuple):
    """A request to search.

    Attributes:
        photos: in their order.
        wanted: of their rankings.
        pictures: pixels of each photo's longer side in the answer; 0 for no pictures.
    """

    photos: list[Photo]
    wanted: QueryOptions
    pictures: int = 0


def parse_search(address: str, kind: str, body: bytes, *, top: int = 10) -> Search:
    """Return the photos of a request and what is wanted of their rankings.

    Args:
        address: the query string: ``top``, ``threshold``, ``class`` (repeatable), ``crop``, ``fuse``,
            ``find``, ``where``, ``like`` and ``unlike`` (both repeatable), ``text``, ``text_weight``,
            ``pictures``.
        kind: the content type: a form (``multipart/form-data``) may hold several photos and the same fields.
        body: a photo's bytes, or the form.
        top: shapes where the request does not say.

    Returns:
        The photos, the options, and what is shown of the photos.

    Raises:
        HifaError: the form is broken or a field has a wrong value.
    """
    form = _form(kind, body) if kind.lower().startswith("multipart/form-data") else Form([("photo", body)])
    for name, values in parse_qs(address, keep_blank_values=True).items():
        form.words.setdefault(name, []).extend(values)
    pictures = form.words.get("pictures", ["0"])[-1]
    if not (pictures.isascii() and pictures.isdigit() and len(pictures) < 5 and int(pictures) <= LARGEST):
        raise HifaError(f"pictures takes pixels from 0 to {LARGEST}, not '{pictures[:20]}'")
    return Search(_photos(form), _wanted(form.words, top), int(pictures))


def parse_list(address: str, *, top: int = 20) -> tuple[QueryOptions, int]:
    """Return what is wanted of a list of shapes, and how many are left out of it.

    Args:
        address: the query string: ``where``, ``class`` (repeatable), ``top``, ``offset``.
        top: shapes where the request does not say.

    Raises:
        HifaError: an option is unknown or has a wrong value.
    """
    words = parse_qs(address, keep_blank_values=True)
    offset = words.pop("offset", ["0"])[-1]
    if not (offset.isascii() and offset.isdigit() and len(offset) < 16):
        raise HifaError(f"offset takes a whole number from 0, not '{offset[:20]}'")
    return _wanted(words, top, LIST_OPTIONS), int(offset)


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


def _wanted(words: dict[str, list[str]], top: int, known: Sequence[str] = OPTIONS) -> QueryOptions:
    unknown = [name for name in words if name not in known]
    if unknown:
        raise HifaError(f"option '{unknown[0][:50]}' does not exist: there are {', '.join(known)}")
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
    """Return the fields and files of a form, which python-multipart parses in memory."""
    boundary = parse_options_header(kind.encode("latin-1", "replace"))[1].get(b"boundary") or None
    parts: list[Field | File] = []
    ends: list[bool] = []

    def add(part: Field | File) -> None:
        if len(parts) == _MOST_PARTS:
            raise HifaError(f"the form has more than {_MOST_PARTS} parts: send fewer")
        parts.append(part)

    try:
        in_memory = {"MAX_MEMORY_FILE_SIZE": math.inf}
        FormParser(
            "multipart/form-data", add, add, lambda: ends.append(True), boundary, config=in_memory
        ).write(body)
    except FormParserError as error:
        raise HifaError(
            f"the form is malformed ({error}): send multipart/form-data as browsers do"
        ) from error
    if not ends:
        raise HifaError("the form is cut short: send it again")
    form = Form()
    for part in parts:
        if isinstance(part, File):
            part.file_object.seek(0)
            form.files.append((_plain_name(_text(part.file_name)), part.file_object.read()))
        else:
            form.words.setdefault(_text(part.field_name), []).append(_text(part.value))
    return form


def _text(part: bytes | None) -> str:
    return (part or b"").decode("utf-8", "replace")


def _plain_name(name: str) -> str:
    """Return a file's name without folders; browsers escape quotes and line ends by percents."""
    return re.split(r"[/\\]", unquote(name))[-1] or "photo"
