"""Fetch a run or a gallery from the hub: checked beside its place, then renamed."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hifa_cli.embeddings.encoder import MODEL_ABOUT, stored_digest
from hifa_cli.errors import HifaError
from hifa_cli.gallery import read_gallery
from hifa_cli.gallery.verify import model_faults
from hifa_cli.models.about import read_about
from hifa_cli.pipelines.sharing.contents import (
    GALLERY,
    HUB_FILE,
    RUN,
    Listed,
    read_listing,
    settle_sources,
    sha256,
    unpack,
)
from hifa_cli.pipelines.sharing.hub import Hub
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import written_folder
from hifa_cli.runtime.kinds import kind_of
from hifa_cli.runtime.lock import sole_output

_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_KINDS = {"a gallery": GALLERY, "a run of 'hifa train'": RUN}


@dataclass(frozen=True)
class Pulled:
    """What became of a pull.

    Attributes:
        repo: ``USER/NAME``.
        kind: ``run`` or ``gallery``.
        commit: that was fetched.
        path: where it lies.
        files: how many were fetched.
        bytes: of them together.
    """

    repo: str
    kind: str
    commit: str
    path: Path
    files: int
    bytes: int


def pull(
    repo: str, out: Path, *, revision: str | None = None, force: bool = False, wanted: str | None = None
) -> Pulled:
    """Fetch a run or a gallery; the same call goes on where another one was stopped.

    Args:
        repo: ``USER/NAME``.
        out: folder for it.
        revision: branch, tag or commit; the main branch by default.
        force: put it in the place of a run or a gallery that is there.
        wanted: ``run`` or ``gallery``; None takes either.

    Returns:
        Where it lies.

    Raises:
        HifaError: there is none, something else is at ``out``, a file is not what was pushed, or the hub
            cannot be reached.
    """
    hub = Hub(repo)
    _refuse_existing(out, force)
    with sole_output(out):
        commit, _ = hub.commit(revision)
        place = out.absolute().parent / f".{out.name}.{commit[:16]}.pulled"
        with _kept_while_fetching(place):
            listed = _fetched(hub, commit, place, wanted)
        _checked(place, listed, repo, out)
        with written_folder(out) as target:
            for name in {Path(name).parts[0] for name in _present(place)}:
                os.rename(place / name, target / name)
        for old in out.absolute().parent.glob(f".{out.name}.*.pulled"):
            shutil.rmtree(old, ignore_errors=True)
    return Pulled(repo, listed.kind, commit, out, len(listed.files), sum(n for n, _ in listed.files.values()))


def _refuse_existing(out: Path, force: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if kind_of(out) not in _KINDS or not out.is_dir():
        raise HifaError(f"{out} exists and holds something else: choose another --out")
    if not force:
        raise HifaError(f"{out} exists: give --force to replace it, or choose another --out")


@contextmanager
def _kept_while_fetching(place: Path) -> Iterator[None]:
    """Keep what was fetched so far; a folder into which nothing came goes."""
    try:
        yield
    finally:
        if place.is_dir() and not any(
            path.is_file() for path in place.rglob("*") if ".cache" not in path.parts
        ):
            shutil.rmtree(place, ignore_errors=True)


def _fetched(hub: Hub, commit: str, place: Path, wanted: str | None) -> Listed:
    """Fetch what ``hifa.json`` lists."""
    path = hub.fetch(commit, HUB_FILE, place)
    if path is None:
        raise HifaError(f"{hub.repo} holds no run or gallery of hifa: it has no {HUB_FILE}")
    listed = read_listing(path, hub.repo)
    if wanted not in (None, listed.kind):
        raise HifaError(f"{hub.repo} holds a {listed.kind}, not a {wanted}")
    size = sum(number for number, _ in listed.files.values())
    progress.note(f"a {listed.kind} of {len(listed.files)} files, {size / 1e6:.1f} MB, commit {commit[:12]}")
    for name in progress.track(listed.files, "fetching", total=len(listed.files)):
        if hub.fetch(commit, name, place) is None:
            raise HifaError(f"{hub.repo} lacks {name}: whoever made it must push it again")
    return listed


def _checked(place: Path, listed: Listed, repo: str, out: Path) -> None:
    """Hold every file to its digest, and the model to its own; what is wrong is fetched anew next time."""
    for name, (size, digest) in listed.files.items():
        path = place / name
        if path.is_symlink() or path.stat().st_size != size or sha256(path) != digest:
            path.unlink()
            raise HifaError(f"{name} of {repo} is not what was pushed: pull again, or ask whoever made it")
    try:
        if listed.kind == RUN:
            _check_run(place)
        else:
            _check_gallery(place, out)
    except HifaError as error:
        shutil.rmtree(place, ignore_errors=True)
        raise HifaError(f"{repo} cannot be used: {str(error).replace(str(place), 'it')}") from error


def _check_gallery(place: Path, out: Path) -> None:
    """Open a gallery and look its model over; its shapes lie below it, whatever it says."""
    unpack(place)
    settle_sources(place, out)
    gallery = read_gallery(place)
    for path in gallery.paths:
        if path.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", path) or ":" in path[:2]:
            raise HifaError(f"the path {path[:80]!r} of a shape leads out of it")
    if faults := list(model_faults(gallery)):
        raise HifaError(faults[0])


def _check_run(place: Path) -> None:
    if stored_digest(place) != read_about(place).get("digest"):
        raise HifaError(f"the weights are not those that {MODEL_ABOUT} names")


def _present(place: Path) -> list[str]:
    """Return what is put in place: all but the library's own notes and the listing."""
    return [path.name for path in place.iterdir() if path.name not in (".cache", HUB_FILE)]


def here_or_cached(name: str | os.PathLike[str], kind: str, revision: str | None = None) -> Path:
    """Return a folder of this machine, or of the cache, where a repository is named.

    Args:
        name: a folder, or ``USER/NAME``.
        kind: ``run`` or ``gallery``.
        revision: branch, tag or commit.

    Returns:
        The folder.

    Raises:
        HifaError: as :func:`pull`.
    """
    if Path(name).is_dir() or not isinstance(name, str):
        return Path(name)
    return cached(name, kind, revision)


def cached(repo: str, kind: str, revision: str | None = None) -> Path:
    """Return the folder of a run or a gallery in the cache, fetched where it is not there yet.

    Args:
        repo: ``USER/NAME``.
        kind: ``run`` or ``gallery``.
        revision: branch, tag or commit; a commit that is there needs no network.

    Returns:
        The folder.

    Raises:
        HifaError: as :func:`pull`.
    """
    hub = Hub(repo)
    whole = revision if revision and _COMMIT.fullmatch(revision) else None
    commit = whole or hub.commit(revision)[0]
    place = _cache() / repo.replace("/", "--") / commit
    if kind_of(place) is None:
        pull(repo, place, revision=commit, wanted=kind)
    elif (there := _KINDS[str(kind_of(place))]) != kind:
        raise HifaError(f"{repo} holds a {there}, not a {kind}")
    return place


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hifa" / "hub"
