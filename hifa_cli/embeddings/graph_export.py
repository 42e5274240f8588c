"""Photos and shapes to an export by a graph: no torch."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hifa_cli.config import ModelConfig
from hifa_cli.data import Collection, Item
from hifa_cli.data.reading import item_pixels
from hifa_cli.data.transforms import Pixels
from hifa_cli.embeddings.encoder import Floats, GraphEncoder, default_encoder, graph_encoder
from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.embeddings.joining import NothingRead, joined
from hifa_cli.runtime import progress
from hifa_cli.runtime.threads import wanted

_EACH = 4  # pictures a thread of the engine
_READERS = 2


def exporting_encoder(model: Path | None) -> GraphEncoder | None:
    """Open the encoder that can export without torch; None without a graph or an engine."""
    found = default_encoder() if model is None else graph_encoder(model)
    return found if found is not None and found.knows_shapes else None


def export_by_graph(
    encoder: GraphEncoder, images: Collection | None, shapes: Collection | None, *, about: dict[str, Any]
) -> Export:
    """Embed photos, shapes or both; the classes of both are listed together.

    Args:
        encoder: the model.
        images: photos.
        shapes: rendered shapes.
        about: where everything came from, for the file's ``config``.

    Returns:
        The vectors that torch would make, to 1e-5 in cosine.

    Raises:
        HifaError: nothing of a domain can be read.
    """
    return joined(
        images,
        shapes,
        partial(_embedded, encoder),
        method=encoder.method,
        model=encoder.digest,
        config={"model": asdict(encoder.config), **about},
    )


def _embedded(encoder: GraphEncoder, items: Sequence[Item], domain: str) -> Embeddings:
    known: list[tuple[Item, Floats]] = []
    for part in _parts(items, encoder.config, f"embedding {domain}"):
        pixels = [one for _, one in part]
        if domain == "images":
            vectors = list(encoder.each_picture(np.concatenate(pixels)))
        else:
            vectors = [vector for _, vector in encoder.shapes(pixels)]
        known += zip((item for item, _ in part), vectors, strict=True)
    if not known:
        raise NothingRead(f"embedding {domain}")
    return Embeddings(
        ids=tuple(item.id for item, _ in known),
        labels=np.array([item.label for item, _ in known], dtype=np.int64),
        vectors=np.stack([vector for _, vector in known]),
    )


def _parts(items: Sequence[Item], config: ModelConfig, label: str) -> Iterator[list[tuple[Item, Pixels]]]:
    """Readable items with their pixels, as many at once as give every thread work."""
    waiting: list[tuple[Item, Pixels]] = []
    reading = progress.track(item_pixels(items, config, workers=_READERS), label, len(items))
    for item, pixels in zip(items, reading, strict=True):
        if pixels is not None:
            waiting.append((item, pixels))
        if sum(len(one) for _, one in waiting) >= _EACH * wanted():
            yield waiting
            waiting = []
    if waiting:
        yield waiting
