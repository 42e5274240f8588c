"""Retrieval metrics, and the profiles that say which of the circulating definitions is meant.

Every metric is a ratio of two sums over queries: the mean of a value a query has one as denominator,
the benchmark's F, which pools precision and recall, has another. That form is all that a bootstrap or
a permutation test needs.

Notation of the comments: C gallery shapes of the query's class, Tmax the largest such class, N shapes
in the gallery, k ranks from 1, r_k whether the answer at rank k is of the query's class.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

F_CUT = 20  # the benchmark's "20-measure"
E_CUT = 32  # the E-measure of the Princeton Shape Benchmark


@dataclass(frozen=True)
class Hits:
    """The ranks of the relevant shapes of some queries: one entry a relevant shape, by query and rank.

    Attributes:
        query: (H,) row of the query, ascending.
        rank: (H,) from 1, ascending within a query.
        sizes: (Q,) C of each query, at least 1.
        largest: Tmax, over the whole gallery.
        gallery: N.
    """

    query: Ints
    rank: Ints
    sizes: Ints
    largest: int
    gallery: int

    @classmethod
    def of(cls, relevant: NDArray[np.bool_], sizes: Ints, largest: int, gallery: int) -> "Hits":
        """Return the hits of a (Q, K) table of r_k, best answer first.

        Args:
            relevant: (Q, K) whether the answer at each rank is relevant.
            sizes: (Q,) C of each query.
            largest: Tmax, over the whole gallery.
            gallery: N.

        Returns:
            The hits.
        """
        query, column = np.nonzero(relevant)
        return cls(query, column + 1, sizes, largest, gallery)

    def total(self, weights: NDArray[np.generic]) -> Floats:
        """Return (Q,) sum of a weight a hit over the hits of each query."""
        sums = np.bincount(self.query, weights=weights.astype(np.float64), minlength=len(self.sizes))
        return sums.astype(np.float64, copy=False)

    def within(self, cut: Ints | int) -> Floats:
        """Return (Q,) number of hits at ranks up to ``cut``, one for all queries or one each."""
        return self.total(self.rank <= np.broadcast_to(cut, self.sizes.shape)[self.query])


class Ratio(NamedTuple):
    """A metric as sums over queries: Σ numerators / Σ denominators, both (Q,)."""

    numerators: Floats
    denominators: Floats

    def value(self) -> float:
        """Return the metric; 0 over no queries."""
        below = self.denominators.sum()
        return float(self.numerators.sum() / below) if below else 0.0


Measure = Callable[[Hits], Ratio]


def _mean(values: Floats) -> Ratio:
    return Ratio(values, np.ones_like(values))


def nearest_neighbour(hits: Hits) -> Ratio:
    """NN: r_1."""
    return _mean(hits.within(1))


def first_tier(hits: Hits) -> Ratio:
    """FT: hits within rank C, over C."""
    return _mean(hits.within(hits.sizes) / hits.sizes)


def second_tier(hits: Hits) -> Ratio:
    """ST of the benchmark: hits within rank 2C − 1, over C."""
    return _mean(hits.within(2 * hits.sizes - 1) / hits.sizes)


def second_tier_2c(hits: Hits) -> Ratio:
    """ST with the cut-off 2C."""
    return _mean(hits.within(2 * hits.sizes) / hits.sizes)


def pooled_f(hits: Hits) -> Ratio:
    """F of the benchmark: with s the hits within rank 20 of all queries, P = s / 20Q, R = s / ΣC.

    2PR / (P + R) = Σ 2s_q / Σ (20 + C_q): a ratio of sums, not a mean of ratios.
    """
    cut = min(F_CUT, hits.gallery)
    return Ratio(2 * hits.within(cut), cut + hits.sizes.astype(np.float64))


def mean_f(hits: Hits) -> Ratio:
    """F at 20 a query, averaged."""
    cut = min(F_CUT, hits.gallery)
    return _mean(2 * hits.within(cut) / (cut + hits.sizes))


def e_measure(hits: Hits) -> Ratio:
    """E of the Princeton Shape Benchmark: 2 / (1/P + 1/R) at 32 a query, averaged (Shilane 2004)."""
    cut = min(E_CUT, hits.gallery)
    return _mean(2 * hits.within(cut) / (cut + hits.sizes))


def dcg(hits: Hits) -> Ratio:
    """DCG of the benchmark: r_1 + Σ_{k=2..C} r_k / log2 k, over the same sum of ones."""
    gains = _inverse_log(hits.rank) * (hits.rank <= hits.sizes[hits.query])
    return _mean(hits.total(gains) / _ideal(hits.sizes))


def dcg_legacy(hits: Hits) -> Ratio:
    """DCG as most papers on MI3DOR computed it: the same from rank 2 on, rank 1 ignored.

    (r_2 + Σ_{k=3..C} r_k / log2(k − 1)) / (1 + Σ_{k=3..C} 1 / log2(k − 1)).
    """
    counted = (hits.rank >= 2) & (hits.rank <= np.maximum(hits.sizes, 2)[hits.query])
    gains = _inverse_log(np.maximum(hits.rank - 1, 1)) * counted
    return _mean(hits.total(gains) / _ideal(np.maximum(hits.sizes - 1, 1)))


def dcg_whole_list(hits: Hits) -> Ratio:
    """DCG of the Princeton Shape Benchmark: over all ranks, normalised by C ideal ones (Shilane 2004)."""
    return _mean(hits.total(_inverse_log(hits.rank)) / _ideal(hits.sizes))


def ndcg_c(hits: Hits) -> Ratio:
    """NDCG at C with the discount log2(k + 1)."""
    return _ndcg(hits, hits.sizes)


def ndcg_2c(hits: Hits) -> Ratio:
    """NDCG at 2C with the discount log2(k + 1), as OSCAR has it."""
    return _ndcg(hits, 2 * hits.sizes)


def _ndcg(hits: Hits, cut: Ints) -> Ratio:
    gains = (hits.rank <= cut[hits.query]) / np.log2(hits.rank + 1.0)
    ideal = np.cumsum(1 / np.log2(np.arange(2, hits.largest + 2)))  # entry C − 1: C ones first
    return _mean(hits.total(gains) / ideal[hits.sizes - 1])


def _inverse_log(rank: Ints) -> Floats:
    """1 for rank 1, 1 / log2 k from rank 2."""
    gains: Floats = 1 / np.log2(np.maximum(rank, 2))
    return gains


def _ideal(counts: Ints) -> Floats:
    """1 + Σ_{k=2..count} 1 / log2 k of each count."""
    sums: Floats = np.cumsum(_inverse_log(np.arange(1, counts.max(initial=1) + 1)))
    return sums[counts - 1]


def anmrr(hits: Hits) -> Ratio:
    """ANMRR of the benchmark: only ranks up to C earn their rank, all else costs S + 1.

    S = min(4C, 2 Tmax); NMRR = (mean cost − C/2 − 1/2) / (S − C/2 + 1/2).
    """
    c, window = hits.sizes, np.minimum(4 * hits.sizes, 2 * hits.largest)
    return _retrieval_rank(hits, counted=c, miss=window + 1.0, below=window - c / 2 + 0.5)


def anmrr_mpeg7(hits: Hits) -> Ratio:
    """ANMRR of the MPEG-7 standard: window K = min(4C, 2 Tmax), a miss costs 1.25 K."""
    c, window = hits.sizes, np.minimum(4 * hits.sizes, 2 * hits.largest)
    return _retrieval_rank(hits, counted=window, miss=1.25 * window, below=1.25 * window - (1 + c) / 2)


def anmrr_2001(hits: Hits) -> Ratio:
    """ANMRR of Manjunath et al. 2001: the same window, a miss costs K + 1."""
    c, window = hits.sizes, np.minimum(4 * hits.sizes, 2 * hits.largest)
    return _retrieval_rank(hits, counted=window, miss=window + 1.0, below=window + 0.5 - c / 2)


def anmrr_oscar(hits: Hits) -> Ratio:
    """ANMRR of OSCAR: window K = 2C, a miss costs K + 1, over K − (C + 1)/2."""
    c, window = hits.sizes, 2 * hits.sizes
    return _retrieval_rank(hits, counted=window, miss=window + 1.0, below=window - (c + 1) / 2)


def _retrieval_rank(
    hits: Hits, *, counted: Ints, miss: NDArray[np.floating], below: NDArray[np.floating]
) -> Ratio:
    """(mean cost of the C relevant shapes − (C + 1)/2) / below; ranks beyond ``counted`` cost ``miss``."""
    inside = hits.rank <= counted[hits.query]
    found = hits.total(inside)
    costs = hits.total(hits.rank * inside) + (hits.sizes - found) * miss
    return _mean((costs / hits.sizes - (hits.sizes + 1) / 2) / below)


def average_precision(hits: Hits) -> Ratio:
    """mAP: precision at the rank of each relevant shape, averaged over the C of them."""
    first = np.searchsorted(hits.query, np.arange(len(hits.sizes)))
    order = np.arange(1, len(hits.query) + 1) - first[hits.query]
    return _mean(hits.total(order / hits.rank) / hits.sizes)


class Curve(NamedTuple):
    """Pooled precision and recall after each rank: P(k) = Σ hits / Qk, R(k) = Σ hits / ΣC; both (N,)."""

    precision: Floats
    recall: Floats

    def area(self) -> float:
        """AUC: the trapezoid of P over R, from rank 1 on as the benchmark's script has it."""
        return float(np.sum(np.diff(self.recall) * (self.precision[1:] + self.precision[:-1]) / 2))


