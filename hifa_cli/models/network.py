"""The network that both domains share, the MI critic, and where their weights come from."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hifa_cli.config import ModelConfig
from hifa_cli.errors import HifaError, reason_of
from hifa_cli.models.about import CONFIG_FILE, read_about
from hifa_cli.models.backbones import OPENCLIP, TORCHVISION, Backbone, backbone_of
from hifa_cli.models.lite import PAIR, PAIR_SCALES, members
from hifa_cli.models.norms import DOMAINS, DomainNorm, seen_as, separate
from hifa_cli.models.split import parts_of, split_at, through, trained_parameters
from hifa_cli.runtime.atomic import written_file
from hifa_cli.settings import identity, stored_model

WEIGHTS_FILE = "model.safetensors"
NEAREST, QUANTILE = 5, 0.05  # of the gate: labelled photos compared with; share of these that stay out
SEMANTIC = 3.0  # weight of what ImageNet's classes mean, times its confidence
SCALE = 10.0  # length of each block of a centred input


class TrunkFeatures(NamedTuple):
    """The outputs of a trunk, before the bottleneck.

    Attributes:
        low: (B, V, c, h, w) low-level maps, I of section 3.2 (AlexNet: conv5 after its pooling).
        high: (B, V, F) what the bottleneck reads (AlexNet: fc7, 4096).
    """

    low: Tensor
    high: Tensor


class Features(NamedTuple):
    """The outputs of the network for a batch of photos (V = 1) or shapes (V = 12).

    Attributes:
        low: (B, V, c, h, w) low-level maps, I_s or I_t.
        views: (B, V, D) embedding of each view, K_s or K_t.
        pooled: (B, D) maximum (or mean) over views, K_s or K'_t.
        logits: (B, C) classifier F on the descriptor.
    """

    low: Tensor
    views: Tensor
    pooled: Tensor
    logits: Tensor


class Trunk(nn.Module):
    """The pretrained part of a network.

    Attributes:
        width: F, the length of what the bottleneck reads.
        net: the library's own module, where there is one.
    """

    width: int
    blocks: tuple[int, ...] = ()  # widths of the parts of ``high``; () is one part
    net: Any  # a class attribute would hide the submodule of this name

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, 3, H, W) normalised pixels to (N, c, h, w) maps and (N, F) features."""
        raise NotImplementedError

    def early(self, pixels: Tensor, kept: int) -> Tensor:
        """Return (N, c', h', w') maps of the first ``kept`` blocks."""
        parts = parts_of(self.net)
        assert parts is not None
        return through((*parts.stem, *parts.blocks[:kept]), pixels)

    def late(self, maps: Tensor, kept: int) -> tuple[Tensor, Tensor]:
        """Return what ``forward`` does, from the maps of the first ``kept`` blocks."""
        parts = parts_of(self.net)
        assert parts is not None
        low = through(parts.blocks[kept:], maps)
        return low, self.net.forward_head(through(parts.top, low), pre_logits=True)


class AlexNetTrunk(Trunk):
    """Torchvision's AlexNet up to fc7: the paper's backbone."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import alexnet

        whole = alexnet()
        self.features: nn.Module = whole.features
        self.avgpool: nn.Module = whole.avgpool
        self.classifier: nn.Module = whole.classifier[:6]  # dropout fc6 relu dropout fc7 relu
        self.width = 4096

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, 3, H, W) normalised pixels to (N, 256, 6, 6) and (N, 4096)."""
        low = self.avgpool(self.features(pixels))
        return low, self.classifier(low.flatten(1))


