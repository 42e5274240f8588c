"""The equations of the paper as pure functions, one an equation.

Nothing here moves a tensor between devices, draws a number or knows a default: generators are passed
in, constants stand in ``config.py``.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Norms and losses are computed in float32 or better, whatever precision the network runs in."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def ramp(progress: float, steepness: float) -> float:
    """γ(p) = 2 / (1 + exp(−k p)) − 1, from 0 at the start to nearly 1.

    References:
        Zhou et al., IJCAI 2020, below eq. 7, with k = 10.
    """
    return 2 / (1 + math.exp(-steepness * progress)) - 1


def classification(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the source classifier, L_C.

    Args:
        logits: (B, C).
        labels: (B,) int64.

    References:
        Zhou et al., IJCAI 2020, eq. 5.
    """
    return F.cross_entropy(at_least_float32(logits), labels)


def feature_norm(features: Tensor, radius: float, *, squared: bool) -> Tensor:
    """Penalty on the distance of a domain's mean feature norm from R: L_d(E‖f‖₂, R), one half of L_G.

    Args:
        features: (B, D) descriptors of one domain.
        radius: R.
        squared: (E‖f‖ − R)², as AFN's code has it, or |E‖f‖ − R|.

    Returns:
        A scalar.

    Example:
        >>> features = torch.tensor([[3.0, 4.0], [0.0, 0.0]])  # norms 5 and 0, their mean 2.5
        >>> feature_norm(features, 2.0, squared=True)
        tensor(0.2500)

    References:
        Zhou et al., IJCAI 2020, eq. 4; Xu et al., ICCV 2019 (HAFN).

    Note:
        The mean is over the batch and the penalty is of the mean, not the mean of penalties.
        ``vector_norm`` has a zero gradient at a zero vector, where the square root's would be infinite.
    """
    distance: Tensor = torch.linalg.vector_norm(at_least_float32(features), dim=1).mean() - radius
    return distance.square() if squared else distance.abs()


def class_sums(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Sum of the features of each class, and how many there were.

    Args:
        features: (B, D).
        labels: (B,) int64 in [0, classes).
        classes: C.

    Returns:
        (C, D) sums and (C,) counts; zero where a class is absent.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 5.0]])
        >>> sums, counts = class_sums(features, torch.tensor([0, 0, 1]), 2)
        >>> sums.tolist(), counts.tolist()
        ([[3.0, 0.0], [0.0, 5.0]], [2.0, 1.0])
    """
    member = F.one_hot(labels, classes).to(features.dtype)  # (B, C)
    return member.T @ features, member.sum(dim=0)


def moving_centroids(
    old: Tensor, seen: Tensor, sums: Tensor, counts: Tensor, keep: float
) -> tuple[Tensor, Tensor]:
    """Class centroids after a batch: ``keep`` · old + (1 − keep) · batch mean.

    Args:
        old: (C, D) centroids so far; carries no gradient.
        seen: (C,) bool, whether the class was ever seen.
        sums: (C, D) from ``class_sums``; the gradient flows through these.
        counts: (C,).
        keep: share of the old centroid; 0 gives the batch's own centroids.

    Returns:
        (C, D) centroids and (C,) bool. An absent class keeps what it had; the first sighting takes the
        batch mean itself.

    Example:
        >>> old, seen = torch.tensor([[10.0, 0.0]]), torch.tensor([True])
        >>> sums, counts = torch.tensor([[4.0, 0.0]]), torch.tensor([2.0])  # the batch's mean is 2
        >>> moving_centroids(old, seen, sums, counts, 0.5)[0]
        tensor([[6., 0.]])

    References:
        Xie et al., ICML 2018 (MSTN), which lets an absent class decay towards zero: an artefact that is
        left out here.
    """
    present = counts > 0
    mean = sums / counts.clamp(min=1).unsqueeze(1)
    blended = torch.where(seen.unsqueeze(1), keep * old.detach() + (1 - keep) * mean, mean)
    return torch.where(present.unsqueeze(1), blended, old.detach()), seen | present


def centroid_distance(source: Tensor, target: Tensor, known: Tensor, *, scale: str) -> Tensor:
    """Σ_k ‖C_S^k − C_T^k‖² over the classes known in both domains, L_L.

    Args:
        source: (C, D) centroids of the photos.
        target: (C, D) centroids of the shapes, by pseudo-label.
        known: (C,) bool, the class has a centroid in both domains; others add nothing.
        scale: ``sum`` as printed; ``classes`` divides by C; ``mean`` by C · D, as MSTN's code does.

    Returns:
        A scalar.

    Example:
        >>> photos = torch.tensor([[1.0, 0.0], [5.0, 5.0]])
        >>> shapes = torch.tensor([[0.0, 0.0], [9.0, 9.0]])
        >>> centroid_distance(photos, shapes, torch.tensor([True, False]), scale="sum")
        tensor(1.)

    References:
        Zhou et al., IJCAI 2020, eq. 6.
    """
    squares = torch.where(known.unsqueeze(1), source - target, torch.zeros_like(source)).square()
    divisor = {"sum": 1, "classes": source.shape[0], "mean": source.numel()}[scale]
    return squares.sum() / divisor


def mutual_information(real: Tensor, fake: Tensor) -> Tensor:
    """Binary cross-entropy of the critic: real pairs are 1, fake pairs 0; the mean over both halves, L_MI.

    Args:
        real: (N,) logits of maps with their own embedding.
        fake: (N,) logits of maps with another item's embedding.

    References:
        Zhou et al., IJCAI 2020, section 3.2; Hjelm et al., ICLR 2019.
    """
    real, fake = at_least_float32(real), at_least_float32(fake)
    return (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2


def other_items(vectors: Tensor, shift: int) -> Tensor:
    """Give every item the vectors of another item: roll by ``shift`` items along the batch.

    Args:
        vectors: (B, V, D). The view index stays, so that a shape never meets another of its own views.
        shift: 1 … B − 1.

    References:
        Zhou et al., IJCAI 2020, section 3.2: "high-level features obtained from another image/shape".
    """
    return vectors.roll(shift, dims=0)


class _Reverse(torch.autograd.Function):
    """The identity; backwards, minus ``scale`` times the gradient."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.scale * gradient, None


