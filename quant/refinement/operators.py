"""Compute the operators of a float graph with torch, so that a loss can be traced back to weights.

Known are those that Real-ESRGAN's networks and their lowered forms are made of, and that compute
the same at any size of the picture: a network is refined on small crops.
"""

from collections.abc import Callable, Mapping
from typing import Any

import onnx
import torch
from torch.nn import functional

from calib.errors import UsageError
from calib.graph import GraphIndex, attribute_of
from quant.analysis.concats import joins_channels
from quant.passes.lowering.patterns import enlargement

Operation = Callable[..., torch.Tensor]


def operation(index: GraphIndex, node: onnx.NodeProto) -> Operation:
    """Return what computes a node's output from its operands, float32 tensors in order.

    Args:
        index: the graph.
        node: the node; an operand that it leaves out is ``None``.

    Raises:
        UsageError: the operator, or how it is used, is none that can be refined through.
    """
    make = _MAKERS.get(node.op_type)
    made = None if make is None else make(index, node)
    if made is None:
        raise UsageError(
            f"--effort high cannot refine through {node.op_type} of node {node.name!r}; known are "
            f"{', '.join(sorted(_MAKERS))}, as Real-ESRGAN's networks use them: build with "
            "--effort normal"
        )
    return made


def require_refinable(index: GraphIndex) -> None:
    """Refuse a graph that cannot be refined through, before anything is calibrated for it.

    Raises:
        UsageError: it holds an operator that is not known here, or used in a way that is not.
    """
    for node in index.nodes:
        if node.op_type != "Constant":
            operation(index, node)


def _plain_padding(node: onnx.NodeProto) -> tuple[int, int] | None:
    """Return the padding along both axes if it is stated, and the same on either side."""
    top, left, bottom, right = attribute_of(node, "pads", [0] * 4)
    stated = attribute_of(node, "auto_pad", b"NOTSET") == b"NOTSET"
    return (top, left) if stated and (top, left) == (bottom, right) else None


def _convolution(index: GraphIndex, node: onnx.NodeProto) -> Operation | None:
    padding = _plain_padding(node)
    if padding is None or not index.is_constant(node.input[1]):
        return None
    options: dict[str, Any] = {
        "stride": list(attribute_of(node, "strides", [1, 1])),
        "padding": padding,
        "dilation": list(attribute_of(node, "dilations", [1, 1])),
        "groups": attribute_of(node, "group", 1),
    }
    return lambda x, weight, bias=None: functional.conv2d(x, weight, bias, **options)


def _transposed_convolution(index: GraphIndex, node: onnx.NodeProto) -> Operation | None:
    padding = _plain_padding(node)
    stated = attribute_of(node, "output_shape", None) is not None
    if padding is None or stated or not index.is_constant(node.input[1]):
        return None
    options: dict[str, Any] = {
        "stride": list(attribute_of(node, "strides", [1, 1])),
        "padding": padding,
        "output_padding": list(attribute_of(node, "output_padding", [0, 0])),
        "dilation": list(attribute_of(node, "dilations", [1, 1])),
        "groups": attribute_of(node, "group", 1),
    }
    return lambda x, weight, bias=None: functional.conv_transpose2d(x, weight, bias, **options)


def _leaky_relu(_: GraphIndex, node: onnx.NodeProto) -> Operation:
    slope = attribute_of(node, "alpha", 0.01)
    return lambda x: functional.leaky_relu(x, slope)


def _prelu(index: GraphIndex, node: onnx.NodeProto) -> Operation | None:
    slopes = index.constant(node.input[1])
    if slopes is None or slopes.ndim not in {1, 3, 4} or slopes.size != max(slopes.shape):
        return None
    return lambda x, slope: functional.prelu(x, slope.reshape(-1))


def _resize(index: GraphIndex, node: onnx.NodeProto) -> Operation | None:
    factor = enlargement(index, node)
    if factor is None:
        return None
    return lambda x, *_: functional.interpolate(x, scale_factor=factor, mode="nearest")


def _depth_to_space(_: GraphIndex, node: onnx.NodeProto) -> Operation:
    block = attribute_of(node, "blocksize", 1)
    if attribute_of(node, "mode", b"DCR") == b"CRD":
        return lambda x: functional.pixel_shuffle(x, block)

    def shuffled(x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        apart = x.reshape(batch, block, block, channels // block**2, height, width)
        together = apart.permute(0, 3, 4, 1, 5, 2)
        return together.reshape(batch, channels // block**2, height * block, width * block)

    return shuffled


def _space_to_depth(_: GraphIndex, node: onnx.NodeProto) -> Operation:
    block = attribute_of(node, "blocksize", 1)

    def unshuffled(x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        apart = x.reshape(batch, channels, height // block, block, width // block, block)
        together = apart.permute(0, 3, 5, 1, 2, 4)
        return together.reshape(batch, channels * block**2, height // block, width // block)

    return unshuffled


def _concat(index: GraphIndex, node: onnx.NodeProto) -> Operation | None:
    if not joins_channels(index, node):
        return None
    return lambda *operands: torch.cat(operands, dim=1)


def _clip(index: GraphIndex, node: onnx.NodeProto) -> Operation | None:
    bounds = [index.constant(name) for name in node.input[1:] if name]
    if any(bound is None for bound in bounds):
        return None
    return lambda x, low=None, high=None: torch.clamp(x, low, high)


_MAKERS: Mapping[str, Callable[[GraphIndex, onnx.NodeProto], Operation | None]] = {
    "Add": lambda *_: torch.add,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "DepthToSpace": _depth_to_space,
    "Identity": lambda *_: lambda x: x,
    "LeakyRelu": _leaky_relu,
    "Max": lambda *_: torch.maximum,
    "Mul": lambda *_: torch.mul,
    "PRelu": _prelu,
    "Relu": lambda *_: torch.relu,
    "Resize": _resize,
    "SpaceToDepth": _space_to_depth,
    "Sub": lambda *_: torch.sub,
}
