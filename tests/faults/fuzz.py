"""Seeded mutations of well-formed files: flipped bits, cuts, splices, edited numbers."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from tests.faults.corpus import mesh_bytes, write_good_export

Generator = np.random.Generator
_NUMBER = re.compile(rb"-?\d+(\.\d+)?(e-?\d+)?")
_NUMBERS = (
    b"-1",
    b"0",
    b"1",
    b"4294967295",
    b"-9223372036854775808",
    b"99999999999999999999",
    b"1e308",
    b"nan",
    b"",
)
_BYTES = (0, 1, 127, 128, 254, 255)

KINDS = (
    "off",
    "obj",
    "stl",
    "ply",
    "glb",
    "gltf",
    "3mf",
    "dae",
    "png",
    "jpg",
    "webp",
    "tiff",
    "gif",
    "bmp",
    "h5",
)
PICTURES = ("png", "jpg", "webp", "tiff", "gif", "bmp")


def reader_of(suffix: str) -> str:
    """The probe's reader for an ending."""
    return "export" if suffix == "h5" else "picture" if suffix in PICTURES else "mesh"


def sound(suffix: str) -> bytes:
    """A well-formed file."""
    if suffix == "h5":
        with TemporaryDirectory() as folder:
            write_good_export(Path(folder) / "good.h5")
            return (Path(folder) / "good.h5").read_bytes()
    if suffix not in PICTURES:
        return mesh_bytes(suffix)
    file = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, {"jpg": "JPEG"}.get(suffix, suffix.upper()))
    return file.getvalue()


def mutants(suffix: str, count: int, seed: int) -> Iterator[bytes]:
    """``count`` mutations of a well-formed file, the same ones for the same seed."""
    good = sound(suffix)
    generator = np.random.default_rng([seed, *suffix.encode()])
    for _ in range(count):
        content = good
        for _ in range(int(generator.integers(1, 4))):
            content = _WAYS[int(generator.integers(len(_WAYS)))](content, generator)
        yield content


def _flip(content: bytes, generator: Generator) -> bytes:
    changed = bytearray(content)
    for place in generator.integers(0, max(len(changed), 1), int(generator.integers(1, 9))):
        if changed:
            changed[place] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def _set(content: bytes, generator: Generator) -> bytes:
    """Extreme bytes near the beginning, where headers are."""
    changed = bytearray(content)
    for place in generator.integers(0, max(min(len(changed), 256), 1), int(generator.integers(1, 5))):
        if changed:
            changed[place] = _BYTES[int(generator.integers(len(_BYTES)))]
    return bytes(changed)


def _cut(content: bytes, generator: Generator) -> bytes:
    return content[: int(generator.integers(0, len(content) + 1))]


def _splice(content: bytes, generator: Generator) -> bytes:
    """A piece again, elsewhere."""
    if not content:
        return content
    begin, place = (int(one) for one in generator.integers(0, len(content), 2))
    piece = content[begin : begin + int(generator.integers(1, 200))]
    return content[:place] + piece + content[place:]


def _number(content: bytes, generator: Generator) -> bytes:
    found = list(_NUMBER.finditer(content))
    if not found:
        return content
    one = found[int(generator.integers(len(found)))]
    return content[: one.start()] + _NUMBERS[int(generator.integers(len(_NUMBERS)))] + content[one.end() :]


_WAYS: tuple[Callable[[bytes, Generator], bytes], ...] = (_flip, _set, _cut, _splice, _number, _number)
