"""The paper's equations as plain loops over numbers: slow, obvious, and importing nothing of ours."""

import math

Vector = list[float]


def norm(vector: Vector) -> float:
    return math.sqrt(sum(x * x for x in vector))


def equation_4(domain: list[Vector], radius: float) -> float:
    """One half of L_G: the squared distance of the mean norm from R."""
    mean = sum(norm(f) for f in domain) / len(domain)
    return (mean - radius) ** 2


def equation_5(logits: list[Vector], labels: list[int]) -> float:
    """L_C: the mean cross-entropy."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        highest = max(row)
        total += math.log(sum(math.exp(x - highest) for x in row)) + highest - row[label]
    return total / len(labels)


def centroid(features: list[Vector], labels: list[int], of: int) -> Vector | None:
    """The mean of a class's features, or None where there are none."""
    mine = [f for f, label in zip(features, labels, strict=True) if label == of]
    if not mine:
        return None
    return [sum(f[d] for f in mine) / len(mine) for d in range(len(mine[0]))]


def equation_6(
    source: list[Vector],
    source_labels: list[int],
    target: list[Vector],
    target_labels: list[int],
    classes: int,
) -> float:
    """L_L with the batch's own centroids, over the classes present in both domains."""
    total = 0.0
    for k in range(classes):
        s, t = centroid(source, source_labels, k), centroid(target, target_labels, k)
        if s is not None and t is not None:
            total += sum((a - b) ** 2 for a, b in zip(s, t, strict=True))
    return total


def binary_cross_entropy(real: Vector, fake: Vector) -> float:
    """Section 3.2: the mean over both halves, each the mean over its pairs."""
    of_real = -sum(math.log(1 / (1 + math.exp(-x))) for x in real) / len(real)
    of_fake = -sum(math.log(1 - 1 / (1 + math.exp(-x))) for x in fake) / len(fake)
    return (of_real + of_fake) / 2


def gamma(progress: float) -> float:
    """Below equation 7."""
    return 2 / (1 + math.exp(-10 * progress)) - 1
