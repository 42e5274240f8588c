"""A shard of a gallery: the part of the shapes that one of several machines takes, by their ids alone."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hifa_cli.config import IndexConfig
from hifa_cli.runtime.parts import number_of

WHOLE = "whole"  # of a shard's origin: digest of the ids of all shapes that the source has


@dataclass(frozen=True)
class Shard:
    """The part ``number`` of ``of`` parts, counted from 1.

    Whether a shape belongs to it depends on the shape's id and on ``of`` only, so that machines agree without
    a word, and a shape stays where it is when others come and go.
    """

    number: int
    of: int

    def __contains__(self, name: str) -> bool:
        """Return whether the shape with this id belongs to the shard."""
        return number_of(name, self.of) == self.number

    def __str__(self) -> str:
        """Return as it is written: ``2/8``."""
        return f"{self.number}/{self.of}"


@dataclass(frozen=True)
class ShardSettings:
    """The entry ``shard`` of ``gallery.json``: which part, and how the merged gallery is to be searched."""

    number: int
    of: int
    factory: str
    recall: float
    views: Literal["auto", "keep", "drop"]


def parse_shard(text: str) -> Shard:
    """Return the shard that ``i/n`` names.

    Raises:
        ValueError: it names none.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"'{text}' is not a shard: give i/n with 1 ≤ i ≤ n, such as 2/8")
    return Shard(int(match[1]), int(match[2]))


def shard_document(shard: Shard, config: IndexConfig) -> dict[str, Any]:
    """Return the entry ``shard`` of ``gallery.json``."""
    return {
        "number": shard.number, "of": shard.of, "factory": config.factory, "recall": config.recall,
        "views": config.views,
    }  # fmt: skip


def shard_of(document: Mapping[str, Any]) -> Shard | None:
    """Return which part of a gallery a ``gallery.json`` is of; None of a whole one."""
    found = document.get("shard")
    return None if found is None else Shard(int(found["number"]), int(found["of"]))


def digest_of_ids(ids: Iterable[str]) -> str:
    """Return a digest of the ids of a source's shapes, by which shards see that they are of one state."""
    digest = hashlib.blake2b(digest_size=16)
    for name in ids:
        digest.update(name.encode("utf-8", "backslashreplace") + b"\0")
    return digest.hexdigest()
