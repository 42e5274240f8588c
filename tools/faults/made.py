"""Sound things of every kind that hifa reads, as small as can be: what is then spoilt."""

import io
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from hifa_cli.adaptation.adapters import fit_maps, save_maps
from hifa_cli.config import AdaptConfig, IndexConfig, ModelConfig, RenderConfig, WorldConfig
from hifa_cli.embeddings.io import read_export
from hifa_cli.evaluation.metrics import METRICS
from hifa_cli.gallery.build import build_gallery
from hifa_cli.gallery.store import Stored, VectorStore
from hifa_cli.models.network import Network, save_network
from hifa_cli.render.pipeline import write_settings as write_views_settings
from hifa_cli.render.view_io import write_views
from hifa_cli.training.checkpoint import Best, Log, save_checkpoint, write_settings
from tests.render.stepfile import step_text
from tools.faults.corpus import mesh_bytes, write_good_export

Files = dict[str, bytes]
SIDE = 32  # pixels of the views and of what the network sees
TINY = ModelConfig(backbone="test_resnet", embedding=4, classes=("a", "b"), size=SIDE, resize=SIDE)
RENDERED = RenderConfig(views=2, size=SIDE)


def put(files: Files, folder: Path) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def taken(folder: Path) -> Files:
    """The files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@cache
def picture(form: str) -> bytes:
    """A small photo."""
    file = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    made = Image.fromarray(pixels)
    if form == "HEIF":
        import pillow_heif

        heif: Any = pillow_heif.from_pillow(made)
        heif.save(file)
    elif form == "JPEG":
        exif = Image.Exif()
        exif[0x0112] = 6
        made.save(file, form, exif=exif)
    else:
        made.save(file, form)
    return file.getvalue()


@cache
def export() -> bytes:
    """Embeddings of both domains."""
    with TemporaryDirectory() as folder:
        write_good_export(Path(folder) / "good.h5")
        return (Path(folder) / "good.h5").read_bytes()


@cache
def model() -> Files:
    """A model as ``hifa train`` leaves it."""
    with TemporaryDirectory() as folder:
        torch.manual_seed(0)
        save_network(Network(TINY), Path(folder), method="hifa", hifa_version="0")
        return taken(Path(folder))


@cache
def views() -> Files:
    """Rendered views of four shapes in two classes, as ``hifa render`` leaves them, and a list of labels."""
    generator = np.random.default_rng(2)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "views"
        for name in ("a/1", "a/2", "b/1", "b/2"):
            (folder / name).mkdir(parents=True)
            pictures = generator.integers(0, 256, (2, SIDE, SIDE), dtype=np.uint8)
            write_views(folder / name, pictures, "0123456789abcdef 0123456789abcdef0123456789abcdef")
        write_views_settings(folder, RENDERED)
        (folder / "label.txt").write_text("x/views/a/1/00.png 0\nx/views/b/1/00.png 1\n")
        return taken(folder)


@cache
def gallery() -> Files:
    """A gallery of those views with its model, its graph and its thumbnails: it takes photos."""
    with TemporaryDirectory() as scratch:
        put(model(), Path(scratch) / "run")
        put(views(), Path(scratch) / "views")
        build_gallery(
            Path(scratch) / "views", Path(scratch) / "gallery", model=Path(scratch) / "run", split=None,
            index_config=IndexConfig(factory="HNSW8"), render_config=RENDERED, workers=1,
            device=torch.device("cpu"), force=True)  # fmt: skip
        return taken(Path(scratch) / "gallery")


def network() -> nn.Module:
    """What the checkpoints below are of."""
    torch.manual_seed(0)
    return nn.Linear(4, 3)


@cache
def run() -> Files:
    """A training run that was stopped after its third step."""
    torch.manual_seed(0)
    with TemporaryDirectory() as scratch:
        folder, made = Path(scratch), network()
        optimiser = torch.optim.SGD(made.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            made(torch.ones(2, 4)).square().sum().backward()
            optimiser.step()
        objective: Any = made
        save_checkpoint(folder, objective, optimiser, 3)
        Best(folder).offer(made, 0.5, 2)
        log = Log(folder, 0)
        for number in range(4):
            log.write({"step": number, "rate": 0.1, "total": 1.5})
        log.close()
        finished = {"steps": 3, "seconds": 1.5, "digest": "x", "last": {"step": 2, "total": 1.5}}
        parts: dict[str, Any] = {
            "seed": 0,
            "train": {},
            "model": {},
            "photos": {"count": 2},
            "shapes": {"count": 2},
        }
        write_settings(folder, {"schema": 1, **parts, "finished": finished})
        return taken(folder)


@cache
def maps(method: str) -> bytes:
    """Fitted maps of ``hifa adapt``."""
    kinds: dict[str, AdaptConfig] = {
        "jgsa": AdaptConfig(method="jgsa", dimension=2, iterations=1),
        "meda": AdaptConfig(method="meda", dimension=1, iterations=1, neighbours=2),
    }
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "x"
        path.write_bytes(export())
        save_maps(path, fit_maps(read_export(path), kinds[method]))
        return path.read_bytes()


@cache
def features() -> Files:
    """What a trunk made of an item of two views."""
    from safetensors.torch import save

    torch.manual_seed(0)
    with torch.inference_mode():
        seen = Network(TINY).eval().trunk_features(torch.zeros((1, 2, 3, SIDE, SIDE), dtype=torch.uint8))
    parts = {"high": seen.high[0].clone(), "maps": seen.low[0].clone()}
    return {f"{name}.safetensors": save({name: part}) for name, part in parts.items()}


@cache
def store() -> bytes:
    """Some embedded shapes that a killed 'hifa index' left."""
    with TemporaryDirectory() as scratch:
        found = VectorStore(Path(scratch) / "x.vectors")
        generator = np.random.default_rng(0)
        for number in range(3):
            vector, views = generator.random(4), generator.random((2, 4))
            record = Stored(vector.astype(np.float32), views.astype(np.float16), b"cover")
            found.put(bytes([number]) * 16, record)
        return found.path.read_bytes()


@cache
def scores() -> Files:
    """A finished job of a comparison."""
    document = {"schema": 1, "arm": "x", "seed": 0, "test_data": "t", "profile": "mi3dor", "model": "m",
                "hifa_version": "0", "seconds": {"train": 1.0, "all": 2.0}, "queries": 3}  # fmt: skip
    said = {**document, **dict.fromkeys(METRICS, 0.5)}
    return {"scores.json": json.dumps(said).encode(), "test.h5": export()}


@cache
def demo() -> Files:
    """The marks of a demo's folder."""
    world = {"seed": 0, **asdict(WorldConfig())}
    return {
        "world.json": json.dumps(world).encode(),
        "demo.json": json.dumps({"world": "", "seed": 0}).encode(),
    }


