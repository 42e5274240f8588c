"""A database behind a gallery: where its shapes' vectors live, if not in its own folder.

:mod:`.base` says what a store must give, :mod:`.lance` and :mod:`.qdrant` are the stores, :mod:`.table` lets
a gallery read one as if it were its own file.
"""

import hashlib
import json
import os
import platform
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hifa_cli.errors import HifaError
from hifa_cli.gallery.stores.base import Shelf, Size, Store, StoreError

LOCAL = "local"
HOSTS_VARIABLE = "HIFA_STORES"  # hosts that any gallery may have asked, with commas between
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
FORMS = "lance:PATH, qdrant://HOST[:PORT]/COLLECTION or local"
_SHELF = re.compile(r"hifa-(?P<key>[0-9a-f]{16})-\d+-[0-9a-f]{8}", re.ASCII)
_COLLECTION = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)
_SCHEMES = ("qdrant", "qdrant+https")


@dataclass(frozen=True)
class StoreEntry:
    """The entry ``store`` of ``gallery.json``.

    Attributes:
        address: of the store; a folder's path is absolute.
        shelf: that is in force.
        relative: of a folder, its path from the gallery; empty for others.
    """

    address: str
    shelf: str
    relative: str = ""


def settled_address(text: str) -> str:
    """Return the address that ``--store`` names, a folder's path made absolute; ``local`` stays.

    Raises:
        HifaError: it names no store.
    """
    if text == LOCAL:
        return text
    kind, _, place = text.partition(":")
    if kind == "lance" and place and "\0" not in place:
        return text if _is_remote(place) else f"lance:{Path(place).expanduser().absolute()}"
    if kind in _SCHEMES:
        _parts(text)
        return text
    raise HifaError(f"'{text}' is not a store: give {FORMS}")


def _is_remote(place: str) -> bool:
    return re.match(r"[a-z][a-z0-9+.-]+://", place) is not None


def _parts(address: str) -> tuple[str, int | None, str]:
    """Return host, port and collection of a Qdrant address.

    Raises:
        HifaError: it is not one.
    """
    wrong = HifaError(f"'{address}' is not a store: give qdrant://HOST[:PORT]/COLLECTION")
    try:
        found = urlsplit(address)
        host, port, collection = found.hostname, found.port, found.path.strip("/")
    except ValueError as error:
        raise wrong from error
    if (
        not host
        or found.query
        or found.fragment
        or "@" in found.netloc
        or not _COLLECTION.fullmatch(collection)
    ):
        raise wrong
    return host, port, collection


def open_store(address: str) -> Store:
    """Return the store at a settled address.

    Raises:
        StoreError: its library is not installed, or it cannot be reached.
    """
    if address.startswith("lance:"):
        from hifa_cli.gallery.stores.lance import open_lance

        return open_lance(address, address.partition(":")[2])
    from hifa_cli.gallery.stores.qdrant import open_qdrant

    host, port, collection = _parts(address)
    return open_qdrant(address, host, port, collection, https=address.startswith("qdrant+https:"))


