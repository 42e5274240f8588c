"""MCC, SHOT, MA's transport and the view attention: their equations, phases, and what they must not touch."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from hifa_cli import losses
from hifa_cli.config import TrainConfig
from hifa_cli.data.loader import Batch
from hifa_cli.methods.registry import build_objective
from hifa_cli.models.network import Network
from hifa_cli.pipelines.compare.plan import row_config
from hifa_cli.pipelines.compare.rows import parse_arms
from hifa_cli.settings import run_settings
from hifa_cli.training.optim import TrainStep
from tests import reference_losses as reference
from tests.methods.test_rivals import CONFIG, MODEL, batch, looked_at, network, numbers

SHAPES = 10


def objective(name: str, net: Network | None = None, config: TrainConfig = CONFIG) -> Any:
    method = build_objective(net or network(), replace(config, method=name), 0)
    method.expect(SHAPES)
    return method.double().train()


def rows(seen: Batch, *which: int) -> Batch:
    return seen._replace(shape_rows=torch.tensor(which))


@pytest.mark.parametrize("seed", range(4))
def test_losses_agree_with_plain_loops(seed: int) -> None:
    logits, features, prototypes = numbers(seed, 6, 4) * 3, numbers(seed + 9, 6, 5), numbers(seed + 20, 4, 5)
    rowed = logits.tolist()
    labels = [0, 3, 1, 1, 2, 0]
    pairs = [
        (losses.smoothed_classification(logits, torch.tensor(labels), 0.1),
         reference.smoothed_cross_entropy(rowed, labels, 0.1)),
        (losses.information_maximisation(logits), reference.information(rowed)),
        (losses.class_confusion(logits, 2.5), reference.confusion(rowed, 2.5)),
        (losses.prototype_transport(prototypes, features, 0.7),
         reference.transport(prototypes.tolist(), features.tolist(), 0.7)),
        (losses.nearest_prototype(prototypes, features),
         reference.nearest(prototypes.tolist(), features.tolist())),
    ]  # fmt: skip
    for ours, wanted in pairs:
        assert float(ours) == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("seed", range(8))
def test_centroid_labels_agree_with_plain_loops(seed: int) -> None:
    features, beliefs = numbers(seed, 12, 3), (numbers(seed + 40, 12, 4) * 2).softmax(dim=1)
    beliefs[:, 3] *= 0.01  # no item is likeliest of it
    found = losses.centroid_labels(features, beliefs)
    assert found.tolist() == reference.shot_labels(features.tolist(), beliefs.tolist())
    assert 3 not in found.tolist()


def test_every_loss_passes_gradcheck() -> None:
    logits, features = numbers(1, 5, 3).requires_grad_(), numbers(2, 5, 4).requires_grad_()
    prototypes, labels = numbers(3, 3, 4), torch.tensor([0, 2, 1, 1, 0])
    check = torch.autograd.gradcheck
    assert check(lambda x: losses.smoothed_classification(x, labels, 0.1), (logits,))
    assert check(losses.information_maximisation, (logits,))
    assert check(lambda x: losses.prototype_transport(prototypes, x, 0.7), (features,))
    assert check(lambda x: losses.nearest_prototype(prototypes, x), (features,))


def test_mccs_weights_carry_no_gradient() -> None:
    """Its gradient is that of the same table with the weights held fixed."""
    logits = numbers(5, 6, 3).requires_grad_()
    losses.class_confusion(logits, 2.0).backward()
    found = logits.grad
    again = logits.detach().clone().requires_grad_()
    given = (again / 2.0).softmax(dim=1)
    weights = 1 + torch.exp(-torch.special.entr(given.detach()).sum(dim=1))
    weights = 6 * weights / weights.sum()
    table = (given * weights[:, None]).T @ given
    table = table / table.sum(dim=1, keepdim=True)
    ((table.sum() - table.trace()) / 3).backward()
    assert_close(found, again.grad)


def test_confusion_and_information_at_their_ends() -> None:
    sure = 50 * torch.eye(3, dtype=torch.float64)
    assert float(losses.class_confusion(sure, 1.0)) == pytest.approx(0, abs=1e-12)
    assert float(losses.information_maximisation(sure)) == pytest.approx(-torch.tensor(3.0).log().item())
    assert float(losses.class_confusion(torch.zeros(4, 3), 1.0)) == pytest.approx(2 / 3)
    assert float(losses.information_maximisation(torch.zeros(4, 3))) == pytest.approx(0, abs=1e-6)


def test_mcc_adds_its_term_at_its_weight() -> None:
    method, seen = objective("mcc"), batch()
    terms = method(seen, 0, 0.3)
    logits = method.network(seen.shapes).logits
    assert set(terms) == {"classification", "confusion"}
    assert terms["confusion"].item() == pytest.approx(reference.confusion(logits.tolist(), 2.5))


@pytest.mark.parametrize("name", ["shot", "ma"])
def test_shapes_teach_nothing_before_their_phase_and_then_leave_the_classifier_alone(name: str) -> None:
    method, seen = objective(name), rows(batch(), 0, 1, 2, 3)
    assert set(method(seen, 0, 0.49)) == {"classification"}
    terms = method(seen, 0, 0.5)
    method.zero_grad()
    sum(term for key, term in terms.items() if key != "classification").backward()
    assert method.network.classifier.weight.grad is None
    assert method.network.classifier.bias.grad is None
    assert method.network.bottleneck.weight.grad.abs().sum() > 0


def test_shots_terms_are_its_papers() -> None:
    method, seen = objective("shot"), rows(batch(), 3, 1, 0, 2)
    method(seen, 0, 0.0)
    terms = method(seen, 1, 0.8)
    target = method.network(seen.shapes)
    beliefs = [reference.probabilities(row) for row in target.logits.tolist()]
    labels = reference.shot_labels(target.pooled.tolist(), beliefs)
    assert terms["information"].item() == pytest.approx(reference.information(target.logits.tolist()))
    assert terms["self_labels"].item() == pytest.approx(
        0.3 * reference.equation_5(target.logits.tolist(), labels)
    )
    source = method.network(seen.images)
    assert terms["classification"].item() == pytest.approx(
        reference.smoothed_cross_entropy(source.logits.tolist(), seen.labels.tolist(), 0.1)
    )


def test_labels_come_from_all_shapes_that_were_seen() -> None:
    method, first, second = (
        objective("shot"),
        rows(batch(seed=1), 0, 1, 2, 3),
        rows(batch(seed=7), 4, 5, 6, 7),
    )
    method(first, 0, 0.0)
    method(second, 1, 0.9)
    assert method.known.tolist() == [True] * 8 + [False] * 2
    wanted = reference.shot_labels(method.memory[:8].tolist(), method.beliefs[:8].tolist())
    logits = method.judged(method.network(second.shapes))
    pooled = method.network(second.shapes).pooled
    assert method.self_labels(pooled, logits, second.shape_rows).tolist() == wanted[4:]


def test_ma_keeps_the_labels_from_before_the_shapes_moved() -> None:
    method, seen = objective("ma"), rows(batch(), 0, 1, 2, 3)
    method(seen, 0, 0.0)
    before = method.first.clone()
    with torch.no_grad():
        method.network.classifier.bias += torch.tensor([0.0, 9.0, 0.0])
    terms = method(seen, 1, 0.9)
    assert torch.equal(method.first, before)
    target = method.network(seen.shapes)
    prototypes = method.network.classifier.weight.tolist()
    assert terms["distillation"].item() == pytest.approx(
        0.01 * reference.equation_5(target.logits.tolist(), before[:4].tolist())
    )
    assert terms["transport"].item() == pytest.approx(
        reference.transport(prototypes, target.pooled.tolist(), 1.0)
    )
    assert terms["nearest"].item() == pytest.approx(
        0.005 * reference.nearest(prototypes, target.pooled.tolist())
    )


@pytest.mark.parametrize("name", ["mcc", "shot", "ma"])
def test_a_run_steps_without_rows_and_stays_finite(name: str) -> None:
    method = objective(name)
    step = TrainStep(method, CONFIG, torch.device("cpu"))
    for number in (0, 30, 59):
        terms = step(batch(seed=number), number)
        assert all(torch.isfinite(term) for term in terms.values())


def attentive() -> Network:
    torch.manual_seed(0)
    return Network(replace(MODEL, pooling="attention")).double()


def test_attention_starts_as_the_mean_and_weighs_views_by_a_softmax() -> None:
    net, seen = attentive(), looked_at(numbers(3, 4, 3, 96))
    assert_close(net(seen).pooled, net(seen).views.mean(dim=1))
    with torch.no_grad():
        net.attention.weight.copy_(numbers(4, 1, 8))
    found = net(seen)
    for views, pooled in zip(found.views.tolist(), found.pooled.tolist(), strict=True):
        scores = [sum(a * x for a, x in zip(net.attention.weight[0].tolist(), v, strict=True)) for v in views]
        weights = reference.probabilities(scores)
        wanted = [sum(w * v[d] for w, v in zip(weights, views, strict=True)) for d in range(8)]
        assert pooled == pytest.approx(wanted, rel=1e-6)


def test_a_photo_moves_no_attention_and_the_domain_loss_does() -> None:
    method = objective("dlea", attentive())
    seen = batch()
    losses.classification(method.network(seen.images).logits, seen.labels).backward()
    grown = method.network.attention.weight.grad
    assert grown is None or float(grown.abs().max()) < 1e-12
    method.zero_grad()
    method(seen, 0, 0.5)["adversarial"].backward()
    assert method.network.attention.weight.grad.abs().sum() > 0
    assert any(one is method.network.attention.weight for one in method.network.head_parameters())


def test_dleas_attention_has_a_name_of_its_own() -> None:
    assert run_settings({"attention": "none"}) == {}
    assert run_settings({"attention": "views", "views": "3"}) == {"pooling": "attention", "views": 3}
    for texts in ({"attention": "much"}, {"attention": "views", "pooling": "max"}):
        with pytest.raises(ValueError, match="attention: give none, or views"):
            run_settings(texts)
    rows = parse_arms("dlea(attention=none),dlea(attention=views),dlea")
    found = [row_config(row, TrainConfig()).pooling for row in rows]
    assert found == ["max", "attention", "max"]
