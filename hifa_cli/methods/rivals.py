"""The deep methods that the paper compares with, and HIFA's own ancestors.

All see the same batches through the same network; each adds the terms of its own paper, with that paper's
settings where it gives them (docs/methods.md lists what differs from what was published).
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hifa_cli import losses
from hifa_cli.config import TrainConfig
from hifa_cli.data.loader import Batch
from hifa_cli.methods.base import Centroids, Objective, Terms, full_precision
from hifa_cli.models.network import Features, Network
from hifa_cli.runtime.seeding import derive_seed, torch_stream


class Discriminator(nn.Module):
    """Tells photos from shapes: D → width → width → 1, ReLU and dropout between.

    Dropout draws from a generator that is passed in, so that all processes of a run drop the same.

    References:
        Ganin and Lempitsky, ICML 2015; sizes as in the RevGrad code for MI3DOR and in MSTN's.
    """

    def __init__(self, dimension: int, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(dimension, width), nn.Linear(width, width), nn.Linear(width, 1)]
        )
        self.dropout = dropout

    def forward(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Return (B, D) embeddings to (B,) logits; a positive one says photo."""
        hidden = losses.at_least_float32(features)
        for layer in self.layers[:-1]:
            hidden = F.relu(layer(hidden))
            if self.training and self.dropout:
                kept = torch.rand(hidden.shape, generator=generator) >= self.dropout
                hidden = hidden * kept.to(hidden.device) / (1 - self.dropout)
        logits: Tensor = self.layers[-1](hidden).squeeze(1)
        return logits


class Dann(Objective):
    """RevGrad: a discriminator learns to tell the domains apart, the features to deceive it.

    References:
        Ganin and Lempitsky, ICML 2015. The reversed gradient grows as λ_p = 2 / (1 + e^(−10 p)) − 1.
    """

    def __init__(self, network: Network, config: TrainConfig, seed: int) -> None:
        super().__init__(network, config, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "initialise", "discriminator"))
            self.discriminator = Discriminator(
                network.dimension, config.adversarial_width, config.adversarial_dropout
            )
        self.weight_adversarial = config.adversarial

    @property
    def critic_rate(self) -> float:
        """Return the discriminator's learning rate factor."""
        return self.config.adversarial_rate

    def align(self, source: Features, batch: Batch, step: int, progress: float) -> Terms:
        """Return the domain loss on the descriptors.

        Args:
            source: features of the photos.
            batch: of photos and shapes.
            step: number of the step.
            progress: share of the run that is done, 0 to 1, which λ_p follows.

        Returns:
            The weighted term ``adversarial``.
        """
        target = self.see(batch, step, "shapes")
        return {"adversarial": self.adversarial_term(source, target, step, progress)}

    def adversarial_term(self, source: Features, target: Features, step: int, progress: float) -> Tensor:
        """Return the domain loss: the discriminator descends it at full weight, the features climb it by λ_p.

        Args:
            source: features of the photos.
            target: features of the shapes.
            step: number of the step, which seeds the discriminator's dropout.
            progress: share of the run that is done, 0 to 1.

        Returns:
            A scalar.
        """
        scale = losses.ramp(progress, self.config.ramp)
        generator = torch_stream(self.seed, "discriminator", step)
        with full_precision(source.pooled):
            photos, shapes = (
                self.discriminator(losses.reverse_gradient(part.pooled, scale), generator)
                for part in (source, target)
            )
            return self.weight_adversarial * losses.domain_classification(photos, shapes)

    def critic_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the discriminator's parameters."""
        yield from self.discriminator.parameters()


class Mstn(Dann):
    """Moving semantic transfer: a domain loss at a tenth, and the distance of moving class centroids.

    References:
        Xie et al., ICML 2018, and its AlexNet code: 0.1 · domain loss, mean square over classes and numbers,
        both ramped; shapes are labelled by the classifier's arg-max.
    """

    def __init__(self, network: Network, config: TrainConfig, seed: int) -> None:
        super().__init__(network, config, seed)
        classes, keep = network.classifier.out_features, config.centroid_keep
        self.source_centroids = Centroids(classes, network.dimension, keep)
        self.target_centroids = Centroids(classes, network.dimension, keep)
        self.weight_adversarial, self.weight_semantic = config.mstn_adversarial, config.mstn_semantic

    def align(self, source: Features, batch: Batch, step: int, progress: float) -> Terms:
        """Return the domain loss and the centroids' distance.

        Args:
            source: features of the photos.
            batch: of photos and shapes.
            step: number of the step.
            progress: share of the run that is done, 0 to 1.

        Returns:
            The weighted terms ``adversarial`` and ``semantic``.
        """
        target = self.see(batch, step, "shapes")
        with full_precision(source.pooled):
            of_source, source_known = self.source_centroids(source.pooled, batch.labels)
            of_target, target_known = self.target_centroids(target.pooled, self.pseudo_labels(target, batch))
            distance = losses.centroid_distance(
                of_source, of_target, source_known & target_known, scale="mean"
            )
        weight = self.weight_semantic * losses.ramp(progress, self.config.ramp)
        return {
            "adversarial": self.adversarial_term(source, target, step, progress),
            "semantic": weight * distance,
        }


