"""Off-the-shelf encoders: any backbone, untrained, its pictures prepared as its pretraining did."""

import json
from pathlib import Path

import pytest
import timm

from hifa_cli.config import IMAGENET_MEAN, ModelConfig
from hifa_cli.embeddings.extract import untrained
from hifa_cli.embeddings.io import read_export
from tests.cli.test_cli import hifa


def test_the_default_is_the_encoder_that_the_install_brought() -> None:
    assert untrained(ModelConfig.backbone) == ModelConfig(embedding=0)


@pytest.mark.parametrize("name", ["test_vit", "resnet50", "vit_base_patch14_dinov2"])
def test_pictures_are_prepared_as_in_pretraining(name: str) -> None:
    wanted, config = timm.get_pretrained_cfg(name), untrained(name)
    assert wanted is not None
    assert (config.size, config.resize) == (wanted.input_size[-1],) * 2
    assert (config.mean, config.std) == (wanted.mean, wanted.std)
    assert config.embedding == 0


def test_torchvisions_backbones_are_imagenets() -> None:
    for name in ("alexnet", "torchvision/resnet18"):
        assert (untrained(name).size, untrained(name).mean) == (224, IMAGENET_MEAN)


def test_an_export_of_another_backbone_says_which(photos: Path, views: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.h5"
    words = ("--method", "frozen", "--backbone", "test_vit", "--weights", "none", "--json")
    code, stdout, err = hifa("export", "--images", photos, "--shapes", views, "--out", out, *words)
    assert code == 0, err
    assert json.loads(stdout)["dimension"] == 64
    made = read_export(out)
    assert (made.method, made.config["weights"]) == ("frozen", "none")
    assert made.config["model"]["backbone"] == "test_vit"
    assert made.config["model"]["size"] == 160


@pytest.mark.parametrize("more", [("--backbone", "resnet50"), ("--weights", "none"), ("--method", "frozen")])
def test_a_trained_model_has_its_own_backbone(more: tuple[str, str], photos: Path, tmp_path: Path) -> None:
    code, _, err = hifa("export", "--images", photos, "--model", tmp_path, "--out", tmp_path / "e.h5", *more)
    assert code == 2
    assert "--model" in err
