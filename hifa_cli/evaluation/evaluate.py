"""The evaluation stage: an export with labels in both domains to scores."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hifa_cli.embeddings.io import Embeddings, Export
from hifa_cli.errors import HifaError
from hifa_cli.evaluation.metrics import (
    METRICS,
    PROFILES,
    TABLE,
    Curve,
    Hits,
    Profile,
    Ratio,
    curve,
)
from hifa_cli.runtime import progress
from hifa_cli.search.ranking import Block, ordered, ranked, rows_a_block

_LONG = 50  # blocks from which a bar is worth showing


@dataclass(frozen=True, repr=False)
class Scores:
    """The scores of an export by one profile.

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
        """Return the metrics by name: the contract's seven, then mAP and AUC where there are."""
        values = {name: ratio.value() for name, ratio in self.ratios.items()}
        return values if self.curve is None else {**values, "AUC": self.curve.area()}

    def document(self) -> dict[str, float | int | str]:
        """Return the JSON document of ``hifa evaluate``."""
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

    def to_dict(self) -> dict[str, float | int | str]:
        """Return the scores as the JSON document of ``hifa evaluate``."""
        return self.document()

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return the metrics over the queries of each class, by its name."""
        return {self.classes[label]: self.of_class(label) for label in sorted(set(self.labels.tolist()))}

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value:.3f}" for name, value in self.values().items() if name in METRICS)
        return f"Scores({values}; {len(self.ids)} photos, {self.gallery} shapes)"

    def __str__(self) -> str:
        values = self.values()
        lines = ["  ".join(f"{name:>7}" for name in values)]
        lines.append("  ".join(f"{value:7.3f}" for value in values.values()))
        skipped = f", {self.skipped} photos skipped" if self.skipped else ""
        lines.append(f"{len(self.ids)} photos, {self.gallery} shapes{skipped}; {self.profile.name}")
        return "\n".join(lines)

    def of_class(self, label: int) -> dict[str, float]:
        """Return the metrics over the queries of one class."""
        mine = self.labels == label
        return {
            name: Ratio(ratio.numerators[mine], ratio.denominators[mine]).value()
            for name, ratio in self.ratios.items()
        }


def evaluate(
    export: Export,
    *,
    profile: str | Profile = "mi3dor",
    whole_list: bool = True,
    rows: int | None = None,
    orders: NDArray[np.int64] | None = None,
    name: str = "the export",
) -> Scores:
    """Ask for each photo which shapes are nearest, and score the answers.

    Args:
        export: photos and shapes with labels.
        profile: the definitions, or the name of one of ``metrics.PROFILES``.
        whole_list: also mAP, AUC and the curve, which need every rank. Without, only the ranks that
            the profile counts are sorted.
        rows: queries ranked at a time; by default what keeps memory small. The scores do not depend on it.
        orders: (n, N) rows of the shapes, best first, for each photo, where something else than cosines
            ranked them; their vectors are then not looked at.
        name: what messages call the export.

    Returns:
        The scores.

    Raises:
        HifaError: the export has no photos or no shapes, no photo has a class that a shape has, or the
            profile does not exist.
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
    if orders is not None:
        blocks: Iterable[Block] = [ordered(orders[counted], labels, shapes.labels)]
    else:
        vectors = images.vectors if counted.all() else images.vectors[counted]
        blocks = ranked(vectors, shapes.vectors, labels, shapes.labels, best=best, rows=rows)
    parts, hits_a_rank = _measured(
        _tracked(blocks, len(labels), len(shapes), rows), labels, sizes, shapes, chosen, whole_list
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


def apart(export: Export, unlabelled: Sequence[str], name: str = "the export") -> tuple[Export, Export]:
    """Return the export with the photos of known classes alone, and with those of the others alone.

    Shapes of all classes stay in both, so that each photo is asked of the whole gallery.

    Args:
        export: photos and shapes with labels.
        unlabelled: classes that training had no photos of.
        name: of the export, for messages.

    Returns:
        Two exports: known classes, and the others.

    Raises:
        HifaError: a class is not in the export, or one of the parts has no photos.
    """
    if missing := sorted(set(unlabelled) - set(export.classes)):
        raise HifaError(f"{name} has no class '{missing[0]}': it has {', '.join(export.classes[:20])}")
    images, _ = _both(export, name)
    others = np.isin(images.labels, [export.classes.index(one) for one in unlabelled])
    parts = []
    for rows in (~others & (images.labels >= 0), others):
        if not rows.any():
            raise HifaError(
                f"{name} has no photos of {'the' if rows is others else 'other than the'} classes given"
            )
        chosen = np.flatnonzero(rows)
        ids = tuple(images.ids[row] for row in chosen)
        parts.append(replace(export, images=Embeddings(ids, images.labels[chosen], images.vectors[chosen])))
    return parts[0], parts[1]


def _profile(profile: str | Profile) -> Profile:
    if isinstance(profile, Profile):
        return profile
    if profile not in PROFILES:
        raise HifaError(f"unknown profile '{profile}': choose one of {', '.join(PROFILES)}")
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


def _tracked(blocks: Iterable[Block], queries: int, gallery: int, rows: int | None) -> Iterable[Block]:
    """Progress where there is time to watch it."""
    total = -(-queries // (rows or rows_a_block(gallery)))
    if total < _LONG:
        return blocks
    return progress.track(blocks, f"rank {queries} photos against {gallery} shapes", total=total)


def _measured(
    blocks: Iterable[Block],
    labels: NDArray[np.int64],
    sizes: NDArray[np.int64],
    shapes: Embeddings,
    profile: Profile,
    whole_list: bool,
) -> tuple[list[dict[str, Ratio]], NDArray[np.int64]]:
    """Return the ratios of each block, and how many hits there are at each rank in all."""
    measures = profile.measures()
    if whole_list:
        measures |= {one.name: one.measure for one in TABLE if one.whole_list and callable(one.measure)}
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


def confusion(export: Export, *, best: int = 1, name: str = "the export") -> NDArray[np.float64]:
    """Return (classes, classes) share of a class's photos' ``best`` answers that are of each class.

    Rows of classes that no photo has, and answers of no class, are zero.

    Args:
        export: photos and shapes with labels.
        best: answers of each photo that count.
        name: of the export, for messages.

    Returns:
        (classes, classes), rows summing to at most 1.

    Raises:
        HifaError: the export has no photos or no shapes.
    """
    images, shapes = _both(export, name)
    n = len(export.classes)
    counts = np.zeros((n + 1, n + 1))  # the last row and column take what has no class
    for block in ranked(images.vectors, shapes.vectors, images.labels, shapes.labels, best=best):
        asked = np.repeat(images.labels[block.queries], block.keys.shape[1])
        np.add.at(counts, (asked, shapes.labels[block.rows().ravel()]), 1)
    totals = counts.sum(axis=1, keepdims=True)
    return (counts / np.where(totals > 0, totals, 1))[:n, :n]
