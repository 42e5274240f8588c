"""Whether looking for the subject of a cluttered photo is worth it, by class-wise cross-validation.

    python benchmarks/photo_side.py PHOTOS VIEWS OTHER_PHOTOS OTHER_VIEWS --cache CACHE

The arguments, the folds and the table are those of ``benchmarks/settings.py``. What stands out is told by
colour: each pixel's distance from the colours of the photo's border (Mahalanobis, three clusters in YCbCr),
smoothed. The crop is the box of what stands out with a tenth around it; the whitened ground fades everything
else to white, as the views have it. Both are used alone and beside the whole photo (the mean of unit features
and of logits).
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from settings import (
    BATCH,
    Encoded,
    Setting,
    arguments,
    both,
    cosines,
    encoded,
    judged,
    lists_of,
    side_of,
    usual,
)
from sklearn.cluster import KMeans

from hifa_cli.data import read_picture
from hifa_cli.data.transforms import to_pixels
from hifa_cli.embeddings.encoder import GraphEncoder, default_encoder
from hifa_cli.search.rerank import Floats, unit

SIDE, CLUSTERS, MARGIN, LEAST = 128, 3, 0.1, 0.04  # LEAST: share of the photo; less stands for nothing found


def standing_out(picture: Image.Image) -> NDArray[np.float64]:
    """Return (128, 128) values from 0 (as the border) to 1."""
    lab = np.asarray(picture.resize((SIDE, SIDE)).convert("YCbCr"), dtype=np.float64) / 2.55
    edges = (lab[:6], lab[-6:], lab[:, :6], lab[:, -6:])
    border = np.concatenate([one.reshape(-1, 3) for one in edges])
    groups = KMeans(CLUSTERS, n_init=1, random_state=0).fit(border)
    distances = []
    for number in range(CLUSTERS):
        mine = border[groups.labels_ == number]
        spread = np.cov(mine.T) + 16 * np.eye(3) if len(mine) > 3 else 64 * np.eye(3)
        offset = lab.reshape(-1, 3) - groups.cluster_centers_[number]
        distances.append(np.einsum("pi,ij,pj->p", offset, np.linalg.inv(spread), offset))
    found = gaussian_filter(np.sqrt(np.min(distances, axis=0)).reshape(SIDE, SIDE), 2)
    return np.asarray(1 / (1 + np.exp(-2 * (found - 3))))


def cropped(picture: Image.Image) -> Image.Image:
    """Return the box of what stands out; the photo where that is nearly nothing or all."""
    found = standing_out(picture) > 0.5
    if not LEAST < found.mean() < 0.8:
        return picture
    rows, columns = np.flatnonzero(found.sum(axis=1) > 2), np.flatnonzero(found.sum(axis=0) > 2)
    if not len(rows) or not len(columns):
        return picture
    low = np.array([columns[0], rows[0]]) / SIDE - MARGIN
    high = np.array([columns[-1] + 1, rows[-1] + 1]) / SIDE + MARGIN
    box = np.concatenate([np.clip(low, 0, 1), np.clip(high, 0, 1)]) * np.tile(picture.size, 2)
    return picture.crop(tuple(round(one) for one in box))


def whitened(picture: Image.Image) -> Image.Image:
    """Return the photo with its ground faded to white; as it is where nothing stands out."""
    found = standing_out(picture)
    if (found > 0.5).mean() <= LEAST:
        return picture
    mask = Image.fromarray((255 * found).astype(np.uint8)).resize(picture.size)
    return Image.composite(picture, Image.new("RGB", picture.size, "white"), mask)


def looked_at(
    paths: Sequence[Path],
    encoder: GraphEncoder,
    cache: Path,
    name: str,
    change: Callable[[Image.Image], Image.Image],
) -> Encoded:
    """What the encoder makes of changed photos; kept in the cache under a name."""
    file = cache / f"{name}.npz"
    if not file.exists():
        parts = []
        for start in range(0, len(paths), BATCH):
            changed = [change(read_picture(path)) for path in paths[start : start + BATCH]]
            pixels = [to_pixels(one, encoder.config) for one in changed]
            parts.append(encoder.pictures(np.stack(pixels)))
        np.savez(
            file, features=np.concatenate([one.pooled for one in parts]),
            logits=np.concatenate([np.asarray(one.logits) for one in parts]).astype(np.float16),
        )  # fmt: skip
    with np.load(file, allow_pickle=False) as found:
        names = tuple(f"{path.parent.name}/{path.stem}" for path in paths)
        return Encoded(found["features"], found["logits"].astype(np.float32), names)


def beside(first: Encoded, second: Encoded) -> Encoded:
    """Return the mean of two looks at the same photos."""
    features: Floats = unit(unit(first.features) + unit(second.features))
    logits: Floats = np.asarray((first.logits + second.logits) / 2, dtype=np.float32)
    return Encoded(features, logits, first.names)


def main() -> None:
    """Encode, compare and print the table."""
    given, encoder = arguments("whether looking for the subject is worth it"), default_encoder()
    assert encoder is not None
    assert encoder.classifier is not None
    names, lists = lists_of(given)
    paths = lists["photos"]
    seen = {name: encoded(files, encoder, given.cache, f"lite0-{name}") for name, files in lists.items()}
    usual_side = side_of(seen, names, encoder.classifier)
    whole = seen["photos"]
    crop = looked_at(paths, encoder, given.cache, "lite0-cropped", cropped)
    white = looked_at(paths, encoder, given.cache, "lite0-whitened", whitened)
    looks: dict[str, Encoded] = {
        "default (the whole photo)": whole,
        "crop of what stands out": crop,
        "ground whitened": white,
        "whole and crop": beside(whole, crop),
        "whole and whitened": beside(whole, white),
    }
    settings = [
        Setting(name, partial(both, cosines(usual_side._replace(photos=one)), order=usual))
        for name, one in looks.items()
    ]
    judged(settings, whole.names, names[0])


if __name__ == "__main__":
    main()
