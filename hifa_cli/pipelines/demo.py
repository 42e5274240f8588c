"""The demo: every stage on a world that is made on the spot, with the numbers and a picture at the end."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hifa_cli.config import DemoConfig, IndexConfig, RenderConfig, WorldConfig
from hifa_cli.data import find_images, find_shapes
from hifa_cli.embeddings.extract import export, load_encoder
from hifa_cli.embeddings.io import read_export, write_export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.evaluate import Scores, evaluate
from hifa_cli.gallery import read_gallery
from hifa_cli.gallery.build import build_gallery
from hifa_cli.query.retrieve import encoder_for, query
from hifa_cli.render.pipeline import render
from hifa_cli.runtime.atomic import written_file
from hifa_cli.settings import train_config
from hifa_cli.synthetic.world import make_world
from hifa_cli.training.trainer import train
from hifa_cli.viz.contact_sheet import query_sheet

if TYPE_CHECKING:
    import torch

METHODS: tuple[str, ...] = ("source-only", "hifa", "default")  # the last one's shapes are what is queried
MARK = "demo.json"


@dataclass
class DemoReport:
    """The result of the demo."""

    folder: Path
    sheet: Path
    scores: dict[str, Scores] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of the block to the stage's."""
        started = time.monotonic()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.monotonic() - started, 1)


def run_demo(
    folder: Path,
    world: WorldConfig,
    config: DemoConfig,
    *,
    seed: int,
    workers: int,
    device: "torch.device",
) -> DemoReport:
    """Make a world in ``folder``, render, train, export, index, query and evaluate; skip what is done.

    Args:
        folder: where everything stays.
        world: how large a world.
        config: the training runs and the queries shown.
        seed: of every random stream: same seed, same numbers.
        workers: processes.
        device: where the network runs.

    Returns:
        Scores, rankings, and the seconds of each stage.

    Raises:
        HifaError: ``folder`` holds something else, or another demo.
    """
    _claim(folder, world, config, seed)
    summary = DemoReport(folder, folder / "queries.png")
    photos, views = folder / "photos", folder / "views"
    with summary.timed("world"):
        make_world(folder, world, seed=seed, workers=workers)
    with summary.timed("render"):
        report = render([folder / "shapes"], views, RenderConfig(), workers=workers)
        if report.failed:
            raise HifaError(
                f"the demo's own {report.failed[0].path} was not drawn: {report.failed[0].reason}"
            )
    seen = folder / "features"  # pictures are looked at once; HIFA goes first, for it keeps the most of them
    for method in reversed(METHODS):
        run, embeddings = folder / "runs" / method, folder / f"{method}.h5"
        with summary.timed(f"train {method}"):
            budget = {"steps": config.steps, "size": config.size}
            settings = train_config(None if method == "default" else method, None, budget)
            known, unlabelled = find_images(photos, split="train"), find_shapes(views, split="train")
            train(
                known, unlabelled, run, settings, seed=seed, device=device, force=False, features=seen,
            )  # fmt: skip
        with summary.timed(f"export {method}"):
            _export_test(run, photos, views, embeddings, device, seen)
        with summary.timed("evaluate"):
            summary.scores[method] = evaluate(read_export(embeddings), name=str(embeddings))
    summary.scores = {method: summary.scores[method] for method in METHODS}
    with summary.timed("index"):
        build_gallery(
            folder / f"{METHODS[-1]}.h5", folder / "gallery", model=None, split=None,
            index_config=IndexConfig(), render_config=RenderConfig(), workers=workers, device=device,
            force=True)  # fmt: skip
    with summary.timed("query"):
        _show_queries(folder, summary.sheet, config, device)
    return summary


def _claim(folder: Path, world: WorldConfig, config: DemoConfig, seed: int) -> None:
    """Write down what this demo is, so that another one is not mixed into it."""
    mark = folder / MARK
    document = json.dumps({"world": repr(world), "demo": repr(config), "seed": seed}, indent=2) + "\n"
    if mark.is_file():
        if mark.read_text(encoding="utf-8", errors="replace") != document:
            raise HifaError(
                f"{folder} holds a demo of another seed or size: choose another --out or give --force"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HifaError(f"{folder} exists and is not a demo: choose another --out")
    else:
        with written_file(mark) as path:
            path.write_text(document, encoding="utf-8")


def _export_test(
    run: Path, photos: Path, views: Path, out: Path, device: "torch.device", features: Path
) -> None:
    encoder = load_encoder(run, device)
    if out.exists() and read_export(out).model == encoder.digest:
        return
    about = {"run": str(run.resolve()), "images": str(photos.resolve()), "shapes": str(views.resolve())}
    tests = find_images(photos, split="test"), find_shapes(views, split="test")
    write_export(out, export(encoder, *tests, about=about, features=features))


def _show_queries(folder: Path, sheet: Path, config: DemoConfig, device: "torch.device") -> None:
    """One test photo of each class and the shapes it finds, as a picture."""
    photos, gallery = find_images(folder / "photos", split="test"), read_gallery(folder / "gallery")
    first = {item.label: item for item in reversed(photos.items)}
    chosen = [first[label]._replace(id=str(first[label].views[0])) for label in sorted(first)]
    rankings = query(encoder_for(gallery, None, device), gallery, chosen, top=config.shown)
    query_sheet(gallery, rankings, sheet, truth={item.id: photos.classes[item.label] for item in chosen})
