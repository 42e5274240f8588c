"""XML of meshes: parsed without document types, entities, network or other files."""

import codecs
from typing import Any

import numpy as np

from hifa_cli.errors import HifaError
from hifa_cli.render import validate
from hifa_cli.render.readers.textual import utf8

# what lxml is asked for wherever it reads a stranger's file
SAFE: dict[str, Any] = {
    "resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": True,
    "remove_comments": True, "remove_pis": True,
}  # fmt: skip
_AROUND = b" \t\r\n\0"  # what programs leave before and behind a document
_HARMLESS = (200, 201, 202, 203, 204, 205)  # libxml2's errors about namespaces and their prefixes


def parsed(content: bytes, kind: str) -> Any:
    """Return the root of a document whose document type was refused before (:mod:`..validate`).

    Names in it may be in another encoding than it says: geometry is ASCII.

    Raises:
        HifaError: it is not well-formed; ``kind`` says what it should have been.
    """
    from lxml import etree

    content = narrow(content)
    said = (
        "utf-8" if _is_utf8(content) else "iso-8859-1"
    )  # whatever it says itself: programs convert text alone
    parser = etree.XMLParser(**SAFE, recover=True, encoding=said)
    try:
        root = etree.fromstring(content, parser)
        faults = [one for one in parser.error_log if one.type not in _HARMLESS]
    except etree.XMLSyntaxError as error:
        root, faults = None, [*error.error_log]
    if root is not None and not faults:
        return root
    line = faults[0].line if faults else 0
    where = f"line {line}" if line else "its beginning"
    raise HifaError(f"cannot be read as {kind}: its XML is cut off or damaged at {where}")


def narrow(content: bytes) -> bytes:
    """Return XML whose ASCII takes a byte a letter: UTF-8 in place of UTF-16 and UTF-32, without a mark.

    Raises:
        HifaError: it begins as one of those and is damaged, or brings a document type.
    """
    text = utf8(np.frombuffer(content, dtype=np.uint8)).tobytes()
    if len(text) != len(content):  # nobody has looked through it yet
        validate.refuse_doctype(text)
    return text.removeprefix(codecs.BOM_UTF8).strip(_AROUND)


def name_of(element: Any) -> str:
    """Return an element's name without its namespace, or a prefix that is not declared."""
    tag = element.tag
    return tag.rpartition("}")[2].rpartition(":")[2] if isinstance(tag, str) else ""


def children(element: Any, *names: str) -> list[Any]:
    """Return the children that have one of these names."""
    return [child for child in element if name_of(child) in names]


def child(element: Any, name: str) -> Any:
    """Return the first child of a name, or None."""
    return next((one for one in element if name_of(one) == name), None)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
