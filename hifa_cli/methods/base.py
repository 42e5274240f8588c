"""Training methods: each owns the network and returns the loss terms of a batch by name, weighted."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hifa_cli import losses
from hifa_cli.config import TrainConfig
from hifa_cli.data.loader import Batch
from hifa_cli.models.network import Critic, Features, Network, TrunkFeatures
from hifa_cli.models.norms import DOMAINS
from hifa_cli.runtime.distributed import gathered, world
from hifa_cli.runtime.seeding import derive_seed, torch_stream
from hifa_cli.settings import documented

Terms = dict[str, Tensor]


def full_precision(like: Tensor) -> contextlib.AbstractContextManager[object]:
    """Switch autocast off on the tensor's device: centroids, kernels and critics need float32 products."""
    kind = like.device.type
    if torch.amp.is_autocast_available(kind):
        return torch.autocast(kind, enabled=False)
    return contextlib.nullcontext()


class Centroids(nn.Module):
    """Class centroids of one domain.

    Args:
        classes: C.
        dimension: D.
        keep: share of the old centroid, as in MSTN; absent classes keep theirs. None for the batch's own.
    """

    centroids: Tensor
    seen: Tensor

    def __init__(self, classes: int, dimension: int, keep: float | None) -> None:
        super().__init__()
        self.register_buffer("centroids", torch.zeros(classes, dimension))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.bool))
        self.keep = keep

    def forward(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return (C, D) centroids after this batch, with gradients through it, and (C,) which are known."""
        sums, counts = losses.class_sums(losses.at_least_float32(features), labels, len(self.seen))
        if self.keep is None:
            return losses.moving_centroids(
                torch.zeros_like(self.centroids), torch.zeros_like(self.seen), sums, counts, 0.0
            )
        now, known = losses.moving_centroids(self.centroids, self.seen, sums, counts, self.keep)
        if self.training:
            self.centroids, self.seen = now.detach(), known
        return now, known


class Objective(nn.Module):
    """A training method. Its critics and moving centroids are its parameters and buffers.

    Attributes:
        sees_shapes: whether a step needs shapes at all.
        reads_maps: whether it reads the low-level maps, which are large to keep.
        Settings: a dataclass of its own settings (int, float, str, bool or Literal, each with a default), for
            a method outside ``hifa_cli``; ``--set``, ``[train]`` and ``hifa_cli.train`` reach its fields.
        settings: its values in this run.
    """

    sees_shapes = True
    reads_maps = False
    Settings: ClassVar[type[Any] | None] = None

    def __init__(self, network: Network, config: TrainConfig, seed: int) -> None:
        super().__init__()
        self.network, self.config, self.seed = network, config, seed
        self.settings: Any = None
        if self.Settings is not None:
            self.settings = self.Settings(**documented(self.Settings, json.loads(config.own or "{}")))
        self.assigned: Tensor | None = None
        self._together: dict[tuple[int, str], TrunkFeatures] = {}  # of this step, not embedded yet
        self.watched: dict[str, Tensor] = {}  # signs of health, logged beside the losses

    def see(self, batch: Batch, step: int, domain: str) -> Features:
        """Embed one domain of the batch; dropout draws from a stream of its own for step and domain.

        Args:
            batch: photos and shapes of this process.
            step: number of the step, which seeds the dropout.
            domain: ``images`` or ``shapes``.

        Returns:
            Features of the *global* batch, of all processes, but for ``low``, which is this process's own.
        """
        rank = world().rank
        torch.manual_seed(derive_seed(self.seed, "dropout", step, domain, *([rank] if rank else [])))
        seen = batch.images if domain == "images" else batch.shapes
        if self.training and self.network.config.norm == "transnorm":
            seen = self._seen_together(batch, step, domain)
        elif self.config.chunk and isinstance(seen, Tensor):
            seen = self.network.look_in_chunks(seen, self.config.chunk, domain)
        mine: Features = self.network(seen, domain)
        features = Features(mine.low, *(gathered(part) for part in mine[1:]))
        self.watched[f"norm_{domain}"] = torch.linalg.vector_norm(
            features.pooled.detach().float(), dim=1
        ).mean()
        unit = torch.nn.functional.normalize(features.pooled.detach().float(), dim=1)
        self.watched[f"spread_{domain}"] = 1 - torch.linalg.vector_norm(unit.mean(dim=0))
        if domain == "shapes":  # a collapse shows here and in no loss: every shape takes one class
            guesses = torch.zeros(features.logits.shape[1], device=features.logits.device)
            guesses[features.logits.detach().argmax(dim=1)] = 1
            self.watched["predicted_classes"] = guesses.sum()
        return features

    def _seen_together(self, batch: Batch, step: int, domain: str) -> TrunkFeatures:
        """Return the trunk's features of a domain, of both of which one pass is made a step."""
        if (step, domain) not in self._together:
            found = self.network.looked_together(batch.images, batch.shapes)
            self._together = {(step, name): part for name, part in zip(DOMAINS, found, strict=True)}
        return self._together.pop((step, domain))

    def expect(self, shapes: int) -> None:
        """Make room for labels that ``shapes`` shapes get before training; checkpoints keep them."""
        if self.config.pseudo_labels != "argmax" and self.sees_shapes:
            delattr(self, "assigned")
            self.register_buffer("assigned", torch.zeros(shapes, dtype=torch.int64))

    def pseudo_labels(self, target: Features, batch: Batch) -> Tensor:
        """Return (B',) classes of the shapes: the classifier's arg-max (the paper's), or those assigned."""
        if self.assigned is None or batch.shape_rows is None:
            return target.logits.argmax(dim=1)
        return self.assigned[gathered(batch.shape_rows)]

    def forward(self, batch: Batch, step: int, progress: float) -> Terms:
        """Return the loss terms of ``batch`` at ``progress`` in [0, 1].

        Args:
            batch: photos with their classes, and shapes.
            step: number of the step, which seeds every draw.
            progress: share of the run that is done, 0 to 1; ramps of weights follow it.

        Returns:
            The terms by name, already weighted; their sum is what is minimised.
        """
        source = self.see(batch, step, "images")
        batch = batch._replace(labels=gathered(batch.labels))
        terms = {"classification": losses.classification(source.logits, batch.labels)}
        return terms | self.align(source, batch, step, progress)

    def align(self, source: Features, batch: Batch, step: int, progress: float) -> Terms:
        """Return the terms that this method adds to the classification of the photos.

        Args:
            source: features of the photos.
            batch: of photos and shapes.
            step: number of the step.
            progress: share of the run that is done, 0 to 1.

        Returns:
            The terms by name, already weighted.

        Raises:
            NotImplementedError: the method does not define it.
        """
        raise NotImplementedError

    def critic_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the method's own networks."""
        yield from ()

    @property
    def critic_rate(self) -> float:
        """Return the learning rate factor of those."""
        return self.config.critic_rate


class SourceOnly(Objective):
    """The table's row "AlexNet": equation 5 alone. The shapes are never looked at."""

    sees_shapes = False

    def align(self, source: Features, batch: Batch, step: int, progress: float) -> Terms:
        """Return no term: photos alone are classified.

        Args:
            source: features of the photos.
            batch: of photos and shapes.
            step: number of the step.
            progress: share of the run that is done, 0 to 1.

        Returns:
            An empty mapping.
        """
        return {}


class Hifa(Objective):
    """Equation 7: L_C + λ L_MI + β L_G + γ L_L. A term that is switched off is not built (the ablations).

    A weight of zero builds the term and lets it act on nothing but its own critic: the placebo arm of
    an ablation.
    """

    def __init__(
        self, network: Network, config: TrainConfig, seed: int, *, mutual: bool = True, local: bool = True,
        norms: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(network, config, seed)
        classes, dimension = network.classifier.out_features, network.dimension
        self.local, self.norms, self.reads_maps = local, norms, mutual
        self.critic = build_critic(network, seed) if mutual else None
        if local:
            keep = config.centroid_keep if config.centroids == "moving" else None
            self.source_centroids = Centroids(classes, dimension, keep)
            self.target_centroids = Centroids(classes, dimension, keep)

    def align(self, source: Features, batch: Batch, step: int, progress: float) -> Terms:
        """Return the terms of equation 7 after the first.

        Args:
            source: features of the photos.
            batch: of photos and shapes.
            step: number of the step.
            progress: share of the run that is done, 0 to 1; it ramps β and γ up.

        Returns:
            λ L_MI, β L_G and γ L_L, those that the method has.
        """
        target, config = self.see(batch, step, "shapes"), self.config
        terms: Terms = {}
        if self.norms:
            terms["global"] = config.weight_global * self.global_term(source, target)
        if self.local:
            gamma = losses.ramp(progress, config.ramp)
            terms["local"] = config.weight_local * gamma * self.local_term(source, target, batch)
        if self.critic is not None:
            terms["mutual_information"] = config.weight_mutual * self.mutual_term(source, target, step)
        return terms

    def global_term(self, source: Features, target: Features) -> Tensor:
        """Equation 4, on the photo's K_s and the shape's pooled K'_t."""
        squared = self.config.norm_penalty == "squared"
        return losses.feature_norm(source.pooled, self.config.radius, squared=squared) + losses.feature_norm(
            target.pooled, self.config.radius, squared=squared
        )

    def local_term(self, source: Features, target: Features, batch: Batch) -> Tensor:
        """Return equation 6 on the shapes' pseudo-labels, all used together; the paper's are the arg-max.

        Args:
            source: features of the photos.
            target: features of the shapes.
            batch: has the photos' classes, and the rows of the shapes that labels were assigned to.

        Returns:
            A scalar, not weighted yet.
        """
        with full_precision(source.pooled):
            of_source, source_known = self.source_centroids(source.pooled, batch.labels)
            of_target, target_known = self.target_centroids(target.pooled, self.pseudo_labels(target, batch))
            return losses.centroid_distance(
                of_source, of_target, source_known & target_known, scale=self.config.local_scale
            )

    def mutual_term(self, source: Features, target: Features, step: int) -> Tensor:
        """Return section 3.2's term: one critic for both domains, the sum over the domains of their means.

        Args:
            source: features of the photos, with maps.
            target: features of the shapes, with maps.
            step: number of the step, which pairs the items.

        Returns:
            A scalar, not weighted yet.
        """
        return sum(
            (
                self._mutual(features, step, domain)
                for domain, features in (("images", source), ("shapes", target))
            ),
            start=torch.zeros((), device=source.pooled.device),
        )

    def _mutual(self, features: Features, step: int, domain: str) -> Tensor:
        if features.pooled.shape[0] < 2:  # no other item to borrow from
            return features.pooled.sum() * 0
        generator = torch_stream(self.seed, "mutual", step, domain)
        shift = int(torch.randint(1, features.views.shape[0], (), generator=generator))
        low, high = features.low, features.views
        if self.config.mutual_pairs == "pooled":
            high = features.pooled.unsqueeze(1).expand_as(high)
        if 0 < self.config.mutual_views < high.shape[1]:
            some = torch.randperm(high.shape[1], generator=generator)[: self.config.mutual_views]
            low, high = low[:, some], high[:, some]
        mine = world().part  # the maps stay where they are: each process judges its own items' pairs
        real, fake = self.judge(low, mine(high), mine(losses.other_items(high, shift)))
        return losses.mutual_information(real, fake)

    def judge(self, low: Tensor, *highs: Tensor) -> tuple[Tensor, ...]:
        """Return the critic's logits for every view of every item, in float32."""
        if self.critic is None:
            raise RuntimeError("this method has no critic")
        with full_precision(low):
            logits: tuple[Tensor, ...] = self.critic(
                *(losses.at_least_float32(part.flatten(0, 1)) for part in (low, *highs))
            )
        return logits

    def critic_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the critic's parameters, where there is one."""
        if self.critic is not None:
            yield from self.critic.parameters()


def build_critic(network: Network, seed: int) -> Critic:
    """A critic for the network's maps, drawn from its own stream; tries the trunk on one grey picture."""
    size = network.config.size
    training = network.training
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        network.eval()
        low = network.trunk_features(
            torch.zeros(1, 1, 1, size, size, dtype=torch.uint8, device=network.mean.device)
        ).low
        network.train(training)
        torch.manual_seed(derive_seed(seed, "initialise", "critic"))
        return Critic(low.shape[2], low.shape[-1], network.dimension)
