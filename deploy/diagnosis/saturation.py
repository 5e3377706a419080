"""Make of a QDQ file what a CPU without VNNI computes, as another ONNX graph.

There a convolution of 8-bit activations adds the products of two neighbours in 16 bits, with
saturation (quant/numerics/saturation_limits.py):

    found = sum over pairs of clip(p, -32768, 32767),      p = u w + u' w'

for activations u as unsigned bytes. Only pairs of weights that can leave 16 bits are looked at:
each becomes one channel of a convolution that computes its p, and what ``clip`` changes of it,

    clip(p, -32768, 32767) - p

is added to the convolution's output, times the scales of activation and weight. All of it are
whole numbers below 2^24, so float32 is exact, and any runtime on any machine can run the graph.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from calib.arrays import AnyArray, Float32
from calib.graph import GraphIndex, rewritten
from quant.numerics.saturation_limits import PAIR_LIMIT
from quant.qdq.view import QdqView, QuantParams

_TOP, _BOTTOM = 32767.0, -32768.0
_AT_ONCE = 64
"""Pairs that one node computes, so that a picture of 512x512 takes 67 MB."""


@dataclass(frozen=True, eq=False)
class SaturablePairs:
    """Pairs of one convolution's weights whose products may leave 16 bits together.

    Attributes:
        filters: float32 ``[K, I, kH, kW]``, the two weights of each pair alone.
        channels: int ``[K]``, the output channel that each belongs to.
    """

    filters: Float32
    channels: AnyArray


def saturable_pairs(codes: AnyArray) -> SaturablePairs:
    """Return the pairs of int8 weights ``[O, I, kH, kW]`` that can saturate.

    Neighbours are those of the order kH, kW, I; of an odd number of weights the last has none.
    """
    outputs, inputs, height, width = codes.shape
    flat = codes.transpose(0, 2, 3, 1).reshape(outputs, -1).astype(np.int32)
    even = flat[:, : flat.shape[1] // 2 * 2].reshape(outputs, -1, 2)
    beyond = np.maximum(even, 0).sum(axis=2), np.maximum(-even, 0).sum(axis=2)
    channels, pairs = np.nonzero(np.maximum(*beyond) > PAIR_LIMIT)
    filters = np.zeros((len(channels), flat.shape[1]), np.float32)
    rows = np.arange(len(channels))
    for side in (0, 1):
        filters[rows, 2 * pairs + side] = even[channels, pairs, side]
    shaped = filters.reshape(-1, height, width, inputs).transpose(0, 3, 1, 2)
    return SaturablePairs(np.ascontiguousarray(shaped), channels)


def saturating_model(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Return the graph that computes what a CPU without VNNI makes of a QDQ file.

    Args:
        model: the QDQ file.

    Returns:
        A graph to be run with every optimization off; ``None`` where nothing can saturate.
    """
    view = QdqView(GraphIndex(model))
    losses = {loss.node.name: loss for loss in _losses(view)}
    if not losses:
        return None
    nodes: list[onnx.NodeProto] = []
    constants = list(model.graph.initializer)
    for node in view.index.nodes:
        if node.name not in losses:
            nodes.append(node)
            continue
        exact = onnx.NodeProto()
        exact.CopyFrom(node)
        exact.output[0] = f"{node.output[0]}_exact"
        more, made = losses[node.name].emit(exact.output[0])
        nodes += [exact, *more]
        constants += made
    return rewritten(model, nodes, constants)


@dataclass(frozen=True, eq=False)
class _Loss:
    """What saturation takes from one convolution.

    Attributes:
        node: the convolution.
        data: of its activations.
        steps: float32 ``[1, O, 1, 1]``, value of one unit of its accumulator.
        pairs: of its weights that can saturate.
    """

    node: onnx.NodeProto
    data: QuantParams
    steps: Float32
    pairs: SaturablePairs

    def emit(self, exact: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """Return nodes that add the loss to the tensor ``exact``, and their constants."""
        name = self.node.output[0]
        outputs = self.steps.shape[1]
        smallest = np.iinfo(self.data.dtype).min
        zero = float(self.data.zero_point)
        nodes: list[onnx.NodeProto] = []
        made: list[onnx.TensorProto] = []

        def constant(suffix: str, value: AnyArray | float) -> str:
            made.append(numpy_helper.from_array(np.asarray(value, np.float32), f"{name}_{suffix}"))
            return made[-1].name

        def add(operator: str, reads: list[str], suffix: str, **attributes: Any) -> str:
            makes = f"{name}_{suffix}"
            nodes.append(helper.make_node(operator, reads, [makes], makes, **attributes))
            return makes

        top, bottom = constant("top", _TOP), constant("bottom", _BOTTOM)
        # A convolution pads by the zero point, which is 0 once that is taken off.
        whole = add("Cast", [self.data.node.input[0]], "codes", to=onnx.TensorProto.FLOAT)
        centred = add("Sub", [whole, constant("zero", zero)], "centred")
        shape = {a.name: helper.get_attribute_value(a) for a in self.node.attribute}
        total = exact
        for part in range(0, len(self.pairs.channels), _AT_ONCE):
            filters = self.pairs.filters[part : part + _AT_ONCE]
            belongs = np.zeros((outputs, len(filters), 1, 1), np.float32)
            channels = self.pairs.channels[part : part + _AT_ONCE]
            belongs[channels, np.arange(len(filters))] = 1.0
            offsets = (zero - smallest) * filters.sum(axis=(1, 2, 3))
            weights = constant(f"w{part}", filters), constant(f"b{part}", offsets)
            pair = add("Conv", [centred, *weights], f"p{part}", **shape)
            clipped = add("Clip", [pair, bottom, top], f"c{part}")
            lost = add("Sub", [clipped, pair], f"l{part}")
            summed = add("Conv", [lost, constant(f"o{part}", belongs)], f"s{part}")
            real = add("Mul", [summed, constant(f"u{part}", self.steps)], f"r{part}")
            total = add("Add", [total, real], f"t{part}")
        nodes[-1].output[0] = name
        return nodes, made


def _losses(view: QdqView) -> Iterator[_Loss]:
    for node, data, weight in view.integer_convolutions():
        codes = view.codes(node.input[1])
        if codes is None or codes.dtype != np.int8 or data.dtype not in {"uint8", "int8"}:
            continue
        grouped = any(a.name == "group" and a.i != 1 for a in node.attribute)
        pairs = saturable_pairs(codes)
        if grouped or not len(pairs.channels):  # kernels for groups are others
            continue
        scales = np.broadcast_to(weight.scale.reshape(-1), codes.shape[0])
        steps = (np.float64(data.scale) * scales).astype(np.float32).reshape(1, -1, 1, 1)
        yield _Loss(node, data, steps, pairs)
