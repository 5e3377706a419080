"""Reverse the order of a picture's channels at both ends of a graph, in the weights alone.

An order p of channels, y[:, k] = x[:, p(k)], is carried from the input to where a convolution takes
it up, and from the output back to where one has made it:

    conv(W, x)[o] = sum over i of W[o, i] * x[i]       W[:, p] takes an input in the order p
                                                       W[p], b[p] gives an output in it

Between, what treats all channels alike carries it on unchanged, constants with a number for each
channel are put in its order, and what moves channels (a pixel shuffle) carries it on as another.
Reversing is its own inverse.
"""

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import numpy_helper

from calib.errors import GraphError
from calib.graph import CONVOLUTIONS, QDQ_PAIR, GraphIndex, attribute_of
from quant.passes.forms.moved_channels import Carried, before, behind, reordered_axis

_ALIKE = frozenset(
    [
        "Cast",
        "Clip",
        "DequantizeLinear",
        "Elu",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "LeakyRelu",
        "Mish",
        "QuantizeLinear",
        "Relu",
        "Resize",
        "Sigmoid",
        "Softplus",
        "Tanh",
    ]
)
"""Operators of one activation that treat all channels alike."""

_TOGETHER = frozenset(["Add", "Div", "Max", "Min", "Mul", "PRelu", "Sub"])
"""Operators that put activations, or constants for each channel, together element by element."""

_WITHIN = frozenset(["Pad", "Slice"])
"""Operators that treat all channels alike where they keep their number."""

_MOVES = frozenset(["DepthToSpace", "Reshape", "SpaceToDepth", "Transpose"])
_WRAPPERS = QDQ_PAIR | {"Cast"}
_CHANNELS = 1
_REVERSED: Carried = (_CHANNELS, (2, 1, 0))


