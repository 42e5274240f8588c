"""The equations of the paper as pure functions, one an equation.

Nothing here moves a tensor between devices, draws a number or knows a default: generators are passed
in, constants stand in ``config.py``.
"""

import math

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
