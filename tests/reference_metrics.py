"""The benchmark's metrics once more, slowly and plainly: loops over queries and ranks, exact ranking.

Written from the definitions (the MATLAB script of the benchmark's authors in words), sharing no code
and no idea with ``hifa_cli.evaluation.metrics`` or ``hifa_cli.search.ranking``.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import log2

Vector = Sequence[int]


def exact_order(query: Vector, gallery: Sequence[Vector]) -> list[int]:
    """Gallery rows by falling cosine of the clamped vectors in exact arithmetic, ties in gallery order.

    For one query the cosine grows with dot² / |g|², for nothing is negative; a zero row has cosine 0.
    """

    def squared_cosine(row: Vector) -> Fraction:
        clamped = [max(value, 0) for value in row]
        length = sum(value * value for value in clamped)
        dot = sum(max(a, 0) * b for a, b in zip(query, clamped, strict=True))
        return Fraction(dot * dot, length) if length else Fraction(0)

    return sorted(range(len(gallery)), key=lambda row: (-squared_cosine(gallery[row]), row))


def relevance(order: Sequence[int], label: int, gallery_labels: Sequence[int]) -> list[int]:
    """r_1 … r_N as a list from index 0."""
    return [1 if gallery_labels[row] == label else 0 for row in order]


def mi3dor(lists: Sequence[Sequence[int]], sizes: Sequence[int], largest: int) -> dict[str, float]:
    """The six metrics of the script, both DCGs, over queries given as lists of r_k.

    Args:
        lists: one list of N zeros and ones a query.
        sizes: C a query.
        largest: Tmax.
    """
    queries = len(lists)
    nn = sum(r[0] for r in lists) / queries
    ft = sum(sum(r[:c]) / c for r, c in zip(lists, sizes, strict=True)) / queries
    st = sum(sum(r[: 2 * c - 1]) / c for r, c in zip(lists, sizes, strict=True)) / queries
    return {
        "NN": nn,
        "FT": ft,
        "ST": st,
        "F": _pooled_f(lists, sizes),
        "DCG": sum(map(_dcg, lists, sizes)) / queries,
        "DCG_legacy": sum(map(_dcg_legacy, lists, sizes)) / queries,
        "ANMRR": sum(_nmrr(r, c, largest) for r, c in zip(lists, sizes, strict=True)) / queries,
    }


def _pooled_f(lists: Sequence[Sequence[int]], sizes: Sequence[int]) -> float:
    cut = min(20, len(lists[0]))
    found = sum(sum(r[:cut]) for r in lists)
    if found == 0:
        return 0.0
    precision = found / (cut * len(lists))
    recall = found / sum(sizes)
    return 2 / (1 / precision + 1 / recall)


def _dcg(r: Sequence[int], c: int) -> float:
    gain, ideal = float(r[0]), 1.0
    for k in range(2, c + 1):
        gain += r[k - 1] / log2(k)
        ideal += 1 / log2(k)
    return gain / ideal


def _dcg_legacy(r: Sequence[int], c: int) -> float:
    gain, ideal = float(r[1]) if len(r) > 1 else 0.0, 1.0
    for k in range(3, c + 1):
        gain += r[k - 1] / log2(k - 1)
        ideal += 1 / log2(k - 1)
    return gain / ideal


def _nmrr(r: Sequence[int], c: int, largest: int) -> float:
    window = min(4 * c, 2 * largest)
    costs = [k if r[k - 1] else window + 1 for k in range(1, c + 1)]
    return (sum(costs) / c - c / 2 - 0.5) / (window - c / 2 + 0.5)


def average_precision(r: Sequence[int], c: int) -> float:
    """Mean over the relevant shapes of the precision at the rank of each."""
    found, total = 0, 0.0
    for k, hit in enumerate(r, 1):
        if hit:
            found += 1
            total += found / k
    return total / c


def area(lists: Sequence[Sequence[int]], sizes: Sequence[int]) -> float:
    """The trapezoid of pooled precision over pooled recall, from the first rank on."""
    points = []
    for k in range(1, len(lists[0]) + 1):
        found = sum(sum(r[:k]) for r in lists)
        points.append((found / sum(sizes), found / (k * len(lists))))
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
