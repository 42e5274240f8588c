"""Hostile forms of what hifa itself stores: galleries, models, weights; and pickles that would run."""

import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import numpy as np
import torch

from hifa_cli.config import IndexConfig, RenderConfig
from hifa_cli.embeddings.io import Embeddings, Export, write_export
from hifa_cli.gallery.build import build_gallery
from hifa_cli.models.network import digest, load_network
from tests.render.shapes import box, stl_text
from tools.faults.corpus import OUTSIDE, Case, mesh_bytes

GALLERIES = ("Flat", "HNSW8", "IVF4,SQ8", "PQ4x4", "IVF4,RaBitQ4")


def write_gallery(folder: Path, factory: str) -> None:
    """A small, sound gallery of vectors, with an index of that kind."""
    for name, content in gallery_files(factory).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@cache
def gallery_files(factory: str, count: int = 300) -> dict[str, bytes]:
    """The files of a small gallery of vectors."""
    vectors = np.random.default_rng(5).gamma(1.0, size=(count, 16)).astype(np.float32)
    ids = tuple(f"kind/{number:03d}" for number in range(count))
    shapes = Embeddings(ids, np.zeros(count, dtype=np.int64), vectors)
    with TemporaryDirectory() as scratch:
        source, folder = Path(scratch) / "e.h5", Path(scratch) / "gallery"
        write_export(source, Export(None, shapes, ("kind",), "0", "nobody's", "digest", {}))
        build_gallery(
            source, folder, model=None, split=None, index_config=IndexConfig(factory=factory),
            render_config=RenderConfig(), workers=1, device=torch.device("cpu"), force=True)  # fmt: skip
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def sample_files() -> dict[str, bytes]:
    """The photos that a gallery's search was tuned with."""
    content = io.BytesIO()
    np.save(content, np.random.default_rng(0).random((5, 4)).astype(np.float32))
    return {"sample.npy": content.getvalue()}


def stl_text_bytes() -> bytes:
    """STL in words."""
    return stl_text(box()).encode()


def ply_text_bytes() -> bytes:
    """PLY in words."""
    return mesh_bytes("ply", encoding="ascii")


def sealed_graph(folder: Path) -> None:
    """Write the digest of a gallery's graph anew, as whoever changed the graph would."""
    graph = next((folder / "models").glob("*/graph.onnx"))
    about = json.loads(graph.with_name("graph.json").read_text(encoding="utf-8"))
    about["sha256"] = hashlib.sha256(graph.read_bytes()).hexdigest()
    graph.with_name("graph.json").write_text(json.dumps(about), encoding="utf-8")


def sealed_model(folder: Path) -> None:
    """Write the digest of a model anew, as whoever changed its weights or its settings would."""
    try:
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        about["digest"] = digest(load_network(folder))
        (folder / "model.json").write_text(json.dumps(about), encoding="utf-8")
    except Exception:  # it fits no more, whatever it is called
        return


def generation(folder: Path) -> Path:
    """Where a gallery's columns are."""
    return next(folder.glob("generation-*"))


def _document(key: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "gallery.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        document[key] = value
        path.write_text(json.dumps(document), encoding="utf-8")

    return change


def _text(text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "gallery.json").write_text(text, encoding="utf-8")

    return change


def _file(name: str, content: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (generation(folder) / name).write_bytes(content)

    return change


def _array(name: str, array: Any) -> Callable[[Path], None]:
    return lambda folder: np.save(generation(folder) / name, array, allow_pickle=True)


def _gone(name: str) -> Callable[[Path], None]:
    return lambda folder: (generation(folder) / name).unlink()


def galleries() -> list[Case]:
    """Galleries: traversal, absurd counts, columns that disagree, pickled columns, indices that are none."""
    changes: dict[str, Callable[[Path], None]] = {
        "traversal": _document("generation", f"../{OUTSIDE}"),
        "traversal-2": _document("generation", "generation-1/../../x"),
        "traversal-3": _document("generation", "/etc"),
        "no-generation": _document("generation", "generation-99"),
        "generation-list": _document("generation", ["generation-1"]),
        "shapes-more": _document("shapes", 301),
        "shapes-absurd": _document("shapes", 10**15),
        "shapes-negative": _document("shapes", -1),
        "shapes-text": _document("shapes", "many"),
        "dimension-0": _document("dimension", 0),
        "dimension-absurd": _document("dimension", 10**12),
        "views-absurd": _document("views", 10**12),
        "classes-none": _document("classes", []),
        "classes-number": _document("classes", 7),
        "origins-none": _document("origins", []),
        "factory-other": _document("factory", "IVF9,PQ7"),
        "effort-list": _document("effort", [1]),
        "effort-unknown": _document("effort", {"x": 1}),
        "schema": _document("schema", 99),
        "not-json": _text("{"), "deep": _text("[" * 100_000), "a-list": _text("[]"),
        "labels-out": _array("labels.npy", np.full(300, 9, dtype=np.int32)),
        "labels-pickled": _array("labels.npy", np.array([Bomb("npy")] * 300, dtype=object)),
        "labels-float": _array("labels.npy", np.zeros(300)),
        "labels-cut": _file("labels.npy", b"\x93NUMPY\x01\0v\0{'descr': '<i4'"),
        "labels-header": _file("labels.npy", b"\x93NUMPY\x01\0\x20\0__import__('os').system('x')    \n"),
        "ids-cut": _file("ids.txt", b"kind"),
        "ends-wrong": _array("ids.npy", np.arange(300)[::-1].astype(np.int64)),
        "vectors-cut": _file("vectors.f32", bytes(100)),
        "vectors-gone": _gone("vectors.f32"), "ids-gone": _gone("ids.txt"),
    }  # fmt: skip
    wanted = {"classes-number": "refused", "effort-list": "refused"}
    made = [
        Case("gallery", f"good-{name}", "read", partial(write_gallery, factory=name)) for name in GALLERIES
    ]
    for name, change in changes.items():
        made.append(Case("gallery", name, wanted.get(name, "refused"), _with(change, "Flat")))
    indices = {
        "index-noise": _file("index.faiss", np.random.default_rng(0).bytes(5000)),
        "index-empty": _file("index.faiss", b""),
        "index-gone": _gone("index.faiss"),
        "index-claims": lambda folder: _claim(generation(folder) / "index.faiss"),
        "index-flat": lambda folder: _other(generation(folder) / "index.faiss"),
        "index-pickle": _file("index.faiss", bomb("faiss")),
    }
    return made + [
        Case("gallery", name, "refused", _with(change, "HNSW8")) for name, change in indices.items()
    ]


def _with(change: Callable[[Path], None], factory: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        write_gallery(path, factory)
        change(path)

    return write


def _claim(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8:16] = (1 << 50).to_bytes(8, "little")  # how many vectors there are
    path.write_bytes(content)


def _other(path: Path) -> None:
    import faiss

    faiss.write_index(faiss.IndexFlatIP(7), str(path))


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        """What unpickling would run."""
        return os.makedirs, (f"{EXPLODED}-{self.name}-{os.getpid()}", 0o777, True)


EXPLODED = str(Path(gettempdir()) / "hifa-exploded")


def bomb(name: str) -> bytes:
    """A pickle that leaves a trace when it is loaded."""
    return pickle.dumps({"weight": Bomb(name), "state_dict": Bomb(name)})


def torch_bomb(path: Path) -> None:
    """torch's own archive around such a pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", bomb(path.suffix))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
