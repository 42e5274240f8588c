"""The rivals add what their papers add, and survive batches that have nothing to give."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hifa_cli import losses
from hifa_cli.config import ModelConfig, TrainConfig
from hifa_cli.data.loader import Batch
from hifa_cli.methods.base import Hifa, Objective
from hifa_cli.methods.registry import METHODS, build_objective
from hifa_cli.methods.rivals import Afn, Coral, Dann, Discriminator, Dlea, Jan, Mstn, Safn
from hifa_cli.models.network import Features, Network, TrunkFeatures
from hifa_cli.training.checkpoint import load_checkpoint, save_checkpoint
from hifa_cli.training.optim import TrainStep
from tests import reference_losses as reference

RIVALS = ("dann", "jan", "dlea", "mstn", "afn", "safn", "coral")
CONFIG = TrainConfig(
    dropout=0.0, adversarial_width=16, adversarial_dropout=0.0, steps=60, images=12, shapes=8, warmup=0
)
MODEL = ModelConfig(backbone="test_resnet", classes=("a", "b", "c"), embedding=8, size=32)
WIDTH = 96  # of what that trunk gives the bottleneck


def numbers(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(classes: int = 3, embedding: int = 8) -> Network:
    torch.manual_seed(0)
    names = tuple("abcdefgh"[:classes])
    return Network(replace(MODEL, classes=names, embedding=embedding)).double()


def looked_at(vectors: torch.Tensor) -> TrunkFeatures:
    """What a frozen trunk might have made of pictures: (B, V, F) vectors and unused maps."""
    return TrunkFeatures(torch.zeros(*vectors.shape[:2], 1, 1, 1, dtype=vectors.dtype), vectors)


def batch(images: int = 5, shapes: int = 4, classes: int = 3, seed: int = 1) -> Batch:
    labels = torch.randint(0, classes, (images,), generator=torch.Generator().manual_seed(seed))
    return Batch(
        looked_at(numbers(seed, images, 1, WIDTH)), labels, looked_at(numbers(seed + 1, shapes, 3, WIDTH))
    )


def objective(name: str, net: Network | None = None, config: TrainConfig = CONFIG) -> Any:
    return build_objective(net or network(), replace(config, method=name), 0).double().train()


def described(method: Objective, seen: Batch) -> tuple[Features, Features]:
    return method.network(seen.images), method.network(seen.shapes)


# --- the losses, against plain loops


@pytest.mark.parametrize("seed", range(4))
def test_domain_classification_is_the_sum_of_both_domains_cross_entropies(seed: int) -> None:
    photos, shapes = numbers(seed, 6), numbers(seed + 50, 4)
    ours = losses.domain_classification(photos, shapes)
    assert float(ours) == pytest.approx(reference.domain_cross_entropy(photos.tolist(), shapes.tolist()))


def test_a_discriminator_that_knows_nothing_costs_twice_ln_2() -> None:
    assert float(losses.domain_classification(torch.zeros(3), torch.zeros(5))) == pytest.approx(
        2 * math.log(2)
    )


@pytest.mark.parametrize("scale", [0.0, 0.25, 1.0])
def test_the_gradient_is_turned_round_and_scaled_and_the_value_is_not(scale: float) -> None:
    plain, turned = (numbers(0, 4, 3).requires_grad_() for _ in range(2))
    weights = numbers(1, 4, 3)
    (plain * weights).sum().backward()
    out = losses.reverse_gradient(turned, scale)
    assert torch.equal(out, turned)
    (out * weights).sum().backward()
    assert plain.grad is not None
    assert turned.grad is not None
    assert_close(turned.grad, -scale * plain.grad, rtol=0, atol=0)


@pytest.mark.parametrize("seed", range(4))
def test_coral_is_the_distance_of_the_covariances(seed: int) -> None:
    source, target = numbers(seed, 7, 3) * 2, numbers(seed + 50, 5, 3)
    wanted = reference.coral(source.tolist(), target.tolist())
    assert float(losses.coral(source, target)) == pytest.approx(wanted, rel=1e-12)


def test_coral_by_hand_and_at_rest() -> None:
    # variances 2 and 8 in one dimension: (2 - 8)^2 / 4 = 9
    assert float(losses.coral(torch.tensor([[-1.0], [1.0]]), torch.tensor([[-2.0], [2.0]]))) == 9
    moved = torch.tensor([[5.0, 1.0], [7.0, 2.0], [0.0, 4.0]])
    assert float(losses.coral(moved, moved + 100)) == pytest.approx(0, abs=1e-5)  # means do not count
    assert float(losses.coral(torch.ones(1, 4), torch.randn(3, 4))) == 0  # one item has no covariance


def test_safn_pushes_every_norm_outwards_by_its_step() -> None:
    features = torch.tensor([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]], requires_grad=True)
    loss = losses.stepwise_norm(features, 0.5)
    assert loss.item() == pytest.approx(0.25)
    loss.backward()
    # d/df (‖f‖ - c)² / 3 = 2 (-0.5) f / ‖f‖ / 3
    wanted = -torch.tensor([[0.6, 0.8], [0.0, 1.0], [0.0, 0.0]]) / 3
    assert features.grad is not None
    assert_close(features.grad, wanted)


def items(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return numbers(seed, count, 4) * 3, numbers(seed + 9, count, 3).softmax(dim=1)


def as_pairs(layers: tuple[torch.Tensor, torch.Tensor]) -> list[reference.Item]:
    return list(zip(layers[0].tolist(), layers[1].tolist(), strict=True))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("photos", "shapes"), [(5, 4), (3, 6), (1, 1)])
def test_jmmd_is_the_discrepancy_under_the_product_of_the_kernels(
    seed: int, photos: int, shapes: int
) -> None:
    source, target = items(seed, photos), items(seed + 70, shapes)
    kernels = (losses.Kernel(5, 2.0, None), losses.Kernel(1, 2.0, 1.68))
    wide = reference.bandwidths(torch.cat((source[0], target[0])).tolist(), 5, 2.0)
    ours = losses.joint_discrepancy(source, target, kernels, estimator="full")
    wanted = reference.joint_discrepancy(as_pairs(source), as_pairs(target), wide, 1.68)
    assert float(ours) == pytest.approx(wanted, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_linear_estimator_pairs_each_item_with_its_successor(seed: int) -> None:
    source, target = items(seed, 6), items(seed + 70, 4)
    kernels = (losses.Kernel(3, 2.0, None), losses.Kernel(1, 2.0, 1.68))
    ours = losses.joint_discrepancy(source, target, kernels, estimator="linear")
    fewer = source[0][:4], source[1][:4]
    wide = reference.bandwidths(torch.cat((fewer[0], target[0])).tolist(), 3, 2.0)
    wanted = reference.linear_discrepancy(as_pairs(fewer), as_pairs(target), wide, 1.68)
    assert float(ours) == pytest.approx(wanted, rel=1e-10, abs=1e-12)


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_jmmd_is_never_negative_and_nothing_between_a_domain_and_itself(seed: int, a: int, b: int) -> None:
    kernels = (losses.Kernel(5, 2.0, None), losses.Kernel(1, 2.0, 1.68))
    source, target = items(seed, a), items(seed + 7, b)
    assert float(losses.joint_discrepancy(source, target, kernels, estimator="full")) >= -1e-12
    assert float(losses.joint_discrepancy(source, source, kernels, estimator="full")) == pytest.approx(
        0, abs=1e-12
    )


def test_no_gradient_flows_through_the_bandwidth() -> None:
    source, target = items(3, 4), items(4, 5)
    joint = torch.cat((source[0], target[0]))
    mean = reference.bandwidths(joint.tolist(), 1, 2.0)[0]
    grown = []
    for bandwidth in (None, mean):
        leaf = joint.clone().requires_grad_()
        losses.kernel_matrix(leaf, losses.Kernel(5, 2.0, bandwidth)).square().sum().backward()
        grown.append(leaf.grad)
    assert_close(grown[0], grown[1], rtol=1e-10, atol=1e-12)


def test_every_loss_passes_gradcheck() -> None:
    def jmmd(a: torch.Tensor, b: torch.Tensor, estimator: str) -> torch.Tensor:
        layers = (a, a.softmax(dim=1)), (b, b.softmax(dim=1))
        kernels = (losses.Kernel(5, 2.0, 4.0), losses.Kernel(1, 2.0, 1.68))
        return losses.joint_discrepancy(*layers, kernels, estimator=estimator)

    a, b = numbers(1, 4, 3).requires_grad_(), numbers(2, 4, 3).requires_grad_()
    for estimator in ("full", "linear"):
        assert torch.autograd.gradcheck(lambda x, y, how=estimator: jmmd(x, y, how), (a, b))
    assert torch.autograd.gradcheck(losses.coral, (a, b))
    assert torch.autograd.gradcheck(
        lambda x, y: losses.domain_classification(x.sum(dim=1), y.sum(dim=1)), (a, b)
    )


# --- the methods, against their losses


def test_dann_trains_its_discriminator_at_full_weight_and_its_features_against_it() -> None:
    progress, method, seen = 0.2, objective("dann"), batch()
    terms = method(seen, 0, progress)
    terms["adversarial"].backward()
    found = method.network.bottleneck.weight.grad.clone()
    of_critic = [p.grad.clone() for p in method.critic_parameters()]
    method.zero_grad()
    source, target = described(method, seen)
    judge = method.discriminator
    nobody = torch.Generator()
    loss = losses.domain_classification(judge(source.pooled, nobody), judge(target.pooled, nobody))
    assert terms["adversarial"].item() == pytest.approx(loss.item(), rel=1e-12)
    loss.backward()
    gamma = reference.gamma(progress)
    assert_close(found, -gamma * method.network.bottleneck.weight.grad, rtol=1e-10, atol=1e-14)
    for mine, theirs in zip(of_critic, method.critic_parameters(), strict=True):
        assert_close(mine, theirs.grad, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "adversarial", "semantic"),
    [
        ("mstn", CONFIG.mstn_adversarial, CONFIG.mstn_semantic),
        ("dlea", CONFIG.adversarial, CONFIG.dlea_semantic),
    ],
)
def test_centroid_methods_weigh_their_terms_as_their_sources(
    name: str, adversarial: float, semantic: float
) -> None:
    progress, method, seen = 0.4, objective(name), batch()
    terms = method(seen, 0, progress)
    source, target = described(method, seen)
    distance = reference.equation_6(
        source.pooled.tolist(), seen.labels.tolist(), target.pooled.tolist(),
        target.logits.argmax(dim=1).tolist(), 3,
    ) / (3 * 8)  # fmt: skip
    assert terms["semantic"].item() == pytest.approx(semantic * reference.gamma(progress) * distance)
    judge, nobody = method.discriminator, torch.Generator()
    photos, shapes = judge(source.pooled, nobody), judge(target.pooled, nobody)
    wanted = adversarial * reference.domain_cross_entropy(photos.tolist(), shapes.tolist())
    assert terms["adversarial"].item() == pytest.approx(wanted)


def test_mstns_centroids_move_and_absent_classes_keep_theirs() -> None:
    method, first = objective("mstn"), batch(seed=1)
    first = first._replace(labels=torch.tensor([0, 0, 1, 1, 0]))
    method(first, 0, 0.5)
    before = method.source_centroids.centroids.clone()
    second = batch(seed=5)._replace(labels=torch.tensor([0, 0, 0, 2, 2]))
    method(second, 1, 0.5)
    source = method.network(second.images).pooled.detach()
    keep = CONFIG.centroid_keep
    wanted = torch.stack(
        [keep * before[0] + (1 - keep) * source[:3].mean(dim=0), before[1], source[3:].mean(dim=0)]
    )
    assert_close(method.source_centroids.centroids, wanted)
    method.eval()(first, 2, 0.5)
    assert_close(method.source_centroids.centroids, wanted)  # looking is not training


@pytest.mark.parametrize("estimator", ["full", "linear"])
def test_jan_compares_embeddings_and_class_probabilities(estimator: Any) -> None:
    config = replace(CONFIG, jan=0.7, jan_estimator=estimator)
    method, seen = objective("jan", config=config), batch(images=4, shapes=4)
    found = method(seen, 0, 0.5)["discrepancy"].item()
    source, target = described(method, seen)
    wide = reference.bandwidths(torch.cat((source.pooled, target.pooled)).tolist(), 5, 2.0)
    photos, shapes = (as_pairs((part.pooled, part.logits.softmax(dim=1))) for part in (source, target))
    how = reference.joint_discrepancy if estimator == "full" else reference.linear_discrepancy
    assert found == pytest.approx(0.7 * how(photos, shapes, wide, 1.68), rel=1e-9, abs=1e-12)


def test_afn_is_hifas_equation_4_with_its_own_weight() -> None:
    config, seen = replace(CONFIG, weight_global=CONFIG.afn), batch()
    theirs = Hifa(network(), config, 0, mutual=False, local=False).double().train()(seen, 0, 0.5)["global"]
    assert torch.equal(objective("afn")(seen, 0, 0.5)["norm"], theirs)


def test_safn_and_coral_weigh_their_losses() -> None:
    seen, config = batch(), replace(CONFIG, afn_step=2.0, coral=3.0)
    safn = objective("safn", config=config)(seen, 0, 0.5)["norm"].item()
    assert safn == pytest.approx(CONFIG.afn * (4.0 + 4.0))
    for layer in ("logits", "embedding"):
        method = objective("coral", config=replace(config, coral_layer=layer))
        pairs = [
            (part.logits if layer == "logits" else part.pooled).tolist() for part in described(method, seen)
        ]
        found = method(seen, 0, 0.5)["covariance"].item()
        assert found == pytest.approx(3.0 * reference.coral(*pairs))


def test_the_stand_in_says_that_it_is_none() -> None:
    assert "not DLEA" in METHODS["dlea"].about
    assert "not DLEA" in str(Dlea.__doc__)


# --- batches that have nothing to give


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize(("images", "shapes", "classes"), [(1, 1, 3), (5, 1, 3), (1, 4, 3), (5, 4, 1)])
def test_no_batch_gives_a_loss_or_a_gradient_that_is_no_number(
    name: str, images: int, shapes: int, classes: int
) -> None:
    method = objective(name, network(classes))
    terms = method(batch(images, shapes, classes), 0, 0.5)
    torch.stack(list(terms.values())).sum().backward()
    assert all(bool(torch.isfinite(term)) for term in terms.values())
    gradients = [p.grad for p in method.parameters() if p.grad is not None]
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


@pytest.mark.parametrize("name", RIVALS)
def test_vectors_of_nothing_give_numbers(name: str) -> None:
    method, seen = objective(name), batch()
    torch.nn.init.zeros_(method.network.bottleneck.weight)
    torch.nn.init.zeros_(method.network.bottleneck.bias)
    terms = method(seen, 0, 0.5)
    torch.stack(list(terms.values())).sum().backward()
    assert all(bool(torch.isfinite(term)) for term in terms.values())
    gradients = [p.grad for p in method.parameters() if p.grad is not None]
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


@pytest.mark.parametrize("name", RIVALS)
def test_losses_are_float32_whatever_the_network_runs_in(name: str) -> None:
    method = build_objective(network().float(), replace(CONFIG, method=name), 0).train()
    seen = batch()
    pair = [TrunkFeatures(*(part.float() for part in side)) for side in (seen.images, seen.shapes)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = method(Batch(pair[0], seen.labels, pair[1]), 0, 0.5)
    assert {term.dtype for term in terms.values()} == {torch.float32}
    torch.stack(list(terms.values())).sum().backward()


@pytest.mark.parametrize("name", RIVALS)
def test_a_step_runs_where_no_tensor_has_a_value(name: str) -> None:
    method = build_objective(network().float(), replace(CONFIG, method=name, adversarial_dropout=0.5), 0)
    seen = batch()
    images, shapes = (TrunkFeatures(*(part.float() for part in side)) for side in (seen.images, seen.shapes))
    method = method.train().to("meta")
    terms = method(Batch(images, seen.labels, shapes).to(torch.device("meta")), 0, 0.5)
    torch.stack(list(terms.values())).sum().backward()


# --- what is drawn


def test_building_a_discriminator_draws_nothing_from_the_global_stream() -> None:
    net = network()
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (
        Dann(net, CONFIG, seed).discriminator.layers[0].get_parameter("weight") for seed in (0, 0, 1)
    )
    assert torch.equal(torch.rand(3), wanted)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_dropout_is_a_function_of_the_generator_and_keeps_the_mean() -> None:
    judge = Discriminator(4, 4_000, 0.5).train()
    torch.nn.init.ones_(judge.layers[0].get_parameter("weight"))
    features = torch.ones(1, 4)
    first, again = (judge(features, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, judge(features, torch.Generator().manual_seed(4)))
    assert torch.equal(judge.eval()(features, torch.Generator()), judge(features, torch.Generator()))
    torch.nn.init.constant_(judge.layers[1].get_parameter("weight"), 1 / 4_000)
    torch.nn.init.constant_(judge.layers[2].get_parameter("weight"), 1 / 4_000)
    torch.nn.init.zeros_(judge.layers[1].get_parameter("bias"))
    dropped = judge.train()(features, torch.Generator().manual_seed(0)).item()
    assert dropped == pytest.approx(judge.eval()(features, torch.Generator()).item(), rel=0.1)


# --- training


def two_domains(seed: int, photos_: int = 12, shapes_: int = 8) -> Batch:
    """Three classes; the shapes lie elsewhere and are half as large."""
    generator = torch.Generator().manual_seed(seed)
    centres = numbers(0, 3, WIDTH) * 2
    labels = torch.randint(0, 3, (photos_,), generator=generator)
    hidden = torch.randint(0, 3, (shapes_,), generator=generator)
    noise = (
        torch.randn(photos_, WIDTH, generator=generator),
        torch.randn(shapes_, 3, WIDTH, generator=generator),
    )
    shift = numbers(1, WIDTH) * 0.5
    photos = (centres[labels] + noise[0]).unsqueeze(1)
    shapes = (centres[hidden] / 2 + shift).unsqueeze(1) + noise[1] / 2
    return Batch(looked_at(photos.float()), labels, looked_at(shapes.float()))


@pytest.mark.parametrize("name", RIVALS)
def test_every_rival_trains_on_two_domains(name: str) -> None:
    config = replace(CONFIG, method=name, freeze="trunk", adversarial_dropout=0.5)
    method = build_objective(network().float(), config, 0).train()
    train_step = TrainStep(method, config, torch.device("cpu"))
    history = [train_step(two_domains(step), step) for step in range(config.steps)]
    assert all(bool(torch.isfinite(term)) for terms in history for term in terms.values())
    first, last = history[0]["classification"].item(), history[-1]["classification"].item()
    assert last < 0.4 * first
    assert all(bool(torch.isfinite(p).all()) for p in method.parameters())


@pytest.mark.parametrize("name", ["dann", "mstn", "jan"])
def test_a_run_that_goes_on_from_its_checkpoint_is_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    config = replace(CONFIG, method=name, freeze="trunk", adversarial_dropout=0.5)

    def begun() -> TrainStep:
        return TrainStep(build_objective(network().float(), config, 0).train(), config, torch.device("cpu"))

    whole, first, second = begun(), begun(), begun()
    for step in range(6):
        whole(two_domains(step), step)
    for step in range(3):
        first(two_domains(step), step)
    save_checkpoint(tmp_path, first.objective, first.optimiser, 3)
    for step in range(load_checkpoint(tmp_path, second.objective, second.optimiser), 6):
        second(two_domains(step), step)
    for key, value in whole.objective.state_dict().items():
        assert torch.equal(second.objective.state_dict()[key], value), key


@pytest.mark.parametrize(
    ("name", "term", "share"), [("jan", "discrepancy", 0.85), ("coral", "covariance", 0.5)]
)
def test_the_distance_that_is_penalised_becomes_smaller_than_without_the_penalty(
    name: str, term: str, share: float
) -> None:
    measured = []
    for weight in (0.0, 1.0):
        config = replace(CONFIG, method=name, freeze="trunk", jan=weight, coral=weight)
        method = build_objective(network().float(), config, 0).train()
        train_step = TrainStep(method, config, torch.device("cpu"))
        for step in range(config.steps):
            train_step(two_domains(step, 42, 24), step)
        ruler = build_objective(method.network, replace(config, jan=1.0, coral=1.0), 0)
        measured.append(ruler(two_domains(999, 200, 200), 0, 1.0)[term].item())
    assert measured[1] < share * measured[0]


def test_classes_of_the_table_are_the_rivals() -> None:
    kinds = {"dann": Dann, "jan": Jan, "dlea": Dlea, "mstn": Mstn, "afn": Afn, "safn": Safn, "coral": Coral}
    for name, kind in kinds.items():
        assert type(objective(name)) is kind
        assert objective(name).sees_shapes
        assert not objective(name).reads_maps
