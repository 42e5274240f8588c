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


def probabilities(row: Vector, temperature: float = 1.0) -> Vector:
    """The softmax of a row."""
    highest = max(row)
    powers = [math.exp((x - highest) / temperature) for x in row]
    return [x / sum(powers) for x in powers]


def entropy(row: Vector) -> float:
    """Of a distribution."""
    return -sum(p * math.log(p) for p in row if p > 0)


def smoothed_cross_entropy(logits: list[Vector], labels: list[int], smoothing: float) -> float:
    """SHOT's source loss."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        for k, p in enumerate(probabilities(row)):
            wanted = (1 - smoothing) * (k == label) + smoothing / len(row)
            total -= wanted * math.log(p)
    return total / len(logits)


def information(logits: list[Vector]) -> float:
    """SHOT: mean entropy less the entropy of the mean."""
    rows = [probabilities(row) for row in logits]
    mean = [sum(row[k] for row in rows) / len(rows) for k in range(len(rows[0]))]
    return sum(map(entropy, rows)) / len(rows) - entropy(mean)


def cosine(a: Vector, b: Vector) -> float:
    """Of two vectors."""
    return sum(x * y for x, y in zip(a, b, strict=True)) / (norm(a) * norm(b))


def shot_labels(features: list[Vector], beliefs: list[Vector]) -> list[int]:
    """SHOT's labels: soft centroids, then hard ones."""
    unit = [[x / norm([*f, 1.0]) for x in (*f, 1.0)] for f in features]
    classes = range(len(beliefs[0]))
    present = sorted({max(classes, key=lambda k, row=row: row[k]) for row in beliefs})  # type: ignore[misc]
    share, labels = beliefs, [0] * len(features)
    for _ in range(2):
        centroids = {}
        for k in present:
            weight = sum(row[k] for row in share) + 1e-8
            centroids[k] = [
                sum(row[k] * f[d] for row, f in zip(share, unit, strict=True)) / weight
                for d in range(len(unit[0]))
            ]
        labels = []
        for f in unit:
            known = [k for k in present if norm(centroids[k]) > 0]
            labels.append(max(known, key=lambda k, f=f: cosine(f, centroids[k])))  # type: ignore[misc]
        share = [[float(k == label) for k in classes] for label in labels]
    return labels


def confusion(logits: list[Vector], temperature: float) -> float:
    """MCC's loss."""
    rows = [probabilities(row, temperature) for row in logits]
    raw = [1 + math.exp(-entropy(row)) for row in rows]
    weights = [len(rows) * w / sum(raw) for w in raw]
    classes = range(len(rows[0]))
    table = [
        [sum(w * row[j] * row[k] for w, row in zip(weights, rows, strict=True)) for k in classes]
        for j in classes
    ]
    return sum(table[j][k] / sum(table[j]) for j in classes for k in classes if j != k) / len(classes)


def transport(prototypes: list[Vector], features: list[Vector], temperature: float) -> float:
    """The cost from prototypes to items, PCT and MA."""
    total = 0.0
    for prototype in prototypes:
        dots = [sum(x * y for x, y in zip(prototype, f, strict=True)) for f in features]
        plan = probabilities(dots, temperature)
        total += sum(p * (1 - cosine(prototype, f)) for p, f in zip(plan, features, strict=True))
    return total / len(prototypes)


def nearest(prototypes: list[Vector], features: list[Vector]) -> float:
    """Mean distance to the nearest prototype, MA."""
    return sum(
        min(norm([x - y for x, y in zip(f, p, strict=True)]) for p in prototypes) for f in features
    ) / len(features)
