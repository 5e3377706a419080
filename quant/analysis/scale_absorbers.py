"""Tell whether the constants of a node can take up factors of its channels.

Two kinds of node can:

    Conv    row o of the weight and bias[o] are divided by f of output channel o, column i of
            the weight is multiplied by f of input channel i
    Mul     a residual scale, which ends a branch:  y = c * conv(x), c > 0, one for all channels
            or one for each.  c[k] is multiplied by f_in[k] / f_out[k]; or the convolution takes
            all of c up and the node is gone (quant/passes/fold.py).

Residual scaling by 0.2 keeps ESRGAN's deep residual blocks trainable (Wang et al., "ESRGAN",
2018, arXiv:1809.00219, section 3.1).
"""

from dataclasses import dataclass

import numpy as np
import onnx

from calib.arrays import Float64
from calib.graph import GraphIndex


@dataclass(frozen=True, eq=False)
class ResidualScale:
    """A multiplication of a convolution's output, which nothing else reads, by constants.

    Attributes:
        node: the multiplication; its output is no output of the graph.
        convolution: the node before it, which can_absorb_scale.
        constant: name of the constants' initializer, which nothing else reads.
        values: float64 ``[C]``, the constant of each channel, positive.
    """

    node: onnx.NodeProto
    convolution: onnx.NodeProto
    constant: str
    values: Float64

    @property
    def input(self) -> str:
        """The convolution's output."""
        return self.convolution.output[0]

    @property
    def output(self) -> str:
        """The multiplication's output."""
        return self.node.output[0]


def can_absorb_scale(index: GraphIndex, node: onnx.NodeProto) -> bool:
    """Tell whether the constants of ``node`` can take up factors of its channels."""
    return convolution_can_absorb_scale(index, node) or residual_scale(index, node) is not None


def convolution_can_absorb_scale(index: GraphIndex, node: onnx.NodeProto) -> bool:
    """Tell whether ``node`` is a convolution whose weight and bias can take up factors.

    Both must be float32 initializers that nothing else reads and no caller can replace.
    """
    if node.op_type != "Conv" or any(a.name == "group" and a.i != 1 for a in node.attribute):
        return False
    constants = [name for name in node.input[1:] if name]
    return len(set(constants)) == len(constants) and all(
        is_exclusive(index, name) for name in constants
    )


def residual_scale(index: GraphIndex, node: onnx.NodeProto) -> ResidualScale | None:
    """Return what ``node`` scales and by how much, if it is a residual scale."""
    if node.op_type != "Mul" or node.output[0] in index.outputs:
        return None
    constants = [name for name in node.input if index.is_constant(name)]
    scaled = [name for name in node.input if name not in constants]
    if len(constants) != 1 or len(scaled) != 1 or not is_exclusive(index, constants[0]):
        return None
    convolution = index.producer(scaled[0])
    if convolution is None or not convolution_can_absorb_scale(index, convolution):
        return None
    alone = scaled[0] not in index.outputs and len(index.consumers(scaled[0])) == 1
    shape = index.shape(scaled[0])
    if not alone or shape is None or shape != index.shape(node.output[0]):
        return None
    values = _channel_constants(index, constants[0], shape)
    return None if values is None else ResidualScale(node, convolution, constants[0], values)


def residual_scales(index: GraphIndex) -> tuple[ResidualScale, ...]:
    """Return all residual scales of a graph, in graph order."""
    found = (residual_scale(index, node) for node in index.nodes)
    return tuple(scale for scale in found if scale is not None)


def _channel_constants(index: GraphIndex, name: str, shape: tuple[int, ...]) -> Float64 | None:
    """Return float64 ``[C]``, the constant by which a Mul multiplies each channel.

    Args:
        index: the graph.
        name: the constant operand, an initializer.
        shape: of the other operand, ``[N, C, ...]``.

    Returns:
        ``None`` if the constants tell more apart than channels, or are not positive.
    """
    value = index.initializer(name)
    assert value is not None  # it is the node's own
    per_channel = (shape[1], *[1] * (len(shape) - 2))
    if value.size != 1 and value.shape not in {per_channel, (1, *per_channel)}:
        return None
    values = np.broadcast_to(value.reshape(-1).astype(np.float64), shape[1:2])
    return values if ((values > 0.0) & np.isfinite(values)).all() else None


def is_exclusive(index: GraphIndex, name: str) -> bool:
    """Tell whether ``name`` is a float32 initializer of one reader that no caller can replace."""
    visible = {info.name for info in (*index.model.graph.input, *index.model.graph.output)}
    return (
        name in index.initializers
        and index.initializers[name].data_type == onnx.TensorProto.FLOAT
        and len(index.consumers(name)) == 1
        and name not in visible
    )
