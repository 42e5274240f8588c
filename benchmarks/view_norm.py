"""Whether views should be normalised as renders are, by class-wise cross-validation.

    python benchmarks/view_norm.py PHOTOS VIEWS OTHER_PHOTOS OTHER_VIEWS --cache CACHE

The arguments, the folds and the table are those of ``benchmarks/settings.py``. For views alone each batch
normalisation's mean and variance are a mixture of ImageNet's and of those of some 1,100 views of the OTHER
meshes (Li et al., AdaBN, 2017; a share of 1 is theirs); photos are encoded as ever. The projection is fitted
anew for each share.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from settings import (
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

from hifa_cli.config import ModelConfig
from hifa_cli.data import read_picture
from hifa_cli.data.transforms import to_pixels
from hifa_cli.embeddings.encoder import GraphEncoder, default_encoder, frozen_model
from hifa_cli.embeddings.engine import open_engine
from hifa_cli.models.lite import lite_graph, timm_names, wheel_tensors
from hifa_cli.models.tensor_file import Tensors

SHARES, LOOKED_AT, BATCH = (0.15, 0.3), 1_100, 50


def statistics(paths: Sequence[Path]) -> dict[str, tuple[Any, Any]]:
    """Return the mean and the variance of what each normalisation of timm's network reads of views.

    The layers before it are normalised by their batch's own statistics, as AdaBN has it.
    """
    import torch

    from hifa_cli.embeddings.extract import frozen_encoder

    network = frozen_encoder(torch.device("cpu")).network.eval()
    net = network.trunk.net
    sums: dict[str, list[Any]] = {}

    def heard(name: str, inputs: tuple[torch.Tensor, ...]) -> None:
        flat = inputs[0].double().transpose(0, 1).flatten(1)
        total = sums.setdefault(name, [0, 0.0, 0.0])
        total[0] += flat.shape[1]
        total[1] = total[1] + flat.sum(dim=1)
        total[2] = total[2] + (flat**2).sum(dim=1)

    for name, module in net.named_modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.train()
            module.momentum = 0.0
            module.register_forward_pre_hook(lambda _, inputs, name=name: heard(name, inputs))
    with torch.inference_mode():
        for start in range(0, len(paths), BATCH):
            pixels = [to_pixels(read_picture(path), network.config) for path in paths[start : start + BATCH]]
            network.trunk_features(torch.from_numpy(np.stack(pixels)[:, None]))
    return {
        name: ((total / count).numpy(), (squares / count - (total / count) ** 2).numpy())
        for name, (count, total, squares) in sums.items()
    }


def encoder_with(share: float, found: dict[str, tuple[Any, Any]]) -> GraphEncoder:
    """Return the default encoder with a share of other statistics in its normalisations."""
    (tensors,) = wheel_tensors(ModelConfig.backbone)
    changed: Tensors = dict(tensors)
    for old, new in timm_names(tensors).items():
        module, _, part = new.rpartition(".")
        if part in ("running_mean", "running_var"):
            theirs = found[module][part == "running_var"]
            changed[old] = ((1 - share) * tensors[old] + share * theirs).astype(np.float32)
    config = frozen_model().config
    engine = open_engine(lite_graph([changed], config))
    assert engine is not None
    return GraphEncoder(engine, f"share {share}", config, classifier=frozen_model().classifier)


def main() -> None:
    """Encode, compare and print the table."""
    given, encoder = arguments("whether views should be normalised as renders are"), default_encoder()
    assert encoder is not None
    assert encoder.classifier is not None
    names, lists = lists_of(given)
    seen = {name: encoded(files, encoder, given.cache, f"lite0-{name}") for name, files in lists.items()}
    sides = {"default": side_of(seen, names, encoder.classifier)}
    found = statistics(lists["others"][:: max(1, len(lists["others"]) // LOOKED_AT)])
    for share in SHARES:
        other = encoder_with(share, found)
        changed = {
            name: encoded(lists[name], other, given.cache, f"lite0-norm{share:g}-{name}")
            for name in ("views", "others")
        }
        sides[f"a share of {share:g}"] = side_of({**seen, **changed}, names, encoder.classifier)
    settings = [Setting(name, partial(both, cosines(side), order=usual)) for name, side in sides.items()]
    judged(settings, seen["photos"].names, names[0])


if __name__ == "__main__":
    main()