class TimmTrunk(Trunk):
    """Any timm image model: the map of its last stage and its pooled features."""

    def __init__(self, name: str, size: int = 0) -> None:
        super().__init__()
        self.net = timm_model(backbone_of(name), size)
        if not hasattr(self.net, "forward_intermediates"):
            raise HifaError(
                f"backbone '{name}' gives no intermediate maps in timm; choose another --backbone"
            )
        self.width = int(getattr(self.net, "head_hidden_size", None) or self.net.num_features)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, 3, H, W) normalised pixels to (N, c, h, w) and (N, F)."""
        final, maps = self.net.forward_intermediates(pixels, indices=1)
        return maps[0], self.net.forward_head(final, pre_logits=True)


class PairTrunk(Trunk):
    """Two networks that see the same pixels: the second one's maps, and the features of both side by side."""

    def __init__(self, backbone: str, size: int = 0) -> None:
        super().__init__()
        self.first, self.second = (TimmTrunk(name, size) for name in members(backbone))
        self.width = self.first.width + self.second.width

    @property
    def each(self) -> tuple[TimmTrunk, TimmTrunk]:
        """Return the two networks."""
        return self.first, self.second

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, 3, H, W) normalised pixels to (N, c, h, w) and (N, F)."""
        (_, first), (low, second) = self.first(pixels), self.second(pixels)
        return low, torch.cat((PAIR_SCALES[0] * first, PAIR_SCALES[1] * second), dim=1)


class LiteBlocks(TimmTrunk):
    """EfficientNet-Lite0, and four views of each picture: pooled, two earlier stages, and what ImageNet sees.

    ``high`` is [f 1280, averages of blocks[5] 192 and blocks[6] 320, s 1280]: f is the pooled feature and
    s = unit(Wcᵀ p), p the probabilities of ImageNet's classes and Wc the classifier less its mean row.
    """

    blocks = (1280, 192, 320, 1280)

    def __init__(self) -> None:
        super().__init__("efficientnet_lite0")
        import timm

        self.net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        self.width = sum(self.blocks)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, 3, H, W) normalised pixels to (N, 320, h, w) and (N, 3072)."""
        return self.late(self.early(pixels, 0), 0)

    def late(self, maps: Tensor, kept: int) -> tuple[Tensor, Tensor]:
        """Return what ``forward`` does, from the maps of the first ``kept`` blocks."""
        net, low = self.net, maps
        averages = [low.mean(dim=(2, 3))] if kept > 5 else []
        for number, block in enumerate(net.blocks[kept:], kept):
            low = block(low)
            if number >= 5:
                averages.append(low.mean(dim=(2, 3)))
        pooled = net.global_pool(net.bn2(net.conv_head(low)))
        probabilities = net.classifier(pooled).float().softmax(dim=1)
        rows = net.classifier.weight
        meant = nn.functional.normalize(probabilities @ (rows - rows.mean(dim=0)).float(), dim=1)
        return low, torch.cat((pooled, *averages, meant.to(pooled.dtype)), dim=1)

    def confidence(self, high: Tensor) -> Tensor:
        """Return (…, 1) the largest probability among ImageNet's classes."""
        classifier = self.net.classifier
        sure: Tensor = (
            classifier(high[..., : self.blocks[0]]).float().softmax(dim=-1).amax(dim=-1, keepdim=True)
        )
        return sure


