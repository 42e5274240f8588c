"""Seeded mutations of everything that hifa reads: blind ones, and ones that keep a format's frame right."""

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_STORED

import numpy as np

from tools.faults import made, shaped, stored
from tools.faults.made import Files
from tools.faults.shaped import Generator, Way

BLIND = 0.25  # share of mutations that know nothing of the format
_NUMBER = re.compile(rb"-?\d+(\.\d+)?(e-?\d+)?")
_NUMBERS = tuple(number.encode() for number in shaped.NUMBERS)
_BYTES = (0, 1, 127, 128, 254, 255)


class Kind(NamedTuple):
    """Something to mutate.

    Attributes:
        reader: of the probe.
        file: what the mutated file is called; below the folder that is read, where there is one.
        sound: its content.
        ways: that keep its frame.
        around: the other files of that folder; none where the file itself is read.
        fix: what makes the folder consistent again, as whoever means harm would.
    """

    reader: str
    file: str
    sound: Callable[[], bytes]
    ways: tuple[Way, ...] = ()
    around: Callable[[], Files] | None = None
    fix: Callable[[Path], None] | None = None

    def write(self, place: Path, content: bytes) -> Path:
        """Write a mutant into the empty folder ``place``; what is to be read."""
        if self.around is None:
            (place / self.file).write_bytes(content)
            return place / self.file
        made.put({**self.around(), self.file: content}, place / "it")
        if self.fix is not None:
            self.fix(place / "it")
        return place / "it"


def _picture(ending: str, form: str, *ways: Way) -> tuple[str, Kind]:
    return ending, Kind("picture", f"x.{ending}", lambda: made.picture(form), ways)


def _mesh(ending: str, *ways: Way) -> tuple[str, Kind]:
    return ending, Kind("mesh", f"x.{ending}", lambda: made.mesh(ending), ways)


def _below(reader: str, around: Callable[[], Files], name: str, *ways: Way) -> Kind:
    return Kind(reader, name, lambda: around()[name], ways, around)


def _stored_below(name: str, *ways: Way) -> Kind:
    return _below("gallery", lambda: stored.gallery_files("Flat"), f"generation-1/{name}", *ways)


def _index(factory: str) -> Kind:
    return _below(
        "gallery", lambda: stored.gallery_files(factory), "generation-1/index.faiss", shaped.index_bytes
    )


def _list(ending: str, way: Way) -> Kind:
    around = {"a/1.png": made.picture("PNG"), "b/2.png": made.picture("PNG")}
    name = f"x.{ending}"
    return Kind("list", name, lambda: made.listed(ending), (way,), None)._replace(
        fix=lambda folder: made.put(around, folder)
    )


def _graph() -> str:
    return next(name for name in made.gallery() if name.endswith(".onnx"))


