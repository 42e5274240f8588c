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
    """The mean of a class's features, or None if absent."""
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


def domain_cross_entropy(photos: Vector, shapes: Vector) -> float:
    """The discriminator's loss: photos are 1 and shapes 0, the mean of each domain, summed."""
    of_photos = -sum(math.log(1 / (1 + math.exp(-x))) for x in photos) / len(photos)
    of_shapes = -sum(math.log(1 - 1 / (1 + math.exp(-x))) for x in shapes) / len(shapes)
    return of_photos + of_shapes


def covariance(items: list[Vector]) -> list[Vector]:
    """Entry by entry, over n − 1."""
    n, d = len(items), len(items[0])
    mean = [sum(x[k] for x in items) / n for k in range(d)]
    return [
        [sum((x[a] - mean[a]) * (x[b] - mean[b]) for x in items) / (n - 1) for b in range(d)]
        for a in range(d)
    ]


def coral(source: list[Vector], target: list[Vector]) -> float:
    """Deep CORAL: the squared Frobenius distance of the covariances over 4 d²."""
    s, t, d = covariance(source), covariance(target), len(source[0])
    return sum((s[a][b] - t[a][b]) ** 2 for a in range(d) for b in range(d)) / (4 * d * d)


def squared_distance(a: Vector, b: Vector) -> float:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def gaussians(x: Vector, y: Vector, widths: list[float]) -> float:
    return sum(math.exp(-squared_distance(x, y) / width) for width in widths)


def bandwidths(batch: list[Vector], count: int, factor: float) -> list[float]:
    """Around the mean squared distance of all ordered pairs of different items."""
    n = len(batch)
    mean = sum(squared_distance(a, b) for a in batch for b in batch) / (n * (n - 1))
    return [mean / factor ** (count // 2) * factor**i for i in range(count)]


Item = tuple[Vector, Vector]  # an embedding and class probabilities


def joint_kernel(a: Item, b: Item, wide: list[float], fixed: float) -> float:
    return gaussians(a[0], b[0], wide) * gaussians(a[1], b[1], [fixed])


def joint_discrepancy(source: list[Item], target: list[Item], wide: list[float], fixed: float) -> float:
    """JMMD over all pairs."""

    def mean(left: list[Item], right: list[Item]) -> float:
        total = sum(joint_kernel(a, b, wide, fixed) for a in left for b in right)
        return total / (len(left) * len(right))

    return mean(source, source) + mean(target, target) - 2 * mean(source, target)


def linear_discrepancy(source: list[Item], target: list[Item], wide: list[float], fixed: float) -> float:
    """JMMD over each item and its successor."""
    n, total = len(source), 0.0
    for i in range(n):
        j = (i + 1) % n
        total += joint_kernel(source[i], source[j], wide, fixed)
        total += joint_kernel(target[i], target[j], wide, fixed)
        total -= joint_kernel(source[i], target[j], wide, fixed)
        total -= joint_kernel(source[j], target[i], wide, fixed)
    return total / n
