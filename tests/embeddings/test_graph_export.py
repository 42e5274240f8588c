"""Exports, galleries of a run and the frozen trunk of training go by a graph, and say what torch says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hifa_cli.config import ModelConfig
from hifa_cli.data import find_images, find_shapes
from hifa_cli.embeddings.encoder import graph_encoder
from hifa_cli.embeddings.extract import Encoder, export, frozen_encoder, load_encoder
from hifa_cli.embeddings.feature_cache import extract_features, gather_features, trunk_digest
from hifa_cli.embeddings.graph_export import export_by_graph, exporting_encoder
from hifa_cli.embeddings.io import read_export
from hifa_cli.embeddings.onnx_export import export_onnx
from hifa_cli.embeddings.trunk_engine import runs_by, trunk_engine
from hifa_cli.gallery import read_gallery
from hifa_cli.models.network import Network, save_network
from hifa_cli.models.weights import build_network
from hifa_cli.runtime.seeding import torch_stream
from tests.conftest import write_photos, write_views
from tests.gallery.test_backbone import run_without_torch

CPU = torch.device("cpu")
PLAIN = ModelConfig(backbone="test_resnet", embedding=8, classes=("a", "b"), size=48, resize=48)
KINDS = {
    "plain": PLAIN,
    "mean": ModelConfig(**{**vars(PLAIN), "pooling": "mean"}),
    "centred": ModelConfig(**{**vars(PLAIN), "centred": True}),
    "fused": ModelConfig(
        **{**vars(PLAIN), "centred": True, "descriptor": "fused", "bank": 8, "pooling": "mean"}
    ),
    "adabn": ModelConfig(**{**vars(PLAIN), "norm": "adabn"}),
    "transnorm": ModelConfig(**{**vars(PLAIN), "norm": "transnorm", "norm_last": 1}),
}


def cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    a, b = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    found: NDArray[np.float64] = (a * b).sum(axis=-1) / np.where(lengths > 0, lengths, 1)
    return np.where(lengths > 0, found, 1)


def saved(folder: Path, config: ModelConfig) -> Path:
    """A run of random weights, its centres and gate set to something."""
    generator = torch.manual_seed(0)
    network = Network(config).eval()
    for name, buffer in network.named_buffers():
        if name in ("centres", "bank"):
            buffer.copy_(torch.randn(buffer.shape, generator=generator))
        if name.endswith(("shapes_mean", "shapes_var")):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.1)
    save_network(network, folder, method="hifa", hifa_version="0")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_photos(root / "photos", each=2)
    write_views(root / "views", each=2, views=3)
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_by_graph_is_torchs(kind: str, data: Path, tmp_path: Path) -> None:
    run = saved(tmp_path / "run", KINDS[kind])
    assert export_onnx(run)
    encoder = exporting_encoder(run)
    assert encoder is not None
    parts = find_images(data / "photos"), find_shapes(data / "views")
    mine = export_by_graph(encoder, *parts, about={})
    other = export(load_encoder(run, CPU), *parts, about={})
    assert (mine.model, mine.method, mine.classes, mine.config) == (
        other.model, other.method, other.classes, other.config,
    )  # fmt: skip
    for one, two in ((mine.images, other.images), (mine.shapes, other.shapes)):
        assert one is not None
        assert two is not None
        assert one.ids == two.ids
        assert np.array_equal(one.labels, two.labels)
        assert cosines(one.vectors, two.vectors) == pytest.approx(1, abs=1e-5)
        assert np.allclose(one.vectors, two.vectors, atol=1e-4 * np.abs(two.vectors).max())


def test_an_unreadable_picture_is_left_out_and_named(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    photos = write_photos(tmp_path / "photos", each=1)
    next(photos.rglob("*.png")).write_bytes(b"broken")
    done = run_without_torch("export", "--images", photos, "--out", tmp_path / "e.h5", "--quiet")
    assert "left out" in done.stderr
    made = read_export(tmp_path / "e.h5").images
    assert made is not None
    assert len(made.ids) == len(list(photos.rglob("*.png"))) - 1


def test_neither_export_nor_index_of_a_run_loads_torch(data: Path, tmp_path: Path) -> None:
    run = saved(tmp_path / "run", KINDS["fused"])
    assert export_onnx(run)
    run_without_torch(
        "export", "--model", run, "--images", data / "photos", "--shapes", data / "views", "--quiet",
        "--out", tmp_path / "e.h5",
    )  # fmt: skip
    words = ("--model", run, "--ranking", "paper", "--quiet")
    run_without_torch("index", data / "views", "--out", tmp_path / "g", *words)
    gallery, made = read_gallery(tmp_path / "g"), read_export(tmp_path / "e.h5").shapes
    assert made is not None
    assert list(gallery.ids) == list(made.ids)
    assert cosines(np.asarray(gallery.vectors), np.maximum(made.vectors, 0)) == pytest.approx(1, abs=1e-6)
    run_without_torch("query", data / "photos" / "bars" / "0.png", "-g", tmp_path / "g", "--json")


def test_a_graph_of_shapes_that_was_changed_is_not_believed(tmp_path: Path) -> None:
    run = saved(tmp_path / "run", KINDS["centred"])
    assert export_onnx(run)
    (run / "shapes.onnx").write_bytes(b"another")
    encoder = graph_encoder(run)
    assert encoder is not None
    with pytest.raises(Exception, match="shapes need torch"):
        encoder.shapes([np.zeros((2, 3, 48, 48), dtype=np.uint8)])


@pytest.mark.parametrize(("inputs", "maps"), [("pooled", True), ("blocks", False)])
def test_a_frozen_trunk_looks_by_a_graph_as_by_torch(
    inputs: str, maps: bool, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ModelConfig(embedding=8, inputs=inputs, classes=("a",))  # type: ignore[arg-type]
    network = build_network(config, "imagenet", torch_stream(0, "initialise", "head")).eval()
    assert trunk_engine(network, CPU, trunk_digest(network, CPU)) is not None
    items = find_shapes(data / "views").items[:3] + find_images(data / "photos").items[:2]

    def seen() -> list[NDArray[np.float32]]:
        found = [
            one for _, one in extract_features(network, items, maps=maps, device=CPU, label="", workers=1)
        ]
        return [part.flatten(2).numpy()[0] for one in found for part in one if part.numel()]

    by_graph, again = seen(), seen()
    marks = [runs_by(network, CPU), trunk_digest(network, CPU)]
    monkeypatch.setenv("HIFA_ENGINE", "torch")
    marks += [runs_by(network, CPU), trunk_digest(network, CPU)]
    by_torch = seen()
    assert marks[0]
    assert marks[2] == ""
    assert marks[1] != marks[3]  # features of the two are not mixed
    assert len(by_graph) == len(by_torch) == 5 * (1 + maps)
    for one, same, other in zip(by_graph, again, by_torch, strict=True):
        assert np.array_equal(one, same)
        assert cosines(one, other) == pytest.approx(1, abs=1e-5)


def test_what_a_graph_sees_does_not_depend_on_what_else_is_looked_at(data: Path) -> None:
    network = frozen_encoder(CPU).network
    items = find_shapes(data / "views").items
    whole, _ = gather_features(
        extract_features(network, items, maps=True, device=CPU, label="", workers=1), items
    )
    for row in (0, len(items) - 1):
        alone, _ = gather_features(
            extract_features(network, [items[row]], maps=True, device=CPU, label="", workers=1), [items[row]]
        )
        assert torch.equal(whole.high[row], alone.high[0])
        assert torch.equal(whole.low[row], alone.low[0])


def test_a_trunk_that_is_trained_is_looked_at_by_torch(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a graph looked")

    monkeypatch.setattr("hifa_cli.embeddings.feature_cache.trunk_engine", never)
    encoder: Encoder = frozen_encoder(CPU)
    items = find_images(data / "photos").items[:1]
    found = list(
        extract_features(encoder.network, items, maps=False, device=CPU, label="", workers=1, frozen=False)
    )
    assert len(found) == 1
