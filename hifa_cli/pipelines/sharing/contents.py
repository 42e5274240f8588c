"""The files of a run or a gallery that others get, by name: no other one is sent or taken.

``hifa.json`` in a repository lists them with sizes and digests. Paths of the machine that made a gallery
stay at home: its sources are written as folders below the gallery.
"""

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from hifa_cli import __version__
from hifa_cli.embeddings.encoder import MODEL_ABOUT, MODEL_WEIGHTS
from hifa_cli.errors import HifaError, reason_of
from hifa_cli.gallery import MAIN_FILE, THUMBNAILS, VIEWS, read_gallery
from hifa_cli.gallery.assets import MODEL_FILES
from hifa_cli.gallery.places import moved
from hifa_cli.models.about import read_about
from hifa_cli.runtime.kinds import kind_of

SCHEMA = 1
HUB_FILE, CARD_FILE, PACK_FILE = "hifa.json", "README.md", "thumbnails.zip"
RUN, GALLERY = "run", "gallery"
RUN_FILE, LOG_FILE = "run.json", "log.jsonl"  # as in training, which needs torch
_OF_RUN = (*MODEL_FILES, RUN_FILE, LOG_FILE)
_COLUMN = r"generation-\d+/[a-z0-9][a-z0-9_-]*\.(?:npy|npz|txt|f32|f16|faiss)"
_OF_GALLERY = re.compile(
    rf"{re.escape(MAIN_FILE)}|{re.escape(PACK_FILE)}|{_COLUMN}|maps/[0-9a-f]+\.npz"
    rf"|models/[0-9a-f]{{1,16}}/(?:{'|'.join(map(re.escape, MODEL_FILES))})",
    re.ASCII,
)
_PACKED = re.compile(r"(?P<first>[0-9a-f]{2})/(?P=first)[0-9a-f]{30}\.png", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MOST_LISTED = 16 << 20  # bytes of hifa.json
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Parcel:
    """What is sent: files by their names in the repository.

    Attributes:
        kind: ``run`` or ``gallery``.
        model: the description of its network; empty where a gallery has none.
        about: what ``run.json`` or ``gallery.json`` says, as it is sent.
        files: where each file lies on this machine.
    """

    kind: str
    model: dict[str, Any]
    about: dict[str, Any]
    files: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Listed:
    """What ``hifa.json`` of a repository says.

    Attributes:
        kind: ``run`` or ``gallery``.
        files: bytes and SHA-256 of each file.
        card: SHA-256 of the model card as hifa wrote it.
    """

    kind: str
    files: Mapping[str, tuple[int, str]]
    card: str = ""


def parcel_of(place: Path, scratch: Path) -> Parcel:
    """Return what is sent of a run or a gallery.

    Args:
        place: its folder.
        scratch: a folder for the files that are not sent as they are.

    Raises:
        HifaError: it is neither, unfinished, damaged, or a gallery whose vectors live in a database.
    """
    kind = kind_of(place)
    if kind == "a gallery":
        return _of_gallery(place, scratch)
    if kind == "a run of 'hifa train'" or (place / RUN_FILE).is_file():
        return _of_run(place, scratch)
    said = f"is {kind}" if kind else "holds nothing that hifa wrote" if place.is_dir() else "is not a folder"
    raise HifaError(f"{place} {said}: give the folder of a run ('hifa train') or of a gallery ('hifa index')")


def _of_run(place: Path, scratch: Path) -> Parcel:
    about = read_json(place / RUN_FILE)
    if not about.get("finished"):
        raise HifaError(f"the run {place} is not finished: give its 'hifa train' command again, then push it")
    weights = str((about.get("train") or {}).get("weights", ""))
    if "/" in weights or "\\" in weights:  # a file of this machine
        about["train"]["weights"] = re.split(r"[/\\]", weights)[-1]
    files = {name: place / name for name in _OF_RUN if (place / name).is_file()}
    files[RUN_FILE] = _written(scratch / RUN_FILE, about)
    return Parcel(RUN, read_about(place), about, files)


def _of_gallery(place: Path, scratch: Path) -> Parcel:
    gallery = read_gallery(place)
    if gallery.shelf is not None:
        raise HifaError(
            f"the vectors of {place} live in a database: 'hifa index {place} --store local' brings them back"
        )
    about = read_json(place / MAIN_FILE)
    about["origins"] = [_neutral(origin, number) for number, origin in enumerate(about["origins"])]
    folders = {gallery.place, gallery.base, gallery.model_folder, place / "maps"}
    inside = (path for folder in folders if folder is not None for path in folder.glob("*") if path.is_file())
    files = {path.relative_to(place).as_posix(): path for path in inside}
    files = {name: files[name] for name in sorted(files) if _OF_GALLERY.fullmatch(name)}
    files[MAIN_FILE] = _written(scratch / MAIN_FILE, about)
    if (place / THUMBNAILS).is_dir():
        files[PACK_FILE] = _packed(place / THUMBNAILS, scratch / PACK_FILE)
    model = read_about(gallery.model_folder) if gallery.model_folder is not None else {}
    return Parcel(GALLERY, model, about, files)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        HifaError: it cannot be read, or is damaged.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise HifaError(f"cannot read {path}: {reason_of(error)}") from error
    if not isinstance(document, dict):
        raise HifaError(f"cannot read {path}: it is damaged")
    return document


def _written(path: Path, document: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def _neutral(origin: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a source of shapes as others may read it: by its name, below the gallery."""
    name = re.split(r"[/\\]", str(origin["path"]))[-1].strip(".") or "shapes"
    below = f"sources/{number}/{name}"
    plain = moved({key: value for key, value in origin.items() if key != VIEWS}, below)
    for one in plain.get("layout") or ():
        if isinstance(one, dict) and "path" in one:
            one["path"] = str(one["path"]).rsplit("/", 1)[-1]
    return {**plain, "relative": below}


def settle_sources(place: Path, out: Path) -> None:
    """Write into a fetched ``gallery.json`` where its sources would lie below ``out``, whatever it says.

    Args:
        place: where the gallery is now.
        out: where it will be.
    """
    about = read_json(place / MAIN_FILE)
    if not isinstance(about.get("origins"), list):
        raise HifaError(f"{place / MAIN_FILE} is damaged")
    if "store" in about:
        raise HifaError("its vectors live in a database elsewhere")
    try:
        neutral = [_neutral(origin, number) for number, origin in enumerate(about["origins"])]
    except (TypeError, KeyError, AttributeError) as error:
        raise HifaError(f"{place / MAIN_FILE} is damaged") from error
    about["origins"] = [moved(origin, str(out.resolve() / origin["relative"])) for origin in neutral]
    _written(place / MAIN_FILE, about)


def _packed(folder: Path, target: Path) -> Path:
    """Pack the thumbnails into one file that is the same for the same pictures."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.glob("*/*.png")):
            archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes())
    return target


def unpack(place: Path) -> None:
    """Unpack the thumbnails of a fetched gallery; a name that leads elsewhere is refused.

    Raises:
        HifaError: the pack is damaged, or holds something else.
    """
    pack = place / PACK_FILE
    if not pack.is_file():
        return
    try:
        with zipfile.ZipFile(pack) as archive:
            infos = archive.infolist()
            if not all(_PACKED.fullmatch(one.filename) and not one.compress_type for one in infos):
                raise HifaError(f"{PACK_FILE} holds more than thumbnails")
            if sum(one.file_size for one in infos) > pack.stat().st_size:
                raise HifaError(f"{PACK_FILE} is damaged")
            for one in infos:
                archive.extract(one, place / THUMBNAILS)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise HifaError(f"{PACK_FILE} is damaged") from error
    pack.unlink()


def listing(parcel: Parcel, card: str) -> dict[str, Any]:
    """Return ``hifa.json`` of a parcel.

    Args:
        parcel: what is sent.
        card: the model card.
    """
    files = {
        name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for name, path in parcel.files.items()
    }
    made = hashlib.sha256(card.encode()).hexdigest()
    return {"schema": SCHEMA, "kind": parcel.kind, "hifa_version": __version__, "card": made, "files": files}


def read_listing(path: Path, repo: str) -> Listed:
    """Return what a repository's ``hifa.json`` says.

    Args:
        path: of the file.
        repo: name of the repository, for messages.

    Raises:
        HifaError: it is damaged, of another schema, or names a file that no run or gallery has.
    """
    try:
        if path.stat().st_size > _MOST_LISTED:
            raise ValueError("too long")
        document = json.loads(path.read_text(encoding="utf-8"))
        if (schema := document["schema"]) != SCHEMA:
            raise HifaError(f"{repo} is of schema {schema!r:.20}: a later version of hifa reads it")
        kind, card = document["kind"], str(document.get("card", ""))
        files = {name: (one["bytes"], one["sha256"]) for name, one in document["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HifaError(f"{HUB_FILE} of {repo} is damaged: whoever made it must push it again") from error
    needed = {RUN: (MODEL_ABOUT, MODEL_WEIGHTS, RUN_FILE), GALLERY: (MAIN_FILE,)}.get(kind)
    if needed is None or not set(needed) <= set(files):
        raise HifaError(f"{repo} holds no whole run or gallery: whoever made it must push it again")
    for name, (size, digest) in files.items():
        if not is_ours(kind, name) or type(size) is not int or size < 0 or not _is_digest(digest):
            raise HifaError(f"{repo} lists {name!r:.80}, which no {kind} has: nothing was fetched")
    return Listed(kind, files, card)


def is_ours(kind: str, name: str) -> bool:
    """Return whether a run or a gallery may have a file of this name: no other one is written or removed.

    Args:
        kind: ``run`` or ``gallery``.
        name: in the repository.
    """
    if kind == RUN:
        return name in _OF_RUN
    return _OF_GALLERY.fullmatch(name) is not None and ".." not in PurePosixPath(name).parts


def _is_digest(text: Any) -> bool:
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
