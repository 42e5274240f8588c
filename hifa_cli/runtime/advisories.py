"""Versions of what hifa stands on that have known problems: short, offline, each with its source."""

import re
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple


class Advisory(NamedTuple):
    """A package is unsafe or broken below ``fixed``."""

    package: str
    fixed: str
    problem: str
    source: str


# What touches what hifa does with files from strangers; each was looked up in the public record it names.
ADVISORIES = (
    Advisory(
        "torch", "2.10.0", "a checkpoint can corrupt memory despite weights_only=True", "CVE-2026-24747"
    ),
    Advisory("torch", "2.6.0", "torch.load(weights_only=True) can be made to run code", "CVE-2025-32434"),
    Advisory("pillow", "13.0.0", "a picture can overflow buffers of its decoders", "CVE-2026-96639"),
    Advisory("pillow", "13.0.0", "a JPEG can overflow the decoder's buffer", "CVE-2026-112403"),
    Advisory("pillow", "10.3.0", "a buffer overflow in its colour management", "CVE-2024-28219"),
    Advisory("pillow", "10.0.1", "a WebP picture can overflow the heap", "CVE-2023-4863"),
    Advisory("pillow-heif", "1.3.0", "encoding a HEIF can read beyond its buffer", "CVE-2026-28231"),
    Advisory("lxml", "6.1.0", "XML can have local files read (iterparse)", "CVE-2026-41066"),
    Advisory("onnx", "1.21.0", "a model can read files outside its folder", "CVE-2026-27489"),
    Advisory("h11", "0.16.0", "hifa serve: a request can hide behind malformed chunks", "CVE-2025-43859"),
    Advisory("starlette", "1.0.1", "hifa serve: a malformed Host can change the address", "CVE-2026-48710"),
    Advisory("python-multipart", "0.0.27", "hifa serve: a form can take all time", "CVE-2026-42561"),
    Advisory("trimesh", "5.0.0", "a mesh can name files outside its folder", "trimesh 5.0, FilePathResolver"),
)


def known_problems() -> list[tuple[Advisory, str]]:
    """Return the advisories that the installed versions fall under, with those versions."""
    found = []
    for advisory in ADVISORIES:
        try:
            installed = version(advisory.package)
        except PackageNotFoundError:
            continue
        if numbers(installed) < numbers(advisory.fixed):
            found.append((advisory, installed))
    return found


def numbers(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: ``2.6.0+cu124`` and ``2.6.0rc1`` are (2, 6, 0)."""
    found = re.match(r"\d+(\.\d+)*", text)
    parts = [int(part) for part in found[0].split(".")] if found else [0]
    return tuple(parts + [0] * (4 - len(parts)))
