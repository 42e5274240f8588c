"""An objective composes the equations of the paper and nothing else."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from hifa_cli.config import ModelConfig, TrainConfig
from hifa_cli.data.loader import Batch
from hifa_cli.methods.base import Hifa, Objective, SourceOnly
from hifa_cli.models.network import Features, Network
from tests import reference_losses as reference

MODEL = ModelConfig(backbone="test_resnet", classes=("a", "b", "c"), embedding=8, dropout=0.0, size=32)
CONFIG = TrainConfig(dropout=0.0, mutual_views=0)


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network(MODEL).double()


def batch(images: int = 5, shapes: int = 4, views: int = 3, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def pixels(items: int, views: int) -> torch.Tensor:
        return torch.randint(0, 256, (items, views, 3, 32, 32), generator=generator, dtype=torch.uint8)

    labels = torch.randint(0, 3, (images,), generator=generator)
    return Batch(pixels(images, 1), labels, pixels(shapes, views))


def with_(objective: type[Objective], network: Network, config: TrainConfig = CONFIG, **options: Any) -> Any:
    return objective(network, config, 0, **options).double().train()


def test_equation_7_is_the_weighted_sum_of_its_terms(network: Network) -> None:
    objective, seen = with_(Hifa, network), batch()
    progress = 0.3
    terms = objective(seen, 0, progress)
    source, target = network(seen.images), network(seen.shapes)
    norms = reference.equation_4(source.pooled.tolist(), 25.0) + reference.equation_4(
        target.pooled.tolist(), 25.0
    )
    centroids = reference.equation_6(
        source.pooled.tolist(),
        seen.labels.tolist(),
        target.pooled.tolist(),
        target.logits.argmax(dim=1).tolist(),
        3,
    )
    expected = {
        "classification": reference.equation_5(source.logits.tolist(), seen.labels.tolist()),
        "global": CONFIG.weight_global * norms,
        "local": CONFIG.weight_local * reference.gamma(progress) * centroids / (3 * 8),
    }
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value), name
    assert set(terms) == {"classification", "global", "local", "mutual_information"}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"mutual": False, "local": False}, {"classification", "global"}),
        ({"mutual": False}, {"classification", "global", "local"}),
        ({}, {"classification", "global", "local", "mutual_information"}),
    ],
)
def test_an_ablation_does_not_build_what_it_leaves_out(
    options: dict[str, Any], names: set[str], network: Network
) -> None:
    objective = with_(Hifa, network, **options)
    assert set(objective(batch(), 0, 0.5)) == names
    assert bool(list(objective.critic_parameters())) is ("mutual_information" in names)
    assert objective.reads_maps is ("mutual_information" in names)


def test_source_only_never_looks_at_a_shape(network: Network) -> None:
    objective, seen = with_(SourceOnly, network), batch()
    without = seen._replace(shapes=torch.zeros(0, 1, 3, 32, 32, dtype=torch.uint8))
    assert (
        objective(seen, 0, 0.5)["classification"].item()
        == objective(without, 0, 0.5)["classification"].item()
    )


def test_a_fake_pair_takes_the_same_view_of_another_item(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[tuple[torch.Tensor, ...]] = []

    def judge(self: Hifa, low: torch.Tensor, *highs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        judged.append((low, *highs))
        return tuple(high.flatten(0, 1).sum(dim=1) for high in highs)

    monkeypatch.setattr(Hifa, "judge", judge)
    objective, seen = with_(Hifa, network), batch()
    target = network(seen.shapes).views.detach()
    for step in range(8):
        judged.clear()
        objective(seen, step, 0.5)
        _, real, fake = judged[1]  # the shapes come second
        assert torch.allclose(real.detach(), target)
        for item in range(4):
            others = [o for o in range(4) if o != item]
            assert any(torch.allclose(fake[item].detach(), target[o]) for o in others)
            assert not torch.allclose(fake[item].detach(), target[item])


def test_a_batch_of_one_item_has_no_fake_pair_and_no_mutual_information(network: Network) -> None:
    terms = with_(Hifa, network)(batch(images=1, shapes=1), 0, 0.5)
    assert terms["mutual_information"].item() == 0
    assert all(bool(torch.isfinite(term)) for term in terms.values())


@pytest.mark.parametrize("chunk", [1, 2, 5, 100])
def test_holding_one_chunk_at_a_time_changes_no_gradient(chunk: int, network: Network) -> None:
    """Equations 4 and 6 stay those of the whole batch, which accumulating gradients would not keep."""
    found = []
    for config in (CONFIG, replace(CONFIG, chunk=chunk)):
        objective = with_(Hifa, network, config)
        objective.zero_grad()
        torch.stack(list(objective(batch(), 0, 0.5).values())).sum().backward()
        found.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-10, atol=1e-12, msg=name)


def test_one_class_and_no_agreement_between_the_domains_are_no_numbers_trouble() -> None:
    torch.manual_seed(0)
    alone = Network(ModelConfig(backbone="test_resnet", classes=("a",), embedding=8, size=32)).double()
    seen = batch()._replace(labels=torch.zeros(5, dtype=torch.int64))
    terms = with_(Hifa, alone)(seen, 0, 1.0)
    assert terms["classification"].item() == 0
    assert all(bool(torch.isfinite(term)) for term in terms.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_losses_are_float32_whatever_the_network_runs_in(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    objective = Hifa(Network(MODEL), CONFIG, 0).train()
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        terms = objective(batch(), 0, 0.5)
    assert {term.dtype for term in terms.values()} == {torch.float32}


def test_centroids_are_float32_sums_whatever_the_network_runs_in() -> None:
    """In bfloat16 the sum over a class of 300 items would lose two of three digits."""
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randn(300, 8, generator=generator) + 10 for _ in range(2))
    objective, logits = Hifa(Network(MODEL), CONFIG, 0).train(), torch.zeros(300, 3)
    zeros = torch.zeros(300, dtype=torch.int64)
    found = []
    for enabled in (False, True):
        photos, shapes = (
            Features(torch.empty(0), part.unsqueeze(1), part, logits) for part in (source, target)
        )
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            found.append(objective.local_term(photos, shapes, Batch(photos.low, zeros, shapes.low)).item())
        objective = Hifa(Network(MODEL), CONFIG, 0).train()
    assert found[0] == found[1]


def test_a_step_runs_where_no_tensor_has_a_value() -> None:
    """On the meta device every tensor left on the CPU, and every look at a value, raises."""
    torch.manual_seed(0)
    objective = Hifa(Network(MODEL), CONFIG, 0).train().to("meta")
    seen = batch().to(torch.device("meta"))
    torch.stack(list(objective(seen, 0, 0.5).values())).sum().backward()
    gradients = [p.grad for p in objective.parameters()]
    assert all(gradient is not None and gradient.is_meta for gradient in gradients)


@pytest.mark.gpu
def test_a_step_on_a_gpu_is_the_step_on_a_cpu(network: Network) -> None:
    if not torch.cuda.is_available():
        pytest.skip("NO CUDA DEVICE: the GPU's arithmetic was not tested")
    objective, seen = with_(Hifa, network), batch()
    here = {name: term.item() for name, term in objective(seen, 0, 0.5).items()}
    objective = with_(Hifa, network).to("cuda")
    there = objective(seen.to(torch.device("cuda")), 0, 0.5)
    for name, value in here.items():
        assert there[name].item() == pytest.approx(value, rel=1e-6)
