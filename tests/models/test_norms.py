"""AdaBN's and TransNorm's layers do as their papers' equations say, against plain loops."""

import math
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from hifa_cli.config import ModelConfig, Norm
from hifa_cli.embeddings.feature_cache import early_digest, trunk_digest
from hifa_cli.errors import HifaError
from hifa_cli.models.network import Network, digest, load_network, save_network
from hifa_cli.models.norms import DomainNorm, Statistics, seen_as, separate, transferability
from hifa_cli.models.weights import build_network
from hifa_cli.runtime.seeding import torch_stream

CPU = torch.device("cpu")
TINY = ModelConfig(backbone="test_resnet", embedding=8, classes=("a", "b", "c"), size=48, resize=48)
EPS = 1e-5
Rows = list[list[float]]


def numbers(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer(kind: Norm, channels: int = 3) -> DomainNorm:
    plain = nn.BatchNorm2d(channels).double()
    with torch.no_grad():
        plain.weight.copy_(numbers(1, channels))
        plain.bias.copy_(numbers(2, channels))
    assert plain.running_mean is not None
    assert plain.running_var is not None
    plain.running_mean.copy_(numbers(3, channels))
    plain.running_var.copy_(numbers(4, channels).exp())
    return DomainNorm(plain, kind)


def channels_of(seen: torch.Tensor) -> Rows:
    """All responses of each channel of (N, C, H, W)."""
    values = seen.tolist()
    return [
        [value for picture in values for row in picture[channel] for value in row]
        for channel in range(seen.shape[1])
    ]


def moments(values: list[float], *, unbiased: bool = False) -> tuple[float, float]:
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / (len(values) - unbiased)


def alphas(source: list[tuple[float, float]], target: list[tuple[float, float]]) -> list[float]:
    """Equations 4 and 5 of Wang et al. 2019."""
    near = []
    for (mean_s, var_s), (mean_t, var_t) in zip(source, target, strict=True):
        distance = abs(mean_s / math.sqrt(var_s + EPS) - mean_t / math.sqrt(var_t + EPS))
        near.append(1 / (1 + distance))
    return [len(near) * one / sum(near) for one in near]


def transnorm(one: DomainNorm, source: torch.Tensor, target: torch.Tensor) -> list[torch.Tensor]:
    """Equations 2 to 6 in loops: each domain by its own batch, then y (1 + α)."""
    rows = [channels_of(part) for part in (source, target)]
    alpha = alphas(*([moments(values, unbiased=True) for values in part] for part in rows))
    weight, bias, made = one.weight.tolist(), one.bias.tolist(), []
    for part, values in zip((source, target), rows, strict=True):
        out = torch.empty_like(part)
        for channel in range(part.shape[1]):
            mean, var = moments(values[channel])
            for picture in range(len(part)):
                for row in range(part.shape[2]):
                    for column in range(part.shape[3]):
                        unit = (float(part[picture, channel, row, column]) - mean) / math.sqrt(var + EPS)
                        scaled = weight[channel] * unit + bias[channel]
                        out[picture, channel, row, column] = scaled * (1 + alpha[channel])
        made.append(out)
    return made


@pytest.mark.parametrize("seed", range(4))
def test_transnorm_agrees_with_its_equations_in_loops(seed: int) -> None:
    one = layer("transnorm").train()
    source, target = numbers(seed, 4, 3, 2, 3), 2 * numbers(seed + 9, 6, 3, 2, 3) + 1
    with seen_as(len(source)):
        found = one(torch.cat((source, target)))
    assert_close(found, torch.cat(transnorm(one, source, target)), rtol=1e-9, atol=1e-9)


def test_alpha_is_large_where_both_domains_are_alike_and_one_on_average() -> None:
    zeros, ones = torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    moved = torch.tensor([0.0, 1.0, 3.0, 9.0], dtype=torch.float64)
    alpha = transferability((zeros, ones), (moved, ones), EPS)
    assert alpha.tolist() == sorted(alpha.tolist(), reverse=True)
    assert float(alpha.mean()) == pytest.approx(1)
    assert float(alpha[0] / alpha[3]) == pytest.approx(1 + 9 / math.sqrt(1 + EPS))


def test_statistics_of_each_domain_move_towards_its_own_batch() -> None:
    one = layer("transnorm").train()
    before = {name: value.clone() for name, value in one.named_buffers()}
    source, target = numbers(5, 4, 3, 2, 2), 3 * numbers(6, 5, 3, 2, 2) - 2
    with seen_as(4):
        one(torch.cat((source, target)))
    for part, mean, var in ((source, "running_mean", "running_var"), (target, "shapes_mean", "shapes_var")):
        found = [moments(values, unbiased=True) for values in channels_of(part)]
        for channel, wanted in enumerate(found):
            for name, value in zip((mean, var), wanted, strict=True):
                moved = 0.9 * float(before[name][channel]) + 0.1 * value
                assert float(getattr(one, name)[channel]) == pytest.approx(moved, rel=1e-9)


@pytest.mark.parametrize("domain", ["images", "shapes"])
@pytest.mark.parametrize("kind", ["adabn", "transnorm"])
def test_stored_statistics_are_those_of_the_domain(kind: Norm, domain: str) -> None:
    one = layer(kind).eval()
    one.shapes_mean.copy_(numbers(7, 3))
    one.shapes_var.copy_(numbers(8, 3).exp())
    seen = numbers(9, 2, 3, 2, 2)
    with seen_as(domain):
        found = one(seen)
    assert one.running_mean is not None
    assert one.running_var is not None
    photos = list(zip(one.running_mean.tolist(), one.running_var.tolist(), strict=True))
    shapes = list(zip(one.shapes_mean.tolist(), one.shapes_var.tolist(), strict=True))
    alpha = alphas(photos, shapes) if kind == "transnorm" else [0.0] * 3
    for channel, (mean, var) in enumerate(photos if domain == "images" else shapes):
        unit = (seen[:, channel] - mean) / math.sqrt(var + EPS)
        wanted = (one.weight[channel] * unit + one.bias[channel]) * (1 + alpha[channel])
        assert_close(found[:, channel], wanted, rtol=1e-9, atol=1e-9)


def test_alpha_gets_no_gradient() -> None:
    """The gradient is that of the same layer with α held fixed."""
    one = layer("transnorm").train()
    source, target = numbers(1, 4, 3, 2, 2), numbers(2, 4, 3, 2, 2) + 1
    pair = torch.cat((source, target)).requires_grad_()
    with seen_as(4):
        (one(pair) * numbers(3, 8, 3, 2, 2)).sum().backward()
    again = torch.cat((source, target)).requires_grad_()
    mine, theirs = ((part.mean(dim=(0, 2, 3)), part.var(dim=(0, 2, 3))) for part in (source, target))
    alpha = transferability(mine, theirs, EPS)
    parts = [
        nn.functional.batch_norm(part, None, None, one.weight, one.bias, True, 0.0, EPS)
        for part in again.split(4)
    ]
    ((torch.cat(parts) * (1 + alpha[:, None, None])) * numbers(3, 8, 3, 2, 2)).sum().backward()
    assert_close(pair.grad, again.grad, rtol=1e-9, atol=1e-12)


def test_statistics_of_several_batches_are_those_of_all_pictures() -> None:
    seen = 1e3 + numbers(1, 11, 3, 2, 4)
    wanted = [moments(values) for values in channels_of(seen)]
    for sizes in ([11], [1, 10], [4, 4, 3]):
        one, statistics = layer("adabn").eval(), Statistics()
        with seen_as(statistics):
            for part in seen.split(sizes):
                one(part)
        statistics.write()
        for channel, (mean, var) in enumerate(wanted):
            assert float(one.shapes_mean[channel]) == pytest.approx(mean, rel=1e-12)
            assert float(one.shapes_var[channel]) == pytest.approx(var, rel=1e-8)


def test_adabn_agrees_with_algorithm_1_layer_after_layer() -> None:
    """Algorithm 1 of Li et al.: responses of a neuron to all target pictures, by their mean and deviation."""
    torch.manual_seed(0)
    trunk: Any = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 2), nn.BatchNorm2d(2)
    ).double()  # fmt: skip
    with torch.no_grad():
        for at in (1, 4):
            trunk[at].weight.uniform_(0.5, 2)
            trunk[at].bias.uniform_(-1, 1)
    target = 2 * numbers(1, 5, 3, 6, 6) + 1
    wanted = target
    for module in trunk:
        if not isinstance(module, nn.BatchNorm2d):
            wanted = module(wanted)
            continue
        made = torch.empty_like(wanted)
        for channel, values in enumerate(channels_of(wanted)):
            mean, var = moments(values)
            unit = (wanted[:, channel] - mean) / math.sqrt(var + EPS)
            made[:, channel] = module.weight[channel] * unit + module.bias[channel]
        wanted = made
    plain = trunk.eval()(target)
    separate(trunk, "adabn", "small")
    statistics = Statistics()
    with seen_as(statistics):
        trunk.eval()(target)
    statistics.write()
    with seen_as("shapes"):
        assert_close(trunk(target), wanted, rtol=1e-9, atol=1e-9)
    assert torch.equal(trunk(target), plain)  # photos as before


