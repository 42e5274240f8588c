"""The losses say what the paper says."""

import doctest
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hifa_cli import losses
from tests import reference_losses as reference

CLASSES, DIMENSION = 4, 3


def random_domain(seed: int, size: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(size, DIMENSION, generator=generator, dtype=torch.float64) * 3
    return features, torch.randint(0, CLASSES, (size,), generator=generator)


def batch_centroids(features: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    sums, counts = losses.class_sums(features, labels, CLASSES)
    nothing = torch.zeros_like(sums), torch.zeros(CLASSES, dtype=torch.bool)
    return losses.moving_centroids(*nothing, sums, counts, keep=0.7)


@pytest.mark.parametrize("seed", range(5))
def test_feature_norm_is_equation_4(seed: int) -> None:
    features, _ = random_domain(seed)
    ours = losses.feature_norm(features, 25.0, squared=True)
    assert_close(float(ours), reference.equation_4(features.tolist(), 25.0), rtol=1e-12, atol=0)


def test_feature_norm_penalises_the_mean_and_not_each_norm() -> None:
    # norms 20 and 30: their mean is 25, so the penalty is nothing, though each is 5 away
    features = torch.tensor([[20.0, 0.0], [0.0, 30.0]])
    assert float(losses.feature_norm(features, 25.0, squared=True)) == 0
    # by hand: norms 5 and 13, mean 9, (9 - 25)^2 = 256 and |9 - 25| = 16
    features = torch.tensor([[3.0, 4.0], [5.0, 12.0]])
    assert_close(float(losses.feature_norm(features, 25.0, squared=True)), 256.0)
    assert_close(float(losses.feature_norm(features, 25.0, squared=False)), 16.0)


def test_feature_norm_has_a_finite_gradient_at_zero() -> None:
    features = torch.zeros(2, DIMENSION, requires_grad=True)
    losses.feature_norm(features, 25.0, squared=True).backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize("seed", range(5))
def test_classification_is_equation_5(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, CLASSES, generator=generator, dtype=torch.float64) * 5
    labels = torch.randint(0, CLASSES, (6,), generator=generator)
    ours = losses.classification(logits, labels)
    assert_close(float(ours), reference.equation_5(logits.tolist(), labels.tolist()), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_centroid_distance_is_equation_6(seed: int) -> None:
    (source, source_labels), (target, target_labels) = random_domain(seed), random_domain(seed + 100, 5)
    (s, seen_s), (t, seen_t) = batch_centroids(source, source_labels), batch_centroids(target, target_labels)
    ours = losses.centroid_distance(s, t, seen_s & seen_t, scale="sum")
    wanted = reference.equation_6(
        source.tolist(), source_labels.tolist(), target.tolist(), target_labels.tolist(), CLASSES
    )
    assert_close(float(ours), wanted, rtol=1e-12, atol=1e-12)
    by_class = losses.centroid_distance(s, t, seen_s & seen_t, scale="classes")
    assert_close(float(by_class), wanted / CLASSES, rtol=1e-12, atol=1e-12)
    by_number = losses.centroid_distance(s, t, seen_s & seen_t, scale="mean")
    assert_close(float(by_number), wanted / (CLASSES * DIMENSION), rtol=1e-12, atol=1e-12)


def test_absent_classes_keep_their_centroid_and_first_sightings_take_the_mean() -> None:
    old = torch.tensor([[1.0, 1.0], [5.0, 5.0], [0.0, 0.0]])
    seen = torch.tensor([True, True, False])
    features = torch.tensor([[3.0, 1.0], [5.0, 3.0], [2.0, 8.0]])
    sums, counts = losses.class_sums(features, torch.tensor([0, 0, 2]), 3)
    now, known = losses.moving_centroids(old, seen, sums, counts, keep=0.7)
    # class 0: 0.7 (1, 1) + 0.3 (4, 2) = (1.9, 1.3); class 1 is absent; class 2 is seen for the first time
    assert_close(now, torch.tensor([[1.9, 1.3], [5.0, 5.0], [2.0, 8.0]]))
    assert known.tolist() == [True, True, True]


def test_the_gradient_flows_through_the_batch_alone() -> None:
    old = torch.ones(1, 2, requires_grad=True)
    features = torch.tensor([[4.0, 2.0]], requires_grad=True)
    sums, counts = losses.class_sums(features, torch.tensor([0]), 1)
    now, _ = losses.moving_centroids(old, torch.tensor([True]), sums, counts, keep=0.7)
    now.sum().backward()
    assert old.grad is None
    assert features.grad is not None
    assert_close(features.grad, torch.tensor([[0.3, 0.3]]))


def test_classes_known_in_one_domain_only_add_nothing() -> None:
    source, target = torch.full((2, 2), 9.0), torch.zeros(2, 2)
    known = torch.tensor([False, False])
    assert float(losses.centroid_distance(source, target, known, scale="sum")) == 0


@pytest.mark.parametrize("seed", range(5))
def test_mutual_information_is_the_cross_entropy_of_the_critic(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    real, fake = torch.randn(2, 9, generator=generator, dtype=torch.float64) * 2
    ours = losses.mutual_information(real, fake)
    assert_close(
        float(ours), reference.binary_cross_entropy(real.tolist(), fake.tolist()), rtol=1e-12, atol=1e-12
    )


def test_a_critic_that_knows_nothing_costs_ln_2() -> None:
    nothing = torch.zeros(5)
    assert_close(float(losses.mutual_information(nothing, nothing)), math.log(2))


@given(st.integers(2, 9), st.data())
@settings(deadline=None, max_examples=30)
def test_no_shape_is_paired_with_another_of_its_own_views(batch: int, data: st.DataObject) -> None:
    shift = data.draw(st.integers(1, batch - 1))
    shape = torch.arange(batch).view(batch, 1, 1).expand(batch, 12, 1).float()
    view = torch.arange(12).view(1, 12, 1).expand(batch, 12, 1).float()
    assert (losses.other_items(shape, shift) != shape).all()
    assert torch.equal(losses.other_items(view, shift), view)


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.5, 1.0])
def test_ramp_is_the_papers_gamma(progress: float) -> None:
    assert_close(losses.ramp(progress, 10.0), reference.gamma(progress))


def test_ramp_starts_at_nothing_and_ends_near_one() -> None:
    assert losses.ramp(0.0, 10.0) == 0
    assert 0.9999 < losses.ramp(1.0, 10.0) < 1


def test_every_loss_passes_gradcheck() -> None:
    features, labels = random_domain(3)
    other, other_labels = random_domain(4)
    features.requires_grad_(), other.requires_grad_()

    def local(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        (s, seen_s), (t, seen_t) = batch_centroids(a, labels), batch_centroids(b, other_labels)
        return losses.centroid_distance(s, t, seen_s & seen_t, scale="sum")

    def norm(a: torch.Tensor) -> torch.Tensor:
        return losses.feature_norm(a, 25.0, squared=True)

    def mutual(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return losses.mutual_information(a[:, 0], b[:, 1])

    def source(a: torch.Tensor) -> torch.Tensor:
        return losses.classification(a, labels.clamp(max=DIMENSION - 1))

    assert torch.autograd.gradcheck(local, (features, other))
    assert torch.autograd.gradcheck(norm, (features,))
    assert torch.autograd.gradcheck(mutual, (features, other))
    assert torch.autograd.gradcheck(source, (features,))


def test_the_examples_of_the_losses_do_what_they_say() -> None:

    found = doctest.testmod(losses)
    assert found.attempted >= 10
    assert found.failed == 0
