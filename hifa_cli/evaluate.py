"""The evaluation stage: an export with labels in both domains to scores, intervals and differences."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.metrics import METRICS, PROFILES, Curve, Hits, Profile, Ratio, average_precision, curve
from hifa_cli.ranking import Block, ranked, rows_a_block
from hifa_cli.store import Embeddings, Export
from hifa_cli.talk import SILENT, Talk

_LONG = 50  # blocks from which a bar is worth showing
_CHUNK = 1 << 22  # resampled values held at a time


@dataclass(frozen=True)
class Scores:
    """What an export is worth by one profile.

    Attributes:
        profile: the definitions.
        ratios: each metric as sums over the counted queries; mAP where the whole list was ranked.
        curve: pooled precision and recall, where the whole list was ranked.
        ids: the counted queries.
        labels: (Q,) their classes.
        classes: names by label.
        sizes: (classes,) shapes of each class in the gallery.
        gallery: all shapes, those of no class too.
        skipped: queries without a class, or whose class has no shape in the gallery.
    """

    profile: Profile
    ratios: dict[str, Ratio]
    curve: Curve | None
    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    sizes: NDArray[np.int64]
    gallery: int
    skipped: int

    def values(self) -> dict[str, float]:
        """The metrics by name: the contract's seven, then mAP and AUC where there are."""
        values = {name: ratio.value() for name, ratio in self.ratios.items()}
        return values if self.curve is None else {**values, "AUC": self.curve.area()}

    def document(self) -> dict[str, float | int | str]:
        """The JSON document of ``hifa evaluate``."""
        values = self.values()
        return {
            **{name: values.pop(name) for name in METRICS},
            "queries": len(self.ids),
            "gallery": self.gallery,
            "skipped_queries": self.skipped,
            **values,
            "profile": self.profile.name,
            "definitions": self.profile.note,
        }

    def of_class(self, label: int) -> dict[str, float]:
        """The metrics over the queries of one class."""
        mine = self.labels == label
        return {
            name: Ratio(ratio.numerators[mine], ratio.denominators[mine]).value()
            for name, ratio in self.ratios.items()
        }


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class Difference(NamedTuple):
    """How two exports differ in a metric: first minus second, its 95 % interval, and p."""

    value: float
    interval: Interval
    p: float


def evaluate(
    export: Export,
    *,
    profile: str | Profile = "mi3dor",
    whole_list: bool = True,
    rows: int | None = None,
    name: str = "the export",
    talk: Talk = SILENT,
) -> Scores:
    """Ask for each photo which shapes are nearest, and score the answers.

    Args:
        export: photos and shapes with labels.
        profile: the definitions, or the name of one of ``metrics.PROFILES``.
        whole_list: also mAP, AUC and the curve, which need every rank. Without, only the ranks that
            the profile counts are sorted.
        rows: queries ranked at a time; by default what keeps memory small. The scores do not depend on it.
        name: what messages call the export.
        talk: shows progress over the queries.

    Raises:
        HifaError: there are no photos or no shapes, no photo has a class that a shape has, or there
            is no such profile.
    """
    chosen = _profile(profile)
    images, shapes = _both(export, name)
    sizes = np.bincount(shapes.labels[shapes.labels >= 0], minlength=max(len(export.classes), 1))
    counted = (images.labels >= 0) & (sizes[images.labels] > 0)
    if not counted.any():
        raise HifaError(
            f"no photo in {name} has a class that a shape has: both need labels of the same classes"
        )
    labels = images.labels[counted]
    whole_list = whole_list or chosen.whole_list
    best = None if whole_list else max(2 * int(sizes.max()), 32)
    vectors = images.vectors if counted.all() else images.vectors[counted]
    blocks = ranked(vectors, shapes.vectors, labels, shapes.labels, best=best, rows=rows)
    parts, hits_a_rank = _measured(
        _tracked(blocks, len(labels), len(shapes), rows, talk), labels, sizes, shapes, chosen, whole_list
    )
    return Scores(
        profile=chosen,
        ratios={key: _joined([part[key] for part in parts]) for key in parts[0]},
        curve=curve(hits_a_rank, len(labels)) if whole_list else None,
        ids=tuple(one for one, kept in zip(images.ids, counted.tolist(), strict=True) if kept),
        labels=labels,
        classes=export.classes,
        sizes=sizes,
        gallery=len(shapes),
        skipped=int((~counted).sum()),
    )