def random_statistics(network: Network) -> Network:
    for name, buffer in sorted(network.named_buffers()):
        if name.endswith(("shapes_mean", "shapes_var")):
            noise = torch.rand(buffer.shape, generator=torch.Generator().manual_seed(len(name)))
            buffer.mul_(0.5 + noise).add_(0.1)
    return network


def tiny(norm: Norm, backbone: str = "test_resnet", last: int = 0) -> Network:
    config = replace(TINY, backbone=backbone, norm=norm, norm_last=last)
    return random_statistics(build_network(config, "none", torch_stream(0, "initialise", "head")).eval())


def pixels(batch: int, views: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, views, 3, 48, 48), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet", "torchvision/resnet18"])
def test_adabn_sees_photos_as_a_plain_network_and_shapes_otherwise(backbone: str) -> None:
    adabn, plain = tiny("adabn", backbone), tiny("shared", backbone)
    with torch.inference_mode():
        assert torch.equal(adabn(pixels(2, 1)).pooled, plain(pixels(2, 1)).pooled)
        assert not torch.equal(adabn(pixels(2, 3), "shapes").pooled, plain(pixels(2, 3), "shapes").pooled)


@pytest.mark.parametrize("norm", ["adabn", "transnorm"])
def test_a_stored_network_keeps_the_statistics_of_both(norm: Norm, tmp_path: Path) -> None:
    network = tiny(norm, last=2 if norm == "transnorm" else 0)
    save_network(network, tmp_path, method=norm)
    again = load_network(tmp_path)
    assert digest(again) == digest(network)
    with torch.inference_mode():
        for domain in ("images", "shapes"):
            assert torch.equal(again(pixels(2, 2), domain).pooled, network(pixels(2, 2), domain).pooled)
        assert not torch.equal(again(pixels(2, 2)).pooled, again(pixels(2, 2), "shapes").pooled)