def listed(ending: str) -> bytes:
    """A list of photos that lie beside it."""
    if ending == "json":
        return json.dumps(
            [{"path": "a/1.png", "class": "a", "id": "one"}, {"path": "b/2.png", "class": 1}]
        ).encode()
    if ending == "csv":
        return b"path,class,id,split\na/1.png,a,one,train\nb/2.png,1,two,test\n"
    return b"a/1.png 0\nb/2.png 1\nx/y/a/1.png 2\n"


def torch_weights() -> bytes:
    """A plain state dict by torch's own archive."""
    content = io.BytesIO()
    torch.save(network().state_dict(), content)
    return content.getvalue()


def settings() -> bytes:
    """A configuration file with a table for every verb that reads files."""
    tables: dict[str, dict[str, Any]] = {
        "evaluate": {"profile": "mi3dor", "bootstrap": 0, "json": True},
        "render": {"workers": 1, "size": 32, "up": "z", "timeout": 3.5},
        "train": {"steps": 3, "method": "hifa", "images": "/nowhere", "set": ["size=32"], "seed": 1},
        "index": {"factory": "Flat", "split": "train", "workers": 1},
        "query": {"top": 3, "class": ["a"], "threshold": 0.5, "crop": "1,2,3,4"},
        "adapt": {"method": "jgsa", "dimension": 2}, "plot": {"kind": "pr"}, "compare": {"seeds": "2",
        "jobs": 1},
    }  # fmt: skip
    lines = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines).encode()


def mesh(suffix: str) -> bytes:
    """A well-formed mesh."""
    return step_text(1.0, 2.0, 3.0).encode() if suffix == "step" else mesh_bytes(suffix)
