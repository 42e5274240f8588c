"""Photos and shapes to embeddings: the stage behind ``hifa export`` and :func:`hifa_cli.embed`."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hifa_cli.config import TrainConfig
from hifa_cli.data import Collection, find_images, find_shapes
from hifa_cli.data.layouts import AUTO
from hifa_cli.errors import HifaError
from hifa_cli.runtime.device import settled_device
from hifa_cli.runtime.lock import sole_output

if TYPE_CHECKING:
    from hifa_cli.embeddings.io import Export


class EncoderChoice(NamedTuple):
    """A run, or a backbone without training.

    Attributes:
        model: folder of the run.
        backbone: without a run; the default encoder if None.
        weights: of the backbone: ``imagenet``, ``none``, or a file.
        size: pixels a side that it sees; 0: as in its pretraining.
    """

    model: Path | None = None
    backbone: str | None = None
    weights: str | None = None
    size: int = 0

    @property
    def is_default(self) -> bool:
        """Return whether it is the encoder that the install brings."""
        default = (self.backbone or TrainConfig.backbone, self.weights or TrainConfig.weights, self.size)
        return self.model is None and default == (TrainConfig.backbone, "imagenet", 0)


class Sources(NamedTuple):
    """The photos and shapes to embed: folders or lists, one split or all, and the layout of a data set."""

    images: Path | None
    shapes: Path | None
    split: str | None = None
    layout: str = AUTO


class Exporter(Protocol):
    """Embeds photos, shapes or both."""

    def __call__(
        self, images: Collection | None, shapes: Collection | None, *, about: dict[str, Any]
    ) -> "Export":
        """Return the vectors; ``about`` says where everything came from."""


def run_export(
    choice: EncoderChoice,
    sources: Sources,
    *,
    device: str = "auto",
    features: Path | None = None,
    out: Path | None = None,
    force: bool = False,
    exporter: Callable[[], Exporter] | None = None,
) -> "Export":
    """Embed photos, shapes or both, and write the export if a file is named.

    Args:
        choice: the encoder.
        sources: photos and shapes; one of them may be None.
        device: auto, cpu, cuda, cuda:N or mps.
        features: folder that keeps what a frozen trunk makes of the pictures.
        out: file to write.
        force: overwrite it.
        exporter: opens what embeds; by default this machine does by ``choice``, ``device`` and ``features``.

    Returns:
        Vectors, ids and labels of both domains.

    Raises:
        HifaError: nothing can be read, the model cannot be opened, or ``out`` exists or cannot be written.
    """
    from hifa_cli.embeddings.io import write_export

    with sole_output(out) if out is not None else nullcontext():
        if out is not None and out.exists() and not force:
            raise HifaError(
                f"{out} exists: choose another place, or let it be overwritten (--force, force=True)"
            )
        photos = (
            find_images(sources.images, split=sources.split, layout=sources.layout)
            if sources.images
            else None
        )
        views = (
            find_shapes(sources.shapes, split=sources.split, layout=sources.layout)
            if sources.shapes
            else None
        )
        for found in (photos, views):
            if found is not None:
                found.report()
        about = {
            "run": _absolute(choice.model),
            "weights": None if choice.model else choice.weights or TrainConfig.weights,
            "images": _absolute(sources.images),
            "shapes": _absolute(sources.shapes),
            "split": sources.split,
        }
        run = open_exporter(choice, settled_device(device), features) if exporter is None else exporter()
        done = run(photos, views, about=about)
        if out is not None:
            write_export(out, done)
    return done


def open_exporter(choice: EncoderChoice, device: str, features: Path | None) -> Exporter:
    """Open the encoder: by the exported graph where one is there, else by torch.

    Args:
        choice: the encoder.
        device: cpu, or one of torch's.
        features: folder that keeps what a frozen trunk makes of the pictures.

    Returns:
        What embeds.

    Raises:
        HifaError: the model cannot be opened.
    """
    if device == "cpu" and features is None and (choice.model is not None or choice.is_default):
        from hifa_cli.embeddings.graph_export import export_by_graph, exporting_encoder

        encoder = exporting_encoder(choice.model)
        if encoder is not None:
            return partial(export_by_graph, encoder)
    import torch

    from hifa_cli.embeddings import extract

    where = torch.device(device)
    if choice.model is not None:
        by_torch = extract.load_encoder(choice.model, where)
    else:
        prepared = extract.untrained(choice.backbone or TrainConfig.backbone, choice.size)
        by_torch = extract.frozen_encoder(where, prepared, choice.weights or TrainConfig.weights)
    return partial(extract.export, by_torch, features=features)


def _absolute(path: Path | None) -> str | None:
    return str(path.resolve()) if path else None
