"""Batch normalisation with statistics of photos and of shapes apart: AdaBN's and TransNorm's.

Which domain passes through is said around a forward pass (:func:`seen_as`), so that a trunk of any library
needs no argument for it; each thread has its own.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from hifa_cli.config import Norm
from hifa_cli.errors import HifaError
from hifa_cli.models.split import trained_modules

DOMAINS = ("images", "shapes")


class Statistics:
    """Means and variances of what passes each layer, over any number of batches.

    References:
        Li et al. 2016, section 3.3, which joins batches by Chan's formula; exact whatever the batches are.
    """

    def __init__(self) -> None:
        self.known: dict[DomainNorm, tuple[int, Tensor, Tensor]] = {}

    def add(self, layer: "DomainNorm", count: int, mean: Tensor, var: Tensor) -> None:
        """Join a batch's responses to those known.

        Args:
            layer: that they pass.
            count: of a channel's responses in this batch.
            mean: (C,) of the batch.
            var: (C,) of the batch, about its own mean.
        """
        mean, squares = mean.double(), var.double() * count
        if layer in self.known:
            before, known, about = self.known[layer]
            total, gap = before + count, mean - known
            squares = about + squares + gap.square() * (before * count / total)
            mean, count = known + gap * (count / total), total
        self.known[layer] = (count, mean, squares)

    def write(self) -> None:
        """Make them the statistics of shapes of every layer."""
        for layer, (count, mean, squares) in self.known.items():
            layer.shapes_mean.copy_(mean)
            layer.shapes_var.copy_(squares / count)


Passing = str | int | Statistics
_passing: ContextVar[Passing] = ContextVar("passing", default=DOMAINS[0])


@contextlib.contextmanager
def seen_as(passing: Passing) -> Iterator[None]:
    """Say what passes through the layers within the block.

    Args:
        passing: ``images`` or ``shapes``, by stored statistics; a number of pictures of photos, which a
            batch begins with and shapes follow, by the statistics of the batch, which are learned from; or
            ``Statistics`` to be filled, each layer by its own batch.
    """
    token = _passing.set(passing)
    try:
        yield
    finally:
        _passing.reset(token)


class DomainNorm(nn.BatchNorm2d):
    """A batch normalisation whose γ and β both domains share, and whose statistics they do not.

    ``running_mean`` and ``running_var`` are those of photos. Names of a plain layer keep their meaning, so
    that the weights of a plain network fill this one's photos.

    Args:
        plain: the layer that it takes the place of, with its parameters.
        kind: ``adabn``, or ``transnorm``, which multiplies by 1 + α.

    References:
        Li et al. 2016 (AdaBN), equation of section 3.2. Wang et al., NeurIPS 2019 (TransNorm), equations 2
        to 6; α gets no gradient and is of unbiased variances, as in the authors' code.
    """

    shapes_mean: Tensor
    shapes_var: Tensor

    def __init__(self, plain: nn.BatchNorm2d, kind: Norm) -> None:
        super().__init__(plain.num_features, plain.eps, plain.momentum, affine=False)
        self.kind = kind
        self.weight, self.bias = plain.weight, plain.bias
        self.affine = plain.affine
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            setattr(self, name, getattr(plain, name))
        assert self.running_mean is not None
        assert self.running_var is not None
        self.register_buffer("shapes_mean", self.running_mean.clone())
        self.register_buffer("shapes_var", self.running_var.clone())
        self.drop: nn.Module = getattr(plain, "drop", nn.Identity())  # timm's layers have an activation
        self.act: nn.Module = getattr(plain, "act", nn.Identity())
        self.train(plain.training)

    def forward(self, seen: Tensor) -> Tensor:
        """Normalise (N, C, H, W) responses by what passes; see :func:`seen_as`."""
        passing = _passing.get()
        if isinstance(passing, Statistics):
            made, mean, inverse = torch.native_batch_norm(
                seen, self.weight, self.bias, None, None, True, 0.0, self.eps
            )
            var = inverse.double() ** -2 - self.eps  # 1 / √(σ² + ε) is what comes back
            passing.add(self, seen.numel() // seen.shape[1], mean, var)
        elif isinstance(passing, int):
            made = self._together(seen, passing)
        else:
            made = self._stored(seen, passing)
        found: Tensor = self.act(self.drop(made))
        return found

    def _statistics(self, domain: str) -> tuple[Tensor, Tensor]:
        if domain == "shapes":
            return self.shapes_mean, self.shapes_var
        assert self.running_mean is not None
        assert self.running_var is not None
        return self.running_mean, self.running_var

    def _stored(self, seen: Tensor, domain: str) -> Tensor:
        mean, var = self._statistics(domain)
        made = nn.functional.batch_norm(seen, mean, var, self.weight, self.bias, False, 0.0, self.eps)
        if self.kind != "transnorm":
            return made
        alpha = transferability(self._statistics("images"), self._statistics("shapes"), self.eps)
        return made * (1 + alpha).to(made.dtype)[:, None, None]

    def _together(self, seen: Tensor, photos: int) -> Tensor:
        """Return ``photos`` pictures and the shapes behind them, each domain by its own batch."""
        made, found = [], []
        for domain, part in zip(DOMAINS, (seen[:photos], seen[photos:]), strict=True):
            mean, var = self._statistics(domain)
            made.append(
                nn.functional.batch_norm(
                    part, mean, var, self.weight, self.bias, True, self.momentum or 0.0, self.eps
                )
            )
            exact = part.detach() if part.dtype == torch.float64 else part.detach().float()
            spread, centre = torch.var_mean(exact, dim=(0, 2, 3))
            found.append((centre, spread))
        joined = torch.cat(made)
        if self.kind != "transnorm":
            return joined
        alpha = transferability(found[0], found[1], self.eps)
        return joined * (1 + alpha).to(joined.dtype)[:, None, None]


def transferability(photos: tuple[Tensor, Tensor], shapes: tuple[Tensor, Tensor], eps: float) -> Tensor:
    """Return (C,) α of TransNorm: large for channels that look alike in both domains; its mean is 1.

    Args:
        photos: (C,) means and variances.
        shapes: likewise.
        eps: added to variances.

    Returns:
        (C,) α.

    References:
        Wang et al., NeurIPS 2019: d = |μ_s / √(σ_s² + ε) − μ_t / √(σ_t² + ε)| (equation 4) and
        α = C (1 + d)⁻¹ / Σ (1 + d)⁻¹ (equation 5).
    """
    (mean_s, var_s), (mean_t, var_t) = photos, shapes
    distance = (mean_s / (var_s + eps).sqrt() - mean_t / (var_t + eps).sqrt()).abs()
    near = 1 / (1 + distance)
    return near.numel() * near / near.sum()


def separate(trunk: nn.Module, norm: Norm, backbone: str, last: int = 0) -> None:
    """Give a trunk's batch normalisations statistics of shapes, to begin with those of photos.

    Args:
        trunk: that is changed.
        norm: ``adabn`` or ``transnorm``.
        backbone: its name, for messages.
        last: how many of its last blocks; 0 is the whole trunk.

    Raises:
        HifaError: it has no batch normalisation there.
    """
    inside: set[Any] | None = None
    if last:
        inside = set(trained_modules(getattr(trunk, "net", None), last, backbone))
    found = {
        name: module
        for name, module in trunk.named_modules()
        if isinstance(module, nn.BatchNorm2d) and module.track_running_stats
        and (inside is None or module in inside)
    }  # fmt: skip
    if not found:
        raise HifaError(
            f"norm={norm} needs batch normalisation, which '{backbone}' has none of: use a backbone "
            "that has it, such as efficientnet_lite0 or resnet50, or --set norm=shared"
        )
    for name, module in found.items():
        trunk.set_submodule(name, DomainNorm(module, norm))


def plain_state(trunk: nn.Module, domain: str) -> dict[str, Tensor]:
    """Return the state that decides what a trunk makes of a domain's pictures.

    AdaBN's is that of a plain trunk with the statistics of that domain; so what a plain trunk made of photos
    counts for AdaBN's, too. TransNorm's α depends on both.

    Args:
        trunk: plain, or separated.
        domain: ``images`` or ``shapes``.
    """
    state: dict[str, Tensor] = trunk.state_dict()
    for name, module in trunk.named_modules():
        if isinstance(module, DomainNorm) and module.kind == "adabn":
            mean, var = state.pop(f"{name}.shapes_mean"), state.pop(f"{name}.shapes_var")
            if domain == "shapes":
                state |= {f"{name}.running_mean": mean, f"{name}.running_var": var}
    return state
