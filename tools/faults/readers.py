"""Hifa's readers, by the functions that the verbs call: what the probe reads hostile files with."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from types import SimpleNamespace
from typing import Any

Read = Callable[[Path], object]
PATIENCE = 60.0  # seconds of work a file may take
STEP_TIMEOUT = 10.0  # as --timeout: OpenCascade can go on for ever
FREE = 600e6  # bytes that reading any file may take on top of what is loaded


def _mesh() -> Read:
    """As a worker of ``hifa render`` reads it, and as a page does that shows it."""
    from hifa_cli.config import RenderConfig
    from hifa_cli.errors import HifaError
    from hifa_cli.render.pipeline import mark_of
    from hifa_cli.render.views import MeshViews
    from hifa_cli.web.simplify import page_mesh
    from tests.render.shapes import box, obj_text, off_text, stl_text
    from tests.render.writers import Ply, dae_text, model_xml, object_xml, package

    config = RenderConfig(views=2, size=32)
    views = MeshViews(config)
    views.warm_up()
    with TemporaryDirectory() as folder:  # numba keeps what it compiled as pickles of its own
        mixed = [*box().faces.tolist()[1:], [0, 1, 3, 2]]
        for suffix, content in (
            ("ply", Ply(extra=True).bytes_of(box().vertices, mixed)),
            ("ply", Ply("binary_big_endian").bytes_of(box().vertices, mixed)),
            ("ply", Ply("binary_little_endian", strips=True, length="int").bytes_of(box().vertices, mixed)),
            ("dae", dae_text(box()).encode()),
            ("3mf", package({"3D/3dmodel.model": model_xml(object_xml(box()))})),
            ("off", off_text(box()).encode()),
            ("obj", obj_text(box()).encode()),
            ("obj", f"{obj_text(box())}v 0 0 0\n".encode()),  # which no face uses
            ("stl", stl_text(box()).encode()),
        ):
            place = Path(folder) / f"warm.{suffix}"
            place.write_bytes(content)
            views(place)
        place.with_suffix(".obj").write_text("v 0 0 0\n", encoding="utf-8")
        with suppress(HifaError):
            views(place.with_suffix(".obj"))
    return lambda path: (mark_of(path, config), views(path), page_mesh(path, config, 1000))


def _step() -> Read:
    """STEP, whose reader can crash and take for ever: in a worker of ``hifa render`` that costs one mesh."""
    from hifa_cli.config import RenderConfig
    from hifa_cli.errors import HifaError
    from hifa_cli.render.workers import Job, Worker
    from hifa_cli.runtime.workers import GLANCE

    config = RenderConfig(views=2, size=32, timeout=STEP_TIMEOUT)
    worker = Worker(config, 2e9)
    views = Path(mkdtemp()) / "views"

    def watch() -> None:
        while True:
            worker.watch()
            time.sleep(GLANCE)

    threading.Thread(target=watch, daemon=True).start()

    def read(path: Path) -> object:
        if worker.process is None:
            worker.start()
        reason = worker.draw(Job("x", path, views, "mark")).reason
        if reason is not None:
            raise HifaError(f"{path}: {reason}")
        return views

    return read


def _picture() -> Read:
    from hifa_cli.data.pictures import read_picture
    from hifa_cli.data.transforms import to_pixels
    from tools.faults.made import TINY

    return lambda path: to_pixels(read_picture(path), TINY)


def _export() -> Read:
    from hifa_cli.embeddings.io import read_export, read_shapes_heading, sample_images, shape_blocks

    def read(path: Path) -> object:
        whole = read_export(path)
        if whole.shapes is not None:
            read_shapes_heading(path), list(shape_blocks(path, 4))
        return whole, sample_images(path, 3), whole.relabelled(("b", "c"))

    return read


def _gallery() -> Read:
    import numpy as np

    from hifa_cli.gallery import read_gallery

    def read(path: Path) -> object:
        gallery = read_gallery(path)
        scores, rows = gallery.search(np.ones((2, gallery.vectors.shape[1]), dtype=np.float32), 3)
        named = [(gallery.ids[int(row)], gallery.class_of(int(row))) for row in rows.ravel() if row >= 0]
        return scores, named

    return read


def _query() -> Read:
    """All that ``hifa query`` and ``hifa index --stats, --verify, --remove`` make of a gallery."""
    from tools.faults.made import picture

    folder = Path(mkdtemp())
    photo = folder / "photo.png"
    photo.write_bytes(picture("PNG"))

    def read(path: Path) -> object:
        for name in ("sheet.png", "page.html"):
            (folder / name).unlink(missing_ok=True)
        asked = ["query", str(photo), "-g", str(path), "--device", "cpu"]
        return run_verbs(
            [*asked, "--sheet", str(folder / "sheet.png"), "--html", str(folder / "page.html")],
            [*asked, "--json", "--class", "a"],
            ["index", "--stats", "--out", str(path)],
            ["index", "--remove", "a/1", "--out", str(path), "--device", "cpu"],
            verified=path,
        )

    return read


def run_verbs(*commands: Sequence[str], verified: Path | None = None) -> object:
    """Run commands as typed, to the last; the first refusal is raised as the user sees it, at the end.

    A gallery is verified before them; that the views it was made of are gone is no fault of it here.
    """
    from typer.testing import CliRunner

    from hifa_cli.cli import app
    from hifa_cli.errors import HifaError

    refusals = []
    if verified is not None:
        from hifa_cli.cli.terminal import plain
        from hifa_cli.gallery.verify import verify

        refusals += [
            " ".join(plain(fault).split())
            for fault in verify(verified)
            if "is gone: bring it back" not in fault
        ]
    for command in commands:
        done = CliRunner().invoke(app, list(command))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        if done.exit_code:
            words = [line for line in done.output.splitlines() if line.startswith("error:")]
            refusals.append(
                words[0] if words and done.exit_code == 1 else " ".join(done.output.split())[:700]
            )
    if refusals:
        raise HifaError(refusals[0])
    return None


def _model() -> Read:
    import torch

    from hifa_cli.embeddings.encoder import graph_encoder
    from hifa_cli.embeddings.extract import load_encoder

    return lambda path: (graph_encoder(path), load_encoder(path, torch.device("cpu")))


def _weights() -> Read:
    """As ``hifa train --weights FILE`` reads them."""
    import torch

    from hifa_cli.models.network import Network
    from hifa_cli.models.weights import load_trunk
    from tools.faults.made import TINY

    torch.manual_seed(0)
    network = Network(TINY)
    return lambda path: load_trunk(network, TINY.backbone, str(path))


def _checkpoint() -> Read:
    """As ``hifa train`` goes on with a run, to its next step."""
    import torch

    from hifa_cli.config import ModelConfig, TrainConfig
    from hifa_cli.training.checkpoint import Best, Log, load_checkpoint
    from hifa_cli.training.trainer import _finished
    from tools.faults.made import network

    known = {"train": asdict(TrainConfig()), "model": asdict(ModelConfig())}
    settings = {"seed": 0, **known, "photos": {"count": 2}, "shapes": {"count": 2}}

    def read(path: Path) -> object:
        done = _finished(path, dict(settings))
        made: Any = network()
        optimiser = torch.optim.SGD(made.parameters(), lr=0.1, momentum=0.9)
        start = load_checkpoint(path, made, optimiser, most=5)
        made(torch.ones(2, 4)).square().sum().backward()
        optimiser.step()
        Log(path, start).close()
        best = Best(path)
        best.load(made)
        best.offer(made, 0.4, 3)
        return done, range(start, 5)

    return read


def _maps() -> Read:
    """As ``hifa adapt --fitted`` reads and applies them."""
    from hifa_cli.adaptation.adapters import apply_maps, load_maps
    from hifa_cli.embeddings.io import read_export
    from tools.faults.made import export

    place = Path(mkdtemp()) / "e.h5"
    place.write_bytes(export())
    good = read_export(place)
    return lambda path: apply_maps(good, load_maps(path))


def _views() -> Read:
    """As ``hifa render`` over old views, ``hifa index`` and ``hifa data check`` read a folder of them."""
    from hifa_cli.data.checks import check
    from hifa_cli.gallery.sources import views_source
    from hifa_cli.render.pipeline import _warn_of_mixture
    from hifa_cli.render.view_io import read_mark
    from tools.faults.made import RENDERED

    def read(path: Path) -> object:
        embedder: Any = None
        source = views_source(path, split=None, embedder=embedder)
        marks = [read_mark(item.views[0].parent, 2) for item in source.shapes.items]
        _warn_of_mixture([], path, RENDERED)
        return source.origin, marks, check(path, domain="shapes", read=True)

    return read


def _list() -> Read:
    """As ``--images LIST``, ``--shapes LIST`` and ``hifa query @LIST`` read it."""
    from hifa_cli.data import find_images, find_shapes
    from hifa_cli.data.checks import check
    from hifa_cli.errors import HifaError

    def read(path: Path) -> object:
        with suppress(HifaError):
            find_shapes(path)
        with suppress(HifaError):
            check(path, domain="images", read=False)
        return find_images(path)

    return read


def _features() -> Read:
    """As a run takes up what another kept of an item of two views."""
    import torch

    from hifa_cli.data import Item
    from hifa_cli.embeddings.feature_cache import FeatureCache, extract_features, gather_features
    from hifa_cli.models.network import Network
    from tools.faults.made import TINY, picture

    torch.manual_seed(0)
    network = Network(TINY).eval()
    folder = Path(mkdtemp())
    (folder / "v.png").write_bytes(picture("PNG"))
    item = Item("x", -1, (folder / "v.png", folder / "v.png"))

    def read(path: Path) -> object:
        cache = FeatureCache(folder / "cache", network, torch.device("cpu"))
        for part in ("high", "maps"):
            target = cache._path(str(cache.key(item)), part)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((path / f"{part}.safetensors").read_bytes())
        looked = extract_features(network, [item], maps=True, device=torch.device("cpu"), label="", workers=1,
            cache=cache)  # fmt: skip
        seen, _ = gather_features(looked, [item])
        return network(seen)

    return read


def _store() -> Read:
    from hifa_cli.gallery.store import VectorStore

    def read(path: Path) -> object:
        store = VectorStore(path)
        return [store.get(bytes([number]) * 16) for number in range(3) if bytes([number]) * 16 in store]

    return read


def _sample() -> Read:
    """As ``hifa index --add`` tunes the search again with photos that the last generation kept."""
    import numpy as np

    from hifa_cli.config import IndexConfig
    from hifa_cli.gallery.snapshot import _sample as sample
    from hifa_cli.search.exact import exact_search

    vectors = np.eye(4, dtype=np.float32)

    def read(path: Path) -> object:
        plan: Any = SimpleNamespace(photos=None, old=SimpleNamespace(base=path), config=IndexConfig())
        return exact_search(vectors, sample(vectors, plan)[0], 2)

    return read


def _scores() -> Read:
    """As ``hifa compare`` takes up a job that was done."""
    from hifa_cli.pipelines.compare.jobs import Job, Shared, finished

    shared = Shared("", "", "train", "test", "mi3dor", "cpu", "", "t")

    def read(path: Path) -> object:
        done = finished(Job(str(path), "x", "frozen", "frozen", 0, {}), shared)
        if done is None:
            return None
        return [f"{float(done[name]):.3f}" for name in ("NN", "FT", "ST", "F", "DCG", "ANMRR")], done[
            "seconds"
        ]

    return read


def _demo() -> Read:
    """As ``hifa demo`` over the folder of an earlier one."""
    from hifa_cli.config import DemoConfig, WorldConfig
    from hifa_cli.errors import HifaError
    from hifa_cli.pipelines.demo import _claim as claim
    from hifa_cli.synthetic.world import _claim as claim_world

    def read(path: Path) -> object:
        with suppress(HifaError):
            claim(path, WorldConfig(), DemoConfig(), 0)
        claim_world(path, WorldConfig(), 0)
        return path

    return read


def _config() -> Read:
    from hifa_cli.errors import HifaError

    scratch = mkdtemp()
    nowhere = f"{scratch}/nowhere"
    verbs = (
        ("evaluate", f"{nowhere}.h5"),
        ("render", nowhere, "--out", f"{scratch}/out"),
        ("train", "--images", nowhere, "--shapes", nowhere, "--out", f"{scratch}/out"),
        ("index", nowhere, "--out", f"{scratch}/out"),
        ("query", nowhere, "-g", nowhere),
        ("adapt", f"{nowhere}.h5", "--fit", f"{nowhere}.h5", "--out", f"{scratch}/out.h5"),
        ("plot", f"{nowhere}.h5", "--out", f"{scratch}/out.png"),
        ("compare", "--images", nowhere, "--shapes", nowhere, "--out", f"{scratch}/out"),
    )

    def read(path: Path) -> object:
        for verb, *words in verbs:
            try:
                run_verbs((verb, "--config", str(path), *words))
            except HifaError as error:  # that nothing is there; what is wrong with the file comes before
                if not str(error).startswith("error:") or str(error).rstrip().endswith("--help'"):
                    raise
        return None

    return read


def _trouble() -> Read:
    """Does what no reader may do, so that the tests can see that it is noticed."""

    def read(path: Path) -> object:
        if path.stem == "die":
            os.kill(os.getpid(), 11)
        if path.stem == "hang":
            time.sleep(2 * PATIENCE)
        if path.stem == "grow":
            return len(bytearray(int(FREE) + (1 << 28)))
        if path.stem == "look":
            return (path.parent.parent / "outside.secret").read_bytes()
        if path.stem == "write":
            return path.with_suffix(".new").write_bytes(b"")
        if path.stem == "run":
            return subprocess.run(["true"], check=True)
        raise ValueError(path.stem)

    return read


READERS: dict[str, Callable[[], Read]] = {
    "trouble": _trouble, "mesh": _mesh, "step": _step, "picture": _picture, "export": _export,
    "gallery": _gallery,
    "query": _query, "model": _model, "weights": _weights, "config": _config, "checkpoint": _checkpoint,
    "maps": _maps, "views": _views, "list": _list, "features": _features, "store": _store, "sample": _sample,
    "scores": _scores, "demo": _demo,
}  # fmt: skip
STARTERS = ("mesh", "step")  # libraries read theirs (Draco, FBX, USD, STEP …) in processes of hifa's own
WRITERS = ("checkpoint", "query", "demo")  # what they read they also go on with, in the same folder