def test_what_passes_is_each_threads_own() -> None:
    network = tiny("adabn")
    wanted = {domain: network(pixels(1, 1), domain).pooled for domain in ("images", "shapes")}
    found: dict[str, torch.Tensor] = {}

    def other() -> None:
        found["images"] = network.trunk(network.normalised(pixels(1, 1)))[1]

    with seen_as("shapes"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert_close(network.bottleneck(found["images"]), wanted["images"][:, :])
    assert not torch.equal(wanted["images"], wanted["shapes"])


def test_transnorm_stands_in_the_blocks_that_are_trained() -> None:
    found = [
        name for name, one in tiny("transnorm", last=1).trunk.named_modules() if isinstance(one, DomainNorm)
    ]
    assert found
    assert all(name.startswith("net.layer4") for name in found)


@pytest.mark.parametrize("backbone", ["alexnet", "test_vit"])
def test_a_backbone_without_batch_normalisation_is_refused(backbone: str) -> None:
    for norm in ("adabn", "transnorm"):
        with pytest.raises(HifaError, match=f"norm={norm} needs batch normalisation, which '{backbone}'"):
            Network(ModelConfig(backbone=backbone, norm=norm, size=160, resize=160))


def test_features_of_photos_are_kept_for_plain_networks_and_of_shapes_apart() -> None:
    adabn, plain, transnorm_net = tiny("adabn"), tiny("shared"), tiny("transnorm")
    assert trunk_digest(adabn, CPU, "images") == trunk_digest(plain, CPU, "images")
    assert trunk_digest(plain, CPU, "shapes") == trunk_digest(plain, CPU, "images")
    found = {trunk_digest(one, CPU, d) for one in (adabn, plain, transnorm_net) for d in ("images", "shapes")}
    assert len(found) == 4


def test_maps_of_the_blocks_that_stay_outlive_statistics_that_learn() -> None:
    network = tiny("transnorm", last=1)
    network.split(1)
    before = early_digest(network, CPU, "shapes")
    random_statistics(network)
    assert early_digest(network, CPU, "shapes") == before
