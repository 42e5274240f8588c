"""Weights come from a file, or from a folder by the names of downloads; what lacks a part is refused."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from hifa_cli.embeddings.extract import frozen_encoder, untrained
from hifa_cli.errors import HifaError
from hifa_cli.models.network import Network
from hifa_cli.models.weights import expected_files, weights_in

CPU = torch.device("cpu")
VIT = "vit_tiny_patch16_384"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vision transformer's checkpoint as its library saves it: another size, with a classifier."""
    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("weights") / "whole.safetensors"
    save_file(timm.create_model(VIT, img_size=64).state_dict(), path)
    return path


def loaded(name: str, weights: Path, size: int = 0) -> Network:
    return frozen_encoder(CPU, untrained(name, size), str(weights)).network


def test_a_checkpoint_of_another_size_is_fitted(checkpoint: Path) -> None:
    """DINOv2's checkpoints are of 518 pixels, and its short names stand for 224."""
    network = loaded(VIT, checkpoint, 32)
    torch.manual_seed(7)
    theirs = timm.create_model(VIT, img_size=64).state_dict()
    mine = network.trunk.net.state_dict()
    assert mine["pos_embed"].shape == (1, 5, 192)
    assert theirs["pos_embed"].shape == (1, 17, 192)
    for name in ("patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "blocks.11.mlp.fc2.weight"):
        torch.testing.assert_close(mine[name], theirs[name], rtol=0, atol=0)


def test_a_checkpoint_that_lacks_a_part_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    """The library would leave the rest random, without a word."""
    from safetensors.torch import load_file

    state = load_file(checkpoint)
    del state["blocks.3.attn.qkv.weight"]
    save_file(state, tmp_path / "part.safetensors")
    with pytest.raises(HifaError, match=r"lack 1 of \d+ tensors .* blocks.3.attn.qkv.weight"):
        loaded(VIT, tmp_path / "part.safetensors", 32)


def test_a_checkpoint_of_another_network_is_one_line(checkpoint: Path) -> None:
    with pytest.raises(HifaError, match=r"do not fit the backbone 'resnet18'|lack") as caught:
        loaded("resnet18", checkpoint)
    assert "\n" not in str(caught.value)


def test_a_folder_is_searched_by_the_names_of_downloads(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(HifaError, match=f"no weights of {VIT} in .*: put one of {VIT}.safetensors"):
        weights_in(tmp_path, VIT)
    for name in expected_files(VIT):
        folder = tmp_path / name.replace("/", "-")
        place = folder / name
        place.parent.mkdir(parents=True)
        place.write_bytes(checkpoint.read_bytes())
        assert weights_in(folder, VIT) == place
    assert loaded(VIT, tmp_path / f"{VIT}.safetensors", 32).trunk.width == 192


@pytest.mark.parametrize(
    ("backbone", "names"),
    [
        ("dinov2-small", ("dinov2-small.safetensors", "vit_small_patch14_dinov2.lvd142m/model.safetensors")),
        ("resnet50", ("resnet50.safetensors", "resnet50.a1_in1k.safetensors")),
        ("torchvision/resnet50", ("resnet50.safetensors", "resnet50-11ad3fa6.pth")),
        ("alexnet", ("alexnet.safetensors", "alexnet-owt-7be5be79.pth")),
    ],
)
def test_the_names_are_those_of_the_libraries(backbone: str, names: tuple[str, ...]) -> None:
    assert set(names) <= set(expected_files(backbone))


def test_without_a_network_one_line_says_what_to_fetch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """At once, and with nothing said by the hub's own client."""
    import socket
    import time

    def fails(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    monkeypatch.setattr("hifa_cli.models.weights.getproxies", dict)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    start = time.perf_counter()
    with pytest.raises(
        HifaError, match=r"cannot download dinov2-small's weights.* --weights FOLDER"
    ) as caught:
        frozen_encoder(CPU, untrained("dinov2-small", 224), "imagenet")
    assert "vit_small_patch14_dinov2.lvd142m.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - start < 30  # it used to try for a minute
    from huggingface_hub import constants

    assert not constants.HF_HUB_OFFLINE  # as before
