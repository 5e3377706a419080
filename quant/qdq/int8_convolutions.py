"""Read what the integer convolutions of a QDQ model store, and make a float model of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from calib.arrays import Float32, Int8
from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.numerics.affine import dequantize
from quant.qdq.view import QdqView, QuantParams
from quant.qdq.zero_points import shift_between


@dataclass(frozen=True, eq=False)
class Int8Convolution:
    """One convolution of int8 weights and a quantized input.

    Attributes:
        codes: the weight as stored, int8 ``[O, I, kH, kW]``.
        weight_scales: float32 ``[O]``: real value of one quantization step.
        input_scale: real value of one quantization step of the input.
        input_zero_point: quantized value of 0 of the input.
        bias: float32 ``[O]``, as the file has it, without what makes up for inputs that have zero
            points of their own (quant/planning/integer_concats.py); zeros where it has none.
    """

    codes: Int8
    weight_scales: Float32
    input_scale: float
    input_zero_point: int
    bias: Float32

    @property
    def weight(self) -> Float32:
        """The float32 weight that the stored int8 weight stands for."""
        return dequantize(self.codes, self.weight_scales.reshape(-1, 1, 1, 1), 0)

    @property
    def recovered_channels(self) -> int:
        """How many output channels come back from :attr:`weight` code for code.

        Those are the ones that a quantizer rounds to nearest with the same scale: it takes the
        largest weight of a channel for its largest code.
        """
        largest = np.abs(self.codes.astype(np.int16)).reshape(len(self.codes), -1).max(axis=1)
        return int(np.count_nonzero((largest == np.iinfo(np.int8).max) | (largest == 0)))


def int8_convolutions(qdq: onnx.ModelProto) -> dict[str, Int8Convolution]:
    """Return the integer convolutions of a QDQ model by the name of their node.

    Raises:
        GraphError: a weight is not symmetric int8, an input has a scale per channel, or a bias
            is no constant.
    """
    view = QdqView(GraphIndex(qdq))
    found = {}
    for node, data, weight in view.integer_convolutions():
        codes = view.codes(node.input[1])
        if codes is None or codes.dtype != np.int8 or np.any(weight.zero_point):
            raise GraphError(f"the weight of {node.name!r} is not symmetric int8")
        if not data.per_tensor:
            raise GraphError(f"the input of {node.name!r} is quantized by channel")
        steps = np.broadcast_to(weight.scale.astype(np.float32).reshape(-1), len(codes))
        found[node.name] = Int8Convolution(
            codes,
            steps,
            data.scale.item(),
            data.zero_point.item(),
            _own_bias(view, node, data, codes, steps),
        )
    return found


def _own_bias(
    view: QdqView, node: onnx.NodeProto, data: QuantParams, codes: Int8, steps: Float32
) -> Float32:
    """Return the bias of a convolution without what it makes up for of its input."""
    bias = np.zeros(len(codes), np.float32) if len(node.input) < 3 else _bias(view, node)
    apart = view.zero_points(node.input[0])
    if apart is None:
        return bias
    shift = shift_between(codes, data.zero_point.item(), np.array(apart, np.int64))
    made_up = shift * (data.scale.item() * steps.astype(np.float64))
    own: Float32 = (bias - made_up).astype(np.float32)
    return own


def _bias(view: QdqView, node: onnx.NodeProto) -> Float32:
    name = node.input[2]
    stored = view.index.constant(name)
    if stored is not None:
        return stored.astype(np.float32)
    grid, codes = view.dequantizer(name), view.codes(name)
    if grid is None or codes is None:
        raise GraphError(f"the bias of {node.name!r} is no constant")
    return dequantize(codes, grid.scale, 0)


def on_the_grid(
    model: onnx.ModelProto, convolutions: Mapping[str, Int8Convolution]
) -> onnx.ModelProto:
    """Return the float model with the weights and biases that the int8 model computes with.

    Whoever rounds these weights to nearest with the same scales gets the int8 model's weights
    back, however those were chosen.
    """
    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    values: dict[str, Float32] = {}
    for node in rounded.graph.node:
        convolution = convolutions.get(node.name)
        if convolution is not None:
            values[node.input[1]] = convolution.weight
            if len(node.input) > 2:
                values[node.input[2]] = convolution.bias
    for tensor in rounded.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    return rounded
