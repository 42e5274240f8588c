"""A gallery that a few labelled photos teach: without training, in seconds, and never worse off its classes.

generation-N/photo_classes.npz    what the photos say, fitted once
generation-N/shape_classes.npy    (n, C) what it says of the shapes, found anew with every generation
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli.adaptation.labels import fit_classes
from hifa_cli.config import IndexConfig
from hifa_cli.data import Collection, Item, read_picture
from hifa_cli.data.transforms import to_pixels
from hifa_cli.embeddings.encoder import FROZEN, open_encoder
from hifa_cli.errors import HifaError
from hifa_cli.gallery import Gallery, read_gallery
from hifa_cli.gallery.build import writing
from hifa_cli.gallery.growth import write_change
from hifa_cli.gallery.ranking import ranker_of, read_shape_classes
from hifa_cli.gallery.snapshot import Making, Plan
from hifa_cli.gallery.stores import LOCAL
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import written_folder
from hifa_cli.search.rerank import QueryVectors

AT_ONCE = 24  # photos embedded together


def teach_gallery(source: Path, photos: Collection, out: Path) -> dict[str, Any]:
    """Let labelled photos decide which shapes are of the kind of a photo like them.

    Args:
        source: a gallery of the pretrained encoder.
        photos: labelled, in a folder per class; some ten per class are plenty.
        out: the gallery to write; ``source`` itself is given a next generation.

    Returns:
        ``shapes``, ``photos``, ``classes`` and ``shapes_by_class``: how many are taken for each.

    Raises:
        HifaError: the gallery does not rank by the pretrained encoder, or the photos are of fewer than two
            classes.
    """
    opened = read_gallery(source)
    _check(opened)
    names, vectors, labels = _looked(opened, photos)
    found = fit_classes(vectors.kind, vectors.part, labels)
    if out.resolve() != source.resolve():
        with written_folder(out) as place:
            shutil.copytree(source, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".lock*"))
    with writing(out):
        old = read_gallery(out)
        making = Making(old.model, old.method, old.model_folder)
        config = IndexConfig(factory=str(old.document["wanted"]))
        plan = Plan(old, np.arange(len(old)), [], making, config, ranking=old.document["ranking"],
                    taught=(found, names), shard=old.document.get("shard"),
                    store=None if out.resolve() == source.resolve() else LOCAL)  # fmt: skip
        write_change(out, plan)
    after = read_gallery(out)
    taken = read_shape_classes(after.place, len(after), len(names)).argmax(axis=1)
    counts = {name: int((taken == number).sum()) for number, name in enumerate(names)}
    if empty := [name for name, count in counts.items() if not count]:
        progress.warn(
            f"no shape was taken for {', '.join(empty[:8])}: there may be none, or it looks like others"
        )
    return {"shapes": len(old), "photos": len(labels), "classes": len(names), "shapes_by_class": counts}


def _check(gallery: Gallery) -> None:
    ranked = gallery.document.get("ranking")
    if ranked is not None and ranked.get("residual"):
        raise HifaError(
            f"{gallery.folder} is of a trained run, which has learned from labelled photos: "
            "train again with more of them, or build a gallery without --model"
        )
    if ranked is None or gallery.method != FROZEN or gallery.model_folder is None:
        raise HifaError(
            f"{gallery.folder} does not rank by the pretrained encoder: build it from meshes or views with "
            "'hifa index SOURCE --out GALLERY'"
        )


def _looked(gallery: Gallery, photos: Collection) -> tuple[tuple[str, ...], QueryVectors, NDArray[np.int64]]:
    """Return the classes that readable photos have, what the photos are looked up by, and their labels."""
    encoder = open_encoder(gallery.model_folder, "cpu")
    ranker = ranker_of(gallery.document["ranking"], gallery.model, encoder.classifier)
    if ranker is None:
        raise RuntimeError("a gallery that was checked ranks")
    kinds, parts, labels = [], [], []
    for items, pixels in _read([item for item in photos.items if item.label >= 0], encoder.config):
        found = encoder.pictures(pixels)
        vectors = ranker.queries(found.pooled, found.logits)
        kinds.append(vectors.kind)
        parts.append(vectors.part)
        labels += [item.label for item in items]
    known = sorted(set(labels))
    if len(known) < 2:
        raise HifaError("labelled photos of two or more classes are needed: a folder per class")
    numbers = {label: number for number, label in enumerate(known)}
    names = tuple(photos.classes[label] for label in known)
    renamed = np.array([numbers[label] for label in labels], dtype=np.int64)
    return names, QueryVectors(np.concatenate(kinds), np.concatenate(parts)), renamed


def _read(items: list[Item], config: Any) -> Iterator[tuple[list[Item], NDArray[np.uint8]]]:
    """Yield pixels of readable photos, some at once; what cannot be read is named and left out."""
    for start in progress.track(range(0, len(items), AT_ONCE), "looking at the photos"):
        part: list[Item] = []
        pixels = []
        for item in items[start : start + AT_ONCE]:
            try:
                pixels.append(to_pixels(read_picture(item.views[0]), config))
            except HifaError as error:
                progress.left_out(item.id, str(error))
                continue
            part.append(item)
        if part:
            yield part, np.stack(pixels)
