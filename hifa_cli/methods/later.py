"""Later methods: what domain adaptation came to after the paper, on the same batches and network.

Each adds the terms of its own paper; docs/methods.md lists what differs from what was published.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from hifa_cli import losses
from hifa_cli.data.loader import Batch
from hifa_cli.methods.base import Objective, Terms, full_precision
from hifa_cli.models.network import Features
from hifa_cli.runtime.distributed import gathered


class Mcc(Objective):
    """Minimum class confusion: the shapes' class probabilities are to overlap little.

    References:
        Jin et al., ECCV 2020; weight 1 and temperature 2.5 as in its code.
    """

    def align(self, source: Features, batch: Batch, step: int, progress: float) -> Terms:
        """Return the confusion of the shapes' predictions.

        Args:
            source: features of the photos; not used.
            batch: of photos and shapes.
            step: number of the step.
            progress: share of the run that is done, 0 to 1.

        Returns:
            The weighted term ``confusion``.
        """
        target, config = self.see(batch, step, "shapes"), self.config
        with full_precision(source.pooled):
            confusion = losses.class_confusion(target.logits, config.mcc_temperature)
        return {"confusion": config.mcc * confusion}


class Shot(Objective):
    """Source hypothesis transfer: the photos first, then the shapes, under a classifier they do not change.

    A memory holds the last embedding and class probabilities of every shape, from which the centroids of the
    self-labelling come (SHOT looks at all shapes once an epoch).

    References:
        Liang et al., ICML 2020: label smoothing 0.1, information maximisation, 0.3 · cross-entropy on labels
        of the nearest centroid.
    """

    memory: Tensor
    beliefs: Tensor
    known: Tensor
    first: Tensor

    def expect(self, shapes: int) -> None:
        """Make room for what is remembered of each shape; checkpoints keep it."""
        super().expect(shapes)
        classes, dimension = self.network.classifier.out_features, self.network.dimension
        self.register_buffer("memory", torch.zeros(shapes, dimension))
        self.register_buffer("beliefs", torch.zeros(shapes, classes))
        self.register_buffer("known", torch.zeros(shapes, dtype=torch.bool))
        self.register_buffer("first", torch.zeros(shapes, dtype=torch.int64))

    def forward(self, batch: Batch, step: int, progress: float) -> Terms:
        """Return the smoothed classification of the photos, and from ``shot_start`` on the shapes' terms.

        Args:
            batch: photos with their classes, and shapes.
            step: number of the step.
            progress: share of the run that is done, 0 to 1; the phase follows it.

        Returns:
            The terms by name, already weighted.
        """
        source = self.see(batch, step, "images")
        labels = gathered(batch.labels)
        smoothed = losses.smoothed_classification(source.logits, labels, self.config.shot_smoothing)
        batch = batch._replace(labels=labels)
        return {"classification": smoothed} | self.align(source, batch, step, progress)

    def align(self, source: Features, batch: Batch, step: int, progress: float) -> Terms:
        """Remember the shapes; after the photos' phase, make them sure, spread out and near a centroid.

        Args:
            source: features of the photos.
            batch: of photos and shapes.
            step: number of the step.
            progress: share of the run that is done, 0 to 1.

        Returns:
            No term in the photos' phase; after it those of the shapes.
        """
        target = self.see(batch, step, "shapes")
        logits = self.judged(target)
        rows = None if batch.shape_rows is None else gathered(batch.shape_rows)
        started = progress >= self.config.shot_start
        self.remember(target.pooled.detach(), logits.detach(), rows, started=started)
        if not started:
            return {}
        with full_precision(source.pooled):
            labels = self.self_labels(target.pooled.detach(), logits.detach(), rows)
            self_labelled = self.config.shot_labels * losses.classification(logits, labels)
            terms = {"information": losses.information_maximisation(logits), "self_labels": self_labelled}
            return terms | self.further(target, logits, rows)

    def further(self, target: Features, logits: Tensor, rows: Tensor | None) -> Terms:
        """Return no further term.

        Args:
            target: features of the shapes.
            logits: (B, C) of the shapes.
            rows: (B,) of the shapes among all that are remembered, or None.

        Returns:
            An empty mapping.
        """
        return {}

    def judged(self, target: Features) -> Tensor:
        """Return (B', C) logits of the shapes under a classifier that gets no gradient from them."""
        classifier = self.network.classifier
        return F.linear(target.pooled, classifier.weight.detach(), classifier.bias.detach())

    def remember(self, pooled: Tensor, logits: Tensor, rows: Tensor | None, *, started: bool) -> None:
        """Keep what the shapes of this batch are now; until ``started`` also what the photos made of them.

        Args:
            pooled: (B, D) embeddings of the shapes.
            logits: (B, C) of the shapes.
            rows: (B,) of the shapes among all that are remembered, or None.
            started: whether the shapes' phase has begun.
        """
        if rows is None or not self.training or not hasattr(self, "memory"):
            return
        self.memory[rows] = pooled.to(self.memory.dtype)
        self.beliefs[rows] = losses.at_least_float32(logits).softmax(dim=1).to(self.beliefs.dtype)
        fresh = rows if not started else rows[~self.known[rows]]
        self.first[fresh] = self.beliefs[fresh].argmax(dim=1)
        self.known[rows] = True

    def self_labels(self, pooled: Tensor, logits: Tensor, rows: Tensor | None) -> Tensor:
        """Return (B',) labels of this batch's shapes by the centroids of all that are remembered.

        Args:
            pooled: (B', D) embeddings of this batch's shapes.
            logits: (B', C) of them.
            rows: (B',) of them among all that are remembered, or None.

        Returns:
            (B',) int64 labels.
        """
        if rows is None or not hasattr(self, "memory") or not bool(self.known[rows].all()):
            now = losses.at_least_float32(logits).softmax(dim=1)
            return losses.centroid_labels(losses.at_least_float32(pooled), now)
        found = torch.zeros(len(self.known), dtype=torch.int64, device=rows.device)
        found[self.known] = losses.centroid_labels(self.memory[self.known], self.beliefs[self.known])
        return found[rows]


class PrototypeTransport(Shot):
    """MA's idea: SHOT, the classifier's rows carried to the shapes, and what the photos alone had taught.

    References:
        The code of MA (Wyyspace1203/MA, 2025): transport weight 1, 0.05 · 0.1 · distance to the nearest
        prototype, 0.01 · cross-entropy on the labels of the source model.
    """

    def further(self, target: Features, logits: Tensor, rows: Tensor | None) -> Terms:
        """Return the transport, the distance to the nearest prototype, and the labels from before it began.

        Args:
            target: features of the shapes.
            logits: (B, C) of the shapes.
            rows: (B,) of the shapes among all that are remembered, or None.

        Returns:
            The terms by name, already weighted.
        """
        config, prototypes = self.config, self.network.classifier.weight
        cost = losses.prototype_transport(prototypes, target.pooled, config.transport_temperature)
        near = losses.nearest_prototype(prototypes, target.pooled)
        terms = {"transport": config.transport * cost, "nearest": config.transport_nearest * near}
        if rows is not None and hasattr(self, "first"):
            kept = losses.classification(logits, self.first[rows])
            terms["distillation"] = config.transport_distillation * kept
        return terms
