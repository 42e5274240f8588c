"""The rules of ``gallery.json``: whoever wrote it, nothing in it names a folder of its own choice."""

import math
import re
from dataclasses import dataclass
from typing import Any

from hifa_cli.config import RankingConfig, RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.gallery.shard import ShardSettings
from hifa_cli.gallery.stores import LOCAL, StoreEntry, settled_address
from hifa_cli.settings import documented

KINDS = ("meshes", "views", "export")
_PLAIN = re.compile(r"[\w-]*", re.ASCII)


@dataclass(frozen=True)
class _Texts:
    """The values of ``gallery.json`` that are plain."""

    generation: str
    shapes: int
    dimension: int
    views: int
    classes: tuple[str, ...]
    factory: str
    wanted: str
    learned_from: int
    model: str
    method: str
    hifa_version: str


@dataclass(frozen=True)
class _Stored:
    """The entry ``rows``: where columns lie that were appended to, and how many of their rows count."""

    base: str
    stored: int
    indexed: int
    classes: tuple[str, ...]


def is_plain(name: str) -> bool:
    """Return whether a digest can name a folder: letters, digits and dashes lead nowhere else."""
    return _PLAIN.fullmatch(name) is not None


def check_heading(document: dict[str, Any]) -> None:
    """Return whether a gallery's document is what ``hifa index`` writes, in kind and in measure.

    Raises:
        ValueError: it is not.
        KeyError: something is missing.
        UnicodeEncodeError: a name is not text.
    """
    said = documented(_Texts, {name: document[name] for name in _Texts.__dataclass_fields__})
    if said["shapes"] < 0 or said["dimension"] < 1 or said["views"] < 0 or not is_plain(said["model"]):
        raise ValueError("counts or a digest that no gallery has")
    "".join((*said["classes"], said["method"], said["hifa_version"])).encode("utf-8")
    if document.get("ranking") is not None:
        _check_ranking(document["ranking"])
    if document.get("taught") is not None:
        _check_taught(document)
    if "rows" in document:
        _check_rows(document["rows"], said["shapes"])
    if document.get("shard") is not None:
        _check_shard(document["shard"])
    if "store" in document:
        _check_store(document["store"])
    if not isinstance(document["origins"], list):
        raise ValueError("no list of origins")
    for origin in document["origins"]:
        _check_origin(origin)


def _check_ranking(document: Any) -> None:
    counts = {name: document[name] for name in ("projection", "graph")}
    counts |= {name: document[name] for name in ("residual",) if name in document}
    counts["calibration"] = document.get("calibration", 0)  # galleries before it have none
    options = {name: value for name, value in document.items() if name not in (*counts, "own", "trained")}
    config = RankingConfig(**documented(RankingConfig, options))
    if not all(type(count) is int and count >= 0 for count in counts.values()):
        raise ValueError("a ranking of no kind")
    if config.depth < 1 or config.candidates < 1 or config.neighbours < 0:
        raise ValueError("a ranking of nothing")
    if document.get("own") is not None:
        _check_own(document["own"])
    if not (type(trained := document.get("trained", 1)) in (int, float) and 0 <= trained <= 1):
        raise ValueError("what was trained has no weight")


def _check_own(own: Any) -> None:
    """Return whether the entry of a learned map holds.

    Its name leads nowhere else, and its numbers are numbers.
    """
    counts = [own[name] for name in ("shapes", "photos", "steps")]
    found = [own["floor"], own["weight"], *own["before"], *own["after"]]
    if not (isinstance(own["map"], str) and own["map"] and is_plain(own["map"])):
        raise ValueError("a map of no name")
    if not all(type(one) is int and one > 0 for one in counts):
        raise ValueError("a map of nothing")
    if len(found) != 8 or not all(type(one) in (int, float) and math.isfinite(one) for one in found):
        raise ValueError("a map without its figures")


def _check_shard(document: Any) -> None:
    shard = ShardSettings(**documented(ShardSettings, document))
    if not 1 <= shard.number <= shard.of:
        raise ValueError("a shard of no kind")


def _check_store(document: Any) -> None:
    """Return whether the entry of a store names one, and a shelf by a plain name."""
    entry = StoreEntry(**documented(StoreEntry, document))
    if "\0" in entry.address + entry.relative or not entry.shelf or not is_plain(entry.shelf):
        raise ValueError("a store of no kind")
    try:
        settled = settled_address(entry.address)
    except HifaError as error:
        raise ValueError("a store of no kind") from error
    if settled == LOCAL:
        raise ValueError("a store of no kind")


def _check_rows(document: Any, shapes: int) -> None:
    """Return whether the entry on stored rows holds; their folder is a generation of the gallery."""
    rows = _Stored(**documented(_Stored, document))
    if not re.fullmatch(r"generation-\d+", rows.base, re.ASCII) or not 0 <= rows.indexed <= rows.stored:
        raise ValueError("rows of no generation")
    if rows.stored < max(shapes, 1):
        raise ValueError("fewer rows than shapes")
    "".join(rows.classes).encode("utf-8")


def _check_taught(document: dict[str, Any]) -> None:
    names = document["taught"]
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise ValueError("photos of no classes")
    "".join(names).encode("utf-8")
    if document.get("ranking") is None:
        raise ValueError("labelled photos without a ranking")


def _check_origin(origin: Any) -> None:
    """Return whether the sources of shapes hold; views are below the gallery's own folder, by a number."""
    if not isinstance(origin, dict) or origin["kind"] not in KINDS:
        raise ValueError("an origin of no kind")
    if not all(isinstance(origin[name], str) and "\0" not in origin[name] for name in ("path", "root")):
        raise ValueError("an origin of no place")
    if not isinstance(origin.get("relative", ""), str) or "\0" in origin.get("relative", ""):
        raise ValueError("an origin of no place")
    views = origin.get("views", "0")
    if not (isinstance(views, str) and views.isdecimal()):
        raise ValueError("views without a number")
    if origin.get("split") is not None and not isinstance(origin["split"], str):
        raise ValueError("a split of no name")
    documented(RenderConfig, origin.get("render", {}))
    if origin.get("rig") is not None:
        angles = [*origin["rig"]["azimuths"], origin["rig"]["elevation"]]
        if not all(type(one) in (int, float) and math.isfinite(one) for one in angles):
            raise ValueError("angles that are none")