def reverse_gradient(features: Tensor, scale: float) -> Tensor:
    """Return ``features`` themselves, whose gradient is turned round and multiplied by ``scale``.

    What follows descends its loss; what lies before climbs it.

    References:
        Ganin and Lempitsky, ICML 2015, eq. 7 and 8.
    """
    reversed_: Tensor = _Reverse.apply(features, scale)
    return reversed_


def domain_classification(source: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of the discriminator: photos are 1, shapes 0; the sum of both means.

    Args:
        source: (B,) logits of the photos.
        target: (B',) logits of the shapes.

    References:
        Ganin and Lempitsky, ICML 2015; the sum as in the RevGrad code published with MI3DOR.
    """
    return F.softplus(-at_least_float32(source)).mean() + F.softplus(at_least_float32(target)).mean()


def stepwise_norm(features: Tensor, step: float) -> Tensor:
    """SAFN: E (‖f‖₂ − (‖f‖₂ held fixed + Δr))²: each norm is asked to grow by Δr.

    Args:
        features: (B, D) descriptors of one domain.
        step: Δr.

    References:
        Xu et al., ICCV 2019, eq. 7. The value is Δr² whatever the features; only the gradient matters.
    """
    norms = torch.linalg.vector_norm(at_least_float32(features), dim=1)
    growth: Tensor = norms - (norms.detach() + step)
    return growth.square().mean()


def coral(source: Tensor, target: Tensor) -> Tensor:
    """‖cov(S) − cov(T)‖²_F / (4 d²), the distance of the second moments.

    Args:
        source: (B, d) of the photos.
        target: (B', d) of the shapes.

    Returns:
        A scalar; zero where a domain has fewer than two items, hence no covariance.

    References:
        Sun and Saenko, ECCV 2016 workshops (Deep CORAL), eq. 1 to 3.
    """
    if min(len(source), len(target)) < 2:
        return (source.sum() + target.sum()) * 0
    difference = _covariance(at_least_float32(source)) - _covariance(at_least_float32(target))
    return difference.square().sum() / (4 * source.shape[1] ** 2)


def _covariance(items: Tensor) -> Tensor:
    centred = items - items.mean(dim=0)
    return centred.T @ centred / (len(items) - 1)


class Kernel(NamedTuple):
    """A sum of Gaussians exp(−d² / b_i) on one layer, b_i = b · factor^(i − ⌊G / 2⌋), i = 0 … G − 1.

    Attributes:
        gaussians: how many.
        factor: between neighbouring bandwidths.
        bandwidth: b, or None for the mean squared distance of all pairs of the batch.
    """

    gaussians: int
    factor: float
    bandwidth: float | None


def kernel_matrix(items: Tensor, kernel: Kernel) -> Tensor:
    """Return (n, D) items to the (n, n) kernel of all pairs; no gradient flows through the bandwidth.

    References:
        Long et al., ICML 2017 (JAN), section 5 and the code Xlearn.
    """
    items = at_least_float32(items)
    items = items - items.mean(dim=0).detach()  # distances stay, rounding errors shrink
    squares = items.square().sum(dim=1)
    distances = (squares[:, None] + squares[None] - 2 * items @ items.T).clamp(min=0)
    pairs = max(len(items) * (len(items) - 1), 1)
    base = distances.detach().sum() / pairs if kernel.bandwidth is None else kernel.bandwidth
    tiny = torch.finfo(distances.dtype).tiny  # all items equal: every distance is zero and the kernel one
    bandwidths = [base * kernel.factor ** (i - kernel.gaussians // 2) for i in range(kernel.gaussians)]
    return torch.stack([torch.exp(-distances / (width + tiny)) for width in bandwidths]).sum(dim=0)


def joint_discrepancy(
    source: Sequence[Tensor], target: Sequence[Tensor], kernels: Sequence[Kernel], *, estimator: str
) -> Tensor:
    """JMMD: the maximum mean discrepancy under the product of the layers' kernels.

    Args:
        source: a (B, D_l) tensor a layer, of the photos.
        target: a (B', D_l) tensor a layer, of the shapes.
        kernels: one a layer.
        estimator: ``full``: E k(s, s') + E k(t, t') − 2 E k(s, t) over all pairs (biased); ``linear``: the
            mean of k(s_i, s_j) + k(t_i, t_j) − k(s_i, t_j) − k(s_j, t_i) over i and its successor j, on
            the first min(B, B') items.

    Returns:
        A scalar; 0 where both domains are alike.

    Example:
        >>> items = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> joint_discrepancy([items], [items], [Kernel(1, 2.0, 1.0)], estimator="full").abs() < 1e-6
        tensor(True)

    References:
        Long et al., ICML 2017, eq. 8 and 9 (JAN); both estimators as in the code Xlearn.
    """
    if estimator == "linear":
        least = min(len(source[0]), len(target[0]))
        source, target = [part[:least] for part in source], [part[:least] for part in target]
    joint: Tensor | float = 1.0
    for of_source, of_target, kernel in zip(source, target, kernels, strict=True):
        joint = joint * kernel_matrix(torch.cat((of_source, of_target)), kernel)
    matrix, count = torch.as_tensor(joint), len(source[0])
    within, across, back = matrix[:count, :count], matrix[:count, count:], matrix[count:, count:]
    if estimator == "full":
        return within.mean() + back.mean() - 2 * across.mean()
    i = torch.arange(count, device=matrix.device)
    j = (i + 1) % count
    return (within[i, j] + back[i, j] - across[i, j] - across[j, i]).mean()


def smoothed_classification(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy against labels of which a share ``smoothing`` is spread over all classes.

    Args:
        logits: (B, C).
        labels: (B,) int64.
        smoothing: α; the label's own class gets 1 − α + α / C.

    Returns:
        A scalar: the mean over the items.

    Example:
        >>> logits = torch.tensor([[4.0, 0.0]])
        >>> round(float(smoothed_classification(logits, torch.tensor([0]), 0.0)), 4)
        0.0181

    References:
        Liang et al., ICML 2020 (SHOT), section 3.1, with α = 0.1.
    """
    return F.cross_entropy(at_least_float32(logits), labels, label_smoothing=smoothing)


def information_maximisation(logits: Tensor) -> Tensor:
    """Mean entropy of the items' class probabilities, less the entropy of their mean.

    It is least where every item is sure of its class and the items share out the classes.

    Args:
        logits: (B, C).

    References:
        Liang et al., ICML 2020 (SHOT), section 3.2.
    """
    probabilities = at_least_float32(logits).softmax(dim=1)
    of_items = torch.special.entr(probabilities).sum(dim=1).mean()
    information: Tensor = of_items - torch.special.entr(probabilities.mean(dim=0)).sum()
    return information


def centroid_labels(features: Tensor, probabilities: Tensor) -> Tensor:
    """Label items by the nearest class centroid, twice: centroids by probability, then by those labels.

    Args:
        features: (n, D) embeddings of the whole target domain.
        probabilities: (n, C) what the classifier makes of them.

    Returns:
        (n,) int64; only classes that some item is likeliest of are given.

    References:
        Liang et al., ICML 2020 (SHOT), section 3.3, and its code: a one is appended to each embedding, the
        result has unit length, and centroids are compared by cosine.
    """
    ones = torch.ones_like(features[:, :1])
    unit = F.normalize(torch.cat((features, ones), dim=1), dim=1)
    present = torch.zeros(probabilities.shape[1], dtype=torch.bool, device=features.device)
    present[probabilities.argmax(dim=1)] = True
    share = probabilities.to(unit.dtype)
    for _ in range(2):
        centroids = F.normalize(share.T @ unit, dim=1)
        cosines = (unit @ centroids.T).masked_fill(~present, -math.inf)
        labels = cosines.argmax(dim=1)
        share = F.one_hot(labels, probabilities.shape[1]).to(unit.dtype)
    return labels


def class_confusion(logits: Tensor, temperature: float) -> Tensor:
    """Return how much of each class's predictions goes to other classes: the mean over classes.

    Args:
        logits: (B, C) of the target domain.
        temperature: T.

    References:
        Jin et al., ECCV 2020 (MCC), section 3: softmax at T, weights 1 + exp(−entropy) that sum to B and
        carry no gradient, C = Ŷᵀ diag(w) Ŷ, rows that sum to one, the mean over classes of what is off the
        diagonal.
    """
    probabilities = (at_least_float32(logits) / temperature).softmax(dim=1)
    entropy = torch.special.entr(probabilities.detach()).sum(dim=1)
    weights = 1 + torch.exp(-entropy)
    weights = len(logits) * weights / weights.sum()
    confusion = (probabilities * weights.unsqueeze(1)).T @ probabilities
    confusion = confusion / confusion.sum(dim=1, keepdim=True)
    return (confusion.sum() - confusion.trace()) / confusion.shape[1]


def prototype_transport(prototypes: Tensor, features: Tensor, temperature: float) -> Tensor:
    """Return the cost of carrying each class's prototype to the items.

    Σ_j π_kj (1 − cos(μ_k, f_j)), meant over k.

    Args:
        prototypes: (C, D) the classifier's rows; they carry no gradient here.
        features: (B, D) embeddings of the target domain.
        temperature: of the plan π_k = softmax over the items of μ_k · f_j / temperature.

    Returns:
        A scalar, from 0 (every prototype's items point its way) to 2.

    Example:
        >>> prototypes, features = torch.eye(2), torch.eye(2)
        >>> round(float(prototype_transport(prototypes, features, 0.01)), 4)
        0.0

    References:
        Tanwisuth et al., NeurIPS 2021 (PCT), the cost from prototypes to the target, as the code of MA
        (Wyyspace1203/MA, 2025) has it, with temperature 1.
    """
    held, moved = at_least_float32(prototypes).detach(), at_least_float32(features)
    plan = (held @ moved.T / temperature).softmax(dim=1)
    cost = 1 - F.normalize(held, dim=1) @ F.normalize(moved, dim=1).T
    return (plan * cost).sum(dim=1).mean()


def nearest_prototype(prototypes: Tensor, features: Tensor) -> Tensor:
    """Mean distance of the items to the prototype that is nearest to each.

    Args:
        prototypes: (C, D); they carry no gradient here.
        features: (B, D).

    References:
        The code of MA (Wyyspace1203/MA, 2025), its ``TripletCenterLoss`` without the factor 0.1.
    """
    held, moved = at_least_float32(prototypes).detach(), at_least_float32(features)
    nearest = torch.cdist(moved.detach(), held).argmin(dim=1)
    distance: Tensor = torch.linalg.vector_norm(moved - held[nearest], dim=1).mean()
    return distance


def own_shape(photos: Tensor, views: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of the right shape among those of a batch; photo i is of shape i (InfoNCE).

    A shape's score is the mean over the larger half of its views' cosines. The gradient by the photos is that
    of :func:`hifa_cli.adaptation.own_map.gradient_of_scores`, where views do not move.

    Args:
        photos: (B, D) unit.
        views: (B, V, D) unit.
        temperature: that scores are divided by.

    Returns:
        A scalar.

    Example:
        >>> photos = torch.eye(2)
        >>> own_shape(photos, photos.unsqueeze(1), 1.0)  # log(1 + e⁻¹)
        tensor(0.3133)

    References:
        van den Oord et al., 2018, "Representation learning with contrastive predictive coding", eq. 4.
    """
    cosines = torch.einsum("bd,cvd->bcv", at_least_float32(photos), at_least_float32(views))
    half = cosines.topk(views.shape[1] - views.shape[1] // 2, dim=2).values.mean(dim=2)
    return F.cross_entropy(half / temperature, torch.arange(len(photos), device=photos.device))