def curve(hits_a_rank: NDArray[np.number], queries: int) -> Curve:
    """Return the pooled curve from the number of hits at each rank, (N,)."""
    found = np.cumsum(hits_a_rank, dtype=np.float64)
    seen = queries * np.arange(1, len(found) + 1)
    return Curve(found / seen, found / found[-1])


class Metric(NamedTuple):
    """A row of the one table of metrics.

    Attributes:
        name: as tables, JSON documents and ``--metrics`` have it.
        measure: what computes it, or the field of a profile that holds the profile's own definition.
        lower_is_better: whether a smaller value is a better one.
        shown: whether a terminal shows it, as it does the paper's six; files have all.
        whole_list: whether it needs every rank; it is left out where only the first ones are sorted.
    """

    name: str
    measure: Measure | str
    lower_is_better: bool = False
    shown: bool = False
    whole_list: bool = False


TABLE: tuple[Metric, ...] = (  # a new metric is a row here and its function above
    Metric("NN", nearest_neighbour, shown=True),
    Metric("FT", first_tier, shown=True),
    Metric("ST", "second_tier", shown=True),
    Metric("F", "f", shown=True),
    Metric("DCG", "dcg", shown=True),
    Metric("DCG_legacy", dcg_legacy),
    Metric("ANMRR", "anmrr", lower_is_better=True, shown=True),
    Metric("mAP", average_precision, whole_list=True),
)
METRICS = tuple(one.name for one in TABLE if not one.whole_list)
WHOLE_LIST = (*(one.name for one in TABLE if one.whole_list), "AUC")  # AUC is of the curve
LOWER_IS_BETTER = frozenset(one.name for one in TABLE if one.lower_is_better)
SHOWN = tuple(one.name for one in TABLE if one.shown)