def reversed_channels(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph that takes and gives pictures with their channels in the other order.

    Args:
        model: float, fp16 or QDQ, of one input and one output [N, 3, H, W]; it is not changed.

    Raises:
        GraphError: an operator stands between an end and the convolutions that looks at channels in
            a way that no constant can make up for; it is named.
    """
    flow = _Flow(GraphIndex(model))
    flow.run()
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for tensor in made.graph.initializer:
        value = numpy_helper.to_array(tensor)
        for axis, order in flow.constants.get(tensor.name, ()):
            value = np.take(value, order, axis)
        if tensor.name in flow.constants:
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), tensor.name))
    return made


class _Flow:
    """Follows an order of channels through a graph, and notes the constants that take it up."""

    def __init__(self, index: GraphIndex) -> None:
        self._index = index
        self._carried: dict[str, Carried] = {}
        self._pending: list[str] = []
        self._taken_up: set[tuple[str, str]] = set()
        self.constants: dict[str, list[Carried]] = {}

    def run(self) -> None:
        """Follow it from both ends until every tensor that carries it has been looked at."""
        for end in (*self._index.inputs, *self._index.outputs):
            self._carry(end, _REVERSED)
        while self._pending:
            tensor = self._pending.pop()
            producer = self._index.producer(tensor)
            makers = () if producer is None else (producer,)
            for node in (*makers, *self._index.consumers(tensor)):
                self._visit(node)

    def _carry(self, tensor: str, carried: Carried) -> None:
        if tensor not in self._carried:
            self._carried[tensor] = carried
            self._pending.append(tensor)
        elif self._carried[tensor] != carried:
            raise GraphError(f"tensor {tensor!r} is read in two orders of channels: {_REMEDY}")

    def _visit(self, node: onnx.NodeProto) -> None:
        if node.op_type in CONVOLUTIONS:
            self._take_up(node)
        elif node.op_type in _ALIKE:
            self._require_one_scale(node)
            self._carry_alike(node, node.input[:1])
        elif node.op_type in _TOGETHER:
            self._carry_alike(node, node.input)
        elif node.op_type in _WITHIN and self._keeps_channels(node):
            self._carry_alike(node, node.input[:1])
        elif node.op_type in _MOVES:
            self._move(node)
        else:
            raise _refused(node)

    def _carry_alike(self, node: onnx.NodeProto, operands: Iterable[str]) -> None:
        tensors = [*operands, node.output[0]]
        known = next(self._carried[name] for name in tensors if name in self._carried)
        for name in dict.fromkeys(tensors):
            if not self._is_constant(name):
                if len(self._shape(name, node)) != len(self._shape(node.output[0], node)):
                    raise _refused(node)
                self._carry(name, known)
            elif (node.output[0], name) not in self._taken_up:
                self._taken_up.add((node.output[0], name))
                axis, order = known
                shape = self._shape(name, node)
                own = axis - len(self._shape(node.output[0], node)) + len(shape)
                if own >= 0 and shape[own] != 1:
                    self._reorder(name, (own, order), node)

    def _take_up(self, node: onnx.NodeProto) -> None:
        if attribute_of(node, "group", 1) != 1:
            raise _refused(node)
        inputs_axis, outputs_axis = (1, 0) if node.op_type == "Conv" else (0, 1)
        sides = {node.input[0]: inputs_axis, node.output[0]: outputs_axis}
        for tensor, axis in sides.items():
            if tensor not in self._carried or (node.output[0], tensor) in self._taken_up:
                continue
            self._taken_up.add((node.output[0], tensor))
            carried_axis, order = self._carried[tensor]
            if carried_axis != _CHANNELS:
                raise _refused(node)
            self._reorder(node.input[1], (axis, order), node)
            if tensor == node.output[0] and len(node.input) > 2 and node.input[2]:
                self._reorder(node.input[2], (0, order), node)

    def _move(self, node: onnx.NodeProto) -> None:
        ends = self._shape(node.input[0], node), self._shape(node.output[0], node)
        forward = node.input[0] in self._carried
        start, end = (node.input[0], node.output[0])[:: 1 if forward else -1]
        carry = behind if forward else before
        found = carry(node, *ends, self._carried[start])
        if found is None:
            raise _refused(node)
        self._carry(end, found)

    def _reorder(self, tensor: str, carried: Carried, reader: onnx.NodeProto) -> None:
        """Note that a constant is to be put in an order along an axis."""
        axis, _ = carried
        if len(self._index.consumers(tensor)) != 1:
            raise GraphError(f"node {reader.name!r} shares {tensor!r} with others: {_REMEDY}")
        producer = self._index.producer(tensor)
        if producer is None:
            if self._index.initializer(tensor) is None:
                raise _refused(reader)
            self.constants.setdefault(tensor, []).append(carried)
            return
        if producer.op_type not in _WRAPPERS:
            raise _refused(reader)
        self._reorder(producer.input[0], carried, producer)
        for name in producer.input[1:]:
            # One scale and zero point for each channel along the axis that they are of.
            if self._shape(name, producer) and reordered_axis(producer, axis):
                self._reorder(name, (0, carried[1]), producer)

    def _is_constant(self, tensor: str) -> bool:
        producer = self._index.producer(tensor)
        while producer is not None and producer.op_type in _WRAPPERS:
            tensor = producer.input[0]
            producer = self._index.producer(tensor)
        return self._index.is_constant(tensor)

    def _require_one_scale(self, node: onnx.NodeProto) -> None:
        if node.op_type in QDQ_PAIR and self._shape(node.input[1], node) not in {(), (1,)}:
            raise _refused(node)

    def _keeps_channels(self, node: onnx.NodeProto) -> bool:
        shapes = self._shape(node.input[0], node), self._shape(node.output[0], node)
        return shapes[0][:2] == shapes[1][:2]

    def _shape(self, tensor: str, reader: onnx.NodeProto) -> tuple[int, ...]:
        shape = self._index.shape(tensor)
        if shape is None:
            raise GraphError(f"node {reader.name!r} has no static shape of {tensor!r}: {_REMEDY}")
        return shape


_REMEDY = "the order of channels cannot be changed; leave out --channel-order"


def _refused(node: onnx.NodeProto) -> GraphError:
    return GraphError(
        f"node {node.name!r} ({node.op_type}) stands between the picture and the convolutions: "
        f"{_REMEDY}"
    )