def _kinds() -> dict[str, Kind]:
    """Every format and every file of hifa's own, by name."""
    xml, document, table = shaped.xml_text, shaped.json_text, shaped.npy_head
    found = dict([
        _mesh("off", shaped.text_lines), _mesh("obj", shaped.text_lines), _mesh("stl", shaped.stl_binary),
        _mesh("ply", shaped.ply_head), _mesh("glb", shaped.glb_chunks), _mesh("gltf", shaped.gltf_text),
        _mesh("3mf", shaped.archive(xml, ".model")), _mesh("dae", xml),
        _picture("png", "PNG", shaped.png_chunks), _picture("jpg", "JPEG", shaped.jpeg_segments),
        _picture("webp", "WEBP"), _picture("tiff", "TIFF", shaped.tiff_entries), _picture("gif", "GIF"),
        _picture("bmp", "BMP"), _picture("ppm", "PPM"), _picture("avif", "AVIF", shaped.boxes),
    ])  # fmt: skip
    found["stl text"] = Kind("mesh", "x.stl", stored.stl_text_bytes, (shaped.text_lines,))
    found["ply text"] = Kind("mesh", "x.ply", stored.ply_text_bytes, (shaped.ply_head,))
    if find_spec("cascadio"):
        found["step"] = Kind("step", "x.step", lambda: made.mesh("step"), (shaped.text_lines,))
    if find_spec("pillow_heif"):
        found |= [_picture("heic", "HEIF", shaped.boxes)]
    found |= {
        "h5": Kind("export", "x.h5", made.export, (shaped.h5_columns,)),
        "toml": Kind("config", "x.toml", made.settings, (shaped.toml_text,)),
        "weights.safetensors": Kind(
            "weights", "x.safetensors", lambda: made.model()["model.safetensors"], (shaped.safetensors_head,)
        ),
        "weights.pt": Kind(
            "weights", "x.pt", made.torch_weights, (shaped.archive(shaped.flipped, ".pkl", ZIP_STORED),)
        ),
        "maps jgsa": Kind("maps", "x.maps", lambda: made.maps("jgsa"), (shaped.safetensors_head,)),
        "maps meda": Kind("maps", "x.maps", lambda: made.maps("meda"), (shaped.safetensors_head,)),
        "model.json": _below("model", made.model, "model.json", document),
        "model.safetensors": _below(
            "model", made.model, "model.safetensors", shaped.safetensors_head
        )._replace(fix=stored.sealed_model),
        "run.json": _below("checkpoint", made.run, "run.json", document),
        "log.jsonl": _below("checkpoint", made.run, "log.jsonl", shaped.json_lines),
        "checkpoint": _below("checkpoint", made.run, "checkpoint.safetensors", shaped.safetensors_head),
        "best": _below("checkpoint", made.run, "best.safetensors", shaped.safetensors_head),
        "views.json": _below("views", made.views, "views.json", document),
        "label.txt": _below("views", made.views, "label.txt", shaped.text_lines),
        "view 00.png": _below("views", made.views, "a/1/00.png", shaped.png_chunks),
        "cached high": _below("features", made.features, "high.safetensors", shaped.safetensors_head),
        "cached maps": _below("features", made.features, "maps.safetensors", shaped.safetensors_head),
        "scores.json": _below("scores", made.scores, "scores.json", document),
        "world.json": _below("demo", made.demo, "world.json", document),
        "demo.json": _below("demo", made.demo, "demo.json", document),
        "store": Kind("store", "x.vectors", made.store, (shaped.flipped, shaped.store_records)),
        "sample.npy": _below("sample", stored.sample_files, "sample.npy", table),
        "list csv": _list("csv", shaped.text_lines),
        "list json": _list("json", document),
        "list txt": _list("txt", shaped.text_lines),
        "gallery.json": _below("query", made.gallery, "gallery.json", document),
        "graph.onnx": Kind(
            "query",
            _graph(),
            lambda: made.gallery()[_graph()],
            (shaped.flipped,),
            made.gallery,
            stored.sealed_graph,
        ),
        "labels.npy": _stored_below("labels.npy", table),
        "ids.npy": _stored_below("ids.npy", table),
        "ids.txt": _stored_below("ids.txt"),
        "vectors.f32": _stored_below("vectors.f32", shaped.floats),
    }
    return found | {f"index {factory}": _index(factory) for factory in stored.GALLERIES[1:]}


KINDS = _kinds()
MISSING = tuple(
    f"{what} (no {name} here)"
    for what, name in (("STEP", "cascadio"), ("HEIC", "pillow_heif"))
    if find_spec(name) is None
)


def mutants(name: str, count: int, seed: int) -> Iterator[bytes]:
    """``count`` mutations of a well-formed file, the same ones for the same seed."""
    good, ways = KINDS[name].sound(), KINDS[name].ways
    generator = np.random.default_rng([seed, *name.encode()])
    for _ in range(count):
        content = good
        chosen = ways if ways and generator.random() > BLIND else _BLIND
        for _ in range(min(int(generator.geometric(0.65)), 4)):
            content = shaped.one_of(generator, chosen)(content, generator)
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
    found = list(_NUMBER.finditer(content[:20_000]))
    if not found:
        return content
    one = found[int(generator.integers(len(found)))]
    return content[: one.start()] + _NUMBERS[int(generator.integers(len(_NUMBERS)))] + content[one.end() :]


_BLIND: tuple[Way, ...] = (_flip, _set, _cut, _splice, _number, _number)