@dataclass(frozen=True)
class Profile:
    """One consistent choice among the definitions; ``note`` is what a table must say of it."""

    name: str
    second_tier: Measure
    f: Measure
    dcg: Measure
    anmrr: Measure
    note: str

    def measures(self) -> dict[str, Measure]:
        """Return the measures by the names of the contract."""
        return {
            one.name: getattr(self, one.measure) if isinstance(one.measure, str) else one.measure
            for one in TABLE
            if not one.whole_list
        }

    @property
    def whole_list(self) -> bool:
        """Return whether ranks beyond 2 Tmax count."""
        return self.dcg is dcg_whole_list


_MI3DOR = "ST within 2C − 1; F at 20 of pooled precision and recall; {dcg}; ANMRR over the first C ranks"

PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "mi3dor", second_tier, pooled_f, dcg, anmrr,
            "MI3DOR benchmark script (2021): " + _MI3DOR.format(dcg="DCG from rank 1, cut at C"),
        ),
        Profile(
            "mi3dor-legacy", second_tier, pooled_f, dcg_legacy, anmrr,
            "most likely that of HIFA's tables: " + _MI3DOR.format(dcg="DCG from rank 2, cut at C"),
        ),
        Profile(
            "psb", second_tier_2c, e_measure, dcg_whole_list, anmrr_mpeg7,
            "Princeton Shape Benchmark, queries not in the gallery: ST within 2C; F is the E-measure at 32; "
            "DCG over the whole list; ANMRR of MPEG-7 (miss 1.25 K)",
        ),
        Profile(
            "mpeg7", second_tier_2c, mean_f, ndcg_c, anmrr_mpeg7,
            "standard forms: ST within 2C; F at 20 a query; nDCG at C with log2(k + 1); "
            "ANMRR of MPEG-7 (miss 1.25 K)",
        ),
        Profile(
            "mpeg7-2001", second_tier_2c, mean_f, ndcg_c, anmrr_2001,
            "as mpeg7, with ANMRR of Manjunath et al. 2001 (miss K + 1)",
        ),
        Profile(
            "oscar", second_tier_2c, mean_f, ndcg_2c, anmrr_oscar,
            "OSCAR (2026): ST within 2C; F at 20 a query; nDCG at 2C with log2(k + 1); ANMRR with K = 2C",
        ),
    )
}  # fmt: skip
