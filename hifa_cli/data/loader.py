"""Items to tensors: pixels for the network, and the batch of a training step.

A step's batch is a pure function of (seed, step): nothing has to be remembered to resume.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hifa_cli.config import ModelConfig, TrainConfig
from hifa_cli.data import Collection, Item, read_picture
from hifa_cli.data.reading import item_pixels, plain_pixels
from hifa_cli.data.transforms import Pixels, squared
from hifa_cli.errors import HifaError
from hifa_cli.models.network import TrunkFeatures
from hifa_cli.runtime import progress
from hifa_cli.runtime.distributed import world
from hifa_cli.runtime.seeding import numpy_stream


class Batch(NamedTuple):
    """The batch of a training step, or the part of it that one of several processes sees.

    It has no field for the shapes' labels: training never sees them.

    Attributes:
        images: (B, 1, 3, S, S) uint8 pixels of photos, or what a frozen trunk made of them.
        labels: (B,) int64 classes of the photos.
        shapes: (B', V, 3, S, S) uint8 pixels of shapes' views, or what a frozen trunk made of them.
        shape_rows: (B',) int64 which of the run's shapes they are; None if absent.
    """

    images: Tensor | TrunkFeatures
    labels: Tensor
    shapes: Tensor | TrunkFeatures
    shape_rows: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on ``device``; copies run beside the computation where the memory is pinned."""
        labels = self.labels.to(device, non_blocking=True)
        rows = None if self.shape_rows is None else self.shape_rows.to(device, non_blocking=True)
        return Batch(_moved(self.images, device), labels, _moved(self.shapes, device), rows)

    def pinned(self) -> "Batch":
        """Return the batch in page-locked memory, from which copies to a GPU need not wait."""
        rows = None if self.shape_rows is None else self.shape_rows.pin_memory()
        return Batch(_pinned(self.images), self.labels.pin_memory(), _pinned(self.shapes), rows)


def _pinned(part: Tensor | TrunkFeatures) -> Tensor | TrunkFeatures:
    if isinstance(part, TrunkFeatures):
        return TrunkFeatures(*(tensor.pin_memory() for tensor in part))
    return part.pin_memory()


def _moved(part: Tensor | TrunkFeatures, device: torch.device) -> Tensor | TrunkFeatures:
    if isinstance(part, TrunkFeatures):
        return TrunkFeatures(*(tensor.to(device, non_blocking=True) for tensor in part))
    return part.to(device, non_blocking=True)


def augmented_pixels(path: Path, model: ModelConfig, resize: int, generator: np.random.Generator) -> Pixels:
    """Return (3, size, size) uint8 pixels: resized, cropped at random, mirrored half of the time.

    Args:
        path: of the picture.
        model: has the size that the network sees.
        resize: pixels of the shorter side before the crop.
        generator: chooses the crop and the mirror.

    Returns:
        (3, size, size) uint8.

    Raises:
        HifaError: the picture cannot be read.
    """
    picture = squared(read_picture(path), resize, model.fit)
    left, top = generator.integers(0, resize - model.size + 1, size=2)
    pixels = np.asarray(picture)[top : top + model.size, left : left + model.size]
    if generator.random() < 0.5:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def in_order(items: Sequence[Item], model: ModelConfig, *, workers: int) -> Iterator[tuple[int, Tensor]]:
    """Yield every readable item once, in order: its row, and (1, V, 3, S, S) uint8 pixels.

    An item with a picture that cannot be read is named in a warning and left out.

    Args:
        items: photos or shapes.
        model: has the size that the network sees.
        workers: threads that decode.

    Yields:
        Row and pixels.
    """
    for row, pixels in enumerate(item_pixels(items, model, workers=workers)):
        if pixels is not None:
            yield row, torch.from_numpy(pixels).unsqueeze(0)


def photo_rows(labels: NDArray[np.int64], step: int, seed: int, config: TrainConfig) -> NDArray[np.int64]:
    """Return the photos of a step, drawn with replacement; every class is equally likely if balanced.

    Args:
        labels: (n,) classes of the photos.
        step: number of the step.
        seed: of the run.
        config: has the number of photos, and whether classes are balanced.

    Returns:
        (images,) rows of photos.
    """
    generator = numpy_stream(seed, "batch", step, "images")
    if not config.balanced:
        return generator.integers(0, len(labels), size=config.images)
    present, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights = 1 / counts[inverse] / len(present)
    return generator.choice(len(labels), size=config.images, p=weights / weights.sum())


def shape_rows(count: int, step: int, seed: int, config: TrainConfig) -> NDArray[np.int64]:
    """Return (shapes,) shapes of a step: all once in a fresh random order, then again in another.

    Args:
        count: of shapes.
        step: number of the step.
        seed: of the run.
        config: has the number of shapes of a step.

    Returns:
        (shapes,) rows of shapes.
    """
    places = np.arange(step * config.shapes, (step + 1) * config.shapes)
    rounds = places // count
    orders = {r: numpy_stream(seed, "batch", "shapes", int(r)).permutation(count) for r in np.unique(rounds)}
    return np.array([orders[r][p % count] for r, p in zip(rounds, places, strict=True)], dtype=np.int64)


def view_rows(available: int, step: int, seed: int, config: TrainConfig) -> NDArray[np.int64]:
    """Return (views,) which views every shape of the step shows: all, or a fresh random few.

    Args:
        available: views of a shape.
        step: number of the step.
        seed: of the run.
        config: has the number of views of a step.

    Returns:
        (views,) numbers of views, ascending.
    """
    if config.views >= available:
        return np.arange(available)
    generator = numpy_stream(seed, "batch", step, "views")
    return np.sort(generator.permutation(available)[: config.views])


class ImageBatches:
    """Batches of pixels, read and augmented anew at every step.

    Args:
        photos: labelled photos.
        shapes: the views of each shape and nothing else: labels, if the disk had any, are left behind. Empty
            for a method that never looks at them.
    """

    def __init__(
        self,
        photos: Collection,
        shapes: Sequence[tuple[Path, ...]],
        model: ModelConfig,
        config: TrainConfig,
        seed: int,
    ) -> None:
        self.photos, self.shapes = photos.items, shapes
        self.labels = np.array([item.label for item in photos.items], dtype=np.int64)
        self.model, self.config, self.seed = model, config, seed
        self.available = min((len(views) for views in shapes), default=0)

    def __call__(self, step: int) -> Batch:
        """Return the batch of ``step``."""
        rows = world().part(photo_rows(self.labels, step, self.seed, self.config))
        images, used = self._read([item.views for item in self.photos], rows, np.arange(1), step, "images")
        if not self.shapes:  # a method that never looks at them
            shapes, which = torch.zeros(0, 1, 3, self.model.size, self.model.size, dtype=torch.uint8), None
        else:
            rows = world().part(shape_rows(len(self.shapes), step, self.seed, self.config))
            views = view_rows(self.available, step, self.seed, self.config)
            shapes, seen = self._read(self.shapes, rows, views, step, "shapes")
            which = torch.from_numpy(seen)
        return Batch(images, torch.from_numpy(self.labels[used]), shapes, which)

    def _read(
        self,
        items: Sequence[tuple[Path, ...]],
        rows: NDArray[np.int64],
        views: NDArray[np.int64],
        step: int,
        domain: str,
    ) -> tuple[Tensor, NDArray[np.int64]]:
        """Return pixels of the items, and which items they are: an unreadable one is replaced by the next."""
        stack, used = [], []
        for place, row in enumerate(rows, world().rank * len(rows)):  # its place in the global batch
            generator = numpy_stream(self.seed, "augment", step, domain, place)
            for attempt in range(len(items)):
                at = int(row + attempt) % len(items)
                try:
                    stack.append(np.stack([self._pixels(items[at][view], generator) for view in views]))
                except HifaError as error:
                    progress.left_out("a picture", str(error))
                    continue
                used.append(at)
                break
            else:
                raise HifaError(f"none of the {domain} can be read; check the folder with 'hifa data check'")
        return torch.from_numpy(np.stack(stack)), np.array(used, dtype=np.int64)

    def _pixels(self, path: Path, generator: np.random.Generator) -> Pixels:
        if self.config.augment:
            return augmented_pixels(path, self.model, self.config.resize, generator)
        return plain_pixels(path, self.model)


class FeatureBatches:
    """Batches of what a frozen trunk made of the pictures: the same draws as ``ImageBatches``.

    Args:
        photos: features of n photos, V = 1.
        labels: (n,) classes of the photos.
        shapes: features of m shapes.
    """

    def __init__(
        self,
        photos: TrunkFeatures,
        labels: NDArray[np.int64],
        shapes: TrunkFeatures,
        config: TrainConfig,
        seed: int,
    ) -> None:
        self.photos, self.labels, self.shapes = photos, labels, shapes
        self.config, self.seed = config, seed

    def __call__(self, step: int) -> Batch:
        """Return the batch of ``step``."""
        rows = world().part(photo_rows(self.labels, step, self.seed, self.config))
        images = TrunkFeatures(*(part[rows] for part in self.photos))
        count, available = self.shapes.high.shape[:2]
        if not count:  # a method that never looks at the shapes
            return Batch(images, torch.from_numpy(self.labels[rows]), self.shapes)
        views = view_rows(available, step, self.seed, self.config)
        which = world().part(shape_rows(count, step, self.seed, self.config))
        shapes = TrunkFeatures(*(part[which[:, None], views] for part in self.shapes))
        return Batch(images, torch.from_numpy(self.labels[rows]), shapes, torch.from_numpy(which))