def key_of(folder: Path) -> str:
    """Return the mark of all shelves that the gallery of a folder writes.

    It is made of the folder's place: who copies a gallery can read its shelf, but neither copy can change or
    remove what the other one reads.
    """
    place = f"{platform.node()}\0{folder.resolve()}"
    return hashlib.blake2b(place.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def new_name(folder: Path, number: int) -> str:
    """Return a name for the shelf of a generation that nobody has had."""
    return f"hifa-{key_of(folder)}-{number}-{secrets.token_hex(4)}"


def is_own(folder: Path, shelf: str) -> bool:
    """Return whether the gallery of a folder wrote a shelf."""
    found = _SHELF.fullmatch(shelf)
    return found is not None and found["key"] == key_of(folder)


def check_owner(store: Store, folder: Path) -> None:
    """Refuse a store that holds another gallery, before anything is written.

    Args:
        store: to be written to by a gallery that does not live there.
        folder: the gallery.

    Raises:
        StoreError: the store cannot be reached or holds another gallery.
    """
    for name in store.shelves():
        if not is_own(folder, name):
            raise StoreError(
                f"{store.address} holds another gallery ('{name}'): give each gallery a store of its own"
            )


def usable_store(text: str, folder: Path) -> str:
    """Return the settled address that ``--store`` names, once it is seen to be usable: before any work.

    Args:
        text: as the user gave it.
        folder: the gallery.

    Raises:
        HifaError: it names no store, its library is not installed, it cannot be reached, or it holds another
            gallery.
    """
    address = settled_address(text)
    if address != LOCAL and not is_home(folder, address):
        check_owner(open_store(address), folder)
    return address


def is_home(folder: Path, address: str) -> bool:
    """Return whether the gallery of a folder says that it lives at an address."""
    try:
        document = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
        return address_of(document, folder) == address
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def entry_of(address: str, shelf: str, folder: Path) -> dict[str, Any]:
    """Return the entry ``store`` of ``gallery.json``; a folder's path is kept relative to the gallery too.

    Args:
        address: settled, of the store.
        shelf: its name.
        folder: the gallery.

    Returns:
        Plain values for JSON.
    """
    entry = {"address": address, "shelf": shelf, "relative": ""}
    place = address.partition(":")[2]
    if address.startswith("lance:") and not _is_remote(place):
        with suppress(ValueError):  # another drive of Windows
            entry["relative"] = Path(os.path.relpath(place, folder.resolve())).as_posix()
    return entry


def address_of(document: dict[str, Any], folder: Path) -> str:
    """Return where the vectors of a gallery live now: a settled address, or ``local``.

    A folder that lies where it did relative to the gallery counts before the absolute path.
    """
    said = document.get("store")
    if said is None:
        return LOCAL
    entry = StoreEntry(**said)
    place = os.path.normpath(folder.resolve() / entry.relative) if entry.relative else ""
    return f"lance:{place}" if place and Path(place).is_dir() else entry.address


def _check_host(address: str, folder: Path, shelf: str) -> None:
    """Refuse to ask another machine because a gallery that was made elsewhere says so.

    Raises:
        StoreError: the gallery did not write the shelf from its place, and the user has not allowed the host.
    """
    place = address.partition(":")[2] if address.startswith("lance:") else address
    host = (urlsplit(place).hostname or "") if _is_remote(place) else ""
    allowed = {one.strip() for one in os.environ.get(HOSTS_VARIABLE, "").split(",")}
    if host and host not in (*_LOOPBACK, *allowed) and not is_own(folder, shelf):
        raise StoreError(
            f"{folder} was made in another place and its vectors live on {host}: if you trust it, set "
            f"{HOSTS_VARIABLE}={host}"
        )


def open_shelf(document: dict[str, Any], folder: Path, stored: int) -> Shelf:
    """Return the shelf of a gallery, looked over.

    Args:
        document: what ``gallery.json`` says.
        folder: the gallery.
        stored: how many rows count.

    Returns:
        The shelf.

    Raises:
        StoreError: the store cannot be reached, or does not hold what the gallery says.
    """
    address, name = address_of(document, folder), str(document["store"]["shelf"])
    _check_host(address, folder, name)
    store = open_store(address)
    if name not in store.shelves():
        raise StoreError(
            f"{store.address} does not hold the vectors of {folder} ('{name}'): bring the store back, or "
            "build the gallery again"
        )
    shelf = store.open(name)
    wanted = Size(int(document["views"]), int(document["dimension"]))
    if shelf.size.width != wanted.width or (shelf.size.views != wanted.views and shelf.count()):
        raise StoreError(
            f"{store.address} holds {shelf.size.views} views of {shelf.size.width} numbers a shape and "
            f"{folder} says {wanted.views} of {wanted.width}: build the gallery again"
        )
    if (count := shelf.count()) < stored:
        raise StoreError(
            f"{store.address} holds {count} of the {stored} rows of {folder}: bring them back, or build the "
            "gallery again"
        )
    return shelf
