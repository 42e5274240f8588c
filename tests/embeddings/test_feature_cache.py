"""A frozen trunk's features are kept by content and give the same bits as looking again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hifa_cli.config import ModelConfig
from hifa_cli.data import Item, find_images, find_shapes
from hifa_cli.embeddings.extract import Encoder, embed
from hifa_cli.embeddings.feature_cache import FeatureCache, extract_features, gather_features, trunk_digest
from hifa_cli.errors import HifaError
from hifa_cli.models.network import Network, TrunkFeatures
from tests.training.test_trainer import run, same

CPU = torch.device("cpu")


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network(
        ModelConfig(backbone="test_resnet", embedding=8, classes=("a", "b"), size=48, resize=48)
    ).eval()


class Refusing(Network):
    """A network that may not look any more."""

    def trunk_features(self, pixels: torch.Tensor, domain: str = "images") -> TrunkFeatures:
        raise AssertionError("looked again")


def seen(
    network: Network, items: Sequence[Item], cache: FeatureCache | None, *, maps: bool = True
) -> TrunkFeatures:
    looked = extract_features(
        network,
        items,
        maps=maps,
        device=CPU,
        label="look",
        workers=1,
        cache=cache,
    )
    return gather_features(looked, items)[0]


@pytest.mark.parametrize("maps", [True, False])
def test_what_was_kept_is_what_was_seen_and_nothing_is_looked_at_twice(
    maps: bool, network: Network, photos: Path, views: Path, tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "kept", network, CPU)
    for items in (find_images(photos).items, find_shapes(views).items):
        plain = seen(network, items, None, maps=maps)
        first = seen(network, items, cache, maps=maps)
        network.__class__ = Refusing
        again = seen(network, items, cache, maps=maps)
        network.__class__ = Network
        for a, b, c in zip(plain, first, again, strict=True):
            assert torch.equal(a, b)
            assert torch.equal(a, c)
        assert (plain.low.numel() > 0) is maps


def test_an_item_s_features_do_not_depend_on_what_else_is_looked_at(
    network: Network, views: Path, tmp_path: Path
) -> None:
    """Or whoever shares a cache would depend, in its last bits, on who looked first."""
    items = find_shapes(views).items
    together, turned = seen(network, items, None), seen(network, items[::-1], None)
    for row, item in enumerate(items):
        alone = seen(network, [item], None)
        for a, b, c in zip(together, turned, alone, strict=True):
            assert torch.equal(a[row], c[0])
            assert torch.equal(b[len(items) - 1 - row], c[0])


def test_a_picture_that_moved_is_known_and_one_that_changed_is_not(
    network: Network, photos: Path, tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "kept", network, CPU)
    items = find_images(photos).items
    seen(network, items, cache)
    keys = [cache.key(item) for item in items]
    (photos / "bars").rename(photos / "zebra")
    moved = find_images(photos).items
    assert sorted(map(str, keys)) == sorted(str(cache.key(item)) for item in moved)
    moved[0].views[0].write_bytes(moved[1].views[0].read_bytes())
    assert cache.key(moved[0]) == cache.key(moved[1])


def test_damaged_files_are_looked_at_again(network: Network, photos: Path, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "kept", network, CPU)
    items = find_images(photos).items
    plain = seen(network, items, cache)
    for path in cache.folder.rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:40])
    assert all(torch.equal(a, b) for a, b in zip(plain, seen(network, items, cache), strict=True))
    assert cache.read(cache.key(items[0]), maps=True) is not None


def test_another_trunk_or_another_size_has_a_folder_of_its_own(network: Network) -> None:
    torch.manual_seed(1)
    config = network.config
    others = [
        Network(config),
        Network(replace(config, size=64, resize=64)),
        Network(replace(config, fit="pad")),
    ]
    digests = {trunk_digest(each, CPU) for each in [network, *others]}
    assert len(digests) == 4
    with torch.no_grad():
        network.classifier.weight.zero_()  # a head is no part of the trunk
    assert trunk_digest(network, CPU) in digests


def test_training_and_exporting_with_kept_features_give_the_same_bits(
    photos: Path, views: Path, tmp_path: Path, network: Network
) -> None:
    plain = run(photos, views, tmp_path / "plain")
    for name in ("first", "second"):
        assert same(plain, run(photos, views, tmp_path / name, features=tmp_path / "kept"))
    encoder = Encoder(network, "test", CPU)
    items = find_shapes(views).items
    cache = FeatureCache(tmp_path / "kept", network, CPU)
    embedded = [embed(encoder, items, label="", cache=c).vectors.tobytes() for c in (None, cache, cache)]
    assert embedded[0] == embedded[1] == embedded[2]


def test_an_unreadable_photo_is_left_out_and_no_photo_at_all_is_an_error(
    network: Network, photos: Path, tmp_path: Path
) -> None:
    items = find_images(photos).items
    items[1].views[0].write_bytes(b"no picture")
    cache = FeatureCache(tmp_path / "kept", network, CPU)
    for _ in range(2):
        looked = extract_features(network, items, maps=False, device=CPU, label="", workers=1, cache=cache)
        features, rows = gather_features(looked, items)
        assert rows == [0, *range(2, len(items))]
        assert features.high.shape[0] == len(items) - 1
    with pytest.raises(HifaError, match="none of the pictures"):
        gather_features(iter(()), items)