class TorchvisionTrunk(Trunk):
    """Any torchvision classifier: the map before its global pooling and what its last layer reads."""

    def __init__(self, name: str, size: int = 0) -> None:
        super().__init__()
        from torchvision.models import get_model
        from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

        try:
            sized = {"image_size": size} if size and backbone_of(TORCHVISION + name).fixed else {}
            whole = get_model(name, weights=None, **sized).eval()
        except ValueError as error:
            raise HifaError(
                f"no backbone '{TORCHVISION}{name}': see torchvision.models.list_models()"
            ) from error
        nodes = get_graph_node_names(whole)[1]
        pooling = [
            at for at, node in enumerate(nodes) if "avgpool" in node or "avg_pool" in node or node == "mean"
        ]
        self.tokens = "encoder.ln" in nodes  # a vision transformer: patches in a row behind the class token
        last = [module for module in whole.modules() if isinstance(module, nn.Linear)]
        if not last or not (pooling or self.tokens):
            raise HifaError(f"backbone '{TORCHVISION}{name}' has no map that the critic could read")
        low = "encoder.ln" if self.tokens else nodes[pooling[-1] - 1]
        self.net = create_feature_extractor(whole, {low: "low", nodes[-2]: "high"})
        self.width = last[-1].in_features

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, 3, H, W) normalised pixels to (N, c, h, w) and (N, F)."""
        found = self.net(pixels)
        low = found["low"]
        if self.tokens:
            side = math.isqrt(low.shape[1] - 1)
            low = low[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        return low, found["high"]


def timm_model(
    row: Backbone, size: int, *, pretrained: bool = False, state: dict[str, Tensor] | None = None
) -> Any:
    """Build timm's model of a row without its classifier, for pictures of ``size`` pixels a side.

    Args:
        row: of the table of backbones.
        size: pixels a side; 0 means what its pretraining saw. Only a model of one fixed size asks.
        pretrained: whether its weights are fetched.
        state: a checkpoint of the model, which timm fits to this size and release.

    Returns:
        The model.

    Raises:
        HifaError: the model cannot be built for that size.
    """
    import timm

    sized: dict[str, Any] = {"img_size": size} if row.fixed and size else {}
    if state is not None:
        sized["pretrained_cfg_overlay"] = {"state_dict": state}
    try:
        built = timm.create_model(
            row.model, pretrained=pretrained or state is not None, num_classes=0, **sized
        )
        patch = getattr(getattr(built, "patch_embed", None), "patch_size", 0)
        if size and size < (patch if isinstance(patch, int) else max(patch)):
            raise ValueError("a patch is larger than the picture")
        return built
    except (TypeError, AssertionError, ValueError) as error:
        raise HifaError(
            f"backbone '{row.name}' cannot be built for pictures of {size or row.size} pixels: its "
            f"pretraining saw {row.size}, which --size 0 takes"
        ) from error


def build_trunk(backbone: str, size: int = 0, inputs: str = "pooled") -> Trunk:
    """Build the trunk called ``backbone``, with random weights, for pictures of ``size`` pixels a side.

    Args:
        backbone: its name.
        size: pixels a side; 0 means what its pretraining saw.
        inputs: ``pooled``, or ``blocks`` for ``LiteBlocks``.

    Returns:
        The trunk.

    Raises:
        HifaError: no such backbone, not for that size, or it has no ``blocks``.
    """
    if inputs == "blocks":
        if backbone != "efficientnet_lite0":
            raise HifaError(f"inputs=blocks needs efficientnet_lite0, not '{backbone}': --set inputs=pooled")
        return LiteBlocks()
    if backbone == "alexnet":
        return AlexNetTrunk()
    if backbone == PAIR:
        return PairTrunk(backbone, size)
    if backbone.startswith(TORCHVISION):
        return TorchvisionTrunk(backbone.removeprefix(TORCHVISION), size)
    if backbone.startswith(OPENCLIP):
        from hifa_cli.models.clip import ClipTrunk  # which is built on this module

        return ClipTrunk(backbone, size)
    return TimmTrunk(backbone, size)


class Network(nn.Module):
    """G and F of the paper: trunk, bottleneck, pooling over views, classifier (section 3.2).

    A photo is a shape seen once: pooling one view is the identity, so both domains take this one path.
    Where the input is centred each domain has its own centre, which training sets once.
    """

    bank: Tensor
    centres: Tensor
    photo_map: Tensor
    photo_shift: Tensor
    threshold: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = build_trunk(config.backbone, config.size, config.inputs)
        width = self.trunk.width
        self.dropout = nn.Dropout(config.dropout)
        self.bottleneck: nn.Module = nn.Linear(width, config.embedding) if config.embedding else nn.Identity()
        self.dimension = config.embedding or width
        self.classifier = nn.Linear(self.dimension, max(len(config.classes), 1))
        if config.pooling == "attention":
            self.attention = nn.Linear(self.dimension, 1, bias=False)
            nn.init.zeros_(self.attention.weight)  # the mean, to begin with
        if config.centred:
            self.register_buffer("centres", torch.zeros(len(DOMAINS), width))
        if config.descriptor == "fused":
            if config.bank % max(len(config.classes), 1):
                raise ValueError("a bank with places for other classes: train again with this version")
            self.register_buffer("bank", torch.zeros(config.bank, (self.trunk.blocks or (width,))[0]))
            self.register_buffer("threshold", torch.zeros(()))
        if config.mapped:
            own = (self.trunk.blocks or (width,))[0]
            self.register_buffer("photo_map", torch.zeros(own, own))
            self.register_buffer("photo_shift", torch.zeros(own))
        if config.norm != "shared":
            self.separate_norms()
        self.kept = -1  # blocks of the trunk that stay as they are while the others are trained; see split
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)
        self.to(memory_format=torch.channels_last)  # a quarter faster on CPUs and on tensor cores

    def separate_norms(self) -> None:
        """Give the batch normalisations statistics of shapes apart, as the configuration says.

        Raises:
            HifaError: the backbone has none.
        """
        separate(self.trunk, self.config.norm, self.config.backbone, self.config.norm_last)

    def trunk_features(self, pixels: Tensor, domain: str = "images") -> TrunkFeatures:
        """Run the trunk on (B, V, 1 or 3, H, W) uint8 pixels; grey views are seen as RGB.

        Args:
            pixels: of photos or of shapes.
            domain: ``images`` or ``shapes``: by whose statistics batches are normalised where they differ.
        """
        with seen_as(domain):  # within: the backward pass of a checkpoint may run in another thread
            low, high = self.trunk(self.normalised(pixels))
        return TrunkFeatures(low.unflatten(0, pixels.shape[:2]), high.unflatten(0, pixels.shape[:2]))

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return (N, 3, H, W) of (B, V, 1 or 3, H, W) uint8 pixels."""
        flat = pixels.flatten(0, 1).expand(-1, 3, -1, -1).to(self.mean.dtype) / 255
        return ((flat - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def split(self, last: int) -> None:
        """Train the last blocks of the trunk, and let the others stay as they are.

        Raises:
            HifaError: the trunk has no such blocks, or fewer.
        """
        net = getattr(self.trunk, "net", None)
        self.kept = split_at(net, last, self.config.backbone)
        self.trunk.requires_grad_(False)
        for parameter in trained_parameters(net, self.kept):
            parameter.requires_grad_(True)

    def early_maps(self, pixels: Tensor, domain: str = "images") -> TrunkFeatures:
        """Return what the blocks that stay make of (B, V, 1 or 3, H, W) pixels; ``high`` is (B, V, 0)."""
        with seen_as(domain):
            maps = self.trunk.early(self.normalised(pixels), self.kept).unflatten(0, pixels.shape[:2])
        return TrunkFeatures(maps, maps.new_empty(*pixels.shape[:2], 0))

    def looked(self, seen: Tensor | TrunkFeatures, domain: str = "images") -> TrunkFeatures:
        """Return the trunk's features of pixels, of early maps, or as they are."""
        if not isinstance(seen, TrunkFeatures):
            return self.trunk_features(seen, domain)
        if seen.high.shape[-1]:
            return seen
        with seen_as(domain):
            low, high = self.trunk.late(_flat(seen), self.kept)
        return TrunkFeatures(*(part.unflatten(0, seen.low.shape[:2]) for part in (low, high)))

    def looked_together(
        self, photos: Tensor | TrunkFeatures, shapes: Tensor | TrunkFeatures
    ) -> tuple[TrunkFeatures, TrunkFeatures]:
        """Return the trunk's features of both domains in one pass, by the statistics of this very batch.

        Args:
            photos: (B, 1, 3, H, W) uint8 pixels, or what the early blocks made of them.
            shapes: (B', V, 1 or 3, H, W) pixels, or maps.

        Returns:
            Features of the photos and of the shapes. Stored statistics move towards the batch's.
        """
        pair = (photos, shapes)
        sizes = [(one.low if isinstance(one, TrunkFeatures) else one).shape[:2] for one in pair]
        flat = [_flat(one) if isinstance(one, TrunkFeatures) else self.normalised(one) for one in pair]
        with seen_as(len(flat[0])):
            joined = torch.cat(flat)
            made = self.trunk(joined) if self.kept < 0 else self.trunk.late(joined, self.kept)
        low, high = (part.split([len(one) for one in flat]) for part in made)
        found = [
            TrunkFeatures(*(part.unflatten(0, size) for part in parts))
            for *parts, size in zip(low, high, sizes, strict=True)
        ]
        return found[0], found[1]

    def look_in_chunks(self, pixels: Tensor, chunk: int, domain: str = "images") -> TrunkFeatures:
        """Look at some pictures at a time, and again in the backward pass.

        Only one chunk's activations are held at once, and the losses still see the whole batch: equations 4
        and 6 stay exact, which accumulating gradients over small batches does not keep.

        Args:
            pixels: (B, V, 1 or 3, H, W) uint8.
            chunk: pictures at a time.
            domain: ``images`` or ``shapes``, whose statistics count where they differ.

        Returns:
            What ``trunk_features`` returns.
        """
        flat = pixels.flatten(0, 1).unsqueeze(1)
        parts = [
            checkpoint(self.trunk_features, part, domain, use_reentrant=False) for part in flat.split(chunk)
        ]
        low, high = (torch.cat([part[i] for part in parts]).squeeze(1) for i in range(2))
        return TrunkFeatures(low.unflatten(0, pixels.shape[:2]), high.unflatten(0, pixels.shape[:2]))

    def forward(self, seen: Tensor | TrunkFeatures, domain: str = "images") -> Features:
        """Embed (B, V, 1 or 3, H, W) uint8 pixels, or what ``trunk_features`` made of them.

        Args:
            seen: the pictures.
            domain: ``images`` or ``shapes``: whose centre is taken away where the input is centred, and by
                whose statistics batches are normalised where those differ.
        """
        low, high = self.looked(seen, domain)
        views = self.bottleneck(self.dropout(self.centred(self.mapped(high, domain), domain)))
        if self.config.embedding_relu:
            views = views.relu()
        pooled = self.pooled(views)
        return Features(low, views, pooled, self.classifier(pooled))

    def pooled(self, views: Tensor) -> Tensor:
        """Return (B, D) of (B, V, D): maximum, mean, or a mean by weights softmax_v(a · view).

        Only what the pooled descriptors of shapes are trained for moves a: a photo's one view has weight 1.
        """
        if self.config.pooling == "attention":
            scores: Tensor = self.attention(views)
            exact = scores if scores.dtype == torch.float64 else scores.float()
            weights = exact.softmax(dim=1).to(views.dtype)
            blended: Tensor = (weights * views).sum(dim=1)
            return blended
        return views.amax(dim=1) if self.config.pooling == "max" else views.mean(dim=1)

    def mapped(self, high: Tensor, domain: str = "images") -> Tensor:
        """Return (…, F) with photos' pooled feature moved by the map of the first stage, where there is one.

        The unit feature x becomes unit(x + D x + b), as in a gallery's own map; its length stays. Shapes stay
        as they are.
        """
        if not self.config.mapped or domain == "shapes":
            return high
        unit = nn.functional.normalize
        plain, rest = high.split((len(self.photo_shift), high.shape[-1] - len(self.photo_shift)), dim=-1)
        length = plain.float().norm(dim=-1, keepdim=True)
        plain = unit(plain.float(), dim=-1)
        moved = unit(plain + plain @ self.photo_map.T + self.photo_shift, dim=-1)
        return torch.cat(((length * moved).to(high.dtype), rest), dim=-1)

    def centred(self, high: Tensor, domain: str) -> Tensor:
        """Return (B, V, F) less the domain's centre, each block of length 10; as it is where not centred."""
        if not self.config.centred:
            return high
        moved = high - self.centres[DOMAINS.index(domain)].to(high.dtype)
        parts = moved.split(self.trunk.blocks or (self.trunk.width,), dim=2)
        return SCALE * torch.cat([nn.functional.normalize(part, dim=2) for part in parts], dim=2)

    def describe(self, seen: Tensor | TrunkFeatures, domain: str) -> tuple[Tensor, Tensor]:
        """Return what is compared, by plain cosine: a vector for each view and one for each item.

        ``embedding`` gives the embeddings. ``fused`` joins three unit vectors: the embedding, the square
        roots of the class probabilities, and what the untrained trunk says. A photo that is unlike every
        labelled photo keeps the last alone, so that it is answered as without training.

        Args:
            seen: (B, V, 1 or 3, H, W) uint8 pixels, or what ``trunk_features`` made of them.
            domain: ``images`` or ``shapes``.

        Returns:
            (B, V, d) of the views and (B, d) of the items.
        """
        looked = self.looked(seen, domain)
        found = self(looked, domain)
        if self.config.descriptor == "embedding":
            return found.views, found.pooled
        views = self.untrained(looked.high, domain)
        inside = self.inside(looked.high) if domain == "images" else None
        return (
            self._fused(found.views, views, inside),
            self._fused(found.pooled, views.mean(dim=1), None if inside is None else inside.amax(dim=1)),
        )

    def _fused(self, embeddings: Tensor, untrained: Tensor, inside: Tensor | None) -> Tensor:
        scores = self.classifier(embeddings).float().softmax(dim=-1).sqrt()
        unit = nn.functional.normalize
        trained = torch.cat((unit(embeddings.float(), dim=-1), scores), dim=-1)
        if inside is not None:
            trained = trained * inside
        return torch.cat((trained, unit(untrained, dim=-1)), dim=-1)

    def untrained(self, high: Tensor, domain: str) -> Tensor:
        """Return (B, V, f) unit vectors of the trunk alone; a photo's with what ImageNet sees."""
        width = (self.trunk.blocks or (self.trunk.width,))[0]
        plain = nn.functional.normalize(self.mapped(high, domain)[..., :width].float(), dim=-1)
        if domain == "shapes" or not isinstance(self.trunk, LiteBlocks):
            return plain
        sure = self.trunk.confidence(high)
        return nn.functional.normalize(plain + SEMANTIC * sure * high[..., -width:].float(), dim=-1)

    def untrained_part(self, seen: Tensor | TrunkFeatures) -> Tensor:
        """Return (B, V, d) descriptors of photos that hold the trunk's own feature alone: the very part.

        Neither what was trained nor what ImageNet sees counts; both would say of which kind a thing is.
        """
        high = self.mapped(self.looked(seen).high)
        plain = nn.functional.normalize(high[..., : self.residual].float(), dim=-1)
        return nn.functional.pad(plain, (self.described - self.residual, 0))

    def likeness(self, high: Tensor) -> Tensor:
        """Return (…, bank) cosines of photos with the labelled photos of the bank, centred."""
        width = self.bank.shape[1]
        moved = self.mapped(high)[..., :width].float()
        if self.config.centred:
            moved = moved - self.centres[0, :width]
        return nn.functional.normalize(moved, dim=-1) @ self.bank.T

    def inside(self, high: Tensor) -> Tensor:
        """Return (B, V, 1): 1 where a photo is as near to those of a class as these to each other, else 0."""
        return (self.nearness(self.likeness(high)).amax(dim=-1, keepdim=True) > self.threshold).float()

    def nearness(self, cosines: Tensor) -> Tensor:
        """Return (…, C) mean cosines to the nearest photos of each class, of (…, bank) cosines.

        The bank has the classes' photos in turn, equally many places each: those of a small class are there
        several times, so that large classes do not close the gate to it.
        """
        by_class = cosines.unflatten(-1, (len(self.config.classes), -1))
        nearest: Tensor = by_class.topk(min(NEAREST, by_class.shape[-1]), dim=-1).values
        return nearest.mean(dim=-1)

    @property
    def described(self) -> int:
        """Return the length of a descriptor."""
        if self.config.descriptor == "embedding":
            return self.dimension
        return self.dimension + len(self.config.classes) + self.residual

    @property
    def residual(self) -> int:
        """Return how many numbers at the end of a fused descriptor are the untrained trunk's."""
        return (self.trunk.blocks or (self.trunk.width,))[0]

    def train(self, mode: bool = True) -> "Network":
        """Batch normalisation keeps its pretrained statistics where the configuration says so.

        Otherwise merely passing the target's views through shared statistics would change the source
        features, and every comparison with a source-only network would be confounded.
        """
        super().train(mode)
        if self.config.freeze_norm:
            for module in self.trunk.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm) and not self._learns(module):
                    module.eval()
        return self

    @staticmethod
    def _learns(module: nn.Module) -> bool:
        """Return whether a normalisation learns its statistics, apart for each domain."""
        return isinstance(module, DomainNorm) and module.kind == "transnorm"

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the bottleneck and the classifier, which start from scratch."""
        yield from self.bottleneck.parameters()
        yield from self.classifier.parameters()
        if self.config.pooling == "attention":
            yield from self.attention.parameters()


def _flat(maps: TrunkFeatures) -> Tensor:
    """Return (B V, c, h, w) of early maps."""
    return maps.low.flatten(0, 1).contiguous(memory_format=torch.channels_last)


class Critic(nn.Module):
    """T of equation 2: tells a map with its own embedding from a map with another item's.

    The concatenate-and-convolve discriminator of Hjelm et al. 2019: two 3 x 3 convolutions (64, 32)
    over the map, then the embedding joins and three layers (512, 512, 1) follow. For the paper's
    256 x 6 x 6 map the flattened width is 32 * 2 * 2 + 256 = 384. Maps of fewer than five pixels a side
    are padded so that the convolutions have something to see.
    """

    def __init__(self, channels: int, side: int, dimension: int) -> None:
        super().__init__()
        padding = 0 if side >= 5 else 1
        self.convolve = nn.Sequential(
            nn.Conv2d(channels, 64, 3, padding=padding),
            nn.ReLU(),
            nn.Conv2d(64, 32, 3, padding=padding),
            nn.Flatten(),
        )
        left = side - 4 + 4 * padding
        self.judge = nn.Sequential(
            nn.Linear(32 * left * left + dimension, 512),
            nn.ReLU(),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Linear(512, 1),
        )

    def forward(self, low: Tensor, *highs: Tensor) -> tuple[Tensor, ...]:
        """Return (N, c, h, w) maps and any number of (N, D) embeddings to (N,) logits each.

        The maps are convolved once: real and fake pairs share them.
        """
        convolved = self.convolve(low)
        return tuple(self.judge(torch.cat((high, convolved), dim=1)).squeeze(1) for high in highs)


def digest(network: Network) -> str:
    """SHA-256 over the names, shapes and values of the weights and over the configuration."""
    total = hashlib.sha256(json.dumps(identity(network.config), sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        total.update(f"{name}{tuple(tensor.shape)}".encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def write_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file; tensors that share their memory, as some modules' do, each by itself.

    Args:
        tensors: by name.
        path: of the file.
        metadata: texts by name.

    Raises:
        HifaError: it cannot be written: the disk is full, for one.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    places = Counter(tensor.untyped_storage().data_ptr() for tensor in tensors.values())
    own = {
        name: tensor.clone() if places[tensor.untyped_storage().data_ptr()] > 1 else tensor
        for name, tensor in tensors.items()
    }
    try:
        save_file(own, path, metadata=metadata)
    except SafetensorError as error:
        raise HifaError(
            f"cannot write weights in {path.parent}: {error}; make room or choose another --out"
        ) from error


def save_network(network: Network, folder: Path, **about: object) -> None:
    """Write the weights (safetensors) and the configuration (JSON) into ``folder``."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with written_file(folder / WEIGHTS_FILE) as path:
        write_tensors(tensors, path)
    document = {"schema": 1, "digest": digest(network), "model": asdict(network.config), **about}
    with written_file(folder / CONFIG_FILE) as path:
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _check_head(config: ModelConfig, path: Path) -> None:
    """Return whether the head that is described is as large as the stored one, before memory is taken for it.

    Raises:
        ValueError: it is not.
    """
    from safetensors import safe_open

    wanted = {"classifier.weight": max(len(config.classes), 1)}
    if config.embedding:
        wanted["bottleneck.weight"] = config.embedding
    with safe_open(path, "pt") as file:
        there = set(file.keys())
        for name, rows in wanted.items():
            if name not in there or file.get_slice(name).get_shape()[:1] != [rows]:
                raise ValueError(f"no {name} of {rows} rows")


def load_network(folder: Path) -> Network:
    """Read a network that ``save_network`` wrote, in evaluation mode on the CPU.

    Raises:
        HifaError: no model exists in ``folder`` or its files do not fit each other.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = stored_model(read_about(folder).get("model"))
    except ValueError as error:
        raise HifaError(
            f"{folder / CONFIG_FILE} describes no network that this version of hifa knows ({error})"
        ) from error
    try:
        _check_head(config, folder / WEIGHTS_FILE)
        network = Network(config)
        state = load_file(folder / WEIGHTS_FILE)
        if not all(torch.isfinite(tensor).all() for tensor in state.values()):
            raise ValueError("weights that are not finite")
        network.load_state_dict(state)
    except (OSError, SafetensorError, RuntimeError, TypeError, ValueError) as error:
        raise HifaError(
            f"cannot load the model in {folder}: {_why(error)}; train again or restore the file"
        ) from error
    return network.eval()


def _why(error: Exception) -> str:
    """Return why stored weights are none of their network's."""
    if isinstance(error, OSError) and error.errno is not None:
        return reason_of(error)
    if isinstance(error, ValueError):
        return str(error)  # ours
    return f"{WEIGHTS_FILE} is damaged, or of another network than {CONFIG_FILE} describes"
