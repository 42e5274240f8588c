"""A convolutional trunk in two parts: early blocks that stay as they are, and the last ones, which train.

What the early part makes of a picture is computed once. Where its batch normalisation keeps its statistics,
the gradients of the last blocks are those of the whole network on the same pixels.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from hifa_cli.errors import HifaError


class Parts(NamedTuple):
    """The modules of a trunk in the order in which they run.

    Attributes:
        stem: before the first block.
        blocks: that can be trained or kept.
        top: between the last block and the pooling; trained with the last block.
    """

    stem: tuple[nn.Module, ...]
    blocks: tuple[nn.Module, ...]
    top: tuple[nn.Module, ...]


def parts_of(net: Any) -> Parts | None:
    """Return the parts of timm's EfficientNets and ResNets; None of any other model."""
    from timm.models.efficientnet import EfficientNet
    from timm.models.resnet import ResNet

    if isinstance(net, EfficientNet):
        return Parts((net.conv_stem, net.bn1), tuple(net.blocks), (net.conv_head, net.bn2))
    if isinstance(net, ResNet):
        stem, blocks = ("conv1", "bn1", "act1", "maxpool"), ("layer1", "layer2", "layer3", "layer4")
        return Parts(*(tuple(net.get_submodule(name) for name in names) for names in (stem, blocks, ())))
    return None


def split_at(net: Any, last: int, backbone: str) -> int:
    """Return how many blocks stay as they are if the last ones are trained.

    Args:
        net: the library's module.
        last: blocks to train.
        backbone: its name, for messages.

    Returns:
        The number of blocks.

    Raises:
        HifaError: the backbone has no such blocks, or fewer.
    """
    parts = parts_of(net)
    if parts is None:
        raise HifaError(
            f"--freeze blocks:{last} needs an EfficientNet or a ResNet of timm, not '{backbone}': "
            "use --freeze trunk or none"
        )
    if last > len(parts.blocks):
        raise HifaError(f"'{backbone}' has {len(parts.blocks)} blocks: --freeze blocks:{last} is too many")
    return len(parts.blocks) - last


def trained_parameters(net: Any, kept: int) -> Iterator[nn.Parameter]:
    """Yield the parameters behind the blocks that stay as they are.

    Args:
        net: the library's module, which can be split.
        kept: blocks that stay.
    """
    parts = parts_of(net)
    assert parts is not None
    for module in (*parts.blocks[kept:], *parts.top):
        yield from module.parameters()


def trained_modules(net: Any, last: int, backbone: str) -> Iterator[nn.Module]:
    """Yield every module of the last blocks and of what follows them.

    Args:
        net: the library's module.
        last: blocks to train.
        backbone: its name, for messages.

    Yields:
        Modules, those within others too.

    Raises:
        HifaError: the backbone has no such blocks, or fewer.
    """
    kept, parts = split_at(net, last, backbone), parts_of(net)
    assert parts is not None
    for module in (*parts.blocks[kept:], *parts.top):
        yield from module.modules()


def through(modules: Sequence[nn.Module], seen: Tensor) -> Tensor:
    """Run modules one after the other."""
    for module in modules:
        seen = module(seen)
    return seen
