"""Read any QDQ graph: its operators, and what quantizes their operands.

Reads files of other tools too: a weight may be stored as integers behind DequantizeLinear, or as a
float constant behind QuantizeLinear and DequantizeLinear; names mean nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from onnx import TensorProto

from calib.arrays import AnyArray
from calib.errors import GraphError
from calib.graph import QDQ_PAIR, GraphIndex, attribute_of
from quant.analysis.concats import joins_channels
from quant.numerics.affine import INTEGER_TYPES, IntegerType, quantize

# int32 is what biases are quantized to, and those are read through DequantizeLinear.
_COUNTING_TYPES = frozenset(
    {TensorProto.INT32, TensorProto.INT64, TensorProto.UINT32, TensorProto.UINT64}
    | {TensorProto.BOOL}
)
_PLUMBING = QDQ_PAIR | {"Constant"}


@dataclass(frozen=True, eq=False)
class QuantParams:
    """Parameters of one QuantizeLinear or DequantizeLinear.

    Attributes:
        node: the node.
        scale: float array, a scalar or one value per channel.
        zero_point: integer array of the same shape.
        axis: channel axis; meaningless for a scalar scale.
    """

    node: onnx.NodeProto
    scale: AnyArray
    zero_point: AnyArray
    axis: int

    @property
    def dtype(self) -> str:
        """Name of the integer type, such as ``uint8``."""
        return str(self.zero_point.dtype)

    @property
    def integer(self) -> IntegerType | None:
        """The integer type, ``None`` if it is one that no target here takes."""
        return INTEGER_TYPES.get(self.dtype)

    @property
    def per_tensor(self) -> bool:
        """Tell whether one scale serves the whole tensor."""
        return self.scale.size == 1

    def same_grid(self, other: "QuantParams") -> bool:
        """Tell whether both quantize the same values to the same integers."""
        return (
            self.dtype == other.dtype
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )


@dataclass(frozen=True, eq=False)
class QdqView:
    """The operators of a QDQ graph, its pairs looked through.

    Attributes:
        index: the QDQ graph.
    """

    index: GraphIndex

    @cached_property
    def operators(self) -> tuple[onnx.NodeProto, ...]:
        """The nodes other than QuantizeLinear, DequantizeLinear and Constant."""
        return tuple(node for node in self.index.nodes if node.op_type not in _PLUMBING)

    @cached_property
    def quantizers(self) -> tuple[QuantParams, ...]:
        """The QuantizeLinear of every activation, in graph order."""
        return tuple(
            self._parameters(node)
            for node in self.index.nodes
            if node.op_type == "QuantizeLinear" and not self.index.is_constant(node.input[0])
        )

    def dequantizer(self, tensor: str) -> QuantParams | None:
        """Return the DequantizeLinear that makes ``tensor``, if one does."""
        node = self.index.producer(tensor) if tensor else None
        if node is None or node.op_type != "DequantizeLinear":
            return None
        return self._parameters(node)

    def readers(self, tensor: str) -> tuple[onnx.NodeProto, ...]:
        """Return the nodes that read ``tensor`` directly."""
        return self.index.consumers(tensor)

    def output_quantizer(self, tensor: str) -> QuantParams | None:
        """Return the first QuantizeLinear that reads ``tensor``, if one does."""
        for node in self.readers(tensor):
            if node.op_type == "QuantizeLinear":
                return self._parameters(node)
        return None

    def is_constant(self, tensor: str) -> bool:
        """Tell whether ``tensor`` is a constant, quantized or not."""
        producer = self.index.producer(tensor)
        while producer is not None and producer.op_type in QDQ_PAIR:
            tensor = producer.input[0]
            producer = self.index.producer(tensor)
        return self.index.is_constant(tensor)

    def holds_codes(self, tensor: str) -> bool:
        """Tell whether ``tensor`` is made by QuantizeLinear, or of such by Concat and Pad."""
        producer = self.index.producer(tensor)
        if producer is not None and producer.op_type in {"Concat", "Pad"}:
            return self.holds_codes(producer.input[0])
        return producer is not None and producer.op_type == "QuantizeLinear"

    def zero_points(self, tensor: str) -> tuple[int, ...] | None:
        """Return the zero point of each channel where a Concat joins integers of several.

        Args:
            tensor: output of a DequantizeLinear.

        Returns:
            ``None`` for any other: its DequantizeLinear knows.
        """
        node = self.index.producer(tensor)
        join = None if node is None else self.index.producer(node.input[0])
        if node is None or join is None or not self._joins_integers(join):
            return None
        told = int(self._parameters(node).zero_point.max())
        found: list[int] = []
        for name in join.input:
            maker, shape = self.index.producer(name), self.index.shape(name)
            if maker is not None and maker.op_type == "Pad":
                maker = self.index.producer(maker.input[0])
            if maker is None or maker.op_type != "QuantizeLinear" or shape is None:
                return None
            found += [int(self._parameters(maker).zero_point.max())] * shape[1]
        return None if {*found} == {told} else tuple(found)

    def _joins_integers(self, node: onnx.NodeProto) -> bool:
        """Tell whether a node is a Concat of integers along the channels."""
        return joins_channels(self.index, node) and self.holds_codes(node.output[0])

    def counts(self, tensor: str) -> bool:
        """Tell whether ``tensor`` holds counts, positions or truth values: nothing to quantize."""
        try:
            return self.index.element_type(tensor) in _COUNTING_TYPES
        except GraphError:  # not known, behind an operator that is not ONNX's
            return False

    def codes(self, tensor: str) -> AnyArray | None:
        """Return the integers behind a dequantized constant, or ``None``."""
        node = self.index.producer(tensor)
        if node is None or node.op_type != "DequantizeLinear":
            return None
        stored = self.index.constant(node.input[0])
        if stored is not None:
            return stored
        source = self.index.producer(node.input[0])
        if source is None or source.op_type != "QuantizeLinear":
            return None
        value = self.index.constant(source.input[0])
        if value is None:
            return None
        grid = self._parameters(source)
        integer = grid.integer
        if integer is None:
            return None
        shape = [1] * value.ndim
        if not grid.per_tensor:
            shape[grid.axis] = -1
        zero_point = grid.zero_point.astype(np.int64).reshape(shape)
        return quantize(value, grid.scale.reshape(shape), zero_point, integer)

    def integer_convolutions(self) -> Iterator[tuple[onnx.NodeProto, QuantParams, QuantParams]]:
        """Yield each convolution of quantized data with its data's and weight's parameters."""
        for node in self.operators:
            if node.op_type != "Conv":
                continue
            data, weight = self.dequantizer(node.input[0]), self.dequantizer(node.input[1])
            if data is not None and weight is not None:
                yield node, data, weight

    def activation_behind(
        self, convolution: onnx.NodeProto, operators: frozenset[str]
    ) -> tuple[onnx.NodeProto, bool] | None:
        """Return the activation behind a convolution, and whether a QDQ pair is between them."""
        readers = self.readers(convolution.output[0])
        paired = False
        while len(readers) == 1 and readers[0].op_type in QDQ_PAIR:
            paired = True
            readers = self.readers(readers[0].output[0])
        if len(readers) != 1 or readers[0].op_type not in operators:
            return None
        return readers[0], paired

    def _parameters(self, node: onnx.NodeProto) -> QuantParams:
        scale = self._parameter(node, node.input[1], "scale")
        if len(node.input) > 2 and node.input[2]:
            zero_point = self._parameter(node, node.input[2], "zero point")
        else:
            codes = node.input[0] if node.op_type == "DequantizeLinear" else node.output[0]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(self.index.element_type(codes))
            zero_point = np.zeros(scale.shape, dtype)
        axis = attribute_of(node, "axis", 1)
        return QuantParams(node, scale, zero_point, int(axis))

    def _parameter(self, node: onnx.NodeProto, name: str, kind: str) -> AnyArray:
        value = self.index.constant(name)
        if value is None:
            raise GraphError(
                f"the {kind} of {node.name!r} is computed at run time; expected a constant"
            )
        return value