class Dlea(Mstn):
    """In DLEA's style, not DLEA: RevGrad's domain loss at full weight and class centroids.

    References:
        Zhou et al., ACM MM 2019, published neither code nor the formula of its view attention; the views are
        max-pooled here, and the weights are RevGrad's and MSTN's.
    """

    def __init__(self, network: Network, config: TrainConfig, seed: int) -> None:
        super().__init__(network, config, seed)
        self.weight_adversarial, self.weight_semantic = config.adversarial, config.dlea_semantic


class Jan(Objective):
    """Joint adaptation: the discrepancy of the joint distribution of embedding and class probabilities.

    References:
        Long et al., ICML 2017, with the kernels of its PyTorch code.
    """

    def align(self, source: Features, batch: Batch, step: int, progress: float) -> Terms:
        """Return the JMMD of photos and shapes.

        Args:
            source: features of the photos.
            batch: of photos and shapes.
            step: number of the step.
            progress: share of the run that is done, 0 to 1.

        Returns:
            The weighted term ``discrepancy``.
        """
        target, config = self.see(batch, step, "shapes"), self.config
        kernels = (
            losses.Kernel(config.jan_kernels, config.jan_factor, None),
            losses.Kernel(1, config.jan_factor, config.jan_bandwidth),
        )
        with full_precision(source.pooled):
            of_photos, of_shapes = (
                (part.pooled, losses.at_least_float32(part.logits).softmax(dim=1))
                for part in (source, target)
            )
            distance = losses.joint_discrepancy(of_photos, of_shapes, kernels, estimator=config.jan_estimator)
        return {"discrepancy": config.jan * distance}


class Afn(Objective):
    """Adaptive feature norms, HAFN: equation 4 of HIFA with the weight of AFN's code.

    References:
        Xu et al., ICCV 2019. AFN's two phases and its dropout that keeps norms are left out.
    """

    def align(self, source: Features, batch: Batch, step: int, progress: float) -> Terms:
        """Return the penalty on the norms of both domains.

        Args:
            source: features of the photos.
            batch: of photos and shapes.
            step: number of the step.
            progress: share of the run that is done, 0 to 1.

        Returns:
            The weighted term ``norm``.
        """
        target = self.see(batch, step, "shapes")
        return {"norm": self.config.afn * (self.penalty(source.pooled) + self.penalty(target.pooled))}

    def penalty(self, features: Tensor) -> Tensor:
        """Return (mean norm − R)²."""
        return losses.feature_norm(features, self.config.radius, squared=True)


class Safn(Afn):
    """Adaptive feature norms, SAFN: every norm grows by a step.

    References:
        Xu et al., ICCV 2019, eq. 7.
    """

    def penalty(self, features: Tensor) -> Tensor:
        """Return the square of the step; its gradient pushes each norm outwards."""
        return losses.stepwise_norm(features, self.config.afn_step)


class Coral(Objective):
    """Deep CORAL: equal covariances of the last layer.

    References:
        Sun and Saenko, ECCV 2016 workshops.
    """

    def align(self, source: Features, batch: Batch, step: int, progress: float) -> Terms:
        """Return the distance of the covariances.

        Args:
            source: features of the photos.
            batch: of photos and shapes.
            step: number of the step.
            progress: share of the run that is done, 0 to 1.

        Returns:
            The weighted term ``covariance``.
        """
        target, layer = self.see(batch, step, "shapes"), self.config.coral_layer
        pairs = (source.logits, target.logits) if layer == "logits" else (source.pooled, target.pooled)
        with full_precision(source.pooled):
            return {"covariance": self.config.coral * losses.coral(*pairs)}
