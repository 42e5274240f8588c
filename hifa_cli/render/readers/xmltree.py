"""XML of meshes: parsed without document types, entities, network or other files."""

import re
from typing import Any

from hifa_cli.errors import HifaError

# what lxml is asked for wherever it reads a stranger's file
SAFE: dict[str, Any] = {
    "resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": True,
    "remove_comments": True, "remove_pis": True,
}  # fmt: skip
_WRONG_BYTES = re.compile(r"encoding|not proper UTF-8|invalid.*char", re.IGNORECASE)


def parsed(content: bytes, kind: str) -> Any:
    """Return the root of a document whose document type was refused before (:mod:`..validate`).

    Names in it may be in another encoding than it says: geometry is ASCII.

    Raises:
        HifaError: it is not well-formed; ``kind`` says what it should have been.
    """
    from lxml import etree

    try:
        return etree.fromstring(content, etree.XMLParser(**SAFE))
    except etree.XMLSyntaxError as error:
        first = error
    if b"\0" not in content[:64] and _WRONG_BYTES.search(str(first)):
        try:
            return etree.fromstring(content, etree.XMLParser(**SAFE, encoding="iso-8859-1"))
        except etree.XMLSyntaxError as error:
            first = error
    line = first.position[0] if first.position else 0
    where = f"line {line}" if line else "its beginning"
    raise HifaError(f"cannot be read as {kind}: its XML is cut off or damaged at {where}")


def name_of(element: Any) -> str:
    """Return an element's name without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def children(element: Any, *names: str) -> list[Any]:
    """Return the children that have one of these names."""
    return [child for child in element if name_of(child) in names]


def child(element: Any, name: str) -> Any:
    """Return the first child of a name, or None."""
    return next((one for one in element if name_of(one) == name), None)
