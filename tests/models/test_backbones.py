"""One table says how every backbone is built and fed, and whose weights may be used for what."""

from typing import ClassVar

import pytest
import timm
import torch

from hifa_cli.config import IMAGENET_MEAN, ModelConfig, TrainConfig
from hifa_cli.embeddings.extract import untrained
from hifa_cli.errors import HifaError
from hifa_cli.models import weights
from hifa_cli.models.backbones import ACCEPT, Backbone, backbone_of, licence_note
from hifa_cli.models.network import build_trunk
from hifa_cli.runtime.progress import Reporter, reporting
from hifa_cli.training.setup import model_config


@pytest.mark.parametrize("name", ["vit_tiny_patch16_384", "vit_base_patch16_siglip_224", "mobilenetv2_100"])
def test_training_prepares_pictures_as_the_pretraining_did(name: str) -> None:
    known = timm.get_pretrained_cfg(name)
    assert known is not None
    trained = model_config(TrainConfig(backbone=name), ("a",))
    assert (trained.mean, trained.std) == (known.mean, known.std)
    assert (trained.mean, trained.std) == (untrained(name).mean, untrained(name).std)


def test_a_model_of_one_fixed_size_is_built_for_the_size_that_is_asked_for() -> None:
    trunk = build_trunk("vit_tiny_patch16_384", 64).eval()
    with torch.inference_mode():
        low, high = trunk(torch.zeros(1, 3, 64, 64))
    assert (low.shape, high.shape) == ((1, 192, 4, 4), (1, 192))


def test_torchvisions_transformers_are_built_for_the_size_too() -> None:
    with torch.inference_mode():
        low, _ = build_trunk("torchvision/vit_b_32", 64).eval()(torch.zeros(1, 3, 64, 64))
    assert low.shape[-2:] == (2, 2)


@pytest.mark.parametrize("name", ["resnet18.nope", "nope", "hf-hub:a/b", "vit_tiny_patch16_384.nope"])
def test_a_wrong_name_or_tag_is_one_line(name: str) -> None:
    with pytest.raises(HifaError, match="no backbone") as caught:
        backbone_of(name)
    assert "\n" not in str(caught.value)


def test_an_impossible_size_is_one_line() -> None:
    with pytest.raises(HifaError, match="cannot be built for pictures of 8"):
        build_trunk("vit_tiny_patch16_384", 8)


def test_short_names_stand_for_dinov2_at_224() -> None:
    row = backbone_of("dinov2-small")
    assert (row.size, row.fixed, row.licence, row.mean) == (224, True, "apache-2.0", IMAGENET_MEAN)
    assert untrained("dinov2-small").size == 224
    assert untrained("vit_small_patch14_dinov2", 224).size == 224


def test_non_commercial_weights_are_refused_until_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ACCEPT, raising=False)
    row = replace_licence("cc-by-nc-4.0")
    with pytest.raises(HifaError, match="--accept-licence"):
        licence_note(row)
    monkeypatch.setenv(ACCEPT, "1")
    assert "cc-by-nc-4.0" in licence_note(row)
    assert licence_note(replace_licence("apache-2.0")) == ""
    assert "not stated" in licence_note(replace_licence(""))


def replace_licence(licence: str) -> Backbone:
    return backbone_of("resnet18")._replace(licence=licence)


def test_a_restrictive_licence_is_said_once_wherever_its_weights_are_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``build_network`` is the one way of train, export, compare and index to pretrained weights."""
    monkeypatch.setattr(weights, "backbone_of", lambda name: replace_licence("some-research-licence"))
    monkeypatch.setattr(weights, "_load_timm", lambda *_: None)
    weights._say_once.cache_clear()

    class Heard(Reporter):
        notes: ClassVar[list[str]] = []

        def note(self, message: str) -> None:
            self.notes.append(message)

    with reporting(Heard()):
        for _ in range(2):
            config = ModelConfig(backbone="test_resnet", embedding=4, size=32, resize=32)
            weights.build_network(config, "imagenet", torch.Generator())
    assert len(Heard.notes) == 1
    assert "some-research-licence" in Heard.notes[0]


def test_a_patch_may_be_one_number() -> None:
    """EfficientViT (MSRA) has it so, and was refused for its own size."""
    with torch.inference_mode():
        assert build_trunk("efficientvit_m0", 224).eval()(torch.zeros(1, 3, 224, 224))[1].shape == (1, 192)