def _profile(profile: str | Profile) -> Profile:
    if isinstance(profile, Profile):
        return profile
    if profile not in PROFILES:
        raise HifaError(f"there is no profile '{profile}': choose one of {', '.join(PROFILES)}")
    return PROFILES[profile]


def _both(export: Export, name: str) -> tuple[Embeddings, Embeddings]:
    images = _present(export.images, f"{name} has no photos: export them too ('hifa export --images …')")
    return images, _present(
        export.shapes, f"{name} has no shapes: export them too ('hifa export --shapes …')"
    )


def _present(part: Embeddings | None, complaint: str) -> Embeddings:
    if part is None or not len(part):
        raise HifaError(complaint)
    return part


def _tracked(
    blocks: Iterable[Block], queries: int, gallery: int, rows: int | None, talk: Talk
) -> Iterable[Block]:
    """Progress where there is time to watch it."""
    total = -(-queries // (rows or rows_a_block(gallery)))
    if total < _LONG:
        return blocks
    return talk.track(blocks, f"rank {queries} photos against {gallery} shapes", total=total)


def _measured(
    blocks: Iterable[Block],
    labels: NDArray[np.int64],
    sizes: NDArray[np.int64],
    shapes: Embeddings,
    profile: Profile,
    whole_list: bool,
) -> tuple[list[dict[str, Ratio]], NDArray[np.int64]]:
    """The ratios of each block, and how many hits there are at each rank in all."""
    measures = profile.measures()
    if whole_list:
        measures["mAP"] = average_precision
    parts, hits_a_rank = [], np.zeros(len(shapes), dtype=np.int64)
    for block in blocks:
        hits = Hits.of(block.relevant(), sizes[labels[block.queries]], int(sizes.max()), len(shapes))
        parts.append({key: measure(hits) for key, measure in measures.items()})
        hits_a_rank += np.bincount(hits.rank - 1, minlength=len(shapes))
    return parts, hits_a_rank


def _joined(ratios: list[Ratio]) -> Ratio:
    return Ratio(
        np.concatenate([ratio.numerators for ratio in ratios]),
        np.concatenate([ratio.denominators for ratio in ratios]),
    )


def confidence(scores: Scores, *, resamples: int, seed: int = 0, level: float = 0.95) -> dict[str, Interval]:
    """Percentile bootstrap over queries: how much a metric depends on which photos were asked.

    Args:
        scores: of one export.
        resamples: how many times as many queries are drawn with replacement.
        seed: of the draws.
        level: of the interval.
    """
    sums = _sums(scores)
    draws = np.concatenate(
        [counts @ sums for counts in _draws(len(scores.ids), resamples, np.random.default_rng(seed))]
    )  # (R, 2M)
    values = draws[:, 0::2] / draws[:, 1::2]
    edges = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {key: Interval(*map(float, edge)) for key, edge in zip(scores.ratios, edges.T, strict=True)}


def _sums(scores: Scores) -> NDArray[np.float64]:
    """(Q, 2M): numerator and denominator of each metric in turn."""
    columns = [
        column for ratio in scores.ratios.values() for column in (ratio.numerators, ratio.denominators)
    ]
    return np.stack(columns, axis=1)


def _draws(queries: int, resamples: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """How often each query is drawn, (r, Q) at a time."""
    step = max(_CHUNK // queries, 1)
    for start in range(0, resamples, step):
        shape = (min(step, resamples - start), queries)
        drawn = generator.integers(queries, size=shape) + np.arange(shape[0])[:, None] * queries
        yield np.bincount(drawn.ravel(), minlength=shape[0] * queries).reshape(shape).astype(np.float64)


def significance(first: Scores, second: Scores, *, resamples: int, seed: int = 0) -> dict[str, Difference]:
    """Whether two exports differ on the photos that both were asked.

    The interval is a paired bootstrap over queries; p is two-sided, of the permutation test that
    exchanges the two exports' answers to a query at random (the exchange leaves the distribution
    unchanged if neither is better). One of ``resamples + 1`` is the least p there is.

    Raises:
        HifaError: they share no query, or were scored by different profiles.
    """
    if first.profile.name != second.profile.name:
        raise HifaError("only scores of one profile can be compared")
    mine, theirs = _paired(first, second)
    names = [name for name in first.ratios if name in second.ratios]
    a = _sums(first)[mine][:, : 2 * len(names)]
    b = _sums(second)[theirs][:, : 2 * len(names)]
    generator = np.random.default_rng(seed)
    observed = _gap(a.sum(axis=0), b.sum(axis=0))
    edges = np.quantile(
        np.concatenate([_gap(counts @ a, counts @ b) for counts in _draws(len(a), resamples, generator)]),
        [0.025, 0.975],
        axis=0,
    )
    p = _permuted(a, b, observed, resamples, generator)
    return {
        name: Difference(float(observed[i]), Interval(float(edges[0, i]), float(edges[1, i])), float(p[i]))
        for i, name in enumerate(names)
    }


def _gap(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    gap: NDArray[np.float64] = a[..., 0::2] / a[..., 1::2] - b[..., 0::2] / b[..., 1::2]
    return gap


def _permuted(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    observed: NDArray[np.float64],
    resamples: int,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """(M,) p: the share of exchanges that part the two at least as far."""
    as_far = np.ones(len(observed))
    step = max(_CHUNK // len(a), 1)
    for start in range(0, resamples, step):
        exchanged = generator.integers(2, size=(min(step, resamples - start), len(a))).astype(np.float64)
        moved = exchanged @ (b - a)
        gaps = _gap(a.sum(axis=0) + moved, b.sum(axis=0) - moved)
        as_far += (np.abs(gaps) >= np.abs(observed) - 1e-12).sum(axis=0)
    return as_far / (resamples + 1)


def _paired(first: Scores, second: Scores) -> tuple[list[int], list[int]]:
    """Rows of the queries that both have, with the same class."""
    if first.ids == second.ids:
        rows = list(range(len(first.ids)))
        return rows, rows
    where = {
        (one, second.classes[label]): row
        for row, (one, label) in enumerate(zip(second.ids, second.labels.tolist(), strict=True))
    }
    pairs = [
        (row, where[key])
        for row, (one, label) in enumerate(zip(first.ids, first.labels.tolist(), strict=True))
        if (key := (one, first.classes[label])) in where
    ]
    if not pairs:
        raise HifaError(
            "the two exports share no photo of the same id and class: compare exports of the same photos"
        )
    return [row for row, _ in pairs], [row for _, row in pairs]


def confusion(export: Export, *, best: int = 1, name: str = "the export") -> NDArray[np.float64]:
    """(classes, classes) share of a class's photos' ``best`` answers that are of each class.

    Rows of classes that no photo has, and answers of no class, are zero.

    Raises:
        HifaError: there are no photos or no shapes.
    """
    images, shapes = _both(export, name)
    n = len(export.classes)
    counts = np.zeros((n + 1, n + 1))  # the last row and column take what has no class
    for block in ranked(images.vectors, shapes.vectors, images.labels, shapes.labels, best=best):
        asked = np.repeat(images.labels[block.queries], block.keys.shape[1])
        np.add.at(counts, (asked, shapes.labels[block.rows().ravel()]), 1)
    totals = counts.sum(axis=1, keepdims=True)
    return (counts / np.where(totals > 0, totals, 1))[:n, :n]
