"""Send a run or a gallery to the hub: one commit, whole or not at all."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hifa_cli import __version__
from hifa_cli.errors import HifaError, reason_of
from hifa_cli.pipelines.sharing.card import card_of
from hifa_cli.pipelines.sharing.contents import (
    CARD_FILE,
    HUB_FILE,
    Listed,
    listing,
    parcel_of,
    read_listing,
    sha256,
)
from hifa_cli.pipelines.sharing.hub import Hub, json_bytes
from hifa_cli.runtime import progress
from hifa_cli.runtime.kinds import kind_of
from hifa_cli.runtime.lock import sole_writer

_FOREIGN = (CARD_FILE, HUB_FILE, ".gitattributes")  # what a repository may have before


@dataclass(frozen=True)
class Pushed:
    """What became of a push.

    Attributes:
        repo: ``USER/NAME``.
        kind: ``run`` or ``gallery``.
        commit: that holds it.
        address: of the repository's page.
        files: how many there are.
        bytes: of them together.
    """

    repo: str
    kind: str
    commit: str
    address: str
    files: int
    bytes: int


def push(
    place: Path, repo: str, *, private: bool = False, scores: Path | None = None, licence: str | None = None
) -> Pushed:
    """Send a run or a gallery to the hub, with a model card.

    Args:
        place: folder of the run or the gallery.
        repo: ``USER/NAME``; made where it does not exist.
        private: make it private; a public one that exists is refused.
        scores: a document of ``hifa evaluate --json``, for the card.
        licence: of what is sent; that of the backbone's weights where it is left out.

    Returns:
        Where it lies.

    Raises:
        HifaError: it is not a run or a gallery, the repository holds something else, or the hub refuses.
    """
    hub, said = Hub(repo), read_scores(scores)
    with TemporaryDirectory() as scratch, _unchanged(place):
        parcel = parcel_of(place, Path(scratch))
        card = card_of(parcel, repo, licence=licence, scores=said)
        hub.create(private=private)
        parent, hidden = hub.commit(None)
        if private and not hidden:
            raise HifaError(
                f"{repo} exists and is public: make it private on its page, or choose another name"
            )
        before, old, kept = _before(hub, parent, parcel.kind, Path(scratch) / "before")
        about = listing(parcel, card)
        files: dict[str, Path | bytes] = {**parcel.files, HUB_FILE: json_bytes(about)}
        if kept:
            progress.note(f"the model card of {repo} was edited there and stays")
        else:
            files[CARD_FILE] = card.encode()
        gone = sorted((set(old.files) - set(parcel.files)) & set(before)) if old is not None else []
        total = sum(one["bytes"] for one in about["files"].values())
        progress.note(f"sending {len(parcel.files)} files, {total / 1e6:.1f} MB")
        commit, address = hub.send(files, gone, f"Push a {parcel.kind} by hifa {__version__}", parent)
    return Pushed(repo, parcel.kind, commit, address, len(parcel.files), total)


@contextmanager
def _unchanged(place: Path) -> Iterator[None]:
    """Hold a gallery against writers while its files are read."""
    if kind_of(place) != "a gallery" or not os.access(
        place, os.W_OK
    ):  # who cannot lock it sends it all the same
        yield
        return
    with sole_writer(place):
        yield


def _before(hub: Hub, commit: str, kind: str, folder: Path) -> tuple[list[str], Listed | None, bool]:
    """Return the files of the repository, what hifa listed there, and whether its card was edited since.

    Raises:
        HifaError: it holds something else.
    """
    names = hub.names(commit)
    path = hub.fetch(commit, HUB_FILE, folder) if HUB_FILE in names else None
    if path is None:
        if strangers := sorted(set(names) - set(_FOREIGN)):
            raise HifaError(f"{hub.repo} holds something else ({strangers[0]}): choose another name")
        return names, None, False
    old = read_listing(path, hub.repo)
    if old.kind != kind:
        raise HifaError(f"{hub.repo} holds a {old.kind}, and this is a {kind}: choose another name")
    card = hub.fetch(commit, CARD_FILE, folder) if CARD_FILE in names else None
    return names, old, card is not None and sha256(card) != old.card


def read_scores(path: Path | None) -> Mapping[str, Any] | None:
    """Return a document of ``hifa evaluate --json``; None without a file.

    Raises:
        HifaError: it is something else.
    """
    if path is None:
        return None
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise HifaError(f"cannot read the scores {path}: {reason_of(error)}") from error
    rows = document.get("exports") if isinstance(document, dict) else None
    if not (isinstance(rows, list) and rows and all(isinstance(row, dict) and "NN" in row for row in rows)):
        raise HifaError(f"{path} holds no scores: give what 'hifa evaluate EMB.h5 --json' prints")
    return document
