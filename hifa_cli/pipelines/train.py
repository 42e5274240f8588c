"""A training run, its graph and its report: the stage behind ``hifa train`` and :func:`hifa_cli.train`."""

from pathlib import Path
from typing import TYPE_CHECKING

from hifa_cli.config import TrainConfig
from hifa_cli.data import Collection
from hifa_cli.embeddings.onnx_export import export_onnx
from hifa_cli.errors import HifaError
from hifa_cli.runtime import progress
from hifa_cli.runtime.distributed import world
from hifa_cli.training.trainer import TrainReport, train
from hifa_cli.viz.run_report import REPORT_FILE, write_report

if TYPE_CHECKING:
    import torch


def run_training(
    photos: Collection,
    shapes: Collection,
    out: Path,
    config: TrainConfig,
    *,
    seed: int,
    device: "torch.device",
    force: bool,
    features: Path | None = None,
    tensorboard: bool = False,
    report: bool = True,
    meshes: Path | None = None,
) -> TrainReport:
    """Train, export the graph that needs no torch, and write the page about the run.

    Args:
        photos: labelled photos.
        shapes: rendered shapes; their labels, where they have any, are never read.
        out: folder of the run.
        config: every number of the method and the run.
        seed: of every random stream.
        device: where to train.
        force: throw away what is in ``out``.
        features: folder that keeps what a frozen trunk makes of the pictures, for other runs to use.
        tensorboard: also write the log as TensorBoard scalars, below ``out``.
        report: write ``report.html``.
        meshes: folder of the meshes that the shapes were drawn from, for a first stage on generated photos.

    Returns:
        The result of the run.

    Raises:
        HifaError: as :func:`hifa_cli.training.trainer.train`.
        Stopped: the user interrupted; a checkpoint was written.
    """
    done = train(
        photos, shapes, out, config, seed=seed, device=device, force=force, features=features,
        tensorboard=tensorboard, meshes=meshes,
    )  # fmt: skip
    if not world().leads:
        return done
    export_onnx(out)  # so that exports, galleries and queries of it need no torch
    if report and (done.points is not None or not (out / REPORT_FILE).is_file()):
        try:
            write_report(out, done.points, photos.classes)
        except HifaError as error:  # the run itself is whole
            progress.warn(f"no report was written: {error}")
    return done
